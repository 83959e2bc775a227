//! An iM871A or iM170A as its host sees it: the mirror image of `receiver::im871a`.
//!
//! It answers the HCI requests that a host needs, and wraps what it hears on the air. It comes up in mode S2 as
//! the module does, and hears what its link mode hears.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::line::{Line, Outcome};
use super::random::Random;
use super::{Emulator, Faults, Nature};
use crate::receiver::im871a::config::{Config, DeviceInfo, LinkMode, MODULE_IM170A, MODULE_IM871A};
use crate::receiver::im871a::hci::{self, Endpoint, Message};
use crate::receiver::{FRAME_MAX, FRAME_MIN, Mode, Reject};

/// An iM871A.
pub(super) fn open(nature: Nature, now: Instant) -> Box<dyn Emulator> {
    let Nature { uid, firmware, faults, seed } = nature;
    Box::new(Im871a::new(uid, firmware, faults, Random::new(seed), now))
}

/// An iM170A, for 169 MHz.
pub(super) fn open_169(nature: Nature, now: Instant) -> Box<dyn Emulator> {
    let Nature { uid, firmware, faults, seed } = nature;
    let mut module = Im871a::new(uid, firmware, faults, Random::new(seed), now);
    module.info.module_type = MODULE_IM170A;
    Box::new(module)
}

/// The module.
#[derive(Debug)]
pub struct Im871a {
    info: DeviceInfo,
    /// What holds until the next reset.
    config: Config,
    /// What is in flash.
    stored: Config,
    /// When it got its supply: the module's clock counts from here.
    powered: Instant,
    line: Line,
    buffer: Vec<u8>,
    stall: Option<Instant>,
    events: VecDeque<Event>,
    air: VecDeque<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The host set this link mode; None when the number means nothing to this module.
    Listening(Option<Mode>),
    /// The host reset the module.
    Reset,
}

impl Im871a {
    /// An iM871A that just got its supply.
    pub fn new(uid: u32, firmware: u8, faults: Faults, random: Random, now: Instant) -> Self {
        let factory = factory();
        Self {
            info: DeviceInfo { module_type: MODULE_IM871A, device_mode: 0, firmware, hci: 1, uid },
            config: factory,
            stored: factory,
            powered: now,
            line: Line::new(faults, random, START),
            buffer: Vec::new(),
            stall: None,
            events: VecDeque::new(),
            air: VecDeque::new(),
        }
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn answer(&mut self, request: &Message<'_>) {
        let mut payload = Vec::new();
        match request.message {
            hci::PING_REQ => {}
            hci::GET_DEVICEINFO_REQ => self.info.emit(&mut payload),
            hci::GET_CONFIG_REQ => self.config.emit(&mut payload),
            hci::SET_CONFIG_REQ => {
                let Some((store, mut change)) = request.payload.split_first() else { return };
                let Ok(change) = Config::parse(&mut change) else { return };
                self.config.apply(&change);
                if *store == 1 {
                    self.stored.apply(&change);
                }
                self.events.push_back(Event::Listening(self.mode()));
            }
            hci::RESET_REQ | hci::FACTORY_RESET_REQ => {
                if request.message == hci::FACTORY_RESET_REQ {
                    self.stored = factory();
                }
                self.config = self.stored;
                self.events.push_back(Event::Reset);
            }
            _ => return,
        }
        for frame in self.line.stale() {
            let payload = frame.get(1..).unwrap_or_default();
            let stale = Message::request(Endpoint::RadioLink, hci::WMBUSMSG_IND, payload);
            self.send(&Message { protected: true, ..stale });
        }
        let answer = Message::request(Endpoint::DeviceManagement, request.message + 1, &payload);
        self.send(&Message { protected: true, ..answer });
    }

    /// Puts on the air what the host gives it; its C-field first, as the module sends nothing of its own then.
    fn transmit(&mut self, payload: &[u8]) {
        let Ok(l_field) = u8::try_from(payload.len()) else { return };
        self.air.push_back([&[l_field], payload].concat());
        let answer = Message::request(Endpoint::RadioLink, hci::WMBUSMSG_RSP, &[]);
        self.send(&Message { protected: true, ..answer });
    }

    fn send(&mut self, message: &Message<'_>) -> Outcome {
        let mut octets = Vec::new();
        message.emit(&mut octets);
        self.line.send(&octets)
    }
}

impl Emulator for Im871a {
    fn mode(&self) -> Option<Mode> {
        let number = self.config.link_mode?;
        LinkMode::numbered(number, self.info.module_type).map(|row| row.mode)
    }

