//! What the collector has to tell on the control socket.

use jiff::Timestamp;

use super::collector::Collector;
use super::known::Known;
use crate::config::electricity;
use crate::config::said;
use crate::control::{Collection, Share, TaskCard, TaskDay, TaskLine, TaskMeter, TaskObject};
use crate::reading::Obis;
use crate::schedule::{Completeness, Grid, MeterNo, MeterState, Priority, Slot, Tally};
use crate::wire::v1;

/// The collector as the control socket shows it.
pub(super) struct Tasks<'a>(pub(super) &'a Collector);

impl Tasks<'_> {
    pub(super) fn lines(&self) -> Vec<TaskLine> {
        let now = self.now();
        self.0.config.tasks.iter().enumerate().map(|(number, task)| self.line(number, task, now)).collect()
    }

    /// What the head-end is told.
    pub(super) fn health(&self) -> v1::CollectionHealth {
        let sum = self.collection();
        let now = self.now();
        let task = |(number, task): (usize, &electricity::Task)| {
            let day = |back: i64| {
                let (day, all, reachable) = self.day(number, task, now, back);
                v1::DayHealth {
                    day,
                    expected: all.expected,
                    there: all.settled,
                    reachable_expected: reachable.expected,
                    reachable_there: reachable.settled,
                }
            };
            v1::TaskHealth { id: task.id.clone(), days: (0..DAYS).map(day).filter(|day| day.expected > 0).collect() }
        };
        v1::CollectionHealth {
            meters: sum.meters,
            active: sum.active,
            silent: sum.silent,
            unreachable: sum.unreachable,
            refusing: sum.refusing,
            lost_slots: sum.lost,
            tasks: self.0.config.tasks.iter().enumerate().map(task).collect(),
        }
    }

    /// A day of a task, counted from today: its number since 1970, of all meters, of those that answer.
    fn day(&self, number: usize, task: &electricity::Task, now: i64, back: i64) -> (i64, Share, Share) {
        let day = now.div_euclid(DAY) - back;
        let until = due(task, now).min((day + 1) * DAY);
        let (all, reachable) = shares(self.0.schedule.completeness(number, day * DAY, until));
        (day, all, reachable)
    }

    pub(super) fn card(&self, id: &str) -> Option<TaskCard> {
        let now = self.now();
        let (number, task) = self.0.config.tasks.iter().enumerate().find(|(_, task)| task.id == id)?;
        let day = |back: i64| {
            let (day, all, reachable) = self.day(number, task, now, back);
            let day = Timestamp::from_second(day * DAY).map_or_else(|_| String::new(), |at| at.to_string());
            TaskDay { day: day.chars().take(10).collect(), all, reachable }
        };
        let companions = || self.members(number).filter_map(|(_, known)| known.party.meter.manner.companion.as_ref());
        let object = |(class, obis): (u16, Obis)| {
            let meaning = companions().find_map(|companion| companion.meaning(Some(class), obis));
            TaskObject { class, obis: obis.to_string(), meaning: meaning.map(ToOwned::to_owned) }
        };
        Some(TaskCard {
            objects: task.what.objects().into_iter().map(object).collect(),
            line: self.line(number, task, now),
            days: (0..DAYS).map(day).collect(),
            each: self.members(number).filter_map(|(no, known)| self.meter(no, known, number, task, now)).collect(),
        })
    }

    /// All tasks and meters together.
    pub(super) fn collection(&self) -> Collection {
        let mut sum = Collection { meters: self.0.meters.len() as u64, ..Collection::default() };
        for (no, known) in (0..).map(MeterNo).zip(&self.0.meters) {
            match self.0.schedule.state(no).unwrap_or_default() {
                MeterState::New => sum.new += 1,
                MeterState::Active => sum.active += 1,
                MeterState::Silent => sum.silent += 1,
                MeterState::Unreachable => sum.unreachable += 1,
                MeterState::Replaced | MeterState::Removed | MeterState::HandedOver | MeterState::Awaited => {
                    sum.retired += 1;
                }
            }
            sum.refusing += u64::from(known.is_refusing);
            if let (true, None, Some(why)) = (known.is_refusing, &sum.refusal, &known.detail) {
                sum.refusal = Some(format!("{}: {why}", known.id()));
            }
            let progress = known.tasks.iter().filter_map(|member| self.0.schedule.progress(no, member.task));
            sum.lost += progress.map(|progress| progress.lost()).sum::<u64>();
        }
        let is_listening = self.0.config.push.is_some() || !self.0.networks.is_empty();
        sum.push = is_listening.then(|| self.0.pushes());
        for line in self.lines() {
            sum.all += line.all;
            sum.reachable += line.reachable;
        }
        sum
    }

    fn line(&self, number: usize, task: &electricity::Task, now: i64) -> TaskLine {
        let until = due(task, now);
        let (all, reachable) = shares(self.0.schedule.completeness(number, until - DAY, until));
        TaskLine {
            id: task.id.clone(),
            what: task.what.name().to_owned(),
            period: match task.grid {
                Grid::Every { seconds } => said(std::time::Duration::from_secs(seconds.into())),
                Grid::Daily { .. } => "1d".to_owned(),
                Grid::Monthly { .. } => "month".to_owned(),
            },
            priority: match task.priority {
                Priority::Events => "events",
                Priority::Billing => "billing",
                Priority::Profile => "profile",
                Priority::Firmware => "firmware",
            }
            .to_owned(),
            meters: self.members(number).count() as u64,
            all,
            reachable,
        }
    }

    fn meter(
        &self,
        no: MeterNo,
        known: &Known,
        number: usize,
        task: &electricity::Task,
        now: i64,
    ) -> Option<TaskMeter> {
        let progress = self.0.schedule.progress(no, number)?;
        let last: Slot = task.grid.last_ended(due(task, now));
        let Tally { expected, settled } = progress.tally(progress.watermark()..=last);
        Some(TaskMeter {
            id: known.id().to_string(),
            state: self.0.schedule.state(no)?.name().to_owned(),
            complete_until_ms: task.grid.end(progress.watermark() - 1).saturating_mul(1_000),
            missing: expected - settled,
            absent: progress.absent(),
            lost: progress.lost(),
            answered_ms: known.answered_ms,
            clock_ahead_ms: known.offset.map(|(ahead, _)| ahead),
            detail: known.detail.clone(),
        })
    }

    fn members(&self, task: usize) -> impl Iterator<Item = (MeterNo, &Known)> {
        (0..)
            .map(MeterNo)
            .zip(&self.0.meters)
            .filter(move |(_, known)| known.tasks.iter().any(|member| member.task == task))
    }

    /// Seconds since 1970 UTC.
    fn now(&self) -> i64 {
        (self.0.clock)().utc_ms.div_euclid(1_000)
    }
}

/// Rows of slots that ended before this can be there.
fn due(task: &electricity::Task, now: i64) -> i64 {
    now - task.delay.as_secs() as i64
}

fn shares(completeness: Completeness) -> (Share, Share) {
    let share = |Tally { expected, settled }| Share { expected, settled };
    (share(completeness.all), share(completeness.reachable))
}

const DAY: i64 = 86_400;
/// Days that a card shows.
const DAYS: i64 = 8;
