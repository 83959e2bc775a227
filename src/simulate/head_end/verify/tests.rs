use super::*;
use crate::reading::{Event, EventKind, LaneHead, ReadingTypes, Received, TimeQuality};
use crate::store::{BatchHead, Body, Epoch, Record};
use crate::wire::signed::{self, PrivateKey};
use crate::wire::trust::Role;
use crate::wire::v1;

const UNIT: &str = "dcu-1";

/// A unit that seals and signs, and remembers what it published.
struct Unit {
    messages: Vec<(String, Vec<u8>)>,
    heads: BTreeMap<Lane, (u64, [u8; 32])>,
    key: PrivateKey,
}

fn event(detail: &str) -> EventKind {
    EventKind::Unit { code: "test".into(), detail: detail.into() }
}

fn topics() -> Topics {
    Topics::new("acme", UNIT).unwrap()
}

impl Unit {
    fn new() -> Self {
        let key = PrivateKey::from_random(&[7; 32]).unwrap();
        Self { messages: Vec::new(), heads: BTreeMap::new(), key }
    }

    fn seal(&mut self, lane: Lane, kinds: Vec<EventKind>) -> &mut Self {
        let (last, previous_hash) = self.heads.get(&lane).copied().unwrap_or((0, [0; 32]));
        let received = Received { boot_id: [1; 16], boot_ms: 1, utc_ms: 1, quality: TimeQuality::Synchronised };
        let records: Vec<_> = (last + 1..)
            .zip(kinds)
            .map(|(sequence, kind)| {
                let event = Event { received, meter: None, kind };
                Record { lane, sequence, body: Body::Event(event) }
            })
            .collect();
        let count = records.len() as u32;
        let head = BatchHead { dcu: UNIT.into(), epoch: Epoch(9), lane, first: last + 1, count, previous_hash };
        let payload = wire::seal(&head, &records, &ReadingTypes::none());
        self.heads.insert(lane, (last + u64::from(count), wire::hash(&payload)));
        self.messages.push((topics().name(&Topic::Batch(lane)), payload));
        self
    }

    fn batches(&mut self, lane: Lane, batches: usize) -> &mut Self {
        for n in 0..batches {
            self.seal(lane, vec![event(&format!("a{n}")), event(&format!("b{n}"))]);
        }
        self
    }

    fn gap(&mut self, lane: Lane, first: u64, last: u64, hash: [u8; 32]) -> &mut Self {
        let gap = EventKind::Gap { epoch: 9, lane: lane as u8, first, last, reason: "full".into(), hash };
        self.seal(Lane::Security, vec![gap])
    }

    fn checkpoint(&mut self) -> &mut Self {
        let heads = self.heads.iter().map(|(lane, (last, hash))| v1::LaneHead {
            lane: *lane as i32,
            last: *last,
            hash: hash.to_vec(),
        });
        let heads = heads.collect();
        let checkpoint = v1::Checkpoint { dcu: UNIT.into(), epoch: 9, number: 1, heads, ..v1::Checkpoint::default() };
        let payload = signed::sign(&checkpoint, &[&self.key]);
        self.messages.push((topics().name(&Topic::Checkpoint), payload));
        self
    }

    fn hash(&self, message: usize) -> [u8; 32] {
        wire::hash(&self.messages[message].1)
    }

    fn devices(&self) -> Trust {
        let mut trust = Trust::default();
        trust.add(UNIT.into(), &[Role::Device], Some(UNIT.into()), self.key.public()).unwrap();
        trust
    }

    fn verify(&self) -> Report {
        self.verify_with(Options { devices: Some(self.devices()), ..Options::default() })
    }

    fn verify_with(&self, options: Options) -> Report {
        let mut verifier = Verifier::new(options);
        for (line, (topic, payload)) in (1..).zip(&self.messages) {
            verifier.message(topic, payload, &Place { file: "test".into(), line });
        }
        verifier.check()
    }
}

