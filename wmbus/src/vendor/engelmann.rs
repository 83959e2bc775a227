//! Engelmann: allocators HCA e2, which store differences.
//!
//! ```text
//! 01 6E, 02 6E, 03 6E  storage 2 to 31: units since the half month before; below zero where the due date began anew
//! ```
//!
//! Known from public decoders.

use super::field::{Field, Stored};
use super::layout::Maker;
use crate::record::Unit;

pub(super) const MAKER: Maker = Maker { manufacturers: &["EFE"], stored: STORED, ..Maker::PLAIN };

const STORED: &[Stored] = &[Stored {
    models: &[(0x31, 0x08)],
    vib: &[0x6e],
    storages: (2, 31),
    fields: &[Field::whole("hca_units_difference", Unit::None)],
}];
