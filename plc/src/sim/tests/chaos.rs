//! Everything at once, from a seed: in the end everybody is in the network, under the newest key, and answers.

use std::time::Duration;

use super::house::{House, MINUTE};
use crate::Key;
use crate::g3::bootstrap::Phase;
use crate::g3::modem::Generation;
use crate::sim::{Faults, Nature, Random};

const NODES: u32 = 25;

#[track_caller]
fn check(generation: Generation, seed: u64) {
    let mut random = Random::new(seed);
    let hop_time = Duration::from_millis(random.under(50));
    let nature = Nature { generation, hop_time, seed, is_hybrid: seed % 2 == 0, fan_out: 3, ..Nature::default() };
    let mut house = House::new(nature, 0..NODES);
    *house.pair.modem.faults() = Faults {
        lost_ppm: 10_000,
        corrupt_ppm: 10_000,
        duplicate_ppm: 20_000,
        deaf_ppm: 5_000,
        air_loss_ppm: 50_000,
        lost_confirm_ppm: 0,
        slow_confirm: Duration::from_millis(random.under(500)),
    };
    for round in 0..40u8 {
        let now = house.pair.now;
        match random.under(8) {
            0 => house.kill(),
            1 => house.pair.modem.power_cut(),
            2 => drop(house.pair.coordinator.with_server(now, |server| server.rekey(Key([round; 16])))),
            3 => house.pair.modem.switch(random.under(NODES.into()) as usize, false, now),
            4 => house.pair.modem.switch(random.under(NODES.into()) as usize, true, now),
            5 => house.disk.is_stuck = true,
            6 => {
                // A disk that comes back was a service that was started again.
                house.disk.is_stuck = false;
                house.kill();
            }
            _ => {
                let eui64 = crate::sim::identity(random.under(NODES.into()) as u32).0;
                house.pair.coordinator.with_server(now, |server| server.kick(eui64, now));
            }
        }
        house.run(Duration::from_millis(random.under(60_000)));
    }
    house.disk.is_stuck = false;
    house.kill();
    *house.pair.modem.faults() = Faults::default();
    for place in 0..NODES as usize {
        let now = house.pair.now;
        house.pair.modem.switch(place, true, now);
    }
    let is_settled = |house: &House| house.is_up() && house.pair.coordinator.server().ring().phase == Phase::Settled;
    for _ in 0..4 {
        house.until(is_settled);
    }
    assert!(is_settled(&house), "{generation:?} {seed}: {:?}", house.pair.coordinator.server().ring());
    // Who has missed a key finds out when it is spoken to, and joins again; who missed the word to use it is told again.
    house.run(MINUTE * 35);
    for _ in 0..3 {
        house.ask_everybody();
        house.run(MINUTE * 3);
    }
    assert_eq!(house.pair.modem.joined(), NODES as usize, "{generation:?} {seed}");
    assert_eq!(house.ask_everybody(), NODES as usize, "{generation:?} {seed}");
    house.agree();
}

#[test]
fn everybody_is_back_when_everything_has_gone_wrong() {
    for seed in (1..6).chain([101, 102, 109, 158, 1100]) {
        check(Generation::HostLbs, seed);
        check(Generation::ModemLbs, seed);
    }
}
