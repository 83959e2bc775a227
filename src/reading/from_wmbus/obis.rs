//! OBIS codes of data records, after the OMS tables: the search. The rows are in [`super::table`].

use wmbus::record::{DataRecord, Modifier, Modifiers, Quantity};

use super::table::{self, Row};
use crate::reading::{Obis, UnmarkedGas};

/// The code of a record; None where the tables have none.
pub(super) fn obis(record: &DataRecord<'_>, device_type: u8, unmarked_gas: UnmarkedGas) -> Option<Obis> {
    let medium = Medium::of(device_type);
    let own = match medium {
        Some(Medium { a: GAS, .. }) => gas(record, device_type, unmarked_gas),
        Some(Medium { a: HEAT, is_combined: true }) if record.vib.modifiers.contains(Modifier::Backward) => {
            find(record, table::THERMAL, COOLING, &[Modifier::Backward])
        }
        Some(medium) => find(record, medium.rows(), medium.a, &[]),
        None => None,
    };
    let any = || find(record, table::ABSTRACT, 0, &[]);
    let of_medium = || medium.and_then(|medium| find(record, table::LOCAL_TIME, medium.a, &[]));
    own.or_else(of_medium).or_else(any)
}

/// Volumes and flows of gas exist at three conditions. What the meter did not mark is what its group says.
fn gas(record: &DataRecord<'_>, device_type: u8, unmarked_gas: UnmarkedGas) -> Option<Obis> {
    let rows = if device_type == GAS_CONVERTER { table::GAS_CONVERTER } else { table::GAS };
    let is_volume = matches!(record.vib.quantity, Quantity::Volume | Quantity::VolumeFlow);
    let is_marked = record.vib.modifiers.iter().any(|modifier| !is_neutral(modifier));
    if !is_volume || is_marked {
        return find(record, rows, GAS, &[]);
    }
    let conditions: &[Modifier<'_>] = match unmarked_gas {
        UnmarkedGas::TemperatureConverted => &[],
        UnmarkedGas::Metering => &[Modifier::Uncorrected],
        UnmarkedGas::Base => &[Modifier::BaseConditions],
        UnmarkedGas::Unspecified => return None,
    };
    rows.iter().find(|row| row.modifiers == conditions && row.is_about(record)).and_then(|row| row.code(record, GAS))
}

/// The first row that fits; `ignored` are modifiers that have chosen the value group A already.
fn find(record: &DataRecord<'_>, rows: &[Row], a: u8, ignored: &[Modifier<'_>]) -> Option<Obis> {
    rows.iter()
        .filter(|row| row.is_about(record) && fits(record.vib.modifiers, row.modifiers, ignored))
        .find_map(|row| row.code(record, a))
}

impl Row {
    fn is_about(&self, record: &DataRecord<'_>) -> bool {
        self.quantity == record.vib.quantity && self.function == record.function
    }

    /// The code, where storage number, tariff and subunit have a place in it.
    fn code(&self, record: &DataRecord<'_>, a: u8) -> Option<Obis> {
        let (d, f) = match (record.storage_number, self.set_date) {
            (0, _) if !self.only_set_date => (self.d, CURRENT),
            (1, Some(SetDate::InGroupD(d))) => (d, CURRENT),
            (1, Some(SetDate::InGroupF)) => (self.d, LAST),
            _ => return None,
        };
        let e = match (self.e, record.tariff) {
            (Some(e), 0) => e,
            (None, tariff) => u8::try_from(tariff).ok().filter(|tariff| *tariff <= MAX_TARIFF)?,
            _ => return None,
        };
        let b = u8::try_from(record.subunit).ok().filter(|subunit| *subunit <= MAX_CHANNEL)?;
        Some(Obis([a, b, self.c, d, e, f]))
    }
}

/// How the value at the set date, storage number 1, is told from the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetDate {
    /// Thermal, water: value group D.
    InGroupD(u8),
    /// Electricity, gas: value group F, the last billing period.
    InGroupF,
}

/// The modifiers of a record are those of the row, in any order, those apart that change nothing.
fn fits(sent: Modifiers<'_>, wanted: &[Modifier<'_>], ignored: &[Modifier<'_>]) -> bool {
    let mut found = 0;
    for modifier in sent.iter().filter(|modifier| !is_neutral(*modifier) && !ignored.contains(modifier)) {
        if !wanted.contains(&modifier) {
            return false;
        }
        found += 1;
    }
    found == wanted.len()
}

/// They say how the data is coded, not what it is.
fn is_neutral(modifier: Modifier<'_>) -> bool {
    matches!(modifier, Modifier::StandardConform | Modifier::Unsigned | Modifier::Flags)
}

/// Value group A by the device type of EN 13757-7, table 13.
#[derive(Debug, Clone, Copy)]
struct Medium {
    a: u8,
    /// Heat and cooling in one meter: backward contributions are cooling.
    is_combined: bool,
}

impl Medium {
    fn of(device_type: u8) -> Option<Self> {
        let a = match device_type {
            0x02 => ELECTRICITY,
            0x03 | GAS_CONVERTER => GAS,
            0x04 | 0x0c | HEAT_AND_COOLING => HEAT,
            0x06 | 0x15 => HOT_WATER,
            0x07 | 0x16 => COLD_WATER,
            0x08 => HEAT_COST,
            0x0a | 0x0b => COOLING,
            _ => return None,
        };
        Some(Self { a, is_combined: device_type == HEAT_AND_COOLING })
    }

    fn rows(self) -> &'static [Row] {
        match self.a {
            ELECTRICITY => table::ELECTRICITY,
            HEAT_COST => table::HEAT_COST,
            COOLING | HEAT => table::THERMAL,
            COLD_WATER | HOT_WATER => table::WATER,
            _ => &[],
        }
    }
}

const ELECTRICITY: u8 = 1;
const HEAT_COST: u8 = 4;
const COOLING: u8 = 5;
const HEAT: u8 = 6;
const GAS: u8 = 7;
const COLD_WATER: u8 = 8;
const HOT_WATER: u8 = 9;

const HEAT_AND_COOLING: u8 = 0x0d;
const GAS_CONVERTER: u8 = 0x13;

/// Value group F: the current value, and the value at the end of the last billing period.
const CURRENT: u8 = 255;
const LAST: u8 = 101;
/// Value group E: rates 1 to 63.
const MAX_TARIFF: u8 = 63;
/// Value group B: channels 0 to 64.
const MAX_CHANNEL: u8 = 64;
