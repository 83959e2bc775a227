//! How long 1,000 joins take over an emulated modem without airtime, and what 2,000 nodes take of memory:
//! `cargo bench -p plc`.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "and prints")]

use std::time::{Duration, Instant};

use plc::Key;
use plc::g3::adp::Band;
use plc::g3::bootstrap::{Admission, Entropy, Limits, Member, Ring, Server, Verdict};
use plc::g3::coordinator::Coordinator;
use plc::g3::modem::{Config, Counters, Generation, Modem};
use plc::sim::{self, Behind, Device, Nature, Pair, Random, identity};

/// Everybody of the fleet.
#[derive(Debug)]
struct Fleet;

impl Admission for Fleet {
    fn verdict(&self, eui64: plc::Eui64) -> Verdict {
        let [.., a, b, c, d] = eui64.0;
        Verdict::Admit(identity(u32::from_be_bytes([a, b, c, d])).1)
    }
}

fn main() {
    // First, while no memory lies about that was used before.
    memory();
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        let mut pair = network(1000, generation);
        let start = Instant::now();
        let end = pair.now + Duration::from_secs(3600);
        let mut joined = 0;
        while joined < 1000 {
            pair.exchange(|event| {
                joined += usize::from(event.joined().is_some());
                true
            });
            assert!(pair.advance(end), "{joined} joined");
        }
        let simulated = pair.now + Duration::from_secs(3600) - end;
        println!("1,000 joins, {generation:?}: {:?} of wall time, {simulated:?} simulated", start.elapsed());
    }
}

fn memory() {
    let before = resident_kib();
    let now = Instant::now();
    let members = (0..2000).map(|number| {
        let short_addr = number as u16 + 1;
        Member {
            eui64: identity(number).0,
            short_addr,
            is_joined: true,
            is_assigned: false,
            key_generation: 1,
            active_generation: 1,
        }
    });
    let coordinator = coordinator(members, now);
    println!("2,000 nodes: {} KiB more than none", resident_kib() - before);
    assert_eq!(coordinator.server().members().count(), 2000);
}

fn network(nodes: u32, generation: Generation) -> Pair {
    let now = Instant::now();
    let nature = Nature { generation, ..Nature::default() };
    let devices = (0..nodes).map(identity).map(|(eui64, psk)| Device::new(eui64, psk)).collect();
    Pair { coordinator: coordinator([], now), modem: sim::Modem::new(nature, devices, Behind::nothing(), now), now }
}

fn coordinator(members: impl IntoIterator<Item = Member>, now: Instant) -> Coordinator {
    let ring = Ring::new(Key([0xa0; 16]));
    let mut random = Random::new(1);
    let entropy = Entropy(Box::new(move || random.block()));
    let server = Server::new(Limits::default(), b"server", ring, members, Box::new(Fleet), entropy, now);
    let config = Config::new(Band::CenelecA, 0x781d, identity(u32::MAX).0);
    Coordinator::new(Modem::new(config, ring.keyring, Counters::default(), now), server, now)
}

fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
