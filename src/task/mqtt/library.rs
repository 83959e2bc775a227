//! The library's options and errors in our words.

use std::io;

use rumqttc::TlsConfiguration;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, LastWill, LastWillProperties};
use rumqttc::v5::mqttbytes::{Error as CodecError, QoS};
use rumqttc::v5::{ConnectionError, MqttOptions, StateError, TlsError};

use super::door::{Publication, Reason, Settings, Transport};
use super::{LARGEST_WINDOW, RECEIVE_MAXIMUM, SHORTEST_KEEP_ALIVE, is_loopback};
use crate::task::tls;

/// The library's options. `is_clean` drops what the broker keeps of this client.
pub(super) fn options(settings: &Settings, is_clean: bool) -> Result<MqttOptions, Reason> {
    let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    match &settings.transport {
        Transport::Tls(tls) => {
            let config = tls.client_config(&settings.host)?;
            options.set_transport(rumqttc::Transport::tls_with_config(TlsConfiguration::Rustls(config)));
        }
        Transport::PlaintextLoopback if is_loopback(&settings.host) => {
            options.set_transport(rumqttc::Transport::tcp());
        }
        Transport::PlaintextLoopback => return Err(Reason::Plaintext { host: settings.host.clone() }),
    }
    let seconds = u32::try_from(settings.session_expiry.as_secs()).unwrap_or(u32::MAX);
    options
        .set_connect_properties(ConnectProperties {
            session_expiry_interval: Some(seconds),
            receive_maximum: Some(RECEIVE_MAXIMUM),
            max_packet_size: Some(settings.inbound_limit),
            topic_alias_max: Some(0),
            ..ConnectProperties::new()
        })
        .set_clean_start(settings.clean_start || is_clean)
        .set_manual_acks(true)
        .set_keep_alive(settings.keep_alive.max(SHORTEST_KEEP_ALIVE))
        .set_connection_timeout(settings.connect_timeout.as_secs().max(1))
        // Above the window, so that packet identifiers do not come round while they are in use.
        .set_outgoing_inflight_upper_limit(LARGEST_WINDOW * 2);
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if let Some(Publication { topic, payload, retain, content_type }) = &settings.will {
        let properties = LastWillProperties {
            delay_interval: None,
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: content_type.map(str::to_owned),
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        options.set_last_will(LastWill::new(topic, payload.clone(), QoS::AtLeastOnce, *retain, Some(properties)));
    }
    Ok(options)
}

/// The library's error in our words.
pub(super) fn reason(error: ConnectionError, settings: &Settings, is_connected: bool) -> Reason {
    let Settings { host, port, .. } = settings;
    let (host, port) = (host.clone(), *port);
    match error {
        ConnectionError::Timeout(_) => Reason::ConnectTimeout { host, port, after: settings.connect_timeout },
        ConnectionError::ConnectionRefused(code) => Reason::Refused { code: format!("{code:?}") },
        ConnectionError::Tls(TlsError::Io(source)) => io_reason(source, settings, Phase::Handshake),
        ConnectionError::Tls(TlsError::TLS(source)) => tls_reason(source, settings),
        ConnectionError::Tls(other) => Reason::Protocol(other.to_string()),
        ConnectionError::Io(source) if is_connected => io_reason(source, settings, Phase::Session),
        ConnectionError::Io(source) => io_reason(source, settings, Phase::Tcp),
        ConnectionError::MqttState(error) => state_reason(error, settings),
        ConnectionError::NotConnAck(_) => Reason::Protocol("no CONNACK as the first packet".into()),
        ConnectionError::RequestsDone => Reason::Stopped,
    }
}

fn state_reason(error: StateError, settings: &Settings) -> Reason {
    match error {
        StateError::Io(source) | StateError::Deserialization(CodecError::Io(source)) => {
            io_reason(source, settings, Phase::Session)
        }
        StateError::ConnectionAborted => Reason::Closed,
        StateError::AwaitPingResp => Reason::Silent,
        StateError::ServerDisconnect { reason_code, reason_string } => {
            Reason::Dismissed { code: format!("{reason_code:?}"), text: reason_string }
        }
        StateError::Deserialization(error) => Reason::Malformed(error.to_string()),
        StateError::IncomingPacketTooLarge { pkt_size, .. } => Reason::Malformed(format!("{pkt_size} octets")),
        other => Reason::Protocol(other.to_string()),
    }
}

#[derive(PartialEq, Eq)]
pub(super) enum Phase {
    Tcp,
    Handshake,
    Session,
}

pub(super) fn io_reason(source: io::Error, settings: &Settings, phase: Phase) -> Reason {
    let Settings { host, port, transport, .. } = settings;
    let (host, port) = (host.clone(), *port);
    let source = match transport {
        Transport::Tls(tls) => match tls::Fault::from_io(source, tls, &host) {
            Ok(source) => return Reason::Tls { host, port, source },
            Err(source) => source,
        },
        Transport::PlaintextLoopback => source,
    };
    let is_end = matches!(source.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
    match phase {
        Phase::Tcp => Reason::Unreachable { host, port, source },
        Phase::Handshake if is_end => Reason::Tls { host, port, source: tls::Fault::Closed },
        Phase::Session if is_end => Reason::Closed,
        Phase::Handshake | Phase::Session => Reason::Io(source),
    }
}

fn tls_reason(source: rustls::Error, settings: &Settings) -> Reason {
    match &settings.transport {
        Transport::Tls(tls) => {
            let (host, port) = (settings.host.clone(), settings.port);
            let source = tls::Fault::new(source, tls, &host);
            Reason::Tls { host, port, source }
        }
        Transport::PlaintextLoopback => Reason::Protocol(source.to_string()),
    }
}
