//! The meters behind the nodes of an emulated G3-PLC modem, which takes no time for anything, or whose nodes are those of
//! a simulated network, in the time of the meters.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use dlms::sim::Server;
use plc::Eui64;
use plc::sim::net::{self, Kind, Shape, Site, World};
use plc::sim::{Behind, Device, Modem, Nature, Network, Random, identity};

use super::Start;
use crate::control::NodeSecret;
use crate::simulate::modem::EmulatedModem;
use crate::simulate::outage::Outage;
use crate::simulate::receiver::Error;
use crate::simulate::report;
use crate::simulate::run::{Formation, Options};

/// The modem, and who is behind it.
#[derive(Debug)]
pub(in crate::simulate) struct Street {
    modem: EmulatedModem,
    nodes: Vec<NodeSecret>,
    /// Messages that get lost on the line, per million.
    loss_ppm: u32,
    /// When which node loses its power, and when it has it again.
    switches: BTreeSet<(Instant, usize, bool)>,
    /// The modem loses its power for a moment, once.
    reset: Outage,
    formation: Option<Formation>,
    /// Of the network's time.
    speed: u32,
}

impl Street {
    /// The name of the network.
    pub(in crate::simulate) const NETWORK: &str = "street";

    /// A modem at `link`, and a node for each meter; where a meter is away for a time, its node is too.
    pub(super) fn open(
        meters: Vec<(Server, Option<Range<Instant>>)>,
        options: &Options,
        (formation, start): (Option<Formation>, Start),
        link: &Path,
    ) -> Result<Self, Error> {
        let (faults, seed, speed) = (&options.faults, options.seed, start.pace.speed);
        let world = formation.map(|_| {
            let town = || Site::draw(&Shape::town(meters.len()), &mut Random::new(seed));
            Box::new(world(options.feeder.clone().unwrap_or_else(town), seed, start))
        });
        let mut servers = BTreeMap::new();
        let mut switches = BTreeSet::new();
        let (mut devices, mut nodes) = (Vec::new(), Vec::new());
        for (number, (server, away)) in meters.into_iter().enumerate() {
            let (eui64, psk) = identity(number as u32);
            devices.push(Device::new(eui64, psk));
            nodes.push(NodeSecret { eui64: eui64.to_string(), psk: hex::encode(psk.0), meter: String::new() });
            servers.insert(eui64, server);
            switches.extend(away.iter().flat_map(|away| [(away.start, number, false), (away.end, number, true)]));
        }
        let answers = move |eui64, port, payload: &[u8]| answer(&mut servers, eui64, port, payload);
        let nature =
            Nature { seed, is_hybrid: true, join_window: Duration::from_secs(1), buffers: 32, ..Nature::default() };
        let mut modem = Modem::new(nature, devices, Behind(Box::new(answers)), now());
        if let Some(world) = world {
            let network = Network::new(*world, now(), speed);
            let is_new = formation == Some(Formation::New);
            modem = if is_new { modem.with_network(network) } else { modem.with_formed(network) };
        }
        let reset = Outage::new(faults.modem_reset.then_some(Duration::ZERO));
        let loss_ppm = faults.plc_loss_ppm;
        let modem = EmulatedModem::open(modem, Some(link))?;
        Ok(Self { modem, nodes, loss_ppm, switches, reset, formation, speed })
    }

    /// The node of the meter of this number.
    pub(super) fn node(number: usize) -> Eui64 {
        identity(number as u32).0
    }

    /// What the service must be told of the nodes.
    pub(in crate::simulate) fn nodes(&self) -> &[NodeSecret] {
        &self.nodes
    }

    pub(super) fn port(&self) -> &Path {
        self.modem.path()
    }

    pub(super) fn has_network(&self) -> bool {
        self.formation.is_some()
    }

    pub(in crate::simulate) fn joined(&self) -> usize {
        self.modem.modem().joined()
    }

