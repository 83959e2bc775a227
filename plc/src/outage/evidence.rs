//! What those who are silent say of all that they have in common: whether that is an outage, and what has to be asked to
//! know it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{Node, Outages, Scope, State};

/// What is known of the nodes that have something in common.
#[derive(Debug, Clone, Copy)]
struct Evidence {
    scope: Scope,
    members: usize,
    silent: usize,
    /// Whoever is behind the first hop may be out with it.
    has_lost_first_hop: bool,
    /// Heard since the first of them fell silent.
    answered: usize,
    since: Instant,
    /// So many of them are to be asked before anything is said.
    asked: usize,
    /// How many are silent that are no part of it, as a share.
    share: f64,
}

/// How often a node that answered last answers again when it is asked: in this window, and in the last one, which is what
/// counts, as what is judged is no part of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    since: Option<Instant>,
    /// Not answered, and all.
    now: (u32, u32),
    before: (u32, u32),
}

/// Who is counted as silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// Who fell silent within this time, and was heard before, since the network runs.
    Fell(Duration),
    /// Who was never heard since the network runs: all of what is out has to be so.
    Unheard(Instant),
}

impl Outages {
    /// What has fallen silent lately: is it an outage, or what has to be asked to know it?
    pub(super) fn judge(&mut self, now: Instant) {
        let limits = self.limits;
        let is_plausible = |it: &Evidence| {
            let is_most = it.silent * 100 >= limits.percent * (it.silent + it.answered);
            // Where nobody could be sure if all others were silent, too, nobody is asked.
            it.members >= limits.least && is_most && it.is_no_chance(it.members - it.answered)
        };
        let of = |silence| self.evidence(silence, now).into_iter().filter(|(_, it)| is_plausible(it));
        let settled = self.up.filter(|up| now.saturating_duration_since(*up) >= limits.settle);
        let unheard = settled.into_iter().flat_map(|up| of(Silence::Unheard(up)));
        // Who fell silent earlier by itself makes all that answered since look like evidence against an outage.
        let fell = of(Silence::Fell(limits.soon)).chain(of(Silence::Fell(limits.window)));
        let plausible: BTreeMap<Scope, Evidence> = unheard.chain(fell).collect();
        let plausible: Vec<Evidence> = plausible.into_values().collect();
        let is_clear =
            |it: &&Evidence| it.silent + it.answered >= it.members.min(it.asked) && it.is_no_chance(it.silent);
        let is_named = |it: &&Evidence| is_clear(it) && it.silent >= limits.least;
        let named: BTreeSet<Scope> = plausible.iter().filter(is_named).map(|it| it.scope).collect();
        let is_part = |scope: Scope| scope.place().scopes().any(|whole| named.contains(&whole));
        // What may reach farther is looked into before something is named.
        let unclear = plausible.iter().filter(|it| !is_clear(it) && !is_part(it.scope));
        let unclear: BTreeSet<Scope> = unclear.map(|it| it.scope).collect();
        if !unclear.is_empty() && self.probe_members(&unclear, now) {
            return;
        }
        let named = plausible.iter().filter(|it| it.silent >= limits.least && it.is_no_chance(it.silent));
        let named = named.max_by_key(|it| (it.silent, Reverse(it.members))).copied();
        if let Some(Evidence { scope, silent, since, .. }) = named {
            self.begin(scope, silent, since, now);
        }
    }

