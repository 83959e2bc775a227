//! Data records of the application layer, EN 13757-3:2018 clause 6: DIF, DIFE, VIF, VIFE and data.
//!
//! A value keeps the integer the meter sent; its power of ten and unit stand beside it. Records borrow from the
//! telegram. A damaged record ends the iteration and never loses the records before it; one that is whole and not taken
//! does not lose those behind it either.

mod common;
mod dib;
mod modifier;
mod outline;
mod profile;
mod quantity;
mod table;
mod text;
mod time;
mod unit;
mod value;
mod vib;

#[cfg(test)]
mod tests;

use std::fmt;

pub use dib::{DataField, Dib};
pub use modifier::{Modifier, Modifiers};
pub(crate) use outline::{Outline, outlines};
pub use profile::expand_profiles;
pub use quantity::Quantity;
use table::Coding;
pub use text::Text;
pub use time::{Date, DateTime, Time};
pub use unit::{Factor, Unit};
pub use value::Value;
pub(crate) use value::variable_len;
use vib::Reading;
pub use vib::{Own, Vib};

use crate::Reject;

/// One data record as the meter sent it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct DataRecord<'a> {
    pub value: Value<'a>,
    pub vib: Vib<'a>,
    /// The whole record: DIB, VIB and data.
    pub octets: &'a [u8],
    /// What does not fit is refused: no two values become one.
    pub storage_number: u32,
    pub tariff: u32,
    pub subunit: u16,
    pub data_field: DataField,
    pub function: Function,
}

/// The function field of the DIF. EN 13757-3:2018, table 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    Instantaneous,
    Maximum,
    Minimum,
    /// The value during an error state: never a good value.
    Error,
}

/// A record yet to be sent: what [`DataRecord`] is on the other side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draft<'a> {
    pub dib: Dib,
    /// VIF and VIFEs as they will be sent.
    pub vib: &'a [u8],
    pub value: Value<'a>,
}

/// Reads the records of an application layer one by one.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
}

/// What follows DIF 0F or 1F.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManufacturerData<'a> {
    pub octets: &'a [u8],
    /// DIF 1F: more records follow in the next telegram.
    pub more_records_follow: bool,
}

impl<'a> DataRecord<'a> {
    /// Reads one record. Idle fillers and the special functions are no record: see [`Records`].
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let (record, rest) = Self::split(buf)?;
        *buf = rest;
        Ok(record)
    }

    /// The record in front of `octets`, and what follows. One piece of code: records are made where they are wanted,
    /// not moved there.
    #[inline(always)]
    fn split(octets: &'a [u8]) -> Result<(Self, &'a [u8]), Reject> {
        let (dib, rest) = Dib::split(octets)?;
        let (mut vib, Reading { coding, offset }, rest) = Vib::split(rest)?;
        let (mut value, rest) = Value::split(rest, dib.data_field, coding)?;
        if let (Value::Integer(integer), Some(offset)) = (value, offset) {
            (value, vib.exponent) = add_offset(integer, vib.exponent, offset);
        }
        let Dib { data_field, function, storage_number, tariff, subunit } = dib;
        let storage_number = u32::try_from(storage_number).map_err(|_| Reject::StorageNumber(storage_number))?;
        let octets = octets.get(..octets.len() - rest.len()).unwrap_or(octets);
        Ok((Self { function, storage_number, tariff, subunit, data_field, vib, value, octets }, rest))
    }

    /// DIB and VIB.
    pub fn header(&self) -> &'a [u8] {
        let mut rest = self.octets;
        let read = Dib::parse(&mut rest).and_then(|_| Vib::parse(&mut rest));
        debug_assert!(read.is_ok(), "the record was read from these octets");
        self.octets.get(..self.octets.len() - rest.len()).unwrap_or(self.octets)
    }

    /// The value; where it is [`Value::Invalid`], what its field holds all the same, for whoever looks at the telegram:
    /// the number that is the mark (the most negative one), a date that is none (2000-00-00), else the
    /// octets: also of a day of each year.
    pub fn held(&self) -> Value<'a> {
        match Vib::split(self.vib.octets) {
            Ok((_, Reading { coding, .. }, _)) if self.value == Value::Invalid => {
                let data = self.octets.get(self.header().len()..).unwrap_or_default();
                Value::held(data, self.data_field, coding)
            }
            _ => self.value,
        }
    }

    /// Octets or text where the quantity is a number or a moment: a profile that was not expanded, a number of more
    /// digits than are read, a date of a width that is not its type's. They are no value of the quantity.
    pub fn is_unread(&self) -> bool {
        let is_profile = || self.vib.modifiers.iter().any(Modifier::is_compact_profile);
        match (self.value, self.vib.coding) {
            (Value::Binary(_), Coding::Date | Coding::DateTime | Coding::Time) => true,
            // Versions and numbers of devices come as octets behind an LVAR.
            (Value::Binary(_), Coding::Unsigned) if self.data_field != DataField::Variable => true,
            (Value::Binary(_), Coding::Octets) => is_profile(),
            (Value::Binary(_) | Value::Text(_), _) => {
                self.vib.unit != Unit::None || self.vib.quantity == Quantity::HcaUnits
            }
            _ => false,
        }
    }

    /// A binary register or duration with all bits set, of now or of an earlier day: meters say so that there is none.
    ///
    /// As type B, which EN 13757-3 has for it, that is -1. No register falls below zero: what goes back has a VIFE of its
    /// own (backward), and so has a balance (delta), of which -1 is a value like any other. Digits that say -1 were
    /// written on purpose and stay.
    pub fn is_all_ones(&self) -> bool {
        matches!(self.value, Value::Integer(_))
            && self.octets.last() == Some(&0xff)
            && (self.vib.quantity.is_register() || self.vib.unit.is_duration())
            && self.vib.modifiers.iter().all(|modifier| !modifier.gives_sign())
            && self.holds_all_ones()
    }

    /// The mark is of the field, before a VIFE adds to what it holds.
    fn holds_all_ones(&self) -> bool {
        if !self.vib.modifiers.iter().any(|modifier| matches!(modifier, Modifier::Offset(_))) {
            return self.value == Value::Integer(-1);
        }
        let is_variable = self.data_field == DataField::Variable;
        let data = self.octets.get(self.header().len() + usize::from(is_variable)..);
        data.is_some_and(|data| data.iter().all(|octet| *octet == 0xff))
    }

    /// Appends the octets [`Self::parse`] read.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.octets);
    }
}

