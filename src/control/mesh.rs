//! Mesh networks: what may be asked of one, and what is said of it, its nodes and its routes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::routes::{HopLine, PathLine, PollCounts, RouteCounts, RouteHistory, RouteLine, StaysLine};

/// A question or a command to one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum MeshAsk {
    Status,
    Nodes,
    /// Takes nodes onto the list of those that may join, all at once.
    Import {
        nodes: Vec<NodeSecret>,
        /// Where they do not fit one request; None: these are all.
        #[serde(default)]
        part: Option<ImportPart>,
    },
    /// Lets a node join that was denied.
    Admit {
        node: String,
    },
    /// Does not let a node join any more, and sends it away.
    Deny {
        node: String,
    },
    /// Sends a node away; it may come back.
    Kick {
        node: String,
    },
    /// Gives the network a new group master key.
    Rekey,
    /// The modem's routing table.
    Routes,
    /// Finds the path to a node and back; takes up to 40 s of airtime.
    Trace {
        node: String,
    },
    /// Has the modem find a new route to a node.
    Refresh {
        node: String,
    },
    /// What became of the routes to a node, and why.
    History {
        node: String,
    },
    /// Holds the route to a node at a neighbour of the coordinator.
    Pin {
        node: String,
        next_hop: String,
    },
    /// Lets the modem choose the route again.
    Release {
        node: String,
    },
    /// No route goes over this node, or may again.
    Blacklist {
        node: String,
        is_blacklisted: bool,
    },
}

impl MeshAsk {
    /// The node that it is about.
    pub fn node_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Status | Self::Nodes | Self::Import { .. } | Self::Rekey | Self::Routes => None,
            Self::Admit { node }
            | Self::Deny { node }
            | Self::Kick { node }
            | Self::Trace { node }
            | Self::Refresh { node }
            | Self::History { node }
            | Self::Pin { node, .. }
            | Self::Release { node }
            | Self::Blacklist { node, .. } => Some(node),
        }
    }
}

/// A part of an import: nothing changes before the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPart {
    /// The same in all parts, drawn at random.
    pub import: u64,
    /// From 0, without a gap.
    pub number: u32,
    pub is_last: bool,
}

/// A node, and the key that it must prove. Its key is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSecret {
    pub eui64: String,
    /// 32 hexadecimal digits.
    pub psk: String,
    #[serde(default)]
    pub meter: String,
}

impl fmt::Debug for NodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeSecret({}, ..)", self.eui64)
    }
}

/// What a network answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum MeshSaid {
    Status(Box<MeshStatus>),
    Nodes {
        nodes: Vec<NodeLine>,
    },
    /// A part of an import that is not the last.
    Taken,
    Imported {
        added: usize,
        changed: usize,
        same: usize,
    },
    /// What was done, to this node.
    Done {
        node: String,
        /// Why it does not outlive the service, where it does not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unkept: Option<String>,
    },
    /// A route was found, over this neighbour; which way it is put instead where nobody is to go over that, or why it
    /// stays, as in a [`StaysLine`].
    Found {
        node: String,
        next_hop: Option<String>,
        hops: Option<u8>,
        is_blacklisted: bool,
        detour: Option<String>,
        #[serde(default)]
        stays: Option<String>,
    },
    /// No route is to go over this node any more.
    Blacklisted {
        node: String,
        /// It was not so before.
        is_new: bool,
        /// Routes of other nodes that went over it, those of them that are moved to other known ways, and the others.
        routes: usize,
        moved: usize,
        stays: Vec<StaysLine>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unkept: Option<String>,
    },
    RekeyBegun {
        generation: u32,
        nodes: usize,
    },
    Routes {
        routes: Vec<RouteLine>,
    },
    Path(PathLine),
    History(Box<RouteHistory>),
}

/// One network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshStatus {
    pub network: String,
    /// Where its modem is.
    pub source: String,
    pub state: MeshState,
    pub since_ms: i64,
    /// The unit's clock when it said this; 0: it did not say.
    #[serde(default)]
    pub at_ms: i64,
    /// Why it is not up.
    pub error: Option<String>,
    /// Where the bootstrap server runs: `host` or `modem`; None before the modem has said it.
    pub bootstrap_server: Option<String>,
    pub band: String,
    /// Four hexadecimal digits.
    pub pan_id: String,
    /// Of the coordinator.
    pub eui64: String,
    /// Of the group master key, counted from 1.
    pub key_generation: u32,
    /// `settled`, `distribute`, `activate` or `grace`.
    pub rekey: String,
    /// Nodes in the network that have not got the newest key.
    pub rekey_missing: usize,
    /// Nodes that may join.
    pub listed: usize,
    /// Nodes in the network, as far as the network says.
    pub joined: usize,
    /// Nodes that were heard within the last hour.
    pub alive: usize,
    /// Of those in the network, that are part of an outage.
    #[serde(default)]
    pub out: usize,
    /// Of the others, whose meter is unreachable.
    #[serde(default)]
    pub unreachable: usize,
    /// Nodes that asked and are not listed.
    pub unlisted: usize,
    /// Other networks in hearing.
    pub foreign_pans: Vec<String>,
    /// The last time that another network was heard with our number.
    pub conflict_ms: Option<i64>,
    /// What was dropped, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Starts of the modem since the service began.
    pub starts: u64,
    /// When the service began: since then starts, what was dropped, what was done about routes and requests are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_since_ms: Option<i64>,
    #[serde(default)]
    pub routes: RouteCounts,
    #[serde(default)]
    pub polling: PollCounts,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<OutageLine>,
    /// What of it does not outlive the service, as its file cannot be used, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unkept: Vec<String>,
    /// What of it was kept, and was not there any more when the service began, within a day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

