//! Rows that the modem dropped from its routing table are put back, so that the way that was there is tried again before a
//! search floods the network; rows over who is blacklisted give way to others, and rows that lead nowhere to those over who
//! is to look for the node. A row is written where its node has one,
//! or nobody has: its place is looked at first, as the modem may have moved others since the table was read.

#[cfg(test)]
mod tests;

use plc::g3::AdpStatus;
use plc::g3::modem::{Answer, Generation, Modem, Refusal as Refused};
use plc::g3::pib::{Layer, Route, Typed, adp};
use plc::route::{Medium, Way};
use tracing::{debug, info};

use super::super::answers::Asked;
use super::{Plc, both};
use crate::clock::Now;

/// What a row is put into the table for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::task::plc) enum Placing {
    /// The modem has none for its node.
    PutBack,
    /// In place of the one that it has.
    Instead,
}

impl Plc {
    /// Puts rows that wait, few at a time, so that others who ask the modem find room: hundreds may go over one neighbour.
    /// False where none could be begun.
    pub(super) fn put_rows(&mut self) -> bool {
        let is_row = |asked: &&Asked| matches!(asked, Asked::Place(..) | Asked::Places(_) | Asked::PutBack(_));
        let under_way = self.asked.values().filter(is_row).count();
        let mut is_any = false;
        for _ in under_way..ROWS_AT_ONCE {
            let Some(row) = self.routing.rows.pop_front() else { break };
            let now = (self.clock)().mono;
            let index = self.mesh.row_of(row.0).0;
            let place = |modem: &mut Modem| modem.get(Layer::Adp, adp::ROUTING_TABLE, index as u16, now);
            match self.coordinator.with_modem(now, place) {
                asked @ Ok(_) => self.wait_for(asked, Asked::Place(row, index)),
                Err(_) => {
                    self.routing.rows.push_front(row);
                    break;
                }
            }
            is_any = true;
        }
        is_any
    }

    /// What is at the place that a row is to have.
    pub(in crate::task::plc) fn place_seen(
        &mut self,
        row: (u16, Way, Placing),
        index: usize,
        seen: Result<Answer, Refused>,
    ) {
        let (node, _, placing) = row;
        let now = (self.clock)().mono;
        let is_its_place = match seen {
            Ok(Answer::Value(Typed::Route(there))) if there.valid_time == 0 => true,
            // It has a way again, by itself.
            Ok(Answer::Value(Typed::Route(there))) if there.destination == node => match placing {
                Placing::PutBack => return self.routing.routes.not_put(node),
                Placing::Instead => true,
            },
            // Behind the last row there is none.
            Err(Refused::Adp(AdpStatus::INVALID_INDEX)) => true,
            _ => false,
        };
        if is_its_place {
            return self.put_there(row, index);
        }
        let asked = self.coordinator.with_modem(now, |modem| modem.read_table(Layer::Adp, adp::ROUTING_TABLE, now));
        self.wait_for(asked, Asked::Places(row));
    }

    /// The whole table, as the place was another row's.
    pub(in crate::task::plc) fn places_seen(&mut self, row: (u16, Way, Placing), rows: Vec<Typed>, now: Now) {
        self.take_table(rows, now);
        self.put_there(row, self.mesh.row_of(row.0).0);
    }

    fn put_there(&mut self, (node, way, placing): (u16, Way, Placing), index: usize) {
        let now = (self.clock)().mono;
        // The modem has found another way meanwhile.
        if placing == Placing::PutBack && self.routing.routes.goes_elsewhere(node, way.next_hop) {
            return self.routing.routes.not_put(node);
        }
        let minutes = self.routing.routes.limits().route_minutes();
        self.set_route((node, way), minutes, index, Asked::PutBack(node));
        if placing == Placing::Instead {
            self.read_soon(now);
        }
    }

    /// Writes a row that is good for so many minutes at a place of the modem's routing table.
    pub(super) fn set_route(&mut self, (node, way): (u16, Way), minutes: u16, index: usize, asked: Asked) {
        let now = (self.clock)().mono;
        let before = self.mesh.row_of(node).1;
        // What its rows do not say it does not take.
        let is_newer = || self.coordinator.modem().generation() == Some(Generation::ModemLbs);
        let says_medium = self.mesh.rows_say_medium().unwrap_or_else(is_newer);
        let medium = way.medium.map(Medium::number).or(before.and_then(|row| row.medium)).unwrap_or(PLC);
        let row = Route {
            destination: node,
            next_hop: way.next_hop,
            route_cost: way.cost,
            hop_count: way.hops,
            weak_link_count: way.weak_links,
            medium: says_medium.then_some(medium),
            valid_time: minutes,
        };
        let value = Typed::Route(row).to_value();
        let set = |modem: &mut Modem| modem.set(Layer::Adp, adp::ROUTING_TABLE, index as u16, value, now);
        let ticket = self.coordinator.with_modem(now, set);
        self.wait_for(ticket, asked);
    }

    /// The modem has taken the row, or refused it.
    pub(in crate::task::plc) fn put_back_ended(&mut self, node: u16, written: Result<(), Refused>) {
        if written.is_err() {
            self.routing.routes.not_put(node);
        }
        match written {
            Ok(()) => debug!(network = %self.name, node, "route put back"),
            // It does not answer now: the next row may be taken.
            Err(Refused::Unknown) => {}
            Err(refused) => {
                info!(network = %self.name, %refused, "the modem takes no routes: what it drops is looked for");
                self.routing.routes.locked(both((self.clock)()));
            }
        }
    }
}

/// The medium of a row where none is known.
const PLC: u8 = 0;
/// Rows of which something is under way.
const ROWS_AT_ONCE: usize = 8;
