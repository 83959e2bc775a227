//! The task around the uplink's state machine: it passes on what broker and store say and does what the machine wants.
//!
//! What is to be published when is decided in `crate::uplink`; how octets reach the broker in `mqtt`.

mod orders;
mod start;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::block_in_place;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::audit::Recorder;
use super::mqtt::{self, Door, Publication};
use super::news::News;
use crate::clock::{Now, ReadClock};
use crate::control::UplinkStatus;
use crate::reading::{Event, LaneHead};
use crate::registry::Order;
use crate::store::{Batch, Body, Lane, Limit, Store, StoreError};
use crate::uplink::{Request, Snapshot, Topic, Topics, Uplink, status};
use crate::wire::v1;

use orders::Done;
pub(super) use orders::Orders;
pub(super) use start::{Parts, start};

/// Everything the task owns.
struct Task {
    uplink: Uplink,
    store: Store,
    audit: Recorder,
    orders: Orders,
    /// What of them is done.
    done: mpsc::Receiver<Done>,
    /// What meters are told.
    told: watch::Receiver<Vec<Order>>,
    clock: ReadClock,
    door: Door,
    status: watch::Sender<UplinkStatus>,
    /// What the desk has to tell of the unit.
    health: watch::Receiver<v1::Health>,
    /// What the desk sees of mesh networks.
    topology: watch::Receiver<Arc<Snapshot>>,
    topology_pace: Duration,
    topics: Topics,
    /// The number of the connection that stands.
    connection: Option<u64>,
}

impl Task {
    /// Runs until `stop`, and then until the broker has the unit's goodbye or does not answer.
    async fn run(
        mut self,
        mut broker: mpsc::Receiver<mqtt::Event>,
        mut news: watch::Receiver<News>,
        stop: CancellationToken,
    ) {
        self.sealed(&news.borrow_and_update().clone());
        loop {
            self.drain();
            let deadline = self.uplink.poll_timeout();
            tokio::select! {
                // What the broker says frees places in flight: it comes first.
                biased;
                event = broker.recv() => match event {
                    Some(event) => self.broker(event),
                    None => return,
                },
                () = stop.cancelled() => break,
                Some((id, outcome)) = self.done.recv() => self.uplink.handle_done(id, outcome, (self.clock)()),
                Ok(()) = news.changed() => {
                    let latest = news.borrow_and_update().clone();
                    self.sealed(&latest);
                }
                Ok(()) = self.told.changed() => {
                    let standings = orders::standings(&self.told.borrow_and_update());
                    self.uplink.handle_standings(&standings, (self.clock)());
                }
                Ok(()) = self.health.changed() => self.publish_health(),
                Ok(()) = self.topology.changed() => {
                    let snapshot = Arc::clone(&self.topology.borrow_and_update());
                    self.uplink.handle_topology(&snapshot, self.topology_pace, (self.clock)());
                }
                () = sleep_until(deadline.map_or_else(super::far, Into::into)) => self.uplink.handle_timeout((self.clock)()),
            }
        }
        self.goodbye(broker).await;
    }

    fn publish_health(&mut self) {
        let now = (self.clock)();
        let health = self.health.borrow_and_update().clone();
        let payload = status::health(&self.topics, self.uplink.figures(), health, now);
        self.uplink.publish(Topic::Health, payload, now);
    }

    /// Tells the broker that the unit stops, and waits until it has that.
    async fn goodbye(mut self, mut broker: mpsc::Receiver<mqtt::Event>) {
        if self.connection.is_none() {
            return;
        }
        self.uplink.stop((self.clock)());
        self.drain();
        let flying = async {
            while self.uplink.figures().in_flight > 0 && self.connection.is_some() {
                match broker.recv().await {
                    Some(event) => self.broker(event),
                    None => return,
                }
            }
        };
        if tokio::time::timeout(GOODBYE, flying).await.is_err() {
            debug!("broker does not acknowledge the goodbye");
        }
    }

    fn sealed(&mut self, news: &News) {
        let now = (self.clock)();
        for (lane, (epoch, last)) in &news.sealed {
            self.uplink.handle_sealed(*epoch, *lane, *last, now);
        }
    }

    fn broker(&mut self, event: mqtt::Event) {
        let now = (self.clock)();
        match event {
            mqtt::Event::Connected(connected) => {
                info!(session_present = connected.session_present, "broker connected");
                self.connection = Some(connected.connection);
                self.note(now, |status| {
                    status.is_connected = true;
                    status.error = None;
                });
                self.uplink.handle_broker(connected.maximum_packet_size, connected.session_present);
                self.uplink.handle_connected(connected.window, now);
            }
            mqtt::Event::Subscribed => debug!("subscribed"),
            mqtt::Event::Sent { id, .. } => debug!(publish = id, "sent"),
            mqtt::Event::PubAck { id, reason } => {
                debug!(publish = id, ?reason, "puback");
                self.uplink.handle_puback(id, reason.code(), now);
            }
            mqtt::Event::Message(message) => {
                self.uplink.handle_message(&message.topic, &message.payload, now);
                // What it asked for is recorded before the broker may forget it.
                self.drain();
                if let Some(token) = message.token {
                    if let Err(error) = self.door.acknowledge(token) {
                        debug!(err = %error, "acknowledge message");
                    }
                }
            }
            mqtt::Event::SubscriptionRefused { filter, reason } => {
                warn!(filter, reason, "broker refuses a subscription: no acknowledgement can come");
                self.status.send_modify(|status| status.error = Some(format!("subscription to {filter}: {reason}")));
            }
            mqtt::Event::Disconnected { reason, retry_in } => {
                let text = super::chain(&reason);
                if self.connection.take().is_some() {
                    warn!(err = %text, backoff = ?retry_in, "broker connection lost");
                } else if self.status.borrow().error.as_deref() != Some(&text) {
                    warn!(err = %text, backoff = ?retry_in, "broker unreachable");
                }
                self.note(now, |status| {
                    status.is_connected = false;
                    status.error = Some(text);
                });
                self.uplink.handle_disconnected(now);
            }
        }
    }

