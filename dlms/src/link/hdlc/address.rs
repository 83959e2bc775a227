//! Addresses of one, two and four octets, seven bits in each; the last one ends with a 1.

use std::fmt;

use bytes::{Buf, BufMut};

use crate::Reject;

/// A client has an upper part; a server also the lower part that names the physical device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    upper: u16,
    lower: Option<u16>,
    is_wide: bool,
}

impl Address {
    /// One octet: a client, or a logical device alone. Up to 127.
    pub fn one(upper: u16) -> Option<Self> {
        (upper < 1 << 7).then_some(Self { upper, lower: None, is_wide: false })
    }

    /// Two octets: logical and physical device, each up to 127.
    pub fn two(upper: u16, lower: u16) -> Option<Self> {
        (upper.max(lower) < 1 << 7).then_some(Self { upper, lower: Some(lower), is_wide: false })
    }

    /// Four octets: logical and physical device, each up to 16,383.
    pub fn four(upper: u16, lower: u16) -> Option<Self> {
        (upper.max(lower) < 1 << 14).then_some(Self { upper, lower: Some(lower), is_wide: true })
    }

    /// The shortest address of a logical device, and of the physical device it is in.
    pub fn server(logical: u16, physical: Option<u16>) -> Option<Self> {
        match physical {
            None => Self::one(logical),
            Some(physical) => Self::two(logical, physical),
        }
        .or_else(|| Self::wide(logical, physical))
    }

    /// The same in four octets, which some meters want.
    pub fn wide(logical: u16, physical: Option<u16>) -> Option<Self> {
        Self::four(logical, physical.unwrap_or(ANY_PHYSICAL))
    }

    /// The client's or the logical device's number.
    pub const fn upper(&self) -> u16 {
        self.upper
    }

    pub const fn lower(&self) -> Option<u16> {
        self.lower
    }

    /// A frame from here answers one that went to `asked`: the same device, however wide its address, or the one that
    /// was asked without its number.
    pub fn answers(&self, asked: &Self) -> bool {
        let is_any =
            matches!((asked.lower, asked.is_wide), (None, _) | (Some(ANY_PHYSICAL), true) | (Some(0x7f), false));
        self.upper == asked.upper && (is_any || self.lower == asked.lower)
    }

    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let mut parts = [0; 4];
        for (count, part) in (1..).zip(&mut parts) {
            let octet = buf.try_get_u8()?;
            *part = u16::from(octet >> 1);
            if octet & 1 == 0 {
                continue;
            }
            let [a, b, c, d] = parts;
            return match count {
                1 => Ok(Self { upper: a, lower: None, is_wide: false }),
                2 => Ok(Self { upper: a, lower: Some(b), is_wide: false }),
                4 => Ok(Self { upper: a << 7 | b, lower: Some(c << 7 | d), is_wide: true }),
                _ => break,
            };
        }
        Err(Reject::Length("hdlc address"))
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        let low = |part: u16, last: u8| (part << 1) as u8 | last;
        match (self.lower, self.is_wide) {
            (None, _) => out.push(low(self.upper, 1)),
            (Some(lower), false) => out.extend_from_slice(&[low(self.upper, 0), low(lower, 1)]),
            (Some(lower), true) => {
                out.put_slice(&[low(self.upper >> 7, 0), low(self.upper & 0x7f, 0)]);
                out.put_slice(&[low(lower >> 7, 0), low(lower & 0x7f, 1)]);
            }
        }
    }
}

impl fmt::Display for Address {
    /// `16`, or `1/17` with the physical device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.upper)?;
        self.lower.map_or(Ok(()), |lower| write!(f, "/{lower}"))
    }
}

/// The physical device that there is, whatever its number: IEC 62056-46, 6.4.2.3, "all-station".
const ANY_PHYSICAL: u16 = 0x3fff;
