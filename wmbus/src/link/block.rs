//! Frame formats A and B: where the CRCs are. EN 13757-4:2019, 12.3.

use super::crc;
use crate::Reject;

/// Octets of a format A frame with `frame_len` octets, L-field included, CRCs not.
pub(super) fn len_a(frame_len: usize) -> usize {
    frame_len + 2 * (1 + frame_len.saturating_sub(FIRST_BLOCK_A).div_ceil(BLOCK_A))
}

/// The CRC of the first block is right.
pub(super) fn is_first_block_a(octets: &[u8]) -> bool {
    octets.get(..FIRST_BLOCK_A + 2).is_some_and(|block| checked(block).is_ok())
}

/// The CRC of the second block is right; None where not all of it is there.
pub(super) fn is_second_block_a(octets: &[u8], frame_len: usize) -> Option<bool> {
    let size = frame_len.checked_sub(FIRST_BLOCK_A).filter(|size| *size > 0)?.min(BLOCK_A);
    let block = octets.get(FIRST_BLOCK_A + 2..)?.get(..size + 2)?;
    Some(checked(block).is_ok())
}

/// The CRC of the second block is right, were it a full one.
pub(super) fn is_full_block_a(octets: &[u8]) -> bool {
    is_second_block_a(octets, FIRST_BLOCK_A + BLOCK_A) == Some(true)
}

/// A CRC of format A is right, whatever the L-field says.
pub(super) fn is_any_a(octets: &[u8]) -> bool {
    let rest = octets.get(FIRST_BLOCK_A + 2..).unwrap_or_default();
    is_first_block_a(octets) || rest.chunks(BLOCK_A + 2).any(tells)
}

/// There are CRCs of format A, whatever the L-field says, and the first is wrong: two of them, or all others.
pub(super) fn is_damaged_a(octets: &[u8]) -> bool {
    let Some(rest) = octets.get(FIRST_BLOCK_A + 2..) else { return false };
    let blocks = rest.chunks(BLOCK_A + 2);
    let others = blocks.len();
    let right = blocks.filter(|block| tells(block)).take(2).count();
    right == 2 || right == 1 && others == 1
}

/// Writes the octets from the C-field on to `out`; true where octets are missing at the end.
pub(super) fn strip_a(octets: &[u8], out: &mut Vec<u8>) -> Result<bool, Reject> {
    out.clear();
    let mut missing = 1 + usize::from(*octets.first().ok_or(Reject::Truncated)?);
    let mut rest = octets;
    let mut size = FIRST_BLOCK_A;
    while missing > 0 {
        let Some((block, after)) = rest.split_at_checked(size.min(missing) + 2) else {
            return if size == BLOCK_A { Ok(true) } else { Err(Reject::Truncated) };
        };
        let data = checked(block)?;
        out.extend_from_slice(if size == FIRST_BLOCK_A { data.get(1..).unwrap_or_default() } else { data });
        missing -= data.len();
        rest = after;
        size = BLOCK_A;
    }
    Ok(false)
}

/// Whether all CRCs of format B are right; a `Reject` where one of two is.
pub(super) fn check_b(octets: &[u8]) -> Result<bool, Reject> {
    let Some((first, second)) = blocks_b(octets) else { return Ok(false) };
    match (checked(first).is_ok(), second.map(|second| (checked(second).is_ok(), tells(second)))) {
        (first, None) => Ok(first),
        (true, Some((true, _))) => Ok(true),
        (false, Some((_, false))) => Ok(false),
        _ => Err(Reject::BadCrc),
    }
}

/// The CRC of the first of two blocks is right.
pub(super) fn is_first_block_b(octets: &[u8]) -> bool {
    octets.get(..FIRST_BLOCK_B).is_some_and(|block| checked(block).is_ok())
}

/// The CRC of the second block is right, were it all that is behind the first.
pub(super) fn is_second_block_b(octets: &[u8]) -> bool {
    octets.get(FIRST_BLOCK_B..).is_some_and(tells)
}

/// Octets of CRCs that were in a frame of format B of which so many are left.
pub(super) const fn crcs_b(stripped_len: usize) -> usize {
    if stripped_len + 2 <= FIRST_BLOCK_B { 2 } else { 4 }
}

/// Writes the octets from the C-field on to `out`; true where the second block is not whole.
pub(super) fn strip_b(octets: &[u8], out: &mut Vec<u8>) -> Result<bool, Reject> {
    out.clear();
    let (first, second) = match blocks_b(octets) {
        Some((first, second)) => (first, Some(second)),
        None => (octets.get(..FIRST_BLOCK_B).ok_or(Reject::Truncated)?, None),
    };
    out.extend_from_slice(checked(first)?.get(1..).unwrap_or_default());
    if let Some(Some(second)) = second {
        out.extend_from_slice(checked(second)?);
    }
    Ok(second.is_none())
}

pub(super) fn emit_a(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(len_a(body.len() + 1));
    let (first, rest) = body.split_at_checked(FIRST_BLOCK_A - 1).unwrap_or((body, &[]));
    out.push(u8::try_from(body.len()).ok()?);
    out.extend_from_slice(first);
    push_crc(&mut out, 0);
    for block in rest.chunks(BLOCK_A) {
        let start = out.len();
        out.extend_from_slice(block);
        push_crc(&mut out, start);
    }
    Some(out)
}

pub(super) fn emit_b(body: &[u8]) -> Option<Vec<u8>> {
    let (first, second) = body.split_at_checked(FIRST_BLOCK_B - 3).unwrap_or((body, &[]));
    let crcs = if second.is_empty() { 2 } else { 4 };
    let mut out = vec![u8::try_from(body.len() + crcs).ok()?];
    out.extend_from_slice(first);
    push_crc(&mut out, 0);
    if !second.is_empty() {
        let start = out.len();
        out.extend_from_slice(second);
        push_crc(&mut out, start);
    }
    Some(out)
}

/// The one or two blocks of a format B frame, each with its CRC; None where octets are missing.
fn blocks_b(octets: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let frame = octets.get(..1 + usize::from(*octets.first()?))?;
    match frame.split_at_checked(FIRST_BLOCK_B) {
        Some((first, second)) if !second.is_empty() => Some((first, Some(second))),
        _ => Some((frame, None)),
    }
}

/// The octets before a right CRC.
fn checked(block: &[u8]) -> Result<&[u8], Reject> {
    let (data, sent) = block.split_last_chunk().ok_or(Reject::BadCrc)?;
    if crc(data) == u16::from_be_bytes(*sent) { Ok(data) } else { Err(Reject::BadCrc) }
}

/// The CRC is right, and not that of nothing, FFFF, which stands at the end of many a frame without CRCs. That of zeros is
/// FFFF as well: it counts, or damage before zeros would go unseen.
fn tells(block: &[u8]) -> bool {
    checked(block).is_ok_and(|data| !data.is_empty())
}

fn push_crc(out: &mut Vec<u8>, start: usize) {
    let crc = crc(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.to_be_bytes());
}

pub(super) const FIRST_BLOCK_A: usize = 10;
const BLOCK_A: usize = 16;
/// Blocks 1 and 2 together, with their CRC.
pub(crate) const FIRST_BLOCK_B: usize = 128;
