//! Judges the unit's clock from samples: is it synchronised, was it, and since when is this boot dated.

use std::time::Duration;

use crate::reading::TimeQuality;

/// Who sets the clock, and so whom to believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The kernel says whether somebody disciplines the clock (adjtimex).
    Kernel,
    /// The system clock is taken as right: containers, simulations.
    Trusted,
}

/// One look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds of CLOCK_BOOTTIME.
    pub boot_ms: u64,
    /// Milliseconds since 1970 UTC.
    pub utc_ms: i64,
    /// The kernel's word: STA_UNSYNC is not set.
    pub is_disciplined: bool,
}

/// The first moment of this boot at which the time was right: it dates all records of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    pub boot_ms: u64,
    pub utc_ms: i64,
}

/// Remembers what earlier samples said.
#[derive(Debug, Clone)]
pub struct Judge {
    source: Source,
    holdover: Duration,
    /// Seconds since 1970 UTC before which no right clock can be.
    floor: i64,
    last_right_boot_ms: Option<u64>,
    anchor: Option<Anchor>,
}

impl Judge {
    /// `floor`: the build's time or the last time the unit remembers, whichever is later. A clock before it is wrong,
    /// whoever says otherwise. For `holdover` after the last synchronisation the clock still counts as held over.
    pub fn new(source: Source, holdover: Duration, floor: i64) -> Self {
        Self { source, holdover, floor, last_right_boot_ms: None, anchor: None }
    }

    /// The quality at this sample; with the first right one of the boot also the anchor.
    pub fn judge(&mut self, sample: Sample) -> (TimeQuality, Option<Anchor>) {
        let is_possible = sample.utc_ms.div_euclid(1000) >= self.floor;
        let is_right = is_possible && (self.source == Source::Trusted || sample.is_disciplined);
        if is_right {
            self.last_right_boot_ms = Some(sample.boot_ms);
            let is_first = self.anchor.is_none();
            let anchor = *self.anchor.get_or_insert(Anchor { boot_ms: sample.boot_ms, utc_ms: sample.utc_ms });
            return (TimeQuality::Synchronised, is_first.then_some(anchor));
        }
        let held = self.last_right_boot_ms.map(|right| Duration::from_millis(sample.boot_ms.saturating_sub(right)));
        match held {
            Some(age) if is_possible && age <= self.holdover => (TimeQuality::Holdover, None),
            _ => (TimeQuality::Unsynchronised, None),
        }
    }

    pub fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: i64 = 1_700_000_000;
    const RIGHT: i64 = 1_800_000_000_000;

    fn judge(source: Source) -> Judge {
        Judge::new(source, Duration::from_secs(60), FLOOR)
    }

    #[track_caller]
    fn check(judge: &mut Judge, boot_s: u64, utc_ms: i64, is_disciplined: bool, expected: TimeQuality, anchors: bool) {
        let sample = Sample { boot_ms: boot_s * 1000, utc_ms, is_disciplined };
        let (quality, anchor) = judge.judge(sample);
        assert_eq!(quality, expected);
        assert_eq!(anchor, anchors.then_some(Anchor { boot_ms: boot_s * 1000, utc_ms }));
    }

    #[test]
    fn the_first_synchronisation_dates_the_boot_once() {
        let mut judge = judge(Source::Kernel);
        check(&mut judge, 1, 1_000, false, TimeQuality::Unsynchronised, false);
        check(&mut judge, 2, RIGHT, false, TimeQuality::Unsynchronised, false);
        check(&mut judge, 3, RIGHT, true, TimeQuality::Synchronised, true);
        check(&mut judge, 4, RIGHT + 1_000, true, TimeQuality::Synchronised, false);
    }

    #[test]
    fn a_clock_that_lost_its_source_is_held_over_for_a_while() {
        let mut judge = judge(Source::Kernel);
        check(&mut judge, 1, RIGHT, true, TimeQuality::Synchronised, true);
        check(&mut judge, 61, RIGHT, false, TimeQuality::Holdover, false);
        check(&mut judge, 62, RIGHT, false, TimeQuality::Unsynchronised, false);
        check(&mut judge, 63, RIGHT, true, TimeQuality::Synchronised, false);
    }

    #[test]
    fn a_clock_before_the_floor_is_wrong_whoever_vouches_for_it() {
        for source in [Source::Kernel, Source::Trusted] {
            let mut judge = judge(source);
            check(&mut judge, 1, 86_400_000, true, TimeQuality::Unsynchronised, false);
            check(&mut judge, 2, FLOOR * 1000, true, TimeQuality::Synchronised, true);
            check(&mut judge, 3, 0, true, TimeQuality::Unsynchronised, false);
        }
    }
}