    /// Nodes with which the network counts as formed: all; where it forms through its airtime all but a few, which may
    /// take for ever.
    pub(in crate::simulate) fn needed(&self) -> usize {
        let nodes = self.nodes.len();
        if self.formation == Some(Formation::New) { (nodes * 95).div_ceil(100) } else { nodes }
    }

    pub(in crate::simulate) fn is_formed(&self) -> bool {
        self.joined() >= self.needed()
    }

    /// How long that may take.
    pub(in crate::simulate) fn patience(&self) -> Duration {
        if self.formation == Some(Formation::New) { (FORMING / self.speed).max(FORMED) } else { FORMED }
    }

    /// It goes on with those that there are.
    pub(in crate::simulate) fn may_begin(&self) -> bool {
        self.formation == Some(Formation::New) && self.modem.modem().joined() > 0
    }

    /// What came of the network; `seconds` of its time, in which the service took so much of the processor.
    pub(super) fn report(&self, speed: u32, seconds: i64, cpu: Duration) -> Option<report::Network> {
        let modem = self.modem.modem();
        let network = modem.network()?;
        let airtime = |kinds: &[Kind]| {
            let heard = kinds.iter().map(|kind| network.figures().of(*kind).heard_airtime);
            report::thousandth(heard.sum::<u64>() as f64 / 1e6)
        };
        let share = (seconds > 0).then(|| 100.0 * cpu.as_secs_f64() / seconds as f64);
        Some(report::Network {
            speed,
            hours: report::thousandth(network.world().now() as f64 / 3.6e9),
            nodes: self.nodes.len(),
            joined: modem.joined(),
            data_airtime_s: airtime(&[Kind::Data]),
            join_airtime_s: airtime(&[Kind::BeaconRequest, Kind::Beacon, Kind::Join]),
            route_airtime_s: airtime(&[Kind::RouteRequest, Kind::RouteReply, Kind::RouteError]),
            cpu_percent: share.map(|share| report::thousandth(share * f64::from(speed))),
            cpu_percent_unscaled: share.map(report::thousandth),
        })
    }

    /// How often nodes have joined, all together.
    pub(super) fn joins(&self) -> u64 {
        self.modem.modem().devices().iter().map(|device| u64::from(device.joins())).sum()
    }

    /// The network has formed, and from now on the line is as bad as it is meant to be.
    pub(super) fn begin(&mut self) {
        self.modem.modem().formed();
        self.modem.modem().faults().air_loss_ppm = self.loss_ppm;
    }

    /// Power fails here and there.
    pub(super) fn weather(&mut self, is_half: bool, now: Instant) {
        if self.reset.pass(is_half, now) == Some(true) {
            self.modem.modem().power_cut();
        }
        while let Some((_, place, is_on)) = self.switches.first().copied().filter(|(due, ..)| *due <= now) {
            self.switches.pop_first();
            self.modem.modem().switch(place, is_on, now);
        }
    }
}

/// A site at the time of the day at which it starts.
fn world(site: Site, seed: u64, start: Start) -> World {
    let begin_hour = start.pace.start_ms.rem_euclid(DAY_MS) as f64 / 3.6e6;
    World::hosted(site, net::Options { seed, begin_hour, ..net::Options::default() })
}

/// What the meter behind a node says to a datagram.
fn answer(servers: &mut BTreeMap<Eui64, Server>, eui64: Eui64, port: u16, payload: &[u8]) -> Option<Vec<u8>> {
    let server = servers.get_mut(&eui64).filter(|_| port == PORT)?;
    server.handle_bytes(payload, now());
    let mut answer = Vec::new();
    while let Some(octets) = server.poll_transmit() {
        answer.extend(octets);
    }
    Some(answer).filter(|answer| !answer.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "a simulation reads the clock")]
fn now() -> Instant {
    Instant::now()
}

const DAY_MS: i64 = 86_400_000;
/// For all nodes to join.
const FORMED: Duration = Duration::from_secs(120);
/// The same of the network's time.
const FORMING: Duration = Duration::from_secs(6 * 3_600);
/// UDP port of DLMS/COSEM.
const PORT: u16 = 4059;
