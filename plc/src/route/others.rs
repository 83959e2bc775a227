//! Searches that others do. A request for a route that the coordinator sends bends the ways home of all that hear it, over
//! links that carry it one way alone perhaps, and meters find that out one after the other, when they are asked. One that a
//! neighbour sends bends only ways to that neighbour, which nobody goes. A node looks for a way to whatever it is to pass on
//! and has none for (G.9903 annex D: as a repair, in its own name), so the route of a node that was lost is put over a
//! neighbour that answers: what goes that way makes the neighbour look for it. Where the way that it finds comes back
//! through the coordinator, the coordinator has learned it from the reply, which came by. While few are waited for neighbours
//! go on looking, with rests between, for hours before the coordinator does; whoever cannot wait asks for a search.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::history::Why;
use super::node::Known;
use super::{Action, Failure, Now, Routes, Way};

impl Routes {
    /// Has a node looked for by a neighbour that has no way to it; false where there is none, or enough of them have tried:
    /// one less where nothing was answered, as it may be the way home that is lost, which the coordinator's own request
    /// mends. Until there is airtime for it the way that was there is put back.
    pub(super) fn look_by_another(&mut self, node: u16, failure: Failure, now: Now) -> bool {
        let most = match failure {
            Failure::NoRoute { searched: true } => 0,
            Failure::NoRoute { searched: false } => self.limits.others,
            Failure::NoAnswer => self.limits.others.saturating_sub(1),
        };
        let Some(way) = self.way_by_another(node, most, now) else { return false };
        let (flood, patience) = (self.limits.flood(self.limits.max_hops), self.limits.patience);
        let is_paid = self.searches.has(flood, now.mono);
        let Some(known) = self.nodes.get_mut(&node) else { return false };
        if failure == Failure::NoAnswer {
            known.failures = 0;
        }
        if !is_paid {
            // Of whom nothing is known there is nothing to put back: it waits.
            let Some(way) = known.last_way() else { return true };
            known.put = Some((way.next_hop, Why::PutBack));
            self.actions.push_back(Action::PutBack { node, way });
            return true;
        }
        if !known.others.contains(&way.next_hop) {
            known.others.push(way.next_hop);
        }
        known.looked += 1;
        known.own_at.get_or_insert(now.mono + patience.saturating_mul(1 << known.in_vain.min(LONGEST)));
        known.others_before.retain(|(_, at)| *at + REMEMBERED > now.mono);
        known.others_before.push((way.next_hop, now.mono));
        (known.put, known.is_with_another) = (Some((way.next_hop, Why::ByAnother)), true);
        self.searches.spend(flood);
        self.counts.by_others += 1;
        self.actions.push_back(Action::ByAnother { node, way });
        true
    }

    /// Few are waited for: the searches of neighbours are all that is done for a node at first.
    pub(super) fn is_leisurely(&self) -> bool {
        self.limits.others > 0 && !self.is_read()
    }

    /// Whether a node that neighbours have not found is left alone for a while, before others look for it. Most of those
    /// nobody can reach, and each request of the coordinator's own for one of them bends the ways home of a fifth of all,
    /// who are asked in vain for it; where many are waited for, the read is over the sooner for it nevertheless.
    pub(super) fn rests(&mut self, node: u16, failure: Failure, now: Now) -> bool {
        if !self.is_leisurely() || failure == (Failure::NoRoute { searched: true }) {
            return false;
        }
        let rest = self.limits.rest;
        let is_open = |known: &&mut Known| known.fault.is_none() && known.search.is_none();
        let Some(known) = self.nodes.get_mut(&node).filter(is_open) else { return false };
        let is_left_alone = known.not_before.is_some_and(|at| at > now.mono);
        if is_left_alone || known.own_at.is_none() {
            return is_left_alone;
        }
        known.not_before = Some(now.mono + rest.saturating_mul(1 << known.rests.min(LONGEST)));
        known.rests = known.rests.saturating_add(1);
        known.looked = 0;
        true
    }

    /// Whether it is not the coordinator's turn yet to look for a node.
    pub(super) fn is_left_to_others(&self, node: u16) -> bool {
        self.is_leisurely() && self.nodes.get(&node).is_some_and(|known| known.own_at.is_some())
    }

