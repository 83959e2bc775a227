//! OBIS codes, IEC 62056-6-1.

use std::fmt;
use std::str::FromStr;

/// Value groups A to F.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obis(pub [u8; 6]);

/// What is not an OBIS code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an OBIS code is written like 8-0:1.0.0*255, each group from 0 to 255")]
pub struct NotObis;

impl fmt::Display for Obis {
    /// `8-0:1.0.0*255`
    fn fmt(&self, fmt: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([a, b, c, d, e, f]) = self;
        write!(fmt, "{a}-{b}:{c}.{d}.{e}*{f}")
    }
}

impl FromStr for Obis {
    type Err = NotObis;

    /// Reads `8-0:1.0.0*255`; group F may be missing and is then 255.
    fn from_str(text: &str) -> Result<Self, NotObis> {
        let (a, rest) = text.split_once('-').ok_or(NotObis)?;
        let (b, rest) = rest.split_once(':').ok_or(NotObis)?;
        let (c, rest) = rest.split_once('.').ok_or(NotObis)?;
        let (d, rest) = rest.split_once('.').ok_or(NotObis)?;
        let (e, f) = rest.split_once('*').unwrap_or((rest, "255"));
        let group = |digits: &str| {
            if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
                return Err(NotObis);
            }
            digits.parse::<u8>().map_err(|_| NotObis)
        };
        Ok(Self([group(a)?, group(b)?, group(c)?, group(d)?, group(e)?, group(f)?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<[u8; 6], NotObis>) {
        assert_eq!(text.parse::<Obis>().map(|obis| obis.0), expected, "{text}");
    }

    #[test]
    fn codes_are_read_as_they_are_written() {
        check("8-0:1.0.0*255", Ok([8, 0, 1, 0, 0, 255]));
        check("7-0:43.15.0", Ok([7, 0, 43, 15, 0, 255]));
        check("8-0:1.0.256", Err(NotObis));
        check("8-0:1.0", Err(NotObis));
        check("8-0:1.0.+1", Err(NotObis));
        check("", Err(NotObis));
        assert_eq!(Obis([1, 0, 1, 8, 2, 255]).to_string(), "1-0:1.8.2*255");
    }
}
