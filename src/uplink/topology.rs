//! The published topology: which message says what changed, and when the whole is said again. `topology.proto`.
//!
//! A delta says everything that changed since the full view it names: whoever missed one needs only the next.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;

use super::status::received;
use super::topic::Part;
use super::{Flying, Topic, Uplink};
use crate::clock::Now;
use crate::wire::v1;

/// What is seen of all networks at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub networks: Vec<v1::MeshNetwork>,
    pub nodes: Vec<v1::MeshNode>,
}

/// What was published, and what waits for its place.
#[derive(Debug)]
pub(super) struct Publisher {
    generation: u64,
    /// When the full view was made; None: there is none, or the broker has forgotten it.
    made: Option<Instant>,
    /// When a full view was made last, whatever became of it.
    last_full: Option<Instant>,
    /// Of the full view: its networks, and what of its nodes makes them different.
    networks: Vec<String>,
    nodes: BTreeMap<Name, u64>,
    /// Of the last delta, or of the full view.
    delta: u32,
    said: u64,
    /// Messages without a place in flight; a newer one takes the place of the one before it.
    waiting: BTreeMap<Part, Bytes>,
    /// The longest message.
    limit: usize,
}

type Name = (u32, u64);

impl Publisher {
    /// `first` names the first view: a random number, that no view before a restart is taken for one of ours.
    pub(super) fn new(first: u64) -> Self {
        Self {
            generation: first,
            made: None,
            last_full: None,
            networks: Vec::new(),
            nodes: BTreeMap::new(),
            delta: 0,
            said: 0,
            waiting: BTreeMap::new(),
            limit: LIMIT,
        }
    }

    fn look(&mut self, dcu: &str, snapshot: &Snapshot, pace: Duration, now: Now) {
        let is_old = self.made.is_none_or(|made| now.mono.saturating_duration_since(made) >= FULL);
        let is_other = snapshot.networks.iter().map(|network| &network.name).ne(&self.networks);
        if is_old || is_other || !self.changed(dcu, snapshot, now) {
            let may = self.last_full.is_none_or(|last| now.mono.saturating_duration_since(last) >= pace * FULL_PACE);
            if may {
                self.full(dcu, snapshot, now);
            }
        }
    }

    /// Says what is different from the full view, where that is something else than was said. False: it does not fit.
    fn changed(&mut self, dcu: &str, snapshot: &Snapshot, now: Now) -> bool {
        let mut old = self.nodes.clone();
        let is_changed = |node: &&v1::MeshNode| old.remove(&name(node)) != Some(essence(node));
        let nodes: Vec<_> = snapshot.nodes.iter().filter(is_changed).collect();
        let gone: Vec<_> = old.into_keys().map(|(network, eui64)| v1::MeshNodeName { network, eui64 }).collect();
        let said = said(&snapshot.networks, &nodes, &gone);
        if said == self.said {
            return true;
        }
        let delta = v1::TopologyDelta {
            dcu: dcu.to_owned(),
            at: Some(received(now)),
            generation: self.generation,
            number: self.delta + 1,
            networks: snapshot.networks.clone(),
            nodes: nodes.into_iter().cloned().collect(),
            gone,
        };
        if delta.encoded_len() > self.limit {
            return false;
        }
        self.delta += 1;
        self.said = said;
        self.waiting.insert(Part::Delta, delta.encode_to_vec().into());
        true
    }

