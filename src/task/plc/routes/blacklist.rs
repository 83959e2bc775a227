//! Neighbours that no route is to go over: they are put on the modem's blacklist, where it lets that be written, and what it
//! finds over them all the same goes another way, where one is known.

use plc::g3::modem::{Answer, Refusal as Refused};
use plc::g3::pib::{BlacklistEntry, Layer, Typed, adp};

use super::super::answers::{Asked, refusal};
use super::super::{Plc, Reply};
use super::both;
use crate::control::{MeshSaid, Refusal, RefusalKind};

impl Plc {
    /// Takes a node onto the modem's blacklist, or from it: an entry is written where the last reading has it.
    pub(in crate::task::plc) fn write_blacklist(&mut self, node: u16, is_blacklisted: bool, reply: Option<Reply>) {
        let now = (self.clock)().mono;
        let asked = self.coordinator.with_modem(now, |modem| modem.read_table(Layer::Adp, adp::BLACKLIST_TABLE, now));
        self.wait_for(asked, Asked::Blacklist(node, is_blacklisted, reply));
    }

    /// The blacklist as it is, which is to have a node, or not.
    pub(in crate::task::plc) fn change_blacklist(
        &mut self,
        (node, is_wanted): (u16, bool),
        rows: &[Typed],
        reply: Option<Reply>,
    ) {
        let now = (self.clock)().mono;
        let is_of = |row: &Typed| matches!(row, Typed::Blacklist(entry) if entry.short_addr == node);
        let place = rows.iter().position(is_of);
        let value = match (place, is_wanted) {
            (None, false) => return self.blacklisted((node, is_wanted), Ok(()), reply),
            (Some(_), false) => plc::g3::adp::Value::default(),
            (_, true) => {
                let has_medium = rows.iter().any(|row| matches!(row, Typed::Blacklist(it) if it.medium.is_some()));
                let entry = BlacklistEntry { short_addr: node, medium: has_medium.then_some(0), valid_time: u16::MAX };
                Typed::Blacklist(entry).to_value()
            }
        };
        let index = place.unwrap_or(rows.len()) as u16;
        let set = |modem: &mut plc::g3::modem::Modem| modem.set(Layer::Adp, adp::BLACKLIST_TABLE, index, value, now);
        let asked = self.coordinator.with_modem(now, set);
        self.wait_for(asked, Asked::Blacklisted(node, is_wanted, reply));
    }

    /// The modem has taken it, or not.
    pub(in crate::task::plc) fn blacklisted(
        &mut self,
        (node, is_wanted): (u16, bool),
        taken: Result<(), Refused>,
        reply: Option<Reply>,
    ) {
        let now = (self.clock)();
        let said = match taken {
            Ok(()) => {
                self.routing.routes.set_blacklisted(node, is_wanted, both(now));
                Ok(self.done(node))
            }
            Err(refused) => {
                // It would be said to hold, and does not.
                self.routing.routes.set_blacklisted(node, false, both(now));
                Err(Refusal::new(RefusalKind::Failed, format!("the modem keeps its blacklist to itself: {refused}")))
            }
        };
        drop(reply.map(|reply| reply.send(said)));
    }

    /// A search that somebody at the desk began has ended: what was found is read before it is told.
    pub(in crate::task::plc) fn refreshed(&mut self, node: u16, found: Result<Answer, Refused>, reply: Option<Reply>) {
        let now = (self.clock)();
        self.search_ended(node, found.is_ok(), now);
        let Some(reply) = reply else { return };
        match found {
            Ok(_) => {
                let read =
                    |modem: &mut plc::g3::modem::Modem| modem.read_table(Layer::Adp, adp::ROUTING_TABLE, now.mono);
                let asked = self.coordinator.with_modem(now.mono, read);
                self.wait_for(asked, Asked::Found(node, Some(reply)));
            }
            Err(refused) => drop(reply.send(Err(refusal(refused)))),
        }
    }

    /// The table with what was found.
    pub(in crate::task::plc) fn found_read(&mut self, node: u16, rows: Vec<Typed>, reply: Option<Reply>) {
        self.take_table(rows, (self.clock)());
        let Some(reply) = reply else { return };
        let (routes, member) = (&self.routing.routes, self.coordinator.server().member_at(node));
        let way = routes.way(node);
        drop(reply.send(Ok(MeshSaid::Found {
            node: member.map_or_else(|| format!("{node:04x}"), |member| member.eui64.to_string()),
            next_hop: way.map(|way| format!("{:04x}", way.next_hop)),
            hops: way.map(|way| way.hops),
            is_blacklisted: way.is_some_and(|way| routes.is_blacklisted(way.next_hop)),
            detour: routes.detour(node).map(|way| format!("{:04x}", way.next_hop)),
        })));
    }
}
