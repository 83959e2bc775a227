//! Formats: the DIBs and VIBs of full frames, by which compact frames are read. EN 13757-3:2018, annex G.
//!
//! Full frames and format frames teach a format, a compact frame names it by its signature. Nothing here remembers by
//! itself: the caller holds [`Formats`], gives it to the decoder, and keeps what [`Formats::learn`] returns.

mod frame;
mod known;

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, BufMut};

pub use frame::{CompactFrame, FormatFrame};

use crate::link::{crc, crc_continued};
use crate::record::{Dib, Vib};
use crate::spec::Content;
use crate::{Address, Reject, Telegram, Verdict};

/// The format of the full frames of one kind of meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    pub model: Model,
    chain: Box<[u8]>,
}

/// A kind of meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model {
    pub manufacturer: u16,
    pub version: u8,
    pub device_type: u8,
}

/// Formats by kind of meter and signature, and those that are known from the start.
#[derive(Debug, Clone, Default)]
pub struct Formats {
    learned: BTreeMap<(Model, u16), Box<[u8]>>,
    /// Oldest first.
    order: VecDeque<(Model, u16)>,
    limit: usize,
}

impl Format {
    /// A format of DIBs and VIBs as they stand in a full frame.
    pub fn new(model: Model, chain: &[u8]) -> Result<Self, Reject> {
        let mut rest = chain;
        while !rest.is_empty() {
            header(&mut rest)?;
        }
        match u8::try_from(chain.len()) {
            Ok(1..) => Ok(Self { model, chain: chain.into() }),
            _ => Err(Reject::Reserved("length of a format")),
        }
    }

    /// Reads what [`Self::emit`] writes.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let manufacturer = buf.try_get_u16_le()?;
        let model = Model { manufacturer, version: buf.try_get_u8()?, device_type: buf.try_get_u8()? };
        let len = usize::from(buf.try_get_u8()?);
        let (chain, rest) = buf.split_at_checked(len).ok_or(Reject::Truncated)?;
        *buf = rest;
        Self::new(model, chain)
    }

    /// Appends kind of meter, length and chain: a form of ours, to be kept.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u16_le(self.model.manufacturer);
        out.extend_from_slice(&[self.model.version, self.model.device_type, self.chain.len() as u8]);
        out.extend_from_slice(&self.chain);
    }

    pub fn signature(&self) -> u16 {
        signature(&self.chain)
    }

    /// DIBs and VIBs.
    pub fn chain(&self) -> &[u8] {
        &self.chain
    }
}

impl Formats {
    /// Remembers at most `limit` formats; for one more the oldest is forgotten.
    pub const fn new(limit: usize) -> Self {
        Self { learned: BTreeMap::new(), order: VecDeque::new(), limit }
    }

    /// Takes the format of a telegram, if it is one that was not known.
    pub fn learn(&mut self, telegram: &Telegram<'_>) -> Option<Format> {
        if self.limit == 0 || telegram.verdict != Verdict::Ok {
            return None;
        }
        let tpl = telegram.tpl.filter(|tpl| !tpl.to_meter)?;
        let model = Model::of(&telegram.address);
        let format = match tpl.content {
            Content::Records if telegram.compact.is_none() => {
                let signature = full_signature(telegram)?;
                if self.knows(model, signature) {
                    return None;
                }
                let mut chain = Vec::new();
                telegram.records().flatten().for_each(|record| chain.extend_from_slice(record.header()));
                Format::new(model, &chain).ok()?
            }
            Content::FormatFrame => {
                let chain = FormatFrame::parse(&mut &*telegram.application).ok()?.chain;
                Format::new(model, chain).ok()?
            }
            _ => return None,
        };
        self.insert(format.clone()).then_some(format)
    }

    /// Takes a format that was kept; false where it is known.
    pub fn insert(&mut self, format: Format) -> bool {
        let id = (format.model, format.signature());
        // The first one stays: who forges a full frame cannot take the format of others away.
        if self.limit == 0 || self.knows(id.0, id.1) {
            return false;
        }
        if self.learned.len() >= self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.learned.remove(&oldest);
            }
        }
        self.order.push_back(id);
        self.learned.insert(id, format.chain);
        true
    }

    /// What was learned, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Format> + '_ {
        let format = |id: &(Model, u16)| self.learned.get(id).map(|chain| (id.0, chain.clone()));
        self.order.iter().filter_map(format).map(|(model, chain)| Format { model, chain })
    }

    pub fn len(&self) -> usize {
        self.learned.len()
    }

    pub fn is_empty(&self) -> bool {
        self.learned.is_empty()
    }

    fn knows(&self, model: Model, signature: u16) -> bool {
        self.learned.contains_key(&(model, signature))
    }

    /// Writes the full frame's records to `out`.
    pub(crate) fn expand(
        &self,
        address: &Address,
        compact: &CompactFrame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        let model = Model::of(address);
        let learned = self.learned.get(&(model, compact.signature)).map(|chain| &**chain);
        let known = known::chain(model.manufacturer, compact.signature);
        let mut result = Err(Reject::CompactFrame);
        for chain in [learned, known].into_iter().flatten() {
            result = compact.expand(chain, out);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

impl Model {
    pub const fn of(address: &Address) -> Self {
        let manufacturer = address.manufacturer & MANUFACTURER;
        Self { manufacturer, version: address.version, device_type: address.device_type }
    }
}

/// The format signature of DIBs and VIBs.
pub const fn signature(chain: &[u8]) -> u16 {
    crc(chain)
}

/// The signature of a full frame; None where its records are not all that it says.
fn full_signature(telegram: &Telegram<'_>) -> Option<u16> {
    let mut records = telegram.records();
    let mut complement = 0;
    let mut is_any = false;
    for record in records.by_ref() {
        complement = crc_continued(complement, record.ok()?.header());
        is_any = true;
    }
    (is_any && records.manufacturer_data().is_none()).then_some(!complement)
}

/// Reads DIB and VIB of one record.
fn header<'a>(buf: &mut &'a [u8]) -> Result<(Dib, &'a [u8]), Reject> {
    let start = *buf;
    let dib = Dib::parse(buf)?;
    Vib::parse(buf)?;
    Ok((dib, start.get(..start.len() - buf.len()).unwrap_or(start)))
}

/// Without the bit that says whether the address is unique.
const MANUFACTURER: u16 = 0x7fff;

#[cfg(test)]
mod tests;
