//! Small append files that never share the fate of the buffer: command journal, counters, audit chain. DESIGN 3.3.
//!
//! Each entry has a checksum and is durable when the call returns. A torn tail (the last write of a power cut) is cut
//! off and said; damage before it is an error of its own, so that a command journal can answer `journal_lost`.

mod audit;
mod commands;
mod counters;
mod log;
mod slots;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use audit::{Audit, AuditEntry, audit_hash};
pub use commands::{Commands, Kept, Limits};
pub use counters::Counters;
pub use log::{Journal, Recovered};
pub use slots::{Found, Slots};

/// Why a journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{operation} {}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    /// Octets that were durable once are wrong now.
    #[error("journal {}: damaged at octet {offset}", path.display())]
    Damaged { path: PathBuf, offset: u64 },
    #[error("journal {}: format {found} is newer than {known}, which this program knows", path.display())]
    Newer { path: PathBuf, found: u8, known: u8 },
    #[error("journal {}: not a journal of this kind", path.display())]
    Foreign { path: PathBuf },
    #[error("journal {}: an entry of {octets} octets is longer than {limit}", path.display())]
    TooLong { path: PathBuf, octets: usize, limit: usize },
}

impl JournalError {
    /// Is it for want of space?
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }

    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}

/// Makes the names in a directory durable: after creating, renaming or removing a file in it.
///
/// # Errors
/// The directory could not be opened or synchronised.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the directory that holds `path` durable.
///
/// # Errors
/// The directory could not be opened or synchronised.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

/// Replaces `path` by `octets` as one step: written beside it, durable, then renamed.
///
/// # Errors
/// The directory cannot be written; `path` is as it was.
pub fn replace_file(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let result = write_durably(&beside, octets).and_then(|()| fs::rename(&beside, path));
    if result.is_err() {
        // What is left of it would only take room.
        drop(fs::remove_file(&beside));
    }
    result?;
    sync_parent(path)
}

fn write_durably(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    io::Write::write_all(&mut file, octets)?;
    file.sync_all()
}
