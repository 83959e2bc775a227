//! Records as columns (`proto/dcu/v1/records.proto`): dictionaries for what repeats, differences for what changes.
//!
//! `decode` gives back exactly what `encode` was given. It takes octets from anybody: every index, length and sum is
//! checked, and what it builds is bounded by a budget, not by what the octets claim.

mod decode;
mod encode;
mod event;
mod name;
mod number;

use std::sync::Arc;

pub use decode::decode;
pub use encode::encode;
pub use name::{from_meter, to_meter};

use super::v1;

/// Why octets are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Reject {
    #[error("larger than {0} octets")]
    TooLarge(usize),
    #[error("more than {MOST_RECORDS} records")]
    TooMany,
    #[error("would take more than {MOST_OCTETS} octets of memory")]
    TooRich,
    #[error("not a zstd frame of this size")]
    Compression,
    #[error("not this protobuf message")]
    Protobuf,
    /// A field whose value the contract does not allow.
    #[error("{0}: not allowed")]
    Field(&'static str),
    /// A column that ends before the last row, or goes on after it.
    #[error("{0}: wrong length")]
    Length(&'static str),
}

/// The ReadingType of each reading, in the order of the readings, where `decode` takes them.
pub fn reading_types(records: &v1::Records) -> Vec<Option<Arc<str>>> {
    let types: Vec<Option<Arc<str>>> = records
        .registers
        .iter()
        .map(|register| Some(register.reading_type.as_str().into()).filter(|it: &Arc<str>| !it.is_empty()))
        .collect();
    let layouts = records.rows.iter().flat_map(|rows| &rows.layout);
    let registers = layouts.filter_map(|at| records.layouts.get(*at as usize)).flat_map(|layout| &layout.register);
    registers.take(MOST_RECORDS).map(|at| types.get(*at as usize).cloned().flatten()).collect()
}

/// Records in one message.
pub const MOST_RECORDS: usize = 16_384;
/// Octets of memory that the records of one message may take.
pub const MOST_OCTETS: usize = 32 << 20;

#[cfg(test)]
pub(super) mod tests;
