//! `dcu head-end order`.

mod channel;

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use plc::Eui64;
use serde_json::json;

use super::broker::{Broker, own_id, random};
use super::resend::unanswered;
use crate::cli::meter::life::handover_of;
use crate::cli::node::nodes_of;
use crate::cli::text::{counted, printable};
use crate::cli::{Exit, Failure, OrExit, Out, Outcome};
use crate::control::Handover;
use crate::reading::MeterId;
use crate::registry::Action;
use crate::simulate::head_end::order::Order;
use crate::simulate::head_end::play::give;
use crate::uplink::Topics;
use crate::uplink::order::action_named;
use crate::wire::columns;
use crate::wire::v1::command::Operation;
use crate::wire::v1::command_state::{Result as Said, State};
use crate::wire::v1::{
    AdmitNode, CommandState, DenyNode, HandOver, ImportNodes, KickNode, NodeKey, NodeOfNetwork, NodesImported,
    OrderMeter, RefreshRoute, Rekey, RekeyBegun, ResetJournal, TakeOver, TraceRoute, TracedHop, TracedPath,
};

/// Give a unit an order about its mesh networks or its meters
///
/// A signed command, carried out at most once; the states that the unit answers are printed. Ends with 1 when it
/// failed, 4 when there is no such node, network or meter, 5 without an answer, 6 when the unit rejects it, 7 when nobody knows
/// whether it was carried out.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  dcu head-end order --keys ./keys --utility acme --dcu dcu-1 \\
      import nodes.csv
  dcu head-end order --keys ./keys --utility acme --dcu dcu-1 \\
      deny 001122ffff000001
  dcu head-end order --keys ./keys --utility acme --dcu dcu-1 \\
      --sign one.key --sign other.key rekey
  dcu head-end order --keys ./keys --utility acme --dcu dcu-1 \\
      --expires 20h meter KAM-12345678-1b-07 close-valve
  dcu head-end order --keys ./keys --utility acme --dcu dcu-1 \\
      hand-over 4d4d4d0000bc614e > meter.json
  dcu head-end order --keys ./keys --utility acme --dcu dcu-2 \\
      take-over meter.json",
    override_usage = "dcu head-end order [OPTIONS] --utility <NAME> --dcu <ID> <ORDER>",
    subcommand_value_name = "ORDER",
    subcommand_help_heading = "Orders"
)]
pub(super) struct Args {
    #[command(flatten)]
    broker: Broker,
    /// The unit's utility, as in its topics
    #[arg(long, value_name = "NAME")]
    utility: String,
    /// The unit's identifier
    #[arg(long, value_name = "ID")]
    dcu: String,
    /// Which network; may be left out where the unit has one
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    network: String,
    /// Signs the order, PEM, P-256; twice where two must sign [default: those of --keys]
    #[arg(long, value_name = "FILE")]
    sign: Vec<PathBuf>,
    /// 32 hexadecimal digits: an order that was given before is asked about [default: a new one]
    #[arg(long, value_parser = id)]
    id: Option<[u8; 16]>,
    /// After so long nothing is sent to a meter any more; the order itself may be asked about later. At most 23h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = super::super::duration)]
    expires: Duration,
    /// How long to wait for the unit
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = super::super::duration)]
    timeout: Duration,
    /// Print JSON, one object for each state
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Tell who may join: a file as for `dcu node import`
    ///
    /// Its keys can be read by whoever runs the broker.
    Import { file: PathBuf },
    /// Let a node join that was denied
    Admit { node: String },
    /// Do not let a node join any more, and send it away
    Deny { node: String },
    /// Send a node away; it may come back
    Kick { node: String },
    /// Give the network a new group master key; two must sign
    Rekey,
    /// Find the path to a node and back
    Trace { node: String },
    /// Have a new route to a node found
    Refresh { node: String },
    /// Tell a two-way meter something when it listens: close-valve, open-valve, enable-opening, set-clock, request-data
    ///
    /// It waits in the unit until the meter has sent something. Who asks with --id hears how it stands.
    Meter {
        /// Its full identity, such as KAM-12345678-1b-07
        meter: MeterId,
        /// What it is told
        #[arg(value_parser = Action::ALL.map(Action::name))]
        action: String,
    },
    /// Do something with an M-Bus channel of an electricity meter, or with the valve behind it
    ///
    /// Installing wants the role installer, a key crypto-officer, a valve switcher.
    Channel {
        /// System title of the electricity meter
        meter: String,
        /// Its M-Bus channel, 1 to 4
        channel: u32,
        /// A gas valve may be opened from afar; two must sign
        #[arg(long)]
        directly: bool,
        #[command(subcommand)]
        what: channel::What,
    },
    /// Read an electricity meter no more, for another unit does; what that one has to be told goes to standard output
    ///
    /// It is signed by the unit. The states of the order go to standard error. Who asks with --id is told it again.
    HandOver {
        /// System title of the electricity meter
        meter: MeterId,
    },
    /// Read an electricity meter from where another unit ended
    ///
    /// Its configuration has the meter with `handed_over = true`, and the other unit's key among `electricity.peers`.
    TakeOver {
        /// What the other unit's hand-over wrote, or - for standard input
        file: PathBuf,
    },
    /// Begin a damaged memory of commands anew; two must sign
    ResetJournal,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let topics = Topics::new(&args.utility, &args.dcu).or_exit(Exit::Usage)?;
    let of_kit: &[&str] = match &args.what {
        What::Rekey | What::ResetJournal => &["officer-1", "officer-2"],
        What::Meter { action, .. } if action.ends_with("valve") || action.ends_with("opening") => &["switcher"],
        What::Channel { what: channel::What::SetKey { .. }, .. } => &["officer-1"],
        What::Channel { what: channel::What::Disconnect | channel::What::Connect, directly, .. } => match directly {
            true => &["switcher", "switcher-2"],
            false => &["switcher"],
        },
        _ => &["installer"],
    };
    if args.sign.iter().enumerate().any(|(place, key)| args.sign.iter().take(place).any(|other| other == key)) {
        return Err(Failure::said(Exit::Usage, "--sign names the same key twice: two people sign with two keys"));
    }
    let keys = args.broker.command_keys(&args.sign, of_kit)?;
    let id = args.id.map_or_else(random, Ok)?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let is_file = matches!(args.what, What::HandOver { .. }) && !args.json;
    let order = Order { topics, operation: operation(args.what, args.network)?, id, now_ms, valid_for: args.expires };
    let broker = args.broker.settings(&own_id("head-end")?)?;
    let devices = args.broker.devices()?;
    if !args.json {
        eprintln!("order {}", hex::encode(id));
    }
    let (mut failure, mut stands) = (None, None);
    let keys: Vec<_> = keys.iter().collect();
    let state = give(&order, broker, &keys, devices.as_ref(), args.timeout, |state| {
        let printed = match (&state.result, is_file) {
            (Some(Said::Handover(envelope)), true) => Handover::of(envelope).map_or(Ok(()), |said| out.json(&said)),
            (_, true) => {
                eprintln!("{}", print(state));
                Ok(())
            }
            _ if args.json => out.json(&json(state)),
            _ => out.line(print(state)),
        };
        stands = Some(name(state));
        failure = failure.take().or(printed.and_then(|()| out.flush()).err());
    });
    let state = state.map_err(|error| match (unanswered(error), stands) {
        (Failure { exit: Exit::TimedOut, .. }, Some(stands)) => {
            let text = format!("{stands}, and no more in time: ask again with --id {}", hex::encode(id));
            Failure::said(Exit::TimedOut, text)
        }
        (failure, _) => failure,
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    Ok(match (state.state(), state.code.as_str()) {
        (State::Succeeded, _) => Exit::Done,
        (State::Rejected, _) | (_, "not_permitted") => Exit::NotPermitted,
        (State::Indeterminate, _) => Exit::Degraded,
        (_, "not_found") => Exit::NotFound,
        _ => Exit::Failed,
    })
}

fn operation(what: What, network: String) -> Result<Operation, Failure> {
    let which = |node| Some(NodeOfNetwork { network: network.clone(), node });
    Ok(match what {
        What::Import { file } => {
            let nodes = nodes_of(&file)?;
            let malformed = || Failure::said(Exit::Configuration, format!("{}: a malformed node", file.display()));
            let key = |node: &crate::control::NodeSecret| {
                let eui64: Eui64 = node.eui64.parse().ok()?;
                let psk = hex::decode(&node.psk).ok()?;
                Some(NodeKey { eui64: u64::from_be_bytes(eui64.0), psk, meter: node.meter.clone() })
            };
            let nodes = nodes.iter().map(key).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
            Operation::ImportNodes(ImportNodes { network, nodes })
        }
        What::Admit { node } => Operation::AdmitNode(AdmitNode { which: which(node) }),
        What::Deny { node } => Operation::DenyNode(DenyNode { which: which(node) }),
        What::Kick { node } => Operation::KickNode(KickNode { which: which(node) }),
        What::Rekey => Operation::Rekey(Rekey { network }),
        What::Trace { node } => Operation::TraceRoute(TraceRoute { which: which(node) }),
        What::Refresh { node } => Operation::RefreshRoute(RefreshRoute { which: which(node) }),
        What::Meter { meter, action } => {
            let action = action_named(&action).unwrap_or_default().into();
            Operation::OrderMeter(OrderMeter { meter: Some(columns::from_meter(meter)), action })
        }
        What::Channel { meter, channel, directly, what } => {
            Operation::Channel(channel::order(&meter, channel, directly, what)?)
        }
        What::HandOver { meter } => Operation::HandOver(HandOver { meter: Some(columns::from_meter(meter)) }),
        What::TakeOver { file } => {
            let malformed = || Failure::said(Exit::Configuration, format!("{}: not digits", file.display()));
            let handover = handover_of(&file)?.envelope().ok_or_else(malformed)?;
            Operation::TakeOver(TakeOver { handover })
        }
        What::ResetJournal => Operation::ResetJournal(ResetJournal {}),
    })
}

fn print(state: &CommandState) -> String {
    let why = [&state.code, &state.detail].into_iter().filter(|text| !text.is_empty());
    let why = why.map(|text| printable(text)).collect::<Vec<_>>().join(", ");
    let what = match &state.result {
        Some(Said::Node(eui64)) => format!("node {eui64:016x}"),
        Some(Said::Imported(NodesImported { added, changed, same })) => {
            format!("{} added, {changed} changed, {same} known", counted(u64::from(*added), "node"))
        }
        Some(Said::Rekey(RekeyBegun { generation, nodes })) => {
            format!("key {generation} is being given to {}", counted(u64::from(*nodes), "node"))
        }
        Some(Said::Path(TracedPath { forward, reverse, .. })) => {
            let hops = |hops: &[TracedHop]| {
                hops.iter().map(|hop| format!("{:04x}", hop.short_addr)).collect::<Vec<_>>().join(" ")
            };
            format!("there {}; back {}", hops(forward), hops(reverse))
        }
        Some(Said::MeterOrder(number)) => format!("order {number} of the unit"),
        Some(Said::Channel(said)) => channel::print(said),
        Some(Said::Handover(envelope)) => {
            Handover::of(envelope).map_or_else(String::new, |said| format!("meter {}", printable(&said.meter)))
        }
        None => String::new(),
    };
    let more = [why, what].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    let more = if more.is_empty() { more } else { format!(": {more}") };
    format!("{}{more}", name(state))
}

fn json(state: &CommandState) -> serde_json::Value {
    let hops = |hops: &[TracedHop]| {
        let hop = |hop: &TracedHop| {
            json!({
                "short_addr": format!("{:04x}", hop.short_addr), "link_cost": hop.link_cost,
                "phase_differential": hop.phase_differential, "medium": if hop.is_rf { "rf" } else { "plc" },
            })
        };
        hops.iter().map(hop).collect::<Vec<_>>()
    };
    let result = match &state.result {
        Some(Said::Node(eui64)) => json!({ "node": format!("{eui64:016x}") }),
        Some(Said::Imported(NodesImported { added, changed, same })) => {
            json!({ "added": added, "changed": changed, "same": same })
        }
        Some(Said::Rekey(RekeyBegun { generation, nodes })) => json!({ "generation": generation, "nodes": nodes }),
        Some(Said::Path(path)) => json!({
            "node": format!("{:016x}", path.node), "short_addr": format!("{:04x}", path.short_addr),
            "forward": hops(&path.forward), "reverse": hops(&path.reverse),
        }),
        Some(Said::MeterOrder(number)) => json!({ "order": number }),
        Some(Said::Channel(said)) => channel::json(said),
        Some(Said::Handover(envelope)) => json!(Handover::of(envelope)),
        None => serde_json::Value::Null,
    };
    json!({
        "order": hex::encode(&state.id), "state": name(state), "code": state.code, "detail": state.detail,
        "result": result,
    })
}

fn name(state: &CommandState) -> &'static str {
    match state.state() {
        State::Unspecified => "unspecified",
        State::Rejected => "rejected",
        State::Accepted => "accepted",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Indeterminate => "indeterminate",
        State::Queued => "queued",
        State::Sent => "sent",
        State::Delivered => "delivered",
    }
}

fn id(text: &str) -> Result<[u8; 16], String> {
    let mut id = [0; 16];
    hex::decode_to_slice(text, &mut id).map(|()| id).map_err(|_| "not 32 hexadecimal digits".to_owned())
}
