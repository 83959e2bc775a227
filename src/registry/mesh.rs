//! What is seen of a network's nodes: when they were heard, what failed, and how it is told. When they were heard outlives
//! the process (`heard_log`) and nothing else of it; what must is in `network`, and routes are `plc::route`'s.
//!
//! A node is *routed* when the network says so and *alive* when something of it was heard: two things.

use std::collections::BTreeMap;

use plc::Eui64;
use plc::g3::adp::Path;
use plc::g3::bootstrap::{Event, Member};
use plc::g3::pib::{Neighbour, Route};
use plc::route::{Entry, Link, Medium, Routes, Way, What};

use super::heard_log::Sighting;
use super::network::Network;
use crate::control::{
    AlternateLine, ChangeLine, HopLine, NodeLine, NodePresence, ParentLine, PathLine, RouteHistory, RouteLine,
};

/// What is seen of all nodes of one network.
#[derive(Debug, Default)]
pub struct Mesh {
    nodes: BTreeMap<Eui64, Seen>,
    /// Nodes that asked and are not listed, and when; the oldest goes when there are too many.
    unlisted: BTreeMap<Eui64, i64>,
    /// The coordinator's routing table, as it was read last.
    table: Vec<Route>,
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
}

impl Mesh {
    /// Something came from a node.
    pub fn heard(&mut self, eui64: Eui64, lqi: u8, now_ms: i64) {
        let seen = self.nodes.entry(eui64).or_default();
        seen.heard_ms = Some(now_ms);
        seen.lqi = Some(lqi);
    }

    /// When a node was heard before the process began.
    pub fn restore(&mut self, eui64: Eui64, sighting: Sighting) {
        let seen = self.nodes.entry(eui64).or_default();
        let ms = |at_s: u32| i64::from(at_s) * 1_000;
        seen.heard_ms = seen.heard_ms.or(Some(ms(sighting.heard_s)));
        seen.joined_ms = seen.joined_ms.or(Some(ms(sighting.joined_s)).filter(|joined_ms| *joined_ms > 0));
        seen.lqi = seen.lqi.or(sighting.lqi);
    }

    /// When all nodes were heard.
    pub fn sightings(&self) -> impl Iterator<Item = (Eui64, Sighting)> {
        let seconds = |ms: i64| u32::try_from(ms.div_euclid(1_000)).unwrap_or_default();
        self.nodes.iter().filter_map(move |(eui64, seen)| {
            let joined_s = seen.joined_ms.map_or(0, seconds);
            Some((*eui64, Sighting { heard_s: seconds(seen.heard_ms?), joined_s, lqi: seen.lqi }))
        })
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
    pub fn set_table(&mut self, rows: Vec<Route>) {
        self.table = rows;
    }

    /// The row of a node in that table, and its place: behind the last one where it has none.
    pub fn row_of(&self, short_addr: u16) -> (usize, Option<&Route>) {
        let place = self.table.iter().position(|route| route.destination == short_addr);
        place.map_or((self.table.len(), None), |place| (place, self.table.get(place)))
    }

    /// Whether the rows of that table have a medium: those of older firmware have none. None: there is no row.
    pub fn rows_say_medium(&self) -> Option<bool> {
        self.table.first().map(|route| route.medium.is_some())
    }

    /// Whether the coordinator speaks with a node without a hop between.
    pub fn is_neighbour(&self, short_addr: u16) -> bool {
        let is_first = |route: &Route| route.next_hop == short_addr;
        self.neighbours.contains_key(&short_addr) || self.table.iter().any(is_first)
    }

    /// Of a neighbour of the coordinator, sixths of a turn from the phase of that.
    pub fn neighbour_phase(&self, short_addr: u16) -> Option<u8> {
        self.neighbours.get(&short_addr).map(|neighbour| neighbour.phase_differential % 6)
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
        // A clock that was set back, or is not set yet, makes nobody alive who was heard long before.
        heard_ms.is_some_and(|heard_ms| now_ms.saturating_sub(heard_ms).saturating_abs() < ALIVE_MS)
    }

    /// Every node that is known of, by its address.
    pub fn lines(
        &self,
        network: &Network,
        member: impl Fn(Eui64) -> Option<Member>,
        routes: &Routes,
        now_ms: i64,
    ) -> Vec<NodeLine> {
        let mut known: Vec<Eui64> = network.listed().keys().copied().collect();
        known.extend(network.members().map(|member| member.eui64));
        known.extend(self.unlisted.keys());
        known.sort_unstable();
        known.dedup();
        known.into_iter().map(|eui64| self.line(eui64, network, member(eui64), routes, now_ms)).collect()
    }

    fn line(&self, eui64: Eui64, network: &Network, member: Option<Member>, routes: &Routes, now_ms: i64) -> NodeLine {
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
        let way = member.and_then(|member| routes.way(member.short_addr));
        let trace = member.and_then(|member| routes.trace(member.short_addr));
        // The last hop is the one to the node itself.
        let last_hop = trace.and_then(|(_, links)| links.split_last());
        let changes = member.into_iter().flat_map(|member| routes.history(member.short_addr));
        NodeLine {
            eui64: eui64.to_string(),
            short_addr: member.map(|member| short(member.short_addr)),
            meter: listed.map_or_else(String::new, |listed| listed.meter.clone()),
            electricity_meter: None,
            presence,
            outage: None,
            is_unreachable: false,
            joined_ms: seen.joined_ms.filter(|_| is_joined),
            heard_ms: seen.heard_ms,
            lqi: seen.lqi,
            hops: way.map(|way| way.hops),
            next_hop: way.map(|way| short(way.next_hop)),
            weak_links: way.map(|way| way.weak_links),
            parent: last_hop.map(|(_, before)| short(before.last().map_or(COORDINATOR, |link| link.node))),
            medium: way
                .and_then(|way| way.medium)
                .or(last_hop.map(|(last, _)| last.medium))
                .map(|medium| self::medium(medium).to_owned()),
            lqi_forward: neighbour.map(|neighbour| neighbour.lqi),
            modulation_type: neighbour.map(|neighbour| neighbour.modulation_type),
            modulation_scheme: neighbour.map(|neighbour| neighbour.modulation_scheme),
            phase_differential: last_hop
                .map(|(last, _)| last.phase)
                .or(neighbour.map(|neighbour| neighbour.phase_differential)),
            joins: seen.joins,
            losses: seen.losses,
            counted_since_ms: None,
            key_generation: member.map(|member| member.key_generation),
            failure: seen.failure.clone(),
            asked_ms: seen.asked_ms.or_else(|| self.unlisted.get(&eui64).copied()),
            parents: parents(changes),
            traced_ms: trace.map(|(traced_ms, _)| traced_ms),
            path: trace.iter().flat_map(|(_, links)| *links).map(hop_line).collect(),
            fault: member.and_then(|member| routes.fault(member.short_addr)).map(|why| why.name().to_owned()),
            is_blacklisted: member.is_some_and(|member| routes.is_blacklisted(member.short_addr)),
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
                medium: route.medium.map(|medium| self::medium(Medium::of(medium)).to_owned()),
                valid_min: route.valid_time,
            }
        };
        self.table.iter().map(line).collect()
    }
}

