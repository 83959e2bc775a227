//! A whole network behind one machine: the driver of its modem, its bootstrap server, datagrams to and from its nodes.

mod lbs;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use lbs::After;

use super::MacStatus;
use super::adp::{Address, Message, Request};
use super::bootstrap::{self, Action, Server};
use super::modem::{self, Answer, Modem, Priority, Ticket};
use super::pib::Typed;
use crate::net::{self, Datagram, Echo};
use crate::{Eui64, Reject, Rejects};

/// The coordinator of one network.
#[derive(Debug)]
pub struct Coordinator {
    modem: Modem,
    server: Server,
    /// What follows when the modem has answered.
    after: BTreeMap<Ticket, After>,
    /// When the last frames of a network with our number were heard.
    conflicts: VecDeque<Instant>,
    /// Other networks, and when they were heard last.
    foreign_pans: BTreeMap<u16, Instant>,
    rejects: Rejects,
    /// That were asked for.
    echoes: u16,
    events: VecDeque<Event>,
}

/// What a network says. Modem and bootstrap server say theirs; see there what must be kept, and what is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Modem(modem::Event),
    Bootstrap(bootstrap::Event),
    /// A datagram of a node.
    Datagram {
        short_addr: u16,
        source_port: u16,
        destination_port: u16,
        payload: Vec<u8>,
        lqi: u8,
    },
    /// A node has sent an echo back.
    Echo {
        short_addr: u16,
        lqi: u8,
    },
    /// Another network has our number: it is to be changed.
    PanConflict {
        pan_id: u16,
    },
}

/// Why a datagram was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    Full,
    TooLong,
}

impl Coordinator {
    /// Joins a modem and a server. The modem's keys are the ring's.
    pub fn new(modem: Modem, server: Server, now: Instant) -> Self {
        let mut coordinator = Self {
            modem,
            server,
            after: BTreeMap::new(),
            conflicts: VecDeque::new(),
            foreign_pans: BTreeMap::new(),
            rejects: Rejects::default(),
            echoes: 0,
            events: VecDeque::new(),
        };
        coordinator.drain(now);
        coordinator
    }

