//! Patterns that name one meter or many: `12345678`, `KAM-12345678-1b-16`, `KAM-*-1b`, `*-*-*-07`, `*`.

use std::fmt;
use std::str::FromStr;

use super::{Manufacturer, MeterId};

/// The fields of an M-Bus address that must be equal; None matches all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MeterPattern {
    pub manufacturer: Option<Manufacturer>,
    pub identification: Option<u32>,
    pub version: Option<u8>,
    pub device_type: Option<u8>,
}

impl MeterPattern {
    pub fn matches(&self, id: &MeterId) -> bool {
        Self::exactly(id).is_some_and(|exact| exact.masked(self.shape()) == *self)
    }

    /// The pattern that names this meter alone; None for what has no M-Bus address.
    pub fn exactly(id: &MeterId) -> Option<Self> {
        match *id {
            MeterId::MBus { manufacturer, identification, version, device_type } => Some(Self {
                manufacturer: Some(manufacturer),
                identification: Some(identification),
                version: Some(version),
                device_type: Some(device_type),
            }),
            MeterId::SystemTitle(_) => None,
        }
    }

    /// Which fields are given. Patterns with more of the address are greater; the identification number weighs most.
    pub fn shape(&self) -> Shape {
        Shape(
            u8::from(self.identification.is_some()) << 3
                | u8::from(self.manufacturer.is_some()) << 2
                | u8::from(self.version.is_some()) << 1
                | u8::from(self.device_type.is_some()),
        )
    }

    /// Keeps the fields of `shape` only.
    #[must_use]
    pub fn masked(&self, shape: Shape) -> Self {
        Self {
            manufacturer: self.manufacturer.filter(|_| shape.0 & 4 != 0),
            identification: self.identification.filter(|_| shape.0 & 8 != 0),
            version: self.version.filter(|_| shape.0 & 2 != 0),
            device_type: self.device_type.filter(|_| shape.0 & 1 != 0),
        }
    }
}

/// Which fields of a pattern are given, ordered by how much they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(u8);

/// What is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a meter is named like 12345678, KAM-12345678-1b-16, KAM-*-1b or *")]
pub struct NotPattern;

impl FromStr for MeterPattern {
    type Err = NotPattern;

    fn from_str(text: &str) -> Result<Self, NotPattern> {
        if let Some(identification) = digits::<8>(text)? {
            return Ok(Self { identification: Some(identification), ..Self::default() });
        }
        // Alone, four digits are half of an identification rather than a manufacturer that is no three letters.
        if digits::<4>(text)?.is_some() {
            return Err(NotPattern);
        }
        let mut parts = text.split('-');
        let mut part = || parts.next().filter(|part| *part != "*");
        let pattern = Self {
            manufacturer: part().map(str::parse).transpose().map_err(|_| NotPattern)?,
            identification: part().map(required::<8>).transpose()?,
            version: part().map(required::<2>).transpose()?.map(|version| version as u8),
            device_type: part().map(required::<2>).transpose()?.map(|device_type| device_type as u8),
        };
        if parts.next().is_some() { Err(NotPattern) } else { Ok(pattern) }
    }
}

impl fmt::Display for MeterPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.manufacturer {
            Some(manufacturer) => write!(f, "{manufacturer}")?,
            None => f.write_str("*")?,
        }
        match self.identification {
            Some(identification) => write!(f, "-{identification:08x}")?,
            None => f.write_str("-*")?,
        }
        for field in [self.version, self.device_type] {
            match field {
                Some(octet) => write!(f, "-{octet:02x}")?,
                None => f.write_str("-*")?,
            }
        }
        Ok(())
    }
}

/// Exactly `LEN` hex digits; None where `text` is something else.
fn digits<const LEN: usize>(text: &str) -> Result<Option<u32>, NotPattern> {
    if text.len() != LEN || !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Ok(None);
    }
    u32::from_str_radix(text, 16).map(Some).map_err(|_| NotPattern)
}

fn required<const LEN: usize>(text: &str) -> Result<u32, NotPattern> {
    digits::<LEN>(text)?.ok_or(NotPattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METER: &str = "KAM-12345678-1b-16";

    #[track_caller]
    fn check(text: &str, expected: Result<bool, NotPattern>) {
        let id: MeterId = METER.parse().unwrap();
        let pattern = text.parse::<MeterPattern>();
        assert_eq!(pattern.map(|pattern| pattern.matches(&id)), expected, "{text}");
        if let Ok(pattern) = pattern {
            assert_eq!(pattern.to_string().parse(), Ok(pattern), "{text}");
        }
    }

    #[test]
    fn a_pattern_matches_what_it_names() {
        for text in
            ["*", "12345678", METER, "kam-12345678-1B-16", "KAM", "KAM-*", "KAM-*-1b", "*-*-*-16", "KAM-12345678"]
        {
            check(text, Ok(true));
        }
        for text in ["12345679", "KAM-12345678-1b-07", "DME-*", "*-*-1c"] {
            check(text, Ok(false));
        }
        for text in ["", "1234567", "KAM-1234", "K1M", "KAM-*-1b-16-00", "KAM-*-1", "KAM--1b"] {
            check(text, Err(NotPattern));
        }
    }

    #[test]
    fn a_system_title_matches_no_pattern() {
        let id = MeterId::SystemTitle([0; 8]);
        assert!(!MeterPattern::default().matches(&id));
    }

    #[test]
    fn the_identification_number_weighs_most() {
        let shape = |text: &str| text.parse::<MeterPattern>().unwrap().shape();
        assert!(shape("12345678") > shape("KAM-*-1b-16"));
        assert!(shape(METER) > shape("KAM-12345678"));
        assert!(shape("KAM") > shape("*"));
    }
}
