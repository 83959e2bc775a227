//! When another route is looked for, and when a path is traced.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::history::{What, Why};
use super::node::Known;
use super::{Action, Failure, Now, Routes, Way};

impl Routes {
    /// Something of the node came back.
    pub fn answered(&mut self, node: u16, now: Now) {
        self.used(node, now);
        let Some(known) = self.nodes.get_mut(&node) else { return };
        self.counts.by_others_answered += u64::from(std::mem::take(&mut known.is_with_another));
        if known.failures > 0 || !known.others.is_empty() {
            self.actions.push_back(Action::Look { node });
        }
        known.found_again();
        known.count(true);
        (known.failures, known.in_vain, known.not_before, known.put_back) = (0, 0, None, 0);
        // It goes round only now and then, and a flapping route answers: others are mended by that.
        if known.search.is_none() && matches!(known.fault, Some(Why::NoRoute | Why::NoAnswer | Why::Weak)) {
            known.fault = None;
        }
    }

    /// A request to the node came to nothing.
    pub fn failed(&mut self, node: u16, failure: Failure, now: Now) {
        let (most, max_hops) = (self.limits.failures, self.limits.max_hops);
        let again = self.once_more(node).filter(|_| failure == (Failure::NoRoute { searched: false }));
        let known = self.nodes.entry(node).or_default();
        known.count(false);
        known.failures = known.failures.saturating_add(1);
        if let Some(way) = again {
            (known.put_back, known.is_with_another) = (known.put_back + 1, false);
            known.put = Some((way.next_hop, Why::PutBack));
            self.counts.put_back += 1;
            return self.actions.push_back(Action::PutBack { node, way });
        }
        let weak = known.way.is_some_and(|way| way.weak_links > 0);
        let most = if known.others.is_empty() { most } else { most.min(UNANSWERED) };
        if failure == Failure::NoAnswer && known.failures < most {
            return;
        }
        known.is_with_another = false;
        if self.look_by_another(node, failure, now) || self.rests(node, failure, now) {
            return;
        }
        let why = match failure {
            Failure::NoRoute { .. } => Why::NoRoute,
            Failure::NoAnswer if weak => Why::Weak,
            Failure::NoAnswer => Why::NoAnswer,
        };
        if failure == (Failure::NoRoute { searched: true }) {
            // The modem has looked for it, as far as it may.
            self.searches.spend(self.limits.flood(max_hops));
            self.found_nobody(node, now);
        }
        if self.nodes.get(&node).is_some_and(|known| known.fault.is_none()) {
            self.found_bad(node, why, now);
        }
    }

    /// Whether the modem may look for a route to a node by itself now, as it does for what has none: a search that the
    /// owner lets happen is told with [`Failure::NoRoute`], or by an answer. A flood of the coordinator's bends the ways home
    /// of all that hear it, over links that carry it one way alone perhaps, so that the way that was there is tried
    /// first; once where somebody waits for the answer.
    pub fn may_search(&mut self, node: u16, is_waited_for: bool, now: Now) -> bool {
        let has_way = self.once_more(node).is_some();
        let flood = self.limits.flood(self.limits.max_hops);
        let known = self.nodes.get(&node);
        let is_first = known.is_none_or(|known| known.put_back == 0);
        let is_held = known.is_some_and(|known| known.not_before.is_some_and(|at| at > now.mono));
        let is_enough = has_way && (is_first || !is_waited_for);
        let is_enough = is_enough || self.has_another(node, now) || self.is_left_to_others(node);
        !is_held && !is_enough && !self.is_searching() && self.searches.has(flood, now.mono)
    }

    /// What came of a search: also of one that somebody else asked for.
    pub fn discovered(&mut self, node: u16, is_found: bool, now: Now) {
        let known = self.nodes.entry(node).or_default();
        let was_ours = known.search.take().is_some();
        if is_found {
            self.counts.found += u64::from(was_ours);
            known.cause = known.fault.take().or(known.cause);
            (known.failures, known.in_vain, known.not_before, known.put_back) = (0, 0, None, 0);
            known.found_again();
            (known.is_with_another, known.searched) = (false, Some(now.mono));
            // Whether it is a good one a trace tells.
            known.traced = None;
        } else if was_ours {
            self.found_nobody(node, now);
        }
    }

    /// The way by which a node is tried once more before another one is looked for.
    fn once_more(&self, node: u16) -> Option<Way> {
        let is_open = |known: &&Known| known.fault.is_none() && known.put_back < self.limits.put_back;
        let known = self.nodes.get(&node).filter(|_| self.is_up && !self.is_locked).filter(is_open)?;
        known.last_way().filter(|way| !self.blacklist.contains(&way.next_hop))
    }

    pub fn handle_timeout(&mut self, now: Now) {
        let lost = self.nodes.iter().filter(|(_, it)| it.search_until().is_some_and(|at| at <= now.mono));
        for node in lost.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.discovered(node, false, now);
        }
        if self.trace.is_some_and(|(_, at)| at + LOST <= now.mono) {
            self.trace = None;
        }
        if !self.is_up {
            return;
        }
        self.end_patience(now);
        let share = if self.is_lost() { self.limits.lost_share } else { self.limits.search_share };
        self.searches.set_share(share, now.mono);
        while let Some((node, why, most_hops)) = self.next_search(now) {
            self.searches.spend(self.limits.flood(most_hops));
            self.counts.searches += 1;
            if let Some(known) = self.nodes.get_mut(&node) {
                (known.search, known.searched) = (Some(now.mono), Some(now.mono));
            }
            self.actions.push_back(Action::Discover { node, most_hops });
            self.note(node, What::Searched { most_hops }, why, now);
        }
        if let Some((node, cost)) = self.next_trace(now) {
            self.traces.spend(cost);
            self.counts.traces += 1;
            self.trace = Some((node, now.mono));
            if let Some(known) = self.nodes.get_mut(&node) {
                known.traced = Some(now.mono);
            }
            self.actions.push_back(Action::Trace { node });
        }
        self.check_ways(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let open = self.nodes.values().filter_map(Known::search_until);
        let open = open.chain(self.trace.map(|(_, at)| at + LOST)).chain(self.check_due()).min();
        if !self.is_up {
            return open;
        }
        let search = self.wanted().and_then(|(at, _, _, most_hops)| {
            let paid = self.searches.due(self.limits.flood(most_hops))?;
            Some(at.map_or(paid, |at| at.max(paid)))
        });
        let trace = self.stalest().and_then(|(at, _, hops)| {
            let paid = self.traces.due(self.limits.trace(hops))?;
            Some(at.map_or(paid, |at| paid.max(at + self.limits.trace_every)))
        });
        open.into_iter().chain(search).chain(trace).chain(self.patience_until()).min()
    }

