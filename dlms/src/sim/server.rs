//! The protocol of an emulated meter: associations, protection, faults. What it answers is in `serve`.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::port::Heard;
use super::session::{Session, Stage};
use super::{Access, Effect, Faults, Meter, Port, SplitMix};
use crate::Reject;
use crate::acse;
use crate::apdu::{Apdu, BlockControl, ExceptionResponse, GeneralBlockTransfer, ServiceError, tag};
use crate::block_transfer::{BlockReceiver, BlockSender, Progress};
use crate::gateway::{Direction, GatewayAddress};
use crate::security::{Form, GeneralSigning, ReceivedCounter, SecurityControl, is_ciphered};
use crate::spec::{Conformance, StateError};

/// A meter that is spoken with. After each mutation drain `poll_transmit`, then wait until `poll_timeout`.
#[derive(Debug)]
pub struct Server {
    pub meter: Meter,
    pub faults: Faults,
    pub(crate) accesses: Vec<Access>,
    pub(super) sessions: BTreeMap<u16, Session>,
    /// Of each client, kept over associations.
    pub(super) received: BTreeMap<u16, ReceivedCounter>,
    pub(super) sent: BTreeMap<u16, u32>,
    /// When a client was heard last.
    heard: BTreeMap<u16, Instant>,
    pub(super) port: Port,
    pub(super) random: SplitMix,
    /// Where this meter's time began, and how many seconds of it pass in one.
    epoch: Option<(Instant, i64)>,
    pub speed: u32,
    /// APDUs come through a gateway, and this is the meter's address behind it.
    pub gateway: Option<GatewayAddress>,
    transmits: VecDeque<Vec<u8>>,
    delayed: VecDeque<(Instant, Vec<u8>)>,
    pub(super) effects: VecDeque<Effect>,
}

impl Server {
    /// `unix` is true time at the first instant that comes in, seconds since 1970 UTC.
    pub fn new(meter: Meter, port: Port, accesses: Vec<Access>, unix: i64, seed: u64) -> Self {
        let mut server = Self {
            meter,
            faults: Faults::default(),
            accesses,
            sessions: BTreeMap::new(),
            received: BTreeMap::new(),
            sent: BTreeMap::new(),
            heard: BTreeMap::new(),
            port,
            random: SplitMix::new(seed),
            epoch: None,
            speed: 1,
            gateway: None,
            transmits: VecDeque::new(),
            delayed: VecDeque::new(),
            effects: VecDeque::new(),
        };
        server.meter.world.true_ms = unix * 1000;
        server
    }

