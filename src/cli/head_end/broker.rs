//! The options that say which broker, and as whom.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::{Exit, Failure, OrExit};
use crate::config;
use crate::simulate::head_end::keys::Kit;
use crate::task::mqtt::{Settings, Transport};
use crate::task::tls::{Tls, clock_with_floor};
use crate::wire::signed::PrivateKey;
use crate::wire::trust::Trust;

#[derive(Debug, clap::Args)]
pub(super) struct Broker {
    /// The broker; mqtt:// only on a loopback address
    #[arg(long, value_name = "URL", default_value = "mqtts://localhost:8883")]
    broker: String,
    /// Directory of `dcu head-end keys`: stands for all the files below
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The authority of the broker's certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The head-end's certificate, PEM
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The name in the broker's certificate, where it is not the host of the URL
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Signs what the units must believe, PEM, P-256, role ingest
    #[arg(long, value_name = "FILE")]
    ingest_key: Option<PathBuf>,
    /// Public keys of the units
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
}

impl Broker {
    pub(super) fn settings(&self, client_id: &str) -> Result<Settings, Failure> {
        let (address, is_tls) =
            config::broker(&self.broker).map_err(|text| Failure::said(Exit::Usage, format!("--broker: {text}")))?;
        let transport = match is_tls {
            true => Transport::Tls(Tls {
                ca: self.file(&self.ca, "--ca", Kit::ca)?,
                certificate: self.file(&self.cert, "--cert", |kit| kit.head_end().certificate)?,
                key: self.file(&self.key, "--key", |kit| kit.head_end().key)?,
                server_name: self.server_name.clone(),
                allow_tls12: false,
                clock: clock_with_floor(|| 0),
            }),
            false => Transport::PlaintextLoopback,
        };
        Ok(Settings::new(address.host, address.port, transport, client_id))
    }

    pub(super) fn ingest_key(&self) -> Result<PrivateKey, Failure> {
        let path = self.file(&self.ingest_key, "--ingest-key", Kit::ingest_key)?;
        let pem = read(&path)?;
        PrivateKey::from_pem(&pem).with_context(|| path.display().to_string()).or_exit(Exit::Failed)
    }

    /// The keys of these files; where none is given, those of the kit.
    pub(super) fn command_keys(&self, given: &[PathBuf], of_kit: &[&str]) -> Result<Vec<PrivateKey>, Failure> {
        let paths = match (given, &self.keys) {
            ([], None) => return Err(Failure::said(Exit::Usage, "--sign or --keys must be given")),
            ([], Some(dir)) => of_kit.iter().map(|name| Kit::at(dir).command_key(name)).collect(),
            (given, _) => given.to_vec(),
        };
        let key = |path: &PathBuf| {
            PrivateKey::from_pem(&read(path)?).with_context(|| path.display().to_string()).or_exit(Exit::Failed)
        };
        paths.iter().map(key).collect()
    }

    pub(super) fn devices(&self) -> Result<Option<Trust>, Failure> {
        let from_kit = || self.keys.as_ref().map(|dir| Kit::at(dir).devices());
        self.devices.clone().or_else(from_kit).map(|path| devices(&path)).transpose()
    }

    fn file(
        &self,
        given: &Option<PathBuf>,
        option: &str,
        of_kit: impl Fn(&Kit) -> PathBuf,
    ) -> Result<PathBuf, Failure> {
        let from_kit = || self.keys.as_ref().map(|dir| of_kit(&Kit::at(dir)));
        let missing = || Failure::said(Exit::Usage, format!("{option} or --keys must be given"));
        given.clone().or_else(from_kit).ok_or_else(missing)
    }
}

/// The public keys of a file as `dcu head-end keys` writes it.
pub(super) fn devices(path: &Path) -> Result<Trust, Failure> {
    Trust::from_toml(&read(path)?).with_context(|| path.display().to_string()).or_exit(Exit::Failed)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display())).or_exit(Exit::NotFound)
}

/// A client identifier that no other consumer has.
pub(super) fn own_id(prefix: &str) -> Result<String, Failure> {
    Ok(format!("{prefix}-{}", hex::encode(random::<4>()?)))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|error| Failure::said(Exit::Failed, format!("draw at random: {error}")))?;
    Ok(octets)
}
