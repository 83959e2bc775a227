//! Checks what consumers wrote, merged in any order: finds what a broker or anybody else on the way altered, dropped,
//! invented or put in another place. Chains and checkpoints are judged by `wire::chain`; here are files, topics and lines.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::line::{Name, Raw};
use super::stream::{Seen, Stream, batch_id};
use crate::store::Lane;
use crate::uplink::{Topic, Topics};
use crate::wire;
use crate::wire::chain::{self, Verifier as Chains};
use crate::wire::trust::Trust;

/// What is checked, and against what.
#[derive(Debug, Default)]
pub struct Options {
    /// Device keys; without them no checkpoint counts, and an end that is missing cannot be seen.
    pub devices: Option<Trust>,
    /// The first batch that is there counts as a lane's first.
    pub is_partial: bool,
    /// Batches that arrived after later ones are a fault. Fresh batches overtake a backlog, so mostly they are not.
    pub is_ordered: bool,
}

/// Collects lines of any number of files, then checks them.
#[derive(Debug, Default)]
pub struct Verifier {
    options: Options,
    utilities: BTreeMap<String, Utility>,
    batches: BTreeMap<Stream, Vec<Batch>>,
    /// Lines of records, where files of records were given.
    records: BTreeMap<Stream, Seen>,
    findings: BTreeSet<Finding>,
    report: Report,
}

#[derive(Debug)]
struct Utility {
    chains: Chains,
    /// Where a batch was first met.
    places: BTreeMap<[u8; 32], Place>,
}

#[derive(Debug)]
struct Batch {
    first: u64,
    last: u64,
    hash: [u8; 32],
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: std::sync::Arc<str>,
    pub line: u64,
}

/// One thing to be told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// `missing`, `altered`, `forged`, `conflict`, `chain_break`, `checkpoint_refused`, `unreadable`, `misplaced`,
    /// `reordered`; `gap` and `unproven` are no faults.
    pub finding: &'static str,
    pub is_fault: bool,
    /// What it is about, for people.
    pub text: String,
    /// Sequences, both included, where it is about records.
    pub first: Option<u64>,
    pub last: Option<u64>,
    /// `FILE line N`
    pub place: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub ok: bool,
    pub batches: u64,
    /// Batches and records that are there more than once: nothing wrong.
    pub duplicates: u64,
    /// In batches.
    pub records: u64,
    /// Lines of records that were compared with them.
    pub record_lines: u64,
    /// Checkpoints whose signature is a unit's.
    pub checkpoints: u64,
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
    pub records: u64,
    pub last: u64,
    /// The last record that a signature proves; 0 where there is none.
    pub proven: u64,
    /// Batches that arrived after later ones.
    pub late: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("read {}", path.display())]
