//! LOADng between the nodes: floods of route requests, replies along the best way back, repair of what broke, and the
//! meters' own traffic over it.

use super::message::{Data, Frame, Load, Message, NodeNo, Output, Rank, Request, RouteReply, RouteRequest};
use super::phy::Micros;
use super::route::{News, WEAK, link_cost};
use super::world::{Event, World};

/// A node looks for a route.
#[derive(Debug)]
pub(super) struct Search {
    sequence: u16,
    /// What waits for it.
    waiting: Vec<Data>,
    is_running: bool,
    /// Before that it is not looked for again.
    again: Micros,
}

impl Data {
    pub(super) fn new(origin: NodeNo, dest: NodeNo, load: Load) -> Self {
        Self { origin, dest, hops_left: HOPS, hops: 0, is_repaired: false, load }
    }
}

impl World {
    /// Sends data on its way from a node, or to the node itself.
    pub(super) fn carry(&mut self, node: NodeNo, data: Data) {
        if data.dest == node {
            return self.arrive(node, data);
        }
        if data.hops_left == 0 {
            return self.give_up(node, data);
        }
        let now = self.now;
        match self.node(node).table.to(data.dest, now).copied() {
            Some(route) => {
                self.send(node, route.medium, Frame { to: Some(route.next), message: Message::Data(data) });
            }
            None => self.search(node, data),
        }
    }

    /// A frame arrived at a node; it came from a neighbour.
    pub(super) fn hear(&mut self, node: NodeNo, from: NodeNo, channel: usize, lqi: u8, message: Message) {
        match message {
            Message::BeaconRequest => self.hear_beacon_request(node),
            Message::Beacon { cost } => self.hear_beacon(node, from, channel, lqi, cost),
            Message::Bootstrap(step) => self.hear_bootstrap(node, from, step),
            _ if !self.is_joined(node) => {}
            Message::RouteRequest(request) => self.hear_request(node, from, channel, lqi, request),
            Message::RouteReply(reply) => self.hear_reply(node, from, channel, lqi, reply),
            Message::RouteError { origin, unreachable } => {
                self.node(node).table.forget(unreachable);
                if node != origin {
                    self.tell_unreachable(node, origin, unreachable);
                }
            }
            Message::Data(data) => {
                self.carry(node, Data { hops_left: data.hops_left - 1, hops: data.hops + 1, ..data });
            }
        }
    }

    /// What became of a frame that a node sent.
    pub(super) fn confirm(&mut self, node: NodeNo, frame: Frame, is_sent: bool) {
        let now = self.now;
        match frame.message {
            Message::Data(data) if is_sent => {
                self.node(node).table.used(data.dest, now);
                if let (0, Load::Request(Request { tag, .. })) = (node, data.load) {
                    self.outputs.push_back(Output::Confirmed { tag, is_sent, at: now });
                }
            }
            Message::Data(data) => {
                self.node(node).table.forget(data.dest);
                match data.is_repaired {
                    true => self.give_up(node, data),
                    false => self.search(node, Data { is_repaired: true, ..data }),
                }
            }
            Message::RouteReply(reply) if !is_sent => {
                let table = &mut self.node(node).table;
                frame.to.into_iter().for_each(|next| table.blacklist(next, now));
                table.forget(reply.origin);
            }
            Message::Bootstrap(said) => self.bootstrap_sent(node, said, is_sent),
            _ => {}
        }
    }

    fn arrive(&mut self, node: NodeNo, data: Data) {
        match data.load {
            Load::Request(request) => {
                let turnaround = 0.45 * (0.5 * self.random.normal()).exp();
                let after = (turnaround.clamp(0.2, 1.5) * 1e6) as Micros;
                self.at(self.now + after, Event::Answer { node, request });
            }
            Load::Answer { tag, .. } => {
                let (node, hops, at) = (data.origin, data.hops, self.now);
                self.outputs.push_back(Output::Answered { tag, node, hops, at });
            }
            Load::Bootstrap(step) => self.carry_bootstrap(node, data.origin, step),
        }
    }

    fn give_up(&mut self, node: NodeNo, data: Data) {
        let at = self.now;
        match data.load {
            Load::Request(Request { tag, .. }) if node == 0 => {
                self.outputs.push_back(Output::Confirmed { tag, is_sent: false, at });
            }
            Load::Bootstrap(said) if node == 0 => drop(self.slots.remove(&said.device)),
            _ if node != data.origin => self.tell_unreachable(node, data.origin, data.dest),
            _ => {}
        }
    }

    fn tell_unreachable(&mut self, node: NodeNo, origin: NodeNo, unreachable: NodeNo) {
        let now = self.now;
        if let Some(route) = self.node(node).table.to(origin, now).copied() {
            let message = Message::RouteError { origin, unreachable };
            self.send(node, route.medium, Frame { to: Some(route.next), message });
        }
    }

