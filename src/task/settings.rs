//! From the configuration to what each room wants to be told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::statvfs;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::meters::airtime::Airtime;
use super::meters::talk::Port;
use super::mqtt::{self, Transport};
use super::{receiver, tls};
use crate::config::electricity::{Channel, Place};
use crate::config::{self, Config, ReceiverSource};
use crate::store;
use crate::uplink::{self, Topics};

/// How long an answer through a network may take: the longest of the channels that go through it.
pub(super) fn patience(config: &config::Electricity, network: &str) -> Option<Duration> {
    let is_there =
        |channel: &&Channel| channel.place.as_ref().is_some_and(|place| *place == Place::Plc(network.into()));
    config.channels.iter().filter(is_there).map(|channel| channel.timeout).max()
}

pub(super) fn store(config: &Config) -> store::Options {
    let said = &config.store;
    let mut options = store::Options::new(config.unit.state_dir.join("store"), &config.unit.id);
    options.commit_window = said.commit_window;
    options.commit_records = said.commit_records as usize;
    options.seal_records = said.seal_records as usize;
    options.seal_octets = usize::try_from(said.seal_octets).unwrap_or(usize::MAX);
    options.retention = said.retention;
    options.size_limit = said.size_limit;
    options.open_limit = said.open_limit;
    options.reading_types = config.uplink.as_ref().map(|uplink| Arc::clone(&uplink.reading_types)).unwrap_or_default();
    options.system = store::System {
        forget_pages: |file| Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?),
        free_octets: |path| {
            let there = path.ancestors().find(|path| path.exists())?;
            statvfs(there).ok().map(|fs| fs.blocks_available().saturating_mul(fs.fragment_size()))
        },
    };
    for (lane, kept) in store::Lane::ALL.into_iter().zip(&mut options.lanes) {
        if lane == store::Lane::Billing {
            kept.seal_age = said.billing_seal_age;
        } else if !kept.seal_age.is_zero() {
            kept.seal_age = said.seal_age;
        }
    }
    options
}

pub(super) fn receiver(said: &config::Receiver, state_dir: &Path) -> receiver::Settings {
    receiver::Settings {
        name: said.name.as_str().into(),
        kind: said.kind,
        mode: said.mode,
        source: source(&said.source),
        supervision: receiver::Supervision { may_reenumerate: said.reenumerate, ..receiver::Supervision::default() },
        learned: Some(state_dir.join(format!("traffic-{}", file_name(&said.name)))),
    }
}

/// A receiver's name may have what a file's cannot.
fn file_name(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' }).collect()
}

pub(super) fn source(said: &ReceiverSource) -> receiver::Source {
    match said {
        ReceiverSource::Serial { path, baud } => receiver::Source::Serial { path: path.clone(), baud: *baud },
        ReceiverSource::Tcp(address) => receiver::Source::Tcp(address.clone()),
        ReceiverSource::Udp(address) => receiver::Source::Udp(address.clone()),
        ReceiverSource::Command(words) => receiver::Source::Command(words.clone()),
    }
}

/// The same receiver, as a sender.
pub(super) fn port(said: &config::Receiver, outgoing: mpsc::Sender<receiver::Outgoing>) -> Port {
    let baud = match said.source {
        ReceiverSource::Serial { baud, .. } => Some(baud),
        _ => None,
    };
    let (name, airtime) = (said.name.as_str().into(), Airtime::default());
    Port { name, kind: said.kind, mode: said.mode, baud, outgoing, loaded: None, airtime }
}

pub(super) fn uplink(said: &config::Uplink) -> uplink::Options {
    uplink::Options {
        acknowledge: match said.acknowledge {
            config::Acknowledge::HeadEnd { .. } => uplink::Acknowledge::HeadEnd,
            config::Acknowledge::Broker => uplink::Acknowledge::Broker,
        },
        in_flight: said.in_flight as usize,
        republish: (said.republish.first, said.republish.last),
        checkpoint: said.checkpoint,
        ..uplink::Options::default()
    }
}

pub(super) fn mqtt(said: &config::Uplink, topics: &Topics, clock: &Clock, will: mqtt::Publication) -> mqtt::Settings {
    let mut settings = broker(said, topics.dcu(), clock.floor());
    settings.subscriptions = topics.subscriptions().to_vec();
    settings.will = Some(will);
    settings
}

/// How the configured broker is reached; no certificate is judged by a time before `floor`.
pub(super) fn broker(
    said: &config::Uplink,
    client_id: &str,
    floor: impl Fn() -> u64 + Send + Sync + 'static,
) -> mqtt::Settings {
    let transport = match &said.tls {
        Some(tls) => Transport::Tls(tls::Tls {
            ca: tls.ca.clone(),
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            server_name: Some(tls.server_name.clone()),
            allow_tls12: tls.accepts_1_2,
            clock: tls::clock_with_floor(floor),
        }),
        None => Transport::PlaintextLoopback,
    };
    let mut settings = mqtt::Settings::new(&said.broker.host, said.broker.port, transport, client_id);
    settings.keep_alive = said.keep_alive;
    settings.session_expiry = said.session_expiry;
    settings.in_flight = u16::try_from(said.in_flight).unwrap_or(u16::MAX);
    settings.inbound_limit = u32::try_from(said.inbound_limit).unwrap_or(u32::MAX);
    settings.retry = (said.backoff.first, said.backoff.last);
    settings
}
