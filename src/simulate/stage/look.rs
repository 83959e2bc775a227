//! What is looked at a few times a second: the service, the weather of outages, and what the audience is shown.

use std::time::Instant;

use super::{Stage, now};
use crate::simulate::electricity::Street;
use crate::simulate::report::{ElectricityProgress, Forming, Phase, Progress};
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

    /// Begins and ends outages. Half of the run is over when half of the readings were sent, or half of the time went by.
    pub(super) fn weather(&mut self, began: Instant, now: Instant) {
        let readings = self.radio.as_ref().and_then(|radio| radio.options().readings);
        let half_sent = readings.is_some_and(|all| self.account.tally().sent * 2 >= all);
        let is_half = half_sent || now > began + self.options.limit / 2 || self.phase == Phase::Draining;
        if let Some(is_down) = self.outage.pass(is_half, now) {
            self.proxy.change(|line| line.is_down = is_down);
        }
        if let Some(radio) = &mut self.radio {
            radio.weather(is_half, now);
        }
        if let Some(electricity) = &mut self.electricity {
            electricity.weather(is_half, now);
        }
    }

    /// How far a network of its own airtime has formed.
    fn forming(&self, street: &Street) -> Option<Forming> {
        let left = |until: Instant| until.saturating_duration_since(now());
        let at_the_latest = left(self.forms_until?);
        Some(Forming { joined: street.joined(), nodes: street.nodes().len(), needed: street.needed(), at_the_latest })
    }

    fn progress(&self) -> Progress {
        let figures = self.figures.borrow();
        let ledger = self.account.ledger();
        let status = figures.status.as_ref();
        let electricity = self.electricity.as_ref().map(|electricity| ElectricityProgress {
            days: electricity.days(now()),
            forming: self.street().filter(|_| self.phase == Phase::Starting).and_then(|street| self.forming(street)),
            arrived: electricity.ledger().arrived(),
            meters: electricity.meters(),
            active: status.and_then(|status| status.electricity.as_ref()).map_or(0, |it| it.active),
        });
        Progress {
            phase: self.phase,
            elapsed: now().duration_since(self.began),
            tally: self.account.tally(),
            heard: ledger.expected(),
            decoded: figures.decoded(),
            delivered: ledger.matched(),
            meters: (self.options.radio.as_ref().map_or(0, |radio| radio.meters), self.account.meters()),
            electricity,
            backlog: status.map_or(0, |status| status.buffer.backlog),
            acknowledged: status.map_or(0, |status| status.uplink.acknowledged),
            is_connected: status.is_some_and(|status| status.uplink.is_connected),
            is_down: self.proxy.line().is_down,
            kills: self.kills.count(),
            usage: self.service.usage(),
            rss_bytes: status.map_or(0, |status| status.process.rss_bytes),
            garbage: self.radio.as_ref().map_or(0, crate::simulate::radio::Part::garbage),
            wire_bytes: self.proxy.up() + self.proxy.down(),
            awaited: self.awaited,
            last: self.account.last().map(str::to_owned).collect(),
        }
    }
}
