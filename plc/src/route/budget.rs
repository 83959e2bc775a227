//! A share of the airtime that may be spent, and is saved up to a bound.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    share: f64,
    /// Seconds of airtime.
    saved: f64,
    most: f64,
    at: Instant,
    spent: f64,
}

impl Budget {
    /// Full at the begin.
    pub(super) const fn new(share: f64, most: f64, now: Instant) -> Self {
        Self { share, saved: most, most, at: now, spent: 0.0 }
    }

    /// How much may be saved; what is there of it stays.
    pub(super) fn set_most(&mut self, most: f64) {
        self.saved += (most - self.most).max(0.0);
        self.most = most;
        self.saved = self.saved.min(most);
    }

    /// From now on this share.
    pub(super) fn set_share(&mut self, share: f64, now: Instant) {
        if self.share != share {
            self.has(0.0, now);
            self.share = share;
        }
    }

    pub(super) fn has(&mut self, seconds: f64, now: Instant) -> bool {
        self.saved = (self.saved + self.share * now.saturating_duration_since(self.at).as_secs_f64()).min(self.most);
        self.at = now;
        // What is more than can be saved may go when all is there.
        self.saved >= seconds.min(self.most)
    }

    /// It may go below nothing: what the modem does by itself is counted too.
    pub(super) fn spend(&mut self, seconds: f64) {
        self.saved -= seconds;
        self.spent += seconds;
    }

    /// When there is so much; None: never.
    pub(super) fn due(&self, seconds: f64) -> Option<Instant> {
        let missing = seconds.min(self.most) - self.saved;
        if missing <= 0.0 {
            return Some(self.at);
        }
        // A millisecond more: what is rounded down is not there yet.
        (self.share > 0.0).then(|| self.at + Duration::from_secs_f64(missing / self.share + 0.001))
    }

    /// Seconds of airtime since the begin.
    pub(super) const fn spent(&self) -> f64 {
        self.spent
    }
}
