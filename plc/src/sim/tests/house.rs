//! A coordinator, the modem it drives, and a disk that outlives the coordinator.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::g3::adp::Band;
use crate::g3::bootstrap::{self, Entropy, Limits, Member, Patience, Ring, Server};
use crate::g3::coordinator::{Coordinator, Event};
use crate::g3::modem::{self, Config, Counters, Priority};
use crate::sim::{Behind, Device, Modem, Nature, Pair, Random, identity};
use crate::{Eui64, Key};

pub(super) struct House {
    pub(super) pair: Pair,
    pub(super) disk: Disk,
    pub(super) events: Vec<Event>,
    pub(super) config: Config,
    pub(super) limits: Limits,
    seed: u64,
}

/// What survives a kill.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) counters: Counters,
    pub(super) ring: Ring,
    pub(super) members: BTreeMap<Eui64, Member>,
    pub(super) admission: BTreeMap<Eui64, Key>,
    /// It takes nothing any more.
    pub(super) is_stuck: bool,
}

impl House {
    /// A new network over nodes of these numbers.
    pub(super) fn new(nature: Nature, numbers: std::ops::Range<u32>) -> Self {
        let devices = numbers.map(device).collect();
        Self::with(nature, devices, Behind(Box::new(|_, _, payload| Some(payload.iter().rev().copied().collect()))))
    }

    pub(super) fn with(nature: Nature, devices: Vec<Device>, behind: Behind) -> Self {
        let admission = (0..3000).map(identity).collect();
        let disk = Disk {
            counters: Counters::default(),
            ring: Ring::new(Key([0xa0; 16])),
            members: BTreeMap::new(),
            admission,
            is_stuck: false,
        };
        let mut config = Config::new(Band::CenelecA, 0x781d, identity(999_999).0);
        config.prefix = Some([0xfd, 0, 0, 0, 0, 0, 0, 1]);
        let short = Patience { distribute: MINUTE * 30, activate: MINUTE * 30, grace: MINUTE * 30 };
        let limits = Limits { patience: short, ..Limits::default() };
        let now = now();
        let coordinator = coordinator(&disk, &config, limits, 1, now);
        let modem = Modem::new(nature, devices, behind, now);
        let pair = Pair { coordinator, modem, now };
        Self { pair, disk, events: Vec::new(), config, limits, seed: 1 }
    }

    /// The service is killed, and started again with what is on the disk. What was on the line is lost.
    pub(super) fn kill(&mut self) {
        self.seed += 1;
        self.pair.coordinator = coordinator(&self.disk, &self.config, self.limits, self.seed, self.pair.now);
    }

    /// The next so many moments at which something happens.
    pub(super) fn steps(&mut self, steps: usize) {
        let end = self.pair.now + MINUTE;
        self.exchange();
        for _ in 0..steps {
            self.pair.advance(end);
            self.exchange();
        }
    }

    /// Everything that happens within this time.
    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(self.pair.now + time, |_| false);
    }

    /// Everything that happens until this is true; false where it is not within an hour.
    pub(super) fn until(&mut self, is_done: impl FnMut(&Self) -> bool) -> bool {
        self.run_until(self.pair.now + MINUTE * 60, is_done)
    }

    fn run_until(&mut self, end: Instant, mut is_done: impl FnMut(&Self) -> bool) -> bool {
        loop {
            self.exchange();
            if is_done(self) {
                return true;
            }
            if !self.pair.advance(end) {
                return false;
            }
        }
    }

    pub(super) fn exchange(&mut self) {
        let Self { pair, disk, events, .. } = self;
        pair.exchange(|event| {
            events.push(event.clone());
            disk.keep(event)
        });
    }

    /// Everybody is sent a datagram; how many answer.
    pub(super) fn ask_everybody(&mut self) -> usize {
        let members: Vec<_> = self.pair.coordinator.server().members().map(|member| member.short_addr).collect();
        let answers = |house: &Self| house.count(|event| matches!(event, Event::Datagram { .. }));
        let before = answers(self);
        for short_addr in members {
            let now = self.pair.now;
            let sent = self.pair.coordinator.send_datagram(
                short_addr,
                (4059, 4059),
                b"?",
                Priority::Normal,
                now + MINUTE,
                now,
            );
            assert!(sent.is_ok());
            self.run(Duration::from_millis(300));
        }
        answers(self) - before
    }

    pub(super) fn is_up(&self) -> bool {
        self.pair.coordinator.modem().is_running()
    }

    pub(super) fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is_it(event)).count()
    }

    /// Both sides agree about who is in the network, and under what address; nobody has anybody else's.
    #[track_caller]
    pub(super) fn agree(&self) {
        let mut seen = std::collections::BTreeSet::new();
        for device in self.pair.modem.devices() {
            let Some(short_addr) = device.short_addr() else { continue };
            assert!(seen.insert(short_addr), "{short_addr} twice");
            let member = self.pair.coordinator.server().member(device.eui64);
            assert_eq!(
                member.map(|member| (member.short_addr, member.is_joined)),
                Some((short_addr, true)),
                "{}",
                device.eui64
            );
        }
        assert_eq!(self.pair.modem.statistics().counter_reuses, 0);
    }
}

impl Disk {
    /// Whether it is durable now.
    fn keep(&mut self, event: &Event) -> bool {
        if self.is_stuck {
            return false;
        }
        match event {
            Event::Modem(modem::Event::Reserve(counters)) => {
                assert!(counters.frame_counter >= self.counters.frame_counter, "a reservation never goes back");
                self.counters = *counters;
            }
            Event::Bootstrap(bootstrap::Event::Remember(member)) => {
                self.members.insert(member.eui64, *member);
            }
            Event::Bootstrap(bootstrap::Event::KeepRing(ring)) => self.ring = *ring,
            _ => {}
        }
        true
    }
}

pub(super) fn device(number: u32) -> Device {
    let (eui64, psk) = identity(number);
    Device::new(eui64, psk)
}

fn coordinator(disk: &Disk, config: &Config, limits: Limits, seed: u64, now: Instant) -> Coordinator {
    let mut random = Random::new(seed);
    let entropy = Entropy(Box::new(move || random.block()));
    let admission = Box::new(disk.admission.clone());
    let server =
        Server::new(limits, &config.eui64.0, disk.ring, disk.members.values().copied(), admission, entropy, now);
    let modem = modem::Modem::new(config.clone(), disk.ring.keyring, disk.counters, now);
    Coordinator::new(modem, server, now)
}

#[allow(clippy::disallowed_methods, reason = "where a test's own clock begins; no other is read")]
fn now() -> Instant {
    Instant::now()
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
