//! One association over a socket or a serial port: the client of `dlms` decides, this reads, writes and waits.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use dlms::apdu::{Attribute, Method, Selected, Selection};
use dlms::client::{Answer, Association, Cause, Client, Event, Failure, RequestId, Target};
use dlms::{Data, Reject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep_until, timeout};

use crate::task::receiver::{Open, SourceError};

/// A client and the port it speaks through. Whatever it asks ends, at the latest by the client's own time-outs.
pub struct Session {
    client: Client,
    port: Open,
    reserve: Reserve,
    notes: VecDeque<Note>,
    buf: Vec<u8>,
    is_answered: bool,
}

/// Gives invocation counters that are durably reserved, above all those before; None where there are no more.
pub type Reserve = Box<dyn FnMut() -> Option<Range<u32>> + Send>;

/// What happened beside answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The meter pushed something: `Apdu::parse` reads it.
    Notified(Vec<u8>),
    /// Octets were not taken.
    Rejected(Reject),
    /// The meter used counters again that it had used under the same key.
    CounterRestarted { highest: u32, received: u32 },
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Open(#[from] SourceError),
    #[error("connection lost")]
    Port(#[source] io::Error),
    /// By the meter, or because it does not answer.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Session {
    /// A client that has not opened anything yet, or has an association that stayed open, over a port that is open.
    /// `reserve` is asked when its counters run low.
    pub(in crate::task) fn new(client: Client, port: Open, reserve: Reserve) -> Self {
        Self { client, port, reserve, notes: VecDeque::new(), buf: Vec::with_capacity(READ), is_answered: false }
    }

    /// What the association is kept by, while nobody speaks over the port; None where it is not open.
    pub(in crate::task) fn park(self) -> Option<Client> {
        (self.client.is_associated() && self.client.is_idle()).then_some(self.client)
    }

    /// The meter has shown over this port that it is in the association.
    pub const fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// Opens link and association.
    ///
    /// # Errors
    /// The meter refuses or does not answer.
    pub async fn associate(&mut self) -> Result<Association, SessionError> {
        self.top_up();
        self.client.associate(now());
        let agreed = self
            .drive(|event| match event {
                Event::Associated(association) => Ok(Ok(association)),
                Event::Failed(failure) => Ok(Err(failure)),
                event => Err(event),
            })
            .await?;
        self.is_answered = true;
        Ok(agreed)
    }

    /// Reads an attribute, or what is selected of it. The value is encoded: `Data::parse_all` reads it.
    ///
    /// # Errors
    /// The meter says why not, or does not answer.
    pub async fn get(
        &mut self,
        attribute: Attribute,
        selection: Option<Selection<'_>>,
    ) -> Result<Vec<u8>, SessionError> {
        let id = self.client.get(attribute, selection, now());
        match self.answer(id).await? {
            Answer::Value(value) => Ok(value),
            _ => Err(misanswered(Target::Get(attribute))),
        }
    }

    /// Reads several attributes with one request; each has its own result.
    ///
    /// # Errors
    /// The request as a whole failed.
    pub async fn get_list(&mut self, list: &[Selected<'_>]) -> Result<Answer, SessionError> {
        let id = self.client.get_list(list, now());
        self.answer(id).await
    }

    /// Writes an attribute.
    ///
    /// # Errors
    /// The meter says why not, or does not answer: then it may have been written.
    pub async fn set(&mut self, attribute: Attribute, value: Data<'_>) -> Result<(), SessionError> {
        let id = self.client.set(attribute, value, now());
        self.answer(id).await.map(drop)
    }

    /// Invokes a method; what it returns is encoded.
    ///
    /// # Errors
    /// The meter says why not, or does not answer: then it may have been done.
    pub async fn action(
        &mut self,
        method: Method,
        parameter: Option<Data<'_>>,
    ) -> Result<Option<Vec<u8>>, SessionError> {
        let id = self.client.action(method, parameter, now());
        match self.answer(id).await? {
            Answer::Returned(value) => Ok(value),
            _ => Err(misanswered(Target::Action(method))),
        }
    }

    /// Ends association and link. The port is given back for the next meter on the same line.
    ///
    /// # Errors
    /// The port is gone.
    pub(in crate::task) async fn release(mut self) -> Result<(Client, Open), SessionError> {
        self.client.release(now());
        self.drive(|event| if event == Event::Closed { Ok(Ok(())) } else { Err(event) }).await?;
        Ok((self.client, self.port))
    }

    /// What happened beside answers, the oldest first.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }

    pub const fn client(&self) -> &Client {
        &self.client
    }

    async fn answer(&mut self, wanted: RequestId) -> Result<Answer, SessionError> {
        let answer = self
            .drive(|event| match event {
                Event::Answered { id, result } if id == wanted => Ok(result),
                event => Err(event),
            })
            .await;
        self.is_answered |= match &answer {
            Ok(_) => true,
            Err(SessionError::Failed(failure)) => matches!(failure.cause, Cause::Access(_) | Cause::Action(_)),
            Err(_) => false,
        };
        answer
    }

    /// Does what the client wants until `take` takes an event.
    async fn drive<T>(&mut self, take: impl Fn(Event) -> Result<Result<T, Failure>, Event>) -> Result<T, SessionError> {
        loop {
            self.top_up();
            let sent = self.transmit().await;
            if sent.is_ok() {
                while let Some(event) = self.client.poll_event() {
                    match take(event) {
                        Ok(Err(failure)) if failure.cause == Cause::Timeout && self.port.port.was_refused() => {
                            return Err(SessionError::Port(io::ErrorKind::ConnectionRefused.into()));
                        }
                        Ok(taken) => return Ok(taken?),
                        Err(event) => self.note(event),
                    }
                }
            }
            let heard = if sent.is_ok() { self.hear().await } else { sent };
            if let Err(error) = heard {
                self.client.transport_lost();
                while let Some(event) = self.client.poll_event() {
                    self.note(event);
                }
                return Err(SessionError::Port(error));
            }
        }
    }

    async fn transmit(&mut self) -> io::Result<()> {
        while let Some(octets) = self.client.poll_transmit() {
            timeout(WRITE, self.port.port.write_all(&octets)).await??;
        }
        Ok(())
    }

    /// Waits for octets, or for the client's next deadline.
    async fn hear(&mut self) -> io::Result<()> {
        let deadline = self.client.poll_timeout().map_or_else(crate::task::far, Into::into);
        self.buf.clear();
        tokio::select! {
            read = self.port.port.read_buf(&mut self.buf) => match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => self.client.handle_bytes(&self.buf, now()),
            },
            () = sleep_until(deadline) => self.client.handle_timeout(now()),
        }
        Ok(())
    }

    /// A long answer takes a counter for each of its blocks.
    fn top_up(&mut self) {
        if self.client.counters_left() >= LOW {
            return;
        }
        if let Some(range) = (self.reserve)() {
            // A reservation that does not lie above those before is not used: the request then fails for want of one.
            let _ = self.client.reserve(range);
        }
    }

    fn note(&mut self, event: Event) {
        let note = match event {
            Event::Notified(octets) => Note::Notified(octets),
            Event::Rejected(reject) => Note::Rejected(reject),
            Event::CounterRestarted { highest, received } => Note::CounterRestarted { highest, received },
            Event::Associated(_) | Event::Answered { .. } | Event::Failed(_) | Event::Closed => return,
        };
        if self.notes.len() < NOTES {
            self.notes.push_back(note);
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("is_associated", &self.client.is_associated()).finish_non_exhaustive()
    }
}

/// An answer of another kind than what was asked.
const fn misanswered(target: Target) -> SessionError {
    SessionError::Failed(Failure { target, cause: Cause::Rejected(Reject::Mismatch("answer")) })
}

#[expect(clippy::disallowed_methods, reason = "the driver's clock")]
fn now() -> Instant {
    Instant::now()
}

/// A datagram as long as there are, which takes no memory where it is shorter.
const READ: usize = 1 << 16;
/// A peer that takes nothing is gone.
const WRITE: Duration = Duration::from_secs(10);
/// Counters below which more are reserved.
const LOW: u32 = 16;
/// Notes that wait for whoever reads them.
const NOTES: usize = 64;
