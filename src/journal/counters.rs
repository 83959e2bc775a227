//! Counters that must never be given out twice: reserved ahead in blocks, durable before use.
//!
//! After a restart a counter goes on behind its reserved block. Damaged counters are never lowered.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use super::{Journal, JournalError, sync_parent};

/// Counters by name (a system title, a meter address).
#[derive(Debug)]
pub struct Counters {
    journal: Journal,
    block: u64,
    counters: BTreeMap<Vec<u8>, Counter>,
    entries: usize,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    next: u64,
    /// First value that is not reserved yet.
    reserved: u64,
}

impl Counters {
    /// Opens the file or makes it. `block` values are reserved at once; it is at least one.
    ///
    /// # Errors
    /// `Damaged`: the caller decides on `salvage`.
    pub fn open(path: &Path, block: u64) -> Result<Self, JournalError> {
        let (journal, recovered) = Journal::open(path, KIND)?;
        let entries = recovered.entries.len();
        let mut counters = BTreeMap::new();
        for entry in &recovered.entries {
            let Some((name, reserved)) = parse(entry) else {
                return Err(JournalError::Damaged { path: path.to_owned(), offset: 0 });
            };
            raise(&mut counters, name, reserved);
        }
        Ok(Self { journal, block: block.max(1), counters, entries })
    }

    /// Makes counters of what is left of a damaged file, which stays beside as `.damaged`. Every counter that is
    /// found is raised by as many blocks as may have been lost, never lowered. A counter of which nothing is left
    /// begins at zero: the caller asks its meter.
    ///
    /// # Errors
    /// The disk failed; the damaged file is still there.
    pub fn salvage(path: &Path, block: u64) -> Result<Self, JournalError> {
        let (entries, strange) = Journal::salvage(path)?;
        let lost = strange / SHORTEST_ENTRY + 1;
        let mut counters = BTreeMap::new();
        for (name, reserved) in entries.iter().filter_map(|entry| parse(entry)) {
            raise(&mut counters, name, reserved.saturating_add(lost.saturating_mul(block.max(1))));
        }
        let mut aside = path.as_os_str().to_owned();
        aside.push(".damaged");
        let aside = PathBuf::from(aside);
        fs::copy(path, &aside).map_err(JournalError::io("copy", path))?;
        sync_parent(path).map_err(JournalError::io("copy", path))?;
        fs::remove_file(path).map_err(JournalError::io("remove", path))?;
        let (journal, _) = Journal::open(path, KIND)?;
        let mut salvaged = Self { journal, block: block.max(1), counters, entries: 0 };
        salvaged.compact()?;
        Ok(salvaged)
    }

    /// The next value of a counter, never given out before. Zero is the first.
    ///
    /// # Errors
    /// The reservation could not be made durable: the value must not be used, and is not given out.
    pub fn next(&mut self, name: &[u8]) -> Result<u64, JournalError> {
        let counter = self.counters.get(name).copied().unwrap_or(Counter { next: 0, reserved: 0 });
        if counter.next >= counter.reserved {
            self.reserve(name, counter.next.saturating_add(self.block))?;
        }
        match self.counters.get_mut(name) {
            Some(counter) => {
                counter.next += 1;
                Ok(counter.next - 1)
            }
            None => Ok(counter.next),
        }
    }

    /// The next `count` values, never given out before.
    ///
    /// # Errors
    /// The reservation could not be made durable: none of them is given out.
    pub fn take(&mut self, name: &[u8], count: u64) -> Result<Range<u64>, JournalError> {
        self.prepare(name, count)?;
        let next = self.peek(name);
        Ok(self.take_reserved(name, count).unwrap_or(next..next))
    }

    /// Reserves the next `count` values where they are not, so that [`Self::take_reserved`] gives them.
    ///
    /// # Errors
    /// The reservation could not be made durable.
    pub fn prepare(&mut self, name: &[u8], count: u64) -> Result<(), JournalError> {
        if self.is_prepared(name, count) {
            return Ok(());
        }
        self.reserve(name, self.peek(name).saturating_add(count).saturating_add(self.block))
    }

    /// Whether the next `count` values are reserved.
    pub fn is_prepared(&self, name: &[u8], count: u64) -> bool {
        self.counters.get(name).is_some_and(|counter| counter.next.saturating_add(count) <= counter.reserved)
    }

    /// [`Self::take`] where nothing has to be written for it; None where something has.
    pub fn take_reserved(&mut self, name: &[u8], count: u64) -> Option<Range<u64>> {
        let counter = self.counters.get_mut(name)?;
        let end = counter.next.checked_add(count).filter(|end| *end <= counter.reserved)?;
        Some(std::mem::replace(&mut counter.next, end)..end)
    }

    /// Makes sure that the next value is not below `at_least`. Never lowers a counter.
    ///
    /// # Errors
    /// The reservation could not be made durable.
    pub fn raise(&mut self, name: &[u8], at_least: u64) -> Result<(), JournalError> {
        let current = self.counters.get(name).copied().unwrap_or(Counter { next: 0, reserved: 0 });
        if at_least > current.next {
            if at_least > current.reserved {
                self.reserve(name, at_least.saturating_add(self.block))?;
            }
            if let Some(counter) = self.counters.get_mut(name) {
                counter.next = at_least;
            }
        }
        Ok(())
    }

