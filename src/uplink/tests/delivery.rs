use std::time::Duration;

use proptest::prelude::*;
use prost::Message as _;

use super::super::*;
use super::world::{COUNT, EPOCH, World, batch, key};
use crate::wire::{signed, v1};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn first(n: u64) -> u64 {
    n * COUNT + 1
}

#[test]
fn nothing_is_sent_before_a_connection_stands() {
    let mut world = World::new(Options::default());
    world.seal(Lane::MBus, 3);
    world.advance(MINUTE * 100);
    assert!(world.sent.is_empty() && world.controls.is_empty() && world.uplink.poll_timeout().is_none());
    world.connect();
    assert_eq!(world.sent, [(Lane::MBus, first(0)), (Lane::MBus, first(1)), (Lane::MBus, first(2))]);
    let state = v1::State::decode(world.controls(&Topic::State).remove(0)).unwrap();
    assert_eq!((state.online, state.session, state.epoch), (true, 1, EPOCH.0));
}

#[test]
fn no_more_is_in_flight_than_both_sides_allow() {
    for (options, receive_maximum, expected) in [(20, u16::MAX, 20), (20, 3, 3), (5, 10, 5), (20, 0, 1)] {
        let mut world = World::new(Options { in_flight: options, ..Options::default() });
        world.seal(Lane::MBus, 100);
        world.connect_with(receive_maximum);
        for _ in 0..50 {
            assert_eq!(world.flying.len(), expected);
            world.puback(0).unwrap();
        }
    }
}

#[test]
fn alarms_go_first() {
    let mut world = World::new(Options { in_flight: 1, ..Options::default() });
    world.seal(Lane::MBus, 5);
    world.connect();
    world.puback(0);
    world.seal(Lane::Information, 2);
    world.seal(Lane::Security, 2);
    world.seal(Lane::Outage, 1);
    world.puback_all();
    let p0 = world.sent.iter().position(|(lane, _)| *lane == Lane::Outage).unwrap();
    let lanes: Vec<_> = world.sent.iter().skip(p0).take(3).map(|(lane, _)| *lane).collect();
    assert_eq!(lanes, [Lane::Outage, Lane::Security, Lane::Security]);
    assert!(p0 <= 3, "{:?}", world.sent);
}

#[test]
fn three_of_four_batches_are_fresh_while_there_is_a_backlog() {
    let mut world = World::new(Options { in_flight: 4, ..Options::default() });
    world.seal(Lane::MBus, 200);
    world.connect();
    let mut fresh = 0;
    let mut order = Vec::new();
    for _ in 0..100 {
        // As much is sealed as is sent.
        world.seal(Lane::MBus, 1);
        let (_, first) = world.puback(0).unwrap();
        fresh += u32::from(first >= 200 * COUNT);
        order.push(first);
    }
    assert!((70..=78).contains(&fresh), "{fresh} of 100 were fresh");
    // Both stay in order for themselves.
    let (new, old): (Vec<u64>, Vec<u64>) = order.into_iter().partition(|first| *first >= 200 * COUNT);
    assert!(new.is_sorted() && old.is_sorted());
    world.puback_all();
    assert_eq!(world.delivered.len(), 300);
    assert!(world.delivered.values().all(|times| *times == 1));
}

#[test]
fn an_outage_in_any_phase_repeats_only_what_has_no_puback() {
    for pubacks in 0..12 {
        for in_flight in [1, 3, 20] {
            let mut world = World::new(Options { in_flight, ..Options::default() });
            world.seal(Lane::MBus, 6);
            world.connect();
            world.seal(Lane::MBus, 6);
            (0..pubacks).for_each(|_| _ = world.puback(0));
            let before = world.sent.len();
            world.disconnect();
            world.seal(Lane::MBus, 2);
            world.advance(SECOND * 10);
            world.connect();
            world.puback_all();
            let context = format!("{pubacks} PUBACKs, {in_flight} in flight: {:?}", world.sent);
            assert_eq!(world.delivered.len(), 14, "{context}");
            assert!(world.delivered.values().all(|times| *times == 1), "{context}");
            assert_eq!(world.sent.len(), 14 + before - pubacks.min(before), "{context}");
        }
    }
}

