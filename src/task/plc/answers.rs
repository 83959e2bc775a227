//! What a network is asked through the control socket, and what it answers.

use plc::g3::bootstrap::Member;
use plc::g3::modem::{Answer, Refusal as Refused, Ticket};
use plc::poll::Priority;
use plc::route::{Failure, Way};
use plc::{Eui64, Key};
use tokio::{sync::oneshot, task::block_in_place};
use tracing::{debug, info};

use super::routes::Placing;
use super::traces::NoPath;
use super::tunnel::{Heard, Tunnel};
use super::{Plc, chain, random_block, told};
use crate::clock::Now;
use crate::control::{ImportPart, MeshAsk, MeshSaid, MeshState, MeshStatus, NodeSecret, Refusal, RefusalKind};
use crate::registry::{Imported, NODE_LIMIT, NODE_METER_LIMIT};

/// What the task may be asked.
#[derive(Debug)]
pub(in crate::task) enum Question {
    Ask(MeshAsk, Reply),
    /// A conversation with a node over UDP.
    Connect(Eui64, Priority, oneshot::Sender<Tunnel>),
    /// Who takes what nodes send unasked.
    Listen(Heard),
}

pub(in crate::task) type Reply = oneshot::Sender<Result<MeshSaid, Refusal>>;

/// What the modem was asked, by short address, and who waits for it.
#[derive(Debug)]
pub(super) enum Asked {
    Routes(Option<Reply>),
    Neighbours,
    Trace(u16, Option<Reply>),
    Refresh(u16, Option<Reply>),
    /// The table is read for what a search has found.
    Found(u16, Option<Reply>),
    /// It was told an attribute, or asked for one; nobody waits for it.
    Attribute(u32),
    /// A route over this neighbour was written, and is read back.
    Held(u16, u16, Option<Reply>),
    HeldBack(u16, u16, Option<Reply>),
    /// A row that is to go back into the routing table: its place is looked at, all are read because another one has that
    /// place, it is written. The row of a node, and what of it has failed.
    Place((u16, Way, Placing), usize),
    Places((u16, Way, Placing)),
    PutBack(u16),
    WayOf(u16, Option<Failure>),
    /// The blacklist is read, and then written: a node is to be on it, or not.
    Blacklist(u16, bool, Option<Reply>),
    Blacklisted(u16, bool, Option<Reply>),
    /// A node is on it: the table is read, so that it is known which routes go over it.
    Banned(u16, Option<Reply>),
}

impl Plc {
    pub(super) fn answer(&mut self, question: Question) {
        let now = (self.clock)();
        let (ask, reply) = match question {
            Question::Ask(ask, reply) => (ask, reply),
            // Who asked and went away needs no tunnel.
            Question::Connect(eui64, priority, reply) => {
                return drop(reply.send(self.polling.open(eui64, priority, now.mono)));
            }
            Question::Listen(heard) => return self.polling.listen(heard),
        };
        let said = match ask {
            MeshAsk::Status => Ok(MeshSaid::Status(Box::new(self.status(now)))),
            MeshAsk::Nodes => Ok(MeshSaid::Nodes { nodes: self.node_lines(now) }),
            MeshAsk::Import { nodes, part } => self.take_import(nodes, part, now),
            MeshAsk::Admit { node } => self.deny(&node, false, now),
            MeshAsk::Deny { node } => self.deny(&node, true, now),
            MeshAsk::Kick { node } => self.find(&node).and_then(|eui64| self.kick(eui64, now)),
            MeshAsk::Rekey => self.rekey(now),
            MeshAsk::Routes if self.view.state == MeshState::Up => return self.read_routes(Some(reply)),
            MeshAsk::Routes => Err(self.not_up()),
            MeshAsk::Trace { node } => match self.routed(&node) {
                Ok(Member { short_addr, .. }) => {
                    let asked = self.coordinator.with_modem(now.mono, |m| m.discover_path(short_addr, now.mono));
                    return self.wait_for(asked, Asked::Trace(short_addr, Some(reply)));
                }
                Err(refusal) => Err(refusal),
            },
            MeshAsk::Refresh { node } => return self.refresh(&node, reply, now),
            MeshAsk::History { node } => self.history(&node),
            MeshAsk::Pin { node, next_hop } => return self.pin(&node, &next_hop, reply, now),
            MeshAsk::Release { node } => self.release(&node, now),
            MeshAsk::Blacklist { node, is_blacklisted } => return self.blacklist(&node, is_blacklisted, reply),
        };
        // A client that hung up wants no answer.
        drop(reply.send(said));
    }

