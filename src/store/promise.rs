//! The sequence file: what the store has promised, outside of sled. DESIGN 3.2.
//!
//! sled opens a shortened file without a word; a store that lacks what this file promises is not the store that
//! reported it.

use std::path::Path;

use bytes::{Buf, BufMut};

use super::value::get_hash;
use super::{Epoch, Lane, StoreError};
use crate::journal::{Found, Slots};

/// What is durable since the last reported commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Promise {
    pub epoch: Epoch,
    pub ordinal: u32,
    /// Openings of the store so far.
    pub generation: u32,
    pub commit: u64,
    pub lanes: [PromisedLane; 9],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PromisedLane {
    /// Last durable sequence.
    pub last: u64,
    /// Last sealed sequence and the hash of its batch.
    pub sealed: u64,
    pub head_hash: [u8; 32],
}

/// What the file held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FoundPromise {
    Nothing,
    Damaged,
    Promise(Box<Promise>),
}

impl Promise {
    pub(super) fn lane(&self, lane: Lane) -> PromisedLane {
        self.lanes.get(lane as usize).copied().unwrap_or_default()
    }

    fn emit(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_u64_le(self.epoch.0);
        out.put_u32_le(self.ordinal);
        out.put_u32_le(self.generation);
        out.put_u64_le(self.commit);
        out.put_u8(self.lanes.len() as u8);
        for lane in &self.lanes {
            out.put_u64_le(lane.last);
            out.put_u64_le(lane.sealed);
            out.put_slice(&lane.head_hash);
        }
        out
    }

    fn parse(buf: &mut &[u8]) -> Option<Self> {
        if buf.try_get_u8().ok()? != VERSION {
            return None;
        }
        let epoch = Epoch(buf.try_get_u64_le().ok()?);
        let ordinal = buf.try_get_u32_le().ok()?;
        let generation = buf.try_get_u32_le().ok()?;
        let commit = buf.try_get_u64_le().ok()?;
        let mut lanes = [PromisedLane::default(); 9];
        if usize::from(buf.try_get_u8().ok()?) != lanes.len() {
            return None;
        }
        for lane in &mut lanes {
            lane.last = buf.try_get_u64_le().ok()?;
            lane.sealed = buf.try_get_u64_le().ok()?;
            lane.head_hash = get_hash(buf)?;
        }
        Some(Self { epoch, ordinal, generation, commit, lanes })
    }
}

impl From<Found> for FoundPromise {
    fn from(found: Found) -> Self {
        match found {
            Found::Nothing => Self::Nothing,
            Found::Damaged => Self::Damaged,
            Found::Value(octets) => {
                Promise::parse(&mut octets.as_slice()).map_or(Self::Damaged, |promise| Self::Promise(Box::new(promise)))
            }
        }
    }
}

/// The open sequence file.
#[derive(Debug)]
pub(super) struct SequenceFile(Slots);

impl SequenceFile {
    pub(super) fn open(path: &Path) -> Result<(Self, FoundPromise), StoreError> {
        let (slots, found) = Slots::open(path)?;
        Ok((Self(slots), found.into()))
    }

    pub(super) fn peek(path: &Path) -> Result<FoundPromise, StoreError> {
        Ok(Slots::peek(path)?.into())
    }

    /// Durable when this returns.
    pub(super) fn write(&mut self, promise: &Promise) -> Result<(), StoreError> {
        Ok(self.0.write(&promise.emit())?)
    }
}

const VERSION: u8 = 1;
