//! The emulated receiver: one of many kinds on a pseudo terminal, which the service opens like a USB stick.
//!
//! It outlives the service, and as a stick it keeps its settings meanwhile. While nobody has the port open it hears
//! nothing. A full port holds the air up: a telegram counts as intact once the terminal took its last octet, and a
//! terminal keeps what it took for whoever opens it next.

pub mod play;
pub mod program;
mod stick;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use wmbus::receiver::Mode;
use wmbus::sim::{EmulatorKind, Faults};

pub use wmbus::sim::Outcome;

/// What the emulated receiver is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub kind: &'static EmulatorKind,
    /// A symbolic link to the terminal, which has another name each time.
    pub link: Option<PathBuf>,
    pub uid: u32,
    /// C1 and T1 at once needs more than 0x13.
    pub firmware: u8,
    /// In which mode the meters around it send.
    pub sent: Mode,
    pub faults: Faults,
    /// What the faults are drawn from.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kind: EmulatorKind::named("im871a").expect("it is in the list"),
            link: None,
            uid: 0x0012_3456,
            firmware: 0x14,
            sent: Mode::T1,
            faults: Faults::default(),
            seed: 1,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("open a pseudo terminal")]
    Terminal(#[source] std::io::Error),
    #[error("link {} to the pseudo terminal", .path.display())]
    Link {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// What the outside of the stick shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is not in its socket.
    Unplugged,
    /// Nobody has its port open.
    Closed,
    /// Its port is open, and it listens to this, if to anything.
    Open(Option<Mode>),
}

/// A running emulated receiver; it ends, and takes its link along, when this is dropped.
#[derive(Debug)]
pub struct EmulatedReceiver {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    path: watch::Receiver<PathBuf>,
    air: Option<mpsc::Receiver<Aired>>,
    task: JoinHandle<()>,
}

/// A frame that the service has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aired {
    /// L first, without CRCs.
    pub frame: Vec<u8>,
    /// When its first octet is on the air.
    pub at: Instant,
}

enum Command {
    Send { frame: Vec<u8>, rssi_dbm: i16, outcome: oneshot::Sender<Outcome> },
    Unplug { done: oneshot::Sender<()> },
    Plug { done: oneshot::Sender<Result<(), Error>> },
    Hang { done: oneshot::Sender<()> },
}

impl EmulatedReceiver {
    /// Plugs one in. It runs on the current tokio runtime.
    ///
    /// # Errors
    /// When there is no terminal to be had, or the link is in the way of another file.
    pub fn open(options: Options) -> Result<Self, Error> {
        let (commands, orders) = mpsc::channel(1);
        let (aired, air) = mpsc::channel(AIRED);
        let (stick, state, path) = stick::Stick::plugged_in(options, aired)?;
        let task = tokio::spawn(stick.run(orders));
        Ok(Self { commands, state, path, air: Some(air), task })
    }

    /// What the service sends from now on; None where somebody listens already. Who does not read misses frames.
    pub fn air(&mut self) -> Option<mpsc::Receiver<Aired>> {
        self.air.take()
    }

    /// What the service opens: the link where there is one, else the terminal itself.
    pub fn path(&self) -> PathBuf {
        self.path.borrow().clone()
    }

    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until the service has set it up.
    pub async fn listening(&self) {
        // The sender lives as long as the task, and the task as long as this.
        let _ = self.state.clone().wait_for(|state| matches!(state, State::Open(Some(_)))).await;
    }

    /// Puts a frame on the air, L field first and without CRCs, and waits until the port took all of it.
    pub async fn send(&self, frame: Vec<u8>, rssi_dbm: i16) -> Outcome {
        let (outcome, became) = oneshot::channel();
        if self.commands.send(Command::Send { frame, rssi_dbm, outcome }).await.is_err() {
            return Outcome::Deaf;
        }
        became.await.unwrap_or(Outcome::Deaf)
    }

    /// Pulls it out: its port is gone, and so are its settings.
    pub async fn unplug(&self) {
        let (done, is_done) = oneshot::channel();
        let _ = self.commands.send(Command::Unplug { done }).await;
        let _ = is_done.await;
    }

    /// Its firmware hangs: it neither hears nor answers until it is plugged in again.
    pub async fn hang(&self) {
        let (done, is_done) = oneshot::channel();
        let _ = self.commands.send(Command::Hang { done }).await;
        let _ = is_done.await;
    }

    /// Plugs it in again; without a link its path may be another one then.
    ///
    /// # Errors
    /// As `open`.
    pub async fn plug_in(&self) -> Result<(), Error> {
        let (done, is_done) = oneshot::channel();
        let _ = self.commands.send(Command::Plug { done }).await;
        is_done.await.unwrap_or(Ok(()))
    }
}

/// Frames on the air that nobody has read yet.
const AIRED: usize = 64;

impl Drop for EmulatedReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A symbolic link of ours, taken away at the end.
#[derive(Debug)]
pub(super) struct Link(PathBuf);

impl Link {
    /// Points `path` at `target`, in place of an older link.
    pub(super) fn make(path: &Path, target: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Link { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_symlink() => std::fs::remove_file(path).map_err(failed)?,
            // Anything else makes the next step fail, and stays.
            _ => {}
        }
        std::os::unix::fs::symlink(target, path).map_err(failed)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
