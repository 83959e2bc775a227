//! The MQTT 5 driver: the only file that knows the client library.
//!
//! Every connection gets a new client and event loop, because the library's own resend reorders and loses; whoever uses the
//! door resends what has no PUBACK. The event loop runs in a task of its own: its `poll` must never be cancelled half-way,
//! and should it panic on what a broker sent, that ends the connection and nothing else.

mod door;
mod greeting;
mod library;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, Packet, PubAck, PubAckReason as Answer, Publish, PublishProperties, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event as Packets, EventLoop};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub use door::{Connected, Door, Event, Message, PubAckReason, Publication, Reason, Settings, Shut, Token, Transport};
pub(crate) use greeting::{Greeting, Welcome};

use crate::task::backoff::Backoff;

/// Starts the driver. It connects and connects again until `stop`; `seed` decides the jitter between attempts.
pub fn open(settings: Settings, seed: u64, stop: CancellationToken) -> (Door, mpsc::Receiver<Event>, JoinHandle<()>) {
    let (publishes, publishes_in) = mpsc::channel(PUBLISHES);
    let (tokens, tokens_in) = mpsc::unbounded_channel();
    let (events, events_out) = mpsc::channel(EVENTS);
    let backoff = Backoff::new(settings.retry.0, settings.retry.1, seed);
    let driver = Driver {
        settings,
        backoff,
        publishes: publishes_in,
        tokens: tokens_in,
        events,
        stop,
        connection: 0,
        is_poisoned: false,
    };
    (Door { publishes, tokens }, events_out, tokio::spawn(driver.run()))
}

struct Driver {
    settings: Settings,
    backoff: Backoff,
    publishes: mpsc::Receiver<door::Publish>,
    tokens: mpsc::UnboundedReceiver<Token>,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
    connection: u64,
    /// The last connection ended by a packet that could not be read: the broker's session would send it again.
    is_poisoned: bool,
}

impl Driver {
    async fn run(mut self) {
        loop {
            let reason = self.connection().await;
            self.is_poisoned = matches!(reason, Reason::Malformed(_));
            let is_over = matches!(reason, Reason::Stopped) || self.stop.is_cancelled();
            let retry_in = if is_over { Duration::ZERO } else { self.backoff.next_delay() };
            let told = self.events.send(Event::Disconnected { reason, retry_in });
            if is_over {
                // A user that does not listen any more must not keep the driver.
                let _ = timeout(GOODBYE, told).await;
                return;
            }
            let is_told = tokio::select! {
                told = told => told.is_ok(),
                () = self.stop.cancelled() => false,
            };
            if !is_told {
                return;
            }
            if !self.wait(retry_in).await {
                return;
            }
        }
    }

