//! From the configuration to what each room wants to be told, secrets read from their files on the way.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::clock::Clock;
use super::mqtt::{self, Transport};
use super::{receiver, tls};
use crate::config::{self, Config, ReceiverSource};
use crate::journal::sync_parent;
use crate::store;
use crate::uplink::{self, Topics};
use crate::wire::signed::PrivateKey;
use crate::wire::trust::Trust;

/// A file that the service needs and cannot use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}", path.display())]
    Key { path: PathBuf, source: crate::wire::signed::KeyError },
    #[error("{}", path.display())]
    Trust { path: PathBuf, source: crate::wire::trust::TrustError },
    #[error("draw a random key: {0}")]
    Random(String),
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
    options.forget_pages =
        store::ForgetPages(|file| Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?));
    for (lane, kept) in store::Lane::ALL.into_iter().zip(&mut options.lanes) {
        if lane == store::Lane::Billing {
            kept.seal_age = said.billing_seal_age;
        } else if !kept.seal_age.is_zero() {
            kept.seal_age = said.seal_age;
        }
    }
    options
}

pub(super) fn receiver(said: &config::Receiver) -> receiver::Settings {
    receiver::Settings {
        name: said.name.as_str().into(),
        kind: said.kind,
        mode: said.mode,
        source: match &said.source {
            ReceiverSource::Serial { path, baud } => receiver::Source::Serial { path: path.clone(), baud: *baud },
            ReceiverSource::Tcp(address) => receiver::Source::Tcp(address.clone()),
            ReceiverSource::Udp(address) => receiver::Source::Udp(address.clone()),
            ReceiverSource::Command(words) => receiver::Source::Command(words.clone()),
        },
    }
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

/// Whom the unit believes.
pub(super) fn trust(said: &config::Uplink) -> Result<Trust, FileError> {
    match &said.acknowledge {
        config::Acknowledge::Broker => Ok(Trust::default()),
        config::Acknowledge::HeadEnd { trust: path } => {
            Trust::from_toml(&read(path)?).map_err(|source| FileError::Trust { path: path.clone(), source })
        }
    }
}

/// The device key: the configured one, or one of the unit's own that is made at the first start.
pub(super) fn device_key(config: &Config) -> Result<PrivateKey, FileError> {
    let configured = config.uplink.as_ref().and_then(|uplink| uplink.signing_key.clone());
    let path = configured.clone().unwrap_or_else(|| config.unit.state_dir.join("device-key.pem"));
    if configured.is_none() && !path.exists() {
        let key = draw()?;
        // The public half lies beside it, for the head-end's trust file.
        let public = path.with_file_name("device-key.pub.pem");
        write(&public, key.public().to_pem().as_bytes(), 0o644)?;
        write(&path, key.to_pem().as_bytes(), 0o600)?;
        return Ok(key);
    }
    PrivateKey::from_pem(&read(&path)?).map_err(|source| FileError::Key { path, source })
}

fn draw() -> Result<PrivateKey, FileError> {
    loop {
        let mut octets = [0; 32];
        getrandom::fill(&mut octets).map_err(|error| FileError::Random(error.to_string()))?;
        if let Some(key) = PrivateKey::from_random(&octets) {
            return Ok(key);
        }
    }
}

fn read(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// Durable before it has its name; readable as `mode` says from its first moment on.
fn write(path: &Path, octets: &[u8], mode: u32) -> Result<(), FileError> {
    let new = path.with_extension("new");
    let written = || {
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(octets)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        sync_parent(path)
    };
    written().map_err(|source| FileError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Unit;

    #[test]
    fn a_device_key_of_its_own_is_made_once_and_is_nobody_elses_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let unit = Unit { state_dir: dir.path().to_owned(), ..Unit::default() };
        let config = Config { unit, ..Config::default() };
        let key = device_key(&config).unwrap();
        assert_eq!(device_key(&config).unwrap().id(), key.id());
        let mode = std::fs::metadata(dir.path().join("device-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = std::fs::read_to_string(dir.path().join("device-key.pub.pem")).unwrap();
        assert_eq!(crate::wire::signed::PublicKey::from_pem(&public).unwrap(), key.public());
    }
}
