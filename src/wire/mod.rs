//! What the head-end reads: types generated from `proto/dcu/v1`, columns, hashes, signatures over octets. Pure.
//!
//! `CODEC` is the store's view; `open_batch`, `signed` and `chain` are the head-end's. Octets from outside are bounded
//! before they are believed.

mod batch;
pub mod chain;

pub mod columns;
pub mod signed;
pub mod trust;
pub mod v1;

pub use batch::{CODEC, TypesBySequence, decode_group, encode_group, hash, open_batch, open_head, open_typed, seal};
pub use columns::Reject;
