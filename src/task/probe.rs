//! `dcu uplink test`: the way to the broker, step by step, each with its time and its error. One connection of its own,
//! beside that of a running service.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::mqtt::{Greeting, PubAckReason, Publication, Reason, Settings, Transport, Welcome, is_loopback};
use super::tls::{Fault, Tls};
use super::{chain, clock, settings};
use crate::config::Config;
use crate::uplink::{TopicError, Topics};

/// How far the way goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `host:port`
    pub broker: String,
    pub ok: bool,
    /// In order; what comes after a failure is not tried.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// `name`, `tcp`, `tls`, `connect`, `publish`
    pub step: &'static str,
    pub ok: bool,
    pub ms: f64,
    /// What was found out, one fact each.
    pub facts: Vec<String>,
    /// Why it failed, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("the configuration has no [uplink]: there is no broker to test")]
    NoUplink,
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// The steps, in order.
pub const STEPS: [&str; 5] = ["name", "tcp", "tls", "connect", "publish"];

/// Walks the way that the configuration describes. No step may take longer than `limit`.
///
/// # Errors
/// Only what keeps it from beginning; a step that fails is in the report.
pub fn probe(config: &Config, limit: Duration) -> Result<Report, ProbeError> {
    let said = config.uplink.as_ref().ok_or(ProbeError::NoUplink)?;
    let topics = Topics::new(&config.unit.utility, &config.unit.id)?;
    let floor = clock::floor_of(&config.unit.state_dir);
    // An identifier of its own: with the unit's, the broker would dismiss the running service.
    let broker = settings::broker(said, &format!("{}-test", topics.dcu()), move || floor);
    let topic = format!("dcu/v1/{}/{}/test", topics.utility(), topics.dcu());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProbeError::Runtime)?;
    Ok(runtime.block_on(walk(&broker, topic, limit)))
}

/// Walks the way to one broker.
pub async fn walk(broker: &Settings, topic: String, limit: Duration) -> Report {
    let mut walk = Walk { broker, limit, steps: Vec::new() };
    let ok = walk.all(topic).await.is_some();
    Report { broker: format!("{}:{}", broker.host, broker.port), ok, steps: walk.steps }
}

struct Walk<'a> {
    broker: &'a Settings,
    limit: Duration,
    steps: Vec<Step>,
}

impl Walk<'_> {
    /// None: a step failed.
    async fn all(&mut self, topic: String) -> Option<()> {
        let broker = self.broker;
        let addresses = self.step("name", resolve(broker)).await?;
        let stream = self.step("tcp", tcp(&addresses)).await?;
        match &broker.transport {
            Transport::Tls(tls) => {
                let stream = self.step("tls", handshake(stream, tls, &broker.host)).await?;
                self.mqtt(stream, topic).await
            }
            Transport::PlaintextLoopback if is_loopback(&broker.host) => self.mqtt(stream, topic).await,
            Transport::PlaintextLoopback => {
                let host = broker.host.clone();
                self.step("tls", async { Err::<((), _), _>(chain(&Reason::Plaintext { host })) }).await
            }
        }
    }

    async fn mqtt(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin, topic: String) -> Option<()> {
        let mut greeting = Greeting::new(stream, self.broker);
        self.step("connect", async {
            let Welcome { receive_maximum, maximum_packet_size } =
                greeting.connect().await.map_err(|reason| chain(&reason))?;
            let mut facts = vec![format!("as {}", self.broker.client_id), format!("receive maximum {receive_maximum}")];
            facts.extend(maximum_packet_size.map(|size| format!("packets up to {size} octets")));
            Ok(((), facts))
        })
        .await?;
        self.step("publish", async {
            let publication = Publication {
                topic: topic.clone(),
                payload: b"dcu uplink test"[..].into(),
                retain: false,
                content_type: Some("text/plain"),
            };
            match greeting.publish(publication).await.map_err(|reason| chain(&reason))? {
                PubAckReason::Success => Ok(((), vec![topic])),
                PubAckReason::NoMatchingSubscribers => Ok(((), vec![topic, "nobody listens there".into()])),
                PubAckReason::NotAuthorized => {
                    // Access lists mostly go by the name in the certificate.
                    let unit = self.broker.client_id.trim_end_matches("-test");
                    Err(format!(
                        "the broker's access list does not let this unit publish to {topic} (0x87): is its certificate for {unit:?}, as unit.id is?"
                    ))
                }
                reason => Err(format!("the broker refuses {topic}: {reason:?} (0x{:02x})", reason.code())),
            }
        })
        .await?;
        greeting.end().await;
        Some(())
    }

    #[expect(clippy::disallowed_methods, reason = "the time that a step takes is its result")]
    async fn step<T>(
        &mut self,
        step: &'static str,
        work: impl Future<Output = Result<(T, Vec<String>), String>>,
    ) -> Option<T> {
        let begin = Instant::now();
        let done = tokio::time::timeout(self.limit, work).await;
        let ms = (begin.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        let done = done.unwrap_or_else(|_| Err(format!("no answer within {} s", self.limit.as_secs_f64())));
        let (found, facts, error) = match done {
            Ok((found, facts)) => (Some(found), facts, None),
            Err(error) => (None, Vec::new(), Some(error)),
        };
        self.steps.push(Step { step, ok: error.is_none(), ms, facts, error });
        found
    }
}

