//! The bootstrap server in an emulated modem of the newer generation.

use std::collections::BTreeMap;
use std::time::Instant;

use super::modem::Modem;
use crate::g3::adp::{Address, Message, lbp_attribute};
use crate::g3::lbp::{self, Parameter, eap, psk};
use crate::g3::pib::{Layer, Typed, adp, mac};
use crate::{Eui64, Key};

#[derive(Debug, Default)]
pub(super) struct Lbs {
    psk: Option<Key>,
    /// The key that is being distributed.
    rekey_gmk: Option<Key>,
    identifier: u8,
    /// Whoever proves its key gets the new group key, and nothing else.
    pub(super) is_rekey_phase: bool,
    slots: BTreeMap<Eui64, Slot>,
}

#[derive(Debug)]
struct Slot {
    destination: Address,
    short_addr: u16,
    conversation: Option<psk::Server>,
}

impl Modem {
    pub(super) fn lbs_set(&mut self, attribute: u32, index: u16, key: Option<Key>) -> bool {
        match (attribute, key) {
            (lbp_attribute::PSK, Some(key)) => self.lbs.psk = Some(key),
            (lbp_attribute::REKEY_GMK, Some(key)) => self.lbs.rekey_gmk = Some(key),
            (lbp_attribute::GMK, Some(key)) if index < 2 => self.use_key(index as u8, key),
            (lbp_attribute::MESSAGE_TIMEOUT, None) => {}
            _ => return false,
        }
        true
    }

    pub(super) fn activate_new_key(&mut self) {
        let other = 1 - (self.pib.number(Layer::Adp, adp::ACTIVE_KEY_INDEX) as u8 & 1);
        if let Some(key) = self.lbs.rekey_gmk.take() {
            self.use_key(other, key);
            self.pib.put(Layer::Adp, adp::ACTIVE_KEY_INDEX, Typed::U8(other));
        }
    }

    fn use_key(&mut self, index: u8, key: Key) {
        let set = self.pib.set(Layer::Mac, mac::KEY_TABLE, index.into(), &Typed::Key(key).to_value());
        debug_assert!(set.is_ok(), "the table has two places");
        if !self.nature.leaves_index {
            self.pib.put(Layer::Adp, adp::ACTIVE_KEY_INDEX, Typed::U8(index));
        }
    }

    /// The host has decided about who asked.
    pub(super) fn assign(&mut self, eui64: Eui64, short_addr: u16, now: Instant) {
        let Some(psk) = self.lbs.psk else { return };
        let rand_s = self.random.block();
        let identifier = self.identifier();
        let Some(slot) = self.lbs.slots.get_mut(&eui64) else { return };
        let destination = slot.destination;
        if short_addr == 0xffff {
            self.lbs.slots.remove(&eui64);
            return self.lbs_says(
                lbp::Code::Decline,
                eui64,
                lbp::Data::Eap(eap::Message { identifier, body: eap::Body::Failure }),
                destination,
                now,
            );
        }
        let mut conversation = psk::Server::new(&psk, ID_S, rand_s);
        let first = conversation.first(identifier);
        slot.short_addr = short_addr;
        slot.conversation = Some(conversation);
        self.lbs_says(lbp::Code::Challenge, eui64, lbp::Data::Eap(first), destination, now);
    }

    pub(super) fn kick(&mut self, eui64: Eui64, now: Instant) {
        if let Some(destination) = self.member(eui64) {
            self.lbs_says(lbp::Code::KickToLbd, eui64, lbp::Data::Nothing, destination, now);
        }
    }

