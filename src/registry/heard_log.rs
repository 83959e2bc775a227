//! When each node of a network was heard last, over restarts: an append file of bounded length.
//!
//! Nothing depends on it but what people are told, so that it may be some minutes old after a kill: it is written every
//! [`HeardLog::PAUSE`], and what has not changed since is not. An entry of the file holds any number of nodes, 18 octets
//! each. Where all 1,000 nodes of a network are heard between two writes that is 2.2 MB a day, and 0.4 MB for the times
//! that the file is written anew (3.5 MB in blocks of 4 KiB); of nodes that are read once a day it is 40 kB.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, BufMut};
use plc::Eui64;

use crate::journal::{Journal, JournalError};

/// What outlives the process of when a node was seen: seconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub heard_s: u32,
    /// 0: not since the file began.
    pub joined_s: u32,
    /// Of the last frame, where one came.
    pub lqi: Option<u8>,
}

/// The file, and what it has.
#[derive(Debug)]
pub struct HeardLog {
    journal: Journal,
    written: BTreeMap<Eui64, Sighting>,
    /// Octets at which the file is written anew.
    compact_at: u64,
}

impl HeardLog {
    /// How often it is written at most.
    pub const PAUSE: Duration = Duration::from_secs(600);

    /// Opens the file in this directory or makes it; blocks. A damaged one is set aside, and its new name is said.
    ///
    /// # Errors
    /// It cannot be read, or is none of ours: it is left as it is.
    pub fn open(directory: &Path) -> Result<(Self, Option<PathBuf>), JournalError> {
        let path = directory.join("heard");
        let (journal, recovered, aside) = Journal::open_or_set_aside(&path, KIND, TOO_LONG, |entry| {
            let mut buf = entry;
            while !buf.is_empty() && parse(&mut buf).is_some() {}
            buf.is_empty()
        })?;
        let mut written = BTreeMap::new();
        for entry in &recovered.entries {
            let mut buf = entry.as_slice();
            written.extend(std::iter::from_fn(|| parse(&mut buf)));
        }
        Ok((Self { journal, written, compact_at: LONGEST }, aside))
    }

    /// What the file has, of all nodes that it names.
    pub fn sightings(&self) -> impl Iterator<Item = (Eui64, Sighting)> {
        self.written.iter().map(|(eui64, sighting)| (*eui64, *sighting))
    }

    /// Makes durable what is new; blocks. These are all nodes that there are: of others nothing is kept.
    ///
    /// # Errors
    /// It is not durable, and will be written the next time.
    pub fn write(&mut self, seen: &BTreeMap<Eui64, Sighting>) -> Result<(), JournalError> {
        let is_new = |(eui64, sighting): &(&Eui64, &Sighting)| self.written.get(eui64) != Some(sighting);
        let new: Vec<_> = seen.iter().filter(is_new).map(|(eui64, sighting)| (*eui64, *sighting)).collect();
        if new.is_empty() {
            return Ok(());
        }
        if self.journal.octets() > self.compact_at {
            let octets = emitted(seen.iter().map(|(eui64, sighting)| (*eui64, *sighting)));
            self.journal.compact(octets.chunks(CHUNK))?;
            // All nodes may be more than that, and are not to be written anew with every change.
            self.compact_at = LONGEST.max(5 * self.journal.octets());
            self.written.clone_from(seen);
        } else {
            let octets = emitted(new.iter().copied());
            for chunk in octets.chunks(CHUNK) {
                self.journal.append(chunk)?;
            }
            self.written.extend(new);
        }
        Ok(())
    }
}

fn emitted(nodes: impl Iterator<Item = (Eui64, Sighting)>) -> Vec<u8> {
    let mut octets = Vec::new();
    for (eui64, sighting) in nodes {
        octets.put_slice(&eui64.0);
        octets.put_u32(sighting.heard_s);
        octets.put_u32(sighting.joined_s);
        octets.put_u8(sighting.lqi.is_some().into());
        octets.put_u8(sighting.lqi.unwrap_or_default());
    }
    octets
}

