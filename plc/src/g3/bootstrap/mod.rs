//! The bootstrap server: admits nodes, gives them addresses and keys, rotates the keys. G.9903 clause 9.4.4.
//!
//! It speaks LBP where it runs on the host, and directs the server in the modem where that one does. Its messages leave
//! as actions; what must be durable leaves as events, and nothing that depends on it leaves before it is.

mod admission;
mod campaign;
mod delegate;
mod kick;
mod lbs;
mod presence;
mod roster;
mod rotation;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

pub use admission::{Admission, Verdict};
pub use campaign::{Patience, Phase, Ring};
pub use delegate::MODEM_MESSAGE_TIME_S;
pub(crate) use lbs::{DUPLICATE_TIME, WAITING_TIME};
pub use roster::Member;

use campaign::{Campaign, Task};
use roster::Roster;
use slot::{Purpose, Slot, Stage, Waiting};

use super::adp::{Address, Lbp};
use super::lbp::{self, Media, Parameter, eap};
use super::modem::{Delivery, Generation, Ticket};
use crate::{Eui64, Key, Reject, Rejects};

/// The server of one network.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    /// The server's name, as EAP-PSK has it.
    id_s: Vec<u8>,
    admission: Box<dyn Admission>,
    entropy: Entropy,
    roster: Roster,
    ring: Ring,
    /// A ring that is not durable yet: nothing of it is used.
    wanted: Option<Ring>,
    campaign: Campaign,
    /// None while there is no modem.
    generation: Option<Generation>,
    slots: BTreeMap<Eui64, Slot>,
    waiting: BTreeMap<Eui64, Waiting>,
    /// Who waits until the server in the modem is through with another pre-shared key.
    parked: BTreeMap<Eui64, Waiting>,
    /// Who was refused, and until when that is not said again.
    refused: BTreeMap<Eui64, Instant>,
    /// Who left the server in the modem waiting to its end, and how often in a row: nobody else could join meanwhile.
    strikes: BTreeMap<Eui64, u32>,
    /// Who was sent away: when it is told again, as nobody says that it has heard it, and how often still.
    kicked: BTreeMap<Eui64, (Instant, u32)>,
    /// Who was rekeyed by a modem that does not say so, and the generation of its key before.
    presumed: BTreeMap<Eui64, u32>,
    /// The server in the modem says when a step of a rekey is done.
    indicates_rekey: bool,
    identifier: u8,
    rejects: Rejects,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

/// How much is done at once, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Conversations at once, 1 to 20; and how many of them are joins: those of devices that the coordinator has no way to,
    /// so that each may cost a search, and a device gives up while others are served in vain.
    pub slots: usize,
    pub joins: usize,
    /// How long a node may take to answer.
    pub message_time: Duration,
    /// How often a message is sent.
    pub tries: u32,
    pub patience: Patience,
}

/// Where random octets come from.
pub struct Entropy(pub Box<dyn FnMut() -> [u8; 16] + Send>);

/// What the modem is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sends an LBP message; [`Server::on_its_way`] wants its ticket.
    Lbp {
        eui64: Eui64,
        lbp: Lbp,
    },
    /// Tells the server in the modem the address of who asked, and first the key that it must prove.
    Assign {
        eui64: Eui64,
        short_addr: u16,
        psk: Option<Key>,
    },
    /// Has the server in the modem rekey a node.
    Rekey {
        eui64: Eui64,
        short_addr: u16,
        psk: Option<Key>,
        distribute: bool,
    },
    Kick {
        eui64: Eui64,
        short_addr: u16,
    },
    /// The keys of the network are these now.
    Keys(Ring),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Keep it; where its address is new, call [`Server::remembered`] when it is durable.
    Remember(Member),
    /// Keep it, and call [`Server::ring_kept`] when it is durable.
    KeepRing(Ring),
    /// Somebody asked who is not admitted; said once in a while.
    Refused {
        eui64: Eui64,
        is_declined: bool,
    },
    Joined {
        eui64: Eui64,
        short_addr: u16,
    },
    JoinFailed {
        eui64: Eui64,
        why: Failure,
    },
    Left {
        eui64: Eui64,
    },
    /// A campaign has come to this phase; so many that are in the network have yet to follow.
    Rekey {
        phase: Phase,
        missing: usize,
    },
}

/// Why a node did not join, or did not get a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// What it said is not what it must say: another key, another name.
    Rejected(Reject),
    NoAnswer,
    NotDelivered(Delivery),
    /// It does not take a parameter.
    NotTaken,
    /// There is no short address left.
    NoAddress,
    /// It was not admitted any more.
    NotAdmitted,
}

