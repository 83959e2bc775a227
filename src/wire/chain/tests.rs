use super::super::columns::tests::fleet;
use super::super::signed::{PrivateKey, sign};
use super::super::trust::Role;
use super::super::{hash, seal};
use super::*;
use crate::reading::{Event, ReadingTypes, Received, TimeQuality};

const EPOCH: Epoch = Epoch(0xe1);

fn place(epoch: Epoch, lane: Lane) -> Place {
    Place { dcu: "u".into(), epoch, lane }
}

fn mbus() -> Place {
    place(EPOCH, Lane::MBus)
}

/// Batches of one lane of four records each, chained; the payloads.
fn chain(epoch: Epoch, lane: Lane, batches: u64) -> Vec<Vec<u8>> {
    let mut previous_hash = [0; 32];
    let records = fleet(batches as usize * 4, 4);
    let seal_next = |(n, records): (usize, &[Record])| {
        let head = BatchHead { dcu: "u".into(), epoch, lane, first: n as u64 * 4 + 1, count: 4, previous_hash };
        let octets = seal(&head, records, &ReadingTypes::none());
        previous_hash = hash(&octets);
        octets
    };
    records.chunks(4).enumerate().map(seal_next).collect()
}

/// A batch of lane P1 with one event.
fn event(epoch: Epoch, first: u64, previous_hash: [u8; 32], kind: EventKind) -> Vec<u8> {
    let received = Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Unsynchronised };
    let body = Body::Event(Event { received, meter: None, kind });
    let head = BatchHead { dcu: "u".into(), epoch, lane: Lane::Security, first, count: 1, previous_hash };
    seal(&head, &[Record { lane: Lane::Security, sequence: first, body }], &ReadingTypes::none())
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random(&[seed; 32]).unwrap()
}

fn trust() -> Option<Trust> {
    let mut trust = Trust::default();
    trust.add("unit".into(), &[Role::Device], Some("u".into()), key(1).public()).unwrap();
    Some(trust)
}

fn checkpoint(by: u8, epoch: Epoch, heads: &[(Lane, u64, &[u8])]) -> Vec<u8> {
    let head = |(lane, last, octets): &(Lane, u64, &[u8])| v1::LaneHead {
        lane: *lane as i32,
        last: *last,
        hash: hash(octets).to_vec(),
    };
    let message = v1::Checkpoint {
        dcu: "u".into(),
        epoch: epoch.0,
        heads: heads.iter().map(head).collect(),
        ..Default::default()
    };
    sign(&message, &[&key(by)])
}

fn fed<'a>(batches: impl IntoIterator<Item = &'a Vec<u8>>, checkpoints: &[Vec<u8>]) -> Verifier {
    let mut verifier = Verifier::new(trust());
    for octets in batches {
        verifier.batch(octets).unwrap();
    }
    for octets in checkpoints {
        let _ = verifier.checkpoint(octets);
    }
    verifier
}

#[track_caller]
fn check(verifier: &Verifier, expected: &[Finding]) {
    let report = verifier.report();
    assert_eq!(report.findings, expected);
    assert_eq!(report.is_good(), !expected.iter().any(Finding::is_fault));
}

/// The same records under another chain: what somebody in between would make of a batch.
fn altered(octets: &[u8]) -> Vec<u8> {
    let (mut head, mut records) = super::super::open_batch(octets).unwrap();
    records.reverse();
    head.dcu = "u".into();
    seal(&head, &records, &ReadingTypes::none())
}

#[test]
fn a_whole_delivery_in_any_order_with_duplicates_is_good() {
    let batches = chain(EPOCH, Lane::MBus, 6);
    let signed = checkpoint(1, EPOCH, &[(Lane::MBus, 24, &batches[5])]);
    let order = [3, 0, 5, 5, 1, 2, 4, 0];
    let verifier = fed(order.map(|n| &batches[n]), &[signed]);
    check(&verifier, &[]);
    let [lane] = &verifier.report().lanes[..] else { panic!() };
    assert_eq!((lane.batches, lane.records, lane.last, lane.proven), (6, 24, 24, 24));
    assert_eq!((lane.duplicates, lane.late), (2, 4));
}