    fn full(&mut self, dcu: &str, snapshot: &Snapshot, now: Now) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        self.waiting.clear();
        let chunk = |number| v1::TopologyChunk { dcu: dcu.to_owned(), generation, number, nodes: Vec::new() };
        let mut chunks = vec![chunk(0)];
        let mut octets = 0;
        for node in &snapshot.nodes {
            // Tag and length take 5 octets at most.
            let more = node.encoded_len() + 5;
            let number = chunks.len() as u32;
            match chunks.last_mut() {
                Some(last) if last.nodes.is_empty() || octets + more <= self.limit - HEAD => {
                    last.nodes.push(node.clone());
                    octets += more;
                }
                _ => {
                    chunks.push(v1::TopologyChunk { nodes: vec![node.clone()], ..chunk(number) });
                    octets = more;
                }
            }
        }
        let index = v1::Topology {
            dcu: dcu.to_owned(),
            at: Some(received(now)),
            generation,
            chunks: chunks.len() as u32,
            networks: snapshot.networks.clone(),
        };
        for chunk in chunks {
            self.waiting.insert(Part::Chunk(chunk.number), chunk.encode_to_vec().into());
        }
        self.waiting.insert(Part::Index, index.encode_to_vec().into());
        self.networks = snapshot.networks.iter().map(|network| network.name.clone()).collect();
        self.nodes = snapshot.nodes.iter().map(|node| (name(node), essence(node))).collect();
        self.delta = 0;
        self.said = said(&snapshot.networks, &[], &[]);
        (self.made, self.last_full) = (Some(now.mono), Some(now.mono));
    }
}

impl Uplink {
    /// What the networks look like now. To be called as often as a delta may be published.
    pub fn handle_topology(&mut self, snapshot: &Snapshot, pace: Duration, now: Now) {
        self.topology.look(self.topics.dcu(), snapshot, pace, now);
        self.progress(now);
    }

    /// A connection stands: how large a packet may be, and whether the broker still knows what it was told.
    pub fn handle_broker(&mut self, maximum_packet: Option<u32>, is_known: bool) {
        let maximum = maximum_packet.and_then(|octets| usize::try_from(octets).ok()).unwrap_or(usize::MAX);
        self.topology.limit = maximum.saturating_sub(OVERHEAD).clamp(2 * HEAD, LIMIT);
        if !is_known {
            self.topology.made = None;
        }
    }

    /// Publishes the next part; one at a time, so that batches keep their places in flight.
    pub(super) fn send_topology(&mut self) -> bool {
        if self.flying.values().any(|flying| matches!(flying, Flying::Topology { .. })) {
            return false;
        }
        let Some((part, payload)) = self.topology.waiting.pop_first() else { return false };
        self.transmit(&Topic::Topology(part), payload.clone(), Flying::Topology { part, payload });
        true
    }

    /// The broker did not get this part: it goes out again, unless there is a newer one.
    pub(super) fn topology_unsent(&mut self, part: Part, payload: Bytes) {
        self.topology.waiting.entry(part).or_insert(payload);
    }

    pub(super) fn topology_puback(&mut self, reason: u8) {
        if reason >= 0x80 {
            self.figures.refused_by_broker += 1;
            // What the broker has is no view any more.
            self.topology.made = None;
        }
    }
}

fn name(node: &v1::MeshNode) -> Name {
    node.name.map_or((0, 0), |name| (name.network, name.eui64))
}

/// A node is another one when this is; what changes with every frame does not count.
fn essence(node: &v1::MeshNode) -> u64 {
    let lasting = v1::MeshNode { heard_s: None, asked_s: None, lqi_forward: None, lqi_reverse: None, ..node.clone() };
    hash(&lasting.encode_to_vec())
}

/// What a delta says, without its number and its time.
fn said(networks: &[v1::MeshNetwork], nodes: &[&v1::MeshNode], gone: &[v1::MeshNodeName]) -> u64 {
    let mut hasher = DefaultHasher::new();
    networks.iter().for_each(|network| network.encode_to_vec().hash(&mut hasher));
    nodes.iter().for_each(|node| (name(node), essence(node)).hash(&mut hasher));
    gone.iter().for_each(|gone| (gone.network, gone.eui64).hash(&mut hasher));
    hasher.finish()
}

fn hash(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}

/// The longest message, also for a broker that takes more.
const LIMIT: usize = 32 << 10;
/// What stands in a chunk besides its nodes, at most: the unit's name has 64 octets.
const HEAD: usize = 128;
/// What a packet has besides its payload: headers, the topic (names of 64 octets), the content type.
const OVERHEAD: usize = 256;
/// A full view is made again after so long.
const FULL: Duration = Duration::from_secs(24 * 3600);
/// Between two full views, in intervals of deltas.
const FULL_PACE: u32 = 10;
