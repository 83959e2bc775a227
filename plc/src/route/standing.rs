//! What somebody wants of routes and has not taken back: which are held, and over whom none is to go. The history says so
//! too; these are few octets, so that they can be kept in a second place, and are known should the history be lost.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut};

use super::{Entry, Now, Routes, What, Why};

/// All that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// When the last of it was said or taken back, seconds since 1970 UTC.
    pub at_s: u32,
    /// Neighbours that routes are held at, by node.
    pub held: BTreeMap<u16, u16>,
    pub blacklist: BTreeSet<u16>,
}

impl Standing {
    /// Octets of so many; [`Self::emit`] appends them.
    pub fn octets(&self) -> usize {
        HEAD + 4 * self.held.len() + 2 * self.blacklist.len()
    }

    /// Appends it, big endian.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u32(self.at_s);
        out.put_u16(self.held.len() as u16);
        for (node, next_hop) in &self.held {
            out.put_u16(*node);
            out.put_u16(*next_hop);
        }
        self.blacklist.iter().for_each(|node| out.put_u16(*node));
    }

    /// Reads all of it; None where it is none that we wrote.
    pub fn parse(mut octets: &[u8]) -> Option<Self> {
        let buf = &mut octets;
        let (at_s, held) = (buf.try_get_u32().ok()?, buf.try_get_u16().ok()?);
        let mut wanted = Self { at_s, ..Self::default() };
        for _ in 0..held {
            wanted.held.insert(buf.try_get_u16().ok()?, buf.try_get_u16().ok()?);
        }
        while !buf.is_empty() {
            wanted.blacklist.insert(buf.try_get_u16().ok()?);
        }
        Some(wanted)
    }

    fn take(&mut self, node: u16, what: What) {
        match what {
            What::Pinned { next_hop } => drop(self.held.insert(node, next_hop)),
            What::Released => drop(self.held.remove(&node)),
            What::Blacklisted => drop(self.blacklist.insert(node)),
            What::Allowed => drop(self.blacklist.remove(&node)),
            _ => {}
        }
    }
}

impl What {
    /// Somebody wants it, or no more.
    pub const fn is_order(&self) -> bool {
        matches!(self, Self::Pinned { .. } | Self::Released | Self::Blacklisted | Self::Allowed)
    }
}

impl Routes {
    pub fn standing(&self) -> Standing {
        let held = self.nodes.iter().filter_map(|(node, known)| Some((*node, known.pin?)));
        Standing { at_s: self.ordered_s, held: held.collect(), blacklist: self.blacklist.clone() }
    }

    /// What was wanted in an earlier life, as it was kept elsewhere, after [`Self::restore`]: where that had another history,
    /// or none any more, this counts, and what was said later than the last of it. What of it is new, or not wanted any more,
    /// is noted. Says how many orders the history had not, and how many it had that were taken back.
    pub fn take_over(&mut self, kept: Standing, now: Now) -> (usize, usize) {
        let last_s = kept.at_s;
        let mut wanted = kept;
        let later = |entry: &&(u16, &Entry)| entry.1.what.is_order() && entry.1.at_s >= last_s;
        self.entries().filter(|entry| later(&entry)).for_each(|(node, entry)| wanted.take(node, entry.what));
        self.ordered_s = self.ordered_s.max(last_s);
        let before = self.standing();
        let mut changes: Vec<(u16, What)> = Vec::new();
        let is_new = |held: &(&u16, &u16)| before.held.get(held.0) != Some(held.1);
        let held = wanted.held.iter().filter(is_new);
        changes.extend(held.map(|(node, next_hop)| (*node, What::Pinned { next_hop: *next_hop })));
        changes.extend(wanted.blacklist.difference(&before.blacklist).map(|node| (*node, What::Blacklisted)));
        let new = changes.len();
        let released = before.held.keys().filter(|node| !wanted.held.contains_key(node));
        changes.extend(released.map(|node| (*node, What::Released)));
        changes.extend(before.blacklist.difference(&wanted.blacklist).map(|node| (*node, What::Allowed)));
        let over = changes.len() - new;
        for (node, what) in changes {
            self.nodes.entry(node).or_default().pin = wanted.held.get(&node).copied();
            self.note(node, what, Why::Asked, now);
        }
        self.blacklist = wanted.blacklist;
        (new, over)
    }
}

