//! Compact profiles, EN 13757-3:2018 annex F: many values at regular steps in one data record.
//!
//! The value and the date with the profile's storage number are the base; its slots are expanded into data records
//! with the storage numbers after it.
//!
//! With VIFE 1F the base is the oldest (examples F.2.7 and F.2.8), but there are meters whose base is the youngest. It is
//! believed where the meter's clock in the same telegram is not before the last slot. Elsewhere slots get no dates, and
//! are left alone where they say only differences: a meter without a clock in its telegram (the heat meter 451 of Techem)
//! does not say which way they go, and either way would date or value half of them wrongly.

use bytes::Buf;

use super::{DataField, DataRecord, Date, DateTime, Dib, Draft, Function, Modifier, Quantity, Records, Value, Vib};
use crate::Reject;

/// The two octets before the slots.
#[derive(Debug, Clone, Copy)]
struct Spacing {
    slot: DataField,
    kind: Kind,
    step: Step,
}

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Absolute,
    Increment,
    Decrement,
    Difference,
}

/// From slot to slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Seconds(i64),
    HalfMonth,
    Months(i64),
    /// Nothing that has to do with time.
    Other,
}

/// Where slots go from the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Past,
    Future,
    Unknown,
}

/// The base's moment.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Date(Date),
    DateTime(DateTime),
}

/// Puts the slots of compact profiles in their place, as data records in `slots`; a profile that cannot be read stays.
pub fn expand_profiles<'a>(records: &mut Vec<DataRecord<'a>>, slots: &'a mut Vec<u8>) {
    let is_profile = |record: &DataRecord<'_>| record.data_field == DataField::Variable && direction(record).is_some();
    if !records.iter().any(is_profile) {
        return;
    }
    let expanded: Vec<bool> =
        records.iter().map(|record| is_profile(record) && expand(record, records, slots).is_ok()).collect();
    let mut expanded = expanded.into_iter();
    records.retain(|_| expanded.next() != Some(true));
    records.extend(Records::new(slots).flatten());
}

/// Appends the slots of a compact profile; `records` are those of its telegram.
fn expand(profile: &DataRecord<'_>, records: &[DataRecord<'_>], out: &mut Vec<u8>) -> Result<(), Reject> {
    let (Some(direction), Value::Binary(mut buf)) = (direction(profile), profile.value) else {
        return Err(Reject::Reserved("compact profile"));
    };
    let spacing = Spacing::parse(&mut buf)?;
    let size = spacing.slot.size().filter(|size| *size > 0 && buf.len() % size == 0);
    let size = size.filter(|_| spacing.slot != DataField::Real32);
    let size = size.ok_or(Reject::Reserved("length of a compact profile"))?;
    let vib = without_profile(&profile.vib).ok_or(Reject::Reserved("vife of a compact profile"))?;
    let is_beside = |record: &&DataRecord<'_>| {
        let place = |record: &DataRecord<'_>| (record.storage_number, record.tariff, record.subunit, record.function);
        place(record) == place(profile)
    };
    let mut value = records.iter().filter(is_beside).find(|record| record.vib.octets == vib).and_then(integer);
    let base = records.iter().filter(is_beside).find_map(moment);
    // A register that was not below zero never was: then the increments are not those of this base.
    let stays_positive = profile.vib.quantity.is_register()
        && !profile.vib.modifiers.iter().any(Modifier::gives_sign)
        && value.is_some_and(|value| value >= 0);
    let slots = buf.chunks_exact(size);
    let direction = match direction {
        Direction::Unknown if base.is_some_and(|base| base.are_over(spacing.step, slots.len(), records)) => {
            Direction::Future
        }
        Direction::Unknown if spacing.kind != Kind::Absolute => {
            return Err(Reject::Reserved("direction of a compact profile"));
        }
        direction => direction,
    };
    let fits = u32::try_from(slots.len()).is_ok_and(|slots| profile.storage_number.checked_add(slots).is_some());
    if !fits {
        return Err(Reject::Reserved("storage number of a compact profile"));
    }
    for (number, slot) in (1..).zip(slots) {
        let storage_number = u64::from(profile.storage_number) + number;
        let dib = |data_field| Dib {
            data_field,
            function: profile.function,
            storage_number,
            tariff: profile.tariff,
            subunit: profile.subunit,
        };
        let (data_field, sent) = if spacing.kind == Kind::Absolute {
            (spacing.slot, Some(Value::Binary(slot)).filter(|_| !is_none(slot)))
        } else {
            value = value.zip(spacing.difference(slot)).and_then(|(value, difference)| match direction {
                Direction::Past => value.checked_sub(difference),
                _ => value.checked_add(difference),
            });
            value = value.filter(|value| *value >= 0 || !stays_positive);
            (DataField::Integer64, value.map(Value::Integer))
        };
        // A slot without a value is a record without data.
        let (data_field, sent) = sent.map_or((DataField::None, Value::None), |sent| (data_field, sent));
        Draft { dib: dib(data_field), vib: &vib, value: sent }.emit(out);
        match base.and_then(|base| base.after(number, spacing.step, direction)) {
            Some(Moment::Date(date)) => {
                Draft { dib: dib(DataField::Integer16), vib: &[VIF_DATE], value: Value::Date(date) }.emit(out);
            }
            Some(Moment::DateTime(time)) => {
                Draft { dib: dib(DataField::Integer48), vib: &[VIF_DATE_TIME], value: Value::DateTime(time) }.emit(out);
            }
            None => {}
        }
    }
    Ok(())
}

