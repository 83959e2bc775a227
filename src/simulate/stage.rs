//! The run: meters of either kind or both, broker, proxy, head-end and the service, and what came of them.

mod close;
mod drain;
mod look;

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::account::Account;
use super::air::Sent;
use super::awaited::Awaited;
use super::broker::{Broker, Identity};
use super::control::Control;
use super::electricity::{Start, Street};
use super::figures::{self, Figures};
use super::fleet::fork;
use super::head_end::{Arrival, Watcher};
use super::kills::Kills;
use super::outage::Outage;
use super::proxy::Proxy;
use super::report::{Memory, Phase, Report};
use super::run::{Audience, Error, Options};
use super::scene::{Scene, Settings};
use super::service::Service;
use super::{consumer, electricity, radio};
use crate::control::CommitLine;

/// Everybody who has a part.
pub(super) struct Stage<'a> {
    options: &'a Options,
    began: Instant,
    start: Start,
    phase: Phase,
    proxy: Proxy,
    outage: Outage,
    radio: Option<radio::Part<'a>>,
    electricity: Option<electricity::Part<'a>>,
    memory: Memory,
    watcher: Watcher,
    arrivals: mpsc::Receiver<Arrival>,
    commits: mpsc::Receiver<CommitLine>,
    notes: Option<File>,
    control: Control,
    figures: watch::Receiver<Figures>,
    service: Service,
    /// That the service took while days passed.
    cpu: Duration,
    account: Account,
    kills: Kills,
    /// A killed service is not ready again yet.
    is_healing: bool,
    is_told_to_end: bool,
    /// After the end, for what it is waited.
    awaited: Option<Awaited>,
    /// Until then it is waited for a network to form.
    forms_until: Option<Instant>,
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
        stage.speak(spoke, audience).await?;
        let complaint = stage.drain(audience).await?;
        stage.close(now().duration_since(spoke), complaint).await
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
        let stop = CancellationToken::new();
        let start = begin(options);
        let radio =
            options.radio.as_ref().map(|radio| radio::Part::open(options, radio, scene, began, &stop)).transpose()?;
        let electricity = match options.electricity {
            Some(electricity) => Some(electricity::Part::open(options, electricity, scene, start, &stop).await?),
            None => None,
        };
        let settings = Settings {
            receivers: radio.as_ref().map_or(Vec::new(), |radio| radio.places().to_vec()),
            unit: options.unit.clone(),
            broker: proxy.address(),
            server_name: options.broker.as_ref().map_or_else(|| "localhost".into(), |broker| broker.host.clone()),
            policy: options.policy.clone(),
            commit_window: options.commit_window,
            seal_age: options.seal_age,
            state: options.state.clone(),
            log: options.log.clone(),
            more: electricity.as_ref().map(electricity::Part::configuration),
        };
        scene.write(radio.as_ref().map_or(&[], radio::Part::meters), &settings)?;
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
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let readings = options.radio.as_ref().and_then(|radio| radio.readings);
        let length = match (&electricity, readings) {
            (None, Some(readings)) => readings,
            _ => options.limit.as_millis() as u64,
        };
        let pace = electricity.is_some().then_some(start.pace);
        Ok(Self {
            options,
            began,
            start,
            phase: Phase::Starting,
            proxy,
            outage: Outage::new(options.faults.broker_outage),
            radio,
            electricity,
            memory: Memory::default(),
            watcher,
            arrivals,
            commits,
            notes: notes.transpose()?,
            control,
            figures,
            service: Service::new(options.program.clone(), scene.config(), scene.log(), pace)?,
            cpu: Duration::ZERO,
            account: Account::new(options.kills > 0),
            kills: Kills::new(options.kills, length, fork(options.seed, KILLS)),
            is_healing: false,
            is_told_to_end: false,
            awaited: None,
            forms_until: None,
            tick,
            signals: [
                signal(SignalKind::interrupt()).map_err(Error::Signals)?,
                signal(SignalKind::terminate()).map_err(Error::Signals)?,
            ],
            _stop: stop.drop_guard(),
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
        if let Some(radio) = &self.radio {
            radio.listening(READY).await;
        }
        self.form(audience).await
    }

    /// Nodes are let into their network, and join it, before anything counts.
    async fn form(&mut self, audience: &mut Audience<'_>) -> Result<(), Error> {
        let Some(street) = self.street() else { return Ok(()) };
        for nodes in street.nodes().chunks(NODES) {
            self.control.import(Street::NETWORK, nodes.to_vec()).await?;
        }
        let deadline = now() + street.patience();
        self.forms_until = Some(deadline);
        while self.street().is_some_and(|street| !street.is_formed()) && !self.is_told_to_end {
            if now() > deadline {
                if self.street().is_some_and(Street::may_begin) {
                    break;
                }
                return Err(Error::NotReady(format!("not all nodes joined: {}", self.service.last_words())));
            }
            self.step(audience).await?;
        }
        Ok(())
    }

    fn street(&self) -> Option<&Street> {
        self.electricity.as_ref().and_then(electricity::Part::street)
    }

    /// The meters speak, and days pass, until enough was said or the time is over.
    async fn speak(&mut self, began: Instant, audience: &mut Audience<'_>) -> Result<(), Error> {
        self.phase = Phase::Speaking;
        if let Some(radio) = &mut self.radio {
            radio.speak(began, self.start);
        }
        if let Some(electricity) = &mut self.electricity {
            electricity.begin(began);
        }
        let cpu = self.service.cpu();
        let deadline = began + self.options.limit;
        let mut is_over = false;
        while self.radio.as_ref().is_some_and(radio::Part::is_speaking) || self.electricity.is_some() && !is_over {
            self.step(audience).await?;
            let now = now();
            is_over |= now > deadline || self.is_told_to_end;
            if let Some(radio) = self.radio.as_mut().filter(|_| is_over) {
                radio.hush();
                if now > deadline + LAST_WORD {
                    radio.give_up();
                }
            }
            self.weather(began, now);
            if self.electricity.is_some() && !is_over {
                self.kills.pass(now.duration_since(began).as_millis() as u64, now);
            }
        }
        self.cpu = self.service.cpu().saturating_sub(cpu);
        if let Some(electricity) = &mut self.electricity {
            electricity.end(now());
        }
        Ok(())
    }

    /// Whatever happens next.
    async fn step(&mut self, audience: &mut Audience<'_>) -> Result<(), Error> {
        let kill = self.kills.due();
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            // What was sent is written down before it can arrive.
            biased;
            sent = next(&mut self.radio), if self.radio.as_ref().is_some_and(radio::Part::is_speaking) => {
                if let Some(sent) = sent {
                    self.account.sent(sent, now());
                    if self.electricity.is_none() {
                        self.kills.pass(self.account.tally().sent, now());
                    }
                }
            }
            Some(commit) = self.commits.recv() => self.committed(&commit)?,
            Some(arrival) = self.arrivals.recv() => {
                consumer::arrive(&mut self.account, self.electricity.as_mut(), &arrival);
            }
            () = sleep_until(kill.unwrap_or(self.began).into()), if kill.is_some() => self.kill().await?,
            _ = self.tick.tick() => self.look(audience)?,
            _ = interrupt.recv() => self.is_told_to_end = true,
            _ = terminate.recv() => self.is_told_to_end = true,
        }
        Ok(())
    }

    fn are_whole(&self) -> bool {
        self.outage.is_over() && self.radio.as_ref().is_none_or(radio::Part::is_whole)
    }

    fn committed(&mut self, commit: &CommitLine) -> Result<(), Error> {
        self.account.committed(commit, self.electricity.as_ref().is_some_and(electricity::Part::is_closed));
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

async fn next(radio: &mut Option<radio::Part<'_>>) -> Option<Sent> {
    match radio {
        Some(radio) => radio.next().await,
        None => None,
    }
}

/// The clocks at the beginning. With electricity meters days pass quickly, and there may be a change-over to come.
fn begin(options: &Options) -> Start {
    #[expect(clippy::disallowed_methods, reason = "where virtual time begins")]
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (at, real_ms) = (now(), i64::try_from(real.as_millis()).unwrap_or(i64::MAX));
    match options.electricity {
        Some(electricity) => {
            let mut start = Start::new(at, real_ms, electricity.day, options.faults.dst);
            start.pace.has_mesh = electricity.network.is_some();
            start
        }
        None => Start::real(at, real_ms),
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
/// Nodes in one request.
const NODES: usize = 12;
const TICK: Duration = Duration::from_millis(250);
/// After the end of the time, for the telegram that is going out.
const LAST_WORD: Duration = Duration::from_secs(5);
const COMMITS: usize = 1_024;
/// Keeps these draws apart from the fleet's.
const KILLS: u64 = u64::MAX - 1;
