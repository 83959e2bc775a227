//! Answers the questions of the control socket from what the other tasks make known. It decides nothing.

mod electricity;
mod local;
mod mesh;
mod order;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::block_in_place;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::audit::Recorder;
use super::control::{Query, Who};
use super::electricity as collection;
use super::health;
use super::meters;
use super::meters::talk::Ask;
use super::news::News;
use super::plc;
use super::receiver::{self, State};
use crate::clock::{Now, ReadClock};
use crate::config::Config;
use crate::control::left::{leave_meters, leave_status};
use crate::control::{
    Alarm, BufferStat, BufferVerify, MeshStatus, MeterCard, MeterLine, Process, ReceiverState, ReceiverStatus, Refusal,
    RefusalKind, Reply, Request, Severity, Status, TimeStatus, UplinkStatus,
};
use crate::journal::AuditEntry;
use crate::store::Store;
use crate::uplink::Snapshot;
use crate::wire::signed::PrivateKey;
use crate::wire::v1;

/// What the desk looks at.
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) clock: ReadClock,
    pub(super) started: Now,
    pub(super) store: Store,
    pub(super) news: watch::Receiver<News>,
    pub(super) uplink: watch::Receiver<UplinkStatus>,
    pub(super) receivers: Vec<watch::Receiver<receiver::Status>>,
    pub(super) meters: mpsc::Sender<meters::Question>,
    /// None where no electricity meter is configured.
    pub(super) electricity: Option<mpsc::Sender<collection::Question>>,
    /// Mesh networks by name.
    pub(super) networks: Vec<(String, mpsc::Sender<plc::Question>)>,
    /// Those that are configured and do not run.
    pub(super) failed_networks: Vec<MeshStatus>,
    /// When this boot was first dated.
    pub(super) anchored: watch::Receiver<Option<i64>>,
    /// What the start found that somebody must look at.
    pub(super) alarms: Vec<Alarm>,
    pub(super) audit: Recorder,
    /// What the unit signs with.
    pub(super) device_key: PrivateKey,
    /// What the head-end is told now and then.
    pub(super) health: watch::Sender<v1::Health>,
    pub(super) topology: watch::Sender<Arc<Snapshot>>,
}

impl Desk {
    /// Answers until `stop`; leaves behind what `--offline` reads, now and then and at the end.
    pub(super) async fn run(self, mut queries: mpsc::Receiver<Query>, stop: CancellationToken) {
        let mut status_due = interval_at(Instant::now() + FIRST_STATUS, LEAVE_STATUS);
        let mut health_due = interval_at(Instant::now() + FIRST_HEALTH, HEALTH);
        let mut meters_due = interval_at(Instant::now() + FIRST_METERS, LEAVE_METERS);
        // A network that has nothing to say yet need not be told of.
        let pace = self.config.uplink.as_ref().map_or(LEAVE_STATUS, |uplink| uplink.topology_interval);
        let mut topology_due = interval_at(Instant::now() + pace, pace);
        loop {
            tokio::select! {
                Some(query) = queries.recv() => self.take(query).await,
                _ = topology_due.tick(), if self.is_seen() => self.tell_topology().await,
                _ = health_due.tick() => self.tell_health().await,
                _ = status_due.tick() => self.leave_status().await,
                _ = meters_due.tick() => self.leave_meters().await,
                () = stop.cancelled() => break,
            }
        }
        self.leave_status().await;
        self.leave_meters().await;
    }