#[test]
fn a_puback_is_not_an_acknowledgement() {
    let mut world = World::new(Options::default());
    world.connect();
    world.seal(Lane::MBus, 3);
    world.puback_all();
    assert!(world.acknowledged.is_empty());
    assert_eq!(world.uplink.figures().awaiting_ack, 3);
    world.ack(Lane::MBus, first(0), first(2));
    assert!(world.is_all_acknowledged());
    assert_eq!(world.uplink.figures().awaiting_ack, 0);
}

#[test]
fn in_broker_mode_a_puback_with_success_is_enough_and_no_other() {
    let mut world = World::new(Options { acknowledge: Acknowledge::Broker, ..Options::default() });
    world.connect();
    world.seal(Lane::MBus, 2);
    world.puback(0x10);
    world.puback(0x87);
    assert!(world.acknowledged.is_empty());
    world.advance(MINUTE * 10);
    world.puback_all();
    world.advance(MINUTE * 10);
    world.puback_all();
    assert!(world.is_all_acknowledged());
}

#[test]
fn a_lane_that_nobody_wants_is_held_and_tried_again_less_and_less() {
    for (reason, code) in [(0x10, "uplink.nobody_listens"), (0x87, "uplink.refused"), (0x97, "uplink.refused")] {
        let mut world = World::new(Options::default());
        world.connect();
        world.seal(Lane::MBus, 5);
        (0..5).for_each(|_| _ = world.puback(reason));
        world.seal(Lane::MBus, 5);
        assert_eq!(world.codes(), [code]);
        assert_eq!((world.flying.len(), world.sent.len()), (0, 5));
        // Other lanes go on.
        world.seal(Lane::Billing, 2);
        world.puback_all();
        assert_eq!(world.delivered.len(), 2);
        world.ack(Lane::Billing, first(0), first(1));
        let mut probes = Vec::new();
        for second in 0..700 {
            world.advance(SECOND);
            if let Some((lane, at)) = world.puback(reason) {
                assert_eq!((lane, at), (Lane::MBus, first(0)));
                probes.push(second + 1);
            }
            assert!(world.flying.is_empty(), "one probe at a time");
        }
        assert_eq!(probes, [5, 15, 35, 75, 155, 315, 615]);
        world.advance(MINUTE * 5);
        world.puback_all();
        assert_eq!(world.delivered.len(), 12);
        assert_eq!(world.codes(), ["uplink.resumed"]);
        assert_eq!(world.acknowledged.len(), 2);
    }
}

#[test]
fn all_lanes_are_tried_as_soon_as_one_is_wanted_again() {
    let mut world = World::new(Options::default());
    world.connect();
    world.seal(Lane::Billing, 1);
    world.puback(0x10);
    world.advance(SECOND * 4);
    world.seal(Lane::MBus, 1);
    world.puback(0x10);
    // Billing is due, and the other lane four seconds later.
    world.advance(SECOND);
    world.puback_all();
    assert_eq!(world.delivered.len(), 2);
}

