//! What of a network must be durable before anything that depends on it leaves: what waits for that, and how it is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use plc::Eui64;
use plc::g3::bootstrap::{Member, Ring};
use plc::g3::modem;
use tokio::task::block_in_place;
use tracing::warn;

use super::{Plc, chain};
use crate::journal::JournalError;

/// What must be durable and is not: the disk refused it. It is tried again.
#[derive(Debug, Default)]
pub(super) struct Unkept {
    pub(super) counters: Option<modem::Counters>,
    pub(super) members: BTreeMap<Eui64, Member>,
    pub(super) ring: Option<Ring>,
    pub(super) retry: Option<tokio::time::Instant>,
}

impl Plc {
    /// Makes durable what waits for it, and says so to who waits for that.
    pub(super) fn keep(&mut self) {
        if self.unkept.counters.is_none() && self.unkept.ring.is_none() && self.unkept.members.is_empty() {
            return;
        }
        let Self { network, coordinator, unkept, .. } = self;
        let now = (self.clock)().mono;
        let result = block_in_place(|| {
            if let Some(counters) = unkept.counters {
                network.keep_counters(counters)?;
                unkept.counters = None;
                coordinator.with_modem(now, |modem| modem.reserved(counters, now));
            }
            if let Some(ring) = unkept.ring {
                network.keep_ring(&ring)?;
                unkept.ring = None;
                coordinator.with_server(now, |server| server.ring_kept(now));
            }
            if !unkept.members.is_empty() {
                network.keep_members(&unkept.members.values().copied().collect::<Vec<_>>())?;
                for eui64 in std::mem::take(&mut unkept.members).into_keys() {
                    coordinator.with_server(now, |server| server.remembered(eui64, now));
                }
            }
            Ok::<_, JournalError>(())
        });
        self.unkept.retry = None;
        if let Err(error) = result {
            warn!(network = %self.name, err = %chain(&error), "keep what the network must not forget");
            self.unkept.retry = Some(tokio::time::Instant::now() + KEEP_RETRY);
        }
    }

    /// The name of a mark in the store: it is of this network, whatever that is called.
    pub(super) fn mark_of(&self, what: &[u8]) -> Vec<u8> {
        [what, &self.coordinator.modem().config().eui64.0].concat()
    }

    /// What the store has under that name.
    pub(super) fn stored_mark(&self, what: &[u8]) -> Option<Vec<u8>> {
        let name = self.mark_of(what);
        let marks = self.store.marks(&name).inspect_err(|error| {
            warn!(network = %self.name, err = %chain(error), "what the store has of the network is not known");
        });
        marks.unwrap_or_default().into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

/// What the disk refused is tried again after so long.
const KEEP_RETRY: Duration = Duration::from_secs(10);