/// Many nodes that do not answer any more, and have something in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutageLine {
    /// The phase, the branch, or the transformer.
    pub scope: String,
    pub since_ms: i64,
    /// Nodes that are out yet, and those that are back.
    pub out: usize,
    pub back: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeshState {
    /// The modem's port is not there.
    #[default]
    Absent,
    /// The modem is being started.
    Starting,
    Up,
    /// It does not run, and will not before the service is started anew.
    Failed,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLine {
    pub eui64: String,
    /// Four hexadecimal digits; None for a node that never was admitted.
    pub short_addr: Option<String>,
    pub meter: String,
    /// The meter that `[[electricity.meter]]` has behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub electricity_meter: Option<String>,
    pub presence: NodePresence,
    /// What an outage has in common that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<String>,
    /// The meter behind it does not answer any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unreachable: bool,
    pub joined_ms: Option<i64>,
    /// When something of it was heard last, also before the service began; after a kill that may be ten minutes older than
    /// it was.
    pub heard_ms: Option<i64>,
    /// Of the last frame of it, by the hop to the coordinator.
    pub lqi: Option<u8>,
    /// From the routing table; from the last traced path where that counts none.
    pub hops: Option<u8>,
    /// The hop next to the coordinator, its short address.
    pub next_hop: Option<String>,
    /// Weak links on its route.
    pub weak_links: Option<u8>,
    /// The node before it on the last traced path, its short address; the coordinator's is `0000`.
    #[serde(default)]
    pub parent: Option<String>,
    /// `plc` or `rf`: of its route, or of its last hop on the last traced path.
    #[serde(default)]
    pub medium: Option<String>,
    /// How well it hears the coordinator; only of the coordinator's neighbours, like modulation.
    #[serde(default)]
    pub lqi_forward: Option<u8>,
    /// Numbers of macNeighbourTable.
    #[serde(default)]
    pub modulation_type: Option<u8>,
    #[serde(default)]
    pub modulation_scheme: Option<u8>,
    /// Multiples of 60 degrees between the phases of both ends of its last hop.
    #[serde(default)]
    pub phase_differential: Option<u8>,
    pub joins: u32,
    /// Times that it left or was lost.
    pub losses: u32,
    /// Since when joins and losses are counted: when the service began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_since_ms: Option<i64>,
    pub key_generation: Option<u32>,
    /// Why it did not join when it asked last.
    pub failure: Option<String>,
    /// When a node that is not listed, or denied, asked last.
    pub asked_ms: Option<i64>,
    /// Next hops of its route, the last 32, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentLine>,
    /// When its path was traced last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traced_ms: Option<i64>,
    /// That path, the coordinator's neighbour first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<HopLine>,
    /// What is wrong with its route: `no-route`, `no-answer`, `circular`, `weak` or `flapping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// No route of the coordinator is to go over it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_blacklisted: bool,
}

/// The route to a node went this way from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentLine {
    pub since_ms: i64,
    pub next_hop: String,
    /// Until then, when it went another way or there was none any more; None: it goes there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodePresence {
    /// In the network, and heard within the last hour.
    Alive,
    /// In the network, as far as the network says.
    Routed,
    /// It was in the network.
    Lost,
    /// It may join, and never did.
    Listed,
    /// It may not join.
    Denied,
    /// It asked, and nobody has told of it.
    Unlisted,
}

impl NodeLine {
    /// Of its meter: as the site names it or, where it does not, as the configuration does. Empty: neither does.
    pub fn name(&self) -> &str {
        match self.meter.is_empty() {
            true => self.electricity_meter.as_deref().unwrap_or_default(),
            false => &self.meter,
        }
    }
}

impl MeshState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Failed => "failed",
        }
    }
}

impl NodePresence {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Routed => "routed",
            Self::Lost => "lost",
            Self::Listed => "listed",
            Self::Denied => "denied",
            Self::Unlisted => "unlisted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let psk = "000102030405060708090a0b0c0d0e0f".to_owned();
        let node = NodeSecret { eui64: "001122ffff000001".to_owned(), psk, meter: String::new() };
        assert_eq!(
            format!("{:?}", MeshAsk::Import { nodes: vec![node], part: None }),
            "Import { nodes: [NodeSecret(001122ffff000001, ..)], part: None }"
        );
    }
}
