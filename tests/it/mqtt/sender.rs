//! Two ends that count: one publishes numbers and resends what has no PUBACK, the other writes down what comes.

use std::collections::BTreeSet;
use std::time::Duration;

use dcu::task::mqtt::{Connected, Event, PubAckReason, Settings};
use tokio::time::{Instant, timeout_at};

use super::{Client, LIMIT, TOPIC, publication};

pub(super) struct Sender {
    client: Client,
}

pub(super) struct Sent {
    pub connections: u64,
    /// Numbers that came to the broker while nobody listened, and were published again after later ones.
    pub unheard: BTreeSet<u64>,
}

impl Sender {
    pub(super) fn new(settings: Settings) -> Self {
        Self { client: Client::open(settings) }
    }

    /// Publishes 0 to `count`, every number until the broker has it, in order.
    pub(super) async fn deliver(&mut self, count: u64) -> Sent {
        let mut open: BTreeSet<u64> = (0..count).collect();
        let mut unheard = BTreeSet::new();
        let mut connected: Option<Connected> = None;
        let (mut next, mut in_flight, mut connections) = (0, 0, 0);
        while !open.is_empty() {
            if let Some(Connected { connection, window, .. }) = connected {
                while in_flight < window && next < count {
                    if open.contains(&next) {
                        let payload = next.to_string() + &"x".repeat(100);
                        self.client.door.publish(connection, next, publication(TOPIC, payload)).unwrap();
                        in_flight += 1;
                    }
                    next += 1;
                }
            }
            match self.client.next().await {
                Event::Connected(new) => {
                    connections += 1;
                    connected = Some(new);
                    next = *open.first().unwrap();
                    in_flight = 0;
                }
                Event::Disconnected { .. } => connected = None,
                Event::PubAck { id, reason: PubAckReason::Success } => {
                    open.remove(&id);
                    in_flight -= 1;
                }
                // Nobody listens yet: the head-end, too, comes back after an outage.
                Event::PubAck { id, reason: PubAckReason::NoMatchingSubscribers } => {
                    unheard.insert(id);
                    in_flight -= 1;
                    next = *open.first().unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Event::Sent { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        Sent { connections, unheard }
    }
}

pub(super) struct Receiving {
    client: Client,
    numbers: Vec<u64>,
}

pub(super) struct Received {
    pub duplicates: usize,
    numbers: Vec<u64>,
}

impl Receiving {
    /// Returns once the subscription stands.
    pub(super) async fn open(settings: Settings) -> Self {
        let mut client = Client::open(settings);
        client.subscribed().await;
        Self { client, numbers: Vec::new() }
    }

    /// Waits for 0 to `count`: nothing may be missing.
    pub(super) async fn all(mut self, count: u64) -> Received {
        let limit = Instant::now() + LIMIT;
        while self.distinct().len() < count as usize {
            assert!(self.take(limit).await, "{} of {count} arrived", self.distinct().len());
        }
        assert_eq!(self.distinct().len() as u64, count);
        Received { duplicates: self.numbers.len() - count as usize, numbers: self.numbers }
    }

    /// Takes what comes up to `last`: some may have died with the broker.
    pub(super) async fn until(mut self, last: u64) -> Received {
        let limit = Instant::now() + LIMIT;
        while self.numbers.last() != Some(&last) {
            assert!(self.take(limit).await, "{last} never arrived");
        }
        Received { duplicates: self.numbers.len() - self.distinct().len(), numbers: self.numbers }
    }

    async fn take(&mut self, limit: Instant) -> bool {
        let Ok(event) = timeout_at(limit, self.client.events.recv()).await else { return false };
        if let Some(Event::Message(message)) = event {
            if message.topic == TOPIC {
                let text = std::str::from_utf8(&message.payload).unwrap();
                self.numbers.push(text.trim_end_matches('x').parse().unwrap());
            }
            self.client.door.acknowledge(message.token.unwrap()).unwrap();
        }
        true
    }

    fn distinct(&self) -> BTreeSet<u64> {
        self.numbers.iter().copied().collect()
    }
}

impl Received {
    /// New numbers must have come in order, but for those that the broker had for nobody.
    #[track_caller]
    pub(super) fn check_order(&self, sent: &Sent) {
        let mut seen = sent.unheard.clone();
        let first_times: Vec<_> = self.numbers.iter().filter(|number| seen.insert(**number)).collect();
        assert!(first_times.is_sorted(), "a later number came before an earlier one");
    }
}