/// Octets before the nodes.
const HEAD: usize = 6;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::route::Limits;

    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    fn now(seconds: u32) -> Now {
        Now { mono: Instant::now(), utc_ms: i64::from(seconds) * 1_000 }
    }

    /// Routes with this history: node, second, what.
    fn routes(history: &[(u16, u32, What)]) -> Routes {
        let mut routes = Routes::new(Limits::of(40, 8), now(0));
        let entry =
            |(node, at_s, what): &(u16, u32, What)| (*node, Entry { at_s: *at_s, what: *what, why: Why::Asked });
        routes.restore(history.iter().map(entry));
        routes
    }

    fn noted(routes: &mut Routes) -> Vec<(u16, What)> {
        std::iter::from_fn(|| routes.poll_change()).map(|change| (change.node, change.entry.what)).collect()
    }

    const HELD: What = What::Pinned { next_hop: 3 };

    #[test]
    fn what_the_history_lost_is_wanted_again_and_noted_once() {
        let whole = [(5, 10, HELD), (6, 11, What::Blacklisted), (7, 12, HELD), (7, 13, What::Released)];
        let wanted = routes(&whole).standing();
        assert_eq!((wanted.at_s, wanted.held.len(), wanted.blacklist.len()), (13, 1, 1));
        for left in [0, 1, 2, 3, 4] {
            let mut known = routes(&whole[..left]);
            let (new, over) = known.take_over(wanted.clone(), now(20));
            assert_eq!((new, over), (2_usize.saturating_sub(left), usize::from(left == 3)), "{left} left");
            assert_eq!(known.standing().held, wanted.held, "{left} left");
            assert_eq!((known.pin(5), known.pin(7), known.is_blacklisted(6)), (Some(3), None, true), "{left} left");
            assert_eq!(noted(&mut known).len(), new + over);
            // With what was noted then the next life has it all.
            let history: Vec<_> = known.entries().map(|(node, entry)| (node, entry.at_s, entry.what)).collect();
            assert_eq!(routes(&history).take_over(known.standing(), now(30)), (0, 0));
        }
    }

    #[test]
    fn what_was_said_later_than_what_was_kept_counts() {
        let kept = routes(&[(5, 10, HELD), (6, 10, What::Blacklisted)]).standing();
        let later =
            [(5, 10, HELD), (6, 10, What::Blacklisted), (5, 15, What::Released), (8, 16, HELD), (6, 17, What::Allowed)];
        let mut known = routes(&later);
        assert_eq!(known.take_over(kept, now(20)), (0, 0));
        assert_eq!((known.standing().at_s, known.held(), known.blacklist().count(), known.pin(8)), (17, 1, 0, Some(3)));
        // A clock that was set back makes nothing of what was kept older than an old history.
        let kept = Standing { at_s: 100, ..Standing::default() };
        assert_eq!(known.take_over(kept, now(20)), (0, 1));
        known.note(9, HELD, Why::Asked, now(21));
        assert_eq!(known.standing().at_s, 100);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(
            at_s in any::<u32>(),
            held in proptest::collection::btree_map(any::<u16>(), any::<u16>(), 0..9),
            blacklist in proptest::collection::btree_set(any::<u16>(), 0..9),
        ) {
            let (wanted, mut octets) = (Standing { at_s, held, blacklist }, Vec::new());
            wanted.emit(&mut octets);
            prop_assert_eq!(octets.len(), wanted.octets());
            prop_assert_eq!(Standing::parse(&octets), Some(wanted.clone()));
            for end in 0..octets.len() {
                prop_assert_ne!(Standing::parse(&octets[..end]), Some(wanted.clone()));
            }
        }

        #[test]
        fn any_octets_are_read_or_not(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(wanted) = Standing::parse(&octets) {
                routes(&[]).take_over(wanted, now(5));
            }
        }
    }
}
