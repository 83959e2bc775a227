use super::super::order::{Outcome, Standing, action_name, action_named};
use super::super::*;
use super::world::{World, key};
use crate::reading::TimeQuality;
use crate::wire::signed;
use crate::wire::trust::Role;
use crate::wire::v1::command::Operation;
use crate::wire::v1::command_state::{Result as Said, State};
use crate::wire::v1::order_meter::Action;
use crate::wire::v1::{
    self, AdmitNode, ImportNodes, NodeKey, NodeOfNetwork, OrderMeter, Rekey, ResetJournal, TraceRoute,
};

const ID: [u8; 16] = [0xd0; 16];
const NOW: i64 = 1_785_000_000_000;
const HOUR: i64 = 3_600_000;

fn command(operation: Operation) -> v1::Command {
    v1::Command {
        id: ID.to_vec(),
        dcu: "u".into(),
        not_before_ms: NOW - 60_000,
        not_after_ms: NOW + HOUR,
        operation: Some(operation),
    }
}

fn admit() -> v1::Command {
    let which = Some(NodeOfNetwork { network: "feeder".into(), node: "0007".into() });
    command(Operation::AdmitNode(AdmitNode { which }))
}

fn rekey() -> v1::Command {
    command(Operation::Rekey(Rekey { network: "feeder".into() }))
}

fn import(nodes: usize, octets: usize) -> v1::Command {
    let node = |eui64| NodeKey { eui64, psk: vec![0x5a; octets], meter: String::new() };
    command(Operation::ImportNodes(ImportNodes {
        network: String::new(),
        nodes: (0..nodes as u64).map(node).collect(),
    }))
}

fn world() -> World {
    let mut world = World::new(Options::default());
    world.connect();
    world.puback_all();
    world
}

fn order(world: &mut World, command: &v1::Command, by: &[u8]) {
    let keys: Vec<_> = by.iter().map(|seed| key(*seed)).collect();
    world.message(Topic::Command, &signed::sign(command, &keys.iter().collect::<Vec<_>>()));
    world.puback_all();
}

/// The states that were published since, verified.
fn states(world: &mut World) -> Vec<(State, String)> {
    let mut trust = Trust::default();
    trust.add("u".into(), &[Role::Device], Some("u".into()), key(1).public()).unwrap();
    let open = |octets: Bytes| {
        let state = signed::open::<v1::CommandState>(&octets, &trust).unwrap().message;
        (state.state(), state.code)
    };
    world.controls(&Topic::CommandState(ID)).into_iter().map(open).collect()
}

fn plain(state: State) -> (State, String) {
    (state, String::new())
}

#[test]
fn an_order_is_durable_before_it_is_handed_on_and_its_end_is_told() {
    let mut world = world();
    order(&mut world, &admit(), &[5]);
    assert_eq!(world.orders.len(), 1);
    let (known, _) = world.journal.clone().unwrap();
    assert_eq!((known.len(), known[&ID].not_after_ms), (1, NOW + HOUR));
    assert_eq!(states(&mut world), [plain(State::Accepted)]);
    world.uplink.handle_done(ID, Outcome::Succeeded(Some(Said::Node(7))), world.now);
    world.drain();
    assert_eq!(states(&mut world), [plain(State::Succeeded)]);
    let heard: Vec<_> = world.audit.iter().map(|entry| (entry.decision.as_str(), entry.result.as_str())).collect();
    assert_eq!(heard, [("accepted", ""), ("", "succeeded")]);
    assert!(world.audit[0].what.contains("admit \"0007\" of network \"feeder\""), "{}", world.audit[0].what);
}

fn meter(action: Action) -> v1::Command {
    let address = v1::MBusAddress { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 7 };
    let meter = Some(v1::MeterId { id: Some(v1::meter_id::Id::Mbus(address)) });
    command(Operation::OrderMeter(OrderMeter { meter, action: action.into() }))
}

fn stands(world: &mut World, state: State, code: &'static str) {
    world.standings = [(ID, Standing { state, code, detail: String::new(), order: 4 })].into();
    world.uplink.handle_standings(&world.standings, world.now);
    world.drain();
    world.puback_all();
}

#[test]
fn an_order_to_a_meter_stands_as_its_queue_says_also_after_a_restart() {
    let mut world = world();
    order(&mut world, &meter(Action::CloseValve), &[4]);
    assert!(world.audit[0].what.ends_with("tell meter KAM-12345678-1b-07 close-valve"), "{}", world.audit[0].what);
    world.uplink.handle_done(ID, Outcome::Queued, world.now);
    stands(&mut world, State::Queued, "");
    stands(&mut world, State::Queued, "");
    assert_eq!(states(&mut world), [plain(State::Accepted), plain(State::Queued)], "each state is told once");
    // The queue went on while the journal of commands did not hear of it.
    world.standings.get_mut(&ID).unwrap().state = State::Sent;
    world.restart();
    world.connect();
    world.puback_all();
    assert_eq!(states(&mut world), [plain(State::Sent)]);
    stands(&mut world, State::Failed, "not_heard");
    stands(&mut world, State::Sent, "");
    assert_eq!(states(&mut world), [(State::Failed, "not_heard".to_owned())], "what has ended stays so");
}

