//! The meter's clock as the telegram says it, and UTC where the operator has said what zone the clock is in.

use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use wmbus::Telegram;
use wmbus::record::{DataRecord, Function, Quantity, Value};

use super::civil_time;
use crate::reading::{CivilTime, ClockStatus, MeterTime};

/// The record with VIF 6D that is about now: storage, tariff and subunit 0, nothing that modifies it; protected where the
/// telegram is.
pub(super) fn meter_time(
    telegram: &Telegram<'_>,
    records: &[DataRecord<'_>],
    zone: Option<&TimeZone>,
) -> Option<MeterTime> {
    let is_clock = |record: &&DataRecord<'_>| {
        record.vib.quantity == Quantity::DateTime
            && record.function == Function::Instantaneous
            && (record.storage_number, record.tariff, record.subunit) == (0, 0, 0)
            && record.vib.modifiers.is_empty()
            && !telegram.is_in_the_clear(record)
    };
    let time = records.iter().filter(is_clock).find_map(|record| match record.value {
        Value::DateTime(time) => Some(time),
        _ => None,
    })?;
    let civil = civil_time(&time);
    // A clear bit says nothing: a meter without summer time never sets it.
    let summer_time = time.summer_time.then_some(true);
    let utc = zone.filter(|_| !time.invalid).and_then(|zone| utc(&civil, summer_time, zone));
    Some(MeterTime { civil, status: ClockStatus { invalid: time.invalid, summer_time }, utc })
}

/// Seconds since 1970 UTC; None in the hour that does not exist, and in the one that exists twice unless the meter
/// says which of them it is.
pub(in crate::reading) fn utc(time: &CivilTime, summer_time: Option<bool>, zone: &TimeZone) -> Option<i64> {
    let second = i8::try_from(time.second.unwrap_or(0)).ok()?;
    let civil = civil::DateTime::new(
        i16::try_from(time.date.year).ok()?,
        i8::try_from(time.date.month).ok()?,
        i8::try_from(time.date.day).ok()?,
        i8::try_from(time.hour).ok()?,
        i8::try_from(time.minute).ok()?,
        second,
        0,
    )
    .ok()?;
    let offset: Offset = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { before, .. } if summer_time == Some(true) => before,
        AmbiguousOffset::Fold { after, .. } if summer_time == Some(false) => after,
        AmbiguousOffset::Fold { .. } | AmbiguousOffset::Gap { .. } => return None,
    };
    offset.to_timestamp(civil).ok().map(|timestamp| timestamp.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::CivilDate;

    #[track_caller]
    fn check(
        zone: &str,
        (month, day, hour, minute): (u8, u8, u8, u8),
        summer_time: Option<bool>,
        expected: Option<i64>,
    ) {
        let time = CivilTime { date: CivilDate { year: 2025, month, day }, hour, minute, second: None };
        assert_eq!(utc(&time, summer_time, &TimeZone::posix(zone).unwrap()), expected);
    }

    #[test]
    fn meter_time_is_converted_only_where_the_conversion_is_known() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        check(berlin, (1, 15, 12, 0), None, Some(1_736_938_800));
        check(berlin, (7, 15, 12, 0), None, Some(1_752_573_600));
        check(berlin, (3, 30, 2, 30), None, None);
        check(berlin, (10, 26, 2, 30), None, None);
        check(berlin, (10, 26, 2, 30), Some(true), Some(1_761_438_600));
        check("<+01>-1", (7, 15, 12, 0), None, Some(1_752_577_200));
    }
}