    pub(super) fn rekey(&mut self, eui64: Eui64, short_addr: u16, distribute: bool, now: Instant) {
        let (Some(destination), Some(psk)) = (self.member(eui64), self.lbs.psk) else { return };
        if distribute {
            let mut conversation = psk::Server::new(&psk, ID_S, self.random.block());
            let first = conversation.first(self.identifier());
            let slot = Slot { destination, short_addr, conversation: Some(conversation) };
            self.lbs.slots.insert(eui64, slot);
            return self.lbs_says(lbp::Code::Challenge, eui64, lbp::Data::Eap(first), destination, now);
        }
        let other = 1 - (self.pib.number(Layer::Adp, adp::ACTIVE_KEY_INDEX) as u8 & 1);
        // The place that is not in use, whether it holds the new key or, after the switch, the old one.
        let activation = lbp::Data::Parameters(vec![Parameter::GmkActivation(other)]);
        self.lbs_says(lbp::Code::Accepted, eui64, activation, destination, now);
        self.say(Message::JoinComplete { eui64, short_addr }, now);
    }

    pub(super) fn lbs_hears(&mut self, place: usize, message: &lbp::Message, now: Instant) {
        let eui64 = message.eui64;
        match (&message.code, &message.data) {
            (lbp::Code::Joining, lbp::Data::Nothing) => {
                let destination = Address::Extended(eui64);
                // Who asks again has begun anew.
                self.lbs.slots.insert(eui64, Slot { destination, short_addr: 0xffff, conversation: None });
                self.tell(&Message::JoinRequest { eui64 });
            }
            (lbp::Code::Joining, lbp::Data::Eap(eap)) => self.lbs_answers(eui64, eap, now),
            (lbp::Code::KickFromLbd, _) => {
                if let Some(short_addr) = self.devices.get(place).and_then(|device| device.short_addr) {
                    self.tell(&Message::Leave { short_addr });
                }
            }
            _ => {}
        }
    }

    fn lbs_answers(&mut self, eui64: Eui64, message: &eap::Message, now: Instant) {
        let active = self.key();
        let identifier = self.identifier();
        let (rekey_gmk, is_rekey_phase) = (self.lbs.rekey_gmk, self.lbs.is_rekey_phase);
        let Some(slot) = self.lbs.slots.get_mut(&eui64) else { return };
        let destination = slot.destination;
        let Some(conversation) = &mut slot.conversation else { return };
        match &message.body {
            // The makers' servers believe the name that message 2 says.
            eap::Body::Second { id_p, .. } => {
                if conversation.take_second(message, id_p).is_err() {
                    self.lbs.slots.remove(&eui64);
                    let failure = lbp::Data::Eap(eap::Message { identifier, body: eap::Body::Failure });
                    return self.lbs_says(lbp::Code::Decline, eui64, failure, destination, now);
                }
                let Some((index, key)) = active else { return };
                let parameters = match (is_rekey_phase, rekey_gmk) {
                    (true, Some(key)) => vec![Parameter::Gmk { index: 1 - index, key }],
                    _ => vec![
                        Parameter::ShortAddr(slot.short_addr),
                        Parameter::Gmk { index, key },
                        Parameter::GmkActivation(index),
                    ],
                };
                if let Some(third) = conversation.third(identifier, &parameters) {
                    self.lbs_says(lbp::Code::Challenge, eui64, lbp::Data::Eap(third), destination, now);
                }
            }
            eap::Body::Fourth { .. } if conversation.take_fourth(message).is_ok() => {
                let short_addr = slot.short_addr;
                self.lbs.slots.remove(&eui64);
                let success = lbp::Data::Eap(eap::Message { identifier, body: eap::Body::Success });
                self.lbs_says(lbp::Code::Accepted, eui64, success, destination, now);
                self.say(Message::JoinComplete { eui64, short_addr }, now);
            }
            _ => {}
        }
    }

    fn lbs_says(&mut self, code: lbp::Code, eui64: Eui64, data: lbp::Data, destination: Address, now: Instant) {
        let pdu = lbp::Message::new(code, eui64, data).to_vec();
        // Whether it arrives is not said to the host.
        self.carry_lbp(&pdu, destination, None, now);
    }

    fn member(&self, eui64: Eui64) -> Option<Address> {
        let place = *self.places.get(&eui64)?;
        self.devices.get(place)?.short_addr.map(Address::Short)
    }

    fn identifier(&mut self) -> u8 {
        self.lbs.identifier = self.lbs.identifier.wrapping_add(1);
        self.lbs.identifier
    }
}

const ID_S: &[u8] = b"modemlbs";
