//! Who has which short address, for ever, and who is in the network.

use std::collections::BTreeMap;

use crate::Eui64;

/// A node that was admitted once. Keep it, and hand it to the next life of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub eui64: Eui64,
    /// It keeps this address, however often it joins.
    pub short_addr: u16,
    /// It has joined, and has neither left nor been kicked.
    pub is_joined: bool,
    /// The server in the modem was told its address since, and did not say what came of it: it may have joined.
    pub is_assigned: bool,
    /// The generation of the newest group master key that it was given.
    pub key_generation: u32,
    /// The generation of the newest one that it was heard to use.
    pub active_generation: u32,
}

impl Member {
    /// It is in the network, or may be.
    pub const fn may_be_joined(&self) -> bool {
        self.is_joined || self.is_assigned
    }

    /// It was in the network once, for sure.
    pub const fn was_joined(&self) -> bool {
        self.active_generation > 0
    }
}

#[derive(Debug, Default)]
pub(super) struct Roster {
    members: BTreeMap<Eui64, Entry>,
    addresses: BTreeMap<u16, Eui64>,
    last: u16,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    /// Its address is kept somewhere that survives this process.
    is_durable: bool,
}

impl Roster {
    pub(super) fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let mut roster = Self::default();
        for member in members {
            roster.last = roster.last.max(member.short_addr);
            roster.addresses.insert(member.short_addr, member.eui64);
            roster.members.insert(member.eui64, Entry { member, is_durable: true });
        }
        roster
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> + Clone {
        self.members.values().map(|entry| &entry.member)
    }

    pub(super) fn get(&self, eui64: Eui64) -> Option<&Member> {
        self.members.get(&eui64).map(|entry| &entry.member)
    }

    pub(super) fn at(&self, short_addr: u16) -> Option<&Member> {
        self.addresses.get(&short_addr).and_then(|eui64| self.get(*eui64))
    }

    pub(super) fn is_durable(&self, eui64: Eui64) -> bool {
        self.members.get(&eui64).is_some_and(|entry| entry.is_durable)
    }

    pub(super) fn set_durable(&mut self, eui64: Eui64) {
        if let Some(entry) = self.members.get_mut(&eui64) {
            entry.is_durable = true;
        }
    }

    /// Changes what is known of a node; the new state comes back where it is another one.
    pub(super) fn change(&mut self, eui64: Eui64, change: impl FnOnce(&mut Member)) -> Option<Member> {
        let entry = self.members.get_mut(&eui64)?;
        let before = entry.member;
        change(&mut entry.member);
        (entry.member != before).then_some(entry.member)
    }

    /// The modem is to be told the address of a node, which gets a key of this generation. That is durable first; the new
    /// state comes back where it is another one.
    pub(super) fn assign(&mut self, eui64: Eui64, generation: u32) -> Option<Member> {
        let is_joined = self.get(eui64)?.is_joined;
        let changed = self.change(eui64, |member| {
            if !is_joined {
                (member.is_assigned, member.key_generation) = (true, generation);
            }
        })?;
        self.members.get_mut(&eui64)?.is_durable = false;
        Some(changed)
    }

    /// The node's address, a new one where it has none; whether it is new. None when there is no address left.
    ///
    /// Addresses go round, so that one that was given back is not used again before all others were.
    pub(super) fn address(&mut self, eui64: Eui64) -> Option<(Member, bool)> {
        if let Some(member) = self.get(eui64) {
            return Some((*member, false));
        }
        let after = self.last.saturating_add(1).min(LAST + 1);
        let short_addr =
            (after..=LAST).chain(FIRST..after).find(|short_addr| !self.addresses.contains_key(short_addr))?;
        let member =
            Member { eui64, short_addr, is_joined: false, is_assigned: false, key_generation: 0, active_generation: 0 };
        self.last = short_addr;
        self.addresses.insert(short_addr, eui64);
        self.members.insert(eui64, Entry { member, is_durable: false });
        Some((member, true))
    }

    /// Forgets a node and gives its address back.
    pub(super) fn remove(&mut self, eui64: Eui64) -> Option<Member> {
        let member = self.members.remove(&eui64)?.member;
        self.addresses.remove(&member.short_addr);
        Some(member)
    }
}

/// Zero is the coordinator; from 8000 on there are groups, FFFF is nobody.
const FIRST: u16 = 0x0001;
const LAST: u16 = 0x7fff;

#[cfg(test)]
mod tests {
    use super::*;

    fn eui64(number: u64) -> Eui64 {
        Eui64(number.to_be_bytes())
    }

    #[test]
    fn a_node_keeps_its_address_and_a_free_one_is_used_last() {
        let mut roster = Roster::default();
        assert_eq!(roster.address(eui64(7)).map(|(member, is_new)| (member.short_addr, is_new)), Some((1, true)));
        assert_eq!(roster.address(eui64(8)).map(|(member, _)| member.short_addr), Some(2));
        assert_eq!(roster.address(eui64(7)).map(|(member, is_new)| (member.short_addr, is_new)), Some((1, false)));
        assert!(!roster.is_durable(eui64(7)));
        let mut again = Roster::new(roster.iter().copied().collect::<Vec<_>>());
        assert!(again.is_durable(eui64(7)));
        again.remove(eui64(7));
        assert_eq!(again.at(1), None);
        for number in 9..0x7fff + 7 {
            assert_ne!(again.address(eui64(number)).map(|(member, _)| member.short_addr), Some(1));
        }
        assert_eq!(again.address(eui64(90_000)).map(|(member, _)| member.short_addr), Some(1));
        assert_eq!(again.address(eui64(90_001)), None);
    }
}
