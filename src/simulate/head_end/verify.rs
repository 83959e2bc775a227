//! Checks what consumers wrote, merged in any order: hash chains, checkpoints, gaps. Finds what a broker or anybody else on
//! the way altered, dropped, invented or put in another place.

mod chain;
mod finding;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::line::{Name, Raw};
use super::stream::{Seen, Stream, batch_id};
use crate::reading::{EventKind, LaneHead};
use crate::store::{Body, Epoch, Lane, Record};
use crate::uplink::{Topic, Topics};
use crate::wire::signed::{self, Verified};
use crate::wire::trust::Trust;
use crate::wire::{self, v1};

pub use finding::{Finding, Place};

/// What is checked, and against what.
#[derive(Debug, Default)]
pub struct Options {
    /// Device keys; without them checkpoints are compared and not proven.
    pub devices: Option<Trust>,
    /// The first batch that is there counts as a lane's first.
    pub is_partial: bool,
    /// Batches that arrived after later ones are a finding. Fresh batches overtake a backlog, so mostly they are not.
    pub is_ordered: bool,
}

/// Collects lines of any number of files, then checks them.
#[derive(Debug, Default)]
pub struct Verifier {
    options: Options,
    chains: BTreeMap<Stream, chain::Chain>,
    /// Lines of records, where files of records were given.
    records: BTreeMap<Stream, Seen>,
    findings: BTreeSet<Finding>,
    report: Report,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub batches: u64,
    /// Batches and records that are there more than once: nothing wrong.
    pub duplicates: u64,
    /// In batches.
    pub records: u64,
    /// Lines of records that were compared with them.
    pub record_lines: u64,
    pub checkpoints: u64,
    /// Whether the checkpoints' signatures were verified.
    pub is_proven: bool,
    pub lanes: Vec<LaneReport>,
    pub findings: Vec<Finding>,
}

/// One stream's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneReport {
    pub utility: String,
    pub dcu: String,
    pub epoch: String,
    pub lane: String,
    pub batches: u64,
    pub last: u64,
    /// Records that the unit said it gave up.
    pub given_up: u64,
    /// The last record that a checkpoint proves; 0 where there is none.
    pub proven: u64,
    /// Batches that arrived after later ones.
    pub overtaken: u64,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("read {}", path.display())]
pub struct ReadError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl Verifier {
    pub fn new(options: Options) -> Self {
        let report = Report { is_proven: options.devices.is_some(), ..Report::default() };
        Self { options, report, ..Self::default() }
    }

