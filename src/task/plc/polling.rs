//! Messages to nodes, admitted by the poll scheduler: how much is under way at once, who comes first, how long an answer
//! may take. What left and was not answered ends its conversation: whether it is asked again its owner decides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plc::Eui64;
use plc::g3::modem::{Delivery, Ticket};
use plc::poll::{Event, Exchange, Limits, Path, Priority, Scheduler};
use tracing::debug;

use super::Plc;
use super::routes::both;
use super::tunnel::{Heard, Packet, Tunnel, Tunnels};
use crate::control::{BranchLine, PollCounts};

/// Everybody who speaks with a node, and what waits for its turn.
#[derive(Debug)]
pub(super) struct Polling {
    scheduler: Scheduler,
    tunnels: Tunnels,
    /// By the scheduler's number.
    requests: BTreeMap<u64, Request>,
    /// By the modem's: the scheduler's, and whether it may look for a route.
    sent: BTreeMap<Ticket, (u64, bool)>,
    next: u64,
}

#[derive(Debug)]
struct Request {
    eui64: Eui64,
    payload: Vec<u8>,
    /// By somebody at the other end.
    is_waited_for: bool,
    /// Times that it was handed to the modem.
    attempts: u32,
}

impl Polling {
    /// With how long an answer may take once its request has left.
    pub(super) fn new(patience: Option<Duration>) -> Self {
        let patience = patience.unwrap_or(PATIENCE);
        Self {
            scheduler: Scheduler::new(limits(patience)),
            tunnels: Tunnels::default(),
            requests: BTreeMap::new(),
            sent: BTreeMap::new(),
            next: 0,
        }
    }

    /// Begins a conversation; an earlier one with the same node ends, and what it wanted.
    pub(super) fn open(&mut self, eui64: Eui64, priority: Priority, now: Instant) -> Tunnel {
        self.drop_requests(|request| request.eui64 == eui64, now);
        self.tunnels.open(eui64, priority)
    }

    /// Who takes what nodes send unasked.
    pub(super) fn listen(&mut self, heard: Heard) {
        self.tunnels.listen(heard);
    }

    pub(super) async fn next(&mut self) -> Option<Packet> {
        self.tunnels.next().await
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.scheduler.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.scheduler.handle_timeout(now);
    }

    /// A node may be asked again: it has joined, or a route to it was found.
    pub(super) fn heard(&mut self, eui64: Eui64, now: Instant) {
        self.scheduler.heard(eui64, now);
    }

    /// A datagram of a node: an answer where something was asked, else a push.
    pub(super) fn receive(&mut self, eui64: Eui64, port: u16, payload: Vec<u8>, now: Instant) {
        let is_answer = |(_, request): &(&u64, &Request)| request.eui64 == eui64 && request.attempts > 0;
        let belongs = port == PORT && self.tunnels.is_answer(eui64, &payload);
        match self.requests.iter().find(is_answer).map(|(ticket, _)| *ticket).filter(|_| belongs) {
            Some(ticket) => {
                self.requests.remove(&ticket);
                self.scheduler.answered(ticket, now);
            }
            None => self.scheduler.heard(eui64, now),
        }
        self.tunnels.receive(eui64, belongs, payload);
    }

    /// What became of a message: whose it was, and whether the modem was allowed to look for a route. None where nobody
    /// waits for it any more.
    pub(super) fn sent(&mut self, ticket: Ticket, delivery: Delivery, now: Instant) -> Option<(Eui64, bool)> {
        let (ticket, searches) = self.sent.remove(&ticket)?;
        self.scheduler.confirmed(ticket, delivery == Delivery::Confirmed, now);
        let eui64 = self.requests.get(&ticket)?.eui64;
        if delivery != Delivery::Confirmed {
            debug!(node = %eui64, ?delivery, "message not delivered");
        }
        Some((eui64, searches))
    }

    /// Nobody answers any more.
    pub(super) fn network_lost(&mut self, now: Instant) {
        self.sent.clear();
        self.tunnels.close_all("the PLC network went down");
        self.drop_requests(|_| true, now);
    }

    fn drop_requests(&mut self, is_meant: impl Fn(&Request) -> bool, now: Instant) {
        let meant = self.requests.iter().filter(|(_, request)| is_meant(request));
        for ticket in meant.map(|(ticket, _)| *ticket).collect::<Vec<_>>() {
            self.requests.remove(&ticket);
            self.scheduler.cancel(ticket, now);
        }
    }
}

