//! What is seen of a network's nodes: when they were heard, which way their routes go, what failed. Nothing of it must
//! outlive the process; what must is in `network`.
//!
//! A node is *routed* when the network says so and *alive* when something of it was heard: two things.

use std::collections::{BTreeMap, VecDeque};

use plc::Eui64;
use plc::g3::adp::{Hop, Path};
use plc::g3::bootstrap::{Event, Member};
use plc::g3::pib::{Neighbour, Route};

use super::network::Network;
use crate::control::{HopLine, NodeLine, NodePresence, ParentLine, PathLine, RouteLine};

/// What is seen of all nodes of one network.
#[derive(Debug, Default)]
pub struct Mesh {
    nodes: BTreeMap<Eui64, Seen>,
    /// Nodes that asked and are not listed, and when; the oldest goes when there are too many.
    unlisted: BTreeMap<Eui64, i64>,
    routes: Vec<Route>,
    /// The coordinator's neighbours over PLC, by short address.
    neighbours: BTreeMap<u16, Neighbour>,
}

#[derive(Debug, Default)]
struct Seen {
    joined_ms: Option<i64>,
    heard_ms: Option<i64>,
    lqi: Option<u8>,
    joins: u32,
    losses: u32,
    failure: Option<String>,
    asked_ms: Option<i64>,
    hops: Option<u8>,
    weak_links: Option<u8>,
    /// Of its route, where the modem says it.
    medium: Option<u8>,
    /// Next hops of its route, the newest last.
    parents: VecDeque<(i64, u16)>,
    /// The last path that was traced to it, and when; None once its route has changed.
    path: Option<(i64, Vec<Hop>)>,
}

impl Mesh {
    /// Something came from a node.
    pub fn heard(&mut self, eui64: Eui64, lqi: u8, now_ms: i64) {
        let seen = self.nodes.entry(eui64).or_default();
        seen.heard_ms = Some(now_ms);
        seen.lqi = Some(lqi);
    }

    /// Notes what the bootstrap server says.
    pub fn note(&mut self, event: &Event, network: &Network, now_ms: i64) {
        match event {
            Event::Joined { eui64, .. } => {
                self.unlisted.remove(eui64);
                let seen = self.nodes.entry(*eui64).or_default();
                (seen.joined_ms, seen.heard_ms, seen.failure) = (Some(now_ms), Some(now_ms), None);
                seen.joins = seen.joins.saturating_add(1);
            }
            Event::Left { eui64 } => {
                let seen = self.nodes.entry(*eui64).or_default();
                seen.losses = seen.losses.saturating_add(1);
            }
            Event::JoinFailed { eui64, why } => {
                let seen = self.nodes.entry(*eui64).or_default();
                (seen.failure, seen.asked_ms) = (Some(why.to_string()), Some(now_ms));
            }
            Event::Refused { eui64, .. } if network.listed().contains_key(eui64) => {
                self.nodes.entry(*eui64).or_default().asked_ms = Some(now_ms);
            }
            Event::Refused { eui64, .. } => {
                if self.unlisted.len() >= UNLISTED && !self.unlisted.contains_key(eui64) {
                    let oldest = self.unlisted.iter().min_by_key(|(_, asked_ms)| **asked_ms).map(|(eui64, _)| *eui64);
                    oldest.and_then(|oldest| self.unlisted.remove(&oldest));
                }
                self.unlisted.insert(*eui64, now_ms);
            }
            _ => {}
        }
    }

    /// Nodes that were listed are not unlisted any more.
    pub fn listed(&mut self, network: &Network) {
        self.unlisted.retain(|eui64, _| !network.listed().contains_key(eui64));
    }

    /// The modem's routing table.
    pub fn set_routes(&mut self, routes: Vec<Route>, eui64: impl Fn(u16) -> Option<Eui64>, now_ms: i64) {
        for route in &routes {
            let Some(seen) = eui64(route.destination).map(|eui64| self.nodes.entry(eui64).or_default()) else {
                continue;
            };
            seen.hops = Some(route.hop_count);
            seen.weak_links = Some(route.weak_link_count);
            seen.medium = route.medium;
            seen.goes_by(route.next_hop, now_ms);
        }
        self.routes = routes;
    }

    /// A path that was traced. Its first hop is the coordinator's neighbour.
    pub fn set_path(&mut self, eui64: Eui64, path: &Path, now_ms: i64) {
        let seen = self.nodes.entry(eui64).or_default();
        seen.hops = u8::try_from(path.forward.len()).ok();
        if let Some(first) = path.forward.first() {
            seen.goes_by(first.short_addr, now_ms);
        }
        seen.path = Some((now_ms, path.forward.clone()));
    }

    /// The modem's macNeighbourTable.
    pub fn set_neighbours(&mut self, neighbours: impl Iterator<Item = Neighbour>) {
        self.neighbours = neighbours.map(|neighbour| (neighbour.short_addr, neighbour)).collect();
    }

