//! Kamstrup: registers and info words behind VIF 7F, and the electricity meter EM24.
//!
//! ```text
//! 04 FF 07  eeeeeeee    energy E8: volume times flow temperature, summed up, in m3 times degrees Celsius
//! 04 FF 08  eeeeeeee    energy E9: the same with the return temperature
//! 02 FF 20  iiii        water: 0 dry 1 reverse 2 leak 3 burst; for how long: 4-6 dry 7-9 reverse 10-12 leak 13-15 burst
//!                       0 not, 1 to 8 h, 2 to 24 h, 3 to 3 d, 4 to 7 d, 5 to 14 d, 6 to 21 d, 7 to 31 d
//! 04 FF 23  iiiiiiii    water: 0 dry 1 reverse 2 leak 3 burst 4 tampered 5 battery low 6 ambient low 7 above Q4
//!                       9 no consumption
//! 02 FF 22  iiii        heat: 0 supply interrupted 1 battery low 3 4 t1 t2 above 5 6 t1 t2 below 7 wrong difference
//!                       8 weak or air 9 wrong direction 11 flow increased
//! 04 FF 22  iiiiiiii    heat: the same, and 2 sensor 12 13 A1 B1 leak 14 15 external alarm 16 17 V1 communication, pulse
//!                       18 19 A2 B2 leak 20 21 t3 above, below 22-25 27 V2 communication, pulse, air, direction,
//!                       increased 28 29 burst loss, penetration 30 31 leak loss, penetration
//! 01 FF 21  ii          heat meter 302: bits not published
//! .. FF 09, FF 0A       pressure: coefficients alpha, beta
//! .. FF 11, FF 1A       configuration, type
//! 04 EE FF 07, FF 08    heat meter 602: counters of the inputs A and B, where the standard has units of allocators
//! 04 FB 82 75 rrrrrrrr  EM24: reactive energy in kvarh, its VIFE 75 is to be left out; with 3C: production
//! ```
//!
//! The manufacturer publishes E8 and E9 as registers of its heat meters, to which the volume's power of ten does not
//! apply; the rest is known from public decoders.

use super::field::{ANY, Field, Row};
use super::layout::{Layout, Maker};
use crate::record::Unit;

pub(super) const MAKER: Maker =
    Maker { manufacturers: &["KAM", "KAW", "GAV"], layouts: &[LAYOUTS], rows: ROWS, ..Maker::PLAIN };

const LAYOUTS: &[Layout] = &[
    Layout::vib(EM24, &[0xfb, 0x82, 0x75], &[0xfb, 0x02]),
    Layout::vib(EM24, &[0xfb, 0x82, 0xf5, 0x3c], &[0xfb, 0x82, 0x3c]),
    Layout::vib(HEAT_602, &[0xee, 0xff, 0x07], &[0xff, 0xff, 0x01]),
    Layout::vib(HEAT_602, &[0xee, 0xff, 0x08], &[0xff, 0xff, 0x02]),
];

const EM24: &[(u8, u8)] = &[(0x33, 0x02), (0x00, 0x02)];
const HEAT_602: &[(u8, u8)] = &[(0x1c, ANY)];

const ROWS: &[Row] = &[
    row(&[0x07], &[Field::count("volume_times_flow_temperature", Unit::CubicMetreCelsius)]),
    row(&[0x08], &[Field::count("volume_times_return_temperature", Unit::CubicMetreCelsius)]),
    row(&[0xff, 0x01], &[Field::count("input_a_counter", Unit::None)]),
    row(&[0xff, 0x02], &[Field::count("input_b_counter", Unit::None)]),
    row(&[0x11], &[Field::word("configuration_number")]),
    row(&[0x1a], &[Field::word("type_number")]),
    row(&[0x20], &[Field::word("info_codes")]),
    row(&[0x21], &[Field::word("info_codes")]),
    row(&[0x22], &[Field::word("info_codes")]),
    row(&[0x23], &[Field::word("info_codes")]),
];

const fn row(vifes: &'static [u8], fields: &'static [Field]) -> Row {
    Row { models: &[], vifes, fields }
}
