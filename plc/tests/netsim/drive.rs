//! Joins a poller with a simulated network: what each wants of the other, and the time of both.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use plc::Eui64;
use plc::poll::{Event, Exchange, Limits, Path, Priority, Scheduler, Transmit};
use plc::route::{self, Action, Failure, Routes};
use plc::sim::identity;
use plc::sim::net::{Medium, Micros, Modulation, NodeNo, Output, Request, World};

use crate::watch::Watch;

/// What decides who is asked when.
pub(crate) trait Poller {
    fn request(&mut self, exchange: Exchange, now: Instant);
    fn path(&mut self, node: Eui64, path: Path);
    fn confirmed(&mut self, ticket: u64, is_sent: bool, now: Instant);
    fn answered(&mut self, ticket: u64, now: Instant);
    fn handle_timeout(&mut self, now: Instant);
    fn poll_timeout(&mut self) -> Option<Instant>;
    fn poll_transmit(&mut self) -> Option<Transmit>;

    /// What somebody who looks after routes wants to know, and tells.
    fn poll_event(&mut self) -> Option<Event> {
        None
    }
    fn heard(&mut self, _: Eui64, _: Instant) {}
    fn set_quiet(&mut self, _: bool, _: Instant) {}
    fn is_busy(&self, _: Instant) -> bool {
        true
    }
    fn hoped_for(&self, _: Instant) -> usize {
        usize::MAX
    }
}

/// A network, its poller and what came of it.
pub(crate) struct Drive<P> {
    pub(crate) world: World,
    pub(crate) poller: P,
    /// Who looks after routes; without one the modem looks for what it has none for, whenever it wants.
    pub(crate) host: Option<Routes>,
    /// Who watches for outages, where it has begun.
    pub(crate) watch: Watch,
    begin: Instant,
    wanted: BTreeMap<u64, Wanted>,
    tickets: u64,
    /// When the host reads the coordinator's routing table, as the service does.
    table_due: Micros,
    /// Exchanges that were begun, answered, and answered without another attempt.
    pub(crate) begun: u64,
    pub(crate) answered: u64,
    pub(crate) at_once: u64,
    /// How long those took that were not.
    pub(crate) repairs: Vec<Micros>,
    /// The airtime of all that was answered, one after the other, with nothing lost.
    pub(crate) bound: Micros,
}

/// Who knows no routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anew {
    Modem,
    Unit,
}

/// A row of exchanges with one meter.
struct Wanted {
    node: NodeNo,
    priority: Priority,
    asked: Micros,
    exchange: Exchange,
    rest: VecDeque<(u16, u16)>,
    attempts: u32,
    sent: Micros,
    /// The modem may look for a route for it.
    discovers: bool,
}

/// A session that is through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) node: NodeNo,
    pub(crate) priority: Priority,
    pub(crate) asked: Micros,
    pub(crate) at: Micros,
    /// Of the last answer.
    pub(crate) hops: u8,
}

/// The service's; `WINDOW` says how much is under way at once at most.
pub(crate) fn scheduler() -> Scheduler {
    let limits = Limits::default();
    let window = std::env::var("WINDOW").map_or(limits.window, |text| text.parse().expect("WINDOW is a number"));
    Scheduler::new(Limits { window, ..limits })
}

impl Poller for Scheduler {
    fn request(&mut self, exchange: Exchange, now: Instant) {
        self.request(exchange, now);
    }

    fn path(&mut self, node: Eui64, path: Path) {
        self.path(node, path);
    }

    fn confirmed(&mut self, ticket: u64, is_sent: bool, now: Instant) {
        self.confirmed(ticket, is_sent, now);
    }

