//! The slots of a task: when each interval ends. A slot has a number, so that a row of slots is a row of bits.
//!
//! Quarters and hours are counted in UTC: a change-over day has 92 or 100 of them without a rule for it. Days and
//! months end by the clock of a zone, at the hour that the commodity has (gas at 06:00).

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// When slots end. Ends are seconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq)]
pub enum Grid {
    /// Every so many seconds, counted from 1970 UTC.
    Every { seconds: u32 },
    /// Once a day at this time of the zone.
    Daily { at: Time, zone: TimeZone },
    /// Once a month on this day, or the month's last where it is shorter.
    Monthly { day: i8, at: Time, zone: TimeZone },
}

/// The number of a slot on its grid.
pub type Slot = i64;

impl Grid {
    /// The last slot that has ended at `utc`.
    pub fn last_ended(&self, utc: i64) -> Slot {
        let guess = match self {
            Self::Every { seconds } => return utc.div_euclid(i64::from(*seconds)),
            Self::Daily { zone, .. } => day_number(civil_date(utc, zone)),
            Self::Monthly { zone, .. } => month_number(civil_date(utc, zone)),
        };
        if self.end(guess) <= utc { guess } else { guess - 1 }
    }

    /// When a slot ends.
    pub fn end(&self, slot: Slot) -> i64 {
        match self {
            Self::Every { seconds } => slot.saturating_mul(i64::from(*seconds)),
            Self::Daily { at, zone } => ended(day(slot), *at, zone),
            Self::Monthly { day, at, zone } => ended(day_of_month(slot, *day), *at, zone),
        }
    }

    /// The slot that a stamp means, which may be off by `tolerance` seconds: meters stamp a row a second late.
    pub fn meant(&self, stamp: i64, tolerance: i64) -> Option<Slot> {
        let slot = self.last_ended(stamp.saturating_add(tolerance));
        (stamp.abs_diff(self.end(slot)) <= tolerance.unsigned_abs()).then_some(slot)
    }

    /// A time from one moment to another, both in it, has to do with this slot.
    pub fn touches(&self, slot: Slot, (from, to): (i64, i64)) -> bool {
        from <= self.end(slot) && to > self.end(slot.saturating_sub(1))
    }

    /// Slots of one day, at most.
    pub fn a_day(&self) -> u32 {
        match self {
            Self::Every { seconds } => 90_000_u32.div_ceil(*seconds).max(1),
            Self::Daily { .. } | Self::Monthly { .. } => 1,
        }
    }
}

fn civil_date(utc: i64, zone: &TimeZone) -> Date {
    zone.to_datetime(timestamp(utc)).date()
}

/// A time that a change-over skips or repeats is taken as `jiff` takes it: later, or the first one.
fn ended(date: Date, at: Time, zone: &TimeZone) -> i64 {
    zone.to_timestamp(date.to_datetime(at)).map_or_else(|_| end_of_times(date), Timestamp::as_second)
}

fn end_of_times(date: Date) -> i64 {
    if date.year() < 1970 { Timestamp::MIN.as_second() } else { Timestamp::MAX.as_second() }
}

