//! Drives one Wireless M-Bus receiver, wherever its octets come from, and hands on what it hears.
//!
//! A source that goes away is opened again, with a pause that grows; so is one whose receiver gives up. A full
//! channel stops the reading, and so the port, not the receiver: nothing is dropped here that is not counted. One that
//! hears less than is expected of it is asked, reset, and opened anew, each only when the step before did not help.

mod datagrams;
mod outbox;
mod recovery;
mod source;
mod standing;
mod status;
mod traffic;
mod usb;

#[cfg(test)]
mod tests;

use std::future::pending;
use std::mem::Discriminant;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, trace, warn};
use wmbus::receiver::auto::Auto;
use wmbus::receiver::{Counters, Event, Failure, Kind, Mode, Receiver};

use super::backoff::Backoff;
use crate::clock::{Now, ReadClock};
use crate::journal::replace_file;

use outbox::Outbox;
pub use outbox::{At, Outgoing, Sending};
use recovery::Recovery;
pub use recovery::{Stage, Supervision};
pub use source::{Error as SourceError, Source};
pub(in crate::task) use source::{Open, Port};
pub use status::{Heard, State, Status};

/// One receiver as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The receiver's name in the configuration, the log and the readings.
    pub name: Arc<str>,
    pub kind: &'static Kind,
    /// What it is told to listen to, where it can be told.
    pub mode: Mode,
    pub source: Source,
    pub supervision: Supervision,
    /// Where what it usually hears is kept through restarts.
    pub learned: Option<PathBuf>,
}

/// Drives the receiver until `stop`, or until nobody takes what it hears. `seed` decides the jitter of its pauses.
///
/// Frames that were read before `stop` are still handed on: empty the channel, or drop its other end.
pub async fn run(
    settings: Settings,
    seed: u64,
    clock: ReadClock,
    heard: mpsc::Sender<Heard>,
    outgoing: mpsc::Receiver<Outgoing>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) {
    let backoff = Backoff::new(PAUSE_FIRST, settings.source.longest_pause(), seed);
    let is_spoken_to = !settings.kind.modes.is_empty();
    let mut driver = Driver {
        recovery: Recovery::new(settings.supervision, is_spoken_to, clock().mono),
        next: Stage::Reopen,
        device: None,
        settings,
        clock,
        heard,
        outgoing,
        outbox: Outbox::default(),
        status,
        stop,
        backoff,
        counted: Counters::default(),
        trouble: None,
        is_looked_at: false,
        other: None,
        hour: 0,
    };
    driver.recall().await;
    driver.drive().await;
    driver.keep_learned().await;
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
    /// And this is to be done about it.
    #[error("receiver hears less than expected")]
    Deaf(Stage),
}

struct Driver {
    settings: Settings,
    clock: ReadClock,
    heard: mpsc::Sender<Heard>,
    outgoing: mpsc::Receiver<Outgoing>,
    outbox: Outbox,
    status: watch::Sender<Status>,
    stop: CancellationToken,
    backoff: Backoff,
    /// By the machines of earlier connections.
    counted: Counters,
    /// What the log said last, until the receiver listens again.
    trouble: Option<Discriminant<Error>>,
    /// It has listened, or it was asked what it is instead.
    is_looked_at: bool,
    /// What answered when it was asked.
    other: Option<Failure>,
    recovery: Recovery,
    /// What is done with the next connection.
    next: Stage,
    /// The USB device behind the port, as long as it may be switched off and on.
    device: Option<PathBuf>,
    /// Up to which hour what was learned is kept.
    hour: u64,
}

