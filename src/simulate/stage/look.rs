//! What is looked at a few times a second: the service, the weather of outages, and what the audience is shown.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Stage, now};
use crate::simulate::report::{Phase, Progress};
use crate::simulate::run::{Audience, Error, Wish};

impl Stage<'_> {
    /// A few times a second.
    pub(super) fn look(&mut self, audience: &mut Audience<'_>) -> Result<(), Error> {
        self.service.watch()?;
        if self.is_healing && self.figures.borrow().is_ready(self.service.pid(), false) {
            self.is_healing = false;
            self.account.healed(now());
        }
        if let Some(status) = &self.figures.borrow().status {
            self.memory.note(status.process.rss_bytes, now().duration_since(self.began));
        }
        if audience(&self.progress()) == Wish::End {
            self.is_told_to_end = true;
        }
        Ok(())
    }

    /// Begins and ends the outage. Half of the run is over when half of the readings were sent, or half of the time went by.
    pub(super) fn weather(&mut self, began: Instant, now: Instant) {
        let half_sent = self.options.readings.is_some_and(|all| self.account.tally().sent * 2 >= all);
        let is_half = half_sent || now > began + self.options.limit / 2 || self.phase == Phase::Draining;
        if let Some(is_down) = self.outage.pass(is_half, now) {
            self.proxy.change(|line| line.is_down = is_down);
        }
        if self.receiver_outage.pass(is_half, now) == Some(true) {
            self.receivers.fail(self.options.faults.receiver_outage.unwrap_or_default());
        }
    }

    fn progress(&self) -> Progress {
        let figures = self.figures.borrow();
        let ledger = self.account.ledger();
        let status = figures.status.as_ref();
        Progress {
            phase: self.phase,
            elapsed: now().duration_since(self.began),
            tally: self.account.tally(),
            heard: ledger.expected(),
            decoded: figures.decoded(),
            delivered: ledger.matched(),
            missing: ledger.missing(),
            meters: (self.options.meters, self.account.meters()),
            backlog: status.map_or(0, |status| status.buffer.backlog),
            acknowledged: status.map_or(0, |status| status.uplink.acknowledged),
            is_connected: status.is_some_and(|status| status.uplink.is_connected),
            is_down: self.proxy.line().is_down,
            kills: self.kills.count(),
            usage: self.service.usage(),
            rss_bytes: status.map_or(0, |status| status.process.rss_bytes),
            garbage: self.garbage.load(Ordering::Relaxed),
            wire_bytes: self.proxy.up() + self.proxy.down(),
            last: self.account.last().map(str::to_owned).collect(),
        }
    }
}
