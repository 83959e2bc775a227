//! Octets that are given up when the disk is full, so that the database can be opened again and take the commit that
//! removes something.

use std::fs;
use std::path::PathBuf;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    filled: bool,
}

impl Reserve {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, filled: false }
    }

    /// Is there room left on the disk, as far as this file knows?
    pub(super) fn is_filled(&self) -> bool {
        self.filled
    }

    /// Takes the room, if there is that much.
    pub(super) fn fill(&mut self) {
        if self.filled {
            return;
        }
        let is_there = fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == OCTETS as u64);
        self.filled = is_there || fs::write(&self.path, vec![0; OCTETS]).is_ok();
        if !self.filled {
            self.give_up();
        }
    }

    pub(super) fn give_up(&mut self) {
        self.filled = false;
        // When it is not there, there is nothing to give up.
        drop(fs::remove_file(&self.path));
    }
}

/// Room for two segments of sled and the writing around them.
const OCTETS: usize = 2 << 20;
