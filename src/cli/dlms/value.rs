//! Values of attributes, for people and as JSON: the type by its name in the standard, and whatever else the octets
//! may mean.

use std::fmt::Write as _;

use dlms::cosem::ScalerUnit;
use dlms::data::Items;
use dlms::time::{ClockStatus, DeviationSign};
use dlms::{Data, DateTime, Obis};
use serde::Serialize;

use crate::cli::text::printable;
use crate::reading::{Unit, Value};

/// One value as JSON.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Node {
    #[serde(rename = "type")]
    kind: &'static str,
    value: Content,
    /// Octets that are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Six octets that name an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    obis: Option<String>,
    #[serde(flatten)]
    moment: Option<Moment>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Content {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Real(f64),
    Text(String),
    Items(Vec<Node>),
}

/// A date and time as the meter says it, and in UTC where it says how far it is from it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Moment {
    time: String,
    /// Minutes, as the meter has them.
    deviation: Option<i16>,
    clock_status: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clock_flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utc: Option<String>,
}

/// Scaler and unit, and the value in it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Scaled {
    scaler: i8,
    unit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scaled: Option<String>,
}

impl Node {
    pub(super) fn new(data: Data<'_>, sign: DeviationSign) -> Self {
        let items = |items: Items<'_>| Content::Items(items.map(|item| Self::new(item, sign)).collect());
        let value = match data {
            Data::NullData | Data::DontCare => Content::Null,
            Data::Array(all) | Data::Structure(all) => items(all),
            Data::CompactArray(array) => items(array.items()),
            Data::Boolean(value) => Content::Boolean(value),
            Data::Float32(value) => real(&value.to_string()),
            Data::Float64(value) => real(&value.to_string()),
            Data::VisibleString(octets) | Data::Utf8String(octets) => {
                Content::Text(String::from_utf8_lossy(octets).into_owned())
            }
            Data::DateTime(_)
            | Data::OctetString(_)
            | Data::BitString(_)
            | Data::Bcd(_)
            | Data::Date(_)
            | Data::Time(_) => Content::Text(match data {
                Data::DateTime(moment) => hex::encode(moment.octets()),
                data => data.to_string(),
            }),
            number => match number.integer() {
                Ok(number) => i64::try_from(number)
                    .map(Content::Integer)
                    .or_else(|_| u64::try_from(number).map(Content::Unsigned))
                    .unwrap_or(Content::Null),
                Err(_) => Content::Null,
            },
        };
        let octets = if let Data::OctetString(octets) = data { octets } else { &[] };
        Self {
            kind: kind(&data),
            value,
            text: text_of(octets).map(str::to_owned),
            obis: obis_of(octets).map(|obis| obis.to_string()),
            moment: moment_of(&data).map(|moment| Moment::new(&moment, sign)),
        }
    }
}

impl Moment {
    pub(super) fn new(moment: &DateTime, sign: DeviationSign) -> Self {
        Self {
            time: format!("{}T{}", moment.date, moment.time),
            deviation: moment.deviation,
            clock_status: Some(moment.status.0).filter(|status| *status != ClockStatus::UNSPECIFIED),
            clock_flags: flags(moment.status),
            utc: moment.unix_seconds(sign).and_then(utc),
        }
    }
}

impl Scaled {
    pub(super) fn new(data: Data<'_>, scaler_unit: ScalerUnit) -> Self {
        let ScalerUnit { scaler, unit } = scaler_unit;
        Self { scaler, unit: Unit(unit).to_string(), scaled: scaled(data, scaler) }
    }
}

/// A value in one line, with its unit where it has one.
pub(super) fn line(data: Data<'_>, scaler_unit: Option<ScalerUnit>, sign: DeviationSign) -> String {
    if let Some(ScalerUnit { scaler, unit }) = scaler_unit {
        if let Some(value) = scaled(data, scaler) {
            return format!("{value} {}", Unit(unit)).trim_end().to_owned();
        }
    }
    if let Some(at) = moment_of(&data) {
        return moment(&at, sign);
    }
    match data {
        Data::OctetString([]) => "\"\"".into(),
        Data::OctetString(octets) => match (text_of(octets), obis_of(octets)) {
            (Some(text), _) => format!("{:?} ({})", printable(text), hex::encode(octets)),
            (None, Some(obis)) => format!("{obis} ({})", hex::encode(octets)),
            (None, None) => hex::encode(octets),
        },
        Data::VisibleString(octets) | Data::Utf8String(octets) => {
            format!("{:?}", printable(&String::from_utf8_lossy(octets)))
        }
        Data::Array(items) => list("[", items, "]", sign),
        Data::CompactArray(array) => list("[", array.items(), "]", sign),
        Data::Structure(items) => list("{", items, "}", sign),
        data => data.to_string(),
    }
}

/// `2026-06-25 12:30:00 UTC+02:00, deviation -120, status 80 (daylight saving)`
fn moment(moment: &DateTime, sign: DeviationSign) -> String {
    let mut text = offset(moment, sign);
    // Writing to a String does not fail.
    let _ = match moment.deviation {
        Some(deviation) => write!(text, ", deviation {deviation}"),
        None => write!(text, ", deviation not specified"),
    };
    let _ = match moment.status.0 {
        ClockStatus::UNSPECIFIED => write!(text, ", status not specified"),
        status => write!(text, ", status {status:02x}"),
    };
    text + &flagged(moment.status)
}

