//! CBC without padding: AES-128 in modes 5 and 7, DES in mode 2.

use aes::Aes128Enc;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::consts::U16;
use aes::cipher::{BlockCipher, BlockDecrypt, BlockDecryptMut, BlockEncryptMut, InnerIvInit, KeyInit, KeyIvInit};
use des::Des;

use super::Block;

/// Decrypts in place. The length is a multiple of 16.
pub(crate) fn decrypt<C>(cipher: &C, iv: &Block, octets: &mut [u8])
where
    C: BlockCipher<BlockSize = U16> + BlockDecrypt,
{
    cbc::Decryptor::inner_iv_init(cipher, iv.into())
        .decrypt_padded_mut::<NoPadding>(octets)
        .expect("whole blocks need no padding");
}

/// Decrypts in place with an initialisation vector of zeros. The length is a multiple of 8.
pub(crate) fn des_decrypt(key: &[u8; 8], octets: &mut [u8]) {
    cbc::Decryptor::<Des>::new(key.into(), &[0; 8].into())
        .decrypt_padded_mut::<NoPadding>(octets)
        .expect("whole blocks need no padding");
}

/// Encrypts in place. The length is a multiple of 16.
pub(crate) fn encrypt(key: &Block, iv: &Block, octets: &mut [u8]) {
    let len = octets.len();
    cbc::Encryptor::inner_iv_init(Aes128Enc::new(key.into()), iv.into())
        .encrypt_padded_mut::<NoPadding>(octets, len)
        .expect("whole blocks need no padding");
}
