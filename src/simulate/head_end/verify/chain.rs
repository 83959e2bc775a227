//! One stream's batches: which of them the unit sealed, whether each leads to the next, what is missing between.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Place};
use super::{LaneReport, Options};
use crate::simulate::head_end::stream::Stream;

/// A batch, without its records.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub first: u64,
    pub last: u64,
    pub hash: [u8; 32],
    pub previous_hash: [u8; 32],
    pub place: Place,
}

/// What a checkpoint, or the beginning of the next epoch, says of the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub last: u64,
    pub hash: [u8; 32],
    pub is_proof: bool,
}

/// Records that the unit gave up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub first: u64,
    pub last: u64,
    pub hash: [u8; 32],
}

/// Everything that came of one stream.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// In the order of their arrival, each hash once.
    links: Vec<Link>,
    hashes: BTreeSet<[u8; 32]>,
    pub heads: Vec<Head>,
    pub gaps: Vec<Gap>,
}

/// What is left after the check.
pub(super) struct Checked {
    pub kept: Vec<Link>,
    pub report: LaneReport,
}

impl Chain {
    /// False where it is here already.
    pub(super) fn add(&mut self, link: Link) -> bool {
        let is_new = self.hashes.insert(link.hash);
        if is_new {
            self.links.push(link);
        }
        is_new
    }

    pub(super) fn check(mut self, stream: &Stream, options: &Options, findings: &mut BTreeSet<Finding>) -> Checked {
        self.gaps.sort_by_key(|gap| (gap.first, gap.last));
        let overtaken = self.overtaken(stream, options, findings);
        let proven = self.proven();
        let kept = self.resolve(stream, &proven, findings);
        let begin = match (options.is_partial, kept.first()) {
            (true, Some(link)) => Some(link.first),
            _ => None,
        };
        let end = self.walk(stream, &kept, begin, &proven, findings);
        self.check_heads(stream, &kept, end, begin, findings);
        let report = LaneReport {
            utility: stream.utility.clone(),
            dcu: stream.dcu.clone(),
            epoch: stream.epoch.to_string(),
            lane: stream.lane.name().to_owned(),
            batches: kept.len() as u64,
            last: end,
            given_up: self.given_up(),
            proven: kept.iter().filter(|link| proven.contains(&link.hash)).map(|link| link.last).max().unwrap_or(0),
            overtaken,
        };
        Checked { kept, report }
    }

    fn overtaken(&self, stream: &Stream, options: &Options, findings: &mut BTreeSet<Finding>) -> u64 {
        let (mut highest, mut count) = (0, 0);
        for link in &self.links {
            if link.first < highest {
                count += 1;
                if options.is_ordered {
                    let (stream, place) = (stream.to_string(), link.place.clone());
                    findings.insert(Finding::Overtaken { stream, first: link.first, last: link.last, place });
                }
            }
            highest = highest.max(link.first);
        }
        count
    }

    /// The hashes that a signed head vouches for, link by link downwards.
    fn proven(&self) -> BTreeSet<[u8; 32]> {
        let by_hash: BTreeMap<_, _> = self.links.iter().map(|link| (link.hash, link)).collect();
        let mut proven = BTreeSet::new();
        for head in self.heads.iter().filter(|head| head.is_proof) {
            let mut next = head.hash;
            while proven.insert(next) {
                let Some(link) = by_hash.get(&next) else { break };
                next = link.previous_hash;
            }
        }
        proven
    }

    /// Of batches that claim the same records one is kept; in the order of sequences.
    fn resolve(&self, stream: &Stream, proven: &BTreeSet<[u8; 32]>, findings: &mut BTreeSet<Finding>) -> Vec<Link> {
        let claimed: BTreeSet<_> =
            self.links.iter().map(|link| link.previous_hash).chain(self.heads.iter().map(|head| head.hash)).collect();
        let mut links: Vec<_> = self.links.iter().collect();
        // Best first: what is proven, then what a later batch or a head names, then what came first.
        links.sort_by_key(|link| (!proven.contains(&link.hash), !claimed.contains(&link.hash)));
        let mut kept: BTreeMap<u64, Link> = BTreeMap::new();
        for link in links {
            let rival = kept.range(..=link.last).next_back().filter(|(_, kept)| kept.last >= link.first);
            match rival {
                Some((_, rival)) => {
                    let why = if proven.contains(&rival.hash) {
                        "not the batch that the unit's checkpoint proves"
                    } else if claimed.contains(&rival.hash) {
                        "not the batch that the next one names"
                    } else {
                        "two batches with different content, and nothing tells which one is the unit's"
                    };
                    let place = Some(link.place.clone());
                    findings.insert(Finding::altered(stream, link.first, link.last, why, place));
                }
                None => {
                    kept.insert(link.first, link.clone());
                }
            }
        }
        kept.into_values().collect()
    }