pub struct ReadError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl Verifier {
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
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
                Some(line) => self.line(line, &place),
                None if length == 0 => return Ok(()),
                None => {
                    // A watcher was killed: what is cut off was never acknowledged, so whole it will be elsewhere.
                    self.note(
                        "unreadable",
                        length as u64 == LONGEST_LINE,
                        "a line without an end".into(),
                        Some(&place),
                    );
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], place: &Place) {
        if let Ok(Raw { topic, payload }) = serde_json::from_slice(line) {
            return match hex::decode(&payload) {
                Ok(payload) => self.message(&topic, &payload, place),
                Err(_) => self.note("unreadable", true, format!("{topic}: not hexadecimal"), Some(place)),
            };
        }
        match serde_json::from_slice::<Name>(line).ok().and_then(Name::parse) {
            Some((stream, sequence, batch)) => {
                self.report.record_lines += 1;
                let seen = self.records.entry(stream.clone()).or_default();
                match seen.missing(sequence, sequence, batch) {
                    Ok(missing) if missing.is_empty() => self.report.duplicates += 1,
                    Ok(_) => seen.insert(sequence, sequence, batch),
                    Err(_) => {
                        let text = format!("{stream}: record {sequence} is there from two different batches");
                        self.note("conflict", true, text, Some(place));
                    }
                }
            }
            None => self.note("unreadable", true, "neither a batch nor a record".into(), Some(place)),
        }
    }

    /// Takes one message as it was published.
    pub fn message(&mut self, topic: &str, payload: &[u8], place: &Place) {
        match Topics::parse(topic) {
            Some((topics, Topic::Batch(lane))) => self.batch(&topics, lane, payload, place),
            Some((topics, Topic::Checkpoint)) => self.checkpoint(&topics, payload, place),
            Some(_) => {}
            None => self.note("misplaced", true, format!("{topic}: no topic of the contract"), Some(place)),
        }
    }

    fn batch(&mut self, topics: &Topics, lane: Lane, payload: &[u8], place: &Place) {
        let hash = wire::hash(payload);
        let (head, records) = match wire::open_batch(payload) {
            Ok(opened) => opened,
            Err(reject) => {
                let text = format!("a batch on the topic of {} lane {lane}: {reject}", topics.dcu());
                return self.note("unreadable", true, text, Some(place));
            }
        };
        if head.dcu != topics.dcu() || head.lane != lane {
            let (dcu, on) = (&head.dcu, topics.dcu());
            let text = format!("a batch of {dcu} lane {} on the topic of {on} lane {lane}", head.lane);
            return self.note("misplaced", true, text, Some(place));
        }
        let utility = self.utility(topics.utility());
        utility.chains.add(&head, hash, &records);
        if utility.places.contains_key(&hash) {
            self.report.duplicates += 1;
            return;
        }
        utility.places.insert(hash, place.clone());
        let (first, last) = (head.first, head.first.saturating_add(u64::from(head.count)).saturating_sub(1));
        let stream = Stream { utility: topics.utility().to_owned(), dcu: head.dcu, epoch: head.epoch, lane };
        let batches = self.batches.entry(stream.clone()).or_default();
        let is_late = batches.last().is_some_and(|before| before.first > first);
        batches.push(Batch { first, last, hash });
        self.report.batches += 1;
        self.report.records += u64::from(head.count);
        if is_late && self.options.is_ordered {
            let text = format!("{stream}: records {first} to {last} came after later ones");
            self.tell("reordered", true, text, Some((first, last)), Some(place));
        }
    }

    fn checkpoint(&mut self, topics: &Topics, payload: &[u8], place: &Place) {
        if self.options.devices.is_none() {
            return;
        }
        match self.utility(topics.utility()).chains.checkpoint(payload) {
            Ok(checkpoint) if checkpoint.dcu != topics.dcu() => {
                let text = format!("a checkpoint of {} on the topic of {}", checkpoint.dcu, topics.dcu());
                self.note("misplaced", true, text, Some(place));
            }
            Ok(_) => self.report.checkpoints += 1,
            Err(error) => {
                self.note("checkpoint_refused", true, format!("{}: {error}", topics.dcu()), Some(place));
            }
        }
    }

    fn utility(&mut self, name: &str) -> &mut Utility {
        let Options { devices, is_partial, .. } = &self.options;
        self.utilities.entry(name.to_owned()).or_insert_with(|| {
            let chains = Chains::new(devices.clone());
            let chains = if *is_partial { chains.beginning_anywhere() } else { chains };
            Utility { chains, places: BTreeMap::new() }
        })
    }

    /// Checks everything that was read.
    pub fn check(mut self) -> Report {
        let mut forged = BTreeSet::new();
        for (utility, Utility { chains, places }) in std::mem::take(&mut self.utilities) {
            let chain::Report { lanes, findings, .. } = chains.report();
            findings.iter().for_each(|finding| self.judged(&utility, &places, finding, &mut forged));
            self.report.lanes.extend(lanes.into_iter().map(|lane| LaneReport {
                utility: utility.clone(),
                dcu: lane.place.dcu,
                epoch: lane.place.epoch.to_string(),
                lane: lane.place.lane.name().to_owned(),
                batches: lane.batches,
                records: lane.records,
                last: lane.last,
                proven: lane.proven,
                late: lane.late,
            }));
        }
        if self.report.batches == 0 {
            self.holes();
        } else if self.report.record_lines > 0 {
            self.compare(&forged);
        }
        self.report.findings = self.findings.into_iter().collect();
        self.report.ok = !self.report.findings.iter().any(|finding| finding.is_fault);
        self.report
    }

    fn judged(
        &mut self,
        utility: &str,
        places: &BTreeMap<[u8; 32], Place>,
        finding: &chain::Finding,
        forged: &mut BTreeSet<[u8; 32]>,
    ) {
        use chain::Finding as F;
        let (name, range, hash) = match finding {
            F::Missing { first, last, .. } => ("missing", Some((*first, *last)), None),
            F::Altered { first, last, hash, .. } => ("altered", Some((*first, *last)), Some(hash)),
            F::Forged { first, last, hash, .. } => {
                forged.insert(*hash);
                ("forged", Some((*first, *last)), Some(hash))
            }
            F::Conflict { first, last, .. } => ("conflict", Some((*first, *last)), None),
            F::ChainBreak { first, .. } => ("chain_break", Some((*first, *first)), None),
            // Told where the message was met, with its line.
            F::CheckpointRefused { .. } | F::Unreadable { .. } => return,
            F::Gap { first, last, .. } | F::GapUnproven { first, last, .. } => ("gap", Some((*first, *last)), None),
            F::Unproven { first, last, .. } => ("unproven", Some((*first, *last)), None),
        };
        let place = hash.and_then(|hash| places.get(hash));
        self.tell(name, finding.is_fault(), format!("{utility}/{finding}"), range, place);
    }

    /// Every record of every batch must have its line, from that batch.
    fn compare(&mut self, forged: &BTreeSet<[u8; 32]>) {
        let nothing = Seen::default();
        for (stream, batches) in std::mem::take(&mut self.batches) {
            let seen = self.records.remove(&stream).unwrap_or_else(|| nothing.clone());
            for Batch { first, last, hash } in batches.iter().filter(|batch| !forged.contains(&batch.hash)) {
                match seen.missing(*first, *last, batch_id(hash)) {
                    Ok(missing) => missing.into_iter().for_each(|range| self.no_line(&stream, range)),
                    Err(_) => {
                        let text = format!("{stream}: lines of records {first} to {last} are from another batch");
                        self.tell("altered", true, text, Some((*first, *last)), None);
                    }
                }
            }
        }
    }

    /// Without batches only the sequences can be looked at.
    fn holes(&mut self) {
        for (stream, seen) in std::mem::take(&mut self.records) {
            let begin = if self.options.is_partial { seen.first().unwrap_or(1) } else { 1 };
            seen.holes(begin).into_iter().for_each(|range| self.no_line(&stream, range));
        }
    }

    fn no_line(&mut self, stream: &Stream, (first, last): (u64, u64)) {
        let text = format!("{stream}: records {first} to {last} have no line in the files of records");
        self.tell("missing", true, text, Some((first, last)), None);
    }

    fn note(&mut self, finding: &'static str, is_fault: bool, text: String, place: Option<&Place>) {
        self.tell(finding, is_fault, text, None, place);
    }

    fn tell(
        &mut self,
        finding: &'static str,
        is_fault: bool,
        text: String,
        range: Option<(u64, u64)>,
        place: Option<&Place>,
    ) {
        let (first, last) = range.unzip();
        let place = place.map(|Place { file, line }| format!("{file} line {line}"));
        self.findings.insert(Finding { finding, is_fault, text, first, last, place });
    }
}

/// A batch of 64 KiB in hexadecimal, and its topic.
const LONGEST_LINE: u64 = 256 << 10;
