//! The task that reads electricity meters: it asks the schedule who is next, lets orders run, and hands what came to the
//! store together with how far each meter has come.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet, block_in_place};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::binding::Binding;
use super::demand::Demand;
use super::exchange::{COUNTERS_AT_ONCE, Corrected, Job, Layout, Outcome, Parked, Party, Wanted};
use super::known::{self, Known, event, lane, origin, task};
use super::push::PushCounts;
use super::question::Question;
use super::roam::Leave;
use crate::clock::{Now, ReadClock};
use crate::config::Electricity;
use crate::config::electricity::What;
use crate::journal::Counters;
use crate::reading::TimeQuality;
use crate::registry::{Credentials, Ways};
use crate::schedule::{End, Kept, MeterNo, MeterState, Order, Progress, Schedule, Ticket, Work};
use crate::store::{Body, Done, Lane, Mark, Store, StoreError};
use crate::task::{chain, plc};

/// Everything the task owns.
pub(in crate::task) struct Collector {
    pub(super) clock: ReadClock,
    store: Store,
    pub(super) config: Electricity,
    pub(super) schedule: Schedule,
    /// By [`MeterNo`].
    pub(super) meters: Vec<Known>,
    /// By their fingerprints; meters of one kind share them.
    layouts: HashMap<u64, Arc<Layout>>,
    pub(super) counters: Arc<Mutex<Counters>>,
    /// Associations that stay open between orders.
    parked: Arc<Parked>,
    running: JoinSet<Outcome>,
    pub(super) orders: HashMap<Id, (Ticket, MeterNo, Purpose)>,
    /// What meters are asked for out of their turn, and have not been asked yet, by the number of the request.
    pub(super) demands: BTreeMap<u64, (MeterNo, Demand)>,
    pub(super) next_demand: u64,
    /// Who is to be installed behind whom.
    pub(super) bindings: Vec<Binding>,
    /// Who is handed over once what is under way with it has ended.
    pub(super) leaving: Vec<(MeterNo, Leave)>,
    pub(super) waiting: VecDeque<Batch>,
    pub(super) push_counts: PushCounts,
    /// Who is behind the meters, for whoever hears the same meters over the air.
    pub(super) ways: Arc<Mutex<Ways>>,
    /// Networks in which meters are.
    pub(super) networks: Vec<mpsc::Sender<plc::Question>>,
    /// Nodes of them that are part of an outage.
    pub(super) dark: plc::Dark,
    /// What is read begins when the clock is known.
    is_begun: bool,
}

/// What an order is for.
#[derive(Debug)]
pub(super) enum Purpose {
    Task(usize),
    Demand(Demand),
}

/// Records that the store has not taken yet, and how far their meter has come with them.
pub(super) struct Batch {
    pub(super) records: Vec<(Lane, Body)>,
    pub(super) marks: Vec<Mark>,
    pub(super) done: Option<Done>,
}

impl Collector {
    pub(in crate::task) fn new(
        config: Electricity,
        credentials: &Credentials,
        counters: Counters,
        (networks, dark): (&[(String, mpsc::Sender<plc::Question>)], plc::Dark),
        store: Store,
        ways: Arc<Mutex<Ways>>,
        clock: ReadClock,
    ) -> Self {
        let limits: Vec<usize> = config.channels.iter().map(|channel| channel.at_once as usize).collect();
        let schedule = Schedule::new(config.tasks.iter().map(task).collect(), &limits, config.retries);
        let channels: Vec<_> = config.channels.iter().cloned().map(Arc::new).collect();
        let new = |meter| Known::new(meter, &config, &channels, credentials, networks);
        let known = config.meters.iter().filter_map(new).collect();
        Self {
            clock,
            store,
            schedule,
            meters: known,
            layouts: HashMap::new(),
            config,
            counters: Arc::new(Mutex::new(counters)),
            parked: Arc::default(),
            dark,
            running: JoinSet::new(),
            orders: HashMap::new(),
            demands: BTreeMap::new(),
            next_demand: 0,
            bindings: Vec::new(),
            leaving: Vec::new(),
            waiting: VecDeque::new(),
            push_counts: PushCounts::default(),
            ways,
            networks: networks.iter().map(|(_, network)| network.clone()).collect(),
            is_begun: false,
        }
    }

