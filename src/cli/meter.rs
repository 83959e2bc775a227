//! `dcu meter list|show`, and what meters are told: `command`, `commands`, `cancel`, `install`; and those
//! that are read over DLMS: `channel`, `replace` and the rest of their lives.

pub(super) mod channel;
pub(super) mod life;
mod order;

use std::cmp::Reverse;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use super::client::{Service, unexpected};
use super::text::{Table, age, ago, counted, printable, utc};
use super::{Exit, Failure, OrExit, Out, Outcome};
use crate::config;
use crate::control::{BehindCard, Found, MeterCard, MeterLine, ReadingLine, Reply, Request, find, left};

/// Which meters are heard, and how well
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu meter list                        all known meters
  dcu meter list --silent 1d            those not heard for a day
  dcu meter list --sort rssi            the best heard first
  dcu meter show 12345678               one meter, by what is on its face
  dcu meter show KAM-12345678 --json    for a script
  dcu meter command 12345678 close-valve
                                        when the meter listens next
  dcu meter commands                    what became of it
  dcu meter install KAM-12345678-1b-16  bind it when it asks for it
  dcu meter channel 4d4d4d0000bc614e 1 install
                                        a gas meter behind an electricity meter
  dcu meter replace 4d4d4d0000bc614e 4d4d4d0000bc61ff
                                        another electricity meter in its place
  dcu meter hand-over 4d4d4d0000bc614e > meter.json
                                        another unit reads it from there on")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All known meters, one a line
    List {
        #[command(flatten)]
        source: Source,
        /// Only meters that were not heard for so long
        #[arg(long, value_name = "DURATION", value_parser = config::duration)]
        silent: Option<Duration>,
        /// Only meters whose medium has this word in it
        #[arg(long, value_name = "WORD")]
        medium: Option<String>,
        /// The order
        #[arg(long, value_enum, default_value = "id")]
        sort: Sort,
    },
    /// Everything that is known of one meter
    ///
    /// The meter is named by the eight digits on its face or the first of them, with or without the manufacturer's
    /// letters, or by its full identity. What means no meter or more than one ends with 4.
    Show {
        /// Which meter
        meter: String,
        #[command(flatten)]
        source: Source,
    },
    /// Give a two-way meter a command
    ///
    /// It is sent when the meter listens, which it does for a moment after it has sent. A valve's state is read back. A gas
    /// valve is closed, or enabled for manual opening: it is never opened from afar. A meter with a valve or a clock to be
    /// set needs a key. `dcu meter commands` says what became of it.
    Command(order::Command),
    /// Commands that wait, and the last that are over
    Commands(order::Commands),
    /// Take back a command that was not sent yet
    Cancel(order::Cancel),
    /// Bind a meter when it asks for it
    ///
    /// Without a meter it lists those that will be bound.
    Install(order::Install),
    /// Gas, water and heat meters behind an electricity meter
    ///
    /// Done now, through the electricity meter, and read back. What may have been done although no answer came is told so
    /// (5) and not done again by itself. Each change is in the audit and told the head-end.
    Channel(channel::Channel),
    /// Let another electricity meter measure in the place of one
    ///
    /// Both are in the configuration. The old one is asked for its registers once more, if it still answers, and the new one
    /// for its first; an event of each links the two. The keys of the old one are forgotten, and it is read no more; how far
    /// it was read stays. Who was behind the old one on M-Bus channels is installed behind the new one.
    Replace(life::Replace),
    /// Read an electricity meter no more
    ///
    /// Its keys are forgotten; how far it was read stays. `dcu meter restore` takes it back.
    Remove(life::Remove),
    /// Read an electricity meter again that was removed or replaced
    ///
    /// It is read from where it was left, with its keys as their file has them now: what it kept meanwhile is filled in.
    Restore(life::Remove),
    /// Read an electricity meter no more, for another unit does
    ///
    /// What is under way with it is waited for; then it is read here no more, and what the other unit has to know to begin
    /// where this one ended is printed as JSON: keep it in a file. Asked again, it says the same state. No key is in it.
    /// Taken over here again, it undoes this: then no other unit may have taken it.
    HandOver(life::Remove),
    /// Read an electricity meter from where another unit ended
    ///
    /// The meter is in the configuration, with `handed_over = true`, and is not asked for anything before. What the other unit
    /// said is signed; its public key is in `electricity.peers` or `uplink.trust`.
    TakeOver(life::TakeOver),
}

