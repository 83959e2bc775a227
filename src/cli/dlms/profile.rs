//! `dcu dlms profile`: rows of a profile by range or by entry, each column with its name, scaler and unit.

use std::ops::Range;

use dlms::Data;
use dlms::apdu::{Attribute, CaptureObject, EntryDescriptor, RangeDescriptor, Selection};
use dlms::cosem::{Column, Row, Rows, ScalerUnit, capture_objects, class};
use dlms::data::Items;
use dlms::spec::Conformance;
use dlms::time::{ClockStatus, DateTime, DeviationSign};
use dlms::{Obis, Reject};
use serde::Serialize;

use super::value::{self, Moment, Node, Scaled};
use super::way::{Meter, Way};
use crate::cli::text::Table;
use crate::cli::{Exit, Failure, OrExit, Out};
use crate::task::electricity::SessionError;

/// Which rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// Both ends included.
    Range(Option<Bound>, Option<Bound>),
    /// From 1; 0 as the last means the last there is.
    Entries(u32, u32),
}

/// One end of a range, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Utc(i64),
    /// In the meter's own time, whatever that is.
    Local(i64),
}

impl Wanted {
    fn has_utc(self) -> bool {
        matches!(self, Self::Range(Some(Bound::Utc(_)), _) | Self::Range(_, Some(Bound::Utc(_))))
    }
}

impl Bound {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let far = || format!("{text:?} is a time of no meter: years from 1970 to 9998");
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Some(moment.as_second()).filter(|second| YEARS.contains(second)).map(Self::Utc).ok_or_else(far);
        }
        let form =
            |_| format!("{text:?} is no time such as 2026-06-25T12:00:00Z, or 2026-06-25 in the meter's own time");
        let civil: jiff::civil::DateTime = text.parse().map_err(form)?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| far())?;
        Some(zoned.timestamp().as_second()).filter(|second| YEARS.contains(second)).map(Self::Local).ok_or_else(far)
    }

    /// Whether it is later whatever the meter's own time is.
    pub(super) const fn is_after(self, other: Self) -> bool {
        match (self, other) {
            (Self::Utc(a), Self::Utc(b)) | (Self::Local(a), Self::Local(b)) => a > b,
            // No clock is a day off UTC.
            (Self::Utc(a), Self::Local(b)) | (Self::Local(a), Self::Utc(b)) => a > b + 86_400,
        }
    }
}

