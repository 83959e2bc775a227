use std::time::Duration;

use super::house::{House, MINUTE, device};
use crate::g3::bootstrap::{self, Failure};
use crate::g3::coordinator::Event;
use crate::g3::modem::{self, Delivery, Generation, Priority};
use crate::sim::{Behind, Faults, Flaw, Nature, identity};
use crate::{Key, Reject};

fn nature(generation: Generation) -> Nature {
    Nature { generation, ..Nature::default() }
}

#[test]
fn a_network_of_either_generation_comes_up_and_its_nodes_join() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        for is_strict in [true, false] {
            let mut house = House::new(Nature { is_strict, ..nature(generation) }, 0..20);
            assert!(house.until(|house| house.pair.modem.joined() == 20), "{generation:?}: {:?}", house.events);
            assert_eq!(house.pair.coordinator.modem().generation(), Some(generation));
            house.agree();
            assert_eq!(house.count(|event| event.joined().is_some()), 20);
        }
    }
}

#[test]
fn a_thousand_nodes_that_ask_at_once_all_come_in_and_do_not_storm() {
    let mut house =
        House::new(Nature { join_window: Duration::from_millis(10), ..nature(Generation::HostLbs) }, 0..1000);
    house.pair.modem.faults().slow_confirm = Duration::from_millis(1);
    assert!(house.until(|house| house.pair.modem.joined() == 1000), "{} joined", house.pair.modem.joined());
    house.run(MINUTE);
    house.agree();
    assert!(house.pair.modem.devices().iter().all(|device| device.joins() == 1), "nobody joins twice");
}

#[test]
fn data_goes_there_and_back_and_a_dead_node_is_said_to_be_one() {
    let mut house = House::new(nature(Generation::HostLbs), 0..3);
    assert!(house.until(|house| house.pair.modem.joined() == 3));
    let deadline = house.pair.now + MINUTE;
    let now = house.pair.now;
    let at = |house: &House, number| house.pair.coordinator.server().member(identity(number).0).unwrap().short_addr;
    let (near, dead) = (at(&house, 0), at(&house, 2));
    house.pair.modem.switch(2, false, now);
    let ports = (4059, 4059);
    let payload: Vec<u8> = (0..=255).cycle().take(crate::net::MAX_PAYLOAD).collect();
    let first = house.pair.coordinator.send_datagram(near, ports, &payload, Priority::High, deadline, now).unwrap();
    let second = house.pair.coordinator.send_datagram(dead, ports, b"you", Priority::Normal, deadline, now).unwrap();
    house.run(MINUTE);
    let sent = |ticket, delivery| Event::Modem(modem::Event::Sent(ticket, delivery));
    assert!(house.events.contains(&sent(first, Delivery::Confirmed)));
    assert!(house.events.contains(&sent(second, Delivery::Refused(crate::g3::AdpStatus::ROUTE_ERROR))));
    let answers = house.count(|event| {
        matches!(event, Event::Datagram { short_addr, payload: answer, .. }
        if *short_addr == near && answer.iter().eq(payload.iter().rev()))
    });
    assert_eq!(answers, 1);
    house.agree();
}

#[test]
fn an_echo_comes_back_from_who_is_there() {
    let mut house = House::new(nature(Generation::HostLbs), 0..3);
    assert!(house.until(|house| house.pair.modem.joined() == 3));
    let (deadline, now) = (house.pair.now + MINUTE, house.pair.now);
    let at = |house: &House, number| house.pair.coordinator.server().member(identity(number).0).unwrap().short_addr;
    let (near, dead) = (at(&house, 0), at(&house, 2));
    house.pair.modem.switch(2, false, now);
    let first = house.pair.coordinator.send_echo(near, deadline, now).unwrap();
    let second = house.pair.coordinator.send_echo(dead, deadline, now).unwrap();
    house.run(MINUTE);
    let sent = |ticket, delivery| Event::Modem(modem::Event::Sent(ticket, delivery));
    assert!(house.events.contains(&sent(first, Delivery::Confirmed)));
    assert!(house.events.contains(&sent(second, Delivery::Refused(crate::g3::AdpStatus::ROUTE_ERROR))));
    let echoes = house.events.iter().filter_map(|event| match event {
        Event::Echo { short_addr, .. } => Some(*short_addr),
        _ => None,
    });
    assert_eq!(echoes.collect::<Vec<_>>(), [near]);
    assert_eq!(house.pair.coordinator.rejects().iter().count(), 0, "nothing is refused");
}

