//! The store's doors: what other rooms call. Cheap to clone; any thread may use it. Reading goes past the writer.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::database::Room;
use super::mark::{Mark, NAME_LIMIT, VALUE_LIMIT};
use super::open::Opener;
use super::options::SEAL_OCTETS;
use super::repair::RENEW_AFTER;
use super::report::LaneStatistics;
use super::value::batch_key;
use super::verify::Verification;
use super::view::{Hole, Shared, View};
use super::weigh::{WEIGHT_LIMIT, weight};
use super::writer::{Request, Writer};
use super::{
    Batch, Body, Codec, Commit, Epoch, Lane, OpenError, Opening, Options, Report, Statistics, StoreError, System,
};
use crate::clock::ReadClock;
use crate::reading::LaneHead;

/// Called once on the writer's thread, when the records are durable or are given up.
pub type Done = Box<dyn FnOnce(Result<Commit, StoreError>) + Send>;

/// Draws 64 random bits: the name of a new epoch.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// Called on the writer's thread, in order. It must not wait.
pub type OnReport = Box<dyn FnMut(Report) + Send>;

/// A running store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    thread: Arc<Mutex<Option<WriterThread>>>,
    queue_records: usize,
    path: Arc<PathBuf>,
    system: System,
}

type WriterThread = JoinHandle<Result<(), StoreError>>;

/// How much to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub batches: usize,
    /// Sum of the octets; the first batch is returned in any case.
    pub octets: usize,
}

/// Why records were not taken, and the records with what came beside them, as they came.
pub type Refused = (StoreError, Vec<(Lane, Body)>, Option<Done>);

