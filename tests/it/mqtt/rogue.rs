//! Brokers that break the rules, spoken by hand over plaintext on the loopback address.

use std::time::Duration;

use dcu::task::mqtt::{Event, PubAckReason, Reason, Settings, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Client, TOPIC, publication};

const CONNACK: &[u8] = &[0x20, 0x03, 0x00, 0x00, 0x00];

struct Rogue {
    listener: TcpListener,
}

impl Rogue {
    async fn bind() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).await.unwrap() }
    }

    fn settings(&self) -> Settings {
        let port = self.listener.local_addr().unwrap().port();
        let retry = (Duration::from_millis(5), Duration::from_millis(20));
        let puback_timeout = Duration::from_millis(200);
        let transport = Transport::PlaintextLoopback;
        Settings { retry, puback_timeout, ..Settings::new("127.0.0.1", port, transport, "dcu-1") }
    }

    /// Takes the next connection, reads its CONNECT and says whether it asks for a clean start; then sends `answer`.
    async fn accept(&self, answer: &[u8]) -> (TcpStream, bool) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let connect = packet(&mut stream).await.unwrap();
        assert_eq!(connect[0] >> 4, 1);
        let is_clean = connect[9] & 2 != 0;
        stream.write_all(answer).await.unwrap();
        (stream, is_clean)
    }
}

/// One packet with a remaining length below 128 octets or of two octets.
async fn packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let kind = stream.read_u8().await.ok()?;
    let low = stream.read_u8().await.ok()?;
    let (mut packet, mut length) = (vec![kind, low], usize::from(low & 0x7f));
    if low & 0x80 != 0 {
        let high = stream.read_u8().await.ok()?;
        length |= usize::from(high) << 7;
        packet.push(high);
    }
    let begin = packet.len();
    packet.resize(begin + length, 0);
    stream.read_exact(&mut packet[begin..]).await.ok()?;
    Some(packet)
}

async fn disconnected(client: &mut Client) -> Reason {
    loop {
        if let Event::Disconnected { reason, .. } = client.next().await {
            return reason;
        }
    }
}

#[tokio::test]
async fn an_unreadable_packet_costs_the_session_and_does_not_come_round_for_ever() {
    // A PUBLISH with QoS 3; one that is larger than announced; a packet type that does not exist.
    let packets: [&[u8]; 3] =
        [&[0x36, 0x05, 0x00, 0x01, b'a', 0x00, 0x01], &[0x32, 0xff, 0xff, 0x7f], &[0x00, 0x01, 0x00]];
    for malformed in packets {
        let rogue = Rogue::bind().await;
        let mut client = Client::open(rogue.settings());
        let answer = [CONNACK, malformed].concat();
        let (_first, is_clean) = rogue.accept(&answer).await;
        assert!(!is_clean, "a unit does not throw its session away");
        let reason = disconnected(&mut client).await;
        assert!(matches!(reason, Reason::Malformed(_)), "{reason:?}");
        let (_second, is_clean) = rogue.accept(CONNACK).await;
        assert!(is_clean, "the packet would come again");
        client.connected().await;
    }
}

#[tokio::test]
async fn octets_that_are_no_mqtt_end_the_attempt() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0xff; 64], &[0x20, 0x7f], &[]] {
        let rogue = Rogue::bind().await;
        let mut client = Client::open(Settings { connect_timeout: Duration::from_secs(1), ..rogue.settings() });
        let (stream, _) = rogue.accept(answer).await;
        drop(stream);
        disconnected(&mut client).await;
    }
}

#[tokio::test]
async fn a_broker_that_never_answers_connect_is_given_up() {
    let rogue = Rogue::bind().await;
    let mut client = Client::open(Settings { connect_timeout: Duration::from_secs(1), ..rogue.settings() });
    let (_stream, _) = rogue.accept(&[]).await;
    let reason = disconnected(&mut client).await;
    assert!(matches!(reason, Reason::ConnectTimeout { .. }), "{reason:?}");
}