impl Plc {
    /// A message that somebody wants to send to a node: it waits for its turn.
    pub(super) fn take_packet(&mut self, Packet { eui64, priority, payload }: Packet) {
        let now = (self.clock)().mono;
        let member = self.coordinator.server().member(eui64).filter(|member| member.may_be_joined());
        let held = self.polling.scheduler.held_until(eui64, now).filter(|_| priority != Priority::OnDemand);
        let why = match (member, held) {
            (None, _) => Some("not in the network"),
            (_, Some(_)) => Some("left alone for a while, it did not answer"),
            _ if self.polling.requests.len() >= REQUESTS => Some("too much waits"),
            _ => None,
        };
        let (Some(member), None) = (member, why) else {
            debug!(node = %eui64, why, "message dropped");
            return self.polling.tunnels.close(eui64, &format!("node {eui64}: {}", why.unwrap_or_default()));
        };
        if let Some(way) = self.routing.routes.way(member.short_addr) {
            let first_hop = self.coordinator.server().member_at(way.next_hop).map_or(eui64, |member| member.eui64);
            self.polling.scheduler.path(eui64, Path { first_hop, hops: way.hops });
        }
        self.polling.next += 1;
        let ticket = self.polling.next;
        let octets = u16::try_from(payload.len()).unwrap_or(u16::MAX).saturating_add(HEADERS);
        let is_waited_for = priority == Priority::OnDemand;
        self.polling.requests.insert(ticket, Request { eui64, payload, is_waited_for, attempts: 0 });
        let answer = self.polling.tunnels.answered(eui64).map_or(ANSWER, |octets| octets.saturating_add(HEADERS));
        let exchange = Exchange { ticket, node: eui64, priority, octets, answer, deadline: now + WAIT };
        self.polling.scheduler.request(exchange, now);
    }

    /// Hands the modem what may go, and takes what the scheduler has to say; false where there was nothing.
    pub(super) fn send_what_may_go(&mut self) -> bool {
        let now = (self.clock)();
        let (is_searching, hour) =
            (self.routing.routes.is_searching(), now.utc_ms.div_euclid(3_600_000).rem_euclid(24));
        self.polling.scheduler.set_quiet(is_searching, now.mono);
        self.polling.scheduler.set_hour(hour as u8, now.mono);
        let mut is_any = false;
        while let Some(transmit) = self.polling.scheduler.poll_transmit() {
            is_any = true;
            self.send_request(transmit.ticket, now.mono);
        }
        while let Some(event) = self.polling.scheduler.poll_event() {
            is_any = true;
            self.scheduler_said(event);
        }
        let is_wanted = !self.polling.requests.is_empty();
        let waited_for = if is_wanted { self.polling.scheduler.hoped_for(now.mono) } else { 0 };
        self.routing.routes.set_waited_for(waited_for);
        self.routing.routes.set_busy(is_wanted && self.polling.scheduler.is_busy(now.mono));
        is_any
    }

    fn send_request(&mut self, ticket: u64, now: Instant) {
        let Some(request) = self.polling.requests.get_mut(&ticket) else {
            return self.polling.scheduler.cancel(ticket, now);
        };
        request.attempts += 1;
        let (eui64, is_waited_for) = (request.eui64, request.is_waited_for);
        self.polling.tunnels.left(eui64, &request.payload);
        let member = self.coordinator.server().member(eui64).filter(|member| member.may_be_joined());
        // Who asked may have given up meanwhile, and the node may have left.
        let Some(node) = member.map(|member| member.short_addr).filter(|_| self.polling.tunnels.is_open(eui64)) else {
            self.polling.requests.remove(&ticket);
            self.polling.tunnels.close(eui64, &format!("node {eui64} has left the network"));
            return self.polling.scheduler.cancel(ticket, now);
        };
        let searches = self.routing.routes.may_search(node, is_waited_for, both((self.clock)()));
        let (ports, deadline) = ((PORT, PORT), now + LEAVE);
        let queued = match searches {
            true => {
                let priority = plc::g3::modem::Priority::Normal;
                self.coordinator.send_datagram(node, ports, &request.payload, priority, deadline, now)
            }
            false => self.coordinator.send_along(node, ports, &request.payload, deadline, now),
        };
        match queued {
            Ok(sent) => drop(self.polling.sent.insert(sent, (ticket, searches))),
            Err(error) => {
                debug!(node = %eui64, ?error, "message dropped");
                self.polling.scheduler.confirmed(ticket, false, now);
            }
        }
    }

