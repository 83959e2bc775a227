//! An outage from its name to its end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Event, Outages, Scope, State};

/// One outage, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// From 0; after a restart behind those that are still open.
    pub number: u32,
    pub scope: Scope,
    /// When the first of its nodes fell silent.
    pub since: Instant,
    /// Nodes that are out, those included that have not been asked since; and of them, asked in vain at the begin.
    pub out: BTreeSet<u16>,
    pub asked: usize,
    /// Nodes that are back, and when the first and the last of them was.
    pub back: BTreeSet<u16>,
    pub(super) returned: Option<(Instant, Instant)>,
    /// Those that are still out were each asked since the first was back, and it was told that they are.
    pub(super) is_partly_told: bool,
    /// When it is looked into again, and how long after the last time.
    pub(super) due: Instant,
    pub(super) pause: Duration,
}

impl Outage {
    /// Whether it was told that some are back and the others are not.
    pub fn is_partly_told(&self) -> bool {
        self.is_partly_told
    }
}

impl Outages {
    /// All that it covers are out, until they are heard: who was heard since is not.
    pub(super) fn begin(&mut self, scope: Scope, asked: usize, since: Instant, now: Instant) {
        let (number, pause) = (self.next, self.limits.look.0);
        (self.next, self.revision) = (self.next.wrapping_add(1), self.revision + 1);
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
        let is_partly_told = false;
        let outage = Outage { number, scope, since, out, asked, back, returned, is_partly_told, due, pause };
        self.events.push_back(Event::Began(outage.clone()));
        self.open.insert(number, outage);
    }

    pub(super) fn comes_back(&mut self, number: u32, node: u16, now: Instant) {
        let Some(outage) = self.open.get_mut(&number) else { return };
        outage.out.remove(&node);
        outage.back.insert(node);
        self.revision += 1;
        let first = outage.returned.map_or(now, |(first, _)| first);
        outage.returned = Some((first, now));
        // Who is back is not alone: the next one is asked soon.
        (outage.due, outage.pause) = (now, self.limits.look.0);
        self.end_where_nobody_is_out(number);
    }

    /// A node is no member any more, and nothing is waited for from it.
    pub(super) fn leaves(&mut self, node: u16) {
        let of = self.open.values_mut().filter_map(|outage| {
            let is_of = outage.back.remove(&node) | outage.out.remove(&node);
            is_of.then_some(outage.number)
        });
        for number in of.collect::<Vec<_>>() {
            self.revision += 1;
            self.end_where_nobody_is_out(number);
        }
    }

    /// Looks whether somebody is back: first at one of them, less and less often; when one is, at each of the others once,
    /// and then again at one, less and less often: some of a branch may come back hours after the first.
    pub(super) fn look_into(&mut self, now: Instant) {
        let due: Vec<u32> = self.open.values().filter(|outage| outage.due <= now).map(|outage| outage.number).collect();
        for number in due {
            let free = self.limits.probes.saturating_sub(self.probing.len());
            let Some(outage) = self.open.get_mut(&number) else { continue };
            let asked = |node: &u16| self.nodes.get(node).and_then(|node| node.probed);
            let mut next: Vec<_> = outage.out.iter().map(|node| (asked(node), *node)).collect();
            next.sort_unstable();
            let mut most = free.min(1);
            outage.due = now + outage.pause;
            if let Some((first, last)) = outage.returned {
                let unasked = next.iter().filter(|(at, _)| at.is_none_or(|at| at < first)).count();
                // What was asked last may be under way until then.
                let patience = first + self.limits.window;
                match (unasked, patience <= now) {
                    (1.., _) => {
                        (outage.due, most) = (now + self.limits.spread, free.min(unasked));
                        outage.pause = self.limits.look.0 / 2;
                    }
                    (0, false) => outage.due = outage.due.min(patience),
                    (0, true) if now.saturating_duration_since(last) >= self.limits.give_up => {
                        self.give_up(number);
                        continue;
                    }
                    (0, true) => {
                        if !std::mem::replace(&mut outage.is_partly_told, true) {
                            self.revision += 1;
                            self.events.push_back(Event::PartlyBack(outage.clone()));
                        }
                    }
                }
            }
            outage.pause = (outage.pause * 2).min(self.limits.look.1);
            next.into_iter().take(most).for_each(|(_, node)| self.probe(node, now));
        }
    }

    fn end_where_nobody_is_out(&mut self, number: u32) {
        if self.open.get(&number).is_none_or(|outage| !outage.out.is_empty()) {
            return;
        }
        let ended = self.open.remove(&number);
        self.events.extend(ended.map(|outage| match outage.back.is_empty() {
            false => Event::Restored(outage),
            true => Event::GivenUp(outage),
        }));
    }

    /// The others are back for long: who is still out is silent by itself.
    fn give_up(&mut self, number: u32) {
        let Some(outage) = self.open.remove(&number) else { return };
        self.revision += 1;
        for node in &outage.out {
            if let Some(known) = self.nodes.get_mut(node) {
                known.state = State::Silent(outage.since);
            }
        }
        self.events.push_back(Event::GivenUp(outage));
    }
}
