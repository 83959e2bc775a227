//! An outage from its name to its end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Event, Outages, Scope, State};

/// One outage, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Of this life, from 0.
    pub number: u32,
    pub scope: Scope,
    /// When the first of its nodes fell silent.
    pub since: Instant,
    /// Nodes that are out, those included that have not been asked since; and of them, asked in vain at the begin.
    pub out: BTreeSet<u16>,
    pub asked: usize,
    /// Nodes that are back, and when the first of them was.
    pub back: BTreeSet<u16>,
    pub(super) returned: Option<Instant>,
    /// When it is looked into again, and how long after the last time.
    pub(super) due: Instant,
    pause: Duration,
}

impl Outage {
    pub(super) fn leave(&mut self, node: u16) {
        self.out.remove(&node);
        self.back.remove(&node);
    }
}

impl Outages {
    /// All that it covers are out, until they are heard: who was heard since is not.
    pub(super) fn begin(&mut self, scope: Scope, asked: usize, since: Instant, now: Instant) {
        let (number, pause) = (self.next, self.limits.look.0);
        self.next += 1;
        let mut out = BTreeSet::new();
        for (node, known) in self.nodes.iter_mut().filter(|(_, known)| scope.covers(known.place)) {
            let is_out = match known.state {
                State::There => known.heard.is_none_or(|at| at < since),
                State::Silent(at) => at >= since,
                State::Out(_) => false,
            };
            if is_out {
                known.state = State::Out(number);
                out.insert(*node);
            }
        }
        let (back, returned, due) = (BTreeSet::new(), None, now + pause);
        let outage = Outage { number, scope, since, out, asked, back, returned, due, pause };
        self.events.push_back(Event::Began(outage.clone()));
        self.open.insert(number, outage);
    }

    pub(super) fn comes_back(&mut self, number: u32, node: u16, now: Instant) {
        let Some(outage) = self.open.get_mut(&number) else { return };
        outage.out.remove(&node);
        if outage.returned.is_none() {
            // Who is back first is not alone: the others are asked soon.
            (outage.returned, outage.due) = (Some(now), now);
        }
        outage.back.insert(node);
        let all = outage.out.len() + outage.back.len();
        if outage.back.len() * 100 >= self.limits.percent * all {
            self.end(number);
        }
    }

    /// Looks whether somebody is back: first at one of them, less and less often; then at each of the others once.
    pub(super) fn look_into(&mut self, now: Instant) {
        let due: Vec<u32> = self.open.values().filter(|outage| outage.due <= now).map(|outage| outage.number).collect();
        for number in due {
            let free = self.limits.probes.saturating_sub(self.probing.len());
            let Some(outage) = self.open.get_mut(&number) else { continue };
            let asked = |node: &u16| self.nodes.get(node).and_then(|node| node.probed);
            let is_next =
                |at: Option<Instant>| outage.returned.is_none_or(|returned| at.is_none_or(|at| at < returned));
            let next = outage.out.iter().map(|node| (asked(node), *node)).filter(|(at, _)| is_next(*at));
            let mut next: Vec<_> = next.collect();
            next.sort_unstable();
            let most = match outage.returned {
                None => {
                    outage.due = now + outage.pause;
                    outage.pause = (outage.pause * 2).min(self.limits.look.1);
                    free.min(1)
                }
                Some(returned) => {
                    let is_through = next.is_empty();
                    outage.due = if is_through { returned + self.limits.window } else { now + self.limits.spread };
                    if is_through && outage.due <= now {
                        self.end(number);
                        continue;
                    }
                    free
                }
            };
            next.into_iter().take(most).for_each(|(_, node)| self.probe(node, now));
        }
    }

    fn end(&mut self, number: u32) {
        let Some(outage) = self.open.remove(&number) else { return };
        for node in &outage.out {
            if let Some(known) = self.nodes.get_mut(node) {
                known.state = State::Silent(outage.since);
            }
        }
        self.events.push_back(Event::Restored(outage));
    }
}
