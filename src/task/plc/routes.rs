//! Routes of a network: what `plc::route` wants is carried out with the modem, what the modem says is told to it, and what
//! changes is kept.

mod blacklist;
mod kept;
mod look;
mod put_back;
mod refresh;
mod tables;

pub(super) use put_back::Placing;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use plc::g3::AdpStatus;
use plc::g3::bootstrap::{self, Member};
use plc::g3::modem::{Answer, Delivery, Refusal as Refused, Ticket};
use plc::g3::pib::{Layer, adp};
use plc::route::{Action, Change, Failure, Limits, Link, Routes, Way, What, Why};
use tokio::task::block_in_place;
use tracing::{debug, info, warn};

use super::answers::Asked;
use super::{Plc, Reply, chain};
use crate::clock::Now;
use crate::control::{MeshSaid, Refusal, RefusalKind, RouteCounts};
use crate::registry::{RouteLog, path_line, route_history};

/// The routes, and the file that keeps what became of them.
pub(super) struct Routing {
    pub(super) routes: Routes,
    /// Or why there is none.
    log: Result<RouteLog, String>,
    write_due: Option<Instant>,
    /// The table is to be read again, for what was found.
    read_due: Option<Instant>,
    /// All tables are, as ways of many nodes are unknown.
    tables_due: Option<Instant>,
    /// Circular routes that the modem has counted.
    circles: u32,
    /// Requests for echoes that are on their way, and to whom.
    pub(super) echoes: BTreeMap<Ticket, u16>,
    /// Rows that wait for their turn to be put into the modem's table.
    rows: VecDeque<(u16, Way, Placing)>,
}

impl Routing {
    pub(super) fn new(max_hops: u8, now: Now) -> Self {
        Self {
            routes: Routes::new(Limits::of(0, max_hops), both(now)),
            log: Err(String::new()),
            write_due: None,
            read_due: None,
            tables_due: None,
            circles: 0,
            echoes: BTreeMap::new(),
            rows: VecDeque::new(),
        }
    }

    /// The network is up, or not: then nothing is under way any more.
    pub(super) fn set_up(&mut self, is_up: bool) {
        self.routes.set_up(is_up);
        self.tables_due = None;
        self.rows.clear();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.routes.poll_timeout(), self.write_due, self.read_due, self.tables_due].into_iter().flatten().min()
    }

    /// What is noted becomes durable; blocks.
    pub(super) fn write(&mut self) {
        drop(self.keep());
    }

    /// The same; why it is not durable.
    fn keep(&mut self) -> Result<(), String> {
        self.write_due = None;
        let log = self.log.as_mut().map_err(|why| why.clone())?;
        block_in_place(|| log.write(&self.routes)).map_err(|error| {
            let why = chain(&error);
            warn!(err = %why, "keep the history of routes");
            why
        })
    }

    fn note(&mut self, change: &Change, now: Instant) {
        let Ok(log) = &mut self.log else { return };
        log.note(change);
        // What somebody wants is durable at once, the rest together.
        let pause = if change.entry.why == Why::Asked { Duration::ZERO } else { WRITE };
        let due = self.write_due.unwrap_or(now + pause);
        self.write_due = Some(due.min(now + pause));
    }

    pub(super) fn counts(&self) -> RouteCounts {
        let counts = self.routes.counts();
        RouteCounts {
            faulty: self.routes.faulty(),
            held: self.routes.held(),
            blacklisted: self.routes.blacklist().count(),
            changes: counts.changes,
            searches: counts.searches,
            found: counts.found,
            neighbour_searches: counts.by_others,
            neighbour_searches_answered: counts.by_others_answered,
            traces: counts.traces,
            airtime_s: self.routes.airtime() as u64,
        }
    }
}

impl Plc {
    /// The network is up: its coordinator is told what a network of this size needs.
    pub(super) fn routes_begin(&mut self) {
        let now = (self.clock)().mono;
        let limits = self.route_limits();
        let wanted = limits.attributes();
        self.routing.routes.set_limits(limits);
        self.routing.set_up(true);
        self.watch.outages.set_up(true, now);
        self.routing.circles = 0;
        self.routing.echoes.clear();
        for (attribute, value) in wanted {
            let value = value.to_value();
            let asked = self.coordinator.with_modem(now, |modem| modem.set(Layer::Adp, attribute, 0, value, now));
            self.wait_for(asked, Asked::Attribute(attribute));
        }
        let banned: Vec<u16> = self.routing.routes.blacklist().collect();
        banned.into_iter().for_each(|node| self.write_blacklist(node, true, None));
    }

    /// For as many nodes as there are.
    fn route_limits(&self) -> Limits {
        let nodes = self.coordinator.server().members().filter(|member| member.may_be_joined()).count();
        Limits::of(nodes, self.coordinator.modem().config().max_hops)
    }

