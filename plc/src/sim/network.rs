//! A simulated network behind an emulated modem: what the modem sends goes through its airtime, and what the modem knows
//! is what the network's coordinator knows. Its time may go faster than the modem's.

mod forming;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::air::{Tie, link_cost};
use super::modem::{Happening, Modem};
use super::net::{Figures, Hosted, Medium, Micros, NodeNo, Output, Parcel, Step, World};
use crate::g3::adp::{Address, Hop, Message, Path};
use crate::g3::modem::Generation;
use crate::g3::pib::{Route, Typed};
use crate::g3::{AdpStatus, lbp};
use crate::route::Way;

/// A network whose node 0 is the modem, and whose others are its devices in their order.
#[derive(Debug)]
pub struct Network {
    world: World,
    begin: Instant,
    speed: u32,
    /// What is under way, by its tag.
    parcels: BTreeMap<u64, Content>,
    next_tag: u64,
    /// When parcels are looked through for what got lost.
    sweep: Micros,
    /// Routes that the host has asked for.
    searches: BTreeSet<NodeNo>,
    /// It was formed long ago, and its nodes are told so: they come in without airtime.
    is_forming: bool,
}

#[derive(Debug)]
struct Content {
    place: usize,
    load: Load,
    /// What the host is still told of it.
    owed: Option<Owed>,
    /// Then it is lost.
    until: Micros,
}

/// What is carried.
#[derive(Debug, Clone)]
pub(super) enum Load {
    /// Of the bootstrap server to a device, and of a device.
    Bootstrap(Vec<u8>),
    Says(lbp::Message),
    /// To a device, and from it.
    Packet(Vec<u8>),
    Reply(Vec<u8>),
    /// A path is traced, there and back.
    Trace(Path),
    Back(Path),
}

/// What the host is told when a frame has left, or a path is known, or not.
#[derive(Debug, Clone)]
pub(super) enum Owed {
    Data(u8),
    Lbp(u8),
    Path(Path),
}

impl Network {
    /// Whose time begins at `begin`, and goes so many times as fast.
    pub fn new(world: World, begin: Instant, speed: u32) -> Self {
        let (parcels, searches) = (BTreeMap::new(), BTreeSet::new());
        Self { world, begin, speed: speed.max(1), parcels, next_tag: 0, sweep: 0, searches, is_forming: false }
    }

    pub fn figures(&self) -> &Figures {
        self.world.figures()
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.world.next_at().map(|at| self.instant(at))
    }

    fn instant(&self, at: Micros) -> Instant {
        self.begin + Duration::from_micros(at.div_ceil(self.speed.into()))
    }

    fn micros(&self, at: Instant) -> Micros {
        let passed = at.saturating_duration_since(self.begin).as_micros() * u128::from(self.speed);
        Micros::try_from(passed).unwrap_or(Micros::MAX)
    }

    fn pack(&mut self, place: usize, load: Load, owed: Option<Owed>, discovers: bool) -> Parcel {
        self.next_tag += 1;
        let (octets, patience) = match &load {
            Load::Bootstrap(octets) => (octets.len(), LOST),
            Load::Says(message) => (message.to_vec().len(), LOST),
            Load::Packet(octets) | Load::Reply(octets) => ((octets.len() + COMPRESSED).saturating_sub(HEADERS), LOST),
            Load::Trace(_) => (TRACE, PATH_DISCOVERY),
            Load::Back(path) => (TRACE + HOP * path.forward.len(), PATH_DISCOVERY),
        };
        self.parcels.insert(self.next_tag, Content { place, load, owed, until: self.world.now() + patience });
        Parcel { tag: self.next_tag, octets: u16::try_from(octets).unwrap_or(u16::MAX), discovers }
    }
}

impl Modem {
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Time goes by in the network, until now.
    pub(super) fn network_goes_on(&mut self, now: Instant) {
        while let Some(network) = &mut self.network {
            let Some(output) = network.world.run(network.micros(now)) else { break };
            let at = network.instant(network.world.now());
            self.network_says(output, at);
        }
        self.sweep(now);
    }

