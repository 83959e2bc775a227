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
    /// By neighbour and channel.
    blacklist: BTreeMap<(NodeNo, usize), Micros>,
    sequence: u16,
}

/// The copies of one request that a node heard.
#[derive(Debug, Clone, Copy)]
struct Seen {
    best: Rank,
    /// Copies wait for their turn to be passed on, by channel, and none of them has had it.
    pending: [bool; MEDIA],
    is_untouched: bool,
    /// Copies from close by that made passing it on needless, by the channel that they came over.
    redundant: [u8; MEDIA],
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

    /// Takes a route that is not to be doubted, whatever is known, as long as its row says.
    pub(super) fn write(&mut self, dest: NodeNo, hop: (NodeNo, usize), rank: Rank, minutes: Micros, now: Micros) {
        let sequence = self.routes.get(&dest).map_or(0, |route| route.sequence);
        let ((next, medium), until) = (hop, now + minutes * 60_000_000);
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

    /// A copy of a request came this way; `near` over which channel, when its sender is of the same cluster there.
    pub(super) fn copy(&mut self, origin: NodeNo, sequence: u16, rank: Rank, near: Option<usize>, now: Micros) -> News {
        if self.seen.len() > SEEN {
            self.seen.retain(|_, seen| seen.until > now);
        }
        let (pending, redundant) = ([false; MEDIA], [0; MEDIA]);
        let new = Seen { best: rank, pending, is_untouched: false, redundant, until: now + SEEN_TTL };
        match self.seen.get_mut(&(origin, sequence)).filter(|seen| seen.until > now) {
            None => {
                self.seen.insert((origin, sequence), new);
                News::First
            }
            Some(seen) => {
                if let Some(redundant) = near.and_then(|channel| seen.redundant.get_mut(channel)) {
                    *redundant = redundant.saturating_add(1);
                }
                if seen.best <= rank {
                    return News::None;
                }
                seen.best = rank;
                if seen.is_untouched { News::Replaces } else { News::Better }
            }
        }
    }

    /// A copy will be passed on after a while, over each of these channels.
    pub(super) fn defer(&mut self, origin: NodeNo, sequence: u16, channels: [bool; MEDIA]) {
        if let Some(seen) = self.seen.get_mut(&(origin, sequence)) {
            (seen.pending, seen.is_untouched, seen.redundant) = (channels, true, [0; MEDIA]);
        }
    }

    /// The best way so far of a request whose turn has come, and how many copies came from close by meanwhile. To all
    /// it goes over each channel in its own time; along a route over one, and then it is through with.
    pub(super) fn turn(&mut self, origin: NodeNo, sequence: u16, channel: Option<usize>) -> Option<(Rank, u8)> {
        let seen = self.seen.get_mut(&(origin, sequence)).filter(|seen| seen.pending.contains(&true))?;
        let redundant = match channel {
            None => {
                seen.pending = [false; MEDIA];
                0
            }
            Some(channel) => {
                seen.pending.get_mut(channel).filter(|pending| **pending).map(std::mem::take)?;
                seen.redundant.get(channel).copied().unwrap_or(0)
            }
        };
        seen.is_untouched = false;
        Some((seen.best, redundant))
    }

    pub(super) fn blacklist(&mut self, node: NodeNo, channel: usize, now: Micros) {
        self.blacklist.insert((node, channel), now + BLACKLIST_TTL);
    }

    pub(super) fn is_blacklisted(&self, node: NodeNo, channel: usize, now: Micros) -> bool {
        self.blacklist.get(&(node, channel)).is_some_and(|until| *until > now)
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
    /// The same of a radio, and adpKdcRF: what it costs that its airtime is used up.
    pub weak_lqi_rf: u8,
    pub kq_rf: u16,
    pub kh_rf: u16,
    pub kdc_rf: u16,
}

/// How good a link is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quality {
    /// As it is heard, and in the other direction.
    pub(super) lqi: u8,
    pub(super) back: u8,
    /// Of the airtime that a radio may use, percent that are used: of the end that has less left. Each tells the other
    /// (macPOSTableRF has it of each neighbour).
    pub(super) duty: u8,
}

impl Metric {
    /// A way that is longer by a link.
    pub(super) fn extend(self, rank: Rank, quality: Quality, medium: Medium) -> Rank {
        let weak_lqi = if medium == Medium::Plc { self.weak_lqi } else { self.weak_lqi_rf };
        Rank {
            weak: rank.weak.saturating_add(u8::from(quality.lqi < weak_lqi)),
            cost: rank.cost.saturating_add(self.cost(quality, medium)),
            hops: rank.hops.saturating_add(1),
        }
    }