    fn answered(&mut self, ticket: u64, now: Instant) {
        self.answered(ticket, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }

    fn heard(&mut self, node: Eui64, now: Instant) {
        self.heard(node, now);
    }

    fn is_busy(&self, now: Instant) -> bool {
        self.is_busy(now)
    }

    fn hoped_for(&self, now: Instant) -> usize {
        self.hoped_for(now)
    }

    fn set_quiet(&mut self, is_quiet: bool, now: Instant) {
        self.set_quiet(is_quiet, now);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        Scheduler::poll_timeout(self)
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.poll_transmit()
    }
}

impl<P: Poller> Drive<P> {
    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    pub(crate) fn new(world: World, poller: P) -> Self {
        let begin = Instant::now();
        let (wanted, repairs) = (BTreeMap::new(), Vec::new());
        let (table_due, begun, answered, at_once, bound) = (0, 0, 0, 0, 0);
        let watch = Watch::default();
        Self {
            world,
            poller,
            host: None,
            watch,
            begin,
            wanted,
            tickets: 0,
            table_due,
            begun,
            answered,
            at_once,
            repairs,
            bound,
        }
    }

    /// With a host that looks after routes as the service does, but traces no paths.
    pub(crate) fn with_host(mut self) -> Self {
        let limits = route::Limits { trace_share: 0.0, ..route::Limits::of(self.world.meters().len(), 8) };
        let mut host = Routes::new(limits, self.both());
        host.set_up(true);
        host.table(self.world.table().map(|(node, way, _)| (node as u16, way)), self.both());
        self.host = Some(host);
        self
    }

    /// The modem was started anew, and has forgotten its routes; `Anew::Unit` says that the host knows none either.
    pub(crate) fn anew(mut self, anew: Anew) -> Self {
        self.world.set_coordinator(false);
        self.world.set_coordinator(true);
        let both = self.both();
        if let Some(host) = &mut self.host {
            if anew == Anew::Unit {
                *host = Routes::new(*host.limits(), both);
            }
            host.set_up(false);
            host.set_up(true);
        }
        self
    }

    /// From now on outages are told.
    pub(crate) fn watched(mut self) -> Self {
        let now = self.now();
        self.watch.begin(&self.world, now);
        self
    }

    /// Asks a meter for a row of exchanges.
    pub(crate) fn ask(&mut self, node: NodeNo, priority: Priority, session: Vec<(u16, u16)>) {
        let asked = self.world.now();
        self.exchange(node, priority, asked, session.into());
    }

    fn exchange(&mut self, node: NodeNo, priority: Priority, asked: Micros, mut rest: VecDeque<(u16, u16)>) {
        let Some((octets, answer)) = rest.pop_front() else { return };
        self.tickets += 1;
        let (ticket, now, eui64) = (self.tickets, self.now(), identity(node as u32).0);
        if let Some((next, hops)) = self.world.route(node) {
            self.poller.path(eui64, Path { first_hop: identity(next as u32).0, hops });
        }
        let deadline = self.begin + Duration::from_secs(30 * 86_400);
        let exchange = Exchange { ticket, node: eui64, priority, octets, answer, deadline };
        self.wanted
            .insert(ticket, Wanted { node, priority, asked, exchange, rest, attempts: 0, sent: 0, discovers: true });
        self.poller.request(exchange, now);
    }

