//! What can go wrong around the store.

use std::io;
use std::path::PathBuf;

use super::Lane;

/// Why a store did not open. Damage is no such reason: it is quarantined and salvaged.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open store {}: format {found} is newer than {known}, which this program knows; it is left untouched", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// Another process has it open.
    #[error("open store {}: in use by another process", path.display())]
    InUse { path: PathBuf },
    #[error("open store: {0}")]
    Store(#[from] StoreError),
}

/// Why an operation of the store did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{operation}")]
    Io { operation: String, source: io::Error },
    #[error("{operation}: {reason}")]
    Database { operation: &'static str, reason: String },
    /// The queue before the writer is full: slow down and offer it again.
    #[error("append: the queue is full")]
    Busy,
    #[error("append: a record of lane {lane} takes {octets} octets, more than {limit}")]
    TooLarge { lane: Lane, octets: usize, limit: usize },
    /// A commit did not succeed; the store retries by itself and this operation was given up.
    #[error("the store is out of order: {0}")]
    OutOfOrder(String),
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Is it for want of space?
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Database { reason, .. } | Self::OutOfOrder(reason) => reason.contains("StorageFull"),
            _ => false,
        }
    }
}
