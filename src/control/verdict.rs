//! What a [`Status`] means: fine, worse than wished, or somebody must act; with the reasons.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{MeshState, MeshStatus, ReceiverState, Severity, Status};
use crate::reading::TimeQuality;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    /// Worse than wished; nothing is lost so far.
    Degraded,
    /// Somebody must act.
    Fault,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Degraded => "DEGRADED",
            Self::Fault => "FAULT",
        })
    }
}

impl Status {
    /// The verdict and what speaks for it, worst first.
    pub fn verdict(&self) -> (Verdict, Vec<String>) {
        let mut reasons: Vec<(Verdict, String)> = Vec::new();
        let mut because = |verdict, reason: String| reasons.push((verdict, reason));
        for alarm in &self.alarms {
            let verdict = if alarm.severity == Severity::Fault { Verdict::Fault } else { Verdict::Degraded };
            because(verdict, alarm.text.clone());
        }
        if let Some(error) = &self.buffer.error {
            because(Verdict::Fault, format!("the buffer does not take readings: {error}"));
        }
        if self.buffer.evicted > 0 {
            because(
                Verdict::Fault,
                format!("{} records were evicted before they were acknowledged", self.buffer.evicted),
            );
        }
        if self.meters.not_stored > 0 {
            because(Verdict::Fault, format!("{} records were lost: the disk was full", self.meters.not_stored));
        }
        let fill = self.buffer.octets.saturating_mul(100) / self.buffer.size_limit.max(1);
        // Acknowledged batches are evicted first and make room by themselves.
        if fill >= FILL_PERCENT && self.buffer.backlog > 0 {
            because(Verdict::Degraded, format!("the buffer is {fill} % full"));
        }
        for receiver in &self.receivers {
            let state = match receiver.state {
                ReceiverState::Receiving | ReceiverState::Starting => continue,
                ReceiverState::Absent => "is absent",
                ReceiverState::Silent => "hears nothing",
            };
            let error = receiver.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            because(Verdict::Degraded, format!("receiver {} {state}{error}", receiver.name));
        }
        let is_deaf = self.receivers.iter().all(|receiver| receiver.state == ReceiverState::Absent);
        if is_deaf && !self.receivers.is_empty() {
            because(Verdict::Fault, "no receiver works".into());
        }
        if let Some(collection) = &self.electricity {
            let meters = |count: u64| {
                if count == 1 { "1 electricity meter".to_owned() } else { format!("{count} electricity meters") }
            };
            if collection.unreachable == collection.meters {
                because(Verdict::Fault, "no electricity meter answers".into());
            } else if collection.unreachable > 0 {
                because(Verdict::Degraded, format!("{} unreachable", meters(collection.unreachable)));
            }
            if collection.refusing > 0 {
                because(
                    Verdict::Degraded,
                    format!("{} refusing what is asked: see `dcu task show`", meters(collection.refusing)),
                );
            }
        }
        // Of those that failed an alarm tells.
        let is_down = |network: &&MeshStatus| ![MeshState::Up, MeshState::Failed].contains(&network.state);
        for network in self.networks.iter().filter(is_down) {
            let error = network.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            because(Verdict::Degraded, format!("network {} is not up{error}", network.network));
        }
        if self.networks.iter().any(|network| network.conflict_ms.is_some_and(|at| self.time.now_ms - at < DAY_MS)) {
            because(Verdict::Degraded, "another network has the PAN id of one of ours: see `dcu mesh status`".into());
        }
        for network in self.networks.iter().filter(|network| !network.unkept.is_empty()) {
            because(
                Verdict::Degraded,
                format!("not kept of network {}: {}", network.network, network.unkept.join("; ")),
            );
        }
        for network in self.networks.iter().filter(|network| !network.lost.is_empty()) {
            because(Verdict::Degraded, format!("lost of network {}: {}", network.network, network.lost.join("; ")));
        }
        if self.receivers.is_empty() && self.electricity.is_none() && self.networks.is_empty() {
            because(Verdict::Degraded, "no receiver is configured".into());
        }
        if !self.uplink.is_configured {
            because(Verdict::Degraded, "no uplink is configured".into());
        } else if !self.uplink.is_connected {
            let error = self.uplink.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            because(Verdict::Degraded, format!("not connected to the broker{error}"));
        } else if let Some(paused) = &self.uplink.paused {
            because(Verdict::Degraded, format!("publishing pauses: {paused}"));
        }
        match self.time.quality {
            TimeQuality::Synchronised | TimeQuality::Holdover => {}
            TimeQuality::Unsynchronised => because(Verdict::Degraded, "the clock is not synchronised".into()),
        }
        if self.meters.without_key > 0 {
            because(Verdict::Degraded, format!("{} meters cannot be decrypted", self.meters.without_key));
        }
        reasons.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
        let worst = reasons.iter().map(|(verdict, _)| *verdict).max().unwrap_or(Verdict::Ok);
        (worst, reasons.into_iter().map(|(_, reason)| reason).collect())
    }
}

const FILL_PERCENT: u64 = 80;
const DAY_MS: i64 = 86_400_000;
