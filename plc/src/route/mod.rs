//! What the host does about routes that the modems find by themselves (LOADng, G.9903 annex D).
//!
//! [`Routes`] keeps which way goes to each node and why it changed, sees routes that are broken, circular, weak or
//! flapping, puts back what the modem dropped, and has others looked for: one at a time for each branch, ever less often
//! where nobody is found, and within a share of the airtime. It traces paths, few at a time, so that what lies behind the first hop is known too. It holds
//! routes that somebody wants to go another way. It sends nothing: actions are carried out by its owner, who tells what
//! became of them. Goals: `../shared/facts/plc-routes.md`, 4.

mod asked;
mod budget;
mod check;
mod history;
mod near;
mod node;
mod orders;
mod others;
mod policy;
mod repair;
mod standing;
mod table;
#[cfg(test)]
mod tests;
mod way;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

pub use asked::End;
pub use history::{Entry, What, Why};
pub use orders::PinError;
pub use policy::Limits;
pub use standing::Standing;
pub use way::{Alternate, Link, Medium, Way};

use budget::Budget;
use check::Check;
use node::Known;

/// Both clocks: one to count with, one to tell people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    pub mono: Instant,
    /// Milliseconds since 1970 UTC.
    pub utc_ms: i64,
}

/// What is to be done with the modem. `discovered` and `traced` tell how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// ADPM-ROUTE-DISCOVERY.
    Discover { node: u16, most_hops: u8 },
    /// ADPM-PATH-DISCOVERY.
    Trace { node: u16 },
    /// The row of the node in the modem's table is to be looked at, and told with `goes`: it answered after it was lost, by a
    /// way perhaps that the modem found meanwhile.
    Look { node: u16 },
    /// An echo of the node is wanted: `answered` tells that it came, `unheard` that it could not leave.
    Check { node: u16 },
    /// Put this row into adpRoutingTable: the route to the node is to go this way, and goes another one.
    Pin { node: u16, way: Way },
    /// The same for a row that the modem has dropped: what disturbed the first hop may be over.
    PutBack { node: u16, way: Way },
    /// The same in place of a row whose first hop is blacklisted.
    Detour { node: u16, way: Way },
    /// The same over a neighbour that has no way to the node, and looks for one as soon as something is sent.
    ByAnother { node: u16, way: Way },
}

/// What is new, of which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub node: u16,
    pub entry: Entry,
}

/// What went wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The modem had no way, and looked for one in vain where it was allowed to.
    NoRoute { searched: bool },
    /// It left, and nothing came back in time.
    NoAnswer,
}

/// The routes of one network.
#[derive(Debug)]
pub struct Routes {
    limits: Limits,
    nodes: BTreeMap<u16, Known>,
    blacklist: BTreeSet<u16>,
    /// When something was wanted last, or no more, seconds since 1970 UTC.
    ordered_s: u32,
    searches: Budget,
    traces: Budget,
    checks: Budget,
    check: Option<Check>,
    trace: Option<(u16, Instant)>,
    /// Somebody waits for answers: nobody traces.
    is_busy: bool,
    /// Nodes that are waited for, now or later.
    waited_for: usize,
    /// The modem lets nobody write its routes.
    is_locked: bool,
    /// It was started, and its table was not read since.
    is_fresh: bool,
    is_up: bool,
    counts: Counts,
    actions: VecDeque<Action>,
    changes: VecDeque<Change>,
}

/// What was done since the begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Searches of the coordinator, and those that found somebody.
    pub searches: u64,
    pub found: u64,
    /// Searches that neighbours were made to do, and after how many of them the node answered, before anything else was
    /// tried: what such a search found nobody tells.
    pub by_others: u64,
    pub by_others_answered: u64,
    /// Rows that the modem had dropped.
    pub put_back: u64,
    pub traces: u64,
    pub changes: u64,
}

