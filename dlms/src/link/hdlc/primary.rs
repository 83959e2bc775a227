//! The client's station: it connects, sends, polls, and repeats itself when nothing comes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::sequence::Sequence;
use super::{Address, Control, Deframer, Frame, LLC_REQUEST, LLC_RESPONSE, Parameters, strip_llc};
use crate::Reject;
use crate::link::{Link, LinkEvent, LinkFailure};

#[derive(Debug)]
pub struct Primary {
    client: Address,
    server: Address,
    wanted: Parameters,
    timing: Timing,
    state: State,
    sequence: Sequence,
    deframer: Deframer,
    /// A frame with P went out, and none with F came back.
    is_polling: bool,
    is_expecting: bool,
    tries: u32,
    deadline: Option<Instant>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<LinkEvent>,
}

/// How long a station waits, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From a poll to the first frame of the answer, the line's time included.
    pub answer: Duration,
    /// Times that an unanswered frame is sent again.
    pub repeats: u32,
    /// From a meter's "not yet" to the next poll.
    pub poll: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { answer: Duration::from_secs(3), repeats: 2, poll: Duration::from_millis(200) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Opening,
    Open,
    Closing,
}

impl Primary {
    /// A station that takes APDUs of up to `limit` octets.
    pub fn new(client: Address, server: Address, wanted: Parameters, timing: Timing, limit: usize) -> Self {
        Self {
            client,
            server,
            wanted,
            timing,
            state: State::Closed,
            sequence: Sequence::new(Parameters::default(), limit),
            deframer: Deframer::default(),
            is_polling: false,
            is_expecting: false,
            tries: 0,
            deadline: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What was agreed with the meter.
    pub const fn parameters(&self) -> Parameters {
        self.sequence.parameters
    }

    fn command(&mut self, control: Control, information: &[u8], now: Instant) {
        let mut octets = Vec::new();
        let (destination, source) = (self.server, self.client);
        let frame = Frame { is_segmented: false, destination, source, control, information };
        if frame.emit(&mut octets).is_ok() {
            self.transmits.push_back(octets);
        }
        self.polled(now);
    }

    fn polled(&mut self, now: Instant) {
        self.is_polling = true;
        self.deadline = Some(now + self.timing.answer);
    }

    fn snrm(&mut self, now: Instant) {
        let mut information = Vec::new();
        // The defaults are not said: some meters answer a bare SNRM only.
        if self.wanted != Parameters::default() {
            self.wanted.emit(&mut information);
        }
        self.command(Control::Snrm { poll: true }, &information, now);
    }

    fn receive_ready(&mut self, now: Instant) {
        let receive = self.sequence.expected();
        self.command(Control::ReceiveReady { receive, poll: true }, &[], now);
    }

    /// Sends what is next: segments, or a poll for the answer's.
    fn go_on(&mut self, now: Instant) {
        if self.sequence.is_loaded() {
            self.sequence.transmit(self.server, self.client, &mut self.transmits);
            self.polled(now);
        } else if self.sequence.is_receiving() {
            self.receive_ready(now);
        } else {
            self.deadline = self.is_expecting.then(|| now + self.timing.poll);
        }
    }

    fn close_with(&mut self, event: LinkEvent) {
        self.state = State::Closed;
        self.is_polling = false;
        self.deadline = None;
        self.events.push_back(event);
    }

    fn take(&mut self, frame: &Frame<'_>, now: Instant) -> Result<(), Reject> {
        if frame.destination != self.client || !frame.source.answers(&self.server) {
            return Err(Reject::ForeignAddress);
        }
        let poll = frame.control.poll();
        match (self.state, frame.control) {
            (State::Opening, Control::Ua { .. }) => {
                let agreed = self.wanted.agreed(&Parameters::parse(frame.information)?);
                self.sequence.reset(agreed);
                self.state = State::Open;
                self.is_polling = false;
                self.deadline = None;
                self.events.push_back(LinkEvent::Opened);
            }
            (State::Closing, Control::Ua { .. } | Control::Dm { .. }) => self.close_with(LinkEvent::Closed),
            (State::Opening | State::Open, Control::Dm { .. }) => {
                self.close_with(LinkEvent::Failed(LinkFailure::Disconnected));
            }
            (State::Opening | State::Open, Control::Frmr { .. }) => {
                self.close_with(LinkEvent::Failed(LinkFailure::FrameRejected));
            }
            (_, Control::Ui { .. }) => {
                let apdu = strip_llc(frame.information.to_vec(), LLC_RESPONSE)?;
                self.events.push_back(LinkEvent::Apdu(apdu));
            }
            (State::Open, Control::Information { send, receive, .. }) => {
                self.sequence.acknowledge(receive)?;
                let taken = self.sequence.take(send, frame);
                self.answered(poll);
                let result = match taken {
                    Ok(Some(octets)) => {
                        self.is_expecting = false;
                        strip_llc(octets, LLC_RESPONSE).map(|apdu| self.events.push_back(LinkEvent::Apdu(apdu)))
                    }
                    Ok(None) => {
                        // Frames without information could come for ever.
                        if !frame.information.is_empty() {
                            self.events.push_back(LinkEvent::Progress);
                        }
                        Ok(())
                    }
                    // Lost frames are asked for again.
                    Err(Reject::OutOfSequence) if poll => {
                        self.receive_ready(now);
                        return Err(Reject::OutOfSequence);
                    }
                    Err(reject) => Err(reject),
                };
                if poll {
                    self.go_on(now);
                }
                return result;
            }
            (State::Open, Control::ReceiveReady { receive, .. }) => {
                self.sequence.acknowledge(receive)?;
                self.answered(poll);
                if poll {
                    self.go_on(now);
                }
            }
            (State::Open, Control::ReceiveNotReady { receive, .. }) => {
                self.sequence.acknowledge(receive)?;
                self.answered(poll);
                self.deadline = Some(now + self.timing.poll);
            }
            _ => return Err(Reject::OutOfSequence),
        }
        Ok(())
    }

    const fn answered(&mut self, poll: bool) {
        self.tries = 0;
        if poll {
            self.is_polling = false;
            self.deadline = None;
        }
    }
}

impl Link for Primary {
    fn open(&mut self, now: Instant) {
        self.transmits.clear();
        self.deframer = Deframer::default();
        self.state = State::Opening;
        self.tries = 0;
        self.snrm(now);
    }

    fn close(&mut self, now: Instant) {
        if self.state == State::Closed {
            self.events.push_back(LinkEvent::Closed);
            return;
        }
        self.state = State::Closing;
        self.is_expecting = false;
        self.tries = 0;
        self.command(Control::Disc { poll: true }, &[], now);
    }

    fn send(&mut self, apdu: &[u8], now: Instant) {
        if self.state != State::Open {
            return;
        }
        self.sequence.load(LLC_REQUEST, apdu);
        self.tries = 0;
        if !self.is_polling {
            self.go_on(now);
        }
    }

    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        let mut deframer = std::mem::take(&mut self.deframer);
        deframer.push(bytes, now, |found| {
            if let Err(reject) = found.and_then(|frame| self.take(&frame, now)) {
                self.events.push_back(LinkEvent::Rejected(reject));
            }
        });
        self.deframer = deframer;
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        if !self.is_polling {
            // The meter had nothing to say yet.
            return self.receive_ready(now);
        }
        if self.tries >= self.timing.repeats {
            let is_closing = self.state == State::Closing;
            self.close_with(if is_closing { LinkEvent::Closed } else { LinkEvent::Failed(LinkFailure::NoAnswer) });
            return;
        }
        self.tries += 1;
        match self.state {
            State::Closed => self.deadline = None,
            State::Opening => self.snrm(now),
            State::Closing => self.command(Control::Disc { poll: true }, &[], now),
            State::Open => {
                if self.sequence.is_loaded() {
                    self.go_on(now)
                } else {
                    self.receive_ready(now)
                }
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    fn expect_answer(&mut self, is_expected: bool, now: Instant) {
        self.is_expecting = is_expected;
        if !self.is_polling && self.state == State::Open {
            // What has just come was not all: the meter may have the rest already.
            self.deadline = is_expected.then_some(now);
        }
    }
}
