//! Echoes of nodes whose ways nobody has used for long: `plc::route` says of whom one is wanted.

use plc::Eui64;
use plc::g3::modem::{Delivery, Ticket};
use plc::route::Failure;

use super::Plc;
use super::routes::{both, had_no_way};
use crate::clock::Now;

impl Plc {
    /// Wants an echo of a node; of who has left there is none.
    pub(super) fn ask_for_echo(&mut self, node: u16) {
        let now = (self.clock)();
        let is_there = self.coordinator.server().member_at(node).is_some_and(|member| member.may_be_joined());
        let sent = is_there.then(|| self.coordinator.send_echo(node, now.mono + super::polling::LEAVE, now.mono));
        match sent {
            Some(Ok(ticket)) => drop(self.routing.echoes.insert(ticket, node)),
            Some(Err(_)) | None => self.routing.routes.unheard(node, both(now)),
        }
    }

    /// What became of the request for an echo, where that was one.
    pub(super) fn echo_asked_for(&mut self, ticket: Ticket, delivery: Delivery, now: Now) {
        let Some(node) = self.routing.echoes.remove(&ticket).filter(|_| delivery != Delivery::Confirmed) else {
            return;
        };
        if had_no_way(delivery) {
            self.routing.routes.failed(node, Failure::NoRoute { searched: false }, both(now));
            self.watch.outages.not_taken(node, now.mono);
        }
        self.routing.routes.unheard(node, both(now));
    }

    /// A node has sent a packet, whatever is in it: its way is good.
    pub(super) fn packet_came(&mut self, node: u16, lqi: u8, now: Now) -> Option<Eui64> {
        let eui64 = self.coordinator.server().member_at(node)?.eui64;
        self.mesh.heard(eui64, lqi, now.utc_ms);
        self.routing.routes.answered(node, both(now));
        self.node_heard(node, now.mono);
        Some(eui64)
    }
}
