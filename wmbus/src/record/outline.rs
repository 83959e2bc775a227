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
                    return Some(Outline::Record { vib });
                }
            }
        }
        None
    })
}

/// The VIB of the record in front, and what follows the record.
#[inline(always)]
fn record(octets: &[u8]) -> Result<(&[u8], &[u8]), Reject> {
    match short(octets) {
        Some(record) => Ok(record),
        None => long(octets),
    }
}

/// [`record`] for DIB and VIB in eight octets, without plain text, and data of a fixed length.
#[inline(always)]
fn short(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let word = u64::from_le_bytes(*octets.first_chunk()?);
    // The first octet without an extension bit ends the DIB, the second one the VIB.
    let ends = NonZeroU64::new(!word & EXTENSIONS)?;
    let vib_at = ends.trailing_zeros() as usize / 8 + 1;
    let ends = NonZeroU64::new(ends.get() & (ends.get() - 1))?;
    let data_at = ends.trailing_zeros() as usize / 8 + 1;
    let data_field = DataField::from_code(word as u8)?;
    let vib = octets.get(vib_at..data_at)?;
    if data_field == DataField::Variable || vib.first()? & !EXTENSION == PLAIN_TEXT {
        return None;
    }
    Some((vib, octets.get(data_at + data_field.fixed_size()..)?))
}

#[inline(never)]
fn long(octets: &[u8]) -> Result<(&[u8], &[u8]), Reject> {
    let (dib, behind_dib) = Dib::split(octets)?;
    let Extent { rest, .. } = Extent::of(behind_dib)?;
    let vib = behind_dib.get(..behind_dib.len() - rest.len()).unwrap_or_default();
    let len = match dib.data_field {
        DataField::Variable => 1 + variable_len(*rest.first().ok_or(Reject::Truncated)?)?,
        data_field => data_field.fixed_size(),
    };
    Ok((vib, rest.get(len..).ok_or(Reject::Truncated)?))
}

const EXTENSION: u8 = 0x80;
const EXTENSIONS: u64 = 0x8080_8080_8080_8080;
const PLAIN_TEXT: u8 = 0x7c;
