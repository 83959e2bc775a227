//! Dates and times, EN 13757-3:2018 annex A: types F, G, I and J.
//!
//! A value that exists is a day of the calendar. "Every day", "every month" and the invalid patterns are no values.
//! Types K, L and M (summer time, listening windows, local time with its zone) are octets: no public document lays them
//! out.
//!
//! All are aligned alike, so that [`super::Value`] keeps each of its variants in whole words.

use std::fmt;

/// A day. Types F, G and I.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(align(8))]
pub struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

/// A time of day. Type J.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(align(8))]
pub struct Time {
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// The meter's local time. Types F (no seconds) and I.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(align(8))]
pub struct DateTime {
    pub date: Date,
    pub hour: u8,
    pub minute: u8,
    /// None in type F.
    pub second: Option<u8>,
    /// The meter marks its time invalid.
    pub invalid: bool,
    /// The meter says that summer time is in force; meters without summer time never set it.
    pub summer_time: bool,
}

impl Date {
    /// None where the calendar has no such day.
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        if day >= 1 && day <= days(year, month) { Some(Self { year, month, day }) } else { None }
    }

    /// The last day of the month, this year's where it is not after this day.
    pub(crate) const fn last_end_of(self, month: u8) -> Option<Self> {
        let is_over = month < self.month || month == self.month && self.is_month_end();
        let year = if is_over { self.year } else { self.year.saturating_sub(1) };
        Self::new(year, month, days(year, month))
    }

    /// The same day of another month; ends of months stay ends of months.
    pub(crate) fn months_later(self, months: i64) -> Option<Self> {
        let month = 12 * i64::from(self.year) + i64::from(self.month) - 1 + months;
        let (year, month) = (u16::try_from(month.div_euclid(12)).ok()?, month.rem_euclid(12) as u8 + 1);
        let last = days(year, month);
        Self::new(year, month, if self.is_month_end() { last } else { self.day.min(last) })
    }

    pub(crate) fn days_later(self, days: i64) -> Option<Self> {
        let midnight = DateTime::new(self, Time { hour: 0, minute: 0, second: 0 });
        midnight.seconds_later(days.checked_mul(86_400)?).map(|time| time.date)
    }

    /// From the ends and the middles of months, or the days after them: from 1st to 16th, from 15th to the last. None from
    /// other days.
    pub(crate) fn half_months_later(self, halves: i64) -> Option<Self> {
        let (first_day, is_second) = match self.day {
            1 => (true, false),
            HALF_MONTH => (false, false),
            day if day == HALF_MONTH + 1 => (true, true),
            _ if self.is_month_end() => (false, true),
            _ => return None,
        };
        let half = i64::from(is_second) + halves;
        let is_second = half.rem_euclid(2) != 0;
        let month = Self { day: 1, ..self }.months_later(half.div_euclid(2))?;
        let day = match (first_day, is_second) {
            (true, false) => 1,
            (true, true) => HALF_MONTH + 1,
            (false, false) => HALF_MONTH,
            (false, true) => days(month.year, month.month),
        };
        Some(Self { day, ..month })
    }

    pub const fn is_month_end(&self) -> bool {
        self.day == days(self.year, self.month)
    }

    /// The last day of the month before.
    pub const fn previous_month_end(self) -> Self {
        let (year, month) =
            if self.month == 1 { (self.year.saturating_sub(1), 12) } else { (self.year, self.month - 1) };
        Self { year, month, day: days(year, month) }
    }

    /// Type G. None for the invalid pattern, wildcards and days the calendar does not have.
    #[inline(always)]
    pub const fn parse(octets: [u8; 2]) -> Option<Self> {
        match Self::fields(octets) {
            Some(Self { year, month, day }) => Self::new(year, month, day),
            None => None,
        }
    }

