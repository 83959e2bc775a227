//! Axioma: the battery of the water meter Q400.
//!
//! ```text
//! 01 FD 74  bb    battery in percent, where the standard has days
//! ```
//!
//! Known from public decoders. Only records of one octet: days would have more.

use super::field::{Field, Row};
use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::Translation;
use crate::record::Unit;

pub(super) const MAKER: Maker = Maker {
    manufacturers: &["AXI"],
    layouts: &[&[Layout { models: &[], place: Place::Record(VIB_BATTERY), translate: battery }]],
    rows: &[Row { models: &[], vifes: BATTERY, fields: &[Field::count("battery_level", Unit::Percent)] }],
    ..Maker::PLAIN
};

fn battery(_: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let [0x01, 0xfd, 0x74, percent] = *octets else { return Err(Fault::Other) };
    out.own(0, BATTERY, percent);
    Ok(())
}

const VIB_BATTERY: &[u8] = &[0xfd, 0x74];
const BATTERY: &[u8] = &[0xff, 0x01];
