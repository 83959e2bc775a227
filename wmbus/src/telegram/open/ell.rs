//! The extended link layer's own encryption and CRC, EN 13757-4:2019, 13.2.12.

use bytes::Buf;

use super::{Opening, Stop};
use crate::ell::{Ell, EllEncryption, SessionNumber};
use crate::{Keys, Reject, SecurityMode, Verdict, security};

impl Opening {
    /// The payload begins with its CRC, both are encrypted.
    pub(super) fn open_ell<'a>(
        &mut self,
        ell: Ell,
        session_number: SessionNumber,
        payload: &'a [u8],
        keys: &impl Keys,
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Stop> {
        match session_number.encryption() {
            EllEncryption::None => return self.check_payload(payload).ok_or(self.cut_or(Verdict::BadCrc)),
            EllEncryption::Other(mode) => {
                self.security.mode = SecurityMode::Other(mode);
                return Err(Reject::UnsupportedSecurity(mode).into());
            }
            EllEncryption::AesCtr => {}
        }
        self.security.mode = SecurityMode::EllAesCtr;
        self.security.counter = Some(session_number.0);
        let sender = self.link.address().ok_or(Reject::NoAddress)?;
        let Some(key) = keys.key(sender) else {
            // Some receivers decrypt by themselves and leave the header as it was.
            return self.check_payload(payload).ok_or(self.no_key());
        };
        plain.clear();
        plain.extend_from_slice(payload);
        security::ctr_apply(key.encrypting(), &security::ell_counter(sender, &ell, session_number), plain);
        let plain: &'a [u8] = plain;
        match self.check_payload(plain) {
            Some(opened) => Ok(opened),
            None => self.check_payload(payload).ok_or(self.cut_or(Verdict::WrongKey)),
        }
    }

    /// The payload behind its CRC, where that is right.
    fn check_payload<'a>(&mut self, mut payload: &'a [u8]) -> Option<&'a [u8]> {
        let sent = payload.try_get_u16_le().ok()?;
        let is_right = crate::link::crc(payload) == sent;
        self.is_whole |= is_right;
        is_right.then_some(payload)
    }
}
