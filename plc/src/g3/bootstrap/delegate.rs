//! The server in the modem: who asked it is told to it, and what becomes of it is waited for, but not for long, as it does
//! not say that a join has failed.

use super::lbs::{MAX_REFUSED, NOBODY, WAITING_TIME};
use super::{
    Action, Duration, Eui64, Event, Failure, Generation, Instant, Media, Purpose, Reject, Server, Slot, Stage, Task,
    Waiting,
};

impl Server {
    /// Somebody asks the server in the modem.
    pub fn join_request(&mut self, eui64: Eui64, now: Instant) {
        self.ask(eui64, NOBODY, Media::default(), now);
        self.fill(now);
    }

    /// The server in the modem has finished with a node.
    pub fn join_complete(&mut self, eui64: Eui64, short_addr: u16, now: Instant) {
        let member = self.roster.get(eui64).filter(|member| member.short_addr == short_addr && member.is_assigned);
        match (self.slots.get(&eui64), member.copied()) {
            (Some(slot), _) if slot.stage == Stage::Delegated => {
                if slot.purpose != Purpose::Join {
                    self.rekey_is_said();
                }
                self.succeed(eui64, now);
            }
            // It took longer than it was waited for.
            (None, Some(member)) if !self.kicked.contains_key(&eui64) => self.prove(member),
            _ => self.rejects.add(Reject::Unexpected("join complete")),
        }
        self.fill(now);
    }

    /// Leaves the conversation to the server in the modem. It has one pre-shared key at a time, and either rekeys or
    /// admits: who needs another one waits until those with this one are through.
    pub(super) fn delegate(&mut self, eui64: Eui64, mut slot: Slot, now: Instant) {
        let is_join = slot.purpose == Purpose::Join;
        let differs = |open: &Slot| open.psk != slot.psk || (open.purpose == Purpose::Join) != is_join;
        let is_other = self.slots.values().any(differs);
        if is_other {
            if slot.purpose == Purpose::Join {
                let until = now + WAITING_TIME;
                self.parked.insert(eui64, Waiting { source: NOBODY, media: slot.media, until });
            }
            return;
        }
        slot.stage = Stage::Delegated;
        slot.due = now
            + match slot.purpose {
                Purpose::Join => JOIN_TIME,
                Purpose::Rekey(Task::Distribute) => REKEY_TIME,
                Purpose::Rekey(Task::Activate) => ACTIVATE_TIME,
            };
        let (short_addr, psk) = (slot.short_addr, Some(slot.psk));
        if is_join {
            let assigned = self.roster.assign(eui64, slot.generation);
            assigned.into_iter().for_each(|member| self.events.push_back(Event::Remember(member)));
        }
        match slot.purpose {
            Purpose::Join if !self.roster.is_durable(eui64) => slot.stage = Stage::Durable,
            Purpose::Join => self.actions.push_back(Action::Assign { eui64, short_addr, psk }),
            Purpose::Rekey(task) => {
                let distribute = task == Task::Distribute;
                self.actions.push_back(Action::Rekey { eui64, short_addr, psk, distribute });
            }
        }
        self.slots.insert(eui64, slot);
    }

    /// A step of a rekey should be done by now. A modem that has never said so of any node is taken to have done it: who
    /// was not reached loses the network at the switch, and joins again. Who another modem does not speak of was not
    /// reached, and is tried again.
    pub(super) fn rekey_not_said(&mut self, eui64: Eui64, now: Instant) {
        let before = self.roster.get(eui64).map(|member| member.key_generation);
        match before {
            Some(before) if !self.indicates_rekey => {
                self.presumed.entry(eui64).or_insert(before);
                self.succeed(eui64, now);
            }
            _ => self.fail(eui64, Failure::NoAnswer, now),
        }
    }

    /// It does say so: of whom it did not, nothing is known.
    fn rekey_is_said(&mut self) {
        self.indicates_rekey = true;
        for (eui64, before) in std::mem::take(&mut self.presumed) {
            self.campaign.doubt(eui64);
            self.change(eui64, |member| member.key_generation = before);
        }
    }

    /// Has the server in the modem decline who asked, so that its place there is free.
    pub(super) fn turn_away(&mut self, eui64: Eui64) {
        if self.is_in_modem() {
            self.actions.push_back(Action::Assign { eui64, short_addr: NOBODY, psk: None });
        }
    }

    /// Turns away who asks and may not join; as it asks, it is not in the network for sure.
    pub(super) fn refuse_there(&mut self, eui64: Eui64) {
        self.change(eui64, |member| member.is_assigned = false);
        self.turn_away(eui64);
    }

    /// Who has waited for too long has given up.
    pub(super) fn give_up_waiting(&mut self, now: Instant) {
        let late: Vec<_> = self.waiting.iter().filter(|(_, w)| w.until <= now).map(|(eui64, _)| *eui64).collect();
        for eui64 in late {
            self.waiting.remove(&eui64);
            self.turn_away(eui64);
        }
    }

    /// One that does not come to its end in the server of the modem, as with a wrong key, keeps all others from joining:
    /// it has to wait, the longer the more often it does that.
    pub(super) fn strike(&mut self, eui64: Eui64, now: Instant) {
        if self.strikes.len() >= MAX_REFUSED && !self.strikes.contains_key(&eui64) {
            self.strikes.clear();
        }
        let strikes = self.strikes.entry(eui64).or_default();
        *strikes = strikes.saturating_add(1);
        // The air may be to blame once.
        if let Some(more) = strikes.checked_sub(2) {
            self.refused.insert(eui64, now + STRIKE_TIME * 4u32.pow(more.min(MAX_STRIKES)));
        }
    }

    pub(super) fn is_in_modem(&self) -> bool {
        self.generation == Some(Generation::ModemLbs)
    }
}

/// A join through many hops takes some seconds; what has not come to its end by now has failed.
pub(super) const JOIN_TIME: Duration = Duration::from_secs(45);
/// A modem need not say when a step of a rekey is done: a conversation, or a single message.
pub(super) const REKEY_TIME: Duration = Duration::from_secs(20);
const ACTIVATE_TIME: Duration = Duration::from_secs(5);
/// The modem passes a question on once: a second one that is not the same frame twice is another attempt.
pub(super) const DOUBLED_TIME: Duration = Duration::from_secs(1);
/// Four times as long with each one, four hours at most.
const STRIKE_TIME: Duration = Duration::from_secs(60);
const MAX_STRIKES: u32 = 4;
/// Seconds that the server in the modem waits for an answer, once and again: it lets go of a join when we do.
pub const MODEM_MESSAGE_TIME_S: u16 = 20;
