//! The selection policy: which of the telegrams heard become records. Thousands of meters that speak every few seconds
//! would fill the store with repetitions.
//!
//! A state machine: `offer` a telegram's readings, drain `poll_event`, sleep until `poll_timeout`. It holds the last
//! telegram of a meter and no more. Status and alarm changes pass whatever the rule says. Without a synchronised clock
//! the boundaries of snapshots count from the start.

mod alarm;
mod change;
mod snapshot;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use self::alarm::Alarms;
use self::change::Baseline;
use self::snapshot::{Calendar, Snapshots};
use super::{Event, EventKind, Group, Groups, MeterId, Reading, Rule, Source};
use crate::clock::Now;
use crate::store::Lane;

/// What is to be stored, in the order in which it is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Selected {
    /// Readings of one telegram.
    Readings(Vec<Reading>),
    Event(Lane, Event),
}

#[derive(Debug)]
pub struct Selector {
    groups: Arc<Groups>,
    limit: usize,
    calendar: Calendar,
    meters: BTreeMap<MeterId, Meter>,
    deadline: Option<Instant>,
    selected: VecDeque<Selected>,
}

impl Selector {
    /// At most `limit` meters are remembered; for one more the one that was silent longest is released and forgotten.
    pub fn new(groups: Arc<Groups>, limit: usize, now: Now) -> Self {
        Self {
            groups,
            limit: limit.max(1),
            calendar: Calendar::new(now),
            meters: BTreeMap::new(),
            deadline: None,
            selected: VecDeque::new(),
        }
    }

    /// Takes the readings of one telegram; `source` is theirs, and tells the status also where there are no readings.
    pub fn offer(&mut self, source: &Arc<Source>, readings: Vec<Reading>, now: Now) {
        self.calendar.set(now);
        let id = source.meter;
        if !self.meters.contains_key(&id) && self.meters.len() >= self.limit {
            self.forget_the_most_silent();
        }
        let group = self.groups.of(&id);
        let meter = self.meters.entry(id).or_insert_with(|| Meter::new(group, now.mono));
        meter.heard = now.mono;
        if let Some((lane, kind)) = meter.alarms.status(source) {
            self.selected.push_back(Selected::Event(lane, event(source, kind)));
        }
        let flags = meter.alarms.flags(&readings);
        let passing = match &mut meter.state {
            State::All => readings,
            State::Every { n, seen } => {
                let passes = *seen == 0;
                *seen = (*seen + 1) % *n;
                if passes { readings } else { flags }
            }
            State::Change(baseline) => baseline.changed(readings),
            State::Snapshot(snapshots) => {
                if !readings.is_empty() {
                    snapshots.release(&self.calendar, &mut self.selected);
                    snapshots.hold(readings, &self.calendar, &mut self.selected);
                    let boundary = self.calendar.next_boundary(snapshots.period());
                    self.deadline = Some(self.deadline.map_or(boundary, |deadline| deadline.min(boundary)));
                }
                flags
            }
        };
        if !passing.is_empty() {
            self.selected.push_back(Selected::Readings(passing));
        }
    }

    /// Releases the snapshots whose boundary is over.
    pub fn handle_timeout(&mut self, now: Now) {
        self.calendar.set(now);
        if self.deadline.is_none_or(|deadline| deadline > now.mono) {
            return;
        }
        self.deadline = None;
        for meter in self.meters.values_mut() {
            let State::Snapshot(snapshots) = &mut meter.state else { continue };
            snapshots.release(&self.calendar, &mut self.selected);
            if !snapshots.is_empty() {
                let boundary = self.calendar.next_boundary(snapshots.period());
                self.deadline = Some(self.deadline.map_or(boundary, |deadline| deadline.min(boundary)));
            }
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn poll_event(&mut self) -> Option<Selected> {
        self.selected.pop_front()
    }

    /// Releases everything that is held, before the unit stops: what was heard is not lost for want of a boundary.
    pub fn finish(&mut self, now: Now) {
        self.calendar.set(now);
        self.deadline = None;
        for meter in self.meters.values_mut() {
            if let State::Snapshot(snapshots) = &mut meter.state {
                snapshots.release_all(&self.calendar, &mut self.selected);
            }
        }
    }

    fn forget_the_most_silent(&mut self) {
        let silent = self.meters.iter().min_by_key(|(_, meter)| meter.heard).map(|(id, _)| *id);
        if let Some(State::Snapshot(mut snapshots)) =
            silent.and_then(|id| self.meters.remove(&id)).map(|meter| meter.state)
        {
            snapshots.release_all(&self.calendar, &mut self.selected);
        }
    }
}

#[derive(Debug)]
struct Meter {
    heard: Instant,
    alarms: Alarms,
    state: State,
}

impl Meter {
    fn new(group: &Group, heard: Instant) -> Self {
        let state = match group.rule {
            Rule::Snapshot(period) => State::Snapshot(Snapshots::new(period)),
            Rule::Change => State::Change(Baseline::default()),
            Rule::Every(n) => State::Every { n: n.get(), seen: 0 },
            Rule::All => State::All,
        };
        Self { heard, alarms: Alarms::default(), state }
    }
}

#[derive(Debug)]
enum State {
    Snapshot(Snapshots),
    Change(Baseline),
    Every { n: u32, seen: u32 },
    All,
}

fn event(source: &Source, kind: EventKind) -> Event {
    Event { received: source.received, meter: Some(source.meter), kind }
}

#[cfg(test)]
mod tests;