    fn network_says(&mut self, output: Output, at: Instant) {
        let Some(network) = &mut self.network else { return };
        match output {
            Output::Joined { .. } | Output::Answered { .. } => {}
            Output::Confirmed { tag, is_sent, .. } => {
                let Some(content) = network.parcels.get_mut(&tag) else { return };
                // A path is not known yet when its first hop is passed.
                let is_early = is_sent && matches!(content.owed, Some(Owed::Path(_)));
                let owed = if is_early { None } else { content.owed.take() };
                let status = if is_sent { AdpStatus::SUCCESS } else { AdpStatus::ROUTE_ERROR };
                owed.into_iter().for_each(|owed| self.pay(owed, status, at));
            }
            Output::Discovered { node, is_found, .. } => {
                let status = if is_found { AdpStatus::SUCCESS } else { AdpStatus::ROUTE_ERROR };
                if network.searches.remove(&node) {
                    self.say(Message::RouteDiscoveryConfirm { status }, at);
                }
            }
            Output::Hosted(Hosted::Asks { device }) => self.ask(device - 1, at),
            Output::Hosted(Hosted::Says { device, agent, tag }) => {
                if let Some(Content { load: Load::Says(message), .. }) = network.parcels.get(&tag) {
                    let (message, agent) = (message.clone(), agent.checked_sub(1));
                    self.coordinator_hears(device - 1, agent, &message, at);
                }
            }
            Output::Hosted(Hosted::Hears { tag, .. } | Hosted::Arrived { tag, .. }) => self.arrived(tag, at),
        }
    }

    fn arrived(&mut self, tag: u64, at: Instant) {
        let Some(Content { place, load, .. }) = self.network.as_ref().and_then(|network| network.parcels.get(&tag))
        else {
            return;
        };
        // It may come again, where an acknowledgement got lost.
        let (place, load) = (*place, load.clone());
        match load {
            Load::Bootstrap(pdu) => self.device_hears(place, &pdu, at),
            Load::Says(message) => self.coordinator_hears(place, None, &message, at),
            Load::Packet(packet) => self.device_takes(place, &packet, at),
            Load::Reply(packet) => self.coordinator_takes(place, packet),
            Load::Trace(path) => self.trace_back(tag, place, path),
            Load::Back(mut path) => {
                path.reverse = self.path(place + 1, 0);
                let owed = self.network.as_mut().and_then(|network| network.parcels.get_mut(&tag)?.owed.take());
                if owed.is_some() {
                    let status = AdpStatus::SUCCESS;
                    self.say(Message::PathDiscoveryConfirm { status, path: Some(path) }, at);
                }
            }
        }
    }

    /// What it owes the host: of a message that it has left or not, of a path that it is not known.
    fn pay(&mut self, owed: Owed, status: AdpStatus, at: Instant) {
        let (message, frees) = match owed {
            Owed::Data(handle) => (Message::DataConfirm { status, handle }, true),
            Owed::Lbp(handle) => (Message::LbpConfirm { status, handle }, true),
            Owed::Path(path) => {
                (Message::PathDiscoveryConfirm { status: AdpStatus::INCOMPLETE_PATH, path: Some(path) }, false)
            }
        };
        self.at(at + self.nature.faults.slow_confirm, Happening::Tell(message, frees));
    }

    /// What was not heard of for too long is lost.
    fn sweep(&mut self, now: Instant) {
        let Some(network) = self.network.as_mut().filter(|network| network.world.now() >= network.sweep) else {
            return;
        };
        let at = network.world.now();
        network.sweep = at + SWEEP;
        let lost: Vec<u64> = network.parcels.iter().filter(|(_, it)| it.until <= at).map(|(tag, _)| *tag).collect();
        let owed: Vec<Owed> = lost.iter().filter_map(|tag| network.parcels.remove(tag)?.owed).collect();
        owed.into_iter().for_each(|owed| self.pay(owed, AdpStatus::TIMEOUT, now));
    }

