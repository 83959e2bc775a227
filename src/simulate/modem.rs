//! The emulated G3-PLC modem on a pseudo terminal, with its nodes behind it. It outlives the service, and keeps its power.

#![expect(clippy::disallowed_methods, reason = "the modem's clock")]

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plc::sim::Modem;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

use super::pty::{Line, Master};
use super::receiver::{Error, Link};

/// A running modem; it ends, and takes its link along, when this is dropped.
#[derive(Debug)]
pub struct EmulatedModem {
    modem: Arc<Mutex<Modem>>,
    path: PathBuf,
    task: JoinHandle<()>,
}

impl EmulatedModem {
    /// Puts a modem on a terminal of its own, and a link to it where one is asked for. It runs on the current tokio
    /// runtime.
    ///
    /// # Errors
    /// There is no terminal to be had, or the link is in the way of another file.
    pub fn open(modem: Modem, link: Option<&Path>) -> Result<Self, Error> {
        let (master, terminal) = Master::new().map_err(Error::Terminal)?;
        let made = link.map(|link| Link::make(link, &terminal)).transpose()?;
        let path = link.map_or(terminal, Path::to_owned);
        let modem = Arc::new(Mutex::new(modem));
        let shared = Arc::clone(&modem);
        let task = tokio::spawn(async move {
            let _link = made;
            run(master, &shared).await;
        });
        Ok(Self { modem, path, task })
    }

    /// What the service opens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The modem itself, to look at it and to do things to it.
    pub fn modem(&self) -> MutexGuard<'_, Modem> {
        lock(&self.modem)
    }
}

impl Drop for EmulatedModem {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut master: Master, modem: &Mutex<Modem>) {
    loop {
        if master.is_open() {
            let Ok(line) = master.connect() else { return };
            speak(&line, modem).await;
            master = line.disconnect();
        } else {
            // Time goes on for the nodes; what the modem says, nobody hears.
            let mut modem = lock(modem);
            modem.handle_timeout(Instant::now());
            while modem.poll_transmit().is_some() {}
        }
        // The terminal does not tell when it is opened, so it is asked.
        sleep(LOOK_INTERVAL).await;
    }
}

/// Carries octets both ways until somebody closes the port.
async fn speak(line: &Line, modem: &Mutex<Modem>) {
    let mut buf = vec![0; 4096];
    let mut outgoing: Vec<u8> = Vec::new();
    loop {
        let due = {
            let mut modem = lock(modem);
            modem.handle_timeout(Instant::now());
            while let Some(octets) = modem.poll_transmit() {
                outgoing.extend(octets);
            }
            modem.poll_timeout()
        };
        let wakes = async {
            match due {
                // Somebody may do something to it meanwhile.
                Some(due) => sleep_until(due.min(Instant::now() + LOOK_INTERVAL).into()).await,
                None => sleep(LOOK_INTERVAL).await,
            }
        };
        let writes = async { if outgoing.is_empty() { pending().await } else { line.write(&outgoing).await } };
        tokio::select! {
            read = line.read(&mut buf) => match read {
                Ok(count @ 1..) => lock(modem).handle_bytes(buf.get(..count).unwrap_or_default(), Instant::now()),
                Ok(0) | Err(_) => return,
            },
            written = writes => match written {
                Ok(count) => drop(outgoing.drain(..count)),
                Err(_) => return,
            },
            () = wakes => {}
        }
    }
}

fn lock(modem: &Mutex<Modem>) -> MutexGuard<'_, Modem> {
    modem.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
