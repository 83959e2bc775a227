//! `dcu route show|trace|refresh`

use clap::Subcommand;

use super::mesh::{Common, strange};
use super::text::{Table, counted, printable};
use super::{Exit, Out, Outcome};
use crate::control::{HopLine, MeshAsk, MeshSaid, PathLine, RouteLine};

/// Routes through a mesh network
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu route show                        the modem's routing table
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
    /// A search goes through the whole network: it costs airtime everywhere.
    Refresh {
        /// EUI-64, short address, or the name of its meter
        node: String,
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
        Verb::Refresh { node, common } => {
            let said = common.ask(MeshAsk::Refresh { node })?;
            let MeshSaid::Done { node } = &said else { return Err(strange()) };
            match common.json {
                true => out.json(&said)?,
                false => out.line(format!("a route to {node} was found"))?,
            }
        }
    }
    Ok(Exit::Done)
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
