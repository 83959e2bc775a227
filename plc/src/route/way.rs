//! One way to a node, as far as the coordinator sees it, and how good it is.

use crate::g3::adp::Hop;
use crate::g3::pib::Route;

/// A row of the coordinator's routing table (adpRoutingTable, G.9903 table 9-30), without its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Short address of the first hop; the node's own where there is no other.
    pub next_hop: u16,
    pub hops: u8,
    /// The sum of the links' costs, annex B.
    pub cost: u16,
    /// Links below adpWeakLQIValue.
    pub weak_links: u8,
    /// Of the first hop; None where the modem does not say it.
    pub medium: Option<Medium>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Plc,
    Rf,
}

/// A hop of a traced path, the coordinator's neighbour first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Who is at its end.
    pub node: u16,
    pub cost: u8,
    /// Sixths of a turn between the phases of its ends.
    pub phase: u8,
    pub medium: Medium,
}

/// A way that was gone at some time, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternate {
    pub way: Way,
    pub answered: u16,
    pub failed: u16,
    /// Milliseconds since 1970 UTC: the modem had it then.
    pub seen_ms: i64,
}

impl Medium {
    /// The numbers of the tables: 0 PLC, 1 RF.
    pub const fn of(number: u8) -> Self {
        if number == 0 { Self::Plc } else { Self::Rf }
    }

    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl Way {
    /// Whether the first hop is the same, over the same medium as far as both say it: a table of the first generation and
    /// an entry of a file do not.
    pub(super) fn is_over_the_hop_of(&self, other: &Self) -> bool {
        let is_one_medium = self.medium.is_none() || other.medium.is_none() || self.medium == other.medium;
        self.next_hop == other.next_hop && is_one_medium
    }
}

impl From<&Route> for Way {
    fn from(route: &Route) -> Self {
        Self {
            next_hop: route.next_hop,
            hops: route.hop_count,
            cost: route.route_cost,
            weak_links: route.weak_link_count,
            medium: route.medium.map(Medium::of),
        }
    }
}

impl From<&Hop> for Link {
    fn from(hop: &Hop) -> Self {
        let Hop { short_addr, link_cost, phase_differential, medium_rx, .. } = *hop;
        Self { node: short_addr, cost: link_cost, phase: phase_differential, medium: Medium::of(medium_rx) }
    }
}

impl Alternate {
    pub(super) const fn new(way: Way, seen_ms: i64) -> Self {
        Self { way, answered: 0, failed: 0, seen_ms }
    }

    pub(super) fn count(&mut self, is_answered: bool) {
        let counter = if is_answered { &mut self.answered } else { &mut self.failed };
        *counter = counter.saturating_add(1);
        // What was long ago counts for less and less.
        if self.answered.max(self.failed) > MEMORY {
            (self.answered, self.failed) = (self.answered / 2, self.failed / 2);
        }
    }

    /// The lower, the better: what the links cost, weak ones above all, and what was lost on it.
    pub fn score(&self) -> u32 {
        let lost = LOSS * u32::from(self.failed) / (u32::from(self.answered) + u32::from(self.failed)).max(1);
        // A way that somebody wrote, and nobody went, has no cost yet.
        let cost = if self.way.cost == 0 { LINK * u32::from(self.way.hops) } else { self.way.cost.into() };
        cost + WEAK * u32::from(self.way.weak_links) + lost
    }
}

/// What a link costs that hardly carries anything (adpKq and adpKh).
const LINK: u32 = 14;
/// A weak link counts as much as two bad ones; a way on which all is lost, as five.
const WEAK: u32 = 28;
const LOSS: u32 = 70;
const MEMORY: u16 = 64;
