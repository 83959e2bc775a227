//! The emulated modem's five doors: the serial line, and the order in which things happen behind it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::lbs::Lbs;
use super::pib::Pib;
use super::{Behind, Device, Nature, Network, Random};
use crate::g3::adp::{Message, Request};
use crate::g3::lbp;
use crate::g3::pib::{Layer, Typed, adp, mac};
use crate::usi::{Deframer, Frame, Protocol};
use crate::{Eui64, Key};

/// A modem as its host sees it, and everything behind it.
#[derive(Debug)]
pub struct Modem {
    pub(super) nature: Nature,
    pub(super) random: Random,
    pub(super) pib: Pib,
    pub(super) stage: Stage,
    pub(super) devices: Vec<Device>,
    pub(super) places: BTreeMap<Eui64, usize>,
    pub(super) behind: Behind,
    pub(super) lbs: Lbs,
    /// None where the air is a simple one.
    pub(super) network: Option<Network>,
    /// Nodes whose next question is due some time.
    asking: BTreeSet<usize>,
    /// The network that the nodes are in.
    pub(super) pan_id: Option<u16>,
    /// Messages of the host that are not confirmed yet.
    pub(super) pending: usize,
    pub(super) is_stopped: bool,
    /// What comes in which order; the number keeps what is due at once in the order of its making.
    timeline: BTreeMap<(Instant, u64), Happening>,
    next_number: u64,
    deframer: Deframer,
    transmits: VecDeque<Vec<u8>>,
    /// The highest frame counter that went out under each key.
    counters: Vec<(Key, u32)>,
    pub(super) statistics: Statistics,
}

/// What an emulated modem has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Commands of the host.
    pub commands: u64,
    /// Frames that went out with a counter that had gone out before under the same key.
    pub counter_reuses: u64,
    /// Questions for admission.
    pub asked: u64,
    pub datagrams: u64,
    /// Messages for which there was no buffer.
    pub refused: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Reset,
    Initialized,
    Started,
}

#[derive(Debug)]
pub(super) enum Happening {
    /// Something for the host; whether it frees a buffer.
    Tell(Message, bool),
    /// A node hears a message of the bootstrap server.
    Hear(usize, Vec<u8>),
    /// The coordinator hears a node's.
    Answer(usize, lbp::Message),
    /// A node that is not in the network asks for admission.
    Ask(usize),
    /// A node hears a packet, and the coordinator a node's.
    Packet(usize, Vec<u8>),
    Reply(usize, Vec<u8>),
}

impl Modem {
    /// A modem that has just got its power, and nodes that have too.
    pub fn new(nature: Nature, devices: Vec<Device>, behind: Behind, now: Instant) -> Self {
        let mut modem = Self {
            random: Random::new(nature.seed),
            pib: Pib::new(nature.is_hybrid),
            stage: Stage::Reset,
            places: devices.iter().enumerate().map(|(place, device)| (device.eui64, place)).collect(),
            devices,
            behind,
            lbs: Lbs::default(),
            network: None,
            asking: BTreeSet::new(),
            pan_id: None,
            pending: 0,
            is_stopped: false,
            timeline: BTreeMap::new(),
            next_number: 0,
            deframer: Deframer::default(),
            transmits: VecDeque::new(),
            counters: Vec::new(),
            statistics: Statistics::default(),
            nature,
        };
        (0..modem.devices.len()).for_each(|place| modem.ask_later(place, now));
        modem
    }

    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Nodes that are in the network, as far as they know.
    pub fn joined(&self) -> usize {
        self.devices.iter().filter(|device| device.short_addr.is_some()).count()
    }

    pub fn faults(&mut self) -> &mut super::Faults {
        &mut self.nature.faults
    }

    /// The modem loses its power for a moment, with all that it knew.
    pub fn power_cut(&mut self) {
        self.forget();
        self.transmits.clear();
    }

    /// A node loses or gets its power. It keeps what it knows of its network, and finds out whether that is still true.
    pub fn switch(&mut self, place: usize, is_on: bool, now: Instant) {
        let current = self.key();
        let Some(device) = self.devices.get_mut(place) else { return };
        device.is_on = is_on;
        if self.network.is_some() {
            return self.network_switches(place, is_on);
        }
        if is_on && current.is_some_and(|(index, key)| device.key(index) != Some(key)) {
            device.leave();
        }
        if is_on && device.short_addr.is_none() {
            self.ask_later(place, now);
        }
    }

