//! Meters and telegrams as people ask for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::similar;
use crate::reading::{Reading, Value, stored_at};

/// One line of the list of known meters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterLine {
    /// `KAM-12345678-1b-16`
    pub id: String,
    /// `cold water`
    pub medium: String,
    /// The configured group that took it.
    pub group: Option<String>,
    /// What the last telegram's protection said: `plain`, `decrypted`, `authenticated`, `no_key` and so on. None where
    /// none has been judged.
    pub security: Option<String>,
    /// Frames on the air. None where their number is not known: of a file that did not tell it.
    pub telegrams: Option<u64>,
    pub last_heard_ms: Option<i64>,
    /// The best receiver's, at the last telegram.
    pub rssi_dbm: Option<i16>,
}

/// Everything that is known of one meter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MeterCard {
    #[serde(flatten)]
    pub line: MeterLine,
    /// Whether a key is there; the key itself is nowhere to be seen.
    pub has_key: bool,
    /// The last message counter that was accepted; None for a meter without one, whose telegrams could be replayed.
    pub counter: Option<u32>,
    /// Telegrams by verdict: `decrypted`, `replayed` and so on.
    #[serde(default)]
    pub verdicts: std::collections::BTreeMap<String, u32>,
    /// What of the last telegram was not understood: it is kept raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// The configured selection policy, as the file would say it.
    pub policy: String,
    pub first_heard_ms: Option<i64>,
    pub status: Option<u8>,
    /// Between two transmissions, as it was learned.
    #[serde(default)]
    pub interval_s: Option<f64>,
    /// Transmissions that were not heard, since the start of the service.
    #[serde(default)]
    pub missed: u64,
    /// When the next transmission is due.
    #[serde(default)]
    pub next_ms: Option<i64>,
    /// The best link first.
    pub heard: Vec<Heard>,
    /// Of the last telegram that was decoded.
    pub readings: Vec<ReadingLine>,
    /// None of a meter that is behind no electricity meter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<BehindCard>,
    /// None of a meter that is heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub electricity: Option<ElectricityCard>,
}

/// Where a meter is read that is behind an electricity meter, and which of its two ways counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BehindCard {
    pub electricity_meter: String,
    pub channel: u8,
    /// When something valid came last; None: nothing since the service knows of it.
    pub last_ms: Option<i64>,
    /// `air` or `behind`, as configured.
    pub preferred_source: String,
    /// The other one while the preferred one is silent.
    pub used_source: String,
}

/// A meter that is read over DLMS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElectricityCard {
    /// `new`, `active`, `silent`, `unreachable`, `replaced`, `removed`
    pub state: String,
    pub channel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// What is begun with it and not done, and what is awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
    /// Why the last order did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Gas, water and heat meters behind it, by M-Bus channel.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub behind: BTreeMap<String, String>,
    pub tasks: Vec<ElectricityTask>,
}

/// How far one task has come with a meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElectricityTask {
    pub id: String,
    pub complete_until_ms: i64,
    /// Slots that were given up.
    pub lost: u64,
}

/// How one receiver hears one meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub receiver: String,
    pub telegrams: u64,
    /// Of them, those that came through a repeater.
    #[serde(default)]
    pub repeated: u64,
    pub last_ms: i64,
    pub rssi_dbm: Option<i16>,
    /// The last week, oldest day first.
    #[serde(default)]
    pub days: Vec<HeardDay>,
}

/// What one receiver heard of one meter on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardDay {
    /// 0 is today, 1 the day before; days are of 24 hours since the boot.
    pub ago: u32,
    pub telegrams: u32,
    /// Weakest, mean and strongest.
    pub rssi_dbm: Option<[i8; 3]>,
}

/// One reading, in the words of `telegram decode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadingLine {
    pub quantity: String,
    pub obis: Option<String>,
    /// A decimal, a text, or ISO 8601; None where the meter says that it has none.
    pub value: Option<String>,
    pub unit: String,
    pub function: String,
    pub storage: u32,
    pub tariff: u32,
    pub subunit: u16,
    /// The end of the interval it is about, or the moment a snapshot stands for, ISO 8601 in UTC; of a stored value
    /// the meter's own date, without a zone.
    pub time: Option<String>,
    pub quality: String,
    /// What sets the value apart from others of its quantity: direction, phase, conditions; often empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub modifier: String,
}

impl ReadingLine {
    /// All readings of one telegram: together they tell the dates of stored values.
    pub fn of(readings: &[Reading]) -> Vec<Self> {
        let lines = readings.iter().map(Self::from);
        lines.zip(stored_at(readings)).map(|(line, at)| Self { time: line.time.or(at), ..line }).collect()
    }
}

