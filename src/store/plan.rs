//! One commit, prepared: what will change and what is then promised. It is applied again, octet for octet, until it
//! is durable.

use std::collections::BTreeSet;

use super::database::Change;
use super::{Commit, Epoch, Lane, Report};

#[derive(Debug)]
pub(super) struct Plan {
    /// Changes of groups, batches and the list of epochs. Lane states are taken when it is applied.
    pub changes: Vec<Change>,
    /// Lanes whose state changes, by ordinal of their epoch.
    pub touched: BTreeSet<(u32, Lane)>,
    pub commit: Commit,
    /// Lanes with new batches.
    pub sealed: Vec<(Lane, u64)>,
    /// To be told when it is durable.
    pub reports: Vec<Report>,
}

impl Plan {
    pub(super) fn new(number: u64, epoch: Epoch) -> Self {
        Self {
            changes: Vec::new(),
            touched: BTreeSet::new(),
            commit: Commit { number, epoch, count: 0, lanes: Vec::new() },
            sealed: Vec::new(),
            reports: Vec::new(),
        }
    }
}
