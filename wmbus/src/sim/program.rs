//! What nobody talks to: rtl_wmbus and rtl_433, which print lines, and a line with bare frames.

use std::time::Instant;

use super::line::{Line, Outcome};
use super::random::Random;
use super::{Emulator, Nature};
use crate::receiver::{FRAME_MAX, FRAME_MIN, Mode};

pub(super) fn open_rtl_wmbus(nature: Nature, _: Instant) -> Box<dyn Emulator> {
    Program::open(nature, |frame, sent| {
        let mode = if sent == Mode::C1 { "C1" } else { "T1" };
        format!("{mode};1;1;2026-01-01 00:00:00.000;97;148;88888888;0x{}\n", digits(frame)).into_bytes()
    })
}

pub(super) fn open_rtl_433(nature: Nature, _: Instant) -> Box<dyn Emulator> {
    Program::open(nature, |frame, _| {
        let (length, data) = (frame.len(), digits(frame));
        format!(
            "{{\"time\" : \"2026-01-01 00:00:00\", \"model\" : \"Wireless-MBus\", \"mode\" : \"T\", \
             \"data_length\" : {length}, \"data\" : \"{data}\", \"mic\" : \"CRC\"}}\n"
        )
        .into_bytes()
    })
}

pub(super) fn open_raw(nature: Nature, _: Instant) -> Box<dyn Emulator> {
    Program::open(nature, |frame, _| frame.to_vec())
}

/// How a frame is written.
type Write = fn(&[u8], Mode) -> Vec<u8>;

#[derive(Debug)]
struct Program {
    write: Write,
    line: Line,
}

impl Program {
    fn open(nature: Nature, write: Write) -> Box<dyn Emulator> {
        Box::new(Self { write, line: Line::new(nature.faults, Random::new(nature.seed), b';') })
    }
}

impl Emulator for Program {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::C1T1)
    }

    fn hear(&mut self, frame: &[u8], sent: Mode, _: i16, _: Instant) -> Outcome {
        if !Mode::C1T1.hears(sent) || self.line.faults.mute || !(FRAME_MIN..=FRAME_MAX).contains(&frame.len()) {
            return Outcome::Deaf;
        }
        let octets = (self.write)(frame, sent);
        self.line.send(&octets)
    }

    fn handle_bytes(&mut self, _: &[u8], _: Instant) {}

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.line.poll_transmit()
    }
}

fn digits(frame: &[u8]) -> String {
    frame.iter().map(|octet| format!("{octet:02x}")).collect()
}
