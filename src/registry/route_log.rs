//! What became of the routes of a network, over restarts: an append file of bounded length.
//!
//! An entry of the file holds any number of changes, 14 octets each (`plc::route::Entry`). When the file is twice as long
//! as all that is known, it is written anew.
//!
//! A newer version may note what this one does not know: each change begins with its node and its moment and has the same
//! length, so that it is passed over, and written again in its place when the file is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plc::route::{Change, ENTRIES, Entry, Routes};

use crate::journal::{Journal, JournalError};

/// The file, and what is not in it yet.
#[derive(Debug)]
pub struct RouteLog {
    journal: Journal,
    unwritten: Vec<u8>,
    /// What this version does not know, in its order.
    strange: Vec<Strange>,
}

/// A change that a newer version has noted.
#[derive(Debug, Clone, Copy)]
struct Strange {
    node: u16,
    at_s: u32,
    octets: [u8; Entry::OCTETS],
}

impl RouteLog {
    /// Opens the file in this directory or makes it, and tells the routes what it held; blocks. A damaged one is set aside,
    /// and its new name is said. What is whole in it is not taken: behind it may have been that it holds no more.
    ///
    /// # Errors
    /// It cannot be read, or is none of ours: it is left as it is.
    pub fn open(directory: &Path, routes: &mut Routes) -> Result<(Self, Option<PathBuf>), JournalError> {
        let path = directory.join("routes");
        let is_entry = |entry: &[u8]| entry.len() % Entry::OCTETS == 0;
        let (journal, recovered, aside) = Journal::open_or_set_aside(&path, KIND, TOO_LONG, is_entry)?;
        let (mut changes, mut strange) = (Vec::new(), Vec::new());
        for octets in recovered.entries.iter().flat_map(|entry| entry.chunks_exact(Entry::OCTETS)) {
            match Entry::parse(&mut &*octets) {
                Some(change) => changes.push(change),
                None => strange.extend(octets.try_into().ok().map(Strange::of)),
            }
        }
        // Those beyond are the oldest of a file that was written for years.
        strange.drain(..strange.len().saturating_sub(STRANGE));
        routes.restore(changes);
        Ok((Self { journal, unwritten: Vec::new(), strange }, aside))
    }

    /// Changes that this version does not know.
    pub fn strange(&self) -> usize {
        self.strange.len()
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
            // It holds what is unwritten too.
            self.journal.compact(self.all(routes).chunks(CHUNK))?;
        } else {
            for chunk in self.unwritten.chunks(CHUNK) {
                self.journal.append(chunk)?;
            }
        }
        self.unwritten.clear();
        Ok(())
    }
}

impl RouteLog {
    /// All that is known, and what is not where it happened.
    fn all(&self, routes: &Routes) -> Vec<u8> {
        let mut nodes: BTreeMap<u16, Vec<(u32, Vec<u8>)>> = BTreeMap::new();
        for (node, entry) in routes.entries() {
            let mut octets = Vec::with_capacity(Entry::OCTETS);
            entry.emit(node, &mut octets);
            nodes.entry(node).or_default().push((entry.at_s, octets));
        }
        for Strange { node, at_s, octets } in &self.strange {
            let of_node = nodes.entry(*node).or_default();
            let place = of_node.partition_point(|(before_s, _)| before_s <= at_s);
            of_node.insert(place, (*at_s, octets.to_vec()));
        }
        nodes.into_values().flatten().flat_map(|(_, octets)| octets).collect()
    }
}

impl Strange {
    fn of(octets: [u8; Entry::OCTETS]) -> Self {
        let [a, b, c, d, e, f, ..] = octets;
        Self { node: u16::from_be_bytes([a, b]), at_s: u32::from_be_bytes([c, d, e, f]), octets }
    }
}

