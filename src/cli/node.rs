//! `dcu node list|show|import|admit|deny|kick`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use plc::Eui64;

use super::mesh::{Common, strange};
use super::text::{Table, age, ago, counted, printable};
use super::{Exit, Failure, Out, Outcome, unread};
use crate::config::{private, text_from, text_of};
use crate::control::{ImportPart, MeshAsk, MeshSaid, NodeLine, NodePresence, NodeSecret, ParentLine};

/// Nodes of a mesh network: who may join, who is in it
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu node import nodes.csv             who may join: eui64,psk[,meter]
  dcu node list                         all nodes
  dcu node list --presence lost         those that were in the network
  dcu node show 001122ffff000001        one node, by EUI-64, short address or meter
  dcu node deny 001122ffff000001        send it away, for good
  dcu node kick 0007                    send it away; it may come back")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All nodes, one a line
    List {
        /// Only nodes of this presence
        #[arg(long, value_parser = PRESENCES.map(NodePresence::name))]
        presence: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Everything that is known of one node
    Show {
        /// EUI-64, short address, or the name of its meter
        node: String,
        #[command(flatten)]
        common: Common,
    },
    /// Tell who may join, and with what key
    ///
    /// The file has a line `eui64,psk` or `eui64,psk,meter` for each node; the key has 32 hexadecimal digits. A first
    /// line `eui64,psk,meter` and lines that begin with # are passed over. The file must be readable for its owner
    /// alone. All faults are told at once, and then nothing is imported; else all nodes of it are, at once. What
    /// follows the second comma is the meter's name, commas and all; that is told, and so are names that stand there
    /// twice. Nodes that are known stay as they are; another key or meter takes the place of the old one.
    Import {
        /// The file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Let a node join that was denied
    Admit {
        node: String,
        #[command(flatten)]
        common: Common,
    },
    /// Do not let a node join any more, and send it away
    Deny {
        node: String,
        #[command(flatten)]
        common: Common,
    },
    /// Send a node away; it keeps its address and may come back
    Kick {
        node: String,
        #[command(flatten)]
        common: Common,
    },
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::List { presence, common } => {
            let mut nodes = nodes(&common)?;
            nodes.retain(|node| presence.as_ref().is_none_or(|presence| node.presence.name() == presence));
            list(&nodes, &common, out)
        }
        Verb::Show { node, common } => {
            let nodes = nodes(&common)?;
            let eui64 = node.parse::<Eui64>().map(|eui64| eui64.to_string()).unwrap_or_else(|_| node.clone());
            let is_it = |line: &&NodeLine| {
                line.eui64 == eui64
                    || line.short_addr.as_ref() == Some(&node)
                    || (!node.is_empty() && line.meter == node)
                    || line.electricity_meter.as_ref().is_some_and(|meter| meter.eq_ignore_ascii_case(&node))
            };
            let mut found = nodes.iter().filter(is_it);
            let line = match (found.next(), found.next()) {
                (Some(line), None) => line,
                (Some(one), Some(other)) => {
                    let text = format!("{node:?} means {} and {}: name the EUI-64", one.eui64, other.eui64);
                    return Err(Failure::said(Exit::NotFound, text));
                }
                (None, _) => {
                    return Err(Failure::said(Exit::NotFound, format!("no node {node:?}; `dcu node list` shows all")));
                }
            };
            match common.json {
                true => out.json(line)?,
                false => out.text(print(line, common.unit_now()))?,
            }
            Ok(Exit::Done)
        }
        Verb::Import { file, common } => import(&file, &common, out),
        Verb::Admit { node, common } => done(&common, MeshAsk::Admit { node }, "may join", out),
        Verb::Deny { node, common } => done(&common, MeshAsk::Deny { node }, "may not join any more", out),
        Verb::Kick { node, common } => done(&common, MeshAsk::Kick { node }, "is sent away", out),
    }
}

fn nodes(common: &Common) -> Result<Vec<NodeLine>, Failure> {
    match common.ask(MeshAsk::Nodes)? {
        MeshSaid::Nodes { nodes } => Ok(nodes),
        _ => Err(strange()),
    }
}

fn done(common: &Common, ask: MeshAsk, what: &str, out: &mut Out) -> Outcome {
    let said = common.ask(ask)?;
    let MeshSaid::Done { node, .. } = &said else { return Err(strange()) };
    match common.json {
        true => out.json(&said)?,
        false => out.line(format!("node {node} {what}"))?,
    }
    Ok(Exit::Done)
}

