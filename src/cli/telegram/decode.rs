//! `dcu telegram decode`: telegrams from lines or arguments, one answer each. It needs no service.

mod held;
mod keys;
mod wize;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use serde::Serialize;
use wmbus::spec::{device_type_name, standard_device_type};
use wmbus::tpl::{ApplicationStatus, Status};
use wmbus::vendor::has_own_status;
use wmbus::{Address, Formats, Reject, Scratch, Telegram, Verdict};

use self::held::Held;
use self::keys::{LineKeys, may_be_key};
use crate::cli::text::printable;
use crate::cli::{Exit, Failure, OrExit, Out, Outcome, meter};
use crate::control::ReadingLine;
use crate::reading::from_wmbus::{Converted, inspect};
use crate::reading::meter_id;
use crate::reading::{Group, MeterId, Received, TimeQuality};
use crate::registry::{KeyError, MeterKeys, parse_key};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Telegrams in hex, instead of standard input; their keys come from --keys
    #[arg(value_name = "HEX")]
    telegrams: Vec<String>,
    /// A file of lines ID KEY, readable for its owner alone
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, input: impl Read, out: &mut Out) -> Outcome {
    let mut decoder = Decoder::new();
    if let Some(file) = &args.keys {
        decoder.keys = MeterKeys::load(file).map_err(|error| match error {
            KeyError::Open(_) => Failure::new(Exit::NotPermitted, error),
            KeyError::Read { .. } => Failure::new(Exit::NotFound, error),
            KeyError::Faults { .. } => Failure::new(Exit::Configuration, error),
        })?;
    }
    let mut held = Held::default();
    let print = |out: &mut Out, answer: &Answer| if args.json { out.json(answer) } else { out.text(answer.text()) };
    for telegram in &args.telegrams {
        let print = |answer: &Answer| print(out, answer);
        match telegram.contains(char::is_whitespace) {
            true => held.push_final(Answer::no_telegram("an argument is one telegram in hex, without a key"), print)?,
            false => held.push(&mut decoder, telegram.as_bytes(), print)?,
        }
    }
    if args.telegrams.is_empty() {
        each_line(BufReader::with_capacity(AT_ONCE, input), |line| match line {
            Line::Whole(line) => held.push(&mut decoder, line, |answer| print(out, answer)),
            Line::TooLong => {
                let answer = Answer::no_telegram("the line is longer than any telegram and its key");
                held.push_final(answer, |answer| print(out, answer))
            }
            Line::Awaited => out.flush(),
        })?;
    }
    held.finish(|answer| print(out, answer))?;
    Ok(Exit::Done)
}

/// What lines of one input share.
#[derive(Debug)]
struct Decoder {
    keys: MeterKeys,
    group: Group,
    /// Learned from the lines so far.
    formats: Formats,
    octets: Vec<u8>,
    scratch: Scratch,
}