#[test]
fn what_the_next_checkpoint_will_prove_is_unproven_and_no_fault() {
    let batches = chain(EPOCH, Lane::MBus, 3);
    let signed = checkpoint(1, EPOCH, &[(Lane::MBus, 8, &batches[1])]);
    check(&fed(&batches, &[signed]), &[Finding::Unproven { place: mbus(), first: 9, last: 12 }]);
    check(&fed(&batches, &[]), &[Finding::Unproven { place: mbus(), first: 1, last: 12 }]);
}

#[test]
fn what_is_not_delivered_is_missing_by_name() {
    let batches = chain(EPOCH, Lane::MBus, 5);
    let signed = [checkpoint(1, EPOCH, &[(Lane::MBus, 20, &batches[4])])];
    let missing = |first, last| Finding::Missing { place: mbus(), first, last };
    let unproven = |first, last| Finding::Unproven { place: mbus(), first, last };
    let without = |gone: &[usize]| {
        let kept = batches.iter().enumerate().filter(|(n, _)| !gone.contains(n)).map(|(_, octets)| octets);
        fed(kept, &signed)
    };
    check(&without(&[4]), &[missing(17, 20), unproven(1, 16)]);
    check(&without(&[0]), &[missing(1, 4)]);
    check(&without(&[1, 2]), &[missing(5, 12), unproven(1, 4)]);
    check(&without(&[0, 1, 2, 3, 4]), &[missing(1, 20)]);
    let mut late = Verifier::new(trust()).beginning_anywhere();
    batches.iter().skip(2).for_each(|octets| _ = late.batch(octets).unwrap());
    check(&late, &[unproven(9, 20)]);
}

#[test]
fn a_batch_that_was_altered_is_named() {
    let batches = chain(EPOCH, Lane::MBus, 5);
    let signed = [checkpoint(1, EPOCH, &[(Lane::MBus, 20, &batches[4])])];
    for (n, below) in [(4_usize, Some(16)), (2, Some(8)), (0, None)] {
        let mut delivered = batches.clone();
        delivered[n] = altered(&batches[n]);
        let (first, last) = (n as u64 * 4 + 1, n as u64 * 4 + 4);
        let mut expected = vec![Finding::Altered { place: mbus(), first, last, hash: hash(&delivered[n]) }];
        // What is below an altered batch has lost its witness, not its fit.
        expected.extend(below.map(|last| Finding::Unproven { place: mbus(), first: 1, last }));
        check(&fed(&delivered, &signed), &expected);
    }
}

#[test]
fn a_forged_copy_beside_the_true_one_is_named() {
    let batches = chain(EPOCH, Lane::MBus, 3);
    let signed = [checkpoint(1, EPOCH, &[(Lane::MBus, 12, &batches[2])])];
    let copy = altered(&batches[1]);
    let forged = Finding::Forged { place: mbus(), first: 5, last: 8, hash: hash(&copy) };
    check(&fed(batches.iter().chain([&copy]), &signed), &[forged]);
    let conflict = Finding::Conflict { place: mbus(), first: 5, last: 8 };
    let report = fed(batches.iter().chain([&copy]), &[]).report();
    assert!(report.findings.contains(&conflict), "{:?}", report.findings);
}

#[test]
fn unproven_batches_that_do_not_fit_break_the_chain() {
    let batches = chain(EPOCH, Lane::MBus, 3);
    let delivered = [batches[0].clone(), altered(&batches[1]), batches[2].clone()];
    check(
        &fed(&delivered, &[]),
        &[Finding::ChainBreak { place: mbus(), first: 9 }, Finding::Unproven { place: mbus(), first: 1, last: 12 }],
    );
    // A batch of another lane in this one's place: its own octets say where it belongs.
    let other = chain(EPOCH, Lane::Billing, 1);
    let report = fed(batches.iter().chain(&other), &[]).report();
    assert_eq!(report.lanes.len(), 2);
}

