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

/// Value groups that must be equal; None matches all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObisPattern([Option<u8>; 6]);

impl ObisPattern {
    /// `0-*:24.5.0*255`: a code in which any group may be `*`; group F may be missing and is then 255.
    pub fn parse(text: &str) -> Option<Self> {
        let (a, rest) = text.split_once('-')?;
        let (b, rest) = rest.split_once(':')?;
        let (c, rest) = rest.split_once('.')?;
        let (d, rest) = rest.split_once('.')?;
        // The star of any E is not the one before F.
        let end = rest.char_indices().skip(1).find(|(_, c)| *c == '*').map_or(rest.len(), |(at, _)| at);
        let (e, f) = rest.split_at_checked(end)?;
        let f = if f.is_empty() { "255" } else { f.strip_prefix('*')? };
        let group = |text: &str| match text {
            "*" => Some(None),
            digits if digits.bytes().all(|octet| octet.is_ascii_digit()) => digits.parse().ok().map(Some),
            _ => None,
        };
        Some(Self([group(a)?, group(b)?, group(c)?, group(d)?, group(e)?, group(f)?]))
    }

    pub fn fits(&self, name: Obis) -> bool {
        self.0.iter().zip(name.0).all(|(group, own)| group.is_none_or(|it| it == own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_group_of_a_pattern_may_be_any() {
        let fits = |text: &str, name: &str| ObisPattern::parse(text).unwrap().fits(name.parse().unwrap());
        for (text, name, expected) in [
            ("0-*:24.5.0*255", "0-3:24.5.0*255", true),
            ("0-*:24.5.0", "0-3:24.5.1*255", false),
            ("1-0:1.8.**255", "1-0:1.8.4*255", true),
            ("1-0:1.8.**255", "1-0:1.8.4*1", false),
            ("1-0:1.8.*", "1-0:1.8.4*255", true),
            ("1-0:*.8.0**", "1-0:2.8.0*7", true),
        ] {
            assert_eq!(fits(text, name), expected, "{text} {name}");
        }
        for text in ["", "1.8.0", "1-0:1.8", "1-0:1.8.x*255", "1-0:1.8.0*256", "1-0:1.8.***255", "256-0:1.8.0*1"] {
            assert_eq!(ObisPattern::parse(text), None, "{text}");
        }
    }

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