impl Decoder {
    fn new() -> Self {
        Self {
            keys: MeterKeys::default(),
            group: Group::default(),
            formats: Formats::new(FORMATS),
            octets: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Answers one line, `HEX [KEY]`, whatever is in it.
    fn answer(&mut self, line: &[u8]) -> Answer {
        let Ok(line) = std::str::from_utf8(line) else { return Answer::no_telegram("the line is no text") };
        let mut words = line.split_whitespace();
        let Some(telegram) = words.next() else { return Answer::no_telegram("the line is empty") };
        let (key, key_fault) = match words.next().map(parse_key) {
            None => (None, None),
            Some(Ok(key)) => (Some(key), None),
            Some(Err(fault)) => (None, Some(fault)),
        };
        if words.next().is_some() {
            return Answer::no_telegram("a line is HEX [KEY], and there are more than two words");
        }
        if let Some(place) = telegram.chars().position(|c| !c.is_ascii_hexdigit()) {
            return Answer::no_telegram(&format!("character {} is no hex digit", place + 1));
        }
        self.octets.clear();
        self.octets.resize(telegram.len() / 2, 0);
        if hex::decode_to_slice(telegram, &mut self.octets).is_err() {
            return Answer::no_telegram(&format!("{} hex digits are no whole octets", telegram.len()));
        }
        let keys = LineKeys { line: key, file: &self.keys };
        let mut answer = match Telegram::decode_with(None, &self.octets, &keys, &self.formats, &mut self.scratch) {
            Ok(telegram) => {
                self.formats.learn(&telegram);
                match may_be_key(&telegram, &self.octets) {
                    true => Answer::no_telegram("16 octets, and no telegram: a key stands behind its telegram"),
                    false => Answer::of(&telegram, &self.group),
                }
            }
            Err(reject) => Answer { verdict: Verdict::from(reject).name(), ..Answer::no_telegram(&reject.to_string()) },
        };
        if let Some(fault) = key_fault {
            answer.blame_key(fault);
        }
        answer
    }
}

/// What is said of one line.
#[derive(Debug, Default, Serialize)]
struct Answer {
    verdict: &'static str,
    /// Why the verdict is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    meter: Option<Meter>,
    security: Option<Security>,
    status: Option<StatusLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_number: Option<u8>,
    /// The meter's clock, in its own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    meter_time: Option<String>,
    readings: Vec<ReadingLine>,
    /// What a Wize frame says of itself, and its L7.
    #[serde(skip_serializing_if = "Option::is_none")]
    wize: Option<wize::Wize>,
    /// What the manufacturer appended to the records, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer_data: Option<String>,
    #[serde(skip)]
    id: Option<MeterId>,
    /// A format that is not known yet would make it readable.
    #[serde(skip)]
    waits: bool,
}

#[derive(Debug, Serialize)]
struct Meter {
    manufacturer: String,
    id: String,
    version: u8,
    #[serde(rename = "type")]
    device_type: u8,
    medium: &'static str,
}

#[derive(Debug, Serialize)]
struct Security {
    mode: String,
    authenticated: bool,
}

/// The status octet, raw and decoded.
#[derive(Debug, Serialize)]
struct StatusLine {
    raw: u8,
    /// None where the meter's maker has another meaning for the bits: it is among the readings.
    #[serde(flatten)]
    standard: Option<StandardStatus>,
}

/// The manufacturer's three bits have no common names.
#[derive(Debug, Serialize)]
struct StandardStatus {
    application: &'static str,
    power_low: bool,
    permanent_error: bool,
    temporary_error: bool,
    manufacturer: u8,
}

impl Answer {
    fn no_telegram(reason: &str) -> Self {
        Self { verdict: Verdict::Unsupported.name(), reason: Some(reason.to_owned()), ..Self::default() }
    }

    fn of(telegram: &Telegram<'_>, group: &Group) -> Self {
        let Converted { source, readings, verdict, .. } = inspect(telegram, nowhere(), group);
        let mut records = telegram.records();
        let damage = records.by_ref().find_map(Result::err);
        let reason = match verdict {
            Verdict::Ok => None,
            Verdict::NoKey if telegram.wize.is_some() && telegram.security.authenticated => {
                Some("it is from the network, and sealed for the head-end".to_owned())
            }
            Verdict::NoKey => Some("it is encrypted, and there is no key".to_owned()),
            Verdict::WrongKey => Some("the key does not decrypt it".to_owned()),
            Verdict::BadMac => Some("it was changed or forged: its authentication code is wrong".to_owned()),
            _ => telegram.reject.or(damage).map(|reject| reject.to_string()),
        };
        let manufacturer_data = records.manufacturer_data().filter(|data| !data.octets.is_empty());
        let address = telegram.address;
        let id = meter_id(&address);
        Self {
            verdict: verdict.name(),
            reason,
            meter: Some(Meter {
                manufacturer: crate::reading::Manufacturer(address.manufacturer).to_string(),
                id: format!("{:08x}", address.identification),
                version: address.version,
                device_type: address.device_type,
                medium: device_type_name(standard_device_type(address.manufacturer, address.device_type)),
            }),
            security: Some(Security {
                mode: telegram.security.mode.to_string(),
                authenticated: telegram.security.authenticated,
            }),
            status: telegram.status().map(|status| StatusLine::of(status, &address)),
            access_number: telegram.access_number(),
            meter_time: source.meter_time.map(|time| time.civil.to_string()),
            readings: ReadingLine::of(&readings),
            wize: wize::Wize::of(telegram, verdict),
            manufacturer_data: manufacturer_data.map(|data| hex::encode(data.octets)),
            id: Some(id),
            waits: telegram.reject == Some(Reject::CompactFrame),
        }
    }

    /// The line had a key that is none; where the telegram needed one, that is the reason.
    fn blame_key(&mut self, fault: String) {
        if self.verdict == Verdict::NoKey.name() {
            self.verdict = Verdict::WrongKey.name();
            self.reason = Some(fault);
        } else {
            let reason = self.reason.take().map_or(String::new(), |reason| format!("{reason}; "));
            self.reason = Some(reason + &fault);
        }
    }

    /// For a person: who, what the protection said, then the readings.
    fn text(&self) -> String {
        let mut first = match &self.id {
            Some(id) => id.to_string(),
            None => "no telegram".to_owned(),
        };
        if let Some(meter) = &self.meter {
            first += &format!("  {}", meter.medium);
        }
        first += &format!("  {}", self.verdict);
        if let Some(reason) = &self.reason {
            first += &format!(" ({reason})");
        }
        if let Some(security) = &self.security {
            let authenticated = if security.authenticated { ", authenticated" } else { "" };
            first += &format!("  mode {}{authenticated}", security.mode);
        }
        if let Some(status) = &self.status {
            first += &format!("  {status}");
        }
        let mut text = printable(&first) + "\n";
        text += &meter::readings(&self.readings);
        if let Some(wize) = &self.wize {
            text += &format!("{wize}\n");
        }
        if let Some(data) = &self.manufacturer_data {
            text += &format!("manufacturer data {data}\n");
        }
        text
    }
}

impl StatusLine {
    fn of(status: Status, address: &Address) -> Self {
        let standard = (!has_own_status(address)).then(|| StandardStatus::from(status));
        Self { raw: status.0, standard }
    }
}

impl From<Status> for StandardStatus {
    fn from(status: Status) -> Self {
        Self {
            application: match status.application() {
                ApplicationStatus::NoError => "no_error",
                ApplicationStatus::Busy => "busy",
                ApplicationStatus::Error => "error",
                ApplicationStatus::Alarm => "alarm",
            },
            power_low: status.is_power_low(),
            permanent_error: status.is_permanent_error(),
            temporary_error: status.is_temporary_error(),
            manufacturer: status.manufacturer(),
        }
    }
}

impl std::fmt::Display for StatusLine {
    /// `status 0c: power low, permanent error`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {:02x}", self.raw)?;
        let Some(standard) = &self.standard else { return Ok(()) };
        let application = (standard.application != "no_error").then_some(standard.application);
        let flags = [
            (standard.power_low, "power low"),
            (standard.permanent_error, "permanent error"),
            (standard.temporary_error, "temporary error"),
        ];
        let mut separator = ": ";
        for word in application.into_iter().chain(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| *word)) {
            write!(f, "{separator}{word}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// What there is of an input.
enum Line<'a> {
    /// Its end removed.
    Whole(&'a [u8]),
    /// Too long to be looked at.
    TooLong,
    /// No whole line is there; it may take long until one is.
    Awaited,
}

/// Calls `each` with every line, and before one is waited for.
fn each_line(
    mut input: BufReader<impl Read>,
    mut each: impl FnMut(Line<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    loop {
        if !input.buffer().contains(&b'\n') {
            each(Line::Awaited)?;
        }
        line.clear();
        let read = (&mut input).take(LONGEST).read_until(b'\n', &mut line).or_exit(Exit::Failed)?;
        if read == 0 {
            return Ok(());
        }
        match line.strip_suffix(b"\n") {
            Some(line) => each(Line::Whole(line))?,
            None if (line.len() as u64) < LONGEST => each(Line::Whole(&line))?,
            None => {
                input.skip_until(b'\n').or_exit(Exit::Failed)?;
                each(Line::TooLong)?;
            }
        }
    }
}

/// Nobody heard these telegrams.
fn nowhere() -> Received {
    Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Unsynchronised }
}

/// Octets of the input that are read at once.
const AT_ONCE: usize = 64 << 10;
/// Octets of one line: many times the longest frame and its key.
const LONGEST: u64 = 64 << 10;
/// Formats that the lines of one input may teach.
const FORMATS: usize = 65_536;

#[cfg(test)]
mod tests;
