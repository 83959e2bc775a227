//! The words that the MQTT driver and its user exchange. No type of the client library passes this door.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::task::tls::{self, Tls};

/// How to reach a broker, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// DNS name or address literal.
    pub host: String,
    pub port: u16,
    pub transport: Transport,
    pub client_id: String,
    /// Throw away what the broker kept of this client; a unit never does.
    pub clean_start: bool,
    /// How long the broker keeps the session when the connection is gone.
    pub session_expiry: Duration,
    pub keep_alive: Duration,
    /// For name, TCP, TLS and CONNECT together.
    pub connect_timeout: Duration,
    /// A publish without PUBACK for so long ends the connection.
    pub puback_timeout: Duration,
    /// Publishes in flight; the broker's receive maximum lowers it.
    pub in_flight: u16,
    /// Inbound packets up to this size, octets; announced, so that an honest broker sends none that is larger.
    pub inbound_limit: u32,
    /// Topic filters, all at QoS 1.
    pub subscriptions: Vec<String>,
    /// What the broker publishes when this client vanishes.
    pub will: Option<Publication>,
    /// First and longest delay between two attempts.
    pub retry: (Duration, Duration),
}

impl Settings {
    /// The settings of DESIGN 3.4 for a broker and a client identifier; the rest is set by name.
    pub fn new(host: impl Into<String>, port: u16, transport: Transport, client_id: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            transport,
            client_id: client_id.into(),
            clean_start: false,
            session_expiry: Duration::from_secs(7 * 24 * 3600),
            keep_alive: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(30),
            puback_timeout: Duration::from_secs(60),
            in_flight: 20,
            inbound_limit: 256 * 1024,
            subscriptions: Vec::new(),
            will: None,
            retry: (Duration::from_secs(1), Duration::from_secs(300)),
        }
    }
}

#[derive(Debug, Clone)]
pub enum Transport {
    Tls(Tls),
    /// No TLS: only taken for a loopback address or `localhost`.
    PlaintextLoopback,
}

/// Something to publish, always at QoS 1 and without expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    pub topic: String,
    pub payload: Bytes,
    pub retain: bool,
    pub content_type: Option<&'static str>,
}

/// What the user wants published.
#[derive(Debug)]
pub(super) struct Publish {
    pub connection: u64,
    pub id: u64,
    pub publication: Publication,
}

/// What the driver reports, in order.
#[derive(Debug)]
pub enum Event {
    /// Publishes are taken from now on, under this connection number only.
    Connected(Connected),
    /// It was written to the broker, under this packet identifier.
    Sent {
        id: u64,
        packet_id: u16,
    },
    /// The broker answered; the publish is not in flight any more.
    PubAck {
        id: u64,
        reason: PubAckReason,
    },
    Message(Message),
    /// The broker answered the subscriptions; those it refused are told right after.
    Subscribed,
    /// The broker does not let this client hear a topic filter.
    SubscriptionRefused {
        filter: String,
        reason: String,
    },
    /// Everything that has no PUBACK is to be published again, under the next connection's number.
    Disconnected {
        reason: Reason,
        retry_in: Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    /// Counts up; publishes and acknowledgements of an earlier connection are dropped in silence.
    pub connection: u64,
    /// The broker still knew this client.
    pub session_present: bool,
    /// Publishes that may be in flight: ours and the broker's receive maximum, whichever is lower.
    pub window: u16,
    /// The largest packet the broker takes.
    pub maximum_packet_size: Option<u32>,
}

/// A message that came in. At QoS 1 the broker sends it again until its token is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Bytes,
    pub retain: bool,
    /// The broker sent it before.
    pub duplicate: bool,
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation_data: Option<Bytes>,
    /// None at QoS 0: nothing to acknowledge.
    pub token: Option<Token>,
}

/// Names one message of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub(super) connection: u64,
    pub(super) packet_id: u16,
}

/// MQTT 5.0, table 3-3.4.2.1: what the broker did with a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PubAckReason {
    Success = 0x00,
    NoMatchingSubscribers = 0x10,
    UnspecifiedError = 0x80,
    ImplementationSpecificError = 0x83,
    NotAuthorized = 0x87,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    /// Never sent: larger than what the broker takes.
    PacketTooLarge = 0x95,
    QuotaExceeded = 0x97,
    PayloadFormatInvalid = 0x99,
}

impl PubAckReason {
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Why a connection ended or did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("set up TLS for the broker")]
    Setup(#[from] tls::Error),
    #[error("plaintext to {host}: only a loopback address may be reached without TLS")]
    Plaintext { host: String },
    #[error("reach the broker at {host}:{port}")]
    Unreachable { host: String, port: u16, source: io::Error },
    #[error("no answer from {host}:{port} within {} s", after.as_secs())]
    ConnectTimeout { host: String, port: u16, after: Duration },
    #[error("TLS with the broker at {host}:{port}")]
    Tls { host: String, port: u16, source: tls::Fault },
    /// The return code's name in MQTT 5.0, section 3.2.2.2.
    #[error("the broker refused the connection: {code}{}", advice(code))]
    Refused { code: String },
    /// The DISCONNECT packet's reason code, MQTT 5.0, section 3.14.2.1.
    #[error("the broker ended the connection: {code} {}{}", text.as_deref().unwrap_or_default(), advice(code))]
    Dismissed { code: String, text: Option<String> },
    #[error("the broker closed the connection without a word")]
    Closed,
    #[error("connection to the broker")]
    Io(#[source] io::Error),
    #[error("the broker does not answer pings")]
    Silent,
    #[error("no PUBACK within {} s", after.as_secs())]
    NoPubAck { after: Duration },
    /// The next connection starts with a clean session, so that the packet does not come again for ever.
    #[error("an unreadable or oversized packet from the broker: {0}")]
    Malformed(String),
    #[error("the broker broke the protocol: {0}")]
    Protocol(String),
    #[error("stopped")]
    Stopped,
}

fn advice(code: &str) -> &'static str {
    match code {
        "NotAuthorized" => " (the broker's access list does not know this unit)",
        "BadUserNamePassword" => " (the broker asks for a user name and a password: it must take the certificate)",
        "SessionTakenOver" => " (another client uses this unit's client identifier)",
        "UnsupportedProtocolVersion" | "RefusedProtocolVersion" => " (the broker does not speak MQTT 5)",
        _ => "",
    }
}

/// The user's side. Never blocks: the windows bound what can be under way.
#[derive(Debug, Clone)]
pub struct Door {
    pub(super) publishes: mpsc::Sender<Publish>,
    /// Without a bound of its own: there are never more tokens than messages that were handed out.
    pub(super) tokens: mpsc::UnboundedSender<Token>,
}

/// The driver takes no more: it has stopped, or the user does not respect the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shut {
    #[error("the MQTT driver has stopped")]
    Stopped,
    #[error("more publishes than the window allows")]
    Full,
}

impl Door {
    /// Hands a publication over. `id` is the caller's name for it, `connection` the number of the last `Connected`.
    pub fn publish(&self, connection: u64, id: u64, publication: Publication) -> Result<(), Shut> {
        self.publishes.try_send(Publish { connection, id, publication }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Shut::Full,
            mpsc::error::TrySendError::Closed(_) => Shut::Stopped,
        })
    }

    /// Tells the broker that a message has been dealt with: after what it asked for is durable. In the order of the
    /// messages, MQTT 5.0, section 4.6.
    pub fn acknowledge(&self, token: Token) -> Result<(), Shut> {
        self.tokens.send(token).map_err(|_| Shut::Stopped)
    }
}
