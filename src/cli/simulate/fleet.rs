//! `dcu simulate`: the whole twin.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use wmbus::receiver::{Kind, Mode};
use wmbus::sim::EmulatorKind;

use super::view::View;
use crate::cli::{Exit, Failure, Out, Outcome, log};
use crate::config::{Log, duration};
use crate::simulate::faults::Faults;
use crate::simulate::fleet;
use crate::simulate::report::{Phase, Progress, Report};
use crate::simulate::run::{self, Options, RealBroker, Wish};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Meters in the fleet: water, gas, heat, heat cost allocators
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    meters: u32,
    /// Electricity meters instead of those with radios: read over TCP, days pass quickly
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with_all = ["meters", "receivers", "rate", "readings", "kills", "policy", "broker", "keys", "state_dir", "commits"])]
    electricity: Option<u32>,
    /// The electricity meters are behind the nodes of an emulated G3-PLC modem, which takes no airtime
    #[arg(long, requires = "electricity")]
    pub(super) plc: bool,
    /// How long a day takes, with --electricity
    #[arg(long, value_name = "DURATION", default_value = "30s", requires = "electricity", value_parser = day)]
    pub(super) day: Duration,
    /// Receivers of the unit, separated by commas; a meter is heard by several of them
    #[arg(long, value_name = "KINDS", default_value = "im871a", value_delimiter = ',', value_parser = super::receiver::kind)]
    receivers: Vec<&'static EmulatorKind>,
    /// Telegrams a second, all meters together; default: each at its natural pace
    #[arg(long, value_name = "TELEGRAMS_PER_S")]
    rate: Option<f64>,
    /// End when N readings were sent and every one of them arrived
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    readings: Option<u64>,
    /// The meters do not speak for longer; what is on its way then gets up to half a minute more. Default: 60s, with --kills 15min
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::cli::duration)]
    pub(super) limit: Option<Duration>,
    /// A broker that runs already, mqtts://HOST:PORT; default: one in this process
    #[arg(long, value_name = "URL", requires = "keys", value_parser = broker)]
    broker: Option<(String, u16)>,
    /// What `dcu head-end keys` made for that broker
    #[arg(long, value_name = "DIR", requires = "broker")]
    keys: Option<PathBuf>,
    /// The unit's identifier, as in its certificate
    #[arg(long, value_name = "ID", default_value = "dcu-1")]
    pub(super) unit: String,
    /// Decides meters, values and faults; default: drawn and printed
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Separated by commas: loss=5% corrupt=1% broker-outage=10s receiver-outage=10s cut-after=100kB delay=50ms garbage=300; with --electricity broker-outage, cut-after, delay, meter-loss=10% clock-drift=10s dst
    #[arg(long, value_name = "FAULTS", default_value = "")]
    pub(super) faults: Faults,
    /// Kill the service so often at random moments, and start it again; default of --readings is then 10000
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    kills: u32,
    /// The service's selection policy
    #[arg(long, value_name = "POLICY", default_value = "all")]
    policy: String,
    /// store.commit_window of the service; default: 1s, with --kills 200ms
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) commit_window: Option<Duration>,
    /// store.seal_age of the service
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub(super) seal_age: Duration,
    /// An empty directory for everything that is written, which stays; default: a temporary one
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Keep the temporary directory; it is kept in any case when something went wrong
    #[arg(long)]
    pub(super) keep: bool,
    /// Where the service keeps its state; default: below the directory
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Note every commit that the service reports, one a line
    #[arg(long, value_name = "FILE")]
    commits: Option<PathBuf>,
    /// The service's log level; its log is in the directory
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(super) log: String,
    /// The last line is one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    if let Some(meters) = args.electricity {
        return super::electricity::run(meters as usize, args, out);
    }
    let is_json = args.json;
    let options = options(args)?;
    // The broker and the head-end in this process are quiet, unless somebody asks.
    let is_logging = std::env::var_os("DCU_LOG").is_some();
    if is_logging {
        log::start(&Log::default());
    }
    let has_view = out.is_terminal() && !is_json && !is_logging;
    if !has_view {
        eprintln!("seed {}, {} meters, faults {}", options.seed, options.meters, options.faults);
    }
    let report = if has_view {
        let mut view = View::open(options.seed)?;
        run::run(&options, &mut |progress| view.show(progress))
    } else {
        let mut lines = Lines::default();
        run::run(&options, &mut |progress| lines.show(progress))
    };
    let report = report.map_err(|error| Failure::new(Exit::Failed, error))?;
    if is_json {
        out.json(&report)?;
    } else {
        out.text(summary(&report, &options))?;
    }
    out.flush()?;
    for sample in &report.strange_samples {
        eprintln!("never sent: {sample}");
    }
    for sample in &report.lost_samples {
        eprintln!("lost: {sample}");
    }
    let faults = report.faults();
    if faults.is_empty() {
        return Ok(Exit::Done);
    }
    let exit = if report.timed_out && report.lost == 0 { Exit::TimedOut } else { Exit::CheckFailed };
    Err(Failure::said(exit, format!("{}; seed {}", faults.join(", "), report.seed)))
}