    /// Has a query answered, and both what somebody here orders and what came of it recorded.
    async fn take(&self, Query { request, who, reply }: Query) {
        let clock = Arc::clone(&self.clock);
        let entry = match (local::words(&request), who) {
            (Some(what), Who::User(user)) => {
                Some((self.audit.clone(), AuditEntry { who: format!("user {user}"), what, ..AuditEntry::default() }))
            }
            _ => None,
        };
        if let Some((audit, entry)) = &entry {
            let decision = "accepted".to_owned();
            block_in_place(|| audit.record(&AuditEntry { utc_ms: clock().utc_ms, decision, ..entry.clone() }));
        }
        let finish = move |said: Reply| {
            if let Some((audit, entry)) = entry {
                let result = local::result(&said);
                block_in_place(|| audit.record(&AuditEntry { utc_ms: clock().utc_ms, result, ..entry }));
            }
            // A client that hung up wants no answer.
            drop(reply.send(said));
        };
        let late = request.late().unwrap_or_default();
        match request {
            // Some take as long as a packet through the mesh: others are answered meanwhile.
            Request::Mesh { network, ask } => {
                let said = self.mesh(&network, ask);
                tokio::spawn(async move { finish(said.await) });
            }
            Request::Order { meter, action, expires_s } => {
                let command = if let Who::HeadEnd(id) = who { Some(id) } else { None };
                finish(self.order(&meter, &action, expires_s, command).await);
            }
            Request::HandOver { meter } => {
                let said = self.hand_over(meter, late);
                tokio::spawn(async move { finish(said.await) });
            }
            Request::TakeOver { handover } => {
                let said = self.take_over(&handover);
                tokio::spawn(async move { finish(said.await) });
            }
            Request::Channel { meter, channel, ask } => {
                let said = self.channel(meter, channel, ask, who, late);
                tokio::spawn(async move { finish(said.await) });
            }
            request => finish(self.answer(request).await),
        }
    }

    async fn leave_status(&self) {
        if let Ok(status) = self.status().await {
            let left = block_in_place(|| leave_status(&self.config.unit.state_dir, &status));
            if let Err(error) = left {
                warn!(err = %super::chain(&error), "leave the status");
            }
        }
    }

    /// Hands the uplink what the head-end is told.
    async fn tell_health(&self) {
        let Ok(status) = self.status().await else { return };
        let collection = self.collect(collection::Question::Health).await.ok();
        // Without an uplink nobody is told.
        drop(self.health.send(health::of(&status, &self.store.statistics(), collection)));
    }

    async fn leave_meters(&self) {
        if let Ok(cards) = self.ask(meters::Question::Cards).await {
            let left = block_in_place(|| leave_meters(&self.config.unit.state_dir, &cards));
            if let Err(error) = left {
                warn!(err = %super::chain(&error), "leave the meters");
            }
        }
    }

    async fn answer(&self, request: Request) -> Reply {
        match request {
            Request::Status => match self.status().await {
                Ok(status) => Reply::Status(Box::new(status)),
                Err(refusal) => refusal.into(),
            },
            Request::Meters => self.meters().await.map_or_else(Into::into, |meters| Reply::Meters { meters }),
            Request::Meter { id } => self.meter(id).await.map_or_else(Into::into, |card| Reply::Meter(Box::new(card))),
            Request::BufferStat => Reply::BufferStat(self.buffer()),
            Request::BufferVerify => self.verify(),
            Request::Uplink => Reply::Uplink(self.uplink.borrow().clone()),
            Request::Order { meter, action, expires_s } => self.order(&meter, &action, expires_s, None).await,
            Request::Orders => self.talk(Ask::Orders).await,
            Request::CancelOrder { order } => self.talk(Ask::Cancel(order)).await,
            Request::Bind { meter, wanted } => match meter.parse() {
                Ok(meter) => self.talk(Ask::Bind { meter, is_wanted: wanted }).await,
                Err(_) => Refusal::new(RefusalKind::Malformed, format!("{meter:?} is no meter's identity")).into(),
            },
            Request::ToBind => self.talk(Ask::ToBind).await,
            Request::Replace { old, new } => self.life(|reply| collection::Question::Replace { old, new, reply }).await,
            Request::Restore { meter } => self.life(|reply| collection::Question::Restore { meter, reply }).await,
            Request::Remove { meter } => self.life(|reply| collection::Question::Remove { meter, reply }).await,
            Request::Tasks => {
                self.collect(collection::Question::Tasks).await.map_or_else(Into::into, |tasks| Reply::Tasks { tasks })
            }
            Request::Task { id } => self.task(id).await,
            Request::Networks => {
                Reply::Networks { networks: self.config.plc.iter().map(|said| said.name.clone()).collect() }
            }
            Request::Mesh { network, ask } => self.mesh(&network, ask).await,
            // They are answered by who takes them.
            Request::HandOver { .. } | Request::TakeOver { .. } | Request::Channel { .. } | Request::Follow { .. } => {
                Refusal::new(RefusalKind::Malformed, "a stream does not pass here").into()
            }
        }
    }

