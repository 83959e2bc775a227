//! Ways that nobody uses. Who does not use a route forgets it after hours (adpRoutingTableEntryTTL), in meters it is
//! six, and whoever is asked then looks for the way home first, or is not found at all. So who was not heard for most
//! of that is asked for an echo, one at a time while nobody else waits for the network. The modem looks for no route on
//! that account, what it dropped is put back as for any message, and who did not answer is asked less and less often:
//! each search bends ways that are good.

use std::time::{Duration, Instant};

use super::node::Known;
use super::{Action, Now, Routes};

/// A check that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    node: u16,
    since: Instant,
}

impl Routes {
    /// Something of the node came back: its way is known to be good, there and home.
    pub(super) fn used(&mut self, node: u16, now: Now) {
        self.check.take_if(|check| check.node == node);
        if let Some(known) = self.nodes.get_mut(&node) {
            (known.check_at, known.unheard) = (Some(now.mono + self.limits.check_every), 0);
        }
    }

    /// The echo did not come, or could not leave.
    pub fn unheard(&mut self, node: u16, now: Now) {
        if self.check.take_if(|check| check.node == node).is_none() {
            return;
        }
        let Some(known) = self.nodes.get_mut(&node) else { return };
        let pause = self.limits.pause.saturating_mul(1 << known.unheard.min(16)).min(self.limits.check_every);
        (known.check_at, known.unheard) = (Some(now.mono + pause), known.unheard.saturating_add(1));
    }

    pub(super) fn check_ways(&mut self, now: Now) {
        if let Some(check) = self.check.filter(|check| check.since + ECHO <= now.mono) {
            self.unheard(check.node, now);
        }
        if !self.may_check() {
            return;
        }
        let due = self.checkable().filter(|(at, ..)| *at <= now.mono);
        let first = due.min_by_key(|(at, _, node)| (*at, *node));
        let Some((_, known, node)) = first else { return };
        // A way may be longer than a search goes; what is saved up for (`check_due`) is no more than that.
        let cost = self.limits.trace(known.hops().unwrap_or(1).min(self.limits.max_hops));
        if self.checks.has(cost, now.mono) {
            self.checks.spend(cost);
            self.check = Some(Check { node, since: now.mono });
            self.actions.push_back(Action::Check { node });
        }
    }

    pub(super) fn check_due(&self) -> Option<Instant> {
        let first = || self.checkable().map(|(at, ..)| at).min();
        let due = self.may_check().then(first).flatten().and_then(|at| {
            let paid = self.checks.due(self.limits.trace(self.limits.max_hops))?;
            Some(paid.max(at))
        });
        self.check.map(|check| check.since + ECHO).into_iter().chain(due).min()
    }

    fn may_check(&self) -> bool {
        self.is_up && self.check.is_none() && self.is_free() && !self.is_searching() && self.limits.check_share > 0.0
    }

    /// Whose way may be used for its own sake, and not before when.
    fn checkable(&self) -> impl Iterator<Item = (Instant, &Known, u16)> {
        let sound = self.nodes.iter().filter(|(_, known)| known.fault.is_none() && known.search.is_none());
        sound.filter_map(|(node, known)| Some((known.check_at?, known, *node)))
    }
}

/// How long an echo is waited for: adpNetTraversalTime, and what it takes to answer.
const ECHO: Duration = Duration::from_secs(25);