    /// Goes on to the end of the next row of exchanges, or to `until`.
    pub(crate) fn run(&mut self, until: Micros) -> Option<Done> {
        loop {
            self.look_after_routes();
            while let Some(transmit) = self.poller.poll_transmit() {
                let both = self.both();
                let Some(wanted) = self.wanted.get_mut(&transmit.ticket) else { continue };
                wanted.attempts += 1;
                if wanted.attempts == 1 {
                    self.begun += 1;
                    wanted.sent = self.world.now();
                }
                let Exchange { octets, answer, ticket: tag, .. } = wanted.exchange;
                let is_waited_for = wanted.priority == Priority::OnDemand;
                let may_search = |host: &mut Routes| host.may_search(wanted.node as u16, is_waited_for, both);
                wanted.discovers = self.host.as_mut().is_none_or(may_search);
                self.world.request(wanted.node, Request { tag, octets, answer, discovers: wanted.discovers });
            }
            let host = self.host.as_ref().and_then(Routes::poll_timeout);
            let wakes = self.poller.poll_timeout().into_iter().chain(host).chain(self.watch.poll_timeout()).min();
            let table_due = if self.host.is_some() { self.table_due } else { until };
            let wakes = wakes.map_or(until, |at| micros(at - self.begin)).min(table_due).clamp(self.world.now(), until);
            match self.world.run(wakes) {
                None if wakes == until => return None,
                None => self.poller.handle_timeout(self.now()),
                Some(Output::Joined { node, .. }) => self.joined(node),
                Some(Output::Hosted(_)) => {}
                Some(Output::Discovered { node, is_found, .. }) => {
                    let (now, both) = (self.now(), self.both());
                    let Some(host) = &mut self.host else { continue };
                    host.discovered(node as u16, is_found, both);
                    self.read_soon();
                    match is_found {
                        true => self.poller.heard(identity(node as u32).0, now),
                        false => self.watch.silent(node, now),
                    }
                }
                Some(Output::Confirmed { tag, is_sent: false, .. })
                    if tag < ECHOES && self.watch.ended(tag, false, self.now()) => {}
                Some(Output::Answered { tag, .. }) if tag < ECHOES && self.watch.ended(tag, true, self.now()) => {}
                Some(Output::Confirmed { tag, is_sent, .. }) if tag >= ECHOES => {
                    let (node, both) = ((tag - ECHOES) as u16, self.both());
                    if let (Some(host), false) = (&mut self.host, is_sent) {
                        host.failed(node, Failure::NoRoute { searched: false }, both);
                        host.unheard(node, both);
                    }
                }
                Some(Output::Answered { tag, node, .. }) if tag >= ECHOES => {
                    let both = self.both();
                    self.host.iter_mut().for_each(|host| host.answered(node as u16, both));
                }
                Some(Output::Confirmed { tag, is_sent, .. }) => {
                    let both = self.both();
                    match self.wanted.get(&tag).filter(|_| !is_sent) {
                        Some(wanted) if wanted.discovers => self.watch.silent(wanted.node, both.mono),
                        Some(wanted) => self.watch.not_taken(wanted.node, both.mono),
                        None => {}
                    }
                    if let (false, Some(wanted), Some(host)) = (is_sent, self.wanted.get(&tag), &mut self.host) {
                        host.failed(wanted.node as u16, Failure::NoRoute { searched: wanted.discovers }, both);
                    }
                    self.poller.confirmed(tag, is_sent, self.now());
                }
                Some(Output::Answered { tag, hops, .. }) => {
                    let now = self.now();
                    self.poller.answered(tag, now);
                    // An answer that came twice is known by its ticket.
                    let Some(wanted) = self.wanted.remove(&tag) else { continue };
                    let Wanted { node, priority, asked, rest, attempts, sent, exchange, .. } = wanted;
                    self.watch.heard(node, &self.world, now);
                    let both = self.both();
                    self.host.iter_mut().for_each(|host| host.answered(node as u16, both));
                    self.answered += 1;
                    match attempts {
                        1 => self.at_once += 1,
                        _ => self.repairs.push(self.world.now() - sent),
                    }
                    self.bound += u64::from(hops) * (airtime(exchange.octets) + airtime(exchange.answer));
                    if rest.is_empty() {
                        self.poller.handle_timeout(now);
                        return Some(Done { node, priority, asked, at: self.world.now(), hops });
                    }
                    self.exchange(node, priority, asked, rest);
                }
            }
        }
    }

    /// Somebody is back of whom something is wanted: what did not work before may work now.
    fn joined(&mut self, node: NodeNo) {
        self.read_soon();
        if self.wanted.values().any(|wanted| wanted.node == node) {
            self.host.iter_mut().for_each(|host| host.joined(node as u16));
            self.poller.heard(identity(node as u32).0, self.now());
        }
    }

    /// When those were asked on demand who have not answered.
    pub(crate) fn waited_for(&self) -> impl Iterator<Item = Micros> {
        let open = self.wanted.values().filter(|wanted| wanted.priority == Priority::OnDemand);
        open.map(|wanted| wanted.asked)
    }

