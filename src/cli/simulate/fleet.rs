//! `dcu simulate`: the whole twin.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use wmbus::receiver::{Kind, Mode};
use wmbus::sim::EmulatorKind;

use super::told;
use super::view::View;
use crate::cli::{Exit, Failure, Out, Outcome, log};
use crate::config::{Log, duration};
use crate::simulate::electricity::FeederFile;
use crate::simulate::faults::Faults;
use crate::simulate::fleet;
use crate::simulate::run::{self, Electricity, Formation, Options, Radio, RealBroker};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Meters with radios: water, gas, heat, heat cost allocators; default: 50, with --electricity none
    #[arg(long, visible_alias = "gas-water", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    meters: Option<u32>,
    /// Electricity meters, which the service reads while days pass quickly: over TCP, beside meters with radios behind a modem
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "readings")]
    electricity: Option<u32>,
    /// The electricity meters are behind the nodes of an emulated G3-PLC modem, which takes no airtime
    #[arg(long, requires = "electricity")]
    plc: bool,
    /// The nodes behind the modem are those of a simulated network, whose time goes as fast as the days: joins, routes and messages take its airtime
    #[arg(long, requires = "electricity", conflicts_with = "tcp", value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = "new")]
    network: Option<Formation>,
    /// Where the nodes of that network are: a low-voltage feeder as `plc/tests/netsim/feeders.py` makes them; default: a town that is drawn
    #[arg(long, value_name = "FILE", requires = "network")]
    feeder: Option<PathBuf>,
    /// The electricity meters are on TCP sockets
    #[arg(long, requires = "electricity", conflicts_with = "plc")]
    tcp: bool,
    /// How long a day takes, with --electricity; default: 30s, with --network 1h
    #[arg(long, value_name = "DURATION", requires = "electricity", value_parser = day)]
    day: Option<Duration>,
    /// Receivers of the unit, separated by commas; a meter is heard by several of them; default: im871a
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = super::receiver::kind)]
    receivers: Option<Vec<&'static EmulatorKind>>,
    /// Telegrams a second, all meters together; default: each at its natural pace
    #[arg(long, value_name = "TELEGRAMS_PER_S")]
    rate: Option<f64>,
    /// End when N readings were sent and every one of them arrived
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    readings: Option<u64>,
    /// The meters do not speak, and days do not pass, for longer; what is on its way then gets up to half a minute more, with --electricity a minute, however fast days pass; what had not arrived by then is said (5). Default: 60s, with --kills of meters with radios alone 15min
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::cli::duration)]
    limit: Option<Duration>,
    /// A broker that runs already, mqtts://HOST:PORT; default: one in this process
    #[arg(long, value_name = "URL", requires = "keys", value_parser = broker)]
    broker: Option<(String, u16)>,
    /// What `dcu head-end keys` made for that broker
    #[arg(long, value_name = "DIR", requires = "broker")]
    keys: Option<PathBuf>,
    /// The unit's identifier, as in its certificate
    #[arg(long, value_name = "ID", default_value = "dcu-1")]
    unit: String,
    /// Decides meters, values and faults; default: drawn and printed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Separated by commas: loss=5% corrupt=1% broker-outage=10s receiver-outage=10s cut-after=100kB delay=50ms garbage=300; of electricity meters meter-loss=10% clock-drift=10s dst; behind a modem plc-loss=1% modem-reset
    #[arg(long, value_name = "FAULTS", default_value = "")]
    faults: Faults,
    /// Kill the service so often at random moments, and start it again; without --electricity default of --readings is then 10000
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    kills: u32,
    /// The service's selection policy
    #[arg(long, value_name = "POLICY", default_value = "all")]
    policy: String,
    /// store.commit_window of the service; default: 1s, with --kills 200ms
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    commit_window: Option<Duration>,
    /// store.seal_age of the service
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    seal_age: Duration,
    /// An empty directory for everything that is written, which stays; default: a temporary one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the temporary directory; it is kept in any case when something went wrong
    #[arg(long)]
    keep: bool,
    /// Where the service keeps its state; default: below the directory
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Note every commit that the service reports, one a line
    #[arg(long, value_name = "FILE")]
    commits: Option<PathBuf>,
    /// The service's log level; its log is in the directory
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: String,
    /// The last line is one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    let is_json = args.json;
    let options = options(args)?;
    // The broker and the head-end in this process are quiet, unless somebody asks.
    let is_logging = std::env::var_os("DCU_LOG").is_some();
    if is_logging {
        log::start(&Log::default());
    }
    let has_view = out.is_terminal() && !is_json && !is_logging && options.radio.is_some();
    let report = if has_view {
        let mut view = View::open(options.seed)?;
        run::run(&options, &mut |progress| view.show(progress))
    } else {
        eprintln!("{}", told::title(&options));
        let mut lines = told::Lines::default();
        run::run(&options, &mut |progress| lines.show(progress))
    };
    let report = report.map_err(|error| Failure::new(Exit::Failed, error))?;
    if is_json {
        out.json(&report)?;
    } else {
        out.text(told::summary(&report, &options))?;
    }
    out.flush()?;
    told::samples(&report).for_each(|sample| eprintln!("{sample}"));
    let faults = report.faults();
    if faults.is_empty() {
        return Ok(Exit::Done);
    }
    let exit = if report.is_only_late() { Exit::TimedOut } else { Exit::CheckFailed };
    Err(Failure::said(exit, format!("{}; seed {}", faults.join(", "), report.total.seed)))
}

