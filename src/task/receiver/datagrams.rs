//! Lines that come as datagrams: one or more in each. The end of a datagram ends its last line.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UdpSocket;

#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    datagram: Box<[u8]>,
    /// What of it was not read yet.
    rest: std::ops::Range<usize>,
}

impl Datagrams {
    pub(super) fn new(socket: UdpSocket) -> Self {
        Self { socket, datagram: vec![0; LONGEST].into(), rest: 0..0 }
    }
}

impl AsyncRead for Datagrams {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { socket, datagram, rest } = self.get_mut();
        if rest.start >= rest.end {
            // One octet is kept for the end of the line.
            let room = datagram.split_last_mut().map_or(&mut [][..], |(_, room)| room);
            let mut room = ReadBuf::new(room);
            ready!(socket.poll_recv(cx, &mut room))?;
            let length = room.filled().len();
            if let Some(end) = datagram.get_mut(length) {
                *end = b'\n';
            }
            *rest = 0..length + 1;
        }
        let octets = datagram.get(rest.clone()).unwrap_or_default();
        let taken = octets.len().min(buf.remaining());
        buf.put_slice(octets.get(..taken).unwrap_or_default());
        rest.start += taken;
        Poll::Ready(Ok(()))
    }
}

/// Nobody listens.
impl AsyncWrite for Datagrams {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// No datagram is longer; the end of its line behind it.
const LONGEST: usize = 65_536;
