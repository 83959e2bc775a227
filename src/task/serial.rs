//! Serial ports. Nothing else knows tokio-serial.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use nix::errno::Errno;
use nix::fcntl::FlockArg;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_serial::{SerialPort as _, SerialPortBuilderExt, SerialStream};

/// An open port.
#[derive(Debug)]
pub struct Port(SerialStream);

impl Port {
    /// Goes on at another speed.
    ///
    /// # Errors
    /// When the port does not know it, or is gone.
    pub fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.0.set_baud_rate(baud).map_err(io::Error::from)
    }
}

impl AsyncRead for Port {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Port {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Why a port was not opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("open {}", .path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is in use", .0.display())]
    Busy(PathBuf),
}

/// Opens a port for this process alone: raw, 8 data bits, no parity, 1 stop bit, no flow control.
///
/// What waits in it is kept: a receiver that went on listening while the service was restarted loses nothing.
/// A read of no octets, or any error, means that the device is gone.
///
/// # Errors
/// When the device is not there, is no terminal, or somebody holds it.
pub fn open(path: &Path, baud: u32) -> Result<Port, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let port = tokio_serial::new(path.to_string_lossy(), baud)
        .data_bits(tokio_serial::DataBits::Eight)
        .parity(tokio_serial::Parity::None)
        .stop_bits(tokio_serial::StopBits::One)
        .flow_control(tokio_serial::FlowControl::None)
        .exclusive(false)
        .open_native_async()
        .map_err(|error| failed(error.into()))?;
    // The terminal's exclusive mode is not used: on a pty it outlives a killed process and locks out the next one. A
    // lock on the file ends with its holder.
    #[expect(deprecated, reason = "the port belongs to tokio-serial, so the lock cannot own it")]
    match nix::fcntl::flock(port.as_raw_fd(), FlockArg::LockExclusiveNonblock) {
        Ok(()) => Ok(Port(port)),
        Err(Errno::EWOULDBLOCK) => Err(Error::Busy(path.to_owned())),
        Err(errno) => Err(failed(errno.into())),
    }
}
