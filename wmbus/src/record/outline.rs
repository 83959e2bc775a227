//! Where data records stand, without what they say: for those who look for one among many.

use std::num::NonZeroU64;

use super::value::variable_len;
use super::vib::Extent;
use super::{DataField, Dib, IDLE, MANUFACTURER, MANUFACTURER_AND_MORE};
use crate::Reject;

/// What is found behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outline<'a> {
    /// A record, by its VIF and VIFEs.
    Record { vib: &'a [u8] },
    /// What follows DIF 0F or 1F.
    Tail,
}

/// Goes through application octets as [`super::Records`] does, and ends where it does.
pub(crate) fn outlines(mut octets: &[u8]) -> impl Iterator<Item = Outline<'_>> {
    std::iter::from_fn(move || {
        while let Some((dif, after)) = octets.split_first() {
            match *dif {
                IDLE => octets = after,
                MANUFACTURER | MANUFACTURER_AND_MORE => {
                    octets = &[];
                    return Some(Outline::Tail);
                }
                _ => {
                    let (vib, rest) = record(octets).ok()?;
                    octets = rest;
                    if let Some(vib) = vib {
                        return Some(Outline::Record { vib });
                    }
                }
            }
        }
        None
    })
}

/// What follows the record in front; nothing where it is damaged.
pub(super) fn behind(octets: &[u8]) -> &[u8] {
    record(octets).map_or(&[], |(_, rest)| rest)
}

/// The VIB of the record in front, and what follows the record; no VIB of one that is not taken.
#[inline(always)]
fn record(octets: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Reject> {
    match short(octets) {
        Some((vib, rest)) => Ok((Some(vib), rest)),
        None => long(octets),
    }
}

/// [`record`] for DIB and VIB in eight octets, without plain text, and data of a fixed length.
#[inline(always)]
fn short(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let word = u64::from_le_bytes(*octets.first_chunk()?);
    // The first octet without an extension bit ends the DIB, the second one the VIB.
    let ends = NonZeroU64::new(!word & EXTENSIONS)?;
    let vib_bit = ends.trailing_zeros() + 1;
    let ends = NonZeroU64::new(ends.get() & (ends.get() - 1))?;
    let data_at = (ends.trailing_zeros() / 8 + 1) as usize;
    if word.wrapping_shr(vib_bit) as u8 & !EXTENSION == PLAIN_TEXT {
        return None;
    }
    let rest = octets.get(data_at + usize::from(*LENGTHS.get(word as usize & 0x0f)?)..)?;
    Some((octets.get((vib_bit / 8) as usize..data_at)?, rest))
}

#[inline(never)]
fn long(octets: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Reject> {
    let (dib, behind_dib) = Dib::split(octets)?;
    let Extent { rest, .. } = Extent::of(behind_dib)?;
    let vib = behind_dib.get(..behind_dib.len() - rest.len()).unwrap_or_default();
    let len = match dib.data_field {
        DataField::Variable => 1 + variable_len(*rest.first().ok_or(Reject::Truncated)?)?,
        data_field => data_field.fixed_size(),
    };
    let vib = Some(vib).filter(|_| u32::try_from(dib.storage_number).is_ok());
    Ok((vib, rest.get(len..).ok_or(Reject::Truncated)?))
}

/// Octets of data by the data field; of those that have no fixed length, more than any frame has.
static LENGTHS: [u16; 16] = lengths();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn lengths() -> [u16; 16] {
    let mut lengths = [u16::MAX; 16];
    let mut code = 0;
    while code < lengths.len() {
        if let Some(data_field) = DataField::from_code(code as u8) {
            if let Some(size) = data_field.size() {
                lengths[code] = size as u16;
            }
        }
        code += 1;
    }
    lengths
}

const EXTENSION: u8 = 0x80;
const EXTENSIONS: u64 = 0x8080_8080_8080_8080;
const PLAIN_TEXT: u8 = 0x7c;
