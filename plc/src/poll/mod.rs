//! Whom to ask when, and how much at once, so that the airtime of a mesh is used and not fought for.
//!
//! Exchanges are opaque: a node, lengths, a priority, a deadline. The scheduler keeps one exchange under way for each
//! node, a window for each branch (the nodes behind one first hop) and one for the whole, grows them by what is answered
//! and halves them by what is lost or had to wait for a route; it waits for as long as the hops and the node's own history
//! make likely, counted from the confirm of the modem on, and asks who does not answer less and less often. It sends
//! nothing and knows no protocol. Goals: `../shared/facts/plc-routes.md`, 4.

mod apart;
mod branch;
mod late;
mod limits;
mod node;
mod noise;
#[cfg(test)]
mod tests;
mod view;
mod window;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::Eui64;
use apart::Apart;
use branch::Branch;
pub use limits::Limits;
use node::Node;
use noise::Noise;
pub use view::{BranchView, Counts};
use window::Window;

/// Something to send to a node, and what is expected back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// The caller's own number, used once.
    pub ticket: u64,
    pub node: Eui64,
    pub priority: Priority,
    /// Of the request and of the expected answer, on the air.
    pub octets: u16,
    pub answer: u16,
    /// After that nobody wants the answer any more.
    pub deadline: Instant,
}

/// The most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    OnDemand,
    Event,
    Billing,
    Profile,
    Firmware,
}

/// To be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    pub ticket: u64,
    pub node: Eui64,
    /// From 1.
    pub attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The deadline has passed.
    Expired { ticket: u64, node: Eui64 },
    /// An attempt came to nothing: there was no way, or no answer in time. It is repeated, unless it is cancelled.
    Unanswered { ticket: u64, node: Eui64, had_way: bool },
    /// So many times in a row it did not answer; it is asked less and less often.
    Silent { node: Eui64, failures: u32 },
    /// A silent node has answered.
    Back { node: Eui64 },
}

/// How the network sees the way to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The first hop; the node itself where there is no other.
    pub first_hop: Eui64,
    pub hops: u8,
}

#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    nodes: BTreeMap<Eui64, Node>,
    branches: BTreeMap<Eui64, Branch>,
    flights: BTreeMap<u64, Flight>,
    apart: Apart,
    window: Window,
    noise: Noise,
    /// Octets of what was answered lately, request and answer.
    length: f64,
    /// Somebody looks for a route.
    is_quiet: bool,
    /// When somebody who is left alone may be asked because nobody else waits.
    idle_from: Option<Instant>,
    counts: Counts,
    places: u64,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// One exchange that is under way.
#[derive(Debug, Clone)]
struct Flight {
    exchange: Exchange,
    attempts: u32,
    branch: Eui64,
    sent: Instant,
    confirmed: bool,
    /// From then on it is late: somebody looks for a route, and what others send would be lost between the requests
    /// for it, and break more.
    due: Instant,
    is_late: bool,
    until: Instant,
    /// Branches that were asked meanwhile.
    beside: Vec<Eui64>,
}

impl Scheduler {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: BTreeMap::new(),
            branches: BTreeMap::new(),
            flights: BTreeMap::new(),
            apart: Apart::default(),
            window: Window::new(2.0, limits.window),
            noise: Noise::default(),
            length: 0.0,
            is_quiet: false,
            idle_from: None,
            counts: Counts::default(),
            places: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Wants an exchange. Those of one node go in order of priority, and of request.
    pub fn request(&mut self, exchange: Exchange, now: Instant) {
        self.places += 1;
        let place = self.places;
        self.nodes.entry(exchange.node).or_default().push(exchange, place, self.limits.keep, now);
        self.fill(now);
    }

    /// What is known of the way to a node; without it a node is taken for a neighbour.
    pub fn path(&mut self, node: Eui64, path: Path) {
        self.nodes.entry(node).or_default().path = Some(path);
    }

    /// The modem has sent a request to the first hop, or could not.
    pub fn confirmed(&mut self, ticket: u64, is_sent: bool, now: Instant) {
        let Some(flight) = self.flights.get_mut(&ticket).filter(|flight| !flight.confirmed) else { return };
        if !is_sent {
            return self.failed(ticket, true, now);
        }
        (flight.confirmed, flight.is_late) = (true, false);
        let (node, is_slow) = (flight.exchange.node, now - flight.sent > self.limits.slow_confirm);
        let patience = self.nodes.entry(node).or_default().patience(&flight.exchange);
        flight.due = now + patience.min(self.limits.repair_time);
        flight.until = now + patience.max(self.limits.repair_time).min(self.limits.answer_time);
        if is_slow {
            // It had to look for a route: what others send now gets lost between the requests for it.
            self.window.shrink(now);
        }
    }

