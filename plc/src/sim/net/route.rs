//! The routes of one node, as LOADng for G3-PLC keeps them (ITU-T G.9903, annex D). Only tables: who sends what when is
//! in `routing`.

use std::collections::BTreeMap;

use super::message::{NodeNo, Rank};
use super::phy::{Medium, Micros};

#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) next: NodeNo,
    pub(super) medium: usize,
    pub(super) rank: Rank,
    sequence: u16,
    pub(super) until: Micros,
    /// A frame went this way and was acknowledged, or a reply came by it; before that it is used for replies alone.
    is_confirmed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    limit: usize,
    ttl: Micros,
    routes: BTreeMap<NodeNo, Route>,
    /// What of a request was heard, so that only a better copy goes on.
    seen: BTreeMap<(NodeNo, u16), Seen>,
    blacklist: BTreeMap<NodeNo, Micros>,
    sequence: u16,
}

/// The copies of one request that a node heard.
#[derive(Debug, Clone, Copy)]
struct Seen {
    best: Rank,
    /// A copy waits for its turn to be passed on.
    is_pending: bool,
    /// Copies from close by that made passing it on needless.
    redundant: u8,
    until: Micros,
}

/// What a copy of a request is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    First,
    /// A better way than all before.
    Better,
    /// Better than the one that waits for its turn, which it replaces.
    Replaces,
    None,
}

impl Table {
    /// With room for so many routes, which are forgotten when they were not used for `ttl`.
    pub(super) fn new(limit: usize, ttl: Micros) -> Self {
        let (routes, seen, blacklist) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { limit, ttl, routes, seen, blacklist, sequence: 0 }
    }

    pub(super) fn to(&self, dest: NodeNo, now: Micros) -> Option<&Route> {
        self.back_to(dest, now).filter(|route| route.is_confirmed)
    }

    /// The way that a request came, too.
    pub(super) fn back_to(&self, dest: NodeNo, now: Micros) -> Option<&Route> {
        self.routes.get(&dest).filter(|route| route.until > now)
    }

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    /// All is forgotten but the sequence number, which is stored.
    pub(super) fn clear(&mut self) {
        *self = Self { sequence: self.sequence, ..Self::new(self.limit, self.ttl) };
    }

    pub(super) fn next_sequence(&mut self) -> u16 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Takes a route where it is newer, or as new and better, than what is known. Of those that nobody has used the
    /// oldest makes room, then of all.
    pub(super) fn learn(
        &mut self,
        dest: NodeNo,
        hop: (NodeNo, usize),
        rank: Rank,
        (sequence, is_reply): (u16, bool),
        now: Micros,
    ) {
        let is_worse = self.back_to(dest, now).is_some_and(|known| {
            let age = sequence.wrapping_sub(known.sequence);
            age > u16::MAX / 2 || (age == 0 && known.rank <= rank)
        });
        if is_worse {
            return;
        }
        if self.routes.len() >= self.limit && !self.routes.contains_key(&dest) {
            let oldest = self.routes.iter().min_by_key(|(_, route)| (route.is_confirmed, route.until));
            let oldest = oldest.map(|(dest, _)| *dest);
            oldest.and_then(|oldest| self.routes.remove(&oldest));
        }
        let (next, medium) = hop;
        // What was confirmed stays so when a newer request comes another way.
        let is_confirmed = is_reply || self.to(dest, now).is_some();
        self.routes.insert(dest, Route { next, medium, rank, sequence, until: now + self.ttl, is_confirmed });
    }

    /// Takes a route that is not to be doubted, whatever is known.
    pub(super) fn write(&mut self, dest: NodeNo, (next, medium): (NodeNo, usize), minutes: Micros, now: Micros) {
        let known = self.routes.get(&dest);
        let (rank, sequence) = known.map_or((Rank::default(), 0), |route| (route.rank, route.sequence));
        let until = now + minutes * 60_000_000;
        self.routes.insert(dest, Route { next, medium, rank, sequence, until, is_confirmed: true });
    }

    /// Destinations that have a route, and how many minutes yet.
    pub(super) fn all(&self, now: Micros) -> impl Iterator<Item = (NodeNo, u16)> {
        let routes = self.routes.iter().filter(move |(_, route)| route.is_confirmed && route.until > now);
        routes.map(move |(dest, route)| (*dest, route.minutes(now)))
    }

    pub(super) fn used(&mut self, dest: NodeNo, now: Micros) {
        if let Some(route) = self.routes.get_mut(&dest) {
            route.until = now + self.ttl;
            route.is_confirmed = true;
        }
    }

    pub(super) fn forget(&mut self, dest: NodeNo) {
        self.routes.remove(&dest);
    }

    /// A copy of a request came this way; `is_near` when its sender is of the same cluster.
    pub(super) fn copy(&mut self, origin: NodeNo, sequence: u16, rank: Rank, is_near: bool, now: Micros) -> News {
        if self.seen.len() > SEEN {
            self.seen.retain(|_, seen| seen.until > now);
        }
        let new = Seen { best: rank, is_pending: false, redundant: 0, until: now + SEEN_TTL };
        match self.seen.get_mut(&(origin, sequence)).filter(|seen| seen.until > now) {
            None => {
                self.seen.insert((origin, sequence), new);
                News::First
            }
            Some(seen) => {
                seen.redundant = seen.redundant.saturating_add(u8::from(is_near));
                if seen.best <= rank {
                    return News::None;
                }
                seen.best = rank;
                if seen.is_pending { News::Replaces } else { News::Better }
            }
        }
    }

