//! From signed heads down the chains, then over what was not reached.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Finding, LaneReport, Report};
use super::{Chain, Place, Statement, Verifier};

type Hash = [u8; 32];
/// A batch of a chain by its last sequence and hash.
type Key = (u64, Hash);
/// First and last of every gap; the last batch's hash; is it proven that the unit said so?
type Gaps = BTreeMap<(u64, u64), (Hash, bool)>;

pub(super) fn report(verifier: &Verifier) -> Report {
    let mut walk = Walk { verifier, proven: BTreeMap::new(), gaps: BTreeMap::new(), findings: BTreeSet::new() };
    walk.prove();
    let tips = walk.tips();
    let places: BTreeSet<&Place> = verifier.chains.keys().chain(tips.keys().copied()).collect();
    let empty = Chain::default();
    let mut report = Report { checkpoints: verifier.checkpoints, ..Report::default() };
    for place in places {
        let chain = verifier.chains.get(place).unwrap_or(&empty);
        let tip = tips.get(place).copied().unwrap_or(0);
        report.lanes.push(walk.lane(place, chain, tip));
    }
    report.findings.extend(verifier.findings.iter().cloned());
    report.findings.extend(walk.findings);
    report
}

struct Walk<'a> {
    verifier: &'a Verifier,
    /// Batches that a signature reaches.
    proven: BTreeMap<&'a Place, BTreeSet<Key>>,
    gaps: BTreeMap<&'a Place, Gaps>,
    findings: BTreeSet<Finding>,
}

impl<'a> Walk<'a> {
    /// Proves what can be proven. Each proven batch of lane P1 may bring new heads and gaps.
    fn prove(&mut self) {
        if self.verifier.trust.is_none() {
            self.believe_all();
            return;
        }
        let mut heads: Vec<(&Place, u64, Hash)> =
            self.verifier.heads.iter().map(|(place, last, hash)| (place, *last, *hash)).collect();
        while let Some((place, last, hash)) = heads.pop() {
            self.down(place, last, hash, &mut heads);
        }
        // What unproven batches say is told, and proves nothing.
        for (place, chain) in &self.verifier.chains {
            for (key, note) in &chain.batches {
                if !self.is_proven(place, key) {
                    note.statements.iter().for_each(|statement| self.state(statement, false, &mut Vec::new()));
                }
            }
        }
    }

    fn believe_all(&mut self) {
        let verifier = self.verifier;
        for note in verifier.chains.values().flat_map(|chain| chain.batches.values()) {
            note.statements.iter().for_each(|statement| self.state(statement, false, &mut Vec::new()));
        }
    }

