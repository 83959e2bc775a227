//! What a run with electricity meters tells: how it goes, and at the end what came of it.

use std::time::Duration;

use serde::Serialize;

/// A run at one moment.
#[derive(Debug, Clone)]
pub struct Progress {
    pub elapsed: Duration,
    /// Days that passed for the meters.
    pub days: f64,
    /// The meters' time has stopped to count; what is on its way arrives.
    pub is_draining: bool,
    /// Values that arrived, each counted once.
    pub delivered: u64,
    /// Records that are reported as durable.
    pub stored: u64,
    pub backlog: u64,
    pub meters: usize,
    /// Meters that answer, as the service sees it.
    pub active: u64,
    pub is_down: bool,
}

/// What came of a run. A value is that of one register in one slot.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub meters: usize,
    /// Days that passed for the meters.
    pub days: f64,
    /// Values of the slots that ended while days passed, of all meters.
    pub expected: u64,
    /// Of these, those that arrived at the head-end as the meter had them.
    pub delivered: u64,
    /// Delivered by expected, of the meters that can be reached at the end.
    pub completeness: f64,
    /// Of slots that ended while their meter was away.
    pub gaps: u64,
    /// Of these, those that arrived all the same.
    pub backfilled: u64,
    /// Reported by the service as durable and not delivered, in records.
    pub lost: u64,
    /// Values that arrived again in another record.
    pub doubled: u64,
    /// Records that arrived again, dropped by the head-end.
    pub duplicates: u64,
    /// Arrived, and no register ever had such a value.
    pub strange: u64,
    /// Records that are reported as durable.
    pub stored: u64,
    /// All octets of TCP payload between service and broker, both ways, TLS included; by values that arrived.
    pub wire_bytes_per_reading: Option<f64>,
    /// Octets that the service caused to be written to the disk, by stored records; null where there is no disk.
    pub written_bytes_per_reading: Option<f64>,
    pub peak_rss_bytes: u64,
    pub seconds: f64,
    pub seed: u64,
    /// The limit came before everything had arrived.
    pub timed_out: bool,
    /// The first of those that arrived and that no register ever had.
    #[serde(skip)]
    pub strange_samples: Vec<String>,
    /// The first of those that are missing.
    #[serde(skip)]
    pub missing_samples: Vec<String>,
}

impl Report {
    /// Why this run must not count as a success; empty where it may.
    pub fn faults(&self) -> Vec<String> {
        let missing = self.expected - self.delivered;
        [
            (self.delivered == 0, "nothing was delivered".to_owned()),
            (missing > 0, format!("{missing} values missing")),
            (self.lost > 0, format!("{} records lost", self.lost)),
            (self.doubled > 0, format!("{} values doubled", self.doubled)),
            (self.strange > 0, format!("{} values arrived that no register had", self.strange)),
        ]
        .into_iter()
        .filter_map(|(is_fault, text)| is_fault.then_some(text))
        .collect()
    }
}
