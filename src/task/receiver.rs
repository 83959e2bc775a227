//! Drives one Wireless M-Bus receiver, wherever its octets come from, and hands on what it hears.
//!
//! A source that goes away is opened again, with a pause that grows; so is one whose receiver gives up. A full
//! channel stops the reading, and so the port, not the receiver: nothing is dropped here that is not counted.

mod datagrams;
mod source;

#[cfg(test)]
mod tests;

use std::future::pending;
use std::mem::Discriminant;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, trace, warn};
use wmbus::receiver::auto::Auto;
use wmbus::receiver::{Counters, Event, Failure, Identity, Kind, Mode, Receiver};

use super::backoff::Backoff;
use super::chain;
use crate::clock::{Now, ReadClock};

pub use source::{Error as SourceError, Source};

/// One receiver as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The receiver's name in the configuration, the log and the readings.
    pub name: Arc<str>,
    pub kind: &'static Kind,
    /// What it is told to listen to, where it can be told.
    pub mode: Mode,
    pub source: Source,
}

/// One frame and how it was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub receiver: Arc<str>,
    /// L field first.
    pub frame: Vec<u8>,
    /// What the receiver leaves of the CRCs, where it is known.
    pub form: Option<wmbus::Form>,
    pub rssi_dbm: Option<i16>,
    /// When its last octet was read.
    pub at: Now,
}

/// What is known of a receiver, for whoever asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub state: State,
    pub since: Now,
    /// Why it does not listen, with the whole chain; None while it does.
    pub error: Option<String>,
    /// Who it said that it was, last time.
    pub identity: Identity,
    pub last_heard: Option<Now>,
    /// Since the start of the service.
    pub counters: Counters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The source is not there; it is tried again and again.
    Absent,
    /// The source is open, the receiver does not answer yet.
    Starting,
    Receiving,
}

impl Status {
    pub fn new(now: Now) -> Self {
        Self {
            state: State::Absent,
            since: now,
            error: None,
            identity: Identity::default(),
            last_heard: None,
            counters: Counters::default(),
        }
    }
}

