//! `dcu head-end verify`.

use std::path::PathBuf;

use super::broker::devices;
use crate::cli::{Exit, Failure, OrExit, Out, Outcome};
use crate::simulate::head_end::verify::{Options, Report, Verifier};

/// Check what watchers wrote: is anything missing, altered, forged?
///
/// Takes the files of any number of consumers, batches and records, in any order. Ends with 8 when something is wrong
/// and names it, with 4 when there is nothing in them. Batches that changed places are found with --order only: what
/// several consumers share comes in any order. Batches are checked octet by octet; of a file of records, that there is a
/// line for each record and from which batch, not what stands in it.
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu head-end verify --devices keys/devices.toml batches.jsonl
  dcu head-end verify --devices keys/devices.toml \\
      a.jsonl b.jsonl a-batches.jsonl b-batches.jsonl")]
pub(super) struct Args {
    /// Files of `watch --batches` and `watch --append`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Public keys of the units: only with them do checkpoints prove anything
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
    /// The files begin in the middle: nothing is missed before the first batch of a lane
    #[arg(long)]
    partial: bool,
    /// A batch that came after a later one is a fault; for a consumer that shares with nobody
    #[arg(long)]
    order: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Outcome {
    let devices = args.devices.as_deref().map(devices).transpose()?;
    let is_proven = devices.is_some();
    let mut verifier = Verifier::new(Options { devices, is_partial: args.partial, is_ordered: args.order });
    for file in &args.files {
        verifier.file(file).or_exit(Exit::NotFound)?;
    }
    let report = verifier.check();
    if report.ok && (report.batches, report.record_lines, report.checkpoints) == (0, 0, 0) {
        return Err(Failure::said(Exit::NotFound, "there is nothing in these files to verify"));
    }
    match args.json {
        true => out.json(&report)?,
        false => print(&report, is_proven, out)?,
    }
    Ok(if report.ok { Exit::Done } else { Exit::CheckFailed })
}

fn print(report: &Report, is_proven: bool, out: &mut Out) -> Result<(), Failure> {
    for finding in &report.findings {
        let place = finding.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        let mark = if finding.is_fault { "FAULT" } else { "note" };
        out.line(format_args!("{mark:<5} {}: {}{place}", finding.finding, finding.text))?;
    }
    for lane in &report.lanes {
        out.line(format_args!(
            "{}/{} {} {}: {} batches, {} records, up to {}, proven up to {}",
            lane.utility, lane.dcu, lane.epoch, lane.lane, lane.batches, lane.records, lane.last, lane.proven
        ))?;
    }
    let Report { batches, records, record_lines, checkpoints, duplicates, .. } = report;
    out.line(format_args!(
        "{}: {batches} batches, {records} records, {record_lines} lines of records, {checkpoints} checkpoints, {duplicates} duplicates",
        if report.ok { "nothing is wrong" } else { "NOT AS THE UNIT SENT IT" },
    ))?;
    if !is_proven {
        out.line("without --devices nothing is proven, and a missing end cannot be seen")?;
    }
    Ok(())
}
