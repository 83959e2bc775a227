//! Asks the service over its control socket, as any other client does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::control::{
    ANSWER_LIMIT, Answer, Ask, CommitLine, MeshAsk, MeshSaid, NodeSecret, Reply, Request, Status, Stream, VERSION,
};

/// The socket of one service, which may be there or not.
#[derive(Debug, Clone)]
pub struct Control {
    socket: PathBuf,
}

/// The stream of what became durable.
#[derive(Debug)]
pub struct Commits {
    connection: Connection,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("ask {}", path.display())]
    Ask { path: PathBuf, source: std::io::Error },
    #[error("the service did not answer within {PATIENCE:?}")]
    Silent,
    #[error("the service hung up")]
    Gone,
    #[error("the service refused: {0}")]
    Refused(String),
    #[error("read the service's answer")]
    Malformed(#[from] serde_json::Error),
    #[error("the service answered something else, or in version {0} of the vocabulary")]
    Strange(u16),
    #[error("{0} commits were reported faster than they were read")]
    Missed(u64),
}

impl Control {
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub async fn status(&self) -> Result<Status, Error> {
        let mut connection = self.connect().await?;
        connection.ask(Request::Status).await?;
        match connection.answer().await? {
            Reply::Status(status) => Ok(*status),
            _ => Err(Error::Strange(VERSION)),
        }
    }

    /// Tells a network of nodes that may join.
    pub async fn import(&self, network: &str, nodes: Vec<NodeSecret>) -> Result<(), Error> {
        let mut connection = self.connect().await?;
        let ask = MeshAsk::Import { nodes, part: None };
        connection.ask(Request::Mesh { network: network.to_owned(), ask }).await?;
        match connection.answer().await? {
            Reply::Mesh(MeshSaid::Imported { .. }) => Ok(()),
            _ => Err(Error::Strange(VERSION)),
        }
    }

    /// Every commit from now on.
    pub async fn commits(&self) -> Result<Commits, Error> {
        let mut connection = self.connect().await?;
        connection.ask(Request::Follow { stream: Stream::Commits }).await?;
        match connection.answer().await? {
            Reply::Following { .. } => Ok(Commits { connection }),
            _ => Err(Error::Strange(VERSION)),
        }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let io = |source| Error::Ask { path: self.socket.clone(), source };
        let stream =
            timeout(PATIENCE, UnixStream::connect(&self.socket)).await.map_err(|_| Error::Silent)?.map_err(io)?;
        Ok(Connection { stream: BufReader::new(stream), path: self.socket.clone() })
    }
}

impl Commits {
    /// The next commit; waits as long as it takes.
    ///
    /// # Errors
    /// [`Error::Gone`] when the service ended. [`Error::Missed`] leaves the stream usable.
    pub async fn next(&mut self) -> Result<CommitLine, Error> {
        match self.connection.read().await? {
            Reply::Commit(commit) => Ok(commit),
            Reply::Missed { count } => Err(Error::Missed(count)),
            _ => Err(Error::Strange(VERSION)),
        }
    }
}

#[derive(Debug)]
struct Connection {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Connection {
    async fn ask(&mut self, request: Request) -> Result<(), Error> {
        let mut line = serde_json::to_vec(&Ask::new(request))?;
        line.push(b'\n');
        let io = |source| Error::Ask { path: self.path.clone(), source };
        timeout(PATIENCE, self.stream.write_all(&line)).await.map_err(|_| Error::Silent)?.map_err(io)
    }

    async fn answer(&mut self) -> Result<Reply, Error> {
        timeout(PATIENCE, self.read()).await.map_err(|_| Error::Silent)?
    }

    async fn read(&mut self) -> Result<Reply, Error> {
        let mut line = Vec::new();
        let io = |source| Error::Ask { path: self.path.clone(), source };
        (&mut self.stream).take(ANSWER_LIMIT as u64).read_until(b'\n', &mut line).await.map_err(io)?;
        // A line without its end is what was left when the service was killed.
        if !line.ends_with(b"\n") {
            return Err(Error::Gone);
        }
        let answer: Answer = serde_json::from_slice(&line)?;
        match answer.reply {
            _ if answer.version != VERSION => Err(Error::Strange(answer.version)),
            Reply::Refused(refusal) => Err(Error::Refused(refusal.message)),
            reply => Ok(reply),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
