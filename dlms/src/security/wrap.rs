//! Keys under the master key: AES key wrap, RFC 3394. Keys of M-Bus meters under their default key: one block of AES.

use aes::Aes128;
use aes::cipher::{BlockEncrypt, KeyInit};
use aes_kw::{KekAes128, KekAes256};
use zeroize::Zeroizing;

use crate::Reject;

/// Wraps a key of 16 or 32 octets.
pub fn wrap_key(master: &[u8], key: &[u8]) -> Result<Vec<u8>, Reject> {
    let mut out = vec![0; key.len() + OVERHEAD];
    match master.len() {
        16 => KekAes128::try_from(master).and_then(|kek| kek.wrap(key, &mut out)),
        _ => KekAes256::try_from(master).and_then(|kek| kek.wrap(key, &mut out)),
    }
    .map(|()| out)
    .map_err(|_| Reject::Length("key"))
}

/// The key that was wrapped.
pub fn unwrap_key(master: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reject> {
    let mut out = Zeroizing::new(vec![0; wrapped.len().saturating_sub(OVERHEAD)]);
    match master.len() {
        16 => KekAes128::try_from(master).and_then(|kek| kek.unwrap(wrapped, &mut out)),
        _ => KekAes256::try_from(master).and_then(|kek| kek.unwrap(wrapped, &mut out)),
    }
    .map(|()| out)
    .map_err(|_| Reject::BadTag)
}

/// A new key of an M-Bus meter under its default key, as `transfer_key` of class 72 takes it: one block of AES-128.
pub fn encipher_mbus_key(default_key: &[u8; 16], key: &[u8; 16]) -> [u8; 16] {
    let mut block = (*key).into();
    Aes128::new(default_key.into()).encrypt_block(&mut block);
    block.into()
}

const OVERHEAD: usize = 8;