type Found<T> = Result<(T, Vec<String>), String>;

async fn resolve(broker: &Settings) -> Found<Vec<SocketAddr>> {
    let host = &broker.host;
    let found = lookup_host((host.as_str(), broker.port)).await;
    let addresses: Vec<_> = found.map_err(|error| format!("resolve {host}: {error}"))?.collect();
    match addresses.is_empty() {
        true => Err(format!("resolve {host}: the name has no address")),
        false => {
            let facts = addresses.iter().map(|address| address.ip().to_string()).collect();
            Ok((addresses, facts))
        }
    }
}

async fn tcp(addresses: &[SocketAddr]) -> Found<TcpStream> {
    let mut failures = Vec::new();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, vec![address.to_string()])),
            Err(error) => failures.push(format!("connect to {address}: {error}")),
        }
    }
    Err(failures.join("; "))
}

async fn handshake(stream: TcpStream, tls: &Tls, host: &str) -> Found<tokio_rustls::client::TlsStream<TcpStream>> {
    let config = tls.client_config(host).map_err(|error| chain(&error))?;
    let own = tls.chain().map_err(|error| chain(&error))?;
    let now = (tls.clock)();
    let own = own.first().map(|own| describe("this unit's certificate", own, now));
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no name for a host"))?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        let fault = Fault::from_io(error, tls, host);
        let text = fault.map_or_else(|error| format!("handshake: {error}"), |fault| chain(&fault));
        // What is wrong may be on this side.
        own.as_ref().map_or_else(|| text.clone(), |own| format!("{text} [{own}]"))
    })?;
    let session = stream.get_ref().1;
    let mut facts = Vec::new();
    facts.extend(session.protocol_version().map(|version| format!("{version:?}")));
    facts.extend(session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())));
    let chain = session.peer_certificates().unwrap_or_default();
    facts.extend(chain.first().map(|broker| describe("the broker's certificate", broker, now)));
    facts.push(format!("its chain has {} certificates below {}", chain.len(), tls.ca.display()));
    facts.extend(own);
    Ok((stream, facts))
}

/// Whose it is, by whom, for which names, until when.
fn describe(what: &str, certificate: &CertificateDer<'_>, now: u64) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return format!("{what} is not a certificate that can be read");
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<_> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(octets) => address(octets),
            _ => None,
        })
        .collect();
    let names = if names.is_empty() { String::new() } else { format!(" for {}", names.join(", ")) };
    let end = certificate.validity().not_after.timestamp();
    let days = end.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX)) / 86_400;
    let until = jiff::Timestamp::from_second(end).map_or_else(|_| end.to_string(), |time| time.to_string());
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    format!("{what}: {subject}{names}, by {issuer}, until {until} ({days} days)")
}

fn address(octets: &[u8]) -> Option<String> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(std::net::Ipv4Addr::from(octets).to_string());
    }
    <[u8; 16]>::try_from(octets).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string())
}
