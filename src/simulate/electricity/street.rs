//! The meters behind the nodes of an emulated G3-PLC modem, which takes no time for anything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use dlms::sim::Server;
use plc::Eui64;
use plc::sim::{Behind, Device, Modem, Nature, identity};

use crate::control::NodeSecret;
use crate::simulate::faults::Faults;
use crate::simulate::modem::EmulatedModem;
use crate::simulate::outage::Outage;
use crate::simulate::receiver::Error;

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
}

impl Street {
    /// The name of the network.
    pub(in crate::simulate) const NETWORK: &str = "street";

    /// A modem at `link`, and a node for each meter; where a meter is away for a time, its node is too.
    pub(super) fn open(
        meters: Vec<(Server, Option<Range<Instant>>)>,
        faults: &Faults,
        seed: u64,
        link: &Path,
    ) -> Result<Self, Error> {
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
        let modem = Modem::new(nature, devices, Behind(Box::new(answers)), now());
        let reset = Outage::new(faults.modem_reset.then_some(Duration::ZERO));
        let loss_ppm = faults.plc_loss_ppm;
        Ok(Self { modem: EmulatedModem::open(modem, Some(link))?, nodes, loss_ppm, switches, reset })
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

    /// All nodes are in the network.
    pub(in crate::simulate) fn is_formed(&self) -> bool {
        self.modem.modem().joined() == self.nodes.len()
    }

    /// How often nodes have joined, all together.
    pub(super) fn joins(&self) -> u64 {
        self.modem.modem().devices().iter().map(|device| u64::from(device.joins())).sum()
    }

    /// The network has formed, and from now on the line is as bad as it is meant to be.
    pub(super) fn begin(&mut self) {
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

/// UDP port of DLMS/COSEM.
const PORT: u16 = 4059;
