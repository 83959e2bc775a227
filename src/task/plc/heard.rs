//! When nodes were heard last, over restarts: read at the start, written now and then and at the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;
use tracing::{info, warn};

use super::outages::counted;
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
    /// Of how many nodes the store knows that the file has them.
    marked: Option<u32>,
}

impl Heard {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

impl Plc {
    /// Takes up what the last life has left; blocks. Of how many nodes the file should say it the store knows: what is lost
    /// with a file that was harmed is said once.
    pub(super) fn take_up_heard(&mut self, directory: &Path, now: Now) {
        let (log, aside) = match HeardLog::open(directory) {
            Ok(opened) => opened,
            Err(error) => return self.not_kept("when nodes were heard", &error),
        };
        for (eui64, sighting) in log.sightings() {
            if self.coordinator.server().member(eui64).is_some() {
                self.mesh.restore(eui64, sighting);
            }
        }
        self.heard =
            Heard { log: Some(log), due: Some(now.mono + FIRST), is_refused: false, marked: self.stored_heard() };
        let (kept, marked) = (self.heard_nodes(), self.heard.marked);
        let lost = marked.unwrap_or_default().saturating_sub(kept);
        let how = match aside {
            Some(aside) => format!("is damaged and set aside as {}", aside.display()),
            None if lost > 0 => "was emptied, cut or taken away".to_owned(),
            None => return,
        };
        let of_whom = match marked {
            Some(marked) => format!("{lost} of {}", counted(marked as usize)),
            None => "all nodes".to_owned(),
        };
        warn!(network = %self.name, how, of_whom, "when nodes were heard is lost");
        let detail = format!("the file of when nodes were heard {how}: of {of_whom} it is not known any more");
        self.tell_loss("plc.heard_lost", detail, now);
        self.mark_heard();
    }

    /// Nodes of which the file says it, of those that are members.
    fn heard_nodes(&self) -> u32 {
        let is_member = |eui64| self.coordinator.server().member(eui64).is_some();
        let nodes = self.heard.log.iter().flat_map(HeardLog::sightings);
        nodes.filter(|(eui64, _)| is_member(*eui64)).count() as u32
    }

    fn stored_heard(&self) -> Option<u32> {
        self.stored_mark(HEARD).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes)
    }

    /// The store is to know how many they are, where they are others.
    fn mark_heard(&mut self) {
        let kept = self.heard_nodes();
        if self.heard.marked.replace(kept) != Some(kept) {
            self.waiting.mark_now(vec![(self.mark_of(HEARD), kept.to_be_bytes().to_vec())]);
        }
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
        if !heard.is_refused {
            self.mark_heard();
        }
    }
}

/// What begins the mark's name: how many nodes the file has.
const HEARD: &[u8] = b"plc-heard/";
/// Who has just been heard after a start is not forgotten for ten minutes.
const FIRST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
