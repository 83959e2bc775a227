//! Makes a new database of what is found in the octets of a damaged one.
//!
//! Batches come over as they were published. Records that only groups hold are sealed under their old names. What is
//! missing is told by `Gap` records in the new epoch, so that the chains verify across it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;

use super::batch::{Batch, hash};
use super::database::{Change, Database, Room};
use super::keeper::Keeper;
use super::lane::LaneState;
use super::mark;
use super::promise::Promise;
use super::scan::{FoundBatch, Scan};
use super::value::batch_key;
use super::{BatchHead, Body, Codec, Epoch, Lane, Options, Ranges, Record, StoreError};
use crate::clock::Now;
use crate::reading::{EventKind, LaneHead};

/// What the writer still has in memory of a database that broke under it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub batches: Vec<Batch>,
    pub records: BTreeMap<(Epoch, Lane, u64), Record>,
    pub states: Vec<LaneState>,
}

/// What came over into the new database.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    pub epochs: Vec<(u32, Epoch)>,
    pub states: BTreeMap<(u32, Lane), LaneState>,
    /// Records that came over.
    pub records: u64,
    /// `Gap` records to be written.
    pub gaps: Vec<(Lane, Body)>,
    /// The lanes of the last epoch.
    pub heads: Vec<LaneHead>,
}

/// All that is needed to copy one lane of one epoch.
struct Work<'a> {
    file: Option<&'a File>,
    scan: &'a Scan,
    memory: &'a Memory,
    promise: Option<&'a Promise>,
    options: &'a Options,
    codec: &'a Codec,
    now: &'a Now,
    db: &'a Database,
}

/// Copies what is found in `damaged` (a database file) and in `memory` into `db`, which is new.
pub(super) fn salvage(
    damaged: &Path,
    memory: &Memory,
    promise: Option<&Promise>,
    db: &Database,
    options: &Options,
    codec: &Codec,
    now: &Now,
) -> Result<Salvaged, StoreError> {
    let failed = |error: io::Error| StoreError::io("salvage", damaged)(error);
    let scan = Scan::read(damaged).map_err(failed)?;
    let file = File::open(damaged).ok();
    let work = Work { file: file.as_ref(), scan: &scan, memory, promise, options, codec, now, db };
    let mut salvaged = Salvaged::default();
    for epoch in work.epochs() {
        let ordinal = salvaged.epochs.len() as u32;
        let mut any = false;
        let mut heads = Vec::new();
        for lane in Lane::ALL {
            let copy = work.copy(ordinal, epoch, lane).map_err(|error| match error {
                CopyError::Read(error) => failed(error),
                CopyError::Write(error) => error,
            })?;
            any |= copy.state.batches > 0 || !copy.gaps.is_empty();
            salvaged.records += copy.state.records;
            salvaged.gaps.extend(copy.gaps);
            if copy.last > 0 {
                heads.push(LaneHead { lane: lane as u8, last: copy.last, hash: copy.state.head_hash });
            }
            salvaged.states.insert((ordinal, lane), copy.state);
        }
        salvaged.heads = heads;
        if any {
            salvaged.epochs.push((ordinal, epoch));
        } else {
            Lane::ALL.iter().for_each(|lane| drop(salvaged.states.remove(&(ordinal, *lane))));
        }
    }
    let marks: Vec<Change> =
        scan.marks.iter().map(|(name, (version, value))| mark::change(*version, name, value)).collect();
    marks.chunks(AT_ONCE).try_for_each(|marks| db.apply(marks))?;
    db.make_durable()?;
    Ok(salvaged)
}

enum CopyError {
    Read(io::Error),
    Write(StoreError),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Write(error)
    }
}

/// One lane of one epoch, copied.
struct Copy {
    state: LaneState,
    /// The last sequence that ever was, as far as is known.
    last: u64,
    gaps: Vec<(Lane, Body)>,
}

