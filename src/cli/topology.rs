//! `dcu topology`: a mesh network as a picture.

mod diff;
mod forest;
mod legend;
mod style;
mod svg;
#[cfg(test)]
mod tests;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use self::diff::Diff;
use self::forest::Forest;
use super::mesh::{Common, strange};
use super::text::printable;
use super::{Exit, Failure, Out, Outcome};
use crate::control::{MeshAsk, MeshSaid, Topology};

/// A mesh network as a picture: who stands behind whom
///
/// The routing table names the first hop to a node and how many hops there are; only a traced path (`dcu route trace`)
/// names them all. What neither says is shown as unknown, and --diff tells whose way is unknown since. Who is blacklisted
/// is marked.
///
/// A link is good with an LQI of 72 and more, fair with 52 and more, weak below; of the LQIs of both ways the worse one
/// counts. Where none is known the cost does: 10 and less, 11, 12 and more. --diff tells a link as worse or better when
/// it has left its class by more than 12 of LQI, or 1 of cost: what is measured wavers from minute to minute. A node
/// that is part of an outage, or whose meter is unreachable, is shown as not answering, whatever the network says of it;
/// --diff tells the two apart, and who is on the blacklist since or no more. In a picture names come first: what there is
/// no room for is shown by pointing at the node.
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu topology                          the tree, on the terminal
  dcu topology --svg street.svg         a picture for a browser
  dcu topology --json > monday.json     to compare with another day
  dcu topology --diff monday.json       what has changed since
  dcu topology --from monday.json --svg monday.svg")]
pub(super) struct Args {
    /// Print the tree (the default)
    #[arg(long, conflicts_with_all = ["dot", "svg", "json"])]
    tree: bool,
    /// Print a graph for Graphviz
    #[arg(long, conflicts_with_all = ["svg", "json"])]
    dot: bool,
    /// Draw a picture into this file
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    svg: Option<PathBuf>,
    /// Print what has changed since the picture in this file, of --json; with --svg mark it
    #[arg(long, value_name = "OLDER", conflicts_with_all = ["dot", "tree", "json"])]
    diff: Option<PathBuf>,
    /// Take the network from this file, of --json, instead of the service
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let topology = match &args.from {
        Some(file) => read(file)?,
        None => ask(&args.common)?,
    };
    let older = args.diff.as_deref().map(|file| older(file, &topology)).transpose()?;
    let diff = older.as_ref().map(|older| Diff::new(older, &topology));
    let forest = Forest::new(&topology);
    match (&args.svg, &diff) {
        (Some(file), diff) => {
            fs::write(file, svg::draw(&forest, diff.as_ref()))
                .map_err(|error| Failure::said(Exit::Failed, format!("write {}: {error}", file.display())))?;
        }
        (None, Some(diff)) => out.text(diff.text(&topology))?,
        (None, None) if args.dot => out.text(tree::dot(&forest))?,
        (None, None) if args.common.json => out.json(&topology)?,
        (None, None) => out.text(tree::text(&forest))?,
    }
    Ok(Exit::Done)
}

fn ask(common: &Common) -> Result<Topology, Failure> {
    let network = common.network()?;
    let MeshSaid::Status(status) = common.ask_of(&network, MeshAsk::Status)? else { return Err(strange()) };
    // The table as it is now; a network that is not up shows what it knew.
    let _ = common.ask_of(&network, MeshAsk::Routes);
    let MeshSaid::Nodes { nodes } = common.ask_of(&network, MeshAsk::Nodes)? else { return Err(strange()) };
    Ok(Topology::new(status.network, status.pan_id, status.eui64, common.unit_now(), &nodes))
}

/// An older picture of the same network.
fn older(file: &Path, newer: &Topology) -> Result<Topology, Failure> {
    let older = read(file)?;
    let named = |it: &Topology| {
        let (network, pan_id, coordinator) =
            (printable(&it.network), printable(&it.pan_id), printable(&it.coordinator));
        format!("{network:?}, PAN {pan_id}, coordinator {coordinator}")
    };
    let (then, now) = (named(&older), named(newer));
    match then == now {
        true => Ok(older),
        false => Err(Failure::said(
            Exit::Usage,
            format!("{} shows another network: {then}; this one is {now}", file.display()),
        )),
    }
}

fn read(file: &Path) -> Result<Topology, Failure> {
    super::json_of(file, "what `dcu topology --json` prints")
}
