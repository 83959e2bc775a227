//! An emulated node: it asks for admission, proves its key, takes what it gets, and keeps it.

use std::time::Instant;

use super::{Modem, Random};
use crate::g3::lbp::{self, Parameter, eap, psk};
use crate::net::Echo;
use crate::{Eui64, Key};

/// A node behind an emulated modem.
#[derive(Debug)]
pub struct Device {
    pub eui64: Eui64,
    pub(super) psk: Key,
    pub(super) flaw: Option<Flaw>,
    /// It has power.
    pub(super) is_on: bool,
    pub(super) short_addr: Option<u16>,
    keys: [Option<Key>; 2],
    active: u8,
    /// What it was given in a conversation that is not over.
    offered: Option<Offer>,
    peer: Option<psk::Peer>,
    /// The highest frame counter that it heard, and the key it was under.
    heard: Option<(Key, u32)>,
    pub(super) joins: u32,
}

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It has another key than its name promises.
    WrongPsk,
    /// It asks in its own name and proves with this one.
    StolenIdentity(Eui64),
    /// The nonce of its last message is the server's.
    ReplayedNonce,
    /// It sends every message twice.
    Stutters,
    /// It loses its power when it has proved its key, so many times.
    ResetsInJoin(u32),
}

#[derive(Debug, Clone, Default)]
struct Offer {
    short_addr: Option<u16>,
    keys: Vec<(u8, Key)>,
    active: Option<u8>,
}

impl Device {
    pub fn new(eui64: Eui64, psk: Key) -> Self {
        Self {
            eui64,
            psk,
            flaw: None,
            is_on: true,
            short_addr: None,
            keys: [None; 2],
            active: 0,
            offered: None,
            peer: None,
            heard: None,
            joins: 0,
        }
    }

    pub fn with(self, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..self }
    }

    /// It is in the network, as far as it knows.
    pub fn short_addr(&self) -> Option<u16> {
        self.short_addr
    }

    /// How often it has joined.
    pub fn joins(&self) -> u32 {
        self.joins
    }

    /// The key that it sends with, and its place.
    pub(super) fn active_key(&self) -> (u8, Option<Key>) {
        (self.active, self.key(self.active))
    }

    pub(super) fn key(&self, index: u8) -> Option<Key> {
        self.keys.get(usize::from(index)).copied().flatten()
    }

    /// Takes the frame counter of a frame under this key: false where it is not above all before.
    pub(super) fn hear(&mut self, key: Key, counter: u32) -> bool {
        let is_new = self.heard.is_none_or(|(heard, last)| heard != key || counter > last);
        if is_new {
            self.heard = Some((key, counter));
        }
        is_new
    }

    /// Forgets its network.
    pub(super) fn leave(&mut self) {
        self.short_addr = None;
        self.keys = [None; 2];
        self.peer = None;
        self.offered = None;
    }

    pub(super) fn joining(&self) -> lbp::Message {
        lbp::Message::new(lbp::Code::Joining, self.eui64, lbp::Data::Nothing)
    }

    /// Takes a message of the server; its answers.
    pub(super) fn take(&mut self, message: &lbp::Message, random: &mut Random) -> Vec<lbp::Message> {
        match (message.code, &message.data) {
            (lbp::Code::Challenge, lbp::Data::Eap(eap)) => self.answer(eap, random),
            (lbp::Code::Accepted, lbp::Data::Eap(_)) => {
                self.accept();
                Vec::new()
            }
            (lbp::Code::Accepted, lbp::Data::Parameters(parameters)) => {
                for parameter in parameters {
                    match parameter {
                        Parameter::GmkActivation(index) if self.key(*index).is_some() => self.active = *index,
                        Parameter::GmkRemoval(index) => self.set(*index, None),
                        _ => {}
                    }
                }
                Vec::new()
            }
            (lbp::Code::KickToLbd, _) => {
                self.leave();
                Vec::new()
            }
            (lbp::Code::Decline, _) => {
                self.peer = None;
                self.offered = None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, message: &eap::Message, random: &mut Random) -> Vec<lbp::Message> {
        let answer = match &message.body {
            eap::Body::First { .. } => {
                let name = if let Some(Flaw::StolenIdentity(name)) = self.flaw { name } else { self.eui64 };
                let psk = if self.flaw == Some(Flaw::WrongPsk) { Key([0x66; 16]) } else { self.psk };
                let mut peer = psk::Peer::new(&psk, &name.0, random.block());
                let second = peer.second(message).ok();
                self.peer = Some(peer);
                second
            }
            eap::Body::Third { .. } => self.fourth(message),
            _ => None,
        };
        let times = if self.flaw == Some(Flaw::Stutters) { 2 } else { 1 };
        let message = answer.map(|eap| lbp::Message::new(lbp::Code::Joining, self.eui64, lbp::Data::Eap(eap)));
        message.into_iter().cycle().take(times).collect()
    }

    fn fourth(&mut self, message: &eap::Message) -> Option<eap::Message> {
        if let Some(Flaw::ResetsInJoin(times @ 1..)) = self.flaw {
            self.flaw = Some(Flaw::ResetsInJoin(times - 1));
            self.leave();
            return None;
        }
        let peer = self.peer.as_ref()?;
        let mut offer = Offer::default();
        for parameter in peer.take_third(message).ok()? {
            match parameter {
                Parameter::ShortAddr(short_addr) => offer.short_addr = Some(short_addr),
                Parameter::Gmk { index, key } => offer.keys.push((index, key)),
                Parameter::GmkActivation(index) => offer.active = Some(index),
                _ => {}
            }
        }
        self.offered = Some(offer);
        let mut fourth =
            peer.fourth(message.identifier, &[Parameter::Result { result: 0, parameter: vec![0x1d, 0] }])?;
        if let (Some(Flaw::ReplayedNonce), eap::Body::Fourth { channel, .. }) = (self.flaw, &mut fourth.body) {
            channel.nonce = 0;
        }
        Some(fourth)
    }

    fn accept(&mut self) {
        self.peer = None;
        let Some(offer) = self.offered.take() else { return };
        for (index, key) in offer.keys {
            self.set(index, Some(key));
        }
        self.active = offer.active.unwrap_or(self.active);
        if offer.short_addr.is_some() {
            self.short_addr = offer.short_addr;
            self.heard = None;
            self.joins += 1;
        }
    }

    fn set(&mut self, index: u8, key: Option<Key>) {
        if let Some(place) = self.keys.get_mut(usize::from(index)) {
            *place = key;
        }
    }
}

impl Modem {
    /// A node that is asked for an echo sends it, as each one does that speaks IPv6.
    pub(super) fn echoes(&mut self, place: usize, packet: &[u8], now: Instant) {
        if let Some(echo) = Echo::parse(packet).ok().filter(|echo| !echo.is_reply) {
            self.leave(place, |out| echo.reply().emit(out), now);
        }
    }
}