#[derive(Debug, clap::Args)]
struct Source {
    #[command(flatten)]
    service: Service,
    /// Read the state directory of a dead unit, or a copy of it, instead of asking
    #[arg(long, value_name = "DIR", conflicts_with_all = ["socket", "timeout"])]
    offline: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    Id,
    /// The last heard first
    Heard,
    /// The best heard first
    Rssi,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::Command(args) => order::command(&args, out),
        Verb::Commands(args) => order::commands(&args, out),
        Verb::Cancel(args) => order::cancel(&args, out),
        Verb::Install(args) => order::install(&args, out),
        Verb::Channel(args) => channel::run(args, out),
        Verb::Replace(args) => life::replace(&args, out),
        Verb::Remove(args) => life::remove(&args, out),
        Verb::Restore(args) => life::restore(&args, out),
        Verb::HandOver(args) => life::hand_over(&args, out),
        Verb::TakeOver(args) => life::take_over(&args, out),
        Verb::List { source, silent, medium, sort } => {
            let mut meters = source.lines()?;
            let now = source.now_ms();
            meters.retain(|meter| {
                let is_silent = silent.is_none_or(|silent| {
                    let silent = i64::try_from(silent.as_millis()).unwrap_or(i64::MAX);
                    meter.last_heard_ms.is_none_or(|last| now.saturating_sub(last) >= silent)
                });
                is_silent && medium.as_ref().is_none_or(|word| meter.medium.contains(word.as_str()))
            });
            match sort {
                Sort::Id => meters.sort_by(|a, b| a.id.cmp(&b.id)),
                Sort::Heard => meters.sort_by_key(|meter| Reverse(meter.last_heard_ms)),
                Sort::Rssi => meters.sort_by_key(|meter| Reverse(meter.rssi_dbm)),
            }
            list(&meters, source.json, now, out)
        }
        Verb::Show { meter, source } => {
            let lines = source.lines()?;
            let id = one(&meter, &lines)?;
            let card = source.card(&id)?;
            if source.json {
                out.json(&card)?;
            } else {
                out.text(print(&card, source.now_ms()))?;
            }
            Ok(Exit::Done)
        }
    }
}

impl Source {
    fn lines(&self) -> Result<Vec<MeterLine>, Failure> {
        if let Some(state) = &self.offline {
            let cards = left::left_meters(state).or_exit(Exit::NotFound)?;
            return Ok(cards.into_iter().map(|card| card.line).collect());
        }
        match self.service.ask(Request::Meters)? {
            Reply::Meters { meters } => Ok(meters),
            other => Err(unexpected(&other)),
        }
    }

    fn card(&self, id: &str) -> Result<MeterCard, Failure> {
        if let Some(state) = &self.offline {
            let cards = left::left_meters(state).or_exit(Exit::NotFound)?;
            let card = cards.into_iter().find(|card| card.line.id == id);
            return card.ok_or_else(|| Failure::said(Exit::NotFound, format!("no meter {id}")));
        }
        match self.service.ask(Request::Meter { id: id.to_owned() })? {
            Reply::Meter(card) => Ok(*card),
            other => Err(unexpected(&other)),
        }
    }

    /// The unit's clock at its last answer; for a dead unit, the moment when it left its status.
    fn now_ms(&self) -> i64 {
        let left = self.offline.as_ref().and_then(|state| left::left_status(state).ok());
        left.map_or_else(|| self.service.unit_now(), |status| status.time.now_ms)
    }
}

/// The one meter that `word` means.
pub(super) fn one(word: &str, meters: &[MeterLine]) -> Result<String, Failure> {
    let message = match find(word, meters.iter().map(|meter| meter.id.as_str())) {
        Found::One(id) => return Ok(id.to_owned()),
        Found::Many(ids) => {
            let shown: Vec<_> = ids.iter().take(5).copied().collect();
            let more = if ids.len() > shown.len() { " and more" } else { "" };
            format!("{word:?} means {}: {}{more}", counted(ids.len() as u64, "meter"), shown.join(", "))
        }
        Found::None(near) if near.is_empty() => format!("no meter {word:?} is known; `dcu meter list` shows all"),
        Found::None(near) => format!("no meter {word:?} is known; did you mean {}?", near.join(" or ")),
    };
    Err(Failure::said(Exit::NotFound, message))
}

fn list(meters: &[MeterLine], json: bool, now: i64, out: &mut Out) -> Outcome {
    if json {
        for meter in meters {
            out.json(meter)?;
        }
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["meter", "medium", "security", ">telegrams", ">heard", ">rssi"]);
    for meter in meters {
        table.row([
            meter.id.clone(),
            meter.medium.chars().take(16).collect(),
            known(meter.security.as_ref()),
            known(meter.telegrams),
            meter.last_heard_ms.map_or_else(|| "never".into(), |last| age(now, last)),
            meter.rssi_dbm.map_or_else(|| "-".into(), |rssi| rssi.to_string()),
        ]);
    }
    out.text(table.text())?;
    eprintln!("{}", counted(meters.len() as u64, "meter"));
    Ok(Exit::Done)
}

