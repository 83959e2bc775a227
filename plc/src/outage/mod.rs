//! Outages as the mesh sees them: many nodes of one phase or branch fall silent at once while others answer, and that is
//! one event that names what they have in common; so is their return.
//!
//! Nobody tells that a phase is gone. A node that does not answer is evidence, and so is one that does: where a few
//! nodes are silent that have something in common, others are probed, few at a time, until it is clear how far it
//! reaches; where one is, those who would tell whether it is alone. A modem that was started has no ways yet, so that who was
//! never heard since says nothing for a while. Who comes back is asked again one after the other.
//! It sends nothing: actions are carried out by its owner. The goal, to name it within two minutes, and few probes at
//! once: `../shared/facts/plc-routes.md`, 4.

mod confirm;
mod evidence;
mod kept;
mod limits;
mod open;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

pub use kept::Kept;
pub use limits::Limits;
pub use open::Outage;
pub use scope::{Place, Scope};

use evidence::Tally;

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
    /// Some are back, and each of the others was asked since in vain; it is not over. Told once.
    PartlyBack(Outage),
    /// It is over: all are back that have not left.
    Restored(Outage),
    /// Nobody is waited for any more: who is still out is silent by itself, or all have left.
    GivenUp(Outage),
}

/// All nodes of one network.
#[derive(Debug)]
pub struct Outages {
    limits: Limits,
    nodes: BTreeMap<u16, Node>,
    open: BTreeMap<u32, Outage>,
    next: u32,
    tally: Tally,
    /// Rises whenever what is open, who is out or who is back changes.
    revision: u64,
    /// Since when the network runs.
    up: Option<Instant>,
    /// The same, or when who was not heard of was last probed.
    watched: Option<Instant>,
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

impl Outages {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: BTreeMap::new(),
            open: BTreeMap::new(),
            next: 0,
            tally: Tally::default(),
            revision: 0,
            up: None,
            watched: None,
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
        self.leaves(node);
    }

