//! A store with batches, a broker that answers when told to, and consumers that acknowledge when told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::super::*;
use crate::journal::{AuditEntry, Limits};
use crate::reading::TimeQuality;
use crate::wire::signed::{self, PrivateKey};
use crate::wire::trust::Role;
use crate::wire::v1::command::Operation;
use crate::wire::{hash, v1};

pub(super) const EPOCH: Epoch = Epoch(0xe0);
/// Records of a batch.
pub(super) const COUNT: u64 = 10;

pub(super) struct World {
    pub(super) uplink: Uplink,
    pub(super) now: Now,
    /// The store's batches, oldest first.
    pub(super) store: BTreeMap<Lane, Vec<Batch>>,
    /// What the machine told the store, by lane and last sequence.
    pub(super) acknowledged: BTreeSet<(Epoch, Lane, u64)>,
    pub(super) store_fails: bool,
    /// Handed to the client, oldest first, without PUBACK.
    pub(super) flying: VecDeque<Publish>,
    /// Every batch that was handed to the client, in order: lane, first sequence.
    pub(super) sent: Vec<(Lane, u64)>,
    /// Batches that the broker has, and how often.
    pub(super) delivered: BTreeMap<(Lane, u64), usize>,
    pub(super) controls: Vec<(Topic, Bytes)>,
    pub(super) events: Vec<EventKind>,
    pub(super) audit: Vec<AuditEntry>,
    /// The command journal; None: it is damaged.
    pub(super) journal: Option<order::Known>,
    pub(super) journal_fails: bool,
    /// Commands that were handed on.
    pub(super) orders: Vec<([u8; 16], Operation)>,
    /// Orders to meters, as their queue has them.
    pub(super) standings: order::Standings,
}

pub(super) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random(&[seed; 32]).unwrap()
}

/// Key 1 is the unit's, 2 may acknowledge, 3 may read, 4 may switch, 5 may install, 6 and 7 are crypto officers, 8 is one
/// of another unit, 11 operates; others are strangers.
pub(super) fn trust() -> Trust {
    let mut trust = Trust::default();
    use Role::{CryptoOfficer, Ingest, Installer, Operator, Reader, Switcher};
    for (seed, role) in
        [(2, Ingest), (3, Reader), (4, Switcher), (5, Installer), (6, CryptoOfficer), (7, CryptoOfficer)]
    {
        trust.add(format!("{seed}"), &[role], None, key(seed).public()).unwrap();
    }
    trust.add("11".into(), &[Operator], None, key(11).public()).unwrap();
    trust.add("8".into(), &[CryptoOfficer], Some("another".into()), key(8).public()).unwrap();
    trust
}

#[expect(clippy::disallowed_methods, reason = "any instant will do, tests count from it")]
fn start_time() -> Now {
    let mono = Instant::now();
    let quality = TimeQuality::Synchronised;
    Now { mono, boot_id: [7; 16], boot_ms: 1_000, utc_ms: 1_785_000_000_000, quality }
}

pub(super) fn batch(epoch: Epoch, lane: Lane, first: u64) -> Batch {
    let octets = format!("{epoch} {lane} {first}").into_bytes();
    Batch {
        epoch,
        lane,
        first,
        count: COUNT as u32,
        previous_hash: [0; 32],
        hash: hash(&octets),
        sealed_utc_ms: 0,
        octets,
    }
}

impl World {
    pub(super) fn new(options: Options) -> Self {
        Self::restarted(options, BTreeMap::new(), BTreeSet::new())
    }

    /// A unit that starts with what its store holds.
    pub(super) fn restarted(
        options: Options,
        store: BTreeMap<Lane, Vec<Batch>>,
        acknowledged: BTreeSet<(Epoch, Lane, u64)>,
    ) -> Self {
        let now = start_time();
        let topics = Topics::new("acme", "u").unwrap();
        let commands = Some(Default::default());
        let start = Start { epoch: EPOCH, heads: heads(&store), random: 77, commands, orders: Default::default() };
        Self {
            uplink: Uplink::new(options, topics, trust(), key(1), &start, now),
            now,
            store,
            acknowledged,
            store_fails: false,
            flying: VecDeque::new(),
            sent: Vec::new(),
            delivered: BTreeMap::new(),
            controls: Vec::new(),
            events: Vec::new(),
            audit: Vec::new(),
            journal: Some(Default::default()),
            journal_fails: false,
            orders: Vec::new(),
            standings: Default::default(),
        }
    }

    /// The same unit after a kill: the journal is all that is left.
    pub(super) fn restart(&mut self) {
        let (commands, orders) = (self.journal.clone(), self.standings.clone());
        let start = Start { epoch: EPOCH, heads: heads(&self.store), random: 78, commands, orders };
        let topics = Topics::new("acme", "u").unwrap();
        self.uplink = Uplink::new(Options::default(), topics, trust(), key(1), &start, self.now);
        self.flying.clear();
        self.drain();
    }