    pub fn unlisted(&self) -> usize {
        self.unlisted.len()
    }

    /// Joined nodes that were heard within the last hour.
    pub fn alive(&self, members: impl Iterator<Item = Member>, now_ms: i64) -> usize {
        members.filter(|member| member.is_joined && self.is_alive(member.eui64, now_ms)).count()
    }

    fn is_alive(&self, eui64: Eui64, now_ms: i64) -> bool {
        let heard_ms = self.nodes.get(&eui64).and_then(|seen| seen.heard_ms);
        heard_ms.is_some_and(|heard_ms| now_ms.saturating_sub(heard_ms) < ALIVE_MS)
    }

    /// Every node that is known of, by its address.
    pub fn lines(&self, network: &Network, member: impl Fn(Eui64) -> Option<Member>, now_ms: i64) -> Vec<NodeLine> {
        let mut known: Vec<Eui64> = network.listed().keys().copied().collect();
        known.extend(network.members().map(|member| member.eui64));
        known.extend(self.unlisted.keys());
        known.sort_unstable();
        known.dedup();
        known.into_iter().map(|eui64| self.line(eui64, network, member(eui64), now_ms)).collect()
    }

    fn line(&self, eui64: Eui64, network: &Network, member: Option<Member>, now_ms: i64) -> NodeLine {
        let nothing = Seen::default();
        let seen = self.nodes.get(&eui64).unwrap_or(&nothing);
        let listed = network.listed().get(&eui64);
        let is_joined = member.is_some_and(|member| member.is_joined);
        let presence = match listed {
            _ if is_joined && self.is_alive(eui64, now_ms) => NodePresence::Alive,
            _ if is_joined => NodePresence::Routed,
            Some(listed) if listed.is_denied => NodePresence::Denied,
            Some(_) if member.is_some_and(|member| member.was_joined()) => NodePresence::Lost,
            Some(_) => NodePresence::Listed,
            None => NodePresence::Unlisted,
        };
        let neighbour = member.and_then(|member| self.neighbours.get(&member.short_addr));
        // The last hop is the one to the node itself.
        let last_hop = seen.path.as_ref().and_then(|(_, hops)| hops.split_last());
        let parents = seen
            .parents
            .iter()
            .map(|(since_ms, next_hop)| ParentLine { since_ms: *since_ms, next_hop: short(*next_hop) });
        NodeLine {
            eui64: eui64.to_string(),
            short_addr: member.map(|member| short(member.short_addr)),
            meter: listed.map_or_else(String::new, |listed| listed.meter.clone()),
            presence,
            joined_ms: seen.joined_ms.filter(|_| is_joined),
            heard_ms: seen.heard_ms,
            lqi: seen.lqi,
            hops: seen.hops,
            next_hop: seen.parents.back().map(|(_, next_hop)| short(*next_hop)),
            weak_links: seen.weak_links,
            parent: last_hop.map(|(_, before)| short(before.last().map_or(COORDINATOR, |hop| hop.short_addr))),
            medium: seen
                .medium
                .or(last_hop.map(|(last, _)| last.medium_rx))
                .map(|medium| self::medium(medium).to_owned()),
            lqi_forward: neighbour.map(|neighbour| neighbour.lqi),
            modulation_type: neighbour.map(|neighbour| neighbour.modulation_type),
            modulation_scheme: neighbour.map(|neighbour| neighbour.modulation_scheme),
            phase_differential: last_hop
                .map(|(last, _)| last.phase_differential)
                .or(neighbour.map(|neighbour| neighbour.phase_differential)),
            joins: seen.joins,
            losses: seen.losses,
            key_generation: member.map(|member| member.key_generation),
            failure: seen.failure.clone(),
            asked_ms: seen.asked_ms.or_else(|| self.unlisted.get(&eui64).copied()),
            parents: parents.collect(),
            traced_ms: seen.path.as_ref().map(|(traced_ms, _)| *traced_ms),
            path: seen.path.iter().flat_map(|(_, hops)| hops).map(hop_line).collect(),
        }
    }

    /// The routing table as it was read last.
    pub fn route_lines(&self, network: &Network, eui64: impl Fn(u16) -> Option<Eui64>) -> Vec<RouteLine> {
        let line = |route: &Route| {
            let node = eui64(route.destination);
            RouteLine {
                destination: short(route.destination),
                eui64: node.map(|eui64| eui64.to_string()),
                meter: node
                    .and_then(|eui64| network.listed().get(&eui64))
                    .map_or_else(String::new, |n| n.meter.clone()),
                next_hop: short(route.next_hop),
                cost: route.route_cost,
                hops: route.hop_count,
                weak_links: route.weak_link_count,
                medium: route.medium.map(|medium| self::medium(medium).to_owned()),
                valid_min: route.valid_time,
            }
        };
        self.routes.iter().map(line).collect()
    }
}

