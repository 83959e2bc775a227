//! The consumer: hears batches, makes them durable, and only then acknowledges: to the unit with a signature, to the
//! broker with a PUBACK. Killed at any moment it loses nothing: what it did not acknowledge comes again.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::archive::ArchiveError;
use super::intake::{Arrival, Counts, Intake, Taken};
use crate::task::mqtt::{self, Connected, Door, Event, Message, Publication, Reason, Settings, Shut};
use crate::uplink::{Topic, Topics};
use crate::wire::signed::{self, PrivateKey};

/// What a watcher listens to and whom it tells.
#[derive(Debug)]
pub struct Options {
    /// The broker; the watcher fills in its subscriptions.
    pub broker: Settings,
    /// Members of one group share the batches.
    pub group: Option<String>,
    /// None: every utility.
    pub utility: Option<String>,
    /// Signs acknowledgements; None: only looks.
    pub ingest: Option<PrivateKey>,
    pub intake: Intake,
    /// Decides the jitter between attempts to connect.
    pub seed: u64,
}

/// Called with each batch, after it is durable and before it is acknowledged. An error ends the watcher without an
/// acknowledgement.
pub type OnArrival = Box<dyn FnMut(&Arrival) -> io::Result<()> + Send>;

/// A running watcher; [`Watcher::stop`] ends it.
#[derive(Debug)]
pub struct Watcher {
    stop: CancellationToken,
    news: watch::Receiver<News>,
    task: JoinHandle<Result<Intake, WatchError>>,
}

