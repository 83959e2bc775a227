//! What was kept of a network and is lost in part or whole: it is told once, and shown for a day, over restarts too.

use tracing::warn;

use super::told::DAY_MS;
use super::{Plc, chain};
use crate::clock::Now;

/// What was lost, and when, in milliseconds since 1970 UTC; the oldest first.
pub(super) type Losses = Vec<(i64, String)>;

impl Plc {
    /// Those of earlier lives that somebody may not have seen yet.
    pub(super) fn take_up_losses(&mut self, now: Now) {
        let Some(octets) = self.stored_mark(LOSSES).filter(|octets| !octets.is_empty()) else { return };
        match serde_json::from_slice::<Losses>(&octets) {
            Ok(mut losses) => {
                losses.retain(|(at_ms, _)| is_recent(*at_ms, now));
                self.view.lost = losses;
            }
            Err(error) => warn!(network = %self.name, err = %chain(&error), "what was lost before is not known"),
        }
    }

    pub(super) fn tell_loss(&mut self, code: &str, detail: String, now: Now) {
        self.view.lost.retain(|(at_ms, _)| is_recent(*at_ms, now));
        self.view.lost.push((now.utc_ms, detail.clone()));
        let too_many = self.view.lost.len().saturating_sub(MOST);
        self.view.lost.drain(..too_many);
        let octets = serde_json::to_vec(&self.view.lost).ok().filter(|octets| octets.len() <= OCTETS);
        // What is too long for the store is shown in this life alone.
        let mark = (self.mark_of(LOSSES), octets.unwrap_or_default());
        self.waiting.mark(vec![mark]);
        self.tell(code, detail, now);
    }

    /// What was lost within a day, for people.
    pub(super) fn losses(&self, now: Now) -> Vec<String> {
        let recent = self.view.lost.iter().filter(|(at_ms, _)| is_recent(*at_ms, now));
        recent.map(|(_, what)| what.clone()).collect()
    }
}

fn is_recent(at_ms: i64, now: Now) -> bool {
    now.utc_ms.saturating_sub(at_ms) < DAY_MS
}

/// What begins the mark's name.
const LOSSES: &[u8] = b"plc-losses/";
/// There are three files of a network.
const MOST: usize = 12;
const OCTETS: usize = 16 << 10;
