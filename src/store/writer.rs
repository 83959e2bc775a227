//! The one thread that writes: gathers, commits, makes durable, reports; and opens the database again when it broke.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::database::{Database, DatabaseError, Room};
use super::handle::{Done, OnReport, Random};
use super::keeper::Keeper;
use super::load::{Look, look};
use super::open::{Opened, Opener};
use super::plan::Plan;
use super::promise::SequenceFile;
use super::reserve::Reserve;
use super::retention::Pressure;
use super::salvage::{DAMAGED, Memory};
use super::view::{Hole, Shared};
use super::{Body, Lane, Report, StoreError};
use crate::clock::{Now, ReadClock};
use crate::reading::EventKind;

/// What the doors ask for.
pub(super) enum Request {
    Append(Vec<(Lane, Body)>, Option<Done>),
    Commit(Option<Done>),
    /// Acknowledgements wait to be written.
    Acknowledged,
    Hole(Hole),
    Close,
}

/// The writer's own things.
pub(super) struct Writer {
    keeper: Keeper,
    db: Option<Arc<Database>>,
    sequence: SequenceFile,
    reserve: Reserve,
    shared: Arc<Shared>,
    clock: ReadClock,
    random: Random,
    on_report: OnReport,
    /// Records that wait for their commit, and since when the oldest waits.
    waiting: Vec<(Lane, Body)>,
    /// How many of them came through the gate.
    entered: usize,
    since: Option<Instant>,
    dones: Vec<Done>,
    commit_now: bool,
    /// A commit that is not durable yet: it is tried again until it is.
    in_flight: Option<InFlight>,
    acknowledged_since: Option<Instant>,
    next_retention: Instant,
    trouble: Option<Trouble>,
    closing: bool,
}

struct InFlight {
    plan: Plan,
    dones: Vec<Done>,
    entered: usize,
}

/// Why commits do not succeed, and when the next trial is due.
struct Trouble {
    reason: String,
    full: bool,
    trials: u32,
    next: Instant,
}

impl Writer {
    pub(super) fn new(
        opened: Opened,
        shared: Arc<Shared>,
        clock: ReadClock,
        random: Random,
        on_report: OnReport,
    ) -> Self {
        let reserve = Reserve::new(opened.keeper.options.path.join("reserve"));
        let next_retention = clock().mono;
        let writer = Self {
            keeper: opened.keeper,
            db: Some(opened.db),
            sequence: opened.sequence,
            reserve,
            shared,
            clock,
            random,
            on_report,
            waiting: Vec::new(),
            entered: 0,
            since: None,
            dones: Vec::new(),
            commit_now: false,
            in_flight: None,
            acknowledged_since: None,
            next_retention,
            trouble: None,
            closing: false,
        };
        writer.show_all();
        writer
    }