    /// A copy will be passed on after a while.
    pub(super) fn defer(&mut self, origin: NodeNo, sequence: u16) {
        if let Some(seen) = self.seen.get_mut(&(origin, sequence)) {
            (seen.is_pending, seen.redundant) = (true, 0);
        }
    }

    /// The best way so far of a request whose turn has come, and how many copies came from close by meanwhile.
    pub(super) fn turn(&mut self, origin: NodeNo, sequence: u16) -> Option<(Rank, u8)> {
        let seen = self.seen.get_mut(&(origin, sequence)).filter(|seen| seen.is_pending)?;
        seen.is_pending = false;
        Some((seen.best, seen.redundant))
    }

    pub(super) fn blacklist(&mut self, node: NodeNo, now: Micros) {
        self.blacklist.insert(node, now + BLACKLIST_TTL);
    }

    pub(super) fn is_blacklisted(&self, node: NodeNo, now: Micros) -> bool {
        self.blacklist.get(&node).is_some_and(|until| *until > now)
    }
}

/// What makes a link good: metric 0x0F. The attributes can be set in each node, over DLMS too (class 92).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// adpWeakLQIValue: below that a link counts as weak, and weak links decide first.
    pub weak_lqi: u8,
    /// adpKq and adpKh: what a link costs by its quality at worst, and as a hop.
    pub kq: u16,
    pub kh: u16,
}

impl Metric {
    /// A way that is longer by a link: heard with `lqi`, and with `back` in the other direction.
    pub(super) fn extend(self, rank: Rank, lqi: u8, back: u8, medium: Medium) -> Rank {
        Rank {
            weak: rank.weak.saturating_add(u8::from(lqi < self.weak_lqi)),
            cost: rank.cost.saturating_add(self.cost(lqi.min(back), medium)),
            hops: rank.hops.saturating_add(1),
        }
    }

    /// adpKh is twice as much for a radio: the default of public sample firmware.
    pub(super) fn cost(self, lqi: u8, medium: Medium) -> u16 {
        let quality = (self.kq * (255 - u16::from(lqi)) + 127) / 255;
        quality + if medium == Medium::Plc { self.kh } else { 2 * self.kh }
    }
}

impl Default for Metric {
    fn default() -> Self {
        Self { weak_lqi: WEAK, kq: 10, kh: 4 }
    }
}

/// Of the attributes' default.
pub(super) const WEAK: u8 = 52;
const SEEN: usize = 64;
const SEEN_TTL: Micros = 120_000_000;
const BLACKLIST_TTL: Micros = 600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Micros = 21_600_000_000;
    const NEAR: Rank = Rank { weak: 0, cost: 10, hops: 1 };
    const FAR: Rank = Rank { weak: 0, cost: 20, hops: 2 };

    #[test]
    fn newer_wins_and_of_the_same_age_the_better() {
        let mut table = Table::new(150, TTL);
        table.learn(9, (1, 0), FAR, (5, true), 0);
        table.learn(9, (2, 0), NEAR, (5, true), 0);
        assert_eq!(table.to(9, 1).map(|route| route.next), Some(2));
        table.learn(9, (3, 0), FAR, (5, true), 0);
        table.learn(9, (3, 0), NEAR, (4, true), 0);
        assert_eq!(table.to(9, 1).map(|route| route.next), Some(2));
        table.learn(9, (3, 0), FAR, (6, true), 0);
        assert_eq!(table.to(9, 1).map(|route| route.next), Some(3));
        assert!(table.to(9, TTL).is_none());
    }

    #[test]
    fn sequence_numbers_go_round() {
        let mut table = Table::new(150, TTL);
        table.learn(9, (1, 0), NEAR, (u16::MAX, true), 0);
        table.learn(9, (2, 0), FAR, (0, true), 0);
        assert_eq!(table.to(9, 1).map(|route| route.next), Some(2));
    }

    #[test]
    fn only_a_better_copy_goes_on() {
        let mut table = Table::new(150, TTL);
        assert_eq!(table.copy(1, 1, FAR, false, 0), News::First);
        table.defer(1, 1);
        assert_eq!(table.copy(1, 1, FAR, true, 0), News::None);
        assert_eq!(table.copy(1, 1, NEAR, false, 0), News::Replaces);
        assert_eq!(table.turn(1, 1), Some((NEAR, 1)));
        assert_eq!(table.turn(1, 1), None);
        assert_eq!(table.copy(1, 1, Rank::default(), false, 0), News::Better);
        assert_eq!(table.copy(1, 2, FAR, false, 0), News::First);
    }

    #[test]
    fn a_full_table_forgets_what_was_used_longest_ago() {
        let mut table = Table::new(150, TTL);
        (0..150).for_each(|dest| table.learn(dest, (1, 0), NEAR, (1, true), dest as Micros));
        table.used(0, 1_000);
        table.learn(150, (1, 0), NEAR, (1, true), 1_000);
        assert!(table.to(0, 1_000).is_some() && table.to(1, 1_000).is_none());
        assert_eq!(table.len(), 150);
    }
}
