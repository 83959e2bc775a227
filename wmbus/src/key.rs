//! Meter keys and where they come from. A key is never printed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock, OnceLock};

use aes::cipher::KeyInit;
use aes::{Aes128Dec, Aes128Enc};

use crate::Address;

/// The key of a meter: AES-128, or eight octets for DES (modes 2 and 3) and ciphers of manufacturers.
///
/// The rounds are computed when they are needed first, and kept with the key: keep the key. Those of one direction are
/// most of what a key takes (704 octets), and a meter needs only one. A clone shares them.
#[derive(Clone)]
pub struct Key(Arc<Schedule>);

/// Behind one pointer, so that tables of many keys stay small enough for the nearest memory, and the rounds that most
/// telegrams want are not behind a second one.
struct Schedule {
    decrypting: OnceLock<Aes128Dec>,
    encrypting: OnceLock<Box<Aes128Enc>>,
    octets: [u8; 16],
    is_short: bool,
}

impl Key {
    pub fn new(octets: [u8; 16]) -> Self {
        Self::of(octets, false)
    }

    /// Eight octets.
    pub fn short(octets: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = octets;
        Self::of([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0], true)
    }

    fn of(octets: [u8; 16], is_short: bool) -> Self {
        Self(Arc::new(Schedule { octets, is_short, encrypting: OnceLock::new(), decrypting: OnceLock::new() }))
    }

    /// Tells keys apart in a file that does not hold them: 32 bits of a CMAC under the key.
    pub fn fingerprint(&self) -> u32 {
        // Asked once: its rounds are not worth keeping.
        let [a, b, c, d, ..] = crate::security::cmac(&Aes128Enc::new((&self.0.octets).into()), &[b"fingerprint"]);
        u32::from_be_bytes([a, b, c, d])
    }

    /// A short key has zeros behind it.
    pub(crate) fn octets(&self) -> &[u8; 16] {
        &self.0.octets
    }

    /// AES as CTR, CMAC and CCM use it.
    pub(crate) fn encrypting(&self) -> &Aes128Enc {
        self.0.encrypting.get_or_init(|| Box::new(Aes128Enc::new((&self.0.octets).into())))
    }

    /// AES as CBC uses it on what has been received.
    pub(crate) fn decrypting(&self) -> &Aes128Dec {
        self.0.decrypting.get_or_init(|| Aes128Dec::new((&self.0.octets).into()))
    }

    /// None for an AES key.
    pub(crate) fn des(&self) -> Option<[u8; 8]> {
        let [a, b, c, d, e, f, g, h, ..] = self.0.octets;
        if self.0.is_short { Some([a, b, c, d, e, f, g, h]) } else { None }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self.0.octets, self.0.is_short) == (other.0.octets, other.0.is_short)
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Finds the key of a meter. The address is the transport layer's where there is a long header, else the link's.
pub trait Keys {
    fn key(&self, address: &Address) -> Option<&Key>;

    /// The key of this meter is one for whatever meter: what its maker delivers it with is tried behind it.
    fn is_for_all(&self, address: &Address) -> bool {
        let _ = address;
        false
    }

    /// The key of this number, where a telegram names one; a meter with one key has it under each.
    fn numbered_key(&self, address: &Address, key_id: u8) -> Option<&Key> {
        let _ = key_id;
        self.key(address)
    }

    /// Kmac, the key of a Wize network: it proves who sent a frame and opens nothing.
    fn network_key(&self, network: u8) -> Option<&Key> {
        let _ = network;
        None
    }
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

/// The same of a `static`.
impl Keys for LazyLock<Key> {
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

impl<S: BuildHasher> Keys for HashMap<Address, Key, S> {
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
