//! What is seen of ways: the rows of the modem's routing table, and traced paths.

use std::collections::BTreeMap;

use super::history::{What, Why};
use super::node::is_circular;
use super::way::{Link, Way};
use super::{Action, Limits, Now, Routes};

impl Routes {
    /// The whole routing table of the coordinator, as it was read.
    pub fn table(&mut self, rows: impl IntoIterator<Item = (u16, Way)>, now: Now) {
        let rows: BTreeMap<u16, Way> = rows.into_iter().collect();
        let gone = self.nodes.iter().filter(|(node, known)| known.way.is_some() && !rows.contains_key(node));
        for node in gone.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.gone(node, now);
        }
        let is_first = std::mem::take(&mut self.is_fresh);
        for (node, way) in rows {
            self.goes(node, way, now);
        }
        // What was blacklisted before anybody knew where routes go.
        if is_first {
            self.go_round_all_banned(now);
        }
    }

    fn gone(&mut self, node: u16, now: Now) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        known.way = None;
        let why = match known.failures {
            _ if self.is_fresh => Why::Started,
            _ if known.in_vain > 0 => Why::NoRoute,
            0 => Why::Expired,
            _ => Why::NoAnswer,
        };
        let why = known.cause.filter(|why| *why == Why::NoRoute).unwrap_or(why);
        self.note(node, What::Gone, why, now);
    }

    /// The modem has this way to a node now.
    pub fn goes(&mut self, node: u16, way: Way, now: Now) {
        let Limits { flaps, flap_time, check_every, .. } = self.limits;
        let hop_medium = self.nodes.get(&node).and_then(|known| known.pin).and_then(|pin| self.hop_medium(pin));
        let known = self.nodes.entry(node).or_default();
        let before = known.way;
        known.goes(way, now.utc_ms);
        // Nobody knows when it was used last.
        known.check_at.get_or_insert(now.mono + check_every / 2);
        if let Some(next_hop) = known.pin.filter(|pin| *pin != way.next_hop) {
            let held = known.alternates.iter().find(|it| it.way.next_hop == next_hop).map(|it| it.way);
            // What it costs over there nobody knows before the first frame went.
            let medium = hop_medium.or(way.medium);
            let way = held.unwrap_or(Way { next_hop, hops: way.hops.max(2), medium, ..way });
            known.put = Some((next_hop, Why::Asked));
            self.actions.push_back(Action::Pin { node, way });
        }
        let is_same = before.is_some_and(|before| way.is_over_the_hop_of(&before));
        if is_same {
            known.put.take_if(|(next_hop, _)| *next_hop == way.next_hop);
            if known.fault.is_none() && known.search.is_none() {
                known.cause = None;
            }
            return;
        }
        // It was traced on another way.
        if known.trace.as_ref().is_some_and(|(_, links)| links.first().is_none_or(|link| link.node != way.next_hop)) {
            known.trace = None;
        }
        let put = known.put.take_if(|(next_hop, _)| *next_hop == way.next_hop).map(|(_, why)| why);
        let cause = known.cause_of_change(now.mono);
        if put.is_none() && cause == Some(Why::Asked) {
            known.found = known.found.saturating_sub(1);
        }
        let why = put.or(cause).unwrap_or(Why::Modem);
        let mut is_flapping = false;
        if before.is_some() && !matches!(why, Why::Asked | Why::Blacklisted | Why::ByAnother) {
            known.changes.retain(|at| *at + flap_time > now.mono);
            known.changes.push_back(now.mono);
            is_flapping = known.changes.len() >= flaps;
            if is_flapping {
                known.changes.clear();
            }
        }
        self.note(node, What::Way(way), why, now);
        self.go_round_banned(node, now);
        if is_flapping {
            self.note(node, What::Faulty, Why::Flapping, now);
            self.flaps(node, now);
        }
    }

    /// A path that was traced, the coordinator's neighbour first; None where none was found.
    pub fn traced(&mut self, node: u16, path: Option<&[Link]>, now: Now) {
        if self.trace.is_some_and(|(traced, _)| traced == node) {
            self.trace = None;
        }
        let Some(links) = path.filter(|links| !links.is_empty()) else { return };
        let most_hops = usize::from(self.limits.max_hops);
        let known = self.nodes.entry(node).or_default();
        let via = links.first().map(|link| (link.node, link.medium));
        let is_circular = is_circular(links) || links.len() > most_hops;
        let links = links.get(..links.len().min(most_hops)).unwrap_or_default();
        known.trace = Some((now.utc_ms, links.to_vec()));
        if is_circular {
            return self.found_bad(node, Why::Circular, now);
        }
        // The table may have changed since it was read.
        if let Some((next_hop, medium)) = via.filter(|via| known.way.is_none_or(|way| way.next_hop != via.0)) {
            let way = Way {
                next_hop,
                hops: links.len() as u8,
                cost: links.iter().map(|link| u16::from(link.cost)).sum(),
                weak_links: 0,
                medium: Some(medium),
            };
            self.goes(node, way, now);
        } else if let Some(way) = known.way.as_mut().filter(|way| way.hops == 0) {
            // The row does not count them; what it counts is told as it is, and the path beside it.
            way.hops = links.len() as u8;
        }
    }

    /// The modem has noticed that frames to this node went round (the maker's own attribute).
    pub fn went_round(&mut self, node: u16, now: Now) {
        if self.nodes.get(&node).is_some_and(|known| known.fault != Some(Why::Circular)) {
            self.found_bad(node, Why::Circular, now);
        }
    }
}
