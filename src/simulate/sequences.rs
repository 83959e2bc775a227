//! Sets of sequence numbers, held as ranges.

use std::collections::BTreeMap;

/// A set of sequence numbers. What is inserted mostly in order takes next to no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequences {
    /// First to last, both included; ranges neither touch nor overlap.
    ranges: BTreeMap<u64, u64>,
}

impl Sequences {
    /// Adds `first` to `last`; returns how many of them are new.
    pub fn insert(&mut self, first: u64, last: u64) -> u64 {
        if last < first {
            return 0;
        }
        let (mut begin, mut end) = (first, last);
        let mut known = 0;
        // Every range that overlaps or touches, from the last that begins before the end.
        while let Some((&from, &to)) = self.ranges.range(..=end.saturating_add(1)).next_back() {
            if to.saturating_add(1) < begin {
                break;
            }
            known += overlap(first, last, from, to);
            begin = begin.min(from);
            end = end.max(to);
            self.ranges.remove(&from);
        }
        self.ranges.insert(begin, end);
        last - first + 1 - known
    }

    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// How many of these are not in `other`.
    pub fn missing_in(&self, other: &Self) -> u64 {
        let shared: u64 = self
            .ranges
            .iter()
            .map(|(&first, &last)| {
                let before = other.ranges.range(..=last).rev();
                before
                    .take_while(|(_, to)| **to >= first)
                    .map(|(from, to)| overlap(first, last, *from, *to))
                    .sum::<u64>()
            })
            .sum();
        self.count() - shared
    }
}

fn overlap(first: u64, last: u64, from: u64, to: u64) -> u64 {
    let (begin, end) = (first.max(from), last.min(to));
    if begin > end { 0 } else { end - begin + 1 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_numbers(
            rows in proptest::collection::vec((0u64..60, 0u64..6), 0..30),
            others in proptest::collection::vec((0u64..60, 0u64..6), 0..30),
        ) {
            let build = |rows: &[(u64, u64)]| {
                let (mut sequences, mut set) = (Sequences::default(), BTreeSet::new());
                for (first, more) in rows {
                    let before = set.len();
                    set.extend(*first..=first + more);
                    assert_eq!(sequences.insert(*first, first + more), (set.len() - before) as u64);
                }
                (sequences, set)
            };
            let (sequences, set) = build(&rows);
            let (other, other_set) = build(&others);
            prop_assert_eq!(sequences.count(), set.len() as u64);
            prop_assert_eq!(sequences.missing_in(&other), set.difference(&other_set).count() as u64);
        }
    }

    #[test]
    fn in_order_it_is_one_range() {
        let mut sequences = Sequences::default();
        assert_eq!((1..=1_000).map(|n| sequences.insert(n, n)).sum::<u64>(), 1_000);
        assert_eq!(sequences.ranges.len(), 1);
        assert_eq!(sequences.insert(u64::MAX, u64::MAX), 1);
        assert_eq!(sequences.insert(5, 4), 0);
    }
}
