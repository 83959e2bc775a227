//! How much may be under way at once: more with each answer, half with each loss.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    size: f64,
    most: f64,
    shrunk: Option<Instant>,
}

impl Window {
    pub(super) fn new(size: f64, most: f64) -> Self {
        Self { size: size.min(most), most, shrunk: None }
    }

    pub(super) const fn size(&self) -> f64 {
        self.size
    }

    pub(super) fn has_room(&self, in_flight: usize) -> bool {
        in_flight < (self.size as usize).max(1)
    }

    pub(super) fn grow(&mut self) {
        self.size = (self.size + STEP / self.size).min(self.most);
    }

    /// What is lost together is one loss.
    pub(super) fn shrink(&mut self, now: Instant) {
        if self.shrunk.is_none_or(|before| now - before >= TOGETHER) {
            self.size = (self.size / 2.0).max(1.0);
            self.shrunk = Some(now);
        }
    }
}

/// One more after so many answers that it is worth the loss that will come of it. With 0.05 simulated networks of 1,000 are
/// read as fast, and half of them take three times the airtime of control for it.
const STEP: f64 = 0.02;
const TOGETHER: Duration = Duration::from_secs(5);