impl Server {
    /// A server with what its last life has kept.
    pub fn new(
        limits: Limits,
        id_s: &[u8],
        ring: Ring,
        members: impl IntoIterator<Item = Member>,
        admission: Box<dyn Admission>,
        entropy: Entropy,
        now: Instant,
    ) -> Self {
        let campaign = Campaign::new(ring.phase, limits.patience, now);
        Self {
            limits: Limits { slots: limits.slots.clamp(1, MAX_SLOTS), joins: limits.joins.max(1), ..limits },
            id_s: id_s.to_vec(),
            admission,
            entropy,
            roster: Roster::new(members),
            ring,
            wanted: None,
            campaign,
            generation: None,
            slots: BTreeMap::new(),
            waiting: BTreeMap::new(),
            parked: BTreeMap::new(),
            refused: BTreeMap::new(),
            strikes: BTreeMap::new(),
            kicked: BTreeMap::new(),
            presumed: BTreeMap::new(),
            indicates_rekey: false,
            identifier: 0,
            rejects: Rejects::default(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.roster.iter()
    }

    pub fn member(&self, eui64: Eui64) -> Option<&Member> {
        self.roster.get(eui64)
    }

    pub fn member_at(&self, short_addr: u16) -> Option<&Member> {
        self.roster.at(short_addr)
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    pub fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    /// The list of who may join is another one.
    pub fn set_admission(&mut self, admission: Box<dyn Admission>) {
        self.admission = admission;
        self.refused.clear();
        self.strikes.clear();
    }

    /// The modem runs, and its bootstrap server is here or there.
    pub fn up(&mut self, generation: Generation, now: Instant) {
        self.generation = Some(generation);
        match self.ring.phase {
            Phase::Settled => self.campaign.enter(Phase::Settled, self.silence(), now),
            Phase::Distribute | Phase::Activate if generation == Generation::ModemLbs => {
                self.actions.push_back(Action::Keys(self.ring))
            }
            _ => {}
        }
        self.fill(now);
    }

    /// The modem is lost, and all conversations with it. The nodes ask again.
    pub fn down(&mut self, now: Instant) {
        self.generation = None;
        for (eui64, slot) in std::mem::take(&mut self.slots) {
            if matches!(slot.purpose, Purpose::Rekey(_)) {
                self.campaign.failed(eui64, now);
            }
        }
        self.waiting.clear();
        self.parked.clear();
        self.actions.clear();
    }

    /// The member of [`Event::Remember`] is durable.
    pub fn remembered(&mut self, eui64: Eui64, now: Instant) {
        self.roster.set_durable(eui64);
        if self.slots.get(&eui64).is_some_and(|slot| slot.stage == Stage::Durable) {
            self.hand_over(eui64, now);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.refused.retain(|_, until| *until > now);
        self.give_up_waiting(now);
        self.kick_again(now);
        let due: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.due <= now).map(|(eui64, _)| *eui64).collect();
        for eui64 in due {
            self.again(eui64, now);
        }
        self.campaign.handle_timeout(self.ring.phase, now);
        self.fill(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_going = self.wanted.is_none() && self.generation.is_some();
        let campaign = is_going.then(|| self.campaign.poll_timeout()).flatten();
        let slots = self.slots.values().map(|slot| slot.due);
        let waiting = self.waiting.values().map(|waiting| waiting.until);
        let kicked = self.kicked.values().map(|(at, _)| *at);
        slots.chain(waiting).chain(kicked).chain(self.refused.values().copied()).chain(campaign).min()
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn change(&mut self, eui64: Eui64, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.roster.change(eui64, change) {
            self.events.push_back(Event::Remember(member));
        }
    }

    fn emit(&mut self, eui64: Eui64, destination: Address, pdu: Vec<u8>) {
        self.actions.push_back(Action::Lbp { eui64, lbp: Lbp { destination, pdu: pdu.into() } });
    }

    /// Gives free slots to who waits, and to the campaign what is left but one.
    fn fill(&mut self, now: Instant) {
        if self.generation.is_none() {
            return;
        }
        while self.slots.len() < self.limits.slots && self.joins() < self.limits.joins {
            // Who has waited longest first: it will give up first.
            let Some((eui64, waiting)) =
                self.waiting.iter().min_by_key(|(_, waiting)| waiting.until).map(|(e, w)| (*e, *w))
            else {
                break;
            };
            self.waiting.remove(&eui64);
            self.admit(eui64, waiting.source, waiting.media, now);
        }
        self.go_on(now);
    }

    /// Devices of which an answer is waited for; not who has been told the last word.
    fn joins(&self) -> usize {
        let is_open = |slot: &&Slot| slot.purpose == Purpose::Join && slot.stage != Stage::Accepted;
        self.slots.values().filter(is_open).count()
    }
}

impl Default for Limits {
    fn default() -> Self {
        // A device has 90 s for all of it (adpMaxJoinWaitTime of public sample firmware), and says again what it is asked again.
        Self { slots: 5, joins: 2, message_time: Duration::from_secs(20), tries: 2, patience: Patience::default() }
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(reject) => reject.fmt(f),
            Self::NoAnswer => f.write_str("no answer"),
            Self::NotDelivered(_) => f.write_str("not delivered"),
            Self::NotTaken => f.write_str("parameter not taken"),
            Self::NoAddress => f.write_str("no short address left"),
            Self::NotAdmitted => f.write_str("not admitted"),
        }
    }
}

const MAX_SLOTS: usize = 20;
