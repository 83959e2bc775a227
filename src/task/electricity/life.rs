//! A meter's life beside the schedule: replaced, removed, and who answers in whose place.
//!
//! Who is replaced tells its registers once more, and the new one its first, before either is said: both are told on
//! demand and linked by an event each. Then the keys of the old one are forgotten; how far it was read stays.

use super::collector::Collector;
use super::demand::Demand;
use super::exchange::Outcome;
use super::known::{Known, event};
use crate::clock::Now;
use crate::control::{MeterCard, Refusal, RefusalKind};
use crate::reading::MeterId;
use crate::schedule::{End, MeterNo, MeterState};
use crate::store::{Body, Lane};

impl Collector {
    /// Another meter measures in the place of one.
    pub(super) fn replace(&mut self, old: &str, new: &str) -> Result<MeterCard, Refusal> {
        let (old, new) = (self.taking_part(old)?, self.taking_part(new)?);
        if old == new {
            return Err(Refusal::new(RefusalKind::Malformed, "a meter does not replace itself"));
        }
        let pending = self.demands_of(old).find_map(|demand| match demand {
            Demand::Final(new) => Some(*new),
            _ => None,
        });
        match pending {
            None => self.demand(old, Demand::Final(new))?,
            Some(pending) if pending == new => {}
            Some(pending) => {
                let why = format!("the meter is being replaced by {}", self.named(pending));
                return Err(Refusal::new(RefusalKind::NotPermitted, why));
            }
        }
        self.card(old).ok_or_else(unknown)
    }

    /// Nobody measures there any more.
    pub(super) fn remove(&mut self, meter: &str) -> Result<MeterCard, Refusal> {
        let no = self.taking_part(meter)?;
        let now = (self.clock)();
        let record = self.retire(no, MeterState::Removed, "electricity.removed", String::new(), now);
        self.store_with_mark(no, record.into_iter().collect());
        self.card(no).ok_or_else(unknown)
    }

    pub(super) fn taking_part(&self, meter: &str) -> Result<MeterNo, Refusal> {
        let no = self.numbered(meter).ok_or_else(unknown)?;
        match self.schedule.state(no) {
            None => Err(Refusal::new(RefusalKind::Busy, "the clock is not known yet: no meter takes part")),
            Some(state) if state.is_retired() => {
                Err(Refusal::new(RefusalKind::NotPermitted, format!("the meter is {}", state.name())))
            }
            Some(_) => Ok(no),
        }
    }

    pub(super) fn numbered(&self, meter: &str) -> Option<MeterNo> {
        let id: MeterId = meter.parse().ok()?;
        let place = self.meters.iter().position(|known| known.id() == id)?;
        Some(MeterNo(u32::try_from(place).ok()?))
    }

    /// Takes part no longer. Its keys are forgotten.
    pub(super) fn retire(
        &mut self,
        no: MeterNo,
        state: MeterState,
        code: &'static str,
        detail: String,
        now: Now,
    ) -> Option<(Lane, Body)> {
        self.schedule.retire(no, state);
        self.give_up_demands(no);
        self.bindings.retain(|binding| !binding.is_of(no));
        let known = self.meters.get_mut(no.0 as usize)?;
        known.retire();
        known.is_dark(state, &self.dark);
        let record = event(code, detail, known.id(), now);
        self.place(no, None);
        Some(record)
    }

    pub(super) fn id_of(&self, no: MeterNo) -> MeterId {
        self.meters.get(no.0 as usize).map_or(MeterId::SystemTitle([0; 8]), Known::id)
    }

    pub(super) fn named(&self, no: MeterNo) -> String {
        self.meters.get(no.0 as usize).map_or_else(String::new, |known| known.id().to_string())
    }

    /// Whether another meter has said this logical device name.
    fn has_name(&self, no: MeterNo, name: &[u8]) -> Option<MeterId> {
        let others = self.meters.iter().enumerate().filter(|(place, _)| *place != no.0 as usize);
        let same = |known: &&Known| known.name.as_deref().is_some_and(|other| other == name);
        others.map(|(_, known)| known).find(same).map(Known::id)
    }

    /// Looks whether the answer is the meter's own. Of one that is another's nothing is taken.
    pub(super) fn identify(&mut self, no: MeterNo, outcome: &mut Outcome) {
        let now = (self.clock)();
        if let Some(other) = outcome.other {
            return self.other_meter(no, other, now);
        }
        self.channels(no, outcome, now);
        let Some(name) = outcome.name.take() else { return };
        let twin = if name.is_empty() { None } else { self.has_name(no, &name) };
        let Some(twin) = twin else {
            if let Some(known) = self.meters.get_mut(no.0 as usize) {
                known.name = Some(name);
            }
            return;
        };
        let said = String::from_utf8_lossy(&name).into_owned();
        let detail = format!("it answers with the logical device name of {twin}, {said:?}; nothing was taken");
        outcome.rows.clear();
        outcome.events.clear();
        outcome.notified.clear();
        (outcome.end, outcome.detail) = (End::Denied, Some(detail.clone()));
        self.tell(no.0 as usize, "electricity.duplicate", detail, now);
    }

    /// Another meter is behind it than before.
    fn channels(&mut self, no: MeterNo, outcome: &Outcome, now: Now) {
        let Some(known) = self.meters.get_mut(no.0 as usize) else { return };
        let mut records = Vec::new();
        for (channel, meter) in &outcome.channels {
            let before = match meter {
                Some(meter) => known.channels.insert(*channel, *meter),
                None => known.channels.remove(channel),
            };
            if let Some(before) = before.filter(|before| Some(*before) != *meter) {
                let now_there = meter.map_or_else(|| "nobody".to_owned(), |meter| meter.to_string());
                let detail = format!("channel {channel}: {now_there} instead of {before}");
                records.push(event("electricity.channel_changed", detail, known.id(), now));
            }
        }
        if !outcome.channels.is_empty() {
            self.place(no, None);
        }
        if !records.is_empty() {
            self.store_with_mark(no, records);
        }
    }

    /// What is told of an answer that came from another meter.
    fn other_meter(&mut self, no: MeterNo, other: [u8; 8], now: Now) {
        let is_known = self.meters.iter().any(|known| known.party.meter.id == other);
        let code = if is_known { "electricity.duplicate" } else { "electricity.other_meter" };
        let detail = format!("{} answers in its place; nothing was taken", MeterId::SystemTitle(other));
        self.tell(no.0 as usize, code, detail, now);
    }
}

pub(super) fn unknown() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "no such electricity meter is configured")
}
