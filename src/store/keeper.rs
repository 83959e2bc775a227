//! The store's memory: lanes, what is not sealed yet, how a commit is made. No thread, no database, no clock:
//! records and `Now` come in, a `Plan` goes out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::batch::{Batch, hash};
use super::database::{Change, Room};
use super::group::{Group, pack, sections_of};
use super::lane::{LaneState, index};
use super::plan::Plan;
use super::promise::{Promise, PromisedLane};
use super::value::{EPOCHS_KEY, batch_key, emit_epochs, group_key, state_key};
use super::weigh::weight;
use super::{BatchHead, Body, Codec, CommittedLane, Epoch, Lane, Options, Record, Report};
use crate::clock::Now;
use crate::reading::{Event, EventKind, LaneHead};

/// Everything the writer knows.
#[derive(Debug)]
pub(super) struct Keeper {
    pub options: Options,
    pub codec: Codec,
    pub epoch: Epoch,
    pub ordinal: u32,
    pub generation: u32,
    /// Number of the last commit.
    pub commit: u64,
    /// All epochs with something in the store, oldest first, the current one last.
    pub epochs: Vec<(u32, Epoch)>,
    /// The list above is not on disk yet.
    pub epochs_changed: bool,
    /// Lanes of the current epoch, in the order of `Lane::ALL`.
    pub lanes: Vec<OpenLane>,
    /// States of all epochs, the current one's with them.
    pub states: BTreeMap<(u32, Lane), LaneState>,
    /// Groups on disk of the current epoch, with the last sequence of each of their sections.
    pub groups: BTreeMap<(u64, u16), Vec<(Lane, u64)>>,
}

/// A lane that records are added to.
#[derive(Debug)]
pub(super) struct OpenLane {
    pub lane: Lane,
    /// Sequence of the last record.
    pub last: u64,
    /// Records that no batch holds yet, consecutive, up to `last`.
    pub unsealed: Vec<Record>,
    /// When each of them came, and its weight.
    since: Vec<(Instant, usize)>,
    /// Sealed octets per weight, learned.
    ratio: f64,
}

impl Keeper {
    /// A store with these epochs; the last one is the current one and goes on with `unsealed` records.
    #[expect(clippy::too_many_arguments, reason = "all of what was loaded")]
    pub(super) fn new(
        options: Options,
        codec: Codec,
        epochs: Vec<(u32, Epoch)>,
        states: BTreeMap<(u32, Lane), LaneState>,
        groups: BTreeMap<(u64, u16), Vec<(Lane, u64)>>,
        unsealed: Vec<Vec<Record>>,
        commit: u64,
        now: &Now,
    ) -> Self {
        let (ordinal, epoch) = epochs.last().copied().unwrap_or((0, Epoch(0)));
        let mut keeper = Self {
            options,
            codec,
            epoch,
            ordinal,
            generation: 1,
            commit,
            epochs,
            epochs_changed: false,
            lanes: Vec::new(),
            states,
            groups,
        };
        for (lane, records) in Lane::ALL.into_iter().zip(unsealed) {
            let sealed = keeper.state(lane).sealed;
            let since = records.iter().map(|record| (now.mono, weight(&record.body))).collect();
            let last = records.last().map_or(sealed, |record| record.sequence);
            keeper.lanes.push(OpenLane { lane, last, unsealed: records, since, ratio: FIRST_RATIO });
        }
        keeper
    }

    /// A store without anything: `begin_epoch` makes it usable.
    pub(super) fn empty(options: Options, codec: Codec, now: &Now) -> Self {
        let nothing = vec![Vec::new(); Lane::ALL.len()];
        Self::new(options, codec, Vec::new(), BTreeMap::new(), BTreeMap::new(), nothing, 0, now)
    }

    /// Ends the current epoch, whose records are all sealed, and begins another one. The events go into its P1.
    pub(super) fn begin_epoch(&mut self, epoch: Epoch) {
        self.ordinal = self.epochs.last().map_or(0, |(ordinal, _)| ordinal + 1);
        self.epoch = epoch;
        self.epochs.push((self.ordinal, epoch));
        self.epochs_changed = true;
        self.generation = 1;
        self.commit = 0;
        self.groups.clear();
        for lane in &mut self.lanes {
            lane.last = 0;
            lane.unsealed.clear();
            lane.since.clear();
        }
        for lane in Lane::ALL {
            self.states.insert((self.ordinal, lane), LaneState::new(epoch, lane));
        }
    }

