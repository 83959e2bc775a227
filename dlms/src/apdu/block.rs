//! General block transfer: parts of any APDU, with windows and lost blocks sent again. IEC 62056-5-3:2017, 7.3.13.

use bytes::{Buf, BufMut};

use crate::Reject;
use crate::data::length;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneralBlockTransfer<'a> {
    pub control: BlockControl,
    pub block_number: u16,
    /// The highest block received with none missing before it.
    pub block_number_ack: u16,
    pub block_data: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockControl {
    pub is_last: bool,
    /// More blocks follow without an answer.
    pub is_streaming: bool,
    /// Blocks the sender takes without answering, 0 to 63.
    pub window: u8,
}

impl<'a> GeneralBlockTransfer<'a> {
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        Ok(Self {
            control: buf.try_get_u8()?.into(),
            block_number: buf.try_get_u16()?,
            block_number_ack: buf.try_get_u16()?,
            block_data: length::octets(buf)?,
        })
    }

    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.control.into());
        out.put_u16(self.block_number);
        out.put_u16(self.block_number_ack);
        length::emit_octets(self.block_data, out);
    }

    /// Octets around the data, their length at its widest.
    pub const OVERHEAD: usize = 1 + 1 + 2 + 2 + 3;
}

impl From<u8> for BlockControl {
    fn from(octet: u8) -> Self {
        Self { is_last: octet & 0x80 != 0, is_streaming: octet & 0x40 != 0, window: octet & 0x3f }
    }
}

impl From<BlockControl> for u8 {
    fn from(control: BlockControl) -> u8 {
        u8::from(control.is_last) << 7 | u8::from(control.is_streaming) << 6 | control.window & 0x3f
    }
}
