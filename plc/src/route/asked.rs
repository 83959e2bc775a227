//! Searches that somebody at the desk asked for: each is noted when it begins, and its end is noted once.

use super::history::{What, Why};
use super::{Now, Routes};
use crate::g3::modem::Refusal;

/// How a search ended that somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Which way it found the table says: [`Routes::asked_seen`] is told when that was read.
    Found,
    NotFound,
    /// Nothing was looked for, or nobody knows; None where the modem has too much to do to be asked.
    Refused(Option<Refusal>),
}

impl Routes {
    /// Somebody at the desk has it looked for: what is found then has that reason.
    pub fn asked(&mut self, node: u16, now: Now) {
        self.searches.spend(self.limits.flood(self.limits.max_hops));
        let known = self.nodes.entry(node).or_default();
        (known.search, known.cause) = (Some(now.mono), Some(Why::Asked));
        known.asked = known.asked.saturating_add(1);
        self.counts.searches += 1;
        self.note(node, What::Searched { most_hops: self.limits.max_hops }, Why::Asked, now);
    }

    pub fn asked_ended(&mut self, node: u16, end: End, now: Now) {
        let known = self.nodes.entry(node).or_default();
        let what = match end {
            End::Found => {
                known.found = known.found.saturating_add(1);
                self.discovered(node, true, now);
                // Whatever was wrong with the route before.
                self.nodes.entry(node).or_default().cause = Some(Why::Asked);
                return;
            }
            End::NotFound => What::NotFound,
            End::Refused(refusal) => What::Refused(refusal),
        };
        let was_open = known.search.take().is_some();
        known.asked = known.asked.saturating_sub(1);
        known.cause = known.cause.filter(|why| *why != Why::Asked);
        self.note(node, what, Why::Asked, now);
        if was_open && end == End::NotFound {
            self.not_found(node, now);
        }
    }

    /// The table was read after a search has found a way: where it is the one that was there, nothing has told it.
    pub fn asked_seen(&mut self, node: u16, now: Now) {
        let known = self.nodes.entry(node).or_default();
        known.asked = known.asked.saturating_sub(1);
        known.cause = known.cause.filter(|why| *why != Why::Asked);
        if known.found > 0 {
            known.found -= 1;
            let what = known.way.map_or(What::NotFound, What::Way);
            self.note(node, what, Why::Asked, now);
        }
    }

    /// The process that began them is gone: nobody will tell how searches ended that the history has as open.
    pub fn give_up_asked(&mut self, now: Now) {
        let open: Vec<(u16, u8)> =
            self.nodes.iter_mut().map(|(node, known)| (*node, std::mem::take(&mut known.asked))).collect();
        for (node, open) in open {
            (0..open).for_each(|_| self.note(node, What::Refused(Some(Refusal::Unknown)), Why::Asked, now));
        }
    }
}
