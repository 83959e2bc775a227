//! What leaves the store, and when: acknowledged batches after their time, then for want of room; unacknowledged ones
//! only for want of room, the oldest of the least urgent lane first, each run of them with a `Gap` record.

use std::collections::BTreeMap;

use super::batch::Batch;
use super::database::{Change, Database, Room};
use super::keeper::Keeper;
use super::lane::LaneState;
use super::plan::Plan;
use super::value::batch_key;
use super::{Body, Lane, Report, StoreError};
use crate::clock::Now;
use crate::reading::{EventKind, TimeQuality};

/// What leaves with the next commit.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    changes: Vec<Change>,
    touched: Vec<(u32, Lane)>,
    reports: Vec<Report>,
    /// `Gap` records, to be committed with it.
    pub events: Vec<(Lane, Body)>,
}

/// One batch that may leave: the oldest of its lane and epoch.
struct Candidate {
    batch: Batch,
    acknowledged: bool,
}

/// How hard to look for something that may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressure {
    /// Retention time and size limit.
    Usual,
    /// The disk is full: acknowledged batches leave before their time. What is not acknowledged stays: most often it is
    /// others who fill the disk, and then a backlog that leaves makes no room that lasts, because they take it too, or
    /// sled does not give its segments back. New readings that find no room are fewer than a backlog, their meters
    /// speak again, and they are counted; what was reported as committed is there for ever or until the size limit.
    Full,
}

impl Keeper {
    /// Chooses what leaves and takes it out of the lane states.
    pub(super) fn leave(&mut self, db: &Database, now: &Now, pressure: Pressure) -> Result<Leaving, StoreError> {
        let mut leaving = Leaving::default();
        let mut oldest: BTreeMap<(u32, Lane), Candidate> = BTreeMap::new();
        for place in self.states.keys() {
            if let Some(candidate) = self.oldest(db, *place)? {
                oldest.insert(*place, candidate);
            }
        }
        let mut freed = 0;
        for _ in 0..AT_ONCE {
            let Some(place) = self.choose(&oldest, now, pressure, freed) else { break };
            let Some(candidate) = oldest.remove(&place) else { break };
            freed += candidate.batch.octets.len() as u64;
            self.take_out(place, &candidate, now, &mut leaving);
            if let Some(next) = self.oldest(db, place)? {
                oldest.insert(place, next);
            }
        }
        self.forget_empty_epochs(&mut leaving);
        Ok(leaving)
    }

    /// Sealed octets of all lanes.
    pub(super) fn octets(&self) -> u64 {
        self.states.values().map(|state| state.octets).sum()
    }

    fn choose(
        &self,
        oldest: &BTreeMap<(u32, Lane), Candidate>,
        now: &Now,
        pressure: Pressure,
        freed: u64,
    ) -> Option<(u32, Lane)> {
        let by_age = |(_, candidate): &(&(u32, Lane), &Candidate)| candidate.batch.sealed_utc_ms;
        let acknowledged = || oldest.iter().filter(|(_, candidate)| candidate.acknowledged).min_by_key(by_age);
        let least_urgent = || oldest.keys().max_by_key(|(ordinal, lane)| (*lane, std::cmp::Reverse(*ordinal)));
        match pressure {
            Pressure::Full => {
                if freed > FREED_WHEN_FULL {
                    return None;
                }
                acknowledged().map(|(place, _)| *place)
            }
            Pressure::Usual if self.octets() > self.options.size_limit => {
                acknowledged().map(|(place, _)| *place).or_else(|| least_urgent().copied())
            }
            Pressure::Usual => {
                // Without a synchronised clock nothing is known to be old.
                let keep_ms = i64::try_from(self.options.retention.as_millis()).unwrap_or(i64::MAX);
                let limit = now.utc_ms.saturating_sub(keep_ms);
                let known = now.quality != TimeQuality::Unsynchronised;
                let (place, candidate) = acknowledged()?;
                (known && candidate.batch.sealed_utc_ms < limit).then_some(*place)
            }
        }
    }

