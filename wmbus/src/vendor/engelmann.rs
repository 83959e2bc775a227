//! Engelmann: allocators HCA e2, which store differences.
//!
//! ```text
//! 01 6E, 02 6E, 03 6E  storage 2 to 31: units since the half month before; below zero where the due date began anew
//! ```
//!
//! Known from public decoders.

use super::field::{Field, Row};
use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::Translation;
use crate::record::{Dib, Unit};

pub(super) const MAKER: Maker = Maker { manufacturers: &["EFE"], layouts: &[LAYOUTS], rows: ROWS, ..Maker::PLAIN };

const LAYOUTS: &[Layout] = &[Layout { models: &[(0x31, 0x08)], place: Place::Record(UNITS), translate: difference }];

const ROWS: &[Row] =
    &[Row { models: &[], vifes: DIFFERENCE, fields: &[Field::whole("hca_units_difference", Unit::None)] }];

fn difference(_: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let mut data = octets;
    let dib = Dib::parse(&mut data)?;
    if !(2..=31).contains(&dib.storage_number) {
        return Err(Fault::Other);
    }
    let data = data.strip_prefix(UNITS).ok_or(Fault::Other)?;
    out.sent(dib, VIB, data);
    Ok(())
}

const VIB: &[u8] = &[0xff, 0xff, 0x01];
const UNITS: &[u8] = &[0x6e];
const DIFFERENCE: &[u8] = &[0xff, 0x01];
