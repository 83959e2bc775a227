//! One order carried out: an association, what is asked in it, and what came of it.

mod associate;
mod behind;
mod buffer;
mod channel;
mod clock;
mod columns;
mod parked;
mod party;
mod registers;
mod rows;
mod several;
mod trouble;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::plc::poll::Priority;
use dlms::Data;
use dlms::apdu::Attribute;
use dlms::client::Association;
use dlms::cosem::{ScalerUnit, class};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tracing::warn;

pub(super) use behind::{CHANNELS, behind_it, channel};
pub(super) use clock::Corrected;
pub(super) use parked::Parked;
pub(super) use party::{Party, Shown};
use trouble::Trouble;

use super::{Note, Session};
use crate::clock::ReadClock;
use crate::control::{ChannelAsk, ChannelCard, Refusal, RefusalKind};
use crate::journal::Counters;
use crate::reading::from_cosem::{ClockRule, Column, Context};
use crate::reading::{MeterEvent, MeterId, Obis, Origin, Reading};
use crate::schedule::{Discipline, End, Grid, Slot};
use crate::store::Lane;
use crate::task::chain;

/// What is asked of whom.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) meter: Arc<Party>,
    pub(super) wanted: Wanted,
    pub(super) grid: Grid,
    pub(super) slots: RangeInclusive<Slot>,
    /// The shortest slots that the meter's profiles have, in seconds.
    pub(super) slot_seconds: u32,
    /// Its logical device name is known, or will not be.
    pub(super) is_named: bool,
    /// Who is behind it is asked for too.
    pub(super) looks_behind: bool,
    /// Seconds since 1970 UTC that its clock was moved over.
    pub(super) moved: Option<(i64, i64)>,
    pub(super) origin: Origin,
    /// Before whom it goes in a mesh.
    pub(super) priority: Priority,
    /// The highest invocation counter that came before.
    pub(super) received: Option<u32>,
    /// What is known of the profile from before.
    pub(super) layout: Option<Arc<Layout>>,
    pub(super) counters: Arc<Mutex<Counters>>,
    /// Associations that are open.
    pub(super) parked: Arc<Parked>,
    pub(super) clock: ReadClock,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Rows at the ends of the slots; those between them are told too.
    Profile(Obis),
    /// Rows whenever they were written.
    Events(Obis),
    Registers(Vec<(u16, Obis)>),
    Clock(Discipline),
    Channel(u8, ChannelAsk),
}

/// What the rows of a profile are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) fingerprint: u64,
    pub(super) columns: Vec<Column>,
    /// Seconds.
    pub(super) period: u32,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) end: End,
    /// Why it is not complete, or what was odd.
    pub(super) detail: Option<String>,
    /// Readings by the slot they belong to, in the order of the meter.
    pub(super) rows: Vec<(Slot, Vec<Reading>)>,
    /// What rows of a log tell, likewise.
    pub(super) events: Vec<(Slot, Lane, MeterEvent)>,
    pub(super) received: Option<u32>,
    pub(super) layout: Option<Arc<Layout>>,
    /// Milliseconds that the meter's clock is ahead, and how uncertain that is.
    pub(super) offset: Option<(i64, i64)>,
    pub(super) counter_restarted: bool,
    /// Its logical device name, where it was asked for that.
    pub(super) name: Option<Vec<u8>>,
    /// The system title of the meter that answered instead.
    pub(super) other: Option<[u8; 8]>,
    /// Meters behind this one, by channel, as far as they were asked for; None: nobody.
    pub(super) channels: Vec<(u8, Option<MeterId>)>,
    /// What came of an order to a channel.
    pub(super) channel: Option<Result<ChannelCard, Refusal>>,
    /// Scalers and units of registers.
    pub(super) units: Vec<(Attribute, Option<ScalerUnit>)>,
    /// What the meter sent unasked, deciphered.
    pub(super) notified: Vec<Vec<u8>>,
    pub(super) corrected: Option<Corrected>,
}

impl Outcome {
    /// Of an exchange that did not come to its end by itself.
    pub(super) fn lost(detail: String) -> Self {
        Self { end: End::Broken, detail: Some(detail), ..Self::default() }
    }
}

impl Job {
    /// Carries it out. It ends, whatever the meter does.
    pub(super) async fn run(self) -> Outcome {
        let mut outcome = self.outcome();
        match timeout(LONGEST, self.converse(&mut outcome)).await {
            Ok(Ok(())) => outcome.end = End::Complete,
            Ok(Err(Trouble { end, detail, .. })) => (outcome.end, outcome.detail) = (end, Some(detail)),
            Err(_) => {
                let minutes = LONGEST.as_secs() / 60;
                outcome.detail = Some(format!("not done within {minutes} min"));
            }
        }
        // What came is good, and the meter is there.
        if outcome.end == End::Unreachable && !outcome.rows.is_empty() {
            outcome.end = End::Broken;
        }
        outcome
    }

