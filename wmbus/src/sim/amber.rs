//! An AMB8465-M or AMB3665-M as its host sees it: the mirror image of `receiver::amber`.
//!
//! With command output, or as it leaves the factory, transparent; with signal strength in both. It comes up in mode S2.

use std::collections::VecDeque;
use std::time::Instant;

use super::line::{Line, Outcome};
use super::random::Random;
use super::{Emulator, Nature};
use crate::receiver::amber::{
    ANSWER, DATA_IND, DATA_PRELOAD, DATA_REQ, GET, Message, NO_MEMORY, PARAMETERS_169, PARAMETERS_868, Preselection,
    RESET, RSSI_ENABLE, SERIALNO, SET_MODE, TAKEN, TRANSMITTED, UART_COMMAND_OUT, rssi_raw,
};
use crate::receiver::{FRAME_MAX, FRAME_MIN, Mode, Reject};

pub(super) fn open(nature: Nature, _: Instant) -> Box<dyn Emulator> {
    Box::new(Amber::new(nature, PARAMETERS_868, false))
}

pub(super) fn open_transparent(nature: Nature, _: Instant) -> Box<dyn Emulator> {
    Box::new(Amber::new(nature, PARAMETERS_868, true))
}

pub(super) fn open_169(nature: Nature, _: Instant) -> Box<dyn Emulator> {
    Box::new(Amber::new(nature, PARAMETERS_169, false))
}

#[derive(Debug)]
struct Amber {
    uid: u32,
    parameters: u8,
    is_transparent: bool,
    number: u8,
    line: Line,
    buffer: Vec<u8>,
    /// Sent when its addressee is heard.
    preloaded: Option<Vec<u8>>,
    air: VecDeque<Vec<u8>>,
}

impl Amber {
    fn new(nature: Nature, parameters: u8, is_transparent: bool) -> Self {
        let line = Line::new(nature.faults, Random::new(nature.seed), 0xff);
        let (preloaded, air) = (None, VecDeque::new());
        Self { uid: nature.uid, parameters, is_transparent, number: FACTORY, line, buffer: Vec::new(), preloaded, air }
    }

    fn telegram(&mut self, frame: &[u8], rssi_dbm: i16) -> Outcome {
        let mut payload = frame.get(1..).unwrap_or_default().to_vec();
        payload.push(rssi_raw(rssi_dbm));
        let Ok(length) = u8::try_from(payload.len()) else { return Outcome::Deaf };
        let mut octets = Vec::new();
        if self.is_transparent {
            octets.push(length);
            octets.extend(payload);
        } else {
            Message { command: DATA_IND, payload: &payload }.emit(&mut octets);
        }
        self.line.send(&octets)
    }

    fn answer(&mut self, request: &Message<'_>) {
        let payload = match request.command {
            SERIALNO => self.uid.to_be_bytes().to_vec(),
            GET => {
                let mut parameters = vec![0; usize::from(self.parameters)];
                for (place, value) in [(UART_COMMAND_OUT, u8::from(!self.is_transparent)), (RSSI_ENABLE, 1)] {
                    if let Some(parameter) = parameters.get_mut(place) {
                        *parameter = value;
                    }
                }
                [&[0, self.parameters], parameters.as_slice()].concat()
            }
            SET_MODE => {
                self.number = request.payload.first().copied().unwrap_or(FACTORY);
                vec![0]
            }
            RESET => {
                self.number = FACTORY;
                self.preloaded = None;
                vec![0]
            }
            DATA_REQ => {
                self.air.extend(framed(request.payload));
                vec![0]
            }
            DATA_PRELOAD if self.preloaded.is_some() => vec![NO_MEMORY],
            DATA_PRELOAD => {
                self.preloaded = framed(request.payload);
                vec![TAKEN]
            }
            _ => return,
        };
        for frame in self.line.stale() {
            self.telegram(&frame, STALE_DBM);
        }
        let mut octets = Vec::new();
        Message { command: request.command | ANSWER, payload: &payload }.emit(&mut octets);
        self.line.send(&octets);
    }
}

impl Emulator for Amber {
    fn mode(&self) -> Option<Mode> {
        Preselection::numbered(self.number, self.parameters).map(|row| row.mode)
    }

    fn hear(&mut self, frame: &[u8], sent: Mode, rssi_dbm: i16, _: Instant) -> Outcome {
        // With its signal strength the longest frame is one octet too long for the module.
        let is_heard = self.mode().is_some_and(|mode| mode.hears(sent));
        if !is_heard || self.line.faults.mute || !(FRAME_MIN..FRAME_MAX).contains(&frame.len()) {
            return Outcome::Deaf;
        }
        let outcome = self.telegram(frame, rssi_dbm);
        let is_for = |preloaded: &mut Vec<u8>| preloaded.get(ADDRESS) == frame.get(ADDRESS);
        if let Some(preloaded) = self.preloaded.take_if(is_for) {
            self.air.push_back(preloaded);
            let mut octets = Vec::new();
            Message { command: DATA_PRELOAD | ANSWER, payload: &[TRANSMITTED] }.emit(&mut octets);
            self.line.send(&octets);
        }
        outcome
    }

    fn handle_bytes(&mut self, bytes: &[u8], _: Instant) {
        for portion in bytes.chunks(PORTION) {
            self.buffer.extend(portion);
            let buffer = std::mem::take(&mut self.buffer);
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                let mut cursor = rest;
                match Message::parse(&mut cursor) {
                    Ok(message) => {
                        rest = cursor;
                        self.answer(&message);
                    }
                    Err(Reject::Incomplete) => break,
                    Err(_) => rest = rest.get(1..).unwrap_or_default(),
                }
            }
            self.buffer = rest.to_vec();
        }
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.line.poll_transmit()
    }

    fn poll_air(&mut self) -> Option<Vec<u8>> {
        self.air.pop_front()
    }
}

/// With its L-field.
fn framed(payload: &[u8]) -> Option<Vec<u8>> {
    Some([&[u8::try_from(payload.len()).ok()?], payload].concat())
}

/// M-field and A-field, behind L and C.
const ADDRESS: std::ops::Range<usize> = 2..10;
/// Mode S2, of the meter's side.
const FACTORY: u8 = 0x00;
pub(super) const STALE_DBM: i16 = -74;
const PORTION: usize = 512;
