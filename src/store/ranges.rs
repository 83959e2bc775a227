//! Sets of sequences as merged ranges: what of a lane is acknowledged.

use bytes::{Buf, BufMut};

/// Ranges of sequences, both ends in it, sorted, apart from each other by at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a range; touching ranges become one. Says whether anything was new.
    pub fn insert(&mut self, first: u64, last: u64) -> bool {
        if first > last || self.contains(first, last) {
            return false;
        }
        let from = self.0.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = self.0.partition_point(|(begin, _)| *begin <= last.saturating_add(1));
        let merged = self
            .0
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .fold((first, last), |(first, last), range| (first.min(range.0), last.max(range.1)));
        self.0.splice(from..to, [merged]);
        true
    }

    /// Is every sequence from `first` to `last` in it?
    pub fn contains(&self, first: u64, last: u64) -> bool {
        self.holding(first).is_some_and(|(_, end)| end >= last)
    }

    /// The first sequence at or after `from` that is not in it.
    pub fn first_missing(&self, from: u64) -> u64 {
        self.holding(from).map_or(from, |(_, end)| end.saturating_add(1))
    }

    /// How many sequences from `first` to `last` are in it.
    pub fn count_within(&self, first: u64, last: u64) -> u64 {
        let within = |(begin, end): &(u64, u64)| {
            let (begin, end) = ((*begin).max(first), (*end).min(last));
            if begin > end { 0 } else { end - begin + 1 }
        };
        self.0.iter().map(within).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Appends at most `LIMIT` ranges, the newest; what is left out only has to be acknowledged again.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let kept = self.0.get(self.0.len().saturating_sub(LIMIT)..).unwrap_or_default();
        out.put_u16_le(kept.len() as u16);
        for (first, last) in kept {
            out.put_u64_le(*first);
            out.put_u64_le(*last);
        }
    }

    pub(super) fn parse(buf: &mut &[u8]) -> Option<Self> {
        let count = buf.try_get_u16_le().ok()?;
        let mut ranges = Self::default();
        for _ in 0..count {
            let (first, last) = (buf.try_get_u64_le().ok()?, buf.try_get_u64_le().ok()?);
            ranges.insert(first, last);
        }
        Some(ranges)
    }

    fn holding(&self, sequence: u64) -> Option<(u64, u64)> {
        let at = self.0.partition_point(|(_, end)| *end < sequence);
        self.0.get(at).copied().filter(|(begin, _)| *begin <= sequence)
    }
}

/// Ranges in one value: 4 KiB.
const LIMIT: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_sequences(inserts in proptest::collection::vec((1u64..60, 0u64..9), 0..20), probe in 1u64..70, length in 0u64..9) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (first, length) in inserts {
                let new = (first..=first + length).filter(|n| set.insert(*n)).count();
                prop_assert_eq!(ranges.insert(first, first + length), new > 0);
            }
            prop_assert_eq!(ranges.contains(probe, probe + length), (probe..=probe + length).all(|n| set.contains(&n)));
            prop_assert_eq!(ranges.first_missing(probe), (probe..).find(|n| !set.contains(n)).unwrap());
            prop_assert_eq!(ranges.count_within(probe, probe + length), set.range(probe..=probe + length).count() as u64);
            let all: Vec<u64> = ranges.iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(all, set.into_iter().collect::<Vec<_>>());
            prop_assert!(ranges.iter().zip(ranges.iter().skip(1)).all(|(a, b)| a.1 + 1 < b.0));
            let mut octets = Vec::new();
            ranges.emit(&mut octets);
            prop_assert_eq!(Ranges::parse(&mut octets.as_slice()), Some(ranges));
        }
    }
}
