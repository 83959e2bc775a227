//! The tree as text for a terminal, and as input for Graphviz.

use std::fmt::Write;

use super::forest::Forest;
use crate::cli::text::{counted, printable, utc};
use crate::control::{LinkQuality, NodePresence, Topology, TopologyNode};

/// One line a node.
pub(super) fn text(forest: &Forest<'_>) -> String {
    let Topology { network, pan_id, coordinator, at_ms, nodes } = forest.topology;
    let joined = nodes.iter().filter(|node| node.is_joined()).count();
    let mut text = format!(
        "{}  pan {}  coordinator {}  {}\n{} of {} joined\n",
        printable(network),
        printable(pan_id),
        printable(coordinator),
        utc(*at_ms),
        joined,
        counted(nodes.len() as u64, "node"),
    );
    for twig in &forest.tree {
        let (last, above) = twig.more.split_last().map_or((&false, [].as_slice()), |(last, above)| (last, above));
        let lines: String = above.iter().map(|more| if *more { "│  " } else { "   " }).collect();
        let branch = if *last { "├─ " } else { "└─ " };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{lines}{branch}{}", said(twig.node));
    }
    for (title, list) in [("way unknown", &forest.astray), ("not in the network", &forest.outside)] {
        if !list.is_empty() {
            let _ = writeln!(text, "{title}: {}", list.len());
            for node in list {
                let _ = writeln!(text, "   {}", said(node));
            }
        }
    }
    text
}

/// A directed graph, the coordinator first.
pub(super) fn dot(forest: &Forest<'_>) -> String {
    let Topology { network, pan_id, coordinator, .. } = forest.topology;
    let mut text = format!("digraph {} {{\n  rankdir=LR; node [shape=box, fontname=monospace];\n", quoted(network));
    let _ = writeln!(
        text,
        "  {} [label={}, shape=house];",
        quoted(coordinator),
        quoted(&format!("{network}\npan {pan_id}"))
    );
    for node in &forest.topology.nodes {
        let style = match node.presence {
            NodePresence::Alive => "solid",
            NodePresence::Routed => "dashed",
            _ => "dotted",
        };
        let label = format!("{} {}\n{}", short(node), node.meter, node.presence.name());
        let _ = writeln!(text, "  {} [label={}, style={style}];", quoted(&node.eui64), quoted(label.trim()));
    }
    for twig in &forest.tree {
        let node = twig.node;
        let before = twig.parent.and_then(|parent| forest.tree.get(parent)).map_or(coordinator, |p| &p.node.eui64);
        let style = if node.medium.as_deref() == Some("rf") { "dashed" } else { "solid" };
        let _ = writeln!(
            text,
            "  {} -> {} [color={}, style={style}, label={}];",
            quoted(before),
            quoted(&node.eui64),
            colour(node.quality()),
            quoted(&node.link_cost.map_or_else(String::new, |cost| cost.to_string())),
        );
    }
    text.push_str("}\n");
    text
}

/// `0a3f AMM-1234  routed, rf, cost 12 weak, 120°`
fn said(node: &TopologyNode) -> String {
    let name = if node.meter.is_empty() { &node.eui64 } else { &node.meter };
    let mut words = Vec::new();
    if node.presence != NodePresence::Alive {
        words.push(node.presence.name().to_owned());
    }
    words.extend(node.medium.clone().filter(|medium| medium == "rf"));
    words.extend(link(node));
    words.extend(node.phase_deg.map(|degrees| format!("{degrees}°")));
    words.extend(far(node));
    let words = if words.is_empty() { String::new() } else { format!("  {}", words.join(", ")) };
    printable(&format!("{} {name}{words}", short(node)))
}

/// `LQI 90 there, 84 back, good`, `cost 12 weak`
pub(super) fn link(node: &TopologyNode) -> Option<String> {
    let quality = node.quality().name();
    match (node.lqi, node.lqi_forward, node.link_cost) {
        (Some(lqi), Some(forward), _) => Some(format!("LQI {forward} there, {lqi} back, {quality}")),
        (Some(lqi), None, _) | (None, Some(lqi), _) => Some(format!("LQI {lqi} {quality}")),
        (None, None, Some(cost)) => Some(format!("cost {cost} {quality}")),
        (None, None, None) => None,
    }
}

/// Nodes on the way that nobody has traced.
pub(super) fn far(node: &TopologyNode) -> Option<String> {
    let is_route = node.parent_from == Some(crate::control::ParentFrom::Route);
    node.hops.filter(|hops| is_route && *hops > 2).map(|hops| format!("{hops} hops, not traced"))
}

pub(super) fn short(node: &TopologyNode) -> &str {
    node.short_addr.as_deref().unwrap_or("----")
}

const fn colour(quality: LinkQuality) -> &'static str {
    match quality {
        LinkQuality::Good => "green",
        LinkQuality::Fair => "orange",
        LinkQuality::Weak => "red",
        LinkQuality::Unknown => "gray",
    }
}

/// A string of Graphviz.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{}\"", printable(&text))
}
