//! The tree as text for a terminal, and as input for Graphviz.

use std::fmt::Write;

use super::forest::Forest;
use crate::cli::text::{printable, utc};
use crate::control::{LinkQuality, NodePresence, Topology, TopologyNode};

/// One line a node.
pub(super) fn text(forest: &Forest<'_>) -> String {
    let Topology { network, pan_id, coordinator, at_ms, .. } = forest.topology;
    let mut text = format!(
        "{}  pan {}  coordinator {}  {}\n{}\n",
        printable(network),
        printable(pan_id),
        printable(coordinator),
        utc(*at_ms),
        forest.counts(),
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
    let legend = format!("{}\n{DOT_LEGEND}", forest.counts());
    let _ = writeln!(text, "  label={}; labelloc=t;", quoted(&legend));
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
        let name = format!("{} {}", short(node), node.meter);
        let out = node.out().map_or_else(String::new, |why| format!("\n{why}"));
        let (banned, frame) = if node.is_blacklisted { ("\nblacklisted", ", peripheries=2") } else { ("", "") };
        let label = format!("{}\n{}{out}{banned}", name.trim(), node.presence.name());
        let colour = if out.is_empty() { "" } else { ", color=magenta, fontcolor=magenta" };
        let _ = writeln!(text, "  {} [label={}, style={style}{colour}{frame}];", quoted(&node.eui64), quoted(&label));
    }
    for twig in &forest.tree {
        let node = twig.node;
        let before = twig.parent.and_then(|parent| forest.tree.get(parent)).map_or(coordinator, |p| &p.node.eui64);
        let style = match node.medium.as_deref() {
            _ if node.is_way_vague() => "dotted",
            Some("rf") => "dashed",
            _ => "solid",
        };
        let colour = if node.out().is_some() { "magenta" } else { colour(node.quality()) };
        let label = [node.link_cost.map(|cost| cost.to_string()), far(node)];
        let _ = writeln!(
            text,
            "  {} -> {} [color={colour}, style={style}, label={}];",
            quoted(before),
            quoted(&node.eui64),
            quoted(&label.into_iter().flatten().collect::<Vec<_>>().join("\n")),
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
    words.extend(node.out());
    words.extend(node.is_blacklisted.then(|| "blacklisted".to_owned()));
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
    let earlier = node.is_way_vague().then(|| "way as it was".to_owned());
    node.untraced_hops().map(|hops| format!("{hops} hops, not traced")).or(earlier)
}

pub(super) fn short(node: &TopologyNode) -> &str {
    node.short_addr.as_deref().unwrap_or("----")
}

const DOT_LEGEND: &str = "links: green good, orange fair, red weak, gray unknown; dashed RF; \
    dotted: the nodes between were not traced, or the way is as it was\nmagenta: does not answer; double frame: blacklisted";

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