    /// The value that `next` would give out.
    pub fn peek(&self, name: &[u8]) -> u64 {
        self.counters.get(name).map_or(0, |counter| counter.next)
    }

    fn reserve(&mut self, name: &[u8], reserved: u64) -> Result<(), JournalError> {
        self.journal.append(&emit(name, reserved))?;
        self.entries += 1;
        let next = self.peek(name);
        self.counters.insert(name.to_vec(), Counter { next, reserved });
        if self.entries > COMPACT_BEYOND + 4 * self.counters.len() {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<(), JournalError> {
        let entries: Vec<_> = self.counters.iter().map(|(name, counter)| emit(name, counter.reserved)).collect();
        self.journal.compact(entries.iter().map(Vec::as_slice))?;
        self.entries = entries.len();
        Ok(())
    }
}

/// What was reserved may have been given out: the counter goes on behind it.
fn raise(counters: &mut BTreeMap<Vec<u8>, Counter>, name: &[u8], reserved: u64) {
    let counter = counters.entry(name.to_vec()).or_insert(Counter { next: 0, reserved: 0 });
    counter.reserved = counter.reserved.max(reserved);
    counter.next = counter.reserved;
}

fn emit(name: &[u8], reserved: u64) -> Vec<u8> {
    let mut entry = Vec::with_capacity(8 + name.len());
    entry.put_u64_le(reserved);
    entry.put_slice(name);
    entry
}

fn parse(entry: &[u8]) -> Option<(&[u8], u64)> {
    let mut buf = entry;
    let reserved = buf.try_get_u64_le().ok()?;
    Some((buf, reserved))
}

const KIND: [u8; 3] = *b"cnt";
/// Entries beside the counters themselves before the file is rewritten.
const COMPACT_BEYOND: usize = 256;
/// Octets of an entry with an empty name.
const SHORTEST_ENTRY: u64 = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_values_need_no_writing() {
        let directory = tempfile::tempdir().unwrap();
        let mut counters = Counters::open(&directory.path().join("counters"), 100).unwrap();
        assert_eq!(counters.take_reserved(b"a", 4), None);
        counters.prepare(b"a", 4).unwrap();
        assert_eq!(counters.take_reserved(b"a", 4), Some(0..4));
        assert_eq!(counters.take_reserved(b"a", 100), Some(4..104));
        assert_eq!(counters.take_reserved(b"a", 1), None);
        assert_eq!(counters.take(b"a", 1).unwrap(), 104..105);
    }

    #[test]
    fn no_value_is_given_out_twice_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        let mut last = None;
        for round in 0..20 {
            let mut counters = Counters::open(&path, 10).unwrap();
            for _ in 0..=round {
                let value = counters.next(b"meter").unwrap();
                assert!(last.is_none_or(|last| value > last), "{value} after {last:?}");
                last = Some(value);
            }
        }
    }

    #[test]
    fn a_counter_is_raised_and_never_lowered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        let mut counters = Counters::open(&path, 5).unwrap();
        counters.raise(b"a", 1000).unwrap();
        counters.raise(b"a", 7).unwrap();
        assert_eq!(counters.next(b"a").unwrap(), 1000);
        assert_eq!(counters.next(b"b").unwrap(), 0);
        assert!(Counters::open(&path, 5).unwrap().next(b"a").unwrap() > 1000);
    }

    #[test]
    fn values_taken_together_are_given_out_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        let mut counters = Counters::open(&path, 10).unwrap();
        assert_eq!((counters.take(b"x", 4).unwrap(), counters.take(b"x", 40).unwrap()), (0..4, 4..44));
        assert_eq!(counters.next(b"x").unwrap(), 44);
        assert!(Counters::open(&path, 10).unwrap().take(b"x", 1).unwrap().start > 44);
    }

    #[test]
    fn many_reservations_do_not_let_the_file_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        let mut counters = Counters::open(&path, 1).unwrap();
        for n in 0..2000 {
            assert_eq!(counters.next(b"x").unwrap(), n);
        }
        assert!(counters.journal.octets() < 12_000, "{}", counters.journal.octets());
        assert_eq!(Counters::open(&path, 1).unwrap().next(b"x").unwrap(), 2000);
    }

    #[test]
    fn salvage_of_a_damaged_file_gives_out_nothing_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        let mut counters = Counters::open(&path, 3).unwrap();
        let mut last = 0;
        for _ in 0..100 {
            last = counters.next(b"x").unwrap();
        }
        drop(counters);
        let octets = fs::read(&path).unwrap();
        for at in (8..octets.len()).step_by(5) {
            let mut damaged = octets.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(matches!(Counters::open(&path, 3), Err(JournalError::Damaged { .. })));
            assert!(Counters::salvage(&path, 3).unwrap().next(b"x").unwrap() > last, "octet {at}");
            assert!(Counters::open(&path, 3).unwrap().next(b"x").unwrap() > last, "octet {at}");
        }
    }
}
