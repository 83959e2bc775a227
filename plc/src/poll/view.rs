//! What the scheduler is told of its surroundings, and what it shows of itself.

use std::time::Instant;

use super::{Branch, Event, Node, Scheduler};
use crate::Eui64;

/// What was sent since the begin, and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Attempts, answers, and attempts that came to nothing.
    pub sent: u64,
    pub answered: u64,
    pub lost: u64,
    /// Seconds of airtime of what was answered, by the model.
    pub airtime: f64,
}

/// One branch as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BranchView {
    pub first_hop: Eui64,
    pub window: f64,
    pub in_flight: usize,
}

impl Scheduler {
    /// While somebody looks for a route only what is wanted on demand is sent: what others send is lost between the
    /// requests, and breaks more.
    pub fn set_quiet(&mut self, is_quiet: bool, now: Instant) {
        if std::mem::replace(&mut self.is_quiet, is_quiet) && !is_quiet {
            self.fill(now);
        }
    }

    /// The hour of the day, 0 to 23: some are noisy, and the scheduler learns which.
    pub fn set_hour(&mut self, hour: u8, now: Instant) {
        if self.noise.set_hour(hour) {
            self.fill(now);
        }
    }

    /// Something came of a node, or it has a route again: it may be asked at once.
    pub fn heard(&mut self, id: Eui64, now: Instant) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.heard() {
            self.events.push_back(Event::Back { node: id });
        }
        self.fill(now);
    }

    /// Until when a node is left alone because it did not answer.
    pub fn held_until(&self, node: Eui64, now: Instant) -> Option<Instant> {
        self.nodes.get(&node)?.held_until.filter(|until| *until > now)
    }

    /// A node is one no more; what waits for it is dropped.
    pub fn forget(&mut self, id: Eui64, now: Instant) {
        let Some(node) = self.nodes.remove(&id) else { return };
        drop(node);
        let flying = self.flights.iter().filter(|(_, flight)| flight.exchange.node == id);
        for ticket in flying.map(|(ticket, _)| *ticket).collect::<Vec<_>>() {
            self.land(ticket);
        }
        self.transmits.retain(|transmit| transmit.node != id);
        self.fill(now);
    }

    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// How much may be under way now.
    pub const fn window(&self) -> f64 {
        self.window.size()
    }

    /// Whether more is lost in this hour of the day than in others.
    pub fn is_noisy(&self) -> bool {
        self.noise.is_noisy()
    }

    /// Branches in which something is under way or was not long ago: those that were served last, the last one first.
    pub fn branches(&self, most: usize) -> Vec<BranchView> {
        let mut all: Vec<(&Eui64, &Branch)> = self.branches.iter().collect();
        all.sort_by_key(|(_, branch)| std::cmp::Reverse(branch.served));
        let view = |(first_hop, branch): (&Eui64, &Branch)| BranchView {
            first_hop: *first_hop,
            window: branch.window.size(),
            in_flight: branch.in_flight,
        };
        all.into_iter().take(most).map(view).collect()
    }

    /// Exchanges that are under way.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Whether something is under way or may go: what waits for a node that is left alone keeps nobody else from the network.
    pub fn is_busy(&self, now: Instant) -> bool {
        !self.flights.is_empty() || self.nodes.values().any(|node| node.ready(now).is_some())
    }

    /// Nodes of which something is wanted, but for those that have been silent for hours.
    pub fn hoped_for(&self, now: Instant) -> usize {
        self.nodes.values().filter(|node| node.is_hoped_for(now)).count()
    }

    /// Exchanges that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.nodes.values().map(Node::waiting).sum()
    }
}
