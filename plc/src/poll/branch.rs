//! The nodes behind one first hop, as far as it matters who is asked.

use super::window::Window;

#[derive(Debug)]
pub(super) struct Branch {
    pub(super) window: Window,
    pub(super) in_flight: usize,
    /// Its place among all that were served: the last one has the greatest.
    pub(super) served: u64,
}

impl Branch {
    pub(super) fn new(most: f64) -> Self {
        Self { window: Window::new(1.0, most), in_flight: 0, served: 0 }
    }
}
