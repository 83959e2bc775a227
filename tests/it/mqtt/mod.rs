//! The MQTT driver against a real mosquitto with mutual TLS.

mod faults;
mod rogue;
mod sender;

use std::time::Duration;

use dcu::simulate::proxy::Proxy;
use dcu::task::mqtt::{Connected, Event, PubAckReason, Publication, Settings};

use crate::support::client::{Client, LIMIT, publication};
use crate::support::mosquitto::{Mosquitto, Options};
use sender::{Receiving, Sender};

const TOPIC: &str = "dcu/v1/utility/dcu-1/batch/mbus";

fn subscriber(broker: &Mosquitto, filter: &str) -> Settings {
    Settings { subscriptions: vec![filter.into()], ..broker.head_end() }
}

#[tokio::test]
async fn what_is_published_arrives_once_and_in_order() {
    let Some(broker) = Mosquitto::start() else { return };
    let receiving = Receiving::open(subscriber(&broker, "dcu/v1/#")).await;
    let mut sender = Sender::new(broker.unit("dcu-1"));
    let (sent, received) = tokio::join!(sender.deliver(2_000), receiving.all(2_000));
    assert_eq!((sent.connections, received.duplicates), (1, 0));
    received.check_order(&sent);
}

#[tokio::test]
async fn a_line_that_breaks_at_any_octet_loses_nothing_and_keeps_the_order() {
    let Some(broker) = Mosquitto::start() else { return };
    let proxy = Proxy::start(format!("localhost:{}", broker.port)).await.unwrap();
    let receiving = Receiving::open(subscriber(&broker, "dcu/v1/#")).await;
    let settings = Settings { host: "localhost".into(), port: proxy.address().port(), ..broker.unit("dcu-1") };
    let mut sender = Sender::new(settings);
    // In the TCP connection, in the handshake's three flights, in CONNECT, in and between publishes.
    let mut cuts: Vec<u64> = vec![0, 1, 100, 240, 400, 700, 1_000, 1_200, 1_300, 1_400, 1_500];
    cuts.extend((1..40).map(|n| 1_500 + n * 97));
    let count = cuts.len() as u64;
    let mut last = 0;
    let cutting = async {
        for cut in cuts {
            proxy.change(|line| line.cut_after = Some(cut));
            while proxy.connections() == last {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            last = proxy.connections();
        }
        proxy.change(|line| line.cut_after = None);
    };
    let (sent, (), received) = tokio::join!(sender.deliver(3_000), cutting, receiving.all(3_000));
    received.check_order(&sent);
    assert!(proxy.connections() >= count, "{} connections", proxy.connections());
    assert!(sent.connections > 20, "{} of {} attempts came to a session", sent.connections, proxy.connections());
}

#[tokio::test]
async fn a_broker_that_comes_back_with_its_sessions_has_lost_nothing_and_without_them_keeps_the_order() {
    for is_persistent in [false, true] {
        let options = Options { is_persistent, ..Options::default() };
        let Some(mut broker) = Mosquitto::start_with(options) else { return };
        let receiving = Receiving::open(subscriber(&broker, "dcu/v1/#")).await;
        let mut sender = Sender::new(broker.unit("dcu-1"));
        let restarts = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(150)).await;
                // With a goodbye: what a killed broker had answered with a PUBACK may be gone with it, which is why the
                // unit waits for the head-end's acknowledgement.
                broker.terminate();
                broker.restart();
            }
        };
        let receiving = async {
            match is_persistent {
                true => receiving.all(10_000).await,
                false => receiving.until(9_999).await,
            }
        };
        let (sent, (), received) = tokio::join!(sender.deliver(10_000), restarts, receiving);
        received.check_order(&sent);
        assert!(sent.connections > 1, "the broker went away while nothing was sent");
    }
}

#[tokio::test]
async fn a_session_is_found_again_only_where_the_broker_kept_it() {
    for is_persistent in [true, false] {
        let Some(mut broker) = Mosquitto::start_with(Options { is_persistent, ..Options::default() }) else { return };
        let mut client = Client::open(Settings { subscriptions: vec![COMMANDS.into()], ..broker.unit("dcu-1") });
        assert!(!client.connected().await.session_present);
        broker.terminate();
        broker.restart();
        assert_eq!(client.connected().await.session_present, is_persistent);
    }
}

#[tokio::test]
async fn a_denied_publish_is_told_and_the_connection_goes_on() {
    let acl = "user dcu-1\ntopic write dcu/v1/utility/dcu-1/batch/p1\nuser head-end\ntopic read dcu/v1/#\n";
    let Some(broker) = Mosquitto::start_with(Options { acl: Some(acl.into()), ..Options::default() }) else { return };
    let _receiving = Receiving::open(subscriber(&broker, "dcu/v1/#")).await;
    let mut client = Client::open(broker.unit("dcu-1"));
    let Connected { connection, .. } = client.connected().await;
    assert_eq!(client.ask(connection, publication(TOPIC, "1")).await, PubAckReason::NotAuthorized);
    let allowed = publication("dcu/v1/utility/dcu-1/batch/p1", "2");
    assert_eq!(client.ask(connection, allowed).await, PubAckReason::Success);
}

#[tokio::test]
async fn a_publish_that_nobody_listens_to_is_told() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut client = Client::open(broker.unit("dcu-1"));
    let Connected { connection, .. } = client.connected().await;
    assert_eq!(client.ask(connection, publication(TOPIC, "1")).await, PubAckReason::NoMatchingSubscribers);
}

