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
    /// It costs airtime at every hop and takes up to 40 s. Where the node does not answer, or its answer is lost on the way
    /// back, that is said, with the hops that were heard of the way there, and the command has failed (exit code 1).
    Trace {
        /// EUI-64, short address, or the name of its meter
        node: String,
        #[command(flatten)]
        common: Common,
    },
    /// Have the modem find a new route to a node
    ///
    /// A search goes through the whole network: it costs airtime everywhere. What the modem finds over a blacklisted
    /// neighbour all the same is put onto another way, where one is known. Where nobody answers for the node, as it is off
    /// or nobody reaches it, that is said, and the command has failed (exit code 1).
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
    /// reached by before; where none is known, or it is blacklisted too, or loses more than it carries, they stay, as any
    /// way is better than none. How many there are of both, and which stay, is told.
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
                false => out.text(past(&history, common.unit_now()))?,
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
            if remove {
                done(&common, ask, |node| format!("routes may go over {node}"), out)?;
            } else {
                let said = common.ask(ask)?;
                match common.json {
                    true => out.json(&said)?,
                    false => out.text(banned(&said).ok_or_else(strange)?)?,
                }
            }
        }
    }
    Ok(Exit::Done)
}

/// Asks for something that is done to a node, and says so.
fn done(common: &Common, ask: MeshAsk, words: impl Fn(&str) -> String, out: &mut Out) -> Result<(), Failure> {
    let said = common.ask(ask)?;
    let MeshSaid::Done { node, unkept } = &said else { return Err(strange()) };
    match common.json {
        true => out.json(&said)?,
        false => out.text(format!("{}\n{}", words(node), not_kept(unkept.as_deref())))?,
    }
    Ok(())
}

/// What was ordered holds as long as the service runs.
fn not_kept(why: Option<&str>) -> String {
    let why = why.map(|why| format!("not kept over a restart of the service: {}\n", printable(why)));
    why.unwrap_or_default()
}

/// What came of a search; None where that was not asked.
fn found(said: &MeshSaid) -> Option<String> {
    let MeshSaid::Found { node, next_hop, hops, is_blacklisted, detour, stays } = said else { return None };
    let over = match (next_hop, hops) {
        (Some(next_hop), Some(hops)) => format!(": over {next_hop}, {}", counted(u64::from(*hops), "hop")),
        _ => String::new(),
    };
    let instead = match (is_blacklisted, detour) {
        (false, _) => String::new(),
        (true, Some(next_hop)) => format!("; that is blacklisted: the route is put over {next_hop}, as it was before"),
        (true, None) => format!("; that is blacklisted, but {}", reason(stays.as_deref().unwrap_or("no-other-way"))),
    };
    Some(format!("a route to {node} was found{over}{instead}"))
}

/// What becomes of the routes over who is blacklisted; None where that was not asked.
fn banned(said: &MeshSaid) -> Option<String> {
    let MeshSaid::Blacklisted { node, is_new, routes, moved, stays, unkept } = said else { return None };
    let is = if *is_new { "is blacklisted" } else { "was blacklisted already" };
    let mut text = match routes {
        0 => format!("{node} {is}: no route goes over it\n"),
        _ => {
            let went = counted(*routes as u64, "route");
            let stay = if stays.len() == 1 { "stays" } else { "stay" };
            format!("{node} {is}: {went} went over it, {moved} moved to other known ways, {} {stay}\n", stays.len())
        }
    };
    let mut whys: Vec<&str> = stays.iter().map(|line| line.why.as_str()).collect();
    whys.sort_unstable();
    whys.dedup();
    for why in whys {
        let of: Vec<&str> = stays.iter().filter(|line| line.why == why).map(|line| line.short_addr.as_str()).collect();
        let more = of.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let of: Vec<&str> = of.into_iter().take(NAMED).collect();
        text.push_str(&format!("{}: {}{more}\n", reason(why), of.join(", ")));
    }
    Some(text + &not_kept(unkept.as_deref()))
}

