//! MQTT spoken packet by packet over a stream that somebody else opened: for looking at each step by itself.

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    Connect, ConnectProperties, ConnectReturnCode, Disconnect, DisconnectReasonCode, Packet, Publish, PublishProperties,
};
use rumqttc::v5::mqttbytes::{Error as CodecError, QoS};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::door::{PubAckReason, Publication, Reason, Settings};
use super::library::{self, Phase};
use super::{RECEIVE_MAXIMUM, answer};

/// One clean session that leaves nothing behind at the broker.
pub(crate) struct Greeting<'a, S> {
    stream: S,
    settings: &'a Settings,
    buffer: BytesMut,
}

/// What the broker said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) receive_maximum: u16,
    pub(crate) maximum_packet_size: Option<u32>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Greeting<'a, S> {
    pub(crate) fn new(stream: S, settings: &'a Settings) -> Self {
        Self { stream, settings, buffer: BytesMut::new() }
    }

    /// CONNECT, until the CONNACK.
    pub(crate) async fn connect(&mut self) -> Result<Welcome, Reason> {
        let properties = ConnectProperties {
            session_expiry_interval: Some(0),
            receive_maximum: Some(RECEIVE_MAXIMUM),
            max_packet_size: Some(self.settings.inbound_limit),
            topic_alias_max: Some(0),
            ..ConnectProperties::new()
        };
        let connect = Connect {
            keep_alive: u16::try_from(self.settings.keep_alive.as_secs()).unwrap_or(u16::MAX),
            client_id: self.settings.client_id.clone(),
            clean_start: true,
            properties: Some(properties),
        };
        self.send(Packet::Connect(connect, None, None)).await?;
        match self.receive().await? {
            Packet::ConnAck(connack) if connack.code == ConnectReturnCode::Success => {
                let properties = connack.properties;
                Ok(Welcome {
                    receive_maximum: properties.as_ref().and_then(|p| p.receive_max).unwrap_or(u16::MAX),
                    maximum_packet_size: properties.and_then(|p| p.max_packet_size),
                })
            }
            Packet::ConnAck(connack) => Err(Reason::Refused { code: format!("{:?}", connack.code) }),
            packet => Err(unexpected(packet)),
        }
    }

    /// PUBLISH at QoS 1, until the PUBACK.
    pub(crate) async fn publish(&mut self, publication: Publication) -> Result<PubAckReason, Reason> {
        let Publication { topic, payload, retain, content_type } = publication;
        let publish = Publish {
            pkid: 1,
            qos: QoS::AtLeastOnce,
            retain,
            topic: Bytes::from(topic),
            payload,
            properties: content_type.map(|content_type| PublishProperties {
                content_type: Some(content_type.to_owned()),
                ..PublishProperties::default()
            }),
            ..Publish::default()
        };
        self.send(Packet::Publish(publish)).await?;
        match self.receive().await? {
            Packet::PubAck(puback) if puback.pkid == 1 => Ok(answer(puback.reason)),
            packet => Err(unexpected(packet)),
        }
    }

    /// DISCONNECT; whether it arrives nobody waits for.
    pub(crate) async fn end(mut self) {
        let disconnect = Disconnect::new(DisconnectReasonCode::NormalDisconnection);
        if self.send(Packet::Disconnect(disconnect)).await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }

    async fn send(&mut self, packet: Packet) -> Result<(), Reason> {
        let mut octets = BytesMut::new();
        packet.write(&mut octets, None).map_err(|error| Reason::Protocol(error.to_string()))?;
        let sent = async {
            self.stream.write_all(&octets).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|source| library::io_reason(source, self.settings, Phase::Session))
    }

    async fn receive(&mut self) -> Result<Packet, Reason> {
        loop {
            match Packet::read(&mut self.buffer, Some(self.settings.inbound_limit)) {
                Ok(packet) => return Ok(packet),
                Err(CodecError::InsufficientBytes(_)) => {}
                Err(error) => return Err(Reason::Malformed(error.to_string())),
            }
            let read = self.stream.read_buf(&mut self.buffer).await;
            if read.map_err(|source| library::io_reason(source, self.settings, Phase::Session))? == 0 {
                return Err(Reason::Closed);
            }
        }
    }
}

fn unexpected(packet: Packet) -> Reason {
    match packet {
        Packet::Disconnect(disconnect) => Reason::Dismissed {
            code: format!("{:?}", disconnect.reason_code),
            text: disconnect.properties.and_then(|properties| properties.reason_string),
        },
        _ => Reason::Protocol("another packet came than the one that answers".into()),
    }
}