    pub(super) fn connect(&mut self) {
        self.connect_with(u16::MAX);
    }

    pub(super) fn connect_with(&mut self, receive_maximum: u16) {
        self.uplink.handle_connected(receive_maximum, self.now);
        self.drain();
    }

    pub(super) fn disconnect(&mut self) {
        self.flying.clear();
        self.uplink.handle_disconnected(self.now);
        self.drain();
    }

    pub(super) fn seal(&mut self, lane: Lane, batches: usize) {
        for _ in 0..batches {
            self.store_batch(lane);
            let last = self.store[&lane].last().unwrap().last();
            self.uplink.handle_sealed(EPOCH, lane, last, self.now);
            self.drain();
        }
    }

    pub(super) fn store_batch(&mut self, lane: Lane) {
        let batches = self.store.entry(lane).or_default();
        let first = batches.iter().filter(|batch| batch.epoch == EPOCH).map(Batch::last).max().unwrap_or(0) + 1;
        batches.push(batch(EPOCH, lane, first));
    }

    /// The broker answers the oldest publish of batches, and before it all others with success.
    pub(super) fn puback(&mut self, reason: u8) -> Option<(Lane, u64)> {
        while let Some(publish) = self.flying.pop_front() {
            let lane = lane_of(&publish);
            let reason = if lane.is_some() { reason } else { 0 };
            if let (Some(lane), 0) = (lane, reason) {
                *self.delivered.entry((lane, first_of(&publish.payload))).or_default() += 1;
            }
            let first = first_of(&publish.payload);
            self.uplink.handle_puback(publish.id, reason, self.now);
            self.drain();
            if let Some(lane) = lane {
                return Some((lane, first));
            }
        }
        None
    }

    pub(super) fn puback_all(&mut self) {
        while self.puback(0).is_some() {}
    }

    /// A consumer acknowledges whole batches of a lane; `last` is the last batch's first sequence.
    pub(super) fn ack(&mut self, lane: Lane, first: u64, last: u64) {
        let octets = self.ack_octets(lane, &[(first, last)]);
        self.message(Topic::Ack, &octets);
    }

    pub(super) fn ack_octets(&self, lane: Lane, ranges: &[(u64, u64)]) -> Vec<u8> {
        let ranges = ranges.iter().map(|(first, last)| {
            let batch = batch(EPOCH, lane, *last);
            v1::ack::Range { first: *first, last: batch.last(), last_hash: batch.hash.to_vec() }
        });
        let ack = v1::Ack { dcu: "u".into(), epoch: EPOCH.0, lane: lane as i32, ranges: ranges.collect() };
        signed::sign(&ack, &[&key(2)])
    }

    pub(super) fn message(&mut self, topic: Topic, octets: &[u8]) {
        let topic = self.uplink.topics().name(&topic);
        self.uplink.handle_message(&topic, octets, self.now);
        self.drain();
    }

