//! EN 13757-7:2018, table 13: device types; and the codes that makers use beside it.

use crate::Address;

/// The device type in the words of the standard; `reserved` for the codes without a meaning.
pub fn device_type_name(code: u8) -> &'static str {
    NAMES.iter().find(|(other, _)| *other == code).map_or("reserved", |(_, name)| name)
}

/// The device type of the standard that a maker's own code stands for; any other code as it is.
pub fn standard_device_type(manufacturer: u16, code: u8) -> u8 {
    let own = OWN.iter().find(|(maker, own, _)| *own == code && *maker == manufacturer & 0x7fff);
    own.map_or(code, |(.., standard)| *standard)
}

/// Makers, and their own codes that stand for a device type of the standard.
pub fn own_device_types(standard: u8) -> impl Iterator<Item = (u16, u8)> {
    OWN.iter().filter(move |(.., of)| *of == standard).map(|(maker, own, _)| (*maker, *own))
}

const TECHEM: u16 = Address::manufacturer_code("TCH").unwrap();
/// Maker, its own code, the standard's.
const OWN: &[(u16, u8, u8)] = &[
    (TECHEM, 0x43, 0x04),
    (TECHEM, 0x44, 0x04),
    (TECHEM, 0xc3, 0x04),
    (TECHEM, 0x62, 0x06),
    (TECHEM, 0x72, 0x16),
    (TECHEM, 0x80, 0x08),
    (TECHEM, 0xf0, 0x1a),
];

const NAMES: &[(u8, &str)] = &[
    (0x00, "other"),
    (0x01, "oil"),
    (0x02, "electricity"),
    (0x03, "gas"),
    (0x04, "heat"),
    (0x05, "steam"),
    (0x06, "warm water"),
    (0x07, "water"),
    (0x08, "heat cost allocator"),
    (0x09, "compressed air"),
    (0x0a, "cooling outlet"),
    (0x0b, "cooling inlet"),
    (0x0c, "heat inlet"),
    (0x0d, "heat and cooling"),
    (0x0e, "bus or system component"),
    (0x0f, "unknown"),
    (0x10, "irrigation water"),
    (0x11, "water data logger"),
    (0x12, "gas data logger"),
    (0x13, "gas converter"),
    (0x14, "calorific value"),
    (0x15, "hot water"),
    (0x16, "cold water"),
    (0x17, "dual register water"),
    (0x18, "pressure"),
    (0x19, "a/d converter"),
    (0x1a, "smoke alarm"),
    (0x1b, "room sensor"),
    (0x1c, "gas detector"),
    (0x1d, "carbon monoxide alarm"),
    (0x1e, "heat alarm"),
    (0x1f, "sensor"),
    (0x20, "breaker"),
    (0x21, "valve"),
    (0x25, "customer unit"),
    (0x28, "waste water"),
    (0x29, "garbage"),
    (0x30, "service tool"),
    (0x31, "gateway"),
    (0x32, "unidirectional repeater"),
    (0x33, "bidirectional repeater"),
    (0x36, "radio converter system side"),
    (0x37, "radio converter meter side"),
    (0x38, "bus converter"),
    (0xff, "wildcard"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makers_own_code_is_one_of_the_standard() {
        for (manufacturer, code, name) in [
            (TECHEM, 0x72, "cold water"),
            (TECHEM | 0x8000, 0x62, "warm water"),
            (TECHEM, 0x07, "water"),
            (0x2c2d, 0x72, "reserved"),
        ] {
            assert_eq!(device_type_name(standard_device_type(manufacturer, code)), name);
        }
        assert_eq!(own_device_types(0x04).collect::<Vec<_>>(), [(TECHEM, 0x43), (TECHEM, 0x44), (TECHEM, 0xc3)]);
        assert_eq!(own_device_types(0x02).count(), 0);
    }
}
