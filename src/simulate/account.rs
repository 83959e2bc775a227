//! The account of one run: what was sent, heard, made durable and delivered, and what of it must count as lost.
//!
//! Two independent checks: by value, every reading that reached the service intact must arrive as it was generated; by
//! name, every record whose commit the service reported must arrive. A kill excuses what was heard within the commit
//! window before it, and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::air::{Fate, Sent};
use super::awaited::Awaited;
use super::ledger::{Amount, Expected, Ledger};
use super::sequences::Sequences;
use crate::control::CommitLine;
use crate::reading::{Function, MeterId, Reading, Value};
use crate::store::{Epoch, Lane};

#[derive(Debug)]
pub struct Account {
    ledger: Ledger,
    tally: Tally,
    /// The telegram that is going out.
    outgoing: Option<(u64, Vec<Expected>)>,
    /// When telegrams were heard and what they carried, where kills make it matter.
    heard: Option<Vec<(Instant, Vec<Expected>)>>,
    kills: Vec<Kill>,
    committed: BTreeMap<(String, String), Sequences>,
    delivered: BTreeMap<(String, String), Sequences>,
    /// The register that only grows, of each meter, by the name of the record; where kills make it matter.
    grown: BTreeMap<MeterId, BTreeMap<(String, u64), Amount>>,
    meters: BTreeSet<MeterId>,
    last: VecDeque<String>,
}

/// All counts are of readings, where they do not say otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub telegrams: u64,
    pub sent: u64,
    /// What the fault injector swallowed or damaged.
    pub faulty: u64,
    /// Sent while nobody had the port open.
    pub unheard: u64,
    /// Telegrams that one more receiver heard, each time.
    pub copies: u64,
    /// Of meters with radios.
    pub stored: u64,
    /// All other records.
    pub others_stored: u64,
    /// Records that came more than once.
    pub duplicates: u64,
    pub delivered_records: u64,
}

/// One SIGKILL of the service.
#[derive(Debug, Clone, Copy)]
struct Kill {
    at: Instant,
    /// When the service had the receiver set up again.
    healed: Option<Instant>,
}

/// What became of what did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Not arrived and not excused.
    pub lost: u64,
    /// Not arrived, and in the open commit window of a kill.
    pub in_window: u64,
    /// Reported as durable and not arrived: part of `lost`.
    pub broken_promises: u64,
    /// The same of all other records.
    pub others_lost: u64,
    /// Records of one meter whose register went backwards in the order of their sequences.
    pub disordered: u64,
}

impl Account {
    /// With `kills`, what is needed to judge them is kept as well.
    pub fn new(kills: bool) -> Self {
        Self {
            ledger: Ledger::default(),
            tally: Tally::default(),
            outgoing: None,
            heard: kills.then(Vec::new),
            kills: Vec::new(),
            committed: BTreeMap::new(),
            delivered: BTreeMap::new(),
            grown: BTreeMap::new(),
            meters: BTreeSet::new(),
            last: VecDeque::new(),
        }
    }

    pub const fn tally(&self) -> Tally {
        self.tally
    }

    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Different meters of which something arrived.
    pub fn meters(&self) -> usize {
        self.meters.len()
    }

    /// The latest readings at the head-end, newest last, for people.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// What was promised and has not arrived, and with `is_complete` what was heard, too.
    pub fn awaited(&self, is_complete: bool) -> Awaited {
        Awaited {
            is_sending: self.outgoing.is_some(),
            readings: if is_complete { self.ledger.missing() } else { 0 },
            records: self.broken_promises(|_| true),
            ..Awaited::default()
        }
    }

    pub fn sent(&mut self, sent: Sent, now: Instant) {
        match sent {
            Sent::Telegram { number, readings, .. } => {
                self.tally.telegrams += 1;
                self.tally.sent += readings.len() as u64;
                // Before it can arrive.
                self.ledger.expect(number, &readings);
                self.outgoing = Some((number, readings));
            }
            Sent::Fate { number, fate, copies } => {
                self.tally.copies += copies;
                let Some((_, readings)) = self.outgoing.take().filter(|(outgoing, _)| *outgoing == number) else {
                    return;
                };
                let count = readings.len() as u64;
                match fate {
                    Fate::Heard => {
                        if let Some(heard) = &mut self.heard {
                            heard.push((now, readings));
                        }
                        return;
                    }
                    Fate::Lost | Fate::Damaged => self.tally.faulty += count,
                    Fate::Unheard => self.tally.unheard += count,
                }
                self.ledger.retract(number, &readings);
            }
        }
    }

    /// With `is_closed`, only what meters with radios said is held to be promised.
    pub fn committed(&mut self, commit: &CommitLine, is_closed: bool) {
        for range in &commit.ranges {
            let is_radio = range.lane == Lane::MBus.name();
            if !is_radio {
                self.tally.others_stored += range.last + 1 - range.first;
                if is_closed {
                    continue;
                }
            }
            let sequences = self.committed.entry((commit.epoch.clone(), range.lane.clone())).or_default();
            let added = sequences.insert(range.first, range.last);
            if is_radio {
                self.tally.stored += added;
            }
        }
    }

