//! The run: meters, broker, proxy, head-end and the service, days that pass quickly, and what came of them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::fleet::{Fleet, Start};
use super::street::Street;
use super::{Audience, Ledger, Options, Progress, Report};
use crate::clock::Pace;
use crate::control::CommitLine;
use crate::reading::MeterId;
use crate::simulate::account::Account;
use crate::simulate::broker::{Broker, Identity};
use crate::simulate::consumer;
use crate::simulate::control::Control;
use crate::simulate::figures::{self, Figures};
use crate::simulate::head_end::{Arrival, Watcher};
use crate::simulate::outage::Outage;
use crate::simulate::proxy::Proxy;
use crate::simulate::report::each;
use crate::simulate::run::{Error, Wish};
use crate::simulate::scene::{Scene, Settings};
use crate::simulate::service::Service;
use crate::simulate::stage::READY;
use crate::store::Body;

/// Everybody who has a part.
pub(super) struct Stage<'a> {
    options: &'a Options,
    began: Instant,
    start: Start,
    /// From when to when days counted, seconds since 1970 UTC.
    counted: (i64, Option<i64>),
    proxy: Proxy,
    outage: Outage,
    fleet: Fleet,
    control: Control,
    watcher: Watcher,
    arrivals: mpsc::Receiver<Arrival>,
    commits: mpsc::Receiver<CommitLine>,
    figures: watch::Receiver<Figures>,
    service: Service,
    /// Of records.
    account: Account,
    stored: u64,
    /// Of values.
    ledger: Ledger,
    /// What counts has arrived.
    is_closed: bool,
    is_told_to_end: bool,
    tick: Interval,
    signals: [Signal; 2],
    /// Ends the meters with the stage.
    _stop: DropGuard,
}

impl<'a> Stage<'a> {
    /// The whole run.
    pub(super) async fn play(
        options: &'a Options,
        scene: &Scene,
        began: Instant,
        audience: &mut Audience<'_>,
    ) -> Result<Report, Error> {
        let mut stage = Self::set(options, scene, began).await?;
        stage.prepare(audience).await?;
        let spoke = now();
        stage.live(spoke, audience).await?;
        let timed_out = !stage.drain(audience).await?;
        stage.close(now().duration_since(spoke), timed_out).await
    }