fn options(args: Args) -> Result<Options, Failure> {
    let usage = |text: String| Err(Failure::said(Exit::Usage, text));
    let has_radio = args.electricity.is_none() || args.meters.is_some();
    let electricity = args.electricity.map(|meters| Electricity {
        meters: meters as usize,
        // Beside meters with radios it is the whole unit that is shown.
        has_plc: args.plc || has_radio && !args.tcp,
        network: args.network,
        day: args.day.unwrap_or(if args.network.is_some() { NETWORK_DAY } else { DAY }),
    });
    let feeder = args.feeder.zip(electricity).map(|(file, electricity)| {
        let feeder: FeederFile = crate::cli::json_of(&file, "a feeder")?;
        feeder.site(electricity.meters).map_err(|e| Failure::said(Exit::Usage, format!("{}: {e}", file.display())))
    });
    let feeder = feeder.transpose()?;
    if args.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e6)) {
        return usage("--rate: must be more than 0 and at most a million".into());
    }
    if let Some(fault) = args.faults.of_radio().filter(|_| !has_radio) {
        return usage(format!("--faults: {fault} is of telegrams, and there are none: --gas-water N"));
    }
    if let Some(fault) = args.faults.of_electricity().filter(|_| electricity.is_none()) {
        return usage(format!("--faults: {fault} is of electricity meters: --electricity N"));
    }
    if let Some(fault) = args.faults.of_modem().filter(|_| electricity.is_some_and(|it| !it.has_plc)) {
        return usage(format!("--faults: {fault} is of a modem, and there is none: --plc"));
    }
    if args.network.is_some() && electricity.is_some_and(|it| !it.has_plc) {
        return usage("--network: is behind a modem, and there is none: --plc".into());
    }
    if args.network.is_some() && args.faults.plc_loss_ppm > 0 {
        return usage("--faults: plc-loss: a simulated network has losses of its own".into());
    }
    if !has_radio && (args.rate.is_some() || args.receivers.is_some()) {
        return usage("--rate and --receivers are of meters with radios, and there are none: --gas-water N".into());
    }
    let receivers = args.receivers.unwrap_or_else(|| super::receiver::kind(RECEIVER).into_iter().collect());
    if receivers.iter().any(|kind| !is_in_reach(kind)) {
        return usage("--receivers: the fleet sends in T1, on 868 MHz".into());
    }
    let has_kills = args.kills > 0;
    if has_kills && receivers.iter().any(|kind| kind.is_program) {
        // A program outlives the service that started it for a moment, and takes what it hears along.
        return usage("--kills: only with receivers that are no programs".into());
    }
    let counts = has_kills && electricity.is_none();
    let readings = args.readings.or(counts.then_some(KILL_READINGS));
    // So that the kills come about one a second, and starting again is not all the service ever does.
    let spread = |readings: u64| readings as f64 / READINGS_PER_TELEGRAM / f64::from(args.kills);
    let rate = args.rate.or_else(|| readings.filter(|_| counts).map(spread));
    let meters = args.meters.unwrap_or(METERS) as usize;
    let seed = match args.seed {
        Some(seed) => seed,
        None => fleet::random_seed().context("draw a seed")?,
    };
    Ok(Options {
        program: std::env::current_exe().context("find this program")?,
        radio: has_radio.then_some(Radio { meters, receivers, rate, readings }),
        electricity,
        feeder,
        limit: args.limit.unwrap_or(if counts { KILL_LIMIT } else { LIMIT }),
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

fn broker(url: &str) -> Result<(String, u16), String> {
    let rest = url.strip_prefix("mqtts://").ok_or("expected mqtts://HOST:PORT")?;
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "8883"));
    let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
    if host.is_empty() { Err("a host is missing".into()) } else { Ok((host.to_owned(), port)) }
}

const DAY: Duration = Duration::from_secs(30);
/// A quarter of an hour takes as long as some exchanges do.
const NETWORK_DAY: Duration = Duration::from_secs(3_600);
const LIMIT: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(1);
const KILL_LIMIT: Duration = Duration::from_secs(900);
const KILL_WINDOW: Duration = Duration::from_millis(200);
const KILL_READINGS: u64 = 10_000;
/// Of a fleet, on average.
const READINGS_PER_TELEGRAM: f64 = 5.6;
const METERS: u32 = 50;
const RECEIVER: &str = "im871a";

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