fn faults(report: &Report) -> Vec<(&'static str, u64, u64)> {
    let faults = report.findings.iter().filter(|finding| finding.is_fault);
    faults.map(|f| (f.finding, f.first.unwrap_or(0), f.last.unwrap_or(0))).collect()
}

fn three() -> Unit {
    let mut unit = Unit::new();
    unit.batches(Lane::MBus, 3).checkpoint();
    unit
}

#[test]
fn what_the_unit_published_verifies_in_any_order_and_more_than_once() {
    let mut unit = three();
    unit.batches(Lane::Security, 2).checkpoint();
    let report = unit.verify();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!((report.batches, report.records, report.checkpoints), (5, 10, 2));
    assert_eq!(report.lanes.iter().map(|lane| lane.proven).collect::<Vec<_>>(), [4, 6]);
    unit.messages.reverse();
    unit.messages.extend(unit.messages.clone());
    let report = unit.verify();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!(report.duplicates, 5);
}

#[test]
fn a_dropped_batch_is_named_wherever_it_was() {
    for (dropped, expected) in [(0, (1, 2)), (1, (3, 4)), (2, (5, 6))] {
        let mut unit = three();
        unit.messages.remove(dropped);
        assert_eq!(faults(&unit.verify()), [("missing", expected.0, expected.1)]);
    }
}

#[test]
fn a_whole_dropped_lane_is_named() {
    let mut unit = three();
    unit.messages.drain(..3);
    assert_eq!(faults(&unit.verify()), [("missing", 1, 6)]);
}

#[test]
fn an_altered_batch_is_named_and_the_others_are_not() {
    for altered in 0..3 {
        let mut unit = three();
        let mut other = Unit::new();
        other.heads.insert(Lane::MBus, (altered as u64 * 2, [0; 32]));
        if altered > 0 {
            other.heads.insert(Lane::MBus, (altered as u64 * 2, unit.hash(altered - 1)));
        }
        other.seal(Lane::MBus, vec![event("forged"), event("too")]);
        let first = altered as u64 * 2 + 1;
        unit.messages[altered] = other.messages.remove(0);
        assert_eq!(faults(&unit.verify()), [("altered", first, first + 1)], "batch {altered}");
    }
}

#[test]
fn of_two_batches_for_the_same_records_the_proven_one_is_the_units() {
    let mut unit = three();
    let mut other = Unit::new();
    other.seal(Lane::MBus, vec![event("forged"), event("too")]);
    unit.messages.insert(0, other.messages.remove(0));
    let report = unit.verify();
    assert_eq!(faults(&report), [("forged", 1, 2)]);
    let forged = report.findings.iter().find(|finding| finding.is_fault).unwrap();
    assert_eq!(forged.place.as_deref(), Some("test line 1"));
}

#[test]
fn flipped_bits_are_found() {
    let whole = three();
    let length = whole.messages[1].1.len();
    for at in 0..length {
        let mut unit = three();
        unit.messages[1].1[at] ^= 1;
        assert!(!unit.verify().ok, "octet {at}");
    }
}

#[test]
fn a_batch_on_another_topic_is_misplaced_and_missing_where_it_belongs() {
    for topic in ["dcu/v1/acme/dcu-2/batch/mbus", "dcu/v1/acme/dcu-1/batch/p0"] {
        let mut unit = three();
        unit.messages[1].0 = topic.into();
        assert_eq!(faults(&unit.verify()), [("misplaced", 0, 0), ("missing", 3, 4)]);
    }
}

