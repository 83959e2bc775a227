//! Ciphers and key derivation, EN 13757-7:2018 clause 9 and EN 13757-4:2019 clause 13.2.12.

mod cbc;
mod ccm;
mod cmac;
mod ctr;

pub(crate) use self::cbc::{decrypt as cbc_decrypt, des_decrypt, encrypt as cbc_encrypt};
pub(crate) use self::ccm::{TAG as CCM_TAG, open as ccm_open, seal as ccm_seal};
pub(crate) use self::cmac::{Purpose, cmac, derive};
pub(crate) use self::ctr::apply as ctr_apply;

use crate::Address;
use crate::ell::{Ell, SessionNumber};

pub(crate) type Block = [u8; 16];

/// Mode 5: the meter's address in the order of the link layer, then eight times the access number. 9.4.4.
pub(crate) fn mode_5_iv(address: &Address, access_number: u8) -> Block {
    let [m0, m1, i0, i1, i2, i3, v, t] = address_octets(address);
    let n = access_number;
    [m0, m1, i0, i1, i2, i3, v, t, n, n, n, n, n, n, n, n]
}

/// The initial counter block of the ELL: address, CC, session number, frame number 0, block counter 0.
pub(crate) fn ell_counter(address: &Address, ell: &Ell, session_number: SessionNumber) -> Block {
    let [m0, m1, i0, i1, i2, i3, v, t] = address_octets(address);
    let [s0, s1, s2, s3] = session_number.0.to_le_bytes();
    [m0, m1, i0, i1, i2, i3, v, t, ell.original_control(), s0, s1, s2, s3, 0, 0, 0]
}

/// Mode 10: the address, an octet of zero, the counter with its most significant octet first.
pub(crate) fn ccm_nonce(address: &Address, counter: u32) -> [u8; 13] {
    let [m0, m1, i0, i1, i2, i3, v, t] = address_octets(address);
    let [c0, c1, c2, c3] = counter.to_be_bytes();
    [m0, m1, i0, i1, i2, i3, v, t, 0, c0, c1, c2, c3]
}

/// In the order of the link layer.
pub(crate) fn address_octets(address: &Address) -> [u8; 8] {
    let [m0, m1] = address.manufacturer.to_le_bytes();
    let [i0, i1, i2, i3] = address.identification.to_le_bytes();
    [m0, m1, i0, i1, i2, i3, address.version, address.device_type]
}
