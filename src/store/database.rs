//! sled 0.34.7 behind doors that never panic: atomic changes over three trees, durable when said so.
//!
//! Its traps (`flush` does not synchronise, values of a quarter segment become files, damaged files open short or
//! panic) are dealt with here and by the frames, promises and salvage around it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use super::stash::Stash;
use super::{StoreError, System};
use crate::journal::{sync_directory, sync_parent};

/// The trees, as places of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Groups,
    Batches,
    States,
}

/// One change of a commit. `None` removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub room: Room,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl Change {
    pub(super) fn put(room: Room, key: &[u8], value: Vec<u8>) -> Self {
        Self { room, key: key.to_vec(), value: Some(value) }
    }

    pub(super) fn remove(room: Room, key: &[u8]) -> Self {
        Self { room, key: key.to_vec(), value: None }
    }
}

/// An open database.
pub(super) struct Database {
    trees: [sled::Tree; 3],
    db: sled::Db,
    /// sled's own file once more: `fdatasync` works on the inode.
    file: File,
    path: PathBuf,
    /// What opening may have shredded, until the content has proved to be right.
    stash: Mutex<Stash>,
    handled: AtomicU64,
}

/// Why a database did not open.
#[derive(Debug)]
pub(super) enum DatabaseError {
    /// Its content is not what it must be: quarantine.
    Damaged(String),
    InUse,
    /// The environment failed: no space, no permission.
    Failed(StoreError),
}

impl Database {
    /// Opens it after this process has closed it: sled's threads may hold the file for a moment longer.
    pub(super) fn open_again(path: &Path, limit: Duration) -> Result<Self, DatabaseError> {
        for _ in 0..LET_GO_TRIALS {
            match Self::open(path, limit) {
                Err(DatabaseError::InUse) => std::thread::sleep(LET_GO),
                other => return other,
            }
        }
        Err(DatabaseError::InUse)
    }

