//! Outages as the mesh sees them: many nodes of one phase or branch fall silent at once while others answer, and that is
//! one event that names what they have in common; so is their return.
//!
//! Nobody tells that a phase is gone. A node that does not answer is evidence, and so is one that does: where a few nodes
//! are silent that have something in common, others are probed, few at a time, until it is clear how far it reaches. Who
//! comes back is asked again one after the other. It sends nothing: actions are carried out by its owner. The goal, to
//! name it within two minutes, and few probes at once: `../shared/facts/plc-routes.md`, 4.

mod open;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

pub use open::Outage;
pub use scope::{Place, Scope};

/// When silence is an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes that fall silent within this time may belong together.
    pub window: Duration,
    /// So many that have something in common are looked into, and so many are an outage.
    pub suspicious: usize,
    pub least: usize,
    /// Of those asked in it, so many of a hundred are silent in an outage.
    pub percent: usize,
    /// Nodes that are probed at the same time, and how long that may take.
    pub probes: usize,
    pub probe_time: Duration,
    /// How far apart nodes that come back are asked again.
    pub spread: Duration,
    /// An outage is looked into after so long, and at most so long.
    pub look: (Duration, Duration),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Find out whether the node is there; [`Outages::probed`] tells.
    Probe { node: u16 },
    /// A node that came back may be asked again.
    Resume { node: u16 },
}

/// What has become clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Began(Outage),
    /// It is over for most of them; who is missing is silent by itself.
    Restored(Outage),
}

/// All nodes of one network.
#[derive(Debug)]
pub struct Outages {
    limits: Limits,
    nodes: BTreeMap<u16, Node>,
    open: BTreeMap<u32, Outage>,
    next: u32,
    /// Until when an answer is waited for.
    probing: BTreeMap<u16, Instant>,
    /// When who may be asked again.
    turns: VecDeque<(Instant, u16)>,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    place: Place,
    state: State,
    heard: Option<Instant>,
    probed: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    There,
    Silent(Instant),
    /// It is part of an outage.
    Out(u32),
}

/// What is known of the nodes that have something in common.
#[derive(Debug, Clone, Copy)]
struct Evidence {
    scope: Scope,
    members: usize,
    silent: usize,
    /// Heard since the first of them fell silent.
    answered: usize,
    since: Instant,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            window: minutes(10),
            suspicious: 2,
            least: 4,
            percent: 80,
            probes: 3,
            probe_time: minutes(2),
            spread: Duration::from_secs(5),
            look: (minutes(1), minutes(15)),
        }
    }
}

impl Outages {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: BTreeMap::new(),
            open: BTreeMap::new(),
            next: 0,
            probing: BTreeMap::new(),
            turns: VecDeque::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Where a member is, as far as that is known. Of who is silent the last that was known stays.
    pub fn place(&mut self, node: u16, place: Place) {
        let known = self.nodes.entry(node).or_default();
        if known.state == State::There {
            known.place = place.or(known.place);
        }
    }

    /// A node is no member any more.
    pub fn left(&mut self, node: u16) {
        self.nodes.remove(&node);
        self.probing.remove(&node);
        self.open.values_mut().for_each(|outage| outage.leave(node));
    }

    /// A node has answered, or said something by itself.
    pub fn heard(&mut self, node: u16, now: Instant) {
        let known = self.nodes.entry(node).or_default();
        known.heard = Some(now);
        if let State::Out(number) = std::mem::replace(&mut known.state, State::There) {
            self.comes_back(number, node, now);
        }
        self.judge(now);
    }

    /// A node has joined: it is there, and has its turn to be asked, which comes as [`Action::Resume`].
    pub fn joined(&mut self, node: u16, now: Instant) {
        let turn = self.turns.back().map_or(now, |(last, _)| (*last + self.limits.spread).max(now));
        // The last turn is kept for who comes after it.
        self.turns.push_back((turn, node));
        self.heard(node, now);
        self.take_turns(now);
    }

    /// A node was asked, and nothing came.
    pub fn silent(&mut self, node: u16, now: Instant) {
        let known = self.nodes.entry(node).or_default();
        if known.state == State::There {
            known.state = State::Silent(now);
            let place = known.place;
            // What is known already needs no other name.
            let covers = |outage: &&mut Outage| outage.back.is_empty() && outage.scope.covers(place);
            if let Some(outage) = self.open.values_mut().find(covers) {
                outage.out.insert(node);
                known.state = State::Out(outage.number);
            }
        }
        self.judge(now);
    }

    /// What came of [`Action::Probe`].
    pub fn probed(&mut self, node: u16, is_there: bool, now: Instant) {
        self.probing.remove(&node);
        if is_there { self.heard(node, now) } else { self.silent(node, now) }
    }