impl Work<'_> {
    /// Every epoch of which there is something, oldest first as far as is known; the promised one is the last.
    fn epochs(&self) -> Vec<Epoch> {
        let listed: Vec<Epoch> = self.scan.epochs.iter().map(|(_, epoch)| *epoch).collect();
        let promised = self.promise.map(|promise| promise.epoch);
        let batches = self.scan.batches.keys().map(|(epoch, ..)| *epoch);
        let states = self.scan.states.keys().map(|(epoch, _)| *epoch);
        let groups = self.scan.groups.keys().map(|(epoch, ..)| *epoch);
        let memory = self.memory.states.iter().map(|state| state.epoch);
        let found: BTreeSet<Epoch> = batches.chain(states).chain(groups).chain(memory).collect();
        let unlisted = found.into_iter().filter(|epoch| !listed.contains(epoch));
        let mut epochs: Vec<Epoch> = unlisted.chain(listed.iter().copied()).collect();
        if let Some(promised) = promised {
            epochs.retain(|epoch| *epoch != promised);
            epochs.push(promised);
        }
        epochs
    }

    fn copy(&self, ordinal: u32, epoch: Epoch, lane: Lane) -> Result<Copy, CopyError> {
        let known = self.state(epoch, lane);
        let promised = self.promise.filter(|promise| promise.epoch == epoch).map(|promise| promise.lane(lane));
        let mut state = LaneState::new(epoch, lane);
        if let Some(known) = &known {
            let (kept, acknowledged) = (known.kept, known.acknowledged.clone());
            let (evicted, lost, gaps) = (known.evicted, known.lost, known.gaps);
            state = LaneState { kept, acknowledged, evicted, lost, gaps, ..state };
            state.sealed = kept - 1;
            if known.sealed == state.sealed {
                state.head_hash = known.head_hash;
            }
        }
        let known_last = known.map_or(0, |known| known.sealed);
        let batches = self.batches(epoch, lane, state.kept);
        let mut cover = Ranges::default();
        for (first, count, _) in &batches {
            cover.insert(*first, first + u64::from(*count) - 1);
        }
        let mut records = self.records(epoch, lane, state.kept, &cover)?;
        let mut lane_copy =
            LaneCopy { work: self, ordinal, next: state.kept, pending: Vec::new(), state, gaps: Vec::new() };
        for (first, _, source) in batches {
            let between = records.range(..first).map(|(sequence, _)| *sequence).collect::<Vec<_>>();
            let run = between.iter().filter_map(|sequence| records.remove(sequence)).collect();
            lane_copy.seal(run)?;
            let batch = match source {
                Source::Memory(batch) => batch.clone(),
                Source::File(found) => match self.read(found)? {
                    Some(batch) => batch,
                    None => continue,
                },
            };
            lane_copy.add(batch)?;
        }
        lane_copy.seal(records.into_values().collect())?;
        let last = promised.map_or(0, |promised| promised.last).max(known_last).max(lane_copy.next - 1);
        if lane_copy.next <= last {
            let sealed = promised.filter(|promised| promised.sealed == last);
            lane_copy.missing(last, sealed.map_or([0; 32], |promised| promised.head_hash));
        }
        lane_copy.flush()?;
        Ok(Copy { state: lane_copy.state, last, gaps: lane_copy.gaps })
    }

    fn state(&self, epoch: Epoch, lane: Lane) -> Option<LaneState> {
        let remembered = self.memory.states.iter().find(|state| state.epoch == epoch && state.lane == lane);
        remembered.or_else(|| self.scan.states.get(&(epoch, lane))).cloned()
    }

    /// Batches that do not overlap, in order, from the lowest sequence that is still in the store.
    fn batches(&self, epoch: Epoch, lane: Lane, kept: u64) -> Vec<(u64, u32, Source<'_>)> {
        let mut all: BTreeMap<u64, (u32, Source<'_>)> = BTreeMap::new();
        let range = (epoch, lane, kept)..=(epoch, lane, u64::MAX);
        for ((_, _, first), found) in self.scan.batches.range(range) {
            all.insert(*first, (found.count, Source::File(found)));
        }
        let remembered = self.memory.batches.iter().filter(|batch| batch.epoch == epoch && batch.lane == lane);
        for batch in remembered.filter(|batch| batch.first >= kept) {
            all.insert(batch.first, (batch.count, Source::Memory(batch)));
        }
        let mut next = kept;
        let mut chosen = Vec::new();
        for (first, (count, source)) in all {
            if first >= next {
                next = first + u64::from(count);
                chosen.push((first, count, source));
            }
        }
        chosen
    }

    /// Records of groups that no batch covers. Where two groups claim a sequence, the younger one is right.
    fn records(&self, epoch: Epoch, lane: Lane, kept: u64, cover: &Ranges) -> Result<BTreeMap<u64, Record>, CopyError> {
        let mut records = BTreeMap::new();
        let missing = |sequence: u64| sequence >= kept && !cover.contains(sequence, sequence);
        for ((_, _, sequence), record) in self.memory.records.range((epoch, lane, 0)..=(epoch, lane, u64::MAX)) {
            if missing(*sequence) {
                records.insert(*sequence, record.clone());
            }
        }
        let Some(file) = self.file else { return Ok(records) };
        let range = (epoch, 0, 0, 0)..=(epoch, u32::MAX, u64::MAX, u16::MAX);
        for place in self.scan.groups.range(range).rev().map(|(_, place)| *place) {
            let Some(group) = Scan::group(file, place)? else { continue };
            for section in group.sections.iter().filter(|section| section.lane == lane) {
                if section.last() < kept || cover.contains(section.first, section.last()) {
                    continue;
                }
                // A section that its codec does not take is a gap like any other.
                for record in section.records(self.codec).unwrap_or_default() {
                    if missing(record.sequence) {
                        records.entry(record.sequence).or_insert(record);
                    }
                }
            }
        }
        Ok(records)
    }

    fn read(&self, found: &FoundBatch) -> Result<Option<Batch>, CopyError> {
        match self.file {
            Some(file) => Ok(Scan::batch(file, found.place)?),
            None => Ok(None),
        }
    }
}