    fn hear(&mut self, frame: &[u8], sent: Mode, rssi_dbm: i16, now: Instant) -> Outcome {
        let is_heard = self.mode().is_some_and(|mode| mode.hears(sent));
        if !is_heard || self.line.faults.mute || !(FRAME_MIN..=FRAME_MAX).contains(&frame.len()) {
            return Outcome::Deaf;
        }
        let clock = u32::try_from(now.duration_since(self.powered).as_millis() & 0xffff_ffff).unwrap_or(0);
        self.send(&Message {
            endpoint: Endpoint::RadioLink,
            message: hci::WMBUSMSG_IND,
            payload: frame.get(1..).unwrap_or_default(),
            timestamp: (self.config.auto_timestamp == Some(1)).then_some(clock),
            rssi: (self.config.auto_rssi == Some(1)).then(|| hci::rssi_raw(rssi_dbm)),
            protected: true,
        })
    }

    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        for portion in bytes.chunks(PORTION) {
            self.buffer.extend(portion);
            let buffer = std::mem::take(&mut self.buffer);
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                let mut cursor = rest;
                match Message::parse(&mut cursor) {
                    Ok(message) => {
                        rest = cursor;
                        match (message.endpoint, message.message) {
                            (Endpoint::DeviceManagement, _) => self.answer(&message),
                            (Endpoint::RadioLink, hci::WMBUSMSG_REQ) => self.transmit(message.payload),
                            _ => {}
                        }
                    }
                    Err(Reject::Incomplete) => break,
                    Err(_) => rest = rest.get(1..).unwrap_or_default(),
                }
            }
            self.buffer = rest.to_vec();
        }
        self.stall = (!self.buffer.is_empty()).then(|| now + STALL_TIME);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.stall.is_some_and(|stall| stall <= now) {
            self.stall = None;
            self.buffer.clear();
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stall
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.line.poll_transmit()
    }

    fn poll_air(&mut self) -> Option<Vec<u8>> {
        self.air.pop_front()
    }
}

/// The settings with which the module leaves the factory: mode S2, no signal strength.
const fn factory() -> Config {
    Config {
        device_mode: Some(0),
        link_mode: Some(2),
        c_field: Some(0),
        manufacturer: Some(0x25b3),
        identification: Some(0x0010_0000),
        version: Some(1),
        device_type: Some(0),
        channel: Some(1),
        power: Some(7),
        data_rate: Some(2),
        rx_window: Some(0x32),
        auto_power_save: Some(0),
        auto_rssi: Some(0),
        auto_timestamp: Some(0),
        led: Some(0),
        rtc: Some(0),
    }
}

/// With what its messages begin.
const START: u8 = 0xa5;
const STALL_TIME: Duration = Duration::from_millis(500);
const PORTION: usize = 512;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::sim::Faults;

    #[track_caller]
    fn check(module: &mut Im871a, request: &[u8], answer: &[u8]) {
        module.handle_bytes(request, module.powered);
        let octets: Vec<u8> = std::iter::from_fn(|| module.poll_transmit()).flatten().collect();
        assert_eq!(hex::encode(octets), hex::encode(answer));
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do; time does not pass in these tests")]
    fn module() -> Im871a {
        Im871a::new(0x1234_5678, 0x14, Faults::default(), Random::new(1), Instant::now())
    }

    #[test]
    fn requests_are_answered_as_the_module_does() {
        let mut module = module();
        check(&mut module, &hex!("a5 01 01 00"), &hex!("a5 81 02 00 4c a3"));
        check(&mut module, &hex!("ff a5 01 03 06 00 02 03 30 01 00"), &hex!("a5 81 04 00 9c f7"));
        assert_eq!(module.poll_event(), Some(Event::Listening(Some(Mode::T1))));
        assert_eq!(module.config.auto_rssi, Some(1));
        check(&mut module, &hex!("a5 01 07 00"), &hex!("a5 81 08 00 3c 5e"));
        assert_eq!(module.poll_event(), Some(Event::Reset));
        assert_eq!(module.mode(), Some(Mode::S2));
    }

    #[test]
    fn a_captured_telegram_is_wrapped_as_the_module_does() {
        let mut module = module();
        let frame = hex!("09 47 2d 2c 57 27 79 71 34 0c");
        assert_eq!(module.hear(&frame, Mode::T1, -84, module.powered), Outcome::Deaf);
        check(&mut module, &hex!("a5 01 03 06 00 02 03 30 01 00"), &hex!("a5 81 04 00 9c f7"));
        assert_eq!(module.hear(&frame, Mode::T1, -84, module.powered), Outcome::Intact);
        check(&mut module, &[], &hex!("a5 c2 03 09 47 2d 2c 57 27 79 71 34 0c 4c 68 07"));
    }

    #[test]
    fn settings_in_flash_outlive_a_reset() {
        let mut module = module();
        module.handle_bytes(&hex!("a5 01 03 06 01 02 03 30 01 00 a5 01 07 00"), module.powered);
        assert_eq!(module.mode(), Some(Mode::T1));
        module.handle_bytes(&hex!("a5 01 09 00"), module.powered);
        assert_eq!(module.mode(), Some(Mode::S2));
    }
}