    /// Others have looked long enough.
    pub(super) fn end_patience(&mut self, now: Now) {
        let over = self.nodes.iter().filter(|(_, known)| known.own_at.is_some_and(|at| at <= now.mono));
        for node in over.map(|(node, _)| *node).collect::<Vec<_>>() {
            let Some(known) = self.nodes.get_mut(&node) else { continue };
            (known.own_at, known.not_before) = (None, None);
            if known.fault.is_none() && known.search.is_none() {
                self.found_bad(node, Why::NoRoute, now);
            }
        }
    }

    pub(super) fn patience_until(&self) -> Option<Instant> {
        self.nodes.values().filter_map(|known| known.own_at).min()
    }

    /// Whether somebody else is to look for a node before the coordinator does.
    pub(super) fn has_another(&self, node: u16, now: Now) -> bool {
        self.way_by_another(node, self.limits.others, now).is_some()
    }

    /// Whether the modem has a way to a node over somebody else than this neighbour, who is not to look for it.
    pub fn goes_elsewhere(&self, node: u16, next_hop: u16) -> bool {
        let known = self.nodes.get(&node).and_then(|known| Some((known, known.way?)));
        known.is_some_and(|(known, way)| way.next_hop != next_hop && !known.others.contains(&way.next_hop))
    }

    fn way_by_another(&self, node: u16, most: usize, now: Now) -> Option<Way> {
        let is_open = |known: &&Known| {
            known.fault.is_none() && known.pin.is_none() && known.looked < most && known.search.is_none()
        };
        let nothing = Known::default();
        let known = self.nodes.get(&node).unwrap_or(&nothing);
        let known = Some(known).filter(|_| self.is_up && !self.is_locked).filter(is_open)?;
        if known.not_before.is_some_and(|at| at > now.mono) {
            return None;
        }
        let next_hop = self.another(node, known, now)?;
        let hops = known.hops().unwrap_or(1).saturating_add(1).clamp(2, self.limits.max_hops.max(2));
        Some(Way { next_hop, hops, cost: 0, weak_links: 0, medium: self.hop_medium(next_hop) })
    }

    /// Who is to look for a node: the first hop of most of those that were reached by the same ones as it, or of most of
    /// all; nobody who may know a way to it, as that may come through the coordinator, and it would go round: who was its
    /// first hop, or was made to look for it and has not forgotten.
    fn another(&self, node: u16, known: &Known, now: Now) -> Option<u16> {
        let own: BTreeSet<u16> = known.first_hops().collect();
        let is_good = |hop: &u16| {
            let is_sound = |it: &Known| it.fault.is_none() && it.failures == 0;
            let is_neighbour = |it: &Known| it.way.is_some_and(|way| way.next_hop == *hop);
            let looked = |(before, at): &(u16, Instant)| before == hop && *at + REMEMBERED > now.mono;
            let knows = |hop: &u16| own.contains(hop) || known.others_before.iter().any(looked);
            let is_new = *hop != node && !knows(hop) && !self.blacklist.contains(hop);
            is_new && self.nodes.get(hop).is_some_and(|it| is_sound(it) && is_neighbour(it))
        };
        let (mut near, mut branches) = (BTreeMap::<u16, usize>::new(), BTreeMap::<u16, usize>::new());
        for other in self.nodes.values() {
            if other.first_hops().any(|hop| own.contains(&hop)) {
                other.first_hops().for_each(|hop| *near.entry(hop).or_default() += 1);
            }
            other.way.iter().for_each(|way| *branches.entry(way.next_hop).or_default() += 1);
        }
        let used = |hop: u16| self.nodes.get(&hop).and_then(|it| it.check_at);
        let most = |counted: &BTreeMap<u16, usize>| {
            let good = counted.iter().filter(|(hop, _)| is_good(hop));
            good.max_by_key(|(hop, count)| (**count, used(**hop))).map(|(hop, _)| *hop)
        };
        most(&near).or_else(|| most(&branches))
    }
}

/// A time is doubled so often.
const LONGEST: u32 = 4;
/// Meters forget a route that they did not use for six hours (adpRoutingTableEntryTTL); what is asked in vain uses it.
const REMEMBERED: Duration = Duration::from_secs(12 * 3_600);
