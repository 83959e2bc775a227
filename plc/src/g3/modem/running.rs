//! A modem that runs: what it says, what it is asked, and the watch over its counters.

use std::time::Instant;

use super::config::BLOCK;
use super::failure::attribute_name;
use super::outbox::MAX_WAITING;
use super::{
    Answer, Cause, Counters, Event, Full, Job, Keyring, Modem, Need, Outcome, Priority, Purpose, Refusal, Stage,
    Ticket, WATCH_INTERVAL, Which,
};
use crate::Reject;
use crate::g3::SerialStatus;
use crate::g3::adp::{Lbp, Message, Request, Value};
use crate::g3::pib::{Layer, Typed, adp, mac};
use crate::g3::{AdpStatus, MacStatus};

impl Modem {
    /// Sends a packet; what becomes of it is an [`Event::Sent`]. Where `discovers`, the modem may look for a route.
    ///
    /// # Errors
    /// `Full`: nothing was queued.
    pub fn send_data(
        &mut self,
        nsdu: Vec<u8>,
        priority: Priority,
        discovers: bool,
        deadline: Instant,
        now: Instant,
    ) -> Result<Ticket, Full> {
        let ticket = self.ticket();
        self.outbox.push_data(ticket, nsdu, priority, discovers, deadline)?;
        self.pump(now);
        Ok(ticket)
    }

    /// How many packets of this priority may still be queued.
    pub fn room(&self, priority: Priority) -> usize {
        self.outbox.room(priority)
    }

    /// Sends an LBP message; what becomes of it is an [`Event::LbpSent`].
    ///
    /// # Errors
    /// `Full`: nothing was queued.
    pub fn send_lbp(&mut self, pdu: Lbp, deadline: Instant, now: Instant) -> Result<Ticket, Full> {
        let ticket = self.ticket();
        self.outbox.push_lbp(ticket, pdu, deadline)?;
        self.pump(now);
        Ok(ticket)
    }

    /// Reads an attribute.
    ///
    /// # Errors
    /// `Full`: nothing was queued, as with all requests.
    pub fn get(&mut self, layer: Layer, attribute: u32, index: u16, now: Instant) -> Result<Ticket, Full> {
        self.ask(Which::Exchange, get(layer, attribute, index), None, now)
    }

