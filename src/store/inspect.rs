//! Looks at what a unit left: the figures and the proof of a store without opening it. Nothing is written.

use std::io;
use std::path::{Path, PathBuf};

use super::lane::index;
use super::open::{FORMAT, read_format};
use super::promise::{FoundPromise, SequenceFile};
use super::scan::Scan;
use super::verify::{Chain, Fault, Verification};
use super::{Codec, Epoch, Lane, LaneStatistics, OpenError, Statistics, StoreError};

/// What lies in a store's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub statistics: Statistics,
    pub verification: Verification,
    /// What the sequence file says was reported last, by lane: sequences that must be there.
    pub promised: Option<(Epoch, Vec<(Lane, u64)>)>,
    /// Octets of the database file that the disk could not read.
    pub unreadable: u64,
    /// What is wrong beside single sequences, one sentence each.
    pub findings: Vec<String>,
}

impl Inspection {
    /// Nothing is wrong that is not told by a `Gap` record.
    pub fn is_sound(&self) -> bool {
        self.verification.is_sound() && self.findings.is_empty() && self.unreadable == 0
    }
}

/// Where the database lies: also where a replacement was interrupted before its last step.
pub(super) fn database_directory(path: &Path) -> PathBuf {
    let (usual, fresh) = (path.join("sled"), path.join("salvage"));
    if !usual.exists() && fresh.exists() { fresh } else { usual }
}

/// Reads the files of a store that no process has open (a copy is best).
///
/// # Errors
/// There is no store, its format is newer, or the disk failed.
pub fn inspect(path: &Path, codec: &Codec) -> Result<Inspection, OpenError> {
    match read_format(&path.join("format"))? {
        Some(found) if found > FORMAT => {
            return Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT });
        }
        _ => {}
    }
    let database = database_directory(path).join("db");
    let failed = StoreError::io("read", &database);
    let found = SequenceFile::peek(&path.join("sequence"))?;
    let file = match std::fs::File::open(&database) {
        Ok(file) => Some(file),
        // Something was promised: that it is gone is a finding.
        Err(error) if error.kind() == io::ErrorKind::NotFound && found != FoundPromise::Nothing => None,
        Err(error) => return Err(failed(error).into()),
    };
    let file_octets = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
    let scan = Scan::read(&database).map_err(failed)?;
    let mut findings = Vec::new();
    if file.is_none() {
        findings.push(format!("{} is missing", database.display()));
    }
    let unknown = "what was promised is not known, and the next start begins a new epoch";
    let promise = match found {
        FoundPromise::Promise(promise) => Some(promise),
        FoundPromise::Damaged => {
            findings.push(format!("the sequence file is damaged: {unknown}"));
            None
        }
        FoundPromise::Nothing => {
            if !scan.epochs.is_empty() {
                findings.push(format!("the sequence file is missing: {unknown}"));
            }
            None
        }
    };
    let mut statistics = Statistics {
        epoch: scan.epochs.last().map(|(_, epoch)| *epoch),
        epochs: scan.epochs.iter().map(|(_, epoch)| *epoch).collect(),
        commits: promise.as_ref().map_or(0, |promise| promise.commit),
        file_octets,
        blobs: std::fs::read_dir(database_directory(path).join("blobs")).map_or(0, |entries| entries.count() as u64),
        ..Statistics::default()
    };
    let mut verification = Verification::default();
    let unsealed = unsealed(&scan, file.as_ref(), statistics.epoch, codec);
    for lane in Lane::ALL {
        let current = statistics.epoch.and_then(|epoch| scan.states.get(&(epoch, lane)));
        let sealed = current.map_or(0, |state| state.sealed);
        let last = unsealed.get(index(lane)).copied().unwrap_or_default().max(sealed);
        let mut figures = LaneStatistics::new(lane, last);
        figures.unsealed = last - sealed;
        for epoch in &statistics.epochs {
            let Some(state) = scan.states.get(&(*epoch, lane)) else { continue };
            figures.add(state);
            let mut chain = Chain::new(*epoch, lane, state.kept, &state.acknowledged);
            let mut next = state.kept;
            let beyond = state.sealed.max(state.kept - 1) + 1;
            for ((_, _, first), batch) in scan.batches.range((*epoch, lane, state.kept)..(*epoch, lane, beyond)) {
                if *first < next {
                    continue;
                }
                next = first + u64::from(batch.count);
                figures.oldest_utc_ms.get_or_insert(batch.sealed_utc_ms);
                let hashes = (batch.previous_hash, batch.hash);
                chain.take(*first, batch.count, u64::from(batch.octets), hashes, &mut verification);
            }
            chain.end(state.sealed, &mut verification);
        }
        statistics.lanes.push(figures);
    }
    let promised = promise.map(|promise| {
        let lanes = Lane::ALL.into_iter().map(|lane| (lane, promise.lane(lane).last)).filter(|(_, last)| *last > 0);
        (promise.epoch, lanes.collect::<Vec<_>>())
    });
    if let Some((epoch, lanes)) = &promised {
        for (lane, promised) in lanes {
            // A promise of an epoch that is not there at all: the database lost everything.
            let last = match Some(*epoch) == statistics.epoch {
                true => statistics.lanes.get(index(*lane)).map_or(0, |figures| figures.last),
                false if statistics.epochs.contains(epoch) => continue,
                false => 0,
            };
            if last < *promised {
                let what = "promised and not there".to_owned();
                verification.fault(Fault {
                    epoch: *epoch,
                    lane: *lane,
                    first: last + 1,
                    last: *promised,
                    what,
                    is_told: false,
                });
            }
        }
    }
    Ok(Inspection { statistics, verification, promised, unreadable: scan.unreadable, findings })
}

/// The last sequence that groups of an epoch hold, lane by lane, as far as their codec takes them.
fn unsealed(scan: &Scan, file: Option<&std::fs::File>, epoch: Option<Epoch>, codec: &Codec) -> Vec<u64> {
    let mut lasts: Vec<u64> = Lane::ALL
        .iter()
        .map(|lane| epoch.and_then(|epoch| scan.states.get(&(epoch, *lane))).map_or(0, |state| state.sealed))
        .collect();
    let (Some(epoch), Some(file)) = (epoch, file) else { return lasts };
    let range = (epoch, 0, 0, 0)..=(epoch, u32::MAX, u64::MAX, u16::MAX);
    for place in scan.groups.range(range).map(|(_, place)| *place) {
        let Ok(Some(group)) = Scan::group(file, place) else { continue };
        for section in &group.sections {
            let Some(last) = lasts.get_mut(index(section.lane)) else { continue };
            let follows = section.first <= *last + 1 && section.last() > *last;
            if follows && section.records(codec).is_ok() {
                *last = section.last();
            }
        }
    }
    lasts
}
