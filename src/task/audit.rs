//! The audit chain, for all who have something for it.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use crate::journal::{Audit, AuditEntry};

/// A handle on the unit's one chain. What it does blocks, and takes as long as the disk.
#[derive(Debug, Clone)]
pub(super) struct Recorder(Arc<Mutex<Option<Audit>>>);

impl Recorder {
    /// None: there is no chain, on a disk that was full at the start.
    pub(super) fn new(audit: Option<Audit>) -> Self {
        Self(Arc::new(Mutex::new(audit)))
    }

    /// Appends an entry; what cannot be appended is said in the log.
    pub(super) fn record(&self, entry: &AuditEntry) {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(|audit| audit.append(entry)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => warn!(err = %super::chain(&error), what = entry.what, "append to the audit"),
            None => warn!(what = entry.what, "no audit to append to"),
        }
    }

    /// The chain's head; None while it is empty.
    pub(super) fn head(&self) -> Option<[u8; 32]> {
        let audit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        audit.as_ref().filter(|audit| audit.entries() > 0).map(Audit::head)
    }
}
