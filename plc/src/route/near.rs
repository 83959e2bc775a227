//! Nodes that the modem hears itself (macNeighbourTable). A unit that knows no way to them, as its modem is new and what was
//! kept of routes, too, needs no search: one for each node of a network takes hours, and a row to a neighbour is none.

use super::history::Why;
use super::node::Known;
use super::{Action, Medium, Routes, Way};

impl Routes {
    /// The members that the modem hears over PLC, and how well.
    pub fn heard_near(&mut self, near: impl IntoIterator<Item = (u16, u8)>) {
        if !self.is_up || self.is_locked {
            return;
        }
        for (node, _) in near.into_iter().filter(|(_, lqi)| *lqi >= GOOD) {
            let known = self.nodes.entry(node).or_default();
            let is_known = known.last_way().is_some() || known.way.is_some() || known.put.is_some();
            if is_known || known.search.is_some() || self.blacklist.contains(&node) {
                continue;
            }
            let way = Way { next_hop: node, hops: 1, cost: 0, weak_links: 0, medium: Some(Medium::Plc) };
            known.put = Some((node, Why::Near));
            (known.fault, known.not_before) = (None, None);
            self.actions.push_back(Action::PutBack { node, way });
        }
    }

    /// Whether more than a tenth of the nodes have no way, nor had one, nor were looked for often enough: the modem's
    /// neighbours are worth a look soon.
    pub fn is_lost(&self) -> bool {
        let is_known = |known: &&Known| known.last_way().is_some() || known.in_vain >= OFTEN;
        let known = self.nodes.values().filter(is_known).count();
        self.is_up && self.limits.nodes.saturating_sub(known) > self.limits.nodes / 10
    }
}

/// Half of all searches find nobody who is there (simulated); whom so many did not find may be out of reach.
const OFTEN: u32 = 3;
/// 7 dB: a link that was good when it was heard, and not one of those that a table calls weak (adpWeakLQIValue, 52, is 3 dB).
const GOOD: u8 = 68;
