//! What the store tells: commits, troubles, figures.

use super::lane::LaneState;
use super::{Epoch, Lane};

/// Told by the writer thread, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Durable now: a power cut cannot take it any more.
    Committed(Commit),
    /// Durable batches of this lane now reach this sequence: there is something to publish.
    Sealed { epoch: Epoch, lane: Lane, last: u64 },
    /// A commit did not succeed; said on entering and when the reason changes. The store retries by itself.
    Trouble { reason: String, full: bool },
    /// Commits succeed again.
    Recovered,
    /// The database had to be replaced while running.
    Replaced(Opening),
    /// Batches left before they were acknowledged; the `Gap` record is in lane P1.
    Evicted { epoch: Epoch, lane: Lane, first: u64, last: u64, reason: String },
}

/// One durable commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Counts up over restarts, within one epoch.
    pub number: u64,
    pub epoch: Epoch,
    /// Records in it.
    pub count: usize,
    /// Lanes with records in it, in the order of their urgency.
    pub lanes: Vec<CommittedLane>,
}

/// What one commit added to one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedLane {
    pub lane: Lane,
    pub first: u64,
    pub last: u64,
}

/// How the store was found when it was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    pub epoch: Epoch,
    pub start: Start,
    /// Records that were committed and not sealed yet.
    pub unsealed: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// There was nothing.
    New,
    /// The same epoch goes on.
    Continued,
    /// A new epoch began; older ones stay readable.
    NewEpoch {
        previous: Option<Epoch>,
        reason: String,
        /// Where the damaged database was put, when it was replaced.
        quarantine: Option<std::path::PathBuf>,
        /// Records of older epochs that are there: found again in the damaged database, or, where none was put aside,
        /// all that it held.
        salvaged: u64,
    },
}

/// Figures of the whole store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    pub epoch: Option<Epoch>,
    /// All epochs with batches in the store, oldest first.
    pub epochs: Vec<Epoch>,
    pub commits: u64,
    pub records_committed: u64,
    pub commit_errors: u64,
    /// Records that wait for their commit.
    pub queued: u64,
    /// Octets of the database file.
    pub file_octets: u64,
    /// Since when the disk is full, milliseconds since 1970 UTC: commits fail for it, or go into the reserve's room.
    pub full_since_ms: Option<i64>,
    /// Octets that may still be written to the store's file system, where that is known.
    pub free_octets: Option<u64>,
    /// Files under `blobs/`: must be none.
    pub blobs: u64,
    pub lanes: Vec<LaneStatistics>,
}

/// Figures of one lane, over all epochs in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStatistics {
    pub lane: Lane,
    /// Last durable sequence of the current epoch.
    pub last: u64,
    /// Records committed and not sealed yet.
    pub unsealed: u64,
    /// Sealed batches, their records and octets.
    pub batches: u64,
    pub records: u64,
    pub octets: u64,
    /// Sealed records that no acknowledgement covers.
    pub unacknowledged: u64,
    /// When the oldest batch was sealed, milliseconds since 1970 UTC.
    pub oldest_utc_ms: Option<i64>,
    /// Records that left after their acknowledgement.
    pub evicted: u64,
    /// Records that left without one; each run of them has its `Gap` record.
    pub lost: u64,
    pub gaps: u64,
}

impl LaneStatistics {
    pub(super) fn new(lane: Lane, last: u64) -> Self {
        Self {
            lane,
            last,
            unsealed: 0,
            batches: 0,
            records: 0,
            octets: 0,
            unacknowledged: 0,
            oldest_utc_ms: None,
            evicted: 0,
            lost: 0,
            gaps: 0,
        }
    }

    /// Adds the lane of one epoch.
    pub(super) fn add(&mut self, state: &LaneState) {
        self.batches += state.batches;
        self.records += state.records;
        self.octets += state.octets;
        self.unacknowledged += state.unacknowledged();
        self.evicted += state.evicted;
        self.lost += state.lost;
        self.gaps += state.gaps;
    }
}