/// `A-B`, `A-`, `-B` or `A`.
pub(super) fn entries(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str, default| match text {
        "" => Ok(default),
        _ if text.bytes().any(|digit| !digit.is_ascii_digit()) => {
            Err(format!("{text:?} is no number: A-B, A-, -B or A"))
        }
        text => match text.parse::<u32>() {
            Ok(0) => Err("entries are counted from 1".to_owned()),
            Ok(number) => Ok(number),
            Err(_) => Err(format!("no entry has the number {text}: {} is the highest", u32::MAX)),
        },
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    if first.is_empty() && last.is_empty() {
        return Err("no entry is said: A-B, A-, -B or A, counted from 1".to_owned());
    }
    match (number(first, 1)?, number(last, 0)?) {
        (first, last) if last == 0 || first <= last => Ok((first, last)),
        (first, last) => Err(format!("entry {first} comes after entry {last}: the lower number first, {last}-{first}")),
    }
}

/// A profile whose columns are known.
struct Profile {
    buffer: Attribute,
    columns: Vec<(CaptureObject, Option<ScalerUnit>)>,
    /// Seconds, 0 where there is none.
    period: u32,
    sign: DeviationSign,
}

/// Prints the rows.
pub(super) fn run(meter: &mut Meter, obis: Obis, wanted: Wanted, way: &Way, out: &mut Out) -> Result<Exit, Failure> {
    let (sign, json) = (way.sign(), way.json);
    let mut profile = Profile::read(meter, obis, sign)?;
    let (octets, is_whole) = profile.rows(meter, wanted)?;
    profile.complete(meter);
    let buffer = Data::parse_all(&octets).map_err(|reject| profile.unread(reject))?;
    let kinds = profile.kinds();
    let mut rows = Rows::new(buffer, &kinds, profile.period).map_err(|reject| profile.unread(reject))?;
    let first = match wanted {
        Wanted::Entries(first, _) if !is_whole => first,
        _ => 1,
    };
    let mut table = Table::new(&profile.heads(way));
    let (mut number, mut exit, mut shown, mut undated) = (first, Exit::Done, 0_u32, 0_u32);
    while let Some(row) = rows.next() {
        match row {
            Ok(row) => match profile.is_wanted(&row, number, wanted) {
                Some(false) => {}
                judged => {
                    // Of what the meter selected, the meter knows; of the whole, nobody does.
                    undated += u32::from(is_whole && judged.is_none());
                    shown += 1;
                    match json {
                        true => out.json(&profile.line(&row, number, way))?,
                        false => table.row(profile.cells(&row)),
                    }
                }
            },
            Err(reject) => {
                eprintln!("dcu: row {number}: {reject}");
                exit = Exit::Failed;
            }
        }
        number += 1;
    }
    if !json {
        out.text(table.text())?;
    }
    if undated > 0 {
        let why =
            format!("{undated} rows say no time that --from and --to can be compared with, and are shown all the same");
        let advice = if wanted.has_utc() { ": give both in the meter's own time, without Z or offset" } else { "" };
        eprintln!("dcu: {why}{advice}");
        exit = Exit::Failed;
    }
    if shown == 0 && exit == Exit::Done {
        eprintln!("dcu: there is no such row in the profile {obis}");
    }
    Ok(exit)
}

impl Profile {
    fn read(meter: &mut Meter, obis: Obis, sign: DeviationSign) -> Result<Self, Failure> {
        let buffer = Attribute::new(class::PROFILE_GENERIC, obis, 2);
        let octets = meter.get(Attribute { attribute: 3, ..buffer })?;
        let unread = |reject: Reject| Failure::said(Exit::Failed, format!("capture objects of {obis}: {reject}"));
        let objects = Data::parse_all(&octets).and_then(capture_objects).map_err(unread)?;
        let columns = objects.into_iter().map(|object| (object, None)).collect();
        Ok(Self { buffer, columns, period: 0, sign })
    }

    /// What is only good to have, after the rows: a meter that hangs at it has told them.
    fn complete(&mut self, meter: &mut Meter) {
        // A meter that does not say its period leaves no clock out.
        self.period = meter.number(Attribute { attribute: 4, ..self.buffer }).unwrap_or(0);
        for (object, scaler_unit) in &mut self.columns {
            *scaler_unit = meter.scaler_unit(object.attribute);
        }
    }

    /// The buffer, and whether it is all of it although a part was asked for.
    fn rows(&self, meter: &mut Meter, wanted: Wanted) -> Result<(Vec<u8>, bool), Failure> {
        if wanted == Wanted::All {
            return Ok((meter.get(self.buffer)?, true));
        }
        let conformance = meter.direct.client().association().conformance;
        if conformance.has(Conformance::SELECTIVE_ACCESS) {
            match self.selected(meter, wanted)? {
                Ok(octets) => return Ok((octets, false)),
                Err(why) if conformance.common(Conformance::BLOCKS_OF_ANSWERS) == Conformance(0) => {
                    let what =
                        format!("{why}: the meter sends no long answers (no block transfer): ask for fewer rows");
                    return Err(Failure::said(Exit::Failed, format!("get {}: {what}", self.buffer)));
                }
                Err(why) => eprintln!("dcu: the meter does not select rows ({why}): the whole profile is read"),
            }
        } else {
            eprintln!("dcu: the meter has no selective access for this client: the whole profile is read");
        }
        Ok((meter.get(self.buffer)?, true))
    }

    /// What is selected, or why the meter selects nothing.
    fn selected(&self, meter: &mut Meter, wanted: Wanted) -> Result<Result<Vec<u8>, String>, Failure> {
        let (first, last) = match wanted {
            Wanted::Entries(first, last) => (first, last),
            Wanted::Range(from, to) => return self.range(meter, from, to),
            Wanted::All => (1, 0),
        };
        self.select(meter, Selection::Entries(EntryDescriptor::rows(first, last)))
    }

    fn range(
        &self,
        meter: &mut Meter,
        from: Option<Bound>,
        to: Option<Bound>,
    ) -> Result<Result<Vec<u8>, String>, Failure> {
        let restricting_object = self.clock().or_exit(Exit::Usage)?;
        let (from, to) = self.bounds(meter, restricting_object.attribute, from, to);
        let between = |from_value, to_value| {
            let selected_values = Items::EMPTY;
            Selection::Range(RangeDescriptor { restricting_object, from_value, to_value, selected_values })
        };
        let octets = (from.octets(), to.octets());
        match self.select(meter, between(Data::OctetString(&octets.0), Data::OctetString(&octets.1)))? {
            // Some meters insist on types.
            Err(_) => self.select(meter, between(Data::DateTime(from), Data::DateTime(to))),
            selected => Ok(selected),
        }
    }

    fn select(&self, meter: &mut Meter, selection: Selection<'_>) -> Result<Result<Vec<u8>, String>, Failure> {
        match meter.direct.get(self.buffer, Some(selection)) {
            Ok(octets) => Ok(Ok(octets)),
            Err(SessionError::Failed(why)) if why.cause.is_unselective() => Ok(Err(why.cause.to_string())),
            Err(error) => Err(meter.told(error)),
        }
    }

    fn clock(&self) -> Result<CaptureObject, anyhow::Error> {
        let clock = self.columns.iter().map(|(object, _)| *object).find(is_clock);
        clock.ok_or_else(|| {
            anyhow::anyhow!("the profile {} has no clock, so no range of time: use --entries", self.buffer.logical_name)
        })
    }

    /// Both ends as they are asked for. Meters differ: some convert a range to UTC, others compare what is written.
    /// Each end is written with such an offset that either way no wanted row is left out; the rows are judged here.
    fn bounds(
        &self,
        meter: &mut Meter,
        clock: Attribute,
        from: Option<Bound>,
        to: Option<Bound>,
    ) -> (DateTime, DateTime) {
        let now = meter.get(clock).ok().and_then(|octets| Data::parse_all(&octets).ok()?.date_time().ok());
        let ahead = now.and_then(|now| Some((now.local_seconds()? - now.unix_seconds(self.sign)?) / 60));
        let is_summer = now.is_some_and(|now| now.status.is_daylight_saving());
        let standard = ahead.unwrap_or(0) - if is_summer { SUMMER } else { 0 };
        let summer = standard + SUMMER;
        let end = |bound: Bound, offset_of_utc: i64, offset_of_local: i64| {
            let status = ClockStatus(0);
            match (bound, ahead) {
                (Bound::Utc(seconds), _) => DateTime::from_unix(seconds, offset_of_utc as i16, self.sign, status),
                (Bound::Local(seconds), None) => DateTime::from_local(seconds, None, status),
                (Bound::Local(seconds), Some(_)) => {
                    DateTime::from_unix(seconds - 60 * offset_of_local, offset_of_local as i16, self.sign, status)
                }
            }
        };
        let latest = now.and_then(|now| now.local_seconds()).unwrap_or(LATEST) + DAY;
        (
            end(from.unwrap_or(Bound::Local(EARLIEST)), standard, summer),
            end(to.unwrap_or(Bound::Local(latest)), summer, standard),
        )
    }

    /// None where the row does not say what is asked for.
    fn is_wanted(&self, row: &Row<'_, '_>, number: u32, wanted: Wanted) -> Option<bool> {
        match wanted {
            Wanted::All => Some(true),
            Wanted::Entries(first, last) => Some(first <= number && (last == 0 || number <= last)),
            Wanted::Range(from, to) => {
                let at = |bound| match bound {
                    Bound::Utc(wanted) => Some((row.clock?.unix_seconds(self.sign)?, wanted)),
                    Bound::Local(wanted) => Some((row.clock?.local_seconds()?, wanted)),
                };
                let from = from.map_or(Some(true), |from| at(from).map(|(at, from)| at >= from))?;
                let to = to.map_or(Some(true), |to| at(to).map(|(at, to)| at <= to))?;
                Some(from && to)
            }
        }
    }

    fn kinds(&self) -> Vec<Column> {
        self.columns.iter().map(|(object, _)| if is_clock(object) { Column::Clock } else { Column::Value }).collect()
    }

    fn heads(&self, way: &Way) -> Vec<String> {
        let head = |(object, scaler_unit): &(CaptureObject, Option<ScalerUnit>)| {
            let unit = scaler_unit.map_or(String::new(), |it| format!(" {}", crate::reading::Unit(it.unit)));
            let Attribute { logical_name, attribute, .. } = object.attribute;
            let element = if object.data_index > 0 { format!("[{}]", object.data_index) } else { String::new() };
            let meaning = way.meaning(object.attribute.class_id, logical_name);
            match (is_clock(object), attribute) {
                (true, _) => "time".to_owned(),
                (false, 2) if meaning.is_some() => {
                    format!(">{}{element}{}", meaning.unwrap_or_default(), unit.trim_end())
                }
                (false, 2) => format!(">{logical_name}{element}{}", unit.trim_end()),
                (false, _) => format!(">{logical_name}:{attribute}{element}{}", unit.trim_end()),
            }
        };
        self.columns.iter().map(head).collect()
    }

    fn cells(&self, row: &Row<'_, '_>) -> Vec<String> {
        let cell = |(data, (object, scaler_unit)): (&Data<'_>, &(CaptureObject, Option<ScalerUnit>))| {
            if is_clock(object) {
                return row.clock.map_or("-".into(), |clock| value::clock(&clock, self.sign));
            }
            match (data, scaler_unit) {
                (Data::NullData, _) => "-".into(),
                // The unit stands in the head.
                (data, Some(it)) => {
                    value::scaled(*data, it.scaler).unwrap_or_else(|| value::line(*data, None, self.sign))
                }
                (data, None) => value::line(*data, None, self.sign),
            }
        };
        row.values.iter().zip(&self.columns).map(cell).collect()
    }

    fn line(&self, row: &Row<'_, '_>, number: u32, way: &Way) -> RowLine {
        let cell = |(data, (object, scaler_unit)): (&Data<'_>, &(CaptureObject, Option<ScalerUnit>))| Cell {
            class: object.attribute.class_id,
            obis: object.attribute.logical_name.to_string(),
            attribute: object.attribute.attribute,
            data_index: Some(object.data_index).filter(|index| *index > 0),
            node: Node::new(*data, self.sign),
            scaled: scaler_unit.map(|it| Scaled::new(*data, it)),
            meaning: way.meaning(object.attribute.class_id, object.attribute.logical_name).map(ToOwned::to_owned),
        };
        RowLine {
            profile: self.buffer.logical_name.to_string(),
            row: number,
            moment: row.clock.map(|clock| Moment::new(&clock, self.sign)),
            time_derived: row.is_clock_derived,
            values: row.values.iter().zip(&self.columns).map(cell).collect(),
        }
    }

    fn unread(&self, reject: Reject) -> Failure {
        Failure::said(Exit::Failed, format!("buffer of {}: {reject}", self.buffer.logical_name))
    }
}

/// One row as JSON.
#[derive(Debug, Serialize)]
struct RowLine {
    profile: String,
    row: u32,
    #[serde(flatten)]
    moment: Option<Moment>,
    /// The meter left the time out: it is that of the row before and the capture period.
    time_derived: bool,
    values: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    class: u16,
    obis: String,
    attribute: i8,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_index: Option<u16>,
    #[serde(flatten)]
    node: Node,
    #[serde(flatten)]
    scaled: Option<Scaled>,
    /// As the companion profile says.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<String>,
}

fn is_clock(object: &CaptureObject) -> bool {
    object.attribute.class_id == class::CLOCK && object.attribute.attribute == 2
}

/// Minutes that summer time is ahead, at most.
const SUMMER: i64 = 60;
const DAY: i64 = 86_400;
/// Seconds since 1970 UTC that can be asked for, up to 9999-01-01: behind them offsets leave the calendar.
const YEARS: Range<i64> = 0..253_370_764_800;
/// 2000-01-01: before any row.
const EARLIEST: i64 = 946_684_800;
/// 2098-12-31: after any row.
const LATEST: i64 = 4_070_822_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_moments_or_the_meters_own_time() {
        for (text, expected) in [
            ("1970-01-02T00:00:00Z", Bound::Utc(86_400)),
            ("1970-01-02T01:00:00+01:00", Bound::Utc(86_400)),
            ("1970-01-02T00:00", Bound::Local(86_400)),
            ("1970-01-02 00:00:00", Bound::Local(86_400)),
            ("1970-01-02", Bound::Local(86_400)),
        ] {
            assert_eq!(Bound::parse(text), Ok(expected), "{text}");
        }
        for text in ["yesterday", "9999-12-31", "9999-01-01", "9999-12-31T23:59:59Z", "1969-12-31", "9999-01-01T00:00Z"]
        {
            assert!(Bound::parse(text).is_err(), "{text}");
        }
        assert_eq!(Bound::parse("9998-12-31").map(|bound| bound.is_after(Bound::Local(0))), Ok(true));
    }

    #[test]
    fn entries_are_counted_from_one() {
        assert_eq!(
            (entries("11-60"), entries("5-"), entries("-5"), entries("7")),
            (Ok((11, 60)), Ok((5, 0)), Ok((1, 5)), Ok((7, 7)))
        );
        for (text, why) in [
            ("0-1", "counted from 1"),
            ("5-3", "entry 5 comes after entry 3"),
            ("a", "\"a\" is no number"),
            ("1-2-3", "\"2-3\" is no number"),
            ("1-99999999999", "99999999999: 4294967295 is the highest"),
            ("-", "no entry is said"),
        ] {
            assert!(entries(text).unwrap_err().contains(why), "{text}");
        }
    }
}
