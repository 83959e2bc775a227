//! What goes through the emulated air: bootstrapping, packets, paths, and the tables that come of it.

use std::time::{Duration, Instant};

use super::Random;
use super::modem::{Happening, Modem, Stage};
use super::network::{Load, Owed};
use crate::g3::adp::{Address, Hop, Message, Path, Value};
use crate::g3::modem::Generation;
use crate::g3::pib::{Layer, Neighbour, Pos, PosRf, Prefix, Route, Typed, adp, mac};
use crate::g3::{AdpStatus, MacStatus, lbp};
use crate::net::{self, Datagram};
use crate::{Eui64, Reject};

impl Modem {
    /// Sends a message of the bootstrap server to the node that it names, and tells the host of the one with a handle.
    pub(super) fn carry_lbp(&mut self, pdu: &[u8], destination: Address, handle: Option<u8>, now: Instant) {
        let Some(place) = self.hearer(pdu, destination) else {
            return self.confirm_lbp(handle, AdpStatus::ROUTE_ERROR, now);
        };
        if self.joins_through_network() {
            let load = Load::Bootstrap(pdu.to_vec());
            return self.network_sends(place, load, handle.map(Owed::Lbp), (true, Some(destination)));
        }
        let at = now + self.delay(place, pdu.len());
        if !self.random.happens(self.nature.faults.air_loss_ppm) {
            self.at(at, Happening::Hear(place, pdu.to_vec()));
        }
        self.confirm_lbp(handle, AdpStatus::SUCCESS, at);
    }

    fn confirm_lbp(&mut self, handle: Option<u8>, status: AdpStatus, now: Instant) {
        if let Some(handle) = handle {
            let at = now + self.nature.faults.slow_confirm;
            self.at(at, Happening::Tell(Message::LbpConfirm { status, handle }, true));
        }
    }

    /// Who hears a message of the bootstrap server; None where nobody can.
    fn hearer(&mut self, pdu: &[u8], destination: Address) -> Option<usize> {
        let eui64 = Eui64(pdu.get(2..10)?.try_into().ok()?);
        let place = self.places.get(&eui64).copied()?;
        let counter = self.count();
        let key = self.key();
        let is_far = self.network.is_some();
        let device = self.devices.get_mut(place).filter(|device| device.is_on || is_far)?;
        // What goes to a member is secured; what goes to who asks, or to its agent, is not for its keys.
        let is_member = device.short_addr.is_some_and(|short_addr| destination == Address::Short(short_addr));
        let is_secret =
            is_member && !key.is_some_and(|(index, key)| device.key(index) == Some(key) && device.hear(key, counter));
        (!is_secret).then_some(place)
    }

    pub(super) fn device_hears(&mut self, place: usize, pdu: &[u8], now: Instant) {
        let Ok(message) = lbp::Message::parse(pdu) else { return };
        let is_far = self.joins_through_network();
        let Some(device) = self.devices.get_mut(place).filter(|device| device.is_on) else { return };
        let answers = device.take(&message, &mut self.random);
        match is_far {
            true => self.membership(place, message.code == lbp::Code::Decline),
            false if device.short_addr.is_none() => self.ask_later(place, now),
            false => {}
        }
        answers.into_iter().for_each(|answer| self.device_says(place, answer, now));
    }

    /// A node asks for admission, and again until it has it.
    pub(super) fn ask(&mut self, place: usize, now: Instant) {
        let Some(device) = self.devices.get(place).filter(|device| device.is_on && device.short_addr.is_none()) else {
            return;
        };
        let joining = device.joining();
        self.statistics.asked += 1;
        let times = if device.flaw == Some(super::Flaw::Stutters) { 2 } else { 1 };
        (0..times).for_each(|_| self.device_says(place, joining.clone(), now));
        if !self.joins_through_network() {
            self.ask_later(place, now + self.nature.join_window);
        }
    }

    fn device_says(&mut self, place: usize, message: lbp::Message, now: Instant) {
        if self.joins_through_network() {
            return self.network_hears(place, Load::Says(message));
        }
        if !self.random.happens(self.nature.faults.air_loss_ppm) {
            let at = now + self.delay(place, 64);
            self.at(at, Happening::Answer(place, message));
        }
    }

    /// A message of a bootstrap, from a node by its agent.
    pub(super) fn coordinator_hears(
        &mut self,
        place: usize,
        agent: Option<usize>,
        message: &lbp::Message,
        now: Instant,
    ) {
        if self.stage != Stage::Started {
            return;
        }
        if self.nature.generation == Generation::ModemLbs {
            return self.lbs_hears(place, message, now);
        }
        let source = self.source(place, agent);
        let pdu = message.to_vec().into();
        let lqi = self.near_lqi(place);
        self.tell(&Message::LbpIndication { source, pdu, lqi, is_secured: source != NOBODY });
    }

