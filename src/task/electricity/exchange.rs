//! One order carried out: an association, what is asked in it, and what came of it.

mod associate;
mod behind;
mod buffer;
mod channel;
mod clock;
mod party;
mod registers;
mod trouble;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::plc::poll::Priority;
use dlms::Data;
use dlms::apdu::{Attribute, RangeDescriptor, Selection};
use dlms::client::{Association, Cause, Failure};
use dlms::cosem::{self, Row, Rows, ScalerUnit, class};
use dlms::data::Items;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tracing::warn;

pub(super) use behind::{CHANNELS, behind_it, channel};
pub(super) use clock::Corrected;
pub(super) use party::Party;
use trouble::Trouble;

use super::{Note, Session, SessionError};
use crate::clock::ReadClock;
use crate::control::{ChannelAsk, ChannelCard, Refusal, RefusalKind};
use crate::journal::Counters;
use crate::reading::from_cosem::{ClockRule, Column, Context, fingerprint};
use crate::reading::{Interval, MeterEvent, MeterId, Obis, Origin, Quality, Reading};
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
        let (received, layout) = (self.received, self.layout.clone());
        let mut outcome = Outcome { end: End::Unreachable, detail: None, received, layout, ..Outcome::default() };
        match timeout(LONGEST, self.converse(&mut outcome)).await {
            Ok(Ok(())) => outcome.end = End::Complete,
            Ok(Err(Trouble { end, detail })) => (outcome.end, outcome.detail) = (end, Some(detail)),
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

    async fn converse(&self, outcome: &mut Outcome) -> Result<(), Trouble> {
        let (mut session, agreed) = self.associate().await?;
        let asked = self.ask(&mut session, &agreed, outcome).await;
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
            drop(session.release().await);
        }
        asked
    }

    async fn ask(&self, session: &mut Session, agreed: &Association, outcome: &mut Outcome) -> Result<(), Trouble> {
        let said = agreed.meter_title.map(|title| title.0);
        if let Some(other) = said.filter(|title| *title != self.meter.meter.id) {
            outcome.other = Some(other);
            return Err(Trouble::refused(format!("another meter answers: {}", MeterId::SystemTitle(other))));
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
                let unanswered = unanswered.map(|refusal| refusal.message.clone());
                outcome.channel = Some(done);
                unanswered.map_or(Ok(()), |detail| Err(Trouble { end: End::Unreachable, detail }))
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

    /// Rows of the slots that are asked for.
    async fn rows(&self, object: Obis, session: &mut Session, outcome: &mut Outcome) -> Result<(), Trouble> {
        let profile = |attribute| Attribute::new(class::PROFILE_GENERIC, dlms::Obis(object.0), attribute);
        let layout = self.layout(session, &profile, outcome.layout.take()).await?;
        outcome.layout = Some(Arc::clone(&layout));
        let is_clock = |column: &&Column| column.object.attribute.class_id == class::CLOCK;
        let restricting_object = layout.columns.iter().find(is_clock).map(|column| column.object);
        let restricting_object =
            restricting_object.ok_or_else(|| Trouble::refused(format!("{object} captures no clock")))?;
        let rule = self.rule();
        let (first, last) = (*self.slots.start(), *self.slots.end());
        let tolerance = self.tolerance();
        // Both ends are in it, and a meter may compare the hundredths too.
        let from = rule.written(self.grid.end(first - 1)).octets();
        let to = rule.written(self.grid.end(last) + tolerance.max(1)).octets();
        let selection = Selection::Range(RangeDescriptor {
            restricting_object,
            from_value: Data::OctetString(&from),
            to_value: Data::OctetString(&to),
            selected_values: Items::EMPTY,
        });
        let buffer = buffer::read(session, profile(2), selection).await?;
        let context = self.context_of(object, session, outcome).await?;
        let columns: Vec<_> = layout.columns.iter().map(|column| cosem::Column::from(&column.object)).collect();
        let mut rows = Rows::new(Data::parse_all(&buffer)?, &columns, layout.period)?;
        let mut undated = 0_u32;
        // Of a clock that was set back there are two rows for one slot: the first is the slot's.
        let mut seen = BTreeSet::new();
        while let Some(row) = rows.next() {
            // What stood before a row that cannot be read is good.
            let row = row?;
            let Some(stamp) = row.clock.and_then(|clock| rule.utc(&clock)) else {
                undated += 1;
                continue;
            };
            let meant = self.grid.meant(stamp, tolerance).filter(|slot| !self.is_log() && !seen.contains(slot));
            let slot = meant.unwrap_or_else(|| self.grid.last_ended(stamp - 1) + 1);
            if !self.slots.contains(&slot) {
                continue;
            }
            if outcome.rows.len() >= ROWS_MAX {
                return Err(Trouble::refused(format!("{object}: more than {ROWS_MAX} rows")));
            }
            seen.extend(meant);
            let interval = meant.map(|slot| self.interval(slot));
            let mut readings = context.row(&row, &layout.columns, interval);
            if let Some((code, number)) = self.event_code(&row, &layout) {
                readings.retain(|reading| reading.register.obis != Some(code));
                let time = row.clock.and_then(|clock| rule.meter_time(&clock));
                let (lane, event) = self.meter.events.event(object, number, false, time);
                outcome.events.push((slot, lane, event));
            }
            if self.moved.is_some_and(|moved| self.grid.touches(slot, moved)) {
                readings.iter_mut().for_each(|it| it.quality = it.quality.with(Quality::CLOCK_ADJUSTED));
            }
            outcome.rows.push((slot, readings));
        }
        let task_period = match self.grid {
            Grid::Every { seconds } if !self.is_log() => seconds,
            _ => layout.period,
        };
        if layout.period != 0 && layout.period != task_period {
            outcome.detail =
                Some(format!("{object} has a row every {} s, the task wants one every {task_period} s", layout.period));
        }
        match undated {
            0 => Ok(()),
            count => Err(Trouble::refused(format!(
                "{count} rows of {object} say no time that can be dated: `clock` may tell the zone"
            ))),
        }
    }

    /// The columns and what their values are. They are asked for each time: a change gives every row another meaning.
    async fn layout(
        &self,
        session: &mut Session,
        profile: &impl Fn(i8) -> Attribute,
        before: Option<Arc<Layout>>,
    ) -> Result<Arc<Layout>, Trouble> {
        let objects = session.get(profile(3), None).await?;
        let objects = cosem::capture_objects(Data::parse_all(&objects)?)?;
        // A meter that does not say its period leaves no clock out.
        let period = match session.get(profile(4), None).await {
            Err(SessionError::Failed(Failure { cause: Cause::Access(_), .. })) => 0,
            period => Data::parse_all(&period?)?.number()?,
        };
        let fingerprint = fingerprint(&objects, period);
        if let Some(before) = before.filter(|before| before.fingerprint == fingerprint) {
            return Ok(before);
        }
        let mut columns = Vec::new();
        for object in objects {
            let scaler_unit = self.scaler_unit(&object, session).await?;
            columns.push(Column { object, scaler_unit });
        }
        Ok(Arc::new(Layout { fingerprint, columns, period }))
    }

    /// The code that a row of a log has, and the object that it is captured from.
    fn event_code(&self, row: &Row<'_, '_>, layout: &Layout) -> Option<(Obis, u32)> {
        let columns = layout.columns.iter().zip(row.values).take(row.sent);
        let (column, code) = columns.filter(|_| self.is_log()).find(|(column, _)| column.is_event_code())?;
        Some((Obis(column.object.attribute.logical_name.0), code.number().ok()?))
    }

    fn is_log(&self) -> bool {
        matches!(self.wanted, Wanted::Events(_))
    }

    /// Seconds that a stamp may be off the end of its slot.
    fn tolerance(&self) -> i64 {
        match self.grid {
            _ if self.is_log() => 0,
            Grid::Every { seconds } => i64::from(seconds / 4).min(60),
            Grid::Daily { .. } | Grid::Monthly { .. } => 60,
        }
    }

    fn interval(&self, slot: Slot) -> Interval {
        let end_utc = self.grid.end(slot);
        let length_s = u32::try_from(end_utc - self.grid.end(slot - 1)).unwrap_or(0);
        Interval { end_utc, length_s }
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
/// Rows of one order: more are a meter's mistake, or meant to fill our memory.
const ROWS_MAX: usize = 20_000;
/// A session takes one for each request and each block.
pub(super) const COUNTERS_AT_ONCE: u64 = 64;
