//! What manufacturers put behind VIF 7F: one file a maker, with the layout and where the knowledge of it comes from.
//!
//! Only records are here; frames and application layers of the makers' own are not decoded yet.

mod ei_electronics;
mod kamstrup;

use crate::Address;
use crate::record::{DataRecord, Own, Unit};

/// A number in a manufacturer's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// A stable name, snake case.
    pub name: &'static str,
    pub unit: Unit,
    /// Power of ten by which the number is multiplied.
    pub exponent: i8,
    first_bit: u32,
    /// 0 where the field is the whole number of the record, signed.
    bits: u32,
    factor: i64,
    offset: i64,
}

/// One record of some models.
#[derive(Debug)]
struct Row {
    manufacturers: &'static [&'static str],
    /// Version and device type; empty for all.
    models: &'static [(u8, u8)],
    vifes: &'static [u8],
    fields: &'static [Field],
}

impl Field {
    /// The field of the record's number.
    pub const fn of(&self, number: i64) -> i64 {
        if self.is_whole() {
            return number;
        }
        (number >> self.first_bit & ((1 << self.bits) - 1)) * self.factor + self.offset
    }

    /// The record has nothing beside this field.
    pub const fn is_whole(&self) -> bool {
        self.bits == 0
    }

    const fn whole(name: &'static str, unit: Unit) -> Self {
        Self { name, unit, exponent: 0, first_bit: 0, bits: 0, factor: 1, offset: 0 }
    }

    /// `bits` bits, at most 32, from `first_bit` on.
    const fn bits(name: &'static str, first_bit: u32, bits: u32) -> Self {
        Self { name, unit: Unit::None, exponent: 0, first_bit, bits, factor: 1, offset: 0 }
    }
}

/// What is in a record of the meter's maker; nothing where that is not known.
pub fn fields(address: &Address, record: &DataRecord<'_>) -> &'static [Field] {
    let Some(Own::Manufacturer(vifes)) = record.vib.own() else { return &[] };
    let model = (address.version, address.device_type);
    let is_right = |row: &&Row| {
        row.vifes == vifes
            && (row.models.is_empty() || row.models.contains(&model))
            && row.manufacturers.iter().any(|letters| Address::manufacturer_code(letters) == Some(address.manufacturer))
    };
    [kamstrup::ROWS, ei_electronics::ROWS].into_iter().flatten().find(is_right).map_or(&[], |row| row.fields)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::record::Value;

    #[track_caller]
    fn check(address: &[u8], record: &[u8], expected: &[(&str, i64, i8, Unit)]) {
        let address = Address::parse(&mut &*address).unwrap();
        let record = DataRecord::parse(&mut &*record).unwrap();
        let Value::Integer(number) = record.value else { panic!("{record}") };
        let found = fields(&address, &record).iter();
        let found: Vec<_> = found.map(|field| (field.name, field.of(number), field.exponent, field.unit)).collect();
        assert_eq!(found, expected);
    }

    // Rows made by us.
    #[test]
    fn records_of_known_makers_have_a_meaning() {
        let kamstrup = hex!("2d2c 78563412 40 0c");
        let m3_celsius = Unit::CubicMetreCelsius;
        check(&kamstrup, &hex!("04ff07 c6570200"), &[("volume_times_flow_temperature", 153_542, 0, m3_celsius)]);
        check(&kamstrup, &hex!("04ff08 ffffffff"), &[("volume_times_return_temperature", -1, 0, m3_celsius)]);
        check(&kamstrup, &hex!("04ff09 01000000"), &[]);
        check(&hex!("2d30 78563412 40 0c"), &hex!("04ff07 01000000"), &[]);
        let smoke_alarm = hex!("2515 78563412 0c 1a");
        let expected = [("dust_level", 27, 0, Unit::None), ("battery_voltage", 300, -2, Unit::Volt)];
        check(&smoke_alarm, &hex!("8440ff2c 1b0f1100"), &expected);
        check(&hex!("2515 78563412 0d 1a"), &hex!("8440ff2c 1b0f1100"), &[]);
        check(&smoke_alarm, &hex!("8440 13 1b0f1100"), &[]);
    }
}
