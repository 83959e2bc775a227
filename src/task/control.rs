//! The diagnostics socket: who may ask is checked, lines and clients are bounded, requests go to the service's main
//! loop as [`Query`], streams come from broadcast channels.
//!
//! A client that reads too slowly is told how much it missed; it never slows the service down.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, chown, getgrouplist};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::clock::ReadClock;
use crate::config;
use crate::control::{
    Answer, Ask, CommitLine, REQUEST_LIMIT, Refusal, RefusalKind, Reply, Request, Stream, TelegramLine, VERSION,
};

/// A request on its way to the main loop. A `reply` that is dropped tells the client that the service is stopping.
#[derive(Debug)]
pub struct Query {
    /// Never `Request::Follow`: streams do not pass the main loop.
    pub request: Request,
    pub who: Who,
    pub reply: oneshot::Sender<Reply>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A user of this machine, by number.
    User(u32),
    /// By the signed command with this id, which was audited.
    HeadEnd([u8; 16]),
}

/// Where the streams come from. A sender without receivers (`receiver_count() == 0`) need not be fed.
#[derive(Debug, Clone)]
pub struct Streams {
    pub telegrams: broadcast::Sender<Arc<TelegramLine>>,
    pub commits: broadcast::Sender<Arc<CommitLine>>,
}

impl Streams {
    /// So many items wait for a slow reader before it misses some.
    pub fn new(telegrams: usize, commits: usize) -> Self {
        Self { telegrams: broadcast::Sender::new(telegrams), commits: broadcast::Sender::new(commits) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("another service answers on {0}")]
    InUse(PathBuf),
    #[error("{0} is there and is not a socket")]
    NotASocket(PathBuf),
    #[error("no group {0:?} on this machine: mend control.group")]
    NoGroup(String),
    #[error("bind {path}")]
    Bind { path: PathBuf, source: io::Error },
}

/// The bound socket; removed from the file system when it is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    access: Arc<Access>,
    clients: Arc<Semaphore>,
}

impl Server {
    /// Binds the socket, mode 0660, inside a tokio runtime. What a dead service left there is removed.
    ///
    /// # Errors
    /// Another service listens, the path is taken by something else, or the system refuses.
    pub fn bind(control: &config::Control) -> Result<Self, ControlError> {
        let path = control.socket.clone();
        let group = match &control.group {
            None => None,
            Some(name) => match Group::from_name(name) {
                Ok(Some(group)) => Some(group),
                // The default group need not exist where the service was not installed.
                Ok(None) if control.group == config::Control::default().group => None,
                _ => return Err(ControlError::NoGroup(name.clone())),
            },
        };
        remove_stale(&path)?;
        let bind = |source| ControlError::Bind { path: path.clone(), source };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory).map_err(bind)?;
        }
        let listener = UnixListener::bind(&path).map_err(bind)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).map_err(bind)?;
        let own = std::fs::metadata(&path).map_err(bind)?.gid();
        if let Some(group) = group.as_ref().filter(|group| group.gid.as_raw() != own) {
            if let Err(error) = chown(&path, None, Some(group.gid)) {
                warn!(err = %error, group = %group.name, "socket stays with the service's own group");
            }
        }
        info!(socket = %path.display(), "control socket open");
        Ok(Self {
            listener,
            path,
            access: Arc::new(Access { own: Uid::effective(), group: group.map(|group| group.gid) }),
            clients: Arc::new(Semaphore::new(control.clients as usize)),
        })
    }

    /// Answers clients until `stop`; then every connection is closed. Answers have the time of `clock`.
    pub async fn serve(
        self,
        queries: mpsc::Sender<Query>,
        streams: Streams,
        clock: ReadClock,
        stop: CancellationToken,
    ) {
        let tracker = TaskTracker::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let (queries, streams, stop) = (queries.clone(), streams.clone(), stop.clone());
                        let (access, clients) = (Arc::clone(&self.access), Arc::clone(&self.clients));
                        let clock = Arc::clone(&clock);
                        tracker.spawn(async move {
                            tokio::select! {
                                ended = client(stream, &access, &clients, &queries, &streams, &clock) => {
                                    if let Err(error) = ended {
                                        debug!(err = %error, "control client gone");
                                    }
                                }
                                () = stop.cancelled() => {}
                            }
                        });
                    }
                    Err(error) => {
                        warn!(err = %error, "accept control client");
                        // Out of descriptors: they come back when clients leave.
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                },
                () = stop.cancelled() => break,
            }
        }
        tracker.close();
        tracker.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A path that is gone already is as it should be.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Who may ask.
#[derive(Debug)]
struct Access {
    own: Uid,
    group: Option<Gid>,
}

