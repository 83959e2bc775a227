//! The extended link layer, EN 13757-4:2019 clause 13.2: access number, receiver address, session number.

use std::fmt;

use bytes::{Buf, BufMut};

use crate::spec::{CI_ELL_I, CI_ELL_II, CI_ELL_III, CI_ELL_IV, CI_ELL_V};
use crate::{Address, Reject};

/// The extended link layer up to the (possibly encrypted) payload CRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ell {
    /// The CC-field.
    pub communication_control: u8,
    pub access_number: u8,
    /// ELL V only. Its optional fields are not decoded: a value other than zero is a `Reject`.
    pub extended_control: Option<u8>,
    /// Whom the frame is for. ELL III and IV.
    pub receiver: Option<Address>,
    /// ELL II and IV; the payload then begins with its CRC.
    pub session_number: Option<SessionNumber>,
}

/// The SN-field: four bits of session, 25 bits of minutes, three bits of encryption mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionNumber(pub u32);

/// How the ELL protects its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EllEncryption {
    None,
    AesCtr,
    Other(u8),
}

impl Ell {
    pub const fn is_ell(ci_field: u8) -> bool {
        matches!(ci_field, CI_ELL_I | CI_ELL_II | CI_ELL_III | CI_ELL_IV | CI_ELL_V)
    }

    /// Reads CI-field to session number and leaves `buf` at the payload CRC or the next CI-field.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let ci_field = buf.try_get_u8()?;
        if !Self::is_ell(ci_field) {
            return Err(Reject::UnsupportedCi(ci_field));
        }
        let mut ell = Self {
            communication_control: buf.try_get_u8()?,
            access_number: buf.try_get_u8()?,
            extended_control: None,
            receiver: None,
            session_number: None,
        };
        if ci_field == CI_ELL_V {
            let extended_control = buf.try_get_u8()?;
            if extended_control != 0 {
                return Err(Reject::Reserved("extended control of ell v"));
            }
            ell.extended_control = Some(extended_control);
        }
        if matches!(ci_field, CI_ELL_III | CI_ELL_IV) {
            ell.receiver = Some(Address::parse(buf)?);
        }
        if matches!(ci_field, CI_ELL_II | CI_ELL_IV) {
            ell.session_number = Some(SessionNumber(buf.try_get_u32_le()?));
        }
        Ok(ell)
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.ci_field(), self.communication_control, self.access_number]);
        if let Some(extended_control) = self.extended_control {
            return out.push(extended_control);
        }
        if let Some(receiver) = &self.receiver {
            receiver.emit(out);
        }
        if let Some(session_number) = self.session_number {
            out.put_u32_le(session_number.0);
        }
    }

    pub const fn ci_field(&self) -> u8 {
        match (self.extended_control, self.receiver, self.session_number) {
            (Some(_), _, _) => CI_ELL_V,
            (None, None, None) => CI_ELL_I,
            (None, None, Some(_)) => CI_ELL_II,
            (None, Some(_), None) => CI_ELL_III,
            (None, Some(_), Some(_)) => CI_ELL_IV,
        }
    }

    /// The frame went through a repeater.
    pub const fn is_repeated(&self) -> bool {
        self.communication_control & CC_HOP_COUNT != 0
    }

    /// The CC-field as the meter sent it, before any repeater. EN 13757-4:2019, 13.2.12.4.
    pub(crate) const fn original_control(&self) -> u8 {
        self.communication_control & !(CC_HOP_COUNT | CC_REPEATED_ACCESS)
    }
}

impl SessionNumber {
    pub const fn encryption(self) -> EllEncryption {
        match (self.0 >> 29) as u8 {
            0 => EllEncryption::None,
            1 => EllEncryption::AesCtr,
            other => EllEncryption::Other(other),
        }
    }
}

impl fmt::Display for Ell {
    /// `ell 8d cc 20 acc 83 sn 2316e1a4`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ell {:02x} cc {:02x} acc {:02x}", self.ci_field(), self.communication_control, self.access_number)?;
        if let Some(receiver) = &self.receiver {
            write!(f, " to {receiver}")?;
        }
        self.session_number.map_or(Ok(()), |number| write!(f, " sn {:08x}", number.0))
    }
}

const CC_HOP_COUNT: u8 = 0x10;
const CC_REPEATED_ACCESS: u8 = 0x02;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Result<&str, Reject>) {
        let mut buf = octets;
        let ell = Ell::parse(&mut buf);
        assert_eq!(ell.map(|ell| ell.to_string()), expected.map(ToOwned::to_owned));
        let Ok(ell) = ell else { return };
        assert!(buf.is_empty());
        let mut out = Vec::new();
        ell.emit(&mut out);
        assert_eq!(out, octets);
        for end in 0..octets.len() {
            assert_eq!(Ell::parse(&mut &octets[..end]), Err(Reject::Truncated));
        }
    }

    #[test]
    fn all_five_layouts_are_read() {
        check(&hex!("8c 20 27"), Ok("ell 8c cc 20 acc 27"));
        check(&hex!("8d 20 83 a4e11623"), Ok("ell 8d cc 20 acc 83 sn 2316e1a4"));
        check(&hex!("8e 80 75 3a63665544330a31"), Ok("ell 8e cc 80 acc 75 to XYZ-33445566-0a-31"));
        check(&hex!("8f 80 75 3a63665544330a31 a4e11623"), Ok("ell 8f cc 80 acc 75 to XYZ-33445566-0a-31 sn 2316e1a4"));
        check(&hex!("86 80 75 00"), Ok("ell 86 cc 80 acc 75"));
        check(&hex!("86 80 75 01"), Err(Reject::Reserved("extended control of ell v")));
        check(&hex!("7a"), Err(Reject::UnsupportedCi(0x7a)));
    }
}
