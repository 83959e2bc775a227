//! What the unit says of itself: state and will, checkpoints, and the uplink's part of its health.

use bytes::Bytes;
use prost::Message as _;

use super::{Topic, Topics, Uplink};
use crate::clock::Now;
use crate::reading::{LaneHead, TimeQuality};
use crate::store::{Epoch, Lane};
use crate::wire::signed::{self, KeyId};
use crate::wire::v1;
use crate::wire::v1::command_state::State;

/// Topic and payload of the will: what the broker says, retained, when the unit vanishes.
pub fn will(topics: &Topics, epoch: Epoch, key_id: KeyId, now: Now) -> (String, Bytes) {
    (topics.name(&Topic::State), state(topics, epoch, key_id, 0, false, "connection lost", now))
}

/// The payload of `State`. `session` is 0 in a will.
pub fn state(
    topics: &Topics,
    epoch: Epoch,
    key_id: KeyId,
    session: u64,
    online: bool,
    reason: &str,
    now: Now,
) -> Bytes {
    v1::State {
        dcu: topics.dcu().to_owned(),
        online,
        reason: reason.to_owned(),
        at: Some(received(now)),
        session,
        epoch: epoch.0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        key_id: key_id.0.to_vec(),
    }
    .encode_to_vec()
    .into()
}

/// The payload of `Health`, with the unit's name and time filled in.
pub fn health(topics: &Topics, figures: Figures, health: v1::Health, now: Now) -> Bytes {
    v1::Health { dcu: topics.dcu().to_owned(), at: Some(received(now)), uplink: Some(figures.into()), ..health }
        .encode_to_vec()
        .into()
}

/// The time as it stands in messages.
pub fn received(now: Now) -> v1::Received {
    let quality = match now.quality {
        TimeQuality::Unsynchronised => v1::TimeQuality::Unsynchronised,
        TimeQuality::Holdover => v1::TimeQuality::Holdover,
        TimeQuality::Synchronised => v1::TimeQuality::Synchronised,
    };
    v1::Received { boot_id: now.boot_id.to_vec(), boot_ms: now.boot_ms, utc_ms: now.utc_ms, quality: quality.into() }
}

/// Counters since the start, for `Health`, `dcu status` and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub connections: u64,
    /// Batches published for the first time.
    pub published: u64,
    /// Batches published again, for whatever reason.
    pub republished: u64,
    /// Batches whose acknowledgement was accepted, or their PUBACK in `broker` mode.
    pub acknowledged: u64,
    pub nobody_listened: u64,
    pub refused_by_broker: u64,
    pub acks_accepted: u64,
    /// Ranges that said nothing new, or came before the batch was published again after a restart.
    pub acks_stale: u64,
    pub acks_refused: u64,
    pub commands: u64,
    pub commands_refused: u64,
    pub checkpoints: u64,
    /// PUBACKs and answers that belong to nothing, messages on foreign topics.
    pub unexpected: u64,
    /// P1 records that were not made because there were too many.
    pub events_suppressed: u64,
    /// Batches that wait for an acknowledgement, now.
    pub awaiting_ack: u64,
    /// Publishes in flight, now.
    pub in_flight: u64,
}

impl Uplink {
    /// Says goodbye on an orderly stop; drain `poll_transmit` once more before disconnecting.
    pub fn stop(&mut self, now: Now) {
        let state = self.state(false, "stopped", now);
        self.publish(Topic::State, state, now);
    }

    /// Lanes that pause, and why: `nobody listens` or the broker's reason code.
    pub fn pauses(&self) -> Vec<(Lane, String)> {
        self.lanes.iter().filter_map(|(lane, queue)| Some((*lane, queue.gate.as_ref()?.cause.to_string()))).collect()
    }

    pub(super) fn state(&self, online: bool, reason: &str, now: Now) -> Bytes {
        state(&self.topics, self.epoch, self.key.id(), self.session, online, reason, now)
    }

    pub(super) fn checkpoint(&mut self, heads: &[LaneHead], audit_head: Option<[u8; 32]>, now: Now) {
        self.checkpoint_number += 1;
        self.figures.checkpoints += 1;
        self.checkpoint_due = now.mono + self.options.checkpoint;
        let checkpoint = v1::Checkpoint {
            dcu: self.topics.dcu().to_owned(),
            epoch: self.epoch.0,
            number: self.checkpoint_number,
            made: Some(received(now)),
            heads: heads
                .iter()
                .map(|head| v1::LaneHead { lane: head.lane.into(), last: head.last, hash: head.hash.to_vec() })
                .collect(),
            audit_head: audit_head.map(Vec::from).unwrap_or_default(),
        };
        self.push_control(Topic::Checkpoint, signed::sign(&checkpoint, &[&self.key]).into());
        for id in std::mem::take(&mut self.checkpoint_for) {
            self.answer(id, State::Succeeded, "", String::new(), 0, now);
        }
    }
}

impl From<Figures> for v1::UplinkHealth {
    fn from(figures: Figures) -> Self {
        Self {
            connections: figures.connections,
            published: figures.published,
            republished: figures.republished,
            awaiting_ack: figures.awaiting_ack,
            nobody_listened: figures.nobody_listened,
            refused_by_broker: figures.refused_by_broker,
            acks_accepted: figures.acks_accepted,
            acks_stale: figures.acks_stale,
            acks_refused: figures.acks_refused,
        }
    }
}