    /// Type G, whether the calendar has such a day or not. None for the day of each year, and where the seven bits of the
    /// year say what is none: from 100 on.
    #[inline(always)]
    pub(super) const fn fields([low, high]: [u8; 2]) -> Option<Self> {
        let year = (low >> 5 | (high >> 4) << 3) as u16;
        let year = match year {
            ..=LAST_YEAR_OF_2000S => 2000 + year,
            _ if year <= LAST_YEAR => 1900 + year,
            _ => return None,
        };
        Some(Self { year, month: high & 0x0f, day: low & 0x1f })
    }

    /// Type G; the inverse of [`Self::parse`] for the years 1981 to 2080.
    pub const fn emit(self) -> [u8; 2] {
        let year = (self.year % 100) as u8;
        [self.day & 0x1f | year << 5, self.month & 0x0f | (year >> 3) << 4]
    }
}

impl Time {
    pub const fn new(hour: u8, minute: u8, second: u8) -> Option<Self> {
        if hour < 24 && minute < 60 && second < 60 { Some(Self { hour, minute, second }) } else { None }
    }

    /// Type J.
    #[inline(always)]
    pub const fn parse([second, minute, hour]: [u8; 3]) -> Option<Self> {
        Self::new(hour & 0x1f, minute & 0x3f, second & 0x3f)
    }

    pub const fn emit(self) -> [u8; 3] {
        [self.second, self.minute, self.hour]
    }
}

impl DateTime {
    /// The meter's clock, to the second, with nothing said of it.
    pub const fn new(date: Date, time: Time) -> Self {
        let Time { hour, minute, second } = time;
        Self { date, hour, minute, second: Some(second), invalid: false, summer_time: false }
    }

    /// Seconds after the beginning of the year 2000.
    pub(crate) const fn since_2000(seconds: u32) -> Self {
        let (mut days_left, second) = (seconds / 86_400, seconds % 86_400);
        let mut date = Date { year: 2000, month: 1, day: 1 };
        while days_left >= days_of(date.year) {
            days_left -= days_of(date.year);
            date.year += 1;
        }
        while days_left >= days(date.year, date.month) as u32 {
            days_left -= days(date.year, date.month) as u32;
            date.month += 1;
        }
        date.day += days_left as u8;
        let (hour, minute) = ((second / 3_600) as u8, (second / 60 % 60) as u8);
        Self::new(date, Time { hour, minute, second: (second % 60) as u8 })
    }