#[test]
fn who_is_not_who_it_says_does_not_come_in() {
    let flawed = [
        (Flaw::WrongPsk, Reject::BadMac),
        (Flaw::StolenIdentity(identity(7).0), Reject::Mismatch("identity")),
        (Flaw::ReplayedNonce, Reject::Mismatch("nonce")),
    ];
    for (flaw, reject) in flawed {
        let devices = vec![device(0), device(1).with(flaw), device(2)];
        let mut house = House::with(nature(Generation::HostLbs), devices, Behind::nothing());
        house.run(MINUTE * 5);
        assert_eq!(house.pair.modem.joined(), 2, "{flaw:?}");
        let failed =
            Event::Bootstrap(bootstrap::Event::JoinFailed { eui64: identity(1).0, why: Failure::Rejected(reject) });
        let failures = house.count(|event| *event == failed);
        // It asks every ten to twenty seconds, and is not listened to for thirty after each failure.
        assert!((2..=11).contains(&failures), "{flaw:?}: {failures}");
        house.agree();
    }
}

#[test]
fn an_unknown_node_is_reported_and_held_until_it_is_known() {
    let mut house = House::new(nature(Generation::HostLbs), 2999..3001);
    house.run(MINUTE * 2);
    assert_eq!(house.pair.modem.joined(), 1);
    let (eui64, psk) = identity(3000);
    let refused = Event::Bootstrap(bootstrap::Event::Refused { eui64, is_declined: false });
    assert!((1..=5).contains(&house.count(|event| *event == refused)));
    let now = house.pair.now;
    let list = std::collections::BTreeMap::from([(eui64, psk)]);
    house.pair.coordinator.with_server(now, |server| server.set_admission(Box::new(list)));
    assert!(house.until(|house| house.pair.modem.joined() == 2));
    house.agree();
}

#[test]
fn nodes_that_stutter_or_fall_over_in_the_middle_come_in_once() {
    let devices = vec![device(0).with(Flaw::Stutters), device(1).with(Flaw::ResetsInJoin(3)), device(2)];
    let mut house = House::with(nature(Generation::HostLbs), devices, Behind::nothing());
    assert!(house.until(|house| house.pair.modem.joined() == 3));
    house.run(MINUTE * 3);
    house.agree();
    assert!(house.pair.modem.devices().iter().all(|device| device.joins() == 1));
}

#[test]
fn a_kicked_node_comes_back_under_its_address() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        let mut house = House::new(nature(generation), 0..5);
        assert!(house.until(|house| house.pair.modem.joined() == 5));
        let (now, eui64) = (house.pair.now, identity(3).0);
        let before = house.pair.coordinator.server().member(eui64).unwrap().short_addr;
        assert!(house.pair.coordinator.with_server(now, |server| server.kick(eui64, now)));
        house.exchange();
        assert_eq!(house.pair.modem.joined(), 4);
        assert!(house.until(|house| house.pair.modem.joined() == 5));
        assert_eq!(house.pair.coordinator.server().member(eui64).unwrap().short_addr, before);
        house.agree();
    }
}

#[test]
fn the_service_may_be_killed_at_any_moment_of_joins() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        let hop_time = Duration::from_millis(30);
        let mut house = House::new(Nature { hop_time, ..nature(generation) }, 0..60);
        for life in 0..40 {
            house.run(Duration::from_millis(700 + 37 * life));
            house.kill();
        }
        assert!(house.until(|house| house.pair.modem.joined() == 60), "{generation:?}: {}", house.pair.modem.joined());
        house.run(MINUTE);
        let addresses: std::collections::BTreeSet<_> =
            house.disk.members.values().map(|member| member.short_addr).collect();
        assert_eq!((addresses.len(), house.disk.members.len()), (60, 60));
        assert_eq!(house.pair.modem.statistics().counter_reuses, 0);
    }
}

#[test]
fn the_service_may_be_killed_at_every_moment_of_a_join() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        for step in 0..60 {
            let join_window = Duration::from_millis(50);
            let nature = Nature { generation, hop_time: Duration::from_millis(1), join_window, ..Nature::default() };
            let mut house = House::new(nature, 0..3);
            house.steps(step);
            house.disk.is_stuck = true;
            house.steps(step * 7 % 31);
            house.disk.is_stuck = false;
            house.kill();
            assert!(house.until(|house| house.pair.modem.joined() == 3 && house.is_up()), "{generation:?} {step}");
            house.run(MINUTE);
            let members = house.disk.members.len();
            assert_eq!((members, house.ask_everybody()), (3, 3), "{generation:?} {step}");
            house.run(MINUTE);
            house.agree();
        }
    }
}

