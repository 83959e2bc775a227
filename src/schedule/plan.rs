//! Who is asked for what, now: the schedule as a state machine. It knows slots and channels, no octets and no COSEM.
//!
//! After each mutation the driver takes [`Schedule::poll`] until there is nothing, carries the orders out, tells what
//! became durable by [`Schedule::settle`] and ends each order by [`Schedule::handle_done`]. Time is the unit's UTC;
//! while that is not known only what is asked on demand goes out.

mod completeness;
mod stay;
mod wake;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::grid::Slot;
use super::meter::{Line, Meter, MeterNo, MeterState, Place, jitter};
use super::order::{End, Order, Ticket, Work};
use super::progress::Progress;
use super::task::{Priority, Reach, Task};
use crate::clock::Now;
use crate::reading::TimeQuality;
pub use completeness::Completeness;

/// The plan of one unit.
#[derive(Debug)]
pub struct Schedule {
    tasks: Vec<Task>,
    meters: BTreeMap<MeterNo, Meter>,
    channels: Vec<Channel>,
    /// Milliseconds UTC from which on a task of a meter has something to do.
    due: BTreeSet<(i64, MeterNo, usize)>,
    flying: BTreeMap<Ticket, Order>,
    retries: u32,
    next_meter: u32,
    next_ticket: u64,
    /// The UTC of the last look.
    seen_ms: Option<i64>,
}

/// A medium with room for so many exchanges at once.
#[derive(Debug, Default)]
struct Channel {
    limit: usize,
    flying: usize,
    ready: BTreeSet<(Priority, u64, MeterNo, usize)>,
    asked: VecDeque<(MeterNo, u64)>,
    /// With whom an association is open.
    open: VecDeque<MeterNo>,
}

impl Schedule {
    /// Channels have room for so many exchanges each; a meter is called unreachable after so many retries.
    pub fn new(tasks: Vec<Task>, channels: &[usize], retries: u32) -> Self {
        let channels = channels.iter().map(|limit| Channel { limit: *limit, ..Channel::default() }).collect();
        Self {
            tasks,
            meters: BTreeMap::new(),
            channels,
            due: BTreeSet::new(),
            flying: BTreeMap::new(),
            retries,
            next_meter: 0,
            next_ticket: 0,
            seen_ms: None,
        }
    }

    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// A meter takes part, on one channel and in some tasks, each from where an earlier run left it, or from now on.
    pub fn commission(&mut self, channel: usize, tasks: Vec<(usize, Option<Progress>)>, now: Now) -> MeterNo {
        let no = MeterNo(self.next_meter);
        self.next_meter += 1;
        let mut lines: Vec<Option<Line>> = self.tasks.iter().map(|_| None).collect();
        for (task, progress) in tasks {
            let (Some(line), Some(said)) = (lines.get_mut(task), self.tasks.get(task)) else { continue };
            let begin = || Progress::new(said.grid.last_ended(now.utc_ms.div_euclid(1_000)) + 1);
            *line = Some(Line::new(progress.unwrap_or_else(begin)));
        }
        let count = lines.len();
        self.meters.insert(no, Meter::new(channel.min(self.channels.len().saturating_sub(1)), lines));
        (0..count).for_each(|task| self.arrange(no, task, now.utc_ms));
        no
    }

    /// Takes a meter's state over from an earlier run. It is asked when something is due, whatever its state.
    pub fn restore(&mut self, no: MeterNo, state: MeterState, answered_ms: Option<i64>, now: Now) {
        if let Some(meter) = self.meters.get_mut(&no).filter(|meter| meter.is_commissioned()) {
            meter.restore(state, answered_ms, now.utc_ms);
        }
    }

    /// Takes part again, or at last: what was read of it by then is given where it was not read here.
    pub fn reinstate(&mut self, no: MeterNo, state: MeterState, read: Vec<(usize, Progress)>, now: Now) {
        let Some(meter) = self.meters.get_mut(&no) else { return };
        meter.reinstate(state);
        for (task, progress) in read {
            meter.line_mut(task).into_iter().for_each(|line| *line = Line::new(progress.clone()));
        }
        self.arrange_all(no, now.utc_ms);
    }

