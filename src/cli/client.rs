//! The asking side of the control socket: one connection, one request, one answer or one stream. Blocking.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{Exit, Failure};
use crate::config::{self, Config, text_of};
use crate::control::{ANSWER_LIMIT, Answer, Ask, RefusalKind, Reply, Request, Stream, VERSION};

/// Where the service is asked, and how long.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Service {
    /// The service's control socket [default: what /etc/dcu/dcu.toml says, else /run/dcu/control.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = super::duration)]
    timeout: Duration,
}

/// How the service is asked, and how its answer is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Asking {
    #[command(flatten)]
    pub(super) service: Service,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
}

impl Service {
    /// Asks once. A refusal is a failure with its exit code.
    pub(super) fn ask(&self, request: Request) -> Result<Reply, Failure> {
        let mut connection = self.connect(Some(self.timeout))?;
        connection.send(request)?;
        connection.receive()?.ok_or_else(|| connection.broken())
    }

    /// Asks for what takes as long as a path through a mesh, unless the user has said how long to wait.
    pub(super) fn ask_patiently(&self, request: Request) -> Result<Reply, Failure> {
        let timeout = if self.timeout == PATIENCE { MESH_PATIENCE } else { self.timeout };
        Self { timeout, ..self.clone() }.ask(request)
    }

    /// Follows a stream; what is dropped before is no item of it.
    pub(super) fn follow(&self, stream: Stream) -> Result<Connection, Failure> {
        let mut connection = self.connect(Some(self.timeout))?;
        connection.send(Request::Follow { stream })?;
        match connection.receive()? {
            Some(Reply::Following { .. }) => {
                connection.wait(None)?;
                Ok(connection)
            }
            Some(other) => Err(unexpected(&other)),
            None => Err(connection.broken()),
        }
    }

    fn path(&self) -> PathBuf {
        match &self.socket {
            Some(path) => path.clone(),
            None => installed(Path::new(super::run::CONFIG)).unwrap_or_else(|| config::Control::SOCKET.into()),
        }
    }

    fn connect(&self, timeout: Option<Duration>) -> Result<Connection, Failure> {
        let path = self.path();
        let stream = UnixStream::connect(&path).map_err(|error| refused(&path, error))?;
        let read = stream.try_clone()?;
        let mut connection =
            Connection { path, read: BufReader::new(read), write: stream, deadline: None, line: Vec::new() };
        connection.wait(timeout)?;
        Ok(connection)
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const MESH_PATIENCE: Duration = Duration::from_secs(65);

/// An open connection to the service.
#[derive(Debug)]
pub(super) struct Connection {
    path: PathBuf,
    read: BufReader<UnixStream>,
    write: UnixStream,
    deadline: Option<Instant>,
    /// What was read of a line that is not complete.
    line: Vec<u8>,
}

impl Connection {
    /// The next answer; None when the service hung up.
    pub(super) fn receive(&mut self) -> Result<Option<Reply>, Failure> {
        loop {
            if let Some(deadline) = self.deadline {
                let left = deadline.saturating_duration_since(now());
                // A timeout of zero would mean to wait for ever.
                self.read.get_ref().set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            }
            let room = (ANSWER_LIMIT - self.line.len()) as u64;
            match (&mut self.read).take(room).read_until(b'\n', &mut self.line) {
                Ok(0) if self.line.is_empty() => return Ok(None),
                Ok(_) if self.line.ends_with(b"\n") => break,
                Ok(0) => return Err(self.broken()),
                Ok(_) if self.line.len() >= ANSWER_LIMIT => {
                    return Err(Failure::said(Exit::Failed, "the service's answer is too long"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    let message = "the service did not answer in time; --timeout waits longer";
                    return Err(Failure::said(Exit::TimedOut, message));
                }
                Err(_) => return Err(self.broken()),
            }
        }
        let line = std::mem::take(&mut self.line);
        let answer: Answer = serde_json::from_slice(&line).map_err(|error| {
            Failure::new(Exit::Failed, anyhow::Error::new(error).context("read the service's answer"))
        })?;
        if answer.version != VERSION {
            let message = format!("the service speaks version {} of the vocabulary, this is {VERSION}", answer.version);
            return Err(Failure::said(Exit::Failed, message));
        }
        match answer.reply {
            Reply::Refused(refusal) => {
                let exit = match refusal.kind {
                    RefusalKind::Malformed | RefusalKind::Failed => Exit::Failed,
                    RefusalKind::NotFound => Exit::NotFound,
                    RefusalKind::NotPermitted => Exit::NotPermitted,
                    RefusalKind::Busy => Exit::Unreachable,
                    RefusalKind::TimedOut => Exit::TimedOut,
                };
                Err(Failure::new(exit, anyhow!("the service refused: {}", refusal.message)))
            }
            reply => Ok(Some(reply)),
        }
    }

    /// From now on answers are waited for so long at most; None for ever.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Failure> {
        self.deadline = timeout.and_then(|timeout| now().checked_add(timeout));
        self.write.set_write_timeout(timeout)?;
        self.read.get_ref().set_read_timeout(timeout)?;
        Ok(())
    }

    fn send(&mut self, request: Request) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(&Ask::new(request))?;
        line.push(b'\n');
        // A service that refuses at once has hung up already: its refusal is read instead.
        match self.write.write_all(&line) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(self.broken()),
            _ => Ok(()),
        }
    }

    fn broken(&self) -> Failure {
        let path = self.path.display();
        Failure::new(Exit::Unreachable, anyhow!("the service on {path} hung up without an answer"))
    }
}

/// The socket that the installed configuration names, whatever else is wrong with it.
fn installed(file: &Path) -> Option<PathBuf> {
    let text = text_of(file, Config::LIMIT).ok()?;
    let base = file.parent().unwrap_or(Path::new("/"));
    Some(Config::parse(&text, base).0.control.socket)
}

fn refused(path: &Path, error: std::io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::new(
            Exit::Unreachable,
            anyhow!(
                "no service answers on {path}: see `systemctl status dcu`, or read what it left with --offline DIR"
            ),
        ),
        ErrorKind::PermissionDenied => Failure::new(
            Exit::NotPermitted,
            anyhow!("{path} may not be opened: it is for root, the service's user and the members of its group"),
        ),
        _ => Failure::new(Exit::Unreachable, anyhow::Error::new(error).context(format!("open {path}"))),
    }
}

/// The service answered something else than was asked.
pub(super) fn unexpected(reply: &Reply) -> Failure {
    // The variant's name is enough; the rest may be long.
    let name = format!("{reply:?}");
    let name = name.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
    Failure::new(Exit::Failed, anyhow!("the service answered {name}, which was not asked"))
}

#[expect(clippy::disallowed_methods, reason = "a person waits for the answer")]
fn now() -> Instant {
    Instant::now()
}