    pub fn modem(&self) -> &Modem {
        &self.modem
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Datagrams that were dropped, by reason.
    pub fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    /// Does something with the modem, and what follows from it.
    pub fn with_modem<T>(&mut self, now: Instant, f: impl FnOnce(&mut Modem) -> T) -> T {
        let result = f(&mut self.modem);
        self.drain(now);
        result
    }

    /// Does something with the server, and what follows from it.
    pub fn with_server<T>(&mut self, now: Instant, f: impl FnOnce(&mut Server) -> T) -> T {
        let result = f(&mut self.server);
        self.drain(now);
        result
    }

    /// Gives the network another number. Everybody has to join it again.
    pub fn change_pan(&mut self, pan_id: u16, now: Instant) {
        self.modem.restart(Some(pan_id), now);
        self.server.disband();
        self.conflicts.clear();
        self.drain(now);
    }

    /// Other networks that were heard, and when last.
    pub fn foreign_pans(&self) -> &BTreeMap<u16, Instant> {
        &self.foreign_pans
    }

    /// A number for the network that nobody in hearing has: the first free one from this one on.
    pub fn free_pan(&self, from: u16) -> u16 {
        let is_free = |pan_id: &u16| *pan_id != self.modem.config().pan_id && !self.foreign_pans.contains_key(pan_id);
        (0..=u16::MAX).map(|step| from.wrapping_add(step) & PAN_MASK).find(is_free).unwrap_or(from & PAN_MASK)
    }

    /// Sends a datagram to a node, over the ULA prefix where there is one; its fate is a [`modem::Event::Sent`]. Where no
    /// route is known the modem looks for one.
    ///
    /// # Errors
    /// Nothing was queued.
    pub fn send_datagram(
        &mut self,
        short_addr: u16,
        ports: (u16, u16),
        payload: &[u8],
        priority: Priority,
        deadline: Instant,
        now: Instant,
    ) -> Result<Ticket, SendError> {
        let packet = self.packet(short_addr, ports, payload)?;
        let ticket = self.modem.send_data(packet, priority, true, deadline, now).map_err(|_| SendError::Full)?;
        self.drain(now);
        Ok(ticket)
    }

    /// The same along a route that is known, and not at all where none is.
    ///
    /// # Errors
    /// See [`Self::send_datagram`].
    pub fn send_along(
        &mut self,
        short_addr: u16,
        ports: (u16, u16),
        payload: &[u8],
        deadline: Instant,
        now: Instant,
    ) -> Result<Ticket, SendError> {
        let packet = self.packet(short_addr, ports, payload)?;
        let ticket = self.modem.send_data(packet, Priority::Normal, false, deadline, now);
        self.drain(now);
        ticket.map_err(|_| SendError::Full)
    }

    /// Asks a node for an echo, along a route that is known.
    ///
    /// # Errors
    /// See [`Self::send_datagram`].
    pub fn send_echo(&mut self, short_addr: u16, deadline: Instant, now: Instant) -> Result<Ticket, SendError> {
        let (source, destination) = (self.address(0), self.address(short_addr));
        self.echoes = self.echoes.wrapping_add(1);
        let sequence = self.echoes;
        let echo = Echo { source, destination, is_reply: false, identifier: short_addr, sequence, data: &[] };
        let mut packet = Vec::new();
        echo.emit(&mut packet).map_err(|_| SendError::TooLong)?;
        let ticket = self.modem.send_data(packet, Priority::Normal, false, deadline, now);
        self.drain(now);
        ticket.map_err(|_| SendError::Full)
    }

    fn packet(&self, short_addr: u16, ports: (u16, u16), payload: &[u8]) -> Result<Vec<u8>, SendError> {
        let (source, destination) = (self.address(0), self.address(short_addr));
        let (source_port, destination_port) = ports;
        let mut packet = Vec::new();
        let datagram = Datagram { source, destination, source_port, destination_port, payload };
        datagram.emit(&mut packet).map_err(|_| SendError::TooLong)?;
        Ok(packet)
    }

    /// The address of a node, or of the coordinator at zero.
    pub fn address(&self, short_addr: u16) -> std::net::Ipv6Addr {
        let config = self.modem.config();
        match config.prefix {
            Some(prefix) => net::unique_local(prefix, config.pan_id, short_addr),
            None => net::link_local(config.pan_id, short_addr),
        }
    }

    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.modem.handle_bytes(bytes, now);
        self.drain(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.modem.handle_timeout(now);
        self.server.handle_timeout(now);
        self.drain(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.modem.poll_timeout().into_iter().chain(self.server.poll_timeout()).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.modem.poll_transmit()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Hands what one half says to the other, until neither says anything.
    fn drain(&mut self, now: Instant) {
        loop {
            if let Some(event) = self.modem.poll_event() {
                self.take(event, now);
            } else if let Some(action) = self.server.poll_action() {
                self.act(action, now);
            } else if let Some(event) = self.server.poll_event() {
                self.events.push_back(Event::Bootstrap(event));
            } else {
                return;
            }
        }
    }

    fn take(&mut self, event: modem::Event, now: Instant) {
        match event {
            modem::Event::Lbp { source, pdu, .. } => return self.server.handle_lbp(source, &pdu.0, now),
            modem::Event::LbpSent(ticket, delivery) => return self.server.handle_sent(ticket, delivery, now),
            modem::Event::JoinRequest(eui64) => return self.server.join_request(eui64, now),
            modem::Event::JoinComplete { eui64, short_addr } => {
                return self.server.join_complete(eui64, short_addr, now);
            }
            modem::Event::Left { short_addr } => return self.server.left(short_addr),
            modem::Event::Data { nsdu, lqi } => return self.take_packet(&nsdu.0, lqi, now),
            modem::Event::Answered(ticket, ref result) => {
                if let Some(after) = self.after.remove(&ticket) {
                    return self.go_on(after, result.as_ref().ok(), now);
                }
                if let Ok(Answer::Rows(rows)) = result {
                    rows.iter().filter_map(node_of).for_each(|short_addr| self.server.seen(short_addr));
                }
            }
            modem::Event::NetworkStatus(Message::NetworkStatus {
                source: Address::Short(source),
                status: MacStatus::UNAVAILABLE_KEY | MacStatus::SECURITY_ERROR,
                ..
            }) => self.server.not_understood(source, now),
            modem::Event::Up(generation) => {
                self.look_at_index(now);
                self.server.up(generation, now);
            }
            modem::Event::Down(_) => {
                self.server.down(now);
                self.after.clear();
            }
            modem::Event::ForeignPan { pan_id, .. } if pan_id == self.modem.config().pan_id => {
                self.conflicts.retain(|heard| *heard + CONFLICT_TIME > now);
                self.conflicts.push_back(now);
                if self.conflicts.len() == CONFLICTS {
                    self.conflicts.clear();
                    self.events.push_back(Event::PanConflict { pan_id });
                }
            }
            modem::Event::ForeignPan { pan_id, .. } | modem::Event::Beacon { pan_id, .. } => self.note_pan(pan_id, now),
            _ => {}
        }
        self.events.push_back(Event::Modem(event));
    }

    fn note_pan(&mut self, pan_id: u16, now: Instant) {
        let is_ours = pan_id == self.modem.config().pan_id;
        if !is_ours && (self.foreign_pans.len() < MAX_PANS || self.foreign_pans.contains_key(&pan_id)) {
            self.foreign_pans.insert(pan_id, now);
        }
    }

    fn take_packet(&mut self, packet: &[u8], lqi: u8, now: Instant) {
        let config = self.modem.config();
        let short = |address| net::short_addr(address, config.pan_id, config.prefix);
        if let Ok(echo) = Echo::parse(packet) {
            return match (short(echo.source), short(echo.destination)) {
                (Some(short_addr), Some(0)) if echo.is_reply => {
                    self.server.heard(short_addr, now);
                    self.events.push_back(Event::Echo { short_addr, lqi });
                }
                _ => self.rejects.add(Reject::Mismatch("address")),
            };
        }
        let taken =
            Datagram::parse(packet).and_then(|datagram| match (short(datagram.source), short(datagram.destination)) {
                (Some(source), Some(0)) => Ok((source, datagram)),
                _ => Err(Reject::Mismatch("address")),
            });
        match taken {
            Ok((short_addr, Datagram { source_port, destination_port, payload, .. })) => {
                self.server.heard(short_addr, now);
                let payload = payload.to_vec();
                self.events.push_back(Event::Datagram { short_addr, source_port, destination_port, payload, lqi });
            }
            Err(reject) => self.rejects.add(reject),
        }
    }

    fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::Lbp { eui64, lbp } => {
                let ticket = self.modem.send_lbp(lbp, now + LBP_TIME, now).ok();
                self.server.on_its_way(eui64, ticket);
            }
            Action::Assign { eui64, short_addr, psk } => {
                self.command(psk, Request::AssignShortAddress { eui64, short_addr }, now);
            }
            Action::Rekey { eui64, short_addr, psk, distribute } => {
                self.command(psk, Request::Rekey { short_addr, eui64, distribute }, now);
            }
            Action::Kick { eui64, short_addr } => self.modem.command(&Request::Kick { short_addr, eui64 }),
            Action::Keys(ring) => self.set_keys(&ring, now),
        }
    }
}

/// The node that a row of a table shows to be in the network.
fn node_of(row: &Typed) -> Option<u16> {
    match row {
        Typed::Route(route) => Some(route.destination),
        Typed::Neighbour(neighbour) => Some(neighbour.short_addr),
        Typed::Pos(pos) => Some(pos.short_addr),
        Typed::PosRf(pos) => Some(pos.short_addr),
        _ => None,
    }
}

impl Event {
    /// The node that joined, if that is what was said.
    pub fn joined(&self) -> Option<Eui64> {
        match self {
            Self::Bootstrap(bootstrap::Event::Joined { eui64, .. }) => Some(*eui64),
            _ => None,
        }
    }
}

/// PAN ids have these two bits clear, G.9903 clause 9.4.
const PAN_MASK: u16 = 0xfcff;
/// Networks that are told apart.
const MAX_PANS: usize = 64;
/// One frame may be damaged; so many within this time are another network.
const CONFLICTS: usize = 3;
const CONFLICT_TIME: std::time::Duration = std::time::Duration::from_secs(600);
/// A bootstrapping message that could not leave for so long is not waited for any more.
const LBP_TIME: std::time::Duration = std::time::Duration::from_secs(60);
