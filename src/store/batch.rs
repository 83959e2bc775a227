//! A sealed batch: consecutive records of one lane under one hash, as published.

use super::{Epoch, Lane};

/// What a batch says of itself inside its sealed octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHead {
    pub dcu: String,
    pub epoch: Epoch,
    pub lane: Lane,
    /// Sequence of the first record.
    pub first: u64,
    pub count: u32,
    /// The hash of the batch before it in its lane and epoch; 32 zero octets for the first.
    pub previous_hash: [u8; 32],
}

/// A sealed batch as it lies in the store. `octets` are published as they are; a resend is byte-identical.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    pub epoch: Epoch,
    pub lane: Lane,
    pub first: u64,
    pub count: u32,
    pub previous_hash: [u8; 32],
    /// SHA-256 of `octets`.
    pub hash: [u8; 32],
    /// When it was sealed, milliseconds since 1970 UTC by the unit's clock.
    pub sealed_utc_ms: i64,
    pub octets: Vec<u8>,
}

impl Batch {
    /// Sequence of the last record.
    pub fn last(&self) -> u64 {
        self.first + u64::from(self.count).saturating_sub(1)
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} {} {}..={} {} octets)", self.epoch, self.lane, self.first, self.last(), self.octets.len())
    }
}
