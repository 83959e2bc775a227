//! The task behind an emulated receiver: it moves octets between the module's state machine and the terminal.

#![expect(clippy::disallowed_methods, reason = "the module's clock")]

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, sleep_until};
use wmbus::sim::{Emulator, Nature};

use super::{Aired, Command, Error, Link, Options, Outcome, State};
use crate::simulate::pty::{Line, Master};

pub(super) struct Stick {
    options: Options,
    /// None while it is pulled out.
    port: Option<(Master, Option<Link>)>,
    module: Box<dyn Emulator>,
    is_hung: bool,
    state: watch::Sender<State>,
    path: watch::Sender<PathBuf>,
    aired: mpsc::Sender<Aired>,
}

/// How the time in which the port was open ended.
enum End {
    Closed,
    Unplugged(oneshot::Sender<()>),
    Dropped,
}

/// A telegram on its way into the port.
struct Sending {
    outcome: Outcome,
    reply: oneshot::Sender<Outcome>,
}

impl Stick {
    pub(super) fn plugged_in(
        options: Options,
        aired: mpsc::Sender<Aired>,
    ) -> Result<(Self, watch::Receiver<State>, watch::Receiver<PathBuf>), Error> {
        let (state, states) = watch::channel(State::Closed);
        let (path, paths) = watch::channel(PathBuf::new());
        let module = module(&options);
        let mut stick = Self { options, port: None, module, is_hung: false, state, path, aired };
        stick.plug_in()?;
        Ok((stick, states, paths))
    }

    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Command>) {
        loop {
            match self.port.take() {
                Some((master, link)) if master.is_open() => {
                    let Ok(line) = master.connect() else { return };
                    let end = self.while_open(&line, &mut orders).await;
                    match end {
                        End::Closed => self.port = Some((line.disconnect(), link)),
                        End::Unplugged(done) => {
                            drop((line, link));
                            self.pull_out(done);
                        }
                        End::Dropped => return,
                    }
                }
                port => {
                    self.port = port;
                    self.show();
                    // The terminal does not tell when it is opened, so it is asked.
                    tokio::select! {
                        () = sleep(LOOK_INTERVAL), if self.port.is_some() => {}
                        order = orders.recv() => match order {
                            Some(Command::Send { outcome, .. }) => {
                                let _ = outcome.send(Outcome::Deaf);
                            }
                            Some(Command::Unplug { done }) => {
                                self.port = None;
                                self.pull_out(done);
                            }
                            Some(Command::Plug { done }) => {
                                let _ = done.send(self.plug_in());
                            }
                            Some(Command::Hang { done }) => self.hang(done),
                            None => return,
                        },
                    }
                }
            }
        }
    }

    fn plug_in(&mut self) -> Result<(), Error> {
        if self.port.is_some() {
            return Ok(());
        }
        let (master, terminal) = Master::new().map_err(Error::Terminal)?;
        let link = self.options.link.as_deref().map(|link| Link::make(link, &terminal)).transpose()?;
        self.path.send_replace(self.options.link.clone().unwrap_or(terminal));
        self.port = Some((master, link));
        self.show();
        Ok(())
    }

    /// Without its supply the module forgets what it was told.
    fn pull_out(&mut self, done: oneshot::Sender<()>) {
        self.module = module(&self.options);
        self.is_hung = false;
        self.show();
        let _ = done.send(());
    }

    fn hang(&mut self, done: oneshot::Sender<()>) {
        self.is_hung = true;
        let _ = done.send(());
    }

    /// Shows the state of a port that is not open.
    fn show(&self) {
        let state = if self.port.is_some() { State::Closed } else { State::Unplugged };
        self.state.send_if_modified(|shown| std::mem::replace(shown, state) != state);
    }

    /// At another speed than the module's, both sides read something else than was written.
    fn at_speed(&self, line: &Line, octets: Vec<u8>) -> Vec<u8> {
        let speed = self.options.kind.baud;
        let is_right = speed == 0 || line.baud().is_none_or(|baud| baud == speed);
        if is_right { octets } else { octets.into_iter().map(|octet| octet.rotate_left(3) ^ 0x5a).collect() }
    }

    async fn while_open(&mut self, line: &Line, orders: &mut mpsc::Receiver<Command>) -> End {
        let mut buf = [0; PORTION];
        let mut out = VecDeque::new();
        let mut sending: Option<Sending> = None;
        let end = loop {
            while let Some(frame) = self.module.poll_air() {
                // Nobody listens to the air, or not fast enough: the frame is gone, as it would be.
                let _ = self.aired.try_send(Aired { frame, at: Instant::now() });
            }
            while let Some(octets) = self.module.poll_transmit() {
                out.push_back(self.at_speed(line, octets));
            }
            let state = State::Open(self.module.mode().filter(|mode| mode.hears(self.options.sent)));
            self.state.send_if_modified(|shown| std::mem::replace(shown, state) != state);
            if out.is_empty() {
                if let Some(Sending { outcome, reply }) = sending.take() {
                    let _ = reply.send(outcome);
                }
            }
            let stall = self.module.poll_timeout();
            tokio::select! {
                read = line.read(&mut buf) => match read {
                    Ok(length) if length > 0 && self.is_hung => {}
                    Ok(length) if length > 0 => {
                        let octets = self.at_speed(line, buf.get(..length).unwrap_or_default().to_vec());
                        self.module.handle_bytes(&octets, Instant::now());
                    }
                    // Input/output error: the last one who had it open closed it.
                    _ => break End::Closed,
                },
                written = write_first(line, &mut out), if !out.is_empty() => {
                    if written.is_err() {
                        break End::Closed;
                    }
                }
                order = orders.recv(), if out.is_empty() => match order {
                    Some(Command::Send { outcome: reply, .. }) if self.is_hung => {
                        let _ = reply.send(Outcome::Deaf);
                    }
                    Some(Command::Send { frame, rssi_dbm, outcome: reply }) => {
                        let outcome = self.module.hear(&frame, self.options.sent, rssi_dbm, Instant::now());
                        sending = Some(Sending { outcome, reply });
                    }
                    Some(Command::Unplug { done }) => break End::Unplugged(done),
                    Some(Command::Plug { done }) => {
                        let _ = done.send(Ok(()));
                    }
                    Some(Command::Hang { done }) => self.hang(done),
                    None => break End::Dropped,
                },
                () = until(stall) => self.module.handle_timeout(Instant::now()),
            }
        };
        if let Some(Sending { reply, .. }) = sending {
            let _ = reply.send(Outcome::Deaf);
        }
        end
    }
}

/// Writes of the first portion what there is room for. Cancelled, it has written nothing.
async fn write_first(line: &Line, out: &mut VecDeque<Vec<u8>>) -> io::Result<()> {
    let Some(first) = out.front_mut() else { return Ok(()) };
    let written = line.write(first).await?;
    first.drain(..written);
    if first.is_empty() {
        out.pop_front();
    }
    Ok(())
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}

fn module(options: &Options) -> Box<dyn Emulator> {
    let Options { uid, firmware, seed, .. } = *options;
    (options.kind.open)(Nature { uid, firmware, faults: options.faults.clone(), seed }, Instant::now())
}

/// How often a closed port is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
const PORTION: usize = 512;
