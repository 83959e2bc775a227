//! Who measures: identities that survive a change of port, receiver or route.

use std::fmt;
use std::str::FromStr;

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

/// What is not a meter identity or a manufacturer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a meter is written like KAM-12345678-1b-16, or as the 16 hex digits of a system title")]
pub struct NotMeterId;

impl FromStr for MeterId {
    type Err = NotMeterId;

    /// Reads what `Display` writes, in either case.
    fn from_str(text: &str) -> Result<Self, NotMeterId> {
        let mut parts = text.split('-');
        let first = parts.next().ok_or(NotMeterId)?;
        let Some(identification) = parts.next() else {
            let title = u64::from_str_radix(hex_digits(first, 16)?, 16).map_err(|_| NotMeterId)?;
            return Ok(Self::SystemTitle(title.to_be_bytes()));
        };
        let (version, device_type) = (parts.next().ok_or(NotMeterId)?, parts.next().ok_or(NotMeterId)?);
        if parts.next().is_some() {
            return Err(NotMeterId);
        }
        Ok(Self::MBus {
            manufacturer: first.parse()?,
            identification: u32::from_str_radix(hex_digits(identification, 8)?, 16).map_err(|_| NotMeterId)?,
            version: u8::from_str_radix(hex_digits(version, 2)?, 16).map_err(|_| NotMeterId)?,
            device_type: u8::from_str_radix(hex_digits(device_type, 2)?, 16).map_err(|_| NotMeterId)?,
        })
    }
}

/// The manufacturer field: three letters of five bits. Bit 15, which says that an address is not unique world-wide, tells
/// no meters apart and is never set in an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Manufacturer(pub u16);

impl fmt::Display for Manufacturer {
    /// Three letters, or four hex digits where they are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        wmbus::Maker(self.0).fmt(f)
    }
}

impl FromStr for Manufacturer {
    type Err = NotMeterId;

    /// Reads three letters, in either case, or four hex digits, without bit 15.
    fn from_str(text: &str) -> Result<Self, NotMeterId> {
        if let Ok(digits) = hex_digits(text, 4) {
            return u16::from_str_radix(digits, 16).map(|code| Self(code & 0x7fff)).map_err(|_| NotMeterId);
        }
        wmbus::Address::manufacturer_code(&text.to_ascii_uppercase()).map(Self).ok_or(NotMeterId)
    }
}

/// `text`, if it is exactly `len` hex digits (`from_str_radix` alone would take a sign).
fn hex_digits(text: &str, len: usize) -> Result<&str, NotMeterId> {
    if text.len() == len && text.bytes().all(|octet| octet.is_ascii_hexdigit()) { Ok(text) } else { Err(NotMeterId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<MeterId, NotMeterId>) {
        assert_eq!(text.parse(), expected, "{text}");
        if let Ok(id) = expected {
            assert_eq!(id.to_string().parse(), Ok(id), "{text}");
        }
    }

    #[test]
    fn identities_are_read_as_they_are_written() {
        let kamstrup = MeterId::MBus {
            manufacturer: Manufacturer(0x2c2d),
            identification: 0x1234_5678,
            version: 0x1b,
            device_type: 0x16,
        };
        check("KAM-12345678-1b-16", Ok(kamstrup));
        check("kam-12345678-1B-16", Ok(kamstrup));
        // A manufacturer that is no three letters.
        let unknown = |manufacturer| MeterId::MBus {
            manufacturer: Manufacturer(manufacturer),
            identification: 0x7000_0009,
            version: 1,
            device_type: 7,
        };
        for manufacturer in [0, 0x7fff] {
            check(&format!("{manufacturer:04x}-70000009-01-07"), Ok(unknown(manufacturer)));
        }
        check("ffff-70000009-01-07", Ok(unknown(0x7fff)));
        check("4b414d0102030405", Ok(MeterId::SystemTitle(*b"KAM\x01\x02\x03\x04\x05")));
        for text in ["", "KAM", "KAM-1234567-1b-16", "KAM-12345678-1b", "K4M-12345678-1b-16", "KAM-+2345678-1b-16"] {
            check(text, Err(NotMeterId));
        }
        check("KAM-12345678-1b-16-00", Err(NotMeterId));
    }
}
