//! Meters that come back, and meters that go from one unit to another without a gap or a double.
//!
//! Who hands a meter over stops reading it, makes that durable, and only then says how far it came; who takes it over
//! begins there. Each time the turn is one higher, so that an old state is not taken for a new one.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use tokio::sync::oneshot;
use tokio::task::block_in_place;

use super::binding::Binding;
use super::collector::{Collector, mark_name};
use super::known::{Member, event};
use super::life::unknown;
use crate::control::{MeterCard, Refusal, RefusalKind};
use crate::registry::Credentials;
use crate::schedule::{Kept, KeptLine, MeterNo, MeterState, signature};
use crate::store::{Body, Lane, Mark};
use crate::task::chain;
use crate::wire::columns::{from_meter, to_meter};
use crate::wire::v1::MeterHandover;

/// Who waits for a meter's state.
pub(super) type Leave = oneshot::Sender<Result<MeterHandover, Refusal>>;

impl Collector {
    /// A meter that was removed or replaced is read again, from where it was left.
    pub(super) fn restore(&mut self, meter: &str) -> Result<MeterCard, Refusal> {
        let no = self.numbered(meter).ok_or_else(unknown)?;
        let state = match self.schedule.state(no) {
            Some(state @ (MeterState::Removed | MeterState::Replaced)) => state,
            Some(MeterState::HandedOver | MeterState::Awaited) => {
                let why = "another unit reads the meter: its state has to come back with `dcu meter take-over`";
                return Err(Refusal::new(RefusalKind::NotPermitted, why));
            }
            _ => return Err(Refusal::new(RefusalKind::NotPermitted, "the meter takes part")),
        };
        self.reinstate(no, Vec::new())?;
        if let Some(known) = self.meters.get_mut(no.0 as usize) {
            known.successor = None;
        }
        let record = event("electricity.restored", format!("it was {}", state.name()), self.id_of(no), (self.clock)());
        self.store_with_mark(no, vec![record]);
        self.card(no).ok_or_else(unknown)
    }