    fn scheduler_said(&mut self, event: Event) {
        let now = (self.clock)();
        match event {
            Event::Unanswered { ticket, node, had_way } => {
                let attempts = self.polling.requests.get(&ticket).map_or(ATTEMPTS, |request| request.attempts);
                // What never left may leave yet, when there is a way.
                if had_way || attempts >= ATTEMPTS {
                    self.end(ticket, node, now.mono);
                }
                let member = self.coordinator.server().member(node).filter(|_| had_way);
                if let Some(member) = member {
                    let node = member.short_addr;
                    self.unanswered(node);
                    self.node_silent(node, now.mono);
                }
            }
            Event::Expired { ticket, node } => self.end(ticket, node, now.mono),
            Event::Silent { node, failures } => debug!(network = %self.name, %node, failures, "node does not answer"),
            Event::Back { node } => debug!(network = %self.name, %node, "node answers again"),
        }
    }

    /// A request came to nothing, and so does the conversation that it belongs to.
    fn end(&mut self, ticket: u64, node: Eui64, now: Instant) {
        debug!(network = %self.name, %node, "no answer");
        self.polling.scheduler.cancel(ticket, now);
        if self.polling.requests.remove(&ticket).is_some() {
            let why = self.no_answer(node);
            self.polling.tunnels.close(node, &why);
        }
    }

    /// Whom nothing came of, and the way that was tried.
    fn no_answer(&self, node: Eui64) -> String {
        let short_addr = self.coordinator.server().member(node).map(|member| member.short_addr);
        let way = match short_addr.and_then(|short_addr| self.routing.routes.way(short_addr)) {
            Some(way) if way.hops > 1 => format!("{} hops by {:04x}", way.hops, way.next_hop),
            Some(_) => "one hop".to_owned(),
            None => "no way to it is known".to_owned(),
        };
        format!("no answer over the power line from node {node} ({way})")
    }

    pub(super) fn polling_counts(&self) -> PollCounts {
        let scheduler = &self.polling.scheduler;
        let (counts, control) = (scheduler.counts(), self.routing.routes.airtime());
        let percent = |share: f64| (100.0 * share).round() as u32;
        let line = |branch: plc::poll::BranchView| BranchLine {
            eui64: branch.first_hop.to_string(),
            short_addr: self
                .coordinator
                .server()
                .member(branch.first_hop)
                .map(|member| format!("{:04x}", member.short_addr)),
            under_way: branch.in_flight,
            window_percent: percent(branch.window),
        };
        PollCounts {
            under_way: scheduler.in_flight(),
            waiting: scheduler.waiting(),
            window_percent: percent(scheduler.window()),
            is_noisy: scheduler.is_noisy(),
            sent: counts.sent,
            answered: counts.answered,
            lost: counts.lost,
            airtime_s: counts.airtime as u64,
            control_percent: percent(control / (control + counts.airtime).max(f64::MIN_POSITIVE)),
            branches: scheduler.branches(BRANCHES).into_iter().map(line).collect(),
        }
    }
}

/// Of a network in which an answer takes so long at most.
fn limits(patience: Duration) -> Limits {
    Limits {
        repair_time: patience,
        answer_time: patience,
        pause: patience,
        // The collector asks who is silent less and less often: this only keeps its attempts apart.
        longest_pause: 4 * patience,
        ..Limits::default()
    }
}

/// UDP port of DLMS/COSEM.
const PORT: u16 = 4059;
/// Where no channel says it: adpNetTraversalTime, and what it takes to answer.
const PATIENCE: Duration = Duration::from_secs(25);
/// IPv6 and UDP.
const HEADERS: u16 = 48;
/// Octets of an answer, where nothing is known of it: half a profile's block.
const ANSWER: u16 = 250;
/// A request that has no turn for so long is not wanted any more.
const WAIT: Duration = Duration::from_secs(600);
/// A message that could not leave the modem for so long is not waited for.
pub(super) const LEAVE: Duration = Duration::from_secs(60);
/// A message that finds no way is tried once more.
const ATTEMPTS: u32 = 2;
/// Requests that wait: more than all conversations of the largest network have.
const REQUESTS: usize = 4_096;
/// Branches that are shown.
const BRANCHES: usize = 16;
