//! The task of one G3-PLC network: its modem's port, its coordinator, and what of it must be durable before anything
//! that depends on it leaves.
//!
//! A port that goes away is opened again, with a pause that grows; the modem is then started anew. Nodes do not notice.

mod answers;
mod echoes;
mod heard;
mod keep;
mod line;
mod losses;
mod outages;
mod pan;
mod polling;
mod routes;
#[cfg(test)]
mod tests;
mod told;
mod traces;
mod tunnel;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plc::g3::bootstrap::{self, Entropy, Limits, Patience, Ring, Server, Verdict};
use plc::g3::coordinator::{Coordinator, Event};
use plc::g3::modem::{self, Generation, Keyring, Modem, Ticket};
use plc::{Eui64, Key};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::receiver::Source;
use super::waiting::Waiting;
use super::{chain, settings};
use crate::clock::{Now, ReadClock};
use crate::config;
use crate::config::plc::{PanConflict, Unlisted};
use crate::control::MeshState;
use crate::journal::JournalError;
use crate::registry::{Mesh, Network};
use crate::store::Store;

use answers::{Asked, Staged};
pub(super) use answers::{Question, Reply};
use keep::Unkept;
use line::Line;
pub(super) use outages::Dark;
use outages::Watch;
use polling::Polling;
use routes::Routing;
use told::Told;
pub(super) use tunnel::{Heard, Tunnel};

/// Everything the task owns.
pub(super) struct Plc {
    name: Arc<str>,
    source: Source,
    unlisted: Verdict,
    coordinator: Coordinator,
    network: Network,
    mesh: Mesh,
    clock: ReadClock,
    /// How much faster that goes than deadlines are waited for.
    speed: u32,
    store: Store,
    waiting: Waiting,
    unkept: Unkept,
    asked: BTreeMap<Ticket, Asked>,
    staged: Option<Staged>,
    configured_pan: u16,
    changes_pan: bool,
    /// When it got another PAN id.
    moved: Option<Instant>,
    polling: Polling,
    told: Told,
    routing: Routing,
    watch: Watch,
    heard: heard::Heard,
    view: View,
}

/// What is said of the network as a whole.
#[derive(Debug)]
struct View {
    /// When the service began.
    began: Instant,
    state: MeshState,
    since_ms: i64,
    error: Option<String>,
    starts: u64,
    conflict_ms: Option<i64>,
    /// Files that cannot be used, and why.
    unkept: Vec<String>,
    /// What an earlier life kept, and the next one did not find.
    lost: losses::Losses,
}

impl Plc {
    /// The network as it was left, or a new one with a key of its own; blocks. `patience` is how long an answer may take
    /// once its request has left.
    ///
    /// # Errors
    /// What was left cannot be read: without its keys and counters no network is run.
    pub(super) fn open(
        said: &config::Plc,
        patience: Option<Duration>,
        state_dir: &Path,
        store: Store,
        (clock, speed): (ReadClock, u32),
        dark: Dark,
    ) -> Result<Self, JournalError> {
        let now = clock();
        let key = Key(random_block());
        let keys = if said.key_index == 0 { [Some(key), None] } else { [None, Some(key)] };
        let first = Ring { keyring: Keyring { active: said.key_index & 1, keys }, ..Ring::new(key) };
        let directory = state_dir.join(format!("plc-{}", said.name));
        let mut network = Network::open(&directory, first)?;
        let own = match said.eui64 {
            Some(own) => own,
            None => network.own_eui64(locally_administered(random_block()))?,
        };
        let config = modem::Config {
            prefix: said.prefix,
            max_hops: said.max_hops,
            message_timeout: bootstrap::MODEM_MESSAGE_TIME_S,
            pace: speed,
            ..modem::Config::new(said.band, network.pan(said.pan_id), own)
        };
        let unlisted = if said.unlisted == Unlisted::Hold { Verdict::Hold } else { Verdict::Decline };
        let ring = *network.ring();
        let server = Server::new(
            Limits { patience: Patience::within(said.rekey_patience), ..Limits::default() },
            &own.0,
            ring,
            network.members(),
            network.admission(unlisted.clone()),
            Entropy(Box::new(random_block)),
            now.mono,
        );
        let modem = Modem::new(config, ring.keyring, network.counters(), now.mono);
        let mut plc = Self {
            name: said.name.as_str().into(),
            source: settings::source(&said.source),
            unlisted,
            coordinator: Coordinator::new(modem, server, now.mono),
            network,
            mesh: Mesh::default(),
            clock,
            speed,
            store,
            waiting: Waiting::default(),
            unkept: Unkept::default(),
            asked: BTreeMap::new(),
            staged: None,
            configured_pan: said.pan_id,
            changes_pan: said.pan_conflict == PanConflict::Change,
            moved: None,
            polling: Polling::new(patience),
            told: Told::default(),
            routing: Routing::new(said.max_hops, now),
            watch: Watch::new(dark),
            heard: heard::Heard::default(),
            view: View {
                began: now.mono,
                state: MeshState::Absent,
                since_ms: now.utc_ms,
                error: None,
                starts: 0,
                conflict_ms: None,
                unkept: Vec::new(),
                lost: Vec::new(),
            },
        };
        plc.take_up_losses(now);
        plc.take_up_routes(&directory, now);
        plc.take_up_outages(&directory, now);
        plc.take_up_heard(&directory, now);
        Ok(plc)
    }

