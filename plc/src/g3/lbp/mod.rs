//! LBP, the bootstrapping protocol of G3-PLC, and EAP-PSK within it. G.9903 clause 9.4.4 and annex E, RFC 4764.
//!
//! `T and code : 4 | medium : 1 | no backup medium : 1 | 0 : 2 | 0 : 8 | EUI-64 of the device | data`, where the data
//! is nothing, an EAP message, or configuration parameters, told apart by the lowest bit of their first octet.

pub mod eap;
mod parameter;
pub mod psk;

#[cfg(test)]
mod tests;

pub use parameter::Parameter;

use bytes::Buf;

use crate::octets::Field;
use crate::{Eui64, Reject};

/// One LBP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub code: Code,
    pub media: Media,
    /// The bootstrapping device, whoever speaks.
    pub eui64: Eui64,
    pub data: Data,
}

/// What a message is. From the device: joining, kick; the others go to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Joining,
    KickFromLbd,
    Accepted,
    Challenge,
    Decline,
    KickToLbd,
}

/// Over what medium the device asked, and whether it has no other; the answers repeat it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Media {
    pub is_rf: bool,
    pub has_no_backup: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Nothing,
    Eap(eap::Message),
    Parameters(Vec<Parameter>),
}

impl Message {
    /// A message without anything about media, as in a rekey.
    pub fn new(code: Code, eui64: Eui64, data: Data) -> Self {
        Self { code, media: Media::default(), eui64, data }
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// `Truncated`, `TooLong`, `Reserved`.
    pub fn parse(octets: &[u8]) -> Result<Self, Reject> {
        let buf = &mut &*octets;
        let first = buf.try_get_u8()?;
        let code = Code::from_number(first >> 4)?;
        // The transaction id is reserved: whatever stands there is not looked at.
        buf.try_get_u8()?;
        let media = Media { is_rf: first & MEDIUM != 0, has_no_backup: first & NO_BACKUP != 0 };
        let eui64 = Field::parse(buf)?;
        let data = match buf.first() {
            None => Data::Nothing,
            Some(first) if first & 1 == 0 => Data::Eap(eap::Message::parse(buf)?),
            Some(_) => Data::Parameters(Parameter::parse_all(buf)?),
        };
        Ok(Self { code, media, eui64, data })
    }

    /// Appends exactly what `parse` reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let medium = if self.media.is_rf { MEDIUM } else { 0 };
        let backup = if self.media.has_no_backup { NO_BACKUP } else { 0 };
        out.extend([self.code.number() << 4 | medium | backup, 0]);
        self.eui64.emit(out);
        match &self.data {
            Data::Nothing => {}
            Data::Eap(message) => message.emit(out),
            Data::Parameters(parameters) => parameters.iter().for_each(|parameter| parameter.emit(out)),
        }
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }
}

impl Code {
    /// T and the code, four bits.
    const fn number(self) -> u8 {
        match self {
            Self::Joining => 0x1,
            Self::KickFromLbd => 0x4,
            Self::Accepted => 0x9,
            Self::Challenge => 0xa,
            Self::Decline => 0xb,
            Self::KickToLbd => 0xc,
        }
    }

    fn from_number(number: u8) -> Result<Self, Reject> {
        [Self::Joining, Self::KickFromLbd, Self::Accepted, Self::Challenge, Self::Decline, Self::KickToLbd]
            .into_iter()
            .find(|code| code.number() == number)
            .ok_or(Reject::Reserved("lbp code"))
    }
}

const MEDIUM: u8 = 0x08;
const NO_BACKUP: u8 = 0x04;