/// All that is known of the routes to a node.
pub fn route_history(member: Member, meter: &str, routes: &Routes) -> RouteHistory {
    let node = member.short_addr;
    let way = routes.way(node);
    let alternates = routes.alternates(node).into_iter().map(|it| AlternateLine {
        next_hop: short(it.way.next_hop),
        hops: it.way.hops,
        cost: it.way.cost,
        weak_links: it.way.weak_links,
        medium: it.way.medium.map(|medium| self::medium(medium).to_owned()),
        answered: it.answered,
        failed: it.failed,
        score: it.score(),
        seen_ms: it.seen_ms,
        is_current: way.is_some_and(|way| way.next_hop == it.way.next_hop),
    });
    let change = |entry: &Entry| {
        let (next_hop, hops) = match entry.what {
            What::Way(Way { next_hop, hops, .. }) => (Some(next_hop), Some(hops)),
            What::Pinned { next_hop } | What::Stays { next_hop } | What::MayStay { next_hop } => (Some(next_hop), None),
            What::Searched { most_hops } => (None, Some(most_hops)),
            _ => (None, None),
        };
        ChangeLine {
            at_ms: at_ms(entry),
            what: entry.what.name().to_owned(),
            why: entry.why.name().to_owned(),
            next_hop: next_hop.map(short),
            hops,
            refusal: match entry.what {
                What::Refused(Some(refusal)) => Some(refusal.to_string()),
                What::Refused(None) => Some("too much to do".to_owned()),
                _ => None,
            },
        }
    };
    let trace = routes.trace(node).map(|(_, links)| links);
    let of_way = trace.filter(|links| way.is_some_and(|way| links.first().is_some_and(|it| it.node == way.next_hop)));
    RouteHistory {
        node: member.eui64.to_string(),
        short_addr: short(node),
        meter: meter.to_owned(),
        next_hop: way.map(|way| short(way.next_hop)),
        hops: way.map(|way| way.hops),
        traced_hops: of_way.and_then(|links| u8::try_from(links.len()).ok()),
        fault: routes.fault(node).map(|why| why.name().to_owned()),
        held: routes.pin(node).map(short),
        is_blacklisted: routes.is_blacklisted(node),
        alternates: alternates.collect(),
        changes: routes.history(node).map(change).collect(),
    }
}

/// A way that was gone for a while and goes over the same neighbour again is no other parent.
fn parents<'a>(changes: impl Iterator<Item = &'a Entry>) -> Vec<ParentLine> {
    let mut parents: Vec<ParentLine> = Vec::new();
    for entry in changes {
        let next_hop = match entry.what {
            What::Way(way) => Some(short(way.next_hop)),
            What::Gone => None,
            _ => continue,
        };
        let last = parents.last_mut();
        match (last, next_hop) {
            (Some(last), Some(next_hop)) if last.next_hop == next_hop => last.until_ms = None,
            (last, next_hop) => {
                let open = last.filter(|last| last.until_ms.is_none());
                open.into_iter().for_each(|last| last.until_ms = Some(at_ms(entry)));
                let parent = next_hop.map(|next_hop| ParentLine { since_ms: at_ms(entry), next_hop, until_ms: None });
                parents.extend(parent);
            }
        }
    }
    parents
}