    /// Runs the network until `stop`.
    pub(super) async fn run(mut self, mut questions: mpsc::Receiver<Question>, seed: u64, stop: CancellationToken) {
        let mut line = Line::new(self.source.clone(), seed);
        let mut tables = tokio::time::interval(TABLES / self.speed);
        tables.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.drain();
            let is_blocked = !self.waiting.hand_over(&self.store, (self.clock)());
            while let Some(octets) = self.coordinator.poll_transmit() {
                line.write(&octets).await;
            }
            self.look_at(&line);
            let is_late = |staged: &Staged| (self.clock)().mono.saturating_duration_since(staged.at) > IMPORT_PAUSE;
            // Keys of an import that was broken off are not kept.
            if self.staged.as_ref().is_some_and(is_late) {
                self.staged = None;
            }
            // Nobody can answer while there is no port: nothing is waited for.
            let due = self.wakes(self.coordinator.poll_timeout().filter(|_| line.is_open()));
            let poll_due = self.wakes(self.polling.poll_timeout());
            let own = [self.routing.poll_timeout(), self.watch.poll_timeout(), self.heard.poll_timeout()];
            let route_due = self.wakes(own.into_iter().flatten().min());
            tokio::select! {
                () = stop.cancelled() => break,
                Some(question) = questions.recv() => self.answer(question),
                happened = line.happens() => match happened {
                    line::Happening::Opened => {
                        info!(network = %self.name, source = %self.source, "modem's port open");
                        let now = (self.clock)().mono;
                        self.coordinator.with_modem(now, |modem| modem.restart(None, now));
                    }
                    line::Happening::Absent => told::no_port(&self.name, line.error()),
                    line::Happening::Octets(octets) => self.coordinator.handle_bytes(octets, (self.clock)().mono),
                    line::Happening::Lost => {
                        warn!(network = %self.name, err = line.error().unwrap_or(""), "modem's port lost");
                        self.polling.network_lost((self.clock)().mono);
                    }
                },
                // While there is no network what is to be sent waits where it is.
                Some(packet) = self.polling.next(), if self.view.state == MeshState::Up => self.take_packet(packet),
                () = sleep_until(due) => self.coordinator.handle_timeout((self.clock)().mono),
                () = sleep_until(poll_due) => self.polling.handle_timeout((self.clock)().mono),
                () = sleep_until(self.unkept.retry.unwrap_or_else(super::far)) => self.keep(),
                () = sleep_until(route_due) => self.look_after_routes(),
                _ = tables.tick(), if self.view.state == MeshState::Up => self.read_tables(),
                () = tokio::time::sleep(STORE_BUSY), if is_blocked => {}
            }
        }
        self.routing.write();
        let now = (self.clock)();
        self.write_heard(now);
        self.write_outages(now);
        self.waiting.hand_over(&self.store, now);
    }

    /// When the service began, by the clock as it is now: it may have been set since.
    fn began_ms(&self, now: Now) -> i64 {
        now.utc_ms - now.mono.saturating_duration_since(self.view.began).as_millis() as i64
    }

    /// When a deadline is by the runtime's clock.
    fn wakes(&self, due: Option<Instant>) -> tokio::time::Instant {
        let left = |due: Instant| due.saturating_duration_since((self.clock)().mono) / self.speed;
        due.map_or_else(super::far, |due| tokio::time::Instant::now() + left(due))
    }

    /// What the port's state means for the network's.
    fn look_at(&mut self, line: &Line) {
        let state = match self.view.state {
            _ if !line.is_open() => MeshState::Absent,
            MeshState::Absent => MeshState::Starting,
            state => state,
        };
        match (self.view.state, state) {
            (_, MeshState::Absent) => self.view.error = line.error().map(str::to_owned),
            // Why there was no port is no reason any more.
            (MeshState::Absent, _) => self.view.error = None,
            _ => {}
        }
        self.enter(state);
    }

    fn enter(&mut self, state: MeshState) {
        if self.view.state != state {
            self.view.state = state;
            self.view.since_ms = (self.clock)().utc_ms;
        }
    }

    /// Takes what the coordinator says, until it says nothing any more.
    fn drain(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some(event) = self.coordinator.poll_event() {
                is_quiet = false;
                self.take(event);
            }
            is_quiet &= !self.act_on_routes() & !self.act_on_outages() & !self.send_what_may_go();
            if is_quiet {
                return;
            }
            // All that was said at once becomes durable at once.
            self.keep();
        }
    }

    fn take(&mut self, event: Event) {
        let now = (self.clock)();
        match event {
            Event::Modem(event) => self.take_modem(event, now),
            Event::Bootstrap(event) => self.take_bootstrap(&event, now),
            Event::Datagram { short_addr, source_port, payload, lqi, .. } => {
                if let Some(eui64) = self.packet_came(short_addr, lqi, now) {
                    self.polling.receive(eui64, source_port, payload, now.mono);
                }
            }
            Event::Echo { short_addr, lqi } => drop(self.packet_came(short_addr, lqi, now)),
            Event::PanConflict { pan_id } => self.pan_conflict(pan_id, now),
        }
    }

    fn take_modem(&mut self, event: modem::Event, now: Now) {
        match event {
            modem::Event::Reserve(counters) => self.unkept.counters = Some(counters),
            modem::Event::Up(generation) => {
                info!(network = %self.name, ?generation, "network up");
                self.view.starts += 1;
                self.view.error = None;
                self.enter(MeshState::Up);
                self.routes_begin();
                let where_lbs = if generation == Generation::HostLbs { "the host" } else { "the modem" };
                self.tell("plc.up", format!("the bootstrap server is in {where_lbs}"), now);
            }
            // The port was opened: it is no fault.
            modem::Event::Down(modem::Cause::Asked) if self.view.state != MeshState::Up => {}
            modem::Event::Down(cause) => {
                self.routing.set_up(false);
                self.watch.outages.set_up(false, now.mono);
                self.polling.network_lost(now.mono);
                warn!(network = %self.name, %cause, "network down");
                self.view.error = Some(cause.to_string());
                if self.view.state == MeshState::Up {
                    self.tell("plc.down", cause.to_string(), now);
                    self.enter(MeshState::Starting);
                }
            }
            modem::Event::NotTaken { request, refusal } => {
                debug!(network = %self.name, request, %refusal, "modem does without");
            }
            modem::Event::Answered(ticket, result) => self.answered(ticket, result, now),
            modem::Event::Sent(ticket, delivery) => self.message_sent(ticket, delivery, now),
            modem::Event::RouteNotFound { destination, next_hop, .. } => {
                debug!(network = %self.name, destination, next_hop, "no route");
            }
            _ => {}
        }
    }

    fn take_bootstrap(&mut self, event: &bootstrap::Event, now: Now) {
        self.mesh.note(event, &self.network, now.utc_ms);
        self.membership(event, now);
        match event {
            bootstrap::Event::Remember(member) => drop(self.unkept.members.insert(member.eui64, *member)),
            bootstrap::Event::KeepRing(ring) => self.unkept.ring = Some(*ring),
            bootstrap::Event::Joined { eui64, short_addr } => {
                info!(network = %self.name, node = %eui64, short_addr = format_args!("{short_addr:04x}"), "node joined");
                self.tell("plc.node_joined", format!("node {eui64} as {short_addr:04x}"), now);
            }
            bootstrap::Event::Left { eui64 } => {
                info!(network = %self.name, node = %eui64, "node left");
                self.tell("plc.node_left", format!("node {eui64}"), now);
            }
            bootstrap::Event::JoinFailed { eui64, why } => {
                if self.told.is_news(*eui64, "plc.join_failed", now.utc_ms) {
                    warn!(network = %self.name, node = %eui64, %why, "join failed");
                    self.tell("plc.join_failed", format!("node {eui64}: {why}"), now);
                }
            }
            bootstrap::Event::Refused { eui64, is_declined } => {
                if self.told.is_news(*eui64, "plc.node_refused", now.utc_ms) {
                    info!(network = %self.name, node = %eui64, is_declined, "node not admitted");
                    self.tell("plc.node_refused", format!("node {eui64} asked and may not join"), now);
                }
            }
            bootstrap::Event::Rekey { phase, missing } => {
                info!(network = %self.name, ?phase, missing, "new key");
                self.tell("plc.rekey", format!("{}, {missing} nodes missing", told::phase(*phase)), now);
            }
        }
    }
}

fn random_block() -> [u8; 16] {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).expect("the kernel's generator is ready once the system has booted");
    octets
}

/// An EUI-64 that no manufacturer gives.
fn locally_administered([a, b, c, d, e, f, g, h, ..]: [u8; 16]) -> Eui64 {
    Eui64([a & 0xfc | 0x02, b, c, d, e, f, g, h])
}

/// How often the modem's routing and neighbour tables are read: it costs nothing in the air.
const TABLES: Duration = Duration::from_secs(15 * 60);
/// How long to wait for a place in the store's queue.
const STORE_BUSY: Duration = Duration::from_millis(50);
/// Between two parts of an import.
const IMPORT_PAUSE: Duration = Duration::from_secs(60);