/// Drives the receiver until `stop`, or until nobody takes what it hears. `seed` decides the jitter of its pauses.
///
/// Frames that were read before `stop` are still handed on: empty the channel, or drop its other end.
pub async fn run(
    settings: Settings,
    seed: u64,
    clock: ReadClock,
    heard: mpsc::Sender<Heard>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) {
    let backoff = Backoff::new(PAUSE_FIRST, settings.source.longest_pause(), seed);
    let mut driver = Driver {
        settings,
        clock,
        heard,
        status,
        stop,
        backoff,
        counted: Counters::default(),
        trouble: None,
        is_looked_at: false,
    };
    while let Err(error) = driver.connect_and_listen().await {
        let error = driver.who_else(error).await;
        let pause = driver.lose(&error);
        tokio::select! {
            biased;
            () = driver.stop.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the source ended")]
    Ended,
    #[error("read")]
    Read(#[source] std::io::Error),
    #[error("write")]
    Write(#[source] std::io::Error),
    #[error("change the speed")]
    Speed(#[source] std::io::Error),
    #[error("receiver is of no use")]
    Receiver(#[source] Failure),
}

struct Driver {
    settings: Settings,
    clock: ReadClock,
    heard: mpsc::Sender<Heard>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
    backoff: Backoff,
    /// By the machines of earlier connections.
    counted: Counters,
    /// What the log said last, until the receiver listens again.
    trouble: Option<Discriminant<Error>>,
    /// It has listened, or it was asked what it is instead.
    is_looked_at: bool,
}

impl Driver {
    /// One connection, from opening the source to losing it. Ok when there is nothing left to do.
    async fn connect_and_listen(&mut self) -> Result<(), Error> {
        let mut source = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(()),
            source = self.settings.source.open() => source?,
        };
        let now = (self.clock)();
        self.enter(State::Starting, now);
        let mut machine = (self.settings.kind.open)(self.settings.mode, now.mono);
        let end = self.listen(&mut source, machine.as_mut(), now).await;
        self.count(machine.as_ref());
        self.counted.add(machine.counters());
        source.close().await;
        end
    }

    /// What the configured receiver does not answer, another one may: then the error is its name. Asked once for each
    /// time that it was plugged in, and not of one that has listened already: it has only hung.
    async fn who_else(&mut self, error: Error) -> Error {
        let is_mute = matches!(error, Error::Receiver(Failure::Mute(_)));
        if !matches!(error, Error::Receiver(_)) {
            self.is_looked_at = false;
        }
        let Source::Serial { baud, .. } = self.settings.source else { return error };
        if !is_mute || std::mem::replace(&mut self.is_looked_at, true) {
            return error;
        }
        info!(port = %self.settings.name, kind = self.settings.kind.name, "receiver is mute, look for another kind");
        let Ok(mut source) = self.settings.source.open().await else { return error };
        let now = (self.clock)();
        let mut machine = Auto::name(self.settings.kind, baud, now.mono);
        let end = self.listen(&mut source, &mut machine, now).await;
        source.close().await;
        match end {
            Err(other @ Error::Receiver(Failure::Other { .. })) => other,
            _ => error,
        }
    }

    async fn listen(
        &mut self,
        source: &mut source::Open,
        machine: &mut dyn Receiver,
        opened: Now,
    ) -> Result<(), Error> {
        let mut buf = Vec::with_capacity(PORTION);
        let mut now = opened;
        let mut speed = None;
        loop {
            let baud = machine.baud();
            if let Some(baud) = baud.filter(|_| baud != speed) {
                source.port.set_baud(baud).map_err(Error::Speed)?;
                speed = Some(baud);
            }
            while let Some(octets) = machine.poll_transmit() {
                trace!(port = %self.settings.name, octets = %hex::encode(&octets), "send");
                let written = timeout(WRITE_TIME, source.port.write_all(&octets)).await;
                written.map_err(std::io::Error::from).and_then(|written| written).map_err(Error::Write)?;
            }
            while let Some(event) = machine.poll_event() {
                match event {
                    Event::Ready(identity) => self.ready(identity, now),
                    Event::Telegram { frame, form, rssi_dbm } => {
                        self.proven();
                        let receiver = Arc::clone(&self.settings.name);
                        if self.heard.send(Heard { receiver, frame, form, rssi_dbm, at: now }).await.is_err() {
                            return Ok(());
                        }
                        self.status.send_modify(|status| status.last_heard = Some(now));
                    }
                    Event::Failed(failure) => return Err(Error::Receiver(failure)),
                }
            }
            self.count(machine);
            // Octets before the timeout: after a pause of ours the answer may be there already.
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                read = source.port.read_buf(&mut buf) => {
                    if read.map_err(Error::Read)? == 0 {
                        return Err(Error::Ended);
                    }
                    now = (self.clock)();
                    trace!(port = %self.settings.name, octets = %hex::encode(&buf), "receive");
                    machine.handle_bytes(&buf, now.mono);
                    buf.clear();
                }
                () = until(machine.poll_timeout()) => {
                    now = (self.clock)();
                    machine.handle_timeout(now.mono);
                }
            }
        }
    }

    fn ready(&mut self, identity: Identity, now: Now) {
        self.status.send_modify(|status| status.identity = identity);
        self.enter(State::Receiving, now);
        let Identity { uid, firmware, mode, kind } = identity;
        let uid = uid.map(|uid| format!("{uid:08x}"));
        let listens_to = mode.map(Mode::name);
        info!(port = %self.settings.name, uid, firmware, mode = listens_to, kind, "receiver listens");
        // A source without a handshake has not shown yet that anything works.
        if identity.mode.is_some() {
            self.is_looked_at = true;
            self.proven();
        }
    }

    fn proven(&mut self) {
        self.backoff.reset();
        if self.trouble.take().is_some() {
            warn!(port = %self.settings.name, "receiver is back");
        }
    }

    /// Says that the receiver is lost, and for how long to leave it alone.
    fn lose(&mut self, error: &Error) -> Duration {
        let pause = self.backoff.next_delay();
        let chain = chain(error);
        let kind = std::mem::discriminant(error);
        if self.trouble.replace(kind) == Some(kind) {
            debug!(port = %self.settings.name, err = %chain, backoff = ?pause, "receiver still lost");
        } else {
            warn!(port = %self.settings.name, err = %chain, backoff = ?pause, "receiver lost");
        }
        self.enter(State::Absent, (self.clock)());
        self.status.send_modify(|status| status.error = Some(chain));
        pause
    }

    fn enter(&self, state: State, now: Now) {
        self.status.send_modify(|status| {
            if status.state != state {
                status.state = state;
                status.since = now;
            }
            if state == State::Receiving {
                status.error = None;
            }
        });
    }

    fn count(&self, machine: &dyn Receiver) {
        self.status.send_modify(|status| {
            status.counters.clone_from(&self.counted);
            status.counters.add(machine.counters());
        });
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}

const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// A request is a few octets; a port that does not take them is stuck.
const WRITE_TIME: Duration = Duration::from_secs(5);
const PORTION: usize = 4096;
