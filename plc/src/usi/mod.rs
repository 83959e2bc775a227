//! USI, the framing of Microchip's PLC modems on a serial line or TCP.
//!
//! `7E | escaped: HDR0 HDR1 payload CRC | 7E`, where the header holds ten bits of the payload's length and six of the
//! protocol; an eleventh bit of the length is the highest bit of the payload's first octet (XLEN).

mod crc;
mod deframer;

pub use crc::Crc;
pub use deframer::Deframer;

use bytes::Buf;

use crate::Reject;

/// One frame, unescaped, without its check sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    protocol: Protocol,
    payload: Vec<u8>,
}

/// What a frame is about, six bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol(u8);

impl Protocol {
    pub const MNGP_GET: Self = Self(0x00);
    pub const SNIF_PRIME: Self = Self(0x13);
    pub const MAC_G3: Self = Self(0x24);
    pub const ADP_G3: Self = Self(0x25);
    pub const COORD_G3: Self = Self(0x26);
    pub const PRIME_API: Self = Self(0x30);

    /// The protocol of this number; what is over six bits is cut off.
    pub const fn new(number: u8) -> Self {
        Self(number & 0x3f)
    }

    pub const fn number(self) -> u8 {
        self.0
    }

    pub const fn crc(self) -> Crc {
        match self.0 {
            0x00..=0x07 => Crc::Crc32,
            0x13 | 0x1f | 0x22..=0x26 | 0x28 => Crc::Crc16,
            _ => Crc::Xor,
        }
    }

    /// The first octet of its payloads is a command of seven bits, and the eighth is XLEN.
    pub const fn has_xlen(self) -> bool {
        matches!(self.0, 0x25 | 0x26 | 0x30 | 0x31)
    }

    const fn max_payload(self) -> usize {
        if self.has_xlen() { MAX_PAYLOAD } else { 0x3ff }
    }
}

impl Frame {
    /// A frame around a payload.
    ///
    /// # Errors
    /// `TooLong` over what the length can say, `Reserved` where the payload's first octet is in the way of XLEN.
    pub fn new(protocol: Protocol, payload: Vec<u8>) -> Result<Self, Reject> {
        if payload.len() > protocol.max_payload() {
            return Err(Reject::TooLong);
        }
        if protocol.has_xlen() && payload.first().is_some_and(|command| command & XLEN != 0) {
            return Err(Reject::Reserved("command"));
        }
        Ok(Self { protocol, payload })
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// XLEN is not in it.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Reads what stood between two flags, unescaped.
    ///
    /// # Errors
    /// `Truncated`, `BadLength`, `BadCrc`.
    pub fn parse(octets: &[u8]) -> Result<Self, Reject> {
        let buf = &mut &*octets;
        let (high, low) = (buf.try_get_u8()?, buf.try_get_u8()?);
        let protocol = Protocol::new(low);
        let (rest, crc) =
            (*buf).split_at_checked(buf.len().saturating_sub(protocol.crc().length())).unwrap_or_default();
        if crc.len() != protocol.crc().length() {
            return Err(Reject::Truncated);
        }
        let extension =
            rest.first().filter(|_| protocol.has_xlen()).map_or(0, |command| usize::from(command & XLEN) << 3);
        if rest.len() != usize::from(high) << 2 | usize::from(low >> 6) | extension {
            return Err(Reject::BadLength);
        }
        let covered = octets.get(..octets.len() - crc.len()).unwrap_or_default();
        if crc.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet)) != protocol.crc().of(covered) {
            return Err(Reject::BadCrc);
        }
        let mut payload = rest.to_vec();
        if let Some(command) = payload.first_mut().filter(|_| protocol.has_xlen()) {
            *command &= !XLEN;
        }
        Ok(Self { protocol, payload })
    }

    /// Appends the frame with its flags, escaped, as it stands on the line.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let length = self.payload.len();
        let mut octets = Vec::with_capacity(length + 6);
        octets.extend([(length >> 2) as u8, (length << 6) as u8 | self.protocol.0]);
        octets.extend(&self.payload);
        if let Some(command) = octets.get_mut(2).filter(|_| length >= 0x400) {
            *command |= XLEN;
        }
        let crc = self.protocol.crc();
        let sum = crc.of(&octets).to_be_bytes();
        octets.extend(sum.iter().skip(sum.len() - crc.length()));
        out.reserve(octets.len() + 8);
        out.push(FLAG);
        for octet in octets {
            match octet {
                FLAG | ESCAPE => out.extend([ESCAPE, octet ^ ESCAPE_BIT]),
                _ => out.push(octet),
            }
        }
        out.push(FLAG);
    }
}

const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const ESCAPE_BIT: u8 = 0x20;
/// The eleventh bit of the length, in the payload's first octet.
const XLEN: u8 = 0x80;
const MAX_PAYLOAD: usize = 0x7ff;
/// Header, payload and the longest check sum.
const MAX_FRAME: usize = 2 + MAX_PAYLOAD + 4;

#[cfg(test)]
mod tests;