impl Seen {
    fn goes_by(&mut self, next_hop: u16, now_ms: i64) {
        if self.parents.back().is_some_and(|(_, last)| *last == next_hop) {
            return;
        }
        if self.parents.len() >= PARENTS {
            self.parents.pop_front();
        }
        self.parents.push_back((now_ms, next_hop));
        // It was traced on another way.
        self.path = None;
    }
}

/// A traced path, for people and scripts.
pub fn path_line(eui64: Eui64, path: &Path) -> PathLine {
    PathLine {
        node: eui64.to_string(),
        short_addr: short(path.destination),
        forward: path.forward.iter().map(hop_line).collect(),
        reverse: path.reverse.iter().map(hop_line).collect(),
    }
}

fn hop_line(hop: &Hop) -> HopLine {
    HopLine {
        short_addr: short(hop.short_addr),
        link_cost: hop.link_cost,
        phase_differential: hop.phase_differential,
        medium: medium(hop.medium_rx).to_owned(),
    }
}

fn short(short_addr: u16) -> String {
    format!("{short_addr:04x}")
}

const fn medium(medium: u8) -> &'static str {
    if medium == 0 { "plc" } else { "rf" }
}

/// Nodes that asked and are not listed: anybody can pretend to be some.
const UNLISTED: usize = 256;
const PARENTS: usize = 32;
const COORDINATOR: u16 = 0;
const ALIVE_MS: i64 = 3_600_000;

#[cfg(test)]
mod tests {
    use plc::Key;
    use plc::g3::bootstrap::{Failure, Ring};

    use super::*;

    #[test]
    fn presence_follows_what_is_said_and_heard() {
        let directory = tempfile::tempdir().unwrap();
        let mut network = Network::open(directory.path(), Ring::new(Key([1; 16]))).unwrap();
        let eui64 = |number: u64| Eui64(number.to_be_bytes());
        network.import((1..5).map(|number| (eui64(number), Key([2; 16]), format!("m{number}")))).unwrap();
        network.deny(eui64(4), true).unwrap();
        let mut mesh = Mesh::default();
        let member = |eui64: Eui64, is_joined| Member {
            eui64,
            short_addr: 7,
            is_joined,
            is_assigned: false,
            key_generation: 1,
            active_generation: 1,
        };
        // The third has an address, and never joined.
        let failed = Member { is_assigned: true, active_generation: 0, ..member(eui64(3), false) };
        let known = [member(eui64(1), true), member(eui64(2), false), failed];
        let members = BTreeMap::from(known.map(|member| (member.eui64, member)));
        mesh.note(&Event::Joined { eui64: eui64(1), short_addr: 7 }, &network, 1000);
        mesh.note(&Event::Left { eui64: eui64(2) }, &network, 1000);
        mesh.note(&Event::JoinFailed { eui64: eui64(3), why: Failure::NoAnswer }, &network, 1000);
        for number in 1000..2000 {
            mesh.note(&Event::Refused { eui64: eui64(number), is_declined: false }, &network, number as i64);
        }
        assert_eq!(mesh.unlisted(), UNLISTED);
        let presences = |now_ms| {
            let lines = mesh.lines(&network, |eui64| members.get(&eui64).copied(), now_ms);
            lines.iter().take(5).map(|line| line.presence).collect::<Vec<_>>()
        };
        use NodePresence::{Alive, Denied, Listed, Lost, Routed, Unlisted};
        assert_eq!(presences(2000), [Alive, Lost, Listed, Denied, Unlisted]);
        assert_eq!(presences(2000 + ALIVE_MS), [Routed, Lost, Listed, Denied, Unlisted]);
        assert_eq!(mesh.alive(members.values().copied(), 2000), 1);
    }

    #[test]
    fn the_last_changes_of_a_route_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let network = Network::open(directory.path(), Ring::new(Key([1; 16]))).unwrap();
        let mut mesh = Mesh::default();
        let node = Eui64([1; 8]);
        for at in 0..100u16 {
            let route = Route {
                destination: 9,
                next_hop: at / 2,
                route_cost: 3,
                hop_count: 2,
                weak_link_count: 1,
                medium: Some(1),
                valid_time: 30,
            };
            mesh.set_routes(vec![route], |short_addr| (short_addr == 9).then_some(node), i64::from(at));
        }
        let line = mesh.line(node, &network, None, 0);
        assert_eq!((line.parents.len(), line.next_hop.as_deref(), line.hops), (PARENTS, Some("0031"), Some(2)));
        let routes = mesh.route_lines(&network, |_| Some(node));
        assert_eq!((routes[0].medium.as_deref(), routes[0].next_hop.as_str()), (Some("rf"), "0031"));
    }
}