#[tokio::test]
async fn a_refused_connect_is_named() {
    let rogue = Rogue::bind().await;
    let mut client = Client::open(rogue.settings());
    let (_stream, _) = rogue.accept(&[0x20, 0x03, 0x00, 0x87, 0x00]).await;
    match disconnected(&mut client).await {
        Reason::Refused { code } => assert_eq!(code, "NotAuthorized"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_broker_that_takes_publishes_and_never_answers_is_left() {
    let rogue = Rogue::bind().await;
    let mut client = Client::open(rogue.settings());
    let (_stream, _) = rogue.accept(CONNACK).await;
    let connected = client.connected().await;
    client.door.publish(connected.connection, 1, publication(TOPIC, "1")).unwrap();
    let reason = disconnected(&mut client).await;
    assert!(matches!(reason, Reason::NoPubAck { .. }), "{reason:?}");
}

#[tokio::test]
async fn acknowledgements_out_of_order_and_of_every_reason_find_their_publish() {
    let rogue = Rogue::bind().await;
    let mut client = Client::open(rogue.settings());
    let (mut stream, _) = rogue.accept(CONNACK).await;
    let connection = client.connected().await.connection;
    let reasons = [
        PubAckReason::Success,
        PubAckReason::NoMatchingSubscribers,
        PubAckReason::UnspecifiedError,
        PubAckReason::ImplementationSpecificError,
        PubAckReason::NotAuthorized,
        PubAckReason::TopicNameInvalid,
        PubAckReason::QuotaExceeded,
        PubAckReason::PayloadFormatInvalid,
    ];
    for id in 0..reasons.len() as u64 {
        client.door.publish(connection, 100 + id, publication("t", "p")).unwrap();
    }
    let mut packet_ids = Vec::new();
    for _ in &reasons {
        // Fixed header, topic of one octet with its length, packet identifier.
        let publish = packet(&mut stream).await.unwrap();
        packet_ids.push([publish[5], publish[6]]);
    }
    for (id, reason) in packet_ids.iter().zip(reasons).rev() {
        stream.write_all(&[0x40, 0x03, id[0], id[1], reason.code()]).await.unwrap();
    }
    let mut answers = Vec::new();
    while answers.len() < reasons.len() {
        if let Event::PubAck { id, reason } = client.next().await {
            answers.push((id, reason));
        }
    }
    let mut expected: Vec<_> = (100..).zip(reasons).collect();
    expected.reverse();
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn an_answer_to_what_was_never_published_ends_the_connection() {
    let rogue = Rogue::bind().await;
    let mut client = Client::open(rogue.settings());
    let (_stream, _) = rogue.accept(&[CONNACK, &[0x40, 0x02, 0x00, 0x09]].concat()).await;
    let reason = disconnected(&mut client).await;
    assert!(matches!(reason, Reason::Protocol(_)), "{reason:?}");
}

#[tokio::test]
async fn a_broker_that_hangs_up_after_every_connect_is_not_stormed() {
    let rogue = Rogue::bind().await;
    let retry = (Duration::from_millis(40), Duration::from_secs(10));
    let mut client = Client::open(Settings { retry, ..rogue.settings() });
    let mut delays = Vec::new();
    for _ in 0..4 {
        let (stream, _) = rogue.accept(CONNACK).await;
        drop(stream);
        loop {
            if let Event::Disconnected { retry_in, .. } = client.next().await {
                delays.push(retry_in);
                break;
            }
        }
    }
    assert!(delays[3] > delays[0] * 2, "{delays:?}");
}

#[tokio::test]
async fn a_refused_subscription_is_told() {
    let rogue = Rogue::bind().await;
    let filters = ["allowed", "refused"].map(str::to_owned).into();
    let mut client = Client::open(Settings { subscriptions: filters, ..rogue.settings() });
    let (mut stream, _) = rogue.accept(CONNACK).await;
    let subscribe = packet(&mut stream).await.unwrap();
    stream.write_all(&[0x90, 0x05, subscribe[2], subscribe[3], 0x00, 0x01, 0x87]).await.unwrap();
    client.subscribed().await;
    match client.next().await {
        Event::SubscriptionRefused { filter, .. } => assert_eq!(filter, "refused"),
        other => panic!("{other:?}"),
    }
}