    /// A new connection.
    pub fn reconnect(&mut self) {
        self.port.reconnect();
        self.sessions.clear();
        self.transmits.clear();
        self.delayed.clear();
    }

    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.tick(now);
        let mut out = VecDeque::new();
        let heard = self.port.handle_bytes(bytes, now, &mut out);
        self.transmit(out, now);
        for heard in heard {
            match heard {
                Heard::Reset(client) => drop(self.sessions.remove(&client)),
                Heard::Apdu(..) if self.random.happens(self.faults.lose_request) => {}
                Heard::Apdu(client, apdu) => {
                    self.request(client, apdu, now);
                    let mut out = VecDeque::new();
                    self.port.settle(client, &mut out);
                    self.transmit(out, now);
                }
            }
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        while self.delayed.front().is_some_and(|(due, _)| *due <= now) {
            self.transmits.extend(self.delayed.pop_front().map(|(_, octets)| octets));
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.delayed.front().map(|(due, _)| *due)
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// What methods brought about.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let (begin, true_ms) = *self.epoch.get_or_insert((now, self.meter.world.true_ms));
        let elapsed = now.saturating_duration_since(begin).as_millis() as i64;
        self.meter.world.true_ms = true_ms + elapsed * i64::from(self.speed);
    }

    pub(super) fn access(&self, client: u16) -> Option<&Access> {
        self.accesses.iter().find(|access| access.client == client)
    }

    fn request(&mut self, client: u16, mut octets: Vec<u8>, now: Instant) {
        if let Some(gateway) = &self.gateway {
            let mut buf = octets.as_slice();
            match GatewayAddress::parse(Direction::Request, &mut buf) {
                Ok(Some(address)) if address == *gateway => octets = buf.to_vec(),
                _ => return,
            }
        }
        let before = self.heard.insert(client, now);
        let idle = before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        if self.faults.inactivity.is_some_and(|limit| idle >= limit) {
            self.sessions.remove(&client);
        }
        let is_opening = matches!(octets.first(), Some(&acse::tag::AARQ | &acse::tag::RLRQ));
        if self.faults.ignores_strangers && !is_opening && !self.sessions.contains_key(&client) {
            return;
        }
        let answer = match octets.first() {
            Some(&acse::tag::AARQ) => self.associate(client, &octets),
            Some(&acse::tag::RLRQ) => self.release(client),
            Some(&tag::GENERAL_BLOCK_TRANSFER) => return self.block(client, &octets, now),
            _ => {
                if let Some(session) = self.sessions.get_mut(&client) {
                    (session.blocks_in, session.blocks_out, session.last_block) = (None, None, 0);
                }
                self.service(client, octets)
            }
        };
        if let Some(answer) = answer {
            self.answer(client, answer, now);
        }
        self.carry_out(client, now);
    }

    /// Sends an answer, in general blocks where it is long.
    fn answer(&mut self, client: u16, answer: Vec<u8>, now: Instant) {
        let session = self.sessions.entry(client).or_insert_with(Session::new);
        session.answered += 1;
        if self.faults.hang_after.is_some_and(|limit| session.answered > limit) {
            return;
        }
        let has_blocks = session.conformance.has(Conformance::GENERAL_BLOCK_TRANSFER);
        if answer.len() > session.client_pdu && has_blocks {
            session.blocks_out = BlockSender::new(answer, session.client_pdu).ok();
            return self.send_blocks(client, now);
        }
        self.send(client, &answer, now);
    }

    fn send_blocks(&mut self, client: u16, now: Instant) {
        let Some(session) = self.sessions.get(&client) else { return };
        let acknowledged = session.last_block;
        let blocks: Vec<_> = session
            .blocks_out
            .iter()
            .flat_map(|sender| sender.blocks(WINDOW, acknowledged))
            .map(|block| Apdu::GeneralBlockTransfer(block).octets())
            .collect();
        blocks.iter().for_each(|block| self.send(client, block, now));
    }

    fn send(&mut self, client: u16, apdu: &[u8], now: Instant) {
        let mut octets = Vec::new();
        if let Some(gateway) = &self.gateway {
            gateway.emit(Direction::Response, &mut octets);
        }
        octets.extend_from_slice(apdu);
        let mut out = VecDeque::new();
        self.port.send(client, &octets, now, &mut out);
        self.transmit(out, now);
    }

    /// The way out, with what happens there.
    pub(super) fn transmit(&mut self, out: VecDeque<Vec<u8>>, now: Instant) {
        for mut octets in out {
            if self.random.happens(self.faults.lose_answer) {
                continue;
            }
            if self.random.happens(self.faults.damage) {
                let place = self.random.next() as usize % octets.len().max(1);
                if let Some(octet) = octets.get_mut(place) {
                    *octet ^= 0x10;
                }
            }
            if self.random.happens(self.faults.garbage) {
                octets.splice(0..0, [0x7e, 0xa5, 0x00, 0x01, 0xff]);
            }
            if self.random.happens(self.faults.duplicate) {
                self.leave(octets.clone(), now);
            }
            self.leave(octets, now);
        }
    }

    fn leave(&mut self, octets: Vec<u8>, now: Instant) {
        if self.faults.delay > Duration::ZERO {
            self.delayed.push_back((now + self.faults.delay, octets));
        } else {
            self.transmits.push_back(octets);
        }
    }

    /// A general block came.
    fn block(&mut self, client: u16, octets: &[u8], now: Instant) {
        let Ok(Apdu::GeneralBlockTransfer(block)) = Apdu::parse(octets) else { return };
        let Some(session) = self.sessions.get_mut(&client) else { return };
        // A block with data begins another request.
        if let (Some(sender), true) = (&mut session.blocks_out, block.block_data.is_empty()) {
            if sender.acknowledge(block.block_number_ack, block.control.window).is_ok() && !sender.is_done() {
                return self.send_blocks(client, now);
            }
        }
        session.blocks_out = None;
        if block.block_data.is_empty() {
            return;
        }
        let receiver = session.blocks_in.get_or_insert_with(|| BlockReceiver::new(REQUEST_LIMIT));
        match receiver.take(&block) {
            Ok(Progress::Wait) => {}
            Ok(Progress::Acknowledge) => {
                let acknowledge = GeneralBlockTransfer {
                    control: BlockControl { is_last: false, is_streaming: false, window: WINDOW },
                    block_number: 0,
                    block_number_ack: receiver.last(),
                    block_data: &[],
                };
                let octets = Apdu::GeneralBlockTransfer(acknowledge).octets();
                self.send(client, &octets, now);
            }
            Ok(Progress::Complete(request)) => {
                session.last_block = receiver.last();
                session.blocks_in = None;
                if let Some(answer) = self.service(client, request) {
                    self.answer(client, answer, now);
                }
                self.carry_out(client, now);
            }
            Err(_) => session.blocks_in = None,
        }
    }

    /// Opens a request, serves it, protects and signs the answer.
    fn service(&mut self, client: u16, octets: Vec<u8>) -> Option<Vec<u8>> {
        self.pre_establish(client);
        let signing = self.access(client).and_then(|access| access.signing.clone());
        match (signing, octets.first()) {
            (Some(signing), Some(&GeneralSigning::TAG)) => {
                let signed = GeneralSigning::parse(&octets).ok()?;
                if signed.verify(&signing.peer).is_err() {
                    return Some(exception(ServiceError::DecipheringError));
                }
                let answer = self.unsigned(client, signed.content.to_vec())?;
                let (to, from) = (signed.originator_system_title, signed.recipient_system_title);
                let mut out = Vec::new();
                GeneralSigning::new(signed.transaction_id, from, to, &answer).emit_signed(&signing.own, &mut out);
                Some(out)
            }
            (Some(_), _) => Some(not_allowed()),
            (None, _) => self.unsigned(client, octets),
        }
    }

    fn unsigned(&mut self, client: u16, mut octets: Vec<u8>) -> Option<Vec<u8>> {
        let Some(session) = self.sessions.get_mut(&client) else { return Some(not_allowed()) };
        session.mirror = None;
        if octets.first().is_some_and(|tag| is_ciphered(*tag)) {
            if let Err(reject) = self.open(client, &mut octets) {
                let counter = self.received.get(&client).and_then(|counter| counter.0).map_or(0, |last| last + 1);
                return Some(match reject {
                    Reject::Replayed => exception(ServiceError::InvocationCounter(counter)),
                    _ => exception(ServiceError::DecipheringError),
                });
            }
        } else if session.is_protected {
            return Some(not_allowed());
        }
        let answer = self.serve(client, &octets)?;
        if self.sessions.get(&client).is_some_and(|session| session.mirror.is_none()) || self.faults.unprotected {
            return Some(answer);
        }
        Some(self.protect(client, answer))
    }

    pub(super) fn open(&mut self, client: u16, octets: &mut Vec<u8>) -> Result<(), Reject> {
        let session = self.sessions.get_mut(&client).ok_or(Reject::NoKey)?;
        let ciphering = session.ciphering.as_ref().ok_or(Reject::NoKey)?;
        let is_general = matches!(octets.first(), Some(219 | 220));
        let opened = ciphering.open(octets)?;
        if session.is_protected && !opened.control.covers(SecurityControl::authenticated(ciphering.suite)) {
            return Err(Reject::NotProtected);
        }
        let counter = match opened.is_dedicated {
            true => &mut session.received_dedicated,
            false => self.received.entry(client).or_default(),
        };
        counter.accept(opened.invocation_counter)?;
        let form = match (is_general, opened.is_dedicated) {
            (false, false) => Form::Global,
            (false, true) => Form::Dedicated,
            (true, false) => Form::GeneralGlobal,
            (true, true) => Form::GeneralDedicated,
        };
        session.mirror = Some((form, opened.control));
        Ok(())
    }

    pub(super) fn protect(&mut self, client: u16, apdu: Vec<u8>) -> Vec<u8> {
        let stands = self.faults.counter_stands;
        let Some(session) = self.sessions.get(&client) else { return apdu };
        let Some(ciphering) = &session.ciphering else { return apdu };
        let (form, control) = session.mirror.unwrap_or((Form::Global, SecurityControl::full(ciphering.suite)));
        let counter = self.sent.entry(client).or_default();
        let sealed = ciphering.protect(&apdu, form, control, *counter).unwrap_or(apdu);
        *counter += u32::from(!stands);
        sealed
    }

    fn pre_establish(&mut self, client: u16) {
        let Some(access) = self.accesses.iter().find(|it| it.client == client && it.is_pre_established) else { return };
        self.sessions.entry(client).or_insert_with(|| Session {
            stage: Stage::Associated,
            conformance: access.conformance,
            ciphering: access.ciphering.clone(),
            is_protected: access.is_protected,
            ..Session::new()
        });
    }
}

/// An exception for a service of nobody.
pub(super) fn not_allowed() -> Vec<u8> {
    let exception = ExceptionResponse {
        state_error: StateError::ServiceNotAllowed,
        service_error: ServiceError::OperationNotPossible,
    };
    Apdu::ExceptionResponse(exception).octets()
}

pub(super) fn exception(service_error: ServiceError) -> Vec<u8> {
    Apdu::ExceptionResponse(ExceptionResponse { state_error: StateError::ServiceUnknown, service_error }).octets()
}

/// Blocks that the meter takes at once.
const WINDOW: u8 = 4;
/// Octets of one request, all its blocks together.
const REQUEST_LIMIT: usize = 1 << 20;
