//! The network as a whole: virtual time in integer microseconds, and everything that happens in it in order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::channel::Channel;
use super::figures::Figures;
use super::join::Join;
use super::mac::{Air, Mac, Tones};
use super::message::{Data, Load, NodeNo, Output, Parcel, Request, RouteRequest};
use super::options::Options;
use super::phy::{Medium, Micros};
use super::route::{MEDIA, Table};
use super::routing::Search;
use super::server::Conversation;
use super::site::Site;
use crate::sim::random::Random;

/// A network with its meters.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) now: Micros,
    pub(super) options: Options,
    pub(super) site: Site,
    pub(super) channels: Vec<Channel>,
    pub(super) nodes: Vec<Node>,
    pub(super) air: Vec<Option<Air>>,
    pub(super) random: Random,
    /// What a sniffer beside the coordinator decodes is drawn apart: who listens changes nothing.
    pub(super) sniffer: Random,
    pub(super) figures: Figures,
    pub(super) conversations: BTreeMap<NodeNo, Conversation>,
    /// Devices that wait for a place among them, behind which agent, and until when.
    pub(super) waiting: VecDeque<(NodeNo, NodeNo, Micros)>,
    pub(super) outputs: VecDeque<Output>,
    /// Somebody else says what nodes say.
    pub(super) is_hosted: bool,
    pub(super) events: BinaryHeap<Entry>,
    count: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) is_up: bool,
    pub(super) join: Join,
    /// Of the last join's step; earlier ones come to nothing.
    pub(super) timer: u32,
    /// By channel.
    pub(super) owes_beacon: [bool; MEDIA],
    pub(super) table: Table,
    /// By channel.
    pub(super) macs: Vec<Mac>,
    /// By neighbour and channel, and until when somebody counts as heard.
    pub(super) tones: BTreeMap<(NodeNo, usize), Tones>,
    pub(super) near: BTreeMap<(NodeNo, usize), Micros>,
    pub(super) searches: BTreeMap<NodeNo, Search>,
    /// Before that it begins no other search.
    pub(super) next_search: Micros,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    SwitchOn {
        node: NodeNo,
    },
    Surroundings,
    /// The backoff of a sender is over.
    Try {
        node: NodeNo,
        channel: usize,
    },
    /// A transmission is over.
    End {
        air: usize,
    },
    Beacon {
        node: NodeNo,
        channel: usize,
    },
    /// A join goes on, or is given up.
    Join {
        node: NodeNo,
        timer: u32,
    },
    /// A step of a bootstrap is answered by now, or is said again.
    Bootstrap {
        device: NodeNo,
    },
    Forward {
        node: NodeNo,
        request: RouteRequest,
        /// To the next hop of the route to where it is to go.
        along: Option<(NodeNo, usize)>,
    },
    Reply {
        node: NodeNo,
        origin: NodeNo,
    },
    SearchBegin {
        node: NodeNo,
        dest: NodeNo,
    },
    SearchEnd {
        node: NodeNo,
        dest: NodeNo,
        sequence: u16,
    },
    /// A meter has its answer ready, or who speaks for it.
    Answer {
        node: NodeNo,
        request: Request,
    },
    Send {
        node: NodeNo,
        parcel: Parcel,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) at: Micros,
    number: u64,
    event: Event,
}

