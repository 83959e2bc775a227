//! What SNRM and UA agree on: length of information and windows, IEC 62056-46, 6.4.4.4.3.2.

use bytes::Buf;

use super::frame::{LENGTH, OVERHEAD};
use crate::Reject;
use crate::data::length;

/// As the sender of the frame sees it: what it transmits and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    pub information_transmit: u16,
    pub information_receive: u16,
    pub window_transmit: u8,
    pub window_receive: u8,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { information_transmit: 128, information_receive: 128, window_transmit: 1, window_receive: 1 }
    }
}

impl Parameters {
    /// The longest information that any frame has room for.
    pub const INFORMATION_MAX: u16 = LENGTH - OVERHEAD as u16;

    /// Reads the information field of SNRM or UA, all of `octets`; nothing there means the defaults.
    pub fn parse(octets: &[u8]) -> Result<Self, Reject> {
        let mut parameters = Self::default();
        if octets.is_empty() {
            return Ok(parameters);
        }
        let mut buf = octets;
        if buf.try_get_u16()? != FORMAT_AND_GROUP {
            return Err(Reject::Reserved("hdlc parameters"));
        }
        let mut group = length::octets(&mut buf)?;
        while !group.is_empty() {
            let id = group.try_get_u8()?;
            let value = length::octets(&mut group)?;
            if !(1..=4).contains(&value.len()) {
                return Err(Reject::Length("hdlc parameters"));
            }
            let value = value.iter().fold(0, |all, octet| all << 8 | u32::from(*octet));
            let information = value.clamp(1, u32::from(Self::INFORMATION_MAX)) as u16;
            let window = value.clamp(1, 7) as u8;
            match id {
                5 => parameters.information_transmit = information,
                6 => parameters.information_receive = information,
                7 => parameters.window_transmit = window,
                8 => parameters.window_receive = window,
                // Whatever else a meter knows does not concern the link.
                _ => {}
            }
        }
        if buf.is_empty() { Ok(parameters) } else { Err(Reject::Trailing) }
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut group = Vec::new();
        for (id, value) in [(5, self.information_transmit), (6, self.information_receive)] {
            let [high, low] = value.to_be_bytes();
            match high {
                0 => group.extend_from_slice(&[id, 1, low]),
                high => group.extend_from_slice(&[id, 2, high, low]),
            }
        }
        for (id, value) in [(7, self.window_transmit), (8, self.window_receive)] {
            group.extend_from_slice(&[id, 4, 0, 0, 0, value]);
        }
        out.extend_from_slice(&FORMAT_AND_GROUP.to_be_bytes());
        length::emit_octets(&group, out);
    }

    /// What holds when both sides have said what they can: no side gets more than it takes.
    #[must_use]
    pub fn agreed(&self, theirs: &Self) -> Self {
        Self {
            information_transmit: self.information_transmit.min(theirs.information_receive),
            information_receive: self.information_receive.min(theirs.information_transmit),
            window_transmit: self.window_transmit.min(theirs.window_receive),
            window_receive: self.window_receive.min(theirs.window_transmit),
        }
    }
}

const FORMAT_AND_GROUP: u16 = 0x8180;