    /// Runs until it is told to stop. What is under way then is given up; what came of others is stored.
    pub(in crate::task) async fn run(mut self, mut questions: mpsc::Receiver<Question>, stop: CancellationToken) {
        let mut pushed = self.listen(&stop).await;
        loop {
            let now = (self.clock)();
            let is_blocked = !self.hand_over();
            if !is_blocked {
                self.bind_due(now);
                self.launch(now);
            }
            // The clock may become known without a word.
            let look = now.mono + LOOK;
            let deadline = self.schedule.poll_timeout(now).filter(|_| !is_blocked).map_or(look, |due| due.min(look));
            let deadline = if is_blocked { now.mono + STORE_BUSY } else { deadline };
            tokio::select! {
                // Questions are few and short.
                biased;
                () = stop.cancelled() => break,
                Some(question) = questions.recv() => self.answer(question),
                Some(ended) = self.running.join_next_with_id(), if !is_blocked => {
                    match ended {
                        Ok((id, outcome)) => self.done(id, outcome),
                        Err(error) => {
                            warn!(err = %error, "an exchange ended badly");
                            self.done(error.id(), Outcome::lost(error.to_string()));
                        }
                    }
                    self.leave();
                }
                // Which counters came before is known when the meters are.
                Some(pushed) = pushed.recv(), if !is_blocked && self.is_begun => self.pushed(&pushed),
                () = sleep_until(deadline.into()) => {}
            }
        }
        self.running.shutdown().await;
        // On a full disk it is given up: the meters keep it, and nobody was told that it is here.
        while !self.hand_over() && !self.store.is_full() {
            sleep(STORE_BUSY).await;
        }
    }

    /// Lets go whatever may go now.
    fn launch(&mut self, now: Now) {
        self.parked.sweep(now.mono);
        if now.quality != TimeQuality::Unsynchronised && !std::mem::replace(&mut self.is_begun, true) {
            self.commission(now);
        }
        // A full disk takes nothing, and the meters keep what they have.
        while !self.store.is_full() && self.waiting.is_empty() {
            let Some(order) = self.schedule.poll(now) else { break };
            self.order(&order);
        }
    }

    /// Each meter takes part from where it was left.
    pub(super) fn commission(&mut self, now: Now) {
        let marks = block_in_place(|| self.store.marks(MARK)).unwrap_or_else(|error| {
            warn!(err = %chain(&error), "read how far the meters were read: they begin anew");
            Vec::new()
        });
        let marks: HashMap<Vec<u8>, Vec<u8>> = marks.into_iter().collect();
        for known in &mut self.meters {
            let kept =
                marks.get(&mark_name(known.party.meter.id)).and_then(|octets| Kept::parse(octets)).unwrap_or_default();
            let mut lines = Vec::new();
            for member in &mut known.tasks {
                let Some(said) = self.config.tasks.get(member.task) else { continue };
                // What has just ended is not due yet, and counts as of now.
                let due = now.utc_ms.div_euclid(1_000) - said.delay.as_secs() as i64;
                let begin = said.grid.last_ended(due) + 1 - i64::from(said.history);
                let progress = kept.progress(&said.id, &said.grid).cloned().unwrap_or_else(|| Progress::new(begin));
                let line = kept.lines.iter().find(|line| *line.task == *said.id);
                (member.layout, member.lost) = (line.map_or(0, |line| line.layout), progress.lost());
                lines.push((member.task, Some(progress)));
            }
            let no = self.schedule.commission(known.party.meter.channel, lines, now);
            self.schedule.restore(no, kept.state, kept.answered_ms, now);
            // What was never handed over is waited for, if somebody else has read it.
            let is_fresh = !marks.contains_key(&mark_name(known.party.meter.id));
            let is_awaited = known.party.meter.is_handed_over && is_fresh;
            let state = if is_awaited { MeterState::Awaited } else { kept.state };
            if state.is_retired() {
                self.schedule.retire(no, state);
                known.retire();
            }
            known.take(&kept);
            self.bindings.extend(Binding::of(no, &kept, now));
            known.is_dark(state, &self.dark);
        }
        for (place, known) in self.meters.iter().enumerate() {
            self.place(MeterNo(place as u32), known.answered_ms);
        }
        info!(count = self.meters.len(), tasks = self.config.tasks.len(), "electricity meters are read");
    }

