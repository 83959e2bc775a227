//! The rows of a profile or a log: asked for by the ends of slots, in parts where the meter wants that, and dated.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use dlms::Data;
use dlms::apdu::{Attribute, CaptureObject};
use dlms::cosem::{self, Row, Rows, class};

use super::buffer::{self, Part, Range};
use super::{Job, Layout, Outcome, Trouble, Wanted};
use crate::reading::from_cosem::Context;
use crate::reading::{Interval, Obis, Quality};
use crate::schedule::{Grid, Slot};
use crate::task::electricity::Session;

/// What was seen of the rows so far.
#[derive(Default)]
struct Seen {
    /// Of a clock that was set back there are two rows for one slot: the first is the slot's.
    slots: BTreeSet<Slot>,
    undated: u32,
}

impl Job {
    /// Rows of the slots that are asked for.
    pub(super) async fn rows(&self, object: Obis, session: &mut Session, outcome: &mut Outcome) -> Result<(), Trouble> {
        let profile = Attribute::new(class::PROFILE_GENERIC, dlms::Obis(object.0), 2);
        let now = (self.clock)().mono;
        let (layout, mut ahead) = match outcome.layout.take() {
            Some(before) if self.meter.shown.idle.has_columns(object, now) => (before, None),
            before => {
                let told = self.layout(session, profile, before).await?;
                self.meter.shown.idle.columns_told(object, now);
                told
            }
        };
        outcome.layout = Some(Arc::clone(&layout));
        let clock = layout.clock().ok_or_else(|| Trouble::refused(format!("{object} captures no clock")))?;
        let (mut context, mut seen) = (None, Seen::default());
        let (mut first, last) = (*self.slots.start(), *self.slots.end());
        let mut length = last - first + 1;
        while first <= last {
            let slots = first..=last.min(first + length - 1);
            let part = match ahead.take() {
                Some(octets) => Part::Selected(octets),
                None => {
                    let range = self.range(clock, &slots);
                    buffer::read(session, &self.meter.shown.ends, profile, &range, length <= 1).await?
                }
            };
            let (slots, octets) = match part {
                Part::Selected(octets) => (slots, octets),
                Part::Whole(octets) => (first..=last, octets),
                Part::TooMany => {
                    length /= 2;
                    continue;
                }
            };
            if context.is_none() {
                context = Some(self.context_of(object, session, outcome).await?);
            }
            first = slots.end() + 1;
            if let Some(context) = &context {
                self.take(object, (&layout, context), (slots, &octets), &mut seen, outcome)?;
            }
        }
        let task_period = match self.grid {
            Grid::Every { seconds } if !self.is_log() => seconds,
            _ => layout.period,
        };
        if layout.period != 0 && layout.period != task_period {
            outcome.detail =
                Some(format!("{object} has a row every {} s, the task wants one every {task_period} s", layout.period));
        }
        match seen.undated {
            0 => Ok(()),
            count => Err(Trouble::refused(format!(
                "{count} rows of {object} say no time that can be dated: `clock` may tell the zone"
            ))),
        }
    }

    /// Takes the rows of these slots from what was read of the buffer.
    fn take(
        &self,
        object: Obis,
        (layout, context): (&Layout, &Context),
        (slots, octets): (RangeInclusive<Slot>, &[u8]),
        seen: &mut Seen,
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let (rule, tolerance) = (self.rule(), self.tolerance());
        let columns: Vec<_> = layout.columns.iter().map(|column| cosem::Column::from(&column.object)).collect();
        let mut rows = Rows::new(Data::parse_all(octets)?, &columns, layout.period)?;
        while let Some(row) = rows.next() {
            // What stood before a row that cannot be read is good.
            let row = row?;
            let Some(stamp) = row.clock.and_then(|clock| rule.utc(&clock)) else {
                seen.undated += 1;
                continue;
            };
            let meant = self.grid.meant(stamp, tolerance).filter(|slot| !self.is_log() && !seen.slots.contains(slot));
            let slot = meant.unwrap_or_else(|| self.grid.last_ended(stamp - 1) + 1);
            if !slots.contains(&slot) {
                continue;
            }
            if outcome.rows.len() >= ROWS_MAX {
                return Err(Trouble::refused(format!("{object}: more than {ROWS_MAX} rows")));
            }
            seen.slots.extend(meant);
            let interval = meant.map(|slot| self.interval(slot));
            let mut readings = context.row(&row, &layout.columns, interval);
            if let Some((code, number)) = self.event_code(&row, layout) {
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
        Ok(())
    }

    /// Both ends are in it, and a meter may compare the hundredths too.
    pub(super) fn range(&self, clock: CaptureObject, slots: &RangeInclusive<Slot>) -> Range {
        let rule = self.rule();
        let from = rule.written(self.grid.end(slots.start() - 1));
        let to = rule.written(self.grid.end(*slots.end()) + self.tolerance().max(1));
        Range { clock, from, to }
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
}

/// Rows of one order: more are a meter's mistake, or meant to fill our memory.
pub(super) const ROWS_MAX: usize = 20_000;
