//! AES-128-CBC without padding: modes 5 and 7.

use aes::Aes128;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};

use super::Block;

/// Decrypts in place. The length is a multiple of 16.
pub(crate) fn decrypt(key: &Block, iv: &Block, octets: &mut [u8]) {
    cbc::Decryptor::<Aes128>::new(key.into(), iv.into())
        .decrypt_padded_mut::<NoPadding>(octets)
        .expect("whole blocks need no padding");
}

/// Encrypts in place. The length is a multiple of 16.
pub(crate) fn encrypt(key: &Block, iv: &Block, octets: &mut [u8]) {
    let len = octets.len();
    cbc::Encryptor::<Aes128>::new(key.into(), iv.into())
        .encrypt_padded_mut::<NoPadding>(octets, len)
        .expect("whole blocks need no padding");
}
