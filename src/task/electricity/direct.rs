//! A session for who does not wait: one meter, asked from a command line.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use dlms::apdu::{Attribute, Method, Selection};
use dlms::client::{Association, Client};
use dlms::{Data, Reject};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::datagram::Datagrams;
use super::{Note, Reserve, Session, SessionError};
use crate::task::receiver::{Open, Source};

/// Where a meter is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Wrapper or HDLC over TCP; `HOST:PORT`.
    Tcp(String),
    /// Wrapper over UDP; `HOST:PORT`.
    Udp(String),
    /// HDLC over a serial line.
    Serial { path: PathBuf, baud: u32 },
}

/// A meter that is asked directly. Each call returns when the meter has answered, or is given up.
#[derive(Debug)]
pub struct Direct {
    runtime: Runtime,
    session: Session,
}

/// Why there is no conversation.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    #[error("start the runtime")]
    Runtime(#[source] io::Error),
    #[error("{error}")]
    Session {
        error: SessionError,
        /// What came meanwhile and was not taken.
        strange: Option<Reject>,
        /// Invocation counters that are reserved and were not used.
        left: u32,
    },
}

impl Direct {
    /// Opens the way to a meter, the link and the association.
    ///
    /// # Errors
    /// Nobody is there, or the meter refuses.
    pub fn open(place: &Place, client: Client, reserve: Reserve) -> Result<(Self, Association), DirectError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(DirectError::Runtime)?;
        let (session, association) = runtime.block_on(async {
            let unopened = |error: SessionError| DirectError::Session { error, strange: None, left: 0 };
            let mut session = Session::new(client, place.open().await.map_err(unopened)?, reserve);
            let error = match session.associate().await {
                Ok(association) => return Ok((session, association)),
                Err(error) => error,
            };
            let left = session.client().counters_left();
            let rejects = std::iter::from_fn(|| session.poll_note());
            let strange =
                rejects.filter_map(|note| if let Note::Rejected(reject) = note { Some(reject) } else { None });
            let strange = strange.last();
            // A line that stays open would keep others out.
            let _ = timeout(GOODBYE, session.release()).await;
            Err(DirectError::Session { error, strange, left })
        })?;
        Ok((Self { runtime, session }, association))
    }

    /// See [`Session::get`].
    ///
    /// # Errors
    /// The meter says why not, or does not answer.
    pub fn get(&mut self, attribute: Attribute, selection: Option<Selection<'_>>) -> Result<Vec<u8>, SessionError> {
        self.runtime.block_on(self.session.get(attribute, selection))
    }

    /// See [`Session::set`].
    ///
    /// # Errors
    /// The meter says why not, or does not answer.
    pub fn set(&mut self, attribute: Attribute, value: Data<'_>) -> Result<(), SessionError> {
        self.runtime.block_on(self.session.set(attribute, value))
    }

    /// See [`Session::action`].
    ///
    /// # Errors
    /// The meter says why not, or does not answer.
    pub fn action(&mut self, method: Method, parameter: Option<Data<'_>>) -> Result<Option<Vec<u8>>, SessionError> {
        self.runtime.block_on(self.session.action(method, parameter))
    }

    /// See [`Session::poll_note`].
    pub fn poll_note(&mut self) -> Option<Note> {
        self.session.poll_note()
    }

    /// Counters, and what was agreed on.
    pub const fn client(&self) -> &Client {
        self.session.client()
    }

    /// Ends association and link.
    ///
    /// # Errors
    /// The connection is lost; the meter ends the association by itself.
    pub fn release(self) -> Result<(), SessionError> {
        let Self { runtime, session } = self;
        runtime.block_on(session.release()).map(drop)
    }

    /// Ends association and link, and waits no longer for that. Gives the number of invocation counters that are
    /// reserved and were not used, where that is known.
    pub fn release_within(self, limit: Duration) -> Option<u32> {
        let Self { runtime, session } = self;
        let released = runtime.block_on(async { timeout(limit, session.release()).await });
        released.ok()?.ok().map(|(client, _)| client.counters_left())
    }
}

impl Place {
    pub(super) async fn open(&self) -> Result<Open, SessionError> {
        let source = match self {
            Self::Tcp(address) => Source::Tcp(address.clone()),
            Self::Udp(address) => return Ok(Datagrams::open(address).await?),
            Self::Serial { path, baud } => Source::Serial { path: path.clone(), baud: *baud },
        };
        Ok(source.open().await?)
    }
}

/// How long a meter that refused may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
