//! The protocol of an emulated meter: associations, protection, faults. What it answers is in `serve`.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::port::Heard;
use super::session::{Session, Stage};
use super::{Effect, Faults, Meter, Port, SplitMix};
use crate::acse::{
    self, Aare, Aarq, ApplicationContext, AssociationResult, Diagnostic, Mechanism, Release, ReleaseKind,
    UserDiagnostic,
};
use crate::apdu::{
    Apdu, BlockControl, DataNotification, ExceptionResponse, GeneralBlockTransfer, InitiateRequest, InitiateResponse,
    ServiceError, tag,
};
use crate::block_transfer::{BlockReceiver, BlockSender, Progress};
use crate::client::{Authentication, Random};
use crate::cosem::KeyKind;
use crate::data::encode;
use crate::gateway::{Direction, GatewayAddress};
use crate::security::hls::{Exchange, equal};
use crate::security::{
    AuthenticationKey, Ciphering, EncryptionKey, Form, HEADROOM, ReceivedCounter, SecurityControl, SystemTitle,
    is_ciphered,
};
use crate::spec::{Conformance, StateError};
use crate::{Data, Reject};

/// A meter that is spoken with. After each mutation drain `poll_transmit`, then wait until `poll_timeout`.
#[derive(Debug)]
pub struct Server {
    pub meter: Meter,
    pub faults: Faults,
    pub(super) accesses: Vec<Access>,
    pub(super) sessions: BTreeMap<u16, Session>,
    /// Of each client, kept over associations.
    pub(super) received: BTreeMap<u16, ReceivedCounter>,
    sent: BTreeMap<u16, u32>,
    port: Port,
    random: SplitMix,
    /// Where this meter's time began, and how many seconds of it pass in one.
    epoch: Option<(Instant, i64)>,
    pub speed: u32,
    /// APDUs come through a gateway, and this is the meter's address behind it.
    pub gateway: Option<GatewayAddress>,
    transmits: VecDeque<Vec<u8>>,
    delayed: VecDeque<(Instant, Vec<u8>)>,
    effects: VecDeque<Effect>,
}

/// What one client may, and how it shows who it is.
#[derive(Debug, Clone)]
pub struct Access {
    pub client: u16,
    /// The meter's side: of ECDSA, `own` is the meter's key and `meter` the client's.
    pub authentication: Authentication,
    /// The meter's side: `own_title` is the meter's.
    pub ciphering: Option<Ciphering>,
    /// Nothing is answered in the clear.
    pub is_protected: bool,
    /// It reads names, clock and counters, and nothing else.
    pub is_public: bool,
    pub is_pre_established: bool,
    pub conformance: Conformance,
    /// The longest APDU that the meter takes.
    pub max_receive_pdu_size: u16,
}

impl Access {
    /// The public client: 16, no authentication.
    pub const fn public() -> Self {
        Self {
            client: 16,
            authentication: Authentication::None,
            ciphering: None,
            is_protected: false,
            is_public: true,
            is_pre_established: false,
            conformance: Conformance(Conformance::USUAL.0 | Conformance::GENERAL_BLOCK_TRANSFER.0),
            max_receive_pdu_size: 1024,
        }
    }

    /// A client that may do everything.
    pub fn management(client: u16, authentication: Authentication) -> Self {
        Self { client, authentication, is_public: false, ..Self::public() }
    }
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

    /// Sends the values of objects to a client that did not ask.
    pub fn push(&mut self, client: u16, objects: &[crate::apdu::CaptureObject], now: Instant) {
        self.tick(now);
        let body = encode(|out| {
            out.structure(objects.len());
            for object in objects {
                let octets = self.meter.get(&object.attribute, None);
                out.raw(&octets.unwrap_or_else(|_| Data::NullData.octets()));
            }
        });
        let Ok(body) = Data::parse_all(&body) else { return };
        let date_time = Some(self.meter.world.clock.date_time(self.meter.world.unix()));
        let apdu = Apdu::DataNotification(DataNotification { long_invoke_id: 1, date_time, body }).octets();
        self.notify(client, apdu, now);
    }

    /// Sends an APDU to a client that did not ask, protected as its association is.
    pub fn notify(&mut self, client: u16, apdu: Vec<u8>, now: Instant) {
        let apdu = match self.sessions.get(&client) {
            Some(session) if session.is_protected => self.protect(client, apdu),
            _ => apdu,
        };
        let mut out = VecDeque::new();
        self.port.notify(client, &apdu, now, &mut out);
        self.transmit(out, now);
    }

