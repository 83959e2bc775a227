//! Keeps what sled would shred. Opening a damaged file, sled 0.34.7 fills the log behind the first bad message of its
//! last segments with zeros, and every segment that its shortened page table no longer names. What of our values lies
//! there is held in memory until the database has proved to be what was promised.
//!
//! The walk over segments and messages follows sled's `pagecache/logger.rs` and `iterator.rs`; a mistake here costs a
//! better salvage, never a record that sled finds.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Buf;

use super::value::{begins_at, find_at};

/// Whole values of ours, one behind the other, from the places at risk.
#[derive(Debug, Default)]
pub(super) struct Stash {
    octets: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    lsn: u64,
    stable: u64,
}

impl Stash {
    /// Looks through a database file that is not open. What cannot be read is not at hand for sled either.
    pub(super) fn take(path: &Path) -> Self {
        let mut stash = Self::default();
        let Ok(file) = File::open(path) else { return stash };
        let Ok(length) = file.metadata().map(|metadata| metadata.len()) else { return stash };
        let headers: Vec<Option<Header>> = (0..length.div_ceil(SEGMENT)).map(|n| header(&file, n * SEGMENT)).collect();
        // The last segments are where a bad message cuts the log.
        let stable = headers.iter().flatten().map(|header| header.stable).max().unwrap_or(0);
        let tail = (stable / SEGMENT * SEGMENT).saturating_sub(SEGMENT);
        let snapshot = snapshot(path.parent().unwrap_or(path));
        let mut segment = Vec::new();
        for (number, header) in headers.iter().enumerate() {
            if header.is_some_and(|header| header.lsn < tail && header.lsn + SEGMENT <= snapshot) {
                // sled knows its pages from the snapshot and does not go through it.
                continue;
            }
            let base = number as u64 * SEGMENT;
            segment.resize(SEGMENT.min(length - base) as usize, 0);
            if file.read_exact_at(&mut segment, base).is_err() {
                continue;
            }
            let sound = match header {
                Some(header) if header.lsn < tail => sound_octets(&segment, header.lsn / SEGMENT),
                _ => 0,
            };
            stash.keep(segment.get(sound..).unwrap_or_default());
            if stash.octets.len() >= LIMIT {
                break;
            }
        }
        stash
    }

    /// Puts the values behind the database, which sled has given up, where salvage finds them.
    pub(super) fn give_back(&self, path: &Path) -> io::Result<()> {
        if self.octets.is_empty() || !path.exists() {
            return Ok(());
        }
        let append = || {
            let mut file = OpenOptions::new().append(true).open(path)?;
            file.write_all(&self.octets)?;
            file.sync_all()
        };
        append().or_else(|error| {
            // The store's reserve is for this too.
            let reserve = path.parent().and_then(Path::parent).map(|store| store.join("reserve"));
            if error.kind() != io::ErrorKind::StorageFull || reserve.is_none_or(|path| remove_file(path).is_err()) {
                return Err(error);
            }
            append()
        })
    }

    fn keep(&mut self, octets: &[u8]) {
        let mut at = 0;
        while let Some(rest) = octets.get(at..) {
            let Some(skip) = rest.iter().position(|octet| *octet == b'D') else { break };
            let rest = rest.get(skip..).unwrap_or_default();
            let found = if begins_at(rest) { find_at(rest) } else { None };
            let length = found.map_or(0, |(_, _, length)| length);
            self.octets.extend_from_slice(rest.get(..length).unwrap_or_default());
            at += skip + length.max(1);
        }
    }
}

/// Up to where in the log the newest snapshot knows: its name says it.
fn snapshot(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let number = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        u64::from_str_radix(name.to_str()?.strip_prefix("snap.")?, 16).ok()
    };
    entries.filter_map(number).max().unwrap_or(0)
}

/// The header of a segment, when its checksum is right.
fn header(file: &File, base: u64) -> Option<Header> {
    let mut octets = [0; HEADER];
    file.read_exact_at(&mut octets, base).ok()?;
    let (checksum, rest) = octets.split_first_chunk::<4>()?;
    let mut buf = rest;
    let (lsn, stable) = (buf.try_get_u64_le().ok()? ^ MASK, buf.try_get_u64_le().ok()? ^ MASK);
    let is_right = crc32fast::hash(rest) == u32::from_le_bytes(*checksum) ^ u32::MAX;
    // "Nothing is stable yet" is minus one.
    let stable = if stable > MASK { 0 } else { stable };
    is_right.then_some(Header { lsn, stable })
}

/// Octets of a segment up to its end or the first message that is bad.
fn sound_octets(segment: &[u8], number: u64) -> usize {
    let mut at = HEADER;
    while at + LONGEST_MESSAGE_HEADER <= segment.len() {
        match message(segment.get(at..).unwrap_or_default(), number) {
            Some((CAP, _)) => return segment.len(),
            Some((_, length)) => at += length,
            None => return at,
        }
    }
    segment.len()
}

/// Kind and length of the message that begins here, when its checksum is right.
fn message(octets: &[u8], segment: u64) -> Option<(u8, usize)> {
    let mut buf = octets;
    let checksum = buf.try_get_u32_le().ok()?;
    let after_checksum = buf;
    let kind = buf.try_get_u8().ok().filter(|kind| (1..=11).contains(kind))?;
    let length = usize::try_from(varint(&mut buf)?).ok()?;
    let (of, _page) = (varint(&mut buf)?, varint(&mut buf)?);
    let head = after_checksum.get(..after_checksum.len() - buf.len())?;
    let body = buf.get(..length)?;
    // Body first, then the header behind its checksum.
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(head);
    let is_right = hasher.finalize() ^ u32::MAX == checksum && of == segment;
    is_right.then_some((kind, 4 + head.len() + length))
}

/// sled's integers of variable length.
fn varint(buf: &mut &[u8]) -> Option<u64> {
    let first = buf.try_get_u8().ok()?;
    Some(match first {
        0..=240 => u64::from(first),
        241..=248 => 240 + 256 * (u64::from(first) - 241) + u64::from(buf.try_get_u8().ok()?),
        249 => 2288 + 256 * u64::from(buf.try_get_u8().ok()?) + u64::from(buf.try_get_u8().ok()?),
        250..=255 => buf.try_get_uint_le(usize::from(first) - 247).ok()?,
    })
}

/// sled's default, which we keep.
const SEGMENT: u64 = 512 * 1024;
const HEADER: usize = 20;
const LONGEST_MESSAGE_HEADER: usize = 32;
const MASK: u64 = i64::MAX as u64;
/// The message that fills a segment up.
const CAP: u8 = 2;
/// Memory for the time of opening. More is at risk only where the file is damaged all over.
const LIMIT: usize = 8 << 20;
