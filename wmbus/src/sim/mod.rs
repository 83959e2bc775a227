//! Mirror images: the other side of each protocol, built from the same codecs.

pub mod im871a;
mod meter;
pub mod random;

pub use meter::{Layout, Message, Protection};
