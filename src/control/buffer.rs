//! The buffer: what is in it, whether it is sound, and what has just become durable.

use serde::{Deserialize, Serialize};

/// What the buffer holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BufferStat {
    /// 16 hex digits.
    pub epoch: String,
    /// In the order of urgency; lanes that never had a record are left out.
    pub lanes: Vec<LaneStat>,
    /// Records that no head-end has acknowledged, all lanes.
    pub backlog: u64,
    /// Reception of the oldest of them.
    pub oldest_ms: Option<i64>,
    /// Sealed octets, acknowledged ones too.
    pub octets: u64,
    pub size_limit: u64,
    /// Since the service started.
    pub commits: u64,
    pub last_commit_ms: Option<i64>,
    /// Records in the open commit window: a power cut now would cost them.
    pub uncommitted: u64,
    /// Records evicted before they were acknowledged, since the service started.
    pub evicted: u64,
    /// Stores set aside because they did not open or lacked what was promised.
    pub quarantined: u64,
    pub error: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStat {
    /// `p0`, `mbus` and so on.
    pub lane: String,
    /// The last durable record's sequence number.
    pub last: u64,
    /// Up to here everything is acknowledged.
    pub acknowledged: u64,
    /// Records not acknowledged.
    pub backlog: u64,
    /// Sealed batches that are kept, acknowledged ones too.
    pub batches: u64,
    pub octets: u64,
    /// Reception of the oldest record that is not acknowledged.
    pub oldest_ms: Option<i64>,
}

/// What reading the whole buffer found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BufferVerify {
    pub epoch: String,
    pub batches: u64,
    pub records: u64,
    /// Sequences that should be there and are not.
    pub missing: Vec<Range>,
    /// What is wrong otherwise, one sentence each: a checksum, a broken chain, a promise not kept.
    pub faults: Vec<String>,
}

impl BufferVerify {
    pub fn is_sound(&self) -> bool {
        self.missing.is_empty() && self.faults.is_empty()
    }
}

/// Records of one lane, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Range {
    pub lane: String,
    pub first: u64,
    pub last: u64,
}

/// One commit: these records are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitLine {
    pub epoch: String,
    pub at_ms: i64,
    pub ranges: Vec<Range>,
}
