//! Profiles of any length: rows are computed when they are asked for, and are always the same.

use std::ops::Range;

use super::{MeterClock, SplitMix};
use crate::Data;
use crate::apdu::CaptureObject;
use crate::data::{Encoder, Items};
use crate::time::Date;

/// A value that rises for ever, each step between one and two times its slope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Curve {
    pub start: u64,
    /// For each quarter of an hour.
    pub slope: u32,
    pub seed: u64,
}

/// What a column captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    Clock,
    /// A status octet as IDIS has it.
    Status,
    Value(Curve),
    /// Always the same: what null-data compression is for.
    Constant(u32),
}

/// When a row is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cadence {
    /// Every so many seconds of UTC.
    Seconds(u32),
    /// At local midnight.
    Daily,
    /// At local midnight of the first day.
    Monthly,
}

#[derive(Debug, Clone)]
pub struct ProfileModel {
    pub columns: Vec<(CaptureObject, Capture)>,
    pub cadence: Cadence,
    /// The first row there ever was, seconds since 1970 UTC.
    pub begin: i64,
    /// Rows that are kept.
    pub entries: u32,
    pub quirks: Quirks,
}

/// How meters in the field differ from the standard.
#[derive(Debug, Clone, Default)]
pub struct Quirks {
    /// The clock is sent in the first row only, and after a gap.
    pub null_clock: bool,
    /// What did not change is null.
    pub null_values: bool,
    /// The supply was away: no rows within, and one more at its end, whose stamp is the moment itself.
    pub outages: Vec<Range<i64>>,
    /// Each so many rows, one lacks its last column; 0 is never.
    pub short_each: u32,
    /// Each so many rows, one has a null more; 0 is never.
    pub long_each: u32,
    /// Stamps are so many seconds late.
    pub late_seconds: i64,
}

/// A row that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The end of its interval, seconds since 1970 UTC.
    pub(super) end: i64,
    /// The supply came back then.
    pub(super) is_power_up: bool,
}

impl Curve {
    /// The value at a moment.
    pub const fn at(&self, unix: i64) -> u64 {
        let step = unix.div_euclid(900) as u64;
        let more = SplitMix::mix(self.seed ^ step) % (self.slope as u64 + 1);
        self.start.wrapping_add(step.wrapping_mul(self.slope as u64)).wrapping_add(more)
    }
}

impl ProfileModel {
    /// The rows between two moments, both included, that there are at `now`.
    pub(super) fn slots(&self, clock: &MeterClock, from: i64, to: i64, now: i64) -> Vec<Slot> {
        let first = self.first(clock, now).max(from);
        let last = to.min(now);
        let mut slots = Vec::new();
        // Nor is a calendar asked for the far future.
        if first > last {
            return slots;
        }
        let mut end = self.at_or_after(clock, first);
        while end <= last {
            if !self.quirks.outages.iter().any(|outage| outage.contains(&end)) {
                slots.push(Slot { end, is_power_up: false });
            }
            end = self.at_or_after(clock, end + 1);
        }
        for outage in &self.quirks.outages {
            if (first..=last).contains(&outage.end) {
                slots.push(Slot { end: outage.end, is_power_up: true });
            }
        }
        slots.sort_by_key(|slot| (slot.end, !slot.is_power_up));
        slots.dedup_by_key(|slot| slot.end);
        slots
    }

    /// The end of the oldest interval that is kept.
    fn first(&self, clock: &MeterClock, now: i64) -> i64 {
        let kept = i64::from(self.entries.max(1)) - 1;
        match self.cadence {
            Cadence::Seconds(period) => {
                let period = i64::from(period.max(1));
                self.begin.max(now.div_euclid(period) * period - kept * period)
            }
            Cadence::Daily => {
                let (offset, _) = clock.zone.at(now);
                let days = (now + 60 * i64::from(offset)).div_euclid(86_400) - kept;
                self.begin.max(clock.zone.unix(days * 86_400))
            }
            Cadence::Monthly => self.begin.max(now - (kept + 1) * 31 * 86_400),
        }
    }

