//! One lane: where fresh batches and backlog have got to, what waits for an answer, and whether it pauses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Class;
use super::ranges::Ranges;
use crate::store::{Batch, Epoch};

/// A batch of a lane by its epoch and last sequence.
pub(super) type Key = (Epoch, u64);

#[derive(Debug)]
pub(super) struct LaneQueue {
    /// Last sealed sequence of the current epoch, and what it was when the uplink started.
    pub(super) head: u64,
    pub(super) start_head: u64,
    /// Last fresh batch that was published; those above, up to `head`, are next.
    fresh: u64,
    /// Last batch of the backlog that was published; None is before all.
    backlog: Option<Key>,
    /// There may be more backlog; it ends with this sequence of the current epoch.
    is_backlogged: bool,
    backlog_until: u64,
    /// Fetched, not published yet.
    ready_fresh: VecDeque<Batch>,
    ready_backlog: VecDeque<Batch>,
    /// Published and not acknowledged.
    pub(super) window: BTreeMap<Key, Waiting>,
    /// Those of the window that are to be published again: their connection was lost, or the broker did not take them.
    pub(super) again: BTreeSet<Key>,
    /// Those of the window with a PUBACK: when they are published again.
    pub(super) due: BTreeSet<(Instant, Key)>,
    /// Acknowledged in this run, by epoch.
    pub(super) acknowledged: BTreeMap<Epoch, Ranges>,
    pub(super) gate: Option<Gate>,
}

/// A published batch that nobody has acknowledged.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) first: u64,
    pub(super) hash: [u8; 32],
    /// Kept until there is a PUBACK.
    pub(super) octets: Option<Bytes>,
    /// PUBACKs so far.
    pub(super) pubacks: u32,
    pub(super) due: Option<Instant>,
}

/// A lane that pauses.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) cause: Cause,
    pub(super) until: Instant,
    delay: Duration,
    /// The publish that tries whether it is over.
    pub(super) probe: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    NobodyListens,
    Refused(u8),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyListens => f.write_str("nobody listens"),
            Self::Refused(reason) => write!(f, "the broker refuses with reason 0x{reason:02x}"),
        }
    }
}

impl LaneQueue {
    pub(super) fn new(head: u64) -> Self {
        Self {
            head,
            start_head: head,
            fresh: head,
            backlog: None,
            is_backlogged: true,
            backlog_until: head,
            ready_fresh: VecDeque::new(),
            ready_backlog: VecDeque::new(),
            window: BTreeMap::new(),
            again: BTreeSet::new(),
            due: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            gate: None,
        }
    }

    /// What was sealed while there was no connection is backlog, what is sealed from now on is fresh.
    pub(super) fn connect(&mut self, epoch: Epoch) {
        self.ready_fresh.clear();
        if self.fresh < self.head {
            if !self.is_backlogged {
                self.is_backlogged = true;
                self.backlog = Some((epoch, self.fresh));
            }
            self.fresh = self.head;
        }
        self.backlog_until = self.head;
    }

    /// Sequences start again. What older epochs left unacknowledged is backlog.
    pub(super) fn new_epoch(&mut self) {
        self.head = 0;
        self.start_head = 0;
        self.fresh = 0;
        self.backlog = None;
        self.is_backlogged = true;
        self.backlog_until = 0;
        self.ready_fresh.clear();
        self.ready_backlog.clear();
    }

    /// The next batch of the class that was fetched and is still to be published.
    pub(super) fn take(&mut self, class: Class, epoch: Epoch) -> Option<Batch> {
        loop {
            let batch = match class {
                Class::Fresh => self.ready_fresh.pop_front()?,
                Class::Backlog => self.ready_backlog.pop_front()?,
            };
            match class {
                Class::Fresh => self.fresh = self.fresh.max(batch.last()),
                Class::Backlog => self.backlog = Some((batch.epoch, batch.last())),
            }
            let key = (batch.epoch, batch.last());
            let is_acknowledged =
                self.acknowledged.get(&batch.epoch).is_some_and(|ranges| ranges.contains(batch.first, batch.last()));
            if !is_acknowledged && !self.window.contains_key(&key) && (class == Class::Backlog || batch.epoch == epoch)
            {
                return Some(batch);
            }
        }
    }

