//! Logical names: the OBIS codes of COSEM objects, IEC 62056-6-1.

use std::fmt;
use std::str::FromStr;

use bytes::Buf;

use crate::Reject;

/// The six value groups A to F.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obis(pub [u8; 6]);

impl Obis {
    pub const fn new(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) -> Self {
        Self([a, b, c, d, e, f])
    }

    /// Reads six octets.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let mut groups = [0; 6];
        buf.try_copy_to_slice(&mut groups)?;
        Ok(Self(groups))
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl TryFrom<&[u8]> for Obis {
    type Error = Reject;

    fn try_from(octets: &[u8]) -> Result<Self, Reject> {
        octets.try_into().map(Self).map_err(|_| Reject::Length("logical name"))
    }
}

impl fmt::Display for Obis {
    /// `1-0:1.8.0*255`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        write!(f, "{a}-{b}:{c}.{d}.{e}*{last}")
    }
}

impl FromStr for Obis {
    type Err = Reject;

    /// Takes `1-0:1.8.0*255`, `1.0.1.8.0.255`, and either without F, which then is 255.
    fn from_str(text: &str) -> Result<Self, Reject> {
        let mut groups = [0, 0, 0, 0, 0, 255];
        let mut count = 0;
        for part in text.split(['-', ':', '.', '*', '&']) {
            *groups.get_mut(count).ok_or(Reject::Length("logical name"))? =
                part.parse().map_err(|_| Reject::Reserved("logical name"))?;
            count += 1;
        }
        if count < 5 { Err(Reject::Length("logical name")) } else { Ok(Self(groups)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_read() {
        let active = Obis::new(1, 0, 1, 8, 0, 255);
        for text in ["1-0:1.8.0*255", "1.0.1.8.0.255", "1-0:1.8.0"] {
            assert_eq!(text.parse(), Ok(active));
        }
        assert_eq!(active.to_string(), "1-0:1.8.0*255");
        for text in ["", "1-0:1.8", "1.0.1.8.0.256", "1.0.1.8.0.255.1", "a"] {
            assert!(text.parse::<Obis>().is_err(), "{text}");
        }
    }
}
