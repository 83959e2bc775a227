//! Modes 5 and 7, AES-128-CBC, and what only the MAC of the AFL protects. EN 13757-7:2018, 9.4.

use aes::cipher::KeyInit;
use aes::{Aes128Dec, Aes128Enc};

use super::{CHECK, Ended, Opening, Sealed};
use crate::afl::Afl;
use crate::security::{self, Block, Purpose};
use crate::tpl::Extension;
use crate::{Key, Reject, Verdict};

impl Opening {
    pub(super) fn open_cbc<'a>(
        &mut self,
        sealed: &Sealed<'a>,
        key: &Key,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        let Sealed { tpl, header, address, tpdu, payload } = *sealed;
        let is_mode_7 = header.configuration.mode() == 7;
        let is_derived = match header.configuration.extension {
            Extension::Kdf(field) => match field >> 4 & 3 {
                0 => false,
                1 => true,
                _ => return Err(Reject::Reserved("key derivation").into()),
            },
            _ => true,
        };
        let counter = self.afl.and_then(|afl| afl.counter);
        let derived = |purpose| -> Result<Block, Reject> {
            if !is_derived {
                return Ok(*key.octets());
            }
            let counter = counter.ok_or(Reject::Reserved("message counter"))?;
            Ok(security::derive(key, purpose, counter, address.identification))
        };
        let (encrypt, authenticate) = if tpl.to_meter {
            (Purpose::EncryptToMeter, Purpose::AuthenticateToMeter)
        } else {
            (Purpose::EncryptFromMeter, Purpose::AuthenticateFromMeter)
        };
        let mac = match self.afl.filter(|afl| afl.mac.is_some()) {
            Some(afl) if !afl.is_cmac() => return Err(Reject::Reserved("authentication type").into()),
            Some(afl) => Some(is_mac_right(&afl, &derived(authenticate)?, tpdu, plain)),
            None => None,
        };
        let blocks = 16 * header.configuration.blocks();
        if blocks == 0 {
            return match mac {
                Some(false) => Err(self.cut_or(Verdict::BadMac).into()),
                _ => {
                    self.verified(mac);
                    Ok(payload)
                }
            };
        }
        plain.clear();
        plain.extend_from_slice(payload);
        let encrypted = plain.get_mut(..blocks).ok_or(Reject::Truncated)?;
        if is_mode_7 {
            security::cbc_decrypt(&Aes128Dec::new((&derived(encrypt)?).into()), &[0; 16], encrypted);
        } else {
            let iv = security::mode_5_iv(&address, header.access_number);
            security::cbc_decrypt(key.aes(), &iv, encrypted);
        }
        let plain: &'a [u8] = plain;
        match (plain.strip_prefix(&CHECK), mac) {
            (Some(_), Some(false)) => Err(self.cut_or(Verdict::BadMac).into()),
            (Some(opened), mac) => {
                self.verified(mac);
                Ok(opened)
            }
            (None, _) => match payload.strip_prefix(&CHECK) {
                Some(opened) if !is_mode_7 => Ok(opened),
                _ => Err(Verdict::WrongKey.into()),
            },
        }
    }
}

/// EN 13757-7:2018, 9.3.2: CMAC over the AFL's message fields and the transport layer to its end.
fn is_mac_right(afl: &Afl, key: &Block, tpdu: &[u8], scratch: &mut Vec<u8>) -> bool {
    scratch.clear();
    afl.authenticated(scratch);
    let computed = security::cmac(&Aes128Enc::new(key.into()), &[scratch, tpdu]);
    let sent = afl.mac.as_ref().map_or(&[][..], |mac| mac.as_slice());
    // No early return: the time taken tells nothing of the MAC.
    !sent.is_empty() && computed.iter().zip(sent).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
