//! Builds the uplink and its driver, and starts both.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Task;
use super::orders::{Done, Orders};
use crate::config::{self, Acknowledge};
use crate::control::UplinkStatus;
use crate::registry::Order;
use crate::store::Store;
use crate::task::audit::Recorder;
use crate::task::clock::Clock;
use crate::task::news::News;
use crate::task::{ServiceError, mqtt, random, settings};
use crate::uplink::{Snapshot, Topics, Uplink, status};
use crate::wire::signed::PrivateKey;
use crate::wire::trust::Trust;
use crate::wire::v1;

/// What only the uplink needs.
pub(in crate::task) struct Parts {
    pub(in crate::task) audit: Recorder,
    pub(in crate::task) orders: (Orders, mpsc::Receiver<Done>),
    /// What meters are told.
    pub(in crate::task) told: watch::Receiver<Vec<Order>>,
    pub(in crate::task) trust: Trust,
    pub(in crate::task) key: PrivateKey,
    pub(in crate::task) news: watch::Receiver<News>,
    pub(in crate::task) status: watch::Sender<UplinkStatus>,
    pub(in crate::task) health: watch::Receiver<v1::Health>,
    pub(in crate::task) topology: watch::Receiver<Arc<Snapshot>>,
    pub(in crate::task) stop: CancellationToken,
}

/// Builds the uplink and its driver, and starts both.
pub(in crate::task) fn start(
    unit: &config::Unit,
    said: &config::Uplink,
    clock: &Clock,
    store: &Store,
    parts: Parts,
) -> Result<[JoinHandle<()>; 2], ServiceError> {
    let Parts { audit, orders: (orders, done), mut told, trust, key, news, status, health, topology, stop } = parts;
    let topics = Topics::new(&unit.utility, &unit.id)?;
    let now = clock.now();
    info!(key = %key.id(), broker = %said.broker, "device key");
    status.send_modify(|status| {
        status.is_configured = true;
        let scheme = if said.tls.is_some() { "mqtts" } else { "mqtt" };
        status.broker = Some(format!("{scheme}://{}", said.broker));
        status.acknowledge = Some(
            match said.acknowledge {
                Acknowledge::HeadEnd { .. } => "head-end",
                Acknowledge::Broker => "broker",
            }
            .to_owned(),
        );
    });
    let (topic, payload) = status::will(&topics, store.epoch(), key.id(), now);
    let will = mqtt::Publication { topic, payload, retain: true, content_type: Some(crate::uplink::PROTOBUF) };
    let stop_driver = CancellationToken::new();
    let (door, events, driver) = mqtt::open(settings::mqtt(said, &topics, clock, will), random(), stop_driver.clone());
    let start = crate::uplink::Start {
        epoch: store.epoch(),
        heads: store.heads(),
        random: random(),
        commands: orders.known(),
        orders: super::orders::standings(&told.borrow_and_update()),
    };
    let uplink = Uplink::new(settings::uplink(said), topics.clone(), trust, key, &start, now);
    let (clock, store) = (clock.reader(), store.clone());
    let task = Task {
        uplink,
        store,
        audit,
        orders,
        done,
        told,
        clock,
        door,
        status,
        health,
        topology,
        topology_pace: said.topology_interval,
        topics,
        connection: None,
    };
    // The driver outlives the task: the goodbye still goes through it.
    let task = tokio::spawn(async move {
        task.run(events, news, stop).await;
        stop_driver.cancel();
    });
    Ok([task, driver])
}