    /// Notes who waits for an answer of the modem.
    pub(super) fn wait_for(&mut self, asked: Result<Ticket, plc::g3::modem::Full>, what: Asked) {
        match asked {
            Ok(ticket) => drop(self.asked.insert(ticket, what)),
            Err(_) => what.refuse(Refusal::new(RefusalKind::Busy, "the modem has too much to do: ask again")),
        }
    }

    /// The modem has answered.
    pub(super) fn answered(&mut self, ticket: Ticket, result: Result<Answer, Refused>, now: Now) {
        let Some(asked) = self.asked.remove(&ticket) else { return };
        match (asked, result) {
            (Asked::Routes(reply), Ok(Answer::Rows(rows))) => {
                self.take_table(rows, now);
                let server = self.coordinator.server();
                let eui64_at = |short_addr| server.member_at(short_addr).map(|member| member.eui64);
                let routes = self.mesh.route_lines(&self.network, eui64_at);
                reply.map(|reply| reply.send(Ok(MeshSaid::Routes { routes })).ok());
            }
            (Asked::Neighbours, Ok(Answer::Rows(rows))) => self.take_neighbours(rows, now),
            (Asked::Trace(node, reply), Ok(Answer::Path(path))) => self.path_found(node, &path, reply, now),
            (Asked::Trace(node, reply), Ok(Answer::PathPart(path))) => {
                self.no_path(node, NoPath::Part(&path.forward), reply, now);
            }
            (Asked::Trace(node, reply), Err(refused)) => self.no_path(node, NoPath::Refused(refused), reply, now),
            (Asked::Attribute(attribute), Ok(answer)) => self.attribute_read(attribute, &answer, now),
            (Asked::Attribute(attribute), Err(refused)) => {
                debug!(network = %self.name, attribute, %refused, "modem does without");
            }
            (Asked::Refresh(node, reply), result) => self.refreshed(node, result, reply),
            (Asked::Found(node, reply), Ok(Answer::Rows(rows))) => self.found_read(node, Ok(rows), reply),
            (Asked::Found(node, reply), Err(refused)) => self.found_read(node, Err(refused), reply),
            (Asked::Held(node, next_hop, reply), result) => {
                self.hold_read_back((node, next_hop), result.map(drop), reply);
            }
            (Asked::HeldBack(node, next_hop, reply), Ok(Answer::Rows(rows))) => {
                self.take_table(rows, now);
                let is_held = self.mesh.row_of(node).1.is_some_and(|row| row.next_hop == next_hop);
                let held = if is_held { Ok(()) } else { Err("the modem took the route and keeps its own".to_owned()) };
                self.held((node, next_hop), held, reply);
            }
            (Asked::Place(row, index), result) => self.place_seen(row, index, result),
            (Asked::Places(row), Ok(Answer::Rows(rows))) => self.places_seen(row, rows, now),
            (Asked::WayOf(node, failure), result) => self.way_seen(node, failure, result),
            (Asked::PutBack(node), result) => self.put_back_ended(node, result.map(drop)),
            (Asked::Blacklist(node, is_wanted, reply), Ok(Answer::Rows(rows))) => {
                self.change_blacklist((node, is_wanted), &rows, reply);
            }
            (Asked::Blacklist(node, is_wanted, reply), Err(refused)) => {
                self.blacklisted((node, is_wanted), Err(refused), reply);
            }
            (Asked::Blacklisted(node, is_wanted, reply), result) => {
                self.blacklisted((node, is_wanted), result.map(drop), reply);
            }
            (Asked::Banned(node, reply), result) => {
                if let Ok(Answer::Rows(rows)) = result {
                    self.take_table(rows, now);
                }
                self.ban(node, reply);
            }
            (asked, Err(refused)) => asked.refuse(refusal(refused)),
            (asked, Ok(_)) => asked.refuse(Refusal::new(RefusalKind::Failed, "the modem answered something else")),
        }
    }

