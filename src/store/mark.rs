//! Small values beside the records, by name: how far somebody had come with a commit. A mark is durable with the records
//! it was handed over with, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut};

use super::database::{Change, Database, Room};
use super::value::{Kind, frame, unframe};
use super::{StoreError, View};

/// A name and its value.
pub type Mark = (Vec<u8>, Vec<u8>);

/// All marks, and which of them are not on disk as they are.
#[derive(Debug, Default)]
pub(super) struct Marks {
    known: BTreeMap<Vec<u8>, Vec<u8>>,
    changed: BTreeSet<Vec<u8>>,
    /// Rises with each change, so that salvage knows the newest.
    version: u64,
}

impl Marks {
    pub(super) fn load(db: &Database) -> Result<Self, StoreError> {
        let mut marks = Self::default();
        db.scan(Room::States, &FIRST, &END, |_, value| {
            if let Some((version, name, value)) = unframe(Kind::Mark, value).and_then(parse) {
                marks.version = marks.version.max(version);
                marks.known.insert(name.to_vec(), value.to_vec());
            }
            true
        })?;
        Ok(marks)
    }

    pub(super) fn set(&mut self, marks: Vec<Mark>) {
        for (name, value) in marks {
            // What is there already, or is about to be, is not written again.
            if self.known.get(&name) != Some(&value) {
                self.changed.insert(name.clone());
                self.known.insert(name, value);
            }
        }
    }

    /// How many are to be written.
    pub(super) fn waiting(&self) -> usize {
        self.changed.len()
    }

    /// None is on disk any more.
    pub(super) fn lost(&mut self) {
        self.changed = self.known.keys().cloned().collect();
    }

    /// What is to be written.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        let named = changed.iter().filter_map(|name| Some((name, self.known.get(name)?)));
        self.version += 1;
        named.map(|(name, value)| change(self.version, name, value)).collect()
    }
}

/// Version, name and value of a mark's body.
pub(super) fn parse(body: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let mut buf = body;
    let version = buf.try_get_u64_le().ok()?;
    let length = usize::from(buf.try_get_u8().ok()?);
    let (name, value) = buf.split_at_checked(length)?;
    Some((version, name, value))
}

pub(super) fn change(version: u64, name: &[u8], value: &[u8]) -> Change {
    let mut body = Vec::with_capacity(9 + name.len() + value.len());
    body.put_u64_le(version);
    body.put_u8(name.len() as u8);
    body.put_slice(name);
    body.put_slice(value);
    Change::put(Room::States, &key(name), frame(Kind::Mark, &body))
}

impl View {
    /// Durable marks whose name begins so.
    pub(super) fn marks(&self, prefix: &[u8]) -> Result<Vec<Mark>, StoreError> {
        let mut marks = Vec::new();
        self.database()?.scan(Room::States, &key(prefix), &END, |_, value| {
            let found = unframe(Kind::Mark, value).and_then(parse);
            let found = found.filter(|(_, name, _)| name.starts_with(prefix));
            marks.extend(found.map(|(_, name, value)| (name.to_vec(), value.to_vec())));
            found.is_some()
        })?;
        Ok(marks)
    }
}

/// Behind the lanes' states.
fn key(name: &[u8]) -> Vec<u8> {
    [&FIRST, name].concat()
}

/// The longest name and value that are taken.
pub(super) const NAME_LIMIT: usize = 64;
pub(super) const VALUE_LIMIT: usize = 12 << 10;
const FIRST: [u8; 1] = [2];
const END: [u8; 1] = [3];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_changed_is_not_written_again() {
        let mut marks = Marks::default();
        let mark = |value: &[u8]| vec![(b"far:a".to_vec(), value.to_vec())];
        for (value, written) in [(b"one", 1), (b"one", 0), (b"two", 1)] {
            marks.set(mark(value));
            assert_eq!((marks.waiting(), marks.changes().len(), marks.waiting()), (written, written, 0));
        }
        marks.lost();
        assert_eq!(marks.changes().len(), 1);
    }
}
