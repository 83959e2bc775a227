//! A meter's life beside the schedule: replaced, removed, and who answers in whose place.
//!
//! Who is replaced tells its registers once more, and the new one its first, before either is said: both are told on
//! demand and linked by an event each. Then the keys of the old one are forgotten; how far it was read stays.

use std::sync::Arc;

use super::collector::Collector;
use super::exchange::{Outcome, Party, Wanted};
use super::known::{Known, Member, event};
use crate::clock::Now;
use crate::config::electricity::What;
use crate::control::{ElectricityCard, ElectricityTask, MeterCard, MeterLine, Refusal, RefusalKind};
use crate::reading::{MeterId, Obis, Origin};
use crate::schedule::{End, Grid, MeterNo, MeterState, Ticket};
use crate::store::{Body, Lane};

/// What a meter is asked for out of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Its last registers, before this one measures in its place.
    Final(MeterNo),
    /// Its first registers, after that one.
    First(MeterNo),
}

impl Demand {
    /// The number of a request in the schedule.
    const fn number(self) -> u64 {
        match self {
            Self::Final(new) => (new.0 as u64) << 1,
            Self::First(old) => (old.0 as u64) << 1 | 1,
        }
    }

    pub(super) const fn of(number: u64) -> Self {
        let no = MeterNo((number >> 1) as u32);
        if number & 1 == 0 { Self::Final(no) } else { Self::First(no) }
    }

    /// All of a meter's registers that are known to be there.
    pub(super) fn wanted(collector: &Collector, known: &Known) -> Wanted {
        let tasks = known.tasks.iter().filter_map(|member| collector.config.tasks.get(member.task));
        let registers = tasks.filter_map(|task| match &task.what {
            What::Registers(objects) => Some(objects.clone()),
            _ => None,
        });
        let captured =
            known.layouts.iter().flat_map(|(_, layout)| &layout.columns).map(|column| column.object.attribute);
        let captured = captured.filter(|it| matches!(it.class_id, 3..=5) && it.attribute == 2);
        let mut all: Vec<_> = registers.flatten().collect();
        all.extend(captured.map(|it| (it.class_id, Obis(it.logical_name.0))));
        all.push(ACTIVE_IMPORT);
        all.sort_unstable();
        all.dedup();
        Wanted::Registers(all)
    }

    pub(super) const fn grid() -> Grid {
        Grid::Every { seconds: 60 }
    }

    pub(super) const ORIGIN: Origin = Origin::OnDemand;
}

