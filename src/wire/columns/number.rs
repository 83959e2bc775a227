//! Values as numbers, and what each number is a difference to: shared by both directions.

use std::collections::HashMap;

use super::Reject;
use super::name::narrow;
use crate::reading::{CivilDate, CivilTime};
use crate::wire::v1::ValueKind;

/// Remembers the numbers of a message as `Register.numbers` in records.proto says.
#[derive(Debug, Default)]
pub(super) struct Predictor {
    /// By meter and register.
    same: HashMap<(u32, u32), i64>,
    /// Decimals by meter, unit and scaler.
    alike: HashMap<(u32, u32, i32), i64>,
    /// By register.
    column: HashMap<u32, i64>,
}

/// Where a number stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) meter: u32,
    pub(super) register: u32,
    pub(super) kind: ValueKind,
    pub(super) unit: u32,
    pub(super) scaler: i32,
}

impl Predictor {
    pub(super) fn difference(&mut self, place: Place, number: i64) -> i64 {
        let difference = number.wrapping_sub(self.prediction(place));
        self.remember(place, number);
        difference
    }

    pub(super) fn number(&mut self, place: Place, difference: i64) -> i64 {
        let number = self.prediction(place).wrapping_add(difference);
        self.remember(place, number);
        number
    }

    fn prediction(&self, Place { meter, register, kind, unit, scaler }: Place) -> i64 {
        let found = match kind {
            ValueKind::Decimal => self.same.get(&(meter, register)).or_else(|| self.alike.get(&(meter, unit, scaler))),
            ValueKind::Float32 | ValueKind::Float64 => self.same.get(&(meter, register)),
            _ => self.column.get(&register),
        };
        found.copied().unwrap_or(0)
    }

    fn remember(&mut self, Place { meter, register, kind, unit, scaler }: Place, number: i64) {
        match kind {
            ValueKind::Decimal => {
                self.same.insert((meter, register), number);
                self.alike.insert((meter, unit, scaler), number);
            }
            ValueKind::Float32 | ValueKind::Float64 => drop(self.same.insert((meter, register), number)),
            _ => drop(self.column.insert(register, number)),
        }
    }
}

/// A running sum in one of the columns of `Rows`.
#[derive(Debug, Default)]
pub(super) struct Running(i64);

impl Running {
    pub(super) fn difference(&mut self, number: i64) -> i64 {
        number.wrapping_sub(std::mem::replace(&mut self.0, number))
    }

    pub(super) fn number(&mut self, difference: i64) -> i64 {
        self.0 = self.0.wrapping_add(difference);
        self.0
    }
}

pub(super) fn from_date(date: CivilDate) -> (ValueKind, i64) {
    let days = days(date);
    if to_date(ValueKind::Date, days) == Ok(date) {
        return (ValueKind::Date, days);
    }
    let fields = i64::from(date.year) << 16 | i64::from(date.month) << 8 | i64::from(date.day);
    (ValueKind::DateFields, fields)
}

pub(super) fn to_date(kind: ValueKind, number: i64) -> Result<CivilDate, Reject> {
    if kind == ValueKind::DateFields {
        let [day, month, low, high, 0, 0, 0, 0] = number.to_le_bytes() else { return Err(Reject::Field("date")) };
        return Ok(CivilDate { year: u16::from_le_bytes([low, high]), month, day });
    }
    date(number)
}

pub(super) fn from_time(time: CivilTime) -> (ValueKind, i64) {
    let second = time.second.unwrap_or(0);
    let seconds = days(time.date) * DAY + i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(second);
    let kind = if time.second.is_some() { ValueKind::DateTime } else { ValueKind::DateTimeMinutes };
    if to_time(kind, seconds) == Ok(time) {
        return (kind, seconds);
    }
    let (_, date) = (ValueKind::DateFields, fields(time.date));
    let number = date << 25
        | i64::from(time.hour) << 17
        | i64::from(time.minute) << 9
        | time.second.map_or(0, |second| i64::from(second) + 1);
    (ValueKind::DateTimeFields, number)
}

