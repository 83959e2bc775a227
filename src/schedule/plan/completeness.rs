//! How much of a task was read, of all meters and of those that answer.

use super::Schedule;
use crate::schedule::meter::MeterState;
use crate::schedule::progress::Tally;

/// How much of a task was read in a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Completeness {
    /// Of all commissioned meters.
    pub all: Tally,
    /// Of those that answer.
    pub reachable: Tally,
}

impl Schedule {
    /// Of the slots of a task that end after `from` and not after `to`, seconds UTC.
    pub fn completeness(&self, task: usize, from: i64, to: i64) -> Completeness {
        let mut sum = Completeness::default();
        let Some(said) = self.tasks.get(task) else { return sum };
        let slots = said.grid.last_ended(from) + 1..=said.grid.last_ended(to);
        for meter in self.meters.values().filter(|meter| meter.is_commissioned()) {
            let Some(line) = meter.line(task) else { continue };
            let tally = line.progress.tally(slots.clone());
            sum.all += tally;
            if meter.state == MeterState::Active {
                sum.reachable += tally;
            }
        }
        sum
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.expected += other.expected;
        self.settled += other.settled;
    }
}