#[test]
fn nobody_has_to_listen_to_retained_topics() {
    let mut world = World::new(Options::default());
    world.connect();
    world.uplink.publish(Topic::Health, vec![1], world.now);
    world.uplink.publish(Topic::Health, vec![2], world.now);
    world.drain();
    assert!(world.flying.iter().filter(|publish| publish.retain).count() >= 2);
    while let Some(publish) = world.flying.pop_front() {
        world.uplink.handle_puback(publish.id, 0x10, world.now);
    }
    world.drain();
    assert_eq!(world.codes(), [""; 0]);
    world.seal(Lane::MBus, 1);
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn what_nobody_acknowledges_is_published_again_later_and_later() {
    let mut world = World::new(Options::default());
    world.connect();
    world.seal(Lane::MBus, 1);
    let mut times = Vec::new();
    for second in 0..4 * 3600 {
        if !world.flying.is_empty() {
            world.puback_all();
        }
        let before = world.sent.len();
        world.advance(SECOND);
        if world.sent.len() > before {
            times.push(second + 1);
        }
    }
    // 60 s, 120 s ... 3600 s after the PUBACK before, which comes in the second after.
    assert_eq!(times, [60, 180, 420, 900, 1860, 3780, 7380, 10_980]);
}

#[test]
fn what_is_published_again_does_not_come_as_a_flood() {
    let mut world = World::new(Options::default());
    world.connect();
    world.seal(Lane::MBus, 300);
    world.puback_all();
    world.advance(MINUTE - SECOND);
    assert_eq!(world.sent.len(), 300);
    for second in 0..30 {
        world.advance(SECOND);
        world.puback_all();
        assert!(world.sent.len() <= 301 + second, "{second}: {}", world.sent.len());
    }
    assert!(world.sent.len() >= 325, "{}", world.sent.len());
    // Fresh ones are not held up.
    world.seal(Lane::MBus, 1);
    assert_eq!(world.sent.last(), Some(&(Lane::MBus, first(300))));
}

#[test]
fn a_batch_that_the_store_gave_up_is_forgotten() {
    let mut world = World::new(Options::default());
    world.connect();
    world.seal(Lane::MBus, 2);
    world.puback_all();
    world.store.get_mut(&Lane::MBus).unwrap().remove(0);
    world.advance(MINUTE * 3);
    assert_eq!(world.uplink.figures().awaiting_ack, 1);
}

#[test]
fn not_more_wait_for_an_acknowledgement_than_fit_the_window() {
    let mut world = World::new(Options { awaiting: 4, ..Options::default() });
    world.seal(Lane::MBus, 10);
    world.connect();
    world.puback_all();
    assert_eq!(world.sent.len(), 4);
    world.seal(Lane::Billing, 1);
    assert_eq!(world.sent.len(), 5);
    world.ack(Lane::MBus, first(0), first(1));
    world.puback_all();
    assert_eq!(world.sent.len(), 7);
}

#[test]
fn a_store_that_fails_is_asked_again_in_a_second() {
    let mut world = World::new(Options::default());
    world.store_fails = true;
    world.connect();
    world.seal(Lane::MBus, 2);
    world.advance(SECOND * 5);
    assert!(world.sent.is_empty());
    world.store_fails = false;
    world.advance(SECOND * 2);
    assert_eq!(world.sent.len(), 2);
}

#[test]
fn a_checkpoint_comes_with_each_connection_and_every_hour() {
    let mut world = World::new(Options::default());
    world.seal(Lane::MBus, 2);
    world.connect();
    world.puback_all();
    world.ack(Lane::MBus, first(0), first(1));
    world.advance(MINUTE * 59);
    assert_eq!(world.controls(&Topic::Checkpoint).len(), 1);
    world.advance(MINUTE * 2);
    world.puback(0);
    let octets = world.controls(&Topic::Checkpoint).remove(0);
    let mut trust = Trust::default();
    trust.add("u".into(), &[crate::wire::trust::Role::Device], Some("u".into()), key(1).public()).unwrap();
    let checkpoint = signed::open::<v1::Checkpoint>(&octets, &trust).unwrap().message;
    let [head] = &checkpoint.heads[..] else { panic!("{checkpoint:?}") };
    assert_eq!((head.lane, head.last, checkpoint.number), (Lane::MBus as i32, 2 * COUNT, 2));
    assert_eq!(head.hash, batch(EPOCH, Lane::MBus, first(1)).hash);
    assert_eq!(checkpoint.audit_head, [5; 32]);
    world.disconnect();
    world.connect();
    assert_eq!(world.controls(&Topic::Checkpoint).len(), 1);
}

#[test]
fn what_older_epochs_left_is_backlog_and_a_new_epoch_starts_over() {
    let old = Epoch(1);
    let store = [(Lane::MBus, vec![batch(old, Lane::MBus, 1), batch(EPOCH, Lane::MBus, 1)])].into();
    let mut world = World::restarted(Options::default(), store, [].into());
    world.connect();
    assert_eq!(world.sent, [(Lane::MBus, 1), (Lane::MBus, 1)]);
    world.puback_all();
    let new = Epoch(2);
    world.store.get_mut(&Lane::MBus).unwrap().push(batch(new, Lane::MBus, 1));
    world.uplink.handle_sealed(new, Lane::MBus, COUNT, world.now);
    // Late news of the epoch that ended changes nothing.
    world.uplink.handle_sealed(EPOCH, Lane::MBus, 500, world.now);
    world.drain();
    assert_eq!(world.sent.len(), 3);
    assert_eq!(world.uplink.figures().awaiting_ack, 3);
}

#[test]
fn a_stop_says_goodbye() {
    let mut world = World::new(Options::default());
    world.connect();
    world.uplink.stop(world.now);
    world.drain();
    let state = v1::State::decode(world.controls(&Topic::State).pop().unwrap()).unwrap();
    assert_eq!((state.online, state.reason.as_str()), (false, "stopped"));
}

/// What may happen, in any order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Seal(Lane),
    Connect,
    Disconnect,
    Puback(u8),
    /// A consumer acknowledges one of the batches that the broker has.
    Ack(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let lane = prop::sample::select(vec![Lane::Security, Lane::Billing, Lane::MBus]);
    prop_oneof![
        4 => lane.prop_map(Step::Seal),
        1 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
        6 => prop_oneof![8 => Just(0), 1 => Just(0x10), 1 => Just(0x87)].prop_map(Step::Puback),
        3 => any::<usize>().prop_map(Step::Ack),
        2 => (0..200_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_everything_is_delivered_and_only_what_was_acknowledged_is_deleted(
        steps in prop::collection::vec(step(), 0..150),
        in_flight in 1..8_usize,
        awaiting in 2..12_usize,
    ) {
        let mut world = World::new(Options { in_flight, awaiting, ..Options::default() });
        let mut acknowledged = std::collections::BTreeSet::new();
        for step in steps {
            match step {
                Step::Seal(lane) => world.seal(lane, 1),
                Step::Connect => if !world.uplink.is_connected() { world.connect() },
                Step::Disconnect => world.disconnect(),
                Step::Puback(reason) => _ = world.puback(reason),
                Step::Pass(seconds) => world.advance(SECOND * seconds as u32),
                Step::Ack(n) => {
                    let delivered: Vec<_> = world.delivered.keys().copied().collect();
                    if let Some((lane, first)) = delivered.get(n % delivered.len().max(1)).copied() {
                        acknowledged.insert((EPOCH, lane, first + COUNT - 1));
                        world.ack(lane, first, first);
                    }
                }
            }
            prop_assert!(world.acknowledged.is_subset(&acknowledged));
            prop_assert!(world.flying.len() <= in_flight);
        }
        if !world.uplink.is_connected() {
            world.connect();
        }
        for _ in 0..400 {
            world.puback_all();
            let delivered: Vec<_> = world.delivered.keys().copied().collect();
            let is_open =
                |(lane, first): &(Lane, u64)| !world.acknowledged.contains(&(EPOCH, *lane, first + COUNT - 1));
            for (lane, first) in delivered.into_iter().filter(is_open).collect::<Vec<_>>() {
                world.ack(lane, first, first);
            }
            if world.is_all_acknowledged() {
                break;
            }
            world.advance(MINUTE);
        }
        prop_assert!(world.is_all_acknowledged(), "{:?}", world.uplink);
        prop_assert_eq!(world.uplink.figures().awaiting_ack, 0);
        prop_assert!(!world.codes().iter().any(|code| code.starts_with("refused")));
    }
}
