//! Kaden: durations of heat cost allocators.
//!
//! ```text
//! 04 75, 44 75  minutes without a measurement, this year and last; the standard has the age of the data
//! 04 74         seconds of tampering
//! ```
//!
//! Known from public decoders.

use super::field::{Field, Row};
use super::layout::{Layout, Maker};
use crate::record::Unit;

pub(super) const MAKER: Maker = Maker { manufacturers: &["VIP"], layouts: &[LAYOUTS], rows: ROWS, ..Maker::PLAIN };

const KADEN: &[(u8, u8)] = &[(0x1e, 0x08)];

const LAYOUTS: &[Layout] =
    &[Layout::vib(KADEN, &[0x75], &[0xff, 0xff, 0x01]), Layout::vib(KADEN, &[0x74], &[0xff, 0xff, 0x02])];

const ROWS: &[Row] = &[
    Row { models: &[], vifes: &[0xff, 0x01], fields: &[Field::whole("no_measurement_duration", Unit::Minute)] },
    Row { models: &[], vifes: &[0xff, 0x02], fields: &[Field::whole("tampering_duration", Unit::Second)] },
];
