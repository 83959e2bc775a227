//! The tree of a mesh network, as far as the routing table and the traced paths show it.
//!
//! The modem's routing table names the first hop to a node and how many there are; only a traced path names them all.
//! What neither says stays unknown: nothing here is guessed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{HopLine, NodeLine, NodePresence};

/// A network at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    pub network: String,
    /// Four hexadecimal digits.
    pub pan_id: String,
    /// EUI-64 of the coordinator: the parent of its neighbours.
    pub coordinator: String,
    pub at_ms: i64,
    /// Since when losses are counted: when the service began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_since_ms: Option<i64>,
    /// By EUI-64.
    pub nodes: Vec<TopologyNode>,
}

/// One node, and the link before it on its way from the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyNode {
    pub eui64: String,
    /// Four hexadecimal digits.
    pub short_addr: Option<String>,
    #[serde(default)]
    pub meter: String,
    pub presence: NodePresence,
    /// What an outage has in common that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<String>,
    /// The meter behind it does not answer any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unreachable: bool,
    /// No route of the coordinator is to go over it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_blacklisted: bool,
    /// EUI-64 of the node before it, or of the coordinator; None where nothing is known of its way.
    pub parent: Option<String>,
    /// None where there is no parent.
    pub parent_from: Option<ParentFrom>,
    /// From the routing table; where that does not say it, from the path that its parent is from.
    pub hops: Option<u8>,
    /// `plc` or `rf`, of the link to its parent.
    pub medium: Option<String>,
    /// Of the link to its parent.
    pub link_cost: Option<u8>,
    /// Of the last frame of it, where the coordinator heard it without another node between.
    pub lqi: Option<u8>,
    /// How well it hears the coordinator; only of the coordinator's neighbours.
    #[serde(default)]
    pub lqi_forward: Option<u8>,
    /// Against the coordinator's phase: a multiple of 60.
    pub phase_deg: Option<u16>,
    pub weak_links: Option<u8>,
    /// Times that it left or was lost.
    #[serde(default)]
    pub losses: u32,
    pub heard_ms: Option<i64>,
}

/// How it is known who stands before a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParentFrom {
    /// From a traced path.
    Path,
    /// From the routing table: the parent is the first hop to it, and more nodes may stand between.
    Route,
    /// From the routing table as it was: who does not answer any more has lost its row since.
    Earlier,
}

/// How a node does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// With others, in an outage.
    Out,
    /// Its meter is unreachable.
    Unreachable,
}

/// How good a link is: by its LQI or, where that is not known, by its cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkQuality {
    Good,
    Fair,
    /// Below adpWeakLQIValue.
    Weak,
    Unknown,
}

impl Topology {
    /// Joins what is known of the nodes. `nodes` are the lines of one network.
    pub fn new(network: String, pan_id: String, coordinator: String, at_ms: i64, nodes: &[NodeLine]) -> Self {
        let by_short: BTreeMap<String, String> =
            nodes.iter().filter_map(|node| Some((node.short_addr.clone()?, node.eui64.clone()))).collect();
        let counted_since_ms = nodes.iter().find_map(|node| node.counted_since_ms);
        let steps = steps(nodes);
        let mut parents = BTreeMap::new();
        for node in nodes {
            let parent = parent(node, &steps, &by_short, &coordinator);
            parents.extend(parent.map(|parent| (node.eui64.clone(), parent)));
        }
        cut_circles(&mut parents, nodes, &by_short, &coordinator);
        let nodes = nodes
            .iter()
            .map(|node| {
                let step = node.short_addr.as_ref().and_then(|short| steps.get(short));
                let (parent, parent_from) = parents.remove(&node.eui64).unzip();
                let step = step.filter(|_| parent_from == Some(ParentFrom::Path));
                let is_next = node.hops == Some(1) || parent.as_ref() == Some(&coordinator);
                TopologyNode {
                    medium: step
                        .map(|step| step.hop.medium.clone())
                        .or_else(|| node.medium.clone().filter(|_| is_next)),
                    link_cost: step.map(|step| step.hop.link_cost),
                    phase_deg: step.map(|step| step.phase_deg),
                    lqi: node.lqi.filter(|_| is_next),
                    // Who is in hearing of the coordinator, and not next to it, is reached over another link.
                    lqi_forward: node.lqi_forward.filter(|_| is_next),
                    parent,
                    parent_from,
                    eui64: node.eui64.clone(),
                    short_addr: node.short_addr.clone(),
                    meter: node.name().to_owned(),
                    presence: node.presence,
                    outage: node.outage.clone(),
                    is_unreachable: node.is_unreachable,
                    is_blacklisted: node.is_blacklisted,
                    hops: hops(node).or(step.map(|step| step.place)),
                    weak_links: node.weak_links,
                    losses: node.losses,
                    heard_ms: node.heard_ms,
                }
            })
            .collect();
        Self { network, pan_id, coordinator, at_ms, counted_since_ms, nodes }
    }
}

