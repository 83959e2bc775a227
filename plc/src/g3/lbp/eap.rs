//! EAP messages as LBP carries them: RFC 3748 with the code shifted left by two bits, and the four messages of EAP-PSK,
//! RFC 4764 clause 5.

use bytes::Buf;

use crate::Reject;
use crate::octets::Field;

/// A random number of one side.
pub type Rand = [u8; 16];
/// A message authentication code.
pub type Mac = [u8; 16];

/// One EAP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub identifier: u8,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Message 1: the server's random number and name.
    First {
        rand_s: Rand,
        id_s: Vec<u8>,
    },
    /// Message 2: the device proves that it has the key.
    Second {
        rand_s: Rand,
        rand_p: Rand,
        mac_p: Mac,
        id_p: Vec<u8>,
    },
    /// Message 3: the server proves it, and hands over keys.
    Third {
        rand_s: Rand,
        mac_s: Mac,
        channel: Channel,
    },
    /// Message 4: the device has taken them.
    Fourth {
        rand_s: Rand,
        channel: Channel,
    },
    Success,
    Failure,
}

/// The protected channel: nonce, tag and ciphertext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    pub nonce: u32,
    pub tag: Mac,
    pub ciphertext: Vec<u8>,
}

impl Message {
    /// Reads a whole message; nothing stands behind it.
    ///
    /// # Errors
    /// `Truncated`, `BadLength`, `Reserved`.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let length_of_all = buf.len();
        let (code, identifier, length) = (buf.try_get_u8()?, buf.try_get_u8()?, buf.try_get_u16()?);
        if usize::from(length) != length_of_all {
            return Err(Reject::BadLength);
        }
        let body = match code {
            SUCCESS => Body::Success,
            FAILURE => Body::Failure,
            REQUEST | RESPONSE => return Self::parse_psk(code, identifier, buf),
            _ => return Err(Reject::Reserved("eap code")),
        };
        if buf.is_empty() { Ok(Self { identifier, body }) } else { Err(Reject::BadLength) }
    }

    fn parse_psk(code: u8, identifier: u8, buf: &mut &[u8]) -> Result<Self, Reject> {
        if buf.try_get_u8()? != TYPE_PSK {
            return Err(Reject::Reserved("eap type"));
        }
        let flags = buf.try_get_u8()?;
        let rand_s = Field::parse(buf)?;
        let body = match (code, flags) {
            (REQUEST, FIRST) => Body::First { rand_s, id_s: std::mem::take(buf).to_vec() },
            (RESPONSE, SECOND) => Body::Second {
                rand_s,
                rand_p: Field::parse(buf)?,
                mac_p: Field::parse(buf)?,
                id_p: std::mem::take(buf).to_vec(),
            },
            (REQUEST, THIRD) => Body::Third { rand_s, mac_s: Field::parse(buf)?, channel: Channel::parse(buf)? },
            (RESPONSE, FOURTH) => Body::Fourth { rand_s, channel: Channel::parse(buf)? },
            _ => return Err(Reject::Reserved("eap-psk flags")),
        };
        Ok(Self { identifier, body })
    }

    /// Appends exactly what `parse` reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut content = Vec::new();
        match &self.body {
            Body::First { rand_s, id_s } => {
                content.extend(rand_s);
                content.extend(id_s);
            }
            Body::Second { rand_s, rand_p, mac_p, id_p } => {
                [rand_s, rand_p, mac_p].into_iter().for_each(|octets| content.extend(octets));
                content.extend(id_p);
            }
            Body::Third { rand_s, mac_s, channel } => {
                content.extend(rand_s);
                content.extend(mac_s);
                channel.emit(&mut content);
            }
            Body::Fourth { rand_s, channel } => {
                content.extend(rand_s);
                channel.emit(&mut content);
            }
            Body::Success | Body::Failure => {}
        }
        out.extend(header(&self.body, self.identifier, content.len()));
        out.extend(content);
    }
}

/// What stands before the random number of the server, or all of a message without content.
fn header(body: &Body, identifier: u8, content: usize) -> Vec<u8> {
    let (code, flags) = match body {
        Body::First { .. } => (REQUEST, Some(FIRST)),
        Body::Second { .. } => (RESPONSE, Some(SECOND)),
        Body::Third { .. } => (REQUEST, Some(THIRD)),
        Body::Fourth { .. } => (RESPONSE, Some(FOURTH)),
        Body::Success => (SUCCESS, None),
        Body::Failure => (FAILURE, None),
    };
    let length = 4 + flags.map_or(0, |_| 2) + content;
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let mut header = vec![code, identifier, high, low];
    header.extend(flags.map(|flags| [TYPE_PSK, flags]).into_iter().flatten());
    header
}

impl Body {
    /// What the protected channel of messages 3 and 4 authenticates: the message up to the random number, with the
    /// code as RFC 3748 has it.
    pub(super) fn authenticated(&self, identifier: u8) -> Vec<u8> {
        let (rand_s, content) = match self {
            Self::Third { rand_s, channel, .. } => (rand_s, 32 + channel.length()),
            Self::Fourth { rand_s, channel } => (rand_s, 16 + channel.length()),
            _ => return Vec::new(),
        };
        let mut octets = header(self, identifier, content);
        if let Some(code) = octets.first_mut() {
            *code >>= CODE_SHIFT;
        }
        octets.extend(rand_s);
        octets
    }
}

impl Channel {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self { nonce: buf.try_get_u32()?, tag: Field::parse(buf)?, ciphertext: std::mem::take(buf).to_vec() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.nonce.emit(out);
        out.extend(self.tag);
        out.extend(&self.ciphertext);
    }

    fn length(&self) -> usize {
        20 + self.ciphertext.len()
    }
}

/// Codes of RFC 3748 stand two bits higher, so that the lowest bit tells EAP from parameters.
const CODE_SHIFT: u8 = 2;
const REQUEST: u8 = 1 << CODE_SHIFT;
const RESPONSE: u8 = 2 << CODE_SHIFT;
const SUCCESS: u8 = 3 << CODE_SHIFT;
const FAILURE: u8 = 4 << CODE_SHIFT;
/// IANA's number of EAP-PSK.
const TYPE_PSK: u8 = 47;
/// T, the number of the message, in the two highest bits.
const FIRST: u8 = 0x00;
const SECOND: u8 = 0x40;
const THIRD: u8 = 0x80;
const FOURTH: u8 = 0xc0;