    /// Of all that somebody is part of who is silent so: the nodes are gone through twice, however many that are.
    fn evidence(&self, silence: Silence, now: Instant) -> BTreeMap<Scope, Evidence> {
        let counted = |node: &Node| match (node.state, silence) {
            (State::Silent(since), Silence::Fell(window)) => {
                let is_recent = now.saturating_duration_since(since) < window;
                (is_recent && self.was_heard(node)).then_some(since)
            }
            (State::Silent(_), Silence::Unheard(up)) => (!self.was_heard(node)).then_some(up),
            _ => None,
        };
        let mut all: BTreeMap<Scope, Evidence> = BTreeMap::new();
        for (number, node, since) in
            self.nodes.iter().filter_map(|(number, node)| Some((*number, node, counted(node)?)))
        {
            for scope in node.place.scopes() {
                let (members, silent, answered) = (0, 0, 0);
                let (has_lost_first_hop, asked, share) = (false, 0, 0.0);
                let new = Evidence { scope, members, silent, has_lost_first_hop, answered, since, asked, share };
                let it = all.entry(scope).or_insert(new);
                (it.members, it.silent, it.since) = (it.members + 1, it.silent + 1, it.since.min(since));
                it.has_lost_first_hop |= scope == Scope::Branch(number);
            }
        }
        all.retain(|_, it| it.silent >= self.limits.suspicious || it.has_lost_first_hop);
        if all.is_empty() {
            return all;
        }
        // Whoever is silent beside what is judged: those that were so before it.
        let (mut fell, mut unheard, mut heard) = (Vec::new(), 0, 0);
        for node in self.nodes.values() {
            match node.state {
                State::There => heard += usize::from(self.was_heard(node)),
                State::Silent(since) if self.was_heard(node) => fell.push(since),
                State::Silent(_) => unheard += 1,
                State::Out(_) => {}
            }
            for scope in node.place.scopes().filter(|_| node.state == State::There) {
                let Some(it) = all.get_mut(&scope) else { continue };
                it.members += 1;
                it.answered += usize::from(node.heard.is_some_and(|at| at >= it.since));
            }
        }
        fell.sort_unstable();
        for it in all.values_mut() {
            // Who was asked is no fair sample: the more speaks against it, the more of it must be asked.
            it.asked = ENOUGH * self.limits.least * (1 + it.answered);
            let silent = match silence {
                Silence::Fell(_) => unheard + fell.partition_point(|at| *at < it.since),
                Silence::Unheard(_) => {
                    it.asked = it.asked.max(it.members / UNHEARD);
                    unheard - it.silent
                }
            };
            it.share = self.tally.share().max((silent + 1) as f64 / (silent + heard + 2) as f64);
        }
        if let Silence::Unheard(_) = silence {
            all.retain(|_, it| it.answered == 0);
        }
        all
    }

    /// Something came from it since the network runs, so that there was a way.
    fn was_heard(&self, node: &Node) -> bool {
        node.heard.is_some_and(|at| self.up.is_none_or(|up| at >= up))
    }
}

impl Tally {
    pub(super) fn count(&mut self, is_answered: bool, window: Duration, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= window {
            (self.since, self.before) = (Some(now), std::mem::take(&mut self.now));
        }
        self.now = (self.now.0 + u32::from(!is_answered), self.now.1 + 1);
    }

    fn share(&self) -> f64 {
        let (lost, asked) = self.before;
        (f64::from(lost) + 0.5) / (f64::from(asked) + 10.0)
    }
}

impl Evidence {
    /// Whether that so many are silent of those who were asked is more than chance makes of it, as often as others are: where
    /// most is lost, eight in a row say nothing. By Chernoff's bound.
    fn is_no_chance(&self, silent: usize) -> bool {
        let asked = (silent + self.answered).max(1) as f64;
        let part = silent as f64 / asked;
        let term = |part: f64, share: f64| if part > 0.0 { part * (part / share).ln() } else { 0.0 };
        let distance = term(part, self.share) + term(1.0 - part, 1.0 - self.share);
        part > self.share && asked * distance >= -CHANCE.ln()
    }
}

/// So many times the fewest nodes of an outage are asked before it is named, and again so many for each that answers.
const ENOUGH: usize = 2;
/// Of who was never heard since the network runs at least one in so many is asked.
const UNHEARD: usize = 4;
/// How often as many are silent by chance as is said to be none: there are many nodes, and they are judged again and again.
const CHANCE: f64 = 1e-5;
