//! Times a meter says and times we hear. Calendar arithmetic stays with `jiff`; here are the plain facts.

use std::fmt;

/// A civil date as the meter sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

impl fmt::Display for CivilDate {
    /// ISO 8601: `2025-12-31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A civil time as the meter sent it; `second` is None where its format has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilTime {
    pub date: CivilDate,
    pub hour: u8,
    pub minute: u8,
    pub second: Option<u8>,
}

impl fmt::Display for CivilTime {
    /// ISO 8601 without a zone: `2025-12-31T23:59`, with seconds where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{:02}:{:02}", self.date, self.hour, self.minute)?;
        self.second.map_or(Ok(()), |second| write!(f, ":{second:02}"))
    }
}

/// The meter's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeterTime {
    pub civil: CivilTime,
    pub status: ClockStatus,
    /// Seconds since 1970 UTC, only where the conversion is known.
    pub utc: Option<i64>,
}

/// What the meter says of its clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockStatus {
    /// The meter marks its time invalid.
    pub invalid: bool,
    /// The meter says that summer time is in force; None where it does not say.
    pub summer_time: Option<bool>,
}

/// When the unit heard it. Nothing depends on a guess: boot identity and boot time are always right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub boot_id: [u8; 16],
    /// Milliseconds of CLOCK_BOOTTIME.
    pub boot_ms: u64,
    /// Milliseconds since 1970 UTC by the unit's clock; what it is worth, `quality` says.
    pub utc_ms: i64,
    pub quality: TimeQuality,
}

/// What the unit's clock was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeQuality {
    /// Never set since this boot: only boot time counts, a later `TimeAnchor` dates it.
    Unsynchronised,
    /// Was synchronised, the source is gone.
    Holdover,
    Synchronised,
}