    /// The next commit with these records. What is due is sealed with it; with `all`, everything.
    pub(super) fn plan(&mut self, records: Vec<(Lane, Body)>, now: &Now, all: bool) -> Plan {
        self.commit += 1;
        let mut plan = Plan::new(self.commit, self.epoch);
        plan.commit.count = records.len();
        let before: Vec<u64> = self.lanes.iter().map(|lane| lane.last).collect();
        for (lane, body) in records {
            if let Some(open) = self.lanes.get_mut(index(lane)) {
                open.push(body, now);
            }
        }
        for (lane, before) in Lane::ALL.into_iter().zip(&before) {
            let last = self.lanes.get(index(lane)).map_or(0, |open| open.last);
            if last > *before {
                plan.commit.lanes.push(CommittedLane { lane, first: before + 1, last });
            }
        }
        for lane in Lane::ALL {
            self.seal(lane, now, all, &mut plan);
        }
        self.group(&before, now, &mut plan);
        self.drop_sealed_groups(&mut plan);
        if std::mem::take(&mut self.epochs_changed) {
            plan.changes.push(Change::put(Room::States, &EPOCHS_KEY, emit_epochs(&self.epochs)));
            plan.touched.extend(Lane::ALL.map(|lane| (self.ordinal, lane)));
        }
        plan
    }

    /// When the oldest record that is not sealed must be sealed.
    pub(super) fn seal_deadline(&self) -> Option<Instant> {
        let due = |open: &OpenLane| open.since.first().map(|(since, _)| *since + self.seal_age(open.lane));
        self.lanes.iter().filter_map(due).min()
    }

    /// The lane states of a plan, as they are now.
    pub(super) fn state_changes(&mut self, touched: &BTreeSet<(u32, Lane)>) -> Vec<Change> {
        let mut changes = Vec::new();
        for place in touched {
            let key = state_key(place.0, place.1);
            match self.states.get_mut(place) {
                Some(state) => {
                    state.version += 1;
                    changes.push(Change::put(Room::States, &key, state.emit()));
                }
                None => changes.push(Change::remove(Room::States, &key)),
            }
        }
        changes
    }

    /// What is promised when everything up to now is durable.
    pub(super) fn promise(&self) -> Promise {
        let mut lanes = [PromisedLane::default(); 9];
        for (promised, open) in lanes.iter_mut().zip(&self.lanes) {
            let state = self.state(open.lane);
            *promised = PromisedLane { last: open.last, sealed: state.sealed, head_hash: state.head_hash };
        }
        Promise { epoch: self.epoch, ordinal: self.ordinal, generation: self.generation, commit: self.commit, lanes }
    }

    /// The last sequence of every lane that has one, and the hash of its last batch.
    pub(super) fn heads(&self) -> Vec<LaneHead> {
        let used = self.lanes.iter().filter(|open| open.last > 0);
        used.map(|open| LaneHead { lane: open.lane as u8, last: open.last, hash: self.state(open.lane).head_hash })
            .collect()
    }

    /// An event of the store itself, for P1.
    pub(super) fn event(kind: EventKind, now: &Now) -> (Lane, Body) {
        (Lane::Security, Body::Event(Event { received: now.received(), meter: None, kind }))
    }

    /// The state of a lane in the current epoch.
    pub(super) fn state(&self, lane: Lane) -> LaneState {
        self.states.get(&(self.ordinal, lane)).cloned().unwrap_or_else(|| LaneState::new(self.epoch, lane))
    }

    /// Makes batches of what is due in a lane.
    fn seal(&mut self, lane: Lane, now: &Now, all: bool, plan: &mut Plan) {
        let (age, ordinal, epoch) = (self.seal_age(lane), self.ordinal, self.epoch);
        let Some(open) = self.lanes.get_mut(index(lane)) else { return };
        let state = self.states.entry((ordinal, lane)).or_insert_with(|| LaneState::new(epoch, lane));
        while !open.unsealed.is_empty() && (all || open.is_due(&self.options, age, now.mono)) {
            let head = BatchHead {
                dcu: self.options.dcu.clone(),
                epoch,
                lane,
                first: state.sealed + 1,
                count: 0,
                previous_hash: state.head_hash,
            };
            let batch = open.seal(head, &self.options, &self.codec, now);
            state.add(&batch);
            plan.changes.push(Change::put(Room::Batches, &batch_key(lane, ordinal, batch.first), batch.emit()));
            plan.touched.insert((ordinal, lane));
        }
        if plan.touched.contains(&(ordinal, lane)) {
            plan.sealed.push((lane, state.sealed));
            plan.reports.push(Report::Sealed { epoch, lane, last: state.sealed });
        }
    }

