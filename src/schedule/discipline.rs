//! What is done about a meter's clock that is off. The clock never goes back over the end of a slot: its row would be
//! written twice.

use std::time::Duration;

/// From how much on what is done; None is never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Discipline {
    pub shift_above: Option<Duration>,
    pub set_above: Option<Duration>,
    /// Somebody has to look: nothing is done.
    pub alarm_above: Option<Duration>,
}

/// How a clock was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Milliseconds that it is ahead.
    pub ahead_ms: i64,
    /// So much more or less.
    pub uncertain_ms: i64,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    Leave,
    /// By so many seconds.
    Shift(i16),
    Set,
    Alarm,
    /// It would go back over the end of a slot, or nobody knows how far it is off.
    Wait(&'static str),
}

impl Discipline {
    /// `unix` is the meter's own time in seconds, and slots end every `period` seconds.
    pub fn decide(&self, offset: Offset, unix: i64, period: u32) -> Correction {
        let off = Duration::from_millis(offset.ahead_ms.unsigned_abs());
        let is_beyond = |limit: Option<Duration>| limit.is_some_and(|limit| off > limit);
        if is_beyond(self.alarm_above) {
            return Correction::Alarm;
        }
        let is_set = is_beyond(self.set_above);
        if !is_set && !is_beyond(self.shift_above) {
            return Correction::Leave;
        }
        let least = self.shift_above.into_iter().chain(self.set_above).min().unwrap_or_default();
        if Duration::from_millis(offset.uncertain_ms.unsigned_abs()) > least {
            return Correction::Wait("the answer took too long to say how far");
        }
        let seconds = (offset.ahead_ms + offset.ahead_ms.signum() * 500) / 1_000;
        let period = i64::from(period.max(1));
        // The correction may come a moment later, and the clock goes on meanwhile.
        if seconds > 0 && (unix + MARGIN).div_euclid(period) != (unix - seconds).div_euclid(period) {
            return Correction::Wait("it would go back over the end of a slot");
        }
        match i16::try_from(-seconds) {
            Ok(shift @ -900..=900) if !is_set => Correction::Shift(shift),
            _ => Correction::Set,
        }
    }
}

/// Seconds until a correction is there, at most.
const MARGIN: i64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[track_caller]
    fn check(ahead_ms: i64, uncertain_ms: i64, unix: i64, expected: Correction) {
        let discipline = Discipline {
            shift_above: Some(2 * SECOND),
            set_above: Some(60 * SECOND),
            alarm_above: Some(3_600 * SECOND),
        };
        assert_eq!(discipline.decide(Offset { ahead_ms, uncertain_ms }, unix, 900), expected);
    }

    #[test]
    fn a_clock_is_shifted_set_or_left_to_people_by_how_far_it_is_off() {
        check(1_900, 100, 450, Correction::Leave);
        check(-1_900, 100, 450, Correction::Leave);
        check(-2_600, 100, 450, Correction::Shift(3));
        check(2_400, 100, 450, Correction::Shift(-2));
        check(61_000, 100, 450, Correction::Set);
        check(-600_000, 100, 450, Correction::Set);
        check(3_600_001, 100, 450, Correction::Alarm);
        check(5_000, 2_001, 450, Correction::Wait("the answer took too long to say how far"));
        let nothing = Discipline::default();
        assert_eq!(nothing.decide(Offset { ahead_ms: 86_400_000, uncertain_ms: 0 }, 450, 900), Correction::Leave);
    }

    #[test]
    fn no_clock_goes_back_over_the_end_of_a_slot() {
        let wait = Correction::Wait("it would go back over the end of a slot");
        check(5_000, 100, 903, wait);
        check(5_000, 100, 899, wait);
        check(5_000, 100, 905, Correction::Shift(-5));
        check(-5_000, 100, 899, Correction::Shift(5));
        check(1_000_000, 100, 450, wait);
        check(-1_000_000, 100, 450, Correction::Set);
    }
}
