//! All receivers of a run: which meter each of them hears, how well, and the one that dies and comes back.
//!
//! A meter is out of reach for some of the receivers, and always within reach of one. A receiver that is about to die
//! hears nothing for a moment first, so that what it had told was read: what a dying one has not told is lost to
//! everybody, and no fault of the service.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use wmbus::sim::random::Random;
use wmbus::sim::{EmulatorKind, Faults};

use super::air::Fate;
use super::fleet::fork;
use super::receiver::program::EmulatedProgram;
use super::receiver::{EmulatedReceiver, Error, Options, Outcome};
use super::scene::{Place, Scene, Source};
use crate::reading::MeterId;

#[derive(Debug)]
pub struct Receivers {
    stations: Vec<Station>,
    seed: u64,
}

#[derive(Debug)]
struct Station {
    kind: &'static EmulatorKind,
    device: Device,
    /// It neither hears nor tells.
    is_deaf: AtomicBool,
}

#[derive(Debug)]
enum Device {
    Port(EmulatedReceiver),
    Program(EmulatedProgram),
}

/// How a telegram fared with all receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hearing {
    pub fate: Fate,
    /// Receivers beyond the first that heard it whole.
    pub copies: u64,
}

/// Where the service finds receivers of these kinds. `program` is the one that emulates those that are programs.
pub fn places(kinds: &[&'static EmulatorKind], scene: &Scene, program: &std::path::Path) -> Vec<Place> {
    if let [kind] = kinds {
        if !kind.is_program {
            return vec![Place { name: "emulated".into(), kind, source: Source::Port(scene.port(None)) }];
        }
    }
    let place = |(n, kind): (usize, &&'static EmulatorKind)| {
        let is_only = kinds.iter().filter(|other| other == &kind).count() == 1;
        let name = if is_only { kind.name.to_owned() } else { format!("{}-{}", kind.name, n + 1) };
        let socket = scene.air(n);
        let words = ["simulate", "receiver", "--kind", kind.name, "--air"].map(str::to_owned);
        let words = [vec![text(program)], words.to_vec(), vec![text(&socket)]].concat();
        let source =
            if kind.is_program { Source::Command { words, socket } } else { Source::Port(scene.port(Some(n))) };
        Place { name, kind, source }
    };
    kinds.iter().enumerate().map(place).collect()
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Receivers {
    /// Plugs all of them in. Only those whose messages have a check sum are given damaged ones to tell.
    ///
    /// # Errors
    /// When one cannot be emulated here.
    pub fn open(places: &[Place], corrupt_ppm: u32, seed: u64) -> Result<Self, Error> {
        let station = |(n, place): (usize, &Place)| {
            let device = match &place.source {
                Source::Command { socket, .. } => Device::Program(EmulatedProgram::open(socket)?),
                Source::Port(path) => {
                    let corrupt_ppm = if place.kind.is_protected { corrupt_ppm } else { 0 };
                    Device::Port(EmulatedReceiver::open(Options {
                        kind: place.kind,
                        link: Some(PathBuf::clone(path)),
                        uid: UID + n as u32,
                        faults: Faults { corrupt_ppm, ..Faults::default() },
                        seed: seed.wrapping_add(n as u64),
                        ..Options::default()
                    })?)
                }
            };
            Ok(Station { kind: place.kind, device, is_deaf: AtomicBool::new(false) })
        };
        let stations = places.iter().enumerate().map(station).collect::<Result<_, Error>>()?;
        Ok(Self { stations, seed })
    }

    /// Waits until the service has set up all of them that are not dead.
    pub async fn listening(&self) {
        for station in self.stations.iter().filter(|station| !station.is_deaf.load(Ordering::Relaxed)) {
            station.listening().await;
        }
    }

    /// Puts a frame on the air and waits until every receiver that hears it has told it.
    pub async fn hear(
        &self,
        meter: MeterId,
        frame: &[u8],
        rssi_dbm: i16,
        loss_ppm: u32,
        random: &mut Random,
    ) -> Hearing {
        let (mut intact, mut damaged, mut lost) = (0_u64, false, false);
        for (n, station) in self.stations.iter().enumerate() {
            let Some(attenuation) = self.attenuation(meter, n) else { continue };
            if random.chance_ppm(loss_ppm) {
                lost = true;
                continue;
            }
            if station.is_deaf.load(Ordering::Relaxed) {
                continue;
            }
            match station.send(frame.to_vec(), rssi_dbm - attenuation).await {
                Outcome::Intact => intact += 1,
                Outcome::Damaged => damaged = true,
                Outcome::Deaf => {}
            }
        }
        let fate = match intact {
            0 if damaged => Fate::Damaged,
            0 if lost => Fate::Lost,
            0 => Fate::Unheard,
            _ => Fate::Heard,
        };
        Hearing { fate, copies: intact.saturating_sub(1) }
    }

    /// Puts what is no telegram of the fleet on the air of one receiver. Whether it told it.
    ///
    /// Where nothing delimits frames, what looks like none may take the one behind it along: there all is spared.
    pub async fn hear_garbage(&self, frame: &[u8], random: &mut Random) -> bool {
        let stations = || self.stations.iter().filter(|station| station.kind.is_protected || station.kind.is_program);
        let station = stations().nth(random.index(stations().count().max(1)));
        let Some(station) = station.filter(|station| !station.is_deaf.load(Ordering::Relaxed)) else { return false };
        station.send(frame.to_vec(), GARBAGE_DBM).await != Outcome::Deaf
    }

    /// One of them dies, and comes back after this time.
    pub fn fail(self: &Arc<Self>, lasts: Duration) {
        let at = fork(self.seed, OUTAGE).index(self.stations.len());
        let all = Arc::clone(self);
        tokio::spawn(async move {
            let Some(station) = all.stations.get(at) else { return };
            station.is_deaf.store(true, Ordering::Relaxed);
            sleep(LAST_WORDS).await;
            station.die().await;
            sleep(lasts).await;
            station.come_back().await;
            station.listening().await;
            station.is_deaf.store(false, Ordering::Relaxed);
        });
    }

    /// None of them is dead.
    pub fn are_whole(&self) -> bool {
        self.stations.iter().all(|station| !station.is_deaf.load(Ordering::Relaxed))
    }

    /// How much weaker this receiver hears the meter than the best one does; None where it is out of reach.
    fn attenuation(&self, meter: MeterId, at: usize) -> Option<i16> {
        let MeterId::MBus { identification, .. } = meter else { return Some(0) };
        let nearest = fork(self.seed ^ u64::from(identification), NEAREST).index(self.stations.len());
        let mut random = fork(self.seed ^ u64::from(identification), at as u64);
        match at == nearest {
            true => Some(0),
            false if random.chance_ppm(REACH_PPM) => Some(random.below(20) as i16),
            false => None,
        }
    }
}

impl Station {
    async fn listening(&self) {
        match &self.device {
            Device::Port(port) => port.listening().await,
            Device::Program(program) => program.listening().await,
        }
    }

    async fn send(&self, frame: Vec<u8>, rssi_dbm: i16) -> Outcome {
        match &self.device {
            Device::Port(port) => port.send(frame, rssi_dbm).await,
            Device::Program(program) => program.send(&frame).await,
        }
    }

    async fn die(&self) {
        match &self.device {
            Device::Port(port) => port.unplug().await,
            Device::Program(program) => program.kill().await,
        }
    }

    async fn come_back(&self) {
        let back = match &self.device {
            Device::Port(port) => port.plug_in().await,
            Device::Program(program) => program.come_back(),
        };
        if let Err(error) = back {
            tracing::warn!(err = %crate::task::chain(&error), "a receiver does not come back");
        }
    }
}

const GARBAGE_DBM: i16 = -95;
const UID: u32 = 0x0012_3456;
/// Of the meters, so many are within reach of a receiver that is not the nearest.
const REACH_PPM: u32 = 500_000;
/// What a receiver told before it dies is read within this time.
const LAST_WORDS: Duration = Duration::from_secs(1);
// Keep these draws apart from the others.
const OUTAGE: u64 = u64::MAX - 2;
const NEAREST: u64 = u64::MAX - 3;