impl Spacing {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (control, value) = (buf.try_get_u8()?, buf.try_get_u8()?);
        let slot = DataField::from_code(control & 0x0f).ok_or(Reject::Reserved("coding of a compact profile"))?;
        let kind = match control >> 6 {
            0 => Kind::Absolute,
            1 => Kind::Increment,
            2 => Kind::Decrement,
            _ => Kind::Difference,
        };
        let reserved = Err(Reject::Reserved("spacing of a compact profile"));
        let step = match (control >> 4 & 3, value) {
            (_, 0) => Step::Other,
            (3, 253) => Step::HalfMonth,
            (unit, 1..=250) => Step::Seconds(i64::from(value) * SECONDS.get(usize::from(unit)).copied().unwrap_or(0)),
            (3, 254) => Step::Months(1),
            (2, 254) => Step::Months(3),
            (1, 254) => Step::Months(6),
            _ => return reserved,
        };
        Ok(Self { slot, kind, step })
    }

    /// What the value grows by from the older moment to the younger; None ends a chain.
    fn difference(&self, slot: &[u8]) -> Option<i64> {
        if is_none(slot) {
            return None;
        }
        let bits = 8 * slot.len() as u32;
        let raw = slot.iter().rev().fold(0, |value, octet| value << 8 | i64::from(*octet));
        let is_binary = (self.slot as u8) < DataField::Bcd2 as u8;
        let number = match self.kind {
            Kind::Difference if is_binary => {
                let unused = 64 - bits;
                let number = raw << unused >> unused;
                (number != i64::MIN >> unused).then_some(number)?
            }
            _ if is_binary => (raw >= 0).then_some(raw)?,
            _ => bcd(slot)?,
        };
        Some(if self.kind == Kind::Decrement { -number } else { number })
    }
}

impl Moment {
    /// So many slots after this moment are not after the meter's clock.
    fn are_over(self, step: Step, slots: usize, records: &[DataRecord<'_>]) -> bool {
        let is_now = |record: &&DataRecord<'_>| {
            record.vib.quantity == Quantity::DateTime
                && (record.storage_number, record.tariff, record.subunit) == (0, 0, 0)
                && record.function == Function::Instantaneous
        };
        let clock = records.iter().filter(is_now).find_map(moment).filter(Self::is_valid);
        let last = u64::try_from(slots).ok().and_then(|slots| self.after(slots, step, Direction::Future));
        clock.zip(last).is_some_and(|(clock, last)| last.place() <= clock.place())
    }

    const fn is_valid(&self) -> bool {
        !matches!(self, Self::DateTime(DateTime { invalid: true, .. }))
    }

    /// In the order of time. A day is its first minute: it ends with its last.
    const fn place(self) -> (Date, u8, u8) {
        match self {
            Self::Date(date) => (date, 0, 0),
            Self::DateTime(time) => (time.date, time.hour, time.minute),
        }
    }