#[test]
fn an_order_to_a_meter_that_its_queue_does_not_have_is_told_so_after_a_restart() {
    for reached in [State::Accepted, State::Queued, State::Delivered] {
        let mut world = world();
        order(&mut world, &meter(Action::SetClock), &[11]);
        stands(&mut world, reached, "");
        states(&mut world);
        world.standings.clear();
        world.restart();
        world.connect();
        world.puback_all();
        assert_eq!(states(&mut world), [(State::Indeterminate, "restarted".to_owned())], "{reached:?}");
    }
}

#[test]
fn every_action_has_a_name_that_is_the_command_lines() {
    for action in crate::registry::Action::ALL {
        let known = action_named(action.name()).unwrap();
        assert_eq!((action_name(known).as_str(), known != Action::Unspecified), (action.name(), true));
    }
    assert_eq!(action_named("explode"), None);
}

#[test]
fn who_may_not_order_it_is_rejected_and_a_stranger_is_not_answered() {
    let which = || Some(NodeOfNetwork::default());
    for (command, by, expected) in [
        (admit(), &[4][..], Some("bad_role")),
        (admit(), &[3, 4], Some("bad_role")),
        (admit(), &[5], None),
        (admit(), &[6], None),
        (import(2, 16), &[5], None),
        (import(0, 16), &[5], Some("bad_nodes")),
        (import(2, 15), &[5], Some("bad_nodes")),
        (import(4097, 16), &[5], Some("bad_nodes")),
        (meter(Action::RequestData), &[3], None),
        (meter(Action::RequestData), &[11], None),
        (meter(Action::RequestData), &[4], Some("bad_role")),
        (meter(Action::SetClock), &[11], None),
        (meter(Action::SetClock), &[3], Some("bad_role")),
        (meter(Action::OpenValve), &[4], None),
        (meter(Action::EnableOpening), &[4], None),
        (meter(Action::CloseValve), &[3, 5, 11], Some("bad_role")),
        (rekey(), &[5], Some("bad_role")),
        (rekey(), &[6], Some("needs_two_signatures")),
        (rekey(), &[6, 5], Some("needs_two_signatures")),
        // An officer of another unit is none here.
        (rekey(), &[6, 8], Some("needs_two_signatures")),
        (rekey(), &[6, 7], None),
        (command(Operation::TraceRoute(TraceRoute { which: which() })), &[6], Some("bad_role")),
        (command(Operation::TraceRoute(TraceRoute { which: which() })), &[5], None),
        (v1::Command { dcu: "x".into(), ..admit() }, &[5], Some("another_dcu")),
        (v1::Command { not_before_ms: NOW - HOUR, not_after_ms: NOW - 1, ..admit() }, &[5], Some("expired")),
        (v1::Command { not_before_ms: NOW + 1, ..admit() }, &[5], Some("not_yet")),
        (v1::Command { not_after_ms: NOW + 25 * HOUR, ..admit() }, &[5], Some("window_too_long")),
    ] {
        let mut world = world();
        order(&mut world, &command, by);
        let state = expected.map_or_else(|| plain(State::Accepted), |code| (State::Rejected, code.to_owned()));
        assert_eq!(states(&mut world), [state], "{by:?} {command:?}");
        assert_eq!(world.orders.len(), usize::from(expected.is_none()));
        let (known, _) = world.journal.unwrap();
        assert_eq!(known.len(), usize::from(expected.is_none()), "what is rejected is not kept");
    }
    let mut world = world();
    let mut forged = signed::sign(&rekey(), &[&key(6), &key(7)]);
    *forged.last_mut().unwrap() ^= 1;
    world.message(Topic::Command, &forged);
    order(&mut world, &rekey(), &[9, 10]);
    // The same officer twice is one officer.
    order(&mut world, &rekey(), &[6, 6]);
    assert_eq!((states(&mut world), world.orders.len()), (vec![], 0));
    assert_eq!(world.codes(), ["uplink.command_refused"; 3]);
}

#[test]
fn no_key_is_printed() {
    let text = format!("{:?}", import(2, 16));
    assert!(text.contains("NodeKey(0000000000000001, ..)") && !text.contains("90, 90"), "{text}");
    let mut world = world();
    order(&mut world, &import(2, 16), &[5]);
    assert!(world.audit[0].what.ends_with("import 2 nodes into network \"\""), "{}", world.audit[0].what);
}

