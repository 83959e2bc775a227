//! Searches that somebody at the desk asks for: how each ends goes to who asked and into the history of the route.

use plc::g3::AdpStatus;
use plc::g3::bootstrap::Member;
use plc::g3::modem::{Answer, Refusal as Refused};
use plc::g3::pib::{Layer, Typed, adp};
use plc::route::End;

use super::super::answers::{Asked, refusal};
use super::super::{Plc, Reply};
use super::both;
use crate::clock::Now;
use crate::control::{MeshSaid, Refusal, RefusalKind};

impl Plc {
    pub(in crate::task::plc) fn refresh(&mut self, node: &str, reply: Reply, now: Now) {
        let node = match self.routed(node) {
            Ok(Member { short_addr, .. }) => short_addr,
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        self.routing.routes.asked(node, both(now));
        let most_hops = self.coordinator.modem().config().max_hops;
        let asked = self.coordinator.with_modem(now.mono, |modem| modem.discover_route(node, most_hops, now.mono));
        if asked.is_err() {
            self.routing.routes.asked_ended(node, End::Refused(None), both(now));
        }
        self.wait_for(asked, Asked::Refresh(node, Some(reply)));
    }

    /// A search has ended. What one has found that somebody asked for is read before it is told.
    pub(in crate::task::plc) fn refreshed(&mut self, node: u16, found: Result<Answer, Refused>, reply: Option<Reply>) {
        let now = (self.clock)();
        let Some(reply) = reply else {
            self.routing.routes.discovered(node, found.is_ok(), both(now));
            return self.search_ended(node, found.is_ok(), now);
        };
        let end = match found {
            Ok(_) => End::Found,
            Err(Refused::Adp(status)) if is_in_vain(status) => End::NotFound,
            Err(refused) => End::Refused(Some(refused)),
        };
        self.routing.routes.asked_ended(node, end, both(now));
        if !matches!(end, End::Refused(_)) {
            self.search_ended(node, end == End::Found, now);
        }
        if let Err(refused) = found {
            return drop(reply.send(Err(self.no_way(node, refused))));
        }
        let read = |modem: &mut plc::g3::modem::Modem| modem.read_table(Layer::Adp, adp::ROUTING_TABLE, now.mono);
        let asked = self.coordinator.with_modem(now.mono, read);
        if asked.is_err() {
            self.routing.routes.asked_seen(node, both(now));
        }
        self.wait_for(asked, Asked::Found(node, Some(reply)));
    }

    /// Nobody was found, or the modem did not look.
    fn no_way(&self, node: u16, refused: Refused) -> Refusal {
        let Refused::Adp(status) = refused else { return refusal(refused) };
        if !is_in_vain(status) {
            return refusal(refused);
        }
        let member = self.coordinator.server().member_at(node);
        let named = member.map_or_else(|| format!("{node:04x}"), |member| member.eui64.to_string());
        let why = "it is off, or nobody in the network reaches it";
        Refusal::new(RefusalKind::Failed, format!("no way to {named} was found: {why} (the modem says: {status})"))
    }

    /// The table with what was found; where it cannot be read, what is known of it is noted.
    pub(in crate::task::plc) fn found_read(
        &mut self,
        node: u16,
        rows: Result<Vec<Typed>, Refused>,
        reply: Option<Reply>,
    ) {
        let now = (self.clock)();
        let refused = rows.map(|rows| self.take_table(rows, now)).err();
        self.routing.routes.asked_seen(node, both(now));
        let Some(reply) = reply else { return };
        if let Some(refused) = refused {
            return drop(reply.send(Err(refusal(refused))));
        }
        let (routes, member) = (&self.routing.routes, self.coordinator.server().member_at(node));
        let (way, round) = (routes.way(node), routes.way_round(node));
        drop(reply.send(Ok(MeshSaid::Found {
            node: member.map_or_else(|| format!("{node:04x}"), |member| member.eui64.to_string()),
            next_hop: way.map(|way| format!("{:04x}", way.next_hop)),
            hops: way.map(|way| way.hops),
            is_blacklisted: round.is_some(),
            detour: round.and_then(Result::ok).map(|way| format!("{:04x}", way.next_hop)),
            stays: round.and_then(Result::err).map(|why| why.name().to_owned()),
        })));
    }
}

/// It looked, and found nobody; anything else is that it did not look.
const fn is_in_vain(status: AdpStatus) -> bool {
    matches!(status, AdpStatus::ROUTE_ERROR | AdpStatus::FAILED | AdpStatus::TIMEOUT)
}