    /// What the scheduler has to say of nodes, and what the host wants done about their routes.
    fn look_after_routes(&mut self) {
        let (now, both) = (self.now(), self.both());
        while let Some(event) = self.poller.poll_event() {
            assert!(!matches!(event, Event::Expired { .. }), "deadlines are far away");
            let Event::Unanswered { ticket, had_way: true, .. } = event else { continue };
            let Some(Wanted { node, .. }) = self.wanted.get(&ticket) else { continue };
            self.watch.silent(*node, now);
            // The service looks at its row then.
            let (node, way) = (*node, self.world.way(*node));
            if let Some(host) = &mut self.host {
                way.into_iter().for_each(|way| host.goes(node as u16, way, both));
                host.failed(node as u16, Failure::NoAnswer, both);
            }
        }
        self.watch.act(&mut self.world, now);
        let Some(host) = &mut self.host else { return };
        if self.table_due <= self.world.now() {
            self.table_due = self.world.now() + TABLES;
            let way = |node: NodeNo| Some((node as u16, self.world.way(node)?));
            host.table(self.world.meters().filter_map(way), both);
            let near = self.world.near(Medium::Plc).map(|step| (step.from as u16, step.lqi));
            host.heard_near(near);
            if host.is_lost() {
                self.table_due = self.world.now() + LOST;
            }
        }
        host.set_waited_for(self.poller.hoped_for(now));
        host.set_busy(!self.wanted.is_empty() && self.poller.is_busy(now));
        host.handle_timeout(both);
        while let Some(action) = host.poll_action() {
            match action {
                Action::Discover { node, most_hops } => self.world.discover(node.into(), most_hops),
                // It has a way again, by itself.
                Action::PutBack { node, .. } if self.world.way(node.into()).is_some() => host.not_put(node),
                Action::PutBack { node, way } | Action::ByAnother { node, way } => {
                    if matches!(action, Action::ByAnother { .. }) {
                        self.table_due = self.table_due.min(self.world.now() + READ_AGAIN);
                    }
                    let medium = if way.medium == Some(route::Medium::Rf) { Medium::Rf } else { Medium::Plc };
                    let minutes = host.limits().route_minutes();
                    self.world.write_route(node.into(), &way, way.next_hop.into(), medium, minutes);
                }
                Action::Look { node } => {
                    self.world.way(node.into()).into_iter().for_each(|way| host.goes(node, way, both));
                }
                Action::Check { node } => {
                    let tag = ECHOES + u64::from(node);
                    self.world.request(node.into(), Request { tag, octets: ECHO, answer: ECHO, discovers: false });
                }
                Action::Trace { .. } | Action::Pin { .. } | Action::Detour { .. } => {}
            }
        }
        while host.poll_change().is_some() {}
        self.poller.set_quiet(host.is_searching(), now);
    }

    fn read_soon(&mut self) {
        self.table_due = self.table_due.min(self.world.now() + READ_AGAIN);
    }

    fn both(&self) -> route::Now {
        route::Now { mono: self.now(), utc_ms: (self.world.now() / 1_000) as i64 }
    }

    pub(crate) fn now(&self) -> Instant {
        self.begin + Duration::from_micros(self.world.now())
    }
}

/// Of one hop in the usual modulation, with headers and acknowledgements.
fn airtime(octets: u16) -> Micros {
    let (medium, modulation) = (Medium::Plc, Modulation::Dbpsk);
    let segments = (octets + HEADERS).div_ceil(medium.segment(modulation));
    let one = medium.airtime(modulation, (octets + HEADERS) / segments) + medium.acknowledgement() + medium.silence();
    u64::from(segments) * one
}

fn micros(duration: Duration) -> Micros {
    // Rounded up, so that it is over when it is waited for.
    Micros::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(Micros::MAX)
}

const HEADERS: u16 = 33;
/// The service reads the routing table so often, and so soon after what may have changed it.
const TABLES: Micros = 15 * 60 * 1_000_000;
const READ_AGAIN: Micros = 10_000_000;
/// And where few ways are known.
const LOST: Micros = 60_000_000;
/// Tags of echoes, with the node; and their length from the IPv6 header on.
const ECHOES: u64 = 1 << 49;
const ECHO: u16 = 48;
