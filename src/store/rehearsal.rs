//! Opens a copy of what a unit left, as its next start would open the original, and reads all of it.
//!
//! Looking for values in the octets of the file finds also what the database itself has lost the way to; only opening
//! tells whether the next start goes on. The copy lies in the directory for temporary files and leaves with this.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::database::{Database, DatabaseError};
use super::inspect::database_directory;
use super::load::{Look, look};
use super::promise::{FoundPromise, SequenceFile};
use super::verify::verify;
use super::view::Shared;
use super::{Codec, Inspection, OpenError, StoreError};

impl Inspection {
    /// Opens a copy of the store that was inspected. What the next start would come upon is added to the findings;
    /// where it would go on, the verification is that of the open copy.
    ///
    /// # Errors
    /// The copy could not be made. The original is never touched.
    pub fn rehearse(mut self, path: &Path, codec: &Codec) -> Result<Self, OpenError> {
        if self.unreadable > 0 {
            // What the disk cannot read cannot be copied.
            return Ok(self);
        }
        let promise = match SequenceFile::peek(&path.join("sequence"))? {
            FoundPromise::Promise(promise) => Some(promise),
            FoundPromise::Nothing | FoundPromise::Damaged => None,
        };
        let copy = Copy::of(&database_directory(path)).map_err(|(path, error)| StoreError::io("copy", &path)(error))?;
        let replaced = match Database::open(&copy.0.join("sled"), OPEN_LIMIT) {
            Ok(db) => match look(&db, promise.as_deref(), codec) {
                Ok(Look::Sound(loaded)) => {
                    let shared = Shared::default();
                    {
                        let mut view = shared.write();
                        (view.db, view.epochs, view.lanes) = (Some(Arc::new(db)), loaded.epochs, loaded.states);
                    }
                    self.verification = verify(&shared)?;
                    return Ok(self);
                }
                Ok(Look::Empty) => return Ok(self),
                Ok(Look::Damaged(reason)) => reason,
                Err(error) if error.is_full() => return Err(error.into()),
                Err(error) => error.text(),
            },
            Err(DatabaseError::Damaged(reason)) => reason,
            Err(DatabaseError::InUse) => return Err(OpenError::InUse { path: path.to_owned() }),
            Err(DatabaseError::Failed(error)) => return Err(error.into()),
        };
        self.findings.push(format!("the next start sets the database aside and begins a new epoch: {replaced}"));
        Ok(self)
    }
}

/// A directory with a copy, for nobody else to read.
struct Copy(PathBuf);

impl Copy {
    fn of(directory: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let mut number = 0;
        let copy = loop {
            let path = std::env::temp_dir().join(format!("dcu-verify-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break Self(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err((path, error)),
            }
        };
        let target = copy.0.join("sled");
        copy_directory(directory, &target).map_err(|error| (target, error))?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clean up.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Copies files and directories; a directory that is not there is empty.
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &to)?
        } else {
            let _ = fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A large store on a slow machine takes a while.
const OPEN_LIMIT: Duration = Duration::from_secs(120);