impl Store {
    /// Opens or makes the store, repairs what is damaged, and starts the writer.
    ///
    /// # Errors
    /// A newer format, another process, or a directory that cannot be written.
    pub fn open(
        mut options: Options,
        codec: Codec,
        clock: ReadClock,
        mut random: Random,
        on_report: OnReport,
    ) -> Result<(Self, Opening), OpenError> {
        options.seal_octets = options.seal_octets.clamp(1, SEAL_OCTETS);
        options.seal_records = options.seal_records.max(1);
        let opened = Opener { options: &options, codec, now: clock(), random: &mut *random }.open()?;
        let opening = opened.opening.clone();
        let shared = Arc::new(Shared::default());
        let (requests, received) = mpsc::channel();
        let (queue_records, system) = (options.queue_records, options.system);
        let path = Arc::new(options.path.clone());
        let writer = Writer::new(opened, Arc::clone(&shared), clock, random, on_report);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(&received))
            .map_err(StoreError::io("start the writer of", &options.path))?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok((Self { shared, requests, thread, queue_records, path, system }, opening))
    }

    /// Hands records over; waits while the queue is full. `done` is called when all of them are durable.
    ///
    /// # Errors
    /// `TooLarge` (nothing of it is taken) and `Closed`.
    pub fn append(&self, records: Vec<(Lane, Body)>, done: Option<Done>) -> Result<(), StoreError> {
        self.hand_over(records, &[], done, true).map_err(|(error, ..)| error)
    }

    /// Like `append`, never waits: a full queue gives the records back.
    ///
    /// # Errors
    /// The records as they came, with `Busy`, `TooLarge` or `Closed`.
    pub fn try_append(&self, records: Vec<(Lane, Body)>, done: Option<Done>) -> Result<(), Refused> {
        self.hand_over(records, &[], done, false)
    }

    /// Like `try_append`, with marks that become durable with the records, or not at all. A name has up to 64 octets,
    /// a value up to 12 KiB.
    ///
    /// # Errors
    /// The records as they came, with `Busy`, `TooLarge` or `Closed`.
    pub fn try_append_marked(
        &self,
        records: Vec<(Lane, Body)>,
        marks: &[Mark],
        done: Option<Done>,
    ) -> Result<(), Refused> {
        self.hand_over(records, marks, done, false)
    }

    /// Durable marks whose name begins with `prefix`.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn marks(&self, prefix: &[u8]) -> Result<Vec<Mark>, StoreError> {
        self.shared.read().marks(prefix)
    }

    /// Commits what waits, without waiting for the window. `done` tells when it is durable.
    ///
    /// # Errors
    /// `Closed`.
    pub fn commit(&self, done: Option<Done>) -> Result<(), StoreError> {
        self.requests.send(Request::Commit(done)).map_err(|_| StoreError::Closed)
    }

    /// Marks ranges of sequences as committed by the head-end. The caller has compared the hashes.
    /// Durable with a later commit: after a crash an acknowledged batch may come back as unacknowledged.
    /// Sequences that are not sealed, and epochs that are not in the store, are passed over.
    ///
    /// # Errors
    /// `Closed`.
    pub fn acknowledge(&self, epoch: Epoch, lane: Lane, ranges: &[(u64, u64)]) -> Result<(), StoreError> {
        let mut view = self.shared.write();
        let Some(ordinal) = view.ordinal(epoch) else { return Ok(()) };
        let Some(state) = view.lanes.get_mut(&(ordinal, lane)) else { return Ok(()) };
        let mut new = false;
        for (first, last) in ranges {
            new |= state.acknowledged.insert((*first).max(1), (*last).min(state.sealed));
        }
        let first_news = new && !std::mem::replace(&mut view.acknowledged, new);
        drop(view);
        if first_news { self.requests.send(Request::Acknowledged).map_err(|_| StoreError::Closed) } else { Ok(()) }
    }

    /// Is every sequence from `first` to `last` acknowledged?
    pub fn is_acknowledged(&self, epoch: Epoch, lane: Lane, first: u64, last: u64) -> bool {
        self.shared.read().lane(epoch, lane).is_some_and(|state| state.acknowledged.contains(first, last))
    }

    /// Durable batches of one lane and epoch that begin after the sequence `after`, in order, acknowledged or not.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn batches_after(&self, epoch: Epoch, lane: Lane, after: u64, limit: Limit) -> Result<Vec<Batch>, StoreError> {
        self.noting(|view, holes| view.batches(epoch, lane, after.saturating_add(1), limit, holes))
    }

    /// Durable batches of one lane that are not acknowledged, over all epochs, oldest first.
    /// `after` is the place of the last batch the caller already has: its epoch and last sequence.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn unacknowledged(
        &self,
        lane: Lane,
        after: Option<(Epoch, u64)>,
        limit: Limit,
    ) -> Result<Vec<Batch>, StoreError> {
        self.noting(|view, holes| view.unacknowledged(lane, after, limit, holes))
    }

    /// The batch that holds this sequence, as it was published.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn batch(&self, epoch: Epoch, lane: Lane, sequence: u64) -> Result<Option<Batch>, StoreError> {
        self.noting(|view, _| view.batch(epoch, lane, sequence))
    }

    /// The current epoch.
    pub fn epoch(&self) -> Epoch {
        self.shared.read().epoch.unwrap_or(Epoch(0))
    }

    /// Epochs with batches in the store, oldest first; the current one is the last.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.shared.read().epochs.iter().map(|(_, epoch)| *epoch).collect()
    }

    /// The last sealed sequence and hash of every lane of the current epoch, for checkpoints.
    pub fn heads(&self) -> Vec<LaneHead> {
        let view = self.shared.read();
        let current = view.epoch;
        let states = view.lanes.values().filter(|state| Some(state.epoch) == current && state.sealed > 0);
        states.map(|state| LaneHead { lane: state.lane as u8, last: state.sealed, hash: state.head_hash }).collect()
    }

    /// Figures of the store. Reads the first batch of every lane.
    pub fn statistics(&self) -> Statistics {
        let view = self.shared.read();
        Statistics {
            epoch: view.epoch,
            epochs: view.epochs.iter().map(|(_, epoch)| *epoch).collect(),
            commits: view.commits,
            records_committed: view.records_committed,
            commit_errors: view.commit_errors,
            queued: self.shared.queued() as u64,
            file_octets: view.db.as_ref().map_or(0, |db| db.file_octets()),
            full_since_ms: view.full_since,
            free_octets: (self.system.free_octets)(&self.path),
            blobs: view.db.as_ref().map_or(0, |db| db.blobs()),
            lanes: Lane::ALL.iter().map(|lane| view.statistics(*lane)).collect(),
        }
    }

    /// Does no commit succeed because the disk is full?
    pub fn is_full(&self) -> bool {
        self.shared.read().is_stuck
    }

    /// Reads every batch: checksums, hashes, chains, sequences. Takes its time with a large store.
    ///
    /// # Errors
    /// The database could not be read.
    pub fn verify(&self) -> Result<Verification, StoreError> {
        super::verify::verify(&self.shared)
    }

    /// Commits what waits and ends the writer. The store is closed when this returns.
    ///
    /// # Errors
    /// The last commit did not succeed: what waited is lost, as in a power cut.
    pub fn close(&self) -> Result<(), StoreError> {
        self.shared.close();
        drop(self.requests.send(Request::Close));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(StoreError::NotCommitted { reason: "the writer panicked".into() }),
        }
    }

    fn hand_over(
        &self,
        records: Vec<(Lane, Body)>,
        marks: &[Mark],
        done: Option<Done>,
        wait: bool,
    ) -> Result<(), Refused> {
        let is_short = |(name, value): &Mark| name.len() <= NAME_LIMIT && value.len() <= VALUE_LIMIT;
        if let Some((_, value)) = marks.iter().find(|mark| !is_short(mark)) {
            let lane = records.first().map_or(Lane::Raw, |(lane, _)| *lane);
            let error = StoreError::TooLarge { lane, octets: value.len(), limit: VALUE_LIMIT };
            return Err((error, records, done));
        }
        let too_large = records.iter().map(|(lane, body)| (*lane, weight(body))).find(|(_, w)| *w > WEIGHT_LIMIT);
        if let Some((lane, octets)) = too_large {
            let error = StoreError::TooLarge { lane, octets, limit: WEIGHT_LIMIT };
            return Err((error, records, done));
        }
        if let Err(error) = self.shared.enter(records.len(), self.queue_records, wait) {
            return Err((error, records, done));
        }
        self.requests.send(Request::Append(records, marks.to_vec(), done)).map_err(|mpsc::SendError(request)| {
            match request {
                Request::Append(records, _, done) => (StoreError::Closed, records, done),
                _ => (StoreError::Closed, Vec::new(), None),
            }
        })
    }

    /// Reads, and tells the writer of holes that were come upon.
    fn noting<T>(&self, read: impl FnOnce(&View, &mut Vec<Hole>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut holes = Vec::new();
        let view = self.shared.read();
        let result = read(&view, &mut holes);
        let much = view.db.as_ref().is_some_and(|db| db.handled() >= RENEW_AFTER);
        drop(view);
        // A writer that has ended has nothing to be told.
        for hole in holes {
            drop(self.requests.send(Request::Hole(hole)));
        }
        if much {
            drop(self.requests.send(Request::Look));
        }
        result
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.epoch())
    }
}

impl View {
    fn statistics(&self, lane: Lane) -> LaneStatistics {
        let last = self.last.get(lane as usize).copied().unwrap_or_default();
        let mut figures = LaneStatistics::new(lane, last);
        for ((ordinal, _), state) in self.lanes.iter().filter(|((_, of), _)| *of == lane) {
            figures.add(state);
            if Some(state.epoch) == self.epoch {
                figures.unsealed = last.saturating_sub(state.sealed);
            }
            if figures.oldest_utc_ms.is_none() && state.batches > 0 {
                figures.oldest_utc_ms = self.oldest(*ordinal, lane, state.kept);
            }
        }
        figures
    }

    fn oldest(&self, ordinal: u32, lane: Lane, kept: u64) -> Option<i64> {
        let mut oldest = None;
        let (from, to) = (batch_key(lane, ordinal, kept), batch_key(lane, ordinal, u64::MAX));
        let visit = |_: &[u8], value: &[u8]| {
            oldest = Batch::parse(value).map(|batch| batch.sealed_utc_ms);
            oldest.is_none()
        };
        self.db.as_ref()?.scan(Room::Batches, &from, &to, visit).ok()?;
        oldest
    }
}
