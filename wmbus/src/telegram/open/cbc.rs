//! Modes 5 and 7, AES-128-CBC, and what only the MAC of the AFL protects. EN 13757-7:2018, 9.4.

use aes::cipher::KeyInit;
use aes::{Aes128Dec, Aes128Enc};

use super::{CHECK, Ended, Opening, Sealed, Stop};
use crate::afl::Afl;
use crate::security::{self, Block, Purpose};
use crate::tpl::Extension;
use crate::{Key, Keys, Reject, Verdict};

impl Opening {
    #[inline(always)]
    pub(super) fn open_cbc<'a>(
        &mut self,
        sealed: &Sealed<'a>,
        key: &Key,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        let has_mac = self.afl.is_some_and(|afl| afl.mac.is_some());
        if sealed.header.configuration.mode() == 7 || has_mac {
            return self.open_derived(sealed, key, plain);
        }
        self.decrypted(sealed, plain, None, |encrypted| decrypt_mode_5(sealed, key, encrypted))
    }

    /// What mode 7 and a MAC need keys derived for.
    #[inline(never)]
    fn open_derived<'a>(
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
        let encrypt = if tpl.to_meter { Purpose::EncryptToMeter } else { Purpose::EncryptFromMeter };
        let authenticate = if tpl.to_meter { Purpose::AuthenticateToMeter } else { Purpose::AuthenticateFromMeter };
        let mac = match self.afl.filter(|afl| afl.mac.is_some()) {
            Some(afl) if !afl.is_cmac() => return Err(Reject::Reserved("authentication type").into()),
            Some(afl) => Some(is_mac_right(&afl, &derived(authenticate)?, tpdu, plain)),
            None => None,
        };
        if header.configuration.blocks() == 0 {
            return match mac {
                Some(false) => Err(self.cut_or(Verdict::BadMac).into()),
                _ => {
                    self.verified(mac);
                    Ok(payload)
                }
            };
        }
        if !is_mode_7 {
            return self.decrypted(sealed, plain, mac, |encrypted| decrypt_mode_5(sealed, key, encrypted));
        }
        let cipher = Aes128Dec::new((&derived(encrypt)?).into());
        self.decrypted(sealed, plain, mac, |encrypted| security::cbc_decrypt(&cipher, &[0; 16], encrypted))
    }

    /// What is behind the check octets, once its first blocks are decrypted.
    #[inline(always)]
    fn decrypted<'a>(
        &mut self,
        sealed: &Sealed<'a>,
        plain: &'a mut Vec<u8>,
        mac: Option<bool>,
        decrypt: impl FnOnce(&mut [u8]),
    ) -> Result<&'a [u8], Ended<'a>> {
        let (configuration, payload) = (&sealed.header.configuration, sealed.payload);
        plain.clear();
        plain.extend_from_slice(payload);
        decrypt(plain.get_mut(..16 * configuration.blocks()).ok_or(Reject::Truncated)?);
        let plain: &'a [u8] = plain;
        match (plain.strip_prefix(&CHECK), mac) {
            (Some(_), Some(false)) => Err(self.cut_or(Verdict::BadMac).into()),
            (Some(opened), mac) => {
                self.verified(mac);
                if mac.is_none() {
                    self.security.in_the_clear = (payload.len() - 16 * configuration.blocks()) as u16;
                }
                Ok(opened)
            }
            (None, _) => match payload.strip_prefix(&CHECK) {
                Some(opened) if configuration.mode() != 7 => Ok(opened),
                _ => Err(Verdict::WrongKey.into()),
            },
        }
    }
}

#[inline]
fn decrypt_mode_5(sealed: &Sealed<'_>, key: &Key, encrypted: &mut [u8]) {
    let iv = security::mode_5_iv(&sealed.address, sealed.header.access_number);
    security::cbc_decrypt(key.decrypting(), &iv, encrypted);
}

impl Opening {
    /// A message without a header, whose AFL has a MAC: nothing of it is good before the MAC is.
    pub(super) fn prove(
        &mut self,
        afl: &Afl,
        to_meter: bool,
        tpdu: &[u8],
        keys: &impl Keys,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        let address = self.address.ok_or(Reject::NoAddress)?;
        let key = match afl.key_id() {
            Some(key_id) => keys.numbered_key(&address, key_id),
            None => keys.key(&address),
        };
        let key = key.ok_or(self.no_key())?;
        let counter = afl.counter.filter(|_| afl.is_cmac()).ok_or(Reject::Reserved("authentication type"))?;
        let purpose = if to_meter { Purpose::AuthenticateToMeter } else { Purpose::AuthenticateFromMeter };
        if !is_mac_right(afl, &security::derive(key, purpose, counter, address.identification), tpdu, scratch) {
            return Err(self.cut_or(Verdict::BadMac));
        }
        self.verified(Some(true));
        Ok(())
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