    async fn status(&self) -> Result<Status, Refusal> {
        let now = (self.clock)();
        // The meters' task may be waiting for a full disk; all else is still worth telling.
        let meters = self.ask(meters::Question::Counts).await.unwrap_or_default();
        let anchored_ms = *self.anchored.borrow();
        Ok(Status {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            utility: self.config.unit.utility.clone(),
            unit: self.config.unit.id.clone(),
            boot_id: hex::encode(now.boot_id),
            uptime_s: now.mono.saturating_duration_since(self.started.mono).as_secs(),
            time: TimeStatus { now_ms: now.utc_ms, quality: now.quality, anchored_ms },
            receivers: self.receivers(now),
            meters,
            electricity: self.collect(collection::Question::Collection).await.ok(),
            networks: self.meshes().await,
            buffer: self.buffer(),
            uplink: self.uplink.borrow().clone(),
            alarms: self.alarms(),
            process: process(),
        })
    }

    async fn meters(&self) -> Result<Vec<MeterLine>, Refusal> {
        let mut meters = self.ask(meters::Question::List).await?;
        meters.extend(self.collect(collection::Question::Meters).await.unwrap_or_default());
        Ok(meters)
    }

    async fn meter(&self, id: String) -> Result<MeterCard, Refusal> {
        let (text, read) = (id.clone(), id.clone());
        if let Ok(Some(card)) = self.collect(|reply| collection::Question::Meter { id: read, reply }).await {
            return Ok(card);
        }
        let card = self.ask(move |reply| meters::Question::Card { id, reply }).await?;
        card.ok_or_else(|| Refusal::new(RefusalKind::NotFound, format!("no meter {text} has been heard")))
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> meters::Question) -> Result<T, Refusal> {
        ask(&self.meters, question, "the registry").await
    }

    fn receivers(&self, now: Now) -> Vec<ReceiverStatus> {
        let known = self.config.wmbus.iter().zip(&self.receivers);
        known
            .map(|(configured, status)| {
                let status = status.borrow().clone();
                let heard = status.last_heard.map_or(status.since, |at| at);
                let is_silent = status.is_deaf || now.mono.saturating_duration_since(heard.mono) >= SILENCE;
                ReceiverStatus {
                    name: configured.name.clone(),
                    kind: match status.identity.kind {
                        Some(found) => format!("{}: {found}", configured.kind.name),
                        None => configured.kind.name.to_owned(),
                    },
                    source: configured.source.to_string(),
                    state: match status.state {
                        State::Absent => ReceiverState::Absent,
                        State::Starting => ReceiverState::Starting,
                        State::Receiving if is_silent => ReceiverState::Silent,
                        State::Receiving => ReceiverState::Receiving,
                    },
                    since_ms: status.since.utc_ms,
                    error: status.error,
                    frames: status.counters.telegrams,
                    rejected: status
                        .counters
                        .rejects
                        .iter()
                        .map(|(reason, count)| (reason.name().to_owned(), *count))
                        .collect::<BTreeMap<_, _>>(),
                    octets: status.counters.octets,
                    last_frame_ms: status.last_heard.map(|at| at.utc_ms),
                    expected: status.expected,
                    recoveries: status
                        .recoveries
                        .iter()
                        .map(|(stage, count)| (stage.name().to_owned(), *count))
                        .collect(),
                    sent: status.sending.sent,
                    send_missed: status.sending.missed,
                    send_late_us: status.sending.worst_late.and_then(|late| u64::try_from(late.as_micros()).ok()),
                }
            })
            .collect()
    }

    fn buffer(&self) -> BufferStat {
        let news = self.news.borrow().clone();
        BufferStat {
            size_limit: self.config.store.size_limit,
            last_commit_ms: news.last_commit_ms,
            evicted: news.evicted,
            quarantined: news.quarantined,
            error: news.trouble,
            ..BufferStat::of(&self.store.statistics())
        }
    }

