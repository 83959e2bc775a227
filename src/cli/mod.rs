//! The command line: `dcu <noun> <verb>`. One file a noun; it parses, asks, prints, and nothing else.
//!
//! Results go to standard output through [`Out`], everything else to standard error. To add a noun: a file with
//! `Args` and `run(args, out) -> Outcome`, a variant in `Command`, a line in `dispatch`.

mod buffer;
mod client;
mod config;
mod dlms;
mod exit;
#[cfg(feature = "simulate")]
mod head_end;
mod log;
mod mesh;
mod meter;
mod node;
mod out;
mod route;
mod run;
#[cfg(feature = "simulate")]
mod simulate;
mod status;
mod task;
mod telegram;
mod text;
mod topology;
mod uplink;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::de::DeserializeOwned;

use crate::config::text_of;

pub use exit::{Exit, Failure, OrExit, Outcome};
pub use out::Out;

/// Data concentrator unit: reads meters, buffers their readings, forwards them to the head-end
#[derive(Debug, Parser)]
#[command(name = "dcu", version, before_help = EXAMPLES, after_help = exit_codes())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The nouns, in the order of the help.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Status(status::Args),
    Meter(meter::Args),
    Task(task::Args),
    Telegram(telegram::Args),
    Mesh(mesh::Args),
    Node(node::Args),
    Route(route::Args),
    Topology(topology::Args),
    Buffer(buffer::Args),
    Dlms(Box<dlms::Args>),
    Uplink(uplink::Args),
    Config(config::Args),
    #[cfg(feature = "simulate")]
    HeadEnd(Box<head_end::Args>),
    #[cfg(feature = "simulate")]
    Simulate(Box<simulate::Args>),
}

fn dispatch(command: Command, out: &mut Out) -> Outcome {
    match command {
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::run(args, out),
        Command::Meter(args) => meter::run(args, out),
        Command::Task(args) => task::run(args, out),
        Command::Telegram(args) => telegram::run(args, out),
        Command::Mesh(args) => mesh::run(args, out),
        Command::Node(args) => node::run(args, out),
        Command::Route(args) => route::run(args, out),
        Command::Topology(args) => topology::run(args, out),
        Command::Buffer(args) => buffer::run(args, out),
        Command::Dlms(args) => dlms::run(*args, out),
        Command::Uplink(args) => uplink::run(args, out),
        Command::Config(args) => config::run(args, out),
        #[cfg(feature = "simulate")]
        Command::HeadEnd(args) => head_end::run(*args, out),
        #[cfg(feature = "simulate")]
        Command::Simulate(args) => simulate::run(*args, out),
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let mut out = Out::stdout();
    execute(std::env::args_os(), &mut out).into()
}

/// Runs one command line, the program's name first; failures are told on standard error.
pub fn execute(args: impl IntoIterator<Item = impl Into<OsString> + Clone>, out: &mut Out) -> Exit {
    let outcome = parse(args).and_then(|cli| match cli {
        Asked::Help(text) => out.text(text).map(|()| Exit::Done),
        Asked::Command(command) => dispatch(command, out),
    });
    let outcome = outcome.and_then(|exit| out.flush().map(|()| exit));
    outcome.unwrap_or_else(|failure| {
        // What was printed before the failure is still a result.
        let _ = out.flush();
        if let Some(error) = failure.error {
            eprintln!("dcu: {error:#}");
        }
        failure.exit
    })
}

enum Asked {
    Help(String),
    Command(Command),
}

fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Asked, Failure> {
    let parsed = dress(Cli::command()).try_get_matches_from(args).and_then(|found| Cli::from_arg_matches(&found));
    match parsed {
        Ok(cli) => Ok(Asked::Command(cli.command)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Asked::Help(error.render().to_string())),
            _ => {
                let text = error.render().to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
                Err(Failure::said(Exit::Usage, text))
            }
        },
    }
}

/// Gives every command the same help page: what it is, examples, then the options.
fn dress(command: clap::Command) -> clap::Command {
    command.help_template(HELP).term_width(80).disable_help_subcommand(true).mut_subcommands(dress)
}

const HELP: &str = "{about-with-newline}\n{before-help}{usage-heading}\n  {usage}\n\n{all-args}{after-help}\n";

const EXAMPLES: &str = "\
Examples:
  dcu status                            is the unit well?
  dcu meter list                        which meters are heard, and how well
  dcu telegram tail                     telegrams as they are heard
  dcu buffer stat                       what waits for the head-end
  dcu config check                      every fault of the configuration at once
  dcu run                               the service";

/// How long to wait; not at all makes no sense.
fn duration(text: &str) -> Result<Duration, String> {
    match crate::config::duration(text)? {
        Duration::ZERO => Err("must be longer than nothing".into()),
        duration => Ok(duration),
    }
}

/// What a file of JSON holds; `what` it should be.
fn json_of<T: DeserializeOwned>(file: &Path, what: &str) -> Result<T, Failure> {
    let text = text_of(file, LONGEST_FILE).map_err(|error| unread(file, &error))?;
    let wrong = |error| Failure::said(Exit::Configuration, format!("{}: is not {what}: {error}", file.display()));
    serde_json::from_str(&text).map_err(wrong)
}

/// A file that could not be read, or holds no text.
fn unread(file: &Path, error: &io::Error) -> Failure {
    Failure::said(exit_of(error), format!("{}: {error}", crate::config::named(file)))
}

fn exit_of(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::NotFound => Exit::NotFound,
        io::ErrorKind::PermissionDenied => Exit::NotPermitted,
        // What is no file, too large, or not UTF-8.
        io::ErrorKind::IsADirectory | io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidData => Exit::Configuration,
        _ => Exit::Failed,
    }
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:");
    for (exit, meaning) in Exit::ALL {
        text.push_str(&format!("\n  {:<3} {meaning}", exit.code()));
    }
    text
}

const LONGEST_FILE: u64 = 16 << 20;

#[cfg(test)]
mod tests;
