//! IMST iM871A (868 MHz) and iM170A (169 MHz), USB sticks at 57,600 baud with the HCI framing.
//!
//! The machine asks who the module is, sets its link mode and signal strength reports in RAM (the module's flash
//! is left alone), reads them back, and listens. Every now and then it reads them back again: a module that hung
//! or lost its supply is found even when the air is quiet.

pub mod config;
pub mod hci;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use config::{Config, DeviceInfo, LinkMode};
use hci::{Endpoint, Message};

use crate::Form;

use super::{Counters, Event, FRAME_MIN, Failure, Identity, Mode, Receiver, Reject, When};

/// A module from the moment its port was opened.
#[derive(Debug)]
pub struct Im871a {
    mode: Mode,
    stage: Stage,
    /// The request of this stage went out so often.
    tries: u32,
    /// Settings were refused so often.
    refusals: u32,
    /// When the awaited answer is late, or the next check is due.
    due: Option<Instant>,
    /// When an unfinished message will not be finished any more.
    stall: Option<Instant>,
    info: Option<DeviceInfo>,
    /// Octets of an unfinished message, fewer than the longest one has.
    buffer: Vec<u8>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    counters: Counters,
}

/// What the machine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Identify,
    Inspect,
    Configure,
    Verify,
    /// Nothing but telegrams, until the next check.
    Listen,
    Check,
    /// Failed: there is nothing to wait for.
    Ended,
}

impl Im871a {
    /// The first request is ready to be sent.
    pub fn new(mode: Mode, now: Instant) -> Self {
        let mut machine = Self {
            mode,
            stage: Stage::Identify,
            tries: 0,
            refusals: 0,
            due: None,
            stall: None,
            info: None,
            buffer: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        };
        machine.enter(Stage::Identify, now);
        machine
    }

    fn enter(&mut self, stage: Stage, now: Instant) {
        self.stage = stage;
        self.tries = 0;
        match stage {
            Stage::Ended => {
                self.due = None;
                self.stall = None;
                self.buffer = Vec::new();
            }
            Stage::Listen => self.due = Some(now + CHECK_INTERVAL),
            Stage::Identify | Stage::Inspect | Stage::Configure | Stage::Verify | Stage::Check => self.ask(now),
        }
    }

    /// Sends the request of this stage, for the first time or again.
    fn ask(&mut self, now: Instant) {
        let Some((request, name)) = self.stage.request() else { return };
        if self.tries == TRIES {
            return self.fail(Failure::Mute(name), now);
        }
        self.tries += 1;
        self.due = Some(now + ANSWER_TIME);
        let mut payload = Vec::new();
        if self.stage == Stage::Configure {
            payload.push(STORE_IN_RAM);
            self.wanted().emit(&mut payload);
        }
        let mut octets = Vec::new();
        Message::request(Endpoint::DeviceManagement, request, &payload).emit(&mut octets);
        self.transmits.push_back(octets);
    }

    fn fail(&mut self, failure: Failure, now: Instant) {
        self.events.push_back(Event::Failed(failure));
        self.enter(Stage::Ended, now);
    }

    /// The settings under which this module listens to the mode.
    fn wanted(&self) -> Config {
        let link_mode = self.info.and_then(|info| LinkMode::of(self.mode, info.module_type)).map(|row| row.number);
        Config { link_mode, auto_rssi: Some(1), auto_timestamp: Some(0), ..Config::default() }
    }

    fn is_as_wanted(&self, config: &Config) -> bool {
        let wanted = self.wanted();
        wanted.link_mode == config.link_mode && wanted.auto_rssi == config.auto_rssi
    }