    fn take_out(&mut self, place: (u32, Lane), candidate: &Candidate, now: &Now, leaving: &mut Leaving) {
        let batch = &candidate.batch;
        let key = batch_key(place.1, place.0, batch.first);
        leaving.changes.push(Change::remove(Room::Batches, &key));
        leaving.touched.push(place);
        let Some(state) = self.states.get_mut(&place) else { return };
        state.kept = batch.last() + 1;
        state.batches = state.batches.saturating_sub(1);
        state.records = state.records.saturating_sub(u64::from(batch.count));
        state.octets = state.octets.saturating_sub(batch.octets.len() as u64);
        if candidate.acknowledged {
            state.evicted += u64::from(batch.count);
            return;
        }
        state.lost += u64::from(batch.count);
        leaving.gap(batch, now);
        state.gaps += 1;
    }

    /// The oldest batch of a lane, if it has one.
    fn oldest(&self, db: &Database, place: (u32, Lane)) -> Result<Option<Candidate>, StoreError> {
        let Some(state) = self.states.get(&place).filter(|state| state.batches > 0) else { return Ok(None) };
        let (from, to) = (batch_key(place.1, place.0, state.kept), batch_key(place.1, place.0, u64::MAX));
        let mut found = None;
        db.scan(Room::Batches, &from, &to, |_, value| {
            found = Batch::parse(value);
            // A value that is none is passed over: what reads it reports the hole.
            found.is_none()
        })?;
        let acknowledged = |batch: &Batch| state.acknowledged.contains(batch.first, batch.last());
        Ok(found.map(|batch| Candidate { acknowledged: acknowledged(&batch), batch }))
    }

    /// Epochs without a batch leave the list; what was counted of them is counted on in the current one.
    fn forget_empty_epochs(&mut self, leaving: &mut Leaving) {
        let current = self.ordinal;
        let states = &mut self.states;
        let has_batches = |ordinal: u32, states: &BTreeMap<(u32, Lane), LaneState>| {
            Lane::ALL.iter().any(|lane| states.get(&(ordinal, *lane)).is_some_and(|state| state.batches > 0))
        };
        let before = self.epochs.len();
        self.epochs.retain(|(ordinal, _)| {
            if *ordinal == current || has_batches(*ordinal, states) {
                return true;
            }
            for lane in Lane::ALL {
                let Some(gone) = states.remove(&(*ordinal, lane)) else { continue };
                if let Some(state) = states.get_mut(&(current, lane)) {
                    state.evicted += gone.evicted;
                    state.lost += gone.lost;
                    state.gaps += gone.gaps;
                }
                leaving.touched.extend([(*ordinal, lane), (current, lane)]);
            }
            false
        });
        self.epochs_changed |= self.epochs.len() < before;
    }
}

impl Leaving {
    /// Puts it into a commit.
    pub(super) fn join(self, plan: &mut Plan) {
        plan.changes.extend(self.changes);
        plan.touched.extend(self.touched);
        plan.reports.extend(self.reports);
    }

    /// Says that a batch leaves unacknowledged; neighbours are told together.
    fn gap(&mut self, batch: &Batch, now: &Now) {
        let (epoch, lane) = (batch.epoch, batch.lane);
        if let Some((_, Body::Event(event))) = self.events.last_mut() {
            if let EventKind::Gap { epoch: of, lane: number, last, hash, .. } = &mut event.kind {
                if *of == epoch.0 && *number == lane as u8 && *last + 1 == batch.first {
                    (*last, *hash) = (batch.last(), batch.hash);
                    if let Some(Report::Evicted { last, .. }) = self.reports.last_mut() {
                        *last = batch.last();
                    }
                    return;
                }
            }
        }
        let (first, last, reason) = (batch.first, batch.last(), EVICTED.to_owned());
        let kind =
            EventKind::Gap { epoch: epoch.0, lane: lane as u8, first, last, reason: reason.clone(), hash: batch.hash };
        self.events.push(Keeper::event(kind, now));
        self.reports.push(Report::Evicted { epoch, lane, first, last, reason });
    }
}

/// The reason in the `Gap` record.
const EVICTED: &str = "no room";
/// Batches that leave with one commit at most.
const AT_ONCE: usize = 32;
/// Octets that leave at once when the disk is full.
const FREED_WHEN_FULL: u64 = 128 * 1024;