const KIND: [u8; 3] = *b"g3r";
const CHUNK: usize = 1_024 * Entry::OCTETS;
/// Octets at which the file is written anew.
const LONGEST: u64 = 2 * (ENTRIES * Entry::OCTETS) as u64;
/// Octets that no file of ours has.
const TOO_LONG: u64 = 16 * LONGEST;
/// Changes that this version does not know, and keeps.
const STRANGE: usize = ENTRIES / 4;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use plc::route::{Limits, Now, Way, What, Why};

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
        let (mut log, _) = RouteLog::open(directory.path(), &mut known).unwrap();
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

    /// A change that this version knows.
    fn held(node: u16, at_s: u32) -> Vec<u8> {
        let mut octets = Vec::new();
        Entry { at_s, what: What::Pinned { next_hop: 3 }, why: Why::Asked }.emit(node, &mut octets);
        octets
    }

    #[test]
    fn what_is_damaged_is_set_aside_and_the_next_life_has_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("routes");
        let append = |octets: &[u8]| Journal::open(&path, KIND).unwrap().0.append(octets).unwrap();
        append(&held(5, 7));
        let whole = fs::read(&path).unwrap();
        append(&[1, 2, 3]);
        let longer = fs::read(&path).unwrap();
        let flipped: Vec<u8> = whole.iter().enumerate().map(|(at, octet)| octet ^ u8::from(at == 30)).collect();
        for damaged in [&longer, &flipped, &whole[..5].to_vec(), &b"somebody else's words".to_vec()] {
            fs::write(&path, damaged).unwrap();
            let mut known = routes();
            let (mut log, aside) = RouteLog::open(directory.path(), &mut known).unwrap();
            assert_eq!((&fs::read(aside.unwrap()).unwrap(), known.held()), (damaged, 0));
            log.note(&Change { node: 6, entry: Entry { at_s: 9, what: What::Blacklisted, why: Why::Asked } });
            log.write(&known).unwrap();
            assert_eq!(RouteLog::open(directory.path(), &mut known).unwrap().1, None);
            assert_eq!(known.blacklist().collect::<Vec<_>>(), [6]);
        }
        // Nor is it lost for ever: who puts it back has it back.
        fs::write(&path, &whole).unwrap();
        let mut known = routes();
        assert_eq!(RouteLog::open(directory.path(), &mut known).unwrap().1, None);
        assert_eq!(known.held(), 1);
        for foreign in [&b"DCUj\x01g3o"[..], b"DCUj\x02g3r"] {
            fs::write(&path, foreign).unwrap();
            RouteLog::open(directory.path(), &mut known).unwrap_err();
            assert_eq!(fs::read(&path).unwrap(), foreign);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(RouteLog::open(directory.path(), &mut known), Err(JournalError::Io { .. })));
    }

    #[test]
    fn what_a_newer_version_noted_is_passed_over_and_stays_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("routes");
        // Another kind, another cause, another refusal.
        let strange = |node: u16, at_s, place: usize, number| {
            let mut octets = held(node, at_s);
            (octets[6], octets[place]) = (if place == 8 { 10 } else { 5 }, number);
            octets
        };
        let entries = [
            held(5, 10),
            strange(5, 20, 6, 200),
            held(5, 30),
            strange(9, 5, 7, 200),
            strange(5, 30, 8, 77),
            strange(5, 40, 6, 201),
        ];
        Journal::open(&path, KIND).unwrap().0.append(&entries.concat()).unwrap();
        let mut known = routes();
        let (mut log, aside) = RouteLog::open(directory.path(), &mut known).unwrap();
        assert_eq!((aside, log.strange(), told(&known).len(), known.held()), (None, 4, 2, 1));
        log.note(&Change { node: 6, entry: Entry { at_s: 50, what: What::Blacklisted, why: Why::Asked } });
        log.write(&known).unwrap();
        let kept = || Journal::read(&path, KIND).unwrap().entries.concat();
        assert_eq!(kept()[..entries.concat().len()], entries.concat());
        // Written anew, each stands among those of its node where it happened.
        log.journal.compact(log.all(&known).chunks(CHUNK)).unwrap();
        let [first, second, third, other, fourth, fifth] = entries;
        assert_eq!(kept(), [first, second, third, fourth, fifth, other].concat());
        assert_eq!(RouteLog::open(directory.path(), &mut routes()).unwrap().0.strange(), 4);
    }

    #[test]
    fn of_what_is_not_known_so_much_is_kept_that_the_file_is_not_always_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("routes");
        let numbers = 0..ENTRIES as u32;
        let entries = numbers.flat_map(|at_s| [&[0, 1][..], &at_s.to_be_bytes(), &[200; 8]].concat());
        let entries: Vec<u8> = entries.collect();
        Journal::open(&path, KIND).unwrap().0.append_all(entries.chunks(CHUNK)).unwrap();
        let (log, _) = RouteLog::open(directory.path(), &mut routes()).unwrap();
        assert_eq!((log.strange(), log.strange[0].at_s), (STRANGE, (ENTRIES - STRANGE) as u32));
        assert!(((ENTRIES + STRANGE) * Entry::OCTETS) as u64 <= LONGEST * 3 / 4);
    }
}