#[derive(Clone, Copy)]
enum Source<'a> {
    File(&'a FoundBatch),
    Memory(&'a Batch),
}

/// Writes one lane in order.
struct LaneCopy<'a, 'b> {
    work: &'a Work<'b>,
    ordinal: u32,
    /// The next sequence that is expected.
    next: u64,
    pending: Vec<Change>,
    state: LaneState,
    gaps: Vec<(Lane, Body)>,
}

impl LaneCopy<'_, '_> {
    /// Takes a batch over as it is; what is missing before it is a gap.
    fn add(&mut self, batch: Batch) -> Result<(), StoreError> {
        if batch.first > self.next {
            self.missing(batch.first - 1, batch.previous_hash);
        } else if self.state.batches > 0 && batch.previous_hash != self.state.head_hash {
            // What lies before it was sealed again, under another hash.
            self.gap(self.next - 1, self.next - 1, RESEALED, batch.previous_hash);
        }
        self.next = batch.last() + 1;
        self.state.add(&batch);
        let key = batch_key(batch.lane, self.ordinal, batch.first);
        self.pending.push(Change::put(Room::Batches, &key, batch.emit()));
        if self.pending.len() >= AT_ONCE { self.flush() } else { Ok(()) }
    }

    /// Seals records that were in no batch, in runs without holes.
    fn seal(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        let (options, codec) = (self.work.options, self.work.codec);
        let mut rest = records.as_slice();
        while let Some(begin) = rest.first() {
            let run = rest.iter().zip(begin.sequence..).take_while(|(record, expected)| record.sequence == *expected);
            let mut count = run.count().min(options.seal_records.max(1));
            if begin.sequence > self.next {
                self.missing(begin.sequence - 1, self.state.head_hash);
            }
            let head = |count: usize| BatchHead {
                dcu: options.dcu.clone(),
                epoch: self.state.epoch,
                lane: self.state.lane,
                first: begin.sequence,
                count: count as u32,
                previous_hash: self.state.head_hash,
            };
            let octets = loop {
                let octets = (codec.seal)(&head(count), rest.get(..count).unwrap_or_default(), &options.reading_types);
                if octets.len() <= options.seal_octets || count == 1 {
                    break octets;
                }
                count = (count / 2).max(1);
            };
            let batch = Batch {
                epoch: self.state.epoch,
                lane: self.state.lane,
                first: begin.sequence,
                count: count as u32,
                previous_hash: self.state.head_hash,
                hash: hash(&octets),
                sealed_utc_ms: self.work.now.utc_ms,
                octets,
            };
            rest = rest.get(count..).unwrap_or_default();
            self.add(batch)?;
        }
        Ok(())
    }

    /// Sequences up to `last` are not there.
    fn missing(&mut self, last: u64, hash: [u8; 32]) {
        let first = self.state.acknowledged.first_missing(self.next);
        self.next = last + 1;
        if first > last {
            // All of it was acknowledged and had left.
            return;
        }
        self.state.lost += last - first + 1;
        // Told once, it is settled: nobody will acknowledge it.
        self.state.acknowledged.insert(first, last);
        self.gap(first, last, DAMAGED, hash);
    }

    fn gap(&mut self, first: u64, last: u64, reason: &str, hash: [u8; 32]) {
        self.state.gaps += 1;
        let (epoch, lane, reason) = (self.state.epoch.0, self.state.lane as u8, reason.to_owned());
        self.gaps.push(Keeper::event(EventKind::Gap { epoch, lane, first, last, reason, hash }, self.work.now));
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() { Ok(()) } else { self.work.db.apply(&pending) }
    }
}

/// Reasons in `Gap` records.
pub(super) const DAMAGED: &str = "damaged";
const RESEALED: &str = "sealed again";
/// Batches in one transaction.
const AT_ONCE: usize = 16;
