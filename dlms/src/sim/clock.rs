//! The clock of an emulated meter: it drifts, it is set, and it knows summer time.

use crate::DateTime;
use crate::time::{ClockStatus, Date, DeviationSign};

/// Milliseconds since 1970-01-01 UTC of true time come in; the meter's own go out.
#[derive(Debug, Clone)]
pub struct MeterClock {
    pub zone: Zone,
    pub sign: DeviationSign,
    /// How much faster than true time it goes, in millionths.
    pub drift_ppm: i32,
    /// It does not know better: bit 0 of the clock status.
    pub is_invalid: bool,
    offset_ms: i64,
    /// When the offset was true.
    since_ms: i64,
}

/// Minutes that local time is ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    pub standard_minutes: i16,
    /// An hour more from the last Sunday of March to the last Sunday of October, 01:00 UTC.
    pub has_summer_time: bool,
}

impl Zone {
    pub const UTC: Self = Self { standard_minutes: 0, has_summer_time: false };
    pub const CENTRAL_EUROPE: Self = Self { standard_minutes: 60, has_summer_time: true };

    /// Minutes ahead of UTC at this moment, and whether it is summer.
    pub fn at(self, unix: i64) -> (i16, bool) {
        let year = Date::from_days(unix.div_euclid(86_400)).year;
        let is_summer = self.has_summer_time && (change_over(year, 3)..change_over(year, 10)).contains(&unix);
        (self.standard_minutes + if is_summer { 60 } else { 0 }, is_summer)
    }

    /// The moment of this local time; of two, the earlier one.
    pub fn unix(self, local: i64) -> i64 {
        let summer = local - 60 * (i64::from(self.standard_minutes) + 60);
        if self.at(summer).1 { summer } else { local - 60 * i64::from(self.standard_minutes) }
    }
}

/// The last Sunday of a month of 31 days, 01:00 UTC.
fn change_over(year: u16, month: u8) -> i64 {
    let last = Date { year, month, day: 31, day_of_week: 0xff }.days().unwrap_or_default();
    let weekday = i64::from(Date::from_days(last).day_of_week % 7);
    (last - weekday) * 86_400 + 3600
}

impl MeterClock {
    pub const fn new(zone: Zone) -> Self {
        Self { zone, sign: DeviationSign::Dlms, drift_ppm: 0, is_invalid: false, offset_ms: 0, since_ms: 0 }
    }

    /// It is wrong by so much, from this moment on.
    pub const fn misset(&mut self, offset_ms: i64, true_ms: i64) {
        self.offset_ms = offset_ms;
        self.since_ms = true_ms;
    }

    /// How wrong it is, in milliseconds.
    pub fn error_ms(&self, true_ms: i64) -> i64 {
        let elapsed = if self.since_ms == 0 { 0 } else { true_ms - self.since_ms };
        self.offset_ms + elapsed * i64::from(self.drift_ppm) / 1_000_000
    }

    /// Seconds since 1970 UTC as the meter has them.
    pub fn unix(&self, true_ms: i64) -> i64 {
        (true_ms + self.error_ms(true_ms)).div_euclid(1000)
    }

    /// A moment of the meter's own as the meter writes it.
    pub fn date_time(&self, unix: i64) -> DateTime {
        let (offset, is_summer) = self.zone.at(unix);
        let status = u8::from(self.is_invalid) | if is_summer { 0x80 } else { 0 };
        DateTime::from_unix(unix, offset, self.sign, ClockStatus(status))
    }

    /// The moment that a date and time mean; without a deviation they are local time.
    pub fn moment(&self, date_time: &DateTime) -> Option<i64> {
        match date_time.deviation {
            Some(_) => date_time.unix_seconds(self.sign),
            None => Some(self.zone.unix(date_time.local_seconds()?)),
        }
    }

    /// Set to a moment of the meter's own.
    pub const fn set(&mut self, unix: i64, true_ms: i64) {
        self.misset(unix * 1000 - true_ms, true_ms);
        self.is_invalid = false;
    }

    /// Moved by so many seconds.
    pub fn shift(&mut self, seconds: i64, true_ms: i64) {
        self.misset(self.error_ms(true_ms) + seconds * 1000, true_ms);
    }
}
