//! The configuration: one TOML file, one struct a room. Whoever holds a [`Config`] holds a legal one.
//!
//! Units stand in the values (`"15min"`, `"200MiB"`), secrets in files named by path. Every fault is reported at once,
//! by key. The defaults are here and nowhere else; `systemd/dcu.toml` prints them with their reasons.

mod companion;
pub mod electricity;
mod fault;
pub mod plc;
mod raw;
mod read;
mod receivers;
pub mod similar;
mod values;
mod words;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wmbus::receiver::{Kind, Mode};

use crate::clock;
use crate::reading::raw::RawLimits;
use crate::reading::{Groups, MeterId, ReadingTypes};

pub use companion::Companion;
pub use electricity::Electricity;
pub use fault::{ConfigError, Fault, Gravity};
pub use plc::Plc;
pub use values::{duration, host_and_port, named, private, said, size, text_from, text_of};

/// Everything the service is told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    pub unit: Unit,
    /// `[[wmbus]]`, in the order of the file; names are unique.
    pub wmbus: Vec<Receiver>,
    pub meters: Meters,
    pub electricity: Electricity,
    /// `[[plc]]`, in the order of the file; names are unique.
    pub plc: Vec<Plc>,
    pub store: Store,
    /// None without the section: the unit reads and buffers, and forwards nothing.
    pub uplink: Option<Uplink>,
    pub time: Time,
    pub control: Control,
    pub log: Log,
}

/// `[unit]`: who this unit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// A level of every topic; letters, digits, `-`, `_` and `.`, as is `id`.
    pub utility: String,
    pub id: String,
    /// Everything the unit keeps lies below it.
    pub state_dir: PathBuf,
    /// The unit's own address on M-Bus; None: it speaks to no meter.
    pub address: Option<MeterId>,
}

/// `[[wmbus]]`: one Wireless M-Bus receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    pub name: String,
    pub kind: &'static Kind,
    pub source: ReceiverSource,
    /// What the receiver is set to hear; a `hex` source hears what its own side was told.
    pub mode: Mode,
    /// Its USB device may be switched off and on when nothing else helps.
    pub reenumerate: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiverSource {
    Serial {
        path: PathBuf,
        baud: u32,
    },
    /// The unit connects; `HOST:PORT`.
    Tcp(String),
    /// The unit listens for lines in datagrams; `HOST:PORT`.
    Udp(String),
    /// A child process: program and arguments.
    Command(Vec<String>),
}

/// `[meters]`: what is kept of what is heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Meters {
    /// The file of meter keys; None means that encrypted telegrams go to the raw ring.
    pub keys: Option<PathBuf>,
    /// So many different meters are remembered; the longest silent one goes first.
    pub limit: u32,
    /// A meter that is not heard for so long is told.
    pub silent_after: Duration,
    /// What passes into the raw ring within one hour of telegrams that nobody could decode.
    pub raw: RawLimits,
    /// `[[meters.group]]`, and as the default group what `[meters]` itself says.
    pub groups: Groups,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub commit_window: Duration,
    pub commit_records: u32,
    pub seal_records: u32,
    pub seal_octets: u64,
    /// For lanes that neither seal at once nor bill.
    pub seal_age: Duration,
    pub billing_seal_age: Duration,
    /// Acknowledged batches stay so long.
    pub retention: Duration,
    /// Of sealed octets, all lanes together.
    pub size_limit: u64,
    pub open_limit: Duration,
}

/// `[uplink]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    pub broker: Broker,
    /// None only without TLS.
    pub tls: Option<Tls>,
    pub acknowledge: Acknowledge,
    /// The device key that signs checkpoints: a PKCS #8 PEM file, P-256. None: one that the unit makes for itself.
    pub signing_key: Option<PathBuf>,
    /// What the head-end calls the types of readings.
    pub reading_types: Arc<ReadingTypes>,
    pub keep_alive: Duration,
    pub session_expiry: Duration,
    /// Without an acknowledgement a batch is published again after `first`, doubling up to `last`.
    pub republish: Span,
    pub backoff: Span,
    pub in_flight: u32,
    pub inbound_limit: u64,
    pub checkpoint: Duration,
    /// Changes of mesh networks are published not more often.
    pub topology_interval: Duration,
}

/// Two durations, the first not longer than the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: Duration,
    pub last: Duration,
}

/// `mqtts://host:8883`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
}

/// Mutual TLS towards the broker. All are PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The name the broker's certificate must bear.
    pub server_name: String,
    /// Whether 1.2 is accepted beside 1.3.
    pub accepts_1_2: bool,
}

