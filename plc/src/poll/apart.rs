//! Branches that disturb each other. Two that do not hear each other take the medium at the same time, and a relay that
//! hears both gets neither frame, in each attempt again; of others each waits for the other. Which is which shows when
//! something is lost that one was asked while the other was.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::Eui64;

/// Pairs of branches that are not asked at the same time, and until when.
#[derive(Debug, Default)]
pub(super) struct Apart(BTreeMap<(Eui64, Eui64), Instant>);

impl Apart {
    /// Something was lost that was asked beside others.
    pub(super) fn keep(&mut self, branch: Eui64, others: &[Eui64], now: Instant, until: Instant) {
        self.0.retain(|_, until| *until > now);
        self.0.extend(others.iter().map(|other| (pair(branch, *other), until)));
    }

    pub(super) fn are(&self, one: Eui64, other: Eui64, now: Instant) -> bool {
        self.0.get(&pair(one, other)).is_some_and(|until| *until > now)
    }
}

fn pair(one: Eui64, other: Eui64) -> (Eui64, Eui64) {
    (one.min(other), one.max(other))
}
