use proptest::prelude::*;

use super::join::Join;
use super::message::{Bootstrap, Data, Load, Message, Rank, RouteRequest};
use super::*;
use crate::route::Way;
use crate::sim::Random;

const MINUTE: Micros = 60_000_000;

fn world(meters: usize, seed: u64) -> World {
    let site = Site::draw(&Shape::town(meters), &mut Random::new(seed));
    World::new(site, Options { seed, ..Options::default() })
}

fn outputs(world: &mut World, until: Micros) -> Vec<Output> {
    std::iter::from_fn(|| world.run(until)).collect()
}

/// The pairs of nodes between which a message would go round.
fn circles(world: &World) -> Vec<(NodeNo, NodeNo)> {
    let all = || 0..=world.meters().end - 1;
    all().flat_map(|from| all().map(move |to| (from, to))).filter(|(from, to)| is_circle(world, *from, *to)).collect()
}

fn is_circle(world: &World, from: NodeNo, to: NodeNo) -> bool {
    world.trace(from, to).0 > world.meters().end
}

#[test]
fn who_can_be_reached_joins_and_answers() {
    let mut world = world(60, 1);
    let reachable = world.hops().iter().skip(1).filter(|hops| **hops < 8).count();
    let joined = outputs(&mut world, 60 * MINUTE).len();
    assert!(joined >= reachable * 95 / 100, "{joined} of {reachable}");
    for node in world.meters() {
        world.request(node, Request { tag: node as u64, octets: 90, answer: 250, discovers: true });
        let until = world.now() + MINUTE;
        let answered = outputs(&mut world, until).iter().any(|output| matches!(output, Output::Answered { .. }));
        assert!(answered || !world.is_joined(node) || world.figures().searches_in_vain > 0, "{node}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| outputs(&mut world(40, seed), 20 * MINUTE);
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_network_of_old_has_the_routes_that_its_links_allow() {
    let mut world = world(200, 2);
    let joined = world.commission();
    assert!(joined > 180, "{joined}");
    assert_eq!(joined, world.meters().filter(|node| world.is_joined(*node)).count());
    for node in world.meters().filter(|node| world.is_joined(*node)) {
        let there = world.trace(0, node);
        assert!(there.1 && there.0 <= 8 && there == world.trace(node, 0), "{node} {there:?}");
        assert!(there.0 >= world.hops()[node]);
    }
}

#[test]
fn a_meter_without_power_is_not_sent_to_and_says_so() {
    let mut world = world(30, 5);
    world.commission();
    let node = world.meters().find(|node| world.trace(0, *node) == (1, true)).unwrap();
    world.switch_off(node);
    world.request(node, Request { tag: 7, octets: 90, answer: 250, discovers: true });
    let until = world.now() + 2 * MINUTE;
    let mut outputs = outputs(&mut world, until);
    outputs.retain(|output| !matches!(output, Output::Joined { .. } | Output::Discovered { .. }));
    assert!(matches!(outputs[..], [Output::Confirmed { tag: 7, is_sent: false, .. }]), "{outputs:?}");
    assert_eq!((world.figures().unacknowledged, world.figures().searches_in_vain), (1, 1));
}

#[test]
fn a_relay_that_goes_is_gone_round() {
    let mut world = world(150, 6);
    world.commission();
    let far = world.meters().find(|node| world.trace(0, *node) == (2, true)).unwrap();
    let relay = world.next_hop(0, far).unwrap();
    world.switch_off(relay);
    world.request(far, Request { tag: 1, octets: 90, answer: 90, discovers: true });
    let until = world.now() + 5 * MINUTE;
    let answered = outputs(&mut world, until).iter().any(|output| matches!(output, Output::Answered { .. }));
    let next = world.next_hop(0, far);
    assert!(answered && next.is_some() && next != Some(relay), "{answered} {next:?}");
}

#[test]
fn the_coordinator_knows_the_way_to_who_has_joined() {
    let mut world = world(60, 1);
    let joined: Vec<NodeNo> = outputs(&mut world, 60 * MINUTE)
        .into_iter()
        .filter_map(|output| if let Output::Joined { node, .. } = output { Some(node) } else { None })
        .collect();
    let known = joined.iter().filter(|node| world.trace(0, **node).1).count();
    assert!(known * 100 >= joined.len() * 95, "{known} of {}", joined.len());
    assert!(world.figures().searches as usize <= joined.len() * 11 / 10, "{}", world.figures());
}

#[test]
fn a_route_is_looked_for_no_farther_than_it_was_asked() {
    let mut world = world(150, 6);
    world.commission();
    let far = world.meters().find(|node| world.hops()[*node] == 3).unwrap();
    let found = |world: &mut World, most_hops| {
        world.node(0).table.forget(far);
        world.discover(far, most_hops);
        let until = world.now() + MINUTE;
        let is_found = |output: &Output| matches!(output, Output::Discovered { is_found: true, .. });
        outputs(world, until).iter().any(is_found)
    };
    assert!(!found(&mut world, 1));
    let near = world.figures().of(Kind::RouteRequest).sent;
    assert_eq!(near, 1);
    // A link that carries requests may not carry the reply; then it is blacklisted, and the next search goes elsewhere.
    assert!((0..5).any(|_| found(&mut world, 8)));
}

#[test]
fn without_leave_no_route_is_looked_for() {
    let mut world = world(30, 5);
    world.commission();
    let node = 7;
    world.node(0).table.forget(node);
    world.request(node, Request { tag: 7, octets: 90, answer: 250, discovers: false });
    let outputs = outputs(&mut world, MINUTE);
    assert!(outputs.iter().any(|output| matches!(output, Output::Confirmed { tag: 7, is_sent: false, .. })));
    assert_eq!(world.figures().searches, 0);
}

#[test]
fn hidden_nodes_collide_and_those_that_hear_each_other_wait() {
    // With everybody asked at once there is more than the medium carries, and not all of it is lost.
    let mut world = world(100, 8);
    let joined = world.commission();
    for node in world.meters() {
        world.request(node, Request { tag: node as u64, octets: 90, answer: 250, discovers: true });
    }
    let answered =
        outputs(&mut world, 5 * MINUTE).iter().filter(|output| matches!(output, Output::Answered { .. })).count();
    assert!(answered > 10 && answered < joined, "{answered} of {joined}");
    let Count { sent, airtime, heard, heard_airtime, .. } = world.figures().of(Kind::Data);
    assert!(sent >= heard && airtime >= heard_airtime && heard_airtime > 0);
}

#[test]
fn who_is_outside_reads_what_is_not_encrypted() {
    let mut world = world(3, 1);
    world.start_to_join(1);
    let request =
        RouteRequest { origin: 2, dest: 0, sequence: 1, rank: Rank::default(), hops_left: 8, is_unicast: false };
    let said = Bootstrap { device: 2, step: 0, parcel: None };
    let passed_on = Message::Data(Data::new(3, 0, Load::Bootstrap(said)));
    let messages = [Message::RouteRequest(request), passed_on, Message::Bootstrap(said), Message::Beacon { cost: 0 }];
    let is_disturbed = messages.map(|message| {
        world.start_to_join(1);
        world.overhear(1, &message);
        matches!(world.node(1).join, Join::Resting { overheard: true, .. })
    });
    assert_eq!(is_disturbed, [false, false, true, true]);
}

/// A world in which a meter asks to be let in, and nobody answers: the steps are said by hand.
fn asking() -> World {
    let mut world = world(3, 1);
    world.options.server.joins = 0;
    world.start_to_join(1);
    while !matches!(world.node(1).join, Join::Joining { .. }) {
        assert_eq!(world.run(world.now() + 1_000_000), None);
    }
    world
}

#[test]
fn a_device_has_so_long_for_the_whole_of_its_bootstrap() {
    let mut world = asking();
    let begun = world.now();
    let Join::Joining { agent, .. } = world.node(1).join else { panic!() };
    // One more step half-way through is no more time.
    world.run(begun + 60_000_000);
    world.hear_bootstrap(1, agent.node, Bootstrap { device: 1, step: 1, parcel: None });
    assert!(matches!(world.node(1).join, Join::Joining { step: 2, .. }));
    world.run(begun + 95_000_000);
    assert!(!matches!(world.node(1).join, Join::Joining { step: 2, .. }));
}

#[test]
fn a_device_answers_again_what_it_is_asked_again_and_nothing_else() {
    let mut world = asking();
    let Join::Joining { agent, .. } = world.node(1).join else { panic!() };
    let step = |world: &mut World| match world.node(1).join {
        Join::Joining { step, .. } => step,
        other => panic!("{other:?}"),
    };
    for (said, answered) in [(3, 0), (1, 2), (1, 2), (3, 4), (1, 4)] {
        world.hear_bootstrap(1, agent.node, Bootstrap { device: 1, step: said, parcel: None });
        assert_eq!(step(&mut world), answered, "{said}");
    }
}

#[test]
fn who_has_just_come_in_is_nobodys_agent_before_it_knows_what_its_way_costs() {
    let mut world = asking();
    world.options.announces = false;
    world.admit(1);
    let now = world.now();
    let cost = |world: &mut World| world.node(1).table.to(0, now).map(|route| route.rank.cost);
    assert_eq!(cost(&mut world), Some(0x7fff));
    world.start_to_join(2);
    world.node(2).join = Join::Scanning { best: None };
    world.hear_beacon(2, 1, 0, 200, 0x7fff);
    assert!(matches!(world.node(2).join, Join::Scanning { best: None }));
    world.node(1).table.learn(0, (0, 0), Rank { weak: 0, cost: 9, hops: 1 }, (1, true), now);
    assert_eq!(cost(&mut world), Some(9));
}

#[test]
fn so_many_bootstraps_go_on_at_once_and_what_is_not_answered_is_said_so_often() {
    let mut world = world(4, 1);
    let ask = |world: &mut World, device| {
        world.carry_bootstrap(0, 0, Bootstrap { device, step: 0, parcel: None });
    };
    // Devices that are off answer nothing, and what is for them is not on its way.
    (1..=2).for_each(|device| ask(&mut world, device));
    assert!(world.conversations.is_empty());
    for device in 1..=4 {
        world.options.server.joins = 0;
        ask(&mut world, device);
    }
    assert_eq!(world.waiting.len(), 4);
    world.options.server.joins = 2;
    // Who waits for too long has given up.
    world.now += 70_000_000;
    ask(&mut world, 4);
    assert!(world.waiting.is_empty() && world.conversations.is_empty());
}

/// The coordinator and a few meters, all with a radio, who have heard each other over both media. The first meter is
/// asked by one of them and answers by another one.
fn hybrid(there: Medium, back: usize) -> World {
    let site = Site::draw(&Shape::town(3), &mut Random::new(1));
    let mut options = Options { seed: 1, hybrid: 1.0, ..Options::default() };
    options.conditions.offset = 30.0;
    let mut world = World::new(site, options);
    assert_eq!(world.commission(), 3);
    assert!(world.near(Medium::Plc).chain(world.near(Medium::Rf)).filter(|step| step.from == 1).count() == 2);
    let way = Way { next_hop: 1, hops: 1, cost: 10, weak_links: 0, medium: None };
    world.write_route(1, &way, 1, there, 60);
    assert_eq!(world.way(1).map(|way| (way.hops, way.cost)), Some((1, 10)), "as its row says");
    let rank = Rank { weak: 0, cost: 10, hops: 1 };
    world.node(1).table.write(0, (0, back), rank, 60, 0);
    world
}

/// Asks the first meter, and counts its answers.
fn asked(world: &mut World) -> usize {
    world.request(1, Request { tag: 7, octets: 90, answer: 90, discovers: false });
    let until = world.now() + MINUTE;
    outputs(world, until).iter().filter(|output| matches!(output, Output::Answered { tag: 7, .. })).count()
}

const PLC: usize = 0;
const RF: usize = 1;

#[test]
fn what_one_medium_does_not_bring_through_goes_over_the_other() {
    let mut world = hybrid(Medium::Plc, RF);
    world.channels[PLC].cut(None);
    assert_eq!((asked(&mut world), world.figures().backups, world.figures().searches), (1, 1, 0));
    // Whom the other medium has not heard it is not sent to.
    let mut world = hybrid(Medium::Plc, RF);
    world.channels[PLC].cut(None);
    world.node(0).near.clear();
    assert_eq!((asked(&mut world), world.figures().backups), (0, 0));
}

#[test]
fn a_frame_that_came_over_both_media_is_taken_once() {
    let mut world = hybrid(Medium::Plc, RF);
    // The meter hears the coordinator, which does not hear its acknowledgements.
    world.channels[PLC].cut(Some(1));
    assert_eq!((asked(&mut world), world.figures().backups, world.figures().backups_in_vain), (1, 1, 0));
}

#[test]
fn a_radio_without_airtime_leaves_it_to_the_power_line() {
    let mut world = hybrid(Medium::Rf, RF);
    assert_eq!((asked(&mut world), world.figures().backups), (1, 0));
    let now = world.now();
    world.node(1).macs[RF].duty.spend(Medium::Rf, 1, 36_000_000, now);
    assert_eq!((asked(&mut world), world.figures().backups, world.figures().duty_refusals), (1, 1, 1));
    assert!(world.duty(0, 1, RF) >= 98 && world.duty(0, 1, PLC) == 0 && world.duty(0, 2, RF) <= 1);
}

#[test]
fn what_is_known_of_one_medium_says_nothing_of_the_other() {
    let mut world = hybrid(Medium::Rf, RF);
    assert_eq!(asked(&mut world), 1);
    let known = |world: &mut World, channel| world.node(0).tones.contains_key(&(1, channel));
    assert!(known(&mut world, RF) && !known(&mut world, PLC));
    // Of a radio nobody asks for tones.
    assert_eq!(world.figures().of(Kind::Data).tones, 0);
    let table = &mut world.node(0).table;
    table.blacklist(1, RF, 0);
    assert!(table.is_blacklisted(1, RF, 1) && !table.is_blacklisted(1, PLC, 1));
}

#[test]
fn a_beacon_goes_over_the_medium_that_asked_for_it() {
    let mut world = hybrid(Medium::Plc, PLC);
    world.hear(0, 1, RF, 200, Message::BeaconRequest);
    world.hear(0, 2, RF, 200, Message::BeaconRequest);
    let until = world.now() + MINUTE;
    outputs(&mut world, until);
    let Count { sent, airtime, .. } = world.figures().of(Kind::Beacon);
    assert_eq!((sent, airtime), (1, Medium::Rf.airtime(Modulation::Robo, 38)));
}

#[test]
fn links_of_radios_are_good_where_frames_arrive() {
    let site = Site::draw(&Shape::town(100), &mut Random::new(1));
    let world = World::new(site, Options { seed: 1, hybrid: 0.5, ..Options::default() });
    let all = || (0..=100).flat_map(|node| world.good_links(node));
    let radios: Vec<u8> = all().filter(|(.., medium)| *medium == Medium::Rf).map(|(_, _, lqi, _)| lqi).collect();
    // Eight dB above -107 dBm.
    assert!(radios.len() > 100 && radios.iter().all(|lqi| *lqi >= 75), "{}", radios.len());
    assert!((30..70).contains(&(1..=100).filter(|node| world.nodes[*node].macs[RF].is_there).count()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Over sites, meters that go and come, and requests to all of them.
    #[test]
    fn no_message_goes_round(meters in 10_usize..70, seed in any::<u64>(), gone in 0.0..0.4) {
        let mut world = world(meters, seed);
        world.commission();
        let mut random = Random::new(seed);
        for minute in 0..15 {
            for node in world.meters() {
                if random.chance(gone / 10.0) {
                    world.switch_off(node);
                    world.switch_on(node, random.under(5 * MINUTE));
                }
                if random.chance(0.1) {
                    world.request(node, Request { tag: 0, octets: 60, answer: 60, discovers: true });
                }
                // A neighbour is made to look for it.
                let next = 1 + random.under(meters as u64) as NodeNo;
                if random.chance(0.05) && next != node && world.route(next).is_some_and(|(first, _)| first == next) {
                    let way = Way { next_hop: next as u16, hops: 2, cost: 0, weak_links: 0, medium: None };
                    world.write_route(node, &way, next, Medium::Plc, 360);
                    world.request(node, Request { tag: 0, octets: 60, answer: 60, discovers: false });
                }
            }
            outputs(&mut world, (minute + 1) * MINUTE);
            prop_assert_eq!(circles(&world), vec![]);
        }
    }
}
