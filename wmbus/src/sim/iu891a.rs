//! An iU891A-XL as its host sees it: the mirror image of `receiver::iu891a`. It comes up with its radio off.

use std::time::Instant;

use super::amber::STALE_DBM;
use super::line::{Line, Outcome};
use super::random::Random;
use super::{Emulator, Nature};
use crate::receiver::iu891a::{
    Config, DEVICE_MANAGEMENT, END, FILTER, GET_ACTIVE_CFG, GET_DEVICE_INFO, INDICATIONS, Message, NUMBERS, PING,
    RESTART, RX_FRAME, RX_MESSAGE_IND, SET_ACTIVE_CFG, WMBUS_GATEWAY,
};
use crate::receiver::{FRAME_MAX, FRAME_MIN, Mode, Reject};

pub(super) fn open(nature: Nature, now: Instant) -> Box<dyn Emulator> {
    let line = Line::new(nature.faults, Random::new(nature.seed), END);
    Box::new(Iu891a { uid: nature.uid, config: FACTORY, powered: now, line, buffer: Vec::new() })
}

#[derive(Debug)]
struct Iu891a {
    uid: u32,
    config: Config,
    powered: Instant,
    line: Line,
    buffer: Vec<u8>,
}

impl Iu891a {
    fn telegram(&mut self, frame: &[u8], rssi_dbm: i16, clock: u32) -> Outcome {
        let [rssi, _] = rssi_dbm.clamp(-128, 127).to_le_bytes();
        let mut payload = Vec::with_capacity(RX_FRAME + frame.len());
        payload.extend(clock.to_le_bytes());
        payload.extend([0, 0, 2, rssi]);
        payload.extend(frame);
        let mut octets = Vec::new();
        Message { sap: WMBUS_GATEWAY, message: RX_MESSAGE_IND, payload }.emit(&mut octets);
        self.line.send(&octets)
    }

    fn answer(&mut self, request: &Message) {
        let mut payload = vec![OK];
        match (request.sap, request.message) {
            (DEVICE_MANAGEMENT, PING) => {}
            (DEVICE_MANAGEMENT, RESTART) => self.config = FACTORY,
            (DEVICE_MANAGEMENT, GET_DEVICE_INFO) => {
                payload.push(MODULE_TYPE);
                payload.extend(self.uid.to_le_bytes());
            }
            (WMBUS_GATEWAY, GET_ACTIVE_CFG) => self.config.emit(&mut payload),
            (WMBUS_GATEWAY, SET_ACTIVE_CFG) => {
                if let Ok(config) = Config::parse(&mut request.payload.as_slice()) {
                    self.config = config;
                }
            }
            _ => return,
        }
        for frame in self.line.stale() {
            self.telegram(&frame, STALE_DBM, 0);
        }
        let mut octets = Vec::new();
        Message { sap: request.sap, message: request.message + 1, payload }.emit(&mut octets);
        self.line.send(&octets);
    }
}

impl Emulator for Iu891a {
    fn mode(&self) -> Option<Mode> {
        let is_told = self.config.options & (FILTER | INDICATIONS) == INDICATIONS;
        let row = NUMBERS.iter().find(|(_, number)| *number == self.config.link_mode);
        row.map(|(mode, _)| *mode).filter(|_| is_told)
    }

    fn hear(&mut self, frame: &[u8], sent: Mode, rssi_dbm: i16, now: Instant) -> Outcome {
        let is_heard = self.mode().is_some_and(|mode| mode.hears(sent));
        if !is_heard || self.line.faults.mute || !(FRAME_MIN..=FRAME_MAX).contains(&frame.len()) {
            return Outcome::Deaf;
        }
        let clock = now.duration_since(self.powered).as_millis() & 0xffff_ffff;
        self.telegram(frame, rssi_dbm, u32::try_from(clock).unwrap_or(0))
    }

    fn handle_bytes(&mut self, bytes: &[u8], _: Instant) {
        for portion in bytes.chunks(PORTION) {
            self.buffer.extend(portion);
            let buffer = std::mem::take(&mut self.buffer);
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                if let [END, END, behind @ ..] = rest {
                    rest = rest.get(rest.len() - behind.len() - 1..).unwrap_or_default();
                    continue;
                }
                let mut cursor = rest;
                match Message::parse(&mut cursor) {
                    Err(Reject::Incomplete) => break,
                    Ok(message) => self.answer(&message),
                    Err(_) => {}
                }
                rest = cursor;
            }
            self.buffer = rest.to_vec();
        }
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.line.poll_transmit()
    }
}

const OK: u8 = 0;
const MODULE_TYPE: u8 = 0xa3;
/// Radio off, only listed meters, nothing told.
const FACTORY: Config = Config { link_mode: 0, options: FILTER, ui_options: 0, led_ms: 0, recalibration_ms: 0 };
const PORTION: usize = 512;