fn at_ms(entry: &Entry) -> i64 {
    i64::from(entry.at_s) * 1_000
}

/// A traced path, for people and scripts.
pub fn path_line(eui64: Eui64, path: &Path) -> PathLine {
    PathLine {
        node: eui64.to_string(),
        short_addr: short(path.destination),
        forward: path.forward.iter().map(|hop| hop_line(&hop.into())).collect(),
        reverse: path.reverse.iter().map(|hop| hop_line(&hop.into())).collect(),
    }
}

fn hop_line(link: &Link) -> HopLine {
    HopLine {
        short_addr: short(link.node),
        link_cost: link.cost,
        phase_differential: link.phase,
        medium: medium(link.medium).to_owned(),
    }
}

fn short(short_addr: u16) -> String {
    format!("{short_addr:04x}")
}

const fn medium(medium: Medium) -> &'static str {
    match medium {
        Medium::Plc => "plc",
        Medium::Rf => "rf",
    }
}

/// Nodes that asked and are not listed: anybody can pretend to be some.
const UNLISTED: usize = 256;
const COORDINATOR: u16 = 0;
const ALIVE_MS: i64 = 3_600_000;

#[cfg(test)]
mod tests {
    use plc::Key;
    use plc::g3::bootstrap::{Failure, Ring};
    use plc::route::{Limits, Now};

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
            let lines = mesh.lines(&network, |eui64| members.get(&eui64).copied(), &no_routes(), now_ms);
            lines.iter().take(5).map(|line| line.presence).collect::<Vec<_>>()
        };
        use NodePresence::{Alive, Denied, Listed, Lost, Routed, Unlisted};
        assert_eq!(presences(2000), [Alive, Lost, Listed, Denied, Unlisted]);
        assert_eq!(presences(2000 + ALIVE_MS), [Routed, Lost, Listed, Denied, Unlisted]);
        assert_eq!(mesh.alive(members.values().copied(), 2000), 1);
    }

    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    fn no_routes() -> Routes {
        Routes::new(Limits::of(10, 8), Now { mono: std::time::Instant::now(), utc_ms: 0 })
    }

    #[test]
    fn who_is_the_parent_again_is_told_once() {
        let way = |next_hop| What::Way(Way { next_hop, hops: 2, cost: 9, weak_links: 0, medium: None });
        let changes = [way(0x3f), What::Gone, way(0x3f), What::Faulty, way(0x3f), way(7), way(0x3f)];
        let entries: Vec<Entry> =
            (1..).zip(changes).map(|(at_s, what)| Entry { at_s, what, why: plc::route::Why::Modem }).collect();
        let told = |entries: &[Entry]| -> Vec<_> {
            parents(entries.iter()).into_iter().map(|it| (it.since_ms, it.next_hop, it.until_ms)).collect()
        };
        let [first, second] = [(1_000, "003f".to_owned(), Some(6_000)), (6_000, "0007".to_owned(), Some(7_000))];
        assert_eq!(told(&entries), [first, second, (7_000, "003f".to_owned(), None)]);
        assert_eq!(told(&entries[..2]), [(1_000, "003f".to_owned(), Some(2_000))]);
    }

    #[test]
    fn the_last_changes_of_a_route_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let network = Network::open(directory.path(), Ring::new(Key([1; 16]))).unwrap();
        let (mut mesh, mut routes) = (Mesh::default(), no_routes());
        let eui64 = Eui64([1; 8]);
        let (short_addr, key_generation) = (9, 1);
        let member =
            Member { eui64, short_addr, is_joined: true, is_assigned: false, key_generation, active_generation: 1 };
        #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
        let mono = std::time::Instant::now();
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
            let mono = mono + std::time::Duration::from_secs(3_600) * u32::from(at);
            routes.table([(9, Way::from(&route))], Now { mono, utc_ms: i64::from(at) * 1_000 });
            mesh.set_table(vec![route]);
        }
        let line = mesh.line(eui64, &network, Some(member), &routes, 0);
        assert_eq!((line.parents.len(), line.next_hop.as_deref(), line.hops), (32, Some("0031"), Some(2)));
        let lines = mesh.route_lines(&network, |_| Some(eui64));
        assert_eq!((lines[0].medium.as_deref(), lines[0].next_hop.as_str()), (Some("rf"), "0031"));
        let history = route_history(member, "meter 9", &routes);
        assert_eq!((history.changes.len(), history.alternates.len(), history.hops), (32, 4, Some(2)));
        let last = history.changes.last().unwrap();
        assert_eq!((last.at_ms, last.why.as_str(), last.next_hop.as_deref()), (98_000, "modem", Some("0031")));
    }
}
