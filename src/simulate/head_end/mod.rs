//! The reference head-end: keys to try things out, a consumer that acknowledges what it made durable, a checker of chains.
//!
//! It is small, and it keeps the whole contract of `proto/`: what a real head-end must do can be read here.

pub mod archive;
pub mod intake;
pub mod keys;
pub mod line;
pub mod order;
pub mod play;
pub mod stream;
pub mod topology;
pub mod verify;
pub mod watcher;

pub use intake::{Arrival, Counts, Intake};
pub use stream::Stream;
pub use watcher::{News, OnArrival, Options, WatchError, Watcher};