    pub(super) fn status(&self, now: Now) -> MeshStatus {
        let (server, modem) = (self.coordinator.server(), self.coordinator.modem());
        let (messages, frames) = modem.rejects();
        let rejects = [messages, frames, self.coordinator.rejects(), server.rejects()];
        let mut rejected = std::collections::BTreeMap::new();
        for (reason, count) in rejects.into_iter().flat_map(plc::Rejects::iter) {
            *rejected.entry(reason.to_owned()).or_default() += count;
        }
        let ring = server.ring();
        let missing = |member: &&Member| member.may_be_joined() && member.key_generation < ring.generation;
        let (out, unreachable) = self.out();
        MeshStatus {
            at_ms: now.utc_ms,
            out,
            unreachable,
            network: self.name.to_string(),
            source: self.source.to_string(),
            state: self.view.state,
            since_ms: self.view.since_ms,
            error: self.view.error.clone(),
            bootstrap_server: modem.generation().map(|generation| match generation {
                plc::g3::modem::Generation::HostLbs => "host".to_owned(),
                plc::g3::modem::Generation::ModemLbs => "modem".to_owned(),
            }),
            band: modem.config().band.name().to_owned(),
            pan_id: format!("{:04x}", modem.config().pan_id),
            eui64: modem.config().eui64.to_string(),
            key_generation: ring.generation,
            rekey: told::phase(ring.phase).to_owned(),
            rekey_missing: server.members().filter(missing).count(),
            listed: self.network.listed().values().filter(|listed| !listed.is_denied).count(),
            joined: server.members().filter(|member| member.is_joined).count(),
            alive: self.mesh.alive(server.members().copied(), now.utc_ms),
            unlisted: self.mesh.unlisted(),
            foreign_pans: self.coordinator.foreign_pans().keys().map(|pan_id| format!("{pan_id:04x}")).collect(),
            conflict_ms: self.view.conflict_ms,
            rejected,
            starts: self.view.starts,
            counted_since_ms: Some(self.began_ms(now)),
            routes: self.routing.counts(),
            polling: self.polling_counts(),
            outages: self.outage_lines(now),
            unkept: self.view.unkept.clone(),
            lost: self.losses(now),
        }
    }

    /// Takes a part of an import, or all of it. Nothing changes before the last part.
    fn take_import(&mut self, nodes: Vec<NodeSecret>, part: Option<ImportPart>, now: Now) -> Result<MeshSaid, Refusal> {
        let Some(part) = part else { return self.import(&nodes) };
        if part.number == 0 {
            self.staged = Some(Staged { import: part.import, parts: 0, nodes: Vec::new(), at: now.mono });
        }
        let lost = || Refusal::new(RefusalKind::Busy, "another import came between: begin again");
        let staged = self.staged.as_mut().filter(|staged| (staged.import, staged.parts) == (part.import, part.number));
        let staged = staged.ok_or_else(lost)?;
        (staged.parts, staged.at) = (staged.parts + 1, now.mono);
        staged.nodes.extend(nodes);
        if staged.nodes.len() > NODE_LIMIT {
            self.staged = None;
            return Err(Refusal::new(RefusalKind::Failed, format!("a network has {NODE_LIMIT} nodes at most")));
        }
        if !part.is_last {
            return Ok(MeshSaid::Taken);
        }
        let nodes = self.staged.take().map(|staged| staged.nodes).unwrap_or_default();
        self.import(&nodes)
    }

    fn import(&mut self, nodes: &[NodeSecret]) -> Result<MeshSaid, Refusal> {
        let nodes = nodes.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
        let new = nodes.iter().filter(|(eui64, ..)| !self.network.listed().contains_key(eui64)).count();
        if new > self.network.room() {
            let text = format!("no room: a network has {NODE_LIMIT} nodes, {} are listed", self.network.listed().len());
            return Err(Refusal::new(RefusalKind::Failed, text));
        }
        let imported = block_in_place(|| self.network.import(nodes)).map_err(|error| failed(&error))?;
        self.admission_changed();
        let Imported { added, changed, same } = imported;
        debug!(network = %self.name, added, changed, same, "nodes listed");
        Ok(MeshSaid::Imported { added, changed, same })
    }

    fn deny(&mut self, node: &str, is_denied: bool, now: Now) -> Result<MeshSaid, Refusal> {
        let eui64 = self.find(node)?;
        match block_in_place(|| self.network.deny(eui64, is_denied)) {
            Err(error) => return Err(failed(&error)),
            Ok(false) => {
                let text = format!("node {eui64} is not listed: only `dcu node import` gives it a key");
                return Err(Refusal::new(RefusalKind::NotFound, text));
            }
            Ok(true) => {}
        }
        info!(network = %self.name, node = %eui64, is_denied, "admission changed");
        self.admission_changed();
        if is_denied {
            // Who is not in the network need not be sent away.
            self.coordinator.with_server(now.mono, |server| server.kick(eui64, now.mono));
        }
        Ok(MeshSaid::Done { node: eui64.to_string(), unkept: None })
    }

    fn kick(&mut self, eui64: Eui64, now: Now) -> Result<MeshSaid, Refusal> {
        if !self.coordinator.with_server(now.mono, |server| server.kick(eui64, now.mono)) {
            return Err(Refusal::new(RefusalKind::NotFound, format!("node {eui64} is not in the network")));
        }
        info!(network = %self.name, node = %eui64, "node sent away");
        Ok(MeshSaid::Done { node: eui64.to_string(), unkept: None })
    }

