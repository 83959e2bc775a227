//! The modem's tables: which ways it knows, and whom it hears itself.

use std::time::Duration;

use plc::g3::pib::{Layer, Neighbour, Route, Typed, adp, mac};
use plc::route::Way;

use super::super::answers::Asked;
use super::{Plc, Reply, both};
use crate::clock::Now;

impl Plc {
    /// Reads what the modem knows: it costs nothing in the air.
    pub(in crate::task::plc) fn read_tables(&mut self) {
        let now = (self.clock)().mono;
        let limits = self.route_limits();
        self.routing.routes.set_limits(limits);
        self.routing.tables_due = None;
        self.read_routes(None);
        let asked = self.coordinator.with_modem(now, |modem| modem.read_table(Layer::Mac, mac::NEIGHBOUR_TABLE, now));
        self.wait_for(asked, Asked::Neighbours);
        let circles = adp::MANUF_CIRCULAR_ROUTES_DETECTED;
        let asked = self.coordinator.with_modem(now, |modem| modem.get(Layer::Adp, circles, 0, now));
        self.wait_for(asked, Asked::Attribute(circles));
    }

    /// Has the modem's routing table read; who asked for it is answered then.
    pub(in crate::task::plc) fn read_routes(&mut self, reply: Option<Reply>) {
        let now = (self.clock)().mono;
        self.routing.read_due = None;
        let asked = self.coordinator.with_modem(now, |modem| modem.read_table(Layer::Adp, adp::ROUTING_TABLE, now));
        self.wait_for(asked, Asked::Routes(reply));
    }

    pub(in crate::task::plc) fn take_table(&mut self, rows: Vec<Typed>, now: Now) {
        let is_route = |row| if let Typed::Route(route) = row { Some(route) } else { None };
        let rows: Vec<Route> = rows.into_iter().filter_map(is_route).collect();
        self.routing.routes.table(rows.iter().map(|row| (row.destination, Way::from(row))), both(now));
        self.mesh.set_table(rows);
        self.place_nodes();
    }

    /// Who is near needs no search; while ways of many are unknown all tables are read soon again, as those who pass on what
    /// goes to others are heard then.
    pub(in crate::task::plc) fn take_neighbours(&mut self, rows: Vec<Typed>, now: Now) {
        let is_neighbour = |row| if let Typed::Neighbour(neighbour) = row { Some(neighbour) } else { None };
        let rows: Vec<Neighbour> = rows.into_iter().filter_map(is_neighbour).collect();
        let server = self.coordinator.server();
        let is_member = |node: u16| server.member_at(node).is_some_and(|member| member.may_be_joined());
        let near = rows.iter().filter(|row| is_member(row.short_addr)).map(|row| (row.short_addr, row.lqi));
        self.routing.routes.heard_near(near);
        self.mesh.set_neighbours(rows.into_iter());
        if self.routing.routes.is_lost() {
            self.routing.tables_due.get_or_insert(now.mono + LOST);
        }
    }
}

/// While ways of many nodes are unknown the tables are read so often.
const LOST: Duration = Duration::from_secs(60);
