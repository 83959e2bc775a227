//! What is said of a network's routes and of what goes over them.

use serde::{Deserialize, Serialize};

/// What was done about routes since the service began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCounts {
    /// Nodes whose route is bad now.
    pub faulty: usize,
    /// Routes that go where somebody wants them.
    pub held: usize,
    /// Neighbours that no route is to go over.
    #[serde(default)]
    pub blacklisted: usize,
    pub changes: u64,
    /// Searches of the coordinator that the unit began, and those that found somebody.
    pub searches: u64,
    pub found: u64,
    /// Searches that neighbours were made to do, and after how many of them the node answered.
    #[serde(default)]
    pub neighbour_searches: u64,
    #[serde(default)]
    pub neighbour_searches_answered: u64,
    /// Paths that it had traced.
    pub traces: u64,
    /// Seconds of airtime of all these, by the model.
    pub airtime_s: u64,
}

/// The routes to one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteHistory {
    pub node: String,
    pub short_addr: String,
    pub meter: String,
    /// None while the modem has no route.
    pub next_hop: Option<String>,
    /// As the routing table has it.
    pub hops: Option<u8>,
    /// Hops of this way, as its path was traced last.
    #[serde(default)]
    pub traced_hops: Option<u8>,
    /// As of a node.
    pub fault: Option<String>,
    /// The neighbour that it is to go over.
    pub held: Option<String>,
    pub is_blacklisted: bool,
    /// Ways that the node was reached by, the best first.
    pub alternates: Vec<AlternateLine>,
    /// The newest last.
    pub changes: Vec<ChangeLine>,
}

/// A way to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlternateLine {
    pub next_hop: String,
    pub hops: u8,
    pub cost: u16,
    pub weak_links: u8,
    pub medium: Option<String>,
    /// Requests over it, of late.
    pub answered: u16,
    pub failed: u16,
    /// The lower, the better.
    pub score: u32,
    pub seen_ms: i64,
    pub is_current: bool,
}

/// What happened to a route, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLine {
    pub at_ms: i64,
    /// `way`, `gone`, `faulty`, `searched`, `not-found`, `pinned`, `released`, `blacklisted`, `allowed`, `stays` (over who
    /// is blacklisted), `may-stay` (over who was) or `refused`.
    pub what: String,
    /// `modem`, `joined`, `left`, `expired`, `no-route`, `no-answer`, `circular`, `weak`, `flapping`, `asked`, `started`,
    /// `blacklisted` or `put-back`; of a route that stays what a [`StaysLine`] has.
    pub why: String,
    pub next_hop: Option<String>,
    /// Of the way, or of the search at most.
    pub hops: Option<u8>,
    /// What the modem says that refused a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// A route that goes over who is blacklisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaysLine {
    pub short_addr: String,
    pub eui64: Option<String>,
    /// `no-other-way`, `others-blacklisted`, `others-lose`, `no-rows-taken` or `held`.
    pub why: String,
}

/// One row of the modem's routing table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteLine {
    pub destination: String,
    pub eui64: Option<String>,
    pub meter: String,
    pub next_hop: String,
    pub cost: u16,
    pub hops: u8,
    pub weak_links: u8,
    /// `plc` or `rf`; None where the modem does not say it.
    pub medium: Option<String>,
    /// Minutes.
    pub valid_min: u16,
}

/// The path to a node and back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathLine {
    pub node: String,
    pub short_addr: String,
    pub forward: Vec<HopLine>,
    pub reverse: Vec<HopLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopLine {
    pub short_addr: String,
    pub link_cost: u8,
    /// Multiples of 60 degrees between the phases of sender and receiver.
    pub phase_differential: u8,
    pub medium: String,
}

/// What goes through the network, and how much at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollCounts {
    /// Requests under way, and those that wait for their turn.
    pub under_way: usize,
    pub waiting: usize,
    /// Requests that may be under way, in hundredths.
    pub window_percent: u32,
    /// More is lost in this hour of the day than in others: one at a time.
    pub is_noisy: bool,
    /// Requests since the service began, answers, and those without.
    pub sent: u64,
    pub answered: u64,
    pub lost: u64,
    /// Seconds of airtime of what was answered, by the model.
    pub airtime_s: u64,
    /// Of all airtime that the unit has caused, what went into searches and traces, in hundredths.
    pub control_percent: u32,
    /// Branches that were served last, the last one first.
    pub branches: Vec<BranchLine>,
}

/// The nodes behind one neighbour of the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchLine {
    /// Of the neighbour.
    pub eui64: String,
    pub short_addr: Option<String>,
    pub under_way: usize,
    pub window_percent: u32,
}