    /// Takes every whole message out of the buffer. A bad one costs one octet, never what is behind it.
    fn drain(&mut self, now: Instant) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        while self.stage != Stage::Ended && !rest.is_empty() {
            let mut cursor = rest;
            match Message::parse_protected(&mut cursor) {
                Ok(message) => {
                    rest = cursor;
                    self.take(&message, now);
                }
                Err(Reject::Incomplete) => {
                    self.buffer = rest.to_vec();
                    return;
                }
                Err(reason) => {
                    if reason != Reject::Noise {
                        self.counters.reject(reason);
                    }
                    self.skip(&mut rest);
                }
            }
        }
    }

    fn skip(&mut self, rest: &mut &[u8]) {
        self.counters.reject(Reject::Noise);
        *rest = rest.get(1..).unwrap_or_default();
    }

    fn take(&mut self, message: &Message<'_>, now: Instant) {
        match (message.endpoint, message.message) {
            (Endpoint::RadioLink, hci::WMBUSMSG_IND) => self.take_telegram(message),
            (Endpoint::RadioLink, hci::WMBUSMSG_RSP) => self.events.push_back(Event::Sent(true)),
            (Endpoint::DeviceManagement, answer)
                if self.stage.request().is_some_and(|(request, _)| answer == request + 1) =>
            {
                if let Err(reason) = self.take_answer(message.payload, now) {
                    self.counters.reject(reason);
                }
            }
            _ => {}
        }
    }

    /// The length octet of the message is the L field of the frame.
    fn take_telegram(&mut self, message: &Message<'_>) {
        let Ok(l_field) = u8::try_from(message.payload.len()) else { return };
        if message.payload.len() + 1 < FRAME_MIN {
            return self.counters.reject(Reject::TooShort);
        }
        let mut frame = Vec::with_capacity(message.payload.len() + 1);
        frame.push(l_field);
        frame.extend(message.payload);
        self.counters.telegrams += 1;
        self.events.push_back(Event::Telegram {
            frame,
            form: Some(Form::Stripped),
            rssi_dbm: message.rssi.map(hci::rssi_dbm),
        });
    }

    fn take_answer(&mut self, payload: &[u8], now: Instant) -> Result<(), Reject> {
        let mut payload = payload;
        match self.stage {
            Stage::Identify => {
                let info = DeviceInfo::parse(&mut payload)?;
                self.info = Some(info);
                match self.unfit(&info) {
                    Some(failure) => self.fail(failure, now),
                    None => self.enter(Stage::Inspect, now),
                }
            }
            Stage::Configure => self.enter(Stage::Verify, now),
            Stage::Inspect | Stage::Verify => {
                let config = Config::parse(&mut payload)?;
                if self.is_as_wanted(&config) {
                    self.events.push_back(Event::Ready(self.identity()));
                    self.enter(Stage::Listen, now);
                } else if self.refusals == REFUSALS {
                    self.fail(Failure::NotTaken, now);
                } else {
                    // In Verify it may still be the late answer to an earlier question.
                    self.refusals += u32::from(self.stage == Stage::Verify);
                    self.enter(Stage::Configure, now);
                }
            }
            Stage::Check => {
                let config = Config::parse(&mut payload)?;
                if self.is_as_wanted(&config) {
                    self.enter(Stage::Listen, now);
                } else {
                    self.fail(Failure::Reset, now);
                }
            }
            Stage::Listen | Stage::Ended => {}
        }
        Ok(())
    }

    fn unfit(&self, info: &DeviceInfo) -> Option<Failure> {
        let mode = self.mode;
        match LinkMode::of(mode, info.module_type) {
            None => Some(Failure::ModeUnsupported { module: info.module_type, mode }),
            Some(row) if info.firmware < row.firmware => {
                Some(Failure::FirmwareTooOld { firmware: info.firmware, needed: row.firmware, mode })
            }
            Some(_) => None,
        }
    }

    fn identity(&self) -> Identity {
        Identity {
            uid: self.info.map(|info| info.uid),
            firmware: self.info.map(|info| info.firmware),
            mode: Some(self.mode),
            kind: None,
        }
    }
}

impl Receiver for Im871a {
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.counters.octets += bytes.len() as u64;
        for portion in bytes.chunks(PORTION) {
            if self.stage == Stage::Ended {
                return;
            }
            self.buffer.extend(portion);
            self.drain(now);
        }
        self.stall = (!self.buffer.is_empty()).then(|| now + STALL_TIME);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.stall.is_some_and(|stall| stall <= now) {
            self.counters.reject(Reject::Incomplete);
            let buffer = std::mem::take(&mut self.buffer);
            let mut rest = buffer.as_slice();
            self.skip(&mut rest);
            self.buffer = rest.to_vec();
            self.drain(now);
            self.stall = (!self.buffer.is_empty()).then(|| now + STALL_TIME);
        }
        if self.due.is_some_and(|due| due <= now) {
            match self.stage {
                Stage::Listen => self.enter(Stage::Check, now),
                _ => self.ask(now),
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.stall).min()
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn check(&mut self, now: Instant) {
        if self.stage == Stage::Listen {
            self.enter(Stage::Check, now);
        }
    }

    fn reset(&mut self, now: Instant) {
        if self.stage == Stage::Ended {
            return;
        }
        let mut octets = Vec::new();
        Message::request(Endpoint::DeviceManagement, hci::RESET_REQ, &[]).emit(&mut octets);
        self.transmits.push_back(octets);
        self.stage = Stage::Identify;
        self.tries = 0;
        self.due = Some(now + RESET_TIME);
    }

    fn send(&mut self, frame: &[u8], when: When, _now: Instant) -> bool {
        let (Stage::Listen | Stage::Check, When::AtOnce, [_, payload @ ..]) = (self.stage, when, frame) else {
            return false;
        };
        let mut octets = Vec::new();
        Message::request(Endpoint::RadioLink, hci::WMBUSMSG_REQ, payload).emit(&mut octets);
        self.transmits.push_back(octets);
        true
    }
}

impl Stage {
    /// The request whose answer this stage waits for.
    const fn request(self) -> Option<(u8, &'static str)> {
        match self {
            Self::Identify => Some((hci::GET_DEVICEINFO_REQ, "GET_DEVICEINFO")),
            Self::Inspect | Self::Verify | Self::Check => Some((hci::GET_CONFIG_REQ, "GET_CONFIG")),
            Self::Configure => Some((hci::SET_CONFIG_REQ, "SET_CONFIG")),
            Self::Listen | Self::Ended => None,
        }
    }
}

/// Modes of the module for 868 MHz.
pub const MODES: &[Mode] =
    &[Mode::C1, Mode::C1T1, Mode::C2, Mode::R2, Mode::S1, Mode::S1m, Mode::S2, Mode::T1, Mode::T2];

/// First octet of SET_CONFIG: 0 keeps the settings in RAM, 1 writes them to flash.
const STORE_IN_RAM: u8 = 0;

/// The module answers within 100 ms; USB and a busy host may take some more.
const ANSWER_TIME: Duration = Duration::from_millis(500);
/// How often a request is sent before the module counts as mute.
const TRIES: u32 = 5;
/// How often settings that read back wrong are set again.
const REFUSALS: u32 = 2;
/// The longest message takes 47 ms at 57,600 baud.
const STALL_TIME: Duration = Duration::from_millis(500);
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// What the module needs after a reset before it answers.
const RESET_TIME: Duration = Duration::from_secs(1);
/// Octets are taken in such portions, which bounds the buffer.
const PORTION: usize = 512;
