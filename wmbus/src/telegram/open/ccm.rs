//! Mode 10, AES-128-CCM: OMS security profile D.

use super::{CHECK, Ended, Opening, Sealed};
use crate::security::{self, Purpose};
use crate::tpl::Extension;
use crate::{Key, Reject, Verdict};

impl Opening {
    /// Everything to the tag is encrypted; the tag also covers CI-field to configuration extension.
    pub(super) fn open_ccm<'a>(
        &mut self,
        sealed: &Sealed<'a>,
        key: &Key,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        let Sealed { tpl, header, address, tpdu, payload } = *sealed;
        let Extension::Ccm { field, counter } = header.configuration.extension else {
            return Err(Reject::Reserved("configuration extension").into());
        };
        self.security.counter = Some(counter);
        if field & !KEY_ID != DERIVED_TAG_8 || header.configuration.field & 0xff != ALL {
            return Err(Reject::UnsupportedSecurity(10).into());
        }
        let purpose = if tpl.to_meter { Purpose::EncryptToMeter } else { Purpose::EncryptFromMeter };
        let key = security::derive(key, purpose, counter, address.identification);
        let (sealed, tag) = payload
            .len()
            .checked_sub(security::CCM_TAG)
            .and_then(|len| payload.split_at_checked(len))
            .ok_or(Reject::Truncated)?;
        let header_len = tpdu.len() - payload.len();
        let associated = tpdu.get(..header_len.saturating_sub(COUNTER)).ok_or(Reject::Truncated)?;
        plain.clear();
        plain.extend_from_slice(sealed);
        let nonce = security::ccm_nonce(&address, counter);
        if !security::ccm_open(&key, &nonce, associated, plain, tag) {
            // The check octets, where the meter has them, tell a changed message from a wrong key.
            let verdict = if plain.starts_with(&CHECK) { Verdict::BadMac } else { Verdict::WrongKey };
            return Err(self.cut_or(verdict).into());
        }
        self.verified(Some(true));
        Ok(plain.strip_prefix(&CHECK).unwrap_or(plain))
    }
}

/// Key derivation A, tag of eight octets.
const DERIVED_TAG_8: u16 = 0x0110;
const KEY_ID: u16 = 0x000f;
/// The whole message is encrypted.
const ALL: u16 = 0xff;
/// Octets of the message counter, which the tag does not cover.
const COUNTER: usize = 4;
