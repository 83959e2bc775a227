//! The mesh networks of a unit as a head-end puts them together: `proto/dcu/v1/topology.proto`.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::order::OrderError;
use crate::task::mqtt::{self, Event, Reason, Settings};
use crate::uplink::topic::Part;
use crate::uplink::{Topic, Topics};
use crate::wire::v1::{MeshNetwork, MeshNode, Topology, TopologyChunk, TopologyDelta};

/// The newest message of each topic.
#[derive(Debug, Default)]
pub struct Assembly {
    index: Option<Topology>,
    chunks: BTreeMap<u32, TopologyChunk>,
    delta: Option<TopologyDelta>,
}

/// A whole view.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub networks: Vec<MeshNetwork>,
    /// By network and EUI-64.
    pub nodes: Vec<MeshNode>,
    /// When it was true, milliseconds since 1970 UTC.
    pub utc_ms: i64,
}

impl Assembly {
    /// Takes a message of the unit's.
    ///
    /// # Errors
    /// It cannot be read; nothing has changed then.
    pub fn take(&mut self, part: Part, payload: &[u8]) -> Result<(), prost::DecodeError> {
        match part {
            Part::Index => self.index = Some(Topology::decode(payload)?),
            Part::Delta => self.delta = Some(TopologyDelta::decode(payload)?),
            Part::Chunk(number) => {
                if number < MOST_CHUNKS {
                    self.chunks.insert(number, TopologyChunk::decode(payload)?);
                }
            }
        }
        Ok(())
    }

    /// The view, where everything of it is there.
    pub fn view(&self) -> Option<View> {
        let index = self.index.as_ref()?;
        let mut nodes = BTreeMap::new();
        let place = |node: &MeshNode| node.name.map(|name| (name.network, name.eui64));
        for number in 0..index.chunks {
            let chunk = self.chunks.get(&number).filter(|chunk| chunk.generation == index.generation)?;
            nodes.extend(chunk.nodes.iter().filter_map(|node| Some((place(node)?, node))));
        }
        let delta = self.delta.as_ref().filter(|delta| delta.generation == index.generation);
        if let Some(delta) = delta {
            nodes.extend(delta.nodes.iter().filter_map(|node| Some((place(node)?, node))));
            for gone in &delta.gone {
                nodes.remove(&(gone.network, gone.eui64));
            }
        }
        let networks = delta.map_or(&index.networks, |delta| &delta.networks).clone();
        let at = delta.map_or(&index.at, |delta| &delta.at);
        let utc_ms = at.as_ref().map_or(0, |at| at.utc_ms);
        Some(View { networks, nodes: nodes.into_values().cloned().collect(), utc_ms })
    }
}

/// Hears a unit's networks; `seen` is told of each whole view and says whether that is enough. What is retained is there
/// soon.
///
/// # Errors
/// The broker is not reached, or nothing whole came within the limit.
pub async fn hear(
    topics: &Topics,
    mut broker: Settings,
    limit: Duration,
    mut seen: impl FnMut(&View) -> bool,
) -> Result<(), OrderError> {
    broker.subscriptions = topics.topology().into();
    broker.clean_start = true;
    broker.session_expiry = Duration::ZERO;
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let (door, mut events, _driver) = mqtt::open(broker, 0, stop);
    let (deadline, mut trouble) = (Instant::now() + limit, None);
    let (mut assembly, mut last) = (Assembly::default(), None);
    loop {
        // What is retained comes at once, one message after the other: a view is shown when no more comes.
        let view = assembly.view().filter(|view| last.as_ref() != Some(view));
        let wait = if view.is_some() { deadline.min(Instant::now() + QUIET) } else { deadline };
        match (timeout_at(wait, events.recv()).await, view) {
            (Ok(None), _) => return Err(OrderError::Ended),
            (Err(_), Some(view)) => {
                if seen(&view) {
                    return Ok(());
                }
                last = Some(view);
            }
            (Err(_), None) => return Err(OrderError::Silent { trouble }),
            (Ok(Some(Event::Message(message))), _) => {
                if let Some((_, Topic::Topology(part))) = Topics::parse(&message.topic) {
                    if let Err(error) = assembly.take(part, &message.payload) {
                        trouble = Some(format!("{}: {error}", message.topic));
                    }
                }
                if let Some(token) = message.token {
                    let _ = door.acknowledge(token);
                }
            }
            (Ok(Some(Event::Disconnected { reason, .. })), _) => match reason {
                Reason::Setup(_) | Reason::Plaintext { .. } => return Err(OrderError::Broker(reason)),
                reason => trouble = Some(crate::task::chain(&reason)),
            },
            (Ok(Some(Event::SubscriptionRefused { filter, reason })), _) => {
                trouble = Some(format!("{filter}: {reason}"));
            }
            (Ok(Some(_)), _) => {}
        }
    }
}

