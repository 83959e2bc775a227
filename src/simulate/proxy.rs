//! A TCP proxy in front of any broker that makes outages on command: refused, cut and delayed connections.
//!
//! Octets pass untouched, so TLS is end to end between the unit and the broker. What passes is counted.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running proxy; dropping it ends it and every connection through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    traffic: Arc<Traffic>,
    _stop: DropGuard,
}

/// The condition of the line between the unit and the broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// Connections are cut and new ones refused.
    pub is_down: bool,
    /// Cut each connection after that many octets towards the broker, in whatever is being sent.
    pub cut_after: Option<u64>,
    /// What passes arrives that much later, in both directions.
    pub delay: Duration,
}

/// What went through since the start. Octets of TCP payload, TLS and MQTT included.
#[derive(Debug, Default)]
pub struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
}

impl Proxy {
    /// Listens on a free port of the loopback address and connects to `broker` (`host:port`) for each client.
    pub async fn start(broker: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (line, lines) = watch::channel(Line::default());
        let traffic = Arc::new(Traffic::default());
        let stop = CancellationToken::new();
        let door = Door { address, broker: broker.into().into(), lines, traffic: Arc::clone(&traffic) };
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(door.serve(listener)).await });
        Ok(Self { address, line, traffic, _stop: stop.drop_guard() })
    }

    /// Where clients connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the line; the rest of `Line` stays.
    pub fn change(&self, change: impl FnOnce(&mut Line)) {
        self.line.send_modify(change);
    }

    pub fn line(&self) -> Line {
        *self.line.borrow()
    }

    /// Octets from clients to the broker.
    pub fn up(&self) -> u64 {
        self.traffic.up.load(Ordering::Relaxed)
    }

    /// Octets from the broker to clients.
    pub fn down(&self) -> u64 {
        self.traffic.down.load(Ordering::Relaxed)
    }

    /// Connections taken.
    pub fn connections(&self) -> u64 {
        self.traffic.connections.load(Ordering::Relaxed)
    }
}

/// What listens, while the line is up.
struct Door {
    address: SocketAddr,
    broker: Arc<str>,
    lines: watch::Receiver<Line>,
    traffic: Arc<Traffic>,
}

impl Door {
    async fn serve(mut self, mut listener: TcpListener) {
        // Connections live in this set, so they end when the proxy does.
        let mut connections = tokio::task::JoinSet::new();
        let mut lines = self.lines.clone();
        loop {
            tokio::select! {
                biased;
                down = is_down(&mut lines) => {
                    drop(listener);
                    if !down {
                        return;
                    }
                    while connections.join_next().await.is_some() {}
                    match self.wait_closed().await {
                        Some(opened) => listener = opened,
                        None => return,
                    }
                }
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((client, _)) => {
                        self.traffic.connections.fetch_add(1, Ordering::Relaxed);
                        let (broker, lines) = (Arc::clone(&self.broker), self.lines.clone());
                        connections.spawn(carry(client, broker, lines, Arc::clone(&self.traffic)));
                    }
                    // Out of descriptors, most likely: those who hold them will let go.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
            }
        }
    }

    /// Waits for the line to come back. None when the proxy ends.
    async fn wait_closed(&mut self) -> Option<TcpListener> {
        // A bound socket that does not listen refuses connections and keeps the port from everybody else.
        let mut reserved = reserve(self.address).ok();
        self.lines.wait_for(|line| !line.is_down).await.ok()?;
        loop {
            if let Some(listener) = reserved.take().and_then(|socket| socket.listen(BACKLOG).ok()) {
                return Some(listener);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            reserved = reserve(self.address).ok();
        }
    }
}

/// Waits until the line is down; false where the proxy ends.
async fn is_down(lines: &mut watch::Receiver<Line>) -> bool {
    lines.wait_for(|line| line.is_down).await.is_ok()
}

fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Carries one connection until either side ends it or the line cuts it.
async fn carry(mut client: TcpStream, broker: Arc<str>, mut lines: watch::Receiver<Line>, traffic: Arc<Traffic>) {
    let passing = lines.clone();
    let ended = tokio::select! {
        _ = is_down(&mut lines) => End::Broken,
        ended = pass(&mut client, &broker, &passing, &traffic) => ended,
    };
    if ended == End::Broken {
        // A line that breaks does not say goodbye: the client sees a reset.
        let _ = client.set_zero_linger();
    }
}

async fn pass(client: &mut TcpStream, broker: &str, lines: &watch::Receiver<Line>, traffic: &Traffic) -> End {
    let Ok(mut server) = TcpStream::connect(broker).await else { return End::Broken };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        ended = pump(from_client, to_server, lines, &traffic.up, true) => ended,
        ended = pump(from_server, to_client, lines, &traffic.down, false) => ended,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Broken,
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    lines: &watch::Receiver<Line>,
    count: &AtomicU64,
    is_cuttable: bool,
) -> End {
    let mut buffer = vec![0; 16 << 10];
    let mut passed: u64 = 0;
    loop {
        let octets = match from.read(&mut buffer).await {
            Ok(0) => return End::Closed,
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(_) => return End::Broken,
        };
        let line = *lines.borrow();
        if !line.delay.is_zero() {
            tokio::time::sleep(line.delay).await;
        }
        let left = line.cut_after.filter(|_| is_cuttable).map(|limit| limit.saturating_sub(passed));
        let whole = left.is_none_or(|left| left >= octets.len() as u64);
        let octets = if whole { octets } else { octets.get(..left.unwrap_or(0) as usize).unwrap_or_default() };
        if to.write_all(octets).await.is_err() {
            return End::Broken;
        }
        count.fetch_add(octets.len() as u64, Ordering::Relaxed);
        passed += octets.len() as u64;
        if !whole {
            return End::Broken;
        }
    }
}

const BACKLOG: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn proxy() -> Proxy {
        Proxy::start(echo().await.to_string()).await.unwrap()
    }

    async fn ask(stream: &mut TcpStream, question: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(question).await?;
        let mut answer = vec![0; question.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn octets_pass_both_ways_and_are_counted() {
        let proxy = proxy().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream, b"reading").await.unwrap(), b"reading");
        assert_eq!((proxy.up(), proxy.down(), proxy.connections()), (7, 7, 1));
    }

    #[tokio::test]
    async fn an_outage_cuts_refuses_and_heals_on_the_same_port() {
        let proxy = proxy().await;
        for _ in 0..5 {
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            ask(&mut stream, b"a").await.unwrap();
            proxy.change(|line| line.is_down = true);
            assert!(stream.read_u8().await.is_err());
            let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            proxy.change(|line| line.is_down = false);
            let mut stream = loop {
                match TcpStream::connect(proxy.address()).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            assert_eq!(ask(&mut stream, b"b").await.unwrap(), b"b");
        }
    }

    #[tokio::test]
    async fn a_connection_is_cut_in_the_middle_of_a_message() {
        let proxy = proxy().await;
        proxy.change(|line| line.cut_after = Some(10));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        ask(&mut stream, b"12345678").await.unwrap();
        assert!(ask(&mut stream, b"12345678").await.is_err());
        assert_eq!(proxy.up(), 10);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut stream, b"12345678").await.is_ok());
    }

    #[tokio::test]
    async fn a_broker_that_is_away_ends_the_connection() {
        let nobody = {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            socket
        };
        let proxy = Proxy::start(nobody.local_addr().unwrap().to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(stream.read_u8().await.is_err());
    }
}