    async fn set(options: &'a Options, scene: &Scene, began: Instant) -> Result<Self, Error> {
        let identity = scene.kit().broker();
        let identity = Identity { ca: scene.kit().ca(), certificate: identity.certificate, key: identity.key };
        let address = Broker::start(&identity).await?.address().to_string();
        let proxy = Proxy::start(address.as_str()).await.map_err(Error::Proxy)?;
        proxy.change(|line| {
            line.cut_after = options.faults.cut_after;
            line.delay = options.faults.delay;
        });
        let (watcher, arrivals) = consumer::open(options.keep || options.dir.is_some(), options.seed, scene, &address)?;
        let stop = CancellationToken::new();
        let start = begin(options);
        let modem = options.has_plc.then(|| scene.dir().join("modem"));
        let fleet = Fleet::open(options, start, modem.as_deref(), &stop).await?;
        let settings = Settings {
            receivers: Vec::new(),
            unit: options.unit.clone(),
            broker: proxy.address(),
            server_name: "localhost".into(),
            policy: "all".into(),
            commit_window: options.commit_window,
            seal_age: options.seal_age,
            state: None,
            log: options.log.clone(),
            more: Some(fleet.configuration()),
        };
        scene.write(&[], &settings)?;
        let control = Control::new(scene.socket());
        let (to_figures, figures) = watch::channel(Figures::default());
        let (to_commits, commits) = mpsc::channel(COMMITS);
        tokio::spawn(figures::ask(control.clone(), to_figures));
        tokio::spawn(figures::follow(control.clone(), to_commits));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            options,
            began,
            start,
            counted: (i64::MAX, None),
            proxy,
            outage: Outage::new(options.faults.broker_outage),
            watcher,
            arrivals,
            commits,
            figures,
            service: Service::new(options.program.clone(), scene.config(), scene.log(), Some(start.pace))?,
            account: Account::new(false),
            stored: 0,
            ledger: Ledger::new(fleet.meters.iter().map(|meter| &meter.model)),
            fleet,
            control,
            is_closed: false,
            is_told_to_end: false,
            tick,
            signals: [
                signal(SignalKind::interrupt()).map_err(Error::Signals)?,
                signal(SignalKind::terminate()).map_err(Error::Signals)?,
            ],
            _stop: stop.drop_guard(),
        })
    }

    /// Starts the service, and waits until it is heard.
    async fn prepare(&mut self, audience: &mut Audience<'_>) -> Result<(), Error> {
        if timeout(SUBSCRIBED, self.watcher.subscribed()).await != Ok(true) {
            let trouble = self.watcher.news().borrow().trouble.clone();
            return Err(Error::NotSubscribed(trouble.unwrap_or_else(|| "the broker does not answer".into())));
        }
        self.service.start()?;
        let deadline = now() + READY;
        while !self.figures.borrow().is_ready(self.service.pid(), true) && !self.is_told_to_end {
            if now() > deadline {
                return Err(Error::NotReady(self.figures.borrow().complaint(&self.service.last_words())));
            }
            self.step(audience).await?;
        }
        self.form(audience).await
    }

    /// Nodes are let into their network, and join it, before anything counts.
    async fn form(&mut self, audience: &mut Audience<'_>) -> Result<(), Error> {
        let Some(street) = self.fleet.street() else { return Ok(()) };
        for nodes in street.nodes().chunks(NODES) {
            self.control.import(Street::NETWORK, nodes.to_vec()).await?;
        }
        let deadline = now() + FORMED;
        while self.fleet.street().is_some_and(|street| street.joined() < self.options.meters) && !self.is_told_to_end {
            if now() > deadline {
                return Err(Error::NotReady(format!("not all nodes joined: {}", self.service.last_words())));
            }
            self.step(audience).await?;
        }
        Ok(())
    }

    /// Days pass.
    async fn live(&mut self, began: Instant, audience: &mut Audience<'_>) -> Result<(), Error> {
        self.counted.0 = self.time();
        let deadline = began + self.options.limit;
        while now() < deadline && !self.is_told_to_end {
            self.step(audience).await?;
            self.weather(began);
        }
        // The last slot has a delay, and its row is written a moment later by a clock that is slow.
        self.counted.1 = Some(self.time() - SLACK);
        Ok(())
    }

    /// What is on its way arrives, and gaps are filled. False: not all of it within the time.
    async fn drain(&mut self, audience: &mut Audience<'_>) -> Result<bool, Error> {
        let ended = now();
        let (from, to) = self.period();
        self.ledger.wait_for(from, to);
        loop {
            self.weather(ended.checked_sub(self.options.limit).unwrap_or(ended));
            // The service reads on and on: what it promises from then on is not waited for.
            self.is_closed |= self.ledger.is_whole();
            if self.is_closed && self.account.is_settled(false) && self.outage.is_over() {
                return Ok(true);
            }
            if now() > ended + DRAIN + self.options.faults.longest_outage() || self.is_told_to_end {
                return Ok(false);
            }
            self.step(audience).await?;
        }
    }

    /// Everybody goes off; what came of it.
    async fn close(mut self, lasted: Duration, timed_out: bool) -> Result<Report, Error> {
        self.service.stop(STOP).await?;
        while let Ok(commit) = self.commits.try_recv() {
            self.committed(&commit);
        }
        let repeated = self.watcher.news().borrow().counts.repeated;
        let (from, to) = self.period();
        let start = self.start;
        let (account, ledger) = (&mut self.account, &mut self.ledger);
        consumer::close(self.watcher, &mut self.arrivals, |arrival| arrive(account, ledger, arrival)).await?;
        let all = self.ledger.tally(from, to, |_| true);
        let (mut gaps, mut backfilled) = (0, 0);
        for meter in &self.fleet.meters {
            let Some(away) = meter.away() else { continue };
            let at = |part: f64| start.unix(start.at + self.options.limit.mul_f64(part));
            let id = meter.id();
            let tally =
                self.ledger.tally(at(away.start).max(from), at(away.end).min(to), |meter: &MeterId| *meter == id);
            gaps += tally.expected;
            backfilled += tally.delivered;
        }
        let usage = self.service.usage();
        let delivered = self.ledger.delivered();
        let thousandth = |figure: f64| (figure * 1e3).round() / 1e3;
        Ok(Report {
            meters: self.options.meters,
            days: thousandth((to - from) as f64 / 86_400.0),
            expected: all.expected,
            delivered: all.delivered,
            completeness: all.completeness(),
            gaps,
            backfilled,
            lost: self.account.verdict(self.options.commit_window, false).broken_promises,
            doubled: self.ledger.doubled(),
            duplicates: self.account.tally().duplicates + repeated,
            strange: self.ledger.strange(),
            stored: self.stored,
            wire_bytes_per_reading: each(self.proxy.up() + self.proxy.down(), delivered),
            written_bytes_per_reading: usage
                .written_bytes
                .filter(|written| *written > 0)
                .and_then(|written| each(written, self.stored)),
            peak_rss_bytes: usage.peak_rss_bytes,
            seconds: thousandth(lasted.as_secs_f64()),
            seed: self.options.seed,
            timed_out,
            strange_samples: self.ledger.samples().to_vec(),
            missing_samples: self.ledger.missing(from, to),
        })
    }

    /// Whatever happens next.
    async fn step(&mut self, audience: &mut Audience<'_>) -> Result<(), Error> {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            biased;
            Some(commit) = self.commits.recv() => self.committed(&commit),
            Some(arrival) = self.arrivals.recv() => arrive(&mut self.account, &mut self.ledger, &arrival),
            _ = self.tick.tick() => {
                self.service.watch()?;
                self.is_told_to_end |= audience(&self.progress()) == Wish::End;
            }
            _ = interrupt.recv() => self.is_told_to_end = true,
            _ = terminate.recv() => self.is_told_to_end = true,
        }
        Ok(())
    }

    fn committed(&mut self, commit: &CommitLine) {
        if self.is_closed {
            return;
        }
        self.stored += commit.ranges.iter().map(|range| range.last + 1 - range.first).sum::<u64>();
        self.account.committed(commit);
    }

    /// The broker is away once, in the middle of the run.
    fn weather(&mut self, began: Instant) {
        let now = now();
        if let Some(is_down) = self.outage.pass(now > began + self.options.limit / 2, now) {
            self.proxy.change(|line| line.is_down = is_down);
        }
    }

    /// What counts: slots that end after the first moment and not after the second.
    fn period(&self) -> (i64, i64) {
        let (from, to) = self.counted;
        (from, to.unwrap_or(from).max(from))
    }

    /// The meters' time, seconds since 1970 UTC.
    fn time(&self) -> i64 {
        self.start.unix(now())
    }

    fn progress(&self) -> Progress {
        let figures = self.figures.borrow();
        let status = figures.status.as_ref();
        Progress {
            elapsed: now().duration_since(self.began),
            days: (self.time() - self.start.pace.start_ms.div_euclid(1_000)) as f64 / 86_400.0,
            is_draining: self.counted.1.is_some(),
            delivered: self.ledger.delivered(),
            stored: self.stored,
            backlog: status.map_or(0, |status| status.buffer.backlog),
            meters: self.options.meters,
            active: status.and_then(|status| status.electricity.as_ref()).map_or(0, |it| it.active),
            is_down: self.proxy.line().is_down,
        }
    }
}

