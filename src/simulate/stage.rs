//! One run, from inside: everybody comes on, the meters speak, what they said arrives, and the account is closed.
//!
//! Whoever has a part runs by itself and talks to this loop over channels; the account is the loop's alone.

mod look;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::account::Account;
use super::air::{self, Plan, Sent};
use super::broker::{Broker, Identity};
use super::consumer;
use super::control::Control;
use super::figures::{self, Figures};
use super::fleet::{Fleet, fork};
use super::garbage;
use super::head_end::{Arrival, Watcher};
use super::kills::Kills;
use super::outage::Outage;
use super::proxy::Proxy;
use super::receivers::{Receivers, places};
use super::report::{Memory, Phase, Report, each};
use super::run::{Audience, Error, Options};
use super::scene::{Scene, Settings};
use super::service::Service;
use crate::control::CommitLine;

/// Everybody who has a part.
pub(super) struct Stage<'a> {
    options: &'a Options,
    began: Instant,
    phase: Phase,
    proxy: Proxy,
    outage: Outage,
    receivers: Arc<Receivers>,
    /// The outage of one of them.
    receiver_outage: Outage,
    fleet: Option<Fleet>,
    sent: Option<mpsc::Receiver<Sent>>,
    fleet_stop: CancellationToken,
    /// Telegrams that were none, as many as receivers told.
    garbage: Arc<AtomicU64>,
    memory: Memory,
    watcher: Watcher,
    arrivals: mpsc::Receiver<Arrival>,
    commits: mpsc::Receiver<CommitLine>,
    notes: Option<File>,
    control: Control,
    figures: watch::Receiver<Figures>,
    service: Service,
    account: Account,
    kills: Kills,
    /// A killed service is not ready again yet.
    is_healing: bool,
    is_told_to_end: bool,
    tick: Interval,
    signals: [Signal; 2],
    /// Ends the fleet with the stage.
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
        stage.speak(spoke, audience).await?;
        let timed_out = !stage.drain(audience).await?;
        stage.close(now().duration_since(spoke), timed_out).await
    }

    async fn set(options: &'a Options, scene: &Scene, began: Instant) -> Result<Self, Error> {
        let address = match &options.broker {
            Some(broker) => format!("{}:{}", broker.host, broker.port),
            None => {
                let identity = scene.kit().broker();
                let identity = Identity { ca: scene.kit().ca(), certificate: identity.certificate, key: identity.key };
                Broker::start(&identity).await?.address().to_string()
            }
        };
        let proxy = Proxy::start(address.as_str()).await.map_err(Error::Proxy)?;
        proxy.change(|line| {
            line.cut_after = options.faults.cut_after;
            line.delay = options.faults.delay;
        });
        let fleet = Fleet::new(options.meters, options.rate, options.seed, began);
        let settings = Settings {
            receivers: places(&options.receivers, scene, &options.program),
            unit: options.unit.clone(),
            broker: proxy.address(),
            server_name: options.broker.as_ref().map_or_else(|| "localhost".into(), |broker| broker.host.clone()),
            policy: options.policy.clone(),
            commit_window: options.commit_window,
            seal_age: options.seal_age,
            state: options.state.clone(),
            log: options.log.clone(),
            more: None,
        };
        scene.write(fleet.meters(), &settings)?;
        let receivers = Receivers::open(&settings.receivers, options.faults.corrupt_ppm, options.seed)?;
        let is_kept = options.keep || options.dir.is_some();
        let (watcher, arrivals) = consumer::open(is_kept, options.seed, scene, &address)?;
        let control = Control::new(scene.socket());
        let (to_figures, figures) = watch::channel(Figures::default());
        let (to_commits, commits) = mpsc::channel(COMMITS);
        tokio::spawn(figures::ask(control.clone(), to_figures));
        tokio::spawn(figures::follow(control.clone(), to_commits));
        let notes = options
            .commits
            .as_ref()
            .map(|path| File::create(path).map_err(|source| Error::Note { path: path.clone(), source }));
        let fleet_stop = CancellationToken::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let readings = options.readings.unwrap_or(0);
        Ok(Self {
            options,
            began,
            phase: Phase::Starting,
            proxy,
            outage: Outage::new(options.faults.broker_outage),
            receivers: Arc::new(receivers),
            receiver_outage: Outage::new(options.faults.receiver_outage),
            fleet: Some(fleet),
            sent: None,
            garbage: Arc::default(),
            memory: Memory::default(),
            watcher,
            arrivals,
            commits,
            notes: notes.transpose()?,
            control,
            figures,
            service: Service::new(options.program.clone(), scene.config(), scene.log(), None)?,
            account: Account::new(options.kills > 0),
            kills: Kills::new(options.kills, readings, fork(options.seed, KILLS)),
            is_healing: false,
            is_told_to_end: false,
            tick,
            signals: [
                signal(SignalKind::interrupt()).map_err(Error::Signals)?,
                signal(SignalKind::terminate()).map_err(Error::Signals)?,
            ],
            _stop: fleet_stop.clone().drop_guard(),
            fleet_stop,
        })
    }

    /// Starts the service, and waits until it hears and is heard.
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
        // A program says nothing that shows that it hears.
        let _ = timeout(READY, self.receivers.listening()).await;
        Ok(())
    }

    /// The meters speak, until enough was said or the time is over.
    async fn speak(&mut self, began: Instant, audience: &mut Audience<'_>) -> Result<(), Error> {
        self.phase = Phase::Speaking;
        let Some(mut fleet) = self.fleet.take() else { return Ok(()) };
        if let Some(due) = fleet.due() {
            fleet.postpone(began.saturating_duration_since(due));
        }
        let plan = Plan {
            faults: self.options.faults,
            seed: self.options.seed,
            readings: self.options.readings,
            is_patient: self.options.kills > 0,
        };
        let (to_sent, sent) = mpsc::channel(SENT);
        self.sent = Some(sent);
        let (receivers, stop) = (Arc::clone(&self.receivers), self.fleet_stop.clone());
        let garbage = CancellationToken::new();
        if self.options.faults.garbage > 0 {
            let (receivers, stop, told) = (Arc::clone(&receivers), garbage.clone(), Arc::clone(&self.garbage));
            let (rate, seed) = (self.options.faults.garbage.into(), self.options.seed);
            tokio::spawn(async move { garbage::pour(&receivers, rate, seed, told, stop).await });
        }
        let _garbage = garbage.drop_guard();
        tokio::spawn(async move { air::speak(fleet, &receivers, plan, to_sent, stop).await });
        let deadline = began + self.options.limit;
        while self.sent.is_some() {
            self.step(audience).await?;
            let now = now();
            if now > deadline || self.is_told_to_end {
                self.fleet_stop.cancel();
            }
            if now > deadline + LAST_WORD {
                // The port does not take the last telegram: it was not heard.
                self.sent = None;
            }
            self.weather(began, now);
        }
        Ok(())
    }

    /// What is on its way arrives. False: not all of it within the time.
    async fn drain(&mut self, audience: &mut Audience<'_>) -> Result<bool, Error> {
        self.phase = Phase::Draining;
        let ended = now();
        let is_complete = self.options.policy == COMPLETE;
        let patience = DRAIN + self.options.commit_window + self.options.seal_age;
        loop {
            let now = now();
            self.weather(ended, now);
            // What lies in the port is read within this time.
            let is_quiet = now > ended + QUIET && self.figures.borrow().is_empty(ended + QUIET);
            // After kills something is missing for ever; then silence has to do.
            let is_settled = self.account.is_settled(is_complete && self.kills.count() == 0);
            let is_over = is_quiet && is_settled && !self.is_healing && self.kills.due().is_none();
            let outage = self.options.faults.longest_outage();
            if (is_over && self.are_whole()) || now > ended + patience + outage {
                return Ok(is_over);
            }
            self.step(audience).await?;
        }
    }

    /// Everybody goes off; what came of it.
    async fn close(mut self, lasted: Duration, timed_out: bool) -> Result<Report, Error> {
        let kills = self.kills.count();
        let tally = self.account.tally();
        let last = self.control.status().await.ok();
        let of_lane = |status: &crate::control::Status| {
            status.buffer.lanes.iter().find(|lane| lane.lane == "mbus").map_or(0, |lane| lane.last)
        };
        let stored = tally.stored.max(last.as_ref().map_or(0, of_lane));
        let decoded = self.figures.borrow().decoded().max(last.map_or(0, |status| status.meters.readings));
        self.service.stop(STOP).await?;
        let repeated = self.watcher.news().borrow().counts.repeated;
        let account = &mut self.account;
        consumer::close(self.watcher, &mut self.arrivals, |arrival| consumer::arrive(account, arrival)).await?;
        let verdict = self.account.verdict(self.options.commit_window, self.options.policy == COMPLETE);
        let ledger = self.account.ledger();
        let usage = self.service.usage();
        let delivered = ledger.matched();
        Ok(Report {
            sent: tally.sent,
            heard: ledger.expected(),
            decoded,
            stored,
            delivered,
            duplicates: tally.duplicates + repeated,
            lost: verdict.lost,
            wire_bytes_per_reading: each(self.proxy.up() + self.proxy.down(), delivered),
            written_bytes_per_reading: usage.written_bytes.filter(|written| *written > 0).and_then(|n| each(n, stored)),
            peak_rss_bytes: usage.peak_rss_bytes,
            seconds: (lasted.as_secs_f64() * 1e3).round() / 1e3,
            in_window: verdict.in_window,
            strange: ledger.strange(),
            disordered: verdict.disordered,
            telegrams: tally.telegrams,
            copies: tally.copies,
            garbage: self.garbage.load(Ordering::Relaxed),
            rss_kib: self.memory.samples,
            kills,
            seed: self.options.seed,
            timed_out,
            strange_samples: ledger.samples().to_vec(),
            lost_samples: if verdict.lost > 0 { self.account.strays(self.options.commit_window) } else { Vec::new() },
        })
    }

    /// Whatever happens next.
    async fn step(&mut self, audience: &mut Audience<'_>) -> Result<(), Error> {
        let kill = self.kills.due();
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            // What was sent is written down before it can arrive.
            biased;
            sent = next(&mut self.sent), if self.sent.is_some() => match sent {
                Some(sent) => {
                    self.account.sent(sent, now());
                    self.kills.sent(self.account.tally().sent, now());
                }
                None => self.sent = None,
            },
            Some(commit) = self.commits.recv() => self.committed(&commit)?,
            Some(arrival) = self.arrivals.recv() => consumer::arrive(&mut self.account, &arrival),
            () = sleep_until(kill.unwrap_or(self.began).into()), if kill.is_some() => self.kill().await?,
            _ = self.tick.tick() => self.look(audience)?,
            _ = interrupt.recv() => self.is_told_to_end = true,
            _ = terminate.recv() => self.is_told_to_end = true,
        }
        Ok(())
    }

    fn are_whole(&self) -> bool {
        self.outage.is_over() && self.receiver_outage.is_over() && self.receivers.are_whole()
    }

    fn committed(&mut self, commit: &CommitLine) -> Result<(), Error> {
        self.account.committed(commit);
        if let (Some(notes), Some(path)) = (&mut self.notes, &self.options.commits) {
            let mut line = serde_json::to_vec(commit).expect("texts and numbers are always JSON");
            line.push(b'\n');
            notes.write_all(&line).map_err(|source| Error::Note { path: path.clone(), source })?;
        }
        Ok(())
    }

    async fn kill(&mut self) -> Result<(), Error> {
        self.account.killed(now());
        self.service.kill().await?;
        self.kills.done();
        self.service.start()?;
        self.is_healing = true;
        Ok(())
    }
}

async fn next(sent: &mut Option<mpsc::Receiver<Sent>>) -> Option<Sent> {
    match sent {
        Some(sent) => sent.recv().await,
        None => None,
    }
}

#[expect(clippy::disallowed_methods, reason = "a simulation reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// The policy that keeps every reading.
const COMPLETE: &str = "all";
const SUBSCRIBED: Duration = Duration::from_secs(15);
pub(super) const READY: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(250);
/// After the end of the time, for the telegram that is going out.
const LAST_WORD: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(300);
/// Beside windows and ages: for the way, and for one publication that has to be repeated.
const DRAIN: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(15);
const SENT: usize = 256;
const COMMITS: usize = 1_024;
/// Keeps these draws apart from the fleet's.
const KILLS: u64 = u64::MAX - 1;
