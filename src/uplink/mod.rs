//! What is published when, what waits for which answer, and what may be deleted: a state machine without I/O. DESIGN 3.4.
//!
//! The driver around it (task/) passes on what the MQTT connection and the store say through the `handle_*` doors, then
//! drains `poll_transmit` (publish it, QoS 1), `poll_request` (ask the store) and `poll_event` (a record for lane P1),
//! then sleeps until `poll_timeout`. It holds a window: batches in flight with their octets, and of those that wait for
//! an acknowledgement only name and hash; the backlog stays in the store.
//!
//! Order: what a lost connection left without PUBACK; P0 to P2; then three fresh batches to one of the backlog,
//! in both the most urgent lane first. A batch is acknowledged to the store when a signed `Ack` names its hash, or in
//! `broker` mode with its PUBACK.

mod acknowledge;
mod allowance;
mod command;
mod lane;
mod options;
pub mod order;
mod ranges;
mod request;
mod schedule;
pub mod status;
pub mod topic;
pub mod topology;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::clock::Now;
use crate::reading::{EventKind, LaneHead};
use crate::store::{Batch, Epoch, Lane};
use crate::wire::signed::PrivateKey;
use crate::wire::trust::Trust;

use allowance::Allowance;
use command::{Answered, Job};
use lane::{Key, LaneQueue};
pub use options::{Acknowledge, Options};
use order::Book;
pub use request::Request;
use request::{Asked, Class};
pub use status::Figures;
use topic::Part;
pub use topic::{Topic, TopicError, Topics};
use topology::Publisher;
pub use topology::Snapshot;

/// What the store holds when the uplink starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub epoch: Epoch,
    /// Sealed heads of the current epoch; lanes without one are left out.
    pub heads: Vec<LaneHead>,
    /// 64 random bits.
    pub random: u64,
    /// None: the command journal is damaged.
    pub commands: Option<order::Known>,
    /// Orders to meters that came with commands, and how they stand.
    pub orders: order::Standings,
}

/// To be published at QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Ours, never twice in a run: `handle_puback` names it.
    pub id: u64,
    pub topic: String,
    pub payload: Bytes,
    pub retain: bool,
    pub content_type: &'static str,
}

/// The uplink of one unit.
#[derive(Debug)]
pub struct Uplink {
    options: Options,
    topics: Topics,
    trust: Trust,
    key: PrivateKey,
    epoch: Epoch,
    /// Epochs that ended in this run: what comes late about them is no news.
    past_epochs: BTreeSet<Epoch>,
    /// Publishes that may be in flight; None while there is no connection.
    window: Option<usize>,
    session: u64,
    lanes: BTreeMap<Lane, LaneQueue>,
    last_id: u64,
    flying: BTreeMap<u64, Flying>,
    /// Waits for a place in flight, before all batches.
    control: VecDeque<(Topic, Bytes)>,
    topology: Publisher,
    transmit: VecDeque<Publish>,
    requests: VecDeque<Request>,
    asked: BTreeMap<u64, Asked>,
    /// The store failed to answer: nothing is asked before.
    store_not_before: Option<Instant>,
    events: VecDeque<EventKind>,
    event_allowance: Allowance,
    republish_not_before: Option<Instant>,
    /// Position in the cycle of shares.
    turn: usize,
    jobs: VecDeque<Job>,
    answered: VecDeque<Answered>,
    /// The command that came last, and what it wants.
    begun: Option<([u8; 16], u32)>,
    book: Book,
    checkpoint_due: Instant,
    checkpoint_number: u64,
    /// Commands that wait for the next checkpoint.
    checkpoint_for: Vec<[u8; 16]>,
    /// When `progress` last looked.
    progressed: Instant,
    figures: Figures,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Flying {
    Batch {
        lane: Lane,
        key: Key,
    },
    /// A batch that a resend asked for.
    Resent {
        command: [u8; 16],
        lane: Lane,
        first: u64,
    },
    Control {
        is_checkpoint: bool,
    },
    Topology {
        part: Part,
        payload: Bytes,
    },
}

impl Uplink {
    pub fn new(options: Options, topics: Topics, trust: Trust, key: PrivateKey, start: &Start, now: Now) -> Self {
        let head = |lane: Lane| start.heads.iter().find(|head| head.lane == lane as u8).map_or(0, |head| head.last);
        let mut uplink = Self {
            options,
            topics,
            trust,
            key,
            epoch: start.epoch,
            past_epochs: BTreeSet::new(),
            window: None,
            session: 0,
            lanes: Lane::ALL.into_iter().map(|lane| (lane, LaneQueue::new(head(lane)))).collect(),
            last_id: 0,
            flying: BTreeMap::new(),
            control: VecDeque::new(),
            topology: Publisher::new(start.random),
            transmit: VecDeque::new(),
            requests: VecDeque::new(),
            asked: BTreeMap::new(),
            store_not_before: None,
            events: VecDeque::new(),
            event_allowance: Allowance::new(now.mono),
            republish_not_before: None,
            turn: 0,
            jobs: VecDeque::new(),
            answered: VecDeque::new(),
            begun: None,
            book: Book::new(start.commands.clone()),
            checkpoint_due: now.mono,
            checkpoint_number: 0,
            checkpoint_for: Vec::new(),
            progressed: now.mono,
            figures: Figures::default(),
        };
        uplink.handle_standings(&start.orders, now);
        uplink.interrupted(&start.orders, now);
        uplink
    }

