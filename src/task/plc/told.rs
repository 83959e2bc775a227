//! What of a network is told to the head-end: nobody who asks again and again, or under many names, fills its lane.

use std::collections::BTreeMap;

use plc::Eui64;
use plc::g3::bootstrap::Phase;
use tracing::{error, warn};

use super::{Plc, chain};
use crate::clock::Now;
use crate::journal::JournalError;
use crate::reading::{self, EventKind};
use crate::store::{Body, Lane};

/// When what was told of which node.
#[derive(Debug, Default)]
pub(super) struct Told {
    nodes: BTreeMap<(Eui64, &'static str), i64>,
    hour: i64,
    /// In this hour.
    count: u32,
}

/// Of a modem's port that cannot be opened, when that is news.
pub(super) fn no_port(network: &str, err: Option<&str>) {
    warn!(network, err = err.unwrap_or_default(), "modem's port cannot be opened");
}

/// The names that people see.
pub(super) const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Settled => "settled",
        Phase::Distribute => "distribute",
        Phase::Activate => "activate",
        Phase::Grace => "grace",
    }
}

impl Told {
    /// Whether this is to be told of the node: once a day, and so much of all nodes in an hour.
    pub(super) fn is_news(&mut self, eui64: Eui64, code: &'static str, now_ms: i64) -> bool {
        let is_recent = |at_ms: i64| now_ms.saturating_sub(at_ms) < DAY_MS;
        if self.nodes.get(&(eui64, code)).is_some_and(|at_ms| is_recent(*at_ms)) {
            return false;
        }
        let hour = now_ms.div_euclid(HOUR_MS);
        if hour != self.hour {
            (self.hour, self.count) = (hour, 0);
        }
        if self.count >= PER_HOUR {
            return false;
        }
        self.count += 1;
        if self.nodes.len() >= NODES {
            self.nodes.retain(|_, at_ms| is_recent(*at_ms));
        }
        if self.nodes.len() < NODES {
            self.nodes.insert((eui64, code), now_ms);
        }
        true
    }
}

impl Plc {
    /// An event of the unit, for lane P1.
    pub(super) fn tell(&mut self, code: &str, detail: String, now: Now) {
        self.tell_in(Lane::Security, code, detail, now);
    }

    /// What stands in the place of a file is none of ours, or no file: what the file would keep does not outlive this life.
    pub(super) fn not_kept(&mut self, what: &str, error: &JournalError) {
        let why = chain(error);
        error!(network = %self.name, what, err = %why, "not kept: move it away and start the service again");
        self.view.unkept.push(format!("{what}: {why}"));
    }

    pub(super) fn tell_in(&mut self, lane: Lane, code: &str, detail: String, now: Now) {
        let kind = EventKind::Unit { code: code.to_owned(), detail: format!("network {}: {detail}", self.name) };
        let event = reading::Event { received: now.received(), meter: None, kind };
        self.waiting.push(vec![(lane, Body::Event(event))]);
    }
}

const HOUR_MS: i64 = 3_600_000;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// A street that is switched on with a file of wrong keys is told in a few hours.
const PER_HOUR: u32 = 100;
const NODES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_again_and_again_is_told_once_a_day_and_many_names_are_told_slowly() {
        let mut told = Told::default();
        let eui64 = |number: u64| Eui64(number.to_be_bytes());
        let ask = |told: &mut Told, numbers: std::ops::Range<u64>, at_ms| {
            numbers.filter(|number| told.is_news(eui64(*number), "plc.node_refused", at_ms)).count()
        };
        assert_eq!((ask(&mut told, 0..1, 0), ask(&mut told, 0..1, HOUR_MS)), (1, 0));
        assert!(told.is_news(eui64(0), "plc.join_failed", HOUR_MS));
        assert_eq!(ask(&mut told, 0..1, DAY_MS), 1);
        for hour in 30..200 {
            assert_eq!(ask(&mut told, 1000 * hour as u64..1000 * hour as u64 + 500, hour * HOUR_MS), PER_HOUR as usize);
        }
        assert!(told.nodes.len() <= NODES);
    }
}