#[test]
fn nodes_with_a_wrong_key_do_not_keep_the_others_out() {
    let mut devices: Vec<_> = (0..40).map(device).collect();
    devices.extend((40..43).map(|number| device(number).with(Flaw::WrongPsk)));
    let mut house = House::with(nature(Generation::ModemLbs), devices, Behind::nothing());
    assert!(house.until(|house| house.pair.modem.joined() == 40), "{}", house.pair.modem.joined());
    house.run(MINUTE);
    house.agree();
    // Later they are hardly heard any more, so that whoever comes back is in at once.
    house.run(MINUTE * 60 * 12);
    for place in 0..40 {
        house.pair.modem.switch(place, false, house.pair.now);
    }
    let before = house.count(|event| matches!(event, Event::Bootstrap(bootstrap::Event::JoinFailed { .. })));
    house.run(MINUTE * 60 * 12);
    let after = house.count(|event| matches!(event, Event::Bootstrap(bootstrap::Event::JoinFailed { .. })));
    assert!(after > before && after - before < 3 * 4, "{}", after - before);
}

#[test]
fn a_modem_that_loses_its_power_again_and_again_is_taken_up_again() {
    let mut house = House::new(Nature { hop_time: Duration::from_millis(20), ..nature(Generation::HostLbs) }, 0..40);
    for _ in 0..20 {
        house.run(Duration::from_millis(900));
        house.pair.modem.power_cut();
    }
    assert!(house.until(|house| house.is_up() && house.pair.modem.joined() == 40));
    house.run(MINUTE);
    house.agree();
}

#[test]
fn a_line_with_faults_loses_nobody() {
    let faults = Faults {
        lost_ppm: 10_000,
        corrupt_ppm: 10_000,
        duplicate_ppm: 20_000,
        deaf_ppm: 10_000,
        air_loss_ppm: 50_000,
        lost_confirm_ppm: 20_000,
        slow_confirm: Duration::from_millis(300),
    };
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        let mut house = House::new(Nature { faults: faults.clone(), ..nature(generation) }, 0..50);
        assert!(
            house.until(|house| house.is_up() && house.pair.modem.joined() == 50),
            "{generation:?}: {}",
            house.pair.modem.joined()
        );
        assert_eq!(house.pair.modem.statistics().counter_reuses, 0);
    }
}

#[test]
fn a_network_whose_number_another_one_has_moves_with_everybody() {
    let mut house = House::new(nature(Generation::HostLbs), 0..10);
    assert!(house.until(|house| house.pair.modem.joined() == 10));
    for _ in 0..5 {
        house.pair.modem.hear_foreign(0x781d, house.pair.now);
        house.run(MINUTE * 6);
    }
    assert_eq!(house.count(|event| matches!(event, Event::PanConflict { .. })), 0, "now and then is no conflict");
    for pan_id in [0x1034, 0x781d, 0x781d, 0x781d] {
        house.pair.modem.hear_foreign(pan_id, house.pair.now);
    }
    house.run(Duration::from_secs(1));
    assert_eq!(house.count(|event| *event == Event::PanConflict { pan_id: 0x781d }), 1);
    let now = house.pair.now;
    assert_eq!(house.pair.coordinator.foreign_pans().keys().collect::<Vec<_>>(), [&0x1034]);
    let free = [0x1034, 0x781d, 0x2b00].map(|from| house.pair.coordinator.free_pan(from));
    assert_eq!(free, [0x1035, 0x781e, 0x2800], "neither one that is heard nor our own");
    house.pair.coordinator.change_pan(0x2b00, now);
    assert!(house.until(|house| house.pair.modem.joined() == 10
        && house.is_up()
        && house.pair.coordinator.server().members().all(|m| m.is_joined)));
    house.agree();
    assert_eq!(house.pair.coordinator.address(1).to_string(), "fd00::1:2b00:ff:fe00:1");
}

#[test]
fn keys_are_in_no_debug_text() {
    let house = House::new(nature(Generation::HostLbs), 0..1);
    let text = format!("{:?}", house.pair.coordinator);
    assert!(!text.contains("160, 160, 160") && text.contains("Key(..)"), "{text}");
    assert_eq!(format!("{:?}", Key([1; 16])), "Key(..)");
}
