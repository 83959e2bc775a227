//! The modem's serial line: opened, lost, opened again.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::task::backoff::Backoff;
use crate::task::chain;
use crate::task::receiver::{Open, Source, SourceError};

pub(super) struct Line {
    source: Source,
    port: Option<Open>,
    opening: Option<tokio::task::JoinHandle<Result<Open, SourceError>>>,
    due: Instant,
    backoff: Backoff,
    /// Why it is not open.
    error: Option<String>,
    buf: Vec<u8>,
}

/// What happened on the line.
pub(super) enum Happening<'a> {
    Opened,
    /// It cannot be opened, for another reason than before.
    Absent,
    Octets(&'a [u8]),
    Lost,
}

impl Line {
    pub(super) fn new(source: Source, seed: u64) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, seed);
        Self { source, port: None, opening: None, due: Instant::now(), backoff, error: None, buf: vec![0; READ] }
    }

    pub(super) fn is_open(&self) -> bool {
        self.port.is_some()
    }

    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Sends octets; while there is no port they go nowhere. The driver asks again for what is not answered.
    pub(super) async fn write(&mut self, octets: &[u8]) {
        let Some(open) = &mut self.port else { return };
        let result = match timeout(WRITE_TIME, open.port.write_all(octets)).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("takes no octets".to_owned()),
        };
        if let Err(error) = result {
            self.lose(error);
        }
    }

    /// Waits for the next thing; may be dropped and called again.
    pub(super) async fn happens(&mut self) -> Happening<'_> {
        if self.port.is_none() {
            return self.opens().await;
        }
        let read = match &mut self.port {
            Some(open) => open.port.read(&mut self.buf).await,
            None => Ok(0),
        };
        match read {
            Ok(count @ 1..) => {
                // A server that only takes the connection is not pressed.
                self.backoff.reset();
                Happening::Octets(self.buf.get(..count).unwrap_or_default())
            }
            Ok(0) => {
                self.lose("gone".to_owned());
                Happening::Lost
            }
            Err(error) => {
                self.lose(error.to_string());
                Happening::Lost
            }
        }
    }

    async fn opens(&mut self) -> Happening<'_> {
        loop {
            if self.opening.is_none() {
                sleep_until(self.due).await;
            }
            let source = self.source.clone();
            let opening = self.opening.get_or_insert_with(|| tokio::spawn(async move { source.open().await }));
            let opened = opening.await;
            self.opening = None;
            match opened {
                Ok(Ok(open)) => {
                    self.port = Some(open);
                    self.error = None;
                    return Happening::Opened;
                }
                Ok(Err(error)) if self.is_news(&chain(&error)) => return Happening::Absent,
                Err(error) if self.is_news(&error.to_string()) => return Happening::Absent,
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    /// It cannot be opened: whether that has another reason than it had.
    fn is_news(&mut self, error: &str) -> bool {
        let is_news = self.error.as_deref() != Some(error);
        self.lose(error.to_owned());
        is_news
    }

    fn lose(&mut self, error: String) {
        self.port = None;
        self.error = Some(error);
        self.due = Instant::now() + self.backoff.next_delay();
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The longest frame takes a second at 19,200 baud.
const WRITE_TIME: Duration = Duration::from_secs(5);
const READ: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_not_there_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("modem");
        let mut line = Line::new(Source::Serial { path, baud: 115_200 }, 1);
        assert!(matches!(line.happens().await, Happening::Absent));
        assert!(line.error().is_some_and(|error| error.contains("No such file")), "{:?}", line.error());
        let again = timeout(Duration::from_secs(2), line.happens()).await;
        assert!(again.is_err(), "it was tried again, and the reason is the same");
    }
}
