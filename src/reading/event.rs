//! What happened, as opposed to what was measured: a record like a reading, in a lane of its urgency.

use super::{MeterId, Received};

/// Something a meter or the unit itself reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub received: Received,
    /// The meter it is about; None where it is about the unit.
    pub meter: Option<MeterId>,
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A store began: what was before it, and why.
    EpochStarted { previous: Option<u64>, heads: Vec<LaneHead>, reason: String },
    /// Records that were evicted before the head-end acknowledged them.
    Gap { epoch: u64, lane: u8, first: u64, last: u64, reason: String, hash: [u8; 32] },
    /// The first synchronisation of a boot: dates all records of that boot.
    TimeAnchor { boot_id: [u8; 16], boot_ms: u64, utc_ms: i64 },
    /// An acknowledgement that was refused, and why.
    AckRefused { lane: u8, first: u64, last: u64, reason: String },
    /// The meter's status octet changed.
    StatusChanged { previous: u8, current: u8 },
    /// Something the unit must tell that has no variant of its own; `code` is stable and documented.
    Unit { code: String, detail: String },
}

/// The last record of a lane and the hash of the batch that ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneHead {
    pub lane: u8,
    pub last: u64,
    pub hash: [u8; 32],
}
