//! What a verification found.

use std::fmt;

use super::super::columns::Reject;
use super::Place;

/// The judgement on everything that was fed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub lanes: Vec<LaneReport>,
    pub findings: Vec<Finding>,
    /// Checkpoints that verified.
    pub checkpoints: u64,
}

impl Report {
    /// Nothing is wrong; what is unproven only waits for a checkpoint.
    pub fn is_good(&self) -> bool {
        !self.findings.iter().any(Finding::is_fault)
    }
}

/// One lane of one epoch of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReport {
    pub place: Place,
    /// Different batches, and records in those that are not forged.
    pub batches: u64,
    pub records: u64,
    /// Last sequence that was delivered, and the highest that a signature proves.
    pub last: u64,
    pub proven: u64,
    /// Batches that came again, octet by octet the same.
    pub duplicates: u64,
    /// Batches that came after one with higher sequences: allowed, since fresh ones overtake a backlog.
    pub late: u64,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Records that should be there.
    Missing { place: Place, first: u64, last: u64 },
    /// A batch that is not the one that was signed, and the signed one is not there.
    Altered { place: Place, first: u64, last: u64, hash: [u8; 32] },
    /// A batch beside the signed one with the same records.
    Forged { place: Place, first: u64, last: u64, hash: [u8; 32] },
    /// Unproven batches that claim the same records.
    Conflict { place: Place, first: u64, last: u64 },
    /// The unproven batch that begins with `first` does not continue the one before it.
    ChainBreak { place: Place, first: u64 },
    /// A checkpoint that is not signed as it should.
    CheckpointRefused { dcu: Option<String>, reason: String },
    /// A payload that cannot be read.
    Unreadable { hash: [u8; 32], reject: Reject },
    /// The unit says that these records will not come.
    Gap { place: Place, first: u64, last: u64 },
    /// The same, but nothing proves yet that the unit said it.
    GapUnproven { place: Place, first: u64, last: u64 },
    /// No signed head reaches these records yet.
    Unproven { place: Place, first: u64, last: u64 },
}

impl Finding {
    /// Somebody lost or changed something; the others are only worth knowing.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Gap { .. } | Self::GapUnproven { .. } | Self::Unproven { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { place, first, last } => write!(f, "{place}: {first}..={last} missing"),
            Self::Altered { place, first, last, hash } => {
                write!(f, "{place}: {first}..={last} altered ({} is not what was signed)", short(hash))
            }
            Self::Forged { place, first, last, hash } => {
                write!(f, "{place}: {first}..={last} forged ({} beside the signed batch)", short(hash))
            }
            Self::Conflict { place, first, last } => write!(f, "{place}: {first}..={last} in different versions"),
            Self::ChainBreak { place, first } => {
                write!(f, "{place}: the batch from {first} does not continue the one before")
            }
            Self::CheckpointRefused { dcu, reason } => {
                write!(f, "{}: checkpoint refused: {reason}", dcu.as_deref().unwrap_or("unknown unit"))
            }
            Self::Unreadable { hash, reject } => write!(f, "payload {}: {reject}", short(hash)),
            Self::Gap { place, first, last } => write!(f, "{place}: {first}..={last} given up by the unit"),
            Self::GapUnproven { place, first, last } => {
                write!(f, "{place}: {first}..={last} given up by the unit, not proven yet")
            }
            Self::Unproven { place, first, last } => write!(f, "{place}: {first}..={last} not proven yet"),
        }
    }
}

fn short(hash: &[u8; 32]) -> String {
    hash.iter().take(6).map(|octet| format!("{octet:02x}")).collect()
}
