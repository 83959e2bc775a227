//! What a head-end does with a message, without the network: read it, drop what it has, write the rest down, and say
//! what may be acknowledged once that is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::archive::{Archive, ArchiveError};
use super::line::{self, Raw};
use super::stream::{Seen, Stream, batch_id};
use crate::store::{BatchHead, Record};
use crate::uplink::{Topic, Topics};
use crate::wire::v1::ack::Range;
use crate::wire::{self, v1};

/// Where records go, and what is there.
#[derive(Debug, Default)]
pub struct Intake {
    /// A line a record.
    pub records: Option<Archive>,
    /// A line a batch or checkpoint, as published.
    pub batches: Option<Archive>,
    /// What came in this life, where there is no file of records.
    seen: BTreeMap<Stream, Seen>,
    durable: Vec<Durable>,
    pub counts: Counts,
}

/// A batch that may be acknowledged after the next commit.
#[derive(Debug, Clone)]
struct Durable {
    stream: Stream,
    first: u64,
    last: u64,
    hash: [u8; 32],
}

/// A batch that came, for the first time or again.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub stream: Stream,
    /// SHA-256 of the batch.
    pub hash: [u8; 32],
    /// Its records that came for the first time.
    pub records: Vec<Record>,
    /// What the unit calls the readings' types, by sequence.
    pub reading_types: BTreeMap<u64, Arc<str>>,
    /// Sequences of those that had come before.
    pub repeated: Vec<u64>,
}

impl Arrival {
    /// The records as lines of JSON, without line ends.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let reading_type = |record: &Record| self.reading_types.get(&record.sequence).map(|it| &**it);
        let line = move |record| line::record(&self.stream, batch_id(&self.hash), record, reading_type(record));
        self.records.iter().map(line)
    }
}

/// What came so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub batches: u64,
    /// Batches of which nothing was new.
    pub duplicates: u64,
    pub records: u64,
    /// Records that were here already.
    pub repeated: u64,
    /// Batches that say something else about records that are here already: never acknowledged.
    pub conflicts: u64,
    /// Messages that could not be read, or on a topic that is not theirs.
    pub rejected: u64,
    pub checkpoints: u64,
    /// Ranges in acknowledgements.
    pub acknowledged: u64,
}

/// What became of a message.
#[derive(Debug)]
pub enum Taken {
    /// Some of it, or all, is new.
    New(Arrival),
    /// It came before; it will be acknowledged again.
    Known(Arrival),
    /// Kept as evidence where batches are kept, and not acknowledged.
    Conflict(String),
    /// Not what the contract says.
    Rejected(String),
    Checkpoint,
}

impl Intake {
    /// Writes to these files; without one of records it remembers what came in this life.
    pub fn new(records: Option<Archive>, batches: Option<Archive>) -> Self {
        Self { records, batches, ..Self::default() }
    }

    /// Reads one message. Nothing is durable before [`Intake::commit`].
    pub fn take(&mut self, topic: &str, payload: &[u8]) -> Taken {
        let taken = self.sort(topic, payload);
        match &taken {
            Taken::New(arrival) => {
                self.counts.batches += 1;
                self.counts.records += arrival.records.len() as u64;
            }
            Taken::Known(_) => {
                self.counts.batches += 1;
                self.counts.duplicates += 1;
            }
            Taken::Conflict(_) => self.counts.conflicts += 1,
            Taken::Rejected(_) => self.counts.rejected += 1,
            Taken::Checkpoint => self.counts.checkpoints += 1,
        }
        taken
    }

    /// Makes everything durable that was taken, and gives the acknowledgements for it, one a stream.
    pub fn commit(&mut self) -> Result<Vec<(Stream, v1::Ack)>, ArchiveError> {
        if let Some(batches) = &mut self.batches {
            batches.commit()?;
        }
        if let Some(records) = &mut self.records {
            records.commit()?;
        }
        let acks = acks(std::mem::take(&mut self.durable));
        self.counts.acknowledged += acks.iter().map(|(_, ack)| ack.ranges.len() as u64).sum::<u64>();
        Ok(acks)
    }