    /// Drops what was meant for the connection that is gone. False: stop.
    async fn wait(&mut self, delay: Duration) -> bool {
        let until = after(delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return false,
                publish = self.publishes.recv() => if publish.is_none() { return false },
                Some(_) = self.tokens.recv() => {}
                () = sleep_until(until) => return true,
            }
        }
    }

    /// One connection, from its attempt to its end.
    async fn connection(&mut self) -> Reason {
        let options = match library::options(&self.settings, self.is_poisoned) {
            Ok(options) => options,
            Err(reason) => return reason,
        };
        self.connection += 1;
        let (client, event_loop) = AsyncClient::new(options, REQUESTS);
        let (packets, mut packets_out) = mpsc::channel(EVENTS);
        let pump = tokio::spawn(pump(event_loop, packets));
        let mut link = Link::new(client, self.connection);
        let reason = loop {
            tokio::select! {
                // First what must not wait: the end; tokens, which let the broker go on; its answers, which free the window.
                biased;
                () = self.stop.cancelled() => {
                    link.goodbye(&mut packets_out).await;
                    break Reason::Stopped;
                }
                Some(token) = self.tokens.recv() => link.acknowledge(token),
                packet = packets_out.recv() => match packet {
                    Some(Ok(packet)) => if let Err(reason) = self.packet(&mut link, packet).await { break reason },
                    Some(Err(error)) => break library::reason(error, &self.settings, link.connected.is_some()),
                    None => break Reason::Protocol("the client library gave up on what the broker sent".into()),
                },
                () = sleep_until(link.deadline(self.settings.puback_timeout)) => {
                    break Reason::NoPubAck { after: self.settings.puback_timeout };
                }
                publish = self.publishes.recv(), if link.has_room() => match publish {
                    Some(publish) => if let Err(reason) = self.publish(&mut link, publish).await { break reason },
                    None => {
                        link.goodbye(&mut packets_out).await;
                        break Reason::Stopped;
                    }
                },
            }
        };
        pump.abort();
        if link.connected.is_some_and(|(_, since)| since.elapsed() >= SETTLED) {
            self.backoff.reset();
        }
        reason
    }

    async fn packet(&mut self, link: &mut Link, packet: Packets) -> Result<(), Reason> {
        match packet {
            Packets::Incoming(Packet::ConnAck(connack)) => self.connected(link, &connack).await,
            Packets::Incoming(Packet::PubAck(puback)) => self.puback(link, &puback).await,
            Packets::Incoming(Packet::Publish(publish)) => match message(publish, link.number) {
                Ok(message) => self.tell(Event::Message(message)).await,
                Err(reason) => Err(reason),
            },
            Packets::Incoming(Packet::SubAck(suback)) => self.suback(&suback).await,
            Packets::Outgoing(Outgoing::Publish(packet_id)) => {
                let id = link.handed.pop_front().expect("the library writes what we hand it, once and in order");
                link.sent.push_back(Sent { packet_id, id, since: Instant::now() });
                self.tell(Event::Sent { id, packet_id }).await
            }
            Packets::Outgoing(Outgoing::PubAck(_)) => {
                link.acknowledging = link.acknowledging.saturating_sub(1);
                link.feed_tokens();
                Ok(())
            }
            // The library holds a publish back when its packet identifier is still in use: it may never let go.
            Packets::Outgoing(Outgoing::AwaitAck(_)) => {
                Err(Reason::Protocol("publishes are acknowledged out of order".into()))
            }
            Packets::Incoming(_) | Packets::Outgoing(_) => Ok(()),
        }
    }

    async fn connected(&mut self, link: &mut Link, connack: &ConnAck) -> Result<(), Reason> {
        let properties = connack.properties.as_ref();
        let receive_maximum = properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX);
        let connected = Connected {
            connection: link.number,
            session_present: connack.session_present,
            window: self.settings.in_flight.min(receive_maximum).clamp(1, LARGEST_WINDOW),
            maximum_packet_size: properties.and_then(|p| p.max_packet_size),
        };
        link.connected = Some((connected, Instant::now()));
        let filters = self.settings.subscriptions.iter().map(|filter| Filter::new(filter, QoS::AtLeastOnce));
        if !self.settings.subscriptions.is_empty() && link.client.try_subscribe_many(filters).is_err() {
            return Err(Reason::Protocol("a topic filter of ours is not valid".into()));
        }
        self.tell(Event::Connected(connected)).await
    }

    async fn puback(&mut self, link: &mut Link, puback: &PubAck) -> Result<(), Reason> {
        let Some(position) = link.sent.iter().position(|sent| sent.packet_id == puback.pkid) else {
            return Err(Reason::Protocol("a PUBACK for what was not published".into()));
        };
        let reason = answer(puback.reason);
        if reason == PubAckReason::Success {
            self.backoff.reset();
        }
        match link.sent.remove(position) {
            Some(sent) => self.tell(Event::PubAck { id: sent.id, reason }).await,
            None => Ok(()),
        }
    }

    async fn suback(&mut self, suback: &SubAck) -> Result<(), Reason> {
        let refused: Vec<_> = self
            .settings
            .subscriptions
            .iter()
            .zip(&suback.return_codes)
            .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
            .map(|(filter, code)| Event::SubscriptionRefused { filter: filter.clone(), reason: format!("{code:?}") })
            .collect();
        self.tell(Event::Subscribed).await?;
        for event in refused {
            self.tell(event).await?;
        }
        Ok(())
    }

    async fn publish(&self, link: &mut Link, publish: door::Publish) -> Result<(), Reason> {
        let door::Publish { connection, id, publication } = publish;
        let Some((connected, _)) = link.connected.filter(|_| connection == link.number) else { return Ok(()) };
        if let Some(reason) = unsendable(&publication, connected.maximum_packet_size) {
            return self.tell(Event::PubAck { id, reason }).await;
        }
        let Publication { topic, payload, retain, content_type } = publication;
        let properties =
            PublishProperties { content_type: content_type.map(str::to_owned), ..PublishProperties::default() };
        link.client
            .try_publish_with_properties(topic, QoS::AtLeastOnce, retain, payload, properties)
            .map_err(|_| Reason::Protocol("the client library takes no more".into()))?;
        link.handed.push_back(id);
        Ok(())
    }

    async fn tell(&self, event: Event) -> Result<(), Reason> {
        tokio::select! {
            told = self.events.send(event) => told.map_err(|_| Reason::Stopped),
            () = self.stop.cancelled() => Err(Reason::Stopped),
        }
    }
}

/// What is under way on one connection.
struct Link {
    client: AsyncClient,
    number: u64,
    connected: Option<(Connected, Instant)>,
    /// Handed to the library, not yet written.
    handed: VecDeque<u64>,
    /// Written, without PUBACK.
    sent: VecDeque<Sent>,
    /// Tokens that the library has no room for yet: brokers send more than the receive maximum allows.
    tokens: VecDeque<Token>,
    /// Acknowledgements handed to the library, not yet written.
    acknowledging: usize,
}

struct Sent {
    packet_id: u16,
    id: u64,
    since: Instant,
}

impl Link {
    fn new(client: AsyncClient, number: u64) -> Self {
        let (handed, sent, tokens) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { client, number, connected: None, handed, sent, tokens, acknowledging: 0 }
    }

