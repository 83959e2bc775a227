//! One small value that is replaced often: two slots, each a file of one page, written in turn.
//!
//! A torn write damages the slot that was being written, never the other one. Two files, because a write into a longer
//! one may cost all pages that the kernel keeps together.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use super::{JournalError, replace_file};

/// A value that survives any single torn write. Its second slot lies beside the first, as `.2`.
#[derive(Debug)]
pub struct Slots {
    files: [File; 2],
    path: PathBuf,
    /// Counts writes; the slot is its parity.
    counter: u64,
}

/// What a pair of slots held.
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

    /// Opens the slots or makes them, and says what they held.
    ///
    /// # Errors
    /// A file cannot be read or made.
    pub fn open(path: &Path) -> Result<(Self, Found), JournalError> {
        let second = second(path);
        let octets = [read(path)?, read(&second)?];
        let (found, counter) = look(&octets);
        let open = |path: &Path, octets: &Option<Vec<u8>>| {
            if octets.as_ref().is_none_or(|octets| octets.len() != PAGE) {
                replace_file(path, &[0; PAGE]).map_err(JournalError::io("create", path))?;
            }
            OpenOptions::new().read(true).write(true).open(path).map_err(JournalError::io("open", path))
        };
        let [one, two] = &octets;
        // A slot that is made anew holds nothing: the whole one must not be made anew before the other is written.
        let files = [open(path, one)?, open(&second, two)?];
        Ok((Self { files, path: path.to_owned(), counter }, found))
    }

    /// Reads without opening for writing and without making anything.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn peek(path: &Path) -> Result<Found, JournalError> {
        Ok(look(&[read(path)?, read(&second(path))?]).0)
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
        let [even, odd] = &self.files;
        let file = if counter % 2 == 0 { even } else { odd };
        file.write_all_at(&slot, 0).and_then(|()| file.sync_data()).map_err(JournalError::io("write", &self.path))?;
        self.counter = counter;
        Ok(())
    }
}

/// The file of the second slot.
fn second(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".2");
    name.into()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, JournalError> {
    match std::fs::read(path) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io("read", path)(error)),
    }
}

/// The newest whole slot, and how many writes were counted.
fn look(slots: &[Option<Vec<u8>>; 2]) -> (Found, u64) {
    let there = || slots.iter().flatten();
    let newest = there().filter_map(|page| parse(&mut page.as_slice())).max_by_key(|(counter, _)| *counter);
    match newest {
        Some((counter, value)) => (Found::Value(value), counter),
        None if there().flatten().all(|octet| *octet == 0) => (Found::Nothing, 0),
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
        let files = [path.clone(), second(&path)];
        let whole = files.clone().map(|path| std::fs::read(path).unwrap());
        for at in 0..OVERHEAD + 9 {
            let damaged = whole.clone().map(|mut octets| {
                octets[at] ^= 0x40;
                octets
            });
            std::fs::write(&files[0], &damaged[0]).unwrap();
            std::fs::write(&files[1], &whole[1]).unwrap();
            assert_eq!(Slots::peek(&path).unwrap(), Found::Value(vec![3; 9]), "octet {at} of the newest slot");
            std::fs::write(&files[1], &damaged[1]).unwrap();
            assert_eq!(Slots::peek(&path).unwrap(), Found::Damaged, "octet {at} of both slots");
        }
    }

    #[test]
    fn a_missing_or_short_slot_falls_back_on_the_other_and_is_mended() {
        for lost in [0, 1] {
            for length in [None, Some(0), Some(20)] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("slots");
                let (mut slots, _) = Slots::open(&path).unwrap();
                slots.write(b"one").unwrap();
                slots.write(b"two").unwrap();
                let file = [path.clone(), second(&path)][lost].clone();
                match length {
                    None => std::fs::remove_file(file).unwrap(),
                    Some(length) => File::options().write(true).open(file).unwrap().set_len(length).unwrap(),
                }
                let (mut slots, found) = Slots::open(&path).unwrap();
                assert_eq!(found, Found::Value([b"one", b"two"][lost].to_vec()));
                slots.write(b"three").unwrap();
                assert_eq!(Slots::peek(&path).unwrap(), Found::Value(b"three".to_vec()));
            }
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mut slots, _) = Slots::open(&dir.path().join("slots")).unwrap();
        assert!(matches!(slots.write(&[0; Slots::LIMIT + 1]), Err(JournalError::TooLong { .. })));
        slots.write(&[7; Slots::LIMIT]).unwrap();
    }
}
