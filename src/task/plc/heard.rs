//! When nodes were heard last, over restarts: read at the start, written now and then and at the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;
use tracing::{info, warn};

use super::{Plc, chain};
use crate::clock::Now;
use crate::registry::HeardLog;

/// The file, and when it is written next.
#[derive(Debug, Default)]
pub(super) struct Heard {
    log: Option<HeardLog>,
    due: Option<Instant>,
    /// The disk does not take it.
    is_refused: bool,
}

impl Heard {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

impl Plc {
    /// Takes up what the last life has left; blocks.
    pub(super) fn take_up_heard(&mut self, directory: &Path, now: Now) {
        let (log, aside) = match HeardLog::open(directory) {
            Ok(opened) => opened,
            Err(error) => return self.not_kept("when nodes were heard", &error),
        };
        if let Some(aside) = aside {
            warn!(network = %self.name, path = %aside.display(), "when nodes were heard is damaged: set aside");
        }
        for (eui64, sighting) in log.sightings() {
            if self.coordinator.server().member(eui64).is_some() {
                self.mesh.restore(eui64, sighting);
            }
        }
        self.heard = Heard { log: Some(log), due: Some(now.mono + FIRST), is_refused: false };
    }

    pub(super) fn look_after_heard(&mut self, now: Now) {
        if self.heard.due.is_some_and(|due| due <= now.mono) {
            self.write_heard(now);
        }
    }

    /// What is new becomes durable; blocks. What the disk refuses is tried again the next time.
    pub(super) fn write_heard(&mut self, now: Now) {
        let Self { heard, mesh, coordinator, .. } = self;
        let Some(log) = &mut heard.log else { return };
        heard.due = Some(now.mono + HeardLog::PAUSE);
        let members = mesh.sightings().filter(|(eui64, _)| coordinator.server().member(*eui64).is_some());
        let seen: BTreeMap<_, _> = members.collect();
        let result = block_in_place(|| log.write(&seen));
        match &result {
            Err(error) if !heard.is_refused => {
                warn!(network = %self.name, err = %chain(error), "keep when nodes were heard");
            }
            Ok(()) if heard.is_refused => info!(network = %self.name, "when nodes were heard is kept again"),
            _ => {}
        }
        heard.is_refused = result.is_err();
    }
}

/// Who has just been heard after a start is not forgotten for ten minutes.
const FIRST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