    /// A record arrived at the head-end, for the first time or again; `reading` is what it says, if it is the reading
    /// of a meter with a radio. True where it had not come before.
    pub fn arrived(&mut self, epoch: Epoch, lane: Lane, sequence: u64, reading: Option<&Reading>) -> bool {
        let key = (epoch.to_string(), lane.name().to_owned());
        let added = self.delivered.entry(key).or_default().insert(sequence, sequence);
        if added == 0 {
            self.tally.duplicates += 1;
            return false;
        }
        self.tally.delivered_records += 1;
        let Some(reading) = reading else { return true };
        self.ledger.arrive(reading);
        self.meters.insert(reading.source.meter);
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line(reading));
        if self.heard.is_some() && is_main(reading) {
            if let Some(amount) = Amount::of(&reading.value) {
                let name = (format!("{epoch}/{lane}"), sequence);
                self.grown.entry(reading.source.meter).or_default().insert(name, amount);
            }
        }
        true
    }

    pub fn killed(&mut self, at: Instant) {
        self.kills.push(Kill { at, healed: None });
    }

    /// The service listens again, after as many kills as came before.
    pub fn healed(&mut self, at: Instant) {
        self.kills.iter_mut().filter(|kill| kill.healed.is_none()).for_each(|kill| kill.healed = Some(at));
    }

    /// Judges what has not arrived by now. `window` is the service's commit window; `is_complete` says that its policy
    /// keeps every reading.
    pub fn verdict(&self, window: Duration, is_complete: bool) -> Verdict {
        let is_radio = |lane: &str| lane == Lane::MBus.name();
        let broken_promises = self.broken_promises(is_radio);
        let (mut missing, mut in_window) = (0, 0);
        for (_, open, excused) in self.open(window).filter(|_| is_complete) {
            missing += open;
            in_window += open.min(excused);
        }
        // A broken promise is mostly a missing reading too; it is not counted twice, and never excused.
        let lost = (missing - in_window).max(broken_promises);
        Verdict {
            lost,
            in_window: missing.saturating_sub(lost),
            broken_promises,
            others_lost: self.broken_promises(|lane| !is_radio(lane)),
            disordered: self.disordered(),
        }
    }

    /// The first readings that are missing without an excuse, for people.
    pub fn strays(&self, window: Duration) -> Vec<String> {
        let strays = self.open(window).filter(|(_, open, excused)| open > excused);
        let line = |(reading, open, excused): (Expected, u64, u64)| {
            let Expected { meter, quantity, amount } = reading;
            format!("{meter} {} storage {} {amount:?}: {open}, {excused} excused", quantity.name, quantity.storage)
        };
        strays.take(STRAYS).map(line).collect()
    }

    /// What has not arrived, how often, and how often a kill may have cost it. Equal readings of one meter stand for
    /// each other: which of them is missing cannot be told.
    fn open(&self, window: Duration) -> impl Iterator<Item = (Expected, u64, u64)> + '_ {
        let heard = self.heard.iter().flatten().filter(move |(at, _)| self.is_excused(*at, window));
        let excused: Vec<&Expected> = heard.flat_map(|(_, readings)| readings).collect();
        self.ledger.open().map(move |(reading, telegrams)| {
            let count = excused.iter().filter(|excused| ***excused == reading).count();
            (reading, telegrams.len() as u64, count as u64)
        })
    }

    fn broken_promises(&self, is_meant: impl Fn(&str) -> bool) -> u64 {
        let nothing = Sequences::default();
        self.committed
            .iter()
            .filter(|((_, lane), _)| is_meant(lane))
            .map(|(key, promised)| promised.missing_in(self.delivered.get(key).unwrap_or(&nothing)))
            .sum()
    }

    /// Whether a kill may have cost what was heard at this time.
    fn is_excused(&self, heard: Instant, window: Duration) -> bool {
        self.kills.iter().any(|kill| {
            let begin = kill.at.checked_sub(window + SLACK);
            begin.is_none_or(|begin| heard >= begin) && kill.healed.is_none_or(|healed| heard <= healed)
        })
    }

    fn disordered(&self) -> u64 {
        let backwards = |rows: &BTreeMap<(String, u64), Amount>| {
            let pairs = rows.iter().zip(rows.iter().skip(1));
            pairs.filter(|((a, before), (b, after))| a.0 == b.0 && !before.is_less(after)).count() as u64
        };
        self.grown.values().map(backwards).sum()
    }
}

fn is_main(reading: &Reading) -> bool {
    let register = &reading.register;
    let grows = matches!(&*register.quantity, "volume" | "energy" | "hca_units");
    // A heat meter has two registers that grow; energy is the one that does so every time.
    let is_heat_volume = register.obis.is_some_and(|obis| obis.0.starts_with(&[6, 0, 2]));
    grows && register.storage == 0 && register.function == Function::Instantaneous && !is_heat_volume
}

fn line(reading: &Reading) -> String {
    let register = &reading.register;
    let value = match &reading.value {
        Value::Decimal { mantissa, scaler } => decimal(*mantissa, *scaler),
        Value::Date(date) => format!("{:04}-{:02}-{:02}", date.year, date.month, date.day),
        Value::DateTime(time) => {
            let date = time.date;
            format!("{:04}-{:02}-{:02} {:02}:{:02}", date.year, date.month, date.day, time.hour, time.minute)
        }
        other => format!("{other:?}"),
    };
    let obis = register.obis.map_or_else(String::new, |obis| obis.to_string());
    let meter = reading.source.meter.to_string();
    format!("{meter:<21} {:<24} {obis:<16} {value:>14} {}", register.quantity, register.unit)
}

fn decimal(mantissa: i64, scaler: i8) -> String {
    if scaler >= 0 {
        return format!("{mantissa}{}", "0".repeat(if mantissa == 0 { 0 } else { scaler.unsigned_abs().into() }));
    }
    let places = usize::from(scaler.unsigned_abs());
    let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{}{whole}.{fraction}", if mantissa < 0 { "-" } else { "" })
}

const LAST: usize = 12;
const STRAYS: usize = 10;
/// From the port to the commit window: what a busy machine may take for reading, decoding and queueing.
const SLACK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
