use super::super::*;
use super::world::{COUNT, EPOCH, World, batch, key};
use crate::wire::{signed, v1};

fn first(n: u64) -> u64 {
    n * COUNT + 1
}

/// Six batches were published and have their PUBACK, the seventh is sealed and held back.
fn world() -> World {
    let mut world = World::new(Options { awaiting: 6, ..Options::default() });
    world.connect();
    world.seal(Lane::MBus, 7);
    world.puback_all();
    assert_eq!(world.sent.len(), 6);
    world
}

fn range(first: u64, last_batch: u64) -> v1::ack::Range {
    let batch = batch(EPOCH, Lane::MBus, last_batch);
    v1::ack::Range { first, last: batch.last(), last_hash: batch.hash.to_vec() }
}

fn ack(ranges: Vec<v1::ack::Range>) -> v1::Ack {
    v1::Ack { dcu: "u".into(), epoch: EPOCH.0, lane: Lane::MBus as i32, ranges }
}

/// Last sequences that the store was told.
fn told(world: &World) -> Vec<u64> {
    world.acknowledged.iter().map(|(_, _, last)| *last).collect()
}

#[test]
fn what_is_forged_or_wrong_changes_nothing_and_is_told() {
    let good = || range(first(0), first(1));
    let rows: Vec<(v1::Ack, u8, &str)> = vec![
        (ack(vec![good()]), 9, "no signature by a trusted key"),
        (ack(vec![good()]), 3, "no signer has a role for this kind of message"),
        (v1::Ack { dcu: "other".into(), ..ack(vec![good()]) }, 2, "for another unit"),
        (v1::Ack { epoch: 77, ..ack(vec![good()]) }, 2, "of another epoch"),
        (v1::Ack { lane: 99, ..ack(vec![good()]) }, 2, "no such lane"),
        (v1::Ack { lane: -1, ..ack(vec![good()]) }, 2, "no such lane"),
        (v1::Ack { lane: Lane::Raw as i32, ..ack(vec![good()]) }, 2, "no published batch ends with it"),
        (ack(vec![v1::ack::Range { last_hash: vec![0; 32], ..good() }]), 2, "wrong hash"),
        (ack(vec![v1::ack::Range { last_hash: vec![0; 31], ..good() }]), 2, "a hash has 32 octets"),
        (ack(vec![v1::ack::Range { last: 15, ..good() }]), 2, "no published batch ends with it"),
        (ack(vec![v1::ack::Range { first: 0, ..good() }]), 2, "not a range"),
        (ack(vec![v1::ack::Range { first: 21, ..good() }]), 2, "not a range"),
        (ack(vec![v1::ack::Range { last: u64::MAX, ..good() }]), 2, "no published batch ends with it"),
        (ack(vec![v1::ack::Range { last: 71, ..good() }]), 2, "no published batch ends with it"),
        (ack(vec![v1::ack::Range { last: 70, ..good() }]), 2, "wrong hash"),
        (ack(vec![good(); 1025]), 2, "too many ranges"),
    ];
    for (ack, by, reason) in rows {
        let mut world = world();
        world.message(Topic::Ack, &signed::sign(&ack, &[&key(by)]));
        assert_eq!(world.codes(), [format!("refused: {reason}")]);
        assert!(world.acknowledged.is_empty(), "{reason}");
        assert_eq!(world.uplink.figures().awaiting_ack, 6);
        assert_eq!(world.uplink.figures().acks_refused, 1);
    }
    let mut world = world();
    world.message(Topic::Ack, b"\xff\xff");
    assert_eq!(world.codes(), ["uplink.ack_unreadable"]);
    world.message(Topic::Ack, &signed::sign(&v1::Command::default(), &[&key(2)]));
    assert_eq!(world.codes().len(), 1);
    assert!(world.acknowledged.is_empty());
}

#[test]
fn one_wrong_range_does_not_spoil_the_others() {
    let mut world = world();
    let wrong = v1::ack::Range { last_hash: vec![1; 32], ..range(first(1), first(1)) };
    let ack = ack(vec![range(first(0), first(0)), wrong, range(first(2), first(3))]);
    world.message(Topic::Ack, &signed::sign(&ack, &[&key(2)]));
    assert_eq!(told(&world), [10, 30, 40]);
    assert_eq!(world.codes(), ["refused: wrong hash"]);
}

#[test]
fn only_whole_batches_count() {
    for (from, last, expected) in [
        (first(0), first(2), &[10, 20, 30][..]),
        (first(2), first(2), &[30]),
        // Begins inside the second batch.
        (first(1) + 3, first(2), &[30]),
        (first(2) + 1, first(2), &[]),
    ] {
        let mut world = world();
        world.ack(Lane::MBus, from, last);
        assert_eq!(told(&world), expected);
        assert_eq!(world.codes(), [""; 0]);
    }
}