    /// Whom a node's bootstrapping comes from: itself, its agent, or nobody when it is heard directly.
    fn source(&self, place: usize, agent: Option<usize>) -> u16 {
        let short_addr = |place: usize| self.devices.get(place).and_then(|device| device.short_addr);
        short_addr(place).or_else(|| short_addr(agent?)).unwrap_or(NOBODY)
    }

    pub(super) fn send_packet(&mut self, handle: u8, discovers: bool, packet: Vec<u8>, now: Instant) {
        let counter = self.count();
        let to = net::ends(&packet).and_then(|(_, to)| net::short_addr(to, self.pan_id?, self.prefix()));
        let place = to.and_then(|short_addr| self.place_of(short_addr));
        let delay = place.map_or(Duration::ZERO, |place| self.delay(place, packet.len()));
        let key = self.key();
        let is_lost = self.random.happens(self.nature.faults.air_loss_ppm);
        let status = match place.and_then(|place| Some((place, self.devices.get_mut(place)?))) {
            _ if net::ends(&packet).is_none() => AdpStatus::INVALID_IPV6_FRAME,
            // Who has no power, and who has no key, is no different there.
            Some((place, device))
                if self.network.is_some()
                    && (!device.is_on || key.is_some_and(|(index, key)| device.key(index) == Some(key))) =>
            {
                return self.network_sends(place, Load::Packet(packet), Some(Owed::Data(handle)), (discovers, None));
            }
            Some((place, device)) if device.is_on => match key {
                Some((index, key)) if device.key(index) == Some(key) => {
                    if device.hear(key, counter) && !is_lost {
                        self.at(now + delay, Happening::Packet(place, packet));
                    }
                    AdpStatus::SUCCESS
                }
                // It hears frames that it cannot open: its network has gone on without it.
                _ => {
                    device.leave();
                    self.ask_later(place, now);
                    AdpStatus::ROUTE_ERROR
                }
            },
            _ => AdpStatus::ROUTE_ERROR,
        };
        let at = now + delay + self.nature.faults.slow_confirm;
        self.at(at, Happening::Tell(Message::DataConfirm { status, handle }, true));
    }

    pub(super) fn device_takes(&mut self, place: usize, packet: &[u8], now: Instant) {
        let Some(device) = self.devices.get(place).filter(|device| device.is_on) else { return };
        let Ok(datagram) = Datagram::parse(packet) else { return self.echoes(place, packet, now) };
        self.statistics.datagrams += 1;
        let Some(payload) = (self.behind.0)(device.eui64, datagram.destination_port, datagram.payload) else { return };
        let answer = Datagram {
            source: datagram.destination,
            destination: datagram.source,
            source_port: datagram.destination_port,
            destination_port: datagram.source_port,
            payload: &payload,
        };
        self.leave(place, |out| answer.emit(out), now);
    }

    /// What stands behind a node sends a datagram to the coordinator, unasked. Lost where the node is in no network.
    pub fn push(&mut self, place: usize, port: u16, payload: &[u8], now: Instant) {
        let (Some(pan_id), prefix) = (self.pan_id, self.prefix()) else { return };
        let node = self.devices.get(place).filter(|device| device.is_on).and_then(|device| device.short_addr);
        let Some(short_addr) = node else { return };
        let address = |short_addr| match prefix {
            Some(prefix) => net::unique_local(prefix, pan_id, short_addr),
            None => net::link_local(pan_id, short_addr),
        };
        let (source, destination) = (address(short_addr), address(0));
        let datagram = Datagram { source, destination, source_port: port, destination_port: port, payload };
        self.leave(place, |out| datagram.emit(out), now);
    }

    pub(super) fn leave(&mut self, place: usize, emit: impl FnOnce(&mut Vec<u8>) -> Result<(), Reject>, now: Instant) {
        let mut octets = Vec::new();
        if emit(&mut octets).is_err() {
            return;
        }
        if self.network.is_some() {
            return self.network_hears(place, Load::Reply(octets));
        }
        if !self.random.happens(self.nature.faults.air_loss_ppm) {
            let at = now + self.delay(place, octets.len());
            self.at(at, Happening::Reply(place, octets));
        }
    }