    /// Writes what came with this commit and was not sealed with it.
    fn group(&mut self, before: &[u64], now: &Now, plan: &mut Plan) {
        let mut sections = Vec::new();
        for (open, before) in self.lanes.iter().zip(before) {
            let old = open.unsealed.partition_point(|record| record.sequence <= *before);
            sections_of(open.unsealed.get(old..).unwrap_or_default(), &self.codec, &mut sections);
        }
        for (part, sections) in (0..).zip(pack(sections)) {
            let lasts = sections.iter().map(|section| (section.lane, section.last())).collect();
            self.groups.insert((self.commit, part), lasts);
            let (epoch, generation, commit) = (self.epoch, self.generation, self.commit);
            let group = Group { epoch, generation, commit, part, utc_ms: now.utc_ms, sections };
            plan.changes.push(Change::put(Room::Groups, &group_key(self.ordinal, commit, part), group.emit()));
        }
    }

    /// Removes groups of which every record is sealed.
    fn drop_sealed_groups(&mut self, plan: &mut Plan) {
        let (states, ordinal) = (&self.states, self.ordinal);
        let is_sealed =
            |(lane, last): &(Lane, u64)| states.get(&(ordinal, *lane)).is_some_and(|state| state.sealed >= *last);
        self.groups.retain(|(commit, part), lasts| {
            let done = lasts.iter().all(is_sealed);
            if done {
                plan.changes.push(Change::remove(Room::Groups, &group_key(ordinal, *commit, *part)));
            }
            !done
        });
    }

    fn seal_age(&self, lane: Lane) -> Duration {
        self.options.lanes.get(index(lane)).map_or(Duration::ZERO, |options| options.seal_age)
    }
}

impl OpenLane {
    fn push(&mut self, body: Body, now: &Now) {
        self.last += 1;
        self.since.push((now.mono, weight(&body)));
        self.unsealed.push(Record { lane: self.lane, sequence: self.last, body });
    }

    fn is_due(&self, options: &Options, age: Duration, now: Instant) -> bool {
        let old = self.since.first().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= age);
        old || self.unsealed.len() >= options.seal_records || self.fitting(options) < self.unsealed.len()
    }

    /// How many records are expected to fit into a batch; at least one.
    fn fitting(&self, options: &Options) -> usize {
        let mut octets = 0.0;
        let fits = |(_, weight): &&(Instant, usize)| {
            octets += *weight as f64 * self.ratio;
            octets <= options.seal_octets as f64
        };
        self.since.iter().take_while(fits).count().max(1)
    }

    /// Seals the first records of the lane, as many as fit.
    fn seal(&mut self, head: BatchHead, options: &Options, codec: &Codec, now: &Now) -> Batch {
        let mut count = self.unsealed.len().min(options.seal_records).min(self.fitting(options)).max(1);
        let octets = loop {
            let head = BatchHead { count: count as u32, ..head.clone() };
            let octets = (codec.seal)(&head, self.unsealed.get(..count).unwrap_or_default(), &options.reading_types);
            if octets.len() <= options.seal_octets || count == 1 {
                break octets;
            }
            // A little less than in proportion, so that the next trial mostly fits.
            count = (count * options.seal_octets / octets.len() * 15 / 16).clamp(1, count - 1);
        };
        let weight: usize = self.since.drain(..count).map(|(_, weight)| weight).sum();
        self.unsealed.drain(..count);
        if count >= RATIO_FROM {
            self.ratio = (self.ratio + octets.len() as f64 / weight.max(1) as f64) / 2.0;
        }
        Batch {
            epoch: head.epoch,
            lane: head.lane,
            first: head.first,
            count: count as u32,
            previous_hash: head.previous_hash,
            hash: hash(&octets),
            sealed_utc_ms: now.utc_ms,
            octets,
        }
    }
}

impl LaneState {
    /// A batch follows the last one.
    pub(super) fn add(&mut self, batch: &Batch) {
        self.sealed = batch.last();
        self.head_hash = batch.hash;
        self.batches += 1;
        self.records += u64::from(batch.count);
        self.octets += batch.octets.len() as u64;
    }
}

/// Sealed octets per weight before anything was sealed.
const FIRST_RATIO: f64 = 0.4;
/// A batch of so many records says something about compression.
const RATIO_FROM: usize = 50;
