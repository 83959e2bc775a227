//! How long a receiver's module has been on the air of late: what its band allows is kept to, and meters wait.
//!
//! The ledger is of an hour, as EN 300 220 reckons the duty cycle, and begins empty with the process.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wmbus::receiver::Mode;

#[derive(Debug, Default)]
pub(in crate::task) struct Airtime {
    spent: VecDeque<(Instant, Duration)>,
    sum: Duration,
    /// It was told that nothing may be sent.
    is_told: bool,
}

impl Airtime {
    /// Whether the longest frame may still be sent in this mode.
    pub(super) fn has_room(&mut self, mode: Mode, now: Instant) -> bool {
        while let Some((_, time)) = self.spent.front().filter(|(at, _)| now.saturating_duration_since(*at) >= HOUR) {
            self.sum = self.sum.saturating_sub(*time);
            self.spent.pop_front();
        }
        let has_room =
            mode.downlink().is_none_or(|downlink| self.sum + downlink.airtime(LONGEST) <= downlink.share_of(HOUR));
        self.is_told &= !has_room;
        has_room
    }

    /// A frame of so many octets is given to the module.
    pub(super) fn spend(&mut self, mode: Mode, octets: usize, now: Instant) {
        let Some(downlink) = mode.downlink() else { return };
        let time = downlink.airtime(octets);
        self.sum += time;
        self.spent.push_back((now, time));
    }

    /// What is to be said when there is no room; once until there is some again.
    pub(super) fn trouble(&mut self, mode: Mode) -> Option<String> {
        let downlink = mode.downlink().filter(|_| !std::mem::replace(&mut self.is_told, true))?;
        let (sum, share) = (self.sum.as_secs_f64(), f64::from(downlink.per_mille) / 10.0);
        Some(format!(
            "{sum:.1} s of the last hour were sent: {} allow {share} %, so meters are told nothing until there is room",
            downlink.band
        ))
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// Octets of the longest frame, without CRCs.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    #[test]
    fn a_band_is_used_up_and_free_again_after_an_hour() {
        let begin = Instant::now();
        for (mode, most) in [
            (Mode::T2, Duration::from_secs(36)),
            (Mode::C2, Duration::from_secs(360)),
            (Mode::N2b, Duration::from_secs(360)),
        ] {
            let mut airtime = Airtime::default();
            let mut now = begin;
            let mut frames = 0_u32;
            while airtime.has_room(mode, now) {
                airtime.spend(mode, 60, now);
                now += Duration::from_millis(10);
                frames += 1;
            }
            let sent = mode.downlink().unwrap().airtime(60) * frames;
            assert!(sent <= most && sent > most - Duration::from_secs(4), "{mode} {sent:?}");
            let said = airtime.trouble(mode).unwrap();
            assert!(said.contains("until there is room") && airtime.trouble(mode).is_none(), "{said}");
            assert!(!airtime.has_room(mode, begin + HOUR - Duration::from_millis(1)));
            assert!(airtime.has_room(mode, now + HOUR));
            assert_eq!(airtime.sum, Duration::ZERO);
        }
        assert!(Airtime::default().has_room(Mode::C1T1, begin), "nothing is sent in it");
    }
}
