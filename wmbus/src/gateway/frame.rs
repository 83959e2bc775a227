//! Frames to a meter. The transport header names the meter; the link layer names the gateway, as OMS has it, or the meter,
//! where a module has to know whom to wait for.

use aes::Aes128Enc;
use aes::cipher::KeyInit;

use super::{Command, Proof};
use crate::afl::Afl;
use crate::ell::Ell;
use crate::record::IDLE;
use crate::security::{self, Purpose};
use crate::spec::Content;
use crate::tpl::{Configuration, Extension, ShortHeader, Status, Tpl};
use crate::{Address, Key, Link};

/// A frame to a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub meter: Address,
    /// L first, without CRCs.
    pub octets: Vec<u8>,
}

/// How commands to a meter are protected: as the meter protects what it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    None,
    /// Mode 5.
    AesCbcIv(Key),
    /// Mode 7 with a message counter of the gateway, which has never been used before, and a MAC.
    AesCbcNoIv {
        key: Key,
        counter: u32,
    },
}

impl Protection {
    pub(super) const fn demands(&self) -> Proof {
        match self {
            Self::None => Proof::Nothing,
            Self::AesCbcIv(_) => Proof::Encrypted,
            Self::AesCbcNoIv { .. } => Proof::Authenticated,
        }
    }
}

/// A frame without application data: CNF-IR, ACK, SND-NKE, requests.
pub(super) fn control(c_field: u8, access_number: u8, meter: &Address, link: &Address, rssi_dbm: Option<i16>) -> Frame {
    let configuration = Configuration { field: 0, extension: Extension::None };
    let mut body = Vec::with_capacity(32);
    Link::Wireless { c_field, address: *link }.emit(&mut body);
    header(CI_LINK, access_number, meter, rssi_dbm, configuration).emit(&mut body);
    framed(meter, &body)
}

/// SND-UD.
pub(super) fn command(
    command: &Command,
    protection: &Protection,
    c_field: u8,
    access_number: u8,
    meter: &Address,
    link: &Address,
    rssi_dbm: Option<i16>,
) -> Frame {
    let mut plain = if *protection == Protection::None { Vec::new() } else { CHECK.to_vec() };
    let ci_field = command.application(&mut plain);
    let mut body = Vec::with_capacity(64);
    Link::Wireless { c_field, address: *link }.emit(&mut body);
    let tpdu = |mode, plain: &[u8], extension| {
        let configuration = Configuration::with_blocks(mode, (plain.len() / 16) as u8, extension);
        let mut tpdu = Vec::with_capacity(48);
        header(ci_field, access_number, meter, rssi_dbm, configuration).emit(&mut tpdu);
        tpdu.extend_from_slice(plain);
        tpdu
    };
    if *protection != Protection::None {
        plain.resize(plain.len().next_multiple_of(16), IDLE);
    }
    match protection {
        Protection::None => {
            let configuration = Configuration { field: 0, extension: Extension::None };
            header(ci_field, access_number, meter, rssi_dbm, configuration).emit(&mut body);
            body.extend_from_slice(&plain);
        }
        Protection::AesCbcIv(key) => {
            security::cbc_encrypt(key.octets(), &security::mode_5_iv(meter, access_number), &mut plain);
            body.extend(tpdu(5, &plain, Extension::None));
        }
        Protection::AesCbcNoIv { key, counter } => {
            let derived = |purpose| security::derive(key, purpose, *counter, meter.identification);
            security::cbc_encrypt(&derived(Purpose::EncryptToMeter), &[0; 16], &mut plain);
            let tpdu = tpdu(7, &plain, Extension::Kdf(KDF_A));
            let mut authenticated = Vec::with_capacity(8);
            Afl::profile_b(*counter, [0; 8]).authenticated(&mut authenticated);
            let mac = Aes128Enc::new((&derived(Purpose::AuthenticateToMeter)).into());
            let [a, b, c, d, e, f, g, h, ..] = security::cmac(&mac, &[&authenticated, &tpdu]);
            ell(access_number).emit(&mut body);
            Afl::profile_b(*counter, [a, b, c, d, e, f, g, h]).emit(&mut body);
            body.extend(tpdu);
        }
    }
    framed(meter, &body)
}

/// How well the meter was heard, for the status octet of a frame to it: 2 dB steps above -130 dBm, 0 where nobody knows.
/// EN 13757-7:2018, 7.5.6.
pub fn reception_level(rssi_dbm: Option<i16>) -> u8 {
    rssi_dbm.map_or(0, |dbm| u8::try_from(((dbm + 130) / 2).clamp(1, 63)).expect("from 1 to 63 after the clamp"))
}

fn header(
    ci_field: u8,
    access_number: u8,
    meter: &Address,
    rssi_dbm: Option<i16>,
    configuration: Configuration,
) -> Tpl {
    let status = Status(reception_level(rssi_dbm));
    let header = Some(ShortHeader { access_number, status, configuration });
    Tpl { ci_field, address: Some(*meter), header, content: Content::Nothing, to_meter: true }
}

fn ell(access_number: u8) -> Ell {
    Ell { communication_control: 0, access_number, extended_control: None, receiver: None, session_number: None }
}

fn framed(meter: &Address, body: &[u8]) -> Frame {
    let l_field = u8::try_from(body.len()).expect("no frame to a meter has 255 octets");
    Frame { meter: *meter, octets: [&[l_field], body].concat() }
}

const CI_LINK: u8 = 0x80;
const CHECK: [u8; 2] = [0x2f, 0x2f];
const KDF_A: u8 = 0x10;
