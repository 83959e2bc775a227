//! The meters behind the nodes of an emulated G3-PLC modem, which takes no time for anything.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use dlms::sim::Server;
use plc::Eui64;
use plc::sim::{Behind, Device, Modem, Nature, identity};

use crate::control::NodeSecret;
use crate::simulate::modem::EmulatedModem;
use crate::simulate::receiver::Error;

/// The modem, and who is behind it.
#[derive(Debug)]
pub(super) struct Street {
    modem: EmulatedModem,
    nodes: Vec<NodeSecret>,
}

impl Street {
    /// The name of the network.
    pub(super) const NETWORK: &str = "street";

    /// A modem at `link`, and a node for each meter; a meter is away for a time.
    pub(super) fn open(meters: Vec<(Server, Option<Range<Instant>>)>, seed: u64, link: &Path) -> Result<Self, Error> {
        let mut servers = BTreeMap::new();
        let (mut devices, mut nodes) = (Vec::new(), Vec::new());
        for (number, meter) in (0..).zip(meters) {
            let (eui64, psk) = identity(number);
            devices.push(Device::new(eui64, psk));
            nodes.push(NodeSecret { eui64: eui64.to_string(), psk: hex::encode(psk.0), meter: String::new() });
            servers.insert(eui64, meter);
        }
        let answers = move |eui64, port, payload: &[u8]| answer(&mut servers, eui64, port, payload);
        let nature = Nature { seed, join_window: Duration::from_secs(1), buffers: 32, ..Nature::default() };
        let modem = Modem::new(nature, devices, Behind(Box::new(answers)), now());
        Ok(Self { modem: EmulatedModem::open(modem, Some(link))?, nodes })
    }

    /// The node of the meter of this number.
    pub(super) fn node(number: usize) -> Eui64 {
        identity(number as u32).0
    }

    /// What the service must be told of the nodes.
    pub(super) fn nodes(&self) -> &[NodeSecret] {
        &self.nodes
    }

    pub(super) fn port(&self) -> &Path {
        self.modem.path()
    }

    /// Nodes that are in the network.
    pub(super) fn joined(&self) -> usize {
        self.modem.modem().joined()
    }
}

type Servers = BTreeMap<Eui64, (Server, Option<Range<Instant>>)>;

/// What the meter behind a node says to a datagram.
fn answer(servers: &mut Servers, eui64: Eui64, port: u16, payload: &[u8]) -> Option<Vec<u8>> {
    let (server, away) = servers.get_mut(&eui64).filter(|_| port == PORT)?;
    let now = now();
    if away.as_ref().is_some_and(|away| away.contains(&now)) {
        return None;
    }
    server.handle_bytes(payload, now);
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