    /// None outside the years 2000 to 2135.
    pub(crate) fn seconds_later(self, seconds: i64) -> Option<Self> {
        let mut before: i64 = (1..self.date.month).map(|month| i64::from(days(self.date.year, month))).sum();
        before += (2000..self.date.year).map(|year| i64::from(days_of(year))).sum::<i64>();
        before += i64::from(self.date.day) - 1;
        let time = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second.unwrap_or(0));
        let later = u32::try_from((before * 86_400 + time).checked_add(seconds)?).ok()?;
        (self.date.year >= 2000).then(|| {
            let Self { date, hour, minute, second, .. } = Self::since_2000(later);
            Self { date, hour, minute, second: self.second.and(second), ..self }
        })
    }

    /// Type F, to the minute.
    #[inline(always)]
    pub const fn parse_f([minute, hour, day, month]: [u8; 4]) -> Option<Self> {
        let year = (day >> 5 | (month >> 4) << 3) as u16;
        let century = (hour >> 5 & 3) as u16;
        // Old meters leave the hundred-year bits 0 and mean 2000 to 2080. EN 13757-3:2018, table A.5.
        let year = if century == 0 && year <= LAST_YEAR_OF_2000S { 2000 + year } else { 1900 + 100 * century + year };
        let Some(date) = Date::new(year, month & 0x0f, day & 0x1f) else { return None };
        let Some(time) = Time::new(hour & 0x1f, minute & 0x3f, 0) else { return None };
        if year % 100 != (day >> 5 | (month >> 4) << 3) as u16 {
            return None;
        }
        let (invalid, summer_time) = (minute & 0x80 != 0, hour & 0x80 != 0);
        Some(Self { date, hour: time.hour, minute: time.minute, second: None, invalid, summer_time })
    }

    /// Type F without its century, whether there is such a minute or not; None of each year.
    pub(super) fn fields_f([minute, hour, day, month]: [u8; 4]) -> Option<Self> {
        Some(Self { second: None, ..Self::fields_i([0, minute, hour, day, month, 0])? })
    }

    /// Type I, whether there is such a second or not; None of each year.
    pub(super) fn fields_i([second, minute, hour, day, month, _week]: [u8; 6]) -> Option<Self> {
        Some(Self {
            date: Date::fields([day, month])?,
            hour: hour & 0x1f,
            minute: minute & 0x3f,
            second: Some(second & 0x3f),
            invalid: minute & 0x80 != 0,
            summer_time: false,
        })
    }

    /// Type F; the inverse of [`Self::parse_f`] for the years 1900 to 2199 (seconds are lost).
    pub const fn emit_f(self) -> [u8; 4] {
        let year = (self.date.year % 100) as u8;
        let century = (self.date.year.saturating_sub(1900) / 100) as u8 & 3;
        [
            self.minute & 0x3f | (self.invalid as u8) << 7,
            self.hour & 0x1f | century << 5 | (self.summer_time as u8) << 7,
            self.date.day & 0x1f | year << 5,
            self.date.month & 0x0f | (year >> 3) << 4,
        ]
    }

    /// Type I, to the second.
    #[inline(always)]
    pub const fn parse_i([second, minute, hour, day, month, _week]: [u8; 6]) -> Option<Self> {
        let Some(date) = Date::parse([day, month]) else { return None };
        let Some(time) = Time::new(hour & 0x1f, minute & 0x3f, second & 0x3f) else { return None };
        Some(Self {
            date,
            hour: time.hour,
            minute: time.minute,
            second: Some(time.second),
            invalid: minute & 0x80 != 0,
            summer_time: second & 0x40 != 0,
        })
    }

    /// Type I, week and day of the week "not specified".
    pub const fn emit_i(self) -> [u8; 6] {
        let [day, month] = self.date.emit();
        let leap_year = Date::new(self.date.year, 2, 29).is_some();
        let second = match self.second {
            Some(second) => second,
            None => 0,
        };
        [
            second & 0x3f | (self.summer_time as u8) << 6 | (leap_year as u8) << 7,
            self.minute & 0x3f | (self.invalid as u8) << 7,
            self.hour & 0x1f,
            day,
            month,
            0,
        ]
    }
}

impl fmt::Display for Date {
    /// `2026-03-05`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Time {
    /// `23:59:58`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }
}

impl fmt::Display for DateTime {
    /// `2026-03-05T23:59`, with seconds where the meter sent them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{:02}:{:02}", self.date, self.hour, self.minute)?;
        self.second.map_or(Ok(()), |second| write!(f, ":{second:02}"))
    }
}

const fn days_of(year: u16) -> u32 {
    if days(year, 2) == 29 { 366 } else { 365 }
}

const fn days(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 0,
    }
}