impl World {
    pub fn new(site: Site, options: Options) -> Self {
        let seed = options.seed;
        let mut random = Random::new(seed);
        let mut channels = vec![Channel::new(Medium::Plc, &site, &options.conditions, seed)];
        if options.hybrid > 0.0 {
            channels.push(Channel::new(Medium::Rf, &site, &options.conditions, seed ^ 0x7266));
        }
        let nodes = (0..site.nodes.len()).map(|node| {
            let has_radio = node == 0 || random.chance(options.hybrid);
            let macs = channels.iter().map(|channel| Mac::new(channel.medium == Medium::Plc || has_radio));
            Node {
                is_up: node == 0,
                join: if node == 0 { Join::Joined } else { Join::Out },
                timer: 0,
                owes_beacon: [false; MEDIA],
                table: match node {
                    0 => Table::new(options.routes.0, options.route_ttl.0),
                    _ => Table::new(options.routes.1, options.route_ttl.1),
                },
                macs: macs.collect(),
                tones: BTreeMap::new(),
                near: BTreeMap::new(),
                searches: BTreeMap::new(),
                next_search: 0,
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        let mut world = Self {
            now: 0,
            options,
            site,
            channels,
            nodes,
            air: Vec::new(),
            random,
            sniffer: Random::new(seed ^ 0x736e_6966),
            figures: Figures::default(),
            conversations: BTreeMap::new(),
            waiting: VecDeque::new(),
            outputs: VecDeque::new(),
            is_hosted: false,
            events: BinaryHeap::new(),
            count: 0,
        };
        for node in 1..world.nodes.len() {
            let at = world.random.under(world.options.switch_on.max(1));
            world.at(at, Event::SwitchOn { node });
        }
        world.at(STEP, Event::Surroundings);
        world
    }

    pub fn now(&self) -> Micros {
        self.now
    }

    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Meters, without the coordinator.
    pub fn meters(&self) -> std::ops::Range<NodeNo> {
        1..self.nodes.len()
    }

    pub fn is_joined(&self, node: NodeNo) -> bool {
        self.nodes.get(node).is_some_and(|node| node.is_up && matches!(node.join, Join::Joined))
    }

    /// Routes that a node has now.
    pub fn routes(&self, node: NodeNo) -> usize {
        self.nodes.get(node).map_or(0, |node| node.table.len())
    }

    /// Asks a meter; what comes of it is an output with the request's tag, or none.
    pub fn request(&mut self, node: NodeNo, request: Request) {
        self.carry(0, Data::new(0, node, Load::Request(request)));
    }

    /// Lets the coordinator look for a new route to a node, within so many hops (ADPM-ROUTE-DISCOVERY); what comes of
    /// it is an output.
    pub fn discover(&mut self, node: NodeNo, most_hops: u8) {
        self.search_for(0, node, most_hops, None);
    }

    /// Lets everything happen up to `until`, and stops before at the first output.
    pub fn run(&mut self, until: Micros) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            match self.events.peek() {
                Some(entry) if entry.at <= until => {}
                _ => {
                    self.now = self.now.max(until);
                    return None;
                }
            }
            let Entry { at, event, .. } = self.events.pop()?;
            self.now = self.now.max(at);
            self.happen(event);
        }
    }

    /// A node has no power; what it knew is gone.
    pub fn switch_off(&mut self, node: NodeNo) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.is_up = false;
            node.join = Join::Out;
            node.table.clear();
            node.tones.clear();
            node.near.clear();
            node.searches.clear();
            node.macs.iter_mut().for_each(Mac::reset);
        }
    }

    /// A node has power again.
    pub fn switch_on(&mut self, node: NodeNo, after: Micros) {
        self.at(self.now + after, Event::SwitchOn { node });
    }

    pub(super) fn at(&mut self, at: Micros, event: Event) {
        self.count += 1;
        self.events.push(Entry { at, number: self.count, event });
    }

    pub(super) fn node(&mut self, node: NodeNo) -> &mut Node {
        self.nodes.get_mut(node).expect("node numbers come from the site")
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Surroundings => {
                let hour = (self.options.begin_hour + self.now as f64 / 3.6e9) % 24.0;
                for channel in &mut self.channels {
                    channel.step(STEP, hour, &mut self.random);
                }
                self.at(self.now + STEP, Event::Surroundings);
            }
            Event::SwitchOn { node } => {
                if !std::mem::replace(&mut self.node(node).is_up, true) {
                    self.start_to_join(node);
                }
            }
            Event::Try { node, channel } => self.attempt(node, channel),
            Event::End { air } => self.end(air),
            Event::Beacon { node, channel } => self.send_beacon(node, channel),
            Event::Join { node, timer } => self.join_goes_on(node, timer),
            Event::Bootstrap { device } => self.bootstrap_due(device),
            Event::Forward { node, request, along } => self.forward_request(node, request, along),
            Event::Reply { node, origin } => self.send_reply(node, origin),
            Event::SearchBegin { node, dest } => self.search_begin(node, dest),
            Event::SearchEnd { node, dest, sequence } => self.search_end(node, dest, sequence),
            Event::Send { node, parcel } => self.send_parcel(node, 0, parcel),
            Event::Answer { node, request } => {
                if self.is_joined(node) {
                    let load = Load::Answer { tag: request.tag, octets: request.answer };
                    self.carry(node, Data::new(node, 0, load));
                }
            }
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The heap's greatest is what happens next.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// How often the surroundings change.
const STEP: Micros = 30_000_000;
