//! One run, seen from outside: what is simulated, and what keeps it from running.
//!
//! There are meters with radios, electricity meters, or both. With electricity meters days pass quickly for everybody:
//! for the unit, for them, and for the clocks of the meters with radios, which speak at their own pace all the same.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use plc::sim::net::Site;
use wmbus::sim::EmulatorKind;

use super::faults::Faults;
use super::head_end::WatchError;
use super::head_end::archive::ArchiveError;
use super::report::{Progress, Report};
use super::scene::Scene;
use super::stage::{READY, Stage};
use super::{broker, receiver, scene, service};

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program that is the service as well.
    pub program: PathBuf,
    /// Gas, water and heat meters; None for none.
    pub radio: Option<Radio>,
    /// None for none.
    pub electricity: Option<Electricity>,
    /// Where the electricity meters behind a simulated network are; None for a town that is drawn.
    pub feeder: Option<Site>,
    /// The meters do not speak, and days do not pass, for longer.
    pub limit: Duration,
    /// None for a broker in this process.
    pub broker: Option<RealBroker>,
    /// The unit's identifier.
    pub unit: String,
    pub seed: u64,
    pub faults: Faults,
    /// In the words of the configuration.
    pub policy: String,
    /// None for a temporary directory.
    pub dir: Option<PathBuf>,
    pub keep: bool,
    /// Where the service keeps its state; None for a directory below `dir`.
    pub state: Option<PathBuf>,
    /// The file in which reported commits are noted, one a line.
    pub commits: Option<PathBuf>,
    /// The service is killed so often, at random moments.
    pub kills: u32,
    pub commit_window: Duration,
    pub seal_age: Duration,
    /// The service's log level.
    pub log: String,
}

/// Meters that speak, and what hears them.
#[derive(Debug, Clone)]
pub struct Radio {
    pub meters: usize,
    /// What kinds of receivers the unit has, at least one.
    pub receivers: Vec<&'static EmulatorKind>,
    /// Telegrams a second, all meters together; None for the natural pace of each.
    pub rate: Option<f64>,
    /// Ends when that many readings were sent and every one of them arrived; without electricity meters only.
    pub readings: Option<u64>,
}

/// Meters that are read.
#[derive(Debug, Clone, Copy)]
pub struct Electricity {
    pub meters: usize,
    /// They stand behind the nodes of a G3-PLC modem, not on sockets.
    pub has_plc: bool,
    /// The nodes are those of a simulated network; None for an air that takes no time.
    pub network: Option<Formation>,
    /// How long a day takes.
    pub day: Duration,
}

/// How a simulated network begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Formation {
    /// Nobody has joined: nodes come up, scan and join through its airtime
    New,
    /// Everybody has joined in no time, and knows the best way there is
    Formed,
}

/// A broker that runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealBroker {
    pub host: String,
    pub port: u16,
    /// What `dcu head-end keys` made.
    pub keys: PathBuf,
}

/// What the audience wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    GoOn,
    /// The meters fall silent, and the run ends as it would have.
    End,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("set the scene")]
    Scene(#[from] scene::Error),
    #[error("start the broker")]
    Broker(#[from] broker::Error),
    #[error("start the proxy")]
    Proxy(#[source] std::io::Error),
    #[error("start the emulated meters")]
    Meters(#[source] std::io::Error),
    #[error("start the emulated receiver")]
    Receiver(#[from] receiver::Error),
    #[error("the head-end")]
    HeadEnd(#[from] WatchError),
    #[error("the head-end's files")]
    Archive(#[from] ArchiveError),
    #[error("the head-end's key {}: {reason}", path.display())]
    Key { path: PathBuf, reason: String },
    #[error("the head-end cannot subscribe: {0}")]
    NotSubscribed(String),
    #[error("the service")]
    Service(#[from] service::Error),
    #[error("the service is not ready after {READY:?}: {0}")]
    NotReady(String),
    #[error("note commits in {}", path.display())]
    Note { path: PathBuf, source: std::io::Error },
    #[error("ask the service")]
    Control(#[from] super::control::Error),
    #[error("wait for signals")]
    Signals(#[source] std::io::Error),
}

/// Who looks on.
pub type Audience<'a> = dyn FnMut(&Progress) -> Wish + 'a;

/// Runs a simulation to its end. `audience` is shown how it goes, a few times a second.
///
/// # Errors
/// What keeps it from running; that readings were lost is no error but a report.
pub fn run(options: &Options, audience: &mut Audience<'_>) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let ended = runtime.block_on(perform(options, audience));
    // The broker's threads never end by themselves, and nobody waits for them.
    runtime.shutdown_background();
    ended
}

#[expect(clippy::disallowed_methods, reason = "a simulation reads the clock")]
async fn perform(options: &Options, audience: &mut Audience<'_>) -> Result<Report, Error> {
    let began = Instant::now();
    let keys = options.broker.as_ref().map(|broker| broker.keys.as_path());
    let mut scene = Scene::set(options.dir.clone(), keys, &options.unit, jiff::Zoned::now().date())?;
    let ended = Stage::play(options, &scene, began, audience).await;
    if options.keep || ended.as_ref().map_or(true, |report| !report.faults().is_empty()) {
        scene.keep();
    }
    ended
}
