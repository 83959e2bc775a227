//! Who measures: identities that survive a change of port, receiver or route.

use std::fmt;

/// A meter, as it names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MeterId {
    /// EN 13757-7: manufacturer, identification number, version and device type.
    /// The identification number holds the eight digits as sent, one a nibble: `0x12345678` is printed `12345678`.
    MBus { manufacturer: Manufacturer, identification: u32, version: u8, device_type: u8 },
    /// IEC 62056-5-3: the system title.
    SystemTitle([u8; 8]),
}

impl fmt::Display for MeterId {
    /// `KAM-12345678-1b-16`: letters, digits, version and device type in hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MBus { manufacturer, identification, version, device_type } => {
                write!(f, "{manufacturer}-{identification:08x}-{version:02x}-{device_type:02x}")
            }
            Self::SystemTitle(title) => title.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
        }
    }
}

/// The manufacturer field: three letters of five bits; bit 15 says that the address is not unique world-wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Manufacturer(pub u16);

impl fmt::Display for Manufacturer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shift in [10, 5, 0] {
            let letter = 64 + (self.0 >> shift & 0x1f) as u8;
            write!(f, "{}", if letter.is_ascii_uppercase() { char::from(letter) } else { '?' })?;
        }
        Ok(())
    }
}
