//! What is known of the routes to one node.

use std::collections::VecDeque;
use std::time::Instant;

use super::history::{Entry, What, Why};
use super::repair::LOST;
use super::way::{Alternate, Link, Way};

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) way: Option<Way>,
    /// Ways that it was reached by, by their first hop; the present one is among them.
    pub(super) alternates: Vec<Alternate>,
    pub(super) history: VecDeque<Entry>,
    /// The neighbour that it is to go over.
    pub(super) pin: Option<u16>,
    /// When its path was traced, in milliseconds since 1970 UTC, and what it was.
    pub(super) trace: Option<(i64, Vec<Link>)>,
    /// When that was tried last.
    pub(super) traced: Option<Instant>,
    /// When an echo of it is wanted, and how many in a row did not come.
    pub(super) check_at: Option<Instant>,
    pub(super) unheard: u32,
    /// Requests in a row that were not answered.
    pub(super) failures: u32,
    /// How often in a row its way was put back into the modem's table.
    pub(super) put_back: u32,
    /// Neighbours that were made to look for it since it answered; and before that, with the time.
    pub(super) others: Vec<u16>,
    pub(super) others_before: Vec<(u16, Instant)>,
    /// The last of them was, and nothing else was tried since.
    pub(super) is_with_another: bool,
    /// How many of them since the last rest, and rests in a row.
    pub(super) looked: usize,
    pub(super) rests: u32,
    /// When the coordinator looks for it, as others do meanwhile.
    pub(super) own_at: Option<Instant>,
    /// Another route is wanted.
    pub(super) fault: Option<Why>,
    /// Since when it is under way.
    pub(super) search: Option<Instant>,
    /// When the last one began or, once it has, when it found a way.
    pub(super) searched: Option<Instant>,
    /// Searches in a row that found nobody.
    pub(super) in_vain: u32,
    pub(super) not_before: Option<Instant>,
    /// What the next change of its way comes of.
    pub(super) cause: Option<Why>,
    /// The first hop of the row that is being put into the modem's table, and why: whatever is read of the table before it is
    /// there, that is what a way over it comes of.
    pub(super) put: Option<(u16, Why)>,
    /// The blacklisted neighbour that it goes over, as was noted already.
    pub(super) stays: Option<u16>,
    /// Searches that somebody asked for and that have not ended, and those that have found a way which is not noted.
    pub(super) asked: u8,
    pub(super) found: u8,
    /// When its way changed.
    pub(super) changes: VecDeque<Instant>,
}

impl Known {
    /// The first hop of its route, or of the last one there was.
    pub(super) fn branch(&self, node: u16) -> u16 {
        self.last_way().map_or(node, |way| way.next_hop)
    }

    /// Its way, or the last one there was, but for those over who is made to look for it.
    pub(super) fn last_way(&self) -> Option<Way> {
        let last = || self.alternates.iter().max_by_key(|it| it.seen_ms).map(|it| it.way);
        self.way.filter(|way| !self.others.contains(&way.next_hop)).or_else(last)
    }

    /// First hops of ways that it was reached by.
    pub(super) fn first_hops(&self) -> impl Iterator<Item = u16> {
        self.alternates.iter().map(|it| it.way.next_hop)
    }

    /// Hops of the longest way that was there.
    pub(super) fn hops(&self) -> Option<u8> {
        self.alternates.iter().map(|it| it.way.hops).max()
    }

    /// When its search counts as lost; how one ends that somebody asked for is told.
    pub(super) fn search_until(&self) -> Option<Instant> {
        self.search.filter(|_| self.asked == 0).map(|at| at + LOST)
    }

    /// What a change of its way comes of that is seen now: of a search only as long as one can take, as what the modem
    /// does afterwards it does by itself.
    pub(super) fn cause_of_change(&mut self, now: Instant) -> Option<Why> {
        let is_recent = self.searched.is_some_and(|at| at + LOST > now);
        let is_of_search =
            |why: &Why| matches!(why, Why::NoRoute | Why::NoAnswer | Why::Circular | Why::Weak | Why::Flapping);
        self.cause.take().filter(|why| is_recent || !is_of_search(why))
    }

    pub(super) fn note(&mut self, what: What, why: Why, utc_ms: i64, most: usize) -> Entry {
        let at_s = u32::try_from(utc_ms.div_euclid(1_000)).unwrap_or(0);
        let entry = Entry { at_s, what, why };
        self.trim(most.saturating_sub(1));
        self.history.push_back(entry);
        entry
    }

    pub(super) fn trim(&mut self, most: usize) {
        while self.history.len() > most {
            // What is held says so for as long as it is.
            let is_order = |entry: &Entry| matches!(entry.what, What::Pinned { .. } | What::Blacklisted);
            let oldest = self.history.iter().position(|entry| !is_order(entry)).unwrap_or(0);
            self.history.remove(oldest);
        }
    }

    /// The modem has this way now; one over who is made to look for it leads nowhere before something came by it.
    pub(super) fn goes(&mut self, way: Way, utc_ms: i64) {
        self.way = Some(way);
        if !self.others.contains(&way.next_hop) {
            self.led(way, utc_ms);
        }
    }

    /// It is there, so that whoever looked for it has done so.
    pub(super) fn found_again(&mut self) {
        self.others.clear();
        (self.looked, self.rests, self.own_at) = (0, 0, None);
    }

    fn led(&mut self, way: Way, utc_ms: i64) {
        match self.alternates.iter_mut().find(|it| it.way.next_hop == way.next_hop) {
            Some(known) => (known.way, known.seen_ms) = (way, utc_ms),
            None => {
                if self.alternates.len() >= ALTERNATES {
                    let worst = self.alternates.iter().enumerate().max_by_key(|(_, it)| it.score());
                    if let Some((place, _)) = worst {
                        self.alternates.remove(place);
                    }
                }
                self.alternates.push(Alternate::new(way, utc_ms));
            }
        }
    }

    pub(super) fn count(&mut self, is_answered: bool) {
        let next_hop = self.way.map(|way| way.next_hop);
        if let Some(known) = self.alternates.iter_mut().find(|it| Some(it.way.next_hop) == next_hop) {
            known.count(is_answered);
        }
    }

    /// Whether the traced path of this node comes through another one before it ends.
    pub(super) fn leads_through(&self, other: u16) -> bool {
        let before_last = self.trace.as_ref().and_then(|(_, links)| links.split_last()).map(|(_, before)| before);
        before_last.is_some_and(|links| links.iter().any(|link| link.node == other))
            || self.way.is_some_and(|way| way.hops > 1 && way.next_hop == other)
    }
}

/// Whether a path comes through a node twice, or back to the coordinator.
pub(super) fn is_circular(links: &[Link]) -> bool {
    links
        .iter()
        .enumerate()
        .any(|(n, link)| link.node == COORDINATOR || links.iter().take(n).any(|before| before.node == link.node))
}

/// The coordinator's short address.
const COORDINATOR: u16 = 0;
/// Ways of a node that are kept.
const ALTERNATES: usize = 4;
