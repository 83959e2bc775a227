//! Sets of sequences as merged ranges, bounded: where there are too many, the lowest are forgotten.

use std::collections::BTreeMap;

/// Sequences that belong to the set, as disjoint ranges that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// First of each range, and its last.
    ranges: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds a range; both ends included.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        while let Some((&low, &high)) = self.ranges.range(..=last.saturating_add(1)).next_back() {
            if high.saturating_add(1) < first {
                break;
            }
            self.ranges.remove(&low);
            first = first.min(low);
            last = last.max(high);
        }
        self.ranges.insert(first, last);
        if self.ranges.len() > MOST {
            self.ranges.pop_first();
        }
    }

    /// The lowest part of the range that is not in the set.
    pub(super) fn hole(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        let start = match self.ranges.range(..=first).next_back() {
            Some((_, &high)) if high >= first => high.checked_add(1)?,
            _ => first,
        };
        if start > last {
            return None;
        }
        let end = match self.ranges.range(start..).next() {
            Some((&low, _)) => last.min(low - 1),
            None => last,
        };
        Some((start, end))
    }

    pub(super) fn contains(&self, first: u64, last: u64) -> bool {
        self.hole(first, last).is_none()
    }
}

/// Consumers that share a subscription leave holes as many as they are, not as many as there are batches.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(insert: &[(u64, u64)], expected: &[(u64, u64)]) {
        let mut ranges = Ranges::default();
        for &(first, last) in insert {
            ranges.insert(first, last);
        }
        assert_eq!(ranges.ranges.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        check(&[(1, 3), (4, 6)], &[(1, 6)]);
        check(&[(4, 6), (1, 3)], &[(1, 6)]);
        check(&[(1, 3), (5, 6)], &[(1, 3), (5, 6)]);
        check(&[(1, 3), (5, 6), (4, 4)], &[(1, 6)]);
        check(&[(2, 3), (5, 6), (8, 9), (1, 20)], &[(1, 20)]);
        check(&[(1, 20), (5, 6)], &[(1, 20)]);
        check(&[(3, 2)], &[]);
        check(&[(u64::MAX, u64::MAX), (1, u64::MAX)], &[(1, u64::MAX)]);
    }

    #[test]
    fn a_hole_is_the_lowest_part_outside() {
        let mut ranges = Ranges::default();
        ranges.insert(3, 5);
        ranges.insert(9, 9);
        for (first, last, hole) in [
            (3, 5, None),
            (4, 4, None),
            (1, 5, Some((1, 2))),
            (4, 9, Some((6, 8))),
            (4, 7, Some((6, 7))),
            (9, 12, Some((10, 12))),
            (20, 30, Some((20, 30))),
        ] {
            assert_eq!(ranges.hole(first, last), hole, "{first}..={last}");
        }
    }

    #[test]
    fn a_set_stays_bounded() {
        let mut ranges = Ranges::default();
        for n in 0..5000 {
            ranges.insert(n * 2, n * 2);
        }
        assert_eq!(ranges.ranges.len(), MOST);
        assert!(ranges.contains(9998, 9998));
    }
}
