//! The client: one association with one meter over any link, a state machine.
//!
//! Requests are queued and answered one by one, each with its own result; a request that fails leaves the association
//! as it is. After each mutation drain `poll_transmit` and `poll_event`, then wait until `poll_timeout`.

mod association;
mod exchange;
mod failure;
mod job;
mod response;
mod settings;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

pub(crate) use association::REPLY_TO_HLS;
pub use failure::{Cause, Failure, Target};
pub use job::Answer;
use job::{Job, Service};
pub use settings::{Authentication, Protection, Random, Settings, Signing};

use crate::apdu::{Attribute, Method, Selected, Selection};
use crate::block_transfer::{BlockReceiver, BlockSender};
use crate::link::{Link, LinkEvent, LinkFailure};
use crate::security::{ReceivedCounter, SentCounter, SystemTitle};
use crate::spec::Conformance;
use crate::{Data, Reject};

#[derive(Debug)]
pub struct Client {
    settings: Settings,
    link: Box<dyn Link>,
    random: Box<dyn Random>,
    sent: SentCounter,
    received: ReceivedCounter,
    /// Of the dedicated key, which is new in each association.
    received_dedicated: ReceivedCounter,
    state: State,
    association: Association,
    own_challenge: Vec<u8>,
    meter_challenge: Vec<u8>,
    /// What AARQ carries, the dedicated key in it: the same in each that is sent again.
    initiate: Zeroizing<Vec<u8>>,
    waiting: VecDeque<Job>,
    /// What the meter was asked, and not yet answered.
    current: Option<Job>,
    invoke_id: u8,
    /// Of the signed request that was sent last.
    transaction_id: u64,
    next_id: u64,
    /// Of what was sent last, and of the whole request from its beginning.
    repeats_left: u32,
    restarts_left: u32,
    deadline: Option<Instant>,
    /// However slowly an answer comes, its end is not waited for any longer.
    patience: Option<Instant>,
    /// Of the last association.
    is_release_answered: bool,
    blocks_out: Option<BlockSender>,
    blocks_in: Option<BlockReceiver>,
    events: VecDeque<Event>,
}

/// Names a request of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Associated(Association),
    Answered {
        id: RequestId,
        result: Result<Answer, Failure>,
    },
    /// A DataNotification or EventNotification in the clear: `Apdu::parse` reads it.
    Notified(Vec<u8>),
    /// Octets were not taken; what is asked goes on.
    Rejected(Reject),
    /// The meter used counters again that it had used under the same key.
    CounterRestarted {
        highest: u32,
        received: u32,
    },
    /// There is no association, or no longer.
    Failed(Failure),
    /// The link is closed.
    Closed,
}

/// What was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Association {
    pub conformance: Conformance,
    /// The longest APDU that the meter takes.
    pub max_receive_pdu_size: u16,
    pub meter_title: Option<SystemTitle>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// The link opens.
    Opening,
    /// AARQ was sent.
    Requesting,
    /// HLS: our proof was sent.
    Proving,
    Associated,
    /// RLRQ was sent.
    Releasing,
    /// The link closes.
    Closing,
}

impl Client {
    /// `counters` are reserved durably, and `received` is the highest one that came before.
    pub fn new(
        settings: Settings,
        link: Box<dyn Link>,
        random: Box<dyn Random>,
        counters: Range<u32>,
        received: Option<u32>,
    ) -> Self {
        let meter_title = settings.ciphering.as_ref().and_then(|ciphering| ciphering.peer_title);
        let association = Association {
            conformance: settings.conformance,
            max_receive_pdu_size: 0,
            meter_title: meter_title.or(settings.meter_title),
        };
        Self {
            settings,
            link,
            random,
            sent: SentCounter::new(counters),
            received: ReceivedCounter(received),
            received_dedicated: ReceivedCounter::default(),
            state: State::Idle,
            association,
            own_challenge: Vec::new(),
            meter_challenge: Vec::new(),
            initiate: Zeroizing::default(),
            waiting: VecDeque::new(),
            current: None,
            invoke_id: 0,
            transaction_id: 0,
            next_id: 0,
            repeats_left: 0,
            restarts_left: 0,
            deadline: None,
            patience: None,
            is_release_answered: true,
            blocks_out: None,
            blocks_in: None,
            events: VecDeque::new(),
        }
    }

