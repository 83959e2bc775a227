//! Outages of a network: `plc::outage` hears who answers and who does not, what it wants is carried out, and what it makes
//! of it is told once for all nodes. What is open is durable before it is told, and is open again after a restart.

mod lost;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plc::Eui64;
use plc::g3::bootstrap::Member;
use plc::outage::{Action, Event, Limits, Outage, Outages, Place};
use tokio::task::block_in_place;
use tracing::{error, info, warn};

use super::answers::Asked;
use super::routes::both;
use super::{Plc, chain};
use crate::clock::Now;
use crate::control::{NodeLine, OutageLine};
use crate::registry::OutageLog;
use crate::store::Lane;

/// Nodes that are part of an outage, for who would tell of each of them; and those whose meter is told to be unreachable.
#[derive(Debug, Clone, Default)]
pub(in crate::task) struct Dark(Arc<Mutex<Silent>>);

#[derive(Debug, Default)]
struct Silent {
    /// By network.
    out: BTreeMap<Arc<str>, BTreeSet<Eui64>>,
    unreachable: BTreeSet<Eui64>,
}

/// Outages, who is told of them, and the file that keeps those that are open.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) outages: Outages,
    dark: Dark,
    log: Option<OutageLog>,
    /// What of them the file is to have.
    noted: u64,
    write_due: Option<Instant>,
    /// The disk does not take it.
    is_refused: bool,
}

impl Dark {
    pub(in crate::task) fn has(&self, node: Eui64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).out.values().any(|out| out.contains(&node))
    }

    /// Whether the meter behind a node can be reached.
    pub(in crate::task) fn set_reachable(&self, node: Eui64, is_reachable: bool) {
        let mut silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match is_reachable {
            true => silent.unreachable.remove(&node),
            false => silent.unreachable.insert(node),
        };
    }

    fn is_unreachable(&self, node: Eui64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unreachable.contains(&node)
    }

    pub(in crate::task) fn set_out(&self, network: &Arc<str>, nodes: BTreeSet<Eui64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).out.insert(Arc::clone(network), nodes);
    }
}

impl Watch {
    pub(super) fn new(dark: Dark) -> Self {
        let outages = Outages::new(Limits::default());
        Self { noted: outages.revision(), outages, dark, log: None, write_due: None, is_refused: false }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.outages.poll_timeout().into_iter().chain(self.write_due).min()
    }

    /// What is noted becomes durable; blocks. What the disk refuses is tried again.
    pub(super) fn write(&mut self, now: Now) {
        self.write_due = None;
        let Some(log) = &mut self.log else { return };
        log.update(&self.outages, both(now));
        let result = block_in_place(|| log.write());
        if let Err(error) = &result {
            self.write_due = Some(now.mono + WRITE);
            if !self.is_refused {
                warn!(err = %chain(error), "keep open outages");
            }
        } else if self.is_refused {
            info!("open outages are kept again");
        }
        self.is_refused = result.is_err();
    }
}

impl Plc {
    /// What was open when the last life ended is open again, and what of it the store has not is told; blocks. Of what was
    /// open and is not in the file any more that is said, and those that are out are found out again.
    pub(super) fn take_up_outages(&mut self, directory: &Path, now: Now) {
        let stored = self.stored_outages();
        let how = match OutageLog::open(directory) {
            Ok((log, aside)) => {
                self.watch.log = Some(log);
                aside.map(|aside| {
                    let path = aside.display();
                    error!(network = %self.name, %path, "what was kept of open outages is damaged: set aside");
                    format!("is damaged and set aside as {path}")
                })
            }
            Err(error) => {
                self.not_kept("open outages", &error);
                None
            }
        };
        self.tell_lost(&stored, how, now);
        let Watch { log, outages, .. } = &mut self.watch;
        let mut untold = Vec::new();
        if let Some(log) = log {
            if let (Some(serial), Some(open)) = (stored.serial, &stored.open) {
                log.end_others(serial, open);
            }
            untold = log.restore(outages, stored.serial, both(now));
        }
        for (serial, event) in untold {
            self.outage_told(&event, Some(serial), now);
        }
        self.mark_open(now);
        // Who has left meanwhile is not waited for.
        let named: BTreeSet<u16> =
            self.watch.outages.open().flat_map(|outage| outage.out.union(&outage.back)).copied().collect();
        for node in named {
            if !self.coordinator.server().member_at(node).is_some_and(|member| member.may_be_joined()) {
                self.watch.outages.left(node);
            }
        }
        for outage in self.watch.outages.open() {
            let (network, scope, back) = (&self.name, outage.scope, outage.back.len());
            warn!(%network, %scope, nodes = outage.out.len(), back, "outage goes on");
        }
        self.tell_dark();
    }

    pub(super) fn look_after_outages(&mut self, now: Now) {
        if self.watch.write_due.is_some_and(|due| due <= now.mono) {
            self.write_outages(now);
        }
        self.watch.outages.handle_timeout(now.mono);
    }

    /// Something came from a node, which says where it is, too.
    pub(super) fn node_heard(&mut self, node: u16, now: Instant) {
        let was_out = self.watch.outages.open_of(node).is_some();
        self.watch.outages.place(node, self.place(node));
        self.watch.outages.heard(node, now);
        if was_out {
            // Should it fall silent again, it is told of by itself.
            self.tell_dark();
        }
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
        let out = out.filter_map(|node| server.member_at(*node)).map(|member| member.eui64).collect();
        self.watch.dark.set_out(&self.name, out);
    }

