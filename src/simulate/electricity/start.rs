//! When virtual time begins, and how quickly it passes.

use std::time::{Duration, Instant};

use crate::clock::Pace;

/// When virtual time began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulate) struct Start {
    pub(in crate::simulate) at: Instant,
    pub(in crate::simulate) pace: Pace,
}

impl Start {
    /// Time that begins at `at`, when the kernel's clock says `real_ms`; a day takes `day`. With a change-over to come
    /// it begins twelve hours before that, else at the kernel's time.
    pub(in crate::simulate) fn new(at: Instant, real_ms: i64, day: Duration, has_change_over: bool) -> Self {
        let start = match has_change_over {
            true => next_change_over(real_ms.div_euclid(1_000) + HALF_DAY) - HALF_DAY,
            false => real_ms.div_euclid(1_000),
        };
        let speed = (86_400.0 / day.as_secs_f64()).round().max(1.0) as u32;
        Self { at, pace: Pace { real_ms, start_ms: start * 1_000, speed, has_mesh: false } }
    }

    /// Time as it is.
    pub(in crate::simulate) const fn real(at: Instant, real_ms: i64) -> Self {
        Self { at, pace: Pace { real_ms, start_ms: real_ms, speed: 1, has_mesh: false } }
    }

    /// The meters' time, seconds since 1970 UTC.
    pub(in crate::simulate) fn unix(&self, at: Instant) -> i64 {
        let passed = at.saturating_duration_since(self.at).as_millis() as i64;
        self.pace.at(self.pace.real_ms + passed).div_euclid(1_000)
    }
}

/// The next change-over of the emulated meters' zone, seconds since 1970 UTC.
fn next_change_over(after: i64) -> i64 {
    let zone = dlms::sim::Zone::CENTRAL_EUROPE;
    let hour = after.div_euclid(3_600) + 1;
    // Two a year: the loop ends.
    (hour..hour + 9_000).map(|hour| hour * 3_600).find(|at| zone.at(*at) != zone.at(*at - 1)).unwrap_or(after)
}

const HALF_DAY: i64 = 43_200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_overs_are_found() {
        // 2026-11-21: the next ones are 2027-03-28 and 2027-10-31, 01:00 UTC.
        assert_eq!(next_change_over(1_795_219_200), 1_806_195_600);
        assert_eq!(next_change_over(1_806_195_600), 1_824_944_400);
    }
}
