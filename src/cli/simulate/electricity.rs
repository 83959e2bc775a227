//! `dcu simulate --electricity`: meters that the service reads.

use std::time::Duration;

use anyhow::Context;

use super::fleet::Args;
use crate::cli::{Exit, Failure, Out, Outcome, log};
use crate::config::Log;
use crate::simulate::electricity::{self, Options, Progress, Report};
use crate::simulate::fleet;
use crate::simulate::run::Wish;

pub(super) fn run(meters: usize, args: Args, out: &mut Out) -> Outcome {
    if let Some(fault) = args.faults.of_radio() {
        return Err(Failure::said(Exit::Usage, format!("--faults: {fault} is of telegrams, and there are none")));
    }
    let is_json = args.json;
    let options = Options {
        program: std::env::current_exe().context("find this program")?,
        meters,
        has_plc: args.plc,
        limit: args.limit.unwrap_or(LIMIT),
        day: args.day,
        unit: args.unit,
        seed: match args.seed {
            Some(seed) => seed,
            None => fleet::random_seed().context("draw a seed")?,
        },
        faults: args.faults,
        dir: args.dir,
        keep: args.keep,
        commit_window: args.commit_window.unwrap_or(WINDOW),
        seal_age: args.seal_age,
        log: args.log,
    };
    if std::env::var_os("DCU_LOG").is_some() {
        log::start(&Log::default());
    }
    eprintln!("seed {}, {meters} electricity meters, faults {}", options.seed, options.faults);
    let mut next = Duration::ZERO;
    let report = electricity::run(&options, &mut |progress| {
        if progress.elapsed >= next {
            next = progress.elapsed + EVERY;
            eprintln!("{}", line(progress));
        }
        Wish::GoOn
    });
    let report = report.map_err(|error| Failure::new(Exit::Failed, error))?;
    match is_json {
        true => out.json(&report)?,
        false => out.text(summary(&report))?,
    }
    out.flush()?;
    report.strange_samples.iter().for_each(|sample| eprintln!("never had: {sample}"));
    report.missing_samples.iter().for_each(|sample| eprintln!("missing: {sample}"));
    let faults = report.faults();
    if faults.is_empty() {
        return Ok(Exit::Done);
    }
    let exit = if report.timed_out && report.lost + report.doubled + report.strange == 0 {
        Exit::TimedOut
    } else {
        Exit::CheckFailed
    };
    Err(Failure::said(exit, format!("{}; seed {}", faults.join(", "), report.seed)))
}

fn line(progress: &Progress) -> String {
    let Progress { elapsed, days, delivered, stored, backlog, active, meters, .. } = progress;
    let mut line = format!(
        "{:6.1} s  day {days:.2}: {delivered} values delivered, {stored} stored; {active} of {meters} meters answer, \
         backlog {backlog}",
        elapsed.as_secs_f64(),
    );
    if progress.is_draining {
        line.push_str(", draining");
    }
    if progress.is_down {
        line.push_str(", broker away");
    }
    line
}

fn summary(report: &Report) -> String {
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure}"));
    format!(
        "expected     {:>9} values of the slots of {:.2} days of {} meters, {:.1} s\n\
         delivered    {:>9}\n\
         completeness {:>9}\n\
         gaps         {:>9} values of slots while their meter was away, {} filled in\n\
         lost         {:>9}\n\
         doubled      {:>9}\n\
         stored       {:>9} records, {} arrived again and were dropped\n\
         a reading    {:>9} octets between service and broker, {} written to the disk\n\
         memory       {:>9} KiB at most\n\
         seed         {:>9}\n",
        report.expected,
        report.days,
        report.meters,
        report.seconds,
        report.delivered,
        report.completeness,
        report.gaps,
        report.backfilled,
        report.lost,
        report.doubled,
        report.stored,
        report.duplicates,
        figure(report.wire_bytes_per_reading),
        figure(report.written_bytes_per_reading),
        report.peak_rss_bytes / 1024,
        report.seed,
    )
}

const LIMIT: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(2);
