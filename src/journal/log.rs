//! The append file under every journal.
//!
//! Header: `DCUj`, version, three octets of its kind. Entry: length (4), CRC32C of the length (4), CRC32C of the
//! payload (4), payload, one octet 0xa5. Little endian. The last octet tells a flipped bit from a write that a power
//! cut tore: a torn entry ends in nothing or in zeros.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use super::{JournalError, replace_file, sync_parent};

/// An open append file.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    kind: [u8; 3],
    /// Octets of whole entries and the header.
    length: u64,
    /// An append failed: what lies behind `length` is not known until it was cut off.
    dirty: bool,
}

/// What an append file held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    pub entries: Vec<Vec<u8>>,
    /// Octets of a torn last entry that were cut off.
    pub torn: u64,
}

impl Journal {
    /// The longest payload.
    pub const LIMIT: usize = 64 * 1024;

    /// Opens the file or makes it. A torn last entry is cut off.
    ///
    /// # Errors
    /// `Damaged` when a whole entry is wrong or entries lie behind a hole: the file is left as it is.
    pub fn open(path: &Path, kind: [u8; 3]) -> Result<(Self, Recovered), JournalError> {
        match std::fs::read(path) {
            Ok(octets) => {
                let (recovered, length) = read_entries(path, kind, &octets)?;
                if length == 0 {
                    // Not even the header was finished when it was made.
                    return Ok((Self::make(path, kind)?, recovered));
                }
                let file = OpenOptions::new().append(true).open(path).map_err(JournalError::io("open", path))?;
                let journal = Self { file, path: path.to_owned(), kind, length, dirty: false };
                if recovered.torn > 0 {
                    journal.cut()?;
                }
                Ok((journal, recovered))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((Self::make(path, kind)?, Recovered::default()))
            }
            Err(error) => Err(JournalError::io("read", path)(error)),
        }
    }

