//! Meters behind electricity meters that may be heard over the air too: who they are, and what their readings count.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::collector::Collector;
use super::exchange::channel;
use super::known::Known;
use crate::reading::{Path, Quality, Reading, Source, Standing, Value, Way};
use crate::schedule::MeterNo;
use crate::store::{Body, Lane};

impl Collector {
    /// Makes known who is behind a meter; `answered_ms`: when it answered before the start.
    pub(super) fn place(&self, no: MeterNo, answered_ms: Option<i64>) {
        let Some(known) = self.meters.get(no.0 as usize) else { return };
        let there = known.channels.iter().filter(|_| !known.is_retired);
        let there = there.map(|(channel, meter)| (*channel, meter, self.interval(known, *channel)));
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).place(known.id(), there, answered_ms);
    }

    /// How often a channel is read: by the task that reads it most often, from the end of a slot to the last attempt.
    fn interval(&self, known: &Known, number: u8) -> Duration {
        let now = (self.clock)().utc_ms.div_euclid(1_000);
        let tasks = known.tasks.iter().filter_map(|member| self.config.tasks.get(member.task));
        let reads = tasks.filter(|task| task.what.objects().iter().any(|(_, object)| channel(*object) == Some(number)));
        let each = reads.map(|task| {
            let slot = task.grid.last_ended(now);
            let period = task.grid.end(slot).saturating_sub(task.grid.end(slot - 1));
            Duration::from_secs(period.unsigned_abs()) + task.delay + task.spread
        });
        each.min().unwrap_or(DAY)
    }

    /// Says of each reading of a meter behind another what it counts.
    pub(super) fn stand(&self, records: &mut [(Lane, Body)]) {
        let readings = records.iter_mut().filter_map(|(_, body)| match body {
            Body::Reading(reading) if reading.source.path != Path::Direct && is_valid(reading) => Some(reading),
            _ => None,
        });
        let now_ms = (self.clock)().utc_ms;
        // The readings of a row share their source, before and after.
        let mut last: Option<(Arc<Source>, Arc<Source>)> = None;
        for reading in readings {
            let of_ms = reading.interval.map_or(now_ms, |interval| interval.end_utc.saturating_mul(1_000));
            let id = &reading.source.meter;
            let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
            let standing = ways.came(id, Way::Behind, of_ms, None, now_ms);
            if standing == Standing::Sole {
                continue;
            }
            let same = last.take().filter(|(old, new)| Arc::ptr_eq(old, &reading.source) && new.standing == standing);
            let (old, new) = same.unwrap_or_else(|| {
                (Arc::clone(&reading.source), Arc::new(Source { standing, ..Source::clone(&reading.source) }))
            });
            reading.source = Arc::clone(&new);
            last = Some((old, new));
        }
    }
}

/// What a meter has not heard of the one behind it is no sign of that one.
fn is_valid(reading: &Reading) -> bool {
    reading.value != Value::None && !reading.quality.contains(Quality::INVALID)
}

/// Of a channel that is only told of unasked.
const DAY: Duration = Duration::from_secs(86_400);
