//! Opens a store: the database that was promised, or the next best with a new epoch. DESIGN 3.2.
//!
//! Names below the store's directory: `sled/` the database, `sequence` the promise, `format` the version, `reserve`
//! octets to give up when the disk is full, `salvage/` a database being made, `quarantine-N/` damaged ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::database::{Database, DatabaseError};
use super::keeper::Keeper;
use super::load::{Loaded, Look, look};
use super::promise::{FoundPromise, Promise, SequenceFile};
use super::reserve::with_room;
use super::salvage::{Memory, salvage};
use super::{Body, Codec, Epoch, Lane, OpenError, Opening, Options, Start, StoreError, value};
use crate::clock::Now;
use crate::journal::{replace_file, sync_directory, sync_parent};
use crate::reading::{EventKind, LaneHead};

/// An open store without a thread.
#[derive(Debug)]
pub(super) struct Opened {
    pub keeper: Keeper,
    pub db: Arc<Database>,
    pub sequence: SequenceFile,
    pub opening: Opening,
}

/// What opening needs beside the directory.
pub(super) struct Opener<'a> {
    pub options: &'a Options,
    pub codec: Codec,
    pub now: Now,
    pub random: &'a mut dyn FnMut() -> u64,
}

/// A new epoch that is to begin, and why.
struct Beginning {
    previous: Option<Epoch>,
    heads: Vec<LaneHead>,
    reason: String,
    gaps: Vec<(Lane, Body)>,
}

