//! What is remembered of one lane in one epoch, beside its batches.

use bytes::{Buf, BufMut};

use super::value::{Kind, frame, get_hash, unframe};
use super::{Epoch, Lane, Ranges};

/// Written with every sealing, eviction and, now and then, acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneState {
    pub epoch: Epoch,
    pub lane: Lane,
    /// Counts the writings of this value: of two copies the higher one is right.
    pub version: u64,
    /// Last sealed sequence and the hash of the batch that ends with it.
    pub sealed: u64,
    pub head_hash: [u8; 32],
    /// The lowest sequence that was not evicted.
    pub kept: u64,
    /// Batches in the store, their records and sealed octets.
    pub batches: u64,
    pub records: u64,
    pub octets: u64,
    /// Records that left acknowledged, and that left without.
    pub evicted: u64,
    pub lost: u64,
    pub gaps: u64,
    pub acknowledged: Ranges,
}

impl LaneState {
    pub(super) fn new(epoch: Epoch, lane: Lane) -> Self {
        Self {
            epoch,
            lane,
            version: 0,
            sealed: 0,
            head_hash: [0; 32],
            kept: 1,
            batches: 0,
            records: 0,
            octets: 0,
            evicted: 0,
            lost: 0,
            gaps: 0,
            acknowledged: Ranges::default(),
        }
    }

    /// Sealed records in the store that no acknowledgement covers.
    pub(super) fn unacknowledged(&self) -> u64 {
        if self.kept > self.sealed {
            return 0;
        }
        (self.sealed - self.kept + 1) - self.acknowledged.count_within(self.kept, self.sealed)
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u64_le(self.epoch.0);
        body.put_u8(self.lane as u8);
        body.put_u64_le(self.version);
        body.put_u64_le(self.sealed);
        body.put_slice(&self.head_hash);
        for number in [self.kept, self.batches, self.records, self.octets, self.evicted, self.lost, self.gaps] {
            body.put_u64_le(number);
        }
        self.acknowledged.emit(&mut body);
        frame(Kind::LaneState, &body)
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        Self::parse_body(unframe(Kind::LaneState, value)?)
    }

    pub(super) fn parse_body(body: &[u8]) -> Option<Self> {
        let mut buf = body;
        let epoch = Epoch(buf.try_get_u64_le().ok()?);
        let lane = Lane::from_number(buf.try_get_u8().ok()?)?;
        let version = buf.try_get_u64_le().ok()?;
        let sealed = buf.try_get_u64_le().ok()?;
        let head_hash = get_hash(&mut buf)?;
        let mut number = || buf.try_get_u64_le().ok();
        let kept = number().filter(|kept| *kept > 0)?;
        Some(Self {
            epoch,
            lane,
            version,
            sealed,
            head_hash,
            kept,
            batches: number()?,
            records: number()?,
            octets: number()?,
            evicted: number()?,
            lost: number()?,
            gaps: number()?,
            acknowledged: Ranges::parse(&mut buf)?,
        })
    }
}

/// The place of a lane in tables with one row a lane.
pub(super) fn index(lane: Lane) -> usize {
    lane as usize
}