impl Driver {
    /// Connects again and again, until there is nothing left to do.
    async fn drive(&mut self) {
        while let Err(error) = self.connect_and_listen().await {
            self.recovery.lost((self.clock)().mono);
            let error = self.who_else(error).await;
            let pause = self.lose(&error);
            self.next = self.step_after(&error);
            let stop = self.stop.clone();
            let pause = async {
                sleep(pause).await;
                if self.next == Stage::Reenumerate {
                    self.reenumerate().await;
                }
            };
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Goes on with what an earlier run learned of the traffic.
    async fn recall(&mut self) {
        let Some(path) = self.settings.learned.clone() else { return };
        let Ok(Ok(octets)) = spawn_blocking(move || std::fs::read(path)).await else { return };
        if !self.recovery.traffic().restore(&octets, (self.clock)()) {
            warn!(port = %self.settings.name, "what was learned of the traffic is damaged: it is learned anew");
        }
        self.hour = self.recovery.traffic().hour();
    }

    async fn keep_learned(&mut self) {
        self.hour = self.recovery.traffic().hour();
        let Some(path) = self.settings.learned.clone() else { return };
        let octets = self.recovery.traffic().emit((self.clock)());
        if let Ok(Err(error)) = spawn_blocking(move || replace_file(&path, &octets)).await {
            warn!(port = %self.settings.name, err = %error, "keep what was learned of the traffic");
        }
    }

    /// One connection, from opening the source to losing it. Ok when there is nothing left to do.
    async fn connect_and_listen(&mut self) -> Result<(), Error> {
        let mut source = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(()),
            source = self.settings.source.open() => source?,
        };
        let now = (self.clock)();
        // One that was lost is absent until it receives again: each try would hide it for a moment.
        if self.status.borrow().error.is_none() {
            self.enter(State::Starting, now);
        }
        self.remember_device();
        let mut machine = (self.settings.kind.open)(self.settings.mode, now.mono);
        if std::mem::replace(&mut self.next, Stage::Reopen) == Stage::Reset {
            self.took(Stage::Reset);
            machine.reset(now.mono);
        }
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
            (self.is_looked_at, self.other) = (false, None);
        }
        let Source::Serial { baud, .. } = self.settings.source else { return error };
        if !is_mute {
            return error;
        }
        if std::mem::replace(&mut self.is_looked_at, true) {
            // It is still the other one.
            return self.other.map_or(error, Error::Receiver);
        }
        info!(port = %self.settings.name, kind = self.settings.kind.name, "receiver is mute, look for another kind");
        let Ok(mut source) = self.settings.source.open().await else { return error };
        let now = (self.clock)();
        let mut machine = Auto::name(self.settings.kind, baud, now.mono);
        let end = self.listen(&mut source, &mut machine, now).await;
        source.close().await;
        match end {
            Err(Error::Receiver(other @ Failure::Other { .. })) => {
                self.other = Some(other);
                Error::Receiver(other)
            }
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
            let sends = self.take_outgoing(machine);
            while let Some(octets) = machine.poll_transmit() {
                trace!(port = %self.settings.name, octets = %hex::encode(&octets), "send");
                let written = timeout(WRITE_TIME, source.port.write_all(&octets)).await;
                written.map_err(std::io::Error::from).and_then(|written| written).map_err(Error::Write)?;
            }
            self.sent(&sends);
            while let Some(event) = machine.poll_event() {
                match event {
                    Event::Ready(identity) => self.ready(identity, now),
                    Event::Telegram { frame, form, rssi_dbm } => {
                        self.proven();
                        self.hears(now);
                        let receiver = Arc::clone(&self.settings.name);
                        if self.heard.send(Heard { receiver, frame, form, rssi_dbm, at: now }).await.is_err() {
                            return Ok(());
                        }
                        self.status.send_modify(|status| status.last_heard = Some(now));
                    }
                    Event::Sent(true) => {}
                    Event::Sent(false) => {
                        warn!(port = %self.settings.name, "module does not send a frame");
                        self.missed();
                    }
                    Event::Failed(failure) => return Err(Error::Receiver(failure)),
                }
            }
            self.count(machine);
            if self.recovery.traffic().hour() != self.hour {
                self.keep_learned().await;
            }
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
                Some(outgoing) = self.outgoing.recv() => self.outbox.put(outgoing),
                () = until(self.outbox.poll_timeout()) => {}
                () = until(machine.poll_timeout()) => {
                    now = (self.clock)();
                    machine.handle_timeout(now.mono);
                }
                () = until(self.recovery.poll_timeout()) => {
                    now = (self.clock)();
                    self.supervise(machine, now)?;
                }
            }
        }
    }

    /// Does the next thing about a receiver that hears less than it should, when it is time.
    fn supervise(&mut self, machine: &mut dyn Receiver, now: Now) -> Result<(), Error> {
        let Some(stage) = self.recovery.handle_timeout(now.mono) else { return Ok(()) };
        let expected = self.recovery.expected().unwrap_or(0.0);
        let silent = self.status.borrow().last_heard.map(|last| now.mono.saturating_duration_since(last.mono));
        warn!(port = %self.settings.name, stage = stage.name(), expected, ?silent, "receiver hears less than expected");
        match stage {
            Stage::Ping => machine.check(now.mono),
            Stage::Reset => machine.reset(now.mono),
            Stage::Reopen | Stage::Reenumerate => return Err(Error::Deaf(stage)),
        }
        self.took(stage);
        Ok(())
    }

    /// What is to be done with the connection after one that ended so.
    fn step_after(&mut self, error: &Error) -> Stage {
        let stage = match error {
            Error::Receiver(Failure::Mute(_) | Failure::Nobody) => self.recovery.mute(),
            Error::Deaf(stage) => *stage,
            _ => return Stage::Reopen,
        };
        if stage == Stage::Reopen {
            self.took(stage);
        }
        stage
    }

    fn took(&self, stage: Stage) {
        self.status.send_modify(|status| *status.recoveries.entry(stage).or_default() += 1);
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
