//! Text as meters send it: the last character first, EN 13757-3:2018 clause 6.3.3.

use std::fmt;

/// Text in ISO 8859-1, its octets as sent. Iterating and printing give it in the order it is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// Octets in the order they were sent, which is backwards.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Octets in the order they were sent.
    pub const fn octets(&self) -> &'a [u8] {
        self.0
    }

    pub fn chars(&self) -> impl Iterator<Item = char> + use<'a> {
        self.0.iter().rev().map(|octet| char::from(*octet))
    }

    /// No control characters but the zeros some meters fill with.
    pub(super) fn is_printable(&self) -> bool {
        self.0.iter().all(|octet| matches!(octet, 0 | 0x20..=0x7e | 0xa0..))
    }
}

impl fmt::Display for Text<'_> {
    /// Control characters are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.chars().filter(|c| !c.is_control()).try_for_each(|c| f.write_char(c))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
