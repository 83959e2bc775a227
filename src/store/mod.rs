//! The buffer: the only home of sled. Records go in, sealed batches come out, nothing acknowledged is lost.

mod record;

pub use record::{Body, Epoch, Lane, Record};