    fn state(&mut self, statement: &'a Statement, is_proven: bool, heads: &mut Vec<(&'a Place, u64, Hash)>) {
        match statement {
            Statement::Gap { place, first, last, hash } => {
                let gap = self.gaps.entry(place).or_default().entry((*first, *last)).or_insert((*hash, is_proven));
                if is_proven {
                    *gap = (*hash, true);
                }
            }
            Statement::Head { place, last, hash } if *last > 0 => heads.push((place, *last, *hash)),
            Statement::Head { .. } => {}
        }
    }

    fn down(&mut self, place: &'a Place, last: u64, hash: Hash, heads: &mut Vec<(&'a Place, u64, Hash)>) {
        let Some(chain) = self.verifier.chains.get(place) else { return };
        let (mut last, mut hash) = (last, hash);
        while let Some(note) = chain.batches.get(&(last, hash)) {
            if !self.proven.entry(place).or_default().insert((last, hash)) {
                return;
            }
            note.statements.iter().for_each(|statement| self.state(statement, true, heads));
            if note.first <= 1 {
                return;
            }
            (last, hash) = (note.first - 1, note.previous_hash);
        }
    }

    fn is_proven(&self, place: &Place, key: &Key) -> bool {
        self.proven.get(place).is_some_and(|keys| keys.contains(key))
    }

    /// The highest head that anything signed names, by place.
    fn tips(&self) -> BTreeMap<&'a Place, u64> {
        let mut tips = BTreeMap::new();
        let mut tip = |place: &'a Place, last: u64| {
            let known: &mut u64 = tips.entry(place).or_default();
            *known = last.max(*known);
        };
        for (place, last, _) in &self.verifier.heads {
            tip(place, *last);
        }
        for (place, keys) in &self.proven {
            let notes = keys.iter().filter_map(|key| self.verifier.chains.get(*place)?.batches.get(key));
            for statement in notes.flat_map(|note| &note.statements) {
                if let Statement::Head { place, last, .. } = statement {
                    tip(place, *last);
                }
            }
        }
        tips
    }

    fn lane(&mut self, place: &Place, chain: &Chain, tip: u64) -> LaneReport {
        let proven = self.proven.get(place).cloned().unwrap_or_default();
        let gaps = self.gaps.get(place).cloned().unwrap_or_default();
        let mut cover = Cover::default();
        for key in &proven {
            if let Some(note) = chain.batches.get(key) {
                cover.add(note.first, key.0);
            }
        }
        let proven_cover = cover.clone();
        let mut judged = cover.clone();
        let expected = self.expected(place, chain, &proven);
        let mut others: Vec<(u64, u64, Hash, Hash)> = Vec::new();
        for (key @ (last, hash), note) in &chain.batches {
            if proven.contains(key) {
                continue;
            }
            let (first, last) = (note.first, *last);
            let place = place.clone();
            if proven_cover.overlaps(first, last) {
                self.findings.insert(Finding::Forged { place, first, last, hash: *hash });
            } else if expected.get(&last).is_some_and(|wanted| wanted != hash) {
                self.findings.insert(Finding::Altered { place, first, last, hash: *hash });
                cover.add(first, last);
                judged.add(first, last);
            } else {
                others.push((first, last, *hash, note.previous_hash));
            }
        }
        self.fit(place, chain, &proven, &gaps, &mut others, &mut cover);
        self.holes(place, &gaps, &judged, cover.clone(), tip.max(chain.highest));
        LaneReport {
            place: place.clone(),
            batches: chain.batches.len() as u64,
            records: cover.records(),
            last: chain.highest,
            proven: proven.last().map_or(0, |(last, _)| *last),
            duplicates: chain.duplicates,
            late: chain.late,
        }
    }

    /// The hash that a batch must have which ends with the sequence, where something proven says so.
    fn expected(&self, place: &Place, chain: &Chain, proven: &BTreeSet<Key>) -> BTreeMap<u64, Hash> {
        let heads = self.verifier.heads.iter().filter(|(other, ..)| other == place);
        let mut expected: BTreeMap<u64, Hash> = heads.map(|(_, last, hash)| (*last, *hash)).collect();
        let notes = proven.iter().filter_map(|key| chain.batches.get(key));
        expected.extend(notes.filter(|note| note.first > 1).map(|note| (note.first - 1, note.previous_hash)));
        expected
    }

    /// Of what is not proven, neighbours must fit together and no two may claim the same records.
    fn fit(
        &mut self,
        place: &Place,
        chain: &Chain,
        proven: &BTreeSet<Key>,
        gaps: &Gaps,
        others: &mut [(u64, u64, Hash, Hash)],
        cover: &mut Cover,
    ) {
        others.sort_unstable();
        let mut ends: BTreeMap<u64, BTreeSet<Hash>> = BTreeMap::new();
        proven.iter().for_each(|(last, hash)| _ = ends.entry(*last).or_default().insert(*hash));
        gaps.iter().for_each(|((_, last), (hash, _))| _ = ends.entry(*last).or_default().insert(*hash));
        others.iter().for_each(|(_, last, hash, _)| _ = ends.entry(*last).or_default().insert(*hash));
        for (first, last, _, previous_hash) in others.iter() {
            let (first, last) = (*first, *last);
            if cover.overlaps(first, last) {
                self.findings.insert(Finding::Conflict { place: place.clone(), first, last });
            }
            cover.add(first, last);
            let is_broken = match ends.get(&(first - 1)) {
                _ if first == 1 => *previous_hash != [0; 32],
                Some(hashes) => !hashes.contains(previous_hash),
                None => false,
            };
            if is_broken {
                self.findings.insert(Finding::ChainBreak { place: place.clone(), first });
            }
        }
        debug_assert!(cover.records() <= chain.highest, "sequences begin with 1");
    }

    fn holes(&mut self, place: &Place, gaps: &Gaps, judged: &Cover, mut cover: Cover, end: u64) {
        let delivered = cover.clone();
        if self.verifier.trust.is_some() {
            for (first, last) in delivered.without(judged) {
                self.findings.insert(Finding::Unproven { place: place.clone(), first, last });
            }
        }
        for ((first, last), (_, is_proven)) in gaps {
            let mut gap = Cover::default();
            gap.add(*first, *last);
            for (first, last) in gap.without(&delivered) {
                let place = place.clone();
                let finding = if *is_proven || self.verifier.trust.is_none() {
                    Finding::Gap { place, first, last }
                } else {
                    Finding::GapUnproven { place, first, last }
                };
                self.findings.insert(finding);
            }
            cover.add(*first, *last);
        }
        let begin = if self.verifier.is_whole { 1 } else { cover.first().unwrap_or(1) };
        let mut all = Cover::default();
        all.add(begin, end);
        for (first, last) in all.without(&cover) {
            self.findings.insert(Finding::Missing { place: place.clone(), first, last });
        }
    }
}

/// Sequences as merged ranges.
#[derive(Debug, Clone, Default)]
struct Cover(BTreeMap<u64, u64>);

impl Cover {
    fn add(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        while let Some((&low, &high)) = self.0.range(..=last.saturating_add(1)).next_back() {
            if high.saturating_add(1) < first {
                break;
            }
            self.0.remove(&low);
            first = first.min(low);
            last = last.max(high);
        }
        self.0.insert(first, last);
    }

    fn overlaps(&self, first: u64, last: u64) -> bool {
        self.0.range(..=last).next_back().is_some_and(|(_, high)| *high >= first)
    }

    /// The parts that are not in `other`.
    fn without(&self, other: &Self) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        for (&first, &last) in &self.0 {
            let mut next = first;
            let inside = other
                .0
                .range(..=first)
                .next_back()
                .into_iter()
                .chain(other.0.range(first.saturating_add(1)..=last.max(first.saturating_add(1))));
            for (&low, &high) in inside {
                if low > last || high < next {
                    continue;
                }
                if low > next {
                    parts.push((next, low - 1));
                }
                next = high.saturating_add(1);
            }
            if next <= last {
                parts.push((next, last));
            }
        }
        parts
    }

    fn first(&self) -> Option<u64> {
        self.0.keys().next().copied()
    }

    fn records(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }
}