    /// An exchange with it is under way.
    pub fn is_busy(&self, no: MeterNo) -> bool {
        !is_free(&self.meters, no)
    }

    /// Takes part no longer. What is under way is still told.
    pub fn retire(&mut self, no: MeterNo, state: MeterState) {
        let Some(meter) = self.meters.get_mut(&no) else { return };
        meter.state = state;
        if let Some(channel) = self.channels.get_mut(meter.channel) {
            channel.asked.retain(|(asked, _)| *asked != no);
        }
        (0..self.tasks.len()).for_each(|task| self.displace(no, task));
    }

    pub fn state(&self, no: MeterNo) -> Option<MeterState> {
        self.meters.get(&no).map(|meter| meter.state)
    }

    pub fn progress(&self, no: MeterNo, task: usize) -> Option<&Progress> {
        self.meters.get(&no)?.line(task).map(|line| &line.progress)
    }

    /// Asks a meter for something before everything else; `request` comes back in the order. False for a meter that
    /// does not take part, or when too many wait.
    pub fn ask(&mut self, no: MeterNo, request: u64) -> bool {
        let Some(meter) = self.meters.get(&no).filter(|meter| meter.is_commissioned()) else { return false };
        let Some(channel) = self.channels.get_mut(meter.channel) else { return false };
        let has_room = channel.asked.len() < ASKED_MAX;
        if has_room {
            channel.asked.push_back((no, request));
        }
        has_room
    }

