//! What is counted in a run.

use super::message::Kind;
use super::phy::Micros;

#[derive(Debug, Clone, Default)]
pub struct Figures {
    by_kind: [Count; Kind::ALL.len()],
    /// Route requests that were begun, and those that found nobody.
    pub searches: u64,
    pub searches_in_vain: u64,
    /// Copies of requests that nodes kept to themselves, because neighbours had passed them on.
    pub suppressed: u64,
    /// Frames for one receiver that nobody acknowledged.
    pub unacknowledged: u64,
    /// The medium was never free.
    pub access_failures: u64,
    pub overflows: u64,
    /// A radio had used up its share of the hour.
    pub duty_refusals: u64,
    pub joins_failed: u64,
}

/// Frames of one kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    /// Transmissions, retries too, of all nodes.
    pub sent: u64,
    pub airtime: Micros,
    /// Those that a sniffer in the substation hears.
    pub heard: u64,
    pub heard_airtime: Micros,
}

impl Figures {
    pub(super) fn sent(&mut self, kind: Kind, length: Micros, is_heard: bool) {
        if let Some(count) = self.by_kind.get_mut(kind as usize) {
            count.sent += 1;
            count.airtime += length;
            count.heard += u64::from(is_heard);
            count.heard_airtime += if is_heard { length } else { 0 };
        }
    }

    pub fn of(&self, kind: Kind) -> Count {
        self.by_kind.get(kind as usize).copied().unwrap_or_default()
    }

    /// The share of one kind in the packets that the sniffer hears.
    pub fn share_of_packets(&self, kind: Kind) -> f64 {
        let all: u64 = self.by_kind.iter().map(|count| count.heard).sum();
        self.of(kind).heard as f64 / all.max(1) as f64
    }

    /// Airtime at the sniffer of everything that carries no data.
    pub fn control_airtime(&self) -> Micros {
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Data).map(|kind| self.of(kind).heard_airtime).sum()
    }

    pub fn airtime(&self) -> Micros {
        self.by_kind.iter().map(|count| count.heard_airtime).sum()
    }
}
