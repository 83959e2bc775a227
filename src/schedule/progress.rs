//! What was read of one meter's slots: a watermark up to which nothing is missing, and bits for what is above it.
//!
//! A slot is settled when its row was read, or when the meter has no row for it (it had no power, or it had not been
//! there). Only settled slots let the watermark rise; what is not settled within the horizon is given up and counted.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use bytes::{Buf, BufMut};

use super::grid::Slot;
use super::number::{number, put_number, put_signed, signed};

/// The slots of one meter and one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The first slot that counts.
    first: Slot,
    /// Every slot before this one is settled or given up.
    watermark: Slot,
    /// A bit a slot, from the watermark's word on; none is set below the watermark, and the last word has one.
    words: VecDeque<u64>,
    /// Slots that the meter has no row for.
    absent: u64,
    /// Slots that were given up.
    lost: u64,
}

/// How many slots of a range are what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub expected: u64,
    pub settled: u64,
}

impl Progress {
    /// Nothing is read, and `first` is the first that will be.
    pub fn new(first: Slot) -> Self {
        Self { first, watermark: first, words: VecDeque::new(), absent: 0, lost: 0 }
    }

    /// The first slot that is not settled.
    pub fn watermark(&self) -> Slot {
        self.watermark
    }

    pub fn lost(&self) -> u64 {
        self.lost
    }

    pub fn absent(&self) -> u64 {
        self.absent
    }

    /// The newest slot that is settled; None where none is.
    pub fn newest(&self) -> Option<Slot> {
        let top = self.words.iter().rposition(|word| *word != 0);
        let above = top.and_then(|place| {
            let word = self.words.get(place)?;
            let begin = (self.watermark.div_euclid(64) + i64::try_from(place).ok()?) * 64;
            Some(begin + 63 - i64::from(word.leading_zeros()))
        });
        let below = (self.watermark > self.first).then(|| self.watermark - 1);
        above.max(below)
    }

    pub fn is_settled(&self, slot: Slot) -> bool {
        slot < self.watermark || self.word(slot).is_some_and(|word| word & bit(slot) != 0)
    }

    /// Notes that a row was read; false where it had been before, so that it is not told twice.
    pub fn read(&mut self, slot: Slot) -> bool {
        if slot < self.first || self.is_settled(slot) {
            return false;
        }
        self.settle(slot)
    }

    /// Notes that the meter has no row for a slot.
    pub fn has_none(&mut self, slot: Slot) {
        if slot >= self.first && !self.is_settled(slot) && self.settle(slot) {
            self.absent += 1;
        }
    }

    /// Settles what is settled in another one, as far as that counts there: so nothing is told twice by who has both.
    pub fn join(&mut self, other: &Self) {
        let Some(newest) = other.newest() else { return };
        for slot in self.watermark.max(other.first)..=newest {
            if other.is_settled(slot) && !self.is_settled(slot) {
                self.settle(slot);
            }
        }
    }

    /// Gives up what is not settled before `horizon`.
    pub fn give_up_before(&mut self, horizon: Slot) {
        while self.watermark < horizon {
            let next = self.next_missing(horizon);
            self.raise(next);
            if self.watermark < horizon {
                self.lost += 1;
                let given_up = self.watermark;
                self.settle(given_up);
            }
        }
    }

    /// The newest run of slots up to `until` that is not settled, of at most `longest` slots.
    pub fn newest_missing(&self, until: Slot, longest: u32) -> Option<RangeInclusive<Slot>> {
        let until = until.min(self.watermark.saturating_add(FURTHEST));
        let last = (self.watermark..=until).rev().find(|slot| !self.is_settled(*slot))?;
        let least = last.saturating_sub(i64::from(longest.max(1)) - 1).max(self.watermark);
        let first = (least..last).rev().take_while(|slot| !self.is_settled(*slot)).last().unwrap_or(last);
        Some(first..=last)
    }

