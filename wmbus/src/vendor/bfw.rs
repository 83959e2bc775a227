//! BFW: the heat cost allocator 240 radio. Not data records, though CI-field 7A says so; not encrypted.
//!
//! ```text
//! 2F2F .... pppp cccc .... (xx yz zz) x 9 DDMMYY        most significant octet first
//! p  units of the period before    c  units of this period
//! x y z  two months of 12 bits: yxx the older, yzz the newer; the oldest pair, 18 and 17 months ago, first
//! D M Y  day, BCD                                      all bits set: none
//! ```
//!
//! In the pair's octets x, y, z the older month has the upper half of y, the newer one the lower. Known from public
//! decoders.

use bytes::Buf;

use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::translation::{Translation, bcd_date, counted};

pub(super) const MAKER: Maker = Maker {
    manufacturers: &["BFW"],
    layouts: &[&[Layout { models: &[(0x02, 0x08)], place: Place::Records, translate: allocator }]],
    ..Maker::PLAIN
};

fn allocator(_: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let (Some(mut buf), LENGTH) = (octets.strip_prefix(&FILLER), octets.len()) else {
        return Err(Fault::LENGTH);
    };
    buf.try_get_u16()?;
    let due = counted(buf.try_get_u16()?.into(), u16::BITS);
    let current = counted(buf.try_get_u16()?.into(), u16::BITS);
    buf.try_get_u16()?;
    let mut months = [0; 2 * PAIRS];
    for pair in months.rchunks_exact_mut(2) {
        let (x, y, z) = (u16::from(buf.try_get_u8()?), u16::from(buf.try_get_u8()?), u16::from(buf.try_get_u8()?));
        pair.copy_from_slice(&[(y & 0x0f) << 8 | z, (y >> 4) << 8 | x]);
    }
    let (day, month, year) = (buf.try_get_u8()?, buf.try_get_u8()?, buf.try_get_u8()?);
    out.number_or_none(VIB_UNITS, current);
    out.date(0, bcd_date(year, month, day));
    out.stored_or_none(1, VIB_UNITS, due);
    for (storage_number, units) in (2..).zip(months) {
        out.stored_or_none(storage_number, VIB_UNITS, counted(units.into(), MONTH_BITS));
    }
    Ok(())
}

const FILLER: [u8; 2] = [0x2f; 2];
const LENGTH: usize = 40;
const PAIRS: usize = 9;
const MONTH_BITS: u32 = 12;
const VIB_UNITS: &[u8] = &[0x6e];