    /// The host has sent something to a device; to one that joins by its agent.
    pub(super) fn network_sends(
        &mut self,
        place: usize,
        load: Load,
        owed: Option<Owed>,
        (discovers, to): (bool, Option<Address>),
    ) {
        let agent = match to {
            Some(Address::Short(agent)) => self.place_of(agent).map(|agent| agent + 1),
            _ => Some(0),
        };
        let is_member = |short_addr| to.is_none() || to == Some(Address::Short(short_addr));
        let is_member = self.devices.get(place).and_then(|device| device.short_addr).is_some_and(is_member);
        let Some(network) = &mut self.network else { return };
        let parcel = network.pack(place, load, owed, discovers);
        match agent {
            _ if is_member => network.world.send_parcel(0, place + 1, parcel),
            Some(agent) => network.world.tell(place + 1, agent, parcel),
            // It is swept away: nobody has that address.
            None => {}
        }
    }

    /// A device has said something: a member to the coordinator, another one to its agent.
    pub(super) fn network_hears(&mut self, place: usize, load: Load) {
        let Some(network) = &mut self.network else { return };
        let is_bootstrap = matches!(load, Load::Says(_));
        let parcel = network.pack(place, load, None, true);
        match (is_bootstrap, network.world.is_joined(place + 1)) {
            (true, true) => network.world.send_parcel(place + 1, 0, parcel),
            (true, false) => network.world.say(place + 1, parcel),
            (false, _) => network.world.answer(place + 1, parcel),
        }
    }

    /// What a device has heard may have let it in or not, or made it leave.
    pub(super) fn membership(&mut self, place: usize, is_declined: bool) {
        let is_in = self.devices.get(place).is_some_and(|device| device.short_addr.is_some());
        let Some(network) = self.network.as_mut().filter(|network| !network.is_forming) else { return };
        match (is_in, network.world.is_joined(place + 1)) {
            (true, false) => network.world.admit(place + 1),
            (false, true) => network.world.leave(place + 1),
            _ if is_declined => network.world.decline(place + 1),
            _ => {}
        }
    }

    /// A device loses or gets its power, and then looks for a network: what it knew of its own is gone.
    pub(super) fn network_switches(&mut self, place: usize, is_on: bool) {
        let Some(network) = &mut self.network else { return };
        match is_on {
            true => network.world.switch_on(place + 1, 0),
            false => network.world.switch_off(place + 1),
        }
        if let Some(device) = self.devices.get_mut(place).filter(|_| is_on) {
            device.leave();
        }
    }

    /// The modem runs a network, or none.
    pub(super) fn network_runs(&mut self, is_up: bool) {
        if let Some(network) = &mut self.network {
            network.world.set_coordinator(is_up);
            // Its modem knows the ways to everybody, as one that has run for long does.
            if is_up && network.is_forming {
                network.world.commission();
            }
        }
    }

    pub(super) fn search_route(&mut self, place: usize, most_hops: u8) {
        if let Some(network) = &mut self.network {
            network.searches.insert(place + 1);
            network.world.discover(place + 1, most_hops);
        }
    }

    pub(super) fn trace(&mut self, place: usize, path: Path) {
        let owed = Some(Owed::Path(path.clone()));
        self.network_sends(place, Load::Trace(path), owed, (true, None));
    }

    fn trace_back(&mut self, tag: u64, place: usize, mut path: Path) {
        path.forward = self.path(0, place + 1);
        let Some(network) = &mut self.network else { return };
        let owed = network.parcels.get_mut(&tag).and_then(|content| content.owed.take());
        let parcel = network.pack(place, Load::Back(path), owed, true);
        network.world.send_parcel(place + 1, 0, parcel);
    }