    /// So many steps away, all from this moment: the 30th of months that have it stays that.
    fn after(self, steps: u64, step: Step, direction: Direction) -> Option<Self> {
        let steps = i64::try_from(steps).ok()?;
        let steps = match direction {
            Direction::Past => -steps,
            Direction::Future => steps,
            Direction::Unknown => return None,
        };
        let by_days = |date: Date| match step {
            Step::HalfMonth => date.half_months_later(steps),
            Step::Months(months) => date.months_later(steps.checked_mul(months)?),
            Step::Seconds(seconds) if seconds % A_DAY == 0 => date.days_later(steps.checked_mul(seconds / A_DAY)?),
            _ => None,
        };
        match (self, step) {
            (Self::Date(date), _) => by_days(date).map(Self::Date),
            (Self::DateTime(time), Step::Seconds(seconds)) => {
                time.seconds_later(steps.checked_mul(seconds)?).map(Self::DateTime)
            }
            (Self::DateTime(time), _) => by_days(time.date).map(|date| Self::DateTime(DateTime { date, ..time })),
        }
    }
}

fn direction(record: &DataRecord<'_>) -> Option<Direction> {
    record.vib.modifiers.iter().find_map(direction_of)
}

fn direction_of(modifier: Modifier<'_>) -> Option<Direction> {
    match modifier {
        Modifier::InverseCompactProfile => Some(Direction::Past),
        Modifier::CompactProfileRegister => Some(Direction::Future),
        Modifier::CompactProfile => Some(Direction::Unknown),
        _ => None,
    }
}

/// The VIB of the base: the profile's VIFE, which is the last, taken off. None where what is left would say something else.
fn without_profile(vib: &Vib<'_>) -> Option<Vec<u8>> {
    let (last, rest) = vib.octets.split_last()?;
    if !matches!(last, 0x13 | 0x1e | 0x1f) {
        return None;
    }
    // The octet before ends the block then; where VIF 7C has no VIFE left, that VIF does. With others, how much is its text
    // depends on what follows: such a profile stays.
    let end = if vib.quantity == Quantity::PlainText { 0 } else { rest.len().checked_sub(1)? };
    let mut base = rest.to_vec();
    *base.get_mut(end)? &= !EXTENSION;
    let mut left = base.as_slice();
    let read = Vib::parse(&mut left).ok().filter(|_| left.is_empty())?;
    let is_same = (read.quantity, read.own()) == (vib.quantity, vib.own())
        && read.modifiers.iter().eq(vib.modifiers.iter().take_while(|modifier| !modifier.is_compact_profile()));
    is_same.then_some(base)
}

fn integer(record: &DataRecord<'_>) -> Option<i64> {
    match record.value {
        Value::Integer(number) if !record.is_all_ones() => Some(number),
        _ => None,
    }
}

fn moment(record: &DataRecord<'_>) -> Option<Moment> {
    match record.value {
        Value::Date(date) if record.vib.modifiers.is_empty() => Some(Moment::Date(date)),
        Value::DateTime(time) if record.vib.modifiers.is_empty() && record.vib.quantity == Quantity::DateTime => {
            Some(Moment::DateTime(time))
        }
        _ => None,
    }
}

fn is_none(slot: &[u8]) -> bool {
    slot.iter().all(|octet| *octet == 0xff)
}

/// The least significant pair of digits first; F in front is a minus sign.
fn bcd(slot: &[u8]) -> Option<i64> {
    let mut number = 0;
    let mut is_negative = false;
    for (place, octet) in slot.iter().rev().enumerate() {
        let mut tens = octet >> 4;
        if place == 0 && tens == 0x0f {
            (tens, is_negative) = (0, true);
        }
        if tens > 9 || octet & 0x0f > 9 {
            return None;
        }
        number = 100 * number + i64::from(10 * tens + (octet & 0x0f));
    }
    Some(if is_negative { -number } else { number })
}

