//! `dcu head-end topology`.

use std::time::Duration;

use serde_json::json;

use super::broker::{Broker, own_id};
use super::resend::unanswered;
use crate::cli::text::{Table, age, ago, counted, printable, utc};
use crate::cli::{Exit, OrExit, Out, Outcome};
use crate::simulate::head_end::play::hear_topology;
use crate::simulate::head_end::topology::View;
use crate::uplink::Topics;
use crate::wire::v1::mesh_node::Presence;
use crate::wire::v1::{MeshNetwork, MeshNode, MeshOutage};

/// Show a unit's mesh networks and nodes as it published them
///
/// Puts the retained messages together as `proto/dcu/v1/topology.proto` says. Ends with 5 when there is nothing whole.
/// Times count from when the unit said it, which comes first.
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu head-end topology --keys ./keys --utility acme --dcu dcu-1
  dcu head-end topology --keys ./keys --utility acme --dcu dcu-1 \\
      --json --follow --timeout 1h            one object for each change")]
pub(super) struct Args {
    #[command(flatten)]
    broker: Broker,
    /// The unit's utility, as in its topics
    #[arg(long, value_name = "NAME")]
    utility: String,
    /// The unit's identifier
    #[arg(long, value_name = "ID")]
    dcu: String,
    /// How long to wait for the unit
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::super::duration)]
    timeout: Duration,
    /// Show each change, until the time is over
    #[arg(long)]
    follow: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let topics = Topics::new(&args.utility, &args.dcu).or_exit(Exit::Usage)?;
    let broker = args.broker.settings(&own_id("head-end")?)?;
    let (mut views, mut failure) = (0, None);
    let heard = hear_topology(&topics, broker, args.timeout, |view| {
        views += 1;
        let shown = if args.json { out.json(&json(view)) } else { out.text(print(view)) };
        failure = shown.and_then(|()| out.flush()).err();
        !args.follow || failure.is_some()
    });
    match (heard, failure) {
        (_, Some(failure)) => Err(failure),
        (Ok(()), None) => Ok(Exit::Done),
        (Err(_), None) if args.follow && views > 0 => Ok(Exit::Done),
        (Err(error), None) => Err(unanswered(error)),
    }
}

fn print(view: &View) -> String {
    let mut text = format!("as of {}\n", utc(view.utc_ms));
    for (number, network) in (0..).zip(&view.networks) {
        let MeshNetwork { name, pan_id, key_generation, .. } = network;
        let why = if network.error.is_empty() { String::new() } else { format!(": {}", printable(&network.error)) };
        let nodes: Vec<_> = nodes(view, number).collect();
        let counts = Counts::of(&nodes);
        let state = lower(network.state().as_str_name(), "STATE_");
        text +=
            &format!("{}: {state}{why}; pan {pan_id:04x}, key {key_generation}\n{}\n", printable(name), counts.words());
        for MeshOutage { scope, since_s, out, back } in &network.outages {
            let back = if *back > 0 { format!(", {back} back") } else { String::new() };
            let (out, since) = (counted(u64::from(*out), "node"), ago(view.utc_ms, since_s.saturating_mul(1000)));
            text += &format!("outage: {}: {out} out{back}, {since}\n", printable(scope));
        }
        let head = ["node", "short", "meter", "presence", ">heard", ">hops", "by", ">lqi", ">weak", "remark"];
        let mut table = Table::new(&head);
        let figure = |figure: Option<u32>| figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string());
        let short = |short: Option<u32>| short.map_or_else(|| "-".to_owned(), |short| format!("{short:04x}"));
        for node in nodes {
            table.row([
                format!("{:016x}", node.name.map_or(0, |name| name.eui64)),
                short(node.short_addr),
                printable(&node.meter),
                lower(node.presence().as_str_name(), "PRESENCE_"),
                node.heard_s.map_or_else(|| "never".into(), |heard_s| age(view.utc_ms, heard_s.saturating_mul(1000))),
                figure(node.hops),
                short(node.next_hop),
                figure(node.lqi_reverse),
                figure(node.weak_links),
                remark(node),
            ]);
        }
        text += &table.text();
    }
    text
}

/// What `dcu node list` says of who does not answer.
fn remark(node: &MeshNode) -> String {
    let out = node.outage.as_ref().map(|scope| format!("out: {scope}"));
    let out = out.or(node.meter_unreachable().then(|| "meter unreachable".to_owned()));
    let banned = node.blacklisted().then(|| "blacklisted".to_owned());
    printable(&out.into_iter().chain(banned).collect::<Vec<_>>().join("; "))
}