fn options(args: Args) -> Result<Options, Failure> {
    let usage = |text: &str| Failure::said(Exit::Usage, text.to_owned());
    if args.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e6)) {
        return Err(usage("--rate: must be more than 0 and at most a million"));
    }
    if let Some(fault) = args.faults.of_electricity() {
        return Err(Failure::said(Exit::Usage, format!("--faults: {fault} is of electricity meters: --electricity N")));
    }
    let has_kills = args.kills > 0;
    if args.receivers.iter().any(|kind| !is_in_reach(kind)) {
        return Err(usage("--receivers: the fleet sends in T1, on 868 MHz"));
    }
    if has_kills && args.receivers.iter().any(|kind| kind.is_program) {
        // A program outlives the service that started it for a moment, and takes what it hears along.
        return Err(usage("--kills: only with receivers that are no programs"));
    }
    let readings = args.readings.or(has_kills.then_some(KILL_READINGS));
    // So that the kills come about one a second, and starting again is not all the service ever does.
    let spread = |readings: u64| readings as f64 / READINGS_PER_TELEGRAM / f64::from(args.kills);
    let rate = args.rate.or_else(|| readings.filter(|_| has_kills).map(spread));
    let seed = match args.seed {
        Some(seed) => seed,
        None => fleet::random_seed().context("draw a seed")?,
    };
    Ok(Options {
        program: std::env::current_exe().context("find this program")?,
        meters: args.meters as usize,
        receivers: args.receivers,
        rate,
        readings,
        limit: args.limit.unwrap_or(if has_kills { KILL_LIMIT } else { LIMIT }),
        broker: args.broker.zip(args.keys).map(|((host, port), keys)| RealBroker { host, port, keys }),
        unit: args.unit,
        seed,
        faults: args.faults,
        policy: args.policy,
        dir: args.dir,
        keep: args.keep,
        state: args.state_dir,
        commits: args.commits,
        kills: args.kills,
        commit_window: args.commit_window.unwrap_or(if has_kills { KILL_WINDOW } else { WINDOW }),
        seal_age: args.seal_age,
        log: args.log,
    })
}

/// A day of the meters, within which the service has something to do.
fn day(text: &str) -> Result<Duration, String> {
    let day = crate::cli::duration(text)?;
    let is_within = (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&day);
    if is_within { Ok(day) } else { Err("between 1s and 1d".into()) }
}

fn is_in_reach(kind: &EmulatorKind) -> bool {
    let receiver = Kind::named(kind.receiver);
    receiver.is_some_and(|receiver| receiver.modes.is_empty() || receiver.modes.contains(&Mode::C1T1))
}

/// One line every other second.
#[derive(Default)]
struct Lines {
    next: Duration,
    phase: Option<Phase>,
}

