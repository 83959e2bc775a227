//! An MQTT 5 broker inside this process, so that the main job runs on a machine that has nothing: rumqttd with mutual TLS.
//!
//! It keeps everything in memory and runs until the process ends. What it cannot do, and a real broker can: it never answers
//! `NoMatchingSubscribers` (a message nobody listens to is PUBACKed with `Success` and gone), sessions and retained
//! messages die with the process, PUBACKs of a subscriber must come in order, a topic alias given to a subscription with
//! wildcards names the wrong topic (clients must not offer any), and a persistent session that leaves a shared group as its
//! last member takes the router down (clients of shared groups must start clean). `--broker` takes a real one instead.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rumqttd::{ConnectionSettings, RouterConfig, ServerSettings, TlsConfig};
use tokio::net::TcpStream;

/// A running broker on a free port of the loopback address.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
}

/// Who the broker is and whom it trusts, as PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The CA that signed the clients' certificates.
    pub ca: PathBuf,
    /// The broker's own certificate, then those between it and its root.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("find a free port for the broker")]
    Port(#[source] io::Error),
    #[error("start the broker's thread")]
    Thread(#[source] io::Error),
    #[error("broker identity: {} is not a file", .0.display())]
    Identity(PathBuf),
    #[error("the broker did not start within {LIMIT:?}")]
    Silent,
}

impl Broker {
    /// Starts a broker and waits until it takes connections.
    pub async fn start(identity: &Identity) -> Result<Self, Error> {
        for path in [&identity.ca, &identity.certificate, &identity.key] {
            if !path.is_file() {
                return Err(Error::Identity(path.clone()));
            }
        }
        // rumqttd binds by itself, so the free port is found by binding and letting go; another program may be quicker.
        for _ in 0..ATTEMPTS {
            let address = free_port().map_err(Error::Port)?;
            let config = config(address, identity);
            let thread = thread::Builder::new()
                .name("broker".into())
                .spawn(move || rumqttd::Broker::new(config).start().map_err(Box::new))
                .map_err(Error::Thread)?;
            let begun = tokio::time::timeout(LIMIT, async {
                while !thread.is_finished() {
                    if TcpStream::connect(address).await.is_ok() {
                        return true;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                false
            });
            match begun.await {
                Ok(true) => return Ok(Self { address }),
                Ok(false) => {}
                Err(_) => return Err(Error::Silent),
            }
        }
        Err(Error::Silent)
    }

    /// Where it listens, with TLS.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn config(listen: SocketAddr, identity: &Identity) -> rumqttd::Config {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let server = ServerSettings {
        name: "dcu-simulate".into(),
        listen,
        tls: Some(TlsConfig::Rustls {
            capath: Some(text(&identity.ca)),
            certpath: text(&identity.certificate),
            keypath: text(&identity.key),
        }),
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 10_000,
            max_payload_size: MAX_PACKET,
            max_inflight_count: 500,
            auth: None,
            external_auth: None,
            // Without it a publish that nobody listens to ends the connection instead of being answered.
            dynamic_filters: true,
        },
    };
    rumqttd::Config {
        router: RouterConfig {
            max_connections: 1_000,
            max_outgoing_packet_count: 200,
            max_segment_size: 8 << 20,
            max_segment_count: 8,
            ..RouterConfig::default()
        },
        v5: Some(HashMap::from([("tls".into(), server)])),
        ..rumqttd::Config::default()
    }
}

const ATTEMPTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(5);
/// The largest packet it takes, octets. The unit's own inbound limit is 256 KiB.
const MAX_PACKET: usize = 512 << 10;

#[cfg(test)]
mod tests;