    /// A frame of another network is heard.
    pub fn hear_foreign(&mut self, pan_id: u16, now: Instant) {
        let source = crate::g3::adp::Address::Short(1);
        let status = crate::g3::MacStatus::ALTERNATE_PAN_ID;
        let message = Message::NetworkStatus {
            pan_id,
            source,
            destination: source,
            status,
            security_level: 0,
            key_index: 0,
            medium: None,
        };
        self.at(now, Happening::Tell(message, false));
    }

    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.network_goes_on(now);
        for octet in bytes {
            let Some(frame) = self.deframer.take(*octet) else { continue };
            if frame.protocol() != Protocol::ADP_G3 || self.random.happens(self.nature.faults.deaf_ppm) {
                continue;
            }
            self.statistics.commands += 1;
            self.command(Request::parse(frame.payload()), frame.payload(), now);
        }
        self.handle_timeout(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.network_goes_on(now);
        while let Some(entry) = self.timeline.first_entry().filter(|entry| entry.key().0 <= now) {
            let (at, _) = *entry.key();
            let happening = entry.remove();
            self.happen(happening, at);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = self.network.as_ref().and_then(Network::next_at);
        self.timeline.keys().next().map(|(at, _)| *at).into_iter().chain(next).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub(super) fn at(&mut self, at: Instant, happening: Happening) {
        self.next_number += 1;
        self.timeline.insert((at, self.next_number), happening);
    }

    pub(super) fn ask_later(&mut self, place: usize, now: Instant) {
        if self.joins_through_network() {
            return self.membership(place, false);
        }
        if self.asking.insert(place) {
            let within = Duration::from_millis(self.random.under(self.nature.join_window.as_millis() as u64));
            self.at(now + within, Happening::Ask(place));
        }
    }

    fn happen(&mut self, happening: Happening, now: Instant) {
        match happening {
            Happening::Tell(message, frees) => {
                self.tell(&message);
                if frees {
                    self.free(now);
                }
            }
            Happening::Hear(place, pdu) => self.device_hears(place, &pdu, now),
            Happening::Answer(place, message) => {
                let agent = self.parent(place);
                self.coordinator_hears(place, agent, &message, now);
            }
            Happening::Ask(place) => {
                self.asking.remove(&place);
                self.ask(place, now);
            }
            Happening::Packet(place, packet) => self.device_takes(place, &packet, now),
            Happening::Reply(place, packet) => self.coordinator_takes(place, packet),
        }
    }

    /// Everything that a loss of power forgets.
    pub(super) fn forget(&mut self) {
        self.pib.reset();
        self.stage = Stage::Reset;
        self.network_runs(false);
        self.lbs = Lbs::default();
        self.pending = 0;
        self.is_stopped = false;
        self.timeline.retain(|_, happening| !matches!(happening, Happening::Tell(..)));
    }

    /// Sends a message to the host, as well as the line is.
    pub(super) fn tell(&mut self, message: &Message) {
        let mut payload = Vec::new();
        message.emit(&mut payload);
        let Ok(frame) = Frame::new(Protocol::ADP_G3, payload) else { return };
        let mut octets = Vec::new();
        frame.emit(&mut octets);
        let faults = &self.nature.faults;
        let is_confirm = matches!(message, Message::DataConfirm { .. } | Message::LbpConfirm { .. });
        if self.random.happens(faults.lost_ppm) || is_confirm && self.random.happens(faults.lost_confirm_ppm) {
            return;
        }
        let is_twice = self.random.happens(faults.duplicate_ppm);
        if self.random.happens(faults.corrupt_ppm) {
            let place = self.random.under(octets.len() as u64) as usize;
            octets.iter_mut().skip(place).take(1).for_each(|octet| *octet ^= 0x04);
        }
        self.transmits.extend(is_twice.then(|| octets.clone()));
        self.transmits.push_back(octets);
    }

    fn free(&mut self, now: Instant) {
        self.pending = self.pending.saturating_sub(1);
        if self.is_stopped && self.pending <= self.nature.buffers / 2 {
            self.is_stopped = false;
            self.at(now, Happening::Tell(Message::Buffer { ready: 1 }, false));
        }
    }

    /// The key that the coordinator sends with, and its place.
    pub(super) fn key(&self) -> Option<(u8, Key)> {
        let index = self.pib.number(Layer::Adp, adp::ACTIVE_KEY_INDEX) as u8;
        self.pib.key(index).map(|key| (index, key))
    }

    /// Counts a frame that the coordinator sends under its key.
    pub(super) fn count(&mut self) -> u32 {
        let counter = self.pib.number(Layer::Mac, mac::FRAME_COUNTER).saturating_add(1);
        self.pib.put(Layer::Mac, mac::FRAME_COUNTER, Typed::U32(counter));
        let Some((_, key)) = self.key() else { return counter };
        match self.counters.iter_mut().find(|(known, _)| *known == key) {
            Some((_, last)) if *last >= counter => self.statistics.counter_reuses += 1,
            Some((_, last)) => *last = counter,
            None => self.counters.push((key, counter)),
        }
        counter
    }
}
