//! What the server in the modem is told in so many steps: keys, and commands that follow them.

use std::time::Instant;

use super::Coordinator;
use crate::g3::adp::{Request, Value, lbp_attribute};
use crate::g3::bootstrap::{Phase, Ring};
use crate::g3::modem::{Answer, Generation};
use crate::g3::pib::{Layer, Typed, adp, mac};

/// What follows an answer of the modem.
#[derive(Debug)]
pub(super) enum After {
    /// A command to the server in the modem, when it has taken the pre-shared key.
    Command(Request),
    /// The switch to the new key, which the server in the modem was told.
    ActivateNewKey,
    /// The active key index, which is to be the ring's.
    Index,
}

impl Coordinator {
    /// Finds out under which index a modem with a server of its own sends: whether it takes it from the keys that it is
    /// given is its maker's choice.
    pub(super) fn look_at_index(&mut self, now: Instant) {
        if self.modem.generation() == Some(Generation::ModemLbs) {
            if let Ok(ticket) = self.modem.get(Layer::Adp, adp::ACTIVE_KEY_INDEX, 0, now) {
                self.after.insert(ticket, After::Index);
            }
        }
    }

    /// The modem has answered; None where it refused.
    pub(super) fn go_on(&mut self, after: After, answer: Option<&Answer>, now: Instant) {
        match (after, answer) {
            (After::Command(request), Some(_)) => {
                self.phase_of(&request);
                self.modem.command(&request);
            }
            (After::Command(_), None) => {}
            (After::ActivateNewKey, _) => {
                self.modem.command(&Request::RekeyPhase { is_begun: false });
                self.modem.command(&Request::ActivateNewKey {});
                // It is not confirmed.
                self.look_at_index(now);
            }
            (After::Index, Some(Answer::Value(index))) => {
                let active = self.server.ring().keyring.active;
                if index.number().is_some_and(|index| index != u32::from(active)) {
                    let value = Typed::U8(active).to_value();
                    // One that keeps it to itself knows what it does.
                    let _ = self.modem.set(Layer::Adp, adp::ACTIVE_KEY_INDEX, 0, value, now);
                }
            }
            (After::Index, _) => {}
        }
    }

    /// A command to the server in the modem, behind the key that the node must prove.
    pub(super) fn command(&mut self, psk: Option<crate::Key>, request: Request, now: Instant) {
        // Nobody proves anything: who is declined is declined in either phase.
        let Some(psk) = psk else { return self.modem.command(&request) };
        self.phase_of(&request);
        let value = Typed::Key(psk).to_value();
        if let Ok(ticket) = self.modem.set_lbp(lbp_attribute::PSK, 0, value, now) {
            self.after.insert(ticket, After::Command(request));
        }
    }

    /// In its rekey phase the modem hands a new key to whoever proves its own, and no address; out of it an address and the
    /// key in use. The modem does not confirm it, so it is said before the key and again before the command: one that is
    /// lost on the line would mix the two up.
    fn phase_of(&mut self, request: &Request) {
        let is_begun = matches!(request, Request::Rekey { distribute: true, .. });
        self.modem.command(&Request::RekeyPhase { is_begun });
    }

    pub(super) fn set_keys(&mut self, ring: &Ring, now: Instant) {
        if self.modem.generation() != Some(Generation::ModemLbs) {
            self.modem.set_keys(ring.keyring, now);
        }
        if ring.phase == Phase::Settled {
            // Whether the modem forgets the old key or not: nothing is sent with it.
            let _ = self.modem.set(Layer::Mac, mac::KEY_TABLE, ring.keyring.other().into(), Value::default(), now);
        }
        if self.modem.generation() != Some(Generation::ModemLbs) {
            return;
        }
        self.modem.remember_keys(ring.keyring);
        match ring.phase {
            Phase::Distribute | Phase::Activate => {
                let Some(gmk) = ring.keyring.key(ring.newest()) else { return };
                let value = Typed::Key(gmk).to_value();
                // It follows in order: nothing is rekeyed before it is there.
                let _ = self.modem.set_lbp(lbp_attribute::REKEY_GMK, 0, value, now);
            }
            Phase::Grace => {
                let Some(gmk) = ring.keyring.active_key() else { return };
                // A modem that was started since the distribution was not told yet what it is to activate.
                if let Ok(ticket) = self.modem.set_lbp(lbp_attribute::REKEY_GMK, 0, Typed::Key(gmk).to_value(), now) {
                    self.after.insert(ticket, After::ActivateNewKey);
                }
            }
            Phase::Settled => {}
        }
    }
}
