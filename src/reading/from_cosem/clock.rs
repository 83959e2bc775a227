//! How the clock of one meter is read and written: which way it signs its deviation, and its zone where it says none.

use dlms::time::{ClockStatus as DlmsStatus, DeviationSign};
use jiff::Timestamp;
use jiff::tz::{Dst, TimeZone};

use super::super::from_wmbus::clock::utc;
use super::super::{ClockStatus, MeterTime};
use super::civil;

/// The clock of one meter.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockRule {
    pub sign: DeviationSign,
    /// For times that say no deviation; None: those are not converted.
    pub zone: Option<TimeZone>,
}

impl ClockRule {
    /// A time of the meter; None where it is not a moment.
    pub fn meter_time(&self, time: &dlms::DateTime) -> Option<MeterTime> {
        let civil = civil(time)?;
        let is_said = time.status.0 != DlmsStatus::UNSPECIFIED;
        let summer_time = is_said.then(|| time.status.is_daylight_saving());
        let invalid = time.status.is_invalid() || time.status.is_doubtful();
        let by_zone = || self.zone.as_ref().and_then(|zone| utc(&civil, summer_time, zone));
        let utc = time.unix_seconds(self.sign).or_else(by_zone);
        Some(MeterTime { civil, status: ClockStatus { invalid, summer_time }, utc })
    }

    /// Seconds since 1970 UTC; None where the conversion is not known.
    pub fn utc(&self, time: &dlms::DateTime) -> Option<i64> {
        self.meter_time(time)?.utc
    }

    /// A moment as the meter writes it, by its zone; without one in UTC.
    pub fn written(&self, utc: i64) -> dlms::DateTime {
        let info = |zone: &TimeZone| {
            let info = zone.to_offset_info(Timestamp::from_second(utc).ok()?);
            Some(((info.offset().seconds() / 60) as i16, info.dst() == Dst::Yes))
        };
        let (offset, is_summer) = self.zone.as_ref().and_then(info).unwrap_or((0, false));
        dlms::DateTime::from_unix(utc, offset, self.sign, DlmsStatus(if is_summer { 0x80 } else { 0 }))
    }
}