    /// A node's packet, where the coordinator still has the key that it is under.
    pub(super) fn coordinator_takes(&mut self, place: usize, packet: Vec<u8>) {
        let Some(device) = self.devices.get(place).filter(|_| self.stage == Stage::Started) else { return };
        let (Some(short_addr), (key_index, Some(key))) = (device.short_addr, device.active_key()) else { return };
        let source = Address::Short(short_addr);
        self.tell(&if self.pib.key(key_index) == Some(key) {
            Message::DataIndication { lqi: self.near_lqi(place), nsdu: packet.into() }
        } else {
            Message::NetworkStatus {
                pan_id: self.pan_id.unwrap_or(NOBODY),
                source,
                destination: Address::Short(0),
                status: MacStatus::UNAVAILABLE_KEY,
                security_level: 5,
                key_index,
                medium: None,
            }
        });
    }

    pub(super) fn discover_path(&mut self, destination: u16, metric: u8, now: Instant) {
        let place = self.place_of(destination);
        if let Some(place) = place.filter(|_| self.network.is_some()) {
            let (forward, reverse) = (Vec::new(), Vec::new());
            return self.trace(place, Path { destination, originator: 0, metric, forward, reverse });
        }
        let mut places: Vec<_> = std::iter::successors(place, |place| self.parent(*place)).collect();
        places.reverse();
        let short = |place: Option<usize>| place.map_or(Some(0), |place| self.devices.get(place)?.short_addr);
        // The hop to `short_addr` goes over the link between `place` and its parent, one way or the other.
        let hop = |place: usize, short_addr, turn: fn(u8) -> u8| {
            let Tie { lqi, phase_differential, medium } = self.tie(place);
            let phase_differential = turn(phase_differential);
            Hop {
                short_addr,
                metric_not_supported: 0,
                link_cost: link_cost(lqi),
                phase_differential,
                medium_rx: medium,
                medium_tx: medium,
            }
        };
        let is_on = place.and_then(|place| self.devices.get(place)).is_some_and(|device| device.is_on);
        // The node before one that is off is the last that takes the request.
        let heard = places.iter().filter(|at| is_on || Some(**at) != place);
        let forward = heard.filter_map(|place| Some(hop(*place, short(Some(*place))?, |phase| phase))).collect();
        let back = |place: &usize| Some(hop(*place, short(self.parent(*place))?, |phase| (6 - phase) % 6));
        let reverse = places.iter().rev().filter(|_| is_on).filter_map(back).collect();
        let status = if is_on { AdpStatus::SUCCESS } else { AdpStatus::INCOMPLETE_PATH };
        let delay = place.map_or(Duration::ZERO, |place| self.delay(place, 32) * 2);
        let path = Path { destination, originator: 0, metric, forward, reverse };
        self.at(now + delay, Happening::Tell(Message::PathDiscoveryConfirm { status, path: Some(path) }, false));
    }

    /// A row of a table of the adaptation layer; None where it is none.
    pub(super) fn row(&self, attribute: u32, index: u16) -> Option<Value> {
        if attribute == adp::BLACKLIST_TABLE {
            // One entry follows the other, wherever they were written.
            return self.pib.rows(Layer::Adp, attribute).nth(usize::from(index)).map(|row| row.to_value());
        }
        if attribute != adp::ROUTING_TABLE {
            return None;
        }
        if self.network.is_some() {
            return Some(Typed::Route(self.network_route(index.into())?).to_value());
        }
        let (place, device) = self
            .devices
            .iter()
            .enumerate()
            .filter(|(_, device)| device.short_addr.is_some())
            .nth(usize::from(index))?;
        let is_of = |row: &Typed| matches!(row, Typed::Route(route) if Some(route.destination) == device.short_addr);
        if let Some(written) = self.pib.rows(Layer::Adp, attribute).find(is_of) {
            return Some(written.to_value());
        }
        let way = || std::iter::successors(Some(place), |place| self.parent(*place));
        let ties = || way().map(|place| self.tie(place));
        let first = way().last()?;
        let hop_count = self.hops(place);
        Some(
            Typed::Route(Route {
                destination: device.short_addr?,
                next_hop: self.devices.get(first)?.short_addr.unwrap_or(NOBODY),
                route_cost: ties().map(|tie| u16::from(link_cost(tie.lqi))).sum(),
                hop_count,
                weak_link_count: ties().filter(|tie| tie.lqi < WEAK_LQI).count().min(15) as u8,
                medium: (self.nature.generation == Generation::ModemLbs).then(|| self.tie(first).medium),
                valid_time: 180,
            })
            .to_value(),
        )
    }

