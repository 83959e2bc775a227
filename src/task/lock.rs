//! A lock between processes. It ends with its holder, however that ends.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

/// As long as it lives nobody else holds it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is held, not looked at")] Flock<File>);

/// Waits until nobody else holds the lock of a directory, and holds it.
///
/// # Errors
/// The directory cannot be opened.
pub fn directory(path: &Path) -> io::Result<Lock> {
    let file = File::open(path)?;
    Flock::lock(file, FlockArg::LockExclusive).map(Lock).map_err(|(_, errno)| errno.into())
}
