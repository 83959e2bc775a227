//! What a run tells: where it is, and at the end what came of it.

use std::time::Duration;

use serde::Serialize;

use super::account::Tally;
use super::service::Usage;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The service and the head-end are coming up.
    Starting,
    /// The meters speak.
    Speaking,
    /// They have spoken; what is on its way arrives.
    Draining,
}

/// A run at one moment. Counts are of readings, where they do not say otherwise.
#[derive(Debug, Clone)]
pub struct Progress {
    pub phase: Phase,
    pub elapsed: Duration,
    pub tally: Tally,
    pub heard: u64,
    pub decoded: u64,
    pub delivered: u64,
    /// Heard and not delivered yet.
    pub missing: u64,
    /// Meters in the fleet, and those of which something arrived.
    pub meters: (usize, usize),
    /// Records in the service's buffer that are not acknowledged.
    pub backlog: u64,
    /// Batches that the head-end acknowledged.
    pub acknowledged: u64,
    pub is_connected: bool,
    /// An outage of the broker is going on.
    pub is_down: bool,
    pub kills: u32,
    pub usage: Usage,
    /// The service's resident memory, octets.
    pub rss_bytes: u64,
    /// Telegrams that were none, as many as receivers told.
    pub garbage: u64,
    /// Octets between service and broker.
    pub wire_bytes: u64,
    /// The latest readings at the head-end, newest last.
    pub last: Vec<String>,
}

/// What came of a run. Counts are of readings, where they do not say otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In telegrams that meters sent.
    pub sent: u64,
    /// In telegrams that reached one of the service's ports intact.
    pub heard: u64,
    /// What the service made of them, by its own count. After a kill, as it last told.
    pub decoded: u64,
    /// Reported by the service as durable.
    pub stored: u64,
    /// Arrived at the head-end with the value, unit and code that the meter meant, each counted once.
    pub delivered: u64,
    /// Arrived again, dropped by the head-end.
    pub duplicates: u64,
    /// Heard and not delivered, or reported as durable and not delivered.
    pub lost: u64,
    /// All octets of TCP payload between service and broker, both ways, TLS included; by delivered readings.
    pub wire_bytes_per_reading: Option<f64>,
    /// Octets that the service caused to be written to the disk, by stored readings; null where there is no disk.
    pub written_bytes_per_reading: Option<f64>,
    pub peak_rss_bytes: u64,
    pub seconds: f64,
    /// Heard within the open commit window of a kill, and not delivered.
    pub in_window: u64,
    /// Arrived and never sent: a wrong value, unit, code or meter.
    pub strange: u64,
    /// Registers that went backwards in the order of their records.
    pub disordered: u64,
    pub telegrams: u64,
    /// Telegrams that reached the service from one more receiver, each time.
    pub copies: u64,
    /// Telegrams that were none, as many as receivers told.
    pub garbage: u64,
    /// The service's resident memory in KiB, every half minute.
    pub rss_kib: Vec<u64>,
    pub kills: u32,
    pub seed: u64,
    /// The limit came before everything had arrived.
    pub timed_out: bool,
    /// The first of those that arrived and were never sent.
    #[serde(skip)]
    pub strange_samples: Vec<String>,
    /// The first of those that are lost.
    #[serde(skip)]
    pub lost_samples: Vec<String>,
}

impl Report {
    /// Why this run must not count as a success; empty where it may.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |is_fault: bool, text: String| {
            if is_fault {
                faults.push(text);
            }
        };
        fault(self.sent == 0, "nothing was sent".into());
        fault(self.sent > 0 && self.decoded == 0, "nothing was decoded".into());
        fault(self.lost > 0, format!("{} readings lost", self.lost));
        fault(self.strange > 0, format!("{} readings arrived that were never sent", self.strange));
        fault(self.disordered > 0, format!("{} records out of order", self.disordered));
        fault(self.timed_out, "the limit came before everything had arrived".into());
        faults
    }
}

/// The service's resident memory over the run.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) samples: Vec<u64>,
}

impl Memory {
    pub(super) fn note(&mut self, rss_bytes: u64, elapsed: Duration) {
        if elapsed >= SAMPLE * self.samples.len() as u32 {
            self.samples.push(rss_bytes / 1024);
        }
    }
}

const SAMPLE: Duration = Duration::from_secs(30);

/// `octets / readings`, to a tenth.
pub(super) fn each(octets: u64, readings: u64) -> Option<f64> {
    (readings > 0).then(|| (octets as f64 / readings as f64 * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_to_a_tenth_and_nothing_has_none() {
        assert_eq!(each(1_234, 100), Some(12.3));
        assert_eq!(each(1_234, 0), None);
    }
}