impl Collector {
    /// Another meter measures in the place of one.
    pub(super) fn replace(&mut self, old: &str, new: &str) -> Result<MeterCard, Refusal> {
        let (old, new) = (self.taking_part(old)?, self.taking_part(new)?);
        if old == new {
            return Err(Refusal::new(RefusalKind::Malformed, "a meter does not replace itself"));
        }
        self.demand(old, Demand::Final(new))?;
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

    fn demand(&mut self, no: MeterNo, demand: Demand) -> Result<(), Refusal> {
        let is_taken = self.schedule.ask(no, demand.number());
        is_taken.then_some(()).ok_or_else(|| Refusal::new(RefusalKind::Busy, "too many requests wait for its channel"))
    }

    fn taking_part(&self, meter: &str) -> Result<MeterNo, Refusal> {
        let no = self.numbered(meter).ok_or_else(unknown)?;
        match self.schedule.state(no) {
            None => Err(Refusal::new(RefusalKind::Busy, "the clock is not known yet: no meter takes part")),
            Some(MeterState::Replaced) => Err(Refusal::new(RefusalKind::NotPermitted, "the meter is replaced")),
            Some(MeterState::Removed) => Err(Refusal::new(RefusalKind::NotPermitted, "the meter is removed")),
            Some(_) => Ok(no),
        }
    }

    fn numbered(&self, meter: &str) -> Option<MeterNo> {
        let id: MeterId = meter.parse().ok()?;
        let place = self.meters.iter().position(|known| known.id() == id)?;
        Some(MeterNo(u32::try_from(place).ok()?))
    }

    /// What was asked on demand has ended.
    pub(super) fn demanded(&mut self, ticket: Ticket, no: MeterNo, demand: Demand, outcome: Outcome) {
        let now = (self.clock)();
        let Some(known) = self.meters.get_mut(no.0 as usize) else { return };
        known.received = known.received.max(outcome.received);
        let readings: Vec<_> = outcome.rows.into_iter().flat_map(|(_, readings)| readings).collect();
        self.schedule.handle_done(ticket, outcome.end, now);
        let said: Vec<_> = readings
            .iter()
            .filter_map(|it| Some(format!("{} {} {}", it.register.obis?, it.value, it.register.unit)))
            .take(SAID)
            .collect();
        let said = match said.as_slice() {
            [] => format!("no reading: {}", outcome.detail.unwrap_or_else(|| "it has none".to_owned())),
            said => said.join(", "),
        };
        let mut records: Vec<_> = readings.into_iter().map(|it| (Lane::OnDemand, Body::Reading(it))).collect();
        match demand {
            Demand::Final(new) => {
                let detail = format!("by {}; its final readings: {said}", self.named(new));
                records.extend(self.retire(no, MeterState::Replaced, "electricity.replaced", detail, now));
                if let Some(known) = self.meters.get_mut(no.0 as usize) {
                    known.successor = Some(new);
                }
                // A channel that has no room tells no first reading; its profile does.
                let _ = self.demand(new, Demand::First(no));
            }
            Demand::First(old) => {
                let detail = format!("instead of {}; its first readings: {said}", self.named(old));
                if let Some(known) = self.meters.get(no.0 as usize) {
                    records.push(event("electricity.commissioned", detail, known.id(), now));
                }
            }
        }
        self.store_with_mark(no, records);
    }

    /// Takes part no longer. Its keys are forgotten.
    fn retire(
        &mut self,
        no: MeterNo,
        state: MeterState,
        code: &'static str,
        detail: String,
        now: Now,
    ) -> Option<(Lane, Body)> {
        self.schedule.retire(no, state);
        let known = self.meters.get_mut(no.0 as usize)?;
        known.retire(state);
        Some(event(code, detail, known.id(), now))
    }

    fn named(&self, no: MeterNo) -> String {
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
        (outcome.end, outcome.detail) = (End::Refused, Some(detail.clone()));
        self.tell(no.0 as usize, "electricity.duplicate", detail, now);
    }

    /// Another meter is behind it than before.
    fn channels(&mut self, no: MeterNo, outcome: &Outcome, now: Now) {
        let Some(known) = self.meters.get_mut(no.0 as usize) else { return };
        let mut records = Vec::new();
        for (channel, meter) in &outcome.channels {
            let before = known.channels.insert(*channel, *meter).filter(|before| before != meter);
            if let Some(before) = before {
                let detail = format!("channel {channel}: {meter} instead of {before}");
                records.push(event("electricity.channel_changed", detail, known.id(), now));
            }
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

    /// All meters, as the list of meters has them.
    pub(super) fn meter_lines(&self) -> Vec<MeterLine> {
        self.meters.iter().map(line).collect()
    }

    pub(super) fn meter_card(&self, id: &str) -> Option<MeterCard> {
        self.card(self.numbered(id)?)
    }

    fn card(&self, no: MeterNo) -> Option<MeterCard> {
        let known = self.meters.get(no.0 as usize)?;
        let state = self.schedule.state(no).unwrap_or_default();
        let task = |member: &Member| {
            let (said, progress) = (self.config.tasks.get(member.task)?, self.schedule.progress(no, member.task)?);
            let complete_until_ms = said.grid.end(progress.watermark() - 1).saturating_mul(1_000);
            Some(ElectricityTask { id: said.id.clone(), complete_until_ms, lost: progress.lost() })
        };
        Some(MeterCard {
            line: line(known),
            has_key: known.party.credential.is_some(),
            counter: known.received,
            policy: "tasks".to_owned(),
            electricity: Some(ElectricityCard {
                state: state.name().to_owned(),
                channel: known.party.channel.name.clone(),
                replaced_by: known.successor.map(|no| self.named(no)),
                clock_ahead_ms: known.offset.map(|(ahead, _)| ahead),
                detail: known.detail.clone(),
                behind: known
                    .channels
                    .iter()
                    .map(|(channel, meter)| (channel.to_string(), meter.to_string()))
                    .collect(),
                tasks: known.tasks.iter().filter_map(task).collect(),
            }),
            ..MeterCard::default()
        })
    }
}

impl Known {
    /// Its keys are forgotten, and nobody speaks with it again.
    pub(super) fn retire(&mut self, state: MeterState) {
        self.told = state;
        let Party { meter, channel, own_title, .. } = &*self.party;
        let party = Party {
            meter: meter.clone(),
            channel: channel.clone(),
            credential: None,
            own_title: *own_title,
            is_unconfirmed: false.into(),
            network: None,
        };
        self.party = Arc::new(party);
    }
}

fn line(known: &Known) -> MeterLine {
    let manner = &known.party.meter.manner;
    MeterLine {
        id: known.id().to_string(),
        medium: "electricity".to_owned(),
        group: known.party.meter.group.clone(),
        security: match manner.security {
            0 => "plain",
            control if control & 0x10 != 0 => "authenticated",
            _ => "decrypted",
        }
        .to_owned(),
        telegrams: 0,
        last_heard_ms: known.answered_ms,
        rssi_dbm: None,
    }
}

fn unknown() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "no such electricity meter is configured")
}

/// Class and name: what every electricity meter has.
const ACTIVE_IMPORT: (u16, Obis) = (3, Obis([1, 0, 1, 8, 0, 255]));
/// Registers that an event repeats.
const SAID: usize = 8;
