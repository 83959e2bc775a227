//! One that is silent may be so by itself. Who would tell is asked at once: the first hop of its branch, and where that
//! is there, one of its phase.

use std::time::{Duration, Instant};

use super::{Node, Outages, Scope, State};

impl Outages {
    /// Where nothing was heard lately of the branch of a node its first hop is probed; else, where nothing was heard of
    /// its phase there, one of those: the one that was heard last, as its way is the freshest.
    pub(super) fn confirm(&mut self, node: u16, now: Instant) {
        let place = self.nodes.get(&node).map(|node| node.place).unwrap_or_default();
        let Some(branch) = place.branch.filter(|_| self.probing.len() < self.limits.probes) else { return };
        let is_within =
            |at: Option<Instant>, time: Duration| at.is_some_and(|at| now.saturating_duration_since(at) < time);
        let covered = |scope: Scope| self.nodes.iter().filter(move |(_, it)| scope.covers(it.place));
        let is_quiet = |scope| !covered(scope).any(|(_, it)| is_within(it.heard, self.limits.lately));
        let may_be_asked = |it: &Node| it.state == State::There && !is_within(it.probed, self.limits.unheard);
        let phase = place.phase.map(|phase| Scope::PhaseOfBranch { phase, branch });
        let next = match phase {
            _ if is_quiet(Scope::Branch(branch)) => {
                self.nodes.get(&branch).filter(|it| may_be_asked(it)).map(|_| branch)
            }
            Some(scope) if is_quiet(scope) => {
                let others = covered(scope).filter(|(_, it)| may_be_asked(it));
                others.max_by_key(|(number, it)| (it.heard, **number)).map(|(number, _)| *number)
            }
            _ => None,
        };
        next.into_iter().for_each(|node| self.probe(node, now));
    }

    /// A first hop is there: who fell silent behind it may still not be alone.
    pub(super) fn confirm_behind(&mut self, first_hop: u16, now: Instant) {
        let is_silent = |it: &Node| match it.state {
            State::Silent(since) => now.saturating_duration_since(since) < self.limits.window,
            _ => false,
        };
        let behind = self.nodes.iter().filter(|(_, it)| it.place.branch == Some(first_hop) && is_silent(it));
        for node in behind.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.confirm(node, now);
        }
    }
}