    /// The network runs, or not: then nobody answers, and that says nothing.
    pub fn set_up(&mut self, is_up: bool) {
        if !is_up {
            self.probing.clear();
            self.actions.clear();
            self.turns.clear();
            let suspects = self.nodes.values_mut().filter(|node| matches!(node.state, State::Silent(_)));
            suspects.for_each(|node| node.state = State::There);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.probing.retain(|_, until| *until > now);
        self.take_turns(now);
        self.look_into(now);
        self.judge(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let turns = self.turns.iter().find(|(_, node)| *node != TAKEN).map(|(at, _)| *at);
        let open = self.open.values().map(|outage| outage.due);
        self.probing.values().copied().chain(turns).chain(open).min()
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Those that are not over.
    pub fn open(&self) -> impl Iterator<Item = &Outage> {
        self.open.values()
    }

    fn take_turns(&mut self, now: Instant) {
        for (_, node) in self.turns.iter_mut().filter(|(at, node)| *at <= now && *node != TAKEN) {
            self.actions.push_back(Action::Resume { node: std::mem::replace(node, TAKEN) });
        }
        while self.turns.len() > 1 && self.turns.front().is_some_and(|(_, node)| *node == TAKEN) {
            self.turns.pop_front();
        }
    }

    /// What has fallen silent lately: is it an outage, or what has to be asked to know it?
    fn judge(&mut self, now: Instant) {
        let recent = |state: State| match state {
            State::Silent(since) if now.saturating_duration_since(since) < self.limits.window => Some(since),
            _ => None,
        };
        let suspects = self.nodes.values().filter(|node| recent(node.state).is_some());
        if suspects.clone().count() < self.limits.suspicious {
            return;
        }
        let scopes: std::collections::BTreeSet<Scope> =
            suspects.flat_map(|node| node.place.scopes().into_iter().flatten()).collect();
        let evidence = scopes.into_iter().filter_map(|scope| {
            let members = self.nodes.values().filter(|node| scope.covers(node.place));
            let since = members.clone().filter_map(|node| recent(node.state)).min()?;
            let count = |is_it: &dyn Fn(&Node) -> bool| members.clone().filter(|node| is_it(node)).count();
            let silent = count(&|node| recent(node.state).is_some());
            let there = count(&|node| node.state == State::There);
            let answered = count(&|node| node.state == State::There && node.heard.is_some_and(|at| at >= since));
            Some(Evidence { scope, members: silent + there, silent, answered, since })
        });
        let limits = self.limits;
        let is_plausible = |it: &Evidence| {
            it.silent >= limits.suspicious
                && it.members >= limits.least
                && it.silent * 100 >= limits.percent * (it.silent + it.answered)
        };
        let plausible: Vec<Evidence> = evidence.filter(is_plausible).collect();
        let is_clear = |it: &&Evidence| it.silent + it.answered >= it.members.min(ENOUGH * limits.least);
        let is_named = |it: &&Evidence| is_clear(it) && it.silent >= limits.least;
        let is_part = |scope: Scope| plausible.iter().filter(is_named).any(|it| it.scope.contains(scope));
        // What may reach farther is looked into before something is named.
        let unclear = plausible.iter().filter(|it| !is_clear(it) && !is_part(it.scope));
        let unclear: Vec<Scope> = unclear.map(|it| it.scope).collect();
        if !unclear.is_empty() && self.probe_members(&unclear, now) {
            return;
        }
        let named = plausible.iter().filter(|it| it.silent >= limits.least);
        let named = named.max_by_key(|it| (it.silent, std::cmp::Reverse(it.members))).copied();
        if let Some(Evidence { scope, silent, since, .. }) = named {
            self.begin(scope, silent, since, now);
        }
    }

    /// Asks who has not been asked in these; false where there is nobody.
    fn probe_members(&mut self, scopes: &[Scope], now: Instant) -> bool {
        let window = self.limits.window;
        let is_asked = |node: &Node| node.probed.is_some_and(|at| now.saturating_duration_since(at) < window);
        let candidates = self.nodes.iter().filter(|(_, node)| node.state == State::There && !is_asked(node));
        let candidates = candidates.filter(|(_, node)| scopes.iter().any(|scope| scope.covers(node.place)));
        // Those heard longest ago, and of them in no order that the network has.
        let mut candidates: Vec<_> =
            candidates.map(|(number, node)| (node.heard, number.wrapping_mul(MIX), *number)).collect();
        candidates.sort_unstable();
        for (.., node) in candidates {
            if self.probing.len() >= self.limits.probes {
                break;
            }
            self.probe(node, now);
        }
        !self.probing.is_empty()
    }

    fn probe(&mut self, node: u16, now: Instant) {
        self.probing.insert(node, now + self.limits.probe_time);
        self.nodes.entry(node).or_default().probed = Some(now);
        self.actions.push_back(Action::Probe { node });
    }
}

/// A turn that was taken.
const TAKEN: u16 = u16::MAX;
/// So many times the fewest nodes of an outage are asked before it is named.
const ENOUGH: usize = 2;
const MIX: u16 = 40_503;