    /// What the start found, and what is wrong now.
    fn alarms(&self) -> Vec<Alarm> {
        let mut alarms = self.alarms.clone();
        let figures = self.store.statistics();
        if let Some(since_ms) = figures.full_since_ms {
            let free = figures.free_octets.map_or(String::new(), |free| format!(" ({} KiB free)", free >> 10));
            let path = self.config.unit.state_dir.display();
            let text = format!("the disk of {path} is full{free}: make room, or new readings are lost");
            alarms.push(Alarm { code: "disk-full".to_owned(), severity: Severity::Fault, since_ms, text });
        }
        alarms
    }

    /// Reads the whole buffer, which takes a while; other questions wait.
    fn verify(&self) -> Reply {
        match block_in_place(|| self.store.verify()) {
            Ok(verification) => Reply::BufferVerify(BufferVerify::of(self.store.epoch(), &verification)),
            Err(error) => Refusal::new(RefusalKind::Failed, super::chain(&error)).into(),
        }
    }
}

/// Puts a question to another task.
async fn ask<Q, T>(
    door: &mpsc::Sender<Q>,
    question: impl FnOnce(oneshot::Sender<T>) -> Q,
    whom: &str,
) -> Result<T, Refusal> {
    ask_within(PATIENCE, door, question, format!("{whom} does not answer: is the disk full?")).await
}

async fn ask_within<Q, T>(
    patience: Duration,
    door: &mpsc::Sender<Q>,
    question: impl FnOnce(oneshot::Sender<T>) -> Q,
    silent: String,
) -> Result<T, Refusal> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        door.send(question(reply)).await.map_err(|_| Refusal::new(RefusalKind::Busy, "the service is stopping"))?;
        answer.await.map_err(|_| Refusal::new(RefusalKind::TimedOut, "the service is stopping"))
    };
    timeout(patience, asked).await.unwrap_or_else(|_| Err(Refusal::new(RefusalKind::TimedOut, silent)))
}

/// What the kernel says of this process.
fn process() -> Process {
    let text = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let status = text("status");
    Process {
        pid: std::process::id(),
        rss_bytes: figure(&status, "VmRSS") * 1024,
        peak_rss_bytes: figure(&status, "VmHWM") * 1024,
        written_bytes: written(&text("io")),
    }
}

/// A figure of a file in /proc; 0 where it is not told.
fn figure(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What reached the device: what was removed before that, or refused by a full disk, was counted as written first.
fn written(io: &str) -> u64 {
    figure(io, "write_bytes").saturating_sub(figure(io, "cancelled_write_bytes"))
}

/// A unit that dies soon after its start shall be asked too. Flash wears out: later it need not be younger. A status is
/// a few pages, under 5 MB a day with its directory; the cards of 3,000 meters are some megabytes.
const FIRST_STATUS: Duration = Duration::from_secs(60);
const LEAVE_STATUS: Duration = Duration::from_secs(600);
const FIRST_METERS: Duration = Duration::from_secs(600);
const LEAVE_METERS: Duration = Duration::from_secs(24 * 3600);
/// A restart is told soon, and then there is not more of it than a few KB an hour.
const FIRST_HEALTH: Duration = Duration::from_secs(5);
const HEALTH: Duration = Duration::from_secs(300);
/// A task that does not answer within this time is stuck.
const PATIENCE: Duration = Duration::from_secs(2);
/// A receiver that heard nothing for so long is called silent.
const SILENCE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_disk_refused_was_not_written() {
        let io = |written: u64, cancelled: u64| {
            format!("wchar: 77\nread_bytes: 5\nwrite_bytes: {written}\ncancelled_write_bytes: {cancelled}\n")
        };
        for (text, expected) in
            [(io(8192, 0), 8192), (io(919_000_000, 918_900_000), 100_000), (io(1, 2), 0), (String::new(), 0)]
        {
            assert_eq!(written(&text), expected, "{text}");
        }
    }
}
