//! What receivers with a handshake have in common: one question is open at a time, it is repeated a few times, and
//! octets that do not become a message in time are passed over.
//!
//! A `Protocol` knows the messages and which question comes next; it knows neither time nor buffers.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::{Counters, Event, Failure, Identity, Receiver, Reject, When};
use crate::Form;

/// The messages of one kind of receiver.
pub(super) trait Protocol: fmt::Debug + Send {
    /// Octets of an unfinished message wait so long for the rest.
    const STALL_TIME: Duration;
    /// A listening receiver is asked so often whether it is there; None where nobody asks, or asking would disturb.
    const CHECK_INTERVAL: Option<Duration>;

    /// Takes what stands first in `buf`, and leaves `buf` behind it.
    ///
    /// # Errors
    /// `Incomplete` with nothing used up when more octets may make it whole. Any other `Reject`, and an `Incomplete`
    /// that will never be whole, has used up at least one octet, and no more than is known to be bad.
    fn take(&mut self, buf: &mut &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject>;

    /// `buf` was not made whole in time.
    fn stalled(&mut self, buf: &mut &[u8], _said: &mut VecDeque<Said>) -> Result<(), Reject> {
        *buf = buf.get(1..).unwrap_or_default();
        Err(Reject::Incomplete)
    }

    /// What is asked now; None while it only listens.
    fn question(&self) -> Option<Question>;

    /// What is sent when the last question was answered.
    fn leave(&self) -> Option<Vec<u8>> {
        None
    }

    /// What gives it a frame to send; None where it cannot send so.
    fn sending(&self, _frame: &[u8], _when: When) -> Option<Vec<u8>> {
        None
    }

    /// Begins to ask whether the receiver is there and as it was set. Called while it only listens.
    fn check(&mut self);

    /// Begins anew; the octets that reset the receiver, where it can be reset.
    fn reset(&mut self) -> Vec<u8>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: &'static str,
    pub(super) octets: Vec<u8>,
    /// How long the answer may take.
    pub(super) patience: Duration,
}

/// What a receiver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The open question is answered, the next one may be put.
    Answer,
    /// The open question is answered, and the receiver listens.
    Ready(Identity),
    Failed(Failure),
    /// It takes a frame to be sent, or sent a prepared one; or not.
    Sent(bool),
    /// A frame without CRCs, L first.
    Telegram {
        frame: Vec<u8>,
        rssi_dbm: Option<i16>,
    },
}

/// A receiver of one kind, from the moment its port was opened.
#[derive(Debug)]
pub(super) struct Dialogue<P> {
    protocol: P,
    /// The open question went out so often.
    tries: u32,
    /// When the awaited answer is late, or the next check is due.
    due: Option<Instant>,
    stall: Option<Instant>,
    is_ended: bool,
    /// Octets of an unfinished message.
    buffer: Vec<u8>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    counters: Counters,
}

impl<P: Protocol> Dialogue<P> {
    /// The first question is ready to be sent; where there is none, it listens.
    pub(super) fn new(protocol: P, now: Instant) -> Self {
        let mut dialogue = Self {
            protocol,
            tries: 0,
            due: None,
            stall: None,
            is_ended: false,
            buffer: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        };
        if dialogue.protocol.question().is_none() {
            dialogue.events.push_back(Event::Ready(Identity::default()));
        }
        dialogue.go_on(now);
        dialogue
    }

    /// The open question is another one now, or there is none.
    fn go_on(&mut self, now: Instant) {
        if self.protocol.question().is_some() {
            self.tries = 0;
        }
        self.ask(now);
    }

    fn ask(&mut self, now: Instant) {
        let Some(Question { name, octets, patience }) = self.protocol.question() else {
            self.transmits.extend(self.protocol.leave().filter(|_| self.tries > 0));
            self.tries = 0;
            self.due = P::CHECK_INTERVAL.map(|interval| now + interval);
            return;
        };
        if self.tries == TRIES {
            return self.fail(Failure::Mute(name));
        }
        self.tries += 1;
        self.due = Some(now + patience);
        self.transmits.push_back(octets);
    }

