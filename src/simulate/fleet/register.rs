//! The registers of simulated meters: for each kind a table with the octets of the record's head and, beside it and
//! independent of it, what the head-end must get to see.
//!
//! The tables are written by hand from EN 13757-3:2018 and the OMS OBIS tables; no parser of ours had a part in them.

use wmbus::record::{DataField, Draft, Value};

use super::meter::State;
use crate::reading::{CivilDate, CivilTime, Obis, Unit};
use crate::simulate::ledger::{Amount, Quantity};

/// One register: a data record in every telegram of its kind.
#[derive(Debug)]
pub(super) struct Register {
    pub(super) data_field: DataField,
    /// VIF and VIFEs as sent.
    vib: &'static [u8],
    pub(super) quantity: Quantity,
    scaler: i8,
    value: fn(&State) -> Raw,
}

/// What a register holds before it is coded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw {
    Integer(i64),
    Date(CivilDate),
    DateTime(CivilTime),
}

impl Register {
    /// The data as sent: EN 13757-3:2018, annex A. Coded here and not by the crate under test.
    pub(super) fn data(&self, state: &State) -> Vec<u8> {
        match ((self.value)(state), self.data_field) {
            (Raw::Date(date), _) => type_g(date).to_vec(),
            (Raw::DateTime(time), _) => type_f(time).to_vec(),
            // Type A: two digits an octet, the least significant first.
            (Raw::Integer(value), DataField::Bcd8) => {
                let mut left = value.unsigned_abs();
                let mut octets = Vec::with_capacity(4);
                for _ in 0..4 {
                    let pair = (left % 100) as u8;
                    octets.push((pair / 10) << 4 | (pair % 10));
                    left /= 100;
                }
                octets
            }
            // Type B: the least significant octet first.
            (Raw::Integer(value), field) => {
                let length = match field {
                    DataField::Integer16 => 2,
                    DataField::Integer24 => 3,
                    _ => 4,
                };
                value.to_le_bytes().into_iter().take(length).collect()
            }
        }
    }

    /// The data record around `data`.
    pub(super) fn record<'a>(&self, data: &'a [u8]) -> Draft<'a> {
        Draft::new(self.data_field, self.vib, Value::Binary(data)).storage(self.quantity.storage.into())
    }

    /// What the head-end must show for it.
    pub(super) fn amount(&self, state: &State) -> Amount {
        match (self.value)(state) {
            Raw::Integer(mantissa) => Amount::decimal(mantissa, self.scaler),
            Raw::Date(date) => Amount::Date(date),
            Raw::DateTime(time) => Amount::DateTime(time),
        }
    }
}

/// Type G: the year's lower three bits beside the day, its upper four beside the month.
fn type_g(date: CivilDate) -> [u8; 2] {
    let year = (date.year % 100) as u8;
    [date.day | (year & 0x07) << 5, date.month | (year & 0x78) << 1]
}

/// Type F: minute and hour before a type G date; the century is in bits 5 and 6 of the hour.
fn type_f(time: CivilTime) -> [u8; 4] {
    let century = (time.date.year.saturating_sub(1_900) / 100).min(3) as u8;
    let [day, month] = type_g(time.date);
    [time.minute, time.hour | century << 5, day, month]
}

const fn quantity(name: &'static str, obis: [u8; 6], unit: u8, storage: u32) -> Quantity {
    Quantity { name, obis: Some(Obis(obis)), unit: Some(Unit(unit)), storage, tariff: 0 }
}

const fn date(name: &'static str, storage: u32) -> Quantity {
    Quantity { name, obis: None, unit: None, storage, tariff: 0 }
}

const M3: u8 = 13;
const M3_PER_H: u8 = 15;
const W: u8 = 27;
const WH: u8 = 30;
const CELSIUS: u8 = 9;
const KELVIN: u8 = 52;
const COUNT: u8 = 255;