/// The nodes of a file that its owner alone can read.
pub(super) fn nodes_of(file: &Path) -> Result<Vec<NodeSecret>, Failure> {
    let (nodes, odd) = parse(&text_of_owner(file)?).map_err(|faults| {
        let said = faults.iter().take(20).map(|fault| format!("{}:{fault}", file.display())).collect::<Vec<_>>();
        let more = faults.len().saturating_sub(said.len());
        let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
        Failure::said(Exit::Configuration, format!("nothing was imported\n{}{more}", said.join("\n")))
    })?;
    odd.iter().for_each(|odd| eprintln!("dcu: {}:{odd}", file.display()));
    Ok(nodes)
}

fn import(file: &Path, common: &Common, out: &mut Out) -> Outcome {
    let nodes = nodes_of(file)?;
    let network = common.network()?;
    let mut import = [0; 8];
    getrandom::fill(&mut import).map_err(|error| Failure::said(Exit::Failed, format!("draw at random: {error}")))?;
    let import = u64::from_le_bytes(import);
    // A request has an end. Nothing is imported before the last part is there.
    let parts = nodes.chunks(AT_ONCE).count();
    let mut said = MeshSaid::Taken;
    for (number, nodes) in (0..).zip(nodes.chunks(AT_ONCE)) {
        // Each part has its time.
        let common = common.anew();
        let part = ImportPart { import, number, is_last: number as usize + 1 == parts };
        said = common.ask_of(&network, MeshAsk::Import { nodes: nodes.to_vec(), part: Some(part) })?;
    }
    let MeshSaid::Imported { added, changed, same } = said else { return Err(strange()) };
    match common.json {
        true => out.json(&MeshSaid::Imported { added, changed, same })?,
        false => out.line(format!("{} added, {changed} changed, {same} known", counted(added as u64, "node")))?,
    }
    Ok(Exit::Done)
}

/// The text of a file that its owner alone can read, or of standard input.
pub(super) fn text_of_owner(file: &Path) -> Result<String, Failure> {
    let read = if file == Path::new("-") {
        text_from(std::io::stdin().lock(), LIMIT)
    } else {
        let text = text_of(file, LIMIT);
        if text.is_ok() {
            private(file).map_err(|error| Failure::said(Exit::NotPermitted, error))?;
        }
        text
    };
    read.map_err(|error| unread(file, &error))
}

/// The nodes of a file and what is odd in it, or all that is wrong, by line; a key is in none of it.
fn parse(text: &str) -> Result<(Vec<NodeSecret>, Vec<String>), Vec<String>> {
    let (mut nodes, mut odd, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    let (mut seen, mut named) = (BTreeMap::new(), BTreeMap::<String, u32>::new());
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || number == 1 && line.to_ascii_lowercase().starts_with("eui64,") {
            continue;
        }
        let node = match node(line) {
            Ok(node) => node,
            Err(fault) => {
                faults.push(format!("{number}: {fault}"));
                continue;
            }
        };
        if let Some(first) = seen.insert(node.eui64.clone(), number) {
            faults.push(format!("{number}: {} stands in line {first} already", node.eui64));
            continue;
        }
        if node.meter.contains(',') {
            odd.push(format!("{number}: more than three fields: {:?} is taken as the meter's name", node.meter));
        }
        if !node.meter.is_empty() {
            match named.get(&node.meter) {
                Some(first) => odd.push(format!(
                    "{number}: the meter's name {:?} stands in line {first} too: only the EUI-64 means one of these nodes",
                    node.meter
                )),
                None => drop(named.insert(node.meter.clone(), number)),
            }
        }
        nodes.push(node);
    }
    match faults.is_empty() {
        true if nodes.is_empty() => Err(vec!["1: there is no node in it: a line is eui64,psk[,meter]".to_owned()]),
        true => Ok((nodes, odd)),
        false => Err(faults),
    }
}

