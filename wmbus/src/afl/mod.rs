//! The authentication and fragmentation layer, EN 13757-7:2018 clause 6.

pub mod reassembly;

use std::fmt;

use bytes::{Buf, BufMut};

use crate::Reject;
use crate::spec::CI_AFL;

/// The AFL of one frame. Which fields are there, `fragmentation_control` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Afl {
    /// AFL.FCL, its presence bits consistent with the fields below.
    pub fragmentation_control: u16,
    /// AFL.MCL.
    pub message_control: Option<u8>,
    /// AFL.KI.
    pub key_information: Option<u16>,
    /// AFL.MCR.
    pub counter: Option<u32>,
    pub mac: Option<Mac>,
    /// AFL.ML.
    pub message_length: Option<u16>,
}

/// AFL.MAC, truncated as its authentication type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac {
    octets: [u8; 16],
    len: u8,
}

impl Afl {
    /// Reads CI-field, length and all fields.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let ci_field = buf.try_get_u8()?;
        if ci_field != CI_AFL {
            return Err(Reject::UnsupportedCi(ci_field));
        }
        let len = usize::from(buf.try_get_u8()?);
        let (mut fields, rest) = buf.split_at_checked(len).ok_or(Reject::Truncated)?;
        *buf = rest;
        // The length counts: fields that do not fill it exactly are not what they seem.
        let afl = Self::fields(&mut fields).map_err(|_| Reject::Reserved("afl length"))?;
        if fields.is_empty() { Ok(afl) } else { Err(Reject::Reserved("afl length")) }
    }

    fn fields(buf: &mut &[u8]) -> Result<Self, Reject> {
        let fragmentation_control = buf.try_get_u16_le()?;
        let has = |bit| fragmentation_control & bit != 0;
        let message_control = has(MESSAGE_CONTROL).then(|| buf.try_get_u8()).transpose()?;
        let key_information = has(KEY_INFORMATION).then(|| buf.try_get_u16_le()).transpose()?;
        let counter = has(MESSAGE_COUNTER).then(|| buf.try_get_u32_le()).transpose()?;
        let behind = if has(MESSAGE_LENGTH) { 2 } else { 0 };
        let mac = has(MAC).then(|| Mac::parse(buf, message_control, behind)).transpose()?;
        let message_length = has(MESSAGE_LENGTH).then(|| buf.try_get_u16_le()).transpose()?;
        Ok(Self { fragmentation_control, message_control, key_information, counter, mac, message_length })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(CI_AFL);
        let at = out.len();
        out.push(0);
        out.put_u16_le(self.fragmentation_control);
        if let Some(message_control) = self.message_control {
            out.push(message_control);
        }
        if let Some(key_information) = self.key_information {
            out.put_u16_le(key_information);
        }
        if let Some(counter) = self.counter {
            out.put_u32_le(counter);
        }
        if let Some(mac) = &self.mac {
            out.extend_from_slice(mac.as_slice());
        }
        if let Some(message_length) = self.message_length {
            out.put_u16_le(message_length);
        }
        let len = (out.len() - at - 1) as u8;
        if let Some(octet) = out.get_mut(at) {
            *octet = len;
        }
    }

    /// The AFL of an unfragmented message with counter and MAC: OMS security profile B.
    pub const fn profile_b(counter: u32, mac: [u8; 8]) -> Self {
        Self {
            fragmentation_control: MESSAGE_CONTROL | MESSAGE_COUNTER | MAC,
            message_control: Some(COUNTER_IN_MESSAGE | CMAC_8),
            key_information: None,
            counter: Some(counter),
            mac: Some(Mac::new(mac)),
            message_length: None,
        }
    }

    /// The first of several fragments, without the MAC, which is in the last.
    pub const fn first_fragment(counter: u32, message_length: u16) -> Self {
        Self {
            fragmentation_control: MORE_FRAGMENTS | MESSAGE_CONTROL | MESSAGE_COUNTER | MESSAGE_LENGTH | 1,
            message_control: Some(COUNTER_IN_MESSAGE | LENGTH_IN_MESSAGE | CMAC_8),
            key_information: None,
            counter: Some(counter),
            mac: None,
            message_length: Some(message_length),
        }
    }

    /// A fragment behind the first; the last one has the MAC.
    pub const fn later_fragment(fragment_id: u8, mac: Option<[u8; 8]>) -> Self {
        let (control, mac) = match mac {
            Some(mac) => (MAC, Some(Mac::new(mac))),
            None => (MORE_FRAGMENTS, None),
        };
        Self {
            fragmentation_control: control | fragment_id as u16,
            message_control: None,
            key_information: None,
            counter: None,
            mac,
            message_length: None,
        }
    }

    /// One of several frames of a message.
    pub const fn is_fragment(&self) -> bool {
        self.fragmentation_control & MORE_FRAGMENTS != 0 || self.fragmentation_control & FRAGMENT_ID > 1
    }

    /// The place of a fragment in its message, from 1; 0 where there is one frame only.
    pub const fn fragment_id(&self) -> u8 {
        (self.fragmentation_control & FRAGMENT_ID) as u8
    }

    pub const fn has_more_fragments(&self) -> bool {
        self.fragmentation_control & MORE_FRAGMENTS != 0
    }

    /// The AFL that a message would have in one frame, from those of its fragments in order.
    pub(crate) fn of_message<'a>(fragments: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let fields = !(MORE_FRAGMENTS | FRAGMENT_ID);
        Self {
            fragmentation_control: fragments.clone().fold(0, |bits, afl| bits | afl.fragmentation_control & fields),
            message_control: fragments.clone().find_map(|afl| afl.message_control),
            key_information: fragments.clone().find_map(|afl| afl.key_information),
            counter: fragments.clone().find_map(|afl| afl.counter),
            mac: fragments.clone().find_map(|afl| afl.mac),
            message_length: fragments.clone().find_map(|afl| afl.message_length),
        }
    }

    /// The number of the key, from AFL.KI.
    pub(crate) fn key_id(&self) -> Option<u8> {
        self.key_information.map(|field| field as u8 & KEY_ID)
    }

    /// The MAC is an AES-CMAC, as long as its type says.
    pub(crate) fn is_cmac(&self) -> bool {
        self.message_control.is_some_and(|control| {
            control & AUTHENTICATION_TYPE < 8 && self.mac.is_some_and(|mac| Some(mac.len) == Mac::len_of(control))
        })
    }

    /// What the MAC covers of the AFL itself, in this order. EN 13757-7:2018, 9.3.2.
    pub(crate) fn authenticated(&self, out: &mut Vec<u8>) {
        if let Some(message_control) = self.message_control {
            out.push(message_control);
        }
        if let Some(key_information) = self.key_information {
            out.put_u16_le(key_information);
        }
        if let Some(counter) = self.counter {
            out.put_u32_le(counter);
        }
        if let Some(message_length) = self.message_length {
            out.put_u16_le(message_length);
        }
    }
}

