//! What a network of so many nodes is told and allowed: times to live, how far a search goes, what airtime it may take.
//!
//! The costs of links (adpKr, adpKm, adpKc, adpKq, adpKh, adpKrt) are computed by each node from its own attributes: what
//! the coordinator alone has otherwise makes its links look better or worse than all others, so that it is told none of
//! them. How to flood, and for how long to remember, is each node's own affair.

use std::time::Duration;

use crate::g3::pib::{Typed, adp};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    pub nodes: usize,
    /// adpMaxHops.
    pub max_hops: u8,
    /// Searches at the same time, of different branches.
    pub at_once: usize,
    /// Shares of the time in which the medium may be taken by searches, and by traces.
    pub search_share: f64,
    pub trace_share: f64,
    /// The first of them where no way is known to many nodes: nothing else is to be done with most of the airtime then.
    pub lost_share: f64,
    /// A search that found nobody is repeated after so long, and twice as long each time.
    pub pause: Duration,
    pub longest_pause: Duration,
    /// The same of echoes.
    pub check_share: f64,
    /// An echo is wanted of a node that was not heard for so long.
    pub check_every: Duration,
    /// A path is traced again after so long.
    pub trace_every: Duration,
    /// So often in a row is a way that the modem has dropped put back before another one is looked for.
    pub put_back: u32,
    /// So many neighbours are made to look for a node before the coordinator does.
    pub others: usize,
    /// Where so many nodes are waited for the network is not read.
    pub few: usize,
    /// After so many others look for it, and the coordinator after so long, where few are waited for; each time twice as long
    /// as before.
    pub rest: Duration,
    pub patience: Duration,
    /// So many requests in a row without an answer: the route is broken.
    pub failures: u32,
    /// So many changes within so long: the route flaps.
    pub flaps: usize,
    pub flap_time: Duration,
}

impl Limits {
    pub fn of(nodes: usize, max_hops: u8) -> Self {
        Self {
            nodes,
            max_hops,
            // A flood for one route loses the requests of another, where all hear both.
            at_once: if is_dense(nodes) { 1 } else { 2 },
            search_share: 0.05,
            lost_share: 0.25,
            trace_share: 0.01,
            check_share: 0.06,
            // Meters forget a route that they did not use for six hours (adpRoutingTableEntryTTL), and each echo may begin
            // a search.
            check_every: Duration::from_secs(4 * 3600),
            // A modem looks for the same route once in 30 s (adpRREQWait).
            pause: Duration::from_secs(32),
            longest_pause: Duration::from_secs(2 * 3600),
            trace_every: Duration::from_secs(24 * 3600),
            // A flood of few nodes breaks little.
            put_back: if is_dense(nodes) { 6 } else { 2 },
            others: if is_dense(nodes) { 3 } else { 0 },
            few: nodes / 125,
            // The next read comes sooner, mostly.
            rest: Duration::from_secs(5 * 60),
            patience: Duration::from_secs(8 * 3600),
            failures: 6,
            flaps: 4,
            flap_time: Duration::from_secs(3600),
        }
    }

    /// How far a search goes: in a dense network a first one only a little farther than the route that was there.
    pub(super) fn reach(&self, hops: Option<u8>, in_vain: u32) -> u8 {
        match hops {
            Some(hops) if is_dense(self.nodes) && in_vain == 0 => hops.saturating_add(2).clamp(3, self.max_hops.max(3)),
            _ => self.max_hops,
        }
    }

    /// Seconds that a search within so many hops takes of the medium: each node passes it on, and those that do not hear
    /// each other do so at the same time.
    pub(super) fn flood(&self, most_hops: u8) -> f64 {
        let reached = f64::from(most_hops) / f64::from(self.max_hops.max(1));
        (self.nodes as f64 * reached.min(1.0) * REQUEST / REUSE).max(1.0)
    }

    /// Seconds that a trace takes: one frame a hop, there and back.
    pub(super) fn trace(&self, hops: u8) -> f64 {
        2.0 * f64::from(hops.max(1)) * REQUEST
    }

    /// How long a route is remembered that nobody uses, in minutes: in a dense network one that was good stays until it
    /// breaks.
    pub const fn route_minutes(&self) -> u16 {
        if is_dense(self.nodes) { 1440 } else { 360 }
    }

    /// Attributes of the coordinator's adaptation layer, G.9903 table 9-30.
    pub fn attributes(&self) -> Vec<(u32, Typed)> {
        let is_dense = is_dense(self.nodes);
        vec![
            (adp::ROUTING_TABLE_ENTRY_TTL, Typed::U16(self.route_minutes())),
            (adp::UNICAST_RREQ_GEN_ENABLE, Typed::Bool(true)),
            (adp::CLUSTER_TRICKLE_ENABLED, Typed::Bool(is_dense)),
        ]
    }
}

/// Of more than 400 nodes a G3 network counts as dense (Energies 2021, 14(7), 1937); a flood hurts earlier.
const fn is_dense(nodes: usize) -> bool {
    nodes > DENSE
}

const DENSE: usize = 150;
/// Seconds of a request for a route on the medium, in ROBO, with contention.
const REQUEST: f64 = 0.1;
/// Of the nodes of a network so many do not send, as neighbours have, or are not heard where the airtime is counted: at
/// the substation a search of 1,000 nodes takes 5 s (simulated; 14 s of all nodes together).
const REUSE: f64 = 20.0;
