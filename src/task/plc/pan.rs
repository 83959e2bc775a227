//! Another network with our number: the network moves to a number that nobody in hearing has, G.9903 clause 9.4.
//!
//! All nodes have to join again then, and whoever can send three frames can claim to be another network: it moves at most
//! once in some hours, and never without saying so.

use std::time::Duration;

use tokio::task::block_in_place;
use tracing::warn;

use super::{Plc, chain, random_block};
use crate::clock::Now;

impl Plc {
    /// The coordinator heard another network with our number.
    pub(super) fn pan_conflict(&mut self, pan_id: u16, now: Now) {
        self.view.conflict_ms = Some(now.utc_ms);
        let is_soon = self.moved.is_some_and(|moved| now.mono.saturating_duration_since(moved) < PAUSE);
        if !self.changes_pan || is_soon {
            let why = if is_soon { "it has moved a short time ago" } else { "plc.pan_conflict says to stay" };
            return self.tell("plc.pan_conflict", format!("another network has the number {pan_id:04x}; {why}"), now);
        }
        self.tell("plc.pan_conflict", format!("another network has the number {pan_id:04x}"), now);
        let [high, low, ..] = random_block();
        let free = self.coordinator.free_pan(u16::from_be_bytes([high, low]));
        // Before the network has moved: a restart finds it where its nodes are.
        if let Err(error) = block_in_place(|| self.network.keep_pan(self.configured_pan, free)) {
            return warn!(network = %self.name, err = %chain(&error), "keep the new PAN id: the network stays");
        }
        self.moved = Some(now.mono);
        warn!(network = %self.name, from = format_args!("{pan_id:04x}"), to = format_args!("{free:04x}"), "network moves");
        self.tell("plc.pan_changed", format!("the number is {free:04x} now, it was {pan_id:04x}"), now);
        self.coordinator.change_pan(free, now.mono);
        // Nobody else has the number that is ours now.
        self.view.conflict_ms = None;
    }
}

/// Between two moves.
const PAUSE: Duration = Duration::from_secs(6 * 3600);