impl From<&Reading> for ReadingLine {
    fn from(reading: &Reading) -> Self {
        let register = &reading.register;
        let time = reading.interval.map(|interval| interval.end_utc).and_then(|at| Timestamp::from_second(at).ok());
        Self {
            quantity: register.quantity.to_string(),
            obis: register.obis.map(|obis| obis.to_string()),
            value: (reading.value != Value::None).then(|| reading.value.to_string()),
            unit: register.unit.to_string(),
            function: register.function.name().to_owned(),
            storage: register.storage,
            tariff: register.tariff,
            subunit: register.subunit,
            time: time.map(|time| time.to_string()),
            quality: reading.quality.to_string(),
            modifier: register.modifier.to_string(),
        }
    }
}

/// One telegram, as it is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelegramLine {
    pub at_ms: i64,
    pub receiver: String,
    pub rssi_dbm: Option<i16>,
    /// None where not even the address could be read.
    pub id: Option<String>,
    pub medium: Option<String>,
    /// What its protection said.
    pub security: String,
    /// Why nothing was decoded, where nothing was.
    pub reject: Option<String>,
    /// Whether the selection policy kept it.
    pub kept: bool,
    pub octets: u32,
    pub readings: Vec<ReadingLine>,
}

/// What a person's word for a meter stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    One(&'a str),
    /// More than one, in order.
    Many(Vec<&'a str>),
    /// None; a few that look alike.
    None(Vec<&'a str>),
}

/// Whether a folded identity and its digits are what is looked for.
type Is<'a> = &'a dyn Fn(&str, Option<&str>) -> bool;

/// Finds meters by what is printed on their face: eight digits, or the first of them, with or without the
/// manufacturer's letters; or by the full identity.
pub fn find<'a>(word: &str, ids: impl IntoIterator<Item = &'a str>) -> Found<'a> {
    let wanted: String =
        word.chars().filter(|c| !c.is_whitespace() && *c != '-').collect::<String>().to_ascii_lowercase();
    // Folded, its digits, as it stands.
    let mut ids: Vec<(String, Option<&str>, &str)> =
        ids.into_iter().map(|id| (id.replace('-', "").to_ascii_lowercase(), id.split('-').nth(1), id)).collect();
    ids.sort_unstable();
    let is_any = !wanted.is_empty();
    let by = |is_match: Is<'_>| -> Vec<&'a str> {
        ids.iter().filter(|(folded, digits, _)| is_any && is_match(folded, *digits)).map(|(.., id)| *id).collect()
    };
    let rows: [Is<'_>; 4] = [
        &|folded, _| folded == wanted,
        &|_, digits| digits == Some(wanted.as_str()),
        &|folded, _| folded.starts_with(&wanted),
        &|_, digits| digits.is_some_and(|digits| digits.starts_with(&wanted)),
    ];
    for row in rows {
        match by(row).as_slice() {
            [] => {}
            [one] => return Found::One(one),
            many => return Found::Many(many.to_vec()),
        }
    }
    let mut near: Vec<(usize, &str)> = ids
        .iter()
        .map(|(folded, digits, id)| {
            let digits = digits.map_or(usize::MAX, |digits| similar::distance(&wanted, digits));
            (digits.min(similar::distance(&wanted, folded)), *id)
        })
        .filter(|(far, _)| *far <= 2)
        .collect();
    near.sort_unstable();
    Found::None(near.into_iter().take(3).map(|(_, id)| id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 5] =
        ["KAM-12345678-1b-16", "KAM-12349999-1b-16", "ELS-12345678-03-03", "0102030405060708", "3b5a-00000042-20-37"];

    #[track_caller]
    fn check(word: &str, expected: Found<'_>) {
        assert_eq!(find(word, IDS), expected, "{word}");
    }

    #[test]
    fn a_meter_is_found_by_what_is_on_its_face() {
        check("KAM-12345678-1b-16", Found::One("KAM-12345678-1b-16"));
        check("kam12345678", Found::One("KAM-12345678-1b-16"));
        check("KAM 1234 5678", Found::One("KAM-12345678-1b-16"));
        check("12349999", Found::One("KAM-12349999-1b-16"));
        check("1234999", Found::One("KAM-12349999-1b-16"));
        check("els", Found::One("ELS-12345678-03-03"));
        check("0102030405060708", Found::One("0102030405060708"));
        // A maker without letters.
        check("00000042", Found::One("3b5a-00000042-20-37"));
        check("3b5a 42", Found::None(vec![]));
    }

    #[test]
    fn what_means_two_meters_names_both() {
        check("12345678", Found::Many(vec!["ELS-12345678-03-03", "KAM-12345678-1b-16"]));
        check("kam", Found::Many(vec!["KAM-12345678-1b-16", "KAM-12349999-1b-16"]));
    }

    #[test]
    fn a_slip_is_answered_with_what_looks_alike() {
        check("12349989", Found::None(vec!["KAM-12349999-1b-16"]));
        check("99999999", Found::None(vec![]));
        check("", Found::None(vec![]));
        check("é", Found::None(vec![]));
    }
}
