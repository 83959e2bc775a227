//! Meter keys and where they come from. A key is never printed.

use std::collections::BTreeMap;
use std::fmt;

use crate::Address;

/// An AES-128 key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// Tells keys apart in a file that does not hold them: 32 bits of a CMAC under the key.
    pub fn fingerprint(&self) -> u32 {
        let [a, b, c, d, ..] = crate::security::cmac(&self.0, b"fingerprint");
        u32::from_be_bytes([a, b, c, d])
    }

    pub(crate) const fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Finds the key of a meter. The address is the transport layer's where there is a long header, else the link's.
pub trait Keys {
    fn key(&self, address: &Address) -> Option<&Key>;
}

/// Knows no key.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKeys;

impl Keys for NoKeys {
    fn key(&self, _: &Address) -> Option<&Key> {
        None
    }
}

/// One key for whatever meter.
impl Keys for Key {
    fn key(&self, _: &Address) -> Option<&Key> {
        Some(self)
    }
}

/// One key for whatever meter, or none.
impl Keys for Option<Key> {
    fn key(&self, _: &Address) -> Option<&Key> {
        self.as_ref()
    }
}

impl Keys for BTreeMap<Address, Key> {
    fn key(&self, address: &Address) -> Option<&Key> {
        self.get(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", Key::new([0x5a; 16])), "Key(..)");
    }
}
