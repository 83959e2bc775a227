//! Ciphered APDUs: of one service with the global or the dedicated key, or of any with the sender's title.

use bytes::{Buf, BufMut};

use super::key::TAG;
use super::{AuthenticationKey, EncryptionKey, SecurityControl, Suite, SystemTitle};
use crate::Reject;
use crate::apdu::tag as plain;
use crate::data::length;

/// A ciphered APDU as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ciphered<'a> {
    pub tag: u8,
    /// The sender, where it is named.
    pub system_title: Option<SystemTitle>,
    pub control: SecurityControl,
    pub invocation_counter: u32,
    /// What is protected, and the tag behind it where it is authenticated.
    pub content: &'a [u8],
}

/// How a protected APDU is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Form {
    /// glo-…: the global key, a tag of its own for each service.
    #[default]
    Global,
    /// ded-…: the dedicated key.
    Dedicated,
    /// general-glo-ciphering: with the sender's title.
    GeneralGlobal,
    /// general-ded-ciphering.
    GeneralDedicated,
}

/// What was found when an APDU was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    pub system_title: SystemTitle,
    pub control: SecurityControl,
    pub invocation_counter: u32,
    pub is_dedicated: bool,
}

/// Keys and names of one association, either side's.
#[derive(Debug, Clone)]
pub struct Ciphering {
    pub suite: Suite,
    pub own_title: SystemTitle,
    pub peer_title: Option<SystemTitle>,
    pub global: EncryptionKey,
    pub broadcast: Option<EncryptionKey>,
    pub dedicated: Option<EncryptionKey>,
    pub authentication: AuthenticationKey,
}

impl<'a> Ciphered<'a> {
    /// Reads an APDU that is all of `octets`.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let mut buf = octets;
        let tag = buf.try_get_u8()?;
        if !is_ciphered(tag) {
            return Err(Reject::UnsupportedApdu(tag));
        }
        let system_title = match tag {
            GENERAL_GLO_CIPHERING | GENERAL_DED_CIPHERING => match length::octets(&mut buf)? {
                [] => None,
                title => Some(title.try_into()?),
            },
            _ => None,
        };
        let mut content = length::octets(&mut buf)?;
        if !buf.is_empty() {
            return Err(Reject::Trailing);
        }
        Ok(Self {
            tag,
            system_title,
            control: SecurityControl(content.try_get_u8()?),
            invocation_counter: content.try_get_u32()?,
            content,
        })
    }

    fn is_dedicated(&self) -> bool {
        self.tag == GENERAL_DED_CIPHERING || SERVICES.iter().any(|row| row.2 == self.tag)
    }
}

impl Ciphering {
    /// Protects an APDU as `control` says.
    pub fn protect(
        &self,
        apdu: &[u8],
        form: Form,
        control: SecurityControl,
        invocation_counter: u32,
    ) -> Result<Vec<u8>, Reject> {
        let service = *apdu.first().ok_or(Reject::Truncated)?;
        let row = SERVICES.iter().find(|row| row.0 == service);
        let (tag, has_title) = match (form, row) {
            (Form::Global, Some(row)) => (row.1, false),
            (Form::Dedicated, Some(row)) if row.2 != 0 => (row.2, false),
            // Services without a tag of their own.
            (Form::Global | Form::GeneralGlobal, _) => (GENERAL_GLO_CIPHERING, true),
            (Form::Dedicated | Form::GeneralDedicated, _) => (GENERAL_DED_CIPHERING, true),
        };
        let is_dedicated = matches!(form, Form::Dedicated | Form::GeneralDedicated);
        let key = self.key(is_dedicated, control)?;
        let mut out = Vec::with_capacity(apdu.len() + HEADROOM);
        out.push(tag);
        if has_title {
            length::emit_octets(&self.own_title.0, &mut out);
        }
        let tag_length = if control.is_authenticated() { TAG } else { 0 };
        length::emit(1 + 4 + apdu.len() + tag_length, &mut out);
        out.push(control.0);
        out.put_u32(invocation_counter);
        let start = out.len();
        out.extend_from_slice(apdu);
        let content = out.get_mut(start..).unwrap_or_default();
        let mac = if control.is_encrypted() {
            key.seal(self.own_title, invocation_counter, &self.associated(control, &[]), content)
        } else {
            key.seal(self.own_title, invocation_counter, &self.associated(control, content), &mut [])
        };
        if control.is_authenticated() {
            out.extend_from_slice(&mac);
        }
        Ok(out)
    }