    /// Lets time pass, with every deadline in it.
    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(deadline) = self.uplink.poll_timeout().filter(|deadline| *deadline <= end) {
            assert!(deadline > self.now.mono, "a deadline that never passes");
            self.set_time(deadline);
            self.uplink.handle_timeout(self.now);
            self.drain();
        }
        self.set_time(end);
    }

    fn set_time(&mut self, mono: Instant) {
        let ms = mono.saturating_duration_since(self.now.mono).as_millis();
        self.now.mono = mono;
        self.now.boot_ms += ms as u64;
        self.now.utc_ms += ms as i64;
    }

    pub(super) fn drain(&mut self) {
        loop {
            self.events.extend(std::iter::from_fn(|| self.uplink.poll_event()));
            if let Some(request) = self.uplink.poll_request() {
                self.answer(request);
            } else if let Some(publish) = self.uplink.poll_transmit() {
                match lane_of(&publish) {
                    Some(lane) => self.sent.push((lane, first_of(&publish.payload))),
                    None => self.controls.push((Topics::parse(&publish.topic).unwrap().1, publish.payload.clone())),
                }
                self.flying.push_back(publish);
            } else {
                return;
            }
        }
    }

    fn answer(&mut self, request: Request) {
        let now = self.now;
        let all = |lane: &Lane| self.store.get(lane).cloned().unwrap_or_default();
        let (id, batches) = match &request {
            Request::Acknowledge { epoch, lane, ranges } => {
                for (first, last) in ranges {
                    let whole = all(lane).into_iter().filter(|batch| batch.epoch == *epoch);
                    let whole = whole.filter(|batch| batch.first >= *first && batch.last() <= *last);
                    self.acknowledged.extend(whole.map(|batch| (batch.epoch, batch.lane, batch.last())));
                }
                return;
            }
            Request::Audit(entry) => return self.audit.push(entry.clone()),
            Request::KeepCommand { id, kept } => {
                if let Some((known, _)) = self.journal.as_mut().filter(|_| !self.journal_fails) {
                    known.insert(*id, kept.clone());
                }
                let is_durable = self.journal.is_some() && !self.journal_fails;
                return self.uplink.handle_kept(*id, is_durable, now);
            }
            Request::ForgetCommands { until_ms } => {
                let (known, limits) = self.journal.as_mut().unwrap();
                known.retain(|_, kept| kept.not_after_ms > *until_ms);
                limits.forgotten_ms = *until_ms;
                return self.uplink.handle_forgotten(*until_ms);
            }
            Request::ResetJournal { id } => {
                let limits = Limits { begin_ms: now.utc_ms, ..Limits::default() };
                self.journal = Some((BTreeMap::new(), limits));
                return self.uplink.handle_reset(*id, Ok(limits), now);
            }
            Request::Order { id, operation, .. } => return self.orders.push((*id, operation.clone())),
            Request::Heads { id } => {
                let heads = heads(&self.store);
                return self.uplink.handle_heads(*id, &heads, Some([5; 32]), now);
            }
            Request::Examine { id, epoch, lane, first, last } => {
                let batches = all(lane);
                let inside = |batch: &&Batch| batch.epoch == *epoch && batch.last() >= *first && batch.first <= *last;
                let is_acknowledged = batches.iter().any(|batch| inside(&batch))
                    && batches
                        .iter()
                        .filter(inside)
                        .all(|batch| self.acknowledged.contains(&(batch.epoch, batch.lane, batch.last())));
                let end = batches.iter().find(|batch| batch.epoch == *epoch && batch.last() == *last);
                let end = end.map(|batch| batch.hash);
                return self.uplink.handle_examined(*id, is_acknowledged, end, now);
            }
            Request::Unacknowledged { id, lane, after, limit } => {
                let batches = all(lane);
                let start = match after {
                    None => 0,
                    Some((epoch, last)) => batches
                        .iter()
                        .position(|batch| batch.epoch == *epoch && batch.last() > *last)
                        .or_else(|| batches.iter().rposition(|batch| batch.epoch == *epoch).map(|at| at + 1))
                        .unwrap_or(batches.len()),
                };
                let open = batches.into_iter().skip(start);
                let open = open.filter(|batch| !self.acknowledged.contains(&(batch.epoch, batch.lane, batch.last())));
                (*id, open.take(*limit).collect::<Vec<_>>())
            }
            Request::After { id, epoch, lane, after, limit } => {
                let batches = all(lane).into_iter().filter(|batch| batch.epoch == *epoch && batch.first > *after);
                (*id, batches.take(*limit).collect())
            }
            Request::Containing { id, epoch, lane, sequence } => {
                let holds = |batch: &Batch| (batch.first..=batch.last()).contains(sequence) && batch.epoch == *epoch;
                (*id, all(lane).into_iter().filter(holds).collect())
            }
        };
        if self.store_fails {
            self.uplink.handle_store_failure(id, now);
        } else {
            self.uplink.handle_batches(id, batches, now);
        }
    }

    /// Has the machine told the store that everything in it is acknowledged?
    pub(super) fn is_all_acknowledged(&self) -> bool {
        let mut all = self.store.values().flatten();
        all.all(|batch| self.acknowledged.contains(&(batch.epoch, batch.lane, batch.last())))
    }

    /// Codes of unit events, and refused acknowledgements by their reason.
    pub(super) fn codes(&mut self) -> Vec<String> {
        let code = |event| match event {
            EventKind::Unit { code, .. } => code,
            EventKind::AckRefused { reason, .. } => format!("refused: {reason}"),
            other => panic!("{other:?}"),
        };
        std::mem::take(&mut self.events).into_iter().map(code).collect()
    }

    pub(super) fn controls(&mut self, topic: &Topic) -> Vec<Bytes> {
        let (found, others) = std::mem::take(&mut self.controls).into_iter().partition(|(other, _)| other == topic);
        self.controls = others;
        let found: Vec<(Topic, Bytes)> = found;
        found.into_iter().map(|(_, payload)| payload).collect()
    }
}

fn heads(store: &BTreeMap<Lane, Vec<Batch>>) -> Vec<LaneHead> {
    let last = |batches: &Vec<Batch>| batches.iter().rfind(|batch| batch.epoch == EPOCH).cloned();
    store
        .iter()
        .filter_map(|(lane, batches)| last(batches).map(|batch| (lane, batch)))
        .map(|(lane, batch)| LaneHead { lane: *lane as u8, last: batch.last(), hash: batch.hash })
        .collect()
}

fn lane_of(publish: &Publish) -> Option<Lane> {
    match Topics::parse(&publish.topic).unwrap().1 {
        Topic::Batch(lane) => Some(lane),
        _ => None,
    }
}

fn first_of(octets: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(octets);
    text.rsplit(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}
