//! Proves that nothing is missing, altered or forged: batches in any order, duplicates too, beside signed checkpoints.
//!
//! A signed head proves the batch it names, each proven batch proves the one before it, a proven `Gap` explains what will
//! not come, and a proven `EpochStarted` proves the heads of the epoch before it. What no head reaches yet is only checked
//! for fitting together: it is unproven until the next checkpoint.
//!
//! Feed `batch` and `checkpoint`, then ask `report`; feed on and ask again as you like. It keeps about 150 octets a batch.

mod report;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use report::{Finding, LaneReport, Report};

use super::columns::Reject;
use super::signed::{self, SignedError};
use super::trust::Trust;
use super::{batch, v1};
use crate::reading::{EventKind, LaneHead};
use crate::store::{BatchHead, Body, Epoch, Lane, Record};

/// Where a chain runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub dcu: String,
    pub epoch: Epoch,
    pub lane: Lane,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.dcu, self.epoch, self.lane)
    }
}

/// Collects what was delivered and judges it.
#[derive(Debug, Default)]
pub struct Verifier {
    /// None: no checkpoint can be verified, nothing is proven, every `Gap` is believed.
    trust: Option<Trust>,
    is_whole: bool,
    chains: BTreeMap<Place, Chain>,
    /// Heads of verified checkpoints.
    heads: BTreeSet<(Place, u64, [u8; 32])>,
    checkpoints: u64,
    /// Found while feeding.
    findings: BTreeSet<Finding>,
}

/// All that was delivered of one lane.
#[derive(Debug, Default)]
struct Chain {
    /// By last sequence and hash.
    batches: BTreeMap<(u64, [u8; 32]), Note>,
    highest: u64,
    duplicates: u64,
    late: u64,
}

/// What is kept of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    first: u64,
    previous_hash: [u8; 32],
    statements: Vec<Statement>,
}

/// What a batch of lane P1 says about chains.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Statement {
    Gap { place: Place, first: u64, last: u64, hash: [u8; 32] },
    Head { place: Place, last: u64, hash: [u8; 32] },
}

impl Verifier {
    /// With the public keys of the units (role `device`), or without any: then chains are only checked for fitting.
    pub fn new(trust: Option<Trust>) -> Self {
        Self { trust, is_whole: true, ..Self::default() }
    }

    /// What is fed does not begin with the first batches: what lies before the first one of a lane is not missed.
    #[must_use]
    pub fn beginning_anywhere(self) -> Self {
        Self { is_whole: false, ..self }
    }

    /// Takes a published payload.
    ///
    /// # Errors
    /// It cannot be read. The report names it too.
    pub fn batch(&mut self, octets: &[u8]) -> Result<BatchHead, Reject> {
        let hash = batch::hash(octets);
        let opened = match batch::open_head(octets) {
            // Only this lane speaks of chains; the records of others need not be unfolded.
            Ok(head) if head.lane == Lane::Security => batch::open_batch(octets),
            Ok(head) => Ok((head, Vec::new())),
            Err(reject) => Err(reject),
        };
        match opened {
            Ok((head, records)) => {
                self.add(&head, hash, &records);
                Ok(head)
            }
            Err(reject) => {
                self.finding(Finding::Unreadable { hash, reject });
                Err(reject)
            }
        }
    }

    /// Takes a batch that was opened before. Of the records only those of lane P1 are looked at. One without records, or
    /// with a sequence 0, does not exist.
    pub fn add(&mut self, head: &BatchHead, hash: [u8; 32], records: &[Record]) {
        if head.first == 0 || head.count == 0 {
            return;
        }
        let place = Place { dcu: head.dcu.clone(), epoch: head.epoch, lane: head.lane };
        let last = head.first.saturating_add(u64::from(head.count).saturating_sub(1));
        let statements = if head.lane == Lane::Security { statements(&head.dcu, records) } else { Vec::new() };
        let note = Note { first: head.first, previous_hash: head.previous_hash, statements };
        let chain = self.chains.entry(place).or_default();
        if chain.batches.insert((last, hash), note).is_some() {
            chain.duplicates += 1;
            return;
        }
        chain.late += u64::from(head.first <= chain.highest);
        chain.highest = chain.highest.max(last);
    }

    /// Takes a payload of the checkpoint topic.
    ///
    /// # Errors
    /// It is not signed by a trusted key of the unit. The report names it too, unless there is no trust at all.
    pub fn checkpoint(&mut self, octets: &[u8]) -> Result<v1::Checkpoint, SignedError> {
        let Some(trust) = &self.trust else { return Err(SignedError::UnknownKey) };
        match signed::open::<v1::Checkpoint>(octets, trust) {
            Ok(verified) => {
                let checkpoint = verified.message;
                self.checkpoints += 1;
                for head in &checkpoint.heads {
                    let lane = u8::try_from(head.lane).ok().and_then(Lane::from_number);
                    let (Some(lane), Ok(hash)) = (lane, head.hash.as_slice().try_into()) else { continue };
                    let place = Place { dcu: checkpoint.dcu.clone(), epoch: Epoch(checkpoint.epoch), lane };
                    self.heads.insert((place, head.last, hash));
                }
                Ok(checkpoint)
            }
            Err(error) => {
                let claimed = signed::claim::<v1::Checkpoint>(octets).map(|checkpoint| checkpoint.dcu);
                self.finding(Finding::CheckpointRefused { dcu: claimed, reason: error.to_string() });
                Err(error)
            }
        }
    }

    /// Judges all that was fed so far.
    pub fn report(&self) -> Report {
        walk::report(self)
    }

    fn finding(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.insert(finding);
        }
    }
}

fn statements(dcu: &str, records: &[Record]) -> Vec<Statement> {
    let mut statements = Vec::new();
    for record in records {
        let Body::Event(event) = &record.body else { continue };
        match &event.kind {
            EventKind::Gap { epoch, lane, first, last, hash, .. } => {
                if let Some(lane) = Lane::from_number(*lane) {
                    let place = Place { dcu: dcu.to_owned(), epoch: Epoch(*epoch), lane };
                    statements.push(Statement::Gap { place, first: *first, last: *last, hash: *hash });
                }
            }
            EventKind::EpochStarted { previous: Some(previous), heads, .. } => {
                for LaneHead { lane, last, hash } in heads {
                    let Some(lane) = Lane::from_number(*lane) else { continue };
                    let place = Place { dcu: dcu.to_owned(), epoch: Epoch(*previous), lane };
                    statements.push(Statement::Head { place, last: *last, hash: *hash });
                }
            }
            _ => {}
        }
    }
    statements
}

/// A flood of garbage is not kept.
const MOST_FINDINGS: usize = 10_000;

#[cfg(test)]
mod tests;