    fn fail(&mut self, failure: Failure) {
        self.events.push_back(Event::Failed(failure));
        self.is_ended = true;
        self.due = None;
        self.stall = None;
        self.buffer = Vec::new();
    }

    fn drain(&mut self, now: Instant) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        while !self.is_ended && !rest.is_empty() {
            let mut cursor = rest;
            let mut said = VecDeque::new();
            let taken = self.protocol.take(&mut cursor, &mut said);
            if taken == Err(Reject::Incomplete) && cursor.len() == rest.len() {
                break;
            }
            self.note(taken, rest.len() - cursor.len());
            rest = cursor;
            self.hear(said, now);
        }
        if !self.is_ended {
            self.buffer = rest.to_vec();
        }
    }

    fn note(&mut self, taken: Result<(), Reject>, octets: usize) {
        match taken {
            Ok(()) => {}
            Err(Reject::Noise) => (0..octets).for_each(|_| self.counters.reject(Reject::Noise)),
            Err(reason) => self.counters.reject(reason),
        }
    }

    fn hear(&mut self, said: VecDeque<Said>, now: Instant) {
        for said in said {
            match said {
                Said::Answer => self.go_on(now),
                Said::Ready(identity) => {
                    self.events.push_back(Event::Ready(identity));
                    self.go_on(now);
                }
                Said::Failed(failure) => self.fail(failure),
                Said::Sent(is_taken) => self.events.push_back(Event::Sent(is_taken)),
                Said::Telegram { frame, rssi_dbm } => {
                    self.counters.telegrams += 1;
                    self.events.push_back(Event::Telegram { frame, form: Some(Form::Stripped), rssi_dbm });
                }
            }
        }
    }

    fn watch_buffer(&mut self, now: Instant) {
        self.stall = (!self.buffer.is_empty()).then(|| now + P::STALL_TIME);
    }
}

impl<P: Protocol> Receiver for Dialogue<P> {
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.counters.octets += bytes.len() as u64;
        for portion in bytes.chunks(PORTION) {
            if self.is_ended {
                return;
            }
            self.buffer.extend(portion);
            self.drain(now);
        }
        self.watch_buffer(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.stall.is_some_and(|stall| stall <= now) {
            let buffer = std::mem::take(&mut self.buffer);
            let mut rest = buffer.as_slice();
            let mut said = VecDeque::new();
            let taken = self.protocol.stalled(&mut rest, &mut said);
            self.note(taken, buffer.len() - rest.len());
            self.buffer = rest.to_vec();
            self.hear(said, now);
            self.drain(now);
            self.watch_buffer(now);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.check_or_ask(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.stall).min()
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn check(&mut self, now: Instant) {
        if !self.is_ended && self.protocol.question().is_none() {
            self.check_or_ask(now);
        }
    }

    fn send(&mut self, frame: &[u8], when: When, _now: Instant) -> bool {
        let is_ready = !self.is_ended && self.protocol.question().is_none();
        let octets = if is_ready { self.protocol.sending(frame, when) } else { None };
        let is_taken = octets.is_some();
        self.transmits.extend(octets);
        is_taken
    }

    fn reset(&mut self, now: Instant) {
        if self.is_ended {
            return;
        }
        let octets = self.protocol.reset();
        self.tries = 0;
        self.due = self.protocol.question().map(|_| now + RESET_TIME);
        if !octets.is_empty() {
            self.transmits.push_back(octets);
        }
    }
}

impl<P: Protocol> Dialogue<P> {
    fn check_or_ask(&mut self, now: Instant) {
        if self.protocol.question().is_none() {
            self.protocol.check();
            self.tries = 0;
        }
        self.ask(now);
    }
}

/// How often a question is put before the receiver counts as mute.
pub(super) const TRIES: u32 = 5;
/// What a receiver needs after a reset before it answers.
const RESET_TIME: Duration = Duration::from_secs(1);
/// Octets are taken in such portions, which bounds the buffer.
const PORTION: usize = 512;
