//! The asking side of the control socket: one connection, one request, one answer or one stream. Blocking.

use std::cell::{Cell, OnceCell};
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
    /// How long to wait, in all [default: 10s, and 65s for what a meter or a node has to answer]
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    timeout: Option<Duration>,
    /// When the first question was asked: from then on the time runs.
    #[arg(skip)]
    begun: OnceCell<Instant>,
    /// The unit's clock, as it last said it.
    #[arg(skip)]
    unit_ms: Cell<Option<i64>>,
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
        self.ask_within(PATIENCE, request)
    }

    /// Asks for what takes as long as a path through a mesh.
    pub(super) fn ask_patiently(&self, request: Request) -> Result<Reply, Failure> {
        self.ask_within(MESH_PATIENCE, request)
    }

    /// The same, whose time begins now.
    pub(super) fn anew(&self) -> Self {
        Self { begun: OnceCell::new(), ..self.clone() }
    }

    /// `patience` is how long, where the user has not said it.
    fn ask_within(&self, patience: Duration, request: Request) -> Result<Reply, Failure> {
        let mut connection = self.connect(patience)?;
        connection.late = request.late();
        connection.send(request)?;
        let reply = connection.receive()?.ok_or_else(|| connection.broken())?;
        self.unit_ms.set(connection.unit_ms);
        Ok(reply)
    }

    /// The clock by which the unit dated its last answer, milliseconds since 1970: ages are counted from it, as ours may
    /// be another time. Of a service that does not say it, ours.
    pub(super) fn unit_now(&self) -> i64 {
        self.unit_ms.get().unwrap_or_else(utc_ms)
    }

    /// Follows a stream; what is dropped before is no item of it.
    pub(super) fn follow(&self, stream: Stream) -> Result<Connection, Failure> {
        let mut connection = self.connect(PATIENCE)?;
        connection.send(Request::Follow { stream })?;
        match connection.receive()? {
            Some(Reply::Following { .. }) => {
                connection.until(None)?;
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

    fn connect(&self, patience: Duration) -> Result<Connection, Failure> {
        let begun = *self.begun.get_or_init(now);
        let path = self.path();
        let stream = UnixStream::connect(&path).map_err(|error| refused(&path, error))?;
        let read = stream.try_clone()?;
        let mut connection = Connection {
            path,
            read: BufReader::new(read),
            write: stream,
            deadline: None,
            late: None,
            unit_ms: None,
            line: Vec::new(),
        };
        connection.until(begun.checked_add(self.timeout.unwrap_or(patience)))?;
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
    /// How it stands when no answer comes in time.
    late: Option<String>,
    /// The unit's clock, of the last answer.
    unit_ms: Option<i64>,
    /// What was read of a line that is not complete.
    line: Vec<u8>,
}

impl Connection {
    /// The next answer; None when the service hung up.
    pub(super) fn receive(&mut self) -> Result<Option<Reply>, Failure> {
        loop {
            if let Some(left) = self.left() {
                self.read.get_ref().set_read_timeout(Some(left))?;
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
                    let late = self.late.take().map_or_else(String::new, |late| format!(": {late}"));
                    let message = format!("the service did not answer in time; --timeout waits longer{late}");
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
        self.unit_ms = answer.now_ms;
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

    /// From now on answers are waited for until then at most; None for ever.
    pub(super) fn until(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        self.deadline = deadline;
        let left = self.left();
        self.write.set_write_timeout(left)?;
        self.read.get_ref().set_read_timeout(left)?;
        Ok(())
    }

    /// A timeout of zero would mean to wait for ever.
    fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now()).max(Duration::from_millis(1)))
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

/// Our own clock: also of a dead unit that left no time of its own.
#[expect(clippy::disallowed_methods, reason = "ages are shown to a person")]
pub(super) fn utc_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a person waits for the answer")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_time_to_wait_is_that_of_all_questions_together() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("silent.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let said = |timeout| Service {
            socket: Some(socket.clone()),
            timeout,
            begun: OnceCell::new(),
            unit_ms: Cell::default(),
        };
        let service = said(Some(PATIENCE));
        let (first, second) = (service.connect(PATIENCE).unwrap(), service.connect(MESH_PATIENCE).unwrap());
        assert_eq!(first.deadline, second.deadline);
        assert!(service.anew().connect(PATIENCE).unwrap().deadline > first.deadline);
        let service = said(None);
        let (first, second) = (service.connect(PATIENCE).unwrap(), service.connect(MESH_PATIENCE).unwrap());
        assert_eq!(second.deadline, first.deadline.map(|first| first + (MESH_PATIENCE - PATIENCE)));
        let meter = "4d4d4d0000bc614e".to_owned();
        let late = said(Some(Duration::from_millis(20))).ask_patiently(Request::HandOver { meter }).unwrap_err();
        let error = late.error.unwrap().to_string();
        assert!(late.exit == Exit::TimedOut && error.ends_with("`dcu meter hand-over 4d4d4d0000bc614e`"), "{error}");
    }
}
