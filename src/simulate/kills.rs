//! When the service is killed: after random numbers of readings, and then a random moment later.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wmbus::sim::random::Random;

#[derive(Debug)]
pub struct Kills {
    /// Numbers of readings, ascending.
    marks: VecDeque<u64>,
    due: Option<Instant>,
    done: u32,
    random: Random,
}

impl Kills {
    /// `count` kills while `readings` readings are sent.
    pub fn new(count: u32, readings: u64, mut random: Random) -> Self {
        // Not after the last ones: a kill shall have something to interrupt.
        let mut marks: Vec<_> = (0..count).map(|_| 1 + random.below(readings * 49 / 50)).collect();
        marks.sort_unstable();
        Self { marks: marks.into(), due: None, done: 0, random }
    }

    /// So many readings were sent by `now`.
    pub fn sent(&mut self, readings: u64, now: Instant) {
        if self.due.is_none() && self.marks.front().is_some_and(|mark| *mark <= readings) {
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
            kills.sent(readings, now);
            if let Some(due) = kills.due().filter(|due| *due <= now) {
                spread.push(now.duration_since(due));
                kills.done();
            }
        }
        assert_eq!((kills.count(), kills.left()), (50, 0));
        assert!(Kills::new(0, 10, Random::new(1)).due().is_none());
    }
}