    /// A connection stands; `receive_maximum` is what the broker said (65535 where it said nothing).
    pub fn handle_connected(&mut self, receive_maximum: u16, now: Now) {
        self.handle_disconnected(now);
        self.window = Some(self.options.in_flight.min(usize::from(receive_maximum)).max(1));
        self.session += 1;
        self.figures.connections += 1;
        for queue in self.lanes.values_mut() {
            queue.connect(self.epoch);
        }
        self.checkpoint_due = now.mono;
        let state = self.state(true, "connected", now);
        self.control.push_front((Topic::State, state));
        self.progress(now);
    }

    /// The connection is gone, and with it everything that has no PUBACK.
    pub fn handle_disconnected(&mut self, now: Now) {
        self.window = None;
        self.transmit.clear();
        for flying in std::mem::take(&mut self.flying).into_values() {
            match flying {
                Flying::Batch { lane, key } => {
                    if let Some(queue) = self.lanes.get_mut(&lane) {
                        queue.unsent(key);
                    }
                }
                Flying::Resent { command, first, .. } => self.rewind(command, first),
                Flying::Control { .. } => {}
                Flying::Topology { part, payload } => self.topology_unsent(part, payload),
            }
        }
        for queue in self.lanes.values_mut() {
            queue.stop_probe();
        }
        // The next connection says itself that it is there, and makes its own checkpoint.
        self.control.retain(|(topic, _)| matches!(topic, Topic::CommandState(_)));
        for asked in std::mem::take(&mut self.asked) {
            match asked {
                (id, asked @ Asked::Examine { .. }) => drop(self.asked.insert(id, asked)),
                (_, asked) => self.forget(asked, now.mono),
            }
        }
    }

    /// The broker answered the publish `id` with this reason code (MQTT 5.0, table 3-3.4.2.1).
    pub fn handle_puback(&mut self, id: u64, reason: u8, now: Now) {
        match self.flying.remove(&id) {
            Some(Flying::Batch { lane, key }) => self.batch_puback(id, lane, key, reason, now),
            Some(Flying::Resent { command, lane, first }) => self.resent_puback(id, command, lane, first, reason, now),
            Some(Flying::Control { is_checkpoint }) => self.control_puback(is_checkpoint, reason, now),
            Some(Flying::Topology { .. }) => self.topology_puback(reason),
            None => self.figures.unexpected += 1,
        }
        self.progress(now);
    }

    /// A message from the broker: acknowledgements and commands. It is dealt with when this returns.
    pub fn handle_message(&mut self, topic: &str, octets: &[u8], now: Now) {
        match Topics::parse(topic) {
            Some((topics, Topic::Ack)) if topics == self.topics => self.ack(octets, now),
            Some((topics, Topic::Command)) if topics == self.topics => self.command(octets, now),
            _ => self.figures.unexpected += 1,
        }
        self.progress(now);
    }

    /// Durable batches of the lane now reach `last`. Another epoch than the current one is a new one.
    pub fn handle_sealed(&mut self, epoch: Epoch, lane: Lane, last: u64, now: Now) {
        if self.past_epochs.contains(&epoch) {
            return;
        }
        if epoch != self.epoch {
            self.past_epochs.insert(std::mem::replace(&mut self.epoch, epoch));
            self.asked.retain(|_, asked| !matches!(asked, Asked::Fetch { .. }));
            self.lanes.values_mut().for_each(LaneQueue::new_epoch);
        }
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.head = queue.head.max(last);
        }
        self.progress(now);
    }

