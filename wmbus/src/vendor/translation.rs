//! Writes what a manufacturer's octets mean as data records of EN 13757-3, which is how they are read from then on.
//!
//! Storage number 0 is now, 1 the due date, greater ones are earlier periods; a date record of the same storage number
//! says when.

use super::layout::Fault;
use crate::record::{DataField, Date, DateTime, Dib, Draft, Text, Value};

/// Appends data records to a buffer.
#[derive(Debug)]
pub(super) struct Translation<'a> {
    out: &'a mut Vec<u8>,
    /// The octets were under a cipher of the manufacturer's own.
    pub(super) is_decrypted: bool,
}

impl<'a> Translation<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        Self { out, is_decrypted: false }
    }

    pub(super) fn into_octets(self) -> &'a [u8] {
        self.out
    }

    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.is_decrypted = false;
    }

    /// Keeps what `translate` appends only where it succeeds.
    pub(super) fn attempt(&mut self, translate: impl FnOnce(&mut Self) -> Result<(), Fault>) -> bool {
        let before = self.out.len();
        let is_done = translate(self).is_ok();
        if !is_done {
            self.out.truncate(before);
        }
        is_done
    }

    /// Octets that are data records already.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// The current value.
    pub(super) fn number(&mut self, vib: &[u8], number: impl Into<i64>) {
        self.stored(0, vib, number);
    }

    pub(super) fn stored(&mut self, storage_number: u64, vib: &[u8], number: impl Into<i64>) {
        let number = number.into();
        let data_field = if i32::try_from(number).is_ok() { DataField::Integer32 } else { DataField::Integer64 };
        self.draft(Draft::new(data_field, vib, Value::Integer(number)).storage(storage_number));
    }

    /// The number, or a record without data: that there is none.
    pub(super) fn stored_or_none(&mut self, storage_number: u64, vib: &[u8], number: Option<impl Into<i64>>) {
        match number {
            Some(number) => self.stored(storage_number, vib, number),
            None => self.draft(Draft::new(DataField::None, vib, Value::None).storage(storage_number)),
        }
    }

    pub(super) fn number_or_none(&mut self, vib: &[u8], number: Option<impl Into<i64>>) {
        self.stored_or_none(0, vib, number);
    }

    /// The day of the values with the same storage number; where there is none, a record without data says so.
    pub(super) fn date(&mut self, storage_number: u64, date: Option<Date>) {
        let (data_field, value) =
            date.map_or((DataField::None, Value::None), |date| (DataField::Integer16, Value::Date(date)));
        self.draft(Draft::new(data_field, &[VIF_DATE], value).storage(storage_number));
    }

    pub(super) fn date_time(&mut self, storage_number: u64, time: Option<DateTime>) {
        let (data_field, value) =
            time.map_or((DataField::None, Value::None), |time| (DataField::Integer48, Value::DateTime(time)));
        self.draft(Draft::new(data_field, &[VIF_DATE_TIME], value).storage(storage_number));
    }

    /// A number behind VIF 7F: a [`super::field::Row`] of the manufacturer names it.
    pub(super) fn own(&mut self, storage_number: u64, vifes: &[u8], number: impl Into<i64>) {
        self.own_or_none(storage_number, vifes, Some(number));
    }

    pub(super) fn own_or_none(&mut self, storage_number: u64, vifes: &[u8], number: Option<impl Into<i64>>) {
        let vib: Vec<u8> = std::iter::once(VIF_OWN).chain(vifes.iter().copied()).collect();
        self.stored_or_none(storage_number, &vib, number);
    }

    /// A day that is not the one of the storage number.
    pub(super) fn own_date(&mut self, storage_number: u64, vifes: &[u8], date: Option<Date>) {
        self.own(storage_number, vifes, u16::from_le_bytes(date.map_or([0; 2], Date::emit)));
    }

    /// 8000 is none.
    pub(super) fn temperature(&mut self, storage_number: u64, vib: &[u8], temperature: i16) {
        self.draft(Draft::new(DataField::Integer16, vib, Value::Integer(temperature.into())).storage(storage_number));
    }

    /// Error flags, as the meter has them.
    pub(super) fn flags(&mut self, octets: &[u8]) {
        self.draft(Draft::new(DataField::Variable, VIF_ERROR_FLAGS, Value::Binary(octets)));
    }

    /// Words in the order they are read.
    pub(super) fn text(&mut self, vib: &[u8], words: &str) {
        let backwards: Vec<u8> = words.bytes().rev().collect();
        self.draft(Draft::new(DataField::Variable, vib, Value::Text(Text::new(&backwards))));
    }

    /// A record whose data are as the meter sent them.
    pub(super) fn sent(&mut self, dib: Dib, vib: &[u8], data: &[u8]) {
        dib.emit(self.out);
        self.octets(vib);
        self.octets(data);
    }

    pub(super) fn draft(&mut self, draft: Draft<'_>) {
        draft.emit(self.out);
    }
}

/// The number of so many bits; None where all of them are set: memory that was never written, or a mark that there is no
/// value. What is counted does not get there.
pub(super) const fn counted(number: u32, bits: u32) -> Option<u32> {
    if number == u32::MAX >> (u32::BITS - bits) { None } else { Some(number) }
}

/// A day of the years from 2000 on, two BCD digits each; None where there is no such day.
pub(super) fn bcd_date(year: u8, month: u8, day: u8) -> Option<Date> {
    Date::new(2000 + u16::from(two_digits(year)?), two_digits(month)?, two_digits(day)?)
}

pub(super) fn two_digits(bcd: u8) -> Option<u8> {
    let (tens, units) = (bcd >> 4, bcd & 0x0f);
    (tens < 10 && units < 10).then_some(10 * tens + units)
}

const VIF_DATE: u8 = 0x6c;
const VIF_DATE_TIME: u8 = 0x6d;
const VIF_OWN: u8 = 0xff;
const VIF_ERROR_FLAGS: &[u8] = &[0xfd, 0x17];
