//! Where the octets of a receiver come from: a serial port, a TCP server, datagrams, or a child process.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncWrite, Join};
use tokio::net::{TcpStream, UdpSocket};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::datagrams::Datagrams;
use crate::task::serial;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Serial {
        path: PathBuf,
        baud: u32,
    },
    /// The service connects; `HOST:PORT`.
    Tcp(String),
    /// Whoever sends lines to this address; `HOST:PORT`.
    Udp(String),
    /// A program and its arguments. What it prints is received, what is sent goes to its standard input, and what
    /// it complains of goes where the service's own log goes.
    Command(Vec<String>),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Serial(#[from] serial::Error),
    #[error("connect to {address}")]
    Connect {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("listen on {address}")]
    Listen {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("start {program}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
}

/// An open source.
pub(in crate::task) struct Open {
    pub(in crate::task) port: Box<dyn Port>,
    process: Option<Process>,
}

pub(in crate::task) trait Port: AsyncRead + AsyncWrite + Send + Unpin {
    /// Goes on at another speed, where there is one.
    fn set_baud(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }

    /// Of datagrams: nobody took what was written since the last one that came.
    fn was_refused(&mut self) -> bool {
        false
    }
}

impl Port for serial::Port {
    fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        Self::set_baud(self, baud)
    }
}

impl Port for TcpStream {}

impl Port for Datagrams {}

impl Port for Join<ChildStdout, ChildStdin> {}

impl Port for crate::task::plc::Tunnel {}

impl Source {
    pub(in crate::task) async fn open(&self) -> Result<Open, Error> {
        match self {
            Self::Serial { path, baud } => Ok(Open { port: Box::new(serial::open(path, *baud)?), process: None }),
            Self::Tcp(address) => {
                let failed = |source| Error::Connect { address: address.clone(), source };
                let connected = timeout(CONNECT_TIME, TcpStream::connect(address)).await;
                let stream = connected.map_err(io::Error::from).and_then(|stream| stream).map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                Ok(Open { port: Box::new(stream), process: None })
            }
            Self::Udp(address) => {
                let failed = |source| Error::Listen { address: address.clone(), source };
                let socket = UdpSocket::bind(address).await.map_err(failed)?;
                Ok(Open { port: Box::new(Datagrams::new(socket)), process: None })
            }
            Self::Command(words) => start(words),
        }
    }

    /// A port is looked for often, it costs nothing; a program or a server is not pressed.
    pub(super) fn longest_pause(&self) -> Duration {
        match self {
            Self::Serial { .. } => Duration::from_secs(4),
            Self::Tcp(_) | Self::Udp(_) | Self::Command(_) => Duration::from_secs(30),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, .. } => path.display().fmt(f),
            Self::Tcp(address) => f.write_str(address),
            Self::Udp(address) => write!(f, "udp {address}"),
            Self::Command(words) => f.write_str(words.first().map_or("", String::as_str)),
        }
    }
}

impl<P: Port + 'static> From<P> for Open {
    /// What somebody else has opened: a conversation that another task carries, a socket.
    fn from(port: P) -> Self {
        Self { port: Box::new(port), process: None }
    }
}

impl Open {
    /// Closes the source, and sees a process to its end.
    pub(super) async fn close(self) {
        drop(self.port);
        if let Some(mut process) = self.process {
            process.kill();
            // Killed as it is, it ends; how, nobody asks.
            let _ = process.child.wait().await;
        }
    }
}

/// A child and whatever it starts: they have a process group of their own.
struct Process {
    child: Child,
}

impl Process {
    fn kill(&self) {
        let leader = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(leader) = leader {
            // It fails only when all of them have ended.
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(words: &[String]) -> Result<Open, Error> {
    let program = words.first().cloned().unwrap_or_default();
    let failed = |source| Error::Start { program: program.clone(), source };
    let mut child = Command::new(&program)
        .args(words.iter().skip(1))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let pipes = child.stdout.take().zip(child.stdin.take());
    let (stdout, stdin) = pipes.expect("both were asked for");
    Ok(Open { port: Box::new(tokio::io::join(stdout, stdin)), process: Some(Process { child }) })
}

const CONNECT_TIME: Duration = Duration::from_secs(10);