    /// A node has answered.
    pub fn answered(&mut self, ticket: u64, now: Instant) {
        let Some(flight) = self.land(ticket) else { return self.answered_late(ticket, now) };
        let octets = f64::from(flight.exchange.octets) + f64::from(flight.exchange.answer);
        self.length += (octets - self.length) / LATELY;
        self.window.grow();
        if let Some(branch) = self.branches.get_mut(&flight.branch) {
            branch.window.grow();
        }
        let id = flight.exchange.node;
        let node = self.nodes.entry(id).or_default();
        self.counts.answered += 1;
        self.counts.airtime += node.airtime(&flight.exchange);
        self.noise.count(true);
        if node.answered(&flight.exchange, now - flight.sent, now) {
            self.events.push_back(Event::Back { node: id });
        }
        self.fill(now);
    }

    /// Nobody wants it any more.
    pub fn cancel(&mut self, ticket: u64, now: Instant) {
        self.land(ticket);
        self.transmits.retain(|transmit| transmit.ticket != ticket);
        for node in self.nodes.values_mut() {
            node.take(ticket);
        }
        self.fill(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let over = self.flights.iter().filter(|(_, flight)| flight.until <= now);
        let over: Vec<u64> = over.map(|(ticket, _)| *ticket).collect();
        over.into_iter().for_each(|ticket| self.failed(ticket, false, now));
        for (id, node) in &mut self.nodes {
            let expired = node.expire(now).into_iter().map(|ticket| Event::Expired { ticket, node: *id });
            self.events.extend(expired);
        }
        self.fill(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let flights = self.flights.values().map(|flight| flight.until);
        let nodes = self.nodes.values().filter_map(|node| node.wakes(self.has_room()));
        flights.chain(self.late_at()).chain(nodes).chain(self.idle()).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn land(&mut self, ticket: u64) -> Option<Flight> {
        let flight = self.flights.remove(&ticket)?;
        if let Some(branch) = self.branches.get_mut(&flight.branch) {
            branch.in_flight -= 1;
        }
        if let Some(node) = self.nodes.get_mut(&flight.exchange.node) {
            node.is_busy = false;
        }
        Some(flight)
    }

    /// The answer to an exchange that waits to be sent again.
    fn answered_late(&mut self, ticket: u64, now: Instant) {
        let taken = self.nodes.iter_mut().find_map(|(id, node)| node.take(ticket).map(|_| (*id, node)));
        if let Some((id, node)) = taken {
            if node.came_late(now) {
                self.events.push_back(Event::Back { node: id });
            }
            self.fill(now);
        }
    }

    /// `is_lost` where there was no way to the node; else there was no answer.
    fn failed(&mut self, ticket: u64, is_lost: bool, now: Instant) {
        let Some(flight) = self.land(ticket) else { return };
        self.window.shrink(now);
        if let Some(branch) = self.branches.get_mut(&flight.branch) {
            branch.window.shrink(now);
        }
        self.apart.keep(flight.branch, &flight.beside, now, now + self.limits.apart);
        let id = flight.exchange.node;
        let node = self.nodes.entry(id).or_default();
        let failures = node.failed(flight.exchange, flight.attempts, is_lost, now);
        self.counts.lost += 1;
        self.noise.count(false);
        self.events.push_back(Event::Unanswered { ticket, node: id, had_way: !is_lost });
        if flight.exchange.priority == Priority::OnDemand && flight.attempts < WAITED_FOR {
            node.hold(now, AT_ONCE, AT_ONCE);
        } else if is_lost || failures > 1 {
            // A first loss is mended at once, but a search for a route is not repeated.
            let pause = self.limits.pause.mul_f64(LONGER.powf(f64::from((failures - 1).min(32))));
            let pause = pause.min(self.limits.longest_pause);
            node.hold(now, pause, self.limits.pause.max(pause / EARLIER));
        }
        if failures >= SILENT {
            self.events.push_back(Event::Silent { node: id, failures });
        }
        self.fill(now);
    }

    /// Sends what there is room for, and nothing while an answer is late but what somebody waits for.
    fn fill(&mut self, now: Instant) {
        self.note_late(now);
        while let Some(id) = self.whom(now) {
            let Some(node) = self.nodes.get_mut(&id) else { return };
            let Some((exchange, attempts)) = node.pop() else { return };
            node.is_busy = true;
            let branch = node.path.map_or(id, |path| path.first_hop);
            self.places += 1;
            let there = self.branches.entry(branch).or_insert_with(|| Branch::new(self.limits.branch));
            there.in_flight += 1;
            there.served = self.places;
            let (due, until) = (now + self.limits.slow_confirm, now + self.limits.confirm_time);
            let attempts = attempts + 1;
            let beside = self.flights.values().map(|flight| flight.branch).collect();
            self.flights.values_mut().for_each(|flight| flight.beside.push(branch));
            let flight =
                Flight { exchange, attempts, branch, sent: now, confirmed: false, due, is_late: false, until, beside };
            self.flights.insert(exchange.ticket, flight);
            self.transmits.push_back(Transmit { ticket: exchange.ticket, node: id, attempt: attempts });
            self.counts.sent += 1;
        }
    }

    fn whom(&mut self, now: Instant) -> Option<Eui64> {
        match self.flights.values().any(|flight| flight.is_late) {
            true => self.next_beside_late(now),
            false if self.has_room() => self.next(now).or_else(|| self.next_of_held(now)),
            false => None,
        }
    }

    /// Nobody waits but who is left alone: whose time is over first is asked all the same, where a part of it has passed,
    /// and so seldom that the searches for it take a twentieth of the airtime.
    fn next_of_held(&mut self, now: Instant) -> Option<Eui64> {
        if !self.flights.is_empty() || self.is_quiet || self.idle_from.is_some_and(|from| from > now) {
            return None;
        }
        let early = self.nodes.iter().filter_map(|(id, node)| Some((node.early()?, node.held_until, *id)));
        let (_, _, id) = early.filter(|(from, ..)| *from <= now).min_by_key(|(_, until, id)| (*until, *id))?;
        self.idle_from = Some(now + PROBE.mul_f64(self.nodes.len() as f64));
        Some(id)
    }

    fn idle(&self) -> Option<Instant> {
        let is_idle = self.flights.is_empty() && !self.is_quiet;
        let early = self.nodes.values().filter_map(Node::early).min().filter(|_| is_idle)?;
        Some(self.idle_from.map_or(early, |from| early.max(from)))
    }

    /// In a noisy hour one thing at a time is enough to fight with. Where sessions have long exchanges all of them go one
    /// by one: if only the short ones went beside others, sessions would take turns, and the branches with them.
    fn has_room(&self) -> bool {
        let is_beside = || !self.noise.is_noisy() && self.length <= f64::from(self.limits.beside);
        self.window.has_room(self.flights.len()) && (self.flights.is_empty() || is_beside())
    }

    /// Who is next: by priority, then who has failed least often, then who has begun already, then the branch that was
    /// served last. Who failed comes when the others are through, as each attempt may cost a search, and what keeps it
    /// from answering goes away by itself. A branch is served to its end while its links are known and its routes fresh:
    /// where branches take turns, each link is measured anew each time, and three times as many routes break.
    fn next(&self, now: Instant) -> Option<Eui64> {
        let ready = self.nodes.iter().filter_map(|(id, node)| {
            let priority = node.ready(now)?;
            let waits = self.is_quiet || priority == Priority::Firmware && self.noise.is_noisy();
            if waits && priority != Priority::OnDemand {
                return None;
            }
            let first_hop = node.path.map_or(*id, |path| path.first_hop);
            if self.flights.values().any(|flight| self.apart.are(flight.branch, first_hop, now)) {
                return None;
            }
            let branch = self.branches.get(&first_hop);
            if branch.is_some_and(|branch| !branch.window.has_room(branch.in_flight)) {
                return None;
            }
            let (in_flight, served) = branch.map_or((0, 0), |branch| (branch.in_flight, branch.served));
            let has_begun = node.has_begun(self.limits.keep, now);
            Some(((priority, node.setbacks(), !has_begun, in_flight, Reverse(served), node.place), *id))
        });
        ready.min().map(|(_, id)| id)
    }
}

/// So many times as long is a node left alone each time: what disturbs it may be over soon, and who failed lets others go
/// first anyhow.
const LONGER: f64 = 1.5;
/// This part of the time for which a node is left alone must have passed where nobody else waits.
const EARLIER: u32 = 16;
/// For each node of the network: a search takes a fortieth of a second of each.
const PROBE: Duration = Duration::from_millis(500);
/// Answers that are counted as lately.
const LATELY: f64 = 50.0;
/// So many times a node that somebody waits for is asked nearly at once: in the meantime its way is put back.
const WAITED_FOR: u32 = 4;
const AT_ONCE: Duration = Duration::from_secs(1);
/// After so many failures in a row a node counts as silent.
const SILENT: u32 = 3;
