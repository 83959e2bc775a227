//! Outages of a network: `plc::outage` hears who answers and who does not, what it wants is carried out, and what it makes
//! of it is told once for all nodes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use plc::Eui64;
use plc::outage::{Action, Event, Limits, Outage, Outages, Place};
use tracing::{info, warn};

use super::Plc;
use super::answers::Asked;
use crate::clock::Now;
use crate::control::OutageLine;
use crate::store::Lane;

/// Nodes that are part of an outage, for who would tell of each of them.
#[derive(Debug, Clone, Default)]
pub(in crate::task) struct Dark(Arc<Mutex<BTreeSet<Eui64>>>);

/// Outages, and who is told of them.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) outages: Outages,
    dark: Dark,
}

impl Dark {
    pub(in crate::task) fn has(&self, node: Eui64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&node)
    }

    fn set(&self, nodes: BTreeSet<Eui64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = nodes;
    }
}

impl Watch {
    pub(super) fn new(dark: Dark) -> Self {
        Self { outages: Outages::new(Limits::default()), dark }
    }
}

impl Plc {
    /// Something came from a node, which says where it is, too.
    pub(super) fn node_heard(&mut self, node: u16, now: Instant) {
        self.watch.outages.place(node, self.place(node));
        self.watch.outages.heard(node, now);
    }

    /// A node was asked, and did not answer.
    pub(super) fn node_silent(&mut self, node: u16, now: Instant) {
        self.watch.outages.silent(node, now);
        self.tell_dark();
    }

    /// Who is out, and is told of by the outage.
    fn tell_dark(&self) {
        let server = self.coordinator.server();
        let out = self.watch.outages.open().flat_map(|outage| &outage.out);
        self.watch.dark.set(out.filter_map(|node| server.member_at(*node)).map(|member| member.eui64).collect());
    }

    /// A path was traced, whoever wanted it, or could not be.
    pub(super) fn node_probed(&mut self, node: u16, is_there: bool, now: Instant) {
        if is_there {
            self.watch.outages.place(node, self.place(node));
        }
        self.watch.outages.probed(node, is_there, now);
    }

    /// The routes were read: where everybody is.
    pub(super) fn place_nodes(&mut self) {
        let members = self.coordinator.server().members().filter(|member| member.may_be_joined());
        for node in members.map(|member| member.short_addr).collect::<Vec<_>>() {
            self.watch.outages.place(node, self.place(node));
        }
    }

    /// By the path that was traced last: its phase is that of all its links together.
    fn place(&self, node: u16) -> Place {
        let routes = &self.routing.routes;
        let sum = |links: &[plc::route::Link]| links.iter().fold(0, |sum, link| (sum + link.phase % 6) % 6);
        let traced = routes.trace(node).map(|(_, links)| sum(links));
        Place {
            phase: traced.or_else(|| self.mesh.neighbour_phase(node)),
            branch: routes.way(node).map(|way| way.next_hop),
        }
    }

    /// Does what is wanted and tells what is clear; false where there was neither.
    pub(super) fn act_on_outages(&mut self) -> bool {
        let now = (self.clock)();
        let mut is_any = false;
        while let Some(action) = self.watch.outages.poll_action() {
            is_any = true;
            match action {
                Action::Probe { node } => {
                    let asked = self.coordinator.with_modem(now.mono, |modem| modem.discover_path(node, now.mono));
                    self.wait_for(asked, Asked::Trace(node, None));
                }
                Action::Resume { node } => {
                    if let Some(member) = self.coordinator.server().member_at(node) {
                        self.polling.heard(member.eui64, now.mono);
                    }
                }
            }
        }
        while let Some(event) = self.watch.outages.poll_event() {
            is_any = true;
            self.outage_told(&event, now);
            self.tell_dark();
        }
        is_any
    }

    fn outage_told(&mut self, event: &Event, now: Now) {
        let server = self.coordinator.server();
        let named = |nodes: &BTreeSet<u16>| -> Vec<Eui64> {
            nodes.iter().filter_map(|node| server.member_at(*node)).map(|member| member.eui64).collect()
        };
        let list = |nodes: &[Eui64]| {
            let listed: Vec<String> = nodes.iter().take(LISTED).map(Eui64::to_string).collect();
            let more = nodes.len().saturating_sub(LISTED);
            listed.join(" ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
        };
        let (Event::Began(outage) | Event::Restored(outage)) = event;
        let Outage { scope, asked, .. } = outage;
        let (out, back) = (named(&outage.out), named(&outage.back));
        let (code, detail) = match event {
            Event::Began(_) => {
                warn!(network = %self.name, %scope, nodes = out.len(), "outage");
                let detail = format!("{scope}: {} nodes do not answer ({asked} asked): {}", out.len(), list(&out));
                ("plc.outage", detail)
            }
            Event::Restored(_) => {
                info!(network = %self.name, %scope, back = back.len(), missing = out.len(), "outage over");
                let missing = if out.is_empty() { String::new() } else { format!(", missing: {}", list(&out)) };
                ("plc.restored", format!("{scope}: {} nodes are back{missing}", back.len()))
            }
        };
        self.tell_in(Lane::Outage, code, detail, now);
    }

    pub(super) fn outage_lines(&self, now: Now) -> Vec<OutageLine> {
        let line = |outage: &Outage| OutageLine {
            scope: outage.scope.to_string(),
            since_ms: now.utc_ms - now.mono.saturating_duration_since(outage.since).as_millis() as i64,
            out: outage.out.len(),
            back: outage.back.len(),
        };
        self.watch.outages.open().map(line).collect()
    }
}

/// Nodes that fit an event.
const LISTED: usize = 128;