const fn register(
    data_field: DataField,
    vib: &'static [u8],
    quantity: Quantity,
    scaler: i8,
    value: fn(&State) -> Raw,
) -> Register {
    Register { data_field, vib, quantity, scaler, value }
}

use DataField::{Bcd8, Integer16, Integer24, Integer32};

const CLOCK: Register = register(Integer32, &[0x6d], date("date_time", 0), 0, State::clock);
const TARGET_DATE: Register = register(Integer16, &[0x6c], date("date", 1), 0, State::target_date);

pub(super) const COLD_WATER: &[Register] = &[
    register(Integer32, &[0x13], quantity("volume", [8, 0, 1, 0, 0, 255], M3, 0), -3, State::main),
    CLOCK,
    register(Integer32, &[0x13], quantity("volume", [8, 0, 1, 2, 0, 255], M3, 1), -3, State::target),
    TARGET_DATE,
    register(Integer16, &[0x3b], quantity("volume_flow", [8, 0, 2, 0, 0, 255], M3_PER_H, 0), -3, State::flow),
];

pub(super) const WARM_WATER: &[Register] = &[
    register(Bcd8, &[0x13], quantity("volume", [9, 0, 1, 0, 0, 255], M3, 0), -3, State::main),
    CLOCK,
    register(Bcd8, &[0x13], quantity("volume", [9, 0, 1, 2, 0, 255], M3, 1), -3, State::target),
    TARGET_DATE,
    register(
        Integer16,
        &[0x5a],
        quantity("flow_temperature", [9, 0, 3, 0, 0, 255], CELSIUS, 0),
        -1,
        State::temperature,
    ),
];

pub(super) const GAS: &[Register] = &[
    // VIFE 3A: uncorrected, at metering conditions.
    register(Bcd8, &[0x93, 0x3a], quantity("volume", [7, 0, 3, 0, 0, 255], M3, 0), -3, State::main),
    CLOCK,
    register(Integer16, &[0xbb, 0x3a], quantity("volume_flow", [7, 0, 43, 15, 0, 255], M3_PER_H, 0), -3, State::flow),
];

pub(super) const HEAT: &[Register] = &[
    register(Integer32, &[0x05], quantity("energy", [6, 0, 1, 0, 0, 255], WH, 0), 2, State::main),
    register(Integer32, &[0x13], quantity("volume", [6, 0, 2, 0, 0, 255], M3, 0), -3, State::volume),
    register(Integer16, &[0x2d], quantity("power", [6, 0, 8, 0, 0, 255], W, 0), 2, State::power),
    register(Integer16, &[0x3b], quantity("volume_flow", [6, 0, 9, 0, 0, 255], M3_PER_H, 0), -3, State::flow),
    register(
        Integer16,
        &[0x5a],
        quantity("flow_temperature", [6, 0, 10, 0, 0, 255], CELSIUS, 0),
        -1,
        State::temperature,
    ),
    register(Integer16, &[0x5e], quantity("return_temperature", [6, 0, 11, 0, 0, 255], CELSIUS, 0), -1, State::cooled),
    register(Integer16, &[0x61], quantity("temperature_difference", [6, 0, 12, 0, 0, 255], KELVIN, 0), -2, State::drop),
    CLOCK,
    register(Integer32, &[0x05], quantity("energy", [6, 0, 1, 2, 0, 255], WH, 1), 2, State::target),
    TARGET_DATE,
];

pub(super) const HEAT_COST_ALLOCATOR: &[Register] = &[
    register(Integer24, &[0x6e], quantity("hca_units", [4, 0, 1, 0, 0, 255], COUNT, 0), 0, State::main),
    register(Integer24, &[0x6e], quantity("hca_units", [4, 0, 1, 2, 0, 255], COUNT, 1), 0, State::target),
    TARGET_DATE,
    register(
        Integer16,
        &[0x5a],
        quantity("flow_temperature", [4, 0, 5, 0, 0, 255], CELSIUS, 0),
        -1,
        State::temperature,
    ),
];
