//! Reads every batch of a running store and proves checksums, hashes, sequences and chains.

use super::view::Shared;
use super::{Batch, Epoch, Lane, Limit, Ranges, StoreError};

/// What a full look came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    pub batches: u64,
    pub records: u64,
    pub octets: u64,
    pub faults: Vec<Fault>,
    /// Faults beyond the first thousand.
    pub more_faults: u64,
}

/// What is wrong with a run of sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub epoch: Epoch,
    pub lane: Lane,
    pub first: u64,
    pub last: u64,
    pub what: String,
    /// A `Gap` record tells of it already.
    pub is_told: bool,
}

/// Follows one lane of one epoch, batch by batch.
pub(super) struct Chain<'a> {
    epoch: Epoch,
    lane: Lane,
    settled: &'a Ranges,
    /// The hash of the last batch, unless something is missing behind it.
    head: Option<[u8; 32]>,
    next: u64,
}

impl Verification {
    /// Nothing is wrong that is not told.
    pub fn is_sound(&self) -> bool {
        self.more_faults == 0 && self.faults.iter().all(|fault| fault.is_told)
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS { self.faults.push(fault) } else { self.more_faults += 1 }
    }
}

impl<'a> Chain<'a> {
    pub(super) fn new(epoch: Epoch, lane: Lane, kept: u64, settled: &'a Ranges) -> Self {
        let head = (kept == 1).then_some([0; 32]);
        Self { epoch, lane, settled, head, next: kept }
    }

    pub(super) fn take(
        &mut self,
        first: u64,
        count: u32,
        octets: u64,
        hashes: ([u8; 32], [u8; 32]),
        found: &mut Verification,
    ) {
        let (previous_hash, hash) = hashes;
        if first > self.next {
            self.missing(first - 1, found);
        } else if self.head.is_some_and(|head| head != previous_hash) {
            let is_told = false;
            let what = "does not follow the batch before it".to_owned();
            found.fault(Fault { epoch: self.epoch, lane: self.lane, first, last: first, what, is_told });
        }
        found.batches += 1;
        found.records += u64::from(count);
        found.octets += octets;
        (self.head, self.next) = (Some(hash), first + u64::from(count));
    }

    pub(super) fn end(mut self, sealed: u64, found: &mut Verification) {
        if self.next <= sealed {
            self.missing(sealed, found);
        }
    }

    fn missing(&mut self, last: u64, found: &mut Verification) {
        let (epoch, lane, first) = (self.epoch, self.lane, self.next);
        let is_told = self.settled.contains(first, last);
        found.fault(Fault { epoch, lane, first, last, what: "missing or damaged".into(), is_told });
        (self.head, self.next) = (None, last + 1);
    }
}

/// Reads everything, a few batches at a time, so that the writer is not held up.
pub(super) fn verify(shared: &Shared) -> Result<Verification, StoreError> {
    let places: Vec<_> = shared.read().lanes.values().map(|state| (state.epoch, state.lane)).collect();
    let mut found = Verification::default();
    for (epoch, lane) in places {
        let Some(state) = shared.read().lane(epoch, lane).cloned() else { continue };
        let mut chain = Chain::new(epoch, lane, state.kept, &state.acknowledged);
        while chain.next <= state.sealed {
            let view = shared.read();
            if view.lane(epoch, lane).is_none_or(|now| now.kept > chain.next) {
                // It leaves while it is read.
                break;
            }
            let batches: Vec<Batch> = view.batches(epoch, lane, chain.next, AT_ONCE, &mut Vec::new())?;
            drop(view);
            if batches.is_empty() {
                break;
            }
            for batch in batches {
                let hashes = (batch.previous_hash, batch.hash);
                chain.take(batch.first, batch.count, batch.octets.len() as u64, hashes, &mut found);
            }
        }
        let left = shared.read().lane(epoch, lane).is_none_or(|now| now.kept > chain.next);
        if !left {
            chain.end(state.sealed, &mut found);
        }
    }
    Ok(found)
}

const AT_ONCE: Limit = Limit { batches: 16, octets: 1 << 20 };
const FAULTS: usize = 1000;
