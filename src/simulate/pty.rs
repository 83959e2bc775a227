//! The master's side of a pseudo terminal, without blocking.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{read, ttyname, write};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// The master's side. The other side is opened and closed by whoever knows its path.
#[derive(Debug)]
pub(super) struct Master(OwnedFd);

/// The master's side while somebody has the other one open.
#[derive(Debug)]
pub(super) struct Line(AsyncFd<Master>);

impl Master {
    /// A new terminal in raw mode, and the path of its other side.
    pub(super) fn new() -> io::Result<(Self, PathBuf)> {
        let pty = openpty(None, None)?;
        let mut settings = tcgetattr(&pty.slave)?;
        cfmakeraw(&mut settings);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings)?;
        let path = ttyname(&pty.slave)?;
        let flags = OFlag::from_bits_retain(fcntl(&pty.master, FcntlArg::F_GETFL)?);
        fcntl(&pty.master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        // The other side is closed here, so that the master is told when somebody opens and closes it.
        Ok((Self(pty.master), path))
    }

    /// Whether somebody has the other side open.
    pub(super) fn is_open(&self) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let polled = poll(&mut fds, PollTimeout::ZERO);
        let [fd] = fds;
        polled.is_ok() && !fd.revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }

    pub(super) fn connect(self) -> io::Result<Line> {
        // The newer door is unsafe, for types that could give away another descriptor than their own; this one does not.
        #[allow(deprecated, reason = "its replacement is unsafe and needs a newer tokio than Cargo.toml asks for")]
        AsyncFd::new(self).map(Line)
    }
}

impl AsRawFd for Master {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Line {
    /// Octets from the other side; an error when it was closed.
    pub(super) async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut guard = self.0.readable().await?;
            if let Ok(result) = guard.try_io(|fd| Ok(read(&fd.get_ref().0, buf)?)) {
                return result;
            }
            // One that was closed and opened again in between goes on saying that there is something to read.
            sleep(IDLE).await;
        }
    }

    /// Waits for room, and fills it; how much it took is returned.
    pub(super) async fn write(&self, octets: &[u8]) -> io::Result<usize> {
        loop {
            let mut guard = self.0.writable().await?;
            let taken = guard.try_io(|fd| match write(&fd.get_ref().0, octets)? {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                taken => Ok(taken),
            });
            if let Ok(result) = taken {
                return result;
            }
            // A full terminal goes on saying that it has room: asked at once again, it would keep the others waiting.
            sleep(FULL).await;
        }
    }

    /// The speed that the other side set, in baud.
    pub(super) fn baud(&self) -> Option<u32> {
        // SAFETY: the kernel fills a structure of this type, all of whose bit patterns are legal.
        #[allow(unsafe_code, reason = "nix knows only the speeds of old, and panics at any other")]
        let baud = unsafe {
            let mut settings: nix::libc::termios2 = std::mem::zeroed();
            let got = nix::libc::ioctl(self.0.get_ref().as_raw_fd(), nix::libc::TCGETS2, &raw mut settings);
            (got == 0).then_some(settings.c_ospeed)
        };
        baud
    }

    pub(super) fn disconnect(self) -> Master {
        self.0.into_inner()
    }
}

/// How long a full terminal is left alone, and one that has nothing.
const FULL: Duration = Duration::from_millis(1);
const IDLE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_terminal_that_is_opened_again_unseen_keeps_nobody_from_running() {
        let (master, path) = Master::new().unwrap();
        let open = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let first = open();
        let line = master.connect().unwrap();
        drop(first);
        // The runtime is told that it was closed, and nobody reads.
        sleep(Duration::from_millis(20)).await;
        let mut second = open();
        let (told, heard) = std::sync::mpsc::channel();
        let reader = tokio::spawn(async move {
            let mut buf = [0; 8];
            let nothing = timeout(Duration::from_millis(20), line.read(&mut buf)).await;
            told.send(nothing.is_err()).unwrap();
            line.read(&mut buf).await.unwrap()
        });
        // On a thread of its own: a reader that never pauses would stop this one's clock too.
        let is_idle = tokio::task::spawn_blocking(move || heard.recv_timeout(Duration::from_secs(5)));
        assert_eq!(is_idle.await.unwrap(), Ok(true));
        second.write_all(b"abc").unwrap();
        assert_eq!(reader.await.unwrap(), 3);
    }
}
