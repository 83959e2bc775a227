//! Meter addresses: manufacturer, identification number, version and device type, EN 13757-7 clause 7.5.
//!
//! The link layer sends the manufacturer first, the long transport header sends the identification number first.

use std::fmt;

use bytes::BufMut;

use crate::Reject;

/// Who sent a telegram. Eight octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Three letters of five bits; bit 15 says that the address is not unique world-wide.
    pub manufacturer: u16,
    /// Eight BCD digits as sent, one a nibble: `0x12345678` is printed `12345678`.
    pub identification: u32,
    pub version: u8,
    pub device_type: u8,
}

impl Address {
    /// Reads eight octets in the order of the link layer (M-field, then A-field). EN 13757-4:2019, 12.5.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let &[m, n, a, b, c, d, version, device_type] = Self::octets(buf)?;
        let (manufacturer, identification) = (u16::from_le_bytes([m, n]), u32::from_le_bytes([a, b, c, d]));
        Ok(Self { manufacturer, identification, version, device_type })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u16_le(self.manufacturer);
        out.put_u32_le(self.identification);
        out.put_u8(self.version);
        out.put_u8(self.device_type);
    }

    /// Reads eight octets in the order of the long transport header. EN 13757-7:2018, 7.4.
    pub fn parse_long(buf: &mut &[u8]) -> Result<Self, Reject> {
        let &[a, b, c, d, m, n, version, device_type] = Self::octets(buf)?;
        let (manufacturer, identification) = (u16::from_le_bytes([m, n]), u32::from_le_bytes([a, b, c, d]));
        Ok(Self { manufacturer, identification, version, device_type })
    }

    #[inline(always)]
    fn octets<'a>(buf: &mut &'a [u8]) -> Result<&'a [u8; 8], Reject> {
        let (octets, rest) = buf.split_first_chunk().ok_or(Reject::Truncated)?;
        *buf = rest;
        Ok(octets)
    }

    /// Appends what [`Self::parse_long`] reads.
    pub fn emit_long(&self, out: &mut Vec<u8>) {
        out.put_u32_le(self.identification);
        out.put_u16_le(self.manufacturer);
        out.put_u8(self.version);
        out.put_u8(self.device_type);
    }

    /// Whose address it is: without bit 15 of the manufacturer, which only says how far the address is unique. It is not
    /// protected everywhere, so that whoever tells meters apart by it can be made to know one meter as two.
    pub const fn identity(self) -> Self {
        Self { manufacturer: self.manufacturer & 0x7fff, ..self }
    }

    /// The manufacturer field of three letters `A` to `Z`; None for anything else.
    pub const fn manufacturer_code(letters: &str) -> Option<u16> {
        let [a @ b'A'..=b'Z', b @ b'A'..=b'Z', c @ b'A'..=b'Z'] = *letters.as_bytes() else { return None };
        Some((a as u16 - 64) << 10 | (b as u16 - 64) << 5 | (c as u16 - 64))
    }
}

/// A manufacturer field as people read it: its three letters, whatever bit 15 says, or four hex digits where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker(pub u16);

impl Maker {
    /// What [`Address::manufacturer_code`] makes of these letters; None where the field is no three letters.
    pub fn letters(self) -> Option<[char; 3]> {
        let letters = [10, 5, 0].map(|shift| 64 + (self.0 >> shift & 0x1f) as u8);
        letters.iter().all(u8::is_ascii_uppercase).then(|| letters.map(char::from))
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.letters() {
            Some(letters) => letters.iter().try_for_each(|letter| write!(f, "{letter}")),
            None => write!(f, "{:04x}", self.0),
        }
    }
}

impl fmt::Display for Address {
    /// `KAM-12345678-1b-16`; the manufacturer in hex digits where it is no three letters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let maker = Maker(self.manufacturer);
        write!(f, "{maker}-{:08x}-{:02x}-{:02x}", self.identification, self.version, self.device_type)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const METER: Address =
        Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 0x16 };

    #[test]
    fn both_orders_read_what_they_write() {
        let mut link = Vec::new();
        METER.emit(&mut link);
        assert_eq!(link, hex!("2d2c 78563412 1b 16"));
        assert_eq!(Address::parse(&mut link.as_slice()), Ok(METER));
        let mut long = Vec::new();
        METER.emit_long(&mut long);
        assert_eq!(long, hex!("78563412 2d2c 1b 16"));
        assert_eq!(Address::parse_long(&mut long.as_slice()), Ok(METER));
        for end in 0..8 {
            assert_eq!(Address::parse(&mut &link[..end]), Err(Reject::Truncated));
            assert_eq!(Address::parse_long(&mut &long[..end]), Err(Reject::Truncated));
        }
    }

    #[test]
    fn letters_and_digits_are_printed() {
        assert_eq!(METER.to_string(), "KAM-12345678-1b-16");
        assert_eq!(Address::manufacturer_code("KAM"), Some(0x2c2d));
        assert_eq!(Address::manufacturer_code("Kam"), None);
        assert_eq!(Address::manufacturer_code("KAMS"), None);
    }
}