    /// Of which nothing is known yet.
    fn outcome(&self) -> Outcome {
        let (received, layout) = (self.received, self.layout.clone());
        Outcome { end: End::Unreachable, detail: None, received, layout, ..Outcome::default() }
    }

    async fn converse(&self, outcome: &mut Outcome) -> Result<(), Trouble> {
        let lost = match self.go_on(outcome).await {
            Ok(done) => return done,
            Err(lost) => lost,
        };
        let (mut session, agreed) = self.associate(outcome.received).await?;
        self.meter.shown.idle.opened(lost);
        let asked = self.ask(&mut session, &agreed, outcome).await;
        self.end(session, asked, outcome).await
    }

    /// What came beside what was asked; and the association is left as it is, or ended.
    async fn end(
        &self,
        mut session: Session,
        asked: Result<(), Trouble>,
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        outcome.received = session.client().received_counter();
        while let Some(note) = session.poll_note() {
            match note {
                Note::CounterRestarted { .. } => outcome.counter_restarted = true,
                Note::Notified(apdu) => outcome.notified.push(apdu),
                Note::Rejected(_) => {}
            }
        }
        // What was read is read, however the meter says goodbye.
        if !matches!(asked, Err(Trouble { end: End::Unreachable, .. })) {
            drop(self.leave(session, asked.is_ok()).await);
        }
        asked
    }

    async fn ask(&self, session: &mut Session, agreed: &Association, outcome: &mut Outcome) -> Result<(), Trouble> {
        let said = agreed.meter_title.map(|title| title.0);
        if let Some(other) = said.filter(|title| *title != self.meter.meter.id) {
            outcome.other = Some(other);
            return Err(Trouble::denied(format!("another meter answers: {}", MeterId::SystemTitle(other))));
        }
        // Where nothing in the answers says who it is, its name does.
        if said.is_none() && !self.is_named {
            let name = session.get(LOGICAL_DEVICE_NAME, None).await;
            let octets = name.ok().and_then(|name| Some(Data::parse_all(&name).ok()?.string().ok()?.to_vec()));
            outcome.name = Some(octets.unwrap_or_default());
        }
        match &self.wanted {
            Wanted::Profile(object) | Wanted::Events(object) => self.rows(*object, session, outcome).await,
            Wanted::Registers(objects) => {
                let told = self.registers(objects, session, outcome).await;
                if self.looks_behind && !matches!(told, Err(Trouble { end: End::Unreachable, .. })) {
                    self.look_behind(session, outcome).await?;
                }
                told
            }
            Wanted::Channel(channel, ask) => {
                let done = self.channel(*channel, ask, session, outcome).await;
                let unanswered = done.as_ref().err().filter(|refusal| refusal.kind == RefusalKind::TimedOut);
                let (end, kind) = (End::Unreachable, RefusalKind::TimedOut);
                let unanswered = unanswered.map(|refusal| Trouble { end, kind, detail: refusal.message.clone() });
                outcome.channel = Some(done);
                unanswered.map_or(Ok(()), Err)
            }
            Wanted::Clock(discipline) => self.time(*discipline, session, outcome).await,
        }
    }

    /// Invocation counters of this meter's key, reserved durably.
    fn reserve(&self) -> super::Reserve {
        let (counters, name) = (Arc::clone(&self.counters), self.meter.meter.id);
        let is_ciphered = self.meter.meter.manner.is_ciphered();
        Box::new(move || {
            if !is_ciphered {
                return None;
            }
            // Saying that it may block costs a thread each time: only who has to write says so.
            let reserved =
                counters.try_lock().ok().and_then(|mut counters| counters.take_reserved(&name, COUNTERS_AT_ONCE));
            let taken = reserved.map_or_else(
                || {
                    block_in_place(|| {
                        counters.lock().unwrap_or_else(PoisonError::into_inner).take(&name, COUNTERS_AT_ONCE)
                    })
                },
                Ok,
            );
            match taken {
                Ok(range) => Some(u32::try_from(range.start).ok()?..u32::try_from(range.end).ok()?),
                Err(error) => {
                    warn!(err = %chain(&error), "reserve invocation counters");
                    None
                }
            }
        })
    }

    fn rule(&self) -> ClockRule {
        self.meter.rule()
    }

    fn context(&self) -> Context {
        self.meter.context(self.origin, (self.clock)())
    }
}

const LOGICAL_DEVICE_NAME: Attribute = Attribute::new(class::DATA, dlms::Obis::new(0, 0, 42, 0, 0, 255), 2);
/// Of one order, whatever it is.
const LONGEST: Duration = Duration::from_secs(900);
/// A session takes one for each request and each block.
pub(super) const COUNTERS_AT_ONCE: u64 = 64;
