//! One small value that is replaced often: two slots of a preallocated file, written in turn.
//!
//! Each slot lies in a page of its own: a torn write damages the slot that was being written, never the other one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use super::{JournalError, replace_file};

/// A value that survives any single torn write.
#[derive(Debug)]
pub struct Slots {
    file: File,
    path: PathBuf,
    /// Counts writes; the slot is its parity.
    counter: u64,
}

/// What a slot file held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There was no file, or nothing was ever written to it.
    Nothing,
    /// There was something once, and neither slot is whole.
    Damaged,
    Value(Vec<u8>),
}

impl Slots {
    /// The longest value.
    pub const LIMIT: usize = PAGE - OVERHEAD;

    /// Opens the file or makes it, and says what it held.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub fn open(path: &Path) -> Result<(Self, Found), JournalError> {
        let existing = match std::fs::read(path) {
            Ok(octets) => Some(octets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(JournalError::io("read", path)(error)),
        };
        let whole = existing.as_ref().is_some_and(|octets| octets.len() == 2 * PAGE);
        if !whole {
            replace_file(path, &[0; 2 * PAGE]).map_err(JournalError::io("create", path))?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(JournalError::io("open", path))?;
        let (found, counter) = existing.map_or((Found::Nothing, 0), |octets| look(&octets));
        let mut slots = Self { file, path: path.to_owned(), counter };
        if let (false, Found::Value(value)) = (whole, &found) {
            slots.write(value)?;
        }
        Ok((slots, found))
    }

    /// Reads without opening for writing and without making anything.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn peek(path: &Path) -> Result<Found, JournalError> {
        match std::fs::read(path) {
            Ok(octets) => Ok(look(&octets).0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(JournalError::io("read", path)(error)),
        }
    }

    /// Replaces the value; it is durable when this returns.
    ///
    /// # Errors
    /// The value is longer than `LIMIT`, or the disk failed: the value before it is still there.
    pub fn write(&mut self, value: &[u8]) -> Result<(), JournalError> {
        if value.len() > Self::LIMIT {
            return Err(JournalError::TooLong { path: self.path.clone(), octets: value.len(), limit: Self::LIMIT });
        }
        let counter = self.counter + 1;
        let mut slot = Vec::with_capacity(OVERHEAD + value.len());
        slot.put_slice(&MAGIC);
        slot.put_u64_le(counter);
        slot.put_u16_le(u16::try_from(value.len()).expect("shorter than a page"));
        slot.put_slice(value);
        slot.put_u32_le(crc32c::crc32c(&slot));
        let offset = (counter % 2) * PAGE as u64;
        self.file
            .write_all_at(&slot, offset)
            .and_then(|()| self.file.sync_data())
            .map_err(JournalError::io("write", &self.path))?;
        self.counter = counter;
        Ok(())
    }
}

/// The newest whole slot, and how many writes were counted.
fn look(octets: &[u8]) -> (Found, u64) {
    let newest = octets.chunks(PAGE).filter_map(|page| parse(&mut &*page)).max_by_key(|(counter, _)| *counter);
    match newest {
        Some((counter, value)) => (Found::Value(value), counter),
        None if octets.iter().all(|octet| *octet == 0) => (Found::Nothing, 0),
        None => (Found::Damaged, 0),
    }
}

fn parse(buf: &mut &[u8]) -> Option<(u64, Vec<u8>)> {
    let whole = *buf;
    if !buf.starts_with(&MAGIC) {
        return None;
    }
    buf.advance(MAGIC.len());
    let counter = buf.try_get_u64_le().ok()?;
    let length = usize::from(buf.try_get_u16_le().ok()?);
    let value = buf.get(..length)?.to_vec();
    buf.advance(length);
    let checksum = buf.try_get_u32_le().ok()?;
    (crc32c::crc32c(whole.get(..OVERHEAD - 4 + length)?) == checksum).then_some((counter, value))
}

const MAGIC: [u8; 4] = *b"DCUs";
const PAGE: usize = 4096;
/// Magic, counter, length, checksum.
const OVERHEAD: usize = 4 + 8 + 2 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_written_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slots");
        assert_eq!(Slots::open(&path).unwrap().1, Found::Nothing);
        for round in 0..5u8 {
            let (mut slots, _) = Slots::open(&path).unwrap();
            slots.write(&[round; 100]).unwrap();
            slots.write(&[round, 1]).unwrap();
            assert_eq!(Slots::peek(&path).unwrap(), Found::Value(vec![round, 1]));
        }
    }

    #[test]
    fn a_damaged_slot_falls_back_on_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slots");
        let (mut slots, _) = Slots::open(&path).unwrap();
        for value in 1..=4u8 {
            slots.write(&[value; 9]).unwrap();
        }
        let octets = std::fs::read(&path).unwrap();
        for at in 0..OVERHEAD + 9 {
            let mut damaged = octets.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(Slots::peek(&path).unwrap(), Found::Value(vec![3; 9]), "octet {at} of the newest slot");
            damaged[PAGE + at] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(Slots::peek(&path).unwrap(), Found::Damaged, "octet {at} of both slots");
        }
    }

    #[test]
    fn a_shortened_file_keeps_what_is_whole_and_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slots");
        let (mut slots, _) = Slots::open(&path).unwrap();
        slots.write(b"one").unwrap();
        slots.write(b"two").unwrap();
        drop(slots);
        let octets = std::fs::read(&path).unwrap();
        std::fs::write(&path, &octets[..PAGE]).unwrap();
        let (mut slots, found) = Slots::open(&path).unwrap();
        assert_eq!(found, Found::Value(b"two".to_vec()));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * PAGE as u64);
        slots.write(b"three").unwrap();
        assert_eq!(Slots::peek(&path).unwrap(), Found::Value(b"three".to_vec()));
    }

    #[test]
    fn a_value_that_is_too_long_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mut slots, _) = Slots::open(&dir.path().join("slots")).unwrap();
        assert!(matches!(slots.write(&[0; Slots::LIMIT + 1]), Err(JournalError::TooLong { .. })));
        slots.write(&[7; Slots::LIMIT]).unwrap();
    }
}