    /// A path was traced, whoever wanted it, or could not be.
    pub(super) fn node_probed(&mut self, node: u16, is_there: bool, now: Instant) {
        if is_there {
            self.watch.outages.place(node, self.place(node));
        }
        self.watch.outages.probed(node, is_there, now);
        self.tell_dark();
    }

    /// All nodes, and which of them do not answer any more.
    pub(super) fn node_lines(&self, now: Now) -> Vec<NodeLine> {
        let server = self.coordinator.server();
        let member = |eui64| server.member(eui64).copied();
        let mut lines = self.mesh.lines(&self.network, member, &self.routing.routes, now.utc_ms);
        for line in &mut lines {
            let Ok(eui64) = line.eui64.parse() else { continue };
            let outage = member(eui64).and_then(|member| self.watch.outages.open_of(member.short_addr));
            line.outage = outage.map(|outage| outage.scope.to_string());
            line.is_unreachable = self.watch.dark.is_unreachable(eui64);
            line.counted_since_ms = Some(self.began_ms(now));
        }
        lines
    }

    /// Of the nodes in the network, how many are part of an outage, and of the others, whose meter is unreachable.
    pub(super) fn out(&self) -> (usize, usize) {
        let members = self.coordinator.server().members().filter(|member| member.is_joined);
        let is_out = |member: &&Member| self.watch.outages.open_of(member.short_addr).is_some();
        let (out, others): (Vec<&Member>, Vec<&Member>) = members.partition(is_out);
        let unreachable = others.iter().filter(|member| self.watch.dark.is_unreachable(member.eui64)).count();
        (out.len(), unreachable)
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
        let events: Vec<Event> = std::iter::from_fn(|| self.watch.outages.poll_event()).collect();
        if events.is_empty() {
            // Who is out and who is back changes often while nodes come back: it is kept together.
            if self.watch.noted != self.watch.outages.revision() && self.watch.log.is_some() {
                self.watch.noted = self.watch.outages.revision();
                self.watch.write_due.get_or_insert(now.mono + WRITE);
            }
            return is_any;
        }
        self.watch.noted = self.watch.outages.revision();
        let noted = |event| self.watch.log.as_mut().map(|log| log.note(event, both(now)));
        let serials: Vec<Option<u64>> = events.iter().map(noted).collect();
        self.watch.write(now);
        for (event, serial) in events.iter().zip(serials) {
            self.outage_told(event, serial, now);
        }
        self.tell_dark();
        true
    }

    /// Tells it, and with it in the store that it was told.
    fn outage_told(&mut self, event: &Event, serial: Option<u64>, now: Now) {
        let server = self.coordinator.server();
        let named = |nodes: &BTreeSet<u16>| -> Vec<Eui64> {
            nodes.iter().filter_map(|node| server.member_at(*node)).map(|member| member.eui64).collect()
        };
        let list = |nodes: &[Eui64]| {
            let listed: Vec<String> = nodes.iter().take(LISTED).map(Eui64::to_string).collect();
            let more = nodes.len().saturating_sub(LISTED);
            listed.join(" ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
        };
        let (Event::Began(outage) | Event::PartlyBack(outage) | Event::Restored(outage) | Event::GivenUp(outage)) =
            event;
        let Outage { scope, asked, .. } = outage;
        let (out, back) = (named(&outage.out), named(&outage.back));
        let (is_out, are_back) = (counted(out.len()), counted(back.len()));
        let network = &self.name;
        let (code, detail) = match event {
            Event::Began(_) => {
                warn!(%network, %scope, nodes = out.len(), "outage");
                let do_not = if out.len() == 1 { "does not" } else { "do not" };
                ("plc.outage", format!("{scope}: {is_out} {do_not} answer ({asked} asked): {}", list(&out)))
            }
            Event::PartlyBack(_) => {
                warn!(%network, %scope, back = back.len(), missing = out.len(), "outage over for some");
                ("plc.partly_restored", format!("{scope}: {are_back} back, {is_out} still out: {}", list(&out)))
            }
            Event::Restored(_) => {
                info!(%network, %scope, back = back.len(), "outage over");
                let are = if back.len() == 1 { "is" } else { "are" };
                ("plc.restored", format!("{scope}: {are_back} {are} back"))
            }
            Event::GivenUp(_) if out.is_empty() => {
                info!(%network, %scope, "outage over as its nodes have left");
                ("plc.outage_given_up", format!("{scope}: all its nodes have left the network"))
            }
            Event::GivenUp(_) => {
                warn!(%network, %scope, back = back.len(), missing = out.len(), "outage given up");
                let is_told = "told of by themselves from now on";
                ("plc.outage_given_up", format!("{scope}: {are_back} back, {is_out} out, {is_told}: {}", list(&out)))
            }
        };
        self.tell_in(Lane::Outage, code, detail, now);
        self.mark_told(serial, now);
    }

    pub(super) fn outage_lines(&self, now: Now) -> Vec<OutageLine> {
        let counted_ms = |since: Instant| now.utc_ms - now.mono.saturating_duration_since(since).as_millis() as i64;
        let kept_ms = |number| self.watch.log.as_ref().and_then(|log| log.since_ms(number));
        let line = |outage: &Outage| OutageLine {
            scope: outage.scope.to_string(),
            since_ms: kept_ms(outage.number).unwrap_or_else(|| counted_ms(outage.since)),
            out: outage.out.len(),
            back: outage.back.len(),
        };
        self.watch.outages.open().map(line).collect()
    }
}

pub(super) fn counted(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

/// Nodes that fit an event.
const LISTED: usize = 128;
/// How long who is back is not durable: after a kill it is asked once more.
const WRITE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
