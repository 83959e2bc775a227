//! A fleet of meters and its timetable: who speaks next, when, and what of it the head-end must get to see.
//!
//! It decides and does not wait; time comes in as an argument. The same seed gives the same meters and telegrams.

mod meter;
mod register;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

pub use meter::{Kind, Meter, Protection, Utterance};

use crate::reading::CivilTime;
use wmbus::sim::random::Random;

#[derive(Debug)]
pub struct Fleet {
    meters: Vec<Meter>,
    /// When each meter speaks next.
    timetable: BinaryHeap<Reverse<(Instant, usize)>>,
    /// The mean time between two telegrams of one meter; None for the natural one of its kind.
    interval: Option<Duration>,
    random: Random,
}

impl Fleet {
    /// `count` meters that together speak `rate` times a second, or each at the pace of its kind.
    pub fn new(count: usize, rate: Option<f64>, seed: u64, now: Instant) -> Self {
        let meters: Vec<_> = (0..count).map(|index| Meter::new(index, fork(seed, index as u64))).collect();
        let mut random = fork(seed, u64::MAX);
        let interval = rate.and_then(|rate| Duration::try_from_secs_f64(count as f64 / rate).ok());
        let timetable = meters
            .iter()
            .enumerate()
            .map(|(index, meter)| {
                // Everybody is heard soon, and nobody together.
                let interval = interval.unwrap_or(meter.kind.interval()).min(FIRST_WITHIN);
                Reverse((now + part(interval, random.below(1_000)), index))
            })
            .collect();
        Self { meters, timetable, interval, random }
    }

    pub fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// When the next telegram is due; None in an empty fleet.
    pub fn due(&self) -> Option<Instant> {
        self.timetable.peek().map(|Reverse((due, _))| *due)
    }

    /// Shifts the whole timetable: what was held up is not made up for.
    pub fn postpone(&mut self, by: Duration) {
        let meters = std::mem::take(&mut self.timetable);
        self.timetable = meters.into_iter().map(|Reverse((due, index))| Reverse((due + by, index))).collect();
    }

    /// The next telegram in the timetable, due or not. `clock` is what the meters' clocks show.
    pub fn speak(&mut self, clock: CivilTime) -> Option<(&Meter, Utterance)> {
        let Reverse((due, index)) = self.timetable.pop()?;
        let meter = self.meters.get_mut(index)?;
        let interval = self.interval.unwrap_or(meter.kind.interval());
        // Plus or minus a tenth: collisions of two meters do not repeat.
        let next = due + part(interval, 900 + self.random.below(201));
        self.timetable.push(Reverse((next, index)));
        let utterance = meter.speak(clock, &mut self.random);
        Some((meter, utterance))
    }
}

/// A generator of its own for one part of the simulation.
pub fn fork(seed: u64, part: u64) -> Random {
    let label = Random::new(part).next_u64();
    Random::new(seed ^ label)
}

/// A seed nobody chose, short enough to be typed again.
pub fn random_seed() -> std::io::Result<u64> {
    getrandom::u32().map(u64::from).map_err(|error| std::io::Error::other(error.to_string()))
}

/// So many thousandths of a duration.
fn part(duration: Duration, thousandths: u64) -> Duration {
    Duration::from_nanos((duration.as_nanos() as u64 / 1_000).saturating_mul(thousandths))
}

const FIRST_WITHIN: Duration = Duration::from_secs(10);