/// How a watcher is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// The broker answered its subscriptions.
    pub is_subscribed: bool,
    pub counts: Counts,
    /// The last thing that went wrong, in one line.
    pub trouble: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("hand over what arrived")]
    Arrival(#[source] io::Error),
    #[error("connect to the broker")]
    Setup(#[source] Reason),
    #[error("the watcher broke down")]
    Broken,
}

impl Watcher {
    /// Connects and works until it is stopped, within a tokio runtime.
    pub fn open(options: Options, on_arrival: OnArrival) -> Self {
        let stop = CancellationToken::new();
        let (news, heard) = watch::channel(News::default());
        let task = tokio::spawn(run(options, on_arrival, news, stop.clone()));
        Self { stop, news: heard, task }
    }

    /// How it is, now and later.
    pub fn news(&self) -> watch::Receiver<News> {
        self.news.clone()
    }

    /// Waits until the broker has taken the subscriptions; false where the watcher ended before.
    pub async fn subscribed(&mut self) -> bool {
        self.news.wait_for(|news| news.is_subscribed).await.is_ok()
    }

    /// Ends it; what was taken is committed and acknowledged first.
    pub async fn stop(self) -> Result<Intake, WatchError> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(self) -> Result<Intake, WatchError> {
        self.task.await.unwrap_or(Err(WatchError::Broken))
    }

    /// What ends it from elsewhere.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends it at once, as a kill would: nothing is committed or acknowledged any more.
    pub fn kill(self) {
        self.task.abort();
    }
}

async fn run(
    mut options: Options,
    on_arrival: OnArrival,
    news: watch::Sender<News>,
    stop: CancellationToken,
) -> Result<Intake, WatchError> {
    let filters =
        [Topics::all_batches(options.utility.as_deref()), Topics::all_checkpoints(options.utility.as_deref())];
    options.broker.subscriptions = match &options.group {
        None => filters.into(),
        Some(group) => filters.map(|filter| format!("$share/{group}/{filter}")).into(),
    };
    if options.group.is_some() {
        // What a dead member's session holds nobody else would get; so no session.
        options.broker.clean_start = true;
        options.broker.session_expiry = Duration::ZERO;
    }
    let broker_stop = CancellationToken::new();
    // However this ends, the driver ends with it.
    let _guard = broker_stop.clone().drop_guard();
    let (door, events, driver) = mqtt::open(options.broker, options.seed, broker_stop.clone());
    let desk = Desk {
        door,
        ingest: options.ingest,
        intake: Some(options.intake),
        on_arrival: Some(on_arrival),
        outbox: VecDeque::new(),
        connected: None,
        in_flight: 0,
        last_id: 0,
        news,
    };
    let ended = desk.work(events, stop).await;
    broker_stop.cancel();
    let _ = driver.await;
    ended
}

struct Desk {
    door: Door,
    ingest: Option<PrivateKey>,
    /// Away while a commit runs.
    intake: Option<Intake>,
    on_arrival: Option<OnArrival>,
    /// Acknowledgements that are not with the broker yet.
    outbox: VecDeque<Publication>,
    connected: Option<Connected>,
    in_flight: u16,
    last_id: u64,
    news: watch::Sender<News>,
}

impl Desk {
    async fn work(mut self, mut events: mpsc::Receiver<Event>, stop: CancellationToken) -> Result<Intake, WatchError> {
        let mut stopping = false;
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    None
                }
                event = events.recv() => match event {
                    Some(event) => Some(event),
                    None => break,
                },
            };
            let mut messages = Vec::new();
            if let Some(event) = event {
                self.event(event, &mut messages)?;
            }
            // What has arrived meanwhile shares the commit.
            while messages.len() < MOST_MESSAGES && !stopping {
                let Ok(event) = events.try_recv() else { break };
                self.event(event, &mut messages)?;
            }
            if !messages.is_empty() {
                self.commit(messages).await?;
            }
            self.publish();
            let is_done = self.outbox.is_empty() && self.in_flight == 0;
            if stopping && (is_done || self.connected.is_none()) {
                break;
            }
        }
        self.intake.take().ok_or(WatchError::Broken)
    }

    fn event(&mut self, event: Event, messages: &mut Vec<Message>) -> Result<(), WatchError> {
        match event {
            Event::Connected(connected) => {
                self.connected = Some(connected);
                self.in_flight = 0;
            }
            Event::Subscribed => self.tell(|news| news.is_subscribed = true),
            Event::SubscriptionRefused { filter, reason } => {
                self.tell(|news| news.trouble = Some(format!("the broker refuses {filter}: {reason}")));
            }
            Event::Message(message) => messages.push(message),
            Event::PubAck { .. } => self.in_flight = self.in_flight.saturating_sub(1),
            Event::Sent { .. } => {}
            Event::Disconnected { reason, .. } => {
                self.connected = None;
                // Wrong files do not mend themselves while somebody waits at a terminal.
                if matches!(reason, Reason::Setup(_) | Reason::Plaintext { .. }) {
                    return Err(WatchError::Setup(reason));
                }
                self.tell(|news| {
                    news.is_subscribed = false;
                    news.trouble = Some(crate::task::chain(&reason));
                });
            }
        }
        Ok(())
    }

    async fn commit(&mut self, messages: Vec<Message>) -> Result<(), WatchError> {
        let (Some(mut intake), Some(mut on_arrival)) = (self.intake.take(), self.on_arrival.take()) else {
            return Err(WatchError::Broken);
        };
        let mut trouble = None;
        // The files' fdatasync must not hold up what else runs here.
        let work = tokio::task::spawn_blocking(move || {
            let mut arrivals = Vec::new();
            for message in &messages {
                match intake.take(&message.topic, &message.payload) {
                    Taken::New(arrival) | Taken::Known(arrival) => arrivals.push(arrival),
                    Taken::Conflict(text) | Taken::Rejected(text) => trouble = Some(text),
                    Taken::Checkpoint => {}
                }
            }
            let acks = intake.commit()?;
            arrivals.iter().try_for_each(&mut on_arrival).map_err(WatchError::Arrival)?;
            let tokens: Vec<_> = messages.into_iter().filter_map(|message| message.token).collect();
            Ok::<_, WatchError>((intake, on_arrival, acks, tokens, trouble))
        });
        let (intake, on_arrival, acks, tokens, trouble) = work.await.map_err(|_| WatchError::Broken)??;
        let counts = intake.counts;
        self.tell(|news| {
            news.counts = counts;
            news.trouble = trouble.or_else(|| news.trouble.take());
        });
        (self.intake, self.on_arrival) = (Some(intake), Some(on_arrival));
        if let Some(key) = &self.ingest {
            for (stream, ack) in acks {
                let Ok(topics) = Topics::new(&stream.utility, &stream.dcu) else { continue };
                let payload = Bytes::from(signed::sign(&ack, &[key]));
                let topic = topics.name(&Topic::Ack);
                if self.outbox.len() == MOST_WAITING {
                    // The unit publishes again what it has no acknowledgement for, and will be told then.
                    self.outbox.pop_front();
                }
                self.outbox.push_back(Publication { topic, payload, retain: false, content_type: None });
            }
        }
        // Also for what was rejected: it would come again for ever.
        tokens.into_iter().for_each(|token| {
            let _ = self.door.acknowledge(token);
        });
        Ok(())
    }

    /// Hands over what the window has room for.
    fn publish(&mut self) {
        let Some(Connected { connection, window, .. }) = self.connected else { return };
        while self.in_flight < window {
            let Some(publication) = self.outbox.pop_front() else { return };
            self.last_id += 1;
            match self.door.publish(connection, self.last_id, publication) {
                Ok(()) => self.in_flight += 1,
                Err(Shut::Full | Shut::Stopped) => return,
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        self.news.send_modify(change);
    }
}

/// Messages in one commit.
const MOST_MESSAGES: usize = 64;
/// Acknowledgements that wait for a connection.
const MOST_WAITING: usize = 4096;