    /// The hops of the route between two nodes, each with its receiver.
    fn path(&self, from: NodeNo, to: NodeNo) -> Vec<Hop> {
        let steps = self.network.as_ref().map_or_else(Vec::new, |network| network.world.steps(from, to));
        let hop = |Step { to, medium, lqi, phase, .. }: Step| {
            let medium = number(medium);
            let (link_cost, short_addr) = (link_cost(lqi), self.short_addr_of(to)?);
            Some(Hop {
                short_addr,
                metric_not_supported: 0,
                link_cost,
                phase_differential: phase,
                medium_rx: medium,
                medium_tx: medium,
            })
        };
        steps.into_iter().filter_map(hop).collect()
    }

    /// A row of the coordinator's routing table.
    pub(super) fn network_route(&self, index: usize) -> Option<Route> {
        let row = |(dest, way, valid_time): (NodeNo, Way, u16)| {
            let (destination, next_hop) = (self.short_addr_of(dest)?, self.short_addr_of(way.next_hop.into())?);
            let medium = way.medium.filter(|_| self.nature.generation == Generation::ModemLbs);
            let (route_cost, hop_count, weak_link_count) = (way.cost, way.hops, way.weak_links);
            let medium = medium.map(crate::route::Medium::number);
            Some(Route { destination, next_hop, route_cost, hop_count, weak_link_count, medium, valid_time })
        };
        self.network.as_ref()?.world.table().filter_map(row).nth(index)
    }

    /// A neighbour of the coordinator over one medium, and the link between them.
    pub(super) fn network_neighbour(&self, is_rf: bool, index: usize) -> Option<(Tie, u16)> {
        let medium = if is_rf { Medium::Rf } else { Medium::Plc };
        let near = self.network.as_ref()?.world.near(medium);
        let mut near = near.filter_map(|Step { from, lqi, phase, .. }| {
            Some((Tie { lqi, phase_differential: (6 - phase) % 6, medium: is_rf.into() }, self.short_addr_of(from)?))
        });
        near.nth(index)
    }

    /// What the coordinator hears of the neighbour that a device is behind.
    pub(super) fn network_lqi(&self, place: usize) -> Option<u8> {
        let world = &self.network.as_ref()?.world;
        let first = usize::from(world.way(place + 1)?.next_hop);
        world.near(Medium::Plc).chain(world.near(Medium::Rf)).find(|step| step.from == first).map(|step| step.lqi)
    }

    /// What the host writes into its modem's tables holds in the network; false where there is none.
    pub(super) fn network_takes(&mut self, row: &Typed) -> bool {
        let node_of = |short_addr: u16| self.place_of(short_addr).map(|place| place + 1);
        let (route, banned) = match row {
            Typed::Route(row) => (node_of(row.destination).zip(node_of(row.next_hop)).zip(Some(*row)), None),
            Typed::Blacklist(entry) => (None, node_of(entry.short_addr)),
            _ => (None, None),
        };
        let Some(network) = &mut self.network else { return false };
        if let Some(((dest, next), row)) = route {
            let medium = if row.medium == Some(1) { Medium::Rf } else { Medium::Plc };
            network.world.write_route(dest, &Way::from(&row), next, medium, row.valid_time);
        }
        banned.into_iter().for_each(|node| network.world.blacklist(node));
        route.is_some()
    }

    pub(super) fn place_of(&self, short_addr: u16) -> Option<usize> {
        self.devices.iter().position(|device| device.short_addr == Some(short_addr))
    }

    fn short_addr_of(&self, node: NodeNo) -> Option<u16> {
        node.checked_sub(1).map_or(Some(0), |place| self.devices.get(place)?.short_addr)
    }
}

const fn number(medium: Medium) -> u8 {
    matches!(medium, Medium::Rf) as u8
}

/// IPv6 and UDP, and what compression makes of them between addresses of the network (RFC 6282).
const HEADERS: usize = 48;
const COMPRESSED: usize = 12;
/// A request or reply for a path, and what each hop adds to it.
const TRACE: usize = 14;
const HOP: usize = 4;
/// adpPathDiscoveryTime.
const PATH_DISCOVERY: Micros = 40_000_000;
/// Nothing is under way for longer.
const LOST: Micros = 600_000_000;
const SWEEP: Micros = 1_000_000;
