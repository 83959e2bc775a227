//! AES-128-CTR: the extended link layer, and mode 8.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipher, BlockEncrypt, InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;

use super::Block;

/// Encrypts or decrypts in place.
pub(crate) fn apply<C>(cipher: &C, counter: &Block, octets: &mut [u8])
where
    C: BlockCipher<BlockSize = U16> + BlockEncrypt,
{
    let core = CtrCore::<&C, Ctr32BE>::inner_iv_init(cipher, counter.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(octets);
}