    pub(super) fn may_fetch(&self, class: Class) -> bool {
        match class {
            Class::Fresh => self.ready_fresh.is_empty() && self.fresh < self.head,
            Class::Backlog => self.ready_backlog.is_empty() && self.is_backlogged,
        }
    }

    /// Where the next fetch begins.
    pub(super) fn fresh_after(&self) -> u64 {
        self.fresh
    }

    pub(super) fn backlog_after(&self) -> Option<Key> {
        self.backlog
    }

    /// `head` is the lane's head when it was asked: without an answer, nothing below it is left.
    pub(super) fn fetched(&mut self, class: Class, head: u64, epoch: Epoch, batches: Vec<Batch>) {
        match class {
            Class::Fresh => {
                if batches.is_empty() {
                    self.fresh = self.fresh.max(head);
                }
                self.ready_fresh = batches.into();
            }
            Class::Backlog => {
                let is_over = |batch: &Batch| batch.epoch == epoch && batch.first > self.backlog_until;
                let end = batches.iter().position(is_over).unwrap_or(batches.len());
                self.is_backlogged = !batches.is_empty() && end == batches.len();
                self.ready_backlog = batches.into_iter().take(end).collect();
            }
        }
    }

    /// Published and lost with its connection, or not taken by the broker.
    pub(super) fn unsent(&mut self, key: Key) {
        if self.window.contains_key(&key) {
            self.again.insert(key);
        }
    }

    /// The octets of one that is to be published again.
    pub(super) fn take_again(&mut self) -> Option<(Key, Bytes)> {
        while let Some(key) = self.again.pop_first() {
            if let Some(octets) = self.window.get(&key).and_then(|waiting| waiting.octets.clone()) {
                return Some((key, octets));
            }
        }
        None
    }

    /// Forgets a batch: it is acknowledged, or no longer there.
    pub(super) fn remove(&mut self, key: Key) -> Option<Waiting> {
        let waiting = self.window.remove(&key)?;
        if let Some(due) = waiting.due {
            self.due.remove(&(due, key));
        }
        self.again.remove(&key);
        Some(waiting)
    }

    /// The broker has it: it waits for its acknowledgement from now on.
    pub(super) fn has_puback(&mut self, key: Key, delays: (Duration, Duration), now: Instant) {
        let Some(waiting) = self.window.get_mut(&key) else { return };
        let due = now + doubled(delays.0, waiting.pubacks, delays.1);
        waiting.octets = None;
        waiting.pubacks = waiting.pubacks.saturating_add(1);
        if let Some(before) = waiting.due.replace(due) {
            self.due.remove(&(before, key));
        }
        self.due.insert((due, key));
    }

    /// Puts off the next publication of a batch.
    pub(super) fn put_off(&mut self, key: Key, due: Instant) {
        let Some(waiting) = self.window.get_mut(&key) else { return };
        if let Some(before) = waiting.due.replace(due) {
            self.due.remove(&(before, key));
        }
        self.due.insert((due, key));
    }

    /// May a batch of this lane be published now?
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.probe.is_none() && gate.until <= now)
    }

    /// The publish `id` was not taken. True: the lane begins to pause, or pauses for another reason than before.
    pub(super) fn close(&mut self, id: u64, cause: Cause, delays: (Duration, Duration), now: Instant) -> bool {
        let Some(gate) = &mut self.gate else {
            self.gate = Some(Gate { cause, until: now + delays.0, delay: delays.0, probe: None });
            return true;
        };
        // Those that were in flight when it closed do not count.
        if gate.probe == Some(id) {
            gate.delay = gate.delay.saturating_mul(2).min(delays.1);
            gate.until = now + gate.delay;
            gate.probe = None;
        }
        std::mem::replace(&mut gate.cause, cause) != cause
    }

    /// Tries at once, where nobody listened.
    pub(super) fn try_soon(&mut self, now: Instant) {
        if let Some(gate) = self.gate.as_mut().filter(|gate| gate.cause == Cause::NobodyListens) {
            gate.until = gate.until.min(now);
        }
    }

    pub(super) fn stop_probe(&mut self) {
        if let Some(gate) = &mut self.gate {
            gate.probe = None;
        }
    }
}

/// `first` doubled `times` times, at most `last`.
fn doubled(first: Duration, times: u32, last: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times.min(30))).min(last)
}