fn timestamp(utc: i64) -> Timestamp {
    Timestamp::from_second(utc).unwrap_or(if utc < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn day_number(date: Date) -> Slot {
    EPOCH.until(date).map_or(0, |span| i64::from(span.get_days()))
}

fn day(number: Slot) -> Date {
    let days = i32::try_from(number).unwrap_or(i32::MAX);
    EPOCH.checked_add(days.clamp(-LONGEST, LONGEST).days()).unwrap_or(EPOCH)
}

fn month_number(date: Date) -> Slot {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

fn day_of_month(number: Slot, day: i8) -> Date {
    let year = i16::try_from(number.div_euclid(12)).unwrap_or(1970).clamp(0, 9_998);
    let month = i8::try_from(number.rem_euclid(12) + 1).unwrap_or(1);
    let first = Date::new(year, month, 1).unwrap_or(EPOCH);
    Date::new(year, month, day.max(1)).unwrap_or_else(|_| first.last_of_month())
}

const EPOCH: Date = Date::constant(1970, 1, 1);
/// Days; the calendar ends in the year 9999.
const LONGEST: i32 = 2_900_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn a_change_over_day_has_92_or_100_quarters() {
        let quarters = Grid::Every { seconds: 900 };
        let days = Grid::Daily { at: Time::midnight(), zone: berlin() };
        for (morning, expected) in
            [("2026-03-28T23:00:00Z", 92), ("2026-10-24T22:00:00Z", 100), ("2026-11-20T23:00:00Z", 96)]
        {
            let day = days.last_ended(utc(morning));
            assert_eq!(days.end(day), utc(morning));
            let (begin, end) = (days.end(day), days.end(day + 1));
            assert_eq!(quarters.last_ended(end) - quarters.last_ended(begin), expected, "{morning}");
        }
    }

    #[test]
    fn ends_and_numbers_agree_on_every_grid() {
        let six = Time::constant(6, 0, 0, 0);
        let grids = [
            Grid::Every { seconds: 900 },
            Grid::Every { seconds: 3_600 },
            Grid::Daily { at: six, zone: berlin() },
            Grid::Daily { at: Time::constant(2, 30, 0, 0), zone: berlin() },
            Grid::Monthly { day: 1, at: Time::midnight(), zone: berlin() },
            Grid::Monthly { day: 31, at: six, zone: TimeZone::UTC },
        ];
        for grid in grids {
            let first = grid.last_ended(utc("2024-01-15T12:00:00Z"));
            for slot in first..first + 800 {
                let end = grid.end(slot);
                assert_eq!(grid.last_ended(end), slot, "{grid:?}");
                assert_eq!(grid.last_ended(end - 1), slot - 1, "{grid:?}");
                assert!(grid.end(slot + 1) > end, "{grid:?}");
                assert_eq!(grid.meant(end + 1, 60), Some(slot));
                assert_eq!(grid.meant(end - 60, 60), Some(slot));
                assert_eq!(grid.meant(end + 61, 60), None);
            }
        }
    }

    #[test]
    fn what_a_clock_was_moved_over_has_to_do_with_every_slot_in_it() {
        let grid = Grid::Every { seconds: 900 };
        let touched = |span| (0..5).filter(|slot| grid.touches(*slot, span)).collect::<Vec<_>>();
        assert_eq!(touched((1_000, 1_005)), [2]);
        assert_eq!(touched((1_795, 1_805)), [2, 3]);
        assert_eq!(touched((900, 3_600)), [1, 2, 3, 4]);
        assert_eq!(touched((901, 1_800)), [2]);
    }

    #[test]
    fn the_gas_day_begins_at_six() {
        let gas = Grid::Daily { at: Time::constant(6, 0, 0, 0), zone: berlin() };
        let slot = gas.last_ended(utc("2026-01-15T10:00:00Z"));
        assert_eq!(gas.end(slot), utc("2026-01-15T05:00:00Z"));
        assert_eq!(gas.end(gas.last_ended(utc("2026-07-15T03:59:59Z"))), utc("2026-07-14T04:00:00Z"));
    }

    #[test]
    fn the_31st_is_the_last_day_of_a_shorter_month() {
        let months = Grid::Monthly { day: 31, at: Time::midnight(), zone: TimeZone::UTC };
        let slot = months.last_ended(utc("2026-03-01T00:00:00Z"));
        assert_eq!(months.end(slot), utc("2026-02-28T00:00:00Z"));
    }

    #[test]
    fn numbers_beyond_the_calendar_do_no_harm() {
        let zone = berlin();
        for grid in [
            Grid::Every { seconds: 1 },
            Grid::Daily { at: Time::midnight(), zone: zone.clone() },
            Grid::Monthly { day: 31, at: Time::midnight(), zone },
        ] {
            for slot in [i64::MIN, -1, i64::MAX] {
                let end = grid.end(slot);
                grid.last_ended(end);
                grid.meant(end, 60);
            }
        }
    }
}
