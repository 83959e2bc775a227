//! AES-CMAC, and the key derivation function A that is built on it. EN 13757-7:2018, 9.6.1.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipher, BlockEncrypt};
use cmac::digest::InnerInit;
use cmac::{Cmac, CmacCore, Mac};

use super::Block;
use crate::Key;

/// The derivation constant: what the derived key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "both directions are from the meter's side")]
pub(crate) enum Purpose {
    EncryptFromMeter = 0x00,
    AuthenticateFromMeter = 0x01,
    EncryptToMeter = 0x10,
    AuthenticateToMeter = 0x11,
}

/// Of octets in several pieces.
pub(crate) fn cmac<C>(cipher: &C, pieces: &[&[u8]]) -> Block
where
    C: BlockCipher<BlockSize = U16> + BlockEncrypt + Clone,
{
    let mut mac = Cmac::<C>::from_core(CmacCore::inner_init(cipher.clone()));
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

/// CMAC(master key, purpose || message counter || identification number || seven octets 07).
pub(crate) fn derive(key: &Key, purpose: Purpose, counter: u32, identification: u32) -> Block {
    let mut input = [0x07; 16];
    let parts = [purpose as u8].into_iter().chain(counter.to_le_bytes()).chain(identification.to_le_bytes());
    input.iter_mut().zip(parts).for_each(|(octet, part)| *octet = part);
    cmac(key.encrypting(), &[&input])
}
