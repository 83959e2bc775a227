//! `dcu meter replace|remove|restore|hand-over|take-over`, and the card of a meter that is read over DLMS.

use std::path::{Path, PathBuf};

use super::one;
use crate::cli::client::{Asking, unexpected};
use crate::cli::text::{Table, ago, printable, utc};
use crate::cli::{Exit, Failure, Out, Outcome, unread};
use crate::config::{text_from, text_of};
use crate::control::{ElectricityCard, Handover, MeterCard, Reply, Request};

#[derive(Debug, clap::Args)]
pub(super) struct Replace {
    /// The meter that is taken away
    old: String,
    /// The meter that measures from now on
    new: String,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Which meter
    meter: String,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
pub(super) struct TakeOver {
    /// The file that `dcu meter hand-over` wrote, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    asking: Asking,
}

pub(super) fn restore(args: &Remove, out: &mut Out) -> Outcome {
    let [meter] = args.asking.ids([&args.meter])?;
    args.asking.told(Request::Restore { meter }, out)
}

/// Prints what another unit has to be told, JSON in any case.
pub(super) fn hand_over(args: &Remove, out: &mut Out) -> Outcome {
    let [meter] = args.asking.ids([&args.meter])?;
    match args.asking.service.ask_patiently(Request::HandOver { meter })? {
        Reply::Handover(handover) => out.json(&handover)?,
        other => return Err(unexpected(&other)),
    }
    Ok(Exit::Done)
}

pub(super) fn take_over(args: &TakeOver, out: &mut Out) -> Outcome {
    let handover = handover_of(&args.file)?;
    args.asking.told(Request::TakeOver { handover }, out)
}

/// What another unit told of a meter.
pub(in crate::cli) fn handover_of(file: &Path) -> Result<Handover, Failure> {
    let read = match file == Path::new("-") {
        true => text_from(std::io::stdin().lock(), LIMIT),
        false => text_of(file, LIMIT),
    };
    let text = read.map_err(|error| unread(file, &error))?;
    let wrong = |error| format!("{}: is not what `dcu meter hand-over` writes: {error}", file.display());
    serde_json::from_str(&text).map_err(|error| Failure::said(Exit::Configuration, wrong(error)))
}

pub(super) fn replace(args: &Replace, out: &mut Out) -> Outcome {
    let ids = args.asking.ids([&args.old, &args.new])?;
    let [old, new] = ids;
    args.asking.told(Request::Replace { old, new }, out)
}

pub(super) fn remove(args: &Remove, out: &mut Out) -> Outcome {
    let [meter] = args.asking.ids([&args.meter])?;
    args.asking.told(Request::Remove { meter }, out)
}

impl Asking {
    /// The meters that are meant.
    pub(super) fn ids<const N: usize>(&self, words: [&String; N]) -> Result<[String; N], Failure> {
        let meters = match self.service.ask(Request::Meters)? {
            Reply::Meters { meters } => meters,
            other => return Err(unexpected(&other)),
        };
        let mut ids = words.map(Clone::clone);
        for id in &mut ids {
            *id = one(id, &meters)?;
        }
        Ok(ids)
    }

    fn told(&self, request: Request, out: &mut Out) -> Outcome {
        let card = match self.service.ask(request)? {
            Reply::Meter(card) => *card,
            other => return Err(unexpected(&other)),
        };
        match &card.electricity {
            _ if self.json => out.json(&card)?,
            Some(electricity) => out.text(print(&card, electricity, self.service.unit_now()))?,
            None => {}
        }
        Ok(Exit::Done)
    }
}

/// The card of a meter that is read over DLMS.
pub(super) fn print(card: &MeterCard, electricity: &ElectricityCard, now: i64) -> String {
    let ElectricityCard { state, channel, replaced_by, pending, clock_ahead_ms, detail, behind, tasks } = electricity;
    let mut items = Table::new(&["", ""]);
    let by = replaced_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    items.row(["state".into(), format!("{state}{by}")]);
    if let Some(pending) = pending {
        items.row(["pending".into(), printable(pending)]);
    }
    items.row(["channel".into(), channel.clone()]);
    let group = card.line.group.clone().unwrap_or_else(|| "none".to_owned());
    items.row(["group".into(), group]);
    let key = if card.has_key { "a key or password is there" } else { "no key" };
    items.row(["security".into(), format!("{}; {key}", super::known(card.line.security.as_ref()))]);
    let answered = card.line.last_heard_ms.map_or_else(|| "never".to_owned(), |last| ago(now, last));
    items.row(["answered".into(), answered]);
    if let Some(ahead) = clock_ahead_ms {
        items.row(["clock".into(), format!("{ahead} ms ahead")]);
    }
    for (channel, meter) in behind {
        items.row([format!("channel {channel}"), printable(meter)]);
    }
    for task in tasks {
        let lost = if task.lost > 0 { format!(", {} given up", task.lost) } else { String::new() };
        items.row([task.id.clone(), format!("complete until {}{lost}", utc(task.complete_until_ms))]);
    }
    if let Some(detail) = detail {
        items.row(["last order".into(), printable(detail)]);
    }
    format!("{}  {}\n\n{}", printable(&card.line.id), printable(&card.line.medium), items.text())
}

/// Octets of a state that is read.
const LIMIT: u64 = 64 << 10;
