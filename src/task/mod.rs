//! Drivers: sockets, serial ports, clocks, and the tasks that join the rooms. No protocol knowledge.
//!
//! This file is the one place where everything is built and joined. Octets flow from `receiver` over `meters` to the
//! store, batches from the store over `uplink` to `mqtt`; `desk` answers who asks. Who hears stops before who keeps, and
//! who asks before who answers, so that what was heard is durable and what can be said goodbye to is.

mod audit;
pub mod backoff;
pub mod clock;
pub mod control;
mod desk;
pub mod electricity;
mod files;
mod health;
pub mod lock;
mod lookout;
mod meters;
pub mod mqtt;
mod news;
mod notify;
mod opening;
mod plc;
pub mod probe;
pub mod receiver;
pub mod serial;
mod settings;
pub mod tls;
mod topology;
mod uplink;
mod waiting;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, block_in_place};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::control::UplinkStatus;
use crate::journal::JournalError;
use crate::reading::{Gather, RawGate, Selector};
use crate::registry::Ways;
use crate::store::{self, OpenError, Store};
use crate::wire;
use control::{Server, Streams};
pub use files::{FileError, Files};

/// Why the service ended otherwise than it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("make the state directory {}", path.display())]
    StateDirectory { path: std::path::PathBuf, source: std::io::Error },
    #[error("clock")]
    Clock(#[from] clock::ClockError),
    #[error("uplink")]
    File(#[from] FileError),
    #[error("uplink")]
    Topic(#[from] crate::uplink::TopicError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("audit")]
    Audit(#[from] JournalError),
    #[error("open the control socket")]
    Control(#[from] control::ControlError),
    #[error("last commit")]
    Close(#[source] store::StoreError),
    #[error("the task of the {0} ended by itself")]
    Ended(&'static str),
}

/// Runs the service until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting, or ends it.
pub fn run(config: Config, files: Files) -> Result<(), ServiceError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("dcu")
        .enable_all()
        .build()
        .map_err(ServiceError::Runtime)?;
    runtime
        .block_on(async { tokio::spawn(service(config, files)).await.unwrap_or(Err(ServiceError::Ended("service"))) })
}

async fn service(config: Config, read: Files) -> Result<(), ServiceError> {
    let stop_receivers = CancellationToken::new();
    let stop = CancellationToken::new();
    let state_dir = config.unit.state_dir.clone();
    std::fs::create_dir_all(&state_dir)
        .map_err(|source| ServiceError::StateDirectory { path: state_dir.clone(), source })?;

    let (clock, watch) = clock::Clock::open(&state_dir, config.time.source, config.time.holdover)?;
    let read_clock = clock.reader();
    let started = clock.now();
    let Files { keys, credentials, trust, device_key } = read;
    // The socket first: it says early that another service runs.
    let server = Server::bind(&config.control)?;
    let streams = Streams::new(TELEGRAM_STREAM, COMMIT_STREAM);
    let (on_report, news) = news::channel(Arc::clone(&read_clock), streams.commits.clone());
    let (store, opened) = block_in_place(|| {
        Store::open(settings::store(&config), wire::CODEC, Arc::clone(&read_clock), Box::new(random), on_report)
    })?;
    let mut alarms = opening::of_store(&opened, started);
    let audit = audit::Recorder::new(opening::audit(&state_dir, &store, started, &mut alarms)?);
    let (queries, queries_out) = mpsc::channel(QUERIES);

    let anchored = watch.anchored();
    let clock_task = tokio::spawn(watch.run(store.clone(), stop.clone()));

    let (own, two_way) = opening::two_way(&state_dir, config.unit.address, started, &mut alarms);
    let commanded = two_way.iter().flat_map(|it| it.orders()).filter(|order| order.command.is_some());
    let (told, told_seen) = watch::channel(commanded.cloned().collect());
    let device_key = device_key.map_or_else(|| files::own_device_key(&state_dir), Ok)?;
    let (uplink_status, uplink_seen) = watch::channel(UplinkStatus::default());
    let (health, health_seen) = watch::channel(wire::v1::Health::default());
    let (topology, topology_seen) = watch::channel(Arc::default());
    let uplink_task = match &config.uplink {
        None => {
            warn!("no uplink is configured: readings are kept and forwarded to nobody");
            None
        }
        Some(said) => {
            let (news, stop) = (news.clone(), stop.clone());
            let commands = state_dir.join("commands");
            let journal = opening::commands(&commands, &store, started, &mut alarms);
            let parts = uplink::Parts {
                audit: audit.clone(),
                orders: uplink::Orders::new(commands, journal, queries.clone()),
                told: told_seen,
                trust,
                key: device_key.clone(),
                news,
                status: uplink_status,
                health: health_seen,
                topology: topology_seen,
                stop,
            };
            Some(uplink::start(&config.unit, said, &clock, &store, parts)?)
        }
    };

    let (heard, heard_out) = mpsc::channel(HEARD);
    let (questions, questions_out) = mpsc::channel(QUESTIONS);
    let mut receivers_seen = Vec::new();
    let mut ports = Vec::new();
    let mut receiver_tasks = Vec::new();
    let mut lookouts = Vec::new();
    for receiver in &config.wmbus {
        let (status, seen) = watch::channel(receiver::Status::new(started));
        let settings = settings::receiver(receiver, &state_dir);
        let name = Arc::clone(&settings.name);
        let clock = Arc::clone(&read_clock);
        lookouts.push(tokio::spawn(lookout::run(name, seen.clone(), store.clone(), clock, stop_receivers.clone())));
        receivers_seen.push(seen);
        let (outgoing, outgoing_out) = mpsc::channel(OUTGOING);
        ports.push(settings::port(receiver, outgoing));
        receiver_tasks.push(tokio::spawn(receiver::run(
            settings,
            random(),
            Arc::clone(&read_clock),
            heard.clone(),
            outgoing_out,
            status,
            stop_receivers.clone(),
        )));
    }
    if config.wmbus.is_empty() && config.electricity.meters.is_empty() {
        warn!("no receiver is configured: nothing is heard");
    }
    // The meters' task ends when the last receiver does; without receivers, when told to.
    let keeps_open = tokio::spawn({
        let stop = stop_receivers.clone();
        async move {
            stop.cancelled().await;
            drop(heard);
        }
    });

    let groups = Arc::new(config.meters.groups.clone());
    let (limit, keys) = (config.meters.limit as usize, Arc::new(keys));
    let files = meters::Files { meters: state_dir.join("meters"), counters: state_dir.join("counters") };
    let opening::Known { registry, admission } = opening::meters(&files, &keys, limit, &store, started, &mut alarms);
    let ways = Arc::new(Mutex::new(Ways::new(Arc::clone(&groups))));
    let late = opening::late(&state_dir.join("late"), &keys, &admission, config.store.commit_window, started);
    let meters = meters::Meters {
        clock: Arc::clone(&read_clock),
        keys,
        groups: Arc::clone(&groups),
        registry,
        admission,
        files,
        silent_after: config.meters.silent_after,
        late,
        selector: Selector::new(groups, limit, started),
        gate: RawGate::new(config.meters.raw),
        store: store.clone(),
        telegrams: streams.telegrams.clone(),
        scratch: wmbus::Scratch::default(),
        gather: Gather::new(if config.wmbus.len() > 1 { GATHER } else { Duration::ZERO }),
        waiting: waiting::Waiting::default(),
        talk: meters::talk::Talk::new(ports, own, two_way, told),
        ways: Arc::clone(&ways),
    };
    let mut meters_task = tokio::spawn(meters.run(heard_out, questions_out));

    let stop_networks = CancellationToken::new();
    let mut networks = Vec::new();
    let mut failed_networks = Vec::new();
    let mut network_tasks = Vec::new();
    let dark = plc::Dark::default();
    for said in &config.plc {
        let patience = settings::patience(&config.electricity, &said.name);
        let opened = block_in_place(|| {
            plc::Plc::open(said, patience, &state_dir, store.clone(), clock.mesh_reader(), dark.clone())
        });
        let network = match opened {
            Ok(network) => network,
            Err(error) => {
                let (alarm, status) = opening::no_network(said, &error, started);
                alarms.push(alarm);
                failed_networks.push(status);
                continue;
            }
        };
        let (asks, asks_out) = mpsc::channel(QUESTIONS);
        networks.push((said.name.clone(), asks));
        network_tasks.push(tokio::spawn(network.run(asks_out, random(), stop_networks.clone())));
    }
    let (electricity, electricity_task) = if config.electricity.meters.is_empty() {
        (None, None)
    } else {
        let counters = opening::invocation_counters(&state_dir, &store, started, &mut alarms)?;
        let said = config.electricity.clone();
        let clock = Arc::clone(&read_clock);
        let networks_dark = (networks.as_slice(), dark);
        let collector =
            electricity::Collector::new(said, &credentials, counters, networks_dark, store.clone(), ways, clock);
        let (questions, questions_out) = mpsc::channel(QUESTIONS);
        (Some(questions), Some(tokio::spawn(collector.run(questions_out, stop_receivers.clone()))))
    };

    // Each meter has its own by now.
    drop(credentials);

    let desk = desk::Desk {
        config: config.clone(),
        clock: Arc::clone(&read_clock),
        started,
        store: store.clone(),
        news,
        uplink: uplink_seen,
        receivers: receivers_seen,
        meters: questions,
        networks,
        failed_networks,
        electricity,
        anchored,
        alarms,
        audit,
        device_key,
        health,
        topology,
    };
    let stop_desk = CancellationToken::new();
    let desk_task = tokio::spawn(desk.run(queries_out, stop_desk.clone()));
    let control_task = tokio::spawn(server.serve(queries, streams, clock.reader(), stop.clone()));

    info!(unit = %config.unit.id, receivers = config.wmbus.len(), "started");
    notify::ready();
    let watchdog = tokio::spawn(notify::watchdog(store.clone(), stop.clone()));
    let ended = tokio::select! {
        () = told_to_stop() => Ok(()),
        _ = &mut meters_task => Err(ServiceError::Ended("meters")),
    };

    notify::stopping();
    info!("stopping");
    // The desk first: what it leaves behind it asks of the others.
    stop_desk.cancel();
    join([desk_task]).await;
    stop_receivers.cancel();
    join(receiver_tasks.into_iter().chain(lookouts).chain(electricity_task)).await;
    // Its meters are read through them: what is asked is still answered.
    stop_networks.cancel();
    join(network_tasks).await;
    join([keeps_open]).await;
    if ended.is_ok() {
        join([meters_task]).await;
    }
    let closed = block_in_place(|| store.close()).map_err(ServiceError::Close);
    stop.cancel();
    join([clock_task, control_task, watchdog].into_iter().chain(uplink_task.into_iter().flatten())).await;
    info!("stopped");
    ended.and(closed)
}

async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        error!("no signal handlers: stop with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn join(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        if let Err(error) = task.await {
            error!(err = %error, "task ended badly");
        }
    }
}

/// 64 random bits of the kernel.
fn random() -> u64 {
    getrandom::u64().expect("the kernel's generator is ready once the system has booted")
}

/// An error with everything that led to it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(source) = at {
        let more = source.to_string();
        // A transparent error says what its source says.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        at = source.source();
    }
    text
}

/// A deadline for those who have none.
fn far() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(86_400)
}

/// Frames between receivers and meters.
/// So much later may a receiver on a slow line tell what another one heard.
const GATHER: Duration = Duration::from_millis(500);
const HEARD: usize = 256;
/// Frames to meters, for one receiver.
const OUTGOING: usize = 16;
const QUESTIONS: usize = 16;
const QUERIES: usize = 16;
/// Items that a slow reader of a stream may be behind.
const TELEGRAM_STREAM: usize = 256;
const COMMIT_STREAM: usize = 1024;