    pub(super) fn membership(&mut self, event: &bootstrap::Event, now: Now) {
        let short_addr = |eui64| self.coordinator.server().member(eui64).map(|member| member.short_addr);
        match event {
            bootstrap::Event::Joined { short_addr, .. } => {
                self.routing.routes.joined(*short_addr);
                // Who comes back with many others waits for its turn to be asked.
                self.watch.outages.joined(*short_addr, now.mono);
                self.read_soon(now.mono);
            }
            bootstrap::Event::Left { eui64 } => {
                if let Some(node) = short_addr(*eui64) {
                    self.routing.routes.left(node, both(now));
                    self.watch.outages.left(node);
                }
            }
            _ => {}
        }
    }

    /// What became of a message: a node without a way is looked for.
    pub(super) fn message_sent(&mut self, ticket: Ticket, delivery: Delivery, now: Now) {
        let Some((node, searched)) = self.polling.sent(ticket, delivery, now.mono) else {
            return self.echo_asked_for(ticket, delivery, now);
        };
        if let Some(member) = self.coordinator.server().member(node).filter(|_| had_no_way(delivery)) {
            let node = member.short_addr;
            self.routing.routes.failed(node, Failure::NoRoute { searched }, both(now));
            match searched {
                true => self.node_silent(node, now.mono),
                false => self.watch.outages.not_taken(node, now.mono),
            }
        }
    }

    pub(super) fn look_after_routes(&mut self) {
        let now = (self.clock)();
        if self.routing.write_due.is_some_and(|due| due <= now.mono) {
            self.routing.write();
            // What the disk refused is tried again.
            let is_left = self.routing.log.as_ref().is_ok_and(|log| !log.is_written());
            self.routing.write_due = is_left.then_some(now.mono + WRITE);
        }
        if self.routing.read_due.is_some_and(|due| due <= now.mono) {
            self.read_routes(None);
        }
        if self.routing.tables_due.is_some_and(|due| due <= now.mono) {
            self.read_tables();
        }
        self.routing.routes.handle_timeout(both(now));
        self.look_after_outages(now);
        self.look_after_heard(now);
    }

    /// Does what is wanted and notes what is new; false where there was neither.
    pub(super) fn act_on_routes(&mut self) -> bool {
        let now = (self.clock)();
        let mut is_any = false;
        while let Some(action) = self.routing.routes.poll_action() {
            is_any = true;
            debug!(network = %self.name, ?action, "route");
            match action {
                Action::Discover { node, most_hops } => {
                    let found = |modem: &mut plc::g3::modem::Modem| modem.discover_route(node, most_hops, now.mono);
                    let asked = self.coordinator.with_modem(now.mono, found);
                    self.wait_for(asked, Asked::Refresh(node, None));
                }
                Action::Trace { node } => {
                    let asked = self.coordinator.with_modem(now.mono, |modem| modem.discover_path(node, now.mono));
                    self.wait_for(asked, Asked::Trace(node, None));
                }
                Action::Check { node } => self.ask_for_echo(node),
                Action::Look { node } => self.look_at_way(node, None),
                Action::Pin { node, way } => self.write_route(node, way, None),
                Action::PutBack { node, way } => self.routing.rows.push_back((node, way, Placing::PutBack)),
                Action::Detour { node, way } | Action::ByAnother { node, way } => {
                    self.routing.rows.push_back((node, way, Placing::Instead))
                }
            }
        }
        is_any |= self.put_rows();
        self.note_changes(now) || is_any
    }

    /// Notes what is new; false where there was nothing.
    fn note_changes(&mut self, now: Now) -> bool {
        let (mut is_any, mut is_ordered) = (false, false);
        while let Some(change) = self.routing.routes.poll_change() {
            is_any = true;
            is_ordered |= change.entry.what.is_order();
            self.routing.note(&change, now.mono);
            self.changed(change, now);
        }
        if is_ordered {
            self.mark_orders();
        }
        is_any
    }

    /// What goes to the head-end of what happened: what somebody may have to look at.
    fn changed(&mut self, Change { node, entry }: Change, now: Now) {
        let Some(member) = self.coordinator.server().member_at(node) else { return };
        let eui64 = member.eui64;
        if entry.what == What::Faulty && matches!(entry.why, Why::Circular | Why::Flapping) {
            let why = entry.why.name();
            info!(network = %self.name, node = %eui64, why, "route faulty");
            if self.told.is_news(eui64, "plc.route_faulty", now.utc_ms) {
                self.tell("plc.route_faulty", format!("node {eui64}: {why}"), now);
            }
        }
    }

    /// Puts a row into the modem's routing table. Whether it stays there is read back.
    fn write_route(&mut self, node: u16, way: Way, reply: Option<Reply>) {
        let index = self.mesh.row_of(node).0;
        self.set_route((node, way), u16::MAX, index, Asked::Held(node, way.next_hop, reply));
    }

    /// A row was written, or refused: does the table have it now?
    pub(super) fn hold_read_back(&mut self, held: (u16, u16), written: Result<(), Refused>, reply: Option<Reply>) {
        let now = (self.clock)().mono;
        if let Err(refused) = written {
            return self.held(held, Err(format!("the modem takes no routes: {refused}")), reply);
        }
        let asked = self.coordinator.with_modem(now, |modem| modem.read_table(Layer::Adp, adp::ROUTING_TABLE, now));
        self.wait_for(asked, Asked::HeldBack(held.0, held.1, reply));
    }