    /// A row of a table of the MAC layer: who stands next to the coordinator.
    pub(super) fn mac_row(&self, attribute: u32, index: u16) -> Option<Value> {
        let neighbour = match self.network.is_some() {
            true => self.network_neighbour(attribute == mac::POS_TABLE_RF, index.into()),
            false => {
                let near = self.devices.iter().enumerate().take(self.nature.fan_out);
                let mut near = near.filter_map(|(place, device)| Some((self.tie(place), device.short_addr?)));
                near.nth(usize::from(index))
            }
        };
        let (Tie { lqi, phase_differential, .. }, short_addr) = neighbour?;
        match attribute {
            mac::NEIGHBOUR_TABLE => {
                let is_old = self.nature.generation == Generation::HostLbs;
                let row = Neighbour {
                    short_addr,
                    tone_map: [0x3f; 3],
                    modulation_type: 1,
                    tx_gain: 0,
                    tx_res: 0,
                    tx_coefficients: [0; 6],
                    modulation_scheme: 0,
                    phase_differential,
                    lqi,
                    tmr_valid_time: 2,
                    neighbour_valid_time: is_old.then_some(255),
                };
                // The firmware says 18, whatever it sends.
                Some(Value { announced: 18, ..Typed::Neighbour(row).to_value() })
            }
            mac::POS_TABLE => Some(Typed::Pos(Pos { short_addr, lqi, valid_time: 255 }).to_value()),
            mac::POS_TABLE_RF if self.nature.is_hybrid => Some(
                Typed::PosRf(PosRf {
                    short_addr,
                    forward_lqi: lqi,
                    reverse_lqi: lqi,
                    duty_cycle: 0,
                    forward_tx_power_offset: 0,
                    reverse_tx_power_offset: 0,
                    valid_time: 255,
                    reverse_valid_time: 255,
                })
                .to_value(),
            ),
            _ => None,
        }
    }

    pub(super) fn prefix(&self) -> Option<[u8; 8]> {
        let value = self.pib.get(Layer::Adp, adp::PREFIX_TABLE, 0).ok()?;
        match Layer::Adp.parse(adp::PREFIX_TABLE, &value.octets) {
            Ok(Typed::Prefix(Prefix { prefix, .. })) => prefix.as_slice().try_into().ok(),
            _ => None,
        }
    }

    /// The node in front of this one, towards the coordinator.
    pub(super) fn parent(&self, place: usize) -> Option<usize> {
        let fan_out = self.nature.fan_out.max(1);
        place.checked_sub(fan_out).map(|behind| behind / fan_out)
    }

    /// What the link between a node and its parent is like: the same in every run of this seed.
    fn tie(&self, place: usize) -> Tie {
        let draw =
            |place: usize| Random::new(self.nature.seed ^ (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).number();
        let drawn = draw(place);
        // One of three phases, as sixths of a turn; the coordinator stands on the first.
        let phase = |place| (draw(place) >> 32) as u8 % 3 * 2;
        let before = self.parent(place).map_or(0, phase);
        // The sum of two dice: most links are middling, few are weak.
        let lqi = 36 + (drawn as u8 & 0x3f) + (drawn >> 8) as u8 % 0x30;
        let is_rf = self.nature.is_hybrid && drawn >> 16 & 7 == 0;
        Tie { lqi, phase_differential: (6 + phase(place) - before) % 6, medium: is_rf.into() }
    }

    /// Of the last hop on the way from a node to the coordinator.
    fn near_lqi(&self, place: usize) -> u8 {
        if self.network.is_some() {
            return self.network_lqi(place).unwrap_or(0);
        }
        let first = std::iter::successors(Some(place), |place| self.parent(*place)).last();
        self.tie(first.unwrap_or(place)).lqi
    }

    fn hops(&self, place: usize) -> u8 {
        std::iter::successors(Some(place), |place| self.parent(*place)).count().min(15) as u8
    }

    fn delay(&self, place: usize, octets: usize) -> Duration {
        (self.nature.hop_time + self.nature.octet_time * octets as u32) * u32::from(self.hops(place))
    }
}

/// A link.
pub(super) struct Tie {
    pub(super) lqi: u8,
    /// Sixths of a turn from the parent's phase to the node's.
    pub(super) phase_differential: u8,
    /// 0 is PLC, 1 is RF.
    pub(super) medium: u8,
}

/// The default metric: Kh 4, Kq 10, LQI from 0 to 255.
pub(super) fn link_cost(lqi: u8) -> u8 {
    4 + ((255 - u16::from(lqi)) * 10 / 255) as u8
}

/// adpWeakLQIValue.
const WEAK_LQI: u8 = 52;
const NOBODY: u16 = 0xffff;
