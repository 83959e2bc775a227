//! The rule `snapshot`: the last telegram at or before each boundary of a period.
//!
//! Some meters send their registers in several telegrams by turns. The last telegram of each shape is held, a shape
//! being the registers in it, so that a snapshot has all of them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Selected;
use crate::clock::Now;
use crate::reading::{Function, Interval, Origin, Period, Reading, Source, TimeQuality};

/// The telegrams of one meter that wait for their boundary.
#[derive(Debug)]
pub(super) struct Snapshots {
    period: Period,
    held: VecDeque<Held>,
}

#[derive(Debug)]
struct Held {
    shape: u64,
    at: Instant,
    readings: Vec<Reading>,
}

impl Snapshots {
    pub(super) fn new(period: Period) -> Self {
        Self { period, held: VecDeque::new() }
    }

    pub(super) fn period(&self) -> Period {
        self.period
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Holds a telegram in place of the one of its shape.
    pub(super) fn hold(&mut self, readings: Vec<Reading>, calendar: &Calendar, out: &mut VecDeque<Selected>) {
        let shape = shape(&readings);
        self.held.retain(|held| held.shape != shape);
        if self.held.len() >= MAX_SHAPES {
            self.release_first(calendar, out);
        }
        self.held.push_back(Held { shape, at: calendar.now.mono, readings });
    }

    /// Lets go what is older than the last boundary.
    pub(super) fn release(&mut self, calendar: &Calendar, out: &mut VecDeque<Selected>) {
        while self.held.front().is_some_and(|held| calendar.boundary_of(held.at, self.period) < calendar.present()) {
            self.release_first(calendar, out);
        }
    }

    pub(super) fn release_all(&mut self, calendar: &Calendar, out: &mut VecDeque<Selected>) {
        while !self.held.is_empty() {
            self.release_first(calendar, out);
        }
    }

    fn release_first(&mut self, calendar: &Calendar, out: &mut VecDeque<Selected>) {
        let Some(Held { at, mut readings, .. }) = self.held.pop_front() else { return };
        let Some(first) = readings.first() else { return };
        let source = Arc::new(Source { origin: Origin::Snapshot, ..Source::clone(&first.source) });
        let stands_for = calendar
            .is_utc()
            .then(|| Interval { end_utc: calendar.boundary_of(at, self.period).div_euclid(1000), length_s: 0 });
        for reading in &mut readings {
            reading.source = Arc::clone(&source);
            let is_current = reading.register.storage == 0 && reading.register.function == Function::Instantaneous;
            if is_current && reading.interval.is_none() {
                reading.interval = stands_for;
            }
        }
        out.push_back(Selected::Readings(readings));
    }
}

/// Milliseconds on one time line: UTC, or time since the start while there is no UTC.
///
/// The reception of a held telegram is always put on the line by the present clock, so a clock that is set or stepped
/// between reception and boundary does no harm.
#[derive(Debug)]
pub(super) struct Calendar {
    start: Instant,
    now: Now,
}

impl Calendar {
    pub(super) fn new(now: Now) -> Self {
        Self { start: now.mono, now }
    }

    pub(super) fn set(&mut self, now: Now) {
        self.now = now;
    }

    /// The moment at which a telegram received now is due.
    pub(super) fn next_boundary(&self, period: Period) -> Instant {
        let wait = self.boundary_of(self.now.mono, period).saturating_sub(self.present());
        // One millisecond later: what is heard at the boundary itself belongs to it.
        self.now.mono + Duration::from_millis(u64::try_from(wait).unwrap_or(0) + 1)
    }

    fn is_utc(&self) -> bool {
        self.now.quality != TimeQuality::Unsynchronised
    }

    fn present(&self) -> i64 {
        self.position(self.now.mono)
    }

    /// The first boundary at or after `at`.
    fn boundary_of(&self, at: Instant, period: Period) -> i64 {
        let period_ms = i64::from(period.seconds()) * 1000;
        let periods = self.position(at).saturating_sub(1).div_euclid(period_ms);
        periods.saturating_add(1).saturating_mul(period_ms)
    }

    fn position(&self, at: Instant) -> i64 {
        if self.is_utc() {
            let age = i64::try_from(self.now.mono.saturating_duration_since(at).as_millis()).unwrap_or(i64::MAX);
            self.now.utc_ms.saturating_sub(age)
        } else {
            i64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(i64::MAX)
        }
    }
}

fn shape(readings: &[Reading]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for reading in readings {
        reading.register.hash(&mut hasher);
    }
    hasher.finish()
}

/// Telegrams of different registers that are held for one meter.
const MAX_SHAPES: usize = 4;
