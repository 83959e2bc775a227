//! What is selected and not yet taken by the store. While its queue is full it waits here, and nothing more is heard;
//! where the disk is full, that could be for ever: then readings are counted as lost, and events wait.

use std::collections::{BTreeMap, VecDeque};

use tracing::{info, warn};

use crate::clock::Now;
use crate::reading::{Event, EventKind};
use crate::store::{Body, Lane, Mark, Store, StoreError};

#[derive(Debug, Default)]
pub(super) struct Waiting {
    records: VecDeque<Vec<(Lane, Body)>>,
    /// Become durable with the last of the records, or later.
    marks: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Records lost since the start.
    lost: u64,
    /// Those that are not told yet, and when the first of them was lost, milliseconds since 1970 UTC.
    untold: Option<(u64, i64)>,
}

impl Waiting {
    pub(super) fn push(&mut self, records: Vec<(Lane, Body)>) {
        self.records.push_back(records);
    }

    /// What must be durable no earlier than what waits now.
    pub(super) fn mark(&mut self, marks: Vec<Mark>) {
        self.marks.extend(marks);
    }

    /// What nobody is to wait for with records: they may come hours later.
    pub(super) fn mark_now(&mut self, marks: Vec<Mark>) {
        self.mark(marks);
        self.records.push_back(Vec::new());
    }

    #[cfg(test)]
    pub(super) fn records(&self) -> impl Iterator<Item = &(Lane, Body)> {
        self.records.iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Records that were not stored because the disk was full.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Hands to the store what waits. False: its queue is full, for a moment.
    pub(super) fn hand_over(&mut self, store: &Store, now: Now) -> bool {
        while let Some(records) = self.records.pop_front() {
            let marks = if self.records.is_empty() { std::mem::take(&mut self.marks) } else { BTreeMap::new() };
            let marks: Vec<Mark> = marks.into_iter().collect();
            let done = store.try_append_marked(records, &marks, None);
            if done.is_err() {
                self.marks.extend(marks);
            }
            match done {
                Ok(()) => {}
                Err((StoreError::Busy, records, _)) => {
                    self.records.push_front(records);
                    if !store.is_full() {
                        return false;
                    }
                    self.shed(now);
                    return true;
                }
                Err((error, records, _)) => {
                    warn!(err = %super::chain(&error), count = records.len(), "store refuses records");
                }
            }
        }
        if !store.is_full() {
            self.tell(store, now);
        }
        true
    }

    /// Keeps events as far as memory may hold them, counts the rest as lost. Meters speak again, events do not.
    fn shed(&mut self, now: Now) {
        let mut lost = 0;
        let mut kept = VecDeque::new();
        for record in self.records.drain(..).flatten() {
            if matches!(record.1, Body::Event(_)) && kept.len() < EVENTS_KEPT {
                kept.push_back(vec![record]);
            } else {
                lost += 1;
            }
        }
        self.records = kept;
        if lost == 0 {
            return;
        }
        self.lost += lost;
        let (before, since_ms) = self.untold.unwrap_or_else(|| {
            warn!("disk full: readings are lost");
            (0, now.utc_ms)
        });
        self.untold = Some((before + lost, since_ms));
    }

    /// The store takes records again: says in P1 what is missing.
    fn tell(&mut self, store: &Store, now: Now) {
        let Some((lost, since_ms)) = self.untold else { return };
        let seconds = now.utc_ms.saturating_sub(since_ms) / 1000;
        let detail = format!("the disk was full: {lost} records of the last {seconds} s were not stored");
        let kind = EventKind::Unit { code: "store.records_lost".to_owned(), detail };
        let event = Event { received: now.received(), meter: None, kind };
        if store.try_append(vec![(Lane::Security, Body::Event(event))], None).is_ok() {
            info!(count = lost, "readings are stored again");
            self.untold = None;
        }
    }
}

/// A burst of events of every meter of a large unit.
const EVENTS_KEPT: usize = 4096;