    /// Writes an attribute; an empty value deletes the entry of a table.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn set(
        &mut self,
        layer: Layer,
        attribute: u32,
        index: u16,
        value: Value,
        now: Instant,
    ) -> Result<Ticket, Full> {
        let request = match layer {
            Layer::Adp => Request::Set { attribute, index, value },
            Layer::Mac => Request::MacSet { attribute, index, value },
        };
        self.ask(Which::Exchange, request, None, now)
    }

    /// Reads every row of a table.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn read_table(&mut self, layer: Layer, attribute: u32, now: Instant) -> Result<Ticket, Full> {
        self.ask(Which::Exchange, get(layer, attribute, 0), Some(Vec::new()), now)
    }

    /// Finds the path to a node and back. It costs airtime and up to 40 s; one is open at a time.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn discover_path(&mut self, destination: u16, now: Instant) -> Result<Ticket, Full> {
        self.ask(Which::Discovery, Request::PathDiscovery { destination, metric: COMPOSITE_METRIC }, None, now)
    }

    /// Finds a new route to a node, within so many hops.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn discover_route(&mut self, destination: u16, max_hops: u8, now: Instant) -> Result<Ticket, Full> {
        let request = Request::RouteDiscovery { destination, max_hops };
        self.ask(Which::Discovery, request, None, now)
    }

    /// Listens for beacons of any network; each is an [`Event::Beacon`].
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn discover(&mut self, duration_s: u8, now: Instant) -> Result<Ticket, Full> {
        self.ask(Which::Discovery, Request::Discovery { duration_s }, None, now)
    }

    /// Hands the bootstrap server in the modem an attribute.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn set_lbp(&mut self, attribute: u32, index: u16, value: Value, now: Instant) -> Result<Ticket, Full> {
        self.ask(Which::Exchange, Request::LbpSet { attribute, index, value }, None, now)
    }

    /// Sends a command that has no confirm; a modem that is not up hears nothing.
    pub fn command(&mut self, request: &Request) {
        if self.is_running() {
            self.send(request);
        }
    }

    /// The keys of the network from the next start on.
    pub fn remember_keys(&mut self, keys: Keyring) {
        self.keys = keys;
    }

    /// The keys of the network are these now.
    pub fn set_keys(&mut self, keys: Keyring, now: Instant) {
        self.keys = keys;
        if self.is_running() {
            for step in keys.steps(self.generation) {
                self.exchange.push(Job { purpose: Purpose::Keys, request: step.request, rows: None });
            }
            self.pump(now);
        }
    }

    fn ask(&mut self, which: Which, request: Request, rows: Option<Vec<Typed>>, now: Instant) -> Result<Ticket, Full> {
        if self.lane(which).len() >= MAX_WAITING {
            return Err(Full);
        }
        let ticket = self.ticket();
        self.lane(which).push(Job { purpose: Purpose::User(ticket), request, rows });
        self.pump(now);
        Ok(ticket)
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    pub(super) fn take(&mut self, message: Message, now: Instant) {
        self.correct(&message, now);
        if let Some(outcome) = self.exchange.take(&message) {
            return self.advance(Which::Exchange, outcome, now);
        }
        if let Some(outcome) = self.discovery.take(&message) {
            return self.advance(Which::Discovery, outcome, now);
        }
        match message {
            Message::DataConfirm { status, handle } => self.confirm(handle, false, status, now),
            Message::LbpConfirm { status, handle } => self.confirm(handle, true, status, now),
            Message::Status { status, command } => self.take_status(status, command, now),
            Message::DataIndication { lqi, nsdu } => {
                let delivered = self.outbox.heard_data(&nsdu.0, now);
                self.tell(delivered.into_iter().collect());
                self.events.push_back(Event::Data { nsdu, lqi });
            }
            Message::LbpIndication { source, pdu, lqi, .. } => {
                let delivered = self.outbox.heard_lbp(&pdu.0, now);
                self.tell(delivered.into_iter().collect());
                self.events.push_back(Event::Lbp { source, pdu, lqi });
            }
            Message::Buffer { ready } => self.outbox.set_ready(ready != 0, now),
            Message::NonVolatileData {} if self.is_running() => self.watch(now),
            Message::NetworkStatus {
                pan_id,
                source,
                status: MacStatus::ALTERNATE_PAN_ID | MacStatus::PAN_ID_CONFLICT,
                ..
            } => {
                self.events.push_back(Event::ForeignPan { pan_id, source });
            }
            Message::NetworkStatus { .. } => self.events.push_back(Event::NetworkStatus(message)),
            Message::Discovery { pan_id, lqi, lba, rc_coord, .. } => {
                self.events.push_back(Event::Beacon { pan_id, lba, lqi, rc_coord });
            }
            Message::RouteNotFound { source, destination, next_hop, .. } => {
                self.events.push_back(Event::RouteNotFound { source, destination, next_hop });
            }
            Message::JoinRequest { eui64 } => self.events.push_back(Event::JoinRequest(eui64)),
            Message::JoinComplete { eui64, short_addr } => {
                self.events.push_back(Event::JoinComplete { eui64, short_addr });
            }
            Message::Leave { short_addr } => self.events.push_back(Event::Left { short_addr }),
            // RESET is sent and not waited for.
            Message::PathRequest {} | Message::NonVolatileData {} | Message::ResetConfirm { .. } => {}
            // Late, or twice.
            other => self.rejects.add(Reject::Unexpected(other.name())),
        }
    }

    fn confirm(&mut self, handle: u8, is_lbp: bool, status: crate::g3::AdpStatus, now: Instant) {
        match self.outbox.confirm(handle, is_lbp, status, now) {
            Some(delivered) => self.tell(delivered.into_iter().collect()),
            None => self.rejects.add(Reject::Unexpected("confirm")),
        }
    }

    /// A status that answers no request.
    fn take_status(&mut self, status: SerialStatus, command: u8, now: Instant) {
        match status {
            SerialStatus::NOT_ALLOWED if self.is_running() => self.fail(Cause::Reset, now),
            // Somebody has pressed its button: it says that it is ready, and has forgotten everything.
            SerialStatus::SUCCESS if self.is_running() && command == INITIALIZE => self.fail(Cause::Reset, now),
            // It took INITIALIZE twice, and what was set between is gone.
            SerialStatus::SUCCESS if self.stage == Stage::Starting && command == INITIALIZE => {
                self.set_up(self.generation)
            }
            SerialStatus::SUCCESS if command == INITIALIZE && self.is_late_ready(now) => {}
            status if !status.is_success() && matches!(command, DATA | LBP) => {
                let delivered = self.outbox.refuse(command == LBP);
                self.tell(delivered.into_iter().collect());
            }
            _ => self.rejects.add(Reject::Unexpected("status")),
        }
    }

    fn advance(&mut self, which: Which, outcome: Outcome, now: Instant) {
        let (job, result) = match outcome {
            Outcome::Again(job) => return self.lane(which).push_front(job),
            Outcome::Ended(job, result) => (job, result),
        };
        // A modem that allows nothing any more has lost its state.
        if result == Err(Refusal::Command(SerialStatus::NOT_ALLOWED)) && self.stage == Stage::Running {
            self.answer(job.purpose, Err(Refusal::Unknown));
            return self.fail(Cause::Reset, now);
        }
        match job.purpose {
            Purpose::User(_) => self.answer(job.purpose, result),
            Purpose::Handshake => self.handshake(result, now),
            Purpose::Start(need @ (Need::May | Need::MustIfKnown)) if result.is_err() => match result {
                Err(refusal) if need == Need::May || is_unknown(refusal) => self.not_taken(&job.request, refusal),
                Err(refusal) => self.fail(Cause::Refused { request: attribute_name(&job.request), refusal }, now),
                Ok(_) => {}
            },
            Purpose::Start(_) | Purpose::Keys => match result {
                Err(refusal) => self.fail(Cause::Refused { request: attribute_name(&job.request), refusal }, now),
                Ok(_) if matches!(job.request, Request::NetworkStart { .. }) => self.run(now),
                Ok(_) => {}
            },
            Purpose::Watch => self.watched(&job.request, result, now),
        }
    }

    fn run(&mut self, now: Instant) {
        self.stage = Stage::Running;
        self.failures = 0;
        self.exchange.is_up();
        self.down_said = None;
        self.watch_due = now + WATCH_INTERVAL;
        self.events.push_back(Event::Up(self.generation));
    }

    /// Asks for the counters, and so whether the modem is there.
    pub(super) fn watch(&mut self, now: Instant) {
        self.watch_due = now + WATCH_INTERVAL;
        self.sent_since_watch = 0;
        if !self.exchange.is_waiting_for(Purpose::Watch) {
            for (layer, attribute) in WATCHED {
                self.exchange.push(Job { purpose: Purpose::Watch, request: get(layer, attribute, 0), rows: None });
            }
        }
    }

    fn watched(&mut self, request: &Request, result: Result<Answer, Refusal>, now: Instant) {
        let (Request::Get { attribute, .. } | Request::MacGet { attribute, .. }) = request else { return };
        let Ok(Answer::Value(value)) = result else { return };
        let Some(value) = value.number() else { return };
        match *attribute {
            // Under what it was told to begin with, it has begun somewhere else.
            mac::FRAME_COUNTER if value < self.counted_plc => self.fail(Cause::Reset, now),
            mac::FRAME_COUNTER => {
                self.counted_plc = value;
                self.count(value);
            }
            mac::FRAME_COUNTER_RF => self.count(value),
            // Sequence numbers alone ask for nothing: the next reservation takes them along.
            adp::MANUF_DISCOVER_SEQUENCE_NUMBER => self.reserved.discover_sequence_number = value as u16,
            adp::MANUF_BROADCAST_SEQUENCE_NUMBER => self.reserved.broadcast_sequence_number = value as u8,
            _ => {}
        }
    }

    /// The modem has counted so far.
    fn count(&mut self, value: u32) {
        self.counted = self.counted.max(value);
        let limit = self.reserved.frame_counter;
        if self.wanted.is_none() && value.saturating_add(BLOCK / 2) > limit {
            self.want(Counters { frame_counter: value.max(limit), ..self.reserved }.ahead());
        }
    }
}

/// Refused because there is no such attribute, or it is the modem's alone.
fn is_unknown(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Adp(AdpStatus::UNSUPPORTED_ATTRIBUTE | AdpStatus::READ_ONLY)
            | Refusal::Mac(MacStatus::UNSUPPORTED_ATTRIBUTE | MacStatus::READ_ONLY)
    )
}

fn get(layer: Layer, attribute: u32, index: u16) -> Request {
    match layer {
        Layer::Adp => Request::Get { attribute, index },
        Layer::Mac => Request::MacGet { attribute, index },
    }
}

/// What the watch asks for. The frame counter of PLC is the one that every modem has.
const WATCHED: [(Layer, u32); 4] = [
    (Layer::Mac, mac::FRAME_COUNTER),
    (Layer::Mac, mac::FRAME_COUNTER_RF),
    (Layer::Adp, adp::MANUF_DISCOVER_SEQUENCE_NUMBER),
    (Layer::Adp, adp::MANUF_BROADCAST_SEQUENCE_NUMBER),
];
/// The composite metric of G.9903 annex B.
const COMPOSITE_METRIC: u8 = 15;
const INITIALIZE: u8 = 10;
const DATA: u8 = 11;
const LBP: u8 = 19;