    /// From batch to batch; gives the last sequence that is accounted for.
    fn walk(
        &self,
        stream: &Stream,
        kept: &[Link],
        begin: Option<u64>,
        proven: &BTreeSet<[u8; 32]>,
        findings: &mut BTreeSet<Finding>,
    ) -> u64 {
        let mut last = begin.map_or(0, |begin| begin - 1);
        // None: not known, because what leads here is missing.
        let mut previous = begin.is_none().then_some(([0; 32], None::<&Link>));
        for link in kept {
            if link.first > last + 1 {
                previous = self.hole(stream, last + 1, link.first - 1, findings).map(|hash| (hash, None));
            }
            if let Some((_, before)) = previous.filter(|(hash, _)| *hash != link.previous_hash) {
                let hash = hex::encode(link.previous_hash);
                let finding = match before {
                    // Whoever the checkpoint vouches for is right; without one the earlier is suspected.
                    Some(before) if !proven.contains(&before.hash) => {
                        let why = format!("the next batch, from {}, was sealed upon {hash}", link.first);
                        Finding::altered(stream, before.first, before.last, why, Some(before.place.clone()))
                    }
                    _ => {
                        let why = format!("sealed upon {hash}, which is not what comes before it");
                        Finding::altered(stream, link.first, link.last, why, Some(link.place.clone()))
                    }
                };
                findings.insert(finding);
            }
            previous = Some((link.hash, Some(link)));
            last = link.last;
        }
        self.trailing_gap(last)
    }

    /// Names what of `first..=last` was not given up; the hash of the batch before what comes next, where a gap tells.
    fn hole(&self, stream: &Stream, first: u64, last: u64, findings: &mut BTreeSet<Finding>) -> Option<[u8; 32]> {
        let mut next = first;
        let mut hash = None;
        for gap in self.gaps.iter().filter(|gap| gap.last >= first && gap.first <= last) {
            if gap.first > next {
                findings.insert(Finding::missing(stream, next, gap.first - 1, "never arrived"));
            }
            next = next.max(gap.last.saturating_add(1));
            hash = (gap.last == last).then_some(gap.hash).or(hash);
        }
        if next <= last {
            findings.insert(Finding::missing(stream, next, last, "never arrived"));
            return None;
        }
        hash
    }

    fn trailing_gap(&self, last: u64) -> u64 {
        self.gaps.iter().fold(last, |last, gap| match gap.first <= last.saturating_add(1) {
            true => last.max(gap.last),
            false => last,
        })
    }

    fn check_heads(
        &self,
        stream: &Stream,
        kept: &[Link],
        end: u64,
        begin: Option<u64>,
        findings: &mut BTreeSet<Finding>,
    ) {
        let highest = self.heads.iter().map(|head| head.last).max().unwrap_or(0);
        if highest > end {
            let _ = self.hole(stream, end + 1, highest, findings);
        }
        for head in self.heads.iter().filter(|head| begin.is_none_or(|begin| head.last >= begin)) {
            let at = kept.partition_point(|link| link.last < head.last);
            let Some(link) = kept.get(at).filter(|link| link.first <= head.last) else {
                // Missing or given up, and named as such.
                let gap = self.gaps.iter().find(|gap| gap.last == head.last && gap.hash != head.hash);
                if let Some(gap) = gap {
                    let why = "the checkpoint and the gap name different ends";
                    findings.insert(Finding::altered(stream, gap.first, gap.last, why, None));
                }
                continue;
            };
            if link.last != head.last || link.hash != head.hash {
                let why =
                    format!("the unit's own word is that record {} ends batch {}", head.last, hex::encode(head.hash));
                findings.insert(Finding::altered(stream, link.first, link.last, why, Some(link.place.clone())));
            }
        }
    }

    fn given_up(&self) -> u64 {
        let mut next = 1;
        let mut count = 0;
        for gap in &self.gaps {
            let first = gap.first.max(next);
            if gap.last >= first {
                count += gap.last - first + 1;
                next = gap.last.saturating_add(1);
            }
        }
        count
    }
}
