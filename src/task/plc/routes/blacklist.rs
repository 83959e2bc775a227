//! Neighbours that no route is to go over: they are put on the modem's blacklist, where it lets that be written, and what it
//! finds over them all the same goes another way, where one is known. Who asks for it hears what becomes of the routes over it.

use plc::g3::bootstrap::Member;
use plc::g3::modem::Refusal as Refused;
use plc::g3::pib::{BlacklistEntry, Layer, Typed, adp};

use super::super::answers::Asked;
use super::super::{Plc, Reply};
use super::both;
use crate::control::{MeshSaid, MeshState, Refusal, RefusalKind, StaysLine};

impl Plc {
    /// Who is not in the network any more can be taken from the list all the same.
    pub(in crate::task::plc) fn blacklist(&mut self, node: &str, is_blacklisted: bool, reply: Reply) {
        let member = match is_blacklisted {
            true => self.routed(node),
            false if self.view.state != MeshState::Up => Err(self.not_up()),
            false => self.member(node),
        };
        match member {
            Ok(Member { short_addr, .. }) => self.write_blacklist(short_addr, is_blacklisted, Some(reply)),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

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
            (None, false) if !self.routing.routes.is_blacklisted(node) => {
                let eui64 = self.coordinator.server().member_at(node).map(|member| member.eui64.to_string());
                let text = format!("node {} is not blacklisted", eui64.unwrap_or_else(|| format!("{node:04x}")));
                return drop(reply.map(|reply| reply.send(Err(Refusal::new(RefusalKind::NotFound, text)))));
            }
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
            Ok(()) if is_wanted && reply.is_some() => {
                let read =
                    |modem: &mut plc::g3::modem::Modem| modem.read_table(Layer::Adp, adp::ROUTING_TABLE, now.mono);
                return match self.coordinator.with_modem(now.mono, read) {
                    asked @ Ok(_) => self.wait_for(asked, Asked::Banned(node, reply)),
                    // What was read last is known.
                    Err(_) => self.ban(node, reply),
                };
            }
            Ok(()) => {
                self.routing.routes.set_blacklisted(node, is_wanted, both(now));
                let Some(reply) = reply else { return };
                return drop(reply.send(Ok(self.ordered(node))));
            }
            Err(refused) => {
                // It would be said to hold, and does not.
                self.routing.routes.set_blacklisted(node, false, both(now));
                Err(Refusal::new(RefusalKind::Failed, format!("the modem keeps its blacklist to itself: {refused}")))
            }
        };
        drop(reply.map(|reply| reply.send(said)));
    }

    /// No route is to go over it from now on: who asked for that hears what becomes of those that did.
    pub(in crate::task::plc) fn ban(&mut self, node: u16, reply: Option<Reply>) {
        let now = both((self.clock)());
        let routes = &mut self.routing.routes;
        let is_new = routes.set_blacklisted(node, true, now);
        let over: Vec<_> = routes.over(node).collect();
        let stays = over.iter().filter_map(|(node, round)| {
            let member = self.coordinator.server().member_at(*node);
            let eui64 = member.map(|member| member.eui64.to_string());
            Some(StaysLine { short_addr: format!("{node:04x}"), eui64, why: round.err()?.name().to_owned() })
        });
        let stays: Vec<_> = stays.collect();
        let (routes, moved) = (over.len(), over.len() - stays.len());
        let unkept = self.unkept_orders();
        let member = self.coordinator.server().member_at(node);
        let said = MeshSaid::Blacklisted {
            node: member.map_or_else(|| format!("{node:04x}"), |member| member.eui64.to_string()),
            is_new,
            routes,
            moved,
            stays,
            unkept,
        };
        drop(reply.map(|reply| reply.send(Ok(said))));
    }
}
