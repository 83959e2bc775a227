//! The one thread that writes: gathers, commits, makes durable, reports, answers. `repair` opens the database again when it broke.

use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::database::Database;
use super::handle::{Done, OnReport, Random};
use super::keeper::Keeper;
use super::mark::{Mark, Marks};
use super::open::Opened;
use super::plan::Plan;
use super::promise::SequenceFile;
use super::reserve::Reserve;
use super::retention::Pressure;
use super::view::{Hole, Shared};
use super::{Body, Lane, Report, StoreError};
use crate::clock::{Now, ReadClock};

/// What the doors ask for.
pub(super) enum Request {
    Append(Vec<(Lane, Body)>, Vec<Mark>, Option<Done>),
    Commit(Option<Done>),
    /// Acknowledgements wait to be written.
    Acknowledged,
    Hole(Hole),
    /// The database has handled much: it may want to be renewed.
    Look,
    Close,
}

/// The writer's own things.
pub(super) struct Writer {
    pub(super) keeper: Keeper,
    pub(super) db: Option<Arc<Database>>,
    pub(super) sequence: SequenceFile,
    pub(super) reserve: Reserve,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: ReadClock,
    pub(super) random: Random,
    pub(super) on_report: OnReport,
    /// Records that wait for their commit, and since when the oldest waits.
    pub(super) waiting: Vec<(Lane, Body)>,
    /// How many of them came through the gate.
    pub(super) entered: usize,
    pub(super) marks: Marks,
    pub(super) since: Option<Instant>,
    pub(super) dones: Vec<Done>,
    pub(super) commit_now: bool,
    /// A commit that is not durable yet: it is tried again until it is.
    pub(super) in_flight: Option<InFlight>,
    pub(super) acknowledged_since: Option<Instant>,
    pub(super) next_retention: Instant,
    pub(super) trouble: Option<Trouble>,
    pub(super) closing: bool,
}

pub(super) struct InFlight {
    pub(super) plan: Plan,
    pub(super) dones: Vec<Done>,
    pub(super) entered: usize,
}

/// Why commits do not succeed, and when the next trial is due.
pub(super) struct Trouble {
    pub(super) reason: String,
    pub(super) full: bool,
    pub(super) trials: u32,
    pub(super) next: Instant,
}

impl Writer {
    pub(super) fn new(
        opened: Opened,
        shared: Arc<Shared>,
        clock: ReadClock,
        random: Random,
        on_report: OnReport,
    ) -> Self {
        let reserve = Reserve::new(opened.keeper.options.path.clone());
        let next_retention = clock().mono;
        // What cannot be read now is written again by whom it belongs to.
        let marks = Marks::load(&opened.db).unwrap_or_default();
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
            marks,
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
        loop {
            let now = (self.clock)();
            if self.trouble.is_none() {
                self.reserve.fill(self.keeper.options.system, now.mono);
            }
            self.step(&now);
            self.show_room(&now);
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
            Request::Append(records, marks, done) => {
                self.marks.set(marks);
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
            Request::Look => {}
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
                Err(error) => return self.fail(&error, now),
            }
        }
        if !self.closing {
            self.renew(now);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.commit_now
            // Marks take as much memory in a commit as records.
            || self.waiting.len() + self.marks.waiting() >= self.keeper.options.commit_records
            || self.commit_deadline().is_some_and(|deadline| now >= deadline)
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.trouble {
            Some(trouble) => Some(trouble.next),
            None => self.commit_deadline().into_iter().chain(self.reserve.next_trial()).min(),
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
            let pressure = if is_full { Pressure::Full } else { Pressure::Usual };
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
        plan.changes.extend(self.marks.changes());
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
    pub(super) fn succeed(&mut self, now: &Now) {
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
    pub(super) fn recover(&mut self) {
        if self.trouble.take().is_some() {
            (self.on_report)(Report::Recovered);
        }
    }

    /// Makes known whether the disk is full. Without its reserve it still is: acknowledged batches leave until there is
    /// room for it.
    fn show_room(&self, now: &Now) {
        let is_stuck = self.trouble.as_ref().is_some_and(|trouble| trouble.full);
        let is_full = is_stuck || !self.reserve.is_filled();
        let shown = {
            let view = self.shared.read();
            (view.is_stuck, view.full_since.is_some())
        };
        if shown != (is_stuck, is_full) {
            let mut view = self.shared.write();
            view.is_stuck = is_stuck;
            view.full_since = is_full.then(|| view.full_since.unwrap_or(now.utc_ms));
        }
    }

    pub(super) fn fail(&mut self, error: &StoreError, now: &Now) {
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

    pub(super) fn show_all(&self) {
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