#[test]
fn acknowledgements_come_in_any_order_and_again() {
    let mut world = world();
    for n in [4, 0, 2, 2, 1, 3, 0] {
        world.ack(Lane::MBus, first(n), first(n));
    }
    world.ack(Lane::MBus, first(0), first(4));
    world.ack(Lane::MBus, first(1), first(3));
    assert_eq!(told(&world), [10, 20, 30, 40, 50]);
    let figures = world.uplink.figures();
    assert_eq!((figures.acks_accepted, figures.acks_stale, figures.acks_refused), (5, 4, 0));
}

#[test]
fn a_range_over_what_is_acknowledged_already_counts_for_the_rest() {
    let mut world = world();
    world.ack(Lane::MBus, first(1), first(2));
    world.ack(Lane::MBus, first(0), first(5));
    assert_eq!(told(&world), [10, 20, 30, 40, 50, 60]);
    assert_eq!(world.codes(), [""; 0]);
}

#[test]
fn a_batch_may_be_acknowledged_before_its_puback() {
    let mut world = World::new(Options::default());
    world.connect();
    world.seal(Lane::MBus, 2);
    world.ack(Lane::MBus, first(0), first(1));
    assert!(world.is_all_acknowledged());
    world.puback_all();
    let figures = world.uplink.figures();
    assert_eq!((figures.awaiting_ack, figures.in_flight, figures.unexpected), (0, 0, 0));
    world.disconnect();
    world.connect();
    assert_eq!(world.sent.len(), 2);
}

/// A unit that restarted with six batches in its store, the first two acknowledged, and one place in flight.
fn restarted() -> World {
    let store = [(Lane::MBus, (0..6).map(|n| batch(EPOCH, Lane::MBus, first(n))).collect())].into();
    let acknowledged = [(EPOCH, Lane::MBus, 10), (EPOCH, Lane::MBus, 20)].into();
    let mut world = World::restarted(Options { in_flight: 1, ..Options::default() }, store, acknowledged);
    world.connect();
    world
}

#[test]
fn after_a_restart_what_was_published_before_is_published_again_and_early_acknowledgements_are_no_alarm() {
    let mut world = restarted();
    world.ack(Lane::MBus, first(2), first(5));
    assert_eq!(told(&world), [10, 20]);
    assert_eq!((world.codes(), world.uplink.figures().acks_stale), (vec![], 1));
    world.puback_all();
    assert_eq!(world.sent.len(), 4);
    // From the first record on, as a simple head-end may say it.
    world.ack(Lane::MBus, first(0), first(5));
    assert_eq!(told(&world), [10, 20, 30, 40, 50, 60]);
    assert_eq!(world.codes(), [""; 0]);
}

#[test]
fn a_fresh_batch_vouches_for_nothing_that_was_not_published_again() {
    let mut world = restarted();
    world.puback(0);
    world.seal(Lane::MBus, 1);
    while world.sent.last() != Some(&(Lane::MBus, first(6))) {
        world.puback(0).unwrap();
    }
    let before: Vec<u64> = world.sent.iter().map(|(_, first)| first + COUNT - 1).collect();
    world.ack(Lane::MBus, first(0), first(6));
    assert!(told(&world).iter().all(|last| before.contains(last) || *last <= 20), "{:?}", told(&world));
    assert!(told(&world).contains(&70));
    assert_eq!(world.codes(), [""; 0]);
    world.puback_all();
    world.ack(Lane::MBus, first(0), first(6));
    assert!(world.is_all_acknowledged());
}

#[test]
fn a_range_whose_end_was_acknowledged_before_a_restart_counts_for_the_rest() {
    let store = [(Lane::MBus, (0..3).map(|n| batch(EPOCH, Lane::MBus, first(n))).collect())].into();
    let mut world = World::restarted(Options::default(), store, [(EPOCH, Lane::MBus, 30)].into());
    world.connect();
    assert_eq!(world.sent.len(), 2);
    world.ack(Lane::MBus, first(0), first(2));
    assert!(world.is_all_acknowledged());
    assert_eq!(world.codes(), [""; 0]);
}

#[test]
fn a_forger_cannot_fill_the_store_with_alarms() {
    let mut world = world();
    let octets = signed::sign(&ack(vec![range(1, first(0))]), &[&key(9)]);
    for _ in 0..1000 {
        world.message(Topic::Ack, &octets);
    }
    assert_eq!(world.codes().len(), 16);
    assert_eq!(world.uplink.figures().events_suppressed, 984);
    world.advance(Duration::from_secs(60));
    world.message(Topic::Ack, &octets);
    assert_eq!(world.codes().len(), 1);
}
