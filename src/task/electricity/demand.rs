//! What a meter is asked for out of its turn: its registers when it is replaced, and orders to the channels behind it.

use tokio::sync::oneshot;

use super::collector::{Collector, Purpose};
use super::exchange::{CHANNELS, Outcome, Wanted};
use super::known::event;
use crate::config::electricity::What;
use crate::control::{ChannelAsk, ChannelCard, Refusal, RefusalKind};
use crate::reading::{MeterId, Obis, Origin};
use crate::schedule::{End, Grid, MeterNo, MeterState, Ticket};
use crate::store::{Body, Lane};

/// What a meter is asked for.
#[derive(Debug)]
pub(super) enum Demand {
    /// Its last registers, before this one measures in its place.
    Final(MeterNo),
    /// Its first registers, after that one.
    First(MeterNo),
    /// The scales of registers that it pushed, and what they say.
    Scales(Vec<(u16, Obis)>),
    /// Something of an M-Bus channel.
    Channel { channel: u8, ask: ChannelAsk, wanted_by: WantedBy },
}

/// Who waits for an order to a channel.
#[derive(Debug)]
pub(super) enum WantedBy {
    Desk(oneshot::Sender<Result<ChannelCard, Refusal>>),
    /// The replacement of the meter that this channel's meter was behind.
    Replacement(MeterId),
}

impl Demand {
    pub(super) fn wanted(&self, collector: &Collector, no: MeterNo) -> Wanted {
        match self {
            Self::Channel { channel, ask, .. } => Wanted::Channel(*channel, ask.clone()),
            Self::Scales(registers) => Wanted::Registers(registers.clone()),
            Self::Final(_) | Self::First(_) => Wanted::Registers(collector.all_registers(no)),
        }
    }

    /// Who ordered it waits no more: nothing is done late.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self, Self::Channel { wanted_by: WantedBy::Desk(reply), .. } if reply.is_closed())
    }

    pub(super) const fn grid() -> Grid {
        Grid::Every { seconds: 60 }
    }

    pub(super) const ORIGIN: Origin = Origin::OnDemand;
}

impl Collector {
    /// Puts a demand before everything else that is asked of the meter. Where it finds no room, whoever waits is told.
    pub(super) fn demand(&mut self, no: MeterNo, demand: Demand) -> Result<(), Refusal> {
        let number = self.next_demand;
        if !self.schedule.ask(no, number) {
            let refusal = Refusal::new(RefusalKind::Busy, "too many requests wait for its channel");
            refuse(demand, refusal.clone());
            return Err(refusal);
        }
        self.next_demand += 1;
        self.demands.insert(number, (no, demand));
        Ok(())
    }

    /// What a meter is asked for out of its turn, waiting and under way.
    pub(super) fn demands_of(&self, no: MeterNo) -> impl Iterator<Item = &Demand> {
        let waiting = self.demands.values().filter(move |(of, _)| *of == no).map(|(_, demand)| demand);
        let under_way = self.orders.values().filter_map(move |(_, of, purpose)| match purpose {
            Purpose::Demand(demand) if *of == no => Some(demand),
            _ => None,
        });
        waiting.chain(under_way)
    }

