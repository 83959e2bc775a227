//! The emulated receiver that is a program: what rtl_wmbus or rtl_433 would print, printed by a child of the service.
//!
//! The child hears the air over a socket, line by line, prints what the program would print, and confirms each line
//! once the service's pipe took it. Killed, it is started again by the service, as any program is.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream as Connection;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex as Turn, mpsc, watch};
use tokio::task::JoinHandle;
use wmbus::receiver::{Event, Mode, Receiver as _, hex::Hex};
use wmbus::sim::{Emulator, EmulatorKind, Faults, Nature};

use super::{Error, Outcome};

/// The air's end of the socket.
#[derive(Debug)]
pub struct EmulatedProgram {
    path: PathBuf,
    /// The child that is there.
    child: Turn<Option<UnixStream>>,
    children: watch::Receiver<Option<i32>>,
    /// A child that came after it.
    connected: Turn<mpsc::Receiver<UnixStream>>,
    listener: Mutex<Option<JoinHandle<()>>>,
    arrivals: mpsc::Sender<UnixStream>,
    shown: watch::Sender<Option<i32>>,
}

impl EmulatedProgram {
    /// Waits for a child on this socket.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (arrivals, connected) = mpsc::channel(1);
        let (shown, children) = watch::channel(None);
        let program = Self {
            path: path.to_owned(),
            child: Turn::new(None),
            children,
            connected: Turn::new(connected),
            listener: Mutex::new(None),
            arrivals,
            shown,
        };
        program.come_back()?;
        Ok(program)
    }

    /// Waits until a child hears the air.
    pub async fn listening(&self) {
        let _ = self.children.clone().wait_for(Option::is_some).await;
    }

    /// Lets the child hear a frame, and waits until it has printed it.
    pub async fn send(&self, frame: &[u8]) -> Outcome {
        let mut child = self.child.lock().await;
        if let Ok(newer) = self.connected.lock().await.try_recv() {
            *child = Some(newer);
        }
        let Some(stream) = child.as_mut() else { return Outcome::Deaf };
        match tell(stream, frame).await {
            Ok(()) => Outcome::Intact,
            Err(_) => {
                *child = None;
                self.shown.send_replace(None);
                Outcome::Deaf
            }
        }
    }

    /// Kills the child. Another one that the service starts finds no air.
    pub async fn kill(&self) {
        if let Some(listener) = self.listener.lock().expect("nobody panics with it").take() {
            listener.abort();
        }
        let _ = std::fs::remove_file(&self.path);
        let mut child = self.child.lock().await;
        let _ = self.connected.lock().await.try_recv();
        *child = None;
        if let Some(process) = self.shown.send_replace(None) {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
    }

    /// Lets a child hear the air again.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn come_back(&self) -> Result<(), Error> {
        let failed = |source| Error::Link { path: self.path.clone(), source };
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).map_err(failed)?;
        let (arrivals, shown) = (self.arrivals.clone(), self.shown.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let process = stream.peer_cred().ok().and_then(|peer| peer.pid());
                if arrivals.send(stream).await.is_err() {
                    return;
                }
                shown.send_replace(process);
            }
        });
        *self.listener.lock().expect("nobody panics with it") = Some(task);
        Ok(())
    }
}

impl Drop for EmulatedProgram {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get_mut().expect("nobody panics with it").take() {
            listener.abort();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn tell(stream: &mut UnixStream, frame: &[u8]) -> io::Result<()> {
    stream.write_all(format!("{}\n", ::hex::encode(frame)).as_bytes()).await?;
    stream.read_u8().await.map(drop)
}

/// What the child does: prints what it hears, in the words of the program, until its air or its reader is gone.
///
/// # Errors
/// When nobody reads what it prints any more.
pub fn print(kind: &EmulatorKind, air: Air, mut out: impl Write) -> io::Result<()> {
    let mut emulator = emulator(kind);
    let (lines, mut confirm, pace): (Box<dyn Read>, Option<Connection>, Duration) = match air {
        Air::Socket(path) => {
            let connection = connect(&path);
            (Box::new(connection.try_clone()?), Some(connection), Duration::ZERO)
        }
        Air::Frames { lines, pace } => (lines, None, pace),
    };
    let mut lines = BufReader::new(lines);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        line.push(b'\n');
        for frame in frames(&std::mem::take(&mut line)) {
            std::thread::sleep(pace);
            emulator.hear(&frame, Mode::T1, 0, now());
            while let Some(octets) = emulator.poll_transmit() {
                out.write_all(&octets)?;
            }
            out.flush()?;
        }
        if let Some(confirm) = &mut confirm {
            confirm.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// Where the child's frames come from.
pub enum Air {
    Socket(PathBuf),
    /// Lines of hexadecimal digits or of rtl_wmbus, at a pace.
    Frames {
        lines: Box<dyn Read>,
        pace: Duration,
    },
}

impl std::fmt::Debug for Air {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "Socket({})", path.display()),
            Self::Frames { pace, .. } => write!(f, "Frames({pace:?})"),
        }
    }
}

fn emulator(kind: &EmulatorKind) -> Box<dyn Emulator> {
    (kind.open)(Nature { uid: 0, firmware: 0, faults: Faults::default(), seed: 0 }, now())
}

/// A radio hears nothing before there is air: it waits.
fn connect(path: &Path) -> Connection {
    loop {
        match Connection::connect(path) {
            Ok(connection) => return connection,
            Err(_) => std::thread::sleep(LOOK_INTERVAL),
        }
    }
}

fn frames(line: &[u8]) -> Vec<Vec<u8>> {
    let mut hex = Hex::new();
    hex.handle_bytes(line, now());
    std::iter::from_fn(|| hex.poll_event())
        .filter_map(|event| match event {
            Event::Telegram { frame, .. } => Some(frame),
            _ => None,
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "lines carry no time, any will do")]
fn now() -> Instant {
    Instant::now()
}

const LOOK_INTERVAL: Duration = Duration::from_millis(100);
