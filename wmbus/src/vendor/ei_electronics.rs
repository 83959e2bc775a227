//! Ei Electronics: smoke alarms, the status of the sensor head.
//!
//! ```text
//! 84 40 FF 2C  ssssssss    bits 0-4 d, 8-11 b
//! d  dust level
//! b  battery voltage, 2.25 V and 0.05 V for each step
//! ```
//!
//! Known from public decoders. The other bits are flags, which stay in the raw record.

use super::field::{Field, Row};
use super::layout::Maker;
use crate::record::Unit;

pub(super) const MAKER: Maker = Maker { manufacturers: &["EIE"], rows: ROWS, ..Maker::PLAIN };

const ROWS: &[Row] = &[Row {
    models: &[(0x0c, 0x1a)],
    vifes: &[0x2c],
    fields: &[
        Field::bits("dust_level", 0, 5),
        Field { unit: Unit::Volt, exponent: -2, factor: 5, offset: 225, ..Field::bits("battery_voltage", 8, 4) },
    ],
}];
