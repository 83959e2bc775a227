//! Electricity meters behind real sockets: emulated ones, the truth of every slot, and a run in which days pass quickly.
//!
//! The service is an ordinary one that reads them on its schedule; its time and the meters' pass at one pace.

mod fleet;
mod ledger;
mod report;
mod stage;
mod street;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use ledger::{Ledger, Tally};
pub use report::{Progress, Report};

use super::faults::Faults;
use super::run::{Error, Wish};
use super::scene::Scene;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program that is the service as well.
    pub program: PathBuf,
    pub meters: usize,
    /// They stand behind the nodes of a G3-PLC modem.
    pub has_plc: bool,
    /// How long days pass.
    pub limit: Duration,
    /// How long a day takes.
    pub day: Duration,
    /// The unit's identifier.
    pub unit: String,
    pub seed: u64,
    pub faults: Faults,
    /// None for a temporary directory.
    pub dir: Option<PathBuf>,
    pub keep: bool,
    pub commit_window: Duration,
    pub seal_age: Duration,
    /// The service's log level.
    pub log: String,
}

/// Who looks on.
pub type Audience<'a> = dyn FnMut(&Progress) -> Wish + 'a;

/// Runs a simulation to its end.
///
/// # Errors
/// What keeps it from running; that slots are missing is no error but a report.
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
    let mut scene = Scene::set(options.dir.clone(), None, &options.unit, jiff::Zoned::now().date())?;
    let ended = stage::Stage::play(options, &scene, began, audience).await;
    if options.keep || ended.as_ref().map_or(true, |report| !report.faults().is_empty()) {
        scene.keep();
    }
    ended
}
