//! Compact frames, data without DIB and VIB, and format frames, the other half. EN 13757-3:2018, annex G.

use bytes::{Buf, BufMut};

use super::{header, signature};
use crate::link::crc;
use crate::record::{DataField, IDLE};
use crate::{Reject, record};

/// The application layer of a compact frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactFrame<'a> {
    /// Of the format.
    pub signature: u16,
    /// Of the full frame's records.
    pub full_frame_crc: u16,
    pub data: &'a [u8],
}

/// The application layer of a format frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatFrame<'a> {
    /// DIBs and VIBs.
    pub chain: &'a [u8],
}

impl<'a> CompactFrame<'a> {
    /// Reads signature and CRC and takes all that follows.
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let signature = buf.try_get_u16_le()?;
        let full_frame_crc = buf.try_get_u16_le()?;
        Ok(Self { signature, full_frame_crc, data: std::mem::take(buf) })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u16_le(self.signature);
        out.put_u16_le(self.full_frame_crc);
        out.extend_from_slice(self.data);
    }

    /// Writes DIB, VIB and data of each record to `out`.
    pub(super) fn expand(&self, mut chain: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        out.clear();
        let mut data = self.data;
        while !chain.is_empty() {
            let (dib, header) = header(&mut chain)?;
            out.extend_from_slice(header);
            let len = match dib.data_field {
                DataField::Variable => 1 + record::variable_len(*data.first().ok_or(Reject::Truncated)?)?,
                data_field => data_field.size().unwrap_or_default(),
            };
            let (own, rest) = data.split_at_checked(len).ok_or(Reject::Truncated)?;
            out.extend_from_slice(own);
            data = rest;
        }
        match crc(out) == self.full_frame_crc && data.iter().all(|octet| *octet == IDLE) {
            true => Ok(()),
            false => Err(Reject::FullFrameCrc),
        }
    }
}

impl<'a> FormatFrame<'a> {
    /// Reads signature and chain, with or without a length before them; fillers may follow.
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let octets = std::mem::take(buf);
        let behind_len = octets.split_first().map(|(_, rest)| rest);
        let chain = [Some(octets), behind_len].into_iter().flatten().find_map(signed_chain);
        Ok(Self { chain: chain.ok_or(Reject::FormatSignature)? })
    }

    /// Appends what [`Self::parse`] reads, without a length.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u16_le(signature(self.chain));
        out.extend_from_slice(self.chain);
    }
}

/// The chain behind its signature. It may end in an octet that looks like a filler.
fn signed_chain(mut octets: &[u8]) -> Option<&[u8]> {
    let sent = octets.try_get_u16_le().ok()?;
    let fillers = octets.iter().rev().take_while(|octet| **octet == IDLE).count();
    let mut chains = (octets.len() - fillers..=octets.len()).filter_map(|end| octets.get(..end));
    chains.find(|chain| !chain.is_empty() && signature(chain) == sent)
}
