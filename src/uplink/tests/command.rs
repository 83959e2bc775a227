use super::super::*;
use super::world::{COUNT, EPOCH, World, batch, key};
use crate::reading::TimeQuality;
use crate::wire::trust::Role;
use crate::wire::v1::command::Operation;
use crate::wire::v1::command_state::State;
use crate::wire::{signed, v1};

const ID: [u8; 16] = [0xc0; 16];

fn first(n: u64) -> u64 {
    n * COUNT + 1
}

fn resend(from: u64, last: u64) -> v1::Command {
    command(Operation::Resend(v1::Resend { epoch: EPOCH.0, lane: Lane::MBus as i32, first: from, last }))
}

fn command(operation: Operation) -> v1::Command {
    v1::Command {
        id: ID.to_vec(),
        dcu: "u".into(),
        not_before_ms: 1_785_000_000_000 - 60_000,
        not_after_ms: 1_785_000_000_000 + 3_600_000,
        operation: Some(operation),
    }
}

/// Four batches, delivered and acknowledged.
fn world() -> World {
    let mut world = World::new(Options { in_flight: 2, ..Options::default() });
    world.connect();
    world.seal(Lane::MBus, 4);
    world.puback_all();
    world.ack(Lane::MBus, first(0), first(3));
    assert!(world.is_all_acknowledged());
    world.sent.clear();
    world
}

fn order(world: &mut World, command: &v1::Command, by: u8) {
    world.message(Topic::Command, &signed::sign(command, &[&key(by)]));
}

/// The states that were published for the command, verified.
fn states(world: &mut World) -> Vec<(State, String)> {
    let mut trust = Trust::default();
    trust.add("u".into(), &[Role::Device], Some("u".into()), key(1).public()).unwrap();
    let answers = world.controls(&Topic::CommandState(ID));
    let open = |octets: Bytes| {
        let state = signed::open::<v1::CommandState>(&octets, &trust).unwrap().message;
        assert_eq!(state.id, ID);
        (state.state(), state.code)
    };
    answers.into_iter().map(open).collect()
}

fn ok(state: State) -> (State, String) {
    (state, String::new())
}

#[test]
fn a_range_is_published_again_byte_by_byte() {
    for (from, last, expected) in [
        (first(0), first(3) + 9, &[0, 1, 2, 3][..]),
        (first(1), first(1), &[1]),
        // Every batch with a record of the range.
        (first(1) + 9, first(2), &[1, 2]),
    ] {
        let mut world = world();
        order(&mut world, &resend(from, last), 3);
        let mut payloads = Vec::new();
        while let Some(publish) = world.flying.front() {
            payloads.push(publish.payload.clone());
            let id = publish.id;
            world.flying.pop_front();
            world.uplink.handle_puback(id, 0, world.now);
            world.drain();
        }
        let wanted: Vec<_> = expected.iter().map(|n| batch(EPOCH, Lane::MBus, first(*n)).octets).collect();
        payloads.retain(|payload| wanted.iter().any(|octets| octets == payload));
        assert_eq!(payloads, wanted);
        assert_eq!(world.sent.len(), expected.len());
        assert_eq!(states(&mut world), [ok(State::Accepted), ok(State::Succeeded)]);
    }
}

#[test]
fn a_range_with_holes_is_sent_as_far_as_it_goes_and_says_what_is_not_there() {
    let mut world = world();
    world.store.get_mut(&Lane::MBus).unwrap().remove(1);
    order(&mut world, &resend(1, 1000), 2);
    world.puback_all();
    let sent: Vec<u64> = world.sent.iter().map(|(_, first)| *first).collect();
    assert_eq!(sent, [first(0), first(2), first(3)]);
    assert_eq!(states(&mut world), [ok(State::Accepted), (State::Failed, "range_not_stored".into())]);
    // An epoch that the store does not know.
    let mut strange = resend(1, 20);
    strange.id = ID.to_vec();
    strange.operation = Some(Operation::Resend(v1::Resend { epoch: 99, lane: 7, first: 1, last: 20 }));
    let mut world = self::world();
    order(&mut world, &strange, 2);
    world.puback_all();
    assert!(world.sent.is_empty());
    assert_eq!(states(&mut world), [ok(State::Accepted), (State::Failed, "range_not_stored".into())]);
}

#[test]
fn an_outage_during_a_resend_repeats_what_has_no_puback() {
    for pubacks in 0..4 {
        let mut world = world();
        order(&mut world, &resend(first(0), first(3)), 3);
        (0..pubacks).for_each(|_| _ = world.puback(0));
        let delivered = world.delivered.clone();
        world.disconnect();
        world.connect();
        world.puback_all();
        assert_eq!(world.delivered.values().sum::<usize>(), 8, "{delivered:?} {:?}", world.sent);
        assert_eq!(states(&mut world).last(), Some(&ok(State::Succeeded)));
    }
}

#[test]
fn a_refused_resend_waits_and_goes_on() {
    let mut world = world();
    order(&mut world, &resend(first(0), first(3)), 3);
    world.puback(0x97);
    world.puback(0x97);
    assert!(world.flying.is_empty());
    world.advance(Duration::from_secs(5));
    world.puback_all();
    assert_eq!(world.delivered.values().sum::<usize>(), 8);
    assert_eq!(states(&mut world).last(), Some(&ok(State::Succeeded)));
}