    /// An order to an M-Bus channel; what came of it goes to `reply`.
    pub(super) fn channel(
        &mut self,
        meter: &str,
        channel: u8,
        ask: ChannelAsk,
        reply: oneshot::Sender<Result<ChannelCard, Refusal>>,
    ) {
        let no = self.taking_part(meter).and_then(|no| match channel {
            1..=CHANNELS => Ok(no),
            _ => Err(Refusal::new(RefusalKind::Malformed, format!("channels are 1 to {CHANNELS}"))),
        });
        match no {
            Ok(no) => {
                let demand = Demand::Channel { channel, ask, wanted_by: WantedBy::Desk(reply) };
                let _ = self.demand(no, demand);
            }
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    /// Whoever waits for the meter is told that it takes part no longer.
    pub(super) fn give_up_demands(&mut self, no: MeterNo) {
        let of = self.demands.iter().filter(|(_, (of, _))| *of == no).map(|(number, _)| *number);
        for number in of.collect::<Vec<_>>() {
            let demand = self.demands.remove(&number).map(|(_, demand)| demand);
            let refusal = Refusal::new(RefusalKind::NotPermitted, "the meter takes part no longer");
            demand.into_iter().for_each(|demand| refuse(demand, refusal.clone()));
        }
    }

    /// All of a meter's registers that are known to be there.
    fn all_registers(&self, no: MeterNo) -> Vec<(u16, Obis)> {
        let Some(known) = self.meters.get(no.0 as usize) else { return Vec::new() };
        let tasks = known.tasks.iter().filter_map(|member| self.config.tasks.get(member.task));
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
        all
    }

    /// What was asked on demand has ended.
    pub(super) fn demanded(&mut self, ticket: Ticket, no: MeterNo, demand: Demand, mut outcome: Outcome) {
        let now = (self.clock)();
        let Some(known) = self.meters.get_mut(no.0 as usize) else { return };
        known.received = known.received.max(outcome.received);
        known.units.extend(std::mem::take(&mut outcome.units));
        if outcome.end.is_answer() {
            known.answered_ms = Some(now.utc_ms);
        }
        self.schedule.handle_done(ticket, outcome.end, now);
        let (done, end) = (outcome.channel.take(), outcome.end);
        let detail = outcome.detail.take();
        let readings: Vec<_> = outcome.rows.into_iter().flat_map(|(_, readings)| readings).collect();
        let said: Vec<_> = readings
            .iter()
            .filter_map(|it| Some(format!("{} {} {}", it.register.obis?, it.value, it.register.unit)))
            .take(SAID)
            .collect();
        let said = match said.as_slice() {
            [] => format!("no reading: {}", detail.as_deref().unwrap_or("it has none")),
            said => said.join(", "),
        };
        let mut records: Vec<_> = readings.into_iter().map(|it| (Lane::OnDemand, Body::Reading(it))).collect();
        let mut also = None;
        match demand {
            Demand::Final(new) => {
                let detail = format!("by {}; its final readings: {said}", self.named(new));
                let successor = self.meters.get(new.0 as usize).map(|known| known.party.meter.id);
                // Before nobody is behind it any more.
                self.stand(&mut records);
                records.extend(self.retire(no, MeterState::Replaced, "electricity.replaced", detail, now));
                if let Some(known) = self.meters.get_mut(no.0 as usize) {
                    known.successor = successor;
                }
                self.bind_later(no, new, now);
                also = Some(new);
                // A channel that has no room tells no first reading; its profile does.
                let _ = self.demand(new, Demand::First(no));
            }
            Demand::First(old) => {
                let detail = format!("instead of {}; its first readings: {said}", self.named(old));
                records.push(event("electricity.commissioned", detail, self.id_of(no), now));
                self.bind_now(no, now);
            }
            Demand::Scales(_) => {}
            Demand::Channel { channel, ask, wanted_by } => {
                let why = || detail.unwrap_or_else(|| "the electricity meter does not answer".to_owned());
                let kind = match end {
                    End::Unreachable => RefusalKind::TimedOut,
                    End::Denied => RefusalKind::NotPermitted,
                    _ => RefusalKind::Failed,
                };
                let done = done.unwrap_or_else(|| Err(Refusal::new(kind, why())));
                if ask != ChannelAsk::Show {
                    let detail = channel_told(channel, &ask, &done, &wanted_by);
                    records.push(event("electricity.channel", detail, self.id_of(no), now));
                }
                match wanted_by {
                    WantedBy::Desk(reply) => drop(reply.send(done)),
                    WantedBy::Replacement(_) => {
                        let failed = done.err().map(|refusal| refusal.message);
                        records.extend(self.bound(no, channel, failed.as_deref(), now));
                    }
                }
            }
        }
        self.store_with_mark(no, records);
        // Whom the new meter is to have behind it is durable after who it replaces.
        also.into_iter().for_each(|new| self.store_with_mark(new, Vec::new()));
    }
}

/// Tells whoever waits for it.
fn refuse(demand: Demand, refusal: Refusal) {
    if let Demand::Channel { wanted_by: WantedBy::Desk(reply), .. } = demand {
        drop(reply.send(Err(refusal)));
    }
}

/// What is told of an order to a channel. No key is in it.
fn channel_told(channel: u8, ask: &ChannelAsk, done: &Result<ChannelCard, Refusal>, wanted_by: &WantedBy) -> String {
    let whom = match ask {
        ChannelAsk::Install { behind: Some(meter), .. } => format!(" {meter}"),
        ChannelAsk::SetKey(key) => format!(" of {}", key.behind),
        _ => String::new(),
    };
    let why = match wanted_by {
        WantedBy::Replacement(old) => format!(" as behind {old}, which is replaced"),
        WantedBy::Desk(_) => String::new(),
    };
    let came = match done {
        Ok(card) => {
            let behind = card.behind.as_deref().unwrap_or("nobody");
            let valve = card.valve.as_ref().map_or_else(String::new, |valve| format!(", {}", valve.state));
            let key = match wanted_by {
                WantedBy::Replacement(_) => "; its key has to be set anew where it has one",
                WantedBy::Desk(_) => "",
            };
            format!("succeeded: {behind}{valve}{key}")
        }
        Err(refusal) => format!("failed: {}", refusal.message),
    };
    format!("channel {channel}: {}{whom}{why}: {came}", ask.name())
}

/// Class and name: what every electricity meter has.
const ACTIVE_IMPORT: (u16, Obis) = (3, Obis([1, 0, 1, 8, 0, 255]));
/// Registers that an event repeats.
const SAID: usize = 8;