pub(super) fn to_time(kind: ValueKind, number: i64) -> Result<CivilTime, Reject> {
    let field = "date_time";
    match kind {
        ValueKind::DateTimeFields => {
            let second = number & 0x1ff;
            Ok(CivilTime {
                date: to_date(ValueKind::DateFields, number >> 25)?,
                hour: (number >> 17 & 0xff) as u8,
                minute: (number >> 9 & 0xff) as u8,
                second: if second == 0 { None } else { Some(narrow(second - 1, field)?) },
            })
        }
        _ => {
            let (date, second) = (date(number.div_euclid(DAY))?, number.rem_euclid(DAY));
            let time = CivilTime {
                date,
                hour: narrow(second / 3600, field)?,
                minute: narrow(second / 60 % 60, field)?,
                second: (kind == ValueKind::DateTime).then_some((second % 60) as u8),
            };
            if time.second.is_none() && second % 60 != 0 {
                return Err(Reject::Field(field));
            }
            Ok(time)
        }
    }
}

fn fields(date: CivilDate) -> i64 {
    i64::from(date.year) << 16 | i64::from(date.month) << 8 | i64::from(date.day)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. For a date that is none, the day that its fields would
/// overflow to: whoever wants to know compares with `date`.
fn days(date: CivilDate) -> i64 {
    // A year that begins in March ends with the leap day.
    let month = (i64::from(date.month) + 9).rem_euclid(12);
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + i64::from(date.day) - 1 - MARCH_0000_TO_1970
}

fn date(days: i64) -> Result<CivilDate, Reject> {
    let field = "date";
    if !(-MARCH_0000_TO_1970 - 366..=24_000_000).contains(&days) {
        return Err(Reject::Field(field));
    }
    let days = days + MARCH_0000_TO_1970;
    let (era, day_of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = (from_march + 2) % 12 + 1;
    Ok(CivilDate {
        year: narrow(era * 400 + year_of_era + i64::from(month <= 2), field)?,
        month: month as u8,
        day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u8,
    })
}

/// Makes most signal strengths one octet.
pub(super) const RSSI_OFFSET: i32 = 75;

const DAY: i64 = 86_400;
/// Days of 400 years.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const MARCH_0000_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    fn civil(year: u16, month: u8, day: u8) -> CivilDate {
        CivilDate { year, month, day }
    }

    #[test]
    fn dates_are_days_since_1970() {
        for (date, days) in [
            (civil(1970, 1, 1), 0),
            (civil(1969, 12, 31), -1),
            (civil(2000, 2, 29), 11_016),
            (civil(2026, 7, 27), 20_661),
            (civil(2100, 3, 1), 47_541),
            (civil(0, 1, 1), -719_528),
            (civil(65_535, 12, 31), 23_217_003),
        ] {
            assert_eq!(from_date(date), (ValueKind::Date, days), "{date:?}");
            assert_eq!(to_date(ValueKind::Date, days), Ok(date));
        }
    }

    #[test]
    fn what_is_no_date_keeps_its_fields() {
        for date in
            [civil(2026, 13, 1), civil(2026, 0, 0), civil(2025, 2, 29), civil(65_535, 255, 255), civil(1, 4, 31)]
        {
            let (kind, number) = from_date(date);
            assert_eq!((kind, to_date(kind, number)), (ValueKind::DateFields, Ok(date)));
        }
        assert_eq!(to_date(ValueKind::DateFields, 1 << 32), Err(Reject::Field("date")));
        assert_eq!(to_date(ValueKind::Date, i64::MAX), Err(Reject::Field("date")));
    }

    #[test]
    fn every_time_comes_back() {
        for date in [civil(2026, 7, 27), civil(2026, 2, 30), civil(0, 0, 0)] {
            for (hour, minute) in [(0, 0), (23, 59), (24, 0), (255, 255), (0, 60)] {
                for second in [None, Some(0), Some(59), Some(60), Some(255)] {
                    let time = CivilTime { date, hour, minute, second };
                    let (kind, number) = from_time(time);
                    assert_eq!(to_time(kind, number), Ok(time), "{kind:?} {number}");
                }
            }
        }
        assert_eq!(from_time(CivilTime { date: civil(1970, 1, 2), hour: 1, minute: 1, second: Some(1) }).1, 90_061);
        assert_eq!(to_time(ValueKind::DateTimeMinutes, 61), Err(Reject::Field("date_time")));
        assert_eq!(to_time(ValueKind::DateTimeFields, -1), Err(Reject::Field("date")));
    }
}
