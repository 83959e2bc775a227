//! Mode 2, DES-CBC with an initialisation vector of zeros. Obsolete, and still on the air.
//!
//! The low octet of the configuration field counts octets, not blocks. Mode 3 would want the meter's date in the
//! initialisation vector: it is recognised, not decrypted.

use super::{CHECK, Ended, Opening, Sealed};
use crate::{Key, Reject, Verdict, security};

impl Opening {
    pub(super) fn open_des<'a>(
        &mut self,
        sealed: &Sealed<'a>,
        key: &Key,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Ended<'a>> {
        let len = usize::from(sealed.header.configuration.field as u8);
        if len % BLOCK != 0 {
            return Err(Reject::Reserved("number of encrypted octets").into());
        }
        plain.clear();
        plain.extend_from_slice(sealed.payload);
        let encrypted = plain.get_mut(..len).ok_or(Reject::Truncated)?;
        let Some(key) = key.des() else { return Err(self.cut_or(Verdict::WrongKey).into()) };
        security::des_decrypt(&key, encrypted);
        self.security.in_the_clear = (sealed.payload.len() - len) as u16;
        plain.strip_prefix(&CHECK).ok_or(self.cut_or(Verdict::WrongKey).into())
    }
}

const BLOCK: usize = 8;
