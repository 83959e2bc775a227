//! What is known of a stream of records: which sequences came in which batch.

use std::collections::BTreeMap;
use std::fmt;

use crate::store::{Epoch, Lane};

/// One lane of one life of one unit's buffer: within it a sequence names a record for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    pub utility: String,
    pub dcu: String,
    pub epoch: Epoch,
    pub lane: Lane,
}

impl fmt::Display for Stream {
    /// `acme/dcu-1 epoch 00c0ffee00c0ffee lane mbus`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} epoch {} lane {}", self.utility, self.dcu, self.epoch, self.lane)
    }
}

/// The first 16 octets of a batch's hash: enough to tell it from any other.
pub type BatchId = [u8; 16];

/// Shortens a batch's hash.
pub fn batch_id(hash: &[u8; 32]) -> BatchId {
    let mut id = BatchId::default();
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    id
}

/// The sequences of one stream that are durable, with the batch each came in.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// By first sequence; never overlapping.
    runs: BTreeMap<u64, Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    last: u64,
    batch: BatchId,
}

/// Sequences came before, in a batch with another content: somebody altered one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict;

impl Seen {
    /// The parts of `first..=last` that are new.
    pub fn missing(&self, first: u64, last: u64, batch: BatchId) -> Result<Vec<(u64, u64)>, Conflict> {
        let mut missing = Vec::new();
        // None: behind the last sequence there can be.
        let mut next = Some(first);
        let begin = self.runs.range(..=first).next_back().map_or(first, |(begin, _)| *begin);
        for (&begin, run) in self.runs.range(begin..=last).filter(|(_, run)| run.last >= first) {
            if run.batch != batch {
                return Err(Conflict);
            }
            if let Some(next) = next.filter(|next| *next < begin) {
                missing.push((next, begin - 1));
            }
            next = run.last.checked_add(1);
        }
        if let Some(next) = next.filter(|next| *next <= last) {
            missing.push((next, last));
        }
        Ok(missing)
    }

    /// The first sequence that is here.
    pub fn first(&self) -> Option<u64> {
        self.runs.first_key_value().map(|(first, _)| *first)
    }

    /// What is not here between `begin` and the last sequence that is.
    pub fn holes(&self, begin: u64) -> Vec<(u64, u64)> {
        let mut holes = Vec::new();
        let mut next = begin;
        for (&first, run) in self.runs.range(begin..) {
            if first > next {
                holes.push((next, first - 1));
            }
            next = run.last.saturating_add(1);
        }
        holes
    }

    /// Notes sequences that [`Seen::missing`] called new.
    pub fn insert(&mut self, first: u64, last: u64, batch: BatchId) {
        let before = self
            .runs
            .range(..first)
            .next_back()
            .filter(|(_, run)| run.last.checked_add(1) == Some(first) && run.batch == batch);
        let begin = before.map_or(first, |(begin, _)| *begin);
        self.runs.insert(begin, Run { last, batch });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: BatchId = [1; 16];
    const B: BatchId = [2; 16];

    #[track_caller]
    fn check(inserted: &[(u64, u64, BatchId)], asked: (u64, u64, BatchId), expected: Result<&[(u64, u64)], Conflict>) {
        let mut seen = Seen::default();
        for &(first, last, batch) in inserted {
            seen.insert(first, last, batch);
        }
        assert_eq!(seen.missing(asked.0, asked.1, asked.2), expected.map(<[_]>::to_vec));
    }

    #[test]
    fn only_what_did_not_come_before_is_new() {
        check(&[], (1, 10, A), Ok(&[(1, 10)]));
        check(&[(1, 10, A)], (1, 10, A), Ok(&[]));
        check(&[(1, 10, A)], (11, 20, B), Ok(&[(11, 20)]));
        check(&[(11, 20, A)], (1, 10, B), Ok(&[(1, 10)]));
        // A writer that was cut off left half of a batch.
        check(&[(1, 4, A)], (1, 10, A), Ok(&[(5, 10)]));
        check(&[(1, 2, A), (3, 4, A), (7, 8, A)], (1, 10, A), Ok(&[(5, 6), (9, 10)]));
        check(&[(u64::MAX, u64::MAX, A)], (u64::MAX, u64::MAX, A), Ok(&[]));
    }

    #[test]
    fn the_same_sequences_in_another_batch_are_a_conflict() {
        check(&[(1, 10, A)], (1, 10, B), Err(Conflict));
        check(&[(1, 10, A)], (10, 12, B), Err(Conflict));
        check(&[(5, 6, A)], (1, 10, B), Err(Conflict));
        check(&[(1, 10, A), (11, 20, B)], (5, 15, A), Err(Conflict));
    }
}