    /// The store's answer to `Unacknowledged`, `After` or `Containing`.
    pub fn handle_batches(&mut self, id: u64, batches: Vec<Batch>, now: Now) {
        match self.asked.remove(&id) {
            Some(Asked::Fetch { lane, class, head }) => self.fetched(lane, class, head, batches),
            Some(Asked::Republish { lane, key }) => self.refetched(lane, key, batches),
            Some(Asked::Resend { command, is_after }) => self.resend_fetched(command, is_after, batches),
            _ => self.figures.unexpected += 1,
        }
        self.progress(now);
    }

    /// The store's answer to `Examine`.
    pub fn handle_examined(&mut self, id: u64, is_acknowledged: bool, end: Option<[u8; 32]>, now: Now) {
        match self.asked.remove(&id) {
            Some(Asked::Examine { claim, hole }) => self.examined(claim, hole, is_acknowledged, end, now),
            _ => self.figures.unexpected += 1,
        }
        self.progress(now);
    }

    /// The answer to `Heads`: the store's sealed heads and the audit chain's head.
    pub fn handle_heads(&mut self, id: u64, heads: &[LaneHead], audit_head: Option<[u8; 32]>, now: Now) {
        match self.asked.remove(&id) {
            Some(Asked::Heads) => self.checkpoint(heads, audit_head, now),
            _ => self.figures.unexpected += 1,
        }
        self.progress(now);
    }

    /// The store could not answer this request. It is asked again in a second.
    pub fn handle_store_failure(&mut self, id: u64, now: Now) {
        let again = now.mono + STORE_RETRY;
        self.store_not_before = Some(again);
        if let Some(asked) = self.asked.remove(&id) {
            self.forget(asked, again);
        }
        self.progress(now);
    }

    pub fn handle_timeout(&mut self, now: Now) {
        self.progress(now);
    }

    /// A retained `Health`, or another message of the driver's, in front of all batches.
    pub fn publish(&mut self, topic: Topic, payload: impl Into<Bytes>, now: Now) {
        // Only the newest retained one counts.
        self.control.retain(|(other, _)| !(other.is_retained() && *other == topic));
        self.push_control(topic, payload.into());
        self.progress(now);
    }

    pub fn poll_transmit(&mut self) -> Option<Publish> {
        self.transmit.pop_front()
    }

    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Something to be recorded in lane P1.
    pub fn poll_event(&mut self) -> Option<EventKind> {
        self.events.pop_front()
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    pub fn is_connected(&self) -> bool {
        self.window.is_some()
    }

    pub fn figures(&self) -> Figures {
        let awaiting_ack = self.lanes.values().map(|queue| queue.window.len() as u64).sum();
        Figures { awaiting_ack, in_flight: self.flying.len() as u64, ..self.figures }
    }

    fn has_room(&self) -> bool {
        self.window.is_some_and(|window| self.flying.len() < window)
    }

    fn push_control(&mut self, topic: Topic, payload: Bytes) {
        if self.control.len() < CONTROL_QUEUE {
            self.control.push_back((topic, payload));
        }
    }

    fn transmit(&mut self, topic: &Topic, payload: Bytes, flying: Flying) -> u64 {
        self.last_id += 1;
        let content_type = if matches!(topic, Topic::Batch(_)) { BATCH } else { PROTOBUF };
        self.transmit.push_back(Publish {
            id: self.last_id,
            topic: self.topics.name(topic),
            payload,
            retain: topic.is_retained(),
            content_type,
        });
        self.flying.insert(self.last_id, flying);
        self.last_id
    }

    fn control_puback(&mut self, is_checkpoint: bool, reason: u8, now: Now) {
        // Nobody has to listen to these: state and health are retained, a checkpoint comes every hour.
        if is_checkpoint && reason == schedule::SUCCESS {
            self.somebody_listens();
        }
        if reason >= 0x80 {
            self.figures.refused_by_broker += 1;
            if is_checkpoint {
                self.checkpoint_due = self.checkpoint_due.min(now.mono + self.options.pause.1);
            }
        }
    }

    /// Records something in lane P1, but not more than a forger could want.
    fn event(&mut self, kind: EventKind, now: Instant) {
        if self.event_allowance.take(now) {
            self.events.push_back(kind);
        } else {
            self.figures.events_suppressed += 1;
        }
    }
}

/// Content type of batches.
pub const BATCH: &str = "application/vnd.dcu.v1.batch+zstd";
/// Content type of everything else.
pub const PROTOBUF: &str = "application/x-protobuf";

const STORE_RETRY: Duration = Duration::from_secs(1);
const CONTROL_QUEUE: usize = 64;

#[cfg(test)]
mod tests;