impl Lines {
    fn show(&mut self, progress: &Progress) -> Wish {
        if progress.elapsed >= self.next || self.phase != Some(progress.phase) {
            self.next = progress.elapsed + EVERY;
            self.phase = Some(progress.phase);
            eprintln!("{}", line(progress));
        }
        Wish::GoOn
    }
}

fn line(progress: &Progress) -> String {
    let seconds = progress.elapsed.as_secs_f64();
    let what = match progress.phase {
        Phase::Starting => return format!("{seconds:6.1} s  starting"),
        Phase::Speaking => "speaking",
        Phase::Draining => "draining",
    };
    let Progress { tally, heard, delivered, backlog, meters: (meters, known), .. } = progress;
    let mut line = format!(
        "{seconds:6.1} s  {what}: {} telegrams, readings {} sent, {heard} heard, {} stored, {delivered} delivered; \
         {known} of {meters} meters, backlog {backlog}",
        tally.telegrams, tally.sent, tally.stored,
    );
    if progress.is_down {
        line.push_str(", broker away");
    }
    if progress.garbage > 0 {
        line.push_str(&format!(", {} of garbage, {} KiB of memory", progress.garbage, progress.rss_bytes / 1024));
    }
    if progress.kills > 0 {
        line.push_str(&format!(", {} kills", progress.kills));
    }
    line
}

fn summary(report: &Report, options: &Options) -> String {
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure}"));
    let mut text = format!(
        "sent        {:>9} readings in {} telegrams of {} meters, {:.1} s\n\
         heard       {:>9} intact at the service's ports\n\
         decoded     {:>9}\n\
         stored      {:>9} durable\n\
         delivered   {:>9} at the head-end, {} duplicates dropped there\n\
         lost        {:>9}\n",
        report.sent,
        report.telegrams,
        options.meters,
        report.seconds,
        report.heard,
        report.decoded,
        report.stored,
        report.delivered,
        report.duplicates,
        report.lost,
    );
    if options.receivers.len() > 1 {
        text.push_str(&format!(
            "copies      {:>9} telegrams from one more of {} receivers\n",
            report.copies,
            options.receivers.len()
        ));
    }
    if report.garbage > 0 {
        let series: Vec<_> = report.rss_kib.iter().map(u64::to_string).collect();
        text.push_str(&format!(
            "garbage     {:>9} telegrams that were none; memory every 30 s, KiB: {}\n",
            report.garbage,
            series.join(" ")
        ));
    }
    if report.kills > 0 {
        text.push_str(&format!(
            "in_window   {:>9} in open commit windows of {} kills\n",
            report.in_window, report.kills
        ));
    }
    text.push_str(&format!(
        "a reading   {:>9} octets between service and broker, {} written to the disk\n\
         memory      {:>9} KiB at most\n\
         seed        {:>9}\n",
        figure(report.wire_bytes_per_reading),
        figure(report.written_bytes_per_reading),
        report.peak_rss_bytes / 1024,
        report.seed,
    ));
    text
}

fn broker(url: &str) -> Result<(String, u16), String> {
    let rest = url.strip_prefix("mqtts://").ok_or("expected mqtts://HOST:PORT")?;
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "8883"));
    let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
    if host.is_empty() { Err("a host is missing".into()) } else { Ok((host.to_owned(), port)) }
}

const LIMIT: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(1);
const KILL_LIMIT: Duration = Duration::from_secs(900);
const KILL_WINDOW: Duration = Duration::from_millis(200);
const KILL_READINGS: u64 = 10_000;
/// Of a fleet, on average.
const READINGS_PER_TELEGRAM: f64 = 5.6;
const EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_named_by_its_url() {
        assert_eq!(broker("mqtts://broker.example:1234"), Ok(("broker.example".into(), 1234)));
        assert_eq!(broker("mqtts://broker.example"), Ok(("broker.example".into(), 8883)));
        for wrong in ["mqtt://broker.example", "mqtts://:8883", "mqtts://broker:port", "broker"] {
            assert!(broker(wrong).is_err(), "{wrong}");
        }
    }
}