/// What is not known is `-`.
fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn print(card: &MeterCard, now: i64) -> String {
    let MeterCard { line, .. } = card;
    if let Some(electricity) = &card.electricity {
        return life::print(card, electricity, now);
    }
    let mut items = Table::new(&["", ""]);
    let key = if card.has_key { "a key is there" } else { "no key" };
    items.row(["group".into(), format!("{}, {}", line.group.as_deref().unwrap_or("default"), card.policy)]);
    let counter =
        card.counter.map_or_else(|| "no message counter".into(), |counter| format!("message counter {counter}"));
    items.row(["security".into(), format!("{}; {key}; {counter}", known(line.security.as_ref()))]);
    if let Some(unread) = &card.unread {
        items.row(["not read".into(), format!("{}: kept as it came", printable(unread))]);
    }
    if card.verdicts.len() > 1 {
        let verdicts = card.verdicts.iter().map(|(verdict, count)| format!("{verdict} {count}"));
        items.row([String::new(), verdicts.collect::<Vec<_>>().join(", ")]);
    }
    // A meter that is only read behind another has a last time as well.
    let last = line.last_heard_ms.filter(|_| card.first_heard_ms.is_some() || line.telegrams.is_none());
    let heard = match (last.map(|last| ago(now, last)), line.telegrams) {
        (None, _) => "never".to_owned(),
        (Some(last), Some(telegrams)) => format!("{}, the last {last}", counted(telegrams, "telegram")),
        (Some(last), None) => last,
    };
    items.row(["heard".into(), heard]);
    if let Some(first) = card.first_heard_ms {
        items.row([String::new(), format!("first on {}", utc(first))]);
    }
    if let Some(interval) = card.interval_s {
        let next =
            card.next_ms.map_or_else(String::new, |next| format!(", the next in {} s", (next - now).max(0) / 1000));
        let missed = counted(card.missed, "transmission");
        items.row(["interval".into(), format!("{interval:.1} s{next}; {missed} missed")]);
    }
    if let Some(behind) = &card.behind {
        let last = behind.last_ms.map_or_else(|| "never read".to_owned(), |last| format!("read {}", ago(now, last)));
        let meter = printable(&behind.electricity_meter);
        items.row(["behind".into(), format!("{meter}, channel {}, {last}", behind.channel)]);
        let BehindCard { preferred_source, used_source, .. } = behind;
        let used = if used_source == preferred_source { "" } else { ", which is silent: the other stands in" };
        items.row(["source".into(), format!("{} is preferred{used}", printable(preferred_source))]);
    }
    if let Some(status) = card.status {
        items.row(["status".into(), format!("0x{status:02x}")]);
    }
    for (n, heard) in card.heard.iter().enumerate() {
        let rssi = heard.rssi_dbm.map_or(String::new(), |rssi| format!(", {rssi} dBm"));
        let (count, last) = (counted(heard.telegrams, "telegram"), ago(now, heard.last_ms));
        let label = if n == 0 { "receivers" } else { "" };
        items.row([label.into(), format!("{}: {count}, the last {last}{rssi}", heard.receiver)]);
        if heard.repeated > 0 {
            items.row([String::new(), format!("  {} of them through a repeater", heard.repeated)]);
        }
        for day in &heard.days {
            let Some([weakest, mean, strongest]) = day.rssi_dbm else { continue };
            let when = if day.ago == 0 { "today".to_owned() } else { counted(day.ago.into(), "day") + " ago" };
            let count = counted(day.telegrams.into(), "telegram");
            items.row([String::new(), format!("  {when}: {count}, {weakest} to {strongest}, mean {mean} dBm")]);
        }
    }
    let mut text = format!("{}  {}\n\n{}", printable(&line.id), printable(&line.medium), items.text());
    if !card.readings.is_empty() {
        text.push('\n');
        text.push_str(&readings(&card.readings));
    }
    text
}

/// A table of readings; nothing where there are none.
pub(super) fn readings(readings: &[ReadingLine]) -> String {
    if readings.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["quantity", ">value", "unit", "obis", "of"]);
    for reading in readings {
        let place = place(reading.storage, reading.tariff, reading.subunit, &reading.function);
        // Without a value its quality stands in the value's place.
        let doubt = if reading.value.is_some() && reading.quality != "good" { &*reading.quality } else { "" };
        let words = [place, reading.modifier.replace('_', " ").replace(',', ", "), doubt.replace(',', ", ")];
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        table.row([
            reading.quantity.replace('_', " ").chars().take(30).collect(),
            reading.value.clone().unwrap_or_else(|| reading.quality.clone()),
            reading.unit.clone(),
            reading.obis.clone().unwrap_or_default(),
            words.join(", "),
        ]);
    }
    table.text()
}

/// `storage 1, tariff 2, maximum`: what is not the ordinary register.
pub(super) fn place(storage: u32, tariff: u32, subunit: u16, function: &str) -> String {
    let numbers = [("storage", storage), ("tariff", tariff), ("subunit", u32::from(subunit))];
    let mut words: Vec<String> =
        numbers.iter().filter(|(_, number)| *number != 0).map(|(word, number)| format!("{word} {number}")).collect();
    if function != "instantaneous" {
        words.push(function.to_owned());
    }
    words.join(", ")
}
