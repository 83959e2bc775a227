//! Finds our values in the octets of a database file, without the database: for salvage, and for looking at what a
//! dead unit left. Nothing is written, nothing is held but places.
//!
//! A log-structured file holds values several times and also those that were removed long ago; the newest lane
//! states tell what is still in the store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::batch::Batch;
use super::group::Group;
use super::lane::LaneState;
use super::mark;
use super::value::{self, BODY_LIMIT, Kind, begins_at, find_at};
use super::{Epoch, Lane};

/// Where a value lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    length: u32,
}

/// A batch, without its octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundBatch {
    pub place: Place,
    pub count: u32,
    pub octets: u32,
    pub sealed_utc_ms: i64,
    pub previous_hash: [u8; 32],
    pub hash: [u8; 32],
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// By epoch, lane and first sequence.
    pub batches: BTreeMap<(Epoch, Lane, u64), FoundBatch>,
    /// By epoch, generation, commit and part.
    pub groups: BTreeMap<(Epoch, u32, u64, u16), Place>,
    pub states: BTreeMap<(Epoch, Lane), LaneState>,
    pub epochs: Vec<(u32, Epoch)>,
    /// The newest of each name, with its version.
    pub marks: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    /// Octets that could not be read.
    pub unreadable: u64,
}

impl Scan {
    /// Reads a whole database file. A file that is not there holds nothing.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut scan = Self::default();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(scan),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let mut window = Vec::new();
        let mut at = 0;
        while at < length {
            window.clear();
            let (step, wanted) = (WINDOW.min((length - at) as usize), (WINDOW + OVERLAP).min((length - at) as usize));
            window.resize(wanted, 0);
            scan.unreadable += read_what_can_be_read(&file, &mut window, at);
            scan.take_window(&window, step, at);
            at += step as u64;
        }
        Ok(scan)
    }

    /// The batch at a place.
    pub(super) fn batch(file: &File, place: Place) -> io::Result<Option<Batch>> {
        Ok(Batch::parse(&read_at(file, place)?))
    }

    /// The group at a place.
    pub(super) fn group(file: &File, place: Place) -> io::Result<Option<Group>> {
        Ok(Group::parse(&read_at(file, place)?))
    }

    /// All values that begin in the first `step` octets of the window.
    fn take_window(&mut self, window: &[u8], step: usize, base: u64) {
        let mut at = 0;
        while at < step {
            let rest = window.get(at..).unwrap_or_default();
            let ahead = rest.get(..step - at).unwrap_or_default();
            let Some(skip) = ahead.iter().position(|octet| *octet == b'D') else { break };
            let rest = rest.get(skip..).unwrap_or_default();
            at += skip;
            let found = if begins_at(rest) { find_at(rest) } else { None };
            match found {
                Some((kind, body, length)) => {
                    self.take(kind, body, Place { offset: base + at as u64, length: length as u32 });
                    at += length;
                }
                None => at += 1,
            }
        }
    }

    fn take(&mut self, kind: Kind, body: &[u8], place: Place) {
        match kind {
            Kind::Batch => {
                if let Some(batch) = Batch::parse_body(body).filter(Batch::is_whole) {
                    self.take_batch(&batch, place);
                }
            }
            Kind::Group => {
                if let Some(group) = Group::parse_body(body) {
                    self.groups.insert((group.epoch, group.generation, group.commit, group.part), place);
                }
            }
            Kind::LaneState => {
                if let Some(state) = LaneState::parse_body(body) {
                    let newest = self.states.entry((state.epoch, state.lane)).or_insert_with(|| state.clone());
                    if newest.version < state.version {
                        *newest = state;
                    }
                }
            }
            Kind::Mark => {
                if let Some((version, name, value)) = mark::parse(body) {
                    let newest = self.marks.entry(name.to_vec()).or_default();
                    if newest.0 <= version {
                        *newest = (version, value.to_vec());
                    }
                }
            }
            Kind::Epochs => {
                let epochs = value::parse_epochs(&value::frame(Kind::Epochs, body)).unwrap_or_default();
                let newest = |epochs: &[(u32, Epoch)]| epochs.last().map_or(0, |(ordinal, _)| *ordinal);
                if self.epochs.is_empty() || newest(&epochs) >= newest(&self.epochs) {
                    self.epochs = epochs;
                }
            }
        }
    }

    fn take_batch(&mut self, batch: &Batch, place: Place) {
        let found = FoundBatch {
            place,
            count: batch.count,
            octets: batch.octets.len() as u32,
            sealed_utc_ms: batch.sealed_utc_ms,
            previous_hash: batch.previous_hash,
            hash: batch.hash,
        };
        let known = self.batches.entry((batch.epoch, batch.lane, batch.first)).or_insert(found);
        // Two batches of one name: one of them was never committed. The younger one is what the store went on with.
        if known.sealed_utc_ms <= found.sealed_utc_ms {
            *known = found;
        }
    }
}

fn read_at(file: &File, place: Place) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; place.length as usize];
    file.read_exact_at(&mut octets, place.offset)?;
    Ok(octets)
}

/// Reads a window; blocks that the disk cannot read stay zero and are counted.
fn read_what_can_be_read(file: &File, window: &mut [u8], at: u64) -> u64 {
    if file.read_exact_at(window, at).is_ok() {
        return 0;
    }
    let mut unreadable = 0;
    for (index, block) in window.chunks_mut(BLOCK).enumerate() {
        if file.read_exact_at(block, at + (index * BLOCK) as u64).is_err() {
            block.fill(0);
            unreadable += block.len() as u64;
        }
    }
    unreadable
}

const WINDOW: usize = 1 << 20;
/// A value that begins in a window ends in it or in the octets that overlap with the next one.
const OVERLAP: usize = BODY_LIMIT + 64;
const BLOCK: usize = 4096;