    fn rekey(&mut self, now: Now) -> Result<MeshSaid, Refusal> {
        if !self.coordinator.with_server(now.mono, |server| server.rekey(Key(random_block()))) {
            let text = "a new key is being distributed already: `dcu mesh status` says how far it is";
            return Err(Refusal::new(RefusalKind::Failed, text));
        }
        self.drain();
        let server = self.coordinator.server();
        let nodes = server.members().filter(|member| member.may_be_joined()).count();
        Ok(MeshSaid::RekeyBegun { generation: server.ring().generation, nodes })
    }

    fn admission_changed(&mut self) {
        let now = (self.clock)().mono;
        let admission = self.network.admission(self.unlisted.clone());
        self.coordinator.with_server(now, |server| server.set_admission(admission));
        self.mesh.listed(&self.network);
    }

    /// The node that is meant: its EUI-64, its short address, or the name of its meter.
    fn find(&self, node: &str) -> Result<Eui64, Refusal> {
        if let Ok(eui64) = node.parse() {
            return Ok(eui64);
        }
        let mut named = self.network.listed().iter().filter(|(_, listed)| !node.is_empty() && listed.meter == node);
        if let (Some((eui64, _)), None) = (named.next(), named.next()) {
            return Ok(*eui64);
        }
        let short_addr = u16::from_str_radix(node, 16).ok().filter(|_| node.len() == 4);
        let at = short_addr.and_then(|short_addr| self.coordinator.server().member_at(short_addr));
        at.map(|member| member.eui64).ok_or_else(|| {
            let text = format!("no node {node:?}: name its EUI-64, its short address or its meter");
            Refusal::new(RefusalKind::NotFound, text)
        })
    }

    /// A node that has an address.
    pub(super) fn member(&self, node: &str) -> Result<Member, Refusal> {
        let eui64 = self.find(node)?;
        let text = format!("node {eui64} was never in the network");
        self.coordinator.server().member(eui64).copied().ok_or_else(|| Refusal::new(RefusalKind::NotFound, text))
    }

    /// A node that is in a network that is up.
    pub(super) fn routed(&self, node: &str) -> Result<Member, Refusal> {
        let eui64 = self.find(node)?;
        if self.view.state != MeshState::Up {
            return Err(self.not_up());
        }
        let member = self.coordinator.server().member(eui64).filter(|member| member.may_be_joined());
        let text = format!("node {eui64} is not in the network");
        member.copied().ok_or_else(|| Refusal::new(RefusalKind::NotFound, text))
    }

    pub(super) fn not_up(&self) -> Refusal {
        let why = self.view.error.as_deref().map_or(String::new(), |error| format!(": {error}"));
        Refusal::new(RefusalKind::Failed, format!("network {} is not up{why}", self.name))
    }
}

/// The parts of an import that are here.
#[derive(Debug)]
pub(super) struct Staged {
    import: u64,
    parts: u32,
    nodes: Vec<NodeSecret>,
    /// When the last of them came.
    pub(super) at: std::time::Instant,
}

impl Asked {
    fn refuse(self, refusal: Refusal) {
        match self {
            Self::Neighbours
            | Self::Attribute(_)
            | Self::Place(..)
            | Self::Places(..)
            | Self::PutBack(_)
            | Self::WayOf(..) => {}
            Self::Routes(reply)
            | Self::Trace(_, reply)
            | Self::Refresh(_, reply)
            | Self::Found(_, reply)
            | Self::Held(.., reply)
            | Self::HeldBack(.., reply)
            | Self::Blacklist(.., reply)
            | Self::Blacklisted(.., reply)
            | Self::Banned(.., reply) => drop(reply.map(|reply| reply.send(Err(refusal)))),
        }
    }
}

/// A node as it is kept. The key is in no message.
fn listed(node: &NodeSecret) -> Result<(Eui64, Key, String), Refusal> {
    let malformed = |text: String| Refusal::new(RefusalKind::Malformed, text);
    let eui64: Eui64 = node.eui64.parse().map_err(|_| malformed(format!("{:?} is not an EUI-64", node.eui64)))?;
    if [[0; 8], [0xff; 8]].contains(&eui64.0) {
        return Err(malformed(format!("{eui64} is nobody's address")));
    }
    let psk = hex::decode(&node.psk).ok().and_then(|octets| octets.try_into().ok());
    let psk = psk.ok_or_else(|| malformed(format!("the key of {eui64} does not have 32 hexadecimal digits")))?;
    if node.meter.len() > NODE_METER_LIMIT {
        return Err(malformed(format!("the meter's name of {eui64} is longer than {NODE_METER_LIMIT} octets")));
    }
    Ok((eui64, Key(psk), node.meter.clone()))
}

pub(super) fn refusal(refused: Refused) -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("the modem says: {refused}"))
}

fn failed(error: &crate::journal::JournalError) -> Refusal {
    Refusal::new(RefusalKind::Failed, chain(error))
}
