//! Dates and times of COSEM, IEC 62056-6-2:2021, 4.1.6: every field may be left unspecified.
//!
//! What the meter says is kept as it says it. A conversion to UTC needs the deviation, and how the meter signs it.

use std::fmt;

use bytes::{Buf, BufMut};

use crate::Reject;

/// Year, month, day of month, day of week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date {
    /// 0xFFFF: not specified.
    pub year: u16,
    /// 1 to 12; 0xFD end and 0xFE begin of daylight saving; 0xFF not specified.
    pub month: u8,
    /// 1 to 31; 0xFD second last, 0xFE last day of the month; 0xFF not specified.
    pub day: u8,
    /// Monday is 1; 0xFF not specified.
    pub day_of_week: u8,
}

/// Hour to hundredth; 0xFF is not specified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub hundredths: u8,
}

/// Date, time, deviation of local time from UTC, and what the clock says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    pub date: Date,
    pub time: Time,
    /// Minutes; `None` where not specified. By the standard UTC = local time + deviation.
    pub deviation: Option<i16>,
    pub status: ClockStatus,
}

/// The clock status octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockStatus(pub u8);

/// How a meter signs its deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeviationSign {
    /// UTC = local time + deviation: Paris in summer is -120. The standard, IDIS.
    #[default]
    Dlms,
    /// Local time = UTC + deviation: Paris in summer is +120. India, Saudi Arabia, Italy.
    Inverted,
}

impl Date {
    pub const UNSPECIFIED: Self = Self { year: 0xffff, month: 0xff, day: 0xff, day_of_week: 0xff };

    /// Reads five octets.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self {
            year: buf.try_get_u16()?,
            month: buf.try_get_u8()?,
            day: buf.try_get_u8()?,
            day_of_week: buf.try_get_u8()?,
        })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u16(self.year);
        out.extend_from_slice(&[self.month, self.day, self.day_of_week]);
    }

    /// Days since 1970-01-01; `None` where the date is not a single day of the calendar.
    pub fn days(&self) -> Option<i64> {
        let is_day = self.year != 0xffff
            && matches!(self.month, 1..=12)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day);
        if !is_day {
            return None;
        }
        // March is the first month, so that the leap day is the last of its year.
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let day_of_year = (153 * ((i64::from(self.month) + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        Some(year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468)
    }

    /// The day so many days after 1970-01-01, within the years 0 to 9999.
    pub fn from_days(days: i64) -> Self {
        let shifted = days.clamp(-719_528, 2_932_896) + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self { year: year as u16, month: month as u8, day: day as u8, day_of_week: (days + 3).rem_euclid(7) as u8 + 1 }
    }
}

impl Time {
    pub const UNSPECIFIED: Self = Self { hour: 0xff, minute: 0xff, second: 0xff, hundredths: 0xff };

    /// Reads four octets.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let [hour, minute, second, hundredths] = buf.try_get_u32()?.to_be_bytes();
        Ok(Self { hour, minute, second, hundredths })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.hour, self.minute, self.second, self.hundredths]);
    }

    /// Seconds since midnight; an unspecified second is 0.
    pub fn seconds(&self) -> Option<i64> {
        let second = if self.second == 0xff { 0 } else { self.second };
        (self.hour < 24 && self.minute < 60 && second < 60)
            .then(|| i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(second))
    }

    /// The time so many seconds after midnight.
    pub fn from_seconds(seconds: i64) -> Self {
        let seconds = seconds.rem_euclid(86_400);
        Self {
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            hundredths: 0,
        }
    }
}

impl DateTime {
    pub const UNSPECIFIED: Self = Self {
        date: Date::UNSPECIFIED,
        time: Time::UNSPECIFIED,
        deviation: None,
        status: ClockStatus(ClockStatus::UNSPECIFIED),
    };
    /// Octets of it.
    pub const LENGTH: usize = 12;

    /// Reads twelve octets.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (date, time) = (Date::parse(buf)?, Time::parse(buf)?);
        let deviation = Some(buf.try_get_i16()?).filter(|minutes| *minutes != DEVIATION_UNSPECIFIED);
        Ok(Self { date, time, deviation, status: ClockStatus(buf.try_get_u8()?) })
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.date.emit(out);
        self.time.emit(out);
        out.put_i16(self.deviation.unwrap_or(DEVIATION_UNSPECIFIED));
        out.push(self.status.0);
    }

    pub fn octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LENGTH);
        self.emit(&mut out);
        out
    }

    /// Seconds from 1970-01-01T00:00:00 to this moment, both in the meter's local time.
    pub fn local_seconds(&self) -> Option<i64> {
        Some(self.date.days()? * 86_400 + self.time.seconds()?)
    }

    /// Seconds since 1970-01-01T00:00:00 UTC, where the deviation is specified.
    pub fn unix_seconds(&self, sign: DeviationSign) -> Option<i64> {
        Some(self.local_seconds()? + 60 * sign.to_utc(self.deviation?))
    }

    /// A moment of local time, `offset` minutes ahead of UTC.
    pub fn from_unix(seconds: i64, offset: i16, sign: DeviationSign, status: ClockStatus) -> Self {
        let deviation = match sign {
            DeviationSign::Dlms => -offset,
            DeviationSign::Inverted => offset,
        };
        Self::from_local(seconds + 60 * i64::from(offset), Some(deviation), status)
    }

    /// A moment of local time, in seconds as [`Self::local_seconds`] has them.
    pub fn from_local(seconds: i64, deviation: Option<i16>, status: ClockStatus) -> Self {
        Self { date: Date::from_days(seconds.div_euclid(86_400)), time: Time::from_seconds(seconds), deviation, status }
    }
}

