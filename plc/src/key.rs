//! A key of 128 bits that is never printed.

use std::fmt;

use crate::{Reject, octets::Field};

/// A PSK or a GMK.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Field for Key {
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
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", Key([0x5a; 16])), "Key(..)");
    }
}