/// `2026-06-25 12:30:00 UTC+02:00 (daylight saving)`: for columns.
pub(super) fn clock(moment: &DateTime, sign: DeviationSign) -> String {
    offset(moment, sign) + &flagged(moment.status)
}

fn offset(moment: &DateTime, sign: DeviationSign) -> String {
    let text = format!("{} {}", moment.date, moment.time);
    let ahead = moment.unix_seconds(sign).zip(moment.local_seconds()).map(|(utc, local)| (local - utc) / 60);
    ahead.map_or(text.clone(), |minutes| {
        let mark = if minutes < 0 { '-' } else { '+' };
        format!("{text} UTC{mark}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    })
}

fn flagged(status: ClockStatus) -> String {
    let flags = flags(status);
    if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(", ")) }
}

/// The elements of an array, each in a line of its own.
pub(super) fn elements(data: Data<'_>, sign: DeviationSign) -> Option<Vec<String>> {
    let items = data.array().ok()?;
    Some(items.map(|item| line(item, None, sign)).collect())
}

/// The name of the type in IEC 62056-6-2:2021, table 2.
pub(super) fn kind(data: &Data<'_>) -> &'static str {
    match data {
        Data::NullData => "null-data",
        Data::Array(_) => "array",
        Data::Structure(_) => "structure",
        Data::Boolean(_) => "boolean",
        Data::BitString(_) => "bit-string",
        Data::DoubleLong(_) => "double-long",
        Data::DoubleLongUnsigned(_) => "double-long-unsigned",
        Data::OctetString(_) => "octet-string",
        Data::VisibleString(_) => "visible-string",
        Data::Utf8String(_) => "utf8-string",
        Data::Bcd(_) => "bcd",
        Data::Integer(_) => "integer",
        Data::Long(_) => "long",
        Data::Unsigned(_) => "unsigned",
        Data::LongUnsigned(_) => "long-unsigned",
        Data::CompactArray(_) => "compact-array",
        Data::Long64(_) => "long64",
        Data::Long64Unsigned(_) => "long64-unsigned",
        Data::Enum(_) => "enum",
        Data::Float32(_) => "float32",
        Data::Float64(_) => "float64",
        Data::DateTime(_) => "date-time",
        Data::Date(_) => "date",
        Data::Time(_) => "time",
        Data::DeltaInteger(_) => "delta-integer",
        Data::DeltaLong(_) => "delta-long",
        Data::DeltaDoubleLong(_) => "delta-double-long",
        Data::DeltaUnsigned(_) => "delta-unsigned",
        Data::DeltaLongUnsigned(_) => "delta-long-unsigned",
        Data::DeltaDoubleLongUnsigned(_) => "delta-double-long-unsigned",
        Data::DontCare => "dont-care",
    }
}

/// A moment that the value is, or that its twelve octets can only be meant as.
pub(super) fn moment_of(data: &Data<'_>) -> Option<DateTime> {
    let moment = data.date_time().ok()?;
    if matches!(data, Data::DateTime(_)) {
        return Some(moment);
    }
    let within = |value: u8, most: u8| value == 0xff || value <= most;
    let DateTime { date, time, deviation, .. } = moment;
    let is_date = matches!(date.year, 1970..=2199 | 0xffff)
        && matches!(date.month, 1..=12 | 0xfd..=0xff)
        && matches!(date.day, 1..=31 | 0xe0..=0xff)
        && matches!(date.day_of_week, 0..=7 | 0xff);
    let is_time = within(time.hour, 23) && within(time.minute, 59) && within(time.second, 59);
    let is_near = deviation.is_none_or(|minutes| (-840..=840).contains(&minutes));
    (is_date && is_time && is_near && within(time.hundredths, 99)).then_some(moment)
}

/// The value with its scaler, where it is a number.
pub(super) fn scaled(data: Data<'_>, scaler: i8) -> Option<String> {
    let value = match data {
        Data::Float32(value) => Value::Float32 { bits: value.to_bits(), scaler },
        Data::Float64(value) => Value::Float64 { bits: value.to_bits(), scaler },
        Data::Enum(_) => return None,
        data => Value::Decimal { mantissa: i64::try_from(data.integer().ok()?).ok()?, scaler },
    };
    Some(value.to_string())
}

fn real(text: &str) -> Content {
    // With the digits of its own size, not those that a wider number would need for the same bits.
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Content::Real(value),
        _ => Content::Text(text.to_owned()),
    }
}

fn text_of(octets: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(octets).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

fn obis_of(octets: &[u8]) -> Option<Obis> {
    // Some of other lengths or without the last octet's 255 are numbers, not names.
    Obis::try_from(octets).ok().filter(|obis| obis.0.ends_with(&[255]))
}

fn utc(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

fn flags(status: ClockStatus) -> Vec<&'static str> {
    [
        (status.is_invalid(), "invalid"),
        (status.is_doubtful(), "doubtful"),
        (status.is_different_base(), "different clock base"),
        (status.is_invalid_status(), "invalid status"),
        (status.is_daylight_saving(), "daylight saving"),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| is_set.then_some(name))
    .collect()
}

fn list(open: &str, items: Items<'_>, close: &str, sign: DeviationSign) -> String {
    let items: Vec<_> = items.map(|item| line(item, None, sign)).collect();
    format!("{open}{}{close}", items.join(", "))
}
