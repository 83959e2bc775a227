//! The unit's own MQTT driver as a client of the test: a spectator, a head-end, a forger.

use std::time::Duration;

use bytes::Bytes;
use dcu::task::mqtt::{Connected, Door, Event, Message, PubAckReason, Publication, Settings, open};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A driver that ends with the test.
pub(crate) struct Client {
    pub(crate) door: Door,
    pub(crate) events: Receiver<Event>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Client {
    pub(crate) fn open(settings: Settings) -> Self {
        let stop = CancellationToken::new();
        let (door, events, _task) = open(settings, 1, stop.clone());
        Self { door, events, stop: stop.clone(), _guard: stop.drop_guard() }
    }

    pub(crate) async fn next(&mut self) -> Event {
        tokio::time::timeout(LIMIT, self.events.recv()).await.expect("an event in time").expect("the driver runs")
    }

    pub(crate) async fn connected(&mut self) -> Connected {
        loop {
            match self.next().await {
                Event::Connected(connected) => return connected,
                Event::Disconnected { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn subscribed(&mut self) {
        self.connected().await;
        match self.next().await {
            Event::Subscribed => {}
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn message(&mut self) -> Message {
        loop {
            match self.next().await {
                Event::Message(message) => return message,
                Event::Connected(_) | Event::Subscribed | Event::Disconnected { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message; the broker hears that it arrived.
    pub(crate) async fn taken(&mut self) -> Message {
        let message = self.message().await;
        if let Some(token) = message.token {
            self.door.acknowledge(token).unwrap();
        }
        message
    }

    /// Publishes once and says what the broker answered.
    pub(crate) async fn ask(&mut self, connection: u64, publication: Publication) -> PubAckReason {
        self.door.publish(connection, 7, publication).unwrap();
        loop {
            match self.next().await {
                Event::PubAck { id: 7, reason } => return reason,
                Event::Sent { id: 7, .. } | Event::Subscribed => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// A driver that was stopped says so and ends.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let end = async { while self.events.recv().await.is_some() {} };
        tokio::time::timeout(LIMIT, end).await.expect("the driver stops");
    }
}

pub(crate) fn publication(topic: &str, payload: impl Into<Bytes>) -> Publication {
    Publication {
        topic: topic.into(),
        payload: payload.into(),
        retain: false,
        content_type: Some("application/protobuf"),
    }
}