#[test]
fn a_gap_that_the_unit_reports_is_no_fault_and_the_chain_goes_on_across_it() {
    let mut unit = Unit::new();
    unit.batches(Lane::MBus, 4);
    let hash = unit.hash(1);
    unit.gap(Lane::MBus, 1, 4, hash).checkpoint();
    unit.messages.drain(..2);
    let report = unit.verify();
    assert!(report.ok, "{:?}", report.findings);
    assert!(report.findings.iter().any(|finding| finding.finding == "gap"));

    let mut unit = Unit::new();
    unit.batches(Lane::MBus, 4);
    let hash = unit.hash(0);
    unit.gap(Lane::MBus, 1, 2, hash).checkpoint();
    unit.messages.drain(..2);
    assert_eq!(faults(&unit.verify()), [("missing", 3, 4)], "the gap covers half of it");

    let mut unit = Unit::new();
    unit.batches(Lane::MBus, 4);
    let hash = unit.hash(3);
    unit.gap(Lane::MBus, 5, 8, hash).checkpoint();
    unit.messages.drain(2..4);
    let report = unit.verify();
    assert!(report.ok, "a gap at the end: {:?}", report.findings);
}

#[test]
fn the_end_of_an_epoch_is_told_by_the_next_one() {
    let mut unit = Unit::new();
    unit.batches(Lane::MBus, 2);
    let (last, hash) = unit.heads[&Lane::MBus];
    let heads = vec![LaneHead { lane: Lane::MBus as u8, last, hash }];
    let started = EventKind::EpochStarted { previous: Some(9), heads, reason: "test".into() };
    let head = BatchHead {
        dcu: UNIT.into(),
        epoch: Epoch(10),
        lane: Lane::Security,
        first: 1,
        count: 1,
        previous_hash: [0; 32],
    };
    let received = Received { boot_id: [1; 16], boot_ms: 1, utc_ms: 1, quality: TimeQuality::Synchronised };
    let body = Body::Event(Event { received, meter: None, kind: started });
    let payload = wire::seal(&head, &[Record { lane: Lane::Security, sequence: 1, body }], &ReadingTypes::none());
    let head = v1::LaneHead { lane: Lane::Security as i32, last: 1, hash: wire::hash(&payload).to_vec() };
    let checkpoint =
        v1::Checkpoint { dcu: UNIT.into(), epoch: 10, number: 1, heads: vec![head], ..v1::Checkpoint::default() };
    unit.messages.push((topics().name(&Topic::Batch(Lane::Security)), payload));
    unit.messages.push((topics().name(&Topic::Checkpoint), signed::sign(&checkpoint, &[&unit.key])));
    assert!(unit.verify().ok);
    unit.messages.remove(1);
    assert_eq!(faults(&unit.verify()), [("missing", 3, 4)]);
}

#[test]
fn a_checkpoint_by_somebody_else_is_named_and_proves_nothing() {
    let mut unit = three();
    let mut thief = Unit::new();
    thief.key = PrivateKey::from_random(&[8; 32]).unwrap();
    thief.batches(Lane::MBus, 9).checkpoint();
    unit.messages[3] = thief.messages.pop().unwrap();
    let report = unit.verify();
    assert_eq!(faults(&report), [("checkpoint_refused", 0, 0)]);
    assert_eq!(report.lanes[0].proven, 0);
    // Without device keys nobody's word counts.
    let report = unit.verify_with(Options::default());
    assert!(report.ok && report.lanes.iter().all(|lane| lane.proven == 0));
}

#[test]
fn a_partial_record_begins_where_it_begins() {
    let mut unit = three();
    unit.messages.remove(0);
    let options = Options { is_partial: true, devices: Some(unit.devices()), ..Options::default() };
    let report = unit.verify_with(options);
    assert!(report.ok, "{:?}", report.findings);
}

#[test]
fn arrival_out_of_order_is_counted_and_only_a_fault_where_order_is_asked_for() {
    let mut unit = three();
    unit.messages.swap(0, 1);
    let report = unit.verify();
    assert!(report.ok);
    assert_eq!(report.lanes[0].late, 1);
    let options = Options { is_ordered: true, devices: Some(unit.devices()), ..Options::default() };
    assert_eq!(faults(&unit.verify_with(options)), [("reordered", 1, 2)]);
}
