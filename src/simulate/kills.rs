//! When the service is killed: at random points of the run, and then a random moment later. How far a run is, is counted in
//! readings that were sent, or where meters are read in milliseconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wmbus::sim::random::Random;

#[derive(Debug)]
pub struct Kills {
    /// Points of the run, ascending.
    marks: VecDeque<u64>,
    due: Option<Instant>,
    done: u32,
    random: Random,
}

impl Kills {
    /// `count` kills in a run of this length.
    pub fn new(count: u32, length: u64, mut random: Random) -> Self {
        // Not at its end: a kill shall have something to interrupt.
        let mut marks: Vec<_> = (0..count).map(|_| 1 + random.below(length * 49 / 50)).collect();
        marks.sort_unstable();
        Self { marks: marks.into(), due: None, done: 0, random }
    }

    /// The run is so far by `now`.
    pub fn pass(&mut self, point: u64, now: Instant) {
        if self.due.is_none() && self.marks.front().is_some_and(|mark| *mark <= point) {
            self.marks.pop_front();
            self.due = Some(now + Duration::from_micros(self.random.below(LATER)));
        }
    }

    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It was done.
    pub fn done(&mut self) {
        self.due = None;
        self.done += 1;
    }

    pub const fn count(&self) -> u32 {
        self.done
    }

    /// Kills that are still to come.
    pub fn left(&self) -> usize {
        self.marks.len() + usize::from(self.due.is_some())
    }
}

/// Microseconds: longer than starting takes, so that starting is interrupted too.
const LATER: u64 = 400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn every_kill_comes_while_readings_are_sent() {
        let mut now = Instant::now();
        let mut kills = Kills::new(50, 10_000, Random::new(1));
        let mut spread = Vec::new();
        for readings in (0..9_900).step_by(5) {
            now += Duration::from_millis(25);
            kills.pass(readings, now);
            if let Some(due) = kills.due().filter(|due| *due <= now) {
                spread.push(now.duration_since(due));
                kills.done();
            }
        }
        assert_eq!((kills.count(), kills.left()), (50, 0));
        assert!(Kills::new(0, 10, Random::new(1)).due().is_none());
    }
}