    /// Of the slots in `range` that count.
    pub fn tally(&self, range: RangeInclusive<Slot>) -> Tally {
        let (begin, end) = (*range.start().max(&self.first), *range.end());
        if end < begin {
            return Tally::default();
        }
        let settled = (begin..=end).filter(|slot| self.is_settled(*slot)).count() as u64;
        Tally { expected: end.abs_diff(begin) + 1, settled }
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        put_signed(out, self.first);
        put_number(out, self.watermark.abs_diff(self.first));
        put_number(out, self.absent);
        put_number(out, self.lost);
        put_number(out, self.words.len() as u64);
        for word in &self.words {
            out.put_u64_le(*word);
        }
    }

    /// None where the octets are not what was written.
    pub fn parse(buf: &mut &[u8]) -> Option<Self> {
        let first = signed(buf)?;
        let watermark = first.checked_add_unsigned(number(buf)?)?;
        let (absent, lost, count) = (number(buf)?, number(buf)?, number(buf)?);
        let mut words = VecDeque::new();
        for _ in 0..count {
            words.push_back(buf.try_get_u64_le().ok()?);
        }
        Some(Self { first, watermark, words, absent, lost })
    }

    /// The same of what versions before this wrote.
    pub(super) fn parse_wide(buf: &mut &[u8]) -> Option<Self> {
        let first = buf.try_get_i64_le().ok()?;
        let watermark = buf.try_get_i64_le().ok()?;
        let absent = buf.try_get_u64_le().ok()?;
        let lost = buf.try_get_u64_le().ok()?;
        let count = buf.try_get_u32_le().ok()?;
        let words = (0..count).map_while(|_| buf.try_get_u64_le().ok()).collect::<VecDeque<_>>();
        let is_whole = watermark >= first && words.len() == count as usize;
        let mut progress = is_whole.then_some(Self { first, watermark, words, absent, lost })?;
        progress.trim();
        Some(progress)
    }

    fn word(&self, slot: Slot) -> Option<u64> {
        self.words.get(self.place(slot)?).copied()
    }

    fn place(&self, slot: Slot) -> Option<usize> {
        usize::try_from(slot.div_euclid(64) - self.watermark.div_euclid(64)).ok()
    }

    /// False for a slot that is too far ahead to be meant.
    fn settle(&mut self, slot: Slot) -> bool {
        let Some(place) = self.place(slot).filter(|place| *place < LONGEST) else { return false };
        if self.words.len() <= place {
            self.words.resize(place + 1, 0);
        }
        if let Some(word) = self.words.get_mut(place) {
            *word |= bit(slot);
        }
        if slot == self.watermark {
            let next = self.next_missing(Slot::MAX);
            self.raise(next);
        }
        true
    }

    /// The first slot from the watermark on that is not settled, `limit` at most.
    fn next_missing(&self, limit: Slot) -> Slot {
        let mut slot = self.watermark;
        while slot < limit && self.is_settled(slot) {
            slot += 1;
        }
        slot
    }

    fn raise(&mut self, watermark: Slot) {
        let gone = watermark.div_euclid(64) - self.watermark.div_euclid(64);
        let gone = usize::try_from(gone).unwrap_or(0).min(self.words.len());
        self.words.drain(..gone);
        self.watermark = watermark;
        self.trim();
    }

    /// What is below the watermark needs no bits, and what is not settled at the end no words.
    fn trim(&mut self) {
        if let Some(word) = self.words.front_mut() {
            *word &= u64::MAX << self.watermark.rem_euclid(64);
        }
        while self.words.back() == Some(&0) {
            self.words.pop_back();
        }
    }
}

fn bit(slot: Slot) -> u64 {
    1 << slot.rem_euclid(64)
}

/// Words from the watermark's on: 65,536 slots, 682 days of quarters.
const LONGEST: usize = 1_024;
const FURTHEST: Slot = 64 * (LONGEST as Slot - 1);