#[test]
fn checkpoints_by_others_prove_nothing() {
    let batches = chain(EPOCH, Lane::MBus, 1);
    let forged = checkpoint(2, EPOCH, &[(Lane::MBus, 400, &batches[0])]);
    check(
        &fed(&batches, &[forged]),
        &[
            Finding::CheckpointRefused { dcu: Some("u".into()), reason: "no signature by a trusted key".into() },
            Finding::Unproven { place: mbus(), first: 1, last: 4 },
        ],
    );
}

#[test]
fn a_gap_that_the_unit_told_is_no_loss_once_it_is_proven() {
    let batches = chain(EPOCH, Lane::MBus, 4);
    let gap = EventKind::Gap {
        epoch: EPOCH.0,
        lane: Lane::MBus as u8,
        first: 5,
        last: 8,
        reason: "full".into(),
        hash: hash(&batches[1]),
    };
    let p1 = event(EPOCH, 1, [0; 32], gap);
    let delivered = [&batches[0], &batches[2], &batches[3], &p1];
    let unproven = |lane, first, last| Finding::Unproven { place: place(EPOCH, lane), first, last };
    let signed_both = checkpoint(1, EPOCH, &[(Lane::MBus, 16, &batches[3]), (Lane::Security, 1, &p1)]);
    let given_up = Finding::Gap { place: mbus(), first: 5, last: 8 };
    check(&fed(delivered, &[signed_both]), &[given_up.clone(), unproven(Lane::MBus, 1, 4)]);
    let earlier = checkpoint(1, EPOCH, &[(Lane::MBus, 4, &batches[0])]);
    let signed_all = checkpoint(1, EPOCH, &[(Lane::MBus, 16, &batches[3]), (Lane::Security, 1, &p1)]);
    check(&fed(delivered, &[earlier, signed_all]), std::slice::from_ref(&given_up));
    let signed_one = checkpoint(1, EPOCH, &[(Lane::MBus, 16, &batches[3])]);
    check(
        &fed(delivered, &[signed_one]),
        &[
            Finding::GapUnproven { place: mbus(), first: 5, last: 8 },
            unproven(Lane::Security, 1, 1),
            unproven(Lane::MBus, 1, 4),
        ],
    );
}

#[test]
fn a_new_epoch_proves_the_end_of_the_old_one() {
    let old = chain(EPOCH, Lane::MBus, 3);
    let new = Epoch(0xe2);
    let heads = vec![LaneHead { lane: Lane::MBus as u8, last: 12, hash: hash(&old[2]) }];
    let kind = EventKind::EpochStarted { previous: Some(EPOCH.0), heads, reason: "damage".into() };
    let p1 = event(new, 1, [0; 32], kind);
    let signed = [checkpoint(1, new, &[(Lane::Security, 1, &p1)])];
    check(&fed(old.iter().chain([&p1]), &signed), &[]);
    check(
        &fed([&old[0], &old[1], &p1], &signed),
        &[
            Finding::Missing { place: mbus(), first: 9, last: 12 },
            Finding::Unproven { place: mbus(), first: 1, last: 8 },
        ],
    );
}

#[test]
fn without_any_key_only_the_fit_is_checked() {
    let batches = chain(EPOCH, Lane::MBus, 4);
    let mut verifier = Verifier::new(None);
    batches.iter().for_each(|octets| _ = verifier.batch(octets).unwrap());
    check(&verifier, &[]);
    let mut verifier = Verifier::new(None);
    [0, 1, 3].into_iter().for_each(|n| _ = verifier.batch(&batches[n]).unwrap());
    check(&verifier, &[Finding::Missing { place: mbus(), first: 9, last: 12 }]);
    assert_eq!(verifier.batch(b"rubbish"), Err(Reject::Compression));
    let hash = hash(b"rubbish");
    assert!(verifier.report().findings.contains(&Finding::Unreadable { hash, reject: Reject::Compression }));
}
