use std::time::Duration;

use super::house::{House, MINUTE};
use crate::Key;
use crate::g3::bootstrap::Phase;
use crate::g3::modem::{Generation, Priority};
use crate::sim::Nature;

const NEW: Key = Key([0xb0; 16]);

/// A network of 100 nodes, all of them in it.
fn network(generation: Generation, nodes: u32) -> House {
    let mut house = House::new(Nature { generation, ..Nature::default() }, 0..nodes);
    assert!(house.until(|house| house.pair.modem.joined() == nodes as usize));
    house
}

fn is_settled(house: &House) -> bool {
    house.pair.coordinator.server().ring().phase == Phase::Settled
}

/// Everybody answers a datagram; the count of answers.
fn ask_everybody(house: &mut House) -> usize {
    let members: Vec<_> = house.pair.coordinator.server().members().map(|member| member.short_addr).collect();
    let before = house.pair.modem.statistics().datagrams;
    for short_addr in members {
        let now = house.pair.now;
        let sent =
            house.pair.coordinator.send_datagram(short_addr, (4059, 4059), b"?", Priority::Normal, now + MINUTE, now);
        assert!(sent.is_ok());
        house.run(Duration::from_millis(300));
    }
    (house.pair.modem.statistics().datagrams - before) as usize
}

#[test]
fn a_new_key_reaches_everybody_and_the_old_one_is_forgotten() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        let mut house = network(generation, 100);
        assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)));
        assert!(!house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)), "one at a time");
        assert!(house.until(is_settled), "{generation:?}: {:?}", house.pair.coordinator.server().ring());
        let keyring = house.pair.coordinator.server().ring().keyring;
        assert_eq!((keyring.active, keyring.keys), (1, [None, Some(NEW)]));
        assert_eq!(ask_everybody(&mut house), 100);
        assert!(house.pair.modem.devices().iter().all(|device| device.joins() == 1), "nobody was lost");
        house.agree();
        // And once more, over the place of the first.
        assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(Key([0xc0; 16]))));
        assert!(house.until(is_settled));
        assert_eq!(ask_everybody(&mut house), 100);
        house.agree();
    }
}

#[test]
fn who_was_absent_during_a_rekey_comes_back() {
    let mut house = network(Generation::HostLbs, 500);
    for place in (0..500).step_by(20) {
        house.pair.modem.switch(place, false, house.pair.now);
    }
    assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)));
    for _ in 0..3 {
        house.until(is_settled);
    }
    assert!(is_settled(&house));
    let present = house.pair.modem.devices().iter().enumerate().filter(|(place, _)| place % 20 != 0);
    assert!(present.clone().all(|(_, device)| device.joins() == 1), "nobody online was lost");
    for place in (0..500).step_by(20) {
        house.pair.modem.switch(place, true, house.pair.now);
    }
    assert!(house.until(|house| house.pair.modem.joined() == 500));
    assert_eq!(ask_everybody(&mut house), 500);
    house.agree();
}

#[test]
fn the_service_may_be_killed_at_any_moment_of_a_rekey() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        for millis in [1, 40, 170] {
            let mut house = network(generation, 30);
            house.pair.modem.faults().slow_confirm = Duration::from_millis(20);
            assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)));
            for _ in 0..25 {
                house.run(Duration::from_millis(millis));
                house.kill();
            }
            for _ in 0..3 {
                house.until(is_settled);
            }
            assert!(is_settled(&house));
            assert!(house.until(|house| house.pair.modem.joined() == 30));
            assert_eq!(ask_everybody(&mut house), 30, "{generation:?} {millis}");
            assert_eq!(house.pair.modem.statistics().counter_reuses, 0);
        }
    }
}

#[test]
fn who_is_struck_off_the_list_does_not_get_the_new_key() {
    let mut house = network(Generation::HostLbs, 10);
    let eui64 = crate::sim::identity(4).0;
    house.disk.admission.remove(&eui64);
    let list = Box::new(house.disk.admission.clone());
    house.pair.coordinator.with_server(house.pair.now, |server| server.set_admission(list));
    assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)));
    assert!(house.until(is_settled));
    assert_eq!(house.pair.modem.joined(), 9);
    house.agree();
}
