//! What is sent between nodes. Only lengths matter to the air; a payload of the host is known by its tag.

use super::phy::{Medium, Micros};

/// A node of the network; 0 is the coordinator.
pub type NodeNo = usize;

/// A frame for one hop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// None for all that hear it.
    pub(super) to: Option<NodeNo>,
    pub(super) message: Message,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Message {
    BeaconRequest,
    Beacon {
        /// Of the route to the coordinator.
        cost: u16,
    },
    /// Between a device that joins and its agent.
    Bootstrap(Bootstrap),
    RouteRequest(RouteRequest),
    RouteReply(RouteReply),
    RouteError {
        origin: NodeNo,
        unreachable: NodeNo,
    },
    Data(Data),
}

/// One step of the seven of a join: even ones come from the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bootstrap {
    pub(super) device: NodeNo,
    pub(super) step: u8,
    /// What it says, where somebody outside does.
    pub(super) parcel: Option<Parcel>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct RouteRequest {
    pub(super) origin: NodeNo,
    pub(super) dest: NodeNo,
    pub(super) sequence: u16,
    pub(super) rank: Rank,
    pub(super) hops_left: u8,
    /// It has come along routes so far; who sent it to all has none.
    pub(super) is_unicast: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct RouteReply {
    /// Who asked.
    pub(super) origin: NodeNo,
    pub(super) dest: NodeNo,
    pub(super) sequence: u16,
    pub(super) rank: Rank,
}

/// How good a route is, the better one first: weak links, cost, hops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) weak: u8,
    pub(super) cost: u16,
    pub(super) hops: u8,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Data {
    pub(super) origin: NodeNo,
    pub(super) dest: NodeNo,
    pub(super) hops_left: u8,
    /// Hops it has gone.
    pub(super) hops: u8,
    /// A broken route was repaired for it.
    pub(super) is_repaired: bool,
    pub(super) load: Load,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    Request(Request),
    Answer { tag: u64, octets: u16 },
    Bootstrap(Bootstrap),
    Parcel(Parcel),
}

/// Octets of somebody outside, who knows them by their tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parcel {
    pub tag: u64,
    /// From the IPv6 header on, as it is compressed; of a bootstrap the whole message.
    pub octets: u16,
    /// A route is looked for where there is none, or where it has broken.
    pub discovers: bool,
}

/// What the host asks of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The host's own number for it.
    pub tag: u64,
    /// Of the request, from the IPv6 header on.
    pub octets: u16,
    /// Of the meter's answer.
    pub answer: u16,
    /// A route is looked for where there is none, or where it has broken.
    pub discovers: bool,
}

/// What traffic is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    BeaconRequest,
    Beacon,
    Join,
    RouteRequest,
    RouteReply,
    RouteError,
    Data,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::BeaconRequest,
        Self::Beacon,
        Self::Join,
        Self::RouteRequest,
        Self::RouteReply,
        Self::RouteError,
        Self::Data,
    ];
}

/// What the network tells its coordinator's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Joined {
        node: NodeNo,
        at: Micros,
    },
    /// The first hop has a request, or no route was found.
    Confirmed {
        tag: u64,
        is_sent: bool,
        at: Micros,
    },
    /// What came of [`World::discover`](super::World::discover), or of a search for what was to be sent.
    Discovered {
        node: NodeNo,
        is_found: bool,
        at: Micros,
    },
    Answered {
        tag: u64,
        node: NodeNo,
        hops: u8,
        at: Micros,
    },
    Hosted(Hosted),
}

/// What a network says to who speaks for its nodes ([`World::hosted`](super::World::hosted)), at the time of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosted {
    /// A device has found an agent, and would begin its bootstrap.
    Asks { device: NodeNo },
    /// A message of a device's bootstrap came to the coordinator, by this agent: 0 where it heard the device itself.
    Says { device: NodeNo, agent: NodeNo, tag: u64 },
    /// A device heard one of the coordinator's.
    Hears { device: NodeNo, tag: u64 },
    /// A parcel is where it was to go.
    Arrived { node: NodeNo, tag: u64 },
}

impl Message {
    /// With the headers of MAC, mesh and 6LoWPAN, and the integrity code.
    pub(super) fn octets(&self, medium: Medium) -> u16 {
        let mac = if medium == Medium::Plc { 26 } else { 30 };
        mac + match self {
            Self::BeaconRequest => 2,
            Self::Beacon { .. } => 8,
            Self::Bootstrap(said) => said.octets(),
            Self::RouteRequest(_) | Self::RouteReply(_) => 14,
            Self::RouteError { .. } => 10,
            Self::Data(data) => 7 + data.load.octets(),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::BeaconRequest => Kind::BeaconRequest,
            Self::Beacon { .. } => Kind::Beacon,
            Self::Bootstrap(_) | Self::Data(Data { load: Load::Bootstrap(_), .. }) => Kind::Join,
            Self::RouteRequest(_) => Kind::RouteRequest,
            Self::RouteReply(_) => Kind::RouteReply,
            Self::RouteError { .. } => Kind::RouteError,
            Self::Data(_) => Kind::Data,
        }
    }
}

impl Load {
    fn octets(&self) -> u16 {
        match self {
            Self::Request(Request { octets, .. }) | Self::Answer { octets, .. } => *octets,
            Self::Bootstrap(said) => said.octets(),
            Self::Parcel(Parcel { octets, .. }) => *octets,
        }
    }

    /// By which who sent it knows it.
    pub(super) fn tag(&self) -> Option<u64> {
        match self {
            Self::Request(Request { tag, .. }) | Self::Parcel(Parcel { tag, .. }) => Some(*tag),
            Self::Bootstrap(said) => said.parcel.map(|parcel| parcel.tag),
            Self::Answer { .. } => None,
        }
    }

    /// A route may be looked for.
    pub(super) fn discovers(&self) -> bool {
        match self {
            Self::Request(Request { discovers, .. }) | Self::Parcel(Parcel { discovers, .. }) => *discovers,
            Self::Answer { .. } | Self::Bootstrap(_) => true,
        }
    }
}

impl Bootstrap {
    fn octets(&self) -> u16 {
        12 + self.parcel.map_or_else(|| bootstrap(self.step), |parcel| parcel.octets)
    }
}

/// Joining, EAP-PSK 1 to 4, accepted.
fn bootstrap(step: u8) -> u16 {
    [10, 30, 60, 115, 60, 30].into_iter().nth(usize::from(step)).unwrap_or(10)
}