fn parse(buf: &mut &[u8]) -> Option<(Eui64, Sighting)> {
    let mut eui64 = Eui64([0; 8]);
    buf.try_copy_to_slice(&mut eui64.0).ok()?;
    let (heard_s, joined_s) = (buf.try_get_u32().ok()?, buf.try_get_u32().ok()?);
    let (has_lqi, lqi) = (buf.try_get_u8().ok()? != 0, buf.try_get_u8().ok()?);
    Some((eui64, Sighting { heard_s, joined_s, lqi: has_lqi.then_some(lqi) }))
}

const KIND: [u8; 3] = *b"g3h";
/// Octets of a node.
const OCTETS: usize = 18;
const CHUNK: usize = 3_000 * OCTETS;
/// Octets at which the file is written anew, and that no file of ours has.
const LONGEST: u64 = 64 << 10;
const TOO_LONG: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(nodes: u32, heard_s: u32) -> BTreeMap<Eui64, Sighting> {
        let sighting = |number: u32| Sighting {
            heard_s: heard_s + number,
            joined_s: number % 2,
            lqi: (number % 3 > 0).then_some(number as u8),
        };
        (0..nodes).map(|number| (Eui64(u64::from(number).to_be_bytes()), sighting(number))).collect()
    }

    fn kept(directory: &Path) -> BTreeMap<Eui64, Sighting> {
        let (log, aside) = HeardLog::open(directory).unwrap();
        assert_eq!(aside, None);
        log.sightings().collect()
    }

    /// As the module says.
    #[test]
    fn a_day_of_1_000_nodes_is_three_megabytes_at_most_and_nothing_where_nobody_is_heard() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = HeardLog::open(directory.path()).unwrap();
        let (mut appended, mut anew, mut blocks) = (0, 0, 0);
        for time in 0..144 {
            let before = log.journal.octets();
            let seen = all(1_000, 600 * time);
            log.write(&seen).unwrap();
            let after = log.journal.octets();
            match after.checked_sub(before) {
                Some(octets) => appended += octets,
                None => anew += after,
            }
            blocks += after.checked_sub(before).unwrap_or(after).div_ceil(4_096) * 4_096 + 4_096;
            assert!(after < 6 * 18_100, "{after} octets");
            log.write(&seen).unwrap();
            assert_eq!(log.journal.octets(), after, "what is there already is not written");
        }
        assert_eq!([appended, anew, blocks].map(|octets| octets / 1_000), [2_161, 432, 3_538]);
        assert!(kept(directory.path()) == all(1_000, 600 * 143));
    }

    #[test]
    fn of_who_is_no_node_any_more_nothing_is_kept_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let (mut log, _) = HeardLog::open(directory.path()).unwrap();
        log.write(&all(30_000, 7)).unwrap();
        assert!(kept(directory.path()) == all(30_000, 7));
        (0..20).for_each(|time| log.write(&all(3_000, 600 * time)).unwrap());
        assert!(kept(directory.path()) == all(3_000, 600 * 19));
    }

    #[test]
    fn a_file_that_is_not_whole_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heard");
        let (mut log, _) = HeardLog::open(directory.path()).unwrap();
        log.write(&all(9, 7)).unwrap();
        log.journal.append(&[1; OCTETS + 3]).unwrap();
        let (mut log, aside) = HeardLog::open(directory.path()).unwrap();
        assert!(aside.is_some_and(|aside| aside.exists()));
        assert_eq!(log.sightings().count(), 0);
        log.write(&all(2, 7)).unwrap();
        assert_eq!(kept(directory.path()).len(), 2);
        std::fs::write(&path, b"DCUj\x01g3r").unwrap();
        assert!(matches!(HeardLog::open(directory.path()), Err(JournalError::Foreign { .. })));
    }
}
