//! One meter in the schedule: what was read of it, and when it is tried again.

use super::progress::Progress;

/// The number of a meter in the schedule; never given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterNo(pub u32);

/// Where a meter stands in its life. The numbers are on disk: never change one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MeterState {
    /// Commissioned, and never read: it did not answer, or refused who asks.
    #[default]
    New = 0,
    Active = 1,
    /// Did not answer lately, and is tried again soon.
    Silent = 2,
    /// Has used up its retries, and is tried more and more seldom.
    Unreachable = 3,
    /// Another meter measures in its place.
    Replaced = 4,
    Removed = 5,
    /// Another unit reads it now.
    HandedOver = 6,
    /// It is read here once the unit that read it before has handed it over.
    Awaited = 7,
}

impl MeterState {
    /// The word in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Active => "active",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::HandedOver => "handed over",
            Self::Awaited => "awaited",
        }
    }

    /// It is asked for nothing.
    pub const fn is_retired(self) -> bool {
        matches!(self, Self::Replaced | Self::Removed | Self::HandedOver | Self::Awaited)
    }

    /// The state that is kept under this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::New,
            1 => Self::Active,
            2 => Self::Silent,
            3 => Self::Unreachable,
            4 => Self::Replaced,
            5 => Self::Removed,
            6 => Self::HandedOver,
            7 => Self::Awaited,
            _ => return None,
        })
    }
}

#[derive(Debug)]
pub(super) struct Meter {
    pub(super) channel: usize,
    pub(super) state: MeterState,
    /// By task number.
    pub(super) lines: Vec<Option<Line>>,
    /// Exchanges in a row that it did not answer.
    failures: u32,
    /// When the first of them was, milliseconds UTC.
    away_since: i64,
    /// Probes in an earlier run, as far as can be told, which come on top once it is unreachable in this one, too.
    probed: u32,
    /// Milliseconds UTC; before that it is left alone.
    pub(super) probe_at: i64,
    pub(super) is_busy: bool,
    /// The turn in which it was served last: who waits longest goes first.
    pub(super) served: u64,
    /// Tasks that were asked one after the other, while an association stayed open.
    pub(super) turn: Vec<usize>,
}

/// One task for one meter.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) progress: Progress,
    /// Something was read since the last order ended.
    pub(super) has_read: bool,
    /// What the meter answered was of no use so often in a row.
    refusals: u32,
    /// Milliseconds UTC.
    pub(super) not_before: i64,
    pub(super) place: Option<Place>,
}

/// The list that a task of a meter stands in, and under what.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// Milliseconds UTC.
    Due(i64),
    /// The turn in which the meter was served last when it came in.
    Ready(u64),
}

impl Meter {
    pub(super) fn new(channel: usize, lines: Vec<Option<Line>>) -> Self {
        let state = MeterState::New;
        let (probe_at, turn) = (i64::MIN, Vec::new());
        let (failures, probed, away_since) = (0, 0, 0);
        Self { channel, state, lines, failures, probed, away_since, probe_at, is_busy: false, served: 0, turn }
    }

    pub(super) fn line(&self, task: usize) -> Option<&Line> {
        self.lines.get(task)?.as_ref()
    }

    pub(super) fn line_mut(&mut self, task: usize) -> Option<&mut Line> {
        self.lines.get_mut(task)?.as_mut()
    }

    /// Takes part.
    pub(super) fn is_commissioned(&self) -> bool {
        !self.state.is_retired()
    }

    /// Since when it does not answer, milliseconds UTC.
    pub(super) fn away_since(&self) -> Option<i64> {
        (self.failures > 0).then_some(self.away_since)
    }

    /// As if it had never failed.
    pub(super) fn reinstate(&mut self, state: MeterState) {
        (self.state, self.failures, self.probed, self.probe_at) = (state, 0, 0, i64::MIN);
    }

    /// In an earlier run it was so, and answered last then. A start may have mended what was wrong, so that it has its
    /// retries again; after them it is probed as seldom as before.
    pub(super) fn restore(&mut self, state: MeterState, answered_ms: Option<i64>, now_ms: i64) {
        self.state = state;
        let away = answered_ms.filter(|_| state == MeterState::Unreachable).map_or(0, |at| now_ms.saturating_sub(at));
        // Each pause is as long as all before it.
        self.probed = u32::try_from(away / PROBE_MS).unwrap_or(0).checked_ilog2().unwrap_or(0);
    }

    pub(super) fn answered(&mut self) {
        if self.is_commissioned() {
            self.state = MeterState::Active;
        }
        self.denied();
    }

    /// Is there, and nothing can be asked of it: one that never was read stays so.
    pub(super) fn denied(&mut self) {
        if matches!(self.state, MeterState::Silent | MeterState::Unreachable) {
            self.state = MeterState::Active;
        }
        (self.failures, self.probed) = (0, 0);
        self.probe_at = i64::MIN;
    }

    /// Did not answer: the next attempt comes later each time.
    pub(super) fn failed(&mut self, retries: u32, no: MeterNo, now_ms: i64) {
        if self.failures == 0 {
            self.away_since = now_ms;
        }
        self.failures = self.failures.saturating_add(1);
        let wait = match self.failures.checked_sub(retries + 1) {
            None => RETRY_MS << (self.failures - 1).min(8),
            Some(probes) => (PROBE_MS << probes.saturating_add(self.probed).min(8)).min(LONGEST_MS),
        };
        self.probe_at = now_ms.saturating_add(wait + jitter(no, self.failures, wait / 4));
        if self.is_commissioned() && self.state != MeterState::New {
            // Who could not be reached before a start is not asked about anew: it stays so until it answers.
            let is_unreachable = self.failures > retries || self.state == MeterState::Unreachable;
            self.state = if is_unreachable { MeterState::Unreachable } else { MeterState::Silent };
        }
    }
}

impl Line {
    pub(super) fn new(progress: Progress) -> Self {
        Self { progress, has_read: false, refusals: 0, not_before: i64::MIN, place: None }
    }

    pub(super) fn worked(&mut self) {
        self.refusals = 0;
        self.not_before = i64::MIN;
    }

    /// The meter answered, but not what was asked.
    pub(super) fn refused(&mut self, no: MeterNo, now_ms: i64) {
        let wait = (REFUSED_MS << self.refusals.min(8)).min(LONGEST_MS);
        self.refusals = self.refusals.saturating_add(1);
        self.not_before = now_ms.saturating_add(wait + jitter(no, self.refusals, wait / 4));
    }
}

/// So that meters which failed together are not tried together: the same in every run.
pub(super) fn jitter(no: MeterNo, n: u32, most: i64) -> i64 {
    let mixed = (u64::from(no.0) << 32 | u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    i64::try_from(mixed >> 33).unwrap_or(0) % most.max(1)
}

const RETRY_MS: i64 = 30_000;
const PROBE_MS: i64 = 900_000;
const REFUSED_MS: i64 = 60_000;
const LONGEST_MS: i64 = 6 * 3_600_000;
