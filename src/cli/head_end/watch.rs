//! `dcu head-end watch`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::broker::{Broker, own_id, random};
use crate::cli::{Exit, Failure, OrExit, Out, Outcome};
use crate::simulate::head_end::archive::{Archive, Content};
use crate::simulate::head_end::play::{PlayError, Told, Until, watch};
use crate::simulate::head_end::{Intake, Options, WatchError};

/// Receive readings, make them durable, acknowledge them
///
/// Prints one JSON line for each record, or appends it to a file that holds nothing twice. What was made durable is
/// acknowledged with a signature; without a file, what was printed. Killed at any moment and started again with the same
/// files it loses and doubles nothing. Runs until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu head-end watch --keys ./keys
  dcu head-end watch --keys ./keys \\
      --append readings.jsonl --batches batches.jsonl
  dcu head-end watch --keys ./keys --share ingest \\
      --append a.jsonl --batches a-batches.jsonl         one of several")]
pub(super) struct Args {
    #[command(flatten)]
    broker: Broker,
    /// Share the batches with the other members of a group
    #[arg(long, value_name = "GROUP")]
    share: Option<String>,
    /// Only units of this utility
    #[arg(long, value_name = "NAME")]
    utility: Option<String>,
    /// Append a line for each record instead of printing it
    #[arg(long, value_name = "FILE")]
    append: Option<PathBuf>,
    /// Append each batch and checkpoint as it came, for `verify`
    #[arg(long, value_name = "FILE")]
    batches: Option<PathBuf>,
    /// Only look: acknowledge nothing to the units
    #[arg(long)]
    no_ack: bool,
    /// The client identifier; default: head-end, in a group and with --no-ack one of its own
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = super::super::duration)]
    limit: Option<Duration>,
    /// End after so many new records; a batch is taken whole
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print the tally at the end as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    if args.share.as_deref().is_some_and(|group| group.is_empty() || group.contains(['/', '+', '#'])) {
        return Err(Failure::said(Exit::Usage, "--share: a group's name has no / + or #"));
    }
    let client_id = match args.client_id {
        Some(id) => id,
        None if args.share.is_some() || args.no_ack => own_id("head-end")?,
        None => "head-end".to_owned(),
    };
    let mut broker = args.broker.settings(&client_id)?;
    broker.retry = (Duration::from_millis(500), Duration::from_secs(30));
    if args.no_ack {
        broker.clean_start = true;
        broker.session_expiry = Duration::ZERO;
    }
    let open = |path: &Option<PathBuf>, content| {
        path.as_deref().map(|path| Archive::open(path, content)).transpose().or_exit(Exit::Failed)
    };
    let records = open(&args.append, Content::Records)?;
    let batches = open(&args.batches, Content::Batches)?;
    let prints = records.is_none();
    let options = Options {
        broker,
        group: args.share,
        utility: args.utility,
        ingest: if args.no_ack { None } else { Some(args.broker.ingest_key()?) },
        intake: Intake::new(records, batches),
        seed: u64::from_le_bytes(random()?),
    };
    let until = Until { after: args.limit, records: args.count };
    let mut failure = None;
    let watched = watch(options, until, |told| match told {
        Told::Arrival(arrival) if prints => {
            let mut lines = arrival.lines();
            let printed = lines.try_for_each(|line| out.line(line)).and_then(|()| out.flush());
            printed.map_err(|closed| {
                failure = Some(closed);
                io::Error::new(io::ErrorKind::BrokenPipe, "standard output is closed")
            })
        }
        Told::Arrival(_) => Ok(()),
        Told::Subscribed => {
            eprintln!("dcu: subscribed");
            Ok(())
        }
        Told::Trouble(text) => {
            eprintln!("dcu: {text}");
            Ok(())
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let counts = watched.map_err(|error| match error {
        PlayError::Watch(WatchError::Setup(reason)) => Failure::new(Exit::Failed, reason),
        error => Failure::new(Exit::Failed, error),
    })?;
    if args.json {
        out.json(&counts)?;
    }
    Ok(Exit::Done)
}
