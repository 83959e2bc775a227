//! ABB: electricity meters B23 and their like, records behind VIF 7F.
//!
//! ```text
//! FF A0 15 to FF A3 15   numerators and denominators of the transformers' ratios: current, voltage
//! FF A6 00 to FF A9 00   flags in 64 bits: errors, warnings, information, alarms
//! FF 18, FF 98 00        power failures
//! FF 13                  tariff in force
//! FF 59, FF D9 00        frequency, hundredths of a hertz
//! FF E0 00               power factor, thousandths; FF E0 FF 81 00 to FF E0 FF 83 00: of the phases
//! FF D2 00               angle, tenths of a degree; FF D2 FF 81 00 to FF D2 FF 83 00: of the phases
//! ```
//!
//! Known from public decoders.

use super::field::{Field, Row};
use super::layout::Maker;
use crate::record::Unit;

pub(super) const MAKER: Maker = Maker { manufacturers: &["ABB"], rows: ROWS, ..Maker::PLAIN };

const ROWS: &[Row] = &[
    row(&[0xa0, 0x15], &[Field::count("ct_ratio_numerator", Unit::None)]),
    row(&[0xa1, 0x15], &[Field::count("vt_ratio_numerator", Unit::None)]),
    row(&[0xa2, 0x15], &[Field::count("ct_ratio_denominator", Unit::None)]),
    row(&[0xa3, 0x15], &[Field::count("vt_ratio_denominator", Unit::None)]),
    row(&[0xa6, 0x00], &[Field::word("error_word")]),
    row(&[0xa7, 0x00], &[Field::word("warning_word")]),
    row(&[0xa8, 0x00], &[Field::word("information_word")]),
    row(&[0xa9, 0x00], &[Field::word("alarm_word")]),
    row(&[0x13], &[Field::count("tariff_in_force", Unit::None)]),
    row(&[0x98, 0x00], &[Field::count("power_failures", Unit::None)]),
    row(&[0x18], &[Field::count("power_failures", Unit::None)]),
    row(&[0xd9, 0x00], &[Field { exponent: -2, ..Field::whole("frequency", Unit::Hertz) }]),
    row(&[0x59], &[Field { exponent: -2, ..Field::whole("frequency", Unit::Hertz) }]),
    row(&[0xe0, 0x00], &[factor("power_factor")]),
    row(&[0xe0, 0xff, 0x81, 0x00], &[factor("power_factor_l1")]),
    row(&[0xe0, 0xff, 0x82, 0x00], &[factor("power_factor_l2")]),
    row(&[0xe0, 0xff, 0x83, 0x00], &[factor("power_factor_l3")]),
    row(&[0xd2, 0x00], &[angle("phase_angle")]),
    row(&[0xd2, 0xff, 0x81, 0x00], &[angle("phase_angle_l1")]),
    row(&[0xd2, 0xff, 0x82, 0x00], &[angle("phase_angle_l2")]),
    row(&[0xd2, 0xff, 0x83, 0x00], &[angle("phase_angle_l3")]),
];

const fn factor(name: &'static str) -> Field {
    Field { exponent: -3, ..Field::whole(name, Unit::None) }
}

const fn angle(name: &'static str) -> Field {
    Field { exponent: -1, ..Field::whole(name, Unit::Degree) }
}

const fn row(vifes: &'static [u8], fields: &'static [Field]) -> Row {
    Row { models: &[], vifes, fields }
}