/// Nodes of one network.
struct Counts {
    nodes: usize,
    joined: usize,
    /// Of those that joined, who is part of an outage; and of the others, whose meter is unreachable.
    out: usize,
    unreachable: usize,
    blacklisted: usize,
}

impl Counts {
    fn of(nodes: &[&MeshNode]) -> Self {
        let is_joined = |node: &MeshNode| matches!(node.presence(), Presence::Alive | Presence::Routed);
        let count = |of: &dyn Fn(&MeshNode) -> bool| nodes.iter().filter(|node| of(node)).count();
        Self {
            nodes: nodes.len(),
            joined: count(&is_joined),
            out: count(&|node| is_joined(node) && node.outage.is_some()),
            unreachable: count(&|node| is_joined(node) && node.outage.is_none() && node.meter_unreachable()),
            blacklisted: count(&MeshNode::blacklisted),
        }
    }

    /// `5 of 7 nodes joined, 2 of them not answering: 1 in outages, 1 with an unreachable meter; 1 blacklisted`
    fn words(&self) -> String {
        let Self { joined, out, unreachable, blacklisted, .. } = self;
        let silent = match out + unreachable {
            0 => String::new(),
            silent => {
                format!(", {silent} of them not answering: {out} in outages, {unreachable} with an unreachable meter")
            }
        };
        let banned = if *blacklisted > 0 { format!("; {blacklisted} blacklisted") } else { String::new() };
        format!("{joined} of {} joined{silent}{banned}", counted(self.nodes as u64, "node"))
    }
}

fn json(view: &View) -> serde_json::Value {
    let networks = (0..).zip(&view.networks).map(|(number, network)| {
        let of: Vec<_> = nodes(view, number).collect();
        let Counts { joined, out, unreachable, blacklisted, .. } = Counts::of(&of);
        json!({
            "name": network.name, "state": lower(network.state().as_str_name(), "STATE_"), "error": network.error,
            "band": network.band, "pan_id": format!("{:04x}", network.pan_id),
            "eui64": format!("{:016x}", network.eui64), "key_generation": network.key_generation,
            "rekey": network.rekey, "rekey_missing": network.rekey_missing, "foreign_pans": network.foreign_pans,
            "conflict_ms": network.conflict_ms,
            "joined": joined, "out": out, "unreachable": unreachable, "blacklisted": blacklisted,
            "outages": network.outages.iter().map(outage).collect::<Vec<_>>(), "nodes": of.into_iter().map(node).collect::<Vec<_>>(),
        })
    });
    json!({ "utc_ms": view.utc_ms, "networks": networks.collect::<Vec<_>>() })
}

fn outage(outage: &MeshOutage) -> serde_json::Value {
    json!({ "scope": outage.scope, "since_s": outage.since_s, "out": outage.out, "back": outage.back })
}

fn node(node: &MeshNode) -> serde_json::Value {
    let medium = node.medium.map(|_| lower(node.medium().as_str_name(), "MEDIUM_"));
    let mut since_s = 0i64;
    let parents = node.parent_since_s.iter().zip(&node.parent_short_addr).map(|(step, next_hop)| {
        since_s = since_s.saturating_add(*step);
        json!({ "since_s": since_s, "next_hop": next_hop })
    });
    let parents: Vec<_> = parents.collect();
    json!({
        "eui64": format!("{:016x}", node.name.map_or(0, |name| name.eui64)),
        "presence": lower(node.presence().as_str_name(), "PRESENCE_"), "short_addr": node.short_addr,
        "meter": node.meter, "joined_s": node.joined_s, "heard_s": node.heard_s, "asked_s": node.asked_s,
        "failure": node.failure, "joins": node.joins, "losses": node.losses, "key_generation": node.key_generation,
        "hops": node.hops, "weak_links": node.weak_links, "next_hop": node.next_hop, "parent": node.parent,
        "medium": medium, "lqi_forward": node.lqi_forward, "lqi_reverse": node.lqi_reverse,
        "modulation_type": node.modulation_type, "modulation_scheme": node.modulation_scheme,
        "phase_differential": node.phase_differential, "parents": parents,
        "outage": node.outage, "is_unreachable": node.meter_unreachable(),
        "is_blacklisted": node.blacklisted(),
    })
}

fn nodes(view: &View, network: u32) -> impl Iterator<Item = &MeshNode> {
    view.nodes.iter().filter(move |node| node.name.is_some_and(|name| name.network == network))
}

