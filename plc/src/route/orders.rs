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
        (known.pin, known.put) = (Some(next_hop), Some((next_hop, Why::Asked)));
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
        self.not_put(node);
        if is_held {
            self.note(node, What::Released, Why::Asked, now);
            self.go_round_banned(node, now);
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
            self.go_round_all_banned(now);
        }
        is_new
    }

    /// The routes of other nodes over a neighbour that is blacklisted: the ways that they are put onto, or why they stay.
    pub fn over(&self, next_hop: u16) -> impl Iterator<Item = (u16, Result<Way, Why>)> {
        let over = self
            .nodes
            .iter()
            .filter(move |(node, known)| **node != next_hop && known.way.is_some_and(|way| way.next_hop == next_hop));
        over.filter_map(|(node, _)| Some((*node, self.way_round(*node)?)))
    }

    /// The best of the ways of a node around who is blacklisted, of those over which not more was lost than came, or why there
    /// is none; None where its way needs none.
    pub fn way_round(&self, node: u16) -> Option<Result<Way, Why>> {
        let known = self.nodes.get(&node)?;
        let way = known.way.filter(|way| self.blacklist.contains(&way.next_hop))?;
        // Who holds it there wants this one, whatever is wanted of the others.
        if known.pin == Some(way.next_hop) {
            return Some(Err(Why::Held));
        }
        let others = || known.alternates.iter().filter(|it| it.way.next_hop != way.next_hop);
        let allowed = || others().filter(|it| !self.blacklist.contains(&it.way.next_hop));
        let best = allowed().filter(|it| it.failed <= it.answered).min_by_key(|it| it.score());
        Some(match best {
            Some(_) if self.is_locked => Err(Why::Locked),
            Some(best) => Ok(best.way),
            None if allowed().next().is_some() => Err(Why::OthersLose),
            None if others().next().is_some() => Err(Why::OthersBlacklisted),
            None => Err(Why::NoOther),
        })
    }

    /// Once for each change of its way, or of who is blacklisted: who has no better one keeps it, and that is noted once.
    pub(super) fn go_round_banned(&mut self, node: u16, now: Now) {
        let round = self.way_round(node);
        let Some(known) = self.nodes.get_mut(&node) else { return };
        let over = known.way.map(|way| way.next_hop);
        match round {
            None => {
                // Where it goes elsewhere, or nowhere, that is in its history.
                if let Some(next_hop) = known.stays.take().filter(|stays| over == Some(*stays)) {
                    self.note(node, What::MayStay { next_hop }, Why::Asked, now);
                }
            }
            Some(Ok(way)) => {
                (known.stays, known.put) = (None, Some((way.next_hop, Why::Blacklisted)));
                let wanted = Action::Detour { node, way };
                if !self.actions.contains(&wanted) {
                    self.actions.push_back(wanted);
                }
            }
            // Of its own way it says so itself.
            Some(Err(why)) => {
                if let Some(next_hop) = over.filter(|next_hop| *next_hop != node && known.stays != over) {
                    known.stays = over;
                    self.note(node, What::Stays { next_hop }, why, now);
                }
            }
        }
    }

    pub(super) fn go_round_all_banned(&mut self, now: Now) {
        let nodes: Vec<u16> = self.nodes.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.go_round_banned(node, now));
    }

    /// The modem refuses rows of its routing table: what it drops is looked for, and what goes over who is blacklisted stays.
    pub fn locked(&mut self, now: Now) {
        self.is_locked = true;
        self.nodes.values_mut().for_each(|known| known.put = None);
        self.go_round_all_banned(now);
    }
}