fn node(line: &str) -> Result<NodeSecret, String> {
    let mut fields = line.splitn(3, ',').map(str::trim);
    let (eui64, psk, meter) = (fields.next().unwrap_or(""), fields.next(), fields.next().unwrap_or(""));
    let eui64: Eui64 =
        eui64.parse().map_err(|_| "the first field is not an EUI-64 of 16 hexadecimal digits".to_owned())?;
    let psk = psk.ok_or_else(|| format!("{eui64} has no key: a line is eui64,psk[,meter]"))?;
    if [[0; 8], [0xff; 8]].contains(&eui64.0) {
        return Err(format!("{eui64} is nobody's address"));
    }
    if psk.len() == 32 && !psk.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("the key of {eui64} has characters that are no hexadecimal digits"));
    }
    if psk.len() != 32 {
        return Err(format!("the key of {eui64} has {} characters, it must have 32 hexadecimal digits", psk.len()));
    }
    if meter.len() > crate::registry::NODE_METER_LIMIT || meter.chars().any(char::is_control) {
        return Err(format!("the meter's name of {eui64} is longer than 64 octets or not printable"));
    }
    Ok(NodeSecret { eui64: eui64.to_string(), psk: psk.to_owned(), meter: meter.to_owned() })
}

fn list(nodes: &[NodeLine], common: &Common, out: &mut Out) -> Outcome {
    if common.json {
        for node in nodes {
            out.json(node)?;
        }
        return Ok(Exit::Done);
    }
    let now = common.unit_now();
    let mut table = Table::new(&["node", "short", "meter", "presence", ">heard", ">hops", ">lqi", "remark"]);
    let figure = |figure: Option<u8>| figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string());
    for node in nodes {
        table.row([
            node.eui64.clone(),
            node.short_addr.clone().unwrap_or_else(|| "-".into()),
            printable(node.name()),
            node.presence.name().to_owned(),
            node.heard_ms.map_or_else(|| "never".into(), |heard_ms| age(now, heard_ms)),
            figure(node.hops),
            figure(node.lqi),
            remark(node),
        ]);
    }
    out.text(table.text())?;
    eprintln!("{}", counted(nodes.len() as u64, "node"));
    Ok(Exit::Done)
}

fn remark(node: &NodeLine) -> String {
    let out = node.outage.as_ref().map(|scope| format!("out: {scope}"));
    let unreachable = node.is_unreachable.then(|| "meter unreachable".to_owned());
    let said = out.or(unreachable).or_else(|| node.failure.clone());
    let banned = node.is_blacklisted.then(|| "blacklisted".to_owned());
    printable(&said.into_iter().chain(banned).collect::<Vec<_>>().join("; "))
}

fn print(node: &NodeLine, now: i64) -> String {
    let mut items = Table::new(&["", ""]);
    let mut row = |name: &str, text: String| items.row([name.to_owned(), text]);
    let since = node.joined_ms.map_or(String::new(), |joined_ms| format!(", joined {}", ago(now, joined_ms)));
    row("presence", format!("{}{since}", node.presence.name()));
    if node.outage.is_some() || node.is_unreachable {
        row("not answering", remark(node));
    }
    if let Some(meter) = node.electricity_meter.as_ref().filter(|meter| **meter != node.meter) {
        row("meter", format!("{}, as the configuration has it", printable(meter)));
    }
    row("address", node.short_addr.clone().unwrap_or_else(|| "none yet".into()));
    if let Some(heard_ms) = node.heard_ms {
        let lqi = node.lqi.map_or(String::new(), |lqi| format!(", LQI {lqi}"));
        row("heard", format!("{}{lqi}", ago(now, heard_ms)));
    }
    if let Some(asked_ms) = node.asked_ms {
        row("asked", ago(now, asked_ms));
    }
    if let Some(failure) = &node.failure {
        row("join failed", printable(failure));
    }
    let since = node.counted_since_ms.map_or(String::new(), |since_ms| format!(", {}", ago(now, since_ms)));
    row("joins", format!("{}, lost {} times since the service began{since}", node.joins, node.losses));
    if let Some(generation) = node.key_generation {
        row("key", generation.to_string());
    }
    if node.is_blacklisted {
        row("blacklisted", "no route of the coordinator is to go over it".to_owned());
    }
    let (route, before) = route(node, now);
    if let Some(route) = route {
        row("route", route);
    }
    if let Some(parent) = &node.parent {
        let medium = node.medium.as_deref().map_or(String::new(), |medium| format!(", {medium}"));
        let phase = node.phase_differential.map_or(String::new(), |phase| format!(", {}°", 60 * u16::from(phase)));
        let traced = node.traced_ms.map_or(String::new(), |at_ms| format!(", traced {}", ago(now, at_ms)));
        row("last hop", format!("from {parent}{medium}{phase}{traced}"));
    }
    if let (Some(lqi), Some(kind), Some(scheme)) = (node.lqi_forward, node.modulation_type, node.modulation_scheme) {
        row("neighbour", format!("hears the coordinator with LQI {lqi}, modulation type {kind}, scheme {scheme}"));
    }
    for (place, ParentLine { next_hop, since_ms, until_ms }) in before.iter().rev().enumerate() {
        let until = until_ms.map_or(String::new(), |until_ms| format!(", until {}", ago(now, until_ms)));
        row(
            if place == 0 { "routes before" } else { "" },
            format!("by {next_hop} from {}{until}", ago(now, *since_ms)),
        );
    }
    format!("{}  {}\n\n{}", node.eui64, printable(&node.meter), items.text())
}