    /// Reads a file that a watcher wrote, of batches or of records.
    pub fn file(&mut self, path: &Path) -> Result<(), ReadError> {
        let failed = |source| ReadError { path: path.to_owned(), source };
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
        let name: std::sync::Arc<str> = path.display().to_string().into();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let length = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(failed)?;
            let place = Place { file: name.clone(), line: number };
            match line.strip_suffix(b"\n") {
                Some(line) => self.line(line, place),
                None if length == 0 => return Ok(()),
                None => {
                    // A watcher that was killed: what is cut off was never acknowledged.
                    self.findings.insert(Finding::Unreadable { place, why: "a line without an end".into() });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], place: Place) {
        let batch = serde_json::from_slice::<Raw>(line).ok();
        if let Some(payload) = batch.as_ref().and_then(|raw| hex::decode(&raw.payload).ok()) {
            return self.message(&batch.map(|raw| raw.topic).unwrap_or_default(), &payload, place);
        }
        match serde_json::from_slice::<Name>(line).ok().and_then(Name::parse) {
            Some((stream, sequence, batch)) => {
                self.report.record_lines += 1;
                let seen = self.records.entry(stream.clone()).or_default();
                match seen.missing(sequence, sequence, batch) {
                    Ok(missing) if missing.is_empty() => self.report.duplicates += 1,
                    Ok(_) => seen.insert(sequence, sequence, batch),
                    Err(_) => {
                        let what = "is there twice, from two different batches";
                        self.findings.insert(Finding::altered(&stream, sequence, sequence, what, Some(place)));
                    }
                }
            }
            None => {
                self.findings.insert(Finding::Unreadable { place, why: "neither a batch nor a record".into() });
            }
        }
    }

    /// Takes one message as it was published.
    pub fn message(&mut self, topic: &str, payload: &[u8], place: Place) {
        let Some((topics, kind)) = Topics::parse(topic) else {
            self.findings.insert(Finding::Unreadable { place, why: format!("{topic}: no topic of the contract") });
            return;
        };
        match kind {
            Topic::Batch(lane) => self.batch(&topics, lane, payload, place),
            Topic::Checkpoint => self.checkpoint(&topics, payload, place),
            _ => {}
        }
    }

    fn batch(&mut self, topics: &Topics, lane: Lane, payload: &[u8], place: Place) {
        let (head, records) = match wire::open_batch(payload) {
            Ok(opened) => opened,
            Err(reject) => {
                let why = format!("a batch on the topic of {} lane {lane}: {reject}", topics.dcu());
                self.findings.insert(Finding::Unreadable { place, why });
                return;
            }
        };
        if head.dcu != topics.dcu() || head.lane != lane {
            let why =
                format!("a batch of {} lane {} on the topic of {} lane {lane}", head.dcu, head.lane, topics.dcu());
            self.findings.insert(Finding::Misplaced { place, why });
            return;
        }
        let stream = Stream { utility: topics.utility().to_owned(), dcu: head.dcu, epoch: head.epoch, lane };
        self.events(&stream, &records);
        let link = chain::Link {
            first: head.first,
            last: head.first.saturating_add(u64::from(head.count)).saturating_sub(1),
            hash: wire::hash(payload),
            previous_hash: head.previous_hash,
            place,
        };
        let count = u64::from(head.count);
        match self.chain(stream).add(link) {
            true => {
                self.report.batches += 1;
                self.report.records += count;
            }
            false => self.report.duplicates += 1,
        }
    }

    /// What the unit says of itself tells what will not come, and where another life of its buffer ended.
    fn events(&mut self, stream: &Stream, records: &[Record]) {
        for record in records {
            let Body::Event(event) = &record.body else { continue };
            match &event.kind {
                EventKind::Gap { epoch, lane, first, last, hash, .. } => {
                    if let Some(lane) = Lane::from_number(*lane) {
                        let of = Stream { epoch: Epoch(*epoch), lane, ..stream.clone() };
                        self.chain(of).gaps.push(chain::Gap { first: *first, last: *last, hash: *hash });
                    }
                }
                EventKind::EpochStarted { previous: Some(epoch), heads, .. } => {
                    let of = Stream { epoch: Epoch(*epoch), ..stream.clone() };
                    heads.iter().for_each(|head| self.head(&of, *head, false));
                }
                _ => {}
            }
        }
    }

    fn checkpoint(&mut self, topics: &Topics, payload: &[u8], place: Place) {
        let opened = match &self.options.devices {
            Some(devices) => signed::open::<v1::Checkpoint>(payload, devices)
                .map(|Verified { message, .. }| message)
                .map_err(|error| error.to_string()),
            None => signed::claim::<v1::Checkpoint>(payload).ok_or_else(|| "not an envelope".to_owned()),
        };
        let checkpoint = match opened {
            Ok(checkpoint) if checkpoint.dcu != topics.dcu() => {
                let why = format!("a checkpoint of {} on the topic of {}", checkpoint.dcu, topics.dcu());
                self.findings.insert(Finding::Misplaced { place, why });
                return;
            }
            Ok(checkpoint) => checkpoint,
            Err(why) => {
                self.findings.insert(Finding::Checkpoint { dcu: topics.dcu().to_owned(), place, why });
                return;
            }
        };
        self.report.checkpoints += 1;
        let is_proof = self.options.devices.is_some();
        for v1::LaneHead { lane, last, hash } in checkpoint.heads {
            let lane = u8::try_from(lane).ok().and_then(Lane::from_number);
            let (Some(lane), Ok(hash)) = (lane, <[u8; 32]>::try_from(hash)) else { continue };
            let (utility, dcu) = (topics.utility().to_owned(), topics.dcu().to_owned());
            let of = Stream { utility, dcu, epoch: Epoch(checkpoint.epoch), lane };
            self.head(&of, LaneHead { lane: lane as u8, last, hash }, is_proof);
        }
    }

    fn head(&mut self, stream: &Stream, head: LaneHead, is_proof: bool) {
        if let Some(lane) = Lane::from_number(head.lane) {
            let of = Stream { lane, ..stream.clone() };
            self.chain(of).heads.push(chain::Head { last: head.last, hash: head.hash, is_proof });
        }
    }

    fn chain(&mut self, stream: Stream) -> &mut chain::Chain {
        self.chains.entry(stream).or_default()
    }

    /// Checks everything that was read.
    pub fn check(mut self) -> Report {
        for (stream, chain) in std::mem::take(&mut self.chains) {
            let checked = chain.check(&stream, &self.options, &mut self.findings);
            if self.report.record_lines > 0 {
                self.compare(&stream, &checked.kept);
            }
            self.report.lanes.push(checked.report);
        }
        if self.report.batches == 0 {
            self.holes();
        }
        self.report.findings = self.findings.into_iter().collect();
        self.report
    }

    /// Every record of every batch must have its line, from that batch.
    fn compare(&mut self, stream: &Stream, kept: &[chain::Link]) {
        let nothing = Seen::default();
        let seen = self.records.get(stream).unwrap_or(&nothing);
        for chain::Link { first, last, hash, .. } in kept {
            match seen.missing(*first, *last, batch_id(hash)) {
                Ok(missing) => {
                    for (first, last) in missing {
                        self.findings.insert(Finding::missing(stream, first, last, "in the files of records"));
                    }
                }
                Err(_) => {
                    let what = "came from another batch in the files of records";
                    self.findings.insert(Finding::altered(stream, *first, *last, what, None));
                }
            }
        }
    }

    /// Without batches only the sequences can be looked at.
    fn holes(&mut self) {
        for (stream, seen) in &self.records {
            let begin = if self.options.is_partial { seen.first().unwrap_or(1) } else { 1 };
            for (first, last) in seen.holes(begin) {
                self.findings.insert(Finding::missing(stream, first, last, "in the files of records"));
            }
        }
    }
}

/// A batch of 64 KiB in hexadecimal, and its topic.
const LONGEST_LINE: u64 = 256 << 10;
