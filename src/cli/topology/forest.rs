//! The order in which nodes are drawn: depth first, neighbours by their EUI-64, so that two days can be laid side by side.

use std::collections::BTreeMap;

use crate::cli::text::counted;
use crate::control::{NodePresence, Topology, TopologyNode};

/// A topology, and who stands behind whom.
#[derive(Debug)]
pub(super) struct Forest<'a> {
    pub(super) topology: &'a Topology,
    /// The tree behind the coordinator.
    pub(super) tree: Vec<Twig<'a>>,
    /// In the network, and nothing is known of their way.
    pub(super) astray: Vec<&'a TopologyNode>,
    /// Not in the network, and never seen at a place in it.
    pub(super) outside: Vec<&'a TopologyNode>,
}

/// One node at its place.
#[derive(Debug, Clone)]
pub(super) struct Twig<'a> {
    pub(super) node: &'a TopologyNode,
    /// Of each node from the coordinator's neighbour down to this one: whether a brother or sister comes after it.
    pub(super) more: Vec<bool>,
    /// Where its parent stands in the tree; None for the coordinator's neighbours.
    pub(super) parent: Option<usize>,
}

impl<'a> Forest<'a> {
    pub(super) fn new(topology: &'a Topology) -> Self {
        let mut behind: BTreeMap<&str, Vec<&TopologyNode>> = BTreeMap::new();
        let (mut astray, mut outside) = (Vec::new(), Vec::new());
        for node in &topology.nodes {
            match &node.parent {
                Some(parent) if has_place(node.presence) => behind.entry(parent).or_default().push(node),
                _ if node.is_joined() => astray.push(node),
                _ => outside.push(node),
            }
        }
        let mut forest = Self { topology, tree: Vec::new(), astray, outside };
        let neighbours = behind.remove(topology.coordinator.as_str()).unwrap_or_default();
        forest.grow(neighbours, &mut behind);
        // Who stands behind somebody who has no place.
        forest.astray.extend(behind.into_values().flatten());
        for list in [&mut forest.astray, &mut forest.outside] {
            list.sort_by_key(|node| &node.eui64);
        }
        forest
    }

    /// `5 of 7 nodes joined, 1 of them not answering; 1 blacklisted`
    pub(super) fn counts(&self) -> String {
        let nodes = &self.topology.nodes;
        let joined = nodes.iter().filter(|node| node.is_joined()).count();
        let out = nodes.iter().filter(|node| node.out().is_some()).count();
        let out = if out > 0 { format!(", {out} of them not answering") } else { String::new() };
        let banned = nodes.iter().filter(|node| node.is_blacklisted).count();
        let banned = if banned > 0 { format!("; {banned} blacklisted") } else { String::new() };
        format!("{joined} of {} joined{out}{banned}", counted(nodes.len() as u64, "node"))
    }

    /// Without recursion: a file that was altered may have any depth.
    fn grow(&mut self, neighbours: Vec<&'a TopologyNode>, behind: &mut BTreeMap<&str, Vec<&'a TopologyNode>>) {
        let mut waiting: Vec<Twig<'a>> = Vec::new();
        push(&mut waiting, neighbours, &[], None);
        while let Some(twig) = waiting.pop() {
            if twig.depth() < DEEPEST {
                let children = behind.remove(twig.node.eui64.as_str()).unwrap_or_default();
                push(&mut waiting, children, &twig.more, Some(self.tree.len()));
            }
            self.tree.push(twig);
        }
    }
}

impl Twig<'_> {
    /// Nodes from the coordinator's neighbour to this one.
    pub(super) fn depth(&self) -> usize {
        self.more.len()
    }
}

/// Puts children onto the stack, the last one first.
fn push<'a>(waiting: &mut Vec<Twig<'a>>, mut nodes: Vec<&'a TopologyNode>, above: &[bool], parent: Option<usize>) {
    nodes.sort_by_key(|node| &node.eui64);
    for (place, node) in nodes.into_iter().rev().enumerate() {
        let mut more = above.to_vec();
        more.push(place > 0);
        waiting.push(Twig { node, more, parent });
    }
}

/// What was lost is drawn where it stood.
const fn has_place(presence: NodePresence) -> bool {
    matches!(presence, NodePresence::Alive | NodePresence::Routed | NodePresence::Lost)
}

/// A way of G3-PLC has 15 hops at most; what is deeper comes from a file that was altered.
pub(super) const DEEPEST: usize = 32;
