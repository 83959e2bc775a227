//! Zenner: water meters 0B, whose application is not data records though CI-field 7A says so.
//!
//! ```text
//! 0F SSSSSSSS dddddddd vvvvvvvv (..)
//! S  status, 0 is well    d  at the end of the month before    v  register, both in 1/256 litre
//! ```
//!
//! Known from one public decoder; the bits of the status are not.

use bytes::Buf;

use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::qundis::WALK_BY;
use super::translation::Translation;

pub(super) const MAKER: Maker = Maker {
    manufacturers: &["ZRI"],
    address: None,
    layouts: &[&[Layout { models: &[(0x0b, 0x16)], place: Place::Tail, translate: water }], WALK_BY],
    rows: &[],
};

fn water(_: &Sent<'_>, mut buf: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let status = buf.try_get_u32_le()?;
    let due = buf.try_get_u32_le()?;
    let register = buf.try_get_u32_le()?;
    out.number(VIB_VOLUME, i64::from(register) * PER_256);
    out.stored(1, VIB_VOLUME, i64::from(due) * PER_256);
    out.flags(&status.to_le_bytes());
    Ok(())
}

/// Volume with ten to the power of -11: 1/256 litre is 390,625 of it.
const VIB_VOLUME: &[u8] = &[0x90, 0x71];
const PER_256: i64 = 390_625;
