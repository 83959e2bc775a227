//! What can go wrong around the store.

use std::io;
use std::path::{Path, PathBuf};

use super::Lane;
use crate::journal::JournalError;

/// Why a store did not open. Damage is no such reason: it is quarantined and salvaged.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open store {}: format {found} is newer than {known}, which this program knows; it is left untouched", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// Another process has it open.
    #[error("open store {}: in use by another process", path.display())]
    InUse { path: PathBuf },
    /// Nothing was changed: with more room the same epoch goes on.
    #[error("open store {}: the disk is full{}; all is left as it was", path.display(), free_said(*free))]
    Full { path: PathBuf, free: Option<u64>, source: Option<StoreError> },
    #[error("open store")]
    Store(#[from] StoreError),
}

/// Why an operation of the store did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{operation} {}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    /// The database itself failed; `full` when for want of space.
    #[error("{operation}: {reason}")]
    Database { operation: &'static str, reason: String, full: bool },
    #[error("{0}")]
    Sequence(#[from] JournalError),
    /// The queue before the writer is full: slow down and offer it again.
    #[error("append: the queue is full")]
    Busy,
    #[error("append: a record of lane {lane} takes about {octets} octets, more than {limit}")]
    TooLarge { lane: Lane, octets: usize, limit: usize },
    /// The last commit did not succeed and the writer was told to end.
    #[error("records were not committed: {reason}")]
    NotCommitted { reason: String },
    /// The database is being opened again after an error; what is durable comes back.
    #[error("the database is out of order")]
    OutOfOrder,
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Is it for want of space?
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Sequence(error) => error.is_full(),
            Self::Database { full, .. } => *full,
            _ => false,
        }
    }

    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }

    /// The whole chain in one line.
    pub(super) fn text(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

fn free_said(free: Option<u64>) -> String {
    free.map_or_else(String::new, |free| format!(", {} KiB are free", free >> 10))
}
