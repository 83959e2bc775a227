//! UDP to and from one peer, as a port: each write is a datagram, and so is each read.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UdpSocket, lookup_host};

use crate::task::receiver::{Open, Port, SourceError};

#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    /// Nobody took one of those that were sent since the last one that came.
    is_refused: bool,
}

impl Datagrams {
    /// A port from which `address`, `HOST:PORT`, is spoken with; nobody else is heard.
    pub(super) async fn open(address: &str) -> Result<Open, SourceError> {
        let connected = async {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
            for peer in lookup_host(address).await? {
                let any: SocketAddr = match peer {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any).await?;
                match socket.connect(peer).await {
                    Ok(()) => return Ok(Self { socket, is_refused: false }),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        let socket = connected.await;
        socket.map(Open::from).map_err(|source| SourceError::Connect { address: address.to_owned(), source })
    }
}

impl Port for Datagrams {
    fn was_refused(&mut self) -> bool {
        self.is_refused || is_refusal(self.socket.take_error().ok().flatten().as_ref())
    }
}

/// A datagram that nobody takes is lost like any other: the peer may be there for the next one.
fn is_refusal(error: Option<&io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl AsyncRead for Datagrams {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match ready!(self.socket.poll_recv(cx, buf)) {
                Err(error) if is_refusal(Some(&error)) => self.is_refused = true,
                // One of no octets is not the end.
                Ok(()) if buf.filled().is_empty() => {}
                received => {
                    self.is_refused = false;
                    return Poll::Ready(received);
                }
            }
        }
    }
}

impl AsyncWrite for Datagrams {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match ready!(self.socket.poll_send(cx, buf)) {
                // What the kernel heard of an earlier one, once.
                Err(error) if is_refusal(Some(&error)) => self.is_refused = true,
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