    /// Works until it is told to close and what waits is durable, or cannot be made so.
    pub(super) fn run(mut self, requests: &Receiver<Request>) -> Result<(), StoreError> {
        self.reserve.fill();
        loop {
            let now = (self.clock)();
            self.step(&now);
            if self.closing {
                return self.end();
            }
            let wait = self.deadline().map_or(IDLE, |deadline| deadline.saturating_duration_since(now.mono).min(IDLE));
            match requests.recv_timeout(wait) {
                Ok(request) => {
                    self.take(request);
                    while let Ok(request) = requests.try_recv() {
                        self.take(request);
                        if self.waiting.len() >= self.keeper.options.commit_records {
                            break;
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left who could ask for anything.
                Err(RecvTimeoutError::Disconnected) => self.closing = true,
            }
        }
    }

    fn take(&mut self, request: Request) {
        let now = (self.clock)();
        match request {
            Request::Append(records, done) => {
                let at_once =
                    |lane: Lane| self.keeper.options.lanes.get(lane as usize).is_some_and(|o| o.commit_at_once);
                self.commit_now |= records.iter().any(|(lane, _)| at_once(*lane));
                self.since.get_or_insert(now.mono);
                self.entered += records.len();
                self.waiting.extend(records);
                self.dones.extend(done);
            }
            Request::Commit(done) => {
                self.commit_now = true;
                self.since.get_or_insert(now.mono);
                self.dones.extend(done);
            }
            Request::Acknowledged => self.acknowledged_since = Some(now.mono),
            Request::Hole(hole) => self.note_hole(hole, &now),
            Request::Close => self.closing = true,
        }
    }

    /// Commits what is due, or tries again what did not succeed.
    fn step(&mut self, now: &Now) {
        if self.trouble.as_ref().is_some_and(|trouble| now.mono < trouble.next && !self.closing) {
            return;
        }
        if self.trouble.is_some() && !self.repair(now) {
            return;
        }
        if self.in_flight.is_none() && (self.is_due(now.mono) || self.closing) {
            match self.prepare(now) {
                Ok(()) => {}
                Err(error) => return self.fail(&error, now),
            }
        }
        if self.in_flight.is_some() {
            match self.attempt() {
                Ok(()) => self.succeed(now),
                Err(error) => self.fail(&error, now),
            }
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.commit_now
            || self.waiting.len() >= self.keeper.options.commit_records
            || self.commit_deadline().is_some_and(|deadline| now >= deadline)
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.trouble {
            Some(trouble) => Some(trouble.next),
            None => self.commit_deadline(),
        }
    }

    fn commit_deadline(&self) -> Option<Instant> {
        let window = self.since.map(|since| since + self.keeper.options.commit_window);
        let acknowledged = self.acknowledged_since.map(|since| since + ACKNOWLEDGED_WINDOW);
        [window, acknowledged, self.keeper.seal_deadline()].into_iter().flatten().min()
    }

    /// Makes the next commit of everything that waits. What is taken here is in flight until it is durable.
    fn prepare(&mut self, now: &Now) -> Result<(), StoreError> {
        let touched = self.take_acknowledged();
        let mut records = mem::take(&mut self.waiting);
        let mut leaving = None;
        let is_full = !self.reserve.is_filled();
        if is_full || now.mono >= self.next_retention || self.keeper.octets() > self.keeper.options.size_limit {
            self.next_retention = now.mono + RETENTION_EVERY;
            let waiting = records.iter().map(|(lane, _)| *lane).min();
            let pressure = if is_full { Pressure::Full { waiting } } else { Pressure::Usual };
            if let Some(db) = &self.db {
                let mut found = match self.keeper.leave(db, now, pressure) {
                    Ok(found) => found,
                    Err(error) => {
                        self.waiting = records;
                        return Err(error);
                    }
                };
                records.append(&mut found.events);
                leaving = Some(found);
            }
        }
        let entered = mem::take(&mut self.entered);
        let mut plan = self.keeper.plan(records, now, false);
        plan.touched.extend(touched);
        if let Some(leaving) = leaving {
            leaving.join(&mut plan);
        }
        let dones = mem::take(&mut self.dones);
        (self.since, self.commit_now, self.acknowledged_since) = (None, false, None);
        self.in_flight = Some(InFlight { plan, dones, entered });
        Ok(())
    }

    /// Applies what is in flight and makes it durable.
    fn attempt(&mut self) -> Result<(), StoreError> {
        let (Some(db), Some(in_flight)) = (&self.db, &self.in_flight) else { return Err(StoreError::OutOfOrder) };
        let mut changes = self.keeper.state_changes(&in_flight.plan.touched);
        if changes.is_empty() && in_flight.plan.changes.is_empty() {
            return Ok(());
        }
        changes.extend(in_flight.plan.changes.iter().cloned());
        db.apply(&changes)?;
        db.make_durable()?;
        self.sequence.write(&self.keeper.promise())
    }

    /// What was in flight is durable: shown, reported, answered.
    fn succeed(&mut self, now: &Now) {
        let Some(InFlight { plan, dones, entered }) = self.in_flight.take() else { return };
        self.show(&plan);
        self.shared.leave(entered);
        self.recover();
        if plan.commit.count > 0 {
            (self.on_report)(Report::Committed(plan.commit.clone()));
        }
        for report in plan.reports {
            (self.on_report)(report);
        }
        for done in dones {
            done(Ok(plan.commit.clone()));
        }
        // More may have to leave than one commit takes.
        if self.keeper.octets() > self.keeper.options.size_limit {
            self.commit_now = true;
            self.since.get_or_insert(now.mono);
        }
    }

    /// The database takes changes again.
    fn recover(&mut self) {
        if self.trouble.take().is_some() {
            (self.on_report)(Report::Recovered);
        }
        // Without its reserve the disk is still full: acknowledged batches leave until there is room for it.
        self.reserve.fill();
    }

    fn fail(&mut self, error: &StoreError, now: &Now) {
        self.shared.write().commit_errors += 1;
        let (reason, full) = (error.text(), error.is_full());
        let trials = self.trouble.as_ref().map_or(0, |trouble| trouble.trials) + 1;
        let is_news = self.trouble.as_ref().is_none_or(|trouble| trouble.reason != reason);
        let wait = RETRY_FIRST.saturating_mul(1 << trials.min(5)).min(RETRY_LAST);
        self.trouble = Some(Trouble { reason: reason.clone(), full, trials, next: now.mono + wait });
        if is_news {
            (self.on_report)(Report::Trouble { reason, full });
        }
    }

    /// Opens the database again: after an error sled takes nothing more. True when commits may be tried.
    fn repair(&mut self, now: &Now) -> bool {
        self.shared.write().db = None;
        self.db = None;
        if self.trouble.as_ref().is_some_and(|trouble| trouble.full) {
            self.reserve.give_up();
        }
        match self.open_again() {
            Ok(db) => {
                let db = Arc::new(db);
                self.shared.write().db = Some(Arc::clone(&db));
                self.db = Some(db);
                if self.in_flight.is_none() {
                    self.recover();
                }
                true
            }
            Err(Again::Later(error)) => {
                self.fail(&error, now);
                false
            }
            Err(Again::Damaged(reason)) => self.replace(reason, now),
        }
    }

    fn open_again(&self) -> Result<Database, Again> {
        let options = &self.keeper.options;
        let db = match Database::open(&options.path.join("sled"), options.open_limit) {
            Ok(db) => db,
            Err(DatabaseError::Failed(error)) => return Err(Again::Later(error)),
            Err(DatabaseError::InUse) => return Err(Again::Later(StoreError::OutOfOrder)),
            Err(DatabaseError::Damaged(reason)) => return Err(Again::Damaged(reason)),
        };
        // Not what was promised last: what is in flight may be there or not, it is applied again in either case.
        let promise = match SequenceFile::peek(&options.path.join("sequence")).map_err(Again::Later)? {
            super::promise::FoundPromise::Promise(promise) => Some(promise),
            _ => None,
        };
        match look(&db, promise.as_deref(), &self.keeper.codec) {
            Ok(Look::Sound(_)) => Ok(db),
            Ok(Look::Empty) => Err(Again::Damaged("it is empty".into())),
            Ok(Look::Damaged(reason)) => Err(Again::Damaged(reason)),
            Err(error) => Err(Again::Later(error)),
        }
    }

    /// The database is damaged while running: what memory holds goes into the new one.
    fn replace(&mut self, reason: String, now: &Now) -> bool {
        let memory = self.memory();
        let promise = self.keeper.promise();
        let path = self.keeper.options.path.clone();
        let opened = SequenceFile::open(&path.join("sequence")).and_then(|(sequence, _)| {
            let options = self.keeper.options.clone();
            let mut opener =
                Opener { options: &options, codec: self.keeper.codec, now: *now, random: &mut *self.random };
            opener.replace(sequence, Some(&promise), &memory, reason)
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.fail(&error, now);
                return false;
            }
        };
        let Opened { keeper, db, sequence, opening } = opened;
        (self.keeper, self.db, self.sequence) = (keeper, Some(db), sequence);
        self.show_all();
        (self.on_report)(Report::Replaced(opening));
        // It came over under its old names.
        self.succeed(now);
        true
    }

    /// What is in memory and may not be in the database.
    fn memory(&self) -> Memory {
        let mut records = BTreeMap::new();
        for record in self.keeper.lanes.iter().flat_map(|open| &open.unsealed) {
            records.insert((self.keeper.epoch, record.lane, record.sequence), record.clone());
        }
        let changes = self.in_flight.iter().flat_map(|in_flight| &in_flight.plan.changes);
        let batches = changes
            .filter(|change| change.room == Room::Batches)
            .filter_map(|change| Batch::parse(change.value.as_deref()?))
            .collect();
        let mut states: Vec<_> = self.keeper.states.values().cloned().collect();
        let view = self.shared.read();
        for state in &mut states {
            if let Some(shown) = view.lane(state.epoch, state.lane) {
                state.acknowledged = shown.acknowledged.clone();
            }
        }
        Memory { batches, records, states }
    }

    /// A reader came upon a hole: told once, then settled.
    fn note_hole(&mut self, hole: Hole, now: &Now) {
        let Hole { epoch, lane, first, last, hash } = hole;
        let mut view = self.shared.write();
        let Some(ordinal) = view.ordinal(epoch) else { return };
        let Some(shown) = view.lanes.get(&(ordinal, lane)) else { return };
        if first < shown.kept || last > shown.sealed || shown.acknowledged.contains(first, last) {
            return;
        }
        let is_there = |sequence| !matches!(view.batch(epoch, lane, sequence), Ok(None));
        if is_there(first) || is_there(last) {
            // It left, or came, between the reading and now.
            return;
        }
        if let Some(shown) = view.lanes.get_mut(&(ordinal, lane)) {
            shown.acknowledged.insert(first, last);
        }
        view.acknowledged = true;
        drop(view);
        if let Some(state) = self.keeper.states.get_mut(&(ordinal, lane)) {
            state.lost += last - first + 1;
            state.gaps += 1;
        }
        let reason = DAMAGED.to_owned();
        let report = Report::Evicted { epoch, lane, first, last, reason: reason.clone() };
        let kind = EventKind::Gap { epoch: epoch.0, lane: lane as u8, first, last, reason, hash };
        self.waiting.push(Keeper::event(kind, now));
        self.since.get_or_insert(now.mono);
        self.commit_now = true;
        (self.on_report)(report);
    }

    /// Takes acknowledgements over into the states that are written.
    fn take_acknowledged(&mut self) -> Vec<(u32, Lane)> {
        let mut view = self.shared.write();
        if !mem::take(&mut view.acknowledged) {
            return Vec::new();
        }
        let mut touched = Vec::new();
        for (place, shown) in &view.lanes {
            if let Some(state) = self.keeper.states.get_mut(place) {
                if state.acknowledged != shown.acknowledged {
                    state.acknowledged = shown.acknowledged.clone();
                    touched.push(*place);
                }
            }
        }
        touched
    }

    /// Shows readers what a commit changed.
    fn show(&self, plan: &Plan) {
        self.show_states();
        let mut view = self.shared.write();
        view.last = self.keeper.lanes.iter().map(|open| open.last).collect();
        view.commits += u64::from(plan.commit.count > 0);
        view.records_committed += plan.commit.count as u64;
    }

    /// The states as they are durable now, with the acknowledgements that came meanwhile.
    fn show_states(&self) {
        let mut view = self.shared.write();
        view.epoch = Some(self.keeper.epoch);
        view.epochs = self.keeper.epochs.clone();
        view.lanes.retain(|place, _| self.keeper.states.contains_key(place));
        for (place, state) in &self.keeper.states {
            match view.lanes.get_mut(place) {
                Some(shown) => {
                    let acknowledged = mem::take(&mut shown.acknowledged);
                    *shown = super::lane::LaneState { acknowledged, ..state.clone() };
                }
                None => drop(view.lanes.insert(*place, state.clone())),
            }
        }
    }

    fn show_all(&self) {
        {
            let mut view = self.shared.write();
            view.db.clone_from(&self.db);
            view.lanes.clear();
            view.last = self.keeper.lanes.iter().map(|open| open.last).collect();
        }
        self.show_states();
    }

    fn end(&mut self) -> Result<(), StoreError> {
        self.shared.close();
        let reason = self.trouble.as_ref().map(|trouble| trouble.reason.clone());
        let given_up = self.in_flight.take().map(|in_flight| in_flight.dones).unwrap_or_default();
        for done in given_up.into_iter().chain(mem::take(&mut self.dones)) {
            done(Err(StoreError::NotCommitted { reason: reason.clone().unwrap_or_default() }));
        }
        self.shared.write().db = None;
        self.db = None;
        reason.map_or(Ok(()), |reason| Err(StoreError::NotCommitted { reason }))
    }
}

enum Again {
    Later(StoreError),
    Damaged(String),
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}

/// The longest sleep without anything to do.
const IDLE: Duration = Duration::from_secs(3600);
/// Acknowledgements are written with a commit, or alone after this time.
const ACKNOWLEDGED_WINDOW: Duration = Duration::from_secs(30);
const RETENTION_EVERY: Duration = Duration::from_secs(60);
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(10);
