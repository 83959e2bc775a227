//! When a node may send (ITU-T G.9903, 9.3: virtual carrier sense and channel access): what it knows of the medium, and
//! the window out of which it draws its backoff.
//!
//! A node knows that the medium is taken from the control header of a frame that it hears, and for how long. Where the
//! header was lost to a collision, or where nobody acknowledged its own frame, it knows nothing, and leaves the medium
//! alone for as long as the longest frame with its acknowledgement takes (EIFS), unless it understands another header
//! before. While it sends it hears nothing. Not modelled: the window for high priority, macK, macMinCWAttempts (255 in
//! public sample firmware, which is never).

use super::phy::{Medium, Micros};
use crate::sim::random::Random;

/// Of one node on one medium.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contention {
    busy: Busy,
    /// Slots, and how often the medium was busy for the frame that waits.
    window: u64,
    deferred: u8,
}

#[derive(Debug, Clone, Copy, Default)]
struct Busy {
    from: Micros,
    until: Micros,
    /// An end that was assumed.
    is_assumed: bool,
}

impl Default for Contention {
    fn default() -> Self {
        Self { busy: Busy::default(), window: LEAST_WINDOW, deferred: 0 }
    }
}

impl Contention {
    /// With a window as of a new node; what it knows of the medium stays.
    pub(super) fn reset(&mut self) {
        *self = Self { busy: self.busy, ..Self::default() };
    }

    /// A header is understood, whose frame takes the medium with all that follows it.
    pub(super) fn understood(&mut self, from: Micros, until: Micros, now: Micros) {
        let known = Some(self.busy).filter(|busy| busy.until > now);
        let begin = known.map_or(from, |busy| busy.from.min(from));
        let end = known.filter(|busy| !busy.is_assumed).map_or(until, |busy| busy.until.max(until));
        self.busy = Busy { from: begin, until: end, is_assumed: false };
    }

    /// Something was there of which nothing is known, since `since`.
    pub(super) fn lost_track(&mut self, medium: Medium, since: Micros, now: Micros) {
        let until = since + medium.extended_silence();
        if until > self.busy.until.max(now) {
            let from = if self.busy.until > now { self.busy.from } else { since };
            self.busy = Busy { from, until, is_assumed: true };
        }
    }

    pub(super) fn is_busy(&self, now: Micros) -> bool {
        self.busy.from <= now && now < self.busy.until
    }

    /// When the frame that waits is tried.
    pub(super) fn draw(&self, medium: Medium, now: Micros, random: &mut Random) -> Micros {
        let begin = if self.busy.from <= now { self.busy.until.max(now) } else { now };
        begin + medium.silence() + random.under(self.window) * medium.slot()
    }

    /// The medium was busy when the frame was tried: whether it may be tried again. Who has waited for so long that it is
    /// unfair goes on with the shortest window.
    pub(super) fn defer(&mut self) -> bool {
        self.deferred += 1;
        self.window = if self.deferred % FAIRNESS == 0 { LEAST_WINDOW } else { self.widened() };
        self.deferred <= MOST_DEFERRED
    }

    /// Nobody acknowledged the frame.
    pub(super) fn failed(&mut self) {
        (self.window, self.deferred) = (self.widened(), 0);
    }

    /// The frame is through with, or a part of it. The window gets smaller by and by, on a radio at once.
    pub(super) fn succeeded(&mut self, medium: Medium) {
        let less = if medium == Medium::Plc { DECREASE * LEAST_WINDOW } else { MOST_WINDOW };
        (self.window, self.deferred) = (self.window.saturating_sub(less).max(LEAST_WINDOW), 0);
    }

    /// The frame is given up.
    pub(super) fn given_up(&mut self) {
        self.deferred = 0;
    }

    fn widened(&self) -> u64 {
        (2 * self.window).min(MOST_WINDOW)
    }
}

/// Two to the power of macMinBE and of macMaxBE.
const LEAST_WINDOW: u64 = 8;
const MOST_WINDOW: u64 = 256;
/// macMaxCSMABackoffs.
const MOST_DEFERRED: u8 = 50;
/// macCSMAFairnessLimit.
const FAIRNESS: u8 = 25;
/// macA.
const DECREASE: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_assumed_ends_with_the_next_header() {
        let mut contention = Contention::default();
        contention.lost_track(Medium::Plc, 1_000, 1_000);
        assert!(contention.is_busy(200_000) && !contention.is_busy(221_000));
        contention.understood(51_000, 90_000, 50_000);
        assert!(contention.is_busy(50_000) && contention.is_busy(89_999) && !contention.is_busy(90_000));
    }

    #[test]
    fn what_is_known_is_not_forgotten() {
        let mut contention = Contention::default();
        contention.understood(1_390, 500_000, 0);
        contention.lost_track(Medium::Plc, 10_000, 10_000);
        contention.understood(21_390, 100_000, 20_000);
        assert!(contention.is_busy(499_999) && !contention.is_busy(500_000));
    }

    #[test]
    fn who_waits_too_long_begins_again_with_the_shortest_window() {
        let mut contention = Contention::default();
        let windows: Vec<u64> = (0..25).map(|_| (contention.defer(), contention.window).1).collect();
        assert_eq!((windows[0], windows[4], windows[23], windows[24]), (16, 256, 256, 8));
        assert!((25..50).all(|_| contention.defer()) && !contention.defer());
    }

    #[test]
    fn the_window_gets_smaller_by_and_by() {
        let mut contention = Contention::default();
        (0..9).for_each(|_| contention.failed());
        let windows = [0; 4].map(|_: u8| {
            contention.succeeded(Medium::Plc);
            contention.window
        });
        assert_eq!(windows, [192, 128, 64, 8]);
    }
}