    /// The end of the first interval that ends at this moment or later.
    fn at_or_after(&self, clock: &MeterClock, unix: i64) -> i64 {
        let (offset, _) = clock.zone.at(unix);
        let day = (unix + 60 * i64::from(offset)).div_euclid(86_400);
        match self.cadence {
            Cadence::Seconds(period) => {
                let period = i64::from(period.max(1));
                (unix + period - 1).div_euclid(period) * period
            }
            Cadence::Daily => (day..).map(|day| clock.zone.unix(day * 86_400)).find(|end| *end >= unix).unwrap_or(unix),
            Cadence::Monthly => (day..)
                .filter(|day| Date::from_days(*day).day == 1)
                .map(|day| clock.zone.unix(day * 86_400))
                .find(|end| *end >= unix)
                .unwrap_or(unix),
        }
    }

    /// The period that attribute 4 says, in seconds.
    pub const fn period(&self) -> u32 {
        match self.cadence {
            Cadence::Seconds(period) => period,
            Cadence::Daily => 86_400,
            Cadence::Monthly => 0,
        }
    }

    /// Writes rows, of each the columns in `columns`.
    pub(super) fn write(&self, clock: &MeterClock, slots: &[Slot], columns: &[usize], out: &mut Encoder) {
        out.array(slots.len());
        let mut before: Option<&Slot> = None;
        for (place, slot) in slots.iter().enumerate() {
            let number = place as u32 + 1;
            let is_short = self.quirks.short_each > 0 && number % self.quirks.short_each == 0;
            let is_long = !is_short && self.quirks.long_each > 0 && number % self.quirks.long_each == 0;
            let count = columns.len() - usize::from(is_short && columns.len() > 1);
            out.structure(count + usize::from(is_long));
            for column in columns.iter().take(count) {
                let Some((_, capture)) = self.columns.get(*column) else { continue };
                self.cell(clock, slot, before, *capture, out);
            }
            if is_long {
                out.put(Data::NullData);
            }
            // A short row does not say what its last column was: nothing after it may lean on it.
            before = if is_short { None } else { Some(slot) };
        }
    }

    fn cell(&self, clock: &MeterClock, slot: &Slot, before: Option<&Slot>, capture: Capture, out: &mut Encoder) {
        match capture {
            Capture::Clock => {
                let is_next = before.is_some_and(|before| {
                    !before.is_power_up && !slot.is_power_up && slot.end - before.end == i64::from(self.period())
                });
                // Nor at a change-over: the deviation would be wrong.
                let is_same = before.is_some_and(|before| clock.zone.at(before.end) == clock.zone.at(slot.end));
                if self.quirks.null_clock && is_next && is_same {
                    out.put(Data::NullData);
                } else {
                    let late = if slot.is_power_up { 0 } else { self.quirks.late_seconds };
                    out.date_time(clock.date_time(slot.end + late));
                }
            }
            capture => {
                let value = |slot: &Slot| match capture {
                    Capture::Value(curve) => Data::Long64Unsigned(curve.at(slot.end)),
                    Capture::Constant(value) => Data::DoubleLongUnsigned(value),
                    _ => {
                        let (_, is_summer) = clock.zone.at(slot.end);
                        let (summer, power) = (u8::from(is_summer) << 3, u8::from(slot.is_power_up) << 7);
                        Data::Unsigned(summer | power | u8::from(clock.is_invalid) << 1)
                    }
                };
                let is_same = before.is_some_and(|before| value(before) == value(slot));
                out.put(if self.quirks.null_values && is_same { Data::NullData } else { value(slot) });
            }
        }
    }

    /// Places of the columns that a selection names; None where one is not there.
    pub(super) fn columns_named(&self, selected: Items<'_>) -> Option<Vec<usize>> {
        if selected.len() == 0 {
            return Some((0..self.columns.len()).collect());
        }
        selected
            .map(|column| {
                let wanted = CaptureObject::try_from(column).ok()?;
                self.columns.iter().position(|(object, _)| *object == wanted)
            })
            .collect()
    }
}