    /// Like `open`, of what people may be told without: a file that is damaged, longer than `longest` octets, or has an
    /// entry that is none of the caller's, is renamed, a new one takes its place, and its new name is said.
    ///
    /// # Errors
    /// It cannot be read or renamed, or is of another kind or a newer format: it is left as it is.
    pub fn open_or_set_aside(
        path: &Path,
        kind: [u8; 3],
        longest: u64,
        is_entry: impl Fn(&[u8]) -> bool,
    ) -> Result<(Self, Recovered, Option<PathBuf>), JournalError> {
        if std::fs::metadata(path).is_ok_and(|file| file.len() <= longest) {
            match Self::open(path, kind) {
                Ok((journal, recovered)) if recovered.entries.iter().all(|entry| is_entry(entry)) => {
                    return Ok((journal, recovered, None));
                }
                Ok(_) | Err(JournalError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut aside = path.as_os_str().to_owned();
        aside.push(".damaged");
        let aside = PathBuf::from(aside);
        let renamed = match std::fs::rename(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            renamed => {
                renamed.and_then(|()| sync_parent(path)).map_err(JournalError::io("set aside", path))?;
                Some(aside)
            }
        };
        let (journal, recovered) = Self::open(path, kind)?;
        Ok((journal, recovered, renamed))
    }

    /// Reads without opening for writing.
    ///
    /// # Errors
    /// Like `open`, and when there is no such file.
    pub fn read(path: &Path, kind: [u8; 3]) -> Result<Recovered, JournalError> {
        let octets = std::fs::read(path).map_err(JournalError::io("read", path))?;
        read_entries(path, kind, &octets).map(|(recovered, _)| recovered)
    }

    /// Every whole entry of a damaged file, in order, and how many octets belong to none of them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn salvage(path: &Path) -> Result<(Vec<Vec<u8>>, u64), JournalError> {
        let octets = std::fs::read(path).map_err(JournalError::io("read", path))?;
        let mut rest = octets.get(HEADER..).unwrap_or_default();
        let (mut entries, mut strange) = (Vec::new(), 0);
        while !rest.is_empty() {
            match whole_entry(rest) {
                Some((payload, length)) => {
                    entries.push(payload.to_vec());
                    rest = rest.get(length..).unwrap_or_default();
                }
                None => {
                    strange += 1;
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
        }
        Ok((entries, strange))
    }

    /// Adds an entry; it is durable when this returns.
    ///
    /// # Errors
    /// The payload is too long or the disk failed: the entry is then not in the journal.
    pub fn append(&mut self, payload: &[u8]) -> Result<(), JournalError> {
        self.append_all([payload])
    }

    /// Adds entries at the price of one; they are durable when this returns. Of those that a power cut tore the file may
    /// also be found damaged: for what may be salvaged.
    ///
    /// # Errors
    /// A payload is too long or the disk failed: none of them is in the journal.
    pub fn append_all<'a>(&mut self, payloads: impl IntoIterator<Item = &'a [u8]>) -> Result<(), JournalError> {
        let mut entries = Vec::new();
        for payload in payloads {
            if payload.len() > Self::LIMIT {
                let (path, octets) = (self.path.clone(), payload.len());
                return Err(JournalError::TooLong { path, octets, limit: Self::LIMIT });
            }
            emit_entry(payload, &mut entries);
        }
        if self.dirty {
            self.cut()?;
            self.dirty = false;
        }
        self.dirty = true;
        self.file
            .write_all(&entries)
            .and_then(|()| self.file.sync_data())
            .map_err(JournalError::io("append to", &self.path))?;
        self.dirty = false;
        self.length += entries.len() as u64;
        Ok(())
    }

    /// Replaces all entries by these, as one step: the old file or the new one is there, never a part.
    ///
    /// # Errors
    /// A payload is too long or the disk failed: the old file stays.
    pub fn compact<'a>(&mut self, entries: impl IntoIterator<Item = &'a [u8]>) -> Result<(), JournalError> {
        let mut octets = header(self.kind);
        for payload in entries {
            if payload.len() > Self::LIMIT {
                let (path, octets) = (self.path.clone(), payload.len());
                return Err(JournalError::TooLong { path, octets, limit: Self::LIMIT });
            }
            emit_entry(payload, &mut octets);
        }
        replace_file(&self.path, &octets).map_err(JournalError::io("compact", &self.path))?;
        self.file = OpenOptions::new().append(true).open(&self.path).map_err(JournalError::io("open", &self.path))?;
        self.length = octets.len() as u64;
        self.dirty = false;
        Ok(())
    }

    /// Octets of the file.
    pub fn octets(&self) -> u64 {
        self.length
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn make(path: &Path, kind: [u8; 3]) -> Result<Self, JournalError> {
        let octets = header(kind);
        replace_file(path, &octets).map_err(JournalError::io("create", path))?;
        let file = OpenOptions::new().append(true).open(path).map_err(JournalError::io("open", path))?;
        sync_parent(path).map_err(JournalError::io("create", path))?;
        Ok(Self { file, path: path.to_owned(), kind, length: octets.len() as u64, dirty: false })
    }

    /// Removes what lies behind the last whole entry.
    fn cut(&self) -> Result<(), JournalError> {
        self.file
            .set_len(self.length)
            .and_then(|()| self.file.sync_all())
            .map_err(JournalError::io("cut the torn tail of", &self.path))
    }
}

/// The entries, and the octets of the file up to the end of the last whole one; zero when the header is not whole.
fn read_entries(path: &Path, kind: [u8; 3], octets: &[u8]) -> Result<(Recovered, u64), JournalError> {
    let damaged = |offset: usize| JournalError::Damaged { path: path.to_owned(), offset: offset as u64 };
    let Some((head, _)) = octets.split_at_checked(HEADER) else {
        // It is written beside and renamed: a short file was cut by somebody else, unless it is empty.
        return if octets.is_empty() { Ok((Recovered::default(), 0)) } else { Err(damaged(0)) };
    };
    match head {
        [b'D', b'C', b'U', b'j', version, own @ ..] if own == kind => match *version {
            VERSION => {}
            0 => return Err(damaged(4)),
            found => return Err(JournalError::Newer { path: path.to_owned(), found, known: VERSION }),
        },
        [b'D', b'C', b'U', b'j', ..] => return Err(JournalError::Foreign { path: path.to_owned() }),
        _ => return Err(damaged(0)),
    }
    let mut recovered = Recovered::default();
    let mut at = HEADER;
    while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
        match parse_entry(rest) {
            Entry::Whole(payload, length) => {
                recovered.entries.push(payload.to_vec());
                at += length;
            }
            Entry::Torn if !holds_entry(rest.get(1..).unwrap_or_default()) => {
                recovered.torn = rest.len() as u64;
                break;
            }
            Entry::Torn | Entry::Wrong => return Err(damaged(at)),
        }
    }
    Ok((recovered, at as u64))
}

enum Entry<'a> {
    /// Payload, and octets of the entry.
    Whole(&'a [u8], usize),
    /// It ends before its end, or in zeros that were never written.
    Torn,
    Wrong,
}

fn parse_entry(rest: &[u8]) -> Entry<'_> {
    if let Some((payload, length)) = whole_entry(rest) {
        return Entry::Whole(payload, length);
    }
    let mut buf = rest;
    let (Ok(length), Ok(length_crc), Ok(_)) = (buf.try_get_u32_le(), buf.try_get_u32_le(), buf.try_get_u32_le()) else {
        return Entry::Torn;
    };
    let zeros = rest.iter().rev().take_while(|octet| **octet == 0).count();
    if !is_length(length, length_crc) {
        // Lengths that were half written, and nothing behind them.
        return if zeros + LENGTHS >= rest.len() { Entry::Torn } else { Entry::Wrong };
    }
    let Some((_, end)) = buf.split_at_checked(length as usize) else { return Entry::Torn };
    match end.first() {
        None => Entry::Torn,
        Some(0) if zeros >= end.len() => Entry::Torn,
        Some(_) => Entry::Wrong,
    }
}

/// Payload, and octets of the entry. It is looked for at every octet of what may be long: nothing else is looked at.
fn whole_entry(rest: &[u8]) -> Option<(&[u8], usize)> {
    let mut buf = rest;
    let (length, length_crc) = (buf.try_get_u32_le().ok()?, buf.try_get_u32_le().ok()?);
    let crc = buf.try_get_u32_le().ok().filter(|_| is_length(length, length_crc))?;
    let (payload, end) = buf.split_at_checked(length as usize)?;
    (end.first() == Some(&END) && crc32c::crc32c(payload) == crc).then_some((payload, OVERHEAD + payload.len()))
}

fn is_length(length: u32, length_crc: u32) -> bool {
    length as usize <= Journal::LIMIT && crc32c::crc32c(&length.to_le_bytes()) == length_crc
}

/// Is there a whole entry at any place of these octets?
fn holds_entry(octets: &[u8]) -> bool {
    (0..octets.len()).any(|at| octets.get(at..).is_some_and(|rest| whole_entry(rest).is_some()))
}

fn emit_entry(payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("checked against LIMIT").to_le_bytes();
    out.put_slice(&length);
    out.put_u32_le(crc32c::crc32c(&length));
    out.put_u32_le(crc32c::crc32c(payload));
    out.put_slice(payload);
    out.put_u8(END);
}

fn header(kind: [u8; 3]) -> Vec<u8> {
    let mut octets = b"DCUj".to_vec();
    octets.put_u8(VERSION);
    octets.put_slice(&kind);
    octets
}

const VERSION: u8 = 1;
const HEADER: usize = 8;
const END: u8 = 0xa5;
/// Length and its checksum.
const LENGTHS: usize = 8;
/// Length, two checksums, the last octet.
const OVERHEAD: usize = 13;

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
