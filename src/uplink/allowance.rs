//! How many records a stranger may cause.

use std::time::{Duration, Instant};

/// A bucket of events: `EVENT_BURST` at once, then one every `EVENT_PACE`.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: EVENT_BURST, since: now }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.since).as_secs() / EVENT_PACE.as_secs();
        if earned > 0 {
            self.left = EVENT_BURST.min(self.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)));
            self.since = now;
        }
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        true
    }
}

const EVENT_BURST: u32 = 16;
const EVENT_PACE: Duration = Duration::from_secs(10);
