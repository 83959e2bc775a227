//! An RC1180-MBUS as its host sees it: the mirror image of `receiver::rc1180`. It comes up in mode S2 as a meter.

use std::time::Instant;

use super::amber::STALE_DBM;
use super::line::{Line, Outcome};
use super::random::Random;
use super::{Emulator, Nature};
use crate::receiver::rc1180::{
    CONCENTRATOR, END, EXIT, INSTALL_MODE, MBUS_MODE, MEMORY, NETWORK_ROLE, NUMBERS, OPEN, PROMPT, READ_MEMORY,
    RECEIVE_ALL, RSSI_MODE, UNIQUE_ID, WRITE_MEMORY, rssi_raw,
};
use crate::receiver::{FRAME_MAX, FRAME_MIN, Mode};

pub(super) fn open(nature: Nature, _: Instant) -> Box<dyn Emulator> {
    let mut memory = [0; MEMORY];
    for (place, value) in memory.iter_mut().skip(UNIQUE_ID).zip(nature.uid.to_le_bytes()) {
        *place = value;
    }
    let line = Line::new(nature.faults, Random::new(nature.seed), PROMPT);
    Box::new(Rc1180 { memory, state: State::Air, line })
}

#[derive(Debug)]
struct Rc1180 {
    memory: [u8; MEMORY],
    state: State,
    line: Line,
}

/// What the next octet from the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It listens.
    Air,
    /// The configuration is open: a command.
    Command,
    Place,
    Value(u8),
}

impl Rc1180 {
    fn at(&self, place: usize) -> u8 {
        self.memory.get(place).copied().unwrap_or(0)
    }

    fn telegram(&mut self, frame: &[u8], rssi_dbm: i16) -> Outcome {
        let mut octets = frame.to_vec();
        if self.at(RSSI_MODE) == 1 {
            octets.push(rssi_raw(rssi_dbm));
        }
        self.line.send(&octets)
    }

    fn octet(&mut self, octet: u8) -> State {
        match (self.state, octet) {
            (State::Air, OPEN) => {
                for frame in self.line.stale() {
                    let octets = [frame.as_slice(), &[rssi_raw(STALE_DBM)]].concat();
                    self.line.send(&octets);
                }
                self.prompt()
            }
            (State::Command, OPEN) => self.prompt(),
            (State::Command, READ_MEMORY) => {
                let memory = [self.memory.as_slice(), &[PROMPT]].concat();
                self.line.send(&memory);
                State::Command
            }
            (State::Command, WRITE_MEMORY) => State::Place,
            (State::Command, EXIT) => State::Air,
            (State::Place, END) => self.prompt(),
            (State::Place, place) => State::Value(place),
            (State::Value(place), value) => {
                if let Some(at) = self.memory.get_mut(usize::from(place)) {
                    *at = value;
                }
                State::Place
            }
            (state, _) => state,
        }
    }

    fn prompt(&mut self) -> State {
        self.line.send(&[PROMPT]);
        State::Command
    }
}

impl Emulator for Rc1180 {
    fn mode(&self) -> Option<Mode> {
        let hears_all = self.at(INSTALL_MODE) == RECEIVE_ALL && self.at(NETWORK_ROLE) == CONCENTRATOR;
        let row = NUMBERS.iter().find(|(_, number)| *number == self.at(MBUS_MODE));
        row.map(|(mode, _)| *mode).filter(|_| hears_all && self.state == State::Air)
    }

    fn hear(&mut self, frame: &[u8], sent: Mode, rssi_dbm: i16, _: Instant) -> Outcome {
        let is_heard = self.mode().is_some_and(|mode| mode.hears(sent));
        if !is_heard || self.line.faults.mute || !(FRAME_MIN..=FRAME_MAX).contains(&frame.len()) {
            return Outcome::Deaf;
        }
        self.telegram(frame, rssi_dbm)
    }

    fn handle_bytes(&mut self, bytes: &[u8], _: Instant) {
        for octet in bytes {
            self.state = self.octet(*octet);
        }
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.line.poll_transmit()
    }
}
