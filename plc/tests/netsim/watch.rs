//! Who watches a network for outages, as the service does: whoever was asked tells of it, and what it wants to know it asks
//! beside the poller.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use plc::outage::{Action, Event, Limits, Outages, Place};
use plc::sim::net::{NodeNo, Request, World};

#[derive(Default)]
pub(crate) struct Watch {
    outages: Option<Outages>,
    /// Until when an answer is waited for.
    probes: BTreeMap<u64, (u16, Instant)>,
    count: u64,
    /// What began, when, and who is said to be out.
    pub(crate) began: Vec<(Instant, String, BTreeSet<u16>)>,
}

impl Watch {
    /// With all that paths have told of where everybody is.
    pub(crate) fn begin(&mut self, world: &World, now: Instant) {
        let mut outages = Outages::new(Limits::default());
        outages.set_up(true, now);
        for node in world.meters().filter(|node| world.is_joined(*node)) {
            outages.place(node as u16, place(world, node));
            outages.heard(node as u16, now);
        }
        self.outages = Some(outages);
    }

    pub(crate) fn heard(&mut self, node: NodeNo, world: &World, now: Instant) {
        let Some(outages) = &mut self.outages else { return };
        outages.place(node as u16, place(world, node));
        outages.heard(node as u16, now);
    }

    pub(crate) fn silent(&mut self, node: NodeNo, now: Instant) {
        if let Some(outages) = &mut self.outages {
            outages.silent(node as u16, now);
        }
    }

    /// The first hop did not take what was to go to a node.
    pub(crate) fn not_taken(&mut self, node: NodeNo, now: Instant) {
        if let Some(outages) = &mut self.outages {
            outages.not_taken(node as u16, now);
        }
    }

    /// What came of something that was sent; false where that was no probe.
    pub(crate) fn ended(&mut self, tag: u64, is_there: bool, now: Instant) -> bool {
        if let (Some((node, _)), Some(outages)) = (self.probes.remove(&tag), &mut self.outages) {
            outages.probed(node, is_there, now);
        }
        tag >= PROBES
    }

    /// Carries out what is wanted. A probe is as a traced path: it goes along the route that is there, and no other is
    /// looked for.
    pub(crate) fn act(&mut self, world: &mut World, now: Instant) {
        let over = self.probes.iter().filter(|(_, (_, until))| *until <= now).map(|(tag, _)| *tag);
        over.collect::<Vec<_>>().into_iter().for_each(|tag| _ = self.ended(tag, false, now));
        let Some(outages) = &mut self.outages else { return };
        outages.handle_timeout(now);
        while let Some(action) = outages.poll_action() {
            let Action::Probe { node } = action else { continue };
            self.count += 1;
            let tag = PROBES + self.count;
            self.probes.insert(tag, (node, now + PATH_DISCOVERY));
            world.request(node.into(), Request { tag, octets: 14, answer: 40, discovers: false });
        }
        while let Some(event) = outages.poll_event() {
            if let Event::Began(outage) = event {
                self.began.push((now, outage.scope.to_string(), outage.out));
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let probes = self.probes.values().map(|(_, until)| *until);
        probes.chain(self.outages.as_ref().and_then(Outages::poll_timeout)).min()
    }
}

fn place(world: &World, node: NodeNo) -> Place {
    let steps = world.steps(0, node);
    let phase = (!steps.is_empty()).then(|| steps.iter().fold(0, |sum, step| (sum + step.phase) % 6));
    Place { phase, branch: world.way(node).map(|way| way.next_hop) }
}

/// Tags that no exchange has.
const PROBES: u64 = 1 << 48;
/// adpPathDiscoveryTime.
const PATH_DISCOVERY: Duration = Duration::from_secs(40);
