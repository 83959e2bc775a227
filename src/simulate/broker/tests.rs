use std::sync::Arc;
use std::time::Duration;

use rumqttc::Transport;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, LastWill, Packet, PubAckReason};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::{Broker, Identity};
use crate::simulate::head_end::keys::{Kit, Plan};

/// Certificates in a directory that goes away with the test.
struct Keys {
    kit: Kit,
    _dir: TempDir,
}

impl Keys {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (kit, _) = Kit::make(dir.path(), &Plan::default(), jiff::Zoned::now().date()).unwrap();
        Self { kit, _dir: dir }
    }

    fn identity(&self) -> Identity {
        let broker = self.kit.broker();
        Identity { ca: self.kit.ca(), certificate: broker.certificate, key: broker.key }
    }

    fn client(&self, broker: &Broker, id: &str, with_certificate: bool) -> MqttOptions {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.kit.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = if with_certificate {
            let unit = self.kit.unit("dcu-1");
            let certificate = CertificateDer::from_pem_file(unit.certificate).unwrap();
            config.with_client_auth_cert(vec![certificate], PrivateKeyDer::from_pem_file(unit.key).unwrap()).unwrap()
        } else {
            config.with_no_client_auth()
        };
        let mut options = MqttOptions::new(id, "127.0.0.1", broker.address().port());
        options.set_transport(Transport::tls_with_config(config.into()));
        options.set_keep_alive(Duration::from_secs(5));
        options.set_max_packet_size(Some(super::MAX_PACKET as u32));
        options
    }
}

async fn next(events: &mut EventLoop) -> Packet {
    tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            if let Event::Incoming(packet) = events.poll().await.unwrap() {
                return packet;
            }
        }
    })
    .await
    .expect("the broker answers in time")
}

async fn connect(options: MqttOptions) -> (AsyncClient, EventLoop, bool) {
    let (client, mut events) = AsyncClient::new(options, 10);
    match next(&mut events).await {
        Packet::ConnAck(ack) => (client, events, ack.session_present),
        other => panic!("{other:?} instead of CONNACK"),
    }
}

async fn subscribe(client: &AsyncClient, events: &mut EventLoop, filter: &str) {
    client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    assert!(matches!(next(events).await, Packet::SubAck(_)));
}

async fn publish(client: &AsyncClient, events: &mut EventLoop, topic: &str, retain: bool, payload: Vec<u8>) {
    client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    match next(events).await {
        Packet::PubAck(ack) => assert_eq!(ack.reason, PubAckReason::Success),
        other => panic!("{other:?} instead of PUBACK"),
    }
}

async fn received(events: &mut EventLoop) -> (String, Vec<u8>) {
    match next(events).await {
        Packet::Publish(publish) => (String::from_utf8(publish.topic.to_vec()).unwrap(), publish.payload.to_vec()),
        other => panic!("{other:?} instead of PUBLISH"),
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_turned_away() {
    let keys = Keys::new();
    let broker = Broker::start(&keys.identity()).await.unwrap();
    let (_client, mut events) = AsyncClient::new(keys.client(&broker, "stranger", false), 10);
    assert!(events.poll().await.is_err());
    connect(keys.client(&broker, "known", true)).await;
}

#[tokio::test]
async fn messages_reach_subscribers_and_late_ones_get_the_retained() {
    let keys = Keys::new();
    let broker = Broker::start(&keys.identity()).await.unwrap();
    let (reader, mut reading, _) = connect(keys.client(&broker, "reader", true)).await;
    subscribe(&reader, &mut reading, "dcu/v1/+/+/batch/#").await;
    let (writer, mut writing, _) = connect(keys.client(&broker, "writer", true)).await;
    let large = vec![7; 300 << 10];
    publish(&writer, &mut writing, "dcu/v1/u/d/batch/mbus", false, large.clone()).await;
    assert_eq!(received(&mut reading).await, ("dcu/v1/u/d/batch/mbus".into(), large));

    // Nobody listens to this one yet, and the broker says Success all the same.
    publish(&writer, &mut writing, "dcu/v1/u/d/state", true, b"online".to_vec()).await;
    let (late, mut events, _) = connect(keys.client(&broker, "late", true)).await;
    subscribe(&late, &mut events, "dcu/v1/#").await;
    assert_eq!(received(&mut events).await, ("dcu/v1/u/d/state".into(), b"online".to_vec()));
}

#[tokio::test]
async fn a_will_is_published_when_its_client_breaks_off() {
    let keys = Keys::new();
    let broker = Broker::start(&keys.identity()).await.unwrap();
    let (watcher, mut events, _) = connect(keys.client(&broker, "watcher", true)).await;
    subscribe(&watcher, &mut events, "dcu/v1/#").await;
    let mut options = keys.client(&broker, "unit", true);
    options.set_last_will(LastWill::new("dcu/v1/u/d/state", "offline", QoS::AtLeastOnce, true, None));
    let unit = connect(options).await;
    drop(unit);
    assert_eq!(received(&mut events).await, ("dcu/v1/u/d/state".into(), b"offline".to_vec()));
}

#[tokio::test]
async fn a_session_outlives_its_connection_and_holds_what_came_meanwhile() {
    let keys = Keys::new();
    let broker = Broker::start(&keys.identity()).await.unwrap();
    let session = || {
        let mut options = keys.client(&broker, "unit", true);
        options.set_clean_start(false);
        options.set_connect_properties(ConnectProperties {
            session_expiry_interval: Some(7 * 86_400),
            ..ConnectProperties::new()
        });
        options
    };
    let (unit, mut events, present) = connect(session()).await;
    assert!(!present);
    subscribe(&unit, &mut events, "dcu/v1/u/d/command").await;
    drop((unit, events));
    let (head_end, mut commanding, _) = connect(keys.client(&broker, "head-end", true)).await;
    publish(&head_end, &mut commanding, "dcu/v1/u/d/command", false, b"read".to_vec()).await;
    let (_unit, mut events, present) = connect(session()).await;
    assert!(present);
    assert_eq!(received(&mut events).await.1, b"read");
}

#[tokio::test]
async fn a_shared_group_divides_the_messages() {
    let keys = Keys::new();
    let broker = Broker::start(&keys.identity()).await.unwrap();
    let (first, mut first_events, _) = connect(keys.client(&broker, "first", true)).await;
    subscribe(&first, &mut first_events, "$share/readers/dcu/v1/+/+/batch/#").await;
    let (second, mut second_events, _) = connect(keys.client(&broker, "second", true)).await;
    subscribe(&second, &mut second_events, "$share/readers/dcu/v1/+/+/batch/#").await;
    let (writer, mut writing, _) = connect(keys.client(&broker, "writer", true)).await;
    for number in 0..10 {
        publish(&writer, &mut writing, "dcu/v1/u/d/batch/mbus", false, vec![number]).await;
    }
    let mut seen = Vec::new();
    let mut shares = [0, 0];
    while seen.len() < 10 {
        let (share, message) = tokio::select! {
            message = received(&mut first_events) => (0, message),
            message = received(&mut second_events) => (1, message),
        };
        shares[share] += 1;
        seen.push(message.1[0]);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..10).collect::<Vec<u8>>());
    assert!(shares[0] > 0 && shares[1] > 0, "{shares:?}");
}