    fn order(&mut self, order: &Order) {
        let Order { ticket, meter: no, work } = order;
        let (purpose, wanted, object, grid, slots, origin) = match work {
            Work::OnDemand(number) => {
                let demand = self.demands.remove(number).map(|(_, demand)| demand);
                let Some(demand) = demand.filter(|demand| !demand.is_given_up()) else {
                    return self.schedule.handle_cancelled(*ticket, (self.clock)());
                };
                let grid = Demand::grid();
                let slot = grid.last_ended((self.clock)().utc_ms.div_euclid(1_000));
                let wanted = demand.wanted(self, *no);
                (Purpose::Demand(demand), wanted, None, grid, slot..=slot, Demand::ORIGIN)
            }
            Work::Read { task, slots } => {
                let Some(said) = self.config.tasks.get(*task) else { return };
                let (wanted, object) = match &said.what {
                    What::Profile(object) => (Wanted::Profile(*object), Some(object)),
                    What::Events(object) => (Wanted::Events(*object), Some(object)),
                    What::Registers(objects) => (Wanted::Registers(objects.clone()), None),
                    What::Clock(discipline) => (Wanted::Clock(*discipline), None),
                };
                (Purpose::Task(*task), wanted, object, said.grid.clone(), slots.clone(), origin(said))
            }
        };
        let Some(known) = self.meters.get(no.0 as usize) else { return };
        self.prepare_counters(&known.party);
        let job = Job {
            meter: Arc::clone(&known.party),
            wanted,
            grid,
            slots: slots.clone(),
            is_named: known.name.is_some(),
            looks_behind: matches!(&purpose, Purpose::Demand(Demand::Final(_) | Demand::First(_))),
            slot_seconds: known.slot_seconds(&self.config.tasks),
            moved: known.moved,
            origin,
            priority: known::urgency(work, &self.config.tasks),
            received: known.received,
            layout: object.and_then(|object| known.layout(object)).cloned(),
            counters: Arc::clone(&self.counters),
            parked: Arc::clone(&self.parked),
            clock: Arc::clone(&self.clock),
        };
        debug!(meter = %known.id(), purpose = ?purpose, slots = ?slots, "read");
        let id = self.running.spawn(job.run()).id();
        self.orders.insert(id, (*ticket, *no, purpose));
    }