    /// Opens or makes it. A panic or an opening that takes longer than `limit` is damage.
    pub(super) fn open(path: &Path, limit: Duration) -> Result<Self, DatabaseError> {
        forget_unfinished_snapshots(path);
        let file = path.join("db");
        let stash = Stash::take(&file);
        let (opened, result) = mpsc::sync_channel(1);
        let (own, cache) = (path.to_owned(), CACHE);
        let opening = move || {
            let outcome = catch_unwind(|| open_here(&own, cache));
            drop(opened.send(outcome));
        };
        let thread = std::thread::Builder::new().name("store-open".into()).spawn(opening);
        thread.map_err(|error| DatabaseError::Failed(StoreError::io("open", path)(error)))?;
        let outcome = match result.recv_timeout(limit) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(DatabaseError::Damaged(format!("opening panicked: {}", panic_text(&*panic)))),
            Err(_) => Err(DatabaseError::Damaged(format!("opening took longer than {limit:?}"))),
        };
        match outcome {
            Ok(database) => Ok(Self { stash: Mutex::new(stash), ..database }),
            Err(DatabaseError::Damaged(reason)) => {
                stash.give_back(&file).map_err(|error| DatabaseError::Failed(StoreError::io("mend", &file)(error)))?;
                Err(DatabaseError::Damaged(reason))
            }
            Err(error) => {
                forget_unfinished_snapshots(path);
                Err(error)
            }
        }
    }

    /// The content is what it must be.
    pub(super) fn approve(&self, system: System) {
        self.forget_pages(system);
        *self.stash.lock().unwrap_or_else(PoisonError::into_inner) = Stash::default();
    }

    /// The content is not what it must be: closes it, and leaves the file with everything that salvage can find.
    pub(super) fn reject(self) -> Result<(), StoreError> {
        let Self { trees, db, file, path, stash, .. } = self;
        drop((trees, db, file));
        let file = path.join("db");
        let stash = stash.into_inner().unwrap_or_else(PoisonError::into_inner);
        stash.give_back(&file).map_err(StoreError::io("mend", &file))
    }

    /// Applies all changes or none. Not durable before `make_durable`.
    pub(super) fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            self.note(change.room, change.value.as_deref().unwrap_or_default());
        }
        if let [change] = changes {
            // One change is atomic by itself, and spares the page that a transaction's own entry in the log takes.
            let tree = self.tree(change.room);
            return guarded("commit", || match &change.value {
                Some(value) => tree.insert(&change.key, value.as_slice()).map(drop),
                None => tree.remove(&change.key).map(drop),
            });
        }
        let [groups, batches, states] = &self.trees;
        guarded("commit", || {
            (groups, batches, states)
                .transaction(|(groups, batches, states)| {
                    for change in changes {
                        let tree = match change.room {
                            Room::Groups => groups,
                            Room::Batches => batches,
                            Room::States => states,
                        };
                        let key = change.key.as_slice();
                        match &change.value {
                            Some(value) => tree.insert(key, value.as_slice())?,
                            None => tree.remove(key)?,
                        };
                    }
                    Ok::<(), ConflictableTransactionError<()>>(())
                })
                .map_err(|error| match error {
                    TransactionError::Storage(error) => error,
                    TransactionError::Abort(()) => sled::Error::ReportableBug("the transaction was aborted".into()),
                })
        })
    }

    /// What was applied survives a power cut when this returns. sled's `flush` alone does not promise that.
    pub(super) fn make_durable(&self) -> Result<(), StoreError> {
        guarded("flush", || self.db.flush())?;
        self.file.sync_data().map_err(StoreError::io("synchronise", &self.path.join("db")))
    }

    pub(super) fn get(&self, room: Room, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded("read", || self.tree(room).get(key)).map(|value| value.map(|value| value.to_vec()))
    }

    /// Visits keys from `from` to `to`, both in it, in order, until `visit` says false.
    pub(super) fn scan(
        &self,
        room: Room,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        guarded("read", || {
            for entry in self.tree(room).range(from..=to) {
                let (key, value) = entry?;
                self.note(room, &value);
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The last entry from `from` to `to`, both in it.
    #[expect(clippy::type_complexity, reason = "a key and a value")]
    pub(super) fn last(&self, room: Room, from: &[u8], to: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        guarded("read", || self.tree(room).range(from..=to).next_back().transpose()).map(|entry| {
            entry.map(|(key, value)| {
                self.note(room, &value);
                (key.to_vec(), value.to_vec())
            })
        })
    }

    /// Octets of its file.
    pub(super) fn file_octets(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Files beside the log, which `make_durable` does not cover: must be none.
    pub(super) fn blobs(&self) -> u64 {
        fs::read_dir(self.path.join("blobs")).map_or(0, |entries| entries.count() as u64)
    }

    /// Lets the kernel forget what opening has read and zeroed. That it does not is no reason to stop.
    fn forget_pages(&self, system: System) {
        drop(self.file.sync_data().and_then(|()| (system.forget_pages)(&self.file)));
    }

    /// Octets of batches that were written and read since it was opened.
    pub(super) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    fn note(&self, room: Room, value: &[u8]) {
        if room == Room::Batches {
            self.handled.fetch_add(value.len() as u64, Ordering::Relaxed);
        }
    }

    fn tree(&self, room: Room) -> &sled::Tree {
        let [groups, batches, states] = &self.trees;
        match room {
            Room::Groups => groups,
            Room::Batches => batches,
            Room::States => states,
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.path.display())
    }
}

/// Removes snapshots that were not written to their end, on a full disk or in a power cut. sled takes the one with the
/// last name, whole or not, for damage; the one before is still there until a new one is whole, and so is the log.
fn forget_unfinished_snapshots(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            // Where it cannot be removed, opening says what is wrong.
            drop(fs::remove_file(entry.path()));
        }
    }
}

fn open_here(path: &Path, cache: u64) -> Result<Database, DatabaseError> {
    let new = !path.join("db").exists();
    let config = sled::Config::new().path(path).flush_every_ms(None).cache_capacity(cache);
    let open = || {
        let db = config.open()?;
        let trees = [db.open_tree("groups")?, db.open_tree("batches")?, db.open_tree("states")?];
        Ok((db, trees))
    };
    let (db, trees) = open().map_err(classify)?;
    let file_path = path.join("db");
    let file = File::options()
        .read(true)
        .write(true)
        .open(&file_path)
        .map_err(|error| DatabaseError::Failed(StoreError::io("open", &file_path)(error)))?;
    let stash = Mutex::default();
    let database = Database { trees, db, file, path: path.to_owned(), stash, handled: AtomicU64::new(0) };
    if new {
        let synchronise = || {
            File::open(path.join("conf"))?.sync_all()?;
            database.file.sync_all()?;
            sync_directory(&path.join("blobs"))?;
            sync_directory(path)?;
            sync_parent(path)
        };
        synchronise().map_err(|error| DatabaseError::Failed(StoreError::io("create", path)(error)))?;
    }
    Ok(database)
}

/// Is it the content that is wrong, or the environment?
fn classify(error: sled::Error) -> DatabaseError {
    let sled::Error::Io(source) = &error else { return DatabaseError::Damaged(error.to_string()) };
    match source.kind() {
        // sled says this only when its lock is held; it has no kind of its own.
        io::ErrorKind::Other if source.to_string().contains("could not acquire lock") => DatabaseError::InUse,
        io::ErrorKind::StorageFull
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::OutOfMemory
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::NotFound => DatabaseError::Failed(database_error("open")(&error)),
        _ => DatabaseError::Damaged(error.to_string()),
    }
}

/// Runs an operation of sled; its panics become errors.
fn guarded<T>(operation: &'static str, run: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| database_error(operation)(&error)),
        Err(panic) => {
            let reason = format!("panicked: {}", panic_text(&*panic));
            Err(StoreError::Database { operation, reason, full: false })
        }
    }
}

fn database_error(operation: &'static str) -> impl FnOnce(&sled::Error) -> StoreError {
    move |error| {
        let full = matches!(error, sled::Error::Io(source) if source.kind() == io::ErrorKind::StorageFull);
        StoreError::Database { operation, reason: error.to_string(), full }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
}

/// It does not bound memory (spacejam/sled#986), and a small one keeps it small all the same.
const CACHE: u64 = 1 << 20;
const LET_GO: Duration = Duration::from_millis(10);
const LET_GO_TRIALS: u32 = 200;
