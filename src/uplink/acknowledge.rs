//! Acknowledgements: what is believed, what is refused, what is passed over.
//!
//! A range counts when its last batch was published in this run with the hash it names, and everything below it in the
//! range was published too or is acknowledged already. Where we know nothing of a part of it, the store is asked.

use super::request::{Asked, Request};
use super::{Acknowledge, Uplink};
use crate::clock::Now;
use crate::reading::EventKind;
use crate::store::{Epoch, Lane};
use crate::wire::signed::{self, SignedError};
use crate::wire::v1;

/// One range of an `Ack` that is being judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    lane: Lane,
    epoch: Epoch,
    first: u64,
    last: u64,
    hash: [u8; 32],
    /// The store confirmed the hash of its last batch, which is acknowledged already.
    is_end_known: bool,
    /// Questions to the store so far.
    rounds: u8,
}

enum Verdict {
    Accept,
    Stale,
    Refuse(&'static str),
    /// Nothing is known of this part; None: of its end.
    Ask(Option<(u64, u64)>),
}

impl Uplink {
    pub(super) fn ack(&mut self, octets: &[u8], now: Now) {
        let ack = match signed::open::<v1::Ack>(octets, &self.trust) {
            Ok(verified) => verified.message,
            Err(error) => return self.refuse_envelope(octets, error, now),
        };
        let lane = u8::try_from(ack.lane).ok().and_then(Lane::from_number);
        let fault = if ack.dcu != self.topics.dcu() {
            Some("for another unit")
        } else if lane.is_none() {
            Some("no such lane")
        } else if ack.ranges.len() > MOST_RANGES {
            Some("too many ranges")
        } else {
            None
        };
        match (lane, fault) {
            (Some(lane), None) => {
                for range in &ack.ranges {
                    let Ok(hash) = <[u8; 32]>::try_from(range.last_hash.as_slice()) else {
                        self.refuse(ack.lane, range.first, range.last, "a hash has 32 octets", now);
                        continue;
                    };
                    let (first, last) = (range.first, range.last);
                    let epoch = Epoch(ack.epoch);
                    self.consider(Claim { lane, epoch, first, last, hash, is_end_known: false, rounds: 0 }, now);
                }
            }
            (_, fault) => {
                let (first, last) = ack.ranges.first().map_or((0, 0), |range| (range.first, range.last));
                self.refuse(ack.lane, first, last, fault.unwrap_or("no such lane"), now);
            }
        }
    }

    /// The store's answer about a claim.
    pub(super) fn examined(
        &mut self,
        mut claim: Claim,
        hole: Option<(u64, u64)>,
        is_acknowledged: bool,
        end: Option<[u8; 32]>,
        now: Now,
    ) {
        let Some(queue) = self.lanes.get_mut(&claim.lane) else { return };
        let is_before_start = claim.epoch != self.epoch || hole.is_some_and(|(_, last)| last <= queue.start_head);
        match hole {
            Some((first, last)) if is_acknowledged => {
                queue.acknowledged.entry(claim.epoch).or_default().insert(first, last)
            }
            Some((_, last)) if last == claim.last => return self.figures.acks_stale += 1,
            // Published before the unit started and not yet again: what is above counts, the rest comes again.
            Some((_, last)) if is_before_start => claim.first = last.saturating_add(1),
            Some(_) => return self.refuse_claim(claim, "covers batches that were not published", now),
            None if is_acknowledged => return self.figures.acks_stale += 1,
            None if end == Some(claim.hash)
                && queue.acknowledged.get(&claim.epoch).is_some_and(|known| known.contains(claim.last, claim.last)) =>
            {
                claim.is_end_known = true;
            }
            // Nobody could know the hash of a batch that was never published: it was, before the unit started. It counts
            // where it was acknowledged then.
            None if end == Some(claim.hash) => return self.examine(claim, Some((claim.last, claim.last))),
            None if end.is_some() => return self.refuse_claim(claim, "wrong hash", now),
            None => return self.refuse_claim(claim, "no published batch ends with it", now),
        }
        self.consider(claim, now);
    }

    /// Everything up to here is durable at the head-end: whole batches within the range leave the window.
    pub(super) fn settle(&mut self, lane: Lane, epoch: Epoch, first: u64, last: u64) {
        let Some(queue) = self.lanes.get_mut(&lane) else { return };
        let is_broker = self.options.acknowledge == Acknowledge::Broker;
        let keys: Vec<_> = queue
            .window
            .range((epoch, first)..=(epoch, last))
            .filter(|(_, waiting)| is_broker || waiting.first >= first)
            .map(|(key, _)| *key)
            .collect();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for key in keys {
            let Some(waiting) = queue.remove(key) else { continue };
            self.figures.acknowledged += 1;
            match ranges.last_mut() {
                Some((_, end)) if end.checked_add(1) == Some(waiting.first) => *end = key.1,
                _ => ranges.push((waiting.first, key.1)),
            }
        }
        if ranges.is_empty() {
            self.figures.acks_stale += 1;
            return;
        }
        self.figures.acks_accepted += u64::from(!is_broker);
        let known = queue.acknowledged.entry(epoch).or_default();
        for (first, last) in &ranges {
            known.insert(*first, *last);
        }
        self.requests.push_back(Request::Acknowledge { epoch, lane, ranges });
    }

