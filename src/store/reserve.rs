//! Octets that are given up when the disk is full: some so that the database takes the commit that removes something,
//! some for opening it, because sled writes a snapshot of its page table then and does not open without.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::System;
use super::database::DatabaseError;

#[derive(Debug)]
pub(super) struct Reserve {
    /// The store's directory.
    store: PathBuf,
    filled: bool,
    /// After a trial that did not succeed: when the next is due, and how long to wait after that one.
    next: Option<Instant>,
    wait: Duration,
}

impl Reserve {
    pub(super) fn new(store: PathBuf) -> Self {
        Self { store, filled: false, next: None, wait: FIRST_WAIT }
    }

    /// Is there room left on the disk, as far as these files know?
    pub(super) fn is_filled(&self) -> bool {
        self.filled
    }

    /// When to try again to fill it.
    pub(super) fn next_trial(&self) -> Option<Instant> {
        self.next
    }

    /// Takes the room, if there is that much and a little more; asked all the time, it tries now and then.
    pub(super) fn fill(&mut self, system: System, now: Instant) {
        if self.filled || self.next.is_some_and(|next| now < next) {
            return;
        }
        self.filled = [OPENING, COMMIT].into_iter().all(|(name, octets)| self.take(name, octets, system));
        if self.filled {
            (self.next, self.wait) = (None, FIRST_WAIT);
        } else {
            self.next = Some(now + self.wait);
            self.wait = (self.wait * 2).min(LAST_WAIT);
        }
    }

    /// Room for commits.
    pub(super) fn give_up(&mut self) {
        self.filled = false;
        // When it is not there, there is nothing to give up.
        drop(fs::remove_file(self.store.join(COMMIT.0)));
    }

    /// Opening may have given up some of it.
    pub(super) fn look(&mut self) {
        self.filled = [OPENING, COMMIT].into_iter().all(|(name, octets)| self.is_there(name, octets));
    }

    fn is_there(&self, name: &str, octets: usize) -> bool {
        fs::metadata(self.store.join(name)).is_ok_and(|metadata| metadata.len() == octets as u64)
    }

    fn take(&self, name: &str, octets: usize, system: System) -> bool {
        if self.is_there(name, octets) {
            return true;
        }
        // Writing what does not fit would only wear the disk.
        if (system.free_octets)(&self.store).is_some_and(|free| free < (octets + MARGIN) as u64) {
            return false;
        }
        let path = self.store.join(name);
        let is_written = fs::write(&path, vec![0; octets]).is_ok();
        if !is_written {
            drop(fs::remove_file(path));
        }
        is_written
    }
}

/// Opens a database; for want of space once more without each part of the reserve.
pub(super) fn with_room<T>(
    store: &Path,
    mut open: impl FnMut() -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let mut result = open();
    for (name, _) in [OPENING, COMMIT] {
        if !matches!(&result, Err(DatabaseError::Failed(error)) if error.is_full()) {
            break;
        }
        if fs::remove_file(store.join(name)).is_ok() {
            result = open();
        }
    }
    result
}

/// Octets that a new unit writes once, to have them to give up.
pub const RESERVE: u64 = (OPENING.1 + COMMIT.1) as u64;
/// Room for the snapshot of a large store, twice.
const OPENING: (&str, usize) = ("reserve-opening", 1 << 20);
/// Room for two segments of sled and the writing around them.
const COMMIT: (&str, usize) = ("reserve", 2 << 20);
/// Left to others, so that it is not filled and given up in turn.
const MARGIN: usize = 256 << 10;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_that_does_not_fit_is_tried_ever_less_often_and_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let full = System { forget_pages: |_| Ok(()), free_octets: |_| Some(1 << 20) };
        let mut reserve = Reserve::new(dir.path().to_owned());
        let begin = Instant::now();
        let mut trials = 0;
        let mut due = None;
        // Five times a second, for ten minutes.
        for n in 0..3000 {
            reserve.fill(full, begin + Duration::from_millis(200) * n);
            trials += u32::from(reserve.next_trial() != due);
            due = reserve.next_trial();
        }
        assert!((10..=20).contains(&trials), "{trials} trials");
        assert!(!reserve.is_filled() && std::fs::read_dir(dir.path()).unwrap().next().is_none());
        let roomy = System { free_octets: |_| Some(1 << 30), ..full };
        reserve.fill(roomy, begin + Duration::from_secs(700));
        assert!(reserve.is_filled() && reserve.next_trial().is_none());
        reserve.give_up();
        assert!(!reserve.is_filled());
        reserve.fill(roomy, begin + Duration::from_secs(700));
        assert!(reserve.is_filled(), "a new trouble begins with a short wait");
    }
}