    fn sort(&mut self, topic: &str, payload: &[u8]) -> Taken {
        let Some((topics, kind)) = Topics::parse(topic) else {
            return Taken::Rejected(format!("{topic}: not a topic of the contract"));
        };
        match kind {
            Topic::Batch(lane) => match wire::open_typed(payload) {
                Ok((head, ..)) if head.dcu != topics.dcu() || head.lane != lane => {
                    self.keep(topic, payload);
                    Taken::Rejected(format!("{topic}: a batch of unit {} lane {}", head.dcu, head.lane))
                }
                Ok((head, records, types)) => self.batch(topics.utility(), topic, payload, head, (records, types)),
                Err(reject) => {
                    self.keep(topic, payload);
                    Taken::Rejected(format!("{topic}: {reject}"))
                }
            },
            Topic::Checkpoint => {
                self.keep(topic, payload);
                Taken::Checkpoint
            }
            _ => Taken::Rejected(format!("{topic}: neither a batch nor a checkpoint")),
        }
    }

    fn batch(
        &mut self,
        utility: &str,
        topic: &str,
        payload: &[u8],
        head: BatchHead,
        (mut records, reading_types): (Vec<Record>, BTreeMap<u64, Arc<str>>),
    ) -> Taken {
        let BatchHead { dcu, epoch, lane, first, count, .. } = head;
        let stream = Stream { utility: utility.to_owned(), dcu, epoch, lane };
        let last = first.saturating_add(u64::from(count)).saturating_sub(1);
        let hash = wire::hash(payload);
        let id = batch_id(&hash);
        if let Some(batches) = &mut self.batches {
            let seen = batches.seen.entry(stream.clone()).or_default();
            match seen.missing(first, last, id) {
                Ok(missing) if missing.is_empty() => {}
                // A conflicting batch is evidence: `verify` tells which of the two is the unit's.
                missing => {
                    missing.unwrap_or_default().iter().for_each(|(first, last)| seen.insert(*first, *last, id));
                    self.keep(topic, payload);
                }
            }
        }
        let seen = match &mut self.records {
            Some(records) => records.seen.entry(stream.clone()).or_default(),
            None => self.seen.entry(stream.clone()).or_default(),
        };
        let Ok(missing) = seen.missing(first, last, id) else {
            return Taken::Conflict(format!(
                "{stream}: records {first} to {last} came before with another content, and are not taken: `dcu head-end verify` says which of the two is the unit's; where it is this one, watch with another --append file and `dcu head-end resend` the range"
            ));
        };
        missing.iter().for_each(|(first, last)| seen.insert(*first, *last, id));
        let new: u64 = missing.iter().map(|(first, last)| last - first + 1).sum();
        self.counts.repeated += u64::from(count).saturating_sub(new);
        self.durable.push(Durable { stream: stream.clone(), first, last, hash });
        let is_new = |sequence: u64| missing.iter().any(|(first, last)| (*first..=*last).contains(&sequence));
        let repeated = (first..=last).filter(|sequence| !is_new(*sequence)).collect();
        records.retain(|record| is_new(record.sequence));
        let arrival = Arrival { stream, hash, records, reading_types, repeated };
        if missing.is_empty() {
            return Taken::Known(arrival);
        }
        if let Some(records) = &mut self.records {
            arrival.lines().for_each(|line| records.push(&line));
        }
        Taken::New(arrival)
    }

    fn keep(&mut self, topic: &str, payload: &[u8]) {
        if let Some(batches) = &mut self.batches {
            let raw = Raw { topic: topic.to_owned(), payload: hex::encode(payload) };
            batches.push(&serde_json::to_string(&raw).expect("two strings are always JSON"));
        }
    }
}

/// Ranges over whole batches, merged where one follows the other.
fn acks(mut durable: Vec<Durable>) -> Vec<(Stream, v1::Ack)> {
    durable.sort_by(|a, b| (&a.stream, a.first).cmp(&(&b.stream, b.first)));
    let mut acks: Vec<(Stream, v1::Ack)> = Vec::new();
    for Durable { stream, first, last, hash } in durable {
        let range = Range { first, last, last_hash: hash.to_vec() };
        match acks.last_mut() {
            Some((of, ack)) if *of == stream && ack.ranges.len() < MOST_RANGES => match ack.ranges.last_mut() {
                Some(before) if before.last == last && before.first == first => {}
                Some(before) if before.last.checked_add(1) == Some(first) => {
                    before.last = last;
                    before.last_hash = range.last_hash;
                }
                _ => ack.ranges.push(range),
            },
            _ => {
                let ack = v1::Ack {
                    dcu: stream.dcu.clone(),
                    epoch: stream.epoch.0,
                    lane: stream.lane as i32,
                    ranges: vec![range],
                };
                acks.push((stream, ack));
            }
        }
    }
    acks
}

/// The limit of ack.proto.
const MOST_RANGES: usize = 1024;

#[cfg(test)]
mod tests;