    /// Reads a meter no more, and says how far it was read when that is durable; of one that was handed over before it
    /// says the same again, as what was said may not have reached anybody.
    pub(super) fn hand_over_to_another(&mut self, meter: &str, reply: Leave) {
        let gone = self.numbered(meter).filter(|no| self.schedule.state(*no) == Some(MeterState::HandedOver));
        if let Some(no) = gone {
            if !self.leaving.iter().any(|(leaving, _)| *leaving == no) {
                return self.tell_handover(no, None, reply);
            }
            // Who asks again waits in the place of who does no more.
            self.leaving.retain(|(leaving, reply)| *leaving != no || !reply.is_closed());
            return self.leaving.push((no, reply));
        }
        let no = match self.taking_part(meter).and_then(|no| self.handover(no).map(|_| no)) {
            Ok(no) => no,
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        self.schedule.retire(no, MeterState::HandedOver);
        self.give_up_demands(no);
        self.leaving.push((no, reply));
        self.leave();
    }

    /// Lets those go with whom nothing is under way any more.
    pub(super) fn leave(&mut self) {
        let (gone, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.leaving).into_iter().partition(|(no, _)| !self.schedule.is_busy(*no));
        self.leaving = waiting;
        let mut told = BTreeSet::new();
        for (no, reply) in gone {
            // More than one may wait for the same.
            let record = match told.insert(no) {
                false => None,
                true => {
                    let until = self.said_until(no);
                    self.retire(no, MeterState::HandedOver, "electricity.handed_over", until, (self.clock)())
                }
            };
            self.tell_handover(no, record, reply);
        }
    }

    /// Not before it is durable that this unit reads a meter no more may another one begin.
    fn tell_handover(&mut self, no: MeterNo, record: Option<(Lane, Body)>, reply: Leave) {
        let handover = self.handover(no);
        let done = Box::new(move |stored: Result<_, _>| {
            let stored = stored.map_err(|error| Refusal::new(RefusalKind::Failed, chain(&error)));
            drop(reply.send(stored.and(handover)));
        });
        self.store_and_then(no, record.into_iter().collect(), Some(done));
    }

    /// Begins where another unit ended, and says so when that is durable.
    pub(super) fn take_over_from_another(
        &mut self,
        handover: &MeterHandover,
        reply: oneshot::Sender<Result<MeterCard, Refusal>>,
    ) {
        let (no, record) = match self.take_over(handover) {
            Ok(taken) => taken,
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        let card = self.card(no).ok_or_else(unknown);
        let done = Box::new(move |stored: Result<_, _>| {
            let stored = stored.map_err(|error| Refusal::new(RefusalKind::Failed, chain(&error)));
            drop(reply.send(stored.and(card)));
        });
        self.store_and_then(no, vec![record], Some(done));
    }

    fn take_over(&mut self, handover: &MeterHandover) -> Result<(MeterNo, (Lane, Body)), Refusal> {
        let malformed = || Refusal::new(RefusalKind::Malformed, "the state is damaged, or of a newer version");
        let meter = handover.meter.as_ref().and_then(|meter| to_meter(meter).ok()).ok_or_else(malformed)?;
        let no = self.numbered(&meter.to_string()).ok_or_else(unknown)?;
        let (kept, counter) = parse(&handover.state).ok_or_else(malformed)?;
        let refused = |why: String| Err(Refusal::new(RefusalKind::NotPermitted, why));
        let known = self.meters.get(no.0 as usize).ok_or_else(unknown)?;
        match self.schedule.state(no) {
            None => return Err(Refusal::new(RefusalKind::Busy, "the clock is not known yet: no meter takes part")),
            Some(MeterState::HandedOver | MeterState::Awaited) if kept.turn > known.turn => {}
            Some(MeterState::HandedOver | MeterState::Awaited) => {
                return refused("the state is an old one: the meter was handed over since".to_owned());
            }
            Some(state) => {
                let why = "only one with `handed_over = true`, or that was handed over from here, is taken over";
                return refused(format!("the meter is {} here: {why}", state.name()));
            }
        }
        let lines = known.tasks.iter().filter_map(|member| {
            let said = self.config.tasks.get(member.task)?;
            let mut progress = kept.progress(&said.id, &said.grid)?.clone();
            // What this unit has told since that state was said it does not tell again.
            self.schedule.progress(no, member.task).into_iter().for_each(|own| progress.join(own));
            Some((member.task, progress))
        });
        let lines: Vec<_> = lines.collect();
        let missing = known.tasks.len() - lines.len();
        let name = known.party.meter.id;
        if known.party.meter.manner.is_ciphered() {
            let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
            let raised = block_in_place(|| counters.raise(&name, counter));
            raised.map_err(|error| Refusal::new(RefusalKind::Failed, chain(&error)))?;
        }
        self.reinstate(no, lines)?;
        if let Some(known) = self.meters.get_mut(no.0 as usize) {
            known.take(&kept);
            for member in &mut known.tasks {
                let line = self.config.tasks.get(member.task).map(|said| said.id.as_str());
                let line = kept.lines.iter().find(|kept| Some(&*kept.task) == line);
                member.layout = line.map_or(0, |line| line.layout);
                member.lost = line.map_or(0, |line| line.progress.lost());
            }
        }
        self.bindings.extend(Binding::of(no, &kept, (self.clock)()));
        let begins = if missing > 0 { format!("; {missing} tasks of it begin anew") } else { String::new() };
        let detail = format!("from {:?}: {}{begins}", handover.dcu, self.said_until(no));
        Ok((no, event("electricity.taken_over", detail, self.id_of(no), (self.clock)())))
    }

    /// Takes part again, with its keys as their file has them now.
    fn reinstate(&mut self, no: MeterNo, read: Vec<(usize, crate::schedule::Progress)>) -> Result<(), Refusal> {
        let id = self.meters.get(no.0 as usize).ok_or_else(unknown)?.party.meter.id;
        let credentials = self.config.keys.as_deref().map(|path| block_in_place(|| Credentials::load(path)));
        let credentials = credentials.transpose().map_err(|error| Refusal::new(RefusalKind::Failed, chain(&error)))?;
        let credential = credentials.and_then(|credentials| credentials.of(id).cloned());
        if let Some(known) = self.meters.get_mut(no.0 as usize) {
            let state = if known.answered_ms.is_some() { MeterState::Active } else { MeterState::New };
            known.speak_with(credential);
            (known.is_told, known.is_retired) = (false, false);
            self.schedule.reinstate(no, state, read, (self.clock)());
        }
        self.place(no, None);
        Ok(())
    }

    fn handover(&self, no: MeterNo) -> Result<MeterHandover, Refusal> {
        let known = self.meters.get(no.0 as usize).ok_or_else(unknown)?;
        let kept = self.kept(no).ok_or_else(unknown)?;
        let kept = Kept { turn: kept.turn.saturating_add(1), state: MeterState::HandedOver, ..kept };
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let octets = emit(&kept, counters.peek(&known.party.meter.id));
        if octets.len() > LIMIT {
            let why = "too much of it is missing, here and there, to be said in one message: fill its gaps first";
            return Err(Refusal::new(RefusalKind::NotPermitted, why));
        }
        let at_ms = (self.clock)().utc_ms;
        // Who signs says who it is.
        Ok(MeterHandover { dcu: String::new(), meter: Some(from_meter(known.id())), at_ms, state: octets })
    }

    pub(super) fn mark(&self, no: MeterNo) -> Option<Mark> {
        let mut octets = Vec::new();
        self.kept(no)?.emit(&mut octets);
        Some((mark_name(self.meters.get(no.0 as usize)?.party.meter.id), octets))
    }

    /// How far a meter has come.
    pub(super) fn kept(&self, no: MeterNo) -> Option<Kept> {
        let known = self.meters.get(no.0 as usize)?;
        let line = |member: &Member| {
            let said = self.config.tasks.get(member.task)?;
            Some(KeptLine {
                task: said.id.as_str().into(),
                grid: signature(&said.grid),
                layout: member.layout,
                progress: self.schedule.progress(no, member.task)?.clone(),
            })
        };
        Some(Kept {
            received: known.received,
            pushed: known.pushed.0,
            state: self.schedule.state(no)?,
            is_told: known.is_told,
            answered_ms: known.answered_ms,
            moved: known.moved,
            turn: known.turn,
            successor: known.successor,
            channels: known
                .channels
                .iter()
                .filter_map(|(channel, meter)| Some((*channel, meter.m_bus_octets()?)))
                .collect(),
            bindings: self.kept_bindings(no),
            lines: known.tasks.iter().filter_map(line).collect(),
        })
    }

    /// How far each task has come.
    fn said_until(&self, no: MeterNo) -> String {
        let tasks = self.meters.get(no.0 as usize).map(|known| &*known.tasks).unwrap_or_default();
        let until = tasks.iter().filter_map(|member| {
            let (said, progress) = (self.config.tasks.get(member.task)?, self.schedule.progress(no, member.task)?);
            let until = jiff::Timestamp::from_second(said.grid.end(progress.watermark() - 1)).ok()?;
            Some(format!("{} until {until}", said.id))
        });
        until.collect::<Vec<_>>().join(", ")
    }
}

/// What is kept of a meter, the next invocation counter of the unit, and a checksum.
fn emit(kept: &Kept, counter: u64) -> Vec<u8> {
    let mut octets = counter.to_le_bytes().to_vec();
    kept.emit(&mut octets);
    let checksum = crc32c::crc32c(&octets);
    octets.extend(checksum.to_le_bytes());
    octets
}

fn parse(octets: &[u8]) -> Option<(Kept, u64)> {
    let (body, checksum) = octets.split_last_chunk()?;
    let (counter, kept) = body.split_first_chunk()?;
    let is_whole = crc32c::crc32c(body) == u32::from_le_bytes(*checksum);
    Some((Kept::parse(kept).filter(|_| is_whole)?, u64::from_le_bytes(*counter)))
}

/// Octets of a state: signed, and in hexadecimal digits, it fits a request and an answer to the head-end.
const LIMIT: usize = 1_600;