    fn acknowledge(&mut self, token: Token) {
        if token.connection == self.number {
            self.tokens.push_back(token);
            self.feed_tokens();
        }
    }

    fn feed_tokens(&mut self) {
        while self.acknowledging < ACKNOWLEDGING {
            let Some(token) = self.tokens.pop_front() else { return };
            let publish = Publish { pkid: token.packet_id, qos: QoS::AtLeastOnce, ..Publish::default() };
            if self.client.try_ack(&publish).is_err() {
                // Only when the event loop has ended: the next packet says why.
                return;
            }
            self.acknowledging += 1;
        }
    }

    /// Without a connection everything is taken, and dropped as out of date.
    fn has_room(&self) -> bool {
        self.connected.is_none_or(|(connected, _)| self.handed.len() + self.sent.len() < usize::from(connected.window))
    }

    fn deadline(&self, puback_timeout: Duration) -> Instant {
        self.sent.front().map_or_else(|| after(FAR), |sent| sent.since + puback_timeout)
    }

    /// DISCONNECT, so that the broker does not publish the will.
    async fn goodbye(&self, packets: &mut mpsc::Receiver<Result<Packets, ConnectionError>>) {
        if self.connected.is_none() || self.client.try_disconnect().is_err() {
            return;
        }
        let written = async {
            while let Some(Ok(packet)) = packets.recv().await {
                if packet == Packets::Outgoing(Outgoing::Disconnect) {
                    return;
                }
            }
        };
        let _ = timeout(GOODBYE, written).await;
    }
}

async fn pump(mut event_loop: EventLoop, packets: mpsc::Sender<Result<Packets, ConnectionError>>) {
    loop {
        let packet = event_loop.poll().await;
        let is_end = packet.is_err();
        if packets.send(packet).await.is_err() || is_end {
            return;
        }
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What the broker would answer, or the library would trip over.
fn unsendable(publication: &Publication, maximum: Option<u32>) -> Option<PubAckReason> {
    let Publication { topic, payload, content_type, .. } = publication;
    if topic.is_empty() || topic.len() > usize::from(u16::MAX) || topic.contains(['+', '#', '\0']) {
        return Some(PubAckReason::TopicNameInvalid);
    }
    // Fixed header, lengths, packet identifier and property headers take 16 octets at most.
    let size = 16 + topic.len() + content_type.map_or(0, str::len) + payload.len();
    let maximum = maximum.and_then(|maximum| usize::try_from(maximum).ok()).unwrap_or(LARGEST_PUBLISH);
    (size > maximum.min(LARGEST_PUBLISH)).then_some(PubAckReason::PacketTooLarge)
}

fn message(publish: Publish, connection: u64) -> Result<Message, Reason> {
    let topic =
        String::from_utf8(publish.topic.to_vec()).map_err(|_| Reason::Malformed("a topic that is not UTF-8".into()))?;
    let properties = publish.properties.unwrap_or_default();
    Ok(Message {
        topic,
        payload: publish.payload,
        retain: publish.retain,
        duplicate: publish.dup,
        content_type: properties.content_type,
        response_topic: properties.response_topic,
        correlation_data: properties.correlation_data,
        token: (publish.pkid != 0).then_some(Token { connection, packet_id: publish.pkid }),
    })
}

fn answer(reason: Answer) -> PubAckReason {
    match reason {
        Answer::Success => PubAckReason::Success,
        Answer::NoMatchingSubscribers => PubAckReason::NoMatchingSubscribers,
        Answer::UnspecifiedError => PubAckReason::UnspecifiedError,
        Answer::ImplementationSpecificError => PubAckReason::ImplementationSpecificError,
        Answer::NotAuthorized => PubAckReason::NotAuthorized,
        Answer::TopicNameInvalid => PubAckReason::TopicNameInvalid,
        Answer::PacketIdentifierInUse => PubAckReason::PacketIdentifierInUse,
        Answer::QuotaExceeded => PubAckReason::QuotaExceeded,
        Answer::PayloadFormatInvalid => PubAckReason::PayloadFormatInvalid,
    }
}

fn after(delay: Duration) -> Instant {
    Instant::now() + delay
}

/// Messages without PUBACK that the broker may have under way to us: bounds memory together with the packet size.
const RECEIVE_MAXIMUM: u16 = 8;
const LARGEST_WINDOW: u16 = 256;
/// What the remaining length field can say (MQTT 5.0, section 1.5.5).
const LARGEST_PUBLISH: usize = 268_435_455;
/// The library asserts it.
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// A connection that stood so long was a good one.
const SETTLED: Duration = Duration::from_secs(30);
const GOODBYE: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(24 * 3600);
/// A full window, and a little for who counts a moment late.
const PUBLISHES: usize = LARGEST_WINDOW as usize + 8;
const ACKNOWLEDGING: usize = 32;
/// Room in the library's channel, never the bound that is reached: a window, acknowledgements, SUBSCRIBE, DISCONNECT.
const REQUESTS: usize = LARGEST_WINDOW as usize + ACKNOWLEDGING + 8;
const EVENTS: usize = 64;
