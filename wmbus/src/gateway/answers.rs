//! Which link frames of a meter are answered: whoever repeats a recorded one must not spend the airtime of all others.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::{METERS, SND_IR};
use crate::Address;

/// What was answered lately, by meter.
#[derive(Debug, Default)]
pub(super) struct Answers(BTreeMap<Address, VecDeque<Answer>>);

#[derive(Debug, Clone, Copy)]
struct Answer {
    c_field: u8,
    access_number: u8,
    at: Instant,
}

impl Answers {
    /// Whether this frame is answered; it is noted then.
    pub(super) fn admit(&mut self, meter: &Address, c_field: u8, access_number: u8, now: Instant) -> bool {
        let age = |answer: &Answer| now.saturating_duration_since(answer.at);
        self.0.retain(|_, answers| answers.back().is_some_and(|newest| age(newest) < MEMORY));
        let meter = meter.identity();
        if self.0.len() >= METERS && !self.0.contains_key(&meter) {
            return false;
        }
        let answers = self.0.entry(meter).or_default();
        // A meter that did not hear the answer asks again with a new access number.
        let is_same = |answer: &&Answer| (answer.c_field, answer.access_number) == (c_field, access_number);
        let is_repeated = answers.iter().filter(|answer| age(answer) < MEMORY).any(|answer| is_same(&answer));
        let of_minute = answers.iter().filter(|answer| age(answer) < MINUTE).count();
        if c_field == SND_IR && is_repeated || of_minute >= PER_MINUTE {
            return false;
        }
        if answers.len() >= REMEMBERED {
            answers.pop_front();
        }
        answers.push_back(Answer { c_field, access_number, at: now });
        true
    }

    /// Somebody wants the meter to be bound anew, or not any more.
    pub(super) fn forget(&mut self, meter: &Address) {
        self.0.remove(&meter.identity());
    }
}

/// Answers to one meter in a minute. OMS volume 2 has a meter ask to be bound at least six times, every 30 to 60 seconds:
/// twice as many are for whoever presses its button in between.
const PER_MINUTE: usize = 4;
const MINUTE: Duration = Duration::from_secs(60);
/// So long a frame is known again. At that pace its access number comes again after two hours.
const MEMORY: Duration = Duration::from_secs(3600);
/// Answers to one meter that are known again.
const REMEMBERED: usize = 16;
