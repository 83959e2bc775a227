//! `dcu route show|history|trace|refresh|pin|release|blacklist`

use clap::Subcommand;

use super::mesh::{Common, strange};
use super::text::{Table, ago, counted, printable, utc};
use super::{Exit, Failure, Out, Outcome};
use crate::control::{ChangeLine, HopLine, MeshAsk, MeshSaid, PathLine, RouteHistory, RouteLine};

/// Routes through a mesh network
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu route show                        the modem's routing table
  dcu route history 0007                what became of a route, and why
  dcu route trace 001122ffff000001      every hop to a node and back
  dcu route refresh 0007                have a new route found")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The modem's routing table, read now
    Show {
        #[command(flatten)]
        common: Common,
    },
    /// What became of the routes to a node, when, and why
    ///
    /// The ways that it was reached by come first, the best first: what their links cost, weak ones above all, and what was
    /// lost on them make a score. Over restarts the last 32 changes are kept, fewer in networks of more than 1,000 nodes.
    History {
        /// EUI-64, short address, or the name of its meter
        node: String,
        #[command(flatten)]
        common: Common,
    },
    /// Find the path to a node and back
    ///
    /// It costs airtime at every hop and takes up to 40 s.
    Trace {
        /// EUI-64, short address, or the name of its meter
        node: String,
        #[command(flatten)]
        common: Common,
    },
    /// Have the modem find a new route to a node
    ///
    /// A search goes through the whole network: it costs airtime everywhere. What the modem finds over a blacklisted
    /// neighbour all the same is put onto another way, where one is known.
    Refresh {
        /// EUI-64, short address, or the name of its meter
        node: String,
        #[command(flatten)]
        common: Common,
    },
    /// Hold the route to a node at a neighbour of the coordinator
    ///
    /// The route is put into the modem's routing table, read back, and put there again whenever the modem has another one,
    /// over restarts too. A modem that takes no routes says so, and nothing is held.
    Pin {
        /// EUI-64, short address, or the name of its meter
        node: String,
        /// The neighbour, named likewise
        next_hop: String,
        #[command(flatten)]
        common: Common,
    },
    /// Let the modem choose the route to a node again
    ///
    /// Nothing is looked for on that account: the route stays as it is until it changes.
    Release {
        /// EUI-64, short address, or the name of its meter
        node: String,
        #[command(flatten)]
        common: Common,
    },
    /// Let no route of the coordinator go over a neighbour, or let it again; without one, tell those that are
    ///
    /// The neighbour is put on the modem's blacklist, where the modem lets that be written: requests for routes that come
    /// from it are dropped then, and no more than that. So routes over it are put onto another way that their node was
    /// reached by before; where none is known, or it loses more than it carries, they stay, as any way is better than none.
    Blacklist {
        /// EUI-64, short address, or the name of its meter
        node: Option<String>,
        /// Take it from the blacklist
        #[arg(long, requires = "node")]
        remove: bool,
        #[command(flatten)]
        common: Common,
    },
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::Show { common } => {
            let MeshSaid::Routes { routes } = common.ask(MeshAsk::Routes)? else { return Err(strange()) };
            if common.json {
                routes.iter().try_for_each(|route| out.json(route))?;
            } else {
                out.text(table(&routes))?;
                eprintln!("{}", counted(routes.len() as u64, "route"));
            }
        }
        Verb::Trace { node, common } => {
            let MeshSaid::Path(path) = common.ask(MeshAsk::Trace { node })? else { return Err(strange()) };
            match common.json {
                true => out.json(&path)?,
                false => out.text(print(&path))?,
            }
        }
        Verb::History { node, common } => {
            let MeshSaid::History(history) = common.ask(MeshAsk::History { node })? else { return Err(strange()) };
            match common.json {
                true => out.json(&history)?,
                false => out.text(past(&history, common.unit_now()?))?,
            }
        }
        Verb::Refresh { node, common } => {
            let said = common.ask(MeshAsk::Refresh { node })?;
            match common.json {
                true => out.json(&said)?,
                false => out.line(found(&said).ok_or_else(strange)?)?,
            }
        }
        Verb::Pin { node, next_hop, common } => {
            done(&common, MeshAsk::Pin { node, next_hop }, |node| format!("the route to {node} is held"), out)?;
        }
        Verb::Release { node, common } => {
            done(
                &common,
                MeshAsk::Release { node },
                |node| format!("the modem chooses the route to {node}, which stays until it changes"),
                out,
            )?;
        }
        Verb::Blacklist { node: None, common, .. } => blacklisted(&common, out)?,
        Verb::Blacklist { node: Some(node), remove, common } => {
            let ask = MeshAsk::Blacklist { node, is_blacklisted: !remove };
            let words = |node: &str| match remove {
                true => format!("routes may go over {node}"),
                false => format!("{node} is blacklisted: routes over it are put onto others, where others are known"),
            };
            done(&common, ask, words, out)?;
        }
    }
    Ok(Exit::Done)
}

/// Asks for something that is done to a node, and says so.
fn done(common: &Common, ask: MeshAsk, words: impl Fn(&str) -> String, out: &mut Out) -> Result<(), Failure> {
    let said = common.ask(ask)?;
    let MeshSaid::Done { node } = &said else { return Err(strange()) };
    match common.json {
        true => out.json(&said)?,
        false => out.line(words(node))?,
    }
    Ok(())
}