impl Mac {
    const fn new(octets: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = octets;
        Self { octets: [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0], len: 8 }
    }

    /// The last fragment has a MAC and leaves it to the first to say how long it is: all but `behind` octets.
    fn parse(buf: &mut &[u8], message_control: Option<u8>, behind: usize) -> Result<Self, Reject> {
        let len = match message_control {
            Some(message_control) => Self::len_of(message_control),
            None => {
                u8::try_from(buf.len().saturating_sub(behind)).ok().filter(|len| matches!(len, 2 | 4 | 8 | 12 | 16))
            }
        };
        let len = len.ok_or(Reject::Reserved("authentication type"))?;
        let mut octets = [0; 16];
        buf.try_copy_to_slice(octets.get_mut(..usize::from(len)).unwrap_or_default())?;
        Ok(Self { octets, len })
    }

    const fn len_of(message_control: u8) -> Option<u8> {
        Some(match message_control & AUTHENTICATION_TYPE {
            3 => 2,
            4 => 4,
            5 => 8,
            6 | 8 => 12,
            7 | 9 => 16,
            _ => return None,
        })
    }

    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&self.octets)
    }
}

impl fmt::Display for Afl {
    /// `afl 2c00 mcr 0000b30a mac 21924d4fba372fb6`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "afl {:04x}", self.fragmentation_control)?;
        if let Some(counter) = self.counter {
            write!(f, " mcr {counter}")?;
        }
        if let Some(mac) = &self.mac {
            f.write_str(" mac ")?;
            mac.as_slice().iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        }
        Ok(())
    }
}

// EN 13757-7:2018, 6.3.2: AFL.FCL.
const FRAGMENT_ID: u16 = 0x00ff;
const KEY_INFORMATION: u16 = 0x0200;
const MAC: u16 = 0x0400;
const MESSAGE_COUNTER: u16 = 0x0800;
const MESSAGE_LENGTH: u16 = 0x1000;
const MESSAGE_CONTROL: u16 = 0x2000;
const MORE_FRAGMENTS: u16 = 0x4000;

// EN 13757-7:2018, 6.3.3: AFL.MCL.
const AUTHENTICATION_TYPE: u8 = 0x0f;
const CMAC_8: u8 = 5;
/// Of AFL.KI.
const KEY_ID: u8 = 0x0f;
const COUNTER_IN_MESSAGE: u8 = 0x20;
const LENGTH_IN_MESSAGE: u8 = 0x40;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Result<&str, Reject>) {
        let mut buf = octets;
        let afl = Afl::parse(&mut buf);
        assert_eq!(afl.map(|afl| afl.to_string()), expected.map(ToOwned::to_owned));
        let Ok(afl) = afl else { return };
        assert!(buf.is_empty());
        let mut out = Vec::new();
        afl.emit(&mut out);
        assert_eq!(out, octets);
        for end in 0..octets.len() {
            assert_eq!(Afl::parse(&mut &octets[..end]), Err(Reject::Truncated));
        }
    }

    #[test]
    fn fields_are_where_the_control_field_says() {
        check(&hex!("90 0f 002c 25 b30a0000 21924d4fba372fb6"), Ok("afl 2c00 mcr 2739 mac 21924d4fba372fb6"));
        check(&hex!("90 02 0000"), Ok("afl 0000"));
        check(&hex!("90 0f 003e 63 1000 01000000 aabb 3412 0000"), Err(Reject::Reserved("afl length")));
        check(&hex!("90 0d 003e 63 1000 01000000 aabb 3412"), Ok("afl 3e00 mcr 1 mac aabb"));
        check(&hex!("90 03 002c 25"), Err(Reject::Reserved("afl length")));
        check(&hex!("90 04 0024 21 00"), Err(Reject::Reserved("afl length")));
        check(&hex!("8c"), Err(Reject::UnsupportedCi(0x8c)));
    }

    #[test]
    fn fragments_are_seen() {
        let fragment = |octets: &[u8]| Afl::parse(&mut &octets[..]).unwrap().is_fragment();
        assert!(fragment(&hex!("90 02 0140")));
        assert!(fragment(&hex!("90 02 0200")));
        assert!(!fragment(&hex!("90 02 0100")));
        assert!(!fragment(&hex!("90 02 0000")));
    }
}