impl Routes {
    pub fn new(limits: Limits, now: Now) -> Self {
        let searches = Budget::new(limits.search_share, SEARCHES_SAVED * limits.flood(limits.max_hops), now.mono);
        Self {
            searches,
            traces: Budget::new(limits.trace_share, TRACES_SAVED, now.mono),
            checks: Budget::new(limits.check_share, TRACES_SAVED, now.mono),
            check: None,
            limits,
            nodes: BTreeMap::new(),
            blacklist: BTreeSet::new(),
            ordered_s: 0,
            trace: None,
            is_busy: false,
            waited_for: 0,
            is_locked: false,
            is_fresh: false,
            is_up: false,
            counts: Counts::default(),
            actions: VecDeque::new(),
            changes: VecDeque::new(),
        }
    }

    /// The network has so many nodes now.
    pub fn set_limits(&mut self, limits: Limits) {
        self.searches.set_most(SEARCHES_SAVED * limits.flood(limits.max_hops));
        self.limits = limits;
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was noted in an earlier life, of each node in its order.
    pub fn restore(&mut self, entries: impl IntoIterator<Item = (u16, Entry)>) {
        for (node, entry) in entries {
            let at_ms = i64::from(entry.at_s) * 1_000;
            if entry.what.is_order() {
                self.ordered_s = self.ordered_s.max(entry.at_s);
            }
            let known = self.nodes.entry(node).or_default();
            known.note(entry.what, entry.why, at_ms, ENTRIES_OF_NODE);
            match entry.what {
                // That it went there before is no change.
                What::Way(way) => {
                    known.goes(way, at_ms);
                    known.stays = None;
                    known.asked = known.asked.saturating_sub(u8::from(entry.why == Why::Asked));
                }
                What::Gone => known.way = None,
                What::Pinned { next_hop } => known.pin = Some(next_hop),
                What::Released => known.pin = None,
                What::Blacklisted => drop(self.blacklist.insert(node)),
                What::Allowed => drop(self.blacklist.remove(&node)),
                What::Stays { next_hop } => known.stays = Some(next_hop),
                What::MayStay { .. } => known.stays = None,
                What::Searched { .. } if entry.why == Why::Asked => known.asked = known.asked.saturating_add(1),
                What::NotFound if entry.why == Why::Asked => known.asked = known.asked.saturating_sub(1),
                What::Refused(_) => known.asked = known.asked.saturating_sub(1),
                What::Faulty | What::Searched { .. } | What::NotFound => {}
            }
        }
        let most = self.most_entries();
        self.nodes.values_mut().for_each(|known| known.trim(most));
    }

    /// The modem runs its network, or not: then nothing is under way any more.
    pub fn set_up(&mut self, is_up: bool) {
        (self.is_up, self.is_locked, self.is_fresh) = (is_up, false, is_up);
        (self.trace, self.check) = (None, None);
        self.actions.clear();
        self.nodes.values_mut().for_each(|known| (known.search, known.put) = (None, None));
    }

    /// A row that was wanted is not put into the modem's table.
    pub fn not_put(&mut self, node: u16) {
        self.nodes.get_mut(&node).into_iter().for_each(|known| known.put = None);
    }

    /// Somebody waits for answers of the network; traces wait meanwhile.
    pub fn set_busy(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
    }

    /// How many nodes are waited for, those included that are left alone for a while.
    pub fn set_waited_for(&mut self, nodes: usize) {
        self.waited_for = nodes;
    }

    /// So many are waited for that the network is being read.
    fn is_read(&self) -> bool {
        self.waited_for > self.limits.few
    }

    /// Nobody waits for the network: what is done for its own sake may be.
    fn is_free(&self) -> bool {
        !self.is_busy && !self.is_read()
    }

    pub fn way(&self, node: u16) -> Option<Way> {
        self.nodes.get(&node)?.way
    }

    /// What happened, the newest last.
    pub fn history(&self, node: u16) -> impl DoubleEndedIterator<Item = &Entry> {
        self.nodes.get(&node).into_iter().flat_map(|known| &known.history)
    }

    /// Ways that the node was reached by, and the one that it has, the best first.
    pub fn alternates(&self, node: u16) -> Vec<Alternate> {
        let Some(known) = self.nodes.get(&node) else { return Vec::new() };
        let mut all = known.alternates.clone();
        if let Some(way) = known.way {
            match all.iter_mut().find(|it| it.way.next_hop == way.next_hop) {
                Some(same) => same.way = way,
                // It is to be looked for that way.
                None => {
                    let since = known.history.back().map_or(0, |entry| i64::from(entry.at_s) * 1_000);
                    all.push(Alternate::new(way, since));
                }
            }
        }
        all.sort_by_key(Alternate::score);
        all
    }

    /// The last traced path, and when that was in milliseconds since 1970 UTC.
    pub fn trace(&self, node: u16) -> Option<(i64, &[Link])> {
        self.nodes.get(&node)?.trace.as_ref().map(|(at_ms, links)| (*at_ms, links.as_slice()))
    }

    /// What is wrong with the route now.
    pub fn fault(&self, node: u16) -> Option<Why> {
        self.nodes.get(&node)?.fault
    }

    pub fn pin(&self, node: u16) -> Option<u16> {
        self.nodes.get(&node)?.pin
    }

    /// Somebody looks for a route.
    pub fn is_searching(&self) -> bool {
        self.nodes.values().any(|known| known.search.is_some())
    }

    /// Routes that are held.
    pub fn held(&self) -> usize {
        self.nodes.values().filter(|known| known.pin.is_some()).count()
    }

    /// Nodes that no route is to go over.
    pub fn blacklist(&self) -> impl Iterator<Item = u16> {
        self.blacklist.iter().copied()
    }

    pub fn is_blacklisted(&self, node: u16) -> bool {
        self.blacklist.contains(&node)
    }

    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Nodes whose route is bad.
    pub fn faulty(&self) -> usize {
        self.nodes.values().filter(|known| known.fault.is_some()).count()
    }

    /// Seconds of airtime that searches and traces have taken, by the model.
    pub const fn airtime(&self) -> f64 {
        self.searches.spent() + self.traces.spent() + self.checks.spent()
    }

    /// All entries, node by node: what a file needs to hold.
    pub fn entries(&self) -> impl Iterator<Item = (u16, &Entry)> {
        self.nodes.iter().flat_map(|(node, known)| known.history.iter().map(|entry| (*node, entry)))
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// A node has joined, again perhaps: what did not work before may work now.
    pub fn joined(&mut self, node: u16) {
        let known = self.nodes.entry(node).or_default();
        (known.fault, known.failures, known.in_vain, known.not_before) = (None, 0, 0, None);
        (known.put_back, known.is_with_another) = (0, false);
        known.found_again();
        known.cause = Some(Why::Joined);
    }

    pub fn left(&mut self, node: u16, now: Now) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        (known.fault, known.search, known.check_at, known.own_at) = (None, None, None, None);
        if known.way.take().is_some() {
            self.note(node, What::Gone, Why::Left, now);
        }
    }

    fn note(&mut self, node: u16, what: What, why: Why, now: Now) {
        let most = self.most_entries();
        let entry = self.nodes.entry(node).or_default().note(what, why, now.utc_ms, most);
        if what.is_order() {
            self.ordered_s = self.ordered_s.max(entry.at_s);
        }
        self.counts.changes += 1;
        if self.changes.len() >= CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { node, entry });
    }

    /// Entries that a node may have: all of them together stay within [`ENTRIES`].
    fn most_entries(&self) -> usize {
        (ENTRIES / self.nodes.len().max(1)).clamp(1, ENTRIES_OF_NODE)
    }
}

/// Entries of all nodes: half a megabyte in a file.
pub const ENTRIES: usize = 32_768;
const ENTRIES_OF_NODE: usize = 32;
/// Changes that wait for whoever keeps them.
const CHANGES: usize = 8_192;
/// Floods, and seconds of traces, that may be saved up.
const SEARCHES_SAVED: f64 = 8.0;
const TRACES_SAVED: f64 = 4.0;