impl TopologyNode {
    /// A good link carries DQPSK (8 dB, LQI 72) both ways, a weak one stands below LQI 52 one way. Where only the cost is
    /// known: what the metric's defaults (Kh 4, Kq 10) make of these two.
    pub fn quality(&self) -> LinkQuality {
        let by_cost = || self.link_cost.map_or(LinkQuality::Unknown, LinkQuality::of_cost);
        self.worse_lqi().map_or_else(by_cost, LinkQuality::of_lqi)
    }

    /// Of both ways, as far as they are known.
    pub fn worse_lqi(&self) -> Option<u8> {
        self.lqi.into_iter().chain(self.lqi_forward).min()
    }

    /// Whether its link is worse (less) now than before, or better, by what is known of both: a way of which one of them knows no
    /// LQI says nothing. What is measured wavers from minute to minute: it counts only when it has left its class by
    /// more than [`LQI_MARGIN`] or [`COST_MARGIN`].
    pub fn link_since(&self, before: &Self) -> Ordering {
        let both = |then: Option<u8>, now: Option<u8>| then.zip(now);
        let ways = [both(before.lqi, self.lqi), both(before.lqi_forward, self.lqi_forward)];
        let worse = ways.into_iter().flatten().reduce(|one, other| (one.0.min(other.0), one.1.min(other.1)));
        let is_by_cost = before.worse_lqi().is_none() || self.worse_lqi().is_none();
        let by_cost = || both(before.link_cost, self.link_cost).filter(|_| is_by_cost);
        let since = match (worse, by_cost()) {
            (Some((then, now)), _) => {
                let class = LinkQuality::of_lqi(then);
                let (low, high) = (now.saturating_sub(LQI_MARGIN), now.saturating_add(LQI_MARGIN));
                leaves(class, LinkQuality::of_lqi(high), LinkQuality::of_lqi(low))
            }
            (None, Some((then, now))) => {
                let class = LinkQuality::of_cost(then);
                let (low, high) = (now.saturating_sub(COST_MARGIN), now.saturating_add(COST_MARGIN));
                leaves(class, LinkQuality::of_cost(low), LinkQuality::of_cost(high))
            }
            (None, None) => Ordering::Equal,
        };
        // A way that was not known before may have changed the class the other way.
        if since == before.quality().cmp(&self.quality()) { since } else { Ordering::Equal }
    }

    /// It belongs to the network and does not answer.
    pub fn silence(&self) -> Option<Silence> {
        let alone = self.is_unreachable.then_some(Silence::Unreachable);
        self.outage.as_ref().map(|_| Silence::Out).or(alone).filter(|_| self.is_joined())
    }

    /// The same in words, with what those who are out have in common.
    pub fn out(&self) -> Option<String> {
        let scope = self.outage.as_ref().map_or_else(String::new, |scope| format!(": {scope}"));
        self.silence().map(|silence| format!("{}{scope}", silence.name()))
    }

    /// Of its way not every hop is known, or not as it is now.
    pub fn is_way_vague(&self) -> bool {
        self.untraced_hops().is_some() || self.parent_from == Some(ParentFrom::Earlier)
    }

    /// Hops to a node of whose way only the first one is known, where there are nodes between that and it.
    pub fn untraced_hops(&self) -> Option<u8> {
        self.hops.filter(|hops| self.parent_from == Some(ParentFrom::Route) && *hops > 2)
    }

    /// It belongs to the network now.
    pub const fn is_joined(&self) -> bool {
        matches!(self.presence, NodePresence::Alive | NodePresence::Routed)
    }
}

/// Some modems count none where they do not know how many there are.
fn hops(node: &NodeLine) -> Option<u8> {
    let traced = u8::try_from(node.path.len()).ok().filter(|hops| *hops > 0);
    let is_neighbour = node.next_hop.is_some() && node.next_hop == node.short_addr;
    node.hops.filter(|hops| *hops > 0).or(traced).or(is_neighbour.then_some(1))
}

impl Silence {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Unreachable => "unreachable",
        }
    }
}

/// How a class was left by what it is at best and at worst.
fn leaves(class: LinkQuality, best: LinkQuality, worst: LinkQuality) -> Ordering {
    match (best > class, worst < class) {
        (true, _) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => Ordering::Equal,
    }
}

/// 3 dB.
pub const LQI_MARGIN: u8 = 12;
pub const COST_MARGIN: u8 = 1;