impl Access {
    fn permits(&self, uid: Uid, gid: Gid) -> bool {
        if uid.is_root() || uid == self.own {
            return true;
        }
        let Some(group) = self.group else { return false };
        if gid == group {
            return true;
        }
        let user = User::from_uid(uid).ok().flatten();
        let name = user.as_ref().and_then(|user| std::ffi::CString::new(user.name.as_str()).ok());
        match (user, name) {
            (Some(user), Some(name)) => getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group)),
            _ => false,
        }
    }
}

fn remove_stale(path: &Path) -> Result<(), ControlError> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(ControlError::NotASocket(path.to_owned()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(ControlError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| ControlError::Bind { path: path.to_owned(), source })
        }
        Err(source) => Err(ControlError::Bind { path: path.to_owned(), source }),
    }
}

/// One connection: requests one after the other, or one stream.
async fn client(
    stream: UnixStream,
    access: &Arc<Access>,
    clients: &Semaphore,
    queries: &mpsc::Sender<Query>,
    streams: &Streams,
    clock: &ReadClock,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let Ok(_place) = clients.try_acquire() else {
        return refuse(&mut write, RefusalKind::Busy, "too many clients: close one, or raise control.clients").await;
    };
    // Looking up groups may ask a directory service, which blocks.
    let access = Arc::clone(access);
    let (uid, gid) = (Uid::from_raw(peer.uid()), Gid::from_raw(peer.gid()));
    if !tokio::task::spawn_blocking(move || access.permits(uid, gid)).await.unwrap_or(false) {
        let message = format!("user {} is neither root, nor the service's user, nor in its group", peer.uid());
        return refuse(&mut write, RefusalKind::NotPermitted, &message).await;
    }
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut read).take(REQUEST_LIMIT as u64);
        match timeout(IDLE, limited.read_until(b'\n', &mut line)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => read?,
            Err(_) => return refuse(&mut write, RefusalKind::Busy, "nothing was asked for too long").await,
        };
        if !line.ends_with(b"\n") && line.len() >= REQUEST_LIMIT {
            return refuse(&mut write, RefusalKind::Malformed, "the request is too long").await;
        }
        let ask = match serde_json::from_slice::<Ask>(&line) {
            Ok(ask) if ask.version == VERSION => ask,
            Ok(ask) => {
                let message = format!("version {} of the vocabulary is not spoken, {VERSION} is", ask.version);
                return refuse(&mut write, RefusalKind::Malformed, &message).await;
            }
            Err(error) => return refuse(&mut write, RefusalKind::Malformed, &error.to_string()).await,
        };
        match ask.request {
            Request::Follow { stream: Stream::Telegrams } => {
                let items = streams.telegrams.subscribe();
                return follow(&mut read, &mut write, Stream::Telegrams, items, |item| {
                    Reply::Telegram(Box::new(TelegramLine::clone(item)))
                })
                .await;
            }
            Request::Follow { stream: Stream::Commits } => {
                let items = streams.commits.subscribe();
                return follow(&mut read, &mut write, Stream::Commits, items, |item| {
                    Reply::Commit(CommitLine::clone(item))
                })
                .await;
            }
            request => {
                let (reply, answer) = oneshot::channel();
                let reply = match queries.send(Query { request, who: Who::User(uid.as_raw()), reply }).await {
                    Ok(()) => answer.await.ok(),
                    Err(_) => None,
                };
                let answer = match reply {
                    Some(reply) => Answer::at(clock().utc_ms, reply),
                    None => Answer::new(Refusal::new(RefusalKind::Busy, "the service is stopping").into()),
                };
                send(&mut write, answer).await?;
            }
        }
    }
}

/// Sends a stream's items until the client hangs up or the service drops the stream.
async fn follow<T: Clone + Send>(
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
    stream: Stream,
    mut items: broadcast::Receiver<Arc<T>>,
    reply: impl Fn(&T) -> Reply,
) -> io::Result<()> {
    send(write, Answer::new(Reply::Following { stream })).await?;
    loop {
        tokio::select! {
            // First, so that a client that is gone frees its place even while items keep coming.
            biased;
            heard = read.fill_buf() => match heard?.len() {
                0 => return Ok(()),
                // A stream takes no further requests.
                len => read.consume(len),
            },
            item = items.recv() => match item {
                Ok(item) => send(write, Answer::new(reply(&item))).await?,
                Err(RecvError::Lagged(count)) => send(write, Answer::new(Reply::Missed { count })).await?,
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

async fn refuse(write: &mut OwnedWriteHalf, kind: RefusalKind, message: &str) -> io::Result<()> {
    debug!(reject = ?kind, "refuse control client");
    send(write, Answer::new(Refusal::new(kind, message).into())).await
}

async fn send(write: &mut OwnedWriteHalf, answer: Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    match timeout(STALLED, write.write_all(&line)).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A client that asks nothing so long gives its place to another.
const IDLE: Duration = Duration::from_secs(5);

/// A client that takes nothing so long is gone.
const STALLED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