    /// Does everything the machine wants, until it wants nothing more.
    fn drain(&mut self) {
        let now = (self.clock)();
        loop {
            while let Some(kind) = self.uplink.poll_event() {
                let event = Event { received: now.received(), meter: None, kind };
                if let Err(error) =
                    block_in_place(|| self.store.append(vec![(Lane::Security, Body::Event(event))], None))
                {
                    warn!(err = %error, "record event");
                }
            }
            if let Some(request) = self.uplink.poll_request() {
                block_in_place(|| self.request(request, now));
            } else if let Some(publish) = self.uplink.poll_transmit() {
                let Some(connection) = self.connection else { continue };
                let id = publish.id;
                if publish.topic.contains("/batch/") {
                    self.status.send_modify(|status| status.last_publish_ms = Some(now.utc_ms));
                }
                let publication = Publication {
                    topic: publish.topic,
                    payload: publish.payload,
                    retain: publish.retain,
                    content_type: Some(publish.content_type),
                };
                if let Err(error) = self.door.publish(connection, id, publication) {
                    // The connection is about to be reported as gone; then it is published again.
                    debug!(publish = id, err = %error, "hand over publish");
                }
            } else {
                break;
            }
        }
        self.report(now);
    }

    fn request(&mut self, request: Request, now: Now) {
        let store = &self.store;
        let (id, batches) = match request {
            Request::Unacknowledged { id, lane, after, limit } => (id, store.unacknowledged(lane, after, some(limit))),
            Request::After { id, epoch, lane, after, limit } => {
                (id, store.batches_after(epoch, lane, after, some(limit)))
            }
            Request::Containing { id, epoch, lane, sequence } => {
                (id, store.batch(epoch, lane, sequence).map(|batch| batch.into_iter().collect()))
            }
            Request::Examine { id, epoch, lane, first, last } => {
                let is_acknowledged = store.is_acknowledged(epoch, lane, first, last);
                match store.batch(epoch, lane, last) {
                    Ok(batch) => {
                        let end = batch.filter(|batch| batch.last() == last).map(|batch| batch.hash);
                        self.uplink.handle_examined(id, is_acknowledged, end, now);
                    }
                    Err(error) => self.failed(id, &error, now),
                }
                return;
            }
            Request::Heads { id } => {
                let heads: Vec<LaneHead> = store.heads();
                self.uplink.handle_heads(id, &heads, self.audit.head(), now);
                return;
            }
            Request::Audit(entry) => return self.audit.record(&entry),
            Request::KeepCommand { id, kept } => {
                let is_durable = self.orders.keep(id, kept);
                return self.uplink.handle_kept(id, is_durable, now);
            }
            Request::ForgetCommands { until_ms } => {
                if self.orders.forget(until_ms) {
                    self.uplink.handle_forgotten(until_ms);
                }
                return;
            }
            Request::ResetJournal { id } => {
                let limits = self.orders.begin_anew(now.utc_ms);
                return self.uplink.handle_reset(id, limits, now);
            }
            Request::Order { id, operation, not_after_ms } => {
                return self.orders.order(id, operation, not_after_ms - now.utc_ms);
            }
            Request::Acknowledge { epoch, lane, ranges } => {
                if let Err(error) = store.acknowledge(epoch, lane, &ranges) {
                    warn!(err = %error, "mark as acknowledged");
                }
                self.status.send_modify(|status| status.last_acknowledged_ms = Some(now.utc_ms));
                return;
            }
        };
        self.batches(id, batches, now);
    }

    fn batches(&mut self, id: u64, batches: Result<Vec<Batch>, StoreError>, now: Now) {
        match batches {
            Ok(batches) => self.uplink.handle_batches(id, batches, now),
            Err(error) => self.failed(id, &error, now),
        }
    }

    fn failed(&mut self, id: u64, error: &StoreError, now: Now) {
        warn!(err = %super::chain(error), "read batches");
        self.uplink.handle_store_failure(id, now);
    }

    /// Writes a change of the connection's state into the status.
    fn note(&self, now: Now, change: impl FnOnce(&mut UplinkStatus)) {
        self.status.send_modify(|status| {
            let before = status.is_connected;
            change(status);
            if status.is_connected != before || status.since_ms.is_none() {
                status.since_ms = Some(now.utc_ms);
            }
        });
    }

    fn report(&self, _now: Now) {
        let figures = self.uplink.figures();
        let pauses = self.uplink.pauses();
        let paused = pauses.iter().map(|(lane, why)| format!("{lane}: {why}")).collect::<Vec<_>>().join(", ");
        self.status.send_if_modified(|status| {
            let new = UplinkStatus {
                published: figures.published,
                republished: figures.republished,
                in_flight: figures.in_flight,
                acknowledged: figures.acknowledged,
                refused_acknowledgements: figures.acks_refused,
                paused: (!paused.is_empty()).then_some(paused),
                ..status.clone()
            };
            let is_new = *status != new;
            *status = new;
            is_new
        });
    }
}

/// So many batches, and not more octets than a window of them may take.
fn some(batches: usize) -> Limit {
    Limit { batches, octets: WINDOW_OCTETS }
}

const WINDOW_OCTETS: usize = 256 << 10;
const GOODBYE: Duration = Duration::from_secs(2);