#[test]
fn the_same_id_is_carried_out_once_also_after_a_restart() {
    for is_done in [false, true] {
        let mut world = world();
        order(&mut world, &admit(), &[5]);
        order(&mut world, &admit(), &[5]);
        assert_eq!(states(&mut world), [plain(State::Accepted), plain(State::Accepted)]);
        if is_done {
            let outcome = Outcome::Failed { code: "not_found", detail: "no such node".into() };
            world.uplink.handle_done(ID, outcome, world.now);
            world.drain();
            assert_eq!(states(&mut world), [(State::Failed, "not_found".to_owned())]);
        }
        world.restart();
        world.connect();
        world.puback_all();
        let last = if is_done { (State::Failed, "not_found") } else { (State::Indeterminate, "restarted") };
        let last = (last.0, last.1.to_owned());
        // What was interrupted is told without being asked.
        assert_eq!(states(&mut world), if is_done { vec![] } else { vec![last.clone()] });
        order(&mut world, &admit(), &[5]);
        assert_eq!(states(&mut world), std::slice::from_ref(&last));
        world.restart();
        world.connect();
        order(&mut world, &admit(), &[5]);
        assert_eq!(states(&mut world), [last]);
        assert_eq!(world.orders.len(), 1);
    }
}

#[test]
fn what_cannot_be_made_durable_is_not_carried_out() {
    let mut world = world();
    world.journal_fails = true;
    order(&mut world, &admit(), &[5]);
    assert_eq!(states(&mut world), [(State::Rejected, "not_durable".to_owned())]);
    assert!(world.orders.is_empty());
    assert_eq!(world.audit.last().unwrap().result, "rejected (not_durable)");
}

#[test]
fn a_unit_without_a_clock_changes_nothing() {
    let mut world = world();
    world.now.quality = TimeQuality::Unsynchronised;
    order(&mut world, &admit(), &[5]);
    assert_eq!(states(&mut world), [(State::Rejected, "clock".to_owned())]);
}

#[test]
fn what_was_forgotten_does_not_come_back_with_a_clock_that_was_set_back() {
    let mut world = world();
    order(&mut world, &admit(), &[5]);
    world.uplink.handle_done(ID, Outcome::Succeeded(None), world.now);
    world.drain();
    let first = world.now;
    world.now.utc_ms += 26 * HOUR;
    let shifted = |id: u8| v1::Command {
        id: vec![id; 16],
        not_before_ms: NOW + 26 * HOUR,
        not_after_ms: NOW + 27 * HOUR,
        ..admit()
    };
    order(&mut world, &shifted(1), &[5]);
    assert_eq!(world.orders.len(), 2);
    assert_eq!(world.journal.as_ref().unwrap().0.len(), 1, "the first one is forgotten");
    states(&mut world);
    world.now.utc_ms = first.utc_ms;
    order(&mut world, &admit(), &[5]);
    assert_eq!(states(&mut world), [(State::Rejected, "expired".to_owned())]);
    assert_eq!(world.orders.len(), 2);
}

#[test]
fn a_lost_journal_rejects_everything_until_a_reset_by_two() {
    let mut world = world();
    world.journal = None;
    world.restart();
    world.connect();
    order(&mut world, &admit(), &[5]);
    let reset = |id: u8| v1::Command { id: vec![id; 16], ..command(Operation::ResetJournal(ResetJournal {})) };
    order(&mut world, &reset(1), &[6]);
    assert_eq!((world.orders.len(), world.journal.is_none()), (0, true));
    order(&mut world, &reset(2), &[6, 7]);
    assert!(world.journal.is_some());
    // It may have been carried out before.
    order(&mut world, &v1::Command { id: vec![3; 16], ..admit() }, &[5]);
    assert!(world.orders.is_empty());
    assert_eq!(states(&mut world), [(State::Rejected, "journal_lost".to_owned())]);
    order(&mut world, &v1::Command { id: vec![4; 16], not_before_ms: NOW, ..admit() }, &[5]);
    assert_eq!(world.orders.len(), 1);
    order(&mut world, &v1::Command { not_before_ms: NOW, ..reset(5) }, &[6, 7]);
    assert_eq!(world.orders.len(), 1);
}

#[test]
fn not_more_than_a_few_are_under_way_at_once() {
    let mut world = world();
    for id in 0..12 {
        order(&mut world, &v1::Command { id: vec![id; 16], ..admit() }, &[5]);
    }
    assert_eq!(world.orders.len(), 8);
    world.uplink.handle_done([0; 16], Outcome::Succeeded(None), world.now);
    order(&mut world, &v1::Command { id: vec![20; 16], ..admit() }, &[5]);
    assert_eq!(world.orders.len(), 9);
}