    /// Room for another number of exchanges on a channel.
    pub fn set_limit(&mut self, channel: usize, limit: usize) {
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.limit = limit;
        }
    }

    /// The next order; None when there is nothing to do, or no room for it.
    pub fn poll(&mut self, now: Now) -> Option<Order> {
        if now.quality != TimeQuality::Unsynchronised {
            self.look(now.utc_ms);
        }
        (0..self.channels.len()).find_map(|channel| self.poll_channel(channel, now))
    }

    /// When there is something to do by itself, at the latest.
    pub fn poll_timeout(&self, now: Now) -> Option<Instant> {
        let (due, ..) = self.due.first().filter(|_| now.quality != TimeQuality::Unsynchronised)?;
        let wait = u64::try_from(due.saturating_sub(now.utc_ms)).unwrap_or(0);
        // The unit's clock may be set meanwhile.
        Some(now.mono + Duration::from_millis(wait).min(LONGEST_SLEEP))
    }

    /// Notes that the row of a slot is durable; false where it was before. A row is asked about by
    /// [`Progress::is_settled`] before it is stored.
    pub fn settle(&mut self, no: MeterNo, task: usize, slot: Slot) -> bool {
        let line = self.meters.get_mut(&no).and_then(|meter| meter.line_mut(task));
        line.is_some_and(|line| {
            let is_new = line.progress.read(slot);
            line.has_read |= is_new;
            is_new
        })
    }

    /// Ends an order that nobody wants any more: the meter was not asked.
    pub fn handle_cancelled(&mut self, ticket: Ticket, now: Now) {
        if let Some((no, _)) = self.land(ticket) {
            self.arrange_all(no, now.utc_ms);
        }
    }

    fn land(&mut self, ticket: Ticket) -> Option<(MeterNo, Work)> {
        let Order { meter: no, work, .. } = self.flying.remove(&ticket)?;
        let meter = self.meters.get_mut(&no)?;
        if let Some(channel) = self.channels.get_mut(meter.channel) {
            channel.flying = channel.flying.saturating_sub(1);
        }
        meter.is_busy = false;
        Some((no, work))
    }

    /// Ends an order.
    pub fn handle_done(&mut self, ticket: Ticket, end: End, now: Now) {
        let Some((no, work)) = self.land(ticket) else { return };
        let Some(meter) = self.meters.get_mut(&no) else { return };
        let back = meter.away_since().filter(|_| end != End::Unreachable).map(|since| (meter.channel, since));
        match end {
            End::Unreachable => meter.failed(self.retries, no, now.utc_ms),
            End::Complete | End::Broken | End::Refused => meter.answered(),
            End::Denied => meter.denied(),
        }
        if let Some((channel, since)) = back {
            self.wake(channel, since, now.utc_ms);
        }
        let Work::Read { task, slots } = work else { return self.arrange_all(no, now.utc_ms) };
        let Some(meter) = self.meters.get_mut(&no) else { return };
        if let (Some(line), Some(said)) = (meter.line_mut(task), self.tasks.get(task)) {
            let has_read = std::mem::take(&mut line.has_read);
            match end {
                End::Complete => {
                    if has_read {
                        line.worked();
                    }
                    // Only behind a row that there is can one be missing for good: a meter whose clock is late, or whose
                    // profile stands still, may have it yet.
                    let sure = said.grid.last_ended(now.utc_ms.div_euclid(1_000) - i64::from(said.delay) - PATIENCE);
                    let sure = match said.is_sparse {
                        true => sure,
                        false => sure.min(line.progress.newest().unwrap_or(Slot::MIN)),
                    };
                    for slot in slots.clone().take_while(|slot| *slot <= sure) {
                        line.progress.has_none(slot);
                    }
                    match slots.into_iter().find(|slot| !line.progress.is_settled(*slot)) {
                        Some(open) if said.is_sparse => {
                            let end = said.grid.end(open).saturating_add(i64::from(said.delay) + PATIENCE);
                            line.not_before = end.saturating_mul(1_000);
                        }
                        Some(_) => line.refused(no, now.utc_ms),
                        None => {}
                    }
                }
                End::Broken | End::Refused | End::Denied => line.refused(no, now.utc_ms),
                End::Unreachable => {}
            }
        }
        self.arrange_all(no, now.utc_ms);
    }

    /// Moves what is due to its channel. A clock that was set back makes everything be arranged anew.
    fn look(&mut self, now_ms: i64) {
        if self.seen_ms.replace(now_ms).is_some_and(|seen| now_ms < seen - SET_BACK_MS) {
            let all: Vec<MeterNo> = self.meters.keys().copied().collect();
            for no in all {
                if let Some(meter) = self.meters.get_mut(&no) {
                    // What was put off was put off by the wrong clock.
                    meter.probe_at = meter.probe_at.min(now_ms);
                    meter.lines.iter_mut().flatten().for_each(|line| line.not_before = line.not_before.min(now_ms));
                }
                self.arrange_all(no, now_ms);
            }
        }
        while let Some((due, no, task)) = self.due.first().copied().filter(|(due, ..)| *due <= now_ms) {
            self.due.remove(&(due, no, task));
            let (Some(meter), Some(said)) = (self.meters.get_mut(&no), self.tasks.get(task)) else { continue };
            let (channel, served) = (meter.channel, meter.served);
            if let Some(line) = meter.line_mut(task) {
                line.place = Some(Place::Ready(served));
            }
            if let Some(channel) = self.channels.get_mut(channel) {
                channel.ready.insert((said.priority, served, no, task));
            }
        }
    }

    fn poll_channel(&mut self, at: usize, now: Now) -> Option<Order> {
        let channel = self.channels.get_mut(at).filter(|channel| channel.flying < channel.limit)?;
        if let Some(place) = channel.asked.iter().position(|(no, _)| is_free(&self.meters, *no)) {
            let (no, request) = channel.asked.remove(place)?;
            return Some(self.launch(no, Work::OnDemand(request)));
        }
        if now.quality == TimeQuality::Unsynchronised {
            return None;
        }
        loop {
            let open = self.next_of_open(at);
            let channel = self.channels.get_mut(at)?;
            let first = || channel.ready.iter().find(|(_, _, no, _)| is_free(&self.meters, *no)).copied();
            let (no, task) = open.or_else(|| first().map(|(_, _, no, task)| (no, task)))?;
            self.displace(no, task);
            if let Some(meter) = self.meters.get_mut(&no) {
                meter.turn.retain(|_| open.is_some());
                meter.turn.push(task);
            }
            match self.missing(no, task, now.utc_ms) {
                Some(slots) => return Some(self.launch(no, Work::Read { task, slots })),
                // Settled meanwhile, or its window has closed.
                None => self.arrange(no, task, now.utc_ms),
            }
        }
    }

    fn launch(&mut self, no: MeterNo, work: Work) -> Order {
        let order = Order { ticket: Ticket(self.next_ticket), meter: no, work };
        self.next_ticket += 1;
        if let Some(meter) = self.meters.get_mut(&no) {
            meter.is_busy = true;
            meter.served = order.ticket.0 + 1;
            if let Some(channel) = self.channels.get_mut(meter.channel) {
                channel.flying += 1;
            }
        }
        self.flying.insert(order.ticket, order.clone());
        order
    }

    /// The slots that are to be asked for now; None where it is not the time for it.
    fn missing(&mut self, no: MeterNo, task: usize, now_ms: i64) -> Option<RangeInclusive<Slot>> {
        let said = self.tasks.get(task)?;
        let meter = self.meters.get_mut(&no)?;
        let is_early = meter.probe_at > now_ms;
        let line = meter.line_mut(task)?;
        if is_early || line.not_before > now_ms || open_from(said, now_ms) > now_ms {
            return None;
        }
        let last = said.grid.last_ended(now_ms.div_euclid(1_000) - i64::from(said.delay));
        let reach = if let Reach::Back(slots) = said.reach { i64::from(slots.max(1)) } else { 1 };
        line.progress.give_up_before(last.saturating_sub(reach - 1));
        line.progress.newest_missing(last, said.at_once)
    }

    fn arrange_all(&mut self, no: MeterNo, now_ms: i64) {
        (0..self.tasks.len()).for_each(|task| self.arrange(no, task, now_ms));
    }

    /// Puts a task of a meter where it belongs: into the list of what is due later, or at once.
    fn arrange(&mut self, no: MeterNo, task: usize, now_ms: i64) {
        self.displace(no, task);
        let Some(said) = self.tasks.get(task) else { return };
        let Some(meter) = self.meters.get_mut(&no).filter(|meter| meter.is_commissioned()) else { return };
        let probe_at = meter.probe_at;
        let Some(line) = meter.line_mut(task) else { return };
        let last = said.grid.last_ended(now_ms.div_euclid(1_000) - i64::from(said.delay));
        let begin = match line.progress.newest_missing(last, 1) {
            Some(_) => now_ms,
            None => {
                let end = said.grid.end(last + 1).saturating_add(i64::from(said.delay));
                end.saturating_mul(1_000).saturating_add(jitter(no, 0, i64::from(said.spread) * 1_000))
            }
        };
        let due = open_from(said, begin.max(line.not_before).max(probe_at));
        line.place = Some(Place::Due(due));
        self.due.insert((due, no, task));
    }

    /// Takes a task of a meter out of the list that it stands in.
    fn displace(&mut self, no: MeterNo, task: usize) {
        let (Some(said), Some(meter)) = (self.tasks.get(task), self.meters.get_mut(&no)) else { return };
        let channel = meter.channel;
        match meter.line_mut(task).and_then(|line| line.place.take()) {
            None => {}
            Some(Place::Due(due)) => {
                self.due.remove(&(due, no, task));
            }
            Some(Place::Ready(served)) => {
                if let Some(channel) = self.channels.get_mut(channel) {
                    channel.ready.remove(&(said.priority, served, no, task));
                }
            }
        }
    }
}

fn is_free(meters: &BTreeMap<MeterNo, Meter>, no: MeterNo) -> bool {
    meters.get(&no).is_some_and(|meter| !meter.is_busy)
}

fn open_from(task: &Task, utc_ms: i64) -> i64 {
    task.window.as_ref().map_or(utc_ms, |window| window.next_open(utc_ms))
}

/// Requests that wait on one channel.
const ASKED_MAX: usize = 1_024;
/// Seconds in which a row may still be written after its time.
const PATIENCE: i64 = 900;
const SET_BACK_MS: i64 = 60_000;
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
