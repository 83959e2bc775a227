//! The frame around every value in the database: magic, version, length, body, CRC32C.
//!
//! It lets salvage find values in the octets of a damaged file without the database's help, and a program tell
//! what is newer than itself. All integers are little endian, in keys big endian.

use bytes::{Buf, BufMut};

use super::{Epoch, Lane};

/// What kind of value it is: its magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Group,
    Batch,
    LaneState,
    Epochs,
    Mark,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Group, Self::Batch, Self::LaneState, Self::Epochs, Self::Mark];

    const fn magic(self) -> [u8; 4] {
        match self {
            Self::Group => *b"DcuG",
            Self::Batch => *b"DcuB",
            Self::LaneState => *b"DcuL",
            Self::Epochs => *b"DcuE",
            Self::Mark => *b"DcuM",
        }
    }
}

/// Puts a body into its frame.
pub(super) fn frame(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(OVERHEAD + body.len());
    out.put_slice(&kind.magic());
    out.put_u8(VERSION);
    out.put_u32_le(body.len() as u32);
    out.put_slice(body);
    out.put_u32_le(crc32c::crc32c(&out));
    out
}

/// Takes the frame off; `octets` is the whole value.
pub(super) fn unframe(kind: Kind, octets: &[u8]) -> Option<&[u8]> {
    let (found, body, length) = find_at(octets)?;
    (found == kind && length == octets.len()).then_some(body)
}

/// The value that begins at the first octet, if there is a whole one: kind, body, octets with the frame.
pub(super) fn find_at(octets: &[u8]) -> Option<(Kind, &[u8], usize)> {
    let kind = Kind::ALL.into_iter().find(|kind| octets.starts_with(&kind.magic()))?;
    let mut buf = octets.get(4..)?;
    if buf.try_get_u8().ok()? != VERSION {
        return None;
    }
    let length = buf.try_get_u32_le().ok()? as usize;
    if length > BODY_LIMIT {
        return None;
    }
    let body = buf.get(..length)?;
    buf.advance(length);
    let checksum = buf.try_get_u32_le().ok()?;
    (crc32c::crc32c(octets.get(..HEADER + length)?) == checksum).then_some((kind, body, OVERHEAD + length))
}

/// Magic, version and length without a look at the checksum: does a value seem to begin here?
pub(super) fn begins_at(octets: &[u8]) -> bool {
    octets.starts_with(b"Dcu")
}

/// The key of a batch: batches of one lane are neighbours, its epochs in the order of their beginning.
pub(super) fn batch_key(lane: Lane, ordinal: u32, first: u64) -> [u8; 13] {
    let mut key = [0; 13];
    let mut out = key.as_mut_slice();
    out.put_u8(lane as u8);
    out.put_u32(ordinal);
    out.put_u64(first);
    key
}

pub(super) fn group_key(ordinal: u32, commit: u64, part: u16) -> [u8; 14] {
    let mut key = [0; 14];
    let mut out = key.as_mut_slice();
    out.put_u32(ordinal);
    out.put_u64(commit);
    out.put_u16(part);
    key
}

pub(super) fn state_key(ordinal: u32, lane: Lane) -> [u8; 6] {
    let mut key = [1; 6];
    let mut out = key.get_mut(1..).expect("six octets long");
    out.put_u32(ordinal);
    out.put_u8(lane as u8);
    key
}

/// Where the list of epochs lies.
pub(super) const EPOCHS_KEY: [u8; 1] = [0];

/// The list of epochs: ordinal and name.
pub(super) fn emit_epochs(epochs: &[(u32, Epoch)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (ordinal, epoch) in epochs {
        body.put_u32_le(*ordinal);
        body.put_u64_le(epoch.0);
    }
    frame(Kind::Epochs, &body)
}

pub(super) fn parse_epochs(value: &[u8]) -> Option<Vec<(u32, Epoch)>> {
    let mut buf = unframe(Kind::Epochs, value)?;
    let mut epochs = Vec::new();
    while !buf.is_empty() {
        epochs.push((buf.try_get_u32_le().ok()?, Epoch(buf.try_get_u64_le().ok()?)));
    }
    Some(epochs)
}

pub(super) fn get_hash(buf: &mut &[u8]) -> Option<[u8; 32]> {
    let (hash, rest) = buf.split_first_chunk()?;
    *buf = rest;
    Some(*hash)
}

/// The format of all values together; a newer one is never opened.
pub(super) const VERSION: u8 = 1;
/// Magic, version, length.
const HEADER: usize = 9;
pub(super) const OVERHEAD: usize = HEADER + 4;
/// No value of ours is longer: what claims to be is not ours.
pub(super) const BODY_LIMIT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_with_any_octet_changed_is_no_value() {
        let value = frame(Kind::Batch, b"some octets");
        assert_eq!(unframe(Kind::Batch, &value), Some(b"some octets".as_slice()));
        assert_eq!(unframe(Kind::Group, &value), None);
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 0x10;
            assert_eq!(find_at(&damaged), None, "octet {at}");
            assert_eq!(find_at(&value[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn keys_sort_by_lane_then_age_then_sequence() {
        let keys = [
            batch_key(Lane::Outage, 1, 900),
            batch_key(Lane::Security, 0, 1),
            batch_key(Lane::Security, 0, 300),
            batch_key(Lane::Security, 1, 1),
        ];
        assert!(keys.is_sorted());
        assert!([group_key(0, 255, 1), group_key(0, 256, 0), group_key(1, 1, 0)].is_sorted());
        assert!(EPOCHS_KEY.as_slice() < state_key(0, Lane::Outage).as_slice());
    }
}