const EXTENSION: u8 = 0x80;
const VIF_DATE: u8 = 0x6c;
const VIF_DATE_TIME: u8 = 0x6d;
const A_DAY: i64 = 86_400;
/// Seconds of a second, a minute, an hour, a day.
const SECONDS: [i64; 4] = [1, 60, 3_600, A_DAY];

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    /// What is beside and behind the profile, one record a line.
    #[track_caller]
    fn check(octets: &[u8], expected: &[&str]) {
        let mut slots = Vec::new();
        let mut records: Vec<_> = Records::new(octets).map(Result::unwrap).collect();
        expand_profiles(&mut records, &mut slots);
        let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn slots_of_differences_have_no_values_without_the_base() {
        check(&hex!("84 04 13 ffffffff  8d 04 93 13 03 71 fe 0a"), &["volume -1e-3 m3 s8", "volume none m3 s9"]);
    }

    #[test]
    fn slots_whose_storage_numbers_do_not_fit_stay_in_their_profile() {
        let mut octets = Vec::new();
        for (vib, value) in [(&[0x13][..], Value::Integer(1_000)), (&[0x93, 0x13], Value::Binary(&hex!("48fe01")))] {
            Draft::new(DataField::Variable, vib, value).storage(u32::MAX.into()).emit(&mut octets);
        }
        check(&octets, &["volume 1000e-3 m3 s4294967295", "volume 48fe01 m3 s4294967295 inverse_compact_profile"]);
    }

    // Vectors made by us.
    #[test]
    fn slots_go_from_the_base_into_the_past_or_the_future() {
        let base = hex!("820f 6c df25  840f 13 e8030000");
        let with = |profile: &[u8]| [&base[..], profile].concat();
        let (date, value) = ("date 2022-05-31 s30", "volume 1000e-3 m3 s30");
        check(
            &with(&hex!("8d0f 9313 08 72fe 0a00 1400 ffff")),
            &[
                date,
                value,
                "volume 990e-3 m3 s31",
                "date 2022-04-30 s31",
                "volume 970e-3 m3 s32",
                "date 2022-03-31 s32",
                "volume none m3 s33",
                "date 2022-02-28 s33",
            ],
        );
        check(
            &with(&hex!("8d0f 931e 06 f101 f6 80 01 01")),
            &[
                date,
                value,
                "volume 990e-3 m3 s31",
                "date 2022-06-01 s31",
                "volume none m3 s32",
                "date 2022-06-02 s32",
                "volume none m3 s33",
                "date 2022-06-03 s33",
                "volume none m3 s34",
                "date 2022-06-04 s34",
            ],
        );
        check(
            &with(&hex!("8d0f 9313 0a 2cfe 12000000 ffffffff")),
            &[date, value, "volume 12e-3 m3 s31", "date 2022-02-28 s31", "volume none m3 s32", "date 2021-11-30 s32"],
        );
    }

    #[test]
    fn slots_after_an_oldest_base_are_believed_where_they_are_not_after_the_clock() {
        let base = hex!("8204 6c df21  8404 13 e8030000");
        let profile = hex!("8d04 931f 06 72fe 0a00 1400");
        let (date, value) = ("date 2022-01-31 s8", "volume 1000e-3 m3 s8");
        let slots = ["volume 1010e-3 m3 s9", "date 2022-02-28 s9", "volume 1030e-3 m3 s10", "date 2022-03-31 s10"];
        let with = |clock: &[u8]| [&base[..], &profile, clock].concat();
        check(&with(&hex!("046d 0000 df23")), &[&[date, value, "date_time 2022-03-31T00:00"][..], &slots].concat());
        let kept = [date, value, "volume 72fe0a001400 m3 s8 compact_profile"];
        check(&with(&hex!("046d 3b17 de23")), &[&kept[..], &["date_time 2022-03-30T23:59"]].concat());
        check(&with(&hex!("446d 0000 df23")), &[&kept[..], &["date_time 2022-03-31T00:00 s1"]].concat());
        check(&with(&[]), &kept);
    }

    #[test]
    fn a_day_of_the_month_stays_where_the_month_has_it() {
        let with =
            |day: &[u8]| [&hex!("8204 6c")[..], day, &hex!("8404 13 e8030000  8d04 9313 05 71fe 010101")].concat();
        let slots = |dates: [&str; 4]| {
            let value = |slot: usize| format!("volume {}e-3 m3 s{}", 1000 - slot, 8 + slot);
            let date = |slot: usize| format!("date {} s{}", dates[slot], 8 + slot);
            [date(0), value(0), value(1), date(1), value(2), date(2), value(3), date(3)]
        };
        for (day, dates) in [
            (hex!("de2c"), ["2022-12-30", "2022-11-30", "2022-10-30", "2022-09-30"]),
            (hex!("be23"), ["2021-03-30", "2021-02-28", "2021-01-30", "2020-12-30"]),
            (hex!("de2b"), ["2022-11-30", "2022-10-31", "2022-09-30", "2022-08-31"]),
        ] {
            check(&with(&day), &slots(dates).each_ref().map(String::as_str));
        }
    }

    #[test]
    fn no_register_falls_below_zero() {
        check(
            &hex!("84 04 13 0a000000  8d 04 93 13 05 71 fe 080301"),
            &["volume 10e-3 m3 s8", "volume 2e-3 m3 s9", "volume none m3 s10", "volume none m3 s11"],
        );
        // A temperature does, and so does a balance.
        check(
            &hex!("84 04 65 0a000000  8d 04 e5 13 03 71 fe 0b"),
            &["external_temperature 10e-2 Cel s8", "external_temperature -1e-2 Cel s9"],
        );
        check(
            &hex!("84 04 93 fc0c 0a000000  8d 04 93 fc8c 13 03 71 fe 0b"),
            &["volume 10e-3 m3 s8 delta", "volume -1e-3 m3 s9 delta"],
        );
    }

    #[test]
    fn halves_of_months_have_dates() {
        check(
            &hex!("8204 6c df21  8404 13 e8030000  8d04 9313 06 72fd 0a00 1400"),
            &[
                "date 2022-01-31 s8",
                "volume 1000e-3 m3 s8",
                "volume 990e-3 m3 s9",
                "date 2022-01-15 s9",
                "volume 970e-3 m3 s10",
                "date 2021-12-31 s10",
            ],
        );
    }

    #[test]
    fn a_plain_text_keeps_its_octets() {
        let octets = hex!("02 7c 0141 e803  0d fc 0141 1e 04 7101 0a14");
        let mut slots = Vec::new();
        let mut records: Vec<_> = Records::new(&octets).map(Result::unwrap).collect();
        expand_profiles(&mut records, &mut slots);
        let values: Vec<_> = records.iter().map(|record| (record.storage_number, record.value)).collect();
        assert_eq!(values, [(0, Value::Integer(1000)), (1, Value::Integer(1010)), (2, Value::Integer(1030))]);
        assert!(records.iter().all(|record| record.vib.own() == records[0].vib.own()));
    }

    #[test]
    fn what_cannot_be_read_stays() {
        let base = hex!("820f 6c df25  840f 13 e8030000");
        for profile in [
            // No whole slots, a reserved spacing, a reserved coding, differences of which the direction is not certain.
            &hex!("8d0f 9313 08 74fe 0a00 1400 ffff")[..],
            &hex!("8d0f 9313 04 72fb 0a00"),
            &hex!("8d0f 9313 04 7ffe 0a00"),
            &hex!("8d0f 931f 04 72fe 0a00"),
            // A text behind the VIFEs, or other ones with it.
            &hex!("8d0f fc 0141 81 1e 04 7101 0a14"),
            &hex!("8d0f fc 13 01 41 04 72fe 0a00"),
        ] {
            let octets = [&base[..], profile].concat();
            let mut slots = Vec::new();
            let mut records: Vec<_> = Records::new(&octets).map(Result::unwrap).collect();
            let before = records.clone();
            expand_profiles(&mut records, &mut slots);
            assert_eq!(records, before);
        }
    }

    proptest! {
        #[test]
        fn any_slots_never_panic(slots in proptest::collection::vec(any::<u8>(), 0..60), vife in 0usize..3, storage in 0u8..16) {
            let mut octets = hex!("8200 6c c135  8400 13 e8030000").to_vec();
            octets.extend([0x8d, storage, 0x93, [0x13, 0x1e, 0x1f][vife], slots.len() as u8]);
            octets.extend(&slots);
            let mut slots = Vec::new();
            let mut records: Vec<_> = Records::new(&octets).flatten().collect();
            expand_profiles(&mut records, &mut slots);
        }
    }
}
