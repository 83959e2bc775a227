//! INITIALIZE, and which generation of firmware the modem is of: what it says to a question of the newer one, and what it
//! shows later.

use std::time::Instant;

use super::{Answer, Cause, Generation, Job, Modem, Purpose, RESET_TIME, Refusal, Request, Stage};
use crate::g3::SerialStatus;
use crate::g3::adp::{Message, Value, lbp_attribute};

impl Modem {
    /// The form of INITIALIZE that is tried first: one that was not refused; else they take turns.
    pub(super) fn first_form(&self) -> Generation {
        let known = self.config.generation.or(self.found).or(self.refused_form.map(other));
        known.unwrap_or(if self.starts % 2 == 0 { Generation::HostLbs } else { Generation::ModemLbs })
    }

    /// The form of the INITIALIZE that is open.
    pub(super) fn form(&self) -> Option<Generation> {
        if let Stage::Initializing(form) = self.stage { Some(form) } else { None }
    }

    pub(super) fn initialize(&mut self, form: Generation, now: Instant) {
        self.late_form = None;
        self.stage = Stage::Initializing(form);
        self.taken = self.deframer.taken();
        let request = self.config.initialize(form);
        self.exchange.push_front(Job { purpose: Purpose::Handshake, request, rows: None });
        self.pump(now);
    }

    fn probe(&mut self, form: Generation) {
        self.stage = Stage::Probing(form);
        let value = Value::from(self.config.message_timeout.to_be_bytes().to_vec());
        let request = Request::LbpSet { attribute: lbp_attribute::MESSAGE_TIMEOUT, index: 0, value };
        self.exchange.push_front(Job { purpose: Purpose::Handshake, request, rows: None });
    }

    pub(super) fn handshake(&mut self, result: Result<Answer, Refusal>, now: Instant) {
        match self.stage {
            Stage::Initializing(form) => match (result, self.config.generation.or(self.found)) {
                (Ok(_), Some(generation)) => self.set_up(generation),
                (Ok(_), None) => self.probe(form),
                // Firmware of the other generation: that is how it says so.
                (Err(Refusal::Command(SerialStatus::INVALID_PARAMETER)), None) if self.refused_form.is_none() => {
                    self.refused_form = Some(form);
                    self.initialize(other(form), now);
                }
                (Err(refusal), _) => {
                    self.refused_form = self.refused_form.filter(|refused| *refused == form);
                    self.fail(Cause::Refused { request: "INITIALIZE", refusal }, now);
                }
            },
            Stage::Probing(form) => match result {
                // It took no INITIALIZE but that of the newer one.
                Err(Refusal::Unknown) if self.refused_form == Some(Generation::HostLbs) => {
                    self.set_up(Generation::ModemLbs);
                }
                // It does not know the command, or says nothing of it: what comes later corrects us if that is wrong.
                Err(Refusal::Command(SerialStatus::UNKNOWN_COMMAND | SerialStatus::NOT_ALLOWED) | Refusal::Unknown) => {
                    self.set_up(Generation::HostLbs);
                }
                // Who knows the command has the server, whether or not it takes this attribute. Initialised as a device,
                // it must be told that it is the coordinator.
                _ if form == Generation::HostLbs => {
                    self.found = Some(Generation::ModemLbs);
                    self.initialize(Generation::ModemLbs, now);
                }
                _ => self.set_up(Generation::ModemLbs),
            },
            _ => {}
        }
    }

    /// Ready, later than was waited for.
    pub(super) fn is_late_ready(&mut self, now: Instant) -> bool {
        let Some(form) = self.late_form.take().filter(|_| matches!(self.stage, Stage::Pausing(_))) else {
            return false;
        };
        // What was reserved for the start that was given up was not used.
        self.stage = Stage::Initializing(form);
        self.handshake(Ok(Answer::Done), now);
        true
    }

    /// Starts anew as the other generation, where the modem shows that it is not what it was taken for.
    pub(super) fn correct(&mut self, message: &Message, now: Instant) {
        let shown = match message {
            Message::JoinRequest { .. } | Message::JoinComplete { .. } | Message::LbpSetConfirm { .. } => {
                Generation::ModemLbs
            }
            Message::LbpIndication { .. } | Message::LbpConfirm { .. } => Generation::HostLbs,
            Message::Status { status: SerialStatus::UNKNOWN_COMMAND, command: LBP } => Generation::ModemLbs,
            Message::Status { status: SerialStatus::UNKNOWN_COMMAND, command: LBP_SET } => Generation::HostLbs,
            _ => return,
        };
        let is_set_up = matches!(self.stage, Stage::Starting | Stage::Running);
        if is_set_up && self.config.generation.is_none() && shown != self.generation {
            self.fail(Cause::OtherGeneration, now);
            self.found = Some(shown);
            self.stage = Stage::Pausing(now + RESET_TIME);
        }
    }
}

const fn other(form: Generation) -> Generation {
    match form {
        Generation::HostLbs => Generation::ModemLbs,
        Generation::ModemLbs => Generation::HostLbs,
    }
}

const LBP: u8 = 19;
const LBP_SET: u8 = 60;
