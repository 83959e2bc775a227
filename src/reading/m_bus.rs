//! One M-Bus meter in all the forms in which it names itself, so that it is the same meter however it came: heard over the
//! air, behind an electricity meter, and as it is kept.

use dlms::cosem::MbusClient;
use wmbus::spec::standard_device_type;

use super::{Manufacturer, MeterId};

/// EN 13757-7: the address of a telegram.
pub fn meter_id(address: &wmbus::Address) -> MeterId {
    let wmbus::Address { manufacturer, identification, version, device_type } = address.identity();
    MeterId::MBus { manufacturer: Manufacturer(manufacturer), identification, version, device_type }
}

impl MeterId {
    /// Who is installed on a channel, IEC 62056-6-2, class 72; None: nobody.
    ///
    /// The identification number is eight digits, one a nibble, as on the air. Some electricity meters say the same digits
    /// as a plain number: one that is no digits and has no more than eight is taken so.
    pub fn behind(client: &MbusClient) -> Option<Self> {
        let MbusClient { identification_number: number, manufacturer_id: manufacturer, version, device_type } = *client;
        let is_digits = (0..8).all(|place| (number >> (4 * place)) & 0xf <= 9);
        let identification = if is_digits || number > 99_999_999 { number } else { digits(number) };
        let is_there = number != 0 || manufacturer != 0;
        is_there.then(|| meter_id(&wmbus::Address { manufacturer, identification, version, device_type }))
    }

    /// The address that a frame to it bears; None: it is no meter of M-Bus.
    pub fn address(&self) -> Option<wmbus::Address> {
        let Self::MBus { manufacturer: Manufacturer(manufacturer), identification, version, device_type } = *self
        else {
            return None;
        };
        Some(wmbus::Address { manufacturer, identification, version, device_type })
    }

    /// EN 13757-7: the device type, of a maker's own code the one that it stands for; None: it is no meter of M-Bus.
    pub fn device_type(&self) -> Option<u8> {
        self.address().map(|address| standard_device_type(address.manufacturer, address.device_type))
    }

    /// Manufacturer, identification, version and device type as a link address has them, EN 13757-4: least significant
    /// octets first.
    pub fn m_bus_octets(&self) -> Option<[u8; 8]> {
        let wmbus::Address { manufacturer, identification, version, device_type } = self.address()?;
        let ([a, b], [c, d, e, f]) = (manufacturer.to_le_bytes(), identification.to_le_bytes());
        Some([a, b, c, d, e, f, version, device_type])
    }

    /// Reads what [`Self::m_bus_octets`] wrote.
    pub fn from_m_bus_octets([a, b, c, d, e, f, version, device_type]: [u8; 8]) -> Self {
        let (manufacturer, identification) = (u16::from_le_bytes([a, b]), u32::from_le_bytes([c, d, e, f]));
        meter_id(&wmbus::Address { manufacturer, identification, version, device_type })
    }
}

/// The decimal digits of a number below 10^8, one a nibble.
fn digits(number: u32) -> u32 {
    (0..8).rev().fold(0, |bcd, place| (bcd << 4) | (number / 10_u32.pow(place) % 10))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_one_meter_name_the_same_meter() {
        // ELS 70012345, version 0x33, gas: the link address of EN 13757-4.
        let air = wmbus::Address::parse(&mut [0x93, 0x15, 0x45, 0x23, 0x01, 0x70, 0x33, 0x03].as_slice()).unwrap();
        let client = |identification_number, manufacturer_id| MbusClient {
            identification_number,
            manufacturer_id,
            version: 0x33,
            device_type: 3,
        };
        let heard = meter_id(&air);
        assert_eq!(meter_id(&wmbus::Address { manufacturer: air.manufacturer | 0x8000, ..air }), heard);
        assert_eq!(heard.to_string(), "ELS-70012345-33-03");
        for (number, manufacturer) in [(0x7001_2345, 0x1593), (70_012_345, 0x1593), (0x7001_2345, 0x9593)] {
            assert_eq!(MeterId::behind(&client(number, manufacturer)), Some(heard));
        }
        assert_ne!(MeterId::behind(&client(0x7001_2346, 0x1593)), Some(heard));
        assert_eq!(MeterId::behind(&client(0, 0)), None);
        // Neither digits nor a number of eight of them.
        let odd = MeterId::behind(&client(0xfabc_1234, 0x1593)).unwrap();
        assert_eq!(odd.to_string(), "ELS-fabc1234-33-03");
        assert_eq!(MeterId::SystemTitle([1; 8]).m_bus_octets(), None);
    }

    proptest! {
        #[test]
        fn an_address_comes_back_from_every_form(
            digits in 0..100_000_000_u32, manufacturer in 1..=u16::MAX, version: u8, device_type: u8
        ) {
            let number = u32::from_str_radix(&format!("{digits:08}"), 16).unwrap();
            let client = |identification_number| MbusClient {
                identification_number, manufacturer_id: manufacturer, version, device_type,
            };
            let id = MeterId::behind(&client(number)).unwrap();
            prop_assert!(id.to_string().contains(&format!("-{digits:08}-")), "{}", id);
            prop_assert_eq!(id.address().as_ref().map(meter_id), Some(id));
            let octets = id.m_bus_octets().unwrap();
            prop_assert_eq!(MeterId::from_m_bus_octets(octets), id);
            prop_assert_eq!(wmbus::Address::parse(&mut octets.as_slice()).map(|air| meter_id(&air)), Ok(id));
            // The digits as a plain number, where they are not digits by chance.
            if format!("{digits:x}").contains(|c: char| c > '9') {
                prop_assert_eq!(MeterId::behind(&client(digits)), Some(id));
            }
        }
    }
}
