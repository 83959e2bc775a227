//! Zenner: water meters 0B, of which all is behind DIF 0F; the clock of the module 99.
//!
//! ```text
//! 0F SSSSSSSS dddddddd vvvvvvvv (2F)
//! S  status, 0 is well    d  at the end of the month before    v  register, both in 1/256 litre;
//! all bits set is none
//! 2F fills the last block of the cipher
//! 04 6D ..     clock, whose hundred years are not to be trusted
//! ```
//!
//! Known from one public decoder; the bits of the status are not. Nor is any shorter block: where the fill reaches into
//! the register nobody can tell its octets from those of a value.

use bytes::Buf;

use super::layout::{Fault, Layout, Maker, Place, Sent};
use super::qundis::WALK_BY;
use super::translation::{Translation, counted};
use crate::record::IDLE;

pub(super) const MAKER: Maker = Maker { manufacturers: &["ZRI"], layouts: &[LAYOUTS, WALK_BY], ..Maker::PLAIN };

const LAYOUTS: &[Layout] = &[
    Layout { models: &[(0x0b, 0x16)], place: Place::Records, translate: water },
    Layout { models: &[(0x99, 0x07)], place: Place::Record(VIB_DATE_TIME), translate: clock },
];

fn water(_: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let mut buf = octets.strip_prefix(&[MANUFACTURER]).ok_or(Fault::Other)?;
    let status = buf.try_get_u32_le()?;
    let due = buf.try_get_u32_le()?;
    let register = buf.try_get_u32_le()?;
    if is_fill(register, buf) {
        return Err(Fault::LENGTH);
    }
    let volume = |number| counted(number, u32::BITS).map(|number| i64::from(number) * PER_256);
    out.number_or_none(VIB_VOLUME, volume(register));
    out.stored_or_none(1, VIB_VOLUME, volume(due));
    out.flags(&status.to_le_bytes());
    // They stay for who looks at them.
    out.octets(octets);
    Ok(())
}

/// The block ended before its register did. One octet of fill on top is believed: it is in registers from 3,080 m3 on.
fn is_fill(register: u32, behind: &[u8]) -> bool {
    register.to_le_bytes().ends_with(&[IDLE; 2]) && behind.iter().all(|octet| *octet == IDLE)
}

/// Type F with the hundred years of 2100, which are not those of the dates beside it.
fn clock(_: &Sent<'_>, octets: &[u8], out: &mut Translation<'_>) -> Result<(), Fault> {
    let [dif @ 0x04, vif, minute, hour, day, month] = *octets else { return Err(Fault::Other) };
    if hour & HUNDRED_YEARS != YEARS_2100 {
        return Err(Fault::Other);
    }
    out.octets(&[dif, vif, minute, hour & !HUNDRED_YEARS, day, month]);
    Ok(())
}

/// The DIF before data of the manufacturer's own.
const MANUFACTURER: u8 = 0x0f;
const VIB_DATE_TIME: &[u8] = &[0x6d];
const HUNDRED_YEARS: u8 = 0x60;
const YEARS_2100: u8 = 0x40;
/// Volume with ten to the power of -11: 1/256 litre is 390,625 of it.
const VIB_VOLUME: &[u8] = &[0x90, 0x71];
const PER_256: i64 = 390_625;
