//! `dcu uplink test`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::{Exit, Failure, OrExit, Out, Outcome};
use crate::config::Config;
use crate::task::probe::{self, ProbeError, Report, STEPS};

/// Look at the way to the broker
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Walk the way to the broker: name, TCP, TLS, CONNECT, publish
    ///
    /// Each step with its time and its error. It uses the service's configuration and a connection of its own, as
    /// client UNIT-test, and publishes one message to dcu/v1/UTILITY/UNIT/test. Ends with 1 when a step fails.
    #[command(before_help = "\
Examples:
  dcu uplink test                           with /etc/dcu/dcu.toml
  dcu uplink test --config ./dcu.toml --json")]
    Test {
        /// The configuration file
        #[arg(long, short, default_value = super::run::CONFIG)]
        config: PathBuf,
        /// No step may take longer
        #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = super::duration)]
        timeout: Duration,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let Verb::Test { config, timeout, json } = args.verb;
    let (config, _) = Config::load(&config).or_exit(Exit::Configuration)?;
    let report = probe::probe(&config, timeout).map_err(|error| match error {
        ProbeError::Runtime(_) => Failure::new(Exit::Failed, error),
        ProbeError::NoUplink | ProbeError::Topic(_) => Failure::new(Exit::Configuration, error),
    })?;
    match json {
        true => out.json(&report)?,
        false => print(&report, out)?,
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}

fn print(report: &Report, out: &mut Out) -> Result<(), Failure> {
    out.line(&report.broker)?;
    for step in &report.steps {
        let mark = if step.ok { "ok" } else { "FAILED" };
        let mut lines = step.facts.iter().chain(&step.error);
        let first = lines.next().map_or("", String::as_str);
        out.line(format_args!("  {mark:<7} {:<8} {:>8.1} ms  {first}", step.step, step.ms))?;
        for line in lines {
            out.line(format_args!("{:31}{line}", ""))?;
        }
    }
    let tried = |name: &&str| report.steps.iter().any(|step| step.step == *name);
    // A broker on the loopback address may be without TLS.
    for step in STEPS.iter().filter(|name| !report.ok && !tried(name)) {
        out.line(format_args!("  -       {step}"))?;
    }
    Ok(())
}
