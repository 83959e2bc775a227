//! The store's doors: what other rooms call. Cheap to clone; any thread may use it.

use super::{Batch, Body, Codec, Commit, Epoch, Lane, OpenError, Opening, Options, Report, Statistics, StoreError};
use crate::clock::ReadClock;
use crate::reading::LaneHead;

/// Called once on the writer's thread, when the records are durable or are given up.
pub type Done = Box<dyn FnOnce(Result<Commit, StoreError>) + Send>;

/// Draws 64 random bits: the name of a new epoch.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// Called on the writer's thread, in order. It must not wait.
pub type OnReport = Box<dyn FnMut(Report) + Send>;

/// A running store.
#[derive(Debug, Clone)]
pub struct Store {}

/// How much to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub batches: usize,
    /// Sum of the octets; the first batch is returned in any case.
    pub octets: usize,
}

impl Store {
    /// Opens or makes the store, repairs what is damaged, and starts the writer.
    ///
    /// # Errors
    /// A newer format, another process, or a directory that cannot be written.
    pub fn open(
        options: Options,
        _codec: Codec,
        _clock: ReadClock,
        _random: Random,
        _on_report: OnReport,
    ) -> Result<(Self, Opening), OpenError> {
        drop(options);
        Err(OpenError::Store(StoreError::Closed))
    }

    /// Hands records over; waits while the queue is full. `done` is called when all of them are durable.
    ///
    /// # Errors
    /// `TooLarge` (nothing of it is taken) and `Closed`.
    pub fn append(&self, _records: Vec<(Lane, Body)>, _done: Option<Done>) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// Like `append`, never waits: a full queue gives the records back.
    ///
    /// # Errors
    /// The records as they came, beside `Busy`, `TooLarge` or `Closed`.
    #[expect(clippy::type_complexity, reason = "what came is given back")]
    pub fn try_append(
        &self,
        records: Vec<(Lane, Body)>,
        done: Option<Done>,
    ) -> Result<(), (StoreError, Vec<(Lane, Body)>, Option<Done>)> {
        Err((StoreError::Closed, records, done))
    }

    /// Commits what waits, without waiting for the window. `done` tells when it is durable.
    ///
    /// # Errors
    /// `Closed`.
    pub fn commit(&self, _done: Option<Done>) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// Marks ranges of sequences as committed by the head-end. The caller has compared the hashes.
    /// Durable with a later commit: after a crash an acknowledged batch may come back as unacknowledged.
    ///
    /// # Errors
    /// `Closed`.
    pub fn acknowledge(&self, _epoch: Epoch, _lane: Lane, _ranges: &[(u64, u64)]) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// Is every sequence from `first` to `last` acknowledged?
    pub fn is_acknowledged(&self, _epoch: Epoch, _lane: Lane, _first: u64, _last: u64) -> bool {
        false
    }

    /// Durable batches of one lane and epoch that begin after the sequence `after`, in order, acknowledged or not.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn batches_after(
        &self,
        _epoch: Epoch,
        _lane: Lane,
        _after: u64,
        _limit: Limit,
    ) -> Result<Vec<Batch>, StoreError> {
        Err(StoreError::Closed)
    }

    /// Durable batches of one lane that are not acknowledged, over all epochs, oldest first.
    /// `after` is the place of the last batch the caller already has: its epoch and last sequence.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn unacknowledged(
        &self,
        _lane: Lane,
        _after: Option<(Epoch, u64)>,
        _limit: Limit,
    ) -> Result<Vec<Batch>, StoreError> {
        Err(StoreError::Closed)
    }

    /// The batch that holds this sequence, as it was published.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn batch(&self, _epoch: Epoch, _lane: Lane, _sequence: u64) -> Result<Option<Batch>, StoreError> {
        Err(StoreError::Closed)
    }

    /// The current epoch.
    pub fn epoch(&self) -> Epoch {
        Epoch(0)
    }

    /// Epochs with batches in the store, oldest first; the current one is the last.
    pub fn epochs(&self) -> Vec<Epoch> {
        Vec::new()
    }

    /// The last sealed sequence and hash of every lane of the current epoch, for checkpoints.
    pub fn heads(&self) -> Vec<LaneHead> {
        Vec::new()
    }

    pub fn statistics(&self) -> Statistics {
        Statistics::default()
    }

    /// Commits what waits and ends the writer. The store is closed when this returns.
    ///
    /// # Errors
    /// The last commit did not succeed: what waited is lost, as in a power cut.
    pub fn close(&self) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
}
