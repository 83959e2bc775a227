//! The registers of simulated meters: for each kind a table with the octets of the record's head and, beside it and
//! independent of it, what the head-end must get to see.
//!
//! The tables are written by hand from EN 13757-3:2018 and the OMS OBIS tables; no parser of ours had a part in them.

use super::meter::State;
use crate::reading::{CivilDate, CivilTime, Obis, Unit};
use crate::simulate::ledger::{Amount, Quantity};

/// One register: a data record in every telegram of its kind.
#[derive(Debug)]
pub(super) struct Register {
    /// DIF, DIFE, VIF and VIFE as sent.
    head: &'static [u8],
    coding: Coding,
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

/// Data types of EN 13757-3:2018, annex A.
#[derive(Debug, Clone, Copy)]
enum Coding {
    /// Type B: binary integer of that many octets, least significant first.
    Binary(u8),
    /// Type A: two digits an octet, least significant first.
    Bcd(u8),
    /// Type G: date, two octets.
    Date,
    /// Type F: date and time to the minute, four octets.
    DateTime,
}

impl Register {
    /// Appends the data record to a telegram.
    pub(super) fn emit(&self, state: &State, telegram: &mut Vec<u8>) {
        telegram.extend_from_slice(self.head);
        match ((self.value)(state), self.coding) {
            (Raw::Integer(value), Coding::Bcd(octets)) => {
                let mut left = value.unsigned_abs();
                for _ in 0..octets {
                    let pair = (left % 100) as u8;
                    telegram.push((pair / 10) << 4 | (pair % 10));
                    left /= 100;
                }
            }
            (Raw::Integer(value), Coding::Binary(octets)) => {
                telegram.extend(value.to_le_bytes().into_iter().take(octets.into()));
            }
            (Raw::Date(date), _) => telegram.extend(type_g(date)),
            (Raw::DateTime(time), _) => telegram.extend(type_f(time)),
            (Raw::Integer(_), Coding::Date | Coding::DateTime) => {}
        }
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

macro_rules! register {
    ($head:expr, $coding:expr, $quantity:expr, $scaler:expr, $value:expr) => {
        Register { head: &$head, coding: $coding, quantity: $quantity, scaler: $scaler, value: $value }
    };
}

const CLOCK: Register = register!([0x04, 0x6d], Coding::DateTime, date("date_time", 0), 0, |s| Raw::DateTime(s.clock));
const TARGET_DATE: Register = register!([0x42, 0x6c], Coding::Date, date("date", 1), 0, |s| Raw::Date(s.target_date));

pub(super) const COLD_WATER: &[Register] = &[
    register!([0x04, 0x13], Coding::Binary(4), quantity("volume", [8, 0, 1, 0, 0, 255], M3, 0), -3, |s| s.main()),
    CLOCK,
    register!([0x44, 0x13], Coding::Binary(4), quantity("volume", [8, 0, 1, 2, 0, 255], M3, 1), -3, |s| s.target()),
    TARGET_DATE,
    register!([0x02, 0x3b], Coding::Binary(2), quantity("volume_flow", [8, 0, 2, 0, 0, 255], M3_PER_H, 0), -3, |s| s
        .flow()),
];

pub(super) const WARM_WATER: &[Register] = &[
    register!([0x0c, 0x13], Coding::Bcd(4), quantity("volume", [9, 0, 1, 0, 0, 255], M3, 0), -3, |s| s.main()),
    CLOCK,
    register!([0x4c, 0x13], Coding::Bcd(4), quantity("volume", [9, 0, 1, 2, 0, 255], M3, 1), -3, |s| s.target()),
    TARGET_DATE,
    register!(
        [0x02, 0x5a],
        Coding::Binary(2),
        quantity("flow_temperature", [9, 0, 3, 0, 0, 255], CELSIUS, 0),
        -1,
        |s| s.temperature()
    ),
];

pub(super) const GAS: &[Register] = &[
    // VIFE 3A: uncorrected, at metering conditions.
    register!([0x0c, 0x93, 0x3a], Coding::Bcd(4), quantity("volume", [7, 0, 3, 0, 0, 255], M3, 0), -3, |s| s.main()),
    CLOCK,
    register!([0x02, 0x3b], Coding::Binary(2), quantity("volume_flow", [7, 0, 43, 15, 0, 255], M3_PER_H, 0), -3, |s| s
        .flow()),
];

pub(super) const HEAT: &[Register] = &[
    register!([0x04, 0x05], Coding::Binary(4), quantity("energy", [6, 0, 1, 0, 0, 255], WH, 0), 2, |s| s.main()),
    register!([0x04, 0x13], Coding::Binary(4), quantity("volume", [6, 0, 2, 0, 0, 255], M3, 0), -3, |s| s.volume()),
    register!([0x02, 0x2d], Coding::Binary(2), quantity("power", [6, 0, 8, 0, 0, 255], W, 0), 2, |s| s.power()),
    register!([0x02, 0x3b], Coding::Binary(2), quantity("volume_flow", [6, 0, 9, 0, 0, 255], M3_PER_H, 0), -3, |s| s
        .flow()),
    register!(
        [0x02, 0x5a],
        Coding::Binary(2),
        quantity("flow_temperature", [6, 0, 10, 0, 0, 255], CELSIUS, 0),
        -1,
        |s| { s.temperature() }
    ),
    register!(
        [0x02, 0x5e],
        Coding::Binary(2),
        quantity("return_temperature", [6, 0, 11, 0, 0, 255], CELSIUS, 0),
        -1,
        |s| s.return_temperature()
    ),
    register!(
        [0x02, 0x61],
        Coding::Binary(2),
        quantity("temperature_difference", [6, 0, 12, 0, 0, 255], KELVIN, 0),
        -2,
        |s| s.temperature_difference()
    ),
    CLOCK,
    register!([0x44, 0x05], Coding::Binary(4), quantity("energy", [6, 0, 1, 2, 0, 255], WH, 1), 2, |s| s.target()),
    TARGET_DATE,
];

pub(super) const HEAT_COST_ALLOCATOR: &[Register] = &[
    register!([0x03, 0x6e], Coding::Binary(3), quantity("hca_units", [4, 0, 1, 0, 0, 255], COUNT, 0), 0, |s| s.main()),
    register!([0x43, 0x6e], Coding::Binary(3), quantity("hca_units", [4, 0, 1, 2, 0, 255], COUNT, 1), 0, |s| s
        .target()),
    TARGET_DATE,
    register!(
        [0x02, 0x5a],
        Coding::Binary(2),
        quantity("flow_temperature", [4, 0, 5, 0, 0, 255], CELSIUS, 0),
        -1,
        |s| s.temperature()
    ),
];