impl DeviationSign {
    fn to_utc(self, deviation: i16) -> i64 {
        match self {
            Self::Dlms => i64::from(deviation),
            Self::Inverted => -i64::from(deviation),
        }
    }
}

impl ClockStatus {
    pub const UNSPECIFIED: u8 = 0xff;

    pub const fn is_invalid(self) -> bool {
        self.has(0x01)
    }

    pub const fn is_doubtful(self) -> bool {
        self.has(0x02)
    }

    pub const fn is_different_base(self) -> bool {
        self.has(0x04)
    }

    pub const fn is_invalid_status(self) -> bool {
        self.has(0x08)
    }

    pub const fn is_daylight_saving(self) -> bool {
        self.has(0x80)
    }

    const fn has(self, bit: u8) -> bool {
        self.0 != Self::UNSPECIFIED && self.0 & bit != 0
    }
}

impl fmt::Display for Date {
    /// `2026-03-29`; `*` where not specified.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            0xffff => f.write_str("*")?,
            year => write!(f, "{year:04}")?,
        }
        f.write_str("-")?;
        field(f, self.month)?;
        f.write_str("-")?;
        field(f, self.day)
    }
}

impl fmt::Display for Time {
    /// `02:30:00`; `*` where not specified, hundredths only where they are not 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        field(f, self.hour)?;
        f.write_str(":")?;
        field(f, self.minute)?;
        f.write_str(":")?;
        field(f, self.second)?;
        match self.hundredths {
            0 | 0xff => Ok(()),
            hundredths => write!(f, ".{hundredths:02}"),
        }
    }
}

impl fmt::Display for DateTime {
    /// `2026-03-29T02:30:00 dev -120 sts 80`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, self.time)?;
        if let Some(deviation) = self.deviation {
            write!(f, " dev {deviation}")?;
        }
        if self.status.0 != ClockStatus::UNSPECIFIED {
            write!(f, " sts {:02x}", self.status.0)?;
        }
        Ok(())
    }
}

fn field(f: &mut fmt::Formatter<'_>, value: u8) -> fmt::Result {
    match value {
        0xff => f.write_str("*"),
        value => write!(f, "{value:02}"),
    }
}

const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const DEVIATION_UNSPECIFIED: i16 = i16::MIN;

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_of_summer_is_the_same_for_both_signs() {
        let (octets, text) = (hex!("07ea0619 05 0c1e0000 ff88 80"), "2026-06-25T12:30:00 dev -120 sts 80");
        let standard = DateTime::parse(&mut &octets[..]).unwrap();
        assert_eq!((standard.to_string().as_str(), standard.octets().as_slice()), (text, &octets[..]));
        let inverted = DateTime { deviation: Some(120), ..standard };
        assert_eq!(standard.unix_seconds(DeviationSign::Dlms), Some(1_782_383_400));
        assert_eq!(inverted.unix_seconds(DeviationSign::Inverted), Some(1_782_383_400));
        assert!(standard.status.is_daylight_saving());
    }

    #[test]
    fn what_is_not_specified_is_no_moment() {
        assert_eq!(DateTime::UNSPECIFIED.to_string(), "*-*-*T*:*:*");
        assert_eq!(DateTime::UNSPECIFIED.local_seconds(), None);
        let without = DateTime { deviation: None, ..DateTime::from_local(0, Some(0), ClockStatus(0)) };
        assert_eq!((without.local_seconds(), without.unix_seconds(DeviationSign::Dlms)), (Some(0), None));
        for (year, month, day) in [(2026, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 1, 0xfe), (2026, 13, 1)] {
            assert_eq!(Date { year, month, day, day_of_week: 0xff }.days(), None);
        }
        assert!(Date { year: 2024, month: 2, day: 29, day_of_week: 0xff }.days().is_some());
        assert!(!ClockStatus(ClockStatus::UNSPECIFIED).is_invalid());
    }

    proptest! {
        #[test]
        fn every_day_is_itself_again(days in -719_528_i64..2_932_896) {
            let date = Date::from_days(days);
            prop_assert_eq!(date.days(), Some(days));
            prop_assert!((1..=7).contains(&date.day_of_week));
        }

        #[test]
        fn any_twelve_octets_are_kept(octets: [u8; 12]) {
            let date_time = DateTime::parse(&mut &octets[..]).unwrap();
            prop_assert_eq!(date_time.octets(), octets.to_vec());
            let _ = (date_time.local_seconds(), date_time.unix_seconds(DeviationSign::Inverted), date_time.to_string());
        }
    }
}
