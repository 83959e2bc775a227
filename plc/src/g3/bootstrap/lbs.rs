//! The conversations with nodes, where the server is here.

use super::delegate::{DOUBLED_TIME, JOIN_TIME};
use super::{
    Action, Address, Delivery, Duration, Eui64, Event, Failure, Instant, Key, Media, Member, Parameter, Purpose,
    Reject, Server, Slot, Stage, Task, Ticket, Verdict, Waiting, eap, lbp,
};

impl Server {
    /// Takes an LBP message that the modem heard; the source is FFFF where the node itself was heard, without security.
    pub fn handle_lbp(&mut self, source: u16, pdu: &[u8], now: Instant) {
        let taken = lbp::Message::parse(pdu).and_then(|message| self.take(source, message, now));
        if let Err(reject) = taken {
            self.rejects.add(reject);
        }
        self.fill(now);
    }

    /// The message of an [`Action::Lbp`] is on its way; None where the modem had no room for it.
    pub fn on_its_way(&mut self, eui64: Eui64, ticket: Option<Ticket>) {
        if let Some(slot) = self.slots.get_mut(&eui64) {
            slot.ticket = ticket;
        }
    }

    /// What became of a message.
    pub fn handle_sent(&mut self, ticket: Ticket, delivery: Delivery, now: Instant) {
        let Some((eui64, slot)) = self.slots.iter_mut().find(|(_, slot)| slot.ticket == Some(ticket)) else { return };
        let eui64 = *eui64;
        slot.ticket = None;
        match (delivery, slot.stage) {
            (Delivery::Confirmed, Stage::Accepted) => self.succeed(eui64, now),
            (Delivery::Confirmed, _) => slot.due = now + self.limits.message_time,
            // The last word may have arrived: who has it is heard of again.
            (delivery, _) => self.fail(eui64, Failure::NotDelivered(delivery), now),
        }
        self.fill(now);
    }

    fn take(&mut self, source: u16, message: lbp::Message, now: Instant) -> Result<(), Reject> {
        let lbp::Message { code, media, eui64, data } = message;
        match (code, data) {
            (lbp::Code::Joining, lbp::Data::Nothing) => {
                self.ask(eui64, source, media, now);
                Ok(())
            }
            (lbp::Code::Joining, lbp::Data::Eap(message)) => self.take_eap(eui64, &message, now),
            // Whoever sends it from outside the network has not proved to be this node.
            (lbp::Code::KickFromLbd, _) => match self.roster.get(eui64) {
                Some(member) if member.short_addr == source => {
                    if member.is_joined {
                        self.slots.remove(&eui64);
                        self.leave(eui64);
                    }
                    Ok(())
                }
                _ => Err(Reject::Unexpected("kick")),
            },
            _ => Err(Reject::Unexpected("lbp message")),
        }
    }

    fn take_eap(&mut self, eui64: Eui64, message: &eap::Message, now: Instant) -> Result<(), Reject> {
        let Some(slot) = self.slots.get_mut(&eui64) else { return Err(Reject::Unexpected("eap message")) };
        let Some(conversation) = &mut slot.conversation else { return Err(Reject::Unexpected("eap message")) };
        let taken = match (slot.stage, &message.body) {
            (Stage::Second, eap::Body::Second { .. }) => {
                conversation.take_second(message, &eui64.0).map(|()| Vec::new())
            }
            (Stage::Fourth, eap::Body::Fourth { .. }) => conversation.take_fourth(message),
            _ => return Err(Reject::Unexpected("eap message")),
        };
        match taken {
            Ok(said) if slot.stage == Stage::Fourth => self.accept(eui64, &said, now),
            Ok(_) => {
                slot.stage = Stage::Durable;
                slot.due = now + DURABLE_TIME;
                if self.roster.is_durable(eui64) {
                    self.hand_over(eui64, now);
                }
            }
            // An echo of something older says nothing about who is there now.
            Err(reject @ Reject::Mismatch("random number" | "identifier")) => return Err(reject),
            Err(reject) => {
                let (destination, media) = (slot.destination, slot.media);
                self.decline(eui64, destination, media);
                self.refuse(eui64, now);
                self.fail(eui64, Failure::Rejected(reject), now);
                return Err(reject);
            }
        }
        Ok(())
    }

    /// A node that asks again later has begun anew, and the conversation that it left with it.
    pub(super) fn ask(&mut self, eui64: Eui64, source: u16, media: Media, now: Instant) {
        let copy_time = if self.is_in_modem() { DOUBLED_TIME } else { DUPLICATE_TIME };
        let is_copy = |slot: &Slot| slot.purpose == Purpose::Join && slot.since + copy_time > now;
        if !self.slots.get(&eui64).is_some_and(is_copy) {
            let left = self.slots.remove(&eui64);
            if left.is_some_and(|slot| slot.is_delegated_join()) {
                self.strike(eui64, now);
                self.events.push_back(Event::JoinFailed { eui64, why: Failure::NoAnswer });
            }
            self.kicked.remove(&eui64);
            self.unpark(now);
            self.wait(eui64, source, media, now);
        }
    }