/// The route as it is, where there may be one, and those before it.
fn route(node: &NodeLine, now: i64) -> (Option<String>, &[ParentLine]) {
    let Some(next_hop) = &node.next_hop else {
        let is_in = matches!(node.presence, NodePresence::Alive | NodePresence::Routed);
        return ((is_in || !node.parents.is_empty()).then(|| "none".to_owned()), &node.parents);
    };
    let present = node.parents.split_last().filter(|(last, _)| last.next_hop == *next_hop && last.until_ms.is_none());
    let since = present.map_or(String::new(), |(present, _)| format!(" since {}", ago(now, present.since_ms)));
    let is_its_trace = node.path.first().is_some_and(|hop| hop.short_addr == *next_hop);
    let traced = u8::try_from(node.path.len()).ok().filter(|_| is_its_trace);
    let hops = super::route::hops(node.hops, traced).map_or(String::new(), |hops| format!(", {hops}"));
    let weak = node.weak_links.filter(|weak| *weak > 0);
    let weak = weak.map_or(String::new(), |weak| format!(", {}", counted(weak.into(), "weak link")));
    (Some(format!("by {next_hop}{since}{hops}{weak}")), present.map_or(&node.parents, |(_, before)| before))
}

const PRESENCES: [NodePresence; 6] = [
    NodePresence::Alive,
    NodePresence::Routed,
    NodePresence::Lost,
    NodePresence::Listed,
    NodePresence::Denied,
    NodePresence::Unlisted,
];
/// Nodes in one request.
const AT_ONCE: usize = 12;
const LIMIT: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{HopLine, Topology};

    /// In the network, by 0003 since an hour, by 0001 before.
    fn line() -> NodeLine {
        let json = serde_json::json!({
            "eui64": "001122ffff000009", "short_addr": "0009", "meter": "", "presence": "alive", "joins": 1, "losses": 0,
            "hops": 2, "next_hop": "0003", "parents": [
                { "since_ms": 0, "next_hop": "0001", "until_ms": 3_600_000 }, { "since_ms": 7_200_000, "next_hop": "0003" }
            ]
        });
        serde_json::from_value(json).unwrap()
    }

    /// What is shown of its routes.
    #[track_caller]
    fn routes(node: &NodeLine, expected: &[&str]) {
        let text = print(node, 10_800_000);
        let rows = text.lines().skip_while(|row| !row.starts_with("key") && !row.starts_with("joins")).skip(1);
        assert_eq!(rows.map(str::trim_end).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn what_is_counted_says_since_when() {
        let text = print(&NodeLine { counted_since_ms: Some(3_600_000), ..line() }, 10_800_000);
        assert!(text.contains("1, lost 0 times since the service began, 2 h ago\n"), "{text}");
        assert!(print(&line(), 10_800_000).contains("since the service began\n"), "an older service does not say it");
        let counted = NodeLine { counted_since_ms: Some(7), ..line() };
        let topology = Topology::new("feeder".into(), "781d".into(), "0011223344556677".into(), 9, &[line(), counted]);
        assert_eq!(serde_json::to_value(&topology).unwrap()["counted_since_ms"], 7);
    }

    #[test]
    fn a_route_is_told_with_since_when_and_where_there_is_none_that_is_said() {
        let before = "routes before  by 0001 from 3 h ago, until 2 h ago";
        routes(&line(), &["route          by 0003 since 1 h ago, 2 hops", before]);
        let mut gone = NodeLine { next_hop: None, hops: None, ..line() };
        gone.parents[1].until_ms = Some(9_000_000);
        let gone_rows = ["route          none", "routes before  by 0003 from 1 h ago, until 30 min ago"];
        let oldest = "               by 0001 from 3 h ago, until 2 h ago";
        routes(&gone, &[&gone_rows[..], &[oldest]].concat());
        // All that is left of it is the path that was traced.
        gone.parent = Some("0003".into());
        gone.traced_ms = Some(7_200_000);
        routes(&gone, &[gone_rows[0], "last hop       from 0003, traced 1 h ago", gone_rows[1], oldest]);
        // It never was there.
        routes(
            &NodeLine { parents: Vec::new(), presence: NodePresence::Listed, ..gone.clone() },
            &["last hop  from 0003, traced 1 h ago"],
        );
        routes(&NodeLine { parents: Vec::new(), parent: None, ..gone }, &["route     none"]);
    }

    #[test]
    fn hops_of_the_row_and_of_the_path_have_their_names() {
        let hop = |short_addr: &str| HopLine {
            short_addr: short_addr.to_owned(),
            link_cost: 9,
            phase_differential: 0,
            medium: "plc".into(),
        };
        let with =
            |path: &[&str]| NodeLine { path: path.iter().map(|at| hop(at)).collect(), parents: Vec::new(), ..line() };
        routes(&with(&["0003", "0009"]), &["route     by 0003, 2 hops"]);
        routes(
            &with(&["0003", "0005", "0009"]),
            &["route     by 0003, 2 hops by the routing table, 3 on the traced path"],
        );
        // It was traced on another way.
        routes(&with(&["0001", "0005", "0009"]), &["route     by 0003, 2 hops"]);
    }

    #[test]
    fn who_is_blacklisted_is_marked() {
        let node = NodeLine { is_blacklisted: true, parents: Vec::new(), ..line() };
        routes(&node, &["blacklisted  no route of the coordinator is to go over it", "route        by 0003, 2 hops"]);
        assert_eq!((remark(&node).as_str(), remark(&line()).as_str()), ("blacklisted", ""));
        let out = NodeLine { outage: Some("phase 2".into()), ..node };
        assert_eq!(remark(&out), "out: phase 2; blacklisted");
    }

    #[test]
    fn a_file_is_taken_whole_or_every_fault_is_told_and_no_key() {
        let psk = "000102030405060708090A0B0C0D0E0F";
        let good = format!(
            "\u{feff}EUI64,PSK,meter\n# a comment\n\n00:11:22:ff:ff:00:00:01,{psk},flat 3, left\r\n001122ffff000002,{psk}\n"
        );
        let (nodes, odd) = parse(&good).unwrap();
        assert_eq!(odd, ["4: more than three fields: \"flat 3, left\" is taken as the meter's name"]);
        let twice = format!("001122ffff000001,{psk},flat 3\n001122ffff000002,{psk},flat 3\n");
        let (both, odd) = parse(&twice).unwrap();
        assert_eq!((both.len(), odd.len()), (2, 1));
        assert!(odd[0].starts_with("2: the meter's name \"flat 3\" stands in line 1 too"), "{odd:?}");
        let said: Vec<_> = nodes.iter().map(|node| (node.eui64.as_str(), node.meter.as_str())).collect();
        assert_eq!(said, [("001122ffff000001", "flat 3, left"), ("001122ffff000002", "")]);
        let bad = format!(
            "001122ffff000001,{psk}\n1122,{psk}\n001122ffff000002\n001122ffff000003,00ff\n001122ffff000001,{psk}\n0000000000000000,{psk}\n001122ffff000004,{}\n",
            "0g".repeat(16)
        );
        let faults = parse(&bad).unwrap_err();
        assert_eq!(
            faults,
            [
                "2: the first field is not an EUI-64 of 16 hexadecimal digits",
                "3: 001122ffff000002 has no key: a line is eui64,psk[,meter]",
                "4: the key of 001122ffff000003 has 4 characters, it must have 32 hexadecimal digits",
                "5: 001122ffff000001 stands in line 1 already",
                "6: 0000000000000000 is nobody's address",
                "7: the key of 001122ffff000004 has characters that are no hexadecimal digits",
            ]
        );
        assert_eq!(parse("# nothing\n").unwrap_err().len(), 1);
    }
}
