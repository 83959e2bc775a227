//! The buffer: the only home of sled. Records go in, sealed batches come out, nothing acknowledged is lost.
//!
//! One writer thread commits records in groups (one checksummed value a commit, never one a record), seals them lane
//! by lane into batches exactly as they will be published, and reports a commit only when it is durable: sled's
//! flush, `fdatasync` of its file, `fdatasync` of the sequence file. DESIGN 3.2; `docs/ARCHITECTURE.md`, invariants.

mod batch;
mod database;
mod error;
mod group;
mod handle;
mod inspect;
mod keeper;
mod lane;
mod load;
mod mark;
mod open;
mod options;
mod plan;
mod promise;
mod ranges;
mod record;
mod rehearsal;
mod repair;
mod report;
mod reserve;
mod retention;
mod salvage;
mod scan;
mod stash;
mod value;
mod verify;
mod view;
mod weigh;
mod writer;

use view::View;

#[cfg(test)]
mod tests;

use std::fmt;

pub use batch::{Batch, BatchHead};
pub use error::{OpenError, StoreError};
pub use handle::{Done, Limit, OnReport, Random, Refused, Store};
pub use inspect::{Inspection, inspect};
pub use mark::Mark;
pub use options::{LaneOptions, Options, System};
pub use ranges::Ranges;
pub use record::{Body, Epoch, Lane, Record};
pub use report::{Commit, CommittedLane, LaneStatistics, Opening, Report, Start, Statistics};
pub use reserve::RESERVE;
pub use verify::{Fault, Verification};

use crate::reading::ReadingTypes;

/// How records become octets. The store has no format for readings of its own.
#[derive(Clone, Copy)]
pub struct Codec {
    /// Columns of records of one lane with consecutive sequences: what lies on disk until they are sealed.
    pub encode_group: fn(&[Record]) -> Vec<u8>,
    pub decode_group: fn(&[u8]) -> Result<Vec<Record>, CodecError>,
    /// The batch exactly as it is published. Called once per batch; its SHA-256 is the batch's hash.
    pub seal: fn(&BatchHead, &[Record], &ReadingTypes) -> Vec<u8>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

/// Octets that the codec does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("decode group: {0}")]
pub struct CodecError(pub String);
