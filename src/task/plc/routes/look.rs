//! One row of the modem's routing table is looked at, which costs nothing in the air. A request left, and nothing came back:
//! by now the modem may go another way than its table had when that was read, as a neighbour that lost the node has looked
//! for it and the reply came through the coordinator; that is seen before the silence counts against the way, as one put
//! back over that neighbour would go round. And who answers after it was lost may do so by such a way.

use plc::g3::modem::{Answer, Refusal as Refused};
use plc::g3::pib::{Layer, Typed, adp};
use plc::route::{Failure, Way};

use super::super::answers::Asked;
use super::{Plc, both};

impl Plc {
    pub(in crate::task::plc) fn unanswered(&mut self, node: u16) {
        self.look_at_way(node, Some(Failure::NoAnswer));
    }

    /// Looks where a node had its row, and tells what of it has failed then.
    pub(super) fn look_at_way(&mut self, node: u16, failure: Option<Failure>) {
        let now = (self.clock)().mono;
        let index = self.mesh.row_of(node).0 as u16;
        match self.coordinator.with_modem(now, |modem| modem.get(Layer::Adp, adp::ROUTING_TABLE, index, now)) {
            asked @ Ok(_) => self.wait_for(asked, Asked::WayOf(node, failure)),
            Err(_) => self.way_seen(node, failure, Err(Refused::Unknown)),
        }
    }

    pub(in crate::task::plc) fn way_seen(
        &mut self,
        node: u16,
        failure: Option<Failure>,
        seen: Result<Answer, Refused>,
    ) {
        let now = both((self.clock)());
        match seen {
            Ok(Answer::Value(Typed::Route(row))) if row.destination == node && row.valid_time > 0 => {
                self.routing.routes.goes(node, Way::from(&row), now);
            }
            // Its row is elsewhere by now.
            _ if failure.is_none() => self.read_soon(now.mono),
            _ => {}
        }
        if let Some(failure) = failure {
            self.routing.routes.failed(node, failure, now);
        }
    }
}
