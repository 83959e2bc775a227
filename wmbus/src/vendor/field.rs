//! Numbers and dates in records of a manufacturer's own: what stands behind VIF 7F.

use crate::record::{DataRecord, Date, Unit, Value};

/// A meaning in a manufacturer's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// A stable name, snake case.
    pub name: &'static str,
    pub unit: Unit,
    /// Power of ten by which the number is multiplied.
    pub exponent: i8,
    pub(super) first_bit: u32,
    /// 0 where the field is the whole number of the record.
    pub(super) bits: u32,
    pub(super) sign: Sign,
    pub(super) factor: i64,
    pub(super) offset: i64,
    pub(super) is_date: bool,
}

/// One record of some models.
#[derive(Debug)]
pub(super) struct Row {
    /// Version and device type; empty for all.
    pub(super) models: &'static [(u8, u8)],
    pub(super) vifes: &'static [u8],
    pub(super) fields: &'static [Field],
}

/// Records of the standard that mean something else under some storage numbers.
#[derive(Debug)]
pub(super) struct Stored {
    /// Version and device type; empty for all.
    pub(super) models: &'static [(u8, u8)],
    pub(super) vib: &'static [u8],
    /// The first and the last.
    pub(super) storages: (u32, u32),
    pub(super) fields: &'static [Field],
}

/// What the highest bit of a whole binary number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// A sign; alone, it says that there is no value.
    Signed,
    /// Of a count, of which all bits say that there is none.
    Count,
    /// A bit like the others.
    Word,
}

/// What a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning<'a> {
    Number(i64),
    /// A number that is too large.
    Octets(&'a [u8]),
    /// The meter says that there is none.
    None,
    /// None where the meter has no such day to tell.
    Date(Option<Date>),
}

impl Field {
    /// The field of a record; None where this holds no number.
    pub fn of<'a>(&self, record: &DataRecord<'a>) -> Option<Meaning<'a>> {
        let len = record.data_field.binary_size().unwrap_or_default();
        let data = record.octets.get(record.octets.len().saturating_sub(len)..).unwrap_or_default();
        let unused = 64 - 8 * len as u32;
        let number = match record.value {
            Value::Integer(number) => number,
            Value::Invalid if data.is_empty() || self.is_whole() && self.sign == Sign::Signed => {
                return Some(Meaning::None);
            }
            // The mark of type B: its highest bit alone.
            Value::Invalid => i64::MIN.wrapping_shr(unused),
            _ => return None,
        };
        if !self.is_whole() || self.is_date || self.sign == Sign::Signed || data.is_empty() {
            return Some(self.within(number));
        }
        let number = (number as u64).wrapping_shl(unused).wrapping_shr(unused);
        if self.sign == Sign::Count && number == u64::MAX.wrapping_shr(unused) {
            return Some(Meaning::None);
        }
        Some(i64::try_from(number).map_or(Meaning::Octets(data), |number| self.within(number)))
    }

    const fn within(&self, number: i64) -> Meaning<'static> {
        if self.is_date {
            let [low, high, ..] = number.to_le_bytes();
            return Meaning::Date(Date::parse([low, high]));
        }
        if self.is_whole() {
            return Meaning::Number(number.saturating_mul(self.factor).saturating_add(self.offset));
        }
        Meaning::Number((number >> self.first_bit & ((1 << self.bits) - 1)) * self.factor + self.offset)
    }

    /// The record has nothing beside this field.
    pub const fn is_whole(&self) -> bool {
        self.bits == 0
    }

    pub(super) const fn whole(name: &'static str, unit: Unit) -> Self {
        Self {
            name,
            unit,
            exponent: 0,
            first_bit: 0,
            bits: 0,
            factor: 1,
            offset: 0,
            is_date: false,
            sign: Sign::Signed,
        }
    }

    /// A number that does not fall below zero.
    pub(super) const fn count(name: &'static str, unit: Unit) -> Self {
        Self { sign: Sign::Count, ..Self::whole(name, unit) }
    }

    /// Bits that are told together.
    pub(super) const fn word(name: &'static str) -> Self {
        Self { sign: Sign::Word, ..Self::whole(name, Unit::None) }
    }

    /// `bits` bits, at most 32, from `first_bit` on.
    pub(super) const fn bits(name: &'static str, first_bit: u32, bits: u32) -> Self {
        Self { first_bit, bits, ..Self::whole(name, Unit::None) }
    }

    /// A day, type G of EN 13757-3 annex A.
    pub(super) const fn date(name: &'static str) -> Self {
        Self { is_date: true, ..Self::whole(name, Unit::None) }
    }
}

impl Stored {
    pub(super) fn is_for(&self, model: (u8, u8), record: &DataRecord<'_>) -> bool {
        let (first, last) = self.storages;
        is_model(self.models, model) && self.vib == record.vib.octets && (first..=last).contains(&record.storage_number)
    }
}

impl Row {
    pub(super) fn is_for(&self, model: (u8, u8), vifes: &[u8]) -> bool {
        is_model(self.models, model) && self.vifes == vifes
    }
}

/// Whether a list of versions and device types has this one; an empty list has all, [`ANY`] is any.
pub(super) fn is_model(models: &[(u8, u8)], (version, device_type): (u8, u8)) -> bool {
    let is = |row: u8, own| row == own || row == ANY;
    models.is_empty() || models.iter().any(|(v, t)| is(*v, version) && is(*t, device_type))
}

/// Any version, or device type, in a list of models.
pub(super) const ANY: u8 = 0xff;