    /// Puts who asks behind those who asked before.
    fn wait(&mut self, eui64: Eui64, source: u16, media: Media, now: Instant) {
        let is_known = self.waiting.contains_key(&eui64);
        if self.refused.contains_key(&eui64) || !is_known && self.waiting.len() >= MAX_WAITING {
            return self.refuse_there(eui64);
        }
        // Who asks twice keeps its place.
        let until = self.waiting.get(&eui64).map_or(now + WAITING_TIME, |waiting| waiting.until);
        self.waiting.insert(eui64, Waiting { source, media, until });
    }

    /// Begins the conversation with who asks, if it may join.
    pub(super) fn admit(&mut self, eui64: Eui64, source: u16, media: Media, now: Instant) {
        let destination = if source == NOBODY { Address::Extended(eui64) } else { Address::Short(source) };
        let verdict = self.admission.verdict(eui64);
        let Verdict::Admit(psk) = verdict else {
            let is_declined = verdict == Verdict::Decline;
            // One that is held keeps a place in the modem, of which there are few.
            if self.is_in_modem() {
                self.refuse_there(eui64);
            } else if is_declined {
                self.decline(eui64, destination, media);
            }
            if self.refuse(eui64, now) {
                self.events.push_back(Event::Refused { eui64, is_declined });
            }
            return;
        };
        let Some((member, is_new)) = self.roster.address(eui64) else {
            self.decline(eui64, destination, media);
            return self.events.push_back(Event::JoinFailed { eui64, why: Failure::NoAddress });
        };
        // Where the modem assigns it, it becomes durable with that.
        if is_new && !self.is_in_modem() {
            self.events.push_back(Event::Remember(member));
        }
        let generation = self.ring.active_generation();
        self.open(member, Purpose::Join, psk, generation, destination, media, now);
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are the slot's")]
    pub(super) fn open(
        &mut self,
        member: Member,
        purpose: Purpose,
        psk: Key,
        generation: u32,
        destination: Address,
        media: Media,
        now: Instant,
    ) {
        let Member { eui64, short_addr, .. } = member;
        let mut slot = Slot {
            purpose,
            stage: Stage::Second,
            short_addr,
            generation,
            psk,
            conversation: None,
            destination,
            media,
            message: Vec::new(),
            ticket: None,
            tries: 1,
            since: now,
            due: now + self.limits.message_time,
        };
        if self.is_in_modem() {
            return self.delegate(eui64, slot, now);
        }
        let message = if purpose == Purpose::Rekey(Task::Activate) {
            slot.stage = Stage::Accepted;
            let parameters = lbp::Data::Parameters(vec![Parameter::GmkActivation(self.ring.newest())]);
            lbp::Message { code: lbp::Code::Accepted, media, eui64, data: parameters }
        } else {
            let mut conversation = lbp::psk::Server::new(&psk, &self.id_s, (self.entropy.0)());
            let first = conversation.first(self.next_identifier());
            slot.conversation = Some(conversation);
            lbp::Message { code: lbp::Code::Challenge, media, eui64, data: lbp::Data::Eap(first) }
        };
        slot.message = message.to_vec();
        self.emit(eui64, destination, slot.message.clone());
        self.slots.insert(eui64, slot);
    }

    /// The node has proved its key and its address is durable: it gets what it asked for.
    pub(super) fn hand_over(&mut self, eui64: Eui64, now: Instant) {
        let identifier = self.next_identifier();
        let Some(slot) = self.slots.get_mut(&eui64) else { return };
        slot.due = now + self.limits.message_time;
        slot.tries = 1;
        let Some(conversation) = &mut slot.conversation else {
            slot.stage = Stage::Delegated;
            slot.due = now + JOIN_TIME;
            let (short_addr, psk) = (slot.short_addr, Some(slot.psk));
            return self.actions.push_back(Action::Assign { eui64, short_addr, psk });
        };
        let index = if slot.purpose == Purpose::Join { self.ring.keyring.active } else { self.ring.newest() };
        let Some(key) = self.ring.keyring.key(index) else { return };
        let gmk = Parameter::Gmk { index, key };
        let parameters = match slot.purpose {
            Purpose::Join => vec![Parameter::ShortAddr(slot.short_addr), gmk, Parameter::GmkActivation(index)],
            Purpose::Rekey(_) => vec![gmk],
        };
        let Some(third) = conversation.third(identifier, &parameters) else { return };
        slot.stage = Stage::Fourth;
        let message =
            lbp::Message { code: lbp::Code::Challenge, media: slot.media, eui64, data: lbp::Data::Eap(third) };
        slot.message = message.to_vec();
        let (destination, message) = (slot.destination, slot.message.clone());
        self.emit(eui64, destination, message);
    }

    /// The node has taken everything.
    fn accept(&mut self, eui64: Eui64, said: &[Parameter], now: Instant) {
        if said.iter().any(|said| matches!(said, Parameter::Result { result, .. } if *result != 0)) {
            return self.fail(eui64, Failure::NotTaken, now);
        }
        let identifier = self.next_identifier();
        let Some(slot) = self.slots.get_mut(&eui64) else { return };
        let success = lbp::Data::Eap(eap::Message { identifier, body: eap::Body::Success });
        slot.stage = Stage::Accepted;
        // Nobody answers the last word: only its confirm is waited for, which may be lost on the line.
        slot.due = now + self.limits.message_time.min(CONFIRM_TIME);
        slot.message = lbp::Message { code: lbp::Code::Accepted, media: slot.media, eui64, data: success }.to_vec();
        let (destination, message) = (slot.destination, slot.message.clone());
        self.emit(eui64, destination, message);
    }

    pub(super) fn succeed(&mut self, eui64: Eui64, now: Instant) {
        let Some(slot) = self.slots.remove(&eui64) else { return };
        match slot.purpose {
            Purpose::Join => {
                self.change(eui64, |member| {
                    (member.is_joined, member.is_assigned) = (true, false);
                    member.key_generation = slot.generation;
                    member.active_generation = slot.generation;
                });
                self.campaign.joined(eui64, &self.ring);
                self.kicked.remove(&eui64);
                self.strikes.remove(&eui64);
                self.events.push_back(Event::Joined { eui64, short_addr: slot.short_addr });
            }
            Purpose::Rekey(task) => {
                if task == Task::Distribute {
                    self.change(eui64, |member| member.key_generation = slot.generation);
                }
                self.campaign.succeeded(eui64, task, self.ring.phase, now);
            }
        }
        self.unpark(now);
    }

    pub(super) fn fail(&mut self, eui64: Eui64, why: Failure, now: Instant) {
        let Some(slot) = self.slots.remove(&eui64) else { return };
        match slot.purpose {
            Purpose::Rekey(_) => self.campaign.failed(eui64, now),
            Purpose::Join => self.events.push_back(Event::JoinFailed { eui64, why }),
        }
        self.unpark(now);
    }

    /// The time of a slot is over: its message goes again, or it ends.
    pub(super) fn again(&mut self, eui64: Eui64, now: Instant) {
        let (tries, time, is_in_modem) = (self.limits.tries, self.limits.message_time, self.is_in_modem());
        let Some(slot) = self.slots.get_mut(&eui64) else { return };
        if slot.tries >= tries || matches!(slot.stage, Stage::Durable | Stage::Delegated) {
            if is_in_modem && slot.purpose != Purpose::Join {
                return self.rekey_not_said(eui64, now);
            }
            let (is_join, is_delegated) = (slot.purpose == Purpose::Join, slot.is_delegated_join());
            if is_delegated {
                self.strike(eui64, now);
            }
            if is_join {
                self.turn_away(eui64);
            }
            return self.fail(eui64, Failure::NoAnswer, now);
        }
        slot.tries += 1;
        slot.due = now + time;
        let (destination, message) = (slot.destination, slot.message.clone());
        self.emit(eui64, destination, message);
    }

    fn unpark(&mut self, now: Instant) {
        if self.slots.is_empty() {
            // Who has waited for too long is turned away there.
            self.waiting.append(&mut self.parked);
            self.give_up_waiting(now);
        }
    }

    fn decline(&mut self, eui64: Eui64, destination: Address, media: Media) {
        if self.is_in_modem() {
            return self.turn_away(eui64);
        }
        let failure = lbp::Data::Eap(eap::Message { identifier: self.next_identifier(), body: eap::Body::Failure });
        let message = lbp::Message { code: lbp::Code::Decline, media, eui64, data: failure };
        self.emit(eui64, destination, message.to_vec());
    }

    /// Does not listen to a node for a while. False where there are too many of them to be told apart.
    fn refuse(&mut self, eui64: Eui64, now: Instant) -> bool {
        let has_room = self.refused.len() < MAX_REFUSED;
        if has_room {
            self.refused.insert(eui64, now + REFUSED_TIME);
        }
        has_room
    }

    fn next_identifier(&mut self) -> u8 {
        let identifier = self.identifier;
        self.identifier = identifier.wrapping_add(1);
        identifier
    }
}

/// The source of who is heard itself.
pub(super) const NOBODY: u16 = 0xffff;
/// A second copy of a request comes within this time; later it is a new request.
pub(crate) const DUPLICATE_TIME: Duration = Duration::from_secs(5);
/// A device gives up after adpMaxJoinWaitTime, 90 s.
pub(crate) const WAITING_TIME: Duration = Duration::from_secs(60);
/// Who was refused is not listened to for so long.
const REFUSED_TIME: Duration = Duration::from_secs(30);
/// A disk that is slower fails the join.
const DURABLE_TIME: Duration = Duration::from_secs(30);
/// The confirm of a last word takes no longer, or it was lost.
const CONFIRM_TIME: Duration = Duration::from_secs(20);
const MAX_WAITING: usize = 64;
pub(super) const MAX_REFUSED: usize = 1024;