    /// A node has answered, or said something by itself.
    pub fn heard(&mut self, node: u16, now: Instant) {
        let known = self.nodes.entry(node).or_default();
        // What comes within one exchange is one answer.
        let is_again = |at: Instant| now.saturating_duration_since(at) >= self.limits.lately;
        if known.state == State::There && known.heard.is_some_and(is_again) {
            self.tally.count(true, self.limits.window, now);
        }
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
            if known.heard.is_some_and(|at| self.up.is_none_or(|up| at >= up)) {
                self.tally.count(false, self.limits.window, now);
            }
            known.state = State::Silent(now);
            let place = known.place;
            // What is known already needs no other name.
            let covers = |outage: &&mut Outage| outage.back.is_empty() && outage.scope.covers(place);
            if let Some(outage) = self.open.values_mut().find(covers) {
                outage.out.insert(node);
                self.revision += 1;
                known.state = State::Out(outage.number);
            }
        }
        self.judge(now);
        self.confirm(node, now);
    }

    /// The first hop did not take what was to be sent to a node, which says nothing of the node itself.
    pub fn not_taken(&mut self, node: u16, now: Instant) {
        self.confirm(node, now);
    }

    /// What came of [`Action::Probe`].
    pub fn probed(&mut self, node: u16, is_there: bool, now: Instant) {
        self.probing.remove(&node);
        match is_there {
            true => {
                self.heard(node, now);
                self.confirm_behind(node, now);
            }
            false => self.silent(node, now),
        }
    }

    /// The network runs, or not: then nobody answers, and that says nothing.
    pub fn set_up(&mut self, is_up: bool, now: Instant) {
        self.watched = is_up.then_some(now);
        match is_up {
            true => self.up = Some(now),
            false => {
                self.probing.clear();
                self.actions.clear();
                self.turns.clear();
            }
        }
        let suspects = self.nodes.values_mut().filter(|node| matches!(node.state, State::Silent(_)));
        suspects.for_each(|node| node.state = State::There);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.probing.retain(|_, until| *until > now);
        self.take_turns(now);
        self.look_into(now);
        self.judge(now);
        self.watch(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let turns = self.turns.iter().find(|(_, node)| *node != TAKEN).map(|(at, _)| *at);
        let open = self.open.values().map(|outage| outage.due);
        self.probing.values().copied().chain(turns).chain(open).chain(self.watch_due()).min()
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

    /// Another number than before: what [`Self::open`] says is not what it was.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The one that a node is part of.
    pub fn open_of(&self, node: u16) -> Option<&Outage> {
        match self.nodes.get(&node)?.state {
            State::Out(number) => self.open.get(&number),
            State::There | State::Silent(_) => None,
        }
    }

    fn take_turns(&mut self, now: Instant) {
        for (_, node) in self.turns.iter_mut().filter(|(at, node)| *at <= now && *node != TAKEN) {
            self.actions.push_back(Action::Resume { node: std::mem::replace(node, TAKEN) });
        }
        while self.turns.len() > 1 && self.turns.front().is_some_and(|(_, node)| *node == TAKEN) {
            self.turns.pop_front();
        }
    }

    /// Asks who has not been asked in these; false where there is nobody.
    fn probe_members(&mut self, scopes: &BTreeSet<Scope>, now: Instant) -> bool {
        let free = self.limits.probes.saturating_sub(self.probing.len());
        if free > 0 {
            let window = self.limits.window;
            let is_asked = |node: &Node| node.probed.is_some_and(|at| now.saturating_duration_since(at) < window);
            let candidates = self.nodes.iter().filter(|(_, node)| node.state == State::There && !is_asked(node));
            let candidates = candidates.filter(|(_, node)| node.place.scopes().any(|scope| scopes.contains(&scope)));
            // Those heard longest ago, and of them in no order that the network has.
            let mut candidates: Vec<_> =
                candidates.map(|(number, node)| (node.heard, number.wrapping_mul(MIX), *number)).collect();
            candidates.sort_unstable();
            candidates.into_iter().take(free).for_each(|(.., node)| self.probe(node, now));
        }
        !self.probing.is_empty()
    }

    fn watch_due(&self) -> Option<Instant> {
        let at = self.watched.filter(|_| self.probing.is_empty() && self.nodes.len() <= WATCHED)?;
        Some(at + self.limits.watch)
    }

    /// A network may be read one branch after the other: where nothing else is looked into, the first hop of the branch
    /// that was not heard of for longest is probed now and then. It alone, as a way of many hops may break by being used.
    fn watch(&mut self, now: Instant) {
        if self.watch_due().is_none_or(|at| at > now) {
            return;
        }
        self.watched = Some(now);
        let mut branches: BTreeMap<u16, (usize, Option<Instant>)> = BTreeMap::new();
        for node in self.nodes.values().filter(|node| node.state == State::There) {
            let Some(branch) = node.place.branch else { continue };
            let (members, heard) = branches.entry(branch).or_default();
            (*members, *heard) = (*members + 1, (*heard).max(node.heard));
        }
        let is_long_ago =
            |at: Option<Instant>| at.is_none_or(|at| now.saturating_duration_since(at) >= self.limits.unheard);
        let unheard =
            branches.into_iter().filter(|(_, (members, heard))| *members >= self.limits.least && is_long_ago(*heard));
        let next = unheard.filter_map(|(first, (_, heard))| {
            let node = self.nodes.get(&first).filter(|node| node.state == State::There && is_long_ago(node.probed))?;
            Some((heard.max(node.probed), first))
        });
        next.min().into_iter().for_each(|(_, first)| self.probe(first, now));
    }

    fn probe(&mut self, node: u16, now: Instant) {
        self.probing.insert(node, now + self.limits.probe_time);
        self.nodes.entry(node).or_default().probed = Some(now);
        self.actions.push_back(Action::Probe { node });
    }
}

/// A turn that was taken.
const TAKEN: u16 = u16::MAX;
/// In a larger network probes break more than they tell: of 1,000 simulated nodes control traffic grew by half.
const WATCHED: usize = 500;
const MIX: u16 = 40_503;