const HALF_MONTH: u8 = 15;
/// Two-digit years above it belong to 1900.
const LAST_YEAR_OF_2000S: u16 = 80;
const LAST_YEAR: u16 = 99;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[track_caller]
    fn check_g(octets: [u8; 2], expected: Option<&str>) {
        let date = Date::parse(octets);
        assert_eq!(date.map(|date| date.to_string()).as_deref(), expected);
        if let Some(date) = date {
            assert_eq!(date.emit(), octets);
        }
    }

    #[track_caller]
    fn check_f(octets: [u8; 4], expected: Option<&str>) {
        let time = DateTime::parse_f(octets);
        assert_eq!(time.map(|time| time.to_string()).as_deref(), expected);
        if let Some(time) = time {
            assert_eq!(DateTime::parse_f(time.emit_f()), Some(time));
        }
    }

    #[track_caller]
    fn check_i(octets: [u8; 6], expected: Option<&str>) {
        let time = DateTime::parse_i(octets);
        assert_eq!(time.map(|time| time.to_string()).as_deref(), expected);
        if let Some(time) = time {
            assert_eq!(DateTime::parse_i(time.emit_i()), Some(time));
        }
    }

    #[test]
    fn dates_that_are_none_are_not_invented() {
        check_g(hex!("bf23"), Some("2021-03-31"));
        check_g(hex!("9f2c"), Some("2020-12-31"));
        check_g(hex!("3c22"), Some("2017-02-28"));
        check_g(hex!("3d22"), None);
        check_g(hex!("ffff"), None);
        check_g(hex!("0000"), None);
        check_g(hex!("e0ff"), None);
        check_g(hex!("61c9"), Some("1999-09-01"));
        // Of each year.
        check_g(hex!("fffc"), None);
        check_g(hex!("e1f1"), None);
        // No year has three digits: that of type F has its century apart.
        check_g(hex!("61c1"), Some("1999-01-01"));
        check_g(hex!("81c1"), None);
        check_g(hex!("c1f1"), None);
        check_f(hex!("0000 81c1"), None);
        check_f(hex!("0020 81c1"), None);
        check_i(hex!("00 00 00 81c1 00"), None);
    }

    #[track_caller]
    fn check_half((month, day): (u8, u8), halves: i64, expected: Option<&str>) {
        let later = Date::new(2024, month, day).unwrap().half_months_later(halves);
        assert_eq!(later.map(|date| date.to_string()).as_deref(), expected);
    }

    #[test]
    fn halves_of_months_are_known_where_they_begin_or_end() {
        check_half((3, 31), -1, Some("2024-03-15"));
        check_half((3, 15), -1, Some("2024-02-29"));
        check_half((2, 29), -2, Some("2024-01-31"));
        check_half((12, 15), 2, Some("2025-01-15"));
        check_half((1, 31), 1, Some("2024-02-15"));
        check_half((1, 1), -1, Some("2023-12-16"));
        check_half((1, 16), 1, Some("2024-02-01"));
        check_half((1, 14), 1, None);
    }

    #[test]
    fn each_day_follows_the_one_before() {
        // To the last second that 32 bits hold.
        let mut expected = Date { year: 2000, month: 1, day: 1 };
        for day in 0..=u32::MAX / 86_400 {
            let date = DateTime::since_2000(day * 86_400).date;
            assert_eq!(date, expected);
            expected = match (date.is_month_end(), date.month) {
                (true, 12) => Date { year: date.year + 1, month: 1, day: 1 },
                (true, month) => Date { month: month + 1, day: 1, ..date },
                (false, _) => Date { day: date.day + 1, ..date },
            };
        }
        assert_eq!(DateTime::since_2000(u32::MAX).to_string(), "2136-02-07T06:28:15");
    }

    #[test]
    fn minutes_carry_century_summer_time_and_validity() {
        check_f(hex!("32371f15"), Some("2008-05-31T23:50"));
        check_f(hex!("1912a62b"), Some("2021-11-06T18:25"));
        check_f(hex!("0000 0000"), None);
        check_f(hex!("ffff ffff"), None);
        check_f(hex!("3b 17 9f 2c"), Some("2020-12-31T23:59"));
        check_f(hex!("3c 17 9f 2c"), None);
        check_f(hex!("3b 37 9f 2c"), Some("2020-12-31T23:59"));
        let marked = DateTime::parse_f(hex!("bb 97 9f 2c")).unwrap();
        assert!(marked.invalid && marked.summer_time);
    }

    #[test]
    fn seconds_are_read_where_they_are() {
        check_i(hex!("05 0a 0c 67 2b 00"), Some("2019-11-07T12:10:05"));
        check_i(hex!("3c 0a 0c 67 2b 00"), None);
        check_i(hex!("00 00 00 00 00 00"), None);
        assert_eq!(Time::parse(hex!("3b300b")).unwrap().to_string(), "11:48:59");
        assert_eq!(Time::parse(hex!("3f3f1f")), None);
        assert_eq!(Time::new(11, 48, 59).unwrap().emit(), hex!("3b300b"));
    }
}