fn arrive(account: &mut Account, ledger: &mut Ledger, arrival: &Arrival) {
    let stream = &arrival.stream;
    for record in &arrival.records {
        let before = account.tally().delivered_records;
        account.arrived(stream.epoch, stream.lane, record.sequence, None);
        let is_new = account.tally().delivered_records > before;
        if let (Body::Reading(reading), true) = (&record.body, is_new) {
            ledger.arrive(reading);
        }
    }
}

/// Both clocks at the beginning. The meters' is the unit's, or with a change-over to come, twelve hours before it.
fn begin(options: &Options) -> Start {
    #[expect(clippy::disallowed_methods, reason = "where virtual time begins")]
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = now();
    let real_ms = i64::try_from(real.as_millis()).unwrap_or(i64::MAX);
    let start = match options.faults.dst {
        true => next_change_over(real_ms.div_euclid(1_000) + 43_200) - 43_200,
        false => real_ms.div_euclid(1_000),
    };
    let speed = (86_400.0 / options.day.as_secs_f64()).round().max(1.0) as u32;
    Start { at, pace: Pace { real_ms, start_ms: start * 1_000, speed } }
}

/// The next change-over of the emulated meters' zone, seconds since 1970 UTC.
fn next_change_over(after: i64) -> i64 {
    let zone = dlms::sim::Zone::CENTRAL_EUROPE;
    let hour = after.div_euclid(3_600) + 1;
    // Two a year: the loop ends.
    (hour..hour + 9_000).map(|hour| hour * 3_600).find(|at| zone.at(*at) != zone.at(*at - 1)).unwrap_or(after)
}

#[expect(clippy::disallowed_methods, reason = "a simulation reads the clock")]
fn now() -> Instant {
    Instant::now()
}

const SUBSCRIBED: Duration = Duration::from_secs(15);
/// For all nodes to join.
const FORMED: Duration = Duration::from_secs(120);
/// Nodes in one request.
const NODES: usize = 12;
const TICK: Duration = Duration::from_millis(250);
/// For what is on its way, for gaps, and for one publication that has to be repeated.
const DRAIN: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(15);
const COMMITS: usize = 1_024;
/// Seconds of the meters' time.
const SLACK: i64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_overs_are_found() {
        // 2026-11-21: the next ones are 2027-03-28 and 2027-10-31, 01:00 UTC.
        assert_eq!(next_change_over(1_795_219_200), 1_806_195_600);
        assert_eq!(next_change_over(1_806_195_600), 1_824_944_400);
    }
}
