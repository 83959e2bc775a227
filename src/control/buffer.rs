//! The buffer: what is in it, whether it is sound, and what has just become durable.

use serde::{Deserialize, Serialize};

use crate::store::{Epoch, LaneStatistics, Statistics, Verification};

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

impl BufferStat {
    /// What the store itself knows; what the service adds is left at its default.
    pub fn of(figures: &Statistics) -> Self {
        let known = figures.lanes.iter().filter(|lane| lane.last > 0 || lane.batches > 0);
        let lanes: Vec<LaneStat> = known.map(LaneStat::of).collect();
        Self {
            epoch: figures.epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
            backlog: lanes.iter().map(|lane| lane.backlog).sum(),
            oldest_ms: lanes.iter().filter(|lane| lane.backlog > 0).filter_map(|lane| lane.oldest_ms).min(),
            octets: lanes.iter().map(|lane| lane.octets).sum(),
            commits: figures.commits,
            uncommitted: figures.queued,
            lanes,
            ..Self::default()
        }
    }
}

impl LaneStat {
    fn of(lane: &LaneStatistics) -> Self {
        let backlog = lane.unacknowledged + lane.unsealed;
        Self {
            lane: lane.lane.name().to_owned(),
            last: lane.last,
            acknowledged: lane.last.saturating_sub(backlog),
            backlog,
            batches: lane.batches,
            octets: lane.octets,
            oldest_ms: lane.oldest_utc_ms,
        }
    }
}

impl BufferVerify {
    /// What is wrong and not told by a `Gap` record already.
    pub fn of(epoch: Epoch, verification: &Verification) -> Self {
        let untold = verification.faults.iter().filter(|fault| !fault.is_told);
        let mut faults: Vec<String> = untold
            .map(|fault| {
                format!("{} {}..={} of epoch {}: {}", fault.lane, fault.first, fault.last, fault.epoch, fault.what)
            })
            .collect();
        if verification.more_faults > 0 {
            faults.push(format!("{} more", verification.more_faults));
        }
        Self {
            epoch: epoch.to_string(),
            batches: verification.batches,
            records: verification.records,
            missing: Vec::new(),
            faults,
        }
    }

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