    fn cost(self, Quality { lqi, back, duty }: Quality, medium: Medium) -> u16 {
        let missing = 255 - u16::from(lqi.min(back));
        match medium {
            Medium::Plc => (self.kq * missing + 127) / 255 + self.kh,
            Medium::Rf => {
                (self.kq_rf * missing + 127) / 255 + (self.kdc_rf * u16::from(duty.min(100)) + 49) / 100 + self.kh_rf
            }
        }
    }
}

impl Default for Metric {
    /// Of the radio as in Microchip's sample firmware (`app_g3_management.h`), which joins by radio from a quality of 95
    /// on, as by the power line from one above what is weak there.
    fn default() -> Self {
        Self { weak_lqi: WEAK, kq: 10, kh: 4, weak_lqi_rf: WEAK_RF, kq_rf: 5, kh_rf: 8, kdc_rf: 10 }
    }
}

/// Of the attributes' default.
pub(super) const WEAK: u8 = 52;
pub(super) const WEAK_RF: u8 = 94;
/// Channels that there are at most.
pub(super) const MEDIA: usize = 2;
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
        assert_eq!(table.copy(1, 1, FAR, None, 0), News::First);
        table.defer(1, 1, [true, false]);
        assert_eq!(table.copy(1, 1, FAR, Some(0), 0), News::None);
        assert_eq!(table.copy(1, 1, NEAR, None, 0), News::Replaces);
        assert_eq!(table.turn(1, 1, Some(0)), Some((NEAR, 1)));
        assert_eq!(table.turn(1, 1, Some(0)), None);
        assert_eq!(table.copy(1, 1, Rank::default(), None, 0), News::Better);
        assert_eq!(table.copy(1, 2, FAR, None, 0), News::First);
    }

    #[test]
    fn each_medium_has_its_own_turn_and_its_own_copies_from_close_by() {
        let mut table = Table::new(150, TTL);
        table.copy(1, 1, FAR, None, 0);
        table.defer(1, 1, [true, true]);
        table.copy(1, 1, FAR, Some(1), 0);
        assert_eq!(table.turn(1, 1, Some(1)), Some((FAR, 1)));
        // What has gone over one medium goes again when it has become better, over the other one once.
        assert_eq!(table.copy(1, 1, NEAR, None, 0), News::Better);
        assert_eq!(table.turn(1, 1, Some(0)), Some((NEAR, 0)));
        assert_eq!((table.turn(1, 1, Some(0)), table.turn(1, 1, Some(1))), (None, None));
        // Along a route it goes once.
        table.defer(1, 1, [true, true]);
        assert_eq!(table.turn(1, 1, None), Some((NEAR, 0)));
        assert_eq!((table.turn(1, 1, Some(0)), table.turn(1, 1, None)), (None, None));
    }

    #[test]
    fn a_radio_costs_more_the_less_airtime_it_has_left() {
        let metric = Metric::default();
        let rank = |lqi, duty, medium| metric.extend(Rank::default(), Quality { lqi, back: 255, duty }, medium);
        let costs = [0, 50, 100].map(|duty| rank(120, duty, Medium::Rf).cost);
        assert_eq!(costs, [11, 16, 21]);
        assert_eq!(rank(120, 100, Medium::Plc).cost, 9);
        // What is weak is not the same number on both media.
        let weak = |lqi| [Medium::Plc, Medium::Rf].map(|medium| rank(lqi, 0, medium).weak);
        assert_eq!((weak(51), weak(60), weak(95)), ([1, 1], [0, 1], [0, 0]));
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
