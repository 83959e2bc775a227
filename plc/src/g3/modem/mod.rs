//! The driver of a G3-PLC modem: both generations of firmware behind one state machine with the five doors.
//!
//! It reserves counters, initialises the modem, finds out its generation, sets it up, starts the network, and then
//! carries messages and requests. A modem that is reset, silent or confused is started again, for ever, with a pause
//! that grows. The bootstrap server is not here: its messages pass through.

mod config;
mod event;
mod failure;
mod handshake;
mod job;
mod outbox;
mod running;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use config::{Config, Counters, Generation, Keyring};
pub use event::{Cause, Event};
pub use job::{Answer, Refusal, Ticket};
pub use outbox::{Delivery, Full, Priority};

use failure::MAX_FAILURES;
use job::{Job, Lane, Need, Outcome, Purpose};
use outbox::Outbox;

use super::adp::{Message, Request};
use crate::usi::{Deframer, Frame, Protocol};
use crate::{Reject, Rejects};

/// A modem from the moment its port was opened.
#[derive(Debug)]
pub struct Modem {
    config: Config,
    keys: Keyring,
    /// What a start may use: durable, and above everything used before.
    reserved: Counters,
    /// A reservation that is not durable yet.
    wanted: Option<Counters>,
    /// The highest frame counter that the modem may have used, of either medium, and what it said last of PLC's.
    counted: u32,
    counted_plc: u32,
    /// The modem was told the counters of this reservation.
    is_given: bool,
    generation: Generation,
    stage: Stage,
    /// Starts that came to nothing since it was up last.
    failures: u32,
    /// What this start has found out, or what the modem has shown since the last one.
    found: Option<Generation>,
    /// The form of INITIALIZE that was refused last: the other one is right.
    refused_form: Option<Generation>,
    /// Starts of this life, by which the forms of INITIALIZE take turns while none was refused.
    starts: u32,
    /// INITIALIZE in this form was not answered in time; the modem may be ready yet.
    late_form: Option<Generation>,
    /// Why it is down, as it was said last.
    down_said: Option<Cause>,
    exchange: Lane,
    /// What takes long: path, route and neighbour discovery.
    discovery: Lane,
    outbox: Outbox,
    sent_since_watch: u32,
    watch_due: Instant,
    next_ticket: u64,
    deframer: Deframer,
    /// Octets and frames that had come when INITIALIZE went out.
    taken: (u64, u64),
    rejects: Rejects,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until the counters of this start are durable.
    Reserving,
    /// Until the next start.
    Pausing(Instant),
    /// INITIALIZE is open, in the form of this generation.
    Initializing(Generation),
    /// The question that only one generation understands is open.
    Probing(Generation),
    Starting,
    Running,
}