    fn consider(&mut self, claim: Claim, now: Now) {
        match self.judge(&claim) {
            Verdict::Accept => self.settle(claim.lane, claim.epoch, claim.first, claim.last),
            Verdict::Stale => self.figures.acks_stale += 1,
            Verdict::Refuse(reason) => self.refuse_claim(claim, reason, now),
            Verdict::Ask(hole) => self.examine(claim, hole),
        }
    }

    /// Asks the store about a part of the claim, or about its end.
    fn examine(&mut self, mut claim: Claim, hole: Option<(u64, u64)>) {
        let open = self.asked.values().filter(|asked| matches!(asked, Asked::Examine { .. })).count();
        let (first, last) = hole.unwrap_or((claim.first, claim.last));
        let Claim { lane, epoch, rounds, .. } = claim;
        claim.rounds += 1;
        // A claim that is passed over comes again: the head-end hears its batches again.
        let is_asked = rounds < MOST_ROUNDS
            && open < MOST_ASKED
            && self.ask(Asked::Examine { claim, hole }, |id| Request::Examine { id, epoch, lane, first, last });
        self.figures.acks_stale += u64::from(!is_asked);
    }

    fn judge(&self, claim: &Claim) -> Verdict {
        let Claim { lane, epoch, first, last, hash, .. } = *claim;
        if first == 0 || first > last {
            return Verdict::Refuse("not a range");
        }
        let Some(queue) = self.lanes.get(&lane) else { return Verdict::Refuse("no such lane") };
        let nothing = super::ranges::Ranges::default();
        let acknowledged = queue.acknowledged.get(&epoch).unwrap_or(&nothing);
        match queue.window.get(&(epoch, last)) {
            Some(waiting) if waiting.hash != hash => return Verdict::Refuse("wrong hash"),
            Some(_) => {}
            None if acknowledged.contains(first, last) => return Verdict::Stale,
            None if claim.is_end_known => {}
            None if epoch == self.epoch && last > queue.head => {
                return Verdict::Refuse("no published batch ends with it");
            }
            None => return Verdict::Ask(None),
        }
        let mut next = first;
        loop {
            let Some((start, end)) = acknowledged.hole(next, last) else { return Verdict::Accept };
            // Of what is not acknowledged, the window must hold everything.
            match queue.window.range((epoch, start)..=(epoch, last)).next() {
                Some(((_, batch_last), waiting)) if waiting.first <= start => {
                    if *batch_last >= last {
                        return Verdict::Accept;
                    }
                    next = batch_last + 1;
                }
                Some((_, waiting)) => return Verdict::Ask(Some((start, end.min(waiting.first - 1)))),
                None => return Verdict::Ask(Some((start, end))),
            }
        }
    }

    fn refuse_claim(&mut self, claim: Claim, reason: &str, now: Now) {
        let is_foreign = claim.epoch != self.epoch
            && self
                .lanes
                .get(&claim.lane)
                .is_none_or(|queue| !queue.window.keys().any(|(epoch, _)| *epoch == claim.epoch));
        let reason = if is_foreign { "of another epoch" } else { reason };
        self.refuse(i32::from(claim.lane as u8), claim.first, claim.last, reason, now);
    }

    fn refuse(&mut self, lane: i32, first: u64, last: u64, reason: &str, now: Now) {
        self.figures.acks_refused += 1;
        let lane = u8::try_from(lane).unwrap_or(u8::MAX);
        self.event(EventKind::AckRefused { lane, first, last, reason: reason.to_owned() }, now.mono);
    }

    fn refuse_envelope(&mut self, octets: &[u8], error: SignedError, now: Now) {
        match signed::claim::<v1::Ack>(octets) {
            Some(ack) => {
                let (first, last) = ack.ranges.first().map_or((0, 0), |range| (range.first, range.last));
                self.refuse(ack.lane, first, last, &error.to_string(), now);
            }
            None => {
                self.figures.acks_refused += 1;
                let kind = EventKind::Unit { code: "uplink.ack_unreadable".into(), detail: error.to_string() };
                self.event(kind, now.mono);
            }
        }
    }
}

const MOST_RANGES: usize = 1024;
const MOST_ASKED: usize = 64;
const MOST_ROUNDS: u8 = 16;