/// Chunks that are kept: more than the nodes of a unit fill.
const MOST_CHUNKS: u32 = 4096;
const QUIET: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::reading::TimeQuality;
    use crate::store::Epoch;
    use crate::uplink::{Options, Snapshot, Start, Uplink};
    use crate::wire::signed::PrivateKey;
    use crate::wire::trust::Trust;
    use crate::wire::v1::MeshNodeName;

    const PACE: Duration = Duration::from_secs(60);

    /// A unit, a broker that keeps what is retained, and what it takes at most.
    struct World {
        uplink: Uplink,
        now: Now,
        limit: usize,
        retained: BTreeMap<Part, Vec<u8>>,
        published: usize,
    }

    impl World {
        #[expect(clippy::disallowed_methods, reason = "any instant will do, the test counts from it")]
        fn new(limit: usize) -> Self {
            let mono = std::time::Instant::now();
            let quality = TimeQuality::Synchronised;
            let now = Now { mono, boot_id: [7; 16], boot_ms: 1, utc_ms: 1_785_000_000_000, quality };
            let start = Start {
                epoch: Epoch(1),
                heads: Vec::new(),
                random: u64::MAX,
                commands: None,
                orders: Default::default(),
            };
            let key = PrivateKey::from_random(&[1; 32]).unwrap();
            let topics = Topics::new("acme", "dcu-1").unwrap();
            let uplink = Uplink::new(Options::default(), topics, Trust::default(), key, &start, now);
            let mut world = Self { uplink, now, limit, retained: BTreeMap::new(), published: 0 };
            world.connect(false);
            world
        }

        fn connect(&mut self, is_known: bool) {
            self.uplink.handle_broker(Some(self.limit as u32), is_known);
            self.uplink.handle_connected(20, self.now);
        }

        /// A minute later the networks look like this.
        fn look(&mut self, snapshot: &Snapshot) {
            self.now.mono += PACE;
            self.now.utc_ms += 60_000;
            self.uplink.handle_topology(snapshot, PACE, self.now);
        }

        /// The broker takes so much of what the unit says.
        fn deliver(&mut self, most: usize) {
            for _ in 0..most {
                let Some(publish) = self.uplink.poll_transmit() else { return };
                if let Some((_, Topic::Topology(part))) = Topics::parse(&publish.topic) {
                    assert!(publish.payload.len() <= self.limit && publish.retain, "{}", publish.payload.len());
                    self.retained.insert(part, publish.payload.to_vec());
                    self.published += 1;
                }
                self.uplink.handle_puback(publish.id, 0, self.now);
            }
        }

        /// What somebody sees who comes now.
        fn view(&self) -> Option<View> {
            let mut assembly = Assembly::default();
            self.retained.iter().rev().for_each(|(part, payload)| assembly.take(*part, payload).unwrap());
            assembly.view()
        }
    }

    fn node(eui64: u64, hops: u32) -> MeshNode {
        let name = Some(MeshNodeName { network: 0, eui64 });
        MeshNode { name, hops: Some(hops), meter: format!("meter {eui64}"), ..MeshNode::default() }
    }

    fn snapshot(nodes: impl IntoIterator<Item = MeshNode>) -> Snapshot {
        let network = MeshNetwork { name: "feeder".into(), ..MeshNetwork::default() };
        Snapshot { networks: vec![network], nodes: nodes.into_iter().collect() }
    }

    #[test]
    fn who_comes_late_sees_what_is() {
        let mut world = World::new(2_000);
        let mut nodes: BTreeMap<u64, u32> = (0..200).map(|eui64| (eui64, 1)).collect();
        let seen = |nodes: &BTreeMap<u64, u32>| snapshot(nodes.iter().map(|(eui64, hops)| node(*eui64, *hops)));
        world.look(&seen(&nodes));
        world.deliver(100);
        assert_eq!(world.view().unwrap().nodes, seen(&nodes).nodes);
        assert!(world.published > 3, "200 nodes do not fit one message");
        for round in 0..200u64 {
            // Some change, come or go; now and then all of them do, or the connection is lost in the middle.
            nodes.insert(round * 7 % 200, round as u32);
            nodes.insert(1000 + round, 1);
            nodes.remove(&(round * 11 % 200));
            if round % 50 == 49 {
                nodes.values_mut().for_each(|hops| *hops += 1);
            }
            world.look(&seen(&nodes));
            if round % 3 == 0 {
                world.deliver(2);
                world.uplink.handle_disconnected(world.now);
                world.connect(true);
            }
            world.deliver(100);
            let last = seen(&nodes).nodes;
            let is_current = world.view().unwrap().nodes == last;
            // A full view waits for its turn, and then everything is said again.
            assert!(
                is_current
                    || (0..10).any(|_| {
                        world.look(&seen(&nodes));
                        world.deliver(100);
                        world.view().unwrap().nodes == last
                    })
            );
        }
    }

    #[test]
    fn nothing_is_said_twice_and_what_changes_with_each_frame_does_not_count() {
        let mut world = World::new(40_000);
        let quiet = |lqi| snapshot([MeshNode { lqi_reverse: Some(lqi), heard_s: Some(i64::from(lqi)), ..node(1, 1) }]);
        (0..20).for_each(|lqi| world.look(&quiet(lqi)));
        world.deliver(100);
        assert_eq!(world.published, 2, "one chunk and the index");
        for hops in [2, 2, 3, 1, 1] {
            world.look(&snapshot([node(1, hops)]));
            world.deliver(100);
        }
        assert_eq!(world.published, 5, "2, 3, and back to 1");
        assert_eq!(world.view().unwrap().nodes.first().unwrap().hops, Some(1));
        world.uplink.handle_disconnected(world.now);
        world.connect(false);
        world.look(&snapshot([node(1, 1)]));
        world.deliver(100);
        assert_eq!(world.published, 7, "a broker that has forgotten the unit is told all again");
    }

    /// What a full view of a large unit costs the uplink, once a day; the figure is in docs/FIGURES.md.
    #[test]
    fn a_view_of_two_thousand_nodes_is_small() {
        let mut world = World::new(40_000);
        let known = |number: u64| MeshNode {
            presence: 1,
            short_addr: Some(number as u32),
            meter: format!("1EMH00{number:08}"),
            joined_s: Some(1_785_000_000 + number as i64),
            heard_s: Some(1_785_000_900 + number as i64),
            joins: 1,
            key_generation: Some(2),
            weak_links: Some(0),
            next_hop: Some(number as u32 % 40),
            medium: Some(1),
            lqi_reverse: Some(80),
            parent_since_s: vec![1_785_000_000, 4000, 90_000],
            parent_short_addr: vec![3, 70, 3],
            ..node(0x0011_22ff_ff00_0000 + number, 3)
        };
        world.look(&snapshot((1..=2000).map(known)));
        world.deliver(100);
        let octets: usize = world.retained.values().map(Vec::len).sum();
        eprintln!("2,000 nodes: {} messages, {octets} octets", world.published);
        assert_eq!(world.view().unwrap().nodes.len(), 2000);
        assert!(octets < 220_000, "{octets}");
    }

    #[test]
    fn parts_of_different_views_are_no_view() {
        let index = |generation| Topology { generation, chunks: 2, ..Topology::default() }.encode_to_vec();
        let chunk = |generation, number| {
            TopologyChunk { generation, number, nodes: vec![node(number.into(), 1)], ..TopologyChunk::default() }
                .encode_to_vec()
        };
        let mut assembly = Assembly::default();
        assembly.take(Part::Chunk(0), &chunk(1, 0)).unwrap();
        assembly.take(Part::Chunk(1), &chunk(1, 1)).unwrap();
        assert_eq!(assembly.view(), None);
        assembly.take(Part::Index, &index(2)).unwrap();
        assert_eq!(assembly.view(), None);
        assembly.take(Part::Chunk(1), &chunk(2, 1)).unwrap();
        assembly.take(Part::Chunk(0), &chunk(2, 0)).unwrap();
        assert_eq!(assembly.view().unwrap().nodes.len(), 2);
        let delta = TopologyDelta { generation: 1, nodes: vec![node(9, 1)], ..TopologyDelta::default() };
        assembly.take(Part::Delta, &delta.encode_to_vec()).unwrap();
        assert_eq!(assembly.view().unwrap().nodes.len(), 2, "a delta of another view says nothing");
        assert!(assembly.take(Part::Index, &[0xff]).is_err());
    }
}