    /// The route changes again and again: looking for another one makes it worse.
    pub(super) fn flaps(&mut self, node: u16, now: Now) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.fault = Some(Why::Flapping);
            known.not_before = Some(now.mono + self.limits.flap_time);
        }
    }

    /// Another route is wanted.
    pub(super) fn found_bad(&mut self, node: u16, why: Why, now: Now) {
        let known = self.nodes.entry(node).or_default();
        if known.fault.replace(why) != Some(why) {
            known.cause = Some(why);
            self.note(node, What::Faulty, why, now);
        }
    }

    fn found_nobody(&mut self, node: u16, now: Now) {
        // Once: a node without power is looked for again and again.
        if self.nodes.get(&node).is_none_or(|known| known.in_vain == 0) {
            let why = self.fault(node).unwrap_or(Why::NoRoute);
            self.note(node, What::NotFound, why, now);
        }
        self.not_found(node, now);
    }

    /// A search has found nobody: the next one waits.
    pub(super) fn not_found(&mut self, node: u16, now: Now) {
        let (pause, longest) = (self.limits.pause, self.limits.longest_pause);
        let is_leisurely = self.is_leisurely();
        let known = self.nodes.entry(node).or_default();
        known.not_before = Some(now.mono + pause.saturating_mul(1 << known.in_vain.min(16)).min(longest));
        known.in_vain = known.in_vain.saturating_add(1);
        known.own_at = None;
        if is_leisurely {
            (known.looked, known.rests) = (0, 0);
        }
        // What was disturbed may be so no more: the way that was there has its turn again before the next search.
        let may_write = !self.is_locked && self.limits.put_back > 0;
        let last = self.limits.put_back.saturating_sub(1);
        let Some(known) = self.nodes.get_mut(&node).filter(|known| may_write && known.last_way().is_some()) else {
            return;
        };
        if matches!(known.fault, None | Some(Why::NoRoute | Why::NoAnswer | Why::Weak)) {
            (known.fault, known.put_back) = (None, known.put_back.min(last));
        }
    }

    fn next_search(&mut self, now: Now) -> Option<(u16, Why, u8)> {
        // After a while in which it was left alone a flapping route counts as any other.
        for known in self.nodes.values_mut().filter(|known| known.fault == Some(Why::Flapping)) {
            if known.not_before.is_none_or(|at| at <= now.mono) {
                (known.fault, known.not_before) = (None, None);
            }
        }
        let (_, node, why, most_hops) = self.wanted().filter(|(at, ..)| at.is_none_or(|at| at <= now.mono))?;
        self.searches.has(self.limits.flood(most_hops), now.mono).then_some((node, why, most_hops))
    }

    fn next_trace(&mut self, now: Now) -> Option<(u16, f64)> {
        let is_due = |at: Option<Instant>| at.is_none_or(|at| at + self.limits.trace_every <= now.mono);
        let (_, node, hops) = self.stalest().filter(|(at, ..)| is_due(*at))?;
        let cost = self.limits.trace(hops);
        self.traces.has(cost, now.mono).then_some((node, cost))
    }

    /// Whose route is looked for next, not before when, why, and how far: of those whose branch is not searched already.
    fn wanted(&self) -> Option<(Option<Instant>, u16, Why, u8)> {
        let under_way = || self.nodes.iter().filter(|(_, known)| known.search.is_some());
        if under_way().count() >= self.limits.at_once {
            return None;
        }
        let branches: BTreeSet<u16> = under_way().map(|(node, known)| known.branch(*node)).collect();
        let faulty = self.nodes.iter().filter_map(|(node, known)| Some((known, *node, known.fault?)));
        let wanted = faulty.filter(|(known, node, why)| {
            *why != Why::Flapping && known.search.is_none() && !branches.contains(&known.branch(*node))
        });
        let (known, node, why) = wanted.min_by_key(|(known, node, _)| (known.not_before, known.in_vain, *node))?;
        Some((known.not_before, node, why, self.limits.reach(known.hops(), known.in_vain)))
    }

    /// Whose path is traced next: of those with a route the one that was traced longest ago, and its hops.
    fn stalest(&self) -> Option<(Option<Instant>, u16, u8)> {
        if self.trace.is_some() || !self.is_free() || self.limits.trace_share <= 0.0 {
            return None;
        }
        let sound = self.nodes.iter().filter(|(_, known)| known.fault.is_none());
        sound.filter_map(|(node, known)| Some((known.traced, *node, known.way?.hops))).min()
    }
}

/// So many requests that are not answered are enough where somebody else is made to look for the node.
const UNANSWERED: u32 = 2;
/// A search or a trace of which nothing was heard for so long has ended: adpPathDiscoveryTime is 40 s.
pub(super) const LOST: Duration = Duration::from_secs(90);
