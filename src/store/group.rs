//! A group: what one commit added, one section a lane. It lies on disk until all of its records are sealed.

use bytes::{Buf, BufMut};

use super::value::{Kind, OVERHEAD, frame, unframe};
use super::{Codec, CodecError, Epoch, Lane, Record};

/// One value of a commit. A commit that is too long for one value has several parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub epoch: Epoch,
    /// Counts openings of the store: of two groups that claim one sequence, the younger one is right.
    pub generation: u32,
    pub commit: u64,
    pub part: u16,
    /// When it was committed, milliseconds since 1970 UTC by the unit's clock.
    pub utc_ms: i64,
    pub sections: Vec<Section>,
}

/// Consecutive records of one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub lane: Lane,
    pub first: u64,
    pub count: u32,
    pub octets: Vec<u8>,
}

impl Group {
    pub(super) fn emit(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u64_le(self.epoch.0);
        body.put_u32_le(self.generation);
        body.put_u64_le(self.commit);
        body.put_u16_le(self.part);
        body.put_i64_le(self.utc_ms);
        for section in &self.sections {
            body.put_u8(section.lane as u8);
            body.put_u64_le(section.first);
            body.put_u32_le(section.count);
            body.put_u32_le(section.octets.len() as u32);
            body.put_slice(&section.octets);
        }
        frame(Kind::Group, &body)
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        Self::parse_body(unframe(Kind::Group, value)?)
    }

    pub(super) fn parse_body(body: &[u8]) -> Option<Self> {
        let mut buf = body;
        let epoch = Epoch(buf.try_get_u64_le().ok()?);
        let generation = buf.try_get_u32_le().ok()?;
        let commit = buf.try_get_u64_le().ok()?;
        let part = buf.try_get_u16_le().ok()?;
        let utc_ms = buf.try_get_i64_le().ok()?;
        let mut sections = Vec::new();
        while !buf.is_empty() {
            let lane = Lane::from_number(buf.try_get_u8().ok()?)?;
            let first = buf.try_get_u64_le().ok()?;
            let count = buf.try_get_u32_le().ok()?;
            let length = buf.try_get_u32_le().ok()? as usize;
            let octets = buf.get(..length)?.to_vec();
            buf.advance(length);
            if first == 0 || count == 0 || first.checked_add(u64::from(count)).is_none() {
                return None;
            }
            sections.push(Section { lane, first, count, octets });
        }
        Some(Self { epoch, generation, commit, part, utc_ms, sections })
    }
}

impl Section {
    pub(super) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// The records of the section, named by it.
    pub(super) fn records(&self, codec: &Codec) -> Result<Vec<Record>, CodecError> {
        let mut records = (codec.decode_group)(&self.octets)?;
        if records.len() != self.count as usize {
            return Err(CodecError(format!("{} records where {} were put", records.len(), self.count)));
        }
        for (sequence, record) in (self.first..).zip(&mut records) {
            record.lane = self.lane;
            record.sequence = sequence;
        }
        Ok(records)
    }
}

/// Encodes consecutive records of one lane as sections that each fit into a value.
pub(super) fn sections_of(records: &[Record], codec: &Codec, out: &mut Vec<Section>) {
    let Some(head) = records.first() else { return };
    let octets = (codec.encode_group)(records);
    if octets.len() > SECTION_LIMIT && records.len() > 1 {
        let (one, other) = records.split_at(records.len() / 2);
        sections_of(one, codec, out);
        sections_of(other, codec, out);
        return;
    }
    out.push(Section { lane: head.lane, first: head.sequence, count: records.len() as u32, octets });
}

/// Distributes sections over as few values as they fit into, in order.
pub(super) fn pack(sections: Vec<Section>) -> Vec<Vec<Section>> {
    let mut parts: Vec<Vec<Section>> = Vec::new();
    let mut room = 0;
    for section in sections {
        let octets = SECTION_HEADER + section.octets.len();
        match parts.last_mut() {
            Some(part) if octets <= room => part.push(section),
            _ => {
                room = VALUE_LIMIT - OVERHEAD - GROUP_HEADER;
                parts.push(vec![section]);
            }
        }
        room = room.saturating_sub(octets);
    }
    parts
}

/// A leaf of the database may hold 17 values, and 3 more after a merge; a page of a quarter segment (128 KiB) becomes
/// a file under `blobs/`, which our `fdatasync` does not cover.
pub(super) const VALUE_LIMIT: usize = 6_400;
const SECTION_LIMIT: usize = VALUE_LIMIT - OVERHEAD - GROUP_HEADER - SECTION_HEADER;
const GROUP_HEADER: usize = 8 + 4 + 8 + 2 + 8;
const SECTION_HEADER: usize = 1 + 8 + 4 + 4;