impl LinkQuality {
    pub const ALL: [Self; 4] = [Self::Good, Self::Fair, Self::Weak, Self::Unknown];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Weak => "weak",
            Self::Unknown => "unknown",
        }
    }

    /// Its limits, for people.
    pub const fn limits(self) -> &'static str {
        match self {
            Self::Good => "LQI 72 and more, else cost 10 and less",
            Self::Fair => "LQI 52 to 71, else cost 11",
            Self::Weak => "LQI under 52, else cost 12 and more",
            Self::Unknown => "neither is known",
        }
    }

    const fn of_lqi(lqi: u8) -> Self {
        match lqi {
            72.. => Self::Good,
            52.. => Self::Fair,
            _ => Self::Weak,
        }
    }

    const fn of_cost(cost: u8) -> Self {
        match cost {
            ..=10 => Self::Good,
            11 => Self::Fair,
            _ => Self::Weak,
        }
    }
}

/// What a traced path says of one node on it.
struct Step<'a> {
    traced_ms: i64,
    /// Short address of the node before it; None for the coordinator.
    before: Option<&'a str>,
    hop: &'a HopLine,
    phase_deg: u16,
    /// Hops from the coordinator.
    place: u8,
}

/// By short address; of several paths over one node the newest counts.
fn steps(nodes: &[NodeLine]) -> BTreeMap<String, Step<'_>> {
    let mut steps: BTreeMap<String, Step<'_>> = BTreeMap::new();
    for node in nodes {
        let Some(traced_ms) = node.traced_ms else { continue };
        let (mut before, mut phase) = (None, 0);
        for (place, hop) in (1..=u8::MAX).zip(&node.path) {
            phase = (phase + u16::from(hop.phase_differential)) % 6;
            let is_newer = steps.get(&hop.short_addr).is_none_or(|known| known.traced_ms < traced_ms);
            if is_newer {
                steps.insert(hop.short_addr.clone(), Step { traced_ms, before, hop, phase_deg: 60 * phase, place });
            }
            before = Some(&hop.short_addr);
        }
    }
    steps
}

fn parent(
    node: &NodeLine,
    steps: &BTreeMap<String, Step<'_>>,
    by_short: &BTreeMap<String, String>,
    coordinator: &str,
) -> Option<(String, ParentFrom)> {
    let short = node.short_addr.as_ref()?;
    match steps.get(short) {
        Some(Step { before: None, .. }) => Some((coordinator.to_owned(), ParentFrom::Path)),
        Some(Step { before: Some(before), .. }) if by_short.contains_key(*before) => {
            Some((by_short.get(*before)?.clone(), ParentFrom::Path))
        }
        _ => first_hop(node, by_short, coordinator),
    }
}

/// What the routing table says.
fn first_hop(node: &NodeLine, by_short: &BTreeMap<String, String>, coordinator: &str) -> Option<(String, ParentFrom)> {
    let next_hop = node.next_hop.as_ref();
    if node.hops == Some(1) || next_hop.is_some() && next_hop == node.short_addr.as_ref() {
        return Some((coordinator.to_owned(), ParentFrom::Route));
    }
    if let Some(next_hop) = next_hop {
        return by_short.get(next_hop).map(|eui64| (eui64.clone(), ParentFrom::Route));
    }
    let is_away = node.outage.is_some() || node.is_unreachable || node.presence == NodePresence::Lost;
    let last = &node.parents.last().filter(|_| is_away)?.next_hop;
    match Some(last) == node.short_addr.as_ref() {
        true => Some((coordinator.to_owned(), ParentFrom::Earlier)),
        false => by_short.get(last).map(|eui64| (eui64.clone(), ParentFrom::Earlier)),
    }
}

/// Paths of different times can contradict each other: who stands on a circle goes by the routing table, or nowhere.
fn cut_circles(
    parents: &mut BTreeMap<String, (String, ParentFrom)>,
    nodes: &[NodeLine],
    by_short: &BTreeMap<String, String>,
    coordinator: &str,
) {
    for is_last in [false, true] {
        let mut ends: BTreeSet<String> = BTreeSet::from([coordinator.to_owned()]);
        for node in nodes {
            let mut walked = BTreeSet::new();
            let mut at = node.eui64.clone();
            while !ends.contains(&at) && walked.insert(at.clone()) {
                match parents.get(&at) {
                    Some((parent, _)) => at.clone_from(parent),
                    None => break,
                }
            }
            if !ends.contains(&at) && parents.contains_key(&at) {
                // `at` stands on the circle.
                let by_table = nodes.iter().find(|node| node.eui64 == at).filter(|_| !is_last);
                match by_table.and_then(|node| first_hop(node, by_short, coordinator)) {
                    Some(parent) => parents.insert(at, parent),
                    None => parents.remove(&at),
                };
            }
            ends.extend(walked);
        }
    }
}
