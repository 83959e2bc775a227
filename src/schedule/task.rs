//! What is to be read again and again: one task for many meters.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::grid::Grid;

/// One task of the configuration, as far as it is about when.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub id: Box<str>,
    pub grid: Grid,
    pub reach: Reach,
    pub priority: Priority,
    pub window: Option<Window>,
    /// Seconds from the end of a slot until its row is there to be read.
    pub delay: u32,
    /// Seconds over which the meters' first attempts for a slot are spread.
    pub spread: u32,
    /// Slots that one exchange may ask for.
    pub at_once: u32,
    /// Rows are written when something happens: a slot without one is as good as one with several.
    pub is_sparse: bool,
}

/// Which slots can still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The meter keeps them: so many of the last ones are filled in.
    Back(u32),
    /// Only the state of now can be read: a slot that was missed stays missed.
    Latest,
}

/// Who goes first, the first one first. What is asked on demand goes before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Events,
    Billing,
    Profile,
    Firmware,
}

/// The time of the day in which a task may run. An end before the begin is of the next morning.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub from: Time,
    pub to: Time,
    pub zone: TimeZone,
}

impl Window {
    /// The first moment from `utc_ms` on in which the window is open.
    pub fn next_open(&self, utc_ms: i64) -> i64 {
        let Ok(at) = Timestamp::from_millisecond(utc_ms) else { return utc_ms };
        let civil = self.zone.to_datetime(at);
        if self.holds(civil.time()) {
            return utc_ms;
        }
        let days = if civil.time() < self.from { 0 } else { 1 };
        let date = civil.date().checked_add(days.days()).unwrap_or(civil.date());
        let opens = self.zone.to_timestamp(date.to_datetime(self.from));
        opens.map_or(utc_ms, |opens| opens.as_millisecond().max(utc_ms))
    }

    fn holds(&self, time: Time) -> bool {
        match self.from <= self.to {
            true => (self.from..self.to).contains(&time),
            false => time >= self.from || time < self.to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: i8, to: i8, at: &str, expected: &str) {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let window = Window { from: Time::constant(from, 0, 0, 0), to: Time::constant(to, 0, 0, 0), zone };
        let at = at.parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(Timestamp::from_millisecond(window.next_open(at)).unwrap(), expected.parse().unwrap());
    }

    #[test]
    fn a_window_opens_on_the_next_day_where_it_is_over() {
        check(1, 5, "2026-01-10T02:00:00Z", "2026-01-10T02:00:00Z");
        check(1, 5, "2026-01-09T23:00:00Z", "2026-01-10T00:00:00Z");
        check(1, 5, "2026-01-10T04:00:00Z", "2026-01-11T00:00:00Z");
        check(1, 5, "2026-01-10T03:59:59Z", "2026-01-10T03:59:59Z");
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        check(22, 5, "2026-01-10T22:30:00Z", "2026-01-10T22:30:00Z");
        check(22, 5, "2026-01-10T03:30:00Z", "2026-01-10T03:30:00Z");
        check(22, 5, "2026-01-10T04:00:00Z", "2026-01-10T21:00:00Z");
        // Summer time begins in this night.
        check(22, 5, "2026-03-29T03:30:00Z", "2026-03-29T20:00:00Z");
    }
}
