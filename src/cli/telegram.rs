//! `dcu telegram decode|tail`: telegrams from hex, and telegrams as they are heard.

mod decode;

use std::time::{Duration, Instant};

use clap::Subcommand;

use super::client::{Service, unexpected};
use super::text::{clock, printable};
use super::{Exit, Failure, Out, Outcome, meter};
use crate::control::{Reply, Request, Stream, TelegramLine};

/// Decode telegrams, or watch them come in
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu telegram decode --keys meters.keys 2E449315...
                                                  what is in this telegram?
  dcu telegram decode --json < telegrams.txt      an answer to each HEX [KEY]
  dcu telegram tail                               as they are heard
  dcu telegram tail --meter 12345678 --count 1 --for 2min
                                                  is this meter heard?
  dcu telegram tail --json | jq -c .readings      for a script")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Decode telegrams given in hex
    ///
    /// Reads lines HEX [KEY] from standard input, or takes telegrams as arguments. Frames may have the CRCs of format
    /// A or B, or none. Every line is answered, in order; its verdict is one of ok, partial, no_key, wrong_key,
    /// bad_mac, truncated, bad_crc, unsupported. A compact frame whose format only a later line tells holds the answers
    /// behind it back until then, or until the input ends. Of what a meter marks as invalid, the value shown is what its
    /// field holds (2000-00-00, the most negative number), with the quality invalid; the service forwards it without a
    /// value. Keys are never taken from arguments: other users could see them.
    /// Ends with 0 whatever the verdicts are.
    Decode(decode::Args),
    /// Show telegrams as they are heard, decoded or not
    ///
    /// Runs until it is interrupted, or as long as --count and --for say. When --for ends and nothing was shown, it
    /// ends with 5.
    Tail {
        #[command(flatten)]
        service: Service,
        /// Only this known meter
        #[arg(long, value_name = "METER")]
        meter: Option<String>,
        /// End after so many
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        /// End after so long
        #[arg(long = "for", value_name = "DURATION", value_parser = super::duration)]
        duration: Option<Duration>,
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::Decode(args) => decode::run(args, std::io::stdin().lock(), out),
        Verb::Tail { service, meter, count, duration, json } => {
            tail(&service, meter.as_deref(), count.unwrap_or(u64::MAX), duration, json, out)
        }
    }
}

fn tail(
    service: &Service,
    meter: Option<&str>,
    count: u64,
    duration: Option<Duration>,
    json: bool,
    out: &mut Out,
) -> Outcome {
    let id = match meter {
        None => None,
        Some(word) => match service.ask(Request::Meters)? {
            Reply::Meters { meters } => Some(meter::one(word, &meters)?),
            other => return Err(unexpected(&other)),
        },
    };
    let mut stream = service.follow(Stream::Telegrams)?;
    let deadline = duration.and_then(|duration| now().checked_add(duration));
    let mut shown = 0;
    while shown < count {
        stream.until(deadline)?;
        let reply = match stream.receive() {
            Ok(Some(reply)) => reply,
            Ok(None) => return Err(Failure::said(Exit::Unreachable, "the service stopped")),
            Err(failure) if failure.exit == Exit::TimedOut && shown > 0 => return Ok(Exit::Done),
            Err(failure) if failure.exit == Exit::TimedOut => {
                return Err(Failure::said(Exit::TimedOut, "nothing was heard"));
            }
            Err(failure) => return Err(failure),
        };
        match reply {
            Reply::Telegram(line) if id.is_none() || id == line.id => {
                if json {
                    out.json(&line)?;
                } else {
                    out.text(print(&line))?;
                }
                out.flush()?;
                shown += 1;
            }
            Reply::Telegram(_) => {}
            Reply::Missed { count } => eprintln!("dcu: {count} telegrams missed: the output was not read fast enough"),
            other => return Err(unexpected(&other)),
        }
    }
    Ok(Exit::Done)
}

/// One line, and the readings below it as far as two lines go.
fn print(line: &TelegramLine) -> String {
    let id = line.id.as_deref().unwrap_or("(no address)");
    let rssi = line.rssi_dbm.map_or(String::new(), |rssi| format!("{rssi} dBm"));
    let verdict = line.reject.as_deref().unwrap_or(&line.security);
    let kept = if line.kept { "kept" } else { "" };
    let (medium, receiver) = (line.medium.as_deref().unwrap_or(""), &line.receiver);
    let first =
        format!("{}  {id:<18}  {medium:<12.12} {rssi:>8}  {verdict:<13} {kept:<4} {receiver}", clock(line.at_ms));
    let mut text = printable(first.trim_end());
    text.push('\n');
    let mut row = String::new();
    let mut rows = 0;
    for reading in &line.readings {
        let Some(value) = &reading.value else { continue };
        let place = meter::place(reading.storage, reading.tariff, reading.subunit, &reading.function);
        let place = if place.is_empty() { place } else { format!(" ({place})") };
        let item = printable(&format!("{}{place} {value} {}", reading.quantity.replace('_', " "), reading.unit));
        let item = item.trim_end();
        if !row.is_empty() && INDENT.len() + row.chars().count() + 2 + item.chars().count() > WIDTH {
            text.push_str(&format!("{INDENT}{row}\n"));
            row.clear();
            rows += 1;
        }
        if rows == ROWS {
            return text.trim_end().to_owned() + " ...\n";
        }
        if !row.is_empty() {
            row.push_str("; ");
        }
        row.push_str(item);
    }
    if !row.is_empty() {
        text.push_str(&format!("{INDENT}{row}\n"));
    }
    text
}

const INDENT: &str = "          ";
const WIDTH: usize = 80;
const ROWS: usize = 2;

#[expect(clippy::disallowed_methods, reason = "a person waits")]
fn now() -> Instant {
    Instant::now()
}
