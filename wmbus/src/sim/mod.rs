//! Mirror images: the other side of each protocol, built from the same codecs.

pub mod im871a;
pub mod random;