    /// Opens an APDU where it stands: `octets` is what was protected afterwards.
    pub fn open(&self, octets: &mut Vec<u8>) -> Result<Opened, Reject> {
        let ciphered = Ciphered::parse(octets)?;
        let (control, counter) = (ciphered.control, ciphered.invocation_counter);
        let title = match (ciphered.system_title, self.peer_title) {
            (Some(named), Some(known)) if named != known => return Err(Reject::ForeignAddress),
            (named, known) => named.or(known).ok_or(Reject::NoKey)?,
        };
        if control.suite() != self.suite as u8 {
            return Err(Reject::Reserved("security suite"));
        }
        if control.0 & SecurityControl::COMPRESSION != 0 {
            return Err(Reject::Reserved("compression"));
        }
        let is_dedicated = ciphered.is_dedicated();
        let key = self.key(is_dedicated, control)?;
        let start = octets.len() - ciphered.content.len();
        let (_, content) = octets.split_at_mut_checked(start).ok_or(Reject::Truncated)?;
        let length = match (control.is_authenticated(), control.is_encrypted()) {
            (true, is_encrypted) => {
                let (content, mac) = content.split_last_chunk_mut::<TAG>().ok_or(Reject::Truncated)?;
                if is_encrypted {
                    key.open(title, counter, &self.associated(control, &[]), content, mac)?;
                } else {
                    key.open(title, counter, &self.associated(control, content), &mut [], mac)?;
                }
                content.len()
            }
            (false, true) => {
                key.seal(title, counter, &[], content);
                content.len()
            }
            (false, false) => content.len(),
        };
        octets.truncate(start + length);
        octets.drain(..start);
        Ok(Opened { system_title: title, control, invocation_counter: counter, is_dedicated })
    }

    /// The proof of HLS with GMAC: control, counter, tag over a challenge.
    pub(super) fn gmac(&self, title: SystemTitle, counter: u32, challenge: &[u8]) -> Vec<u8> {
        let control = SecurityControl::authenticated(self.suite);
        let mac = self.global.seal(title, counter, &self.associated(control, challenge), &mut []);
        let mut out = vec![control.0];
        out.put_u32(counter);
        out.extend_from_slice(&mac);
        out
    }

    fn key(&self, is_dedicated: bool, control: SecurityControl) -> Result<&EncryptionKey, Reject> {
        match (is_dedicated, control.is_broadcast()) {
            (true, _) => self.dedicated.as_ref().ok_or(Reject::NoKey),
            (false, true) => self.broadcast.as_ref().ok_or(Reject::NoKey),
            (false, false) => Ok(&self.global),
        }
    }

    /// What is authenticated beside the ciphertext: control, authentication key, and what is not encrypted.
    fn associated(&self, control: SecurityControl, plain: &[u8]) -> Vec<u8> {
        if control.is_authenticated() {
            [&[control.0], self.authentication.octets(), plain].concat()
        } else {
            Vec::new()
        }
    }
}

/// The APDU of this first octet is a ciphered one.
pub fn is_ciphered(tag: u8) -> bool {
    matches!(tag, GENERAL_GLO_CIPHERING | GENERAL_DED_CIPHERING)
        || SERVICES.iter().any(|row| row.1 == tag || (row.2 == tag && tag != 0))
}

/// In the clear, with the global key, with the dedicated key. IEC 62056-5-3:2017, `XDLMS-APDU`.
const SERVICES: &[(u8, u8, u8)] = &[
    (plain::INITIATE_REQUEST, 33, 0),
    (plain::INITIATE_RESPONSE, 40, 0),
    (plain::CONFIRMED_SERVICE_ERROR, 46, 0),
    (plain::GET_REQUEST, 200, 208),
    (plain::SET_REQUEST, 201, 209),
    (plain::EVENT_NOTIFICATION, 202, 210),
    (plain::ACTION_REQUEST, 203, 211),
    (plain::GET_RESPONSE, 204, 212),
    (plain::SET_RESPONSE, 205, 213),
    (plain::ACTION_RESPONSE, 207, 215),
];

const GENERAL_GLO_CIPHERING: u8 = 219;
const GENERAL_DED_CIPHERING: u8 = 220;
/// Octets around an APDU at most: tag, title, length, control, counter, authentication tag.
pub(crate) const HEADROOM: usize = 1 + 9 + 5 + 1 + 4 + TAG;
