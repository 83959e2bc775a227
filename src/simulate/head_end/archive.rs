//! Append files that never hold anything twice: what is in the file is the only memory there is.
//!
//! When a file is opened it is read once; a last line that was cut off is removed. So a watcher that was killed at any
//! moment goes on without losing or doubling a record.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::line::{Name, Raw};
use super::stream::{BatchId, Seen, Stream, batch_id};
use crate::uplink::{Topic, Topics};
use crate::wire;

/// An append file and what is in it.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    file: Flock<File>,
    pub seen: BTreeMap<Stream, Seen>,
    /// Written since the last `commit`.
    pending: Vec<u8>,
    /// Octets in the file that are known to be whole lines.
    length: u64,
}

/// What the lines of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A record each.
    Records,
    /// A batch or a checkpoint each, as published.
    Batches,
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("append to {}", path.display())]
    Append { path: PathBuf, source: io::Error },
    #[error("{} line {line} is not one of ours: it is another file, or it was altered", path.display())]
    Foreign { path: PathBuf, line: u64 },
    #[error("{} is in use by another watcher", path.display())]
    InUse { path: PathBuf },
}

impl Archive {
    /// Opens or makes a file, and reads what it holds. One process at a time may.
    pub fn open(path: &Path, content: Content) -> Result<Self, ArchiveError> {
        let failed = |source| ArchiveError::Open { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| ArchiveError::InUse { path: path.to_owned() })?;
        // The directory's entry must be as durable as what the file will hold.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed)?;
        let mut archive = Self { path: path.to_owned(), file, seen: BTreeMap::new(), pending: Vec::new(), length: 0 };
        archive.read(content)?;
        archive.file.set_len(archive.length).map_err(failed)?;
        Ok(archive)
    }

    /// Adds a line to the next commit.
    pub fn push(&mut self, line: &str) {
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
    }

    /// Makes everything durable that was pushed.
    pub fn commit(&mut self) -> Result<(), ArchiveError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.pending).and_then(|()| self.file.sync_data());
        written.map_err(|source| ArchiveError::Append { path: self.path.clone(), source })?;
        self.pending.clear();
        Ok(())
    }

    fn read(&mut self, content: Content) -> Result<(), ArchiveError> {
        let failed = |source| ArchiveError::Read { path: self.path.clone(), source };
        let file = self.file.try_clone().map_err(failed)?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        reader.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            let length = read.map_err(|source| ArchiveError::Read { path: self.path.clone(), source })?;
            if line.last() != Some(&b'\n') {
                // The end, or a line that was cut off by a kill.
                return match length as u64 == LONGEST_LINE {
                    true => Err(ArchiveError::Foreign { path: self.path.clone(), line: number }),
                    false => Ok(()),
                };
            }
            let named = match content {
                Content::Records => name_of_record(&line),
                Content::Batches => name_of_batch(&line),
            };
            match named {
                Some(Some((stream, first, last, batch))) => {
                    let seen = self.seen.entry(stream).or_default();
                    for (first, last) in seen.missing(first, last, batch).unwrap_or_default() {
                        seen.insert(first, last, batch);
                    }
                }
                Some(None) => {}
                None => return Err(ArchiveError::Foreign { path: self.path.clone(), line: number }),
            }
            self.length += length as u64;
        }
        Ok(())
    }
}

type Named = Option<(Stream, u64, u64, BatchId)>;

fn name_of_record(line: &[u8]) -> Option<Named> {
    let (stream, sequence, batch) = serde_json::from_slice::<Name>(line).ok()?.parse()?;
    Some(Some((stream, sequence, sequence, batch)))
}

/// `Some(None)` for a checkpoint, and for a batch that could not be read and was kept as evidence.
fn name_of_batch(line: &[u8]) -> Option<Named> {
    let Raw { topic, payload } = serde_json::from_slice(line).ok()?;
    let (topics, topic) = Topics::parse(&topic)?;
    let payload = hex::decode(payload).ok()?;
    let Topic::Batch(lane) = topic else { return Some(None) };
    let Ok(head) = wire::open_head(&payload) else { return Some(None) };
    if head.dcu != topics.dcu() || head.lane != lane {
        return Some(None);
    }
    let stream = Stream { utility: topics.utility().to_owned(), dcu: head.dcu, epoch: head.epoch, lane: head.lane };
    let last = head.first.saturating_add(u64::from(head.count)).saturating_sub(1);
    Some(Some((stream, head.first, last, batch_id(&wire::hash(&payload)))))
}

/// A batch of 64 KiB in hexadecimal, and its topic.
const LONGEST_LINE: u64 = 256 << 10;
