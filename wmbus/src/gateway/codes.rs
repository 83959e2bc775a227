//! C-fields of two-way meters, EN 13757-4:2019, table 33.

pub(crate) const SND_NKE: u8 = 0x40;
pub(crate) const SND_UD: u8 = 0x43;
pub(crate) const SND_IR: u8 = 0x46;
pub(crate) const ACC_DMD: u8 = 0x48;
pub(crate) const CNF_IR: u8 = 0x06;
pub(crate) const REQ_UD1: u8 = 0x4a;
pub(crate) const REQ_UD2: u8 = 0x4b;
pub(crate) const RSP_UD: u8 = 0x08;
pub(crate) const ACK: u8 = 0x00;
pub(crate) const FCB: u8 = 0x20;
pub(crate) const FCV: u8 = 0x10;
/// All of an answer's C-field but ACD and DFC.
pub(crate) const TYPE: u8 = 0xcf;
