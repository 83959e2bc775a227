use std::time::Duration;

use super::house::{House, MINUTE};
use crate::Key;
use crate::g3::bootstrap::Phase;
use crate::g3::modem::{Generation, Keyring};
use crate::g3::pib::{Layer, adp};
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

#[test]
fn a_new_key_reaches_everybody_and_the_old_one_is_forgotten() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        let mut house = network(generation, 100);
        assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)));
        assert!(!house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)), "one at a time");
        assert!(house.until(is_settled), "{generation:?}: {:?}", house.pair.coordinator.server().ring());
        let keyring = house.pair.coordinator.server().ring().keyring;
        assert_eq!((keyring.active, keyring.keys), (1, [None, Some(NEW)]));
        assert_eq!(house.ask_everybody(), 100);
        assert!(house.pair.modem.devices().iter().all(|device| device.joins() == 1), "nobody was lost");
        house.agree();
        // And once more, over the place of the first.
        assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(Key([0xc0; 16]))));
        assert!(house.until(is_settled));
        assert_eq!(house.ask_everybody(), 100);
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
    assert_eq!(house.ask_everybody(), 500);
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
            assert_eq!(house.ask_everybody(), 30, "{generation:?} {millis}");
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

#[test]
fn the_service_may_be_killed_at_every_moment_of_a_rekey() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        for step in 0..60 {
            let nature = Nature { generation, hop_time: Duration::from_millis(1), ..Nature::default() };
            let mut house = House::new(nature, 0..3);
            assert!(house.until(|house| house.pair.modem.joined() == 3));
            house.run(MINUTE);
            let now = house.pair.now;
            house.disk.is_stuck = step % 3 == 0;
            assert!(house.pair.coordinator.with_server(now, |server| server.rekey(NEW)));
            house.steps(step);
            // What is said to the disk in its last moments does not get there, and nothing that follows from it leaves.
            house.disk.is_stuck = true;
            house.steps(step * 7 % 31);
            house.disk.is_stuck = false;
            house.kill();
            assert!(house.until(House::is_up));
            let now = house.pair.now;
            // The rotation may never have been, and then nobody has anything of it; or there is another one.
            if house.pair.coordinator.server().ring().generation == 1 && step % 2 == 0 {
                assert!(house.pair.coordinator.with_server(now, |server| server.rekey(Key([0xb1; 16]))));
            }
            for _ in 0..3 {
                house.until(is_settled);
            }
            assert!(is_settled(&house), "{generation:?} {step}");
            assert_eq!(house.pair.modem.joined(), 3, "{generation:?} {step}");
            assert_eq!(house.ask_everybody(), 3, "{generation:?} {step}");
            assert!(house.pair.modem.devices().iter().all(|device| device.joins() == 1), "{generation:?} {step}");
            house.agree();
        }
    }
}

#[test]
fn the_active_index_is_the_rings_whatever_the_modem_makes_of_its_keys() {
    for leaves_index in [true, false] {
        let nature = Nature { generation: Generation::ModemLbs, leaves_index, ..Nature::default() };
        let mut house = House::new(nature, 0..5);
        let first = house.disk.ring.keyring.active_key();
        house.disk.ring.keyring = Keyring { active: 1, keys: [None, first] };
        house.kill();
        assert!(house.until(|house| house.pair.modem.joined() == 5));
        assert_eq!(house.pair.modem.key(), first.map(|key| (1, key)));
        assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)));
        assert!(house.until(|house| house.disk.ring.phase == Phase::Grace));
        house.run(Duration::from_secs(5));
        assert_eq!(house.pair.modem.key(), Some((0, NEW)), "{leaves_index}");
        // It forgets everything, while both keys are still in use.
        house.pair.modem.power_cut();
        house.kill();
        assert!(house.until(House::is_up));
        house.run(Duration::from_secs(5));
        assert_eq!(house.pair.modem.key(), Some((0, NEW)), "{leaves_index}");
        assert_eq!(house.ask_everybody(), 5);
        assert!(house.until(is_settled));
        house.agree();
    }
}

#[test]
fn a_modem_that_says_nothing_of_its_active_index_is_taken_as_it_is() {
    let lacks = vec![(Layer::Adp, adp::ACTIVE_KEY_INDEX)];
    let nature = Nature { generation: Generation::ModemLbs, lacks, ..Nature::default() };
    let mut house = House::new(nature, 0..5);
    assert!(house.until(|house| house.pair.modem.joined() == 5));
    assert!(house.pair.coordinator.with_server(house.pair.now, |server| server.rekey(NEW)));
    assert!(house.until(is_settled));
    assert_eq!(house.pair.modem.key(), Some((1, NEW)));
    assert_eq!(house.ask_everybody(), 5);
}