#[tokio::test]
async fn a_publish_for_an_earlier_connection_is_dropped() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut listener = Client::open(subscriber(&broker, "dcu/v1/#"));
    listener.subscribed().await;
    let mut client = Client::open(broker.unit("dcu-1"));
    let Connected { connection, .. } = client.connected().await;
    client.door.publish(connection - 1, 6, publication(TOPIC, "stale")).unwrap();
    assert_eq!(client.ask(connection, publication(TOPIC, "fresh")).await, PubAckReason::Success);
    assert_eq!(listener.message().await.payload, "fresh");
}

#[tokio::test]
async fn the_window_is_the_brokers_receive_maximum_where_that_is_lower() {
    let options = Options { lines: vec!["max_inflight_messages 3".into()], ..Options::default() };
    let Some(broker) = Mosquitto::start_with(options) else { return };
    let receiving = Receiving::open(subscriber(&broker, "dcu/v1/#")).await;
    let mut client = Client::open(broker.unit("dcu-1"));
    assert_eq!(client.connected().await.window, 3);
    client.stop().await;
    let sent = Sender::new(broker.unit("dcu-1")).deliver(200).await;
    receiving.all(200).await;
    assert_eq!(sent.connections, 1);
}

#[tokio::test]
async fn a_publish_larger_than_the_broker_takes_is_refused_here() {
    let options = Options { lines: vec!["max_packet_size 5000".into()], ..Options::default() };
    let Some(broker) = Mosquitto::start_with(options) else { return };
    let mut client = Client::open(broker.unit("dcu-1"));
    let Connected { connection, maximum_packet_size, .. } = client.connected().await;
    assert_eq!(maximum_packet_size, Some(5000));
    assert_eq!(client.ask(connection, publication(TOPIC, vec![0; 5000])).await, PubAckReason::PacketTooLarge);
    assert_eq!(client.ask(connection, publication(TOPIC, vec![0; 1000])).await, PubAckReason::NoMatchingSubscribers);
}

const COMMANDS: &str = "dcu/v1/utility/dcu-1/command";

#[tokio::test]
async fn a_command_comes_again_until_it_is_acknowledged() {
    let Some(broker) = Mosquitto::start() else { return };
    let unit = Settings { subscriptions: vec![COMMANDS.into()], ..broker.unit("dcu-1") };
    let mut client = Client::open(unit.clone());
    client.subscribed().await;
    let mut head_end = Client::open(broker.head_end());
    let Connected { connection, .. } = head_end.connected().await;
    assert_eq!(head_end.ask(connection, publication(COMMANDS, "open")).await, PubAckReason::Success);
    assert_eq!(client.message().await.payload, "open");
    client.stop().await;
    let mut client = Client::open(unit.clone());
    let again = client.message().await;
    assert_eq!((again.payload.as_ref(), again.duplicate), (&b"open"[..], true));
    client.door.acknowledge(again.token.unwrap()).unwrap();
    // The PUBACK and the next message go through the same connection: once this is here, that is there.
    head_end.ask(connection, publication(COMMANDS, "close")).await;
    let next = client.message().await;
    client.door.acknowledge(next.token.unwrap()).unwrap();
    client.door.publish(1, 1, publication(TOPIC, "done")).unwrap();
    while !matches!(client.next().await, Event::PubAck { id: 1, .. }) {}
    client.stop().await;
    let mut client = Client::open(unit);
    assert!(client.connected().await.session_present);
    head_end.ask(connection, publication(COMMANDS, "read")).await;
    assert_eq!(client.message().await.payload, "read");
}

#[tokio::test]
async fn a_message_larger_than_announced_does_not_end_the_connection() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut client = Client::open(Settings { subscriptions: vec![COMMANDS.into()], ..broker.unit("dcu-1") });
    client.subscribed().await;
    let mut head_end = Client::open(broker.head_end());
    let Connected { connection, .. } = head_end.connected().await;
    for size in [300 * 1024, 256 * 1024 - 200, 10] {
        head_end.ask(connection, publication(COMMANDS, vec![1; size])).await;
    }
    for size in [256 * 1024 - 200, 10] {
        match client.next().await {
            Event::Message(message) => assert_eq!(message.payload.len(), size),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_will_speaks_for_a_unit_that_vanished_and_not_for_one_that_stopped() {
    let Some(broker) = Mosquitto::start() else { return };
    let proxy = Proxy::start(format!("localhost:{}", broker.port)).await.unwrap();
    let mut head_end = Client::open(subscriber(&broker, "dcu/v1/+/+/state"));
    head_end.subscribed().await;
    let topic = "dcu/v1/utility/dcu-1/state";
    let will = Publication { retain: true, ..publication(topic, "lost") };
    let settings = Settings { port: proxy.address().port(), will: Some(will), ..broker.unit("dcu-1") };
    let mut client = Client::open(settings);
    client.connected().await;
    proxy.change(|line| line.is_down = true);
    let message = head_end.message().await;
    assert_eq!((message.topic.as_str(), message.payload.as_ref()), (topic, &b"lost"[..]));
    assert_eq!(message.content_type.as_deref(), Some("application/protobuf"));
    proxy.change(|line| line.is_down = false);
    let Connected { connection, .. } = client.connected().await;
    client.ask(connection, publication(topic, "online")).await;
    assert_eq!(head_end.message().await.payload, "online");
    client.stop().await;
    let mut other = Client::open(Settings { client_id: "other".into(), ..broker.unit("dcu-1") });
    let Connected { connection, .. } = other.connected().await;
    other.ask(connection, publication(topic, "end")).await;
    assert_eq!(head_end.message().await.payload, "end");
}
