//! Who could reach whom, whatever the nodes know of it; and a network that was formed long ago.

use std::collections::{BTreeSet, VecDeque};

use super::join::Join;
use super::message::{NodeNo, Rank};
use super::phy::{Medium, Modulation};
use super::route::Quality;
use super::routing::HOPS;
use super::site::{Phase, Place};
use super::world::World;
use crate::route::Way;

impl World {
    /// A network that was formed long ago: who can be reached has joined, and knows the best way there is now. Returns
    /// how many have; the others go on trying.
    pub fn commission(&mut self) -> usize {
        let mut best: Vec<Option<Rank>> = vec![None; self.nodes.len()];
        let mut open = BTreeSet::from([(Rank::default(), 0, 0, 0)]);
        let metric = self.options.metric;
        let mut joined = 0;
        while let Some((rank, node, parent, channel)) = open.pop_first() {
            match best.get_mut(node) {
                Some(known) if known.is_none() => *known = Some(rank),
                _ => continue,
            }
            if node != 0 {
                joined += 1;
                self.node(node).is_up = true;
                self.node(node).join = Join::Joined;
                self.know(node, parent, channel, rank);
            }
            if node == 0 || self.channels.len() > 1 {
                // They have all heard each other lately.
                let heard: Vec<(NodeNo, usize)> =
                    self.good_links(node).map(|(to, channel, ..)| (to, channel)).collect();
                heard.into_iter().for_each(|(to, channel)| self.note_near(node, to, channel));
            }
            let hops = rank.hops;
            let next = self
                .good_links(node)
                .filter(|_| hops < HOPS)
                .map(|(to, channel, lqi, medium)| (to, channel, Quality { lqi, back: lqi, duty: 0 }, medium))
                .map(|(to, channel, quality, medium)| (metric.extend(rank, quality, medium), to, node, channel));
            open.extend(next);
        }
        joined
    }

    /// The routes between a node behind `parent` and the coordinator.
    fn know(&mut self, node: NodeNo, parent: NodeNo, channel: usize, rank: Rank) {
        let now = self.now;
        self.node(node).table.learn(0, (parent, channel), rank, (0, true), now);
        let (mut at, mut next) = (parent, (node, channel));
        loop {
            self.node(at).table.learn(node, next, rank, (0, true), now);
            let Some(route) = self.node(at).table.to(0, now).copied().filter(|_| at != 0) else { return };
            next = (at, route.medium);
            at = route.next;
        }
    }

    /// Neighbours that hear a node well enough now, and are heard by it.
    pub fn neighbours(&self, node: NodeNo) -> usize {
        self.good_links(node).count()
    }

    /// The fewest hops from the coordinator to each node over links that are good in both directions now; more than
    /// there are nodes where there is no way.
    pub fn hops(&self) -> Vec<usize> {
        let mut hops = vec![usize::MAX; self.nodes.len()];
        let mut open = VecDeque::from([(0, 0)]);
        while let Some((node, count)) = open.pop_front() {
            match hops.get_mut(node) {
                Some(hop) if *hop == usize::MAX => *hop = count,
                _ => continue,
            }
            open.extend(self.good_links(node).map(|(to, ..)| (to, count + 1)));
        }
        hops
    }

    /// The first hop from the coordinator to a node and the hops of the route, as its routing table has them.
    pub fn route(&self, node: NodeNo) -> Option<(NodeNo, u8)> {
        self.nodes.first()?.table.to(node, self.now).map(|route| (route.next, route.rank.hops))
    }

    /// The same with what it costs, as a host reads it.
    pub fn way(&self, node: NodeNo) -> Option<Way> {
        let route = self.nodes.first()?.table.to(node, self.now)?;
        let medium = self.channels.get(route.medium).map(|channel| match channel.medium {
            Medium::Plc => crate::route::Medium::Plc,
            Medium::Rf => crate::route::Medium::Rf,
        });
        let Rank { weak, cost, hops } = route.rank;
        Some(Way { next_hop: u16::try_from(route.next).ok()?, hops, cost, weak_links: weak, medium })
    }

    /// Whether there is a way from the coordinator to each node over links that are good in both directions now and nodes
    /// that have power.
    pub fn reachable(&self) -> Vec<bool> {
        let mut is_reached = vec![false; self.nodes.len()];
        let mut open = vec![0];
        while let Some(node) = open.pop() {
            let is_up = self.nodes.get(node).is_some_and(|node| node.is_up);
            match is_reached.get_mut(node) {
                Some(reached) if is_up && !*reached => *reached = true,
                _ => continue,
            }
            open.extend(self.good_links(node).map(|(to, ..)| to));
        }
        is_reached
    }

    /// Where a node would send a message for another one now.
    pub fn next_hop(&self, from: NodeNo, to: NodeNo) -> Option<NodeNo> {
        self.nodes.get(from)?.table.to(to, self.now).map(|route| route.next)
    }

    /// The hops of the route from one node to another as their tables have it now, and whether it ends there; it goes
    /// round where there are more hops than nodes.
    pub fn trace(&self, from: NodeNo, to: NodeNo) -> (usize, bool) {
        let mut at = from;
        for hops in 0..=self.nodes.len() {
            if at == to {
                return (hops, true);
            }
            match self.next_hop(at, to) {
                Some(next) => at = next,
                None => return (hops, false),
            }
        }
        (self.nodes.len() + 1, false)
    }

    /// Neighbours over links that are good in both directions: the medium and how good the worse direction is.
    pub(super) fn good_links(&self, from: NodeNo) -> impl Iterator<Item = (NodeNo, usize, u8, Medium)> {
        self.channels.iter().enumerate().flat_map(move |(number, channel)| {
            let has = move |node: NodeNo| {
                self.nodes.get(node).and_then(|node| node.macs.get(number)).is_some_and(|mac| mac.is_there)
            };
            channel.links(from).iter().filter_map(move |link| {
                let back = channel.link(link.to, from).filter(|_| has(from) && has(link.to))?;
                let worst = channel.effective(from, link, 0.0).min(channel.effective(link.to, back, 0.0));
                let medium = channel.medium;
                (worst >= medium.threshold(Modulation::Robo)).then_some((link.to, number, medium.lqi(worst), medium))
            })
        })
    }

    /// The meters of one phase of one feeder; those with three phases go on.
    pub fn on_phase(&self, feeder: u16, phase: Phase) -> Vec<NodeNo> {
        let is_there = |place: &Place| {
            place.phase == phase
                && self.site.cabinets.get(place.cabinet).is_some_and(|cabinet| cabinet.feeder == feeder)
        };
        self.site.nodes.iter().enumerate().skip(1).filter(|(_, place)| is_there(place)).map(|(node, _)| node).collect()
    }
}