    fn tick(&mut self, now: Instant) {
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
    fn transmit(&mut self, out: VecDeque<Vec<u8>>, now: Instant) {
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

    /// Opens a request, serves it, protects the answer.
    fn service(&mut self, client: u16, mut octets: Vec<u8>) -> Option<Vec<u8>> {
        self.pre_establish(client);
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

    fn open(&mut self, client: u16, octets: &mut Vec<u8>) -> Result<(), Reject> {
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

    fn protect(&mut self, client: u16, apdu: Vec<u8>) -> Vec<u8> {
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

    fn associate(&mut self, client: u16, octets: &[u8]) -> Option<Vec<u8>> {
        self.sessions.remove(&client);
        let aarq = Aarq::parse(octets).ok()?;
        if self.faults.counter_restarts {
            self.sent.remove(&client);
        }
        let (result, session, response) = match self.accept(client, &aarq) {
            Ok((session, response)) => (Ok(()), session, Some(response)),
            Err(diagnostic) => (Err(diagnostic), Session::new(), None),
        };
        let (challenge, mechanism) = match &session.stage {
            Stage::Pending { meter_challenge, .. } => (Some(meter_challenge.clone()), aarq.mechanism),
            _ => (None, Mechanism::Lowest),
        };
        let title = session.ciphering.as_ref().map(|ciphering| ciphering.own_title);
        let is_protected = session.mirror.is_some();
        self.sessions.insert(client, session);
        let information = response.map(|response| {
            let mut octets = Vec::new();
            response.emit(&mut octets);
            if is_protected { self.protect(client, octets) } else { octets }
        });
        let diagnostic = match (result, &challenge) {
            (Err(diagnostic), _) => diagnostic,
            (Ok(()), Some(_)) => UserDiagnostic::AuthenticationRequired,
            (Ok(()), None) => UserDiagnostic::Null,
        };
        let aare = Aare {
            context: aarq.context,
            result: if result.is_ok() { AssociationResult::Accepted } else { AssociationResult::RejectedPermanent },
            diagnostic: Diagnostic::User(diagnostic),
            responding_ap_title: title.as_ref().map(|title| title.0.as_slice()),
            mechanism,
            responding_authentication_value: challenge.as_deref(),
            user_information: information.as_deref(),
        };
        let mut out = Vec::new();
        aare.emit(&mut out);
        if self.faults.says_version {
            if let Some(length) = out.get_mut(1).filter(|length| **length < 0x7c) {
                *length += 4;
                out.splice(2..2, [0x80, 0x02, 0x07, 0x80]);
            }
        }
        Some(out)
    }

    fn accept(&mut self, client: u16, aarq: &Aarq<'_>) -> Result<(Session, InitiateResponse), UserDiagnostic> {
        let access = self.access(client).ok_or(UserDiagnostic::NoReasonGiven)?.clone();
        let mut session = Session { ciphering: access.ciphering.clone(), ..Session::new() };
        let title = aarq.calling_ap_title.map(SystemTitle::try_from).transpose();
        let title = title.map_err(|_| UserDiagnostic::CallingApTitleNotRecognized)?;
        if let Some(ciphering) = &mut session.ciphering {
            ciphering.peer_title = title.or(ciphering.peer_title);
        }
        let mut information = aarq.user_information.to_vec();
        let is_ciphered = aarq.context == ApplicationContext::LogicalNameCiphered;
        if is_ciphered {
            self.sessions.insert(client, session);
            let opened = self.open(client, &mut information);
            session = self.sessions.remove(&client).ok_or(UserDiagnostic::NoReasonGiven)?;
            opened.map_err(|_| UserDiagnostic::AuthenticationFailure)?;
        } else if access.is_protected {
            return Err(UserDiagnostic::ApplicationContextNameNotSupported);
        }
        session.is_protected = is_ciphered;
        let request = InitiateRequest::parse(&information).map_err(|_| UserDiagnostic::NoReasonGiven)?;
        if let (Some(key), Some(ciphering)) = (request.dedicated_key, &mut session.ciphering) {
            let key = EncryptionKey::new(key).map_err(|_| UserDiagnostic::NoReasonGiven)?;
            ciphering.dedicated = Some(key);
        }
        if aarq.mechanism != access.authentication.mechanism() {
            return Err(UserDiagnostic::AuthenticationMechanismNameNotRecognised);
        }
        let value = aarq.calling_authentication_value.unwrap_or_default();
        session.stage = match &access.authentication {
            Authentication::None => Stage::Associated,
            Authentication::Lls(password) if equal(password.octets(), value) => Stage::Associated,
            Authentication::Lls(_) => return Err(UserDiagnostic::AuthenticationFailure),
            _ => {
                let mut challenge = vec![0; 16];
                self.random.fill(&mut challenge);
                Stage::Pending { client_challenge: value.to_vec(), meter_challenge: challenge }
            }
        };
        session.conformance = access.conformance.common(request.conformance);
        session.client_pdu = match usize::from(request.max_receive_pdu_size) {
            0 => usize::from(u16::MAX),
            size => size.max(HEADROOM * 2),
        };
        let response = InitiateResponse {
            quality_of_service: None,
            conformance: session.conformance,
            max_receive_pdu_size: access.max_receive_pdu_size,
        };
        Ok((session, response))
    }

    fn release(&mut self, client: u16) -> Option<Vec<u8>> {
        self.sessions.remove(&client);
        let mut out = Vec::new();
        Release { kind: ReleaseKind::Response, reason: Some(0), user_information: None }.emit(&mut out);
        if self.faults.short_release {
            out.pop();
        }
        Some(out)
    }

    /// The client's proof, and ours for it.
    pub(super) fn prove(&mut self, client: u16, proof: &[u8]) -> Result<Vec<u8>, Reject> {
        let access = self.access(client).ok_or(Reject::NoKey)?.clone();
        let counter = self.sent.entry(client).or_default();
        let session = self.sessions.get_mut(&client).ok_or(Reject::NoKey)?;
        let Stage::Pending { client_challenge, meter_challenge } = &session.stage else {
            return Err(Reject::OutOfSequence);
        };
        let titles = session.ciphering.as_ref().map(|ciphering| (ciphering.own_title, ciphering.peer_title));
        let (own, peer) = (titles.map(|titles| titles.0), titles.and_then(|titles| titles.1));
        let theirs = Exchange { prover: peer, verifier: own, received: meter_challenge, sent: client_challenge };
        let ours = Exchange { prover: own, verifier: peer, received: client_challenge, sent: meter_challenge };
        let answer = match (&access.authentication, &session.ciphering) {
            (Authentication::Hash(hash, secret), _) => {
                equal(&theirs.digest(*hash, secret), proof).then(|| ours.digest(*hash, secret))
            }
            (Authentication::Ecdsa { own, meter }, _) => theirs.verify(meter, proof).ok().map(|()| ours.sign(own)),
            (Authentication::Gmac, Some(ciphering)) => match theirs.verify_gmac(ciphering, proof) {
                Ok(_) => {
                    *counter += 1;
                    Some(ours.gmac(ciphering, *counter - 1)?)
                }
                Err(_) => None,
            },
            _ => None,
        };
        match answer {
            Some(answer) => {
                session.stage = Stage::Associated;
                Ok(answer)
            }
            None => {
                session.stage = Stage::Idle;
                Err(Reject::BadTag)
            }
        }
    }

    /// What methods brought about that the server does.
    fn carry_out(&mut self, client: u16, now: Instant) {
        for effect in std::mem::take(&mut self.meter.world.effects) {
            match &effect {
                Effect::Push(objects) => self.push(client, objects, now),
                Effect::Keys(keys) => {
                    for ciphering in self.accesses.iter_mut().filter_map(|access| access.ciphering.as_mut()) {
                        for (kind, key) in keys {
                            let (key, secret) =
                                (EncryptionKey::new(key.octets()), AuthenticationKey::new(key.octets()));
                            match (kind, key, secret) {
                                (KeyKind::GlobalUnicastEncryption, Ok(key), _) => ciphering.global = key,
                                (KeyKind::GlobalBroadcastEncryption, Ok(key), _) => ciphering.broadcast = Some(key),
                                (KeyKind::Authentication, _, Ok(key)) => ciphering.authentication = key,
                                _ => {}
                            }
                        }
                    }
                }
                _ => {}
            }
            self.effects.push_back(effect);
        }
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
