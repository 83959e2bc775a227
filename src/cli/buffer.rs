//! `dcu buffer stat|verify|follow`.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::client::{Service, unexpected, utc_ms};
use super::text::{Table, ago, clock, counted, octets, printable};
use super::{Exit, Failure, OrExit, Out, Outcome};
use crate::control::{BufferStat, BufferVerify, Range, Reply, Request, Stream, left};
use crate::store::{self, Epoch, Inspection};
use crate::wire;

/// What is stored and not yet acknowledged, and whether it is sound
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu buffer stat                               per lane: stored, waiting
  dcu buffer verify                             read everything, check chains
  dcu buffer verify --offline ./copy-of-state   what a dead unit left
  dcu buffer follow --json                      every commit once it is durable")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What the buffer holds, lane by lane
    Stat {
        #[command(flatten)]
        source: Source,
    },
    /// Read everything that is stored and check it
    ///
    /// Checksums, hash chains, sequences, and what was promised. Ends with 8 when anything is missing or wrong, and
    /// names it. With --offline a copy in the directory for temporary files (TMPDIR) is opened as the next start would.
    Verify {
        #[command(flatten)]
        source: Source,
    },
    /// Show commits as they become durable
    ///
    /// A record that is in a shown range survives any kill and any power cut.
    Follow {
        #[command(flatten)]
        service: Service,
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Source {
    #[command(flatten)]
    service: Service,
    /// Read a copy of a dead unit's state directory instead of asking
    #[arg(long, value_name = "DIR", conflicts_with_all = ["socket", "timeout"])]
    offline: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::Stat { source } => stat(&source, out),
        Verb::Verify { source } => verify(&source, out),
        Verb::Follow { service, json } => follow(&service, json, out),
    }
}

fn stat(source: &Source, out: &mut Out) -> Outcome {
    let (stat, now) = match &source.offline {
        Some(state) => left(state)?,
        None => match source.service.ask(Request::BufferStat)? {
            Reply::BufferStat(stat) => (stat, source.service.unit_now()),
            other => return Err(unexpected(&other)),
        },
    };
    if source.json {
        out.json(&stat)?;
    } else {
        out.text(print(&stat, now))?;
    }
    Ok(Exit::Done)
}

/// What lies in the store, and the moment it was left; the limit is known only from what the service left beside it.
fn left(state: &Path) -> Result<(BufferStat, i64), Failure> {
    let stat = BufferStat::of(&inspected(state)?.statistics);
    let status = left::left_status(state).ok();
    let size_limit = status.as_ref().map_or(0, |status| status.buffer.size_limit);
    let now = status.map_or_else(utc_ms, |status| status.time.now_ms);
    Ok((BufferStat { size_limit, ..stat }, now))
}

fn inspected(state: &Path) -> Result<Inspection, Failure> {
    store::inspect(&state.join("store"), &wire::CODEC).or_exit(Exit::NotFound)
}

pub(super) fn print(stat: &BufferStat, now: i64) -> String {
    let oldest = stat.oldest_ms.map_or(String::new(), |oldest| format!(", the oldest {}", ago(now, oldest)));
    let mut text =
        format!("epoch {}: {} not acknowledged{oldest}\n", printable(&stat.epoch), counted(stat.backlog, "record"));
    text.push_str(&octets(stat.octets));
    if stat.size_limit > 0 {
        text.push_str(&format!(" of {}", octets(stat.size_limit)));
    }
    if stat.uncommitted > 0 {
        text.push_str(&format!("; {} in the open commit window", counted(stat.uncommitted, "record")));
    }
    text.push('\n');
    if stat.evicted > 0 {
        text.push_str(&format!("{} evicted before they were acknowledged\n", counted(stat.evicted, "record")));
    }
    if stat.quarantined > 0 {
        text.push_str(&format!("{} set aside as damaged\n", counted(stat.quarantined, "store")));
    }
    if let Some(error) = &stat.error {
        text.push_str(&format!("does not take readings: {}\n", printable(error)));
    }
    text.push('\n');
    let mut table = Table::new(&["lane", ">last", ">acknowledged", ">waiting", ">batches", ">size", ">oldest"]);
    for lane in &stat.lanes {
        table.row([
            lane.lane.clone(),
            lane.last.to_string(),
            lane.acknowledged.to_string(),
            lane.backlog.to_string(),
            lane.batches.to_string(),
            octets(lane.octets),
            lane.oldest_ms.map_or_else(|| "-".into(), |oldest| super::text::age(now, oldest)),
        ]);
    }
    text.push_str(&table.text());
    text
}

fn verify(source: &Source, out: &mut Out) -> Outcome {
    let found = match &source.offline {
        Some(state) => {
            let found = inspected(state)?.rehearse(&state.join("store"), &wire::CODEC).or_exit(Exit::Failed)?;
            let epoch = found.statistics.epoch.unwrap_or(Epoch(0));
            let mut verify = BufferVerify::of(epoch, &found.verification);
            if found.unreadable > 0 {
                verify.faults.push(format!("the disk cannot read {}", octets(found.unreadable)));
            }
            verify.faults.extend(found.findings);
            verify
        }
        None => match source.service.ask(Request::BufferVerify)? {
            Reply::BufferVerify(found) => found,
            other => return Err(unexpected(&other)),
        },
    };
    if source.json {
        out.json(&found)?;
    } else {
        out.text(verdict(&found))?;
    }
    Ok(if found.is_sound() { Exit::Done } else { Exit::CheckFailed })
}

fn verdict(found: &BufferVerify) -> String {
    let (batches, records) = (counted(found.batches, "batch"), counted(found.records, "record"));
    let mut text = format!("epoch {}: {batches}, {records}\n", printable(&found.epoch));
    for range in &found.missing {
        text.push_str(&format!("missing: {}\n", said(range)));
    }
    for fault in &found.faults {
        text.push_str(&format!("wrong: {}\n", printable(fault)));
    }
    if found.is_sound() {
        text.push_str("sound\n");
    }
    text
}

fn said(range: &Range) -> String {
    format!("{} {} to {}", printable(&range.lane), range.first, range.last)
}

fn follow(service: &Service, json: bool, out: &mut Out) -> Outcome {
    let mut stream = service.follow(Stream::Commits)?;
    loop {
        match stream.receive()? {
            Some(Reply::Commit(commit)) if json => out.json(&commit)?,
            Some(Reply::Commit(commit)) => {
                let ranges: Vec<_> = commit.ranges.iter().map(said).collect();
                out.line(format_args!("{}  {}", clock(commit.at_ms), ranges.join(", ")))?;
            }
            Some(Reply::Missed { count }) => {
                eprintln!("dcu: {count} commits missed: the output was not read fast enough");
            }
            Some(other) => return Err(unexpected(&other)),
            None => return Err(Failure::said(Exit::Unreachable, "the service stopped")),
        }
        out.flush()?;
    }
}
