//! What became of the routes of a network, over restarts: an append file of bounded length.
//!
//! An entry of the file holds any number of changes, 14 octets each (`plc::route::Entry`). When the file is twice as long
//! as all that is known, it is written anew.

use std::path::Path;

use plc::route::{Change, ENTRIES, Entry, Routes};

use crate::journal::{Journal, JournalError};

/// The file, and what is not in it yet.
#[derive(Debug)]
pub struct RouteLog {
    journal: Journal,
    unwritten: Vec<u8>,
}

impl RouteLog {
    /// Opens the file in this directory or makes it, and tells the routes what it held; blocks.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(directory: &Path, routes: &mut Routes) -> Result<Self, JournalError> {
        let path = directory.join("routes");
        let (journal, recovered) = Journal::open(&path, KIND)?;
        let mut changes = Vec::new();
        for entry in &recovered.entries {
            let mut buf = entry.as_slice();
            while !buf.is_empty() {
                let change = Entry::parse(&mut buf);
                changes.push(change.ok_or_else(|| JournalError::Damaged { path: path.clone(), offset: 0 })?);
            }
        }
        routes.restore(changes);
        Ok(Self { journal, unwritten: Vec::new() })
    }

    /// Notes a change; [`Self::write`] makes it durable.
    pub fn note(&mut self, change: &Change) {
        // What a disk does not take for hours is lost at its old end.
        if self.unwritten.len() >= ENTRIES * Entry::OCTETS {
            self.unwritten.drain(..Entry::OCTETS);
        }
        change.entry.emit(change.node, &mut self.unwritten);
    }

    pub fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Makes all changes durable; blocks. Every change of these routes was noted before.
    ///
    /// # Errors
    /// They are not, and are kept for the next time.
    pub fn write(&mut self, routes: &Routes) -> Result<(), JournalError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        if self.journal.octets() > LONGEST {
            let mut octets = Vec::new();
            routes.entries().for_each(|(node, entry)| entry.emit(node, &mut octets));
            // It holds what is unwritten too.
            self.journal.compact(octets.chunks(CHUNK))?;
        } else {
            for chunk in self.unwritten.chunks(CHUNK) {
                self.journal.append(chunk)?;
            }
        }
        self.unwritten.clear();
        Ok(())
    }
}

const KIND: [u8; 3] = *b"g3r";
const CHUNK: usize = 1_024 * Entry::OCTETS;
/// Octets at which the file is written anew.
const LONGEST: u64 = 2 * (ENTRIES * Entry::OCTETS) as u64;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use plc::route::{Limits, Now, Way};

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    fn routes() -> Routes {
        Routes::new(Limits::of(3_000, 8), now(0))
    }

    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    fn now(seconds: u32) -> Now {
        Now { mono: Instant::now(), utc_ms: i64::from(seconds) * 1_000 }
    }

    fn told(routes: &Routes) -> Vec<(u16, Entry)> {
        routes.entries().map(|(node, entry)| (node, *entry)).collect()
    }

    #[test]
    fn what_happened_survives_within_bounded_octets() {
        let directory = tempfile::tempdir().unwrap();
        let mut known = routes();
        let mut log = RouteLog::open(directory.path(), &mut known).unwrap();
        for round in 0..60_u16 {
            let way = |node: u16| Way { next_hop: node % 9 + round, hops: 2, cost: 9, weak_links: 0, medium: None };
            known.table((1..=3_000).map(|node| (node, way(node))), now(u32::from(round)));
            while let Some(change) = known.poll_change() {
                log.note(&change);
            }
            log.write(&known).unwrap();
            assert!(log.is_written() && log.journal.octets() < LONGEST * 3 / 2);
        }
        assert_eq!(known.entries().count(), 30_000);
        let mut again = routes();
        RouteLog::open(directory.path(), &mut again).unwrap();
        assert_eq!(told(&again), told(&known));
    }

    #[test]
    fn what_is_no_history_is_not_read_as_one() {
        let directory = tempfile::tempdir().unwrap();
        Journal::open(&directory.path().join("routes"), KIND).unwrap().0.append(&[1, 2, 3]).unwrap();
        assert!(matches!(RouteLog::open(directory.path(), &mut routes()), Err(JournalError::Damaged { .. })));
    }
}
