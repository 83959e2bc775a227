//! LOADng between the nodes: floods of route requests, replies along the best way back, repair of what broke, and the
//! meters' own traffic over it.

use super::message::{
    Bootstrap, Data, Frame, Hosted, Load, Message, NodeNo, Output, Parcel, Rank, RouteReply, RouteRequest,
};
use super::phy::Micros;
use super::route::{News, Quality};
use super::world::{Event, World};

/// A node looks for a route.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// None before its turn has come.
    sequence: Option<u16>,
    most_hops: u8,
    /// What waits for it.
    waiting: Vec<Data>,
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
        let now = self.now;
        if data.hops_left == 0 {
            // It goes round, or too far (as an open implementation for G3-PLC does).
            self.node(node).table.forget(data.dest);
            return self.give_up(node, data);
        }
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
            Message::BeaconRequest => self.hear_beacon_request(node, channel),
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
    pub(super) fn confirm(&mut self, node: NodeNo, channel: usize, frame: Frame, is_sent: bool) {
        let now = self.now;
        match frame.message {
            Message::Data(data) if is_sent => {
                self.node(node).table.used(data.dest, now);
                if let (0, Some(tag)) = (node, data.load.tag()) {
                    self.outputs.push_back(Output::Confirmed { tag, is_sent, at: now });
                }
                if let (0, Load::Bootstrap(Bootstrap { device, parcel: None, .. })) = (node, data.load) {
                    self.bootstrap_left(device);
                }
            }
            Message::Data(data) => {
                self.node(node).table.forget(data.dest);
                match data.is_repaired {
                    true => self.give_up(node, data),
                    false => self.search(node, Data { is_repaired: true, ..data }),
                }
            }
            Message::RouteReply(reply) if is_sent => self.node(node).table.used(reply.origin, now),
            Message::RouteReply(reply) => {
                let table = &mut self.node(node).table;
                frame.to.into_iter().for_each(|next| table.blacklist(next, channel, now));
                table.forget(reply.origin);
            }
            Message::RouteRequest(request) if frame.to.is_some() && !is_sent => {
                // The route it was sent along is none: it goes to all, a relay's too, whose turn was used up by that.
                let there = self.node(node);
                there.table.forget(request.dest);
                let channels = std::array::from_fn(|channel| there.macs.get(channel).is_some_and(|mac| mac.is_there));
                there.table.defer(request.origin, request.sequence, channels);
                self.broadcast(node, Message::RouteRequest(RouteRequest { is_unicast: false, ..request }));
            }
            Message::Bootstrap(said) => self.bootstrap_sent(node, said, is_sent),
            _ => {}
        }
    }

    fn arrive(&mut self, node: NodeNo, data: Data) {
        match data.load {
            Load::Request(request) => {
                let after = self.turnaround();
                self.at(self.now + after, Event::Answer { node, request });
            }
            Load::Parcel(Parcel { tag, .. }) => self.outputs.push_back(Output::Hosted(Hosted::Arrived { node, tag })),
            Load::Answer { tag, .. } => {
                let (node, hops, at) = (data.origin, data.hops, self.now);
                self.outputs.push_back(Output::Answered { tag, node, hops, at });
            }
            Load::Bootstrap(step) => self.carry_bootstrap(node, data.origin, step),
        }
    }

    /// How long a meter takes to answer.
    pub(super) fn turnaround(&mut self) -> Micros {
        let turnaround = 0.45 * (0.5 * self.random.normal()).exp();
        (turnaround.clamp(0.2, 1.5) * 1e6) as Micros
    }

    fn give_up(&mut self, node: NodeNo, data: Data) {
        let at = self.now;
        match (data.load, data.load.tag()) {
            (_, Some(tag)) if node == 0 => self.outputs.push_back(Output::Confirmed { tag, is_sent: false, at }),
            (Load::Bootstrap(said), None) if node == 0 => self.bootstrap_lost(said.device),
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
        match data.load.discovers() {
            false if node == 0 => self.give_up(node, data),
            _ => self.search_for(node, data.dest, HOPS, Some(data)),
        }
    }

    /// Looks for a route as soon as it may.
    pub(super) fn search_for(&mut self, node: NodeNo, dest: NodeNo, most_hops: u8, data: Option<Data>) {
        let wait = if node == 0 { self.options.request_wait.0 } else { self.options.request_wait.1 };
        let now = self.now;
        let there = self.node(node);
        if let Some(search) = there.searches.get_mut(&dest) {
            match data {
                Some(data) if search.waiting.len() >= WAITING => self.give_up(node, data),
                data => search.waiting.extend(data),
            }
            return;
        }
        if there.searches.len() >= SEARCHES {
            return data.into_iter().for_each(|data| self.give_up(node, data));
        }
        there.searches.insert(dest, Search { sequence: None, most_hops, waiting: data.into_iter().collect() });
        let at = there.next_search.max(now);
        there.next_search = at + wait;
        self.at(at, Event::SearchBegin { node, dest });
    }

    pub(super) fn search_begin(&mut self, node: NodeNo, dest: NodeNo) {
        let (now, is_unicast) = (self.now, self.options.flood.unicast);
        let there = self.node(node);
        let Some(search) = there.searches.get_mut(&dest).filter(|search| search.sequence.is_none()) else { return };
        let sequence = there.table.next_sequence();
        search.sequence = Some(sequence);
        let hops_left = search.most_hops;
        let along = there.table.to(dest, now).filter(|_| is_unicast).map(|route| (route.next, route.medium));
        self.figures.searches += 1;
        let request = RouteRequest { origin: node, dest, sequence, rank: Rank::default(), hops_left, is_unicast };
        self.send_request(node, request, along);
        self.at(now + TRAVERSAL, Event::SearchEnd { node, dest, sequence });
    }

    pub(super) fn search_end(&mut self, node: NodeNo, dest: NodeNo, sequence: u16) {
        let at = self.now;
        let searches = &mut self.node(node).searches;
        if searches.get(&dest).is_none_or(|search| search.sequence != Some(sequence)) {
            return;
        }
        let Some(search) = searches.remove(&dest) else { return };
        self.figures.searches_in_vain += 1;
        search.waiting.into_iter().for_each(|data| self.give_up(node, data));
        if node == 0 {
            self.outputs.push_back(Output::Discovered { node: dest, is_found: false, at });
        }
    }

    fn hear_request(&mut self, node: NodeNo, from: NodeNo, channel: usize, lqi: u8, request: RouteRequest) {
        let now = self.now;
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let (policy, metric, duty) = (self.options.flood, self.options.metric, self.duty(node, from, channel));
        let there = self.node(node);
        if request.origin == node || there.table.is_blacklisted(from, channel, now) {
            return;
        }
        let tones = there.tones.get(&(from, channel)).filter(|tones| tones.until > now);
        let back = tones.map_or(lqi, |tones| tones.lqi);
        let rank = metric.extend(request.rank, Quality { lqi, back, duty }, medium);
        let near = policy.cluster.filter(|cluster| cluster.is_near(lqi, medium)).map(|_| channel);
        let news = there.table.copy(request.origin, request.sequence, rank, near, now);
        if news == News::None {
            return;
        }
        there.table.learn(request.origin, (from, channel), rank, (request.sequence, false), now);
        if request.dest == node {
            if news == News::First {
                let origin = request.origin;
                self.at(now + REPLY_WAIT, Event::Reply { node, origin });
            }
        } else if request.hops_left > 1 && news != News::Replaces {
            let channels = std::array::from_fn(|channel| there.macs.get(channel).is_some_and(|mac| mac.is_there));
            there.table.defer(request.origin, request.sequence, channels);
            let route = there.table.to(request.dest, now).filter(|route| request.is_unicast && route.next != from);
            let along = route.map(|route| (route.next, route.medium));
            let after = policy.delay(lqi, medium, &mut self.random);
            let request = RouteRequest { rank, hops_left: request.hops_left - 1, ..request };
            self.at(now + after, Event::Forward { node, request, along });
        }
    }

    pub(super) fn forward_request(&mut self, node: NodeNo, request: RouteRequest, along: Option<(NodeNo, usize)>) {
        if self.is_joined(node) {
            self.send_request(node, request, along);
        }
    }

    fn send_request(&mut self, node: NodeNo, request: RouteRequest, along: Option<(NodeNo, usize)>) {
        let message = Message::RouteRequest(RouteRequest { is_unicast: along.is_some(), ..request });
        match along {
            Some((next, channel)) => self.send(node, channel, Frame { to: Some(next), message }),
            None => self.broadcast(node, message),
        }
    }

    /// A frame's turn at the head of the queue has come: as it is now, or none where it is needless.
    pub(super) fn refresh(&mut self, node: NodeNo, channel: usize, frame: Frame) -> Option<Frame> {
        let Message::RouteRequest(request) = frame.message else { return Some(frame) };
        if request.origin == node {
            return Some(frame);
        }
        let channel = Some(channel).filter(|_| frame.to.is_none());
        let Some((rank, redundant)) = self.node(node).table.turn(request.origin, request.sequence, channel) else {
            // Another attempt; to all it has gone.
            return frame.to.is_some().then_some(frame);
        };
        let is_needless = self.options.flood.cluster.is_some_and(|cluster| redundant >= cluster.redundancy);
        if is_needless && frame.to.is_none() {
            self.figures.suppressed += 1;
            return None;
        }
        Some(Frame { message: Message::RouteRequest(RouteRequest { rank, ..request }), ..frame })
    }

    pub(super) fn send_reply(&mut self, node: NodeNo, origin: NodeNo) {
        let now = self.now;
        let table = &mut self.node(node).table;
        let Some(route) = table.back_to(origin, now).copied() else { return };
        let reply = RouteReply { origin, dest: node, sequence: table.next_sequence(), rank: Rank::default() };
        self.send(node, route.medium, Frame { to: Some(route.next), message: Message::RouteReply(reply) });
    }

    fn hear_reply(&mut self, node: NodeNo, from: NodeNo, channel: usize, lqi: u8, reply: RouteReply) {
        let now = self.now;
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let duty = self.duty(node, from, channel);
        let rank = self.options.metric.extend(reply.rank, Quality { lqi, back: lqi, duty }, medium);
        let there = self.node(node);
        there.table.learn(reply.dest, (from, channel), rank, (reply.sequence, true), now);
        if node == reply.origin {
            let Some(search) = there.searches.remove(&reply.dest) else { return };
            if node == 0 {
                self.outputs.push_back(Output::Discovered { node: reply.dest, is_found: true, at: now });
            }
            return search.waiting.into_iter().for_each(|data| self.carry(node, data));
        }
        if let Some(route) = there.table.back_to(reply.origin, now).copied() {
            let message = Message::RouteReply(RouteReply { rank, ..reply });
            self.send(node, route.medium, Frame { to: Some(route.next), message });
        }
    }
}

/// adpMaxHops.
pub(super) const HOPS: u8 = 8;
/// adpNetTraversalTime.
const TRAVERSAL: Micros = 20_000_000;
/// adpRREPWait.
const REPLY_WAIT: Micros = 4_000_000;
const WAITING: usize = 8;
/// Searches that a node carries on at the same time.
const SEARCHES: usize = 16;
