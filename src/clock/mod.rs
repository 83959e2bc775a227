//! What the unit's clock is worth: quality, the anchor of a boot, and the floor that TLS may trust. DESIGN 3.6.
//!
//! Pure logic: samples of the kernel's clocks come in as arguments, `task/clock.rs` takes them.

mod judge;
#[cfg(feature = "simulate")]
mod pace;

use std::sync::Arc;
use std::time::Instant;

use crate::reading::{Received, TimeQuality};

pub use judge::{Anchor, Judge, Sample, Source};
#[cfg(feature = "simulate")]
pub use pace::{NotPace, Pace};

/// One look at all clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines; never leaves the process.
    pub mono: Instant,
    pub boot_id: [u8; 16],
    /// Milliseconds of CLOCK_BOOTTIME.
    pub boot_ms: u64,
    /// Milliseconds since 1970 UTC by the unit's clock.
    pub utc_ms: i64,
    pub quality: TimeQuality,
}

impl Now {
    /// The stamp of a record heard now.
    pub fn received(&self) -> Received {
        Received { boot_id: self.boot_id, boot_ms: self.boot_ms, utc_ms: self.utc_ms, quality: self.quality }
    }
}

/// Reads all clocks; given to rooms that have a thread of their own (the store).
pub type ReadClock = Arc<dyn Fn() -> Now + Send + Sync>;