impl Opener<'_> {
    /// Opens the store in its directory, whatever is there. Where there is no room for it, all is left as it was.
    pub(super) fn open(&mut self) -> Result<Opened, OpenError> {
        let sled = self.path("sled");
        let is_new = !sled.exists() && !self.path("salvage").exists();
        let free = || (self.options.system.free_octets)(&self.options.path);
        if let Some(free) = free().filter(|free| is_new && *free < NEW_STORE) {
            return Err(OpenError::Full { path: self.options.path.clone(), free: Some(free), source: None });
        }
        self.open_what_is_there().map_err(|error| match error {
            OpenError::Store(source) if source.is_full() => {
                // Half a database is worse than none: the next start would take it for damage.
                let tidied = if is_new { remove_directory(&sled) } else { self.finish_renames() };
                // What could not be removed is dealt with by the next start.
                drop(tidied);
                let free = (self.options.system.free_octets)(&self.options.path);
                OpenError::Full { path: self.options.path.clone(), free, source: Some(source) }
            }
            error => error,
        })
    }

    fn open_what_is_there(&mut self) -> Result<Opened, OpenError> {
        self.prepare_directory()?;
        let (sequence, found) = SequenceFile::open(&self.path("sequence"))?;
        self.finish_renames()?;
        let promise = match &found {
            FoundPromise::Promise(promise) => Some(promise.as_ref().clone()),
            FoundPromise::Nothing | FoundPromise::Damaged => None,
        };
        let (store, limit) = (&self.options.path, self.options.open_limit);
        let db = match with_room(store, || Database::open(&store.join("sled"), limit)) {
            Ok(db) => db,
            Err(DatabaseError::InUse) => return Err(OpenError::InUse { path: self.options.path.clone() }),
            Err(DatabaseError::Failed(error)) => return Err(error.into()),
            Err(DatabaseError::Damaged(reason)) => {
                return Ok(self.replace(sequence, promise.as_ref(), &Memory::default(), reason)?);
            }
        };
        let reason = match look(&db, promise.as_ref(), &self.codec) {
            Ok(Look::Sound(loaded)) => match found {
                FoundPromise::Promise(_) => return Ok(self.go_on(db, sequence, promise.as_ref(), *loaded)?),
                FoundPromise::Nothing => {
                    return Ok(self.doubt(db, sequence, *loaded, "the sequence file is missing")?);
                }
                FoundPromise::Damaged => {
                    return Ok(self.doubt(db, sequence, *loaded, "the sequence file is damaged")?);
                }
            },
            Ok(Look::Empty) => return Ok(self.begin(db, sequence, &found)?),
            Ok(Look::Damaged(reason)) => reason,
            Err(error) if error.is_full() => return Err(error.into()),
            Err(error) => error.text(),
        };
        db.reject()?;
        Ok(self.replace(sequence, promise.as_ref(), &Memory::default(), reason)?)
    }

    /// Puts the damaged database aside, makes a new one of what is left of it, and begins a new epoch.
    pub(super) fn replace(
        &mut self,
        mut sequence: SequenceFile,
        promise: Option<&Promise>,
        memory: &Memory,
        reason: String,
    ) -> Result<Opened, StoreError> {
        let (damaged, fresh) = (self.path("sled"), self.path("salvage"));
        remove_directory(&fresh)?;
        let db = self.open_database(&fresh)?;
        let salvaged = salvage(&damaged.join("db"), memory, promise, &db, self.options, &self.codec, &self.now)?;
        let previous = promise.map(|promise| promise.epoch).or(salvaged.epochs.last().map(|(_, epoch)| *epoch));
        let mut keeper = Keeper::empty(self.options.clone(), self.codec, &self.now);
        (keeper.epochs, keeper.states) = (salvaged.epochs, salvaged.states);
        let beginning = Beginning { previous, heads: salvaged.heads, reason: reason.clone(), gaps: salvaged.gaps };
        self.begin_epoch(&mut keeper, &db, beginning)?;
        let blobs = db.blobs();
        // Closed before it is renamed: sled keeps the path it was opened with.
        drop(db);
        debug_assert_eq!(blobs, 0, "values are far below a quarter segment");
        let quarantine = self.quarantine(&damaged)?;
        rename(&fresh, &damaged)?;
        let db = self.open_database(&damaged)?;
        sequence.write(&keeper.promise())?;
        let salvaged = salvaged.records;
        let start = Start::NewEpoch { previous, reason, quarantine, salvaged };
        let opening = Opening { epoch: keeper.epoch, start, unsealed: 0 };
        Ok(Opened { keeper, db: Arc::new(db), sequence, opening })
    }

    /// The promised database goes on.
    fn go_on(
        &mut self,
        db: Database,
        mut sequence: SequenceFile,
        promise: Option<&Promise>,
        loaded: Loaded,
    ) -> Result<Opened, StoreError> {
        let unsealed = loaded.unsealed.iter().map(|records| records.len() as u64).sum();
        let mut keeper = self.keeper(loaded);
        if let Some(promise) = promise.filter(|promise| promise.epoch == keeper.epoch) {
            keeper.generation = promise.generation.saturating_add(1);
            keeper.commit = keeper.commit.max(promise.commit);
        }
        db.approve(self.options.system);
        // What was applied and never reported is there: from now on it is promised.
        db.make_durable()?;
        sequence.write(&keeper.promise())?;
        let opening = Opening { epoch: keeper.epoch, start: Start::Continued, unsealed };
        Ok(Opened { keeper, db: Arc::new(db), sequence, opening })
    }

    /// The database is sound, but nobody knows whether it is all of it: its epoch ends here.
    fn doubt(
        &mut self,
        db: Database,
        mut sequence: SequenceFile,
        loaded: Loaded,
        reason: &str,
    ) -> Result<Opened, StoreError> {
        db.approve(self.options.system);
        let mut keeper = self.keeper(loaded);
        let previous = Some(keeper.epoch);
        let mut plan = keeper.plan(Vec::new(), &self.now, true);
        plan.changes.extend(keeper.state_changes(&plan.touched));
        db.apply(&plan.changes)?;
        let beginning = Beginning { previous, heads: keeper.heads(), reason: reason.to_owned(), gaps: Vec::new() };
        self.begin_epoch(&mut keeper, &db, beginning)?;
        sequence.write(&keeper.promise())?;
        // All that was there still is: of the ended epochs everything is sealed.
        let ended = keeper.states.iter().filter(|((ordinal, _), _)| *ordinal != keeper.ordinal);
        let salvaged = ended.map(|(_, state)| state.records).sum();
        let start = Start::NewEpoch { previous, reason: reason.to_owned(), quarantine: None, salvaged };
        let opening = Opening { epoch: keeper.epoch, start, unsealed: 0 };
        Ok(Opened { keeper, db: Arc::new(db), sequence, opening })
    }

    /// There is nothing: the first epoch, or the first after a sequence file that tells of nothing.
    fn begin(&mut self, db: Database, mut sequence: SequenceFile, found: &FoundPromise) -> Result<Opened, StoreError> {
        let (reason, start) = match found {
            FoundPromise::Damaged => {
                let reason = "the sequence file is damaged and the database is empty".to_owned();
                let start = Start::NewEpoch { previous: None, reason: reason.clone(), quarantine: None, salvaged: 0 };
                (reason, start)
            }
            FoundPromise::Nothing | FoundPromise::Promise(_) => ("first start".to_owned(), Start::New),
        };
        let mut keeper = Keeper::empty(self.options.clone(), self.codec, &self.now);
        let beginning = Beginning { previous: None, heads: Vec::new(), reason, gaps: Vec::new() };
        self.begin_epoch(&mut keeper, &db, beginning)?;
        sequence.write(&keeper.promise())?;
        let opening = Opening { epoch: keeper.epoch, start, unsealed: 0 };
        Ok(Opened { keeper, db: Arc::new(db), sequence, opening })
    }

    /// The first commit of a new epoch: that it began, and what is missing of the one before.
    fn begin_epoch(&mut self, keeper: &mut Keeper, db: &Database, beginning: Beginning) -> Result<(), StoreError> {
        let known = |epoch: Epoch, keeper: &Keeper| keeper.epochs.iter().any(|(_, known)| *known == epoch);
        let mut epoch = Epoch((self.random)());
        // The generator is another room's: a name that is taken would be worse than a number.
        while epoch.0 == 0 || known(epoch, keeper) {
            epoch = Epoch(epoch.0.wrapping_add(1));
        }
        keeper.begin_epoch(epoch);
        let Beginning { previous, heads, reason, gaps } = beginning;
        let previous = previous.map(|epoch| epoch.0);
        let mut records = vec![Keeper::event(EventKind::EpochStarted { previous, heads, reason }, &self.now)];
        records.extend(gaps);
        let mut plan = keeper.plan(records, &self.now, true);
        plan.touched.extend(keeper.states.keys());
        plan.changes.extend(keeper.state_changes(&plan.touched));
        db.apply(&plan.changes)?;
        db.make_durable()
    }

    fn keeper(&self, loaded: Loaded) -> Keeper {
        let Loaded { epochs, states, groups, unsealed, last_commit } = loaded;
        Keeper::new(self.options.clone(), self.codec, epochs, states, groups, unsealed, last_commit, &self.now)
    }

    fn open_database(&self, path: &Path) -> Result<Database, StoreError> {
        Database::open_again(path, self.options.open_limit).map_err(|error| match error {
            DatabaseError::Failed(error) => error,
            DatabaseError::Damaged(reason) => StoreError::Database { operation: "open", reason, full: false },
            DatabaseError::InUse => StoreError::OutOfOrder,
        })
    }

    /// Makes the directory, and stops before anything that a newer program wrote.
    fn prepare_directory(&self) -> Result<(), OpenError> {
        let path = &self.options.path;
        let made = !path.exists();
        fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
        if made {
            sync_parent(path).map_err(StoreError::io("create", path))?;
        }
        let format = self.path("format");
        match read_format(&format)? {
            Some(found) if found > FORMAT => Err(OpenError::Newer { path: path.clone(), found, known: FORMAT }),
            Some(_) => Ok(()),
            None => {
                let text = format!("dcu-store {FORMAT}\n");
                Ok(replace_file(&format, text.as_bytes()).map_err(StoreError::io("create", &format))?)
            }
        }
    }

    /// A replacement that a power cut interrupted: finished where it was whole, thrown away where it was not.
    fn finish_renames(&self) -> Result<(), StoreError> {
        let (damaged, fresh) = (self.path("sled"), self.path("salvage"));
        if !fresh.exists() {
            return Ok(());
        }
        if damaged.exists() { remove_directory(&fresh) } else { rename(&fresh, &damaged) }
    }

    /// Renames a damaged database and removes the oldest of those that were renamed before.
    fn quarantine(&self, damaged: &Path) -> Result<Option<PathBuf>, StoreError> {
        if !damaged.exists() {
            return Ok(None);
        }
        let mut numbers = quarantined(&self.options.path);
        let number = numbers.last().map_or(1, |number| number + 1);
        let aside = self.path(&format!("quarantine-{number}"));
        rename(damaged, &aside)?;
        numbers.truncate((numbers.len() + 1).saturating_sub(QUARANTINES));
        for old in numbers {
            remove_directory(&self.path(&format!("quarantine-{old}")))?;
        }
        Ok(Some(aside))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.options.path.join(name)
    }
}

/// The format of the store in a directory. A file that says nothing readable counts as none.
pub(super) fn read_format(path: &Path) -> Result<Option<u32>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().strip_prefix("dcu-store ").and_then(|number| number.parse().ok())),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Numbers of the databases in quarantine, the oldest first.
fn quarantined(path: &Path) -> Vec<u32> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix("quarantine-")?.parse().ok();
    let mut numbers: Vec<u32> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).and_then(|()| sync_parent(to)).map_err(StoreError::io("rename", from))
}

fn remove_directory(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory).map_err(StoreError::io("remove", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("remove", path)(error)),
    }
}

/// The format this program writes. A newer one is never opened.
pub(super) const FORMAT: u32 = value::VERSION as u32;
/// Free octets without which no store is begun: the reserve and the first segments.
const NEW_STORE: u64 = 6 << 20;
/// Damaged databases that are kept for a look.
const QUARANTINES: usize = 2;