/// What came of a search; None where that was not asked.
fn found(said: &MeshSaid) -> Option<String> {
    let MeshSaid::Found { node, next_hop, hops, is_blacklisted, detour } = said else { return None };
    let over = match (next_hop, hops) {
        (Some(next_hop), Some(hops)) => format!(": over {next_hop}, {}", counted(u64::from(*hops), "hop")),
        _ => String::new(),
    };
    let instead = match (is_blacklisted, detour) {
        (false, _) => String::new(),
        (true, Some(next_hop)) => format!("; that is blacklisted: the route is put over {next_hop}, as it was before"),
        (true, None) => "; that is blacklisted, but no other way is known".to_owned(),
    };
    Some(format!("a route to {node} was found{over}{instead}"))
}

fn blacklisted(common: &Common, out: &mut Out) -> Result<(), Failure> {
    let MeshSaid::Nodes { mut nodes } = common.ask(MeshAsk::Nodes)? else { return Err(strange()) };
    nodes.retain(|node| node.is_blacklisted);
    if common.json {
        return nodes.iter().try_for_each(|node| out.json(node));
    }
    let mut table = Table::new(&["short", "node", "meter"]);
    for node in &nodes {
        let meter = node.electricity_meter.as_ref().unwrap_or(&node.meter);
        table.row([node.short_addr.clone().unwrap_or_else(|| "-".into()), node.eui64.clone(), printable(meter)]);
    }
    if !nodes.is_empty() {
        out.text(table.text())?;
    }
    eprintln!("{} blacklisted", counted(nodes.len() as u64, "node"));
    Ok(())
}

fn past(history: &RouteHistory, now: i64) -> String {
    let RouteHistory { node, short_addr, meter, next_hop, hops, fault, held, alternates, changes, .. } = history;
    let mut said = vec![match (next_hop, hops) {
        (Some(next_hop), Some(hops)) => format!("over {next_hop}, {}", counted(u64::from(*hops), "hop")),
        _ => "no route".to_owned(),
    }];
    said.extend(fault.iter().map(|fault| format!("bad: {fault}")));
    said.extend(held.iter().map(|next_hop| format!("held at {next_hop}")));
    said.extend(history.is_blacklisted.then(|| "no route goes over it".to_owned()));
    let mut ways =
        Table::new(&["", "over", ">hops", ">cost", ">weak", "medium", ">answered", ">lost", ">score", "seen"]);
    for way in alternates {
        ways.row([
            if way.is_current { "*" } else { "" }.to_owned(),
            way.next_hop.clone(),
            way.hops.to_string(),
            way.cost.to_string(),
            way.weak_links.to_string(),
            way.medium.clone().unwrap_or_else(|| "-".into()),
            way.answered.to_string(),
            way.failed.to_string(),
            way.score.to_string(),
            ago(now, way.seen_ms),
        ]);
    }
    let mut times = Table::new(&["when", "what", "why"]);
    for change in changes {
        times.row([utc(change.at_ms), what(change), why(change)]);
    }
    let mut text = format!("{node}  {short_addr}  {}\n{}\n", printable(meter), said.join("; "));
    for table in [(&ways, alternates.is_empty()), (&times, changes.is_empty())] {
        if !table.1 {
            text.push('\n');
            text.push_str(&table.0.text());
        }
    }
    text
}

fn what(change: &ChangeLine) -> String {
    let over = change.next_hop.as_deref().unwrap_or("-");
    let hops = counted(u64::from(change.hops.unwrap_or_default()), "hop");
    match change.what.as_str() {
        "way" => format!("goes over {over}, {hops}"),
        "gone" => "no route any more".to_owned(),
        "faulty" => "found bad".to_owned(),
        "searched" => format!("another one looked for within {hops}"),
        "not-found" => "none found".to_owned(),
        "pinned" => format!("held at {over}"),
        "released" => "held no more".to_owned(),
        "blacklisted" => "no route goes over it".to_owned(),
        "allowed" => "routes may go over it".to_owned(),
        other => other.to_owned(),
    }
}

fn why(change: &ChangeLine) -> String {
    let why = match change.why.as_str() {
        "modem" => "the modem chose it",
        "joined" => "the node joined",
        "left" => "the node left",
        "expired" => "the modem dropped it, as nobody used it for long, or had no room",
        "no-route" => "the modem had no way",
        "no-answer" => "requests were not answered",
        "circular" => "it went round",
        "weak" => "weak links, and requests lost",
        "flapping" => "it changed too often",
        "asked" => "an operator wanted it",
        "started" => "the modem was started anew",
        other => other,
    };
    // What another one was looked for, and found.
    let is_found = change.what == "way"
        && matches!(change.why.as_str(), "no-route" | "no-answer" | "circular" | "weak" | "flapping");
    if is_found { format!("looked for, as {why}") } else { why.to_owned() }
}

fn table(routes: &[RouteLine]) -> String {
    let mut table =
        Table::new(&["short", "node", "meter", "next hop", ">hops", ">cost", ">weak", "medium", ">valid min"]);
    for route in routes {
        table.row([
            route.destination.clone(),
            route.eui64.clone().unwrap_or_else(|| "-".into()),
            printable(&route.meter),
            route.next_hop.clone(),
            route.hops.to_string(),
            route.cost.to_string(),
            route.weak_links.to_string(),
            route.medium.clone().unwrap_or_else(|| "-".into()),
            route.valid_min.to_string(),
        ]);
    }
    table.text()
}

fn print(path: &PathLine) -> String {
    let mut hops = Table::new(&["", "node", ">cost", ">phase", "medium"]);
    for (way, list) in [("there", &path.forward), ("back", &path.reverse)] {
        for (n, HopLine { short_addr, link_cost, phase_differential, medium }) in list.iter().enumerate() {
            let way = if n == 0 { way } else { "" };
            let phase = format!("{}°", 60 * u16::from(*phase_differential));
            hops.row([way.to_owned(), short_addr.clone(), link_cost.to_string(), phase, medium.clone()]);
        }
    }
    format!("{}  {}\n\n{}", path.node, path.short_addr, hops.text())
}