impl<'a> Draft<'a> {
    /// An instantaneous value, storage, tariff and subunit 0.
    pub const fn new(data_field: DataField, vib: &'a [u8], value: Value<'a>) -> Self {
        let function = Function::Instantaneous;
        Self { dib: Dib { data_field, function, storage_number: 0, tariff: 0, subunit: 0 }, vib, value }
    }

    #[must_use]
    pub const fn storage(mut self, storage_number: u64) -> Self {
        self.dib.storage_number = storage_number;
        self
    }

    #[must_use]
    pub const fn tariff(mut self, tariff: u32) -> Self {
        self.dib.tariff = tariff;
        self
    }

    #[must_use]
    pub const fn subunit(mut self, subunit: u16) -> Self {
        self.dib.subunit = subunit;
        self
    }

    #[must_use]
    pub const fn function(mut self, function: Function) -> Self {
        self.dib.function = function;
        self
    }

    /// Appends DIB, VIB and data. A value that does not fit its data field is sent as the invalid pattern.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.dib.emit(out);
        out.extend_from_slice(self.vib);
        self.value.emit(self.dib.data_field, out);
    }
}

impl<'a> Records<'a> {
    /// Records of decrypted application octets.
    pub const fn new(application: &'a [u8]) -> Self {
        Self { rest: application }
    }

    /// The octets not yet read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What the manufacturer appended; known once the iteration has ended.
    pub const fn manufacturer_data(&self) -> Option<ManufacturerData<'a>> {
        match self.rest {
            [dif @ (MANUFACTURER | MANUFACTURER_AND_MORE), octets @ ..] => {
                Some(ManufacturerData { octets, more_records_follow: *dif == MANUFACTURER_AND_MORE })
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<DataRecord<'a>, Reject>;

    /// The next record, or why it is not taken. Nothing follows an `Err` unless the record was whole:
    /// [`Reject::StorageNumber`].
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        while let [IDLE, rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        if let Some(record) = common::record(self.rest) {
            self.rest = self.rest.get(record.octets.len()..).unwrap_or_default();
            return Some(Ok(record));
        }
        // A cursor of its own: this one stays in registers.
        let mut rest = self.rest;
        let next = uncommon(&mut rest);
        self.rest = rest;
        next
    }
}

/// What [`Records::next`] does where the next record is not one of the commonest.
#[inline(never)]
fn uncommon<'a>(rest: &mut &'a [u8]) -> Option<Result<DataRecord<'a>, Reject>> {
    if matches!(*rest.first()?, MANUFACTURER | MANUFACTURER_AND_MORE) {
        // It stays for who asks for it.
        return None;
    }
    let record = DataRecord::parse(rest);
    match record {
        Ok(_) => {}
        Err(Reject::StorageNumber(_)) => *rest = outline::behind(rest),
        Err(_) => *rest = &[],
    }
    Some(record)
}

impl Function {
    pub(crate) const fn from_dif(dif: u8) -> Self {
        match dif >> 4 & 3 {
            0 => Self::Instantaneous,
            1 => Self::Maximum,
            2 => Self::Minimum,
            _ => Self::Error,
        }
    }

    pub(crate) const fn dif(self) -> u8 {
        (self as u8) << 4
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Instantaneous => "instantaneous",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for DataRecord<'_> {
    /// `volume 28504.27 m3`, with whatever is not the ordinary after it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.vib, self.value)?;
        if self.vib.exponent != 0 && matches!(self.value, Value::Integer(_) | Value::Float32(_)) {
            write!(f, "e{}", self.vib.exponent)?;
        }
        if self.vib.unit != Unit::None {
            write!(f, " {}", self.vib.unit)?;
        }
        if self.function != Function::Instantaneous {
            write!(f, " {}", self.function)?;
        }
        for (name, number) in [("s", self.storage_number), ("t", self.tariff), ("u", self.subunit.into())] {
            if number != 0 {
                write!(f, " {name}{number}")?;
            }
        }
        self.vib.modifiers.iter().try_for_each(|modifier| write!(f, " {modifier}"))
    }
}

/// `integer` times ten to `exponent`, plus ten to `offset`.
fn add_offset<'a>(integer: i64, exponent: i8, offset: i8) -> (Value<'a>, i8) {
    let common = exponent.min(offset);
    let scaled = |exponent: i8| 10i64.checked_pow(u32::from(exponent.abs_diff(common)));
    let sum = scaled(exponent)
        .and_then(|factor| integer.checked_mul(factor))
        .zip(scaled(offset))
        .and_then(|(value, offset)| value.checked_add(offset));
    match sum {
        Some(sum) => (Value::Integer(sum), common),
        None => (Value::Invalid, exponent),
    }
}

// EN 13757-3:2018, table 3: special functions.
const MANUFACTURER: u8 = 0x0f;
const MANUFACTURER_AND_MORE: u8 = 0x1f;
pub(crate) const IDLE: u8 = 0x2f;
