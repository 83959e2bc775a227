//! How a store is kept. The defaults are the promises of DESIGN 3.2.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Lane;
use crate::reading::ReadingTypes;

/// How a store is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The directory of the store; made when it is missing.
    pub path: PathBuf,
    /// The unit's name, part of every sealed batch.
    pub dcu: String,
    /// Records wait this long for company before they are committed; 0.2 to 30 s.
    pub commit_window: Duration,
    /// So many records are committed without waiting.
    pub commit_records: usize,
    /// So many records may wait in memory; then `try_append` says `Busy` and `append` waits.
    pub queue_records: usize,
    /// A batch has so many records at most.
    pub seal_records: usize,
    /// A batch has so many sealed octets at most. More than 6 KiB is taken as 6 KiB: 20 values and their keys must fit into a
    /// quarter of a segment of sled, or they become files that no `fdatasync` of ours covers.
    pub seal_octets: usize,
    /// Lanes in the order of `Lane::ALL`.
    pub lanes: [LaneOptions; 9],
    /// Acknowledged batches stay so long, so that they can be sent again.
    pub retention: Duration,
    /// Sealed octets of all lanes; beyond it acknowledged batches go first, then the oldest of the least urgent lane.
    pub size_limit: u64,
    /// The database must have opened within this time.
    pub open_limit: Duration,
    /// What sealed batches call the readings' types.
    pub reading_types: Arc<ReadingTypes>,
    pub system: System,
}

/// Doors of the system that are not in the standard library: given by whoever may use them; the default ones know and
/// do nothing.
#[derive(Clone, Copy)]
pub struct System {
    /// Makes the kernel forget the pages it holds of a file. Opening reads and zeroes whole segments. Where the kernel
    /// keeps such long runs as one, each small write into them later counts, and on some kernels costs, all of it.
    pub forget_pages: fn(&File) -> io::Result<()>,
    /// Octets that this process may still write to the file system that holds a path.
    pub free_octets: fn(&Path) -> Option<u64>,
}

/// How one lane is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneOptions {
    /// Records do not wait for company.
    pub commit_at_once: bool,
    /// A record is sealed at this age at the latest; zero with its commit.
    pub seal_age: Duration,
}

impl Options {
    /// A store at `path` for the unit `dcu`, all else as promised.
    pub fn new(path: impl Into<PathBuf>, dcu: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            dcu: dcu.into(),
            commit_window: Duration::from_secs(5),
            commit_records: 512,
            queue_records: 4096,
            seal_records: 500,
            seal_octets: SEAL_OCTETS,
            lanes: Lane::ALL.map(LaneOptions::of),
            retention: Duration::from_secs(60 * 86_400),
            size_limit: 256 << 20,
            open_limit: Duration::from_secs(60),
            reading_types: Arc::new(ReadingTypes::none()),
            system: System { forget_pages: |_| Ok(()), free_octets: |_| None },
        }
    }
}

impl LaneOptions {
    /// What DESIGN 3.2 promises of a lane.
    pub fn of(lane: Lane) -> Self {
        match lane {
            Lane::Outage | Lane::Security | Lane::OnDemand => Self { commit_at_once: true, seal_age: Duration::ZERO },
            Lane::Billing => Self { commit_at_once: true, seal_age: Duration::from_secs(10) },
            _ => Self { commit_at_once: false, seal_age: Duration::from_secs(60) },
        }
    }
}

/// The most sealed octets of a batch.
pub(super) const SEAL_OCTETS: usize = 6 * 1024;

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("System")
    }
}

/// It changes nothing that is kept: options with and without it are the same.
impl PartialEq for System {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