impl Modem {
    /// A modem with the keys of its network and counters above all that were ever used: zero for a network that never
    /// was. Its first word is the reservation of the counters of this life.
    pub fn new(config: Config, keys: Keyring, counters: Counters, now: Instant) -> Self {
        let generation = config.generation.unwrap_or(Generation::HostLbs);
        let pace = config.pace;
        let mut modem = Self {
            config,
            keys,
            reserved: counters,
            wanted: None,
            counted: counters.frame_counter,
            counted_plc: 0,
            is_given: true,
            generation,
            stage: Stage::Reserving,
            failures: 0,
            found: None,
            refused_form: None,
            starts: 0,
            late_form: None,
            down_said: None,
            exchange: Lane::new(pace),
            discovery: Lane::new(pace),
            outbox: Outbox::new(),
            sent_since_watch: 0,
            watch_due: now,
            next_ticket: 0,
            deframer: Deframer::default(),
            taken: (0, 0),
            rejects: Rejects::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        modem.begin(now);
        modem
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// None until the modem has said it.
    pub fn generation(&self) -> Option<Generation> {
        self.is_running().then_some(self.generation)
    }

    /// What was dropped, by reason: messages, then frames.
    pub fn rejects(&self) -> (&Rejects, &Rejects) {
        (&self.rejects, self.deframer.rejects())
    }

    /// The counters of [`Event::Reserve`] are durable.
    pub fn reserved(&mut self, counters: Counters, now: Instant) {
        if self.wanted != Some(counters) {
            return;
        }
        self.wanted = None;
        let start = std::mem::replace(&mut self.reserved, counters);
        if self.stage == Stage::Reserving {
            self.counted = start.frame_counter;
            self.is_given = false;
            self.initialize(self.first_form(), now);
        }
        self.pump(now);
    }

    /// Starts the modem anew: the port was opened again, or its network is to have another number.
    pub fn restart(&mut self, pan_id: Option<u16>, now: Instant) {
        self.config.pan_id = pan_id.unwrap_or(self.config.pan_id);
        self.lose(Cause::Asked);
        self.failures = 0;
        self.send(&Request::Reset {});
        self.stage = Stage::Pausing(now + RESET_TIME);
    }

    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        for octet in bytes {
            let Some(frame) = self.deframer.take(*octet) else { continue };
            let message = match frame.protocol() {
                Protocol::ADP_G3 => Message::parse(frame.payload()),
                other => Err(Reject::UnknownProtocol(other.number())),
            };
            match message {
                Ok(message) => self.take(message, now),
                Err(reject) => self.rejects.add(reject),
            }
        }
        self.pump(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Stage::Pausing(until) = self.stage {
            if until <= now {
                self.begin(now);
            }
        }
        for lane in [Which::Exchange, Which::Discovery] {
            match self.lane(lane).handle_timeout(now) {
                Some(Ok(request)) => self.send(&request),
                Some(Err(job)) => self.give_up(job, now),
                None => {}
            }
        }
        let delivered = self.outbox.handle_timeout(now);
        self.tell(delivered);
        if self.is_running() && self.watch_due <= now {
            self.watch(now);
        }
        self.pump(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Pausing(until) => Some(until),
            Stage::Running => Some(self.watch_due),
            _ => None,
        };
        stage.into_iter().chain(self.exchange.due()).chain(self.discovery.due()).chain(self.outbox.poll_timeout()).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Reserves the counters of the next start.
    fn begin(&mut self, now: Instant) {
        // What was never told to a modem is still unused: a modem that is away for months costs no counter.
        if !self.is_given {
            return self.initialize(self.first_form(), now);
        }
        self.stage = Stage::Reserving;
        self.reserved.frame_counter = self.reserved.frame_counter.max(self.counted);
        if self.reserved.are_exhausted() {
            self.failures = MAX_FAILURES;
            self.lose(Cause::CountersExhausted);
            self.stage = Stage::Pausing(now + self.pause());
            return;
        }
        self.want(self.reserved.ahead());
    }

    fn want(&mut self, counters: Counters) {
        self.wanted = Some(counters);
        self.events.push_back(Event::Reserve(counters));
    }

    /// The modem is initialised, and of this generation.
    fn set_up(&mut self, generation: Generation) {
        self.generation = generation;
        self.stage = Stage::Starting;
        self.is_given = true;
        self.counted_plc = self.counted;
        self.exchange.drop_start();
        let mut start = self.reserved;
        start.frame_counter = self.counted;
        let steps = self.config.steps(generation, &self.keys, start);
        for step in steps.into_iter().rev() {
            self.exchange.push_front(Job { purpose: Purpose::Start(step.need), request: step.request, rows: None });
        }
    }

    fn answer(&mut self, purpose: Purpose, result: Result<Answer, Refusal>) {
        if let Purpose::User(ticket) = purpose {
            self.events.push_back(Event::Answered(ticket, result));
        }
    }

    fn tell(&mut self, delivered: Vec<outbox::Delivered>) {
        for (ticket, delivery, is_lbp) in delivered {
            self.events.push_back(match is_lbp {
                true => Event::LbpSent(ticket, delivery),
                false => Event::Sent(ticket, delivery),
            });
        }
    }

    /// Sends what may go now.
    fn pump(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Reserving | Stage::Pausing(_)) {
            if let Some(request) = self.exchange.next(now) {
                self.send(&request);
            }
        }
        if !self.is_running() {
            return;
        }
        if let Some(request) = self.discovery.next(now) {
            self.send(&request);
        }
        // Without a reserved counter nothing of ours leaves.
        while self.counted < self.reserved.frame_counter {
            let Some(request) = self.outbox.next(self.config.max_hops, now) else { break };
            self.sent_since_watch += 1;
            self.send(&request);
        }
        if self.sent_since_watch >= WATCH_MESSAGES {
            self.watch(now);
        }
    }

    fn send(&mut self, request: &Request) {
        let mut payload = Vec::new();
        request.emit(&mut payload);
        match Frame::new(Protocol::ADP_G3, payload) {
            Ok(frame) => {
                let mut octets = Vec::new();
                frame.emit(&mut octets);
                self.transmits.push_back(octets);
            }
            Err(reject) => self.rejects.add(reject),
        }
    }

    fn lane(&mut self, which: Which) -> &mut Lane {
        match which {
            Which::Exchange => &mut self.exchange,
            Which::Discovery => &mut self.discovery,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Which {
    Exchange,
    Discovery,
}

/// What a modem needs after a reset; the first pause between starts.
const RESET_TIME: Duration = Duration::from_secs(1);
/// A running modem is asked so often for its counters, and so whether it is there.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);
/// The counters are asked for earlier after so many messages of ours.
const WATCH_MESSAGES: u32 = 200;
