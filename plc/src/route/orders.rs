//! What somebody wants of routes: that they go over a neighbour, or not over a node.

use super::{Action, Medium, Now, Routes, Way, What, Why};

/// Why a route cannot be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinError {
    /// Who is no neighbour takes no frame.
    NoNeighbour,
    /// What the neighbour gets goes through the node itself.
    Loop,
    /// Nothing goes over who is blacklisted.
    Blacklisted,
}

impl std::fmt::Display for PinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoNeighbour => "the next hop is no neighbour of the coordinator",
            Self::Loop => "what goes over that neighbour comes through the node itself: it would go round",
            Self::Blacklisted => "the next hop is blacklisted",
        })
    }
}

impl std::error::Error for PinError {}

impl Routes {
    /// Holds the route to a node at a neighbour of the coordinator, over restarts: this way is to be put into
    /// adpRoutingTable, and is wanted again whenever the modem has another one.
    ///
    /// # Errors
    /// It would lead nowhere.
    pub fn hold(&mut self, node: u16, next_hop: u16, is_neighbour: bool, now: Now) -> Result<Way, PinError> {
        if !is_neighbour {
            return Err(PinError::NoNeighbour);
        }
        if self.blacklist.contains(&next_hop) {
            return Err(PinError::Blacklisted);
        }
        if node != next_hop && self.nodes.get(&next_hop).is_some_and(|known| known.leads_through(node)) {
            return Err(PinError::Loop);
        }
        let hop_medium = self.hop_medium(next_hop);
        let known = self.nodes.entry(node).or_default();
        known.pin = Some(next_hop);
        known.cause = Some(Why::Asked);
        let hops = if node == next_hop { 1 } else { 2 };
        let medium = hop_medium.or(known.way.and_then(|way| way.medium));
        let unknown = Way { next_hop, hops, cost: 0, weak_links: 0, medium };
        let way = known.alternates.iter().find(|it| it.way.next_hop == next_hop).map_or(unknown, |it| it.way);
        self.note(node, What::Pinned { next_hop }, Why::Asked, now);
        Ok(way)
    }

    /// Over which medium a neighbour itself is reached: by the other one, over which other nodes are, it may not be heard.
    pub(super) fn hop_medium(&self, next_hop: u16) -> Option<Medium> {
        let known = self.nodes.get(&next_hop)?;
        let ways = known.way.into_iter().chain(known.alternates.iter().map(|it| it.way));
        ways.filter(|way| way.next_hop == next_hop).find_map(|way| way.medium)
    }

    /// Lets the modem choose again; false where nothing was held.
    pub fn release(&mut self, node: u16, now: Now) -> bool {
        let is_held = self.nodes.get_mut(&node).is_some_and(|known| known.pin.take().is_some());
        if is_held {
            self.note(node, What::Released, Why::Asked, now);
        }
        is_held
    }

    /// No route is to go over this node any more, or may again; false where it is so already. A modem that has a node on its
    /// blacklist (adpBlacklistTable) drops requests for routes that come from it, and no more than that: what it looks for
    /// itself may be found over it. So routes are put onto another way that is known, where there is one.
    pub fn set_blacklisted(&mut self, node: u16, is_blacklisted: bool, now: Now) -> bool {
        let is_new = match is_blacklisted {
            true => self.blacklist.insert(node),
            false => self.blacklist.remove(&node),
        };
        if is_new {
            let what = if is_blacklisted { What::Blacklisted } else { What::Allowed };
            self.note(node, what, Why::Asked, now);
        }
        // Who is allowed again may be the way around another one. Before the table is read nobody knows where routes go.
        if !self.is_fresh {
            let banned = self.nodes.keys().copied().filter(|node| self.detour(*node).is_some());
            banned.collect::<Vec<_>>().into_iter().for_each(|node| self.go_round_banned(node));
        }
        is_new
    }

    /// The best of the ways of a node around who is blacklisted, of those over which not more was lost than came; None where
    /// its way needs none.
    pub fn detour(&self, node: u16) -> Option<Way> {
        let known = self.nodes.get(&node)?;
        known.way.filter(|way| self.blacklist.contains(&way.next_hop))?;
        let others = known.alternates.iter().filter(|it| !self.blacklist.contains(&it.way.next_hop));
        others.filter(|it| it.failed <= it.answered).min_by_key(|it| it.score()).map(|it| it.way)
    }

    /// Once for each change of its way, or of who is blacklisted: who has no better one keeps it.
    pub(super) fn go_round_banned(&mut self, node: u16) {
        let Some(way) = self.detour(node).filter(|_| !self.is_locked) else { return };
        if let Some(known) = self.nodes.get_mut(&node) {
            known.cause = Some(Why::Asked);
        }
        self.actions.push_back(Action::Detour { node, way });
    }
}
