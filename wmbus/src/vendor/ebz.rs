//! eBZ, EasyMeter: power of each phase.
//!
//! ```text
//! 04 A9 FF 0n  pppppppp    power of phase n, 1 to 3
//! .. FF 00, FF 28          EasyMeter: power in hundredths of a watt, the number of its phase
//! ```
//!
//! Known from public decoders. The standard's VIFEs for phases are FC 01 to FC 03.

use super::field::{Field, Row};
use super::layout::{Layout, Maker};
use crate::record::Unit;

pub(super) const MAKER: Maker =
    Maker { manufacturers: &["EBZ", "ESY"], layouts: &[LAYOUTS], rows: ROWS, ..Maker::PLAIN };

const MODELS: &[(u8, u8)] = &[(0x01, 0x02), (0x30, 0x37), (0x11, 0x02)];

const LAYOUTS: &[Layout] = &[
    Layout::vib(MODELS, &[0xa9, 0xff, 0x01], &[0xa9, 0xfc, 0x01]),
    Layout::vib(MODELS, &[0xa9, 0xff, 0x02], &[0xa9, 0xfc, 0x02]),
    Layout::vib(MODELS, &[0xa9, 0xff, 0x03], &[0xa9, 0xfc, 0x03]),
];

const EASY_METER: &[(u8, u8)] = &[(0x30, 0x37), (0x11, 0x02)];

const ROWS: &[Row] = &[
    Row {
        models: EASY_METER,
        vifes: &[0x00],
        fields: &[Field { exponent: -2, ..Field::whole("phase_power", Unit::Watt) }],
    },
    Row { models: EASY_METER, vifes: &[0x28], fields: &[Field::whole("phase_number", Unit::None)] },
];
