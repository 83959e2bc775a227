//! Who is next: the shares of lanes, of fresh batches and backlog, and of what is published again.

use std::time::Instant;

use super::lane::{Cause, Key, Waiting};
use super::request::{Asked, Class, Request};
use super::{Acknowledge, Flying, Topic, Uplink};
use crate::clock::Now;
use crate::reading::EventKind;
use crate::store::{Batch, Lane};

impl Uplink {
    /// When `handle_timeout` has something to do without any other input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.window?;
        // What was due when we last looked and still stands waits for an answer or for room, not for time.
        let after = self.progressed;
        let lanes = self.lanes.values().flat_map(|queue| {
            let due = queue.due.iter().map(|(due, _)| *due).find(|due| *due > after);
            [due, queue.gate.as_ref().map(|gate| gate.until)]
        });
        [Some(self.checkpoint_due), self.republish_not_before, self.store_not_before]
            .into_iter()
            .chain(lanes)
            .flatten()
            .filter(|due| *due > after)
            .min()
    }

    /// Does everything that may be done now.
    pub(super) fn progress(&mut self, now: Now) {
        self.progressed = now.mono;
        if self.window.is_none() {
            return;
        }
        if self.store_not_before.is_some_and(|at| at <= now.mono) {
            self.store_not_before = None;
        }
        self.ask_heads(now.mono);
        self.ask_republish(now.mono);
        loop {
            while self.has_room() && (self.send_control() || self.send_topology() || self.send_batch(now)) {}
            if !self.finish_job(now) {
                break;
            }
        }
    }

    fn send_control(&mut self) -> bool {
        let Some((topic, payload)) = self.control.pop_front() else { return false };
        let is_checkpoint = topic == Topic::Checkpoint;
        self.transmit(&topic, payload, Flying::Control { is_checkpoint });
        true
    }

    /// Publishes one batch, or asks the store for what would be next. False: there is nothing to publish now.
    fn send_batch(&mut self, now: Now) -> bool {
        if Lane::ALL.into_iter().any(|lane| self.send_again(lane, now.mono)) {
            return true;
        }
        let classes = if self.turn % SHARES == SHARES - 1 {
            [Class::Backlog, Class::Fresh]
        } else {
            [Class::Fresh, Class::Backlog]
        };
        let mut next = Next::Nothing;
        for lane in URGENT {
            for class in classes {
                next = next.or_else(|| self.send_from(lane, class, now));
            }
        }
        for class in classes {
            next = next.or_else(|| self.send_class(class, now));
        }
        self.turn += usize::from(next == Next::Sent);
        next == Next::Sent
    }

    fn send_class(&mut self, class: Class, now: Now) -> Next {
        // Resends and the unit's own backlog take turns.
        let is_backlog = class == Class::Backlog;
        let is_resend_first = self.turn / SHARES % 2 == 1;
        let mut next = Next::Nothing;
        if is_backlog && is_resend_first {
            next = self.send_job(now);
        }
        for lane in Lane::ALL.into_iter().filter(|lane| !URGENT.contains(lane)) {
            next = next.or_else(|| self.send_from(lane, class, now));
        }
        if is_backlog && !is_resend_first {
            next = next.or_else(|| self.send_job(now));
        }
        next
    }

    fn send_again(&mut self, lane: Lane, now: Instant) -> bool {
        let Some(queue) = self.lanes.get_mut(&lane).filter(|queue| queue.is_open(now)) else { return false };
        let Some((key, octets)) = queue.take_again() else { return false };
        self.figures.republished += 1;
        self.transmit_batch(lane, octets, Flying::Batch { lane, key });
        true
    }

    fn send_from(&mut self, lane: Lane, class: Class, now: Now) -> Next {
        let awaiting = self.options.awaiting;
        let Some(queue) = self.lanes.get_mut(&lane) else { return Next::Nothing };
        if !queue.is_open(now.mono) || queue.window.len() >= awaiting {
            return Next::Nothing;
        }
        match queue.take(class, self.epoch) {
            Some(batch) => {
                let key = (batch.epoch, batch.last());
                let octets = bytes::Bytes::from(batch.octets);
                let (first, hash) = (batch.first, batch.hash);
                queue.window.insert(key, Waiting { first, hash, octets: Some(octets.clone()), pubacks: 0, due: None });
                self.figures.published += 1;
                self.transmit_batch(lane, octets, Flying::Batch { lane, key });
                Next::Sent
            }
            None => self.fetch(lane, class),
        }
    }

    pub(super) fn transmit_batch(&mut self, lane: Lane, octets: bytes::Bytes, flying: Flying) {
        let id = self.transmit(&Topic::Batch(lane), octets, flying);
        if let Some(gate) = self.lanes.get_mut(&lane).and_then(|queue| queue.gate.as_mut()) {
            gate.probe = Some(id);
        }
    }

    fn fetch(&mut self, lane: Lane, class: Class) -> Next {
        let asked = self.asked.values().find_map(|asked| match asked {
            Asked::Fetch { lane, class: other, .. } if *other == class => Some(*lane),
            _ => None,
        });
        if let Some(asked) = asked {
            return if asked == lane { Next::Awaited } else { Next::Nothing };
        }
        let Some(queue) = self.lanes.get(&lane).filter(|queue| queue.may_fetch(class)) else { return Next::Nothing };
        let (head, fresh_after, backlog_after) = (queue.head, queue.fresh_after(), queue.backlog_after());
        let epoch = self.epoch;
        let is_asked = self.ask(Asked::Fetch { lane, class, head }, |id| match class {
            Class::Fresh => Request::After { id, epoch, lane, after: fresh_after, limit: FETCH },
            Class::Backlog => Request::Unacknowledged { id, lane, after: backlog_after, limit: FETCH },
        });
        if is_asked { Next::Awaited } else { Next::Nothing }
    }

    pub(super) fn fetched(&mut self, lane: Lane, class: Class, head: u64, batches: Vec<Batch>) {
        let epoch = self.epoch;
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.fetched(class, head, epoch, batches);
        }
    }

    fn ask_heads(&mut self, now: Instant) {
        let is_asked = self.asked.values().any(|asked| matches!(asked, Asked::Heads));
        if self.checkpoint_due <= now && !is_asked {
            self.ask(Asked::Heads, |id| Request::Heads { id });
        }
    }

    /// One batch at a time whose acknowledgement is overdue.
    fn ask_republish(&mut self, now: Instant) {
        let is_asked = self.asked.values().any(|asked| matches!(asked, Asked::Republish { .. }));
        if is_asked || !self.has_room() || self.republish_not_before.is_some_and(|at| at > now) {
            return;
        }
        let overdue = self.lanes.iter().filter(|(_, queue)| queue.gate.is_none()).find_map(|(lane, queue)| {
            let (due, key) = queue.due.first()?;
            (*due <= now).then_some((*lane, *key))
        });
        let Some((lane, key)) = overdue else { return };
        let (epoch, sequence) = key;
        if self.ask(Asked::Republish { lane, key }, |id| Request::Containing { id, epoch, lane, sequence }) {
            self.republish_not_before = Some(now + self.options.republish_pace);
        }
    }

    pub(super) fn refetched(&mut self, lane: Lane, key: Key, batches: Vec<Batch>) {
        let Some(queue) = self.lanes.get_mut(&lane) else { return };
        let Some(waiting) = queue.window.get_mut(&key) else { return };
        match batches.into_iter().find(|batch| batch.last() == key.1 && batch.hash == waiting.hash) {
            Some(batch) => {
                waiting.octets = Some(batch.octets.into());
                if let Some(due) = waiting.due.take() {
                    queue.due.remove(&(due, key));
                }
                queue.again.insert(key);
            }
            // The store gave it up; its `Gap` record says so.
            None => drop(queue.remove(key)),
        }
    }

    pub(super) fn batch_puback(&mut self, id: u64, lane: Lane, key: Key, reason: u8, now: Now) {
        match reason {
            SUCCESS => {
                self.opened(lane, now);
                match self.options.acknowledge {
                    Acknowledge::HeadEnd => {
                        let delays = self.options.republish;
                        if let Some(queue) = self.lanes.get_mut(&lane) {
                            queue.has_puback(key, delays, now.mono);
                        }
                    }
                    Acknowledge::Broker => self.settle(lane, key.0, key.1, key.1),
                }
            }
            _ => {
                if let Some(queue) = self.lanes.get_mut(&lane) {
                    queue.unsent(key);
                }
                self.closed(id, lane, reason, now);
            }
        }
    }

    /// The broker took a batch of this lane.
    pub(super) fn opened(&mut self, lane: Lane, now: Now) {
        if self.lanes.get_mut(&lane).and_then(|queue| queue.gate.take()).is_some() {
            let detail = format!("lane {lane} is published again");
            self.event(EventKind::Unit { code: "uplink.resumed".into(), detail }, now.mono);
            self.somebody_listens();
        }
    }

    /// Who takes one lane again, or a checkpoint, probably takes the others too: those that nobody took are tried now.
    pub(super) fn somebody_listens(&mut self) {
        let now = self.progressed;
        self.lanes.values_mut().for_each(|queue| queue.try_soon(now));
    }

    /// The broker did not take a batch of this lane, or gave it to nobody.
    pub(super) fn closed(&mut self, id: u64, lane: Lane, reason: u8, now: Now) {
        let (cause, code) = if reason == NO_MATCHING_SUBSCRIBERS {
            self.figures.nobody_listened += 1;
            (Cause::NobodyListens, "uplink.nobody_listens")
        } else {
            self.figures.refused_by_broker += 1;
            (Cause::Refused(reason), "uplink.refused")
        };
        let delays = self.options.pause;
        let is_news = self.lanes.get_mut(&lane).is_some_and(|queue| queue.close(id, cause, delays, now.mono));
        if is_news {
            let detail = format!("lane {lane} is held: {cause}");
            self.event(EventKind::Unit { code: code.into(), detail }, now.mono);
        }
    }

    /// Asks the store. False: it failed a moment ago and is left alone.
    pub(super) fn ask(&mut self, asked: Asked, request: impl FnOnce(u64) -> Request) -> bool {
        if self.store_not_before.is_some() {
            return false;
        }
        self.last_id += 1;
        self.requests.push_back(request(self.last_id));
        self.asked.insert(self.last_id, asked);
        true
    }

    /// A question that will not be answered.
    pub(super) fn forget(&mut self, asked: Asked, again: Instant) {
        match asked {
            Asked::Republish { lane, key } => {
                if let Some(queue) = self.lanes.get_mut(&lane) {
                    queue.put_off(key, again);
                }
            }
            Asked::Heads => self.checkpoint_due = again,
            // These are asked again when they are needed again; an acknowledgement is sent again by the head-end.
            Asked::Fetch { .. } | Asked::Resend { .. } | Asked::Examine { .. } => {}
        }
    }
}

/// What came of looking for a batch to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Sent,
    /// It is this one's turn, and the store is about to hand it over: nobody overtakes it.
    Awaited,
    Nothing,
}

impl Next {
    fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Nothing { other() } else { self }
    }
}

/// Alarms do not wait for readings.
const URGENT: [Lane; 3] = [Lane::Outage, Lane::Security, Lane::PowerQuality];

/// One of so many batches is backlog, the others are fresh, where there are both.
const SHARES: usize = 4;

/// Batches asked for at once.
const FETCH: usize = 16;

pub(super) const SUCCESS: u8 = 0x00;
const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
