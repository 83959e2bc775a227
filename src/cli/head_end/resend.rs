//! `dcu head-end resend`.

use std::time::Duration;

use super::broker::{Broker, own_id, random};
use crate::cli::{Exit, Failure, OrExit, Out, Outcome};
use crate::simulate::head_end::order::{Order, OrderError};
use crate::simulate::head_end::play::{PlayError, give};
use crate::store::Lane;
use crate::uplink::Topics;
use crate::wire::v1::Resend;
use crate::wire::v1::command::Operation;
use crate::wire::v1::command_state::State;

/// Ask a unit for stored batches again
///
/// A signed order; the unit publishes every stored batch with a record of the range, byte for byte as before. Ends with
/// 4 when some of the range is not stored any more, 5 without an answer, 6 when the unit rejects the order.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  dcu head-end resend --keys ./keys --utility acme --dcu dcu-1 \\
      --epoch 00c0ffee00c0ffee --lane mbus --first 501 --last 1000",
    override_usage = "\
dcu head-end resend [OPTIONS] --utility <NAME> --dcu <ID> --epoch <EPOCH>
      --lane <LANE> --first <N> --last <N>"
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
    /// 16 hexadecimal digits, as in the lines of `watch`
    #[arg(long, value_parser = epoch)]
    epoch: u64,
    /// The records' lane, as in topics: mbus
    #[arg(long, value_parser = lane)]
    lane: Lane,
    /// The first record
    #[arg(long, value_name = "N")]
    first: u64,
    /// The last record
    #[arg(long, value_name = "N")]
    last: u64,
    /// How long to wait for the unit
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = super::super::duration)]
    timeout: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    if args.first == 0 || args.first > args.last {
        return Err(Failure::said(Exit::Usage, "--first: from 1, and not after --last"));
    }
    let topics = Topics::new(&args.utility, &args.dcu).or_exit(Exit::Usage)?;
    let Args { epoch, lane, first, last, .. } = args;
    let operation = Operation::Resend(Resend { epoch, lane: lane as i32, first, last });
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let order = Order { topics, operation, id: random()?, now_ms, valid_for: Order::VALID_FOR };
    let broker = args.broker.settings(&own_id("head-end")?)?;
    let devices = args.broker.devices()?;
    let keys = [&args.broker.ingest_key()?];
    let state = give(&order, broker, &keys, devices.as_ref(), args.timeout, |_| {});
    let state = state.map_err(unanswered)?;
    let (name, exit) = match (state.state(), state.code.as_str()) {
        (State::Succeeded, _) => ("succeeded", Exit::Done),
        (State::Failed, "range_not_stored") => ("failed", Exit::NotFound),
        (State::Rejected, _) => ("rejected", Exit::NotPermitted),
        _ => ("failed", Exit::Failed),
    };
    match args.json {
        true => out.json(&serde_json::json!({
            "state": name, "code": state.code, "detail": state.detail, "batches": state.batches,
        }))?,
        false => {
            let why = [state.code, state.detail].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
            let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(", ")) };
            out.line(format_args!("{name}, {} batches sent again{why}", state.batches))?;
        }
    }
    Ok(exit)
}

/// The unit did not answer.
pub(super) fn unanswered(error: PlayError) -> Failure {
    let exit = match error {
        PlayError::Order(OrderError::Silent { .. }) => Exit::TimedOut,
        PlayError::Order(OrderError::Refused(_)) => Exit::NotPermitted,
        PlayError::Order(OrderError::AnotherOrder) => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}

fn epoch(text: &str) -> Result<u64, String> {
    let number = (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
    number.ok_or_else(|| "not 16 hexadecimal digits".to_owned())
}

fn lane(text: &str) -> Result<Lane, String> {
    let names = || Lane::ALL.map(Lane::name).join(", ");
    Lane::ALL.into_iter().find(|lane| lane.name() == text).ok_or_else(|| format!("not one of {}", names()))
}
