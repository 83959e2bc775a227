//! Kaden: durations of heat cost allocators; two volumes of water meters.
//!
//! ```text
//! 04 75, 44 75  minutes without a measurement, this year and last; the standard has the age of the data
//! 04 74         seconds of tampering
//! 04 13, 44 13  are sent twice: the second is another volume, of which is told no more than that
//! ```
//!
//! Known from public decoders.

use super::field::{Field, Row};
use super::layout::{Layout, Maker};
use crate::record::Unit;

pub(super) const MAKER: Maker =
    Maker { manufacturers: &["KDN", "VIP"], layouts: &[LAYOUTS], rows: ROWS, ..Maker::PLAIN };

const KADEN: &[(u8, u8)] = &[(0x1e, 0x08)];

const WATER: &[(u8, u8)] = &[(0x01, 0x07)];

const LAYOUTS: &[Layout] = &[
    Layout::vib(KADEN, &[0x75], &[0xff, 0xff, 0x01]),
    Layout::vib(KADEN, &[0x74], &[0xff, 0xff, 0x02]),
    Layout::repeated(WATER, &[0x13], &[(0, 1)]),
];

const ROWS: &[Row] = &[
    Row { models: &[], vifes: &[0xff, 0x01], fields: &[Field::count("no_measurement_duration", Unit::Minute)] },
    Row { models: &[], vifes: &[0xff, 0x02], fields: &[Field::count("tampering_duration", Unit::Second)] },
];
