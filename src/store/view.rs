//! What readers see: the database and the durable state of every lane. Batches beyond it are not shown, because a
//! power cut could still take them and their names would be given to others.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::batch::Batch;
use super::database::{Database, Room};
use super::lane::LaneState;
use super::value::batch_key;
use super::{Epoch, Lane, Limit, StoreError};

/// Shared by the doors and the writer.
#[derive(Debug, Default)]
pub(super) struct Shared {
    view: RwLock<View>,
    gate: Mutex<Gate>,
    opened: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct View {
    /// None while it is being opened again.
    pub db: Option<Arc<Database>>,
    pub epoch: Option<Epoch>,
    pub epochs: Vec<(u32, Epoch)>,
    /// Durable states; `acknowledged` is ahead of the disk.
    pub lanes: BTreeMap<(u32, Lane), LaneState>,
    /// Last durable sequences of the current epoch, in the order of `Lane::ALL`.
    pub last: Vec<u64>,
    pub commits: u64,
    pub records_committed: u64,
    pub commit_errors: u64,
    /// Since when the disk is full, milliseconds since 1970 UTC; whether no commit succeeds for it now.
    pub full_since: Option<i64>,
    pub is_stuck: bool,
    /// Acknowledgements came that are not on disk yet.
    pub acknowledged: bool,
}

/// How many records wait, and whether more are taken.
#[derive(Debug, Default)]
struct Gate {
    queued: usize,
    closed: bool,
}

/// A hole that a reader came upon: these sequences should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub epoch: Epoch,
    pub lane: Lane,
    pub first: u64,
    pub last: u64,
    /// The hash by which the next batch follows.
    pub hash: [u8; 32],
}

impl Shared {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets records in; waits for room when told so. A lot larger than the queue gets in when the queue is empty.
    pub(super) fn enter(&self, records: usize, limit: usize, wait: bool) -> Result<(), StoreError> {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if gate.closed {
                return Err(StoreError::Closed);
            }
            if gate.queued == 0 || gate.queued + records <= limit {
                gate.queued += records;
                return Ok(());
            }
            if !wait {
                return Err(StoreError::Busy);
            }
            gate = self.opened.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Records are durable, or given up.
    pub(super) fn leave(&self, records: usize) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.queued = gate.queued.saturating_sub(records);
        self.opened.notify_all();
    }

    pub(super) fn close(&self) {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.opened.notify_all();
    }

    pub(super) fn queued(&self) -> usize {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).queued
    }
}

impl View {
    pub(super) fn ordinal(&self, epoch: Epoch) -> Option<u32> {
        self.epochs.iter().find(|(_, known)| *known == epoch).map(|(ordinal, _)| *ordinal)
    }

    pub(super) fn lane(&self, epoch: Epoch, lane: Lane) -> Option<&LaneState> {
        self.lanes.get(&(self.ordinal(epoch)?, lane))
    }

    pub(super) fn database(&self) -> Result<&Database, StoreError> {
        self.db.as_deref().ok_or(StoreError::OutOfOrder)
    }