/// Why a route stays over who is blacklisted.
fn reason(why: &str) -> &str {
    match why {
        "no-other-way" => "no other way is known",
        "others-blacklisted" => "the other ways known are blacklisted too",
        "others-lose" => "the other ways known lose more than they carry",
        "no-rows-taken" => "the modem takes no routes",
        "held" => "it is held there: see `dcu route release`",
        other => other,
    }
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
    let RouteHistory { node, short_addr, meter, next_hop, fault, held, alternates, changes, .. } = history;
    let hops = hops(history.hops, history.traced_hops).map_or_else(String::new, |hops| format!(", {hops}"));
    let mut said = vec![match next_hop {
        Some(next_hop) => format!("over {next_hop}{hops}"),
        None => "no route".to_owned(),
    }];
    said.extend(fault.iter().map(|fault| format!("bad: {fault}")));
    said.extend(held.iter().map(|next_hop| format!("held at {next_hop}")));
    said.extend(history.is_blacklisted.then(|| "blacklisted: no route is to go over it".to_owned()));
    let mut ways =
        Table::new(&["", "over", ">hops", ">cost", ">weak", "medium", ">answered", ">lost", ">score", "seen"]);
    for way in alternates {
        ways.row([
            if way.is_current { "*" } else { "" }.to_owned(),
            way.next_hop.clone(),
            // Some modems count none.
            if way.hops > 0 { way.hops.to_string() } else { "-".to_owned() },
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

/// How far a node is: by its row of the routing table, and by the path that was traced, where that is not the same.
pub(super) fn hops(table: Option<u8>, traced: Option<u8>) -> Option<String> {
    let count = |hops: u8| counted(hops.into(), "hop");
    match (table.filter(|hops| *hops > 0), traced.filter(|hops| *hops > 0)) {
        (Some(table), Some(traced)) if table != traced => {
            Some(format!("{} by the routing table, {traced} on the traced path", count(table)))
        }
        (Some(hops), _) | (None, Some(hops)) => Some(count(hops)),
        (None, None) => None,
    }
}

fn what(change: &ChangeLine) -> String {
    let over = change.next_hop.as_deref().unwrap_or("-");
    let hops = counted(u64::from(change.hops.unwrap_or_default()), "hop");
    match change.what.as_str() {
        "way" if change.hops == Some(0) => format!("goes over {over}"),
        "way" => format!("goes over {over}, {hops}"),
        "gone" => "no route any more".to_owned(),
        "faulty" => "found bad".to_owned(),
        "searched" => format!("another one looked for within {hops}"),
        "not-found" => "none found".to_owned(),
        "pinned" => format!("held at {over}"),
        "released" => "held no more".to_owned(),
        "blacklisted" => "no route is to go over it".to_owned(),
        "allowed" => "routes may go over it".to_owned(),
        "stays" => format!("goes over {over}, which is blacklisted"),
        "may-stay" => format!("goes over {over}, which is blacklisted no more"),
        "refused" => format!("refused: {}", change.refusal.as_deref().unwrap_or("-")),
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
        "blacklisted" => "the unit put it around who is blacklisted",
        "put-back" => "the unit put it back, as the modem had dropped it",
        "by-another" => "the unit put it over who is to look for the node, as its way was lost",
        "near" => "the unit put it there, as it knew no way and the modem hears the node itself",
        stays if change.what == "stays" => reason(stays),
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

/// Nodes that are named in one line.
const NAMED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{AlternateLine, StaysLine};

    fn stays(numbers: std::ops::Range<u16>, why: &str) -> Vec<StaysLine> {
        let line = |number| StaysLine { short_addr: format!("{number:04x}"), eui64: None, why: why.to_owned() };
        numbers.map(line).collect()
    }

    #[test]
    fn what_becomes_of_routes_over_who_is_blacklisted_is_said() {
        let said = |is_new, moved, stays: Vec<StaysLine>| {
            let routes = moved + stays.len();
            banned(&MeshSaid::Blacklisted { node: "X".into(), is_new, routes, moved, stays, unkept: None }).unwrap()
        };
        assert_eq!(said(true, 0, vec![]), "X is blacklisted: no route goes over it\n");
        let unkept = Some("open routes: Is a directory".to_owned());
        let said_at_once =
            MeshSaid::Blacklisted { node: "X".into(), is_new: true, routes: 0, moved: 0, stays: vec![], unkept };
        assert_eq!(
            banned(&said_at_once).unwrap(),
            "X is blacklisted: no route goes over it\n\
             not kept over a restart of the service: open routes: Is a directory\n"
        );
        let all = [stays(8..20, "no-other-way"), stays(32..33, "others-blacklisted")].concat();
        assert_eq!(
            said(true, 9, all),
            "X is blacklisted: 22 routes went over it, 9 moved to other known ways, 13 stay\n\
             no other way is known: 0008, 0009, 000a, 000b, 000c, 000d, 000e, 000f, 0010, 0011 and 2 more\n\
             the other ways known are blacklisted too: 0020\n"
        );
        assert_eq!(
            said(false, 0, stays(8..9, "others-lose")),
            "X was blacklisted already: 1 route went over it, 0 moved to other known ways, 1 stays\n\
             the other ways known lose more than they carry: 0008\n"
        );
    }

    #[test]
    fn why_a_route_that_was_found_stays_over_who_is_blacklisted_is_said() {
        let said = |stays: Option<&str>| MeshSaid::Found {
            node: "N".into(),
            next_hop: Some("0007".into()),
            hops: Some(2),
            is_blacklisted: true,
            detour: None,
            stays: stays.map(ToOwned::to_owned),
        };
        let words = |stays| found(&said(Some(stays))).unwrap();
        let begin = "a route to N was found: over 0007, 2 hops; that is blacklisted, but ";
        assert_eq!(words("no-other-way"), format!("{begin}no other way is known"));
        assert_eq!(words("others-blacklisted"), format!("{begin}the other ways known are blacklisted too"));
        assert_eq!(words("held"), format!("{begin}it is held there: see `dcu route release`"));
    }

    #[test]
    fn hops_of_the_table_and_of_the_path_are_told_apart() {
        let said = |table, traced| hops(table, traced).unwrap_or_default();
        assert_eq!(said(Some(2), None), "2 hops");
        assert_eq!(said(Some(1), Some(1)), "1 hop");
        assert_eq!(said(Some(0), Some(3)), "3 hops");
        assert_eq!(said(Some(2), Some(3)), "2 hops by the routing table, 3 on the traced path");
        assert_eq!(hops(Some(0), None), None);

        let change = |what: &str, why: &str, refusal: Option<&str>| ChangeLine {
            at_ms: 1_760_000_000_000,
            what: what.to_owned(),
            why: why.to_owned(),
            next_hop: Some("0007".into()),
            hops: Some(2),
            refusal: refusal.map(ToOwned::to_owned),
        };
        let way = |next_hop: &str, hops, is_current| AlternateLine {
            next_hop: next_hop.to_owned(),
            hops,
            cost: 20,
            weak_links: 0,
            medium: None,
            answered: 0,
            failed: 0,
            score: 20,
            seen_ms: 1_760_000_000_000,
            is_current,
        };
        let history = RouteHistory {
            node: "001122ffff000009".into(),
            short_addr: "0009".into(),
            meter: String::new(),
            next_hop: Some("0007".into()),
            hops: Some(2),
            traced_hops: Some(3),
            fault: None,
            held: None,
            is_blacklisted: true,
            alternates: vec![way("0007", 2, true), way("0003", 0, false)],
            changes: vec![
                change("way", "put-back", None),
                change("searched", "asked", None),
                change("refused", "asked", Some("busy")),
                change("stays", "no-other-way", None),
                change("may-stay", "asked", None),
                change("way", "blacklisted", None),
                change("way", "by-another", None),
            ],
        };
        let text = past(&history, 1_760_000_060_000);
        for line in [
            "over 0007, 2 hops by the routing table, 3 on the traced path; blacklisted: no route is to go over it",
            "*  0007     2    20",
            "   0003     -    20",
            "goes over 0007, 2 hops                        the unit put it back, as the modem had dropped it",
            "refused: busy                                 an operator wanted it",
            "goes over 0007, which is blacklisted          no other way is known",
            "goes over 0007, which is blacklisted no more  an operator wanted it",
            "goes over 0007, 2 hops                        the unit put it around who is blacklisted",
            "goes over 0007, 2 hops                        the unit put it over who is to look for the node, as its way was lost",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
