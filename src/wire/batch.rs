//! Batches as they are published, and groups as they lie on disk.
//!
//! A batch is one zstd frame around `dcu.v1.Batch`; its hash is SHA-256 over that frame. `seal` gives the same octets for
//! the same records and the same library, but nobody relies on it: a sealed batch is stored and never made again.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;
use sha2::{Digest, Sha256};

use super::columns::{self, Reject};
use super::v1;
use crate::reading::ReadingTypes;
use crate::store::{BatchHead, Body, Codec, CodecError, Epoch, Lane, Record};

/// What the store is given.
pub const CODEC: Codec = Codec {
    encode_group,
    decode_group: |octets| decode_group(octets).map_err(|reject| CodecError(reject.to_string())),
    seal,
};

/// ReadingTypes of the readings that have one.
pub type TypesBySequence = BTreeMap<u64, Arc<str>>;

/// The hash of a batch: over its payload as it is published.
pub fn hash(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

/// The payload that is published for these records. Their sequences follow from `head.first`.
pub fn seal(head: &BatchHead, records: &[Record], types: &ReadingTypes) -> Vec<u8> {
    let batch = v1::Batch {
        dcu: head.dcu.clone(),
        epoch: head.epoch.0,
        lane: head.lane as i32,
        first: head.first,
        count: head.count,
        previous_hash: head.previous_hash.to_vec(),
        records: Some(columns::encode(records, types)),
    };
    zstd::bulk::compress(&batch.encode_to_vec(), LEVEL)
        .expect("zstd compresses anything into a buffer of its own bound")
}

/// Reads a published batch.
///
/// # Errors
/// Whatever is not as `batch.proto` says, or larger.
pub fn open_batch(octets: &[u8]) -> Result<(BatchHead, Vec<Record>), Reject> {
    open_typed(octets).map(|(head, records, _)| (head, records))
}

/// The same with the ReadingTypes that the unit gave, by sequence.
///
/// # Errors
/// As `open_batch`.
pub fn open_typed(octets: &[u8]) -> Result<(BatchHead, Vec<Record>, TypesBySequence), Reject> {
    let (head, records) = open(octets)?;
    let types = columns::reading_types(&records);
    let bodies = columns::decode(records)?;
    if bodies.len() != head.count as usize {
        return Err(Reject::Length("records"));
    }
    let records = (head.first..).zip(bodies).map(|(sequence, body)| Record { lane: head.lane, sequence, body });
    let records: Vec<Record> = records.collect();
    let readings = records.iter().filter(|record| matches!(record.body, Body::Reading(_)));
    let types = readings.zip(types).filter_map(|(record, reading_type)| Some((record.sequence, reading_type?)));
    let types = types.collect();
    Ok((head, records, types))
}

/// Reads what a published batch says of itself, and leaves the records.
///
/// # Errors
/// As `open_batch`, as far as it looks.
pub fn open_head(octets: &[u8]) -> Result<BatchHead, Reject> {
    open(octets).map(|(head, _)| head)
}

/// Columns of records of any lanes, in their order, with their names.
pub fn encode_group(records: &[Record]) -> Vec<u8> {
    let mut runs: Vec<v1::group::Run> = Vec::new();
    for record in records {
        let lane = record.lane as i32;
        match runs.last_mut() {
            Some(run) if run.lane == lane && run.first.checked_add(run.count.into()) == Some(record.sequence) => {
                run.count += 1;
            }
            _ => runs.push(v1::group::Run { lane, first: record.sequence, count: 1 }),
        }
    }
    v1::Group { runs, records: Some(columns::encode(records, &ReadingTypes::none())) }.encode_to_vec()
}

/// Gives back what `encode_group` was given.
///
/// # Errors
/// Anything else.
pub fn decode_group(octets: &[u8]) -> Result<Vec<Record>, Reject> {
    if octets.len() > MOST_DECOMPRESSED {
        return Err(Reject::TooLarge(MOST_DECOMPRESSED));
    }
    let group = v1::Group::decode(octets).map_err(|_| Reject::Protobuf)?;
    let mut bodies = columns::decode(group.records.unwrap_or_default())?.into_iter();
    let mut records = Vec::with_capacity(bodies.len());
    for run in group.runs {
        let lane = lane(run.lane)?;
        let end = run.first.checked_add(run.count.into()).ok_or(Reject::Field("first"))?;
        for sequence in run.first..end {
            let body: Body = bodies.next().ok_or(Reject::Length("runs"))?;
            records.push(Record { lane, sequence, body });
        }
    }
    bodies.next().map_or(Ok(records), |_| Err(Reject::Length("runs")))
}

fn open(octets: &[u8]) -> Result<(BatchHead, v1::Records), Reject> {
    if octets.len() > MOST_COMPRESSED {
        return Err(Reject::TooLarge(MOST_COMPRESSED));
    }
    let octets = zstd::bulk::decompress(octets, MOST_DECOMPRESSED).map_err(|_| Reject::Compression)?;
    let batch = v1::Batch::decode(octets.as_slice()).map_err(|_| Reject::Protobuf)?;
    let head = BatchHead {
        dcu: batch.dcu,
        epoch: Epoch(batch.epoch),
        lane: lane(batch.lane)?,
        first: batch.first,
        count: batch.count,
        previous_hash: batch.previous_hash.try_into().map_err(|_| Reject::Field("previous_hash"))?,
    };
    if head.first == 0 || head.count == 0 || head.first.checked_add(head.count.into()).is_none() {
        return Err(Reject::Field("first"));
    }
    Ok((head, batch.records.unwrap_or_default()))
}

fn lane(number: i32) -> Result<Lane, Reject> {
    u8::try_from(number).ok().and_then(Lane::from_number).ok_or(Reject::Field("lane"))
}

/// A batch of 500 readings is made in under 2 ms at this level.
const LEVEL: i32 = 9;

/// Limits of batch.proto.
const MOST_COMPRESSED: usize = 64 << 10;
const MOST_DECOMPRESSED: usize = 512 << 10;

#[cfg(test)]
mod tests;