    /// Durable batches of one lane that begin at `from` or later. Holes are noted.
    pub(super) fn batches(
        &self,
        epoch: Epoch,
        lane: Lane,
        from: u64,
        limit: Limit,
        holes: &mut Vec<Hole>,
    ) -> Result<Vec<Batch>, StoreError> {
        let mut batches = Vec::new();
        let (Some(ordinal), Some(state)) = (self.ordinal(epoch), self.lane(epoch, lane)) else { return Ok(batches) };
        let begin = from.max(state.kept);
        if begin > state.sealed || limit.batches == 0 {
            return Ok(batches);
        }
        let (mut octets, mut ended) = (0, false);
        // Only where reading begins at the end of a batch is it known what must come next.
        let mut next = (begin == state.kept).then_some(begin);
        let (from, to) = (batch_key(lane, ordinal, begin), batch_key(lane, ordinal, state.sealed));
        self.database()?.scan(Room::Batches, &from, &to, |_, value| {
            let Some(batch) = Batch::parse(value).filter(|batch| batch.epoch == epoch && batch.is_whole()) else {
                return true;
            };
            if let Some(first) = next.filter(|next| *next < batch.first) {
                holes.push(Hole { epoch, lane, first, last: batch.first - 1, hash: batch.previous_hash });
            }
            octets += batch.octets.len();
            if batch.last() > state.sealed || (!batches.is_empty() && octets > limit.octets) {
                ended = true;
                return false;
            }
            next = Some(batch.last() + 1);
            batches.push(batch);
            ended = batches.len() >= limit.batches;
            !ended
        })?;
        if let Some(first) = next.filter(|next| !ended && *next <= state.sealed) {
            holes.push(Hole { epoch, lane, first, last: state.sealed, hash: state.head_hash });
        }
        Ok(batches)
    }

    /// The durable batch that holds a sequence.
    pub(super) fn batch(&self, epoch: Epoch, lane: Lane, sequence: u64) -> Result<Option<Batch>, StoreError> {
        let (Some(ordinal), Some(state)) = (self.ordinal(epoch), self.lane(epoch, lane)) else { return Ok(None) };
        if sequence < state.kept || sequence > state.sealed {
            return Ok(None);
        }
        let (from, to) = (batch_key(lane, ordinal, 0), batch_key(lane, ordinal, sequence));
        let found = self.database()?.last(Room::Batches, &from, &to)?;
        let batch = found.and_then(|(_, value)| Batch::parse(&value)).filter(Batch::is_whole);
        Ok(batch.filter(|batch| batch.epoch == epoch && (batch.first..=batch.last()).contains(&sequence)))
    }

    /// Durable batches of one lane that are not acknowledged, over all epochs, oldest first.
    pub(super) fn unacknowledged(
        &self,
        lane: Lane,
        after: Option<(Epoch, u64)>,
        limit: Limit,
        holes: &mut Vec<Hole>,
    ) -> Result<Vec<Batch>, StoreError> {
        let mut found: Vec<Batch> = Vec::new();
        let (mut octets, start) = (0, after.and_then(|(epoch, last)| Some((self.ordinal(epoch)?, last))));
        for (ordinal, epoch) in &self.epochs {
            let Some(state) = self.lanes.get(&(*ordinal, lane)) else { continue };
            let mut next = match start {
                Some((begin, _)) if *ordinal < begin => continue,
                Some((begin, last)) if *ordinal == begin => last.saturating_add(1),
                _ => 1,
            };
            loop {
                next = state.acknowledged.first_missing(next.max(state.kept));
                if next > state.sealed {
                    break;
                }
                let Some(batch) = self.batch_at_or_after(*epoch, lane, next, holes)? else { break };
                next = batch.last() + 1;
                octets += batch.octets.len();
                if !found.is_empty() && octets > limit.octets || found.len() >= limit.batches {
                    return Ok(found);
                }
                found.push(batch);
            }
        }
        Ok(found)
    }

    /// The batch that holds a sequence, else the next one.
    fn batch_at_or_after(
        &self,
        epoch: Epoch,
        lane: Lane,
        sequence: u64,
        holes: &mut Vec<Hole>,
    ) -> Result<Option<Batch>, StoreError> {
        if let Some(batch) = self.batch(epoch, lane, sequence)? {
            return Ok(Some(batch));
        }
        let one = Limit { batches: 1, octets: usize::MAX };
        let next = self.batches(epoch, lane, sequence, one, &mut Vec::new())?.pop();
        if let Some(state) = self.lane(epoch, lane) {
            let (last, hash) =
                next.as_ref().map_or((state.sealed, state.head_hash), |batch| (batch.first - 1, batch.previous_hash));
            if sequence <= last {
                holes.push(Hole { epoch, lane, first: sequence, last, hash });
            }
        }
        Ok(next)
    }
}
