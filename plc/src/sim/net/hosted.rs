//! A network whose nodes somebody else speaks for: an emulated modem, whose host is a real one. What is sent is opaque here
//! and costs its airtime; what a coordinator's modem knows can be asked.

use super::join::Join;
use super::message::{Data, Load, NodeNo, Parcel, Rank};
use super::options::Options;
use super::phy::{Medium, Micros};
use super::route::{MEDIA, Route};
use super::site::{Phase, Site};
use super::world::{Event, World};
use crate::route::Way;

/// One hop of a way, and the link that it goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub from: NodeNo,
    pub to: NodeNo,
    pub medium: Medium,
    /// As the receiver hears it now.
    pub lqi: u8,
    /// Sixths of a turn from the sender's phase to the receiver's; who has three phases is on the first.
    pub phase: u8,
}

impl World {
    /// A network whose bootstraps and messages come from outside: see [`Hosted`](super::Hosted). Its coordinator is off.
    pub fn hosted(site: Site, options: Options) -> Self {
        let mut world = Self::new(site, options);
        world.is_hosted = true;
        world.set_coordinator(false);
        world
    }

    /// When something happens next.
    pub fn next_at(&self) -> Option<Micros> {
        self.events.peek().map(|entry| entry.at)
    }

    /// The coordinator runs a network, or none: then it hears nobody and knows nothing.
    pub fn set_coordinator(&mut self, is_up: bool) {
        if !is_up {
            self.switch_off(0);
        } else if let Some(node) = self.nodes.first_mut() {
            (node.is_up, node.join) = (true, Join::Joined);
        }
    }

    /// Sends a parcel between the coordinator and a member, one way or the other.
    pub fn send_parcel(&mut self, from: NodeNo, to: NodeNo, parcel: Parcel) {
        if self.is_joined(from) {
            self.carry(from, Data::new(from, to, Load::Parcel(parcel)));
        }
    }

    /// The same to the coordinator, when the meter has its answer ready.
    pub fn answer(&mut self, node: NodeNo, parcel: Parcel) {
        let after = self.turnaround();
        self.at(self.now + after, Event::Send { node, parcel });
    }

    /// A node is in no network any more, and looks for one.
    pub fn leave(&mut self, node: NodeNo) {
        let is_up = self.nodes.get(node).is_some_and(|node| node.is_up);
        self.switch_off(node);
        if is_up {
            self.switch_on(node, 0);
        }
    }

    /// The hops of the route from one node to another as their tables have it now; empty where it does not end there.
    pub fn steps(&self, from: NodeNo, to: NodeNo) -> Vec<Step> {
        let next = |at: NodeNo| self.nodes.get(at)?.table.to(to, self.now).map(|route| (route.next, route.medium));
        let mut steps = Vec::new();
        let mut at = from;
        while at != to {
            let step = next(at).filter(|_| steps.len() <= self.nodes.len());
            let Some(step) = step.and_then(|(to, channel)| self.step(at, to, channel)) else { return Vec::new() };
            at = step.to;
            steps.push(step);
        }
        steps
    }

    /// What the coordinator's routing table has: the destination, the way, and the minutes that it is good for.
    pub fn table(&self) -> impl Iterator<Item = (NodeNo, Way, u16)> {
        let table = self.nodes.first().map(|node| &node.table);
        let rows = table.into_iter().flat_map(|table| table.all(self.now));
        rows.filter_map(|(dest, minutes)| Some((dest, self.way(dest)?, minutes)))
    }

    /// The members that the coordinator has heard lately and that hear it, over one medium.
    pub fn near(&self, medium: Medium) -> impl Iterator<Item = Step> {
        let heard = self.nodes.first().map(|node| &node.near);
        let is_heard = move |node, channel| {
            heard.and_then(|heard| heard.get(&(node, channel))).is_some_and(|until| *until > self.now)
        };
        let members = self
            .good_links(0)
            .filter(move |(to, channel, _, over)| *over == medium && self.is_joined(*to) && is_heard(*to, *channel));
        members.filter_map(|(from, channel, ..)| self.step(from, 0, channel))
    }

    /// Puts a route into the coordinator's table: it is held by who wrote it.
    pub fn write_route(&mut self, dest: NodeNo, way: &Way, next: NodeNo, medium: Medium, minutes: u16) {
        let now = self.now;
        let channel = self.channels.iter().position(|channel| channel.medium == medium);
        if let (Some(channel), true) = (channel, dest < self.nodes.len() && next < self.nodes.len()) {
            let rank = Rank { weak: way.weak_links, cost: way.cost, hops: way.hops };
            self.node(0).table.write(dest, (next, channel), rank, Micros::from(minutes), now);
        }
    }

    /// Puts a neighbour of the coordinator on its blacklist for the time that firmware keeps it.
    pub fn blacklist(&mut self, node: NodeNo) {
        let now = self.now;
        (0..MEDIA).for_each(|channel| self.node(0).table.blacklist(node, channel, now));
    }

    fn step(&self, from: NodeNo, to: NodeNo, channel: usize) -> Option<Step> {
        let there = self.channels.get(channel)?;
        let lqi = there.link(from, to).map_or(0, |link| there.medium.lqi(there.effective(from, link, 0.0)));
        let phase = |node: NodeNo| self.site.nodes.get(node).map_or(0, |place| place.phase.sixths());
        let phase = (6 + phase(to) - phase(from)) % 6;
        Some(Step { from, to, medium: there.medium, lqi, phase })
    }
}

impl Phase {
    /// Of a turn, from the first phase on.
    pub const fn sixths(self) -> u8 {
        match self {
            Self::A | Self::Three => 0,
            Self::B => 2,
            Self::C => 4,
        }
    }
}

impl Route {
    /// Minutes that it is good for, from now on.
    pub(super) fn minutes(&self, now: Micros) -> u16 {
        u16::try_from(self.until.saturating_sub(now) / 60_000_000).unwrap_or(u16::MAX)
    }
}
