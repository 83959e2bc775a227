//! What the service leaves for `--offline`: its last status and its meters, in plain files below the state directory.
//!
//! The service writes them when it stops and now and then, so that a dead unit can still be asked.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{MeterCard, Status, VERSION};

#[derive(Debug, thiserror::Error)]
pub enum LeftError {
    /// The service was never there, or died before it left anything.
    #[error(
        "{path} is not there: a service leaves its status after a minute and its meters after ten; what \
         is stored can still be read: dcu buffer stat --offline {}", path.parent().unwrap_or(path).display()
    )]
    Nothing { path: PathBuf },
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} is not what a service leaves")]
    Foreign { path: PathBuf, source: serde_json::Error },
    #[error("{path} is of version {found} of the vocabulary, this is {VERSION}")]
    Version { path: PathBuf, found: u16 },
}

#[derive(Serialize, Deserialize)]
struct Left<T> {
    version: u16,
    left: T,
}

/// Leaves the status in the state directory.
///
/// # Errors
/// The file could not be written; the one before stays.
pub fn leave_status(state: &Path, status: &Status) -> Result<(), LeftError> {
    leave(&state.join(STATUS), status)
}

/// Leaves all meters in the state directory.
///
/// # Errors
/// The file could not be written; the one before stays.
pub fn leave_meters(state: &Path, meters: &[MeterCard]) -> Result<(), LeftError> {
    leave(&state.join(METERS), meters)
}

/// The last status a service left.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn left_status(state: &Path) -> Result<Status, LeftError> {
    left(&state.join(STATUS))
}

/// The meters a service left.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn left_meters(state: &Path) -> Result<Vec<MeterCard>, LeftError> {
    left(&state.join(METERS))
}

fn leave<T: Serialize + ?Sized>(path: &Path, left: &T) -> Result<(), LeftError> {
    let write = || {
        let new = path.with_extension("new");
        let mut file = io::BufWriter::new(File::create(&new)?);
        serde_json::to_writer(&mut file, &Left { version: VERSION, left })?;
        file.flush()?;
        file.get_ref().sync_data()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| {
        // What is left of it would only take room.
        drop(fs::remove_file(path.with_extension("new")));
        LeftError::Write { path: path.to_owned(), source }
    })
}

fn left<T: DeserializeOwned>(path: &Path) -> Result<T, LeftError> {
    let text = fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => LeftError::Nothing { path: path.to_owned() },
        _ => LeftError::Read { path: path.to_owned(), source },
    })?;
    let foreign = |source| LeftError::Foreign { path: path.to_owned(), source };
    let Left { version, left } = serde_json::from_slice::<Left<serde_json::Value>>(&text).map_err(foreign)?;
    if version != VERSION {
        return Err(LeftError::Version { path: path.to_owned(), found: version });
    }
    serde_json::from_value(left).map_err(foreign)
}

const STATUS: &str = "status.json";
const METERS: &str = "meters.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::{card, well};

    #[test]
    fn what_was_left_is_found() {
        let state = tempfile::tempdir().unwrap();
        let nothing = left_status(state.path()).unwrap_err();
        assert!(matches!(nothing, LeftError::Nothing { .. }));
        let advice = format!("dcu buffer stat --offline {}", state.path().display());
        assert!(nothing.to_string().ends_with(&advice), "{nothing}");
        leave_status(state.path(), &well()).unwrap();
        leave_meters(state.path(), &[card()]).unwrap();
        assert_eq!(left_status(state.path()).unwrap(), well());
        assert_eq!(left_meters(state.path()).unwrap(), [card()]);
    }

    #[test]
    fn what_is_damaged_or_of_another_version_says_so() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(STATUS);
        fs::write(&path, "{\"version\":1,\"left\":{").unwrap();
        assert!(matches!(left_status(state.path()), Err(LeftError::Foreign { .. })));
        fs::write(&path, "{\"version\":2,\"left\":{}}").unwrap();
        assert!(matches!(left_status(state.path()), Err(LeftError::Version { found: 2, .. })));
    }
}
