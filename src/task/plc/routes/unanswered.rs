//! A request left, and nothing came back. By now the modem may go another way than its table had when that was read: a
//! neighbour that lost the node has looked for it, and the reply came through the coordinator. So its row is looked at,
//! which costs nothing in the air, before that counts against the way; a way put back over that neighbour would go round.

use plc::g3::modem::{Answer, Refusal as Refused};
use plc::g3::pib::{Layer, Typed, adp};
use plc::route::{Failure, Way};

use super::super::answers::Asked;
use super::{Plc, both};

impl Plc {
    pub(in crate::task::plc) fn unanswered(&mut self, node: u16) {
        let now = (self.clock)().mono;
        let index = self.mesh.row_of(node).0 as u16;
        match self.coordinator.with_modem(now, |modem| modem.get(Layer::Adp, adp::ROUTING_TABLE, index, now)) {
            asked @ Ok(_) => self.wait_for(asked, Asked::WayOf(node)),
            Err(_) => self.way_seen(node, Err(Refused::Unknown)),
        }
    }

    /// The row where the node had its own.
    pub(in crate::task::plc) fn way_seen(&mut self, node: u16, seen: Result<Answer, Refused>) {
        let now = both((self.clock)());
        if let Ok(Answer::Value(Typed::Route(row))) = seen
            && row.destination == node
            && row.valid_time > 0
        {
            self.routing.routes.goes(node, Way::from(&row), now);
        }
        self.routing.routes.failed(node, Failure::NoAnswer, now);
    }
}