    /// What has to be written for a meter's counters is written here, one meter after the other: in the orders each that
    /// waits for it would hold a thread.
    fn prepare_counters(&self, party: &Party) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if !party.meter.manner.is_ciphered() || counters.is_prepared(&party.meter.id, COUNTERS_AT_ONCE) {
            return;
        }
        if let Err(error) = block_in_place(|| counters.prepare(&party.meter.id, COUNTERS_AT_ONCE)) {
            warn!(err = %chain(&error), "reserve invocation counters");
        }
    }

    /// An order has ended: what came that is new goes to the store, together with how far the meter has come.
    pub(super) fn done(&mut self, id: Id, mut outcome: Outcome) {
        let Some((ticket, no, purpose)) = self.orders.remove(&id) else { return };
        self.identify(no, &mut outcome);
        if self.meters.get(no.0 as usize).is_some_and(|known| self.parked.has(known.party.meter.id)) {
            self.schedule.stay(no);
        }
        let task = match purpose {
            Purpose::Task(task) => task,
            Purpose::Demand(demand) => return self.demanded(ticket, no, demand, outcome),
        };
        let (Some(known), Some(said)) = (self.meters.get_mut(no.0 as usize), self.config.tasks.get(task)) else {
            return;
        };
        let now = (self.clock)();
        let Outcome {
            end,
            detail,
            rows,
            events,
            received,
            layout,
            offset,
            counter_restarted,
            corrected,
            units,
            notified,
            ..
        } = outcome;
        let (meter, mut records) = (known.id(), Vec::new());
        if end.is_answer() {
            known.answered_ms = Some(now.utc_ms);
        }
        if let (What::Profile(object) | What::Events(object), Some(layout)) = (&said.what, layout) {
            let before = known.member_mut(task).map(|it| std::mem::replace(&mut it.layout, layout.fingerprint));
            if before.is_some_and(|before| before != 0 && before != layout.fingerprint) {
                let detail = format!("{object}: its columns or its period are others now");
                records.push(event("electricity.layout_changed", detail, meter, now));
            }
            let shared = self.layouts.entry(layout.fingerprint).or_insert_with(|| Arc::clone(&layout));
            let layout = if *shared == layout { Arc::clone(shared) } else { layout };
            known.layouts.retain(|(of, _)| of != object);
            known.layouts.push((*object, layout));
        }
        if counter_restarted {
            let detail = "it used invocation counters again under the same key".to_owned();
            records.push(event("electricity.counter_restarted", detail, meter, now));
        }
        known.units.extend(units);
        known.is_refusing = matches!(end, End::Refused | End::Denied);
        if let Some(Corrected { code, detail, span }) = corrected {
            info!(meter = %meter, code, "clock of a meter");
            records.push(event(code, detail, meter, now));
            known.moved = span.or(known.moved);
        }
        // It never falls, whatever became of the exchange.
        known.received = known.received.max(received);
        known.offset = offset.or(known.offset);
        known.detail = detail.inspect(|why| debug!(meter = %meter, task = said.id, err = why, "not read"));
        let lane = lane(said);
        let is_new = |slot| self.schedule.progress(no, task).is_some_and(|progress| !progress.is_settled(slot));
        let fresh: Vec<_> = rows.into_iter().filter(|(slot, _)| is_new(*slot)).collect();
        let events = events.into_iter().filter(|(slot, ..)| is_new(*slot));
        records.extend(events.map(|(_, lane, event)| known::of_meter(lane, event, meter, now)));
        for (slot, readings) in fresh {
            self.schedule.settle(no, task, slot);
            records.extend(readings.into_iter().map(|reading| (lane, Body::Reading(reading))));
        }
        self.schedule.handle_done(ticket, end, now);
        let lost = self.schedule.progress(no, task).map_or(0, Progress::lost);
        let before = known.member_mut(task).map_or(lost, |it| std::mem::replace(&mut it.lost, lost));
        if lost > before && matches!(said.what, What::Profile(_) | What::Events(_)) {
            let detail = format!("{}: {} slots could not be read in time and are given up", said.id, lost - before);
            records.push(event("electricity.gap", detail, meter, now));
        }
        let state = self.schedule.state(no).unwrap_or_default();
        // Of who is part of an outage, that is told.
        let is_dark = known.is_dark(state, &self.dark);
        if let Some(code) = Some(state).filter(|_| !is_dark).and_then(|state| known.change_of_state(state)) {
            info!(meter = %meter, code, "meter not as before");
            records.push(event(code, known.detail.clone().unwrap_or_default(), meter, now));
        }
        for apdu in notified {
            records.extend(self.notified(no, &apdu, now));
        }
        self.store_with_mark(no, records);
    }

    /// Puts records in the line to the store, together with how far their meter has come.
    pub(super) fn store_with_mark(&mut self, no: MeterNo, records: Vec<(Lane, Body)>) {
        self.store_and_then(no, records, None);
    }

    /// The same; `done` hears when it is durable.
    pub(super) fn store_and_then(&mut self, no: MeterNo, mut records: Vec<(Lane, Body)>, done: Option<Done>) {
        self.stand(&mut records);
        let marks = self.mark(no).into_iter().collect();
        self.waiting.push_back(Batch { records, marks, done });
    }

    /// False: the store's queue is full, for a moment or as long as the disk is.
    pub(super) fn hand_over(&mut self) -> bool {
        while let Some(Batch { records, marks, done }) = self.waiting.pop_front() {
            match self.store.try_append_marked(records, &marks, done) {
                Ok(()) => {}
                Err((StoreError::Busy, records, done)) => {
                    self.waiting.push_front(Batch { records, marks, done });
                    return false;
                }
                Err((error, records, _)) => {
                    warn!(err = %chain(&error), count = records.len(), "store refuses records");
                }
            }
        }
        true
    }
}

pub(super) fn mark_name(id: [u8; 8]) -> Vec<u8> {
    [MARK, id.as_slice()].concat()
}

/// What begins the names of marks: how far a meter was read.
const MARK: &[u8] = b"electricity/";
/// How long to wait for a place in the store's queue.
const STORE_BUSY: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_secs(5);
