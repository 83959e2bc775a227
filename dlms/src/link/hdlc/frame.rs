//! One frame: format, addresses, control, check sequences.

use std::fmt;

use bytes::{Buf, BufMut};

use super::address::Address;
use super::fcs::fcs;
use crate::Reject;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// More frames of the same information follow.
    pub is_segmented: bool,
    pub destination: Address,
    pub source: Address,
    pub control: Control,
    pub information: &'a [u8],
}

/// The control field. `poll` is P of a command and F of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Information { send: u8, receive: u8, poll: bool },
    ReceiveReady { receive: u8, poll: bool },
    ReceiveNotReady { receive: u8, poll: bool },
    Snrm { poll: bool },
    Disc { poll: bool },
    Ua { poll: bool },
    Dm { poll: bool },
    Frmr { poll: bool },
    Ui { poll: bool },
}

impl<'a> Frame<'a> {
    /// Reads what stands between two flags.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let (covered, check) = octets.split_last_chunk().ok_or(Reject::Truncated)?;
        let mut buf = covered;
        let format = buf.try_get_u16()?;
        if format >> 12 != FORMAT_TYPE {
            return Err(Reject::Reserved("hdlc frame format"));
        }
        if usize::from(format & LENGTH) != octets.len() {
            return Err(Reject::Length("hdlc frame"));
        }
        if fcs(covered) != u16::from_le_bytes(*check) {
            return Err(Reject::BadFcs);
        }
        let (destination, source) = (Address::parse(&mut buf)?, Address::parse(&mut buf)?);
        let control = Control::try_from(buf.try_get_u8()?)?;
        if !buf.is_empty() {
            let header = covered.get(..covered.len() - buf.len()).unwrap_or_default();
            if fcs(header) != buf.try_get_u16_le()? {
                return Err(Reject::BadHcs);
            }
        }
        Ok(Self { is_segmented: format & SEGMENTED != 0, destination, source, control, information: buf })
    }

    /// Appends the frame with its flags. Information that does not fit a frame is refused.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Reject> {
        let start = out.len();
        out.extend_from_slice(&[FLAG, 0, 0]);
        self.destination.emit(out);
        self.source.emit(out);
        out.push(self.control.into());
        let header = out.len() - start - 1;
        let checks = if self.information.is_empty() { 2 } else { 4 };
        let length = header + checks + self.information.len();
        let length = u16::try_from(length).ok().filter(|length| *length <= LENGTH).ok_or(Reject::TooLong("frame"))?;
        let format = FORMAT_TYPE << 12 | if self.is_segmented { SEGMENTED } else { 0 } | length;
        if let Some(place) = out.get_mut(start + 1..start + 3) {
            place.copy_from_slice(&format.to_be_bytes());
        }
        if !self.information.is_empty() {
            let check = fcs(out.get(start + 1..).unwrap_or_default());
            out.put_u16_le(check);
            out.extend_from_slice(self.information);
        }
        let check = fcs(out.get(start + 1..).unwrap_or_default());
        out.put_u16_le(check);
        out.push(FLAG);
        Ok(())
    }
}

impl Control {
    /// P or F.
    pub const fn poll(self) -> bool {
        match self {
            Self::Information { poll, .. }
            | Self::ReceiveReady { poll, .. }
            | Self::ReceiveNotReady { poll, .. }
            | Self::Snrm { poll }
            | Self::Disc { poll }
            | Self::Ua { poll }
            | Self::Dm { poll }
            | Self::Frmr { poll }
            | Self::Ui { poll } => poll,
        }
    }
}

impl TryFrom<u8> for Control {
    type Error = Reject;

    // IEC 62056-46, table 3.
    fn try_from(octet: u8) -> Result<Self, Reject> {
        let (poll, receive) = (octet & POLL != 0, octet >> 5);
        Ok(match octet & !POLL {
            even if even & 1 == 0 => Self::Information { send: octet >> 1 & 7, receive, poll },
            low if low & 0x0f == 0x01 => Self::ReceiveReady { receive, poll },
            low if low & 0x0f == 0x05 => Self::ReceiveNotReady { receive, poll },
            0x83 => Self::Snrm { poll },
            0x43 => Self::Disc { poll },
            0x63 => Self::Ua { poll },
            0x0f => Self::Dm { poll },
            0x87 => Self::Frmr { poll },
            0x03 => Self::Ui { poll },
            _ => return Err(Reject::Reserved("hdlc control field")),
        })
    }
}

impl From<Control> for u8 {
    fn from(control: Control) -> u8 {
        let octet = match control {
            Control::Information { send, receive, .. } => receive << 5 | (send & 7) << 1,
            Control::ReceiveReady { receive, .. } => receive << 5 | 0x01,
            Control::ReceiveNotReady { receive, .. } => receive << 5 | 0x05,
            Control::Snrm { .. } => 0x83,
            Control::Disc { .. } => 0x43,
            Control::Ua { .. } => 0x63,
            Control::Dm { .. } => 0x0f,
            Control::Frmr { .. } => 0x87,
            Control::Ui { .. } => 0x03,
        };
        octet | if control.poll() { POLL } else { 0 }
    }
}

impl fmt::Display for Frame<'_> {
    /// `1 -> 16 information s1 r2 p 12 octets`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} ", self.source, self.destination)?;
        match self.control {
            Control::Information { send, receive, .. } => write!(f, "information s{send} r{receive}")?,
            Control::ReceiveReady { receive, .. } => write!(f, "rr r{receive}")?,
            Control::ReceiveNotReady { receive, .. } => write!(f, "rnr r{receive}")?,
            Control::Snrm { .. } => f.write_str("snrm")?,
            Control::Disc { .. } => f.write_str("disc")?,
            Control::Ua { .. } => f.write_str("ua")?,
            Control::Dm { .. } => f.write_str("dm")?,
            Control::Frmr { .. } => f.write_str("frmr")?,
            Control::Ui { .. } => f.write_str("ui")?,
        }
        let poll = if self.control.poll() { " p" } else { "" };
        let more = if self.is_segmented { " segmented" } else { "" };
        write!(f, "{poll}{more} {} octets", self.information.len())
    }
}

pub(super) const FLAG: u8 = 0x7e;
pub(super) const FORMAT_TYPE: u16 = 0xa;
const SEGMENTED: u16 = 0x0800;
/// The longest frame, flags not counted.
pub(super) const LENGTH: u16 = 0x07ff;
const POLL: u8 = 0x10;
/// Octets of a frame that are not information, with the longest addresses.
pub(super) const OVERHEAD: usize = 2 + 4 + 4 + 1 + 2 + 2;