#[cfg(test)]
impl Progress {
    /// As versions before this wrote it: bits below the watermark were kept.
    pub(super) fn emit_wide(&self, out: &mut Vec<u8>) {
        out.put_i64_le(self.first);
        out.put_i64_le(self.watermark);
        out.put_u64_le(self.absent);
        out.put_u64_le(self.lost);
        out.put_u32_le(self.words.len().max(1) as u32 + 1);
        let below = !(u64::MAX << self.watermark.rem_euclid(64));
        out.put_u64_le(self.words.front().copied().unwrap_or(0) | below);
        self.words.iter().skip(1).for_each(|word| out.put_u64_le(*word));
        out.put_u64_le(0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_watermark_rises_over_what_is_settled() {
        let mut progress = Progress::new(100);
        assert!(progress.read(101) && progress.read(102));
        assert_eq!(progress.watermark(), 100);
        assert_eq!(progress.newest_missing(104, 96), Some(103..=104));
        assert_eq!(progress.newest_missing(102, 96), Some(100..=100));
        progress.has_none(100);
        assert_eq!((progress.watermark(), progress.absent()), (103, 1));
        assert!(!progress.read(101), "it was told");
        assert!(!progress.read(99), "it does not count");
        assert_eq!(progress.tally(90..=104), Tally { expected: 5, settled: 3 });
    }

    #[test]
    fn a_long_gap_is_read_in_pieces_from_its_newest_end() {
        let mut progress = Progress::new(0);
        let mut pieces = Vec::new();
        while let Some(range) = progress.newest_missing(249, 96) {
            pieces.push((*range.start(), *range.end()));
            range.for_each(|slot| assert!(progress.read(slot)));
        }
        assert_eq!(pieces, [(154, 249), (58, 153), (0, 57)]);
        assert!(progress.words.len() <= 1, "{}", progress.words.len());
    }

    #[test]
    fn what_is_too_old_is_given_up_and_counted() {
        let mut progress = Progress::new(0);
        progress.read(5);
        progress.give_up_before(10);
        assert_eq!((progress.watermark(), progress.lost()), (10, 9));
        progress.give_up_before(10);
        assert_eq!(progress.lost(), 9);
    }

    #[test]
    fn what_another_one_has_told_is_not_told_again_and_what_it_never_wanted_is() {
        // It was read from 100 on: up to 109, and 112; nobody asked it for what was before.
        let mut other = Progress::new(100);
        (100..=109).chain([112]).for_each(|slot| assert!(other.read(slot)));
        let mut progress = Progress::new(90);
        (90..=95).chain([104]).for_each(|slot| assert!(progress.read(slot)));
        progress.join(&other);
        let missing: Vec<_> = (90..=114).filter(|slot| !progress.is_settled(*slot)).collect();
        assert_eq!(missing, [96, 97, 98, 99, 110, 111, 113, 114]);
        let before = progress.clone();
        progress.join(&Progress::new(500));
        assert_eq!(progress, before, "nothing was told there");
    }

    #[test]
    fn a_row_of_the_far_future_is_refused() {
        let mut progress = Progress::new(0);
        assert!(!progress.read(Slot::MAX));
        assert!(!progress.read(64 * 1_024));
        assert!(progress.read(64 * 1_024 - 1));
    }

    proptest! {
        #[test]
        fn it_says_what_a_set_says_also_when_it_was_written_and_read(
            first in -100_i64..100,
            steps in prop::collection::vec((0_i64..150, 0_u8..8), 0..60),
        ) {
            let mut progress = Progress::new(first);
            let mut settled = BTreeSet::new();
            for (ahead, what) in steps {
                let slot = first + ahead;
                match what {
                    0 => { progress.has_none(slot); settled.insert(slot); }
                    1 => {
                        progress.give_up_before(first + ahead / 4);
                        settled.extend(first..first + ahead / 4);
                    }
                    _ => prop_assert_eq!(progress.read(slot), settled.insert(slot)),
                }
                for slot in first..first + 150 {
                    prop_assert_eq!(progress.is_settled(slot), settled.contains(&slot));
                }
                prop_assert_eq!(progress.newest(), settled.last().copied());
                let newest = (first..first + 150).rev().find(|slot| !settled.contains(slot));
                prop_assert_eq!(progress.newest_missing(first + 149, 96).map(|range| *range.end()), newest);
                let mut out = Vec::new();
                progress.emit(&mut out);
                prop_assert_eq!(Progress::parse(&mut out.as_slice()), Some(progress.clone()));
            }
        }

        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(progress) = Progress::parse(&mut octets.as_slice()) {
                prop_assert!(progress.watermark() >= progress.first);
            }
        }
    }
}