    pub(super) fn held(&mut self, (node, next_hop): (u16, u16), held: Result<(), String>, reply: Option<Reply>) {
        let now = (self.clock)();
        debug!(network = %self.name, node, next_hop, is_held = held.is_ok(), "route held");
        let said = match held {
            // Nobody has ordered it now.
            Ok(()) if reply.is_none() => return,
            Ok(()) => Ok(self.ordered(node)),
            Err(why) => {
                warn!(network = %self.name, node = format_args!("{node:04x}"), err = why, "route not held");
                self.routing.routes.release(node, both(now));
                Err(Refusal::new(RefusalKind::Failed, why))
            }
        };
        drop(reply.map(|reply| reply.send(said)));
    }

    /// Holds a route at a neighbour.
    pub(super) fn pin(&mut self, node: &str, next_hop: &str, reply: Reply, now: Now) {
        let wanted = self.routed(node).and_then(|node| Ok((node.short_addr, self.routed(next_hop)?.short_addr)));
        let held = wanted.and_then(|(node, next_hop)| {
            let is_neighbour = self.mesh.is_neighbour(next_hop);
            let way = self.routing.routes.hold(node, next_hop, is_neighbour, both(now));
            way.map(|way| (node, way)).map_err(|why| Refusal::new(RefusalKind::Failed, why.to_string()))
        });
        match held {
            Ok((node, way)) => self.write_route(node, way, Some(reply)),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    pub(super) fn release(&mut self, node: &str, now: Now) -> Result<MeshSaid, Refusal> {
        let Member { eui64, short_addr, .. } = self.member(node)?;
        match self.routing.routes.release(short_addr, both(now)) {
            true => Ok(self.ordered(short_addr)),
            false => Err(Refusal::new(RefusalKind::NotFound, format!("the route to {eui64} is not held"))),
        }
    }

    pub(super) fn history(&self, node: &str) -> Result<MeshSaid, Refusal> {
        let member = self.member(node)?;
        let meter = self.network.listed().get(&member.eui64).map_or("", |listed| &listed.meter);
        Ok(MeshSaid::History(Box::new(route_history(member, meter, &self.routing.routes))))
    }

    /// A path that was traced, for whoever asked for it.
    pub(super) fn path_found(&mut self, node: u16, path: &plc::g3::adp::Path, reply: Option<Reply>, now: Now) {
        let links: Vec<Link> = path.forward.iter().map(Link::from).collect();
        self.routing.routes.traced(node, Some(&links), both(now));
        self.node_probed(node, true, now.mono);
        let member = self.coordinator.server().member_at(node);
        if let (Some(reply), Some(member)) = (reply, member) {
            drop(reply.send(Ok(MeshSaid::Path(path_line(member.eui64, path)))));
        }
    }

    /// A search that the unit or somebody at the desk began.
    pub(super) fn search_ended(&mut self, node: u16, is_found: bool, now: Now) {
        if !is_found {
            return self.node_silent(node, now.mono);
        }
        self.read_soon(now.mono);
        let Some(member) = self.coordinator.server().member_at(node) else { return };
        self.polling.heard(member.eui64, now.mono);
    }

    /// What the modem counts of routes that went round.
    pub(super) fn attribute_read(&mut self, attribute: u32, answer: &Answer, now: Now) {
        let Answer::Value(value) = answer else { return };
        let Some(value) = value.number() else { return };
        match attribute {
            adp::MANUF_CIRCULAR_ROUTES_DETECTED if value > self.routing.circles => {
                self.routing.circles = value;
                let last = adp::MANUF_LAST_CIRCULAR_ROUTE_ADDRESS;
                let asked = self.coordinator.with_modem(now.mono, |modem| modem.get(Layer::Adp, last, 0, now.mono));
                self.wait_for(asked, Asked::Attribute(last));
            }
            adp::MANUF_LAST_CIRCULAR_ROUTE_ADDRESS => {
                self.routing.routes.went_round(value as u16, both(now));
            }
            _ => {}
        }
    }

    /// What was ordered was done, to the node with this address.
    fn ordered(&mut self, node: u16) -> MeshSaid {
        let unkept = self.unkept_orders();
        let member = self.coordinator.server().member_at(node);
        MeshSaid::Done { node: member.map_or_else(|| format!("{node:04x}"), |member| member.eui64.to_string()), unkept }
    }

    /// Many that join or are found within a while are read together.
    fn read_soon(&mut self, now: Instant) {
        self.routing.read_due.get_or_insert(now + READ_AGAIN);
    }
}

/// The modem found no way for a message, or nobody on it who took it.
pub(super) fn had_no_way(delivery: Delivery) -> bool {
    matches!(delivery, Delivery::Refused(AdpStatus::ROUTE_ERROR | AdpStatus::FAILED | AdpStatus::TIMEOUT))
}

/// The time as `plc::route` wants it.
pub(super) fn both(now: Now) -> plc::route::Now {
    plc::route::Now { mono: now.mono, utc_ms: now.utc_ms }
}

/// Changes that nobody waits for are written together.
const WRITE: Duration = Duration::from_secs(300);
const READ_AGAIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