/// The name of a value as people write it.
fn lower(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1::MeshNodeName;

    #[test]
    fn what_is_shown_says_of_when_it_is_and_counts_who_does_not_answer_and_who_is_blacklisted() {
        let node = |eui64, presence: Presence| MeshNode {
            name: Some(MeshNodeName { network: 0, eui64 }),
            presence: presence.into(),
            ..MeshNode::default()
        };
        let (out, dead) = (Some("transformer".to_owned()), Some(true));
        let mut nodes = vec![
            node(1, Presence::Alive),
            MeshNode { outage: out.clone(), meter_unreachable: dead, ..node(2, Presence::Routed) },
            MeshNode { meter_unreachable: dead, blacklisted: Some(true), ..node(3, Presence::Alive) },
            // Who is not in the network is that.
            MeshNode { outage: out, ..node(4, Presence::Lost) },
            MeshNode { blacklisted: Some(true), ..node(5, Presence::Alive) },
        ];
        let networks = vec![MeshNetwork { name: "feeder".into(), ..MeshNetwork::default() }];
        let mut view = View { networks: networks.clone(), nodes: nodes.clone(), utc_ms: 1_760_000_000_000 };
        let text = print(&view);
        assert!(text.starts_with("as of 2025-10-09 08:53:20 UTC\nfeeder: "), "{text}");
        let counts =
            "4 of 5 nodes joined, 2 of them not answering: 1 in outages, 1 with an unreachable meter; 2 blacklisted\n";
        assert!(text.contains(counts), "{text}");
        let ends = |eui64: &str, words: &str| {
            text.lines().any(|line| line.starts_with(eui64) && line.trim_end().ends_with(words))
        };
        assert!(ends("0000000000000003", "  meter unreachable; blacklisted"), "{text}");
        assert!(ends("0000000000000005", "  blacklisted") && ends("0000000000000001", "  -"), "{text}");
        let shown = json(&view);
        let network = &shown["networks"][0];
        let count = |name: &str| network[name].as_u64().unwrap();
        assert_eq!(["joined", "out", "unreachable", "blacklisted"].map(count), [4, 1, 1, 2]);
        let banned = |place: usize| network["nodes"][place]["is_blacklisted"].as_bool();
        assert_eq!([0, 2, 4].map(banned), [Some(false), Some(true), Some(true)]);

        nodes.truncate(1);
        view = View { networks, nodes, ..view };
        assert!(print(&view).contains("\n1 of 1 node joined\n"), "{}", print(&view));
    }

    #[test]
    fn who_is_out_and_whose_meter_is_unreachable_is_shown() {
        let node = |eui64, outage: Option<&str>, meter_unreachable| MeshNode {
            name: Some(MeshNodeName { network: 0, eui64 }),
            outage: outage.map(ToOwned::to_owned),
            meter_unreachable,
            ..MeshNode::default()
        };
        let scope = "phase at 120 degrees";
        let outages = vec![MeshOutage { scope: scope.into(), since_s: 1_000, out: 2, back: 1 }];
        let network = MeshNetwork { name: "feeder".into(), outages, ..MeshNetwork::default() };
        // The last one is of a unit that does not tell it.
        let nodes = vec![
            node(1, Some(scope), None),
            node(2, None, Some(true)),
            node(3, Some(scope), Some(true)),
            node(4, None, None),
        ];
        let view = View { networks: vec![network], nodes, utc_ms: 1_060_000 };
        let text = print(&view);
        let line = |eui64: &str| text.lines().find(|line| line.starts_with(eui64)).unwrap().trim_end().to_owned();
        assert!(text.contains("outage: phase at 120 degrees: 2 nodes out, 1 back, 1 min ago\n"), "{text}");
        assert!(line("0000000000000001").ends_with("out: phase at 120 degrees"), "{text}");
        assert!(line("0000000000000002").ends_with("meter unreachable"), "{text}");
        assert!(line("0000000000000003").ends_with("out: phase at 120 degrees"), "{text}");
        assert!(line("0000000000000004").ends_with('-'), "{text}");
        let shown = json(&view);
        let nodes = &shown["networks"][0]["nodes"];
        let of = |place: usize| (nodes[place]["outage"].as_str(), nodes[place]["is_unreachable"].as_bool());
        let none = Some(false);
        assert_eq!(
            [0, 1, 2, 3].map(of),
            [(Some(scope), none), (None, Some(true)), (Some(scope), Some(true)), (None, none)]
        );
        assert_eq!(shown["networks"][0]["outages"], json!([{ "scope": scope, "since_s": 1_000, "out": 2, "back": 1 }]));
    }
}
