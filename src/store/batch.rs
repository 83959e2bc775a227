//! A sealed batch: consecutive records of one lane under one hash, as published.

use bytes::{Buf, BufMut};
use sha2::{Digest, Sha256};

use super::value::{Kind, frame, get_hash, unframe};
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

    /// Is the hash the hash of the octets?
    pub fn is_whole(&self) -> bool {
        hash(&self.octets) == self.hash
    }

    /// The value on disk.
    pub(super) fn emit(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(FIXED + self.octets.len());
        body.put_u64_le(self.epoch.0);
        body.put_u8(self.lane as u8);
        body.put_u64_le(self.first);
        body.put_u32_le(self.count);
        body.put_i64_le(self.sealed_utc_ms);
        body.put_slice(&self.previous_hash);
        body.put_slice(&self.hash);
        body.put_slice(&self.octets);
        frame(Kind::Batch, &body)
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        Self::parse_body(unframe(Kind::Batch, value)?)
    }

    pub(super) fn parse_body(body: &[u8]) -> Option<Self> {
        let mut buf = body;
        let epoch = Epoch(buf.try_get_u64_le().ok()?);
        let lane = Lane::from_number(buf.try_get_u8().ok()?)?;
        let first = buf.try_get_u64_le().ok()?;
        let count = buf.try_get_u32_le().ok()?;
        let sealed_utc_ms = buf.try_get_i64_le().ok()?;
        let previous_hash = get_hash(&mut buf)?;
        let hash = get_hash(&mut buf)?;
        let sound = first > 0 && count > 0 && first.checked_add(u64::from(count)).is_some();
        sound.then(|| Self { epoch, lane, first, count, previous_hash, hash, sealed_utc_ms, octets: buf.to_vec() })
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} {} {}..={} {} octets)", self.epoch, self.lane, self.first, self.last(), self.octets.len())
    }
}

/// The hash of a batch: SHA-256 over its sealed octets.
pub(super) fn hash(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

/// Octets of the body beside the sealed ones.
const FIXED: usize = 8 + 1 + 8 + 4 + 8 + 32 + 32;
