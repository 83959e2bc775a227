//! AES-128-CTR: the extended link layer.

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};

use super::Block;

/// Encrypts or decrypts in place.
pub(crate) fn apply(key: &Block, counter: &Block, octets: &mut [u8]) {
    ctr::Ctr32BE::<Aes128>::new(key.into(), counter.into()).apply_keystream(octets);
}