/// What ends the unit's duty to keep a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledge {
    /// The head-end's own acknowledgement, signed by a key in `trust`.
    HeadEnd { trust: PathBuf },
    /// The broker's PUBACK is enough.
    Broker,
}

/// `[time]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    pub source: clock::Source,
    /// So long after the last synchronisation the clock still counts as held over.
    pub holdover: Duration,
}

/// `[control]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    pub socket: PathBuf,
    /// Members may ask, beside root and the service's own user.
    pub group: Option<String>,
    pub clients: u32,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or levels by room: `info,dcu::uplink=debug`.
    pub level: String,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Every fault of [`Gravity::Wrong`]; what is merely absent is handed back beside the configuration.
    pub fn load(path: &Path) -> Result<(Self, Vec<Fault>), ConfigError> {
        let refuse = |faults| ConfigError { file: path.to_owned(), faults };
        let text = text_of(path, Self::LIMIT).map_err(|error| {
            let text = format!("cannot be read: {error}");
            refuse(vec![Fault { gravity: Gravity::Wrong, line: None, key: String::new(), text }])
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        let (config, faults) = Self::parse(&text, base);
        if faults.iter().any(|fault| fault.gravity == Gravity::Wrong) {
            Err(refuse(faults))
        } else {
            Ok((config, faults))
        }
    }

    /// The line, from 1, in which a key such as `meters.keys` stands.
    pub fn line_of(text: &str, key: &str) -> Option<usize> {
        raw::line_of(text, key)
    }

    /// Checks a text; relative paths start at `base`. The configuration is worth something only without faults.
    pub fn parse(text: &str, base: &Path) -> (Self, Vec<Fault>) {
        read::config(text, base)
    }

    /// The most octets that a file may have: far more than ten thousand meters need.
    pub const LIMIT: u64 = 16 << 20;
    /// The annotated default, as it is installed.
    pub const TEMPLATE: &str = include_str!("../../systemd/dcu.toml");
}

impl fmt::Display for ReceiverSource {
    /// `/dev/ttyUSB0`, `host:port`, or the program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, .. } => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
            Self::Udp(address) => write!(f, "udp {address}"),
            Self::Command(words) => f.write_str(words.first().map_or("", String::as_str)),
        }
    }
}

/// Reads `mqtts://host:8883`, or `mqtt://` on a loopback address; with it whether TLS is used.
///
/// # Errors
/// Says what is wrong with the text.
pub fn broker(text: &str) -> Result<(Broker, bool), String> {
    words::broker(text, true).map_err(|problem| problem.text)
}

impl fmt::Display for Broker {
    /// `host:port`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Broker {
    /// Whether the host is a loopback address, the only place where TLS may be left out.
    pub fn is_loopback(&self) -> bool {
        let address =
            format!("{}:0", if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() });
        self.host == "localhost" || address.parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback())
    }
}

impl Default for Unit {
    fn default() -> Self {
        Self {
            utility: "example".into(),
            id: read::PLACEHOLDER.into(),
            state_dir: "/var/lib/dcu".into(),
            address: None,
        }
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            keys: None,
            limit: 10_000,
            silent_after: Duration::from_secs(72 * 3600),
            raw: RawLimits::default(),
            groups: Groups::default(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            commit_window: Duration::from_secs(5),
            commit_records: 512,
            seal_records: 500,
            seal_octets: 6 << 10,
            seal_age: MINUTE,
            billing_seal_age: Duration::from_secs(10),
            retention: 60 * DAY,
            size_limit: 1 << 30,
            open_limit: MINUTE,
        }
    }
}

impl Uplink {
    /// All defaults but the three that every unit is told.
    pub fn new(broker: Broker, tls: Option<Tls>, acknowledge: Acknowledge) -> Self {
        Self {
            broker,
            tls,
            acknowledge,
            signing_key: None,
            reading_types: Arc::default(),
            keep_alive: Duration::from_secs(30),
            session_expiry: 7 * DAY,
            republish: Span { first: MINUTE, last: HOUR },
            backoff: Span { first: Duration::from_secs(1), last: 5 * MINUTE },
            in_flight: 20,
            inbound_limit: 256 << 10,
            checkpoint: HOUR,
            topology_interval: MINUTE,
        }
    }
}

impl Default for Time {
    fn default() -> Self {
        Self { source: clock::Source::Kernel, holdover: DAY }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: Self::SOCKET.into(), group: Some("dcu".into()), clients: 16 }
    }
}

impl Control {
    pub const SOCKET: &str = "/run/dcu/control.sock";
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into() }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests;
