//! Who is in the network, by what is heard of it.

use super::{Eui64, Event, Instant, Member, Phase, Server, Slot, Verdict};

impl Server {
    /// Forgets a node and gives its address back. False while it is in the network.
    pub fn forget(&mut self, eui64: Eui64) -> bool {
        let may =
            self.roster.get(eui64).is_some_and(|member| !member.may_be_joined()) && !self.slots.contains_key(&eui64);
        may && self.roster.remove(eui64).is_some()
    }

    /// The network is another one now: everybody has to join it.
    pub fn disband(&mut self) {
        let joined: Vec<_> =
            self.roster.iter().filter(|member| member.may_be_joined()).map(|member| member.eui64).collect();
        for eui64 in joined {
            self.leave(eui64);
        }
    }

    /// Something came from this address: who has it is in the network, whatever we thought, unless it was sent away.
    pub fn heard(&mut self, short_addr: u16, now: Instant) {
        let Some(member) = self.roster.at(short_addr).copied() else { return };
        let Member { eui64, is_joined, .. } = member;
        if self.kicked.contains_key(&eui64) {
            return;
        }
        if !is_joined && !matches!(self.admission.verdict(eui64), Verdict::Admit(_)) {
            return self.send_away(eui64, now);
        }
        if self.slots.get(&eui64).is_some_and(Slot::is_delegated_join) && member.is_assigned {
            self.succeed(eui64, now);
            return self.fill(now);
        }
        self.prove(member);
        let (generation, is_settled) = (self.ring.generation, self.ring.phase == Phase::Settled);
        self.change(eui64, |member| {
            // Nobody understands another key any more. Whether it has got the newest one is not known: a rotation gives
            // it to it again.
            if is_settled && member.key_generation == generation {
                member.active_generation = generation;
            }
        });
    }

    /// The modem has a route to this address, or a neighbour that has it: a node that may have joined has done so.
    pub fn seen(&mut self, short_addr: u16) {
        let member = self.roster.at(short_addr).filter(|member| member.is_assigned && !member.is_joined).copied();
        let Some(member) = member else { return };
        if !self.slots.contains_key(&member.eui64) && !self.kicked.contains_key(&member.eui64) {
            self.prove(member);
        }
    }

    /// A node is in the network that nobody said to have joined.
    pub(super) fn prove(&mut self, Member { eui64, short_addr, is_joined, .. }: Member) {
        if is_joined {
            return;
        }
        self.strikes.remove(&eui64);
        self.change(eui64, |member| {
            if member.is_assigned {
                member.active_generation = member.key_generation;
            }
            (member.is_joined, member.is_assigned) = (true, false);
        });
        self.events.push_back(Event::Joined { eui64, short_addr });
    }

    /// The server in the modem says that a node has left.
    pub fn left(&mut self, short_addr: u16) {
        if let Some(eui64) =
            self.roster.at(short_addr).filter(|member| member.may_be_joined()).map(|member| member.eui64)
        {
            self.leave(eui64);
        }
    }

    pub(super) fn leave(&mut self, eui64: Eui64) {
        self.change(eui64, |member| (member.is_joined, member.is_assigned) = (false, false));
        self.events.push_back(Event::Left { eui64 });
    }
}