    fn search(&mut self, node: NodeNo, data: Data) {
        let now = self.now;
        let dest = data.dest;
        let there = self.node(node);
        let next = Search { sequence: 0, waiting: Vec::new(), is_running: false, again: 0 };
        let search = there.searches.entry(dest).or_insert(next);
        if search.is_running {
            if search.waiting.len() < WAITING {
                return search.waiting.push(data);
            }
            return self.give_up(node, data);
        }
        if search.again > now {
            return self.give_up(node, data);
        }
        search.is_running = true;
        search.waiting.push(data);
        let sequence = there.table.next_sequence();
        search.sequence = sequence;
        let rank = Rank::default();
        self.figures.searches += 1;
        let request = RouteRequest { origin: node, dest, sequence, rank, hops_left: HOPS };
        self.broadcast(node, Message::RouteRequest(request));
        self.at(now + TRAVERSAL, Event::SearchEnd { node, dest, sequence });
    }

    pub(super) fn search_end(&mut self, node: NodeNo, dest: NodeNo, sequence: u16) {
        let now = self.now;
        let Some(search) = self.node(node).searches.get_mut(&dest) else { return };
        if !search.is_running || search.sequence != sequence {
            return;
        }
        search.is_running = false;
        search.again = now + AGAIN;
        let waiting = std::mem::take(&mut search.waiting);
        self.figures.searches_in_vain += 1;
        waiting.into_iter().for_each(|data| self.give_up(node, data));
    }

    fn hear_request(&mut self, node: NodeNo, from: NodeNo, channel: usize, lqi: u8, request: RouteRequest) {
        let now = self.now;
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let policy = self.options.flood;
        let there = self.node(node);
        if request.origin == node || there.table.is_blacklisted(from, now) {
            return;
        }
        let back = there.tones.get(&from).filter(|tones| tones.until > now).map_or(lqi, |tones| tones.lqi);
        let rank = request.rank.with(lqi, link_cost(lqi.min(back), medium));
        let is_near = policy.cluster.is_some_and(|cluster| lqi >= cluster.least_lqi);
        let news = there.table.copy(request.origin, request.sequence, rank, is_near, now);
        if news == News::None {
            return;
        }
        there.table.learn(request.origin, (from, channel), rank, request.sequence, now);
        if request.dest == node {
            if news == News::First {
                let origin = request.origin;
                self.at(now + REPLY_WAIT, Event::Reply { node, origin });
            }
        } else if request.hops_left > 1 && news != News::Replaces {
            there.table.defer(request.origin, request.sequence);
            let after = policy.delay(lqi, &mut self.random);
            let request = RouteRequest { rank, hops_left: request.hops_left - 1, ..request };
            self.at(now + after, Event::Forward { node, request });
        }
    }

    pub(super) fn forward_request(&mut self, node: NodeNo, request: RouteRequest) {
        if self.is_joined(node) {
            self.broadcast(node, Message::RouteRequest(request));
        }
    }

    /// A frame's turn at the head of the queue has come: as it is now, or none where it is needless.
    pub(super) fn refresh(&mut self, node: NodeNo, frame: Frame) -> Option<Frame> {
        let Message::RouteRequest(request) = frame.message else { return Some(frame) };
        if request.origin == node {
            return Some(frame);
        }
        let Some((rank, redundant)) = self.node(node).table.turn(request.origin, request.sequence) else {
            // The other medium's.
            return (self.channels.len() > 1).then_some(frame);
        };
        if self.options.flood.cluster.is_some_and(|cluster| redundant >= cluster.redundancy) {
            self.figures.suppressed += 1;
            return None;
        }
        Some(Frame { message: Message::RouteRequest(RouteRequest { rank, ..request }), ..frame })
    }

    pub(super) fn send_reply(&mut self, node: NodeNo, origin: NodeNo) {
        let now = self.now;
        let table = &mut self.node(node).table;
        let Some(route) = table.to(origin, now).copied() else { return };
        let reply = RouteReply { origin, dest: node, sequence: table.next_sequence(), rank: Rank::default() };
        self.send(node, route.medium, Frame { to: Some(route.next), message: Message::RouteReply(reply) });
    }

    fn hear_reply(&mut self, node: NodeNo, from: NodeNo, channel: usize, lqi: u8, reply: RouteReply) {
        let now = self.now;
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let rank = reply.rank.with(lqi, link_cost(lqi, medium));
        let there = self.node(node);
        there.table.learn(reply.dest, (from, channel), rank, reply.sequence, now);
        if node == reply.origin {
            let waiting = there.searches.remove(&reply.dest).map_or(Vec::new(), |search| search.waiting);
            return waiting.into_iter().for_each(|data| self.carry(node, data));
        }
        if let Some(route) = there.table.to(reply.origin, now).copied() {
            let message = Message::RouteReply(RouteReply { rank, ..reply });
            self.send(node, route.medium, Frame { to: Some(route.next), message });
        }
    }
}

impl Rank {
    pub(super) fn with(self, lqi: u8, cost: u16) -> Self {
        Self {
            weak: self.weak.saturating_add(u8::from(lqi < WEAK)),
            cost: self.cost.saturating_add(cost),
            hops: self.hops.saturating_add(1),
        }
    }
}

/// adpMaxHops.
pub(super) const HOPS: u8 = 8;
/// adpNetTraversalTime.
const TRAVERSAL: Micros = 20_000_000;
/// adpRREPWait.
const REPLY_WAIT: Micros = 4_000_000;
/// adpRREQWait.
const AGAIN: Micros = 30_000_000;
const WAITING: usize = 8;