#[test]
fn the_same_command_is_carried_out_once_and_answered_each_time() {
    let mut world = world();
    order(&mut world, &resend(first(0), first(0)), 3);
    world.puback_all();
    assert_eq!(states(&mut world), [ok(State::Accepted), ok(State::Succeeded)]);
    order(&mut world, &resend(first(0), first(0)), 3);
    world.puback_all();
    assert_eq!(states(&mut world), [ok(State::Succeeded)]);
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn what_may_not_be_done_is_rejected_with_a_reason() {
    let now = 1_785_000_000_000_i64;
    let times =
        |begin: i64, end: i64| v1::Command { not_before_ms: now + begin, not_after_ms: now + end, ..resend(1, 9) };
    let with = |first, last, lane| command(Operation::Resend(v1::Resend { epoch: EPOCH.0, lane, first, last }));
    for (command, by, code) in [
        (v1::Command { dcu: "x".into(), ..resend(1, 9) }, 3, "another_dcu"),
        (resend(1, 9), 4, "bad_role"),
        (times(1_000, 2_000), 3, "not_yet"),
        (times(-2_000, -1_000), 3, "expired"),
        (times(-1_000, 86_400_000), 3, "window_too_long"),
        (times(1_000, -1_000), 3, "window_too_long"),
        (with(0, 9, 7), 3, "bad_range"),
        (with(9, 1, 7), 3, "bad_range"),
        (with(1, u64::MAX, 7), 3, "bad_range"),
        (with(1, 9, 40), 3, "bad_range"),
        (v1::Command { operation: None, ..resend(1, 9) }, 3, "unsupported"),
    ] {
        let mut world = world();
        order(&mut world, &command, by);
        assert_eq!(states(&mut world), [(State::Rejected, code.to_owned())]);
        assert!(world.sent.is_empty());
    }
}

#[test]
fn who_comes_too_late_is_told_by_which_clock() {
    let now = 1_785_000_000_000_i64;
    let late = v1::Command { not_before_ms: now - 2_000, not_after_ms: now - 1_000, ..resend(1, 9) };
    let said = "the unit's clock says 2026-07-25T17:20:00Z, the order is good from 2026-07-25T17:19:58Z to \
                2026-07-25T17:19:59Z";
    assert_eq!(super::super::command::clocks("expired", &late, now), said);
    assert_eq!(super::super::command::clocks("bad_role", &late, now), "");
}

#[test]
fn a_unit_without_a_clock_still_answers_what_only_reads() {
    let mut world = world();
    world.now.quality = TimeQuality::Unsynchronised;
    world.now.utc_ms = 0;
    order(&mut world, &resend(first(0), first(0)), 3);
    world.puback_all();
    assert_eq!(states(&mut world), [ok(State::Accepted), ok(State::Succeeded)]);
}

#[test]
fn strangers_are_not_answered() {
    let mut world = world();
    order(&mut world, &resend(1, 9), 9);
    world.message(Topic::Command, b"rubbish");
    order(&mut world, &v1::Command { id: vec![1], ..resend(1, 9) }, 3);
    assert_eq!(states(&mut world), []);
    assert_eq!(world.codes(), ["uplink.command_refused"; 3]);
    assert!(world.sent.is_empty());
}

#[test]
fn too_many_resends_at_once_are_refused() {
    let mut world = world();
    world.disconnect();
    for n in 0..6 {
        order(&mut world, &v1::Command { id: vec![n; 16], ..resend(1, 40) }, 3);
    }
    world.connect();
    world.puback_all();
    // Four jobs of four batches each.
    assert_eq!(world.sent.len(), 16);
    assert_eq!(world.uplink.figures().commands_refused, 2);
}

#[test]
fn a_checkpoint_is_made_on_request() {
    let mut world = world();
    world.controls.clear();
    order(&mut world, &command(Operation::Checkpoint(v1::MakeCheckpoint {})), 2);
    world.puback(0);
    assert_eq!(world.controls(&Topic::Checkpoint).len(), 1);
    assert_eq!(states(&mut world), [ok(State::Accepted), ok(State::Succeeded)]);
}

#[test]
fn what_was_ordered_and_what_came_of_it_is_audited() {
    let audited = |world: &World| -> Vec<[String; 3]> {
        world.audit.iter().map(|entry| [entry.what.clone(), entry.decision.clone(), entry.result.clone()]).collect()
    };
    let id = hex::encode(ID);
    let what = format!("command {id}: resend 00000000000000e0 lane 7 1-1");
    let mut world = world();
    order(&mut world, &resend(1, 1), 3);
    world.puback_all();
    assert_eq!(
        audited(&world),
        [
            [what.clone(), "accepted".to_owned(), String::new()],
            [format!("command {id}"), String::new(), "succeeded".to_owned()],
        ]
    );
    assert_eq!(world.audit[0].who, format!("3 {}", key(3).id()));
    assert_eq!(world.audit[1].who, "u");
    // The same command again is answered from memory and is no new decision.
    order(&mut world, &resend(1, 1), 3);
    assert_eq!(world.audit.len(), 2);
    let mut world = self::world();
    order(&mut world, &resend(1, 1), 4);
    assert_eq!(audited(&world), [[what, "rejected (bad_role)".to_owned(), String::new()]]);
    // A stranger can fill no disk.
    order(&mut world, &v1::Command { id: vec![9; 16], ..resend(1, 1) }, 9);
    assert_eq!(world.audit.len(), 1);
}
