//! The address that a node has for ever.

use std::fmt;
use std::str::FromStr;

use crate::{Reject, octets::Field};

/// EUI-64, most significant octet first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Eui64(pub [u8; 8]);

impl fmt::Display for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Sixteen hexadecimal digits; colons and hyphens between octets are passed over.
impl FromStr for Eui64 {
    type Err = Reject;

    fn from_str(text: &str) -> Result<Self, Reject> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        if digits.len() != 16 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Reject::Reserved("EUI-64"));
        }
        u64::from_str_radix(&digits, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| Reject::Reserved("EUI-64"))
    }
}

impl Field for Eui64 {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Field::parse(buf).map(Self)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_printed_and_with_separators() {
        let eui64 = Eui64([0, 0x11, 0x22, 0xff, 0xff, 0, 0, 1]);
        assert_eq!(eui64.to_string(), "001122ffff000001");
        for text in ["001122ffff000001", "00:11:22:FF:FF:00:00:01", "00-11-22-ff-ff-00-00-01"] {
            assert_eq!(text.parse(), Ok(eui64));
        }
        for text in ["", "001122ffff00000", "001122ffff0000011", "+01122ffff000001", "001122ffff00000é"] {
            assert_eq!(text.parse::<Eui64>(), Err(Reject::Reserved("EUI-64")), "{text}");
        }
    }
}