    /// Opens link and association; `Associated` or `Failed` follows.
    pub fn associate(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.state = State::Opening;
            self.link.open(now);
            self.pump(now);
        }
    }

    /// Ends association and link; `Closed` follows. What was asked and not answered fails.
    pub fn release(&mut self, now: Instant) {
        self.fail_all(Cause::NotAssociated);
        match self.state {
            State::Idle => self.events.push_back(Event::Closed),
            State::Associated if self.settings.has_release && !self.settings.is_pre_established => {
                self.request_release(now);
            }
            State::Releasing | State::Closing => {}
            _ => self.close(now),
        }
        self.pump(now);
    }

    /// What carries the octets is gone: everything fails, and `Closed` follows. `associate` begins anew.
    pub fn transport_lost(&mut self) {
        if self.state != State::Idle {
            self.ended(Some(Cause::Link(LinkFailure::TransportLost)));
        }
    }

    /// Reads an attribute, or the rows and columns of it that are selected.
    pub fn get(&mut self, attribute: Attribute, selection: Option<Selection<'_>>, now: Instant) -> RequestId {
        self.enqueue(now, |id| Job::get(id, &Selected { attribute, selection }))
    }

    /// Reads several attributes with one request.
    pub fn get_list(&mut self, list: &[Selected<'_>], now: Instant) -> RequestId {
        self.enqueue(now, |id| Job::get_list(id, list))
    }

    pub fn set(&mut self, attribute: Attribute, value: Data<'_>, now: Instant) -> RequestId {
        self.enqueue(now, |id| Job::set(id, attribute, value))
    }

    pub fn set_list(&mut self, list: &[(Attribute, Data<'_>)], now: Instant) -> RequestId {
        self.enqueue(now, |id| Job::set_list(id, list))
    }

    pub fn action(&mut self, method: Method, parameter: Option<Data<'_>>, now: Instant) -> RequestId {
        self.enqueue(now, |id| Job::action(id, method, parameter))
    }

    pub fn action_list(&mut self, list: &[(Method, Data<'_>)], now: Instant) -> RequestId {
        self.enqueue(now, |id| Job::action_list(id, list))
    }

    /// More invocation counters, reserved durably.
    pub fn reserve(&mut self, counters: Range<u32>) -> Result<(), Reject> {
        self.sent.extend(counters)
    }

    /// Invocation counters that are left.
    pub const fn counters_left(&self) -> u32 {
        self.sent.left()
    }

    /// The highest invocation counter of the meter, to be kept.
    pub const fn received_counter(&self) -> Option<u32> {
        self.received.0
    }

    /// How long the answer to RLRQ is waited for, where not as long as any other.
    pub const fn set_release_timeout(&mut self, timeout: Duration) {
        self.settings.release_timeout = Some(timeout);
    }

    /// False where the last association was ended without the answer that the meter owed.
    pub const fn is_release_answered(&self) -> bool {
        self.is_release_answered
    }

    pub fn is_associated(&self) -> bool {
        self.state == State::Associated
    }

    /// Nothing is asked, nothing waits to be.
    pub fn is_idle(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    pub const fn association(&self) -> Association {
        self.association
    }

    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.link.handle_bytes(bytes, now);
        self.pump(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.link.handle_timeout(now);
            self.pump(now);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.timed_out(now);
            self.pump(now);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout().into_iter().chain(self.deadline).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.link.poll_transmit()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn enqueue(&mut self, now: Instant, job: impl FnOnce(RequestId) -> Job) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let job = job(id);
        if matches!(self.state, State::Idle | State::Releasing | State::Closing) {
            self.events.push_back(failed(&job, Cause::NotAssociated));
        } else {
            self.waiting.push_back(job);
            self.pump(now);
        }
        id
    }

    /// Takes what the link has to say, then asks what waits.
    fn pump(&mut self, now: Instant) {
        while let Some(event) = self.link.poll_event() {
            match event {
                LinkEvent::Opened if self.state == State::Opening => self.opened(now),
                LinkEvent::Opened => {}
                LinkEvent::Apdu(octets) => {
                    if let Err(reject) = self.receive(octets, now) {
                        self.events.push_back(Event::Rejected(reject));
                    }
                    // What came may have been something else than the answer that is waited for.
                    self.link.expect_answer(self.deadline.is_some(), now);
                }
                // A line may be slow, and its meter too; but what comes may also have no end.
                LinkEvent::Progress => {
                    let later = Some(now + self.settings.timeout);
                    self.deadline = self.deadline.and(later.min(self.patience).or(later));
                }
                LinkEvent::Rejected(reject) => self.events.push_back(Event::Rejected(reject)),
                LinkEvent::Closed => self.ended(None),
                LinkEvent::Failed(failure) => self.ended(Some(Cause::Link(failure))),
            }
        }
        self.ask(now);
    }

    fn timed_out(&mut self, now: Instant) {
        match self.state {
            State::Requesting | State::Proving if self.repeats_left > 0 => {
                self.repeats_left -= 1;
                if let Err(cause) = self.request(now) {
                    self.give_up(cause, now);
                }
            }
            State::Opening | State::Requesting | State::Proving => {
                self.events.push_back(association_failed(Cause::Timeout));
                self.close(now);
            }
            State::Associated => self.unanswered(now),
            State::Releasing => {
                self.is_release_answered = false;
                self.close(now);
            }
            State::Closing => self.ended(None),
            State::Idle => {}
        }
    }

    /// Closes the link.
    fn close(&mut self, now: Instant) {
        self.fail_all(Cause::NotAssociated);
        self.state = State::Closing;
        self.deadline = Some(now + self.settings.timeout);
        self.link.close(now);
    }

    /// The link is closed, by whomever.
    fn ended(&mut self, cause: Option<Cause>) {
        self.fail_all(cause.unwrap_or(Cause::NotAssociated));
        if let (Some(cause), false) = (cause, matches!(self.state, State::Closing | State::Idle)) {
            self.events.push_back(association_failed(cause));
        }
        self.state = State::Idle;
        self.deadline = None;
        self.events.push_back(Event::Closed);
    }

    fn fail_all(&mut self, cause: Cause) {
        (self.blocks_in, self.blocks_out) = (None, None);
        let jobs = self.current.take().into_iter().chain(self.waiting.drain(..));
        self.events.extend(jobs.map(|job| failed(&job, cause)));
    }
}

fn failed(job: &Job, cause: Cause) -> Event {
    Event::Answered { id: job.id, result: Err(Failure { target: job.target, cause }) }
}

const fn association_failed(cause: Cause) -> Event {
    Event::Failed(Failure { target: Target::Association, cause })
}

#[cfg(test)]
pub(crate) mod tests;
