//! A CUL as its host sees it: the mirror image of `receiver::cul`. It comes up deaf.

use std::time::Instant;

use super::amber::STALE_DBM;
use super::line::{Line, Outcome};
use super::random::Random;
use super::{Emulator, Nature};
use crate::receiver::amber::rssi_raw;
use crate::receiver::cul::{COMMANDS, REPORT};
use crate::receiver::{FRAME_MIN, Mode};
use crate::{Form, link};

pub(super) fn open(nature: Nature, _: Instant) -> Box<dyn Emulator> {
    let line = Line::new(nature.faults, Random::new(nature.seed), b'b').of_text(REPORT_END);
    Box::new(Cul { mode: None, has_report: false, is_b: false, line, buffer: Vec::new() })
}

#[derive(Debug)]
struct Cul {
    mode: Option<Mode>,
    has_report: bool,
    /// The next frame of mode C comes in format B.
    is_b: bool,
    line: Line,
    buffer: Vec<u8>,
}

impl Cul {
    fn telegram(&mut self, frame: &[u8], sent: Mode, rssi_dbm: i16) -> Outcome {
        let body = frame.get(1..).unwrap_or_default();
        self.is_b = sent == Mode::C1 && !self.is_b;
        let in_b = link::frame(Form::FormatB, body).filter(|_| self.is_b);
        let (start, octets) = match in_b {
            Some(octets) => ("bY", octets),
            None => ("b", link::frame(Form::FormatA, body).unwrap_or_default()),
        };
        let report = if self.has_report { vec![LINK_QUALITY, rssi_raw(rssi_dbm)] } else { Vec::new() };
        let digits: String = octets.iter().chain(&report).map(|octet| format!("{octet:02X}")).collect();
        self.line.send(format!("{start}{digits}\r\n").as_bytes())
    }

    fn command(&mut self, command: &[u8]) {
        let row = COMMANDS.iter().rev().find(|(_, text, _)| text.as_bytes() == command);
        let answer = match (command, row) {
            (b"V", _) => "V 1.67 nanoCUL868",
            (_, Some((mode, _, answer))) => {
                // C mode hears T mode as well.
                self.mode = Some(if *mode == Mode::C1 { Mode::C1T1 } else { *mode });
                answer
            }
            _ if command == REPORT.as_bytes() => {
                self.has_report = true;
                return;
            }
            _ if command.starts_with(b"B") => {
                (self.mode, self.has_report) = (None, false);
                return;
            }
            _ => return,
        };
        for frame in self.line.stale() {
            self.telegram(&frame, Mode::T1, STALE_DBM);
        }
        self.line.send(format!("{answer}\r\n").as_bytes());
    }
}

impl Emulator for Cul {
    fn mode(&self) -> Option<Mode> {
        self.mode
    }

    fn hear(&mut self, frame: &[u8], sent: Mode, rssi_dbm: i16, _: Instant) -> Outcome {
        let is_heard = self.mode.is_some_and(|mode| mode.hears(sent));
        if !is_heard || self.line.faults.mute || frame.len() < FRAME_MIN {
            return Outcome::Deaf;
        }
        self.telegram(frame, sent, rssi_dbm)
    }

    fn handle_bytes(&mut self, bytes: &[u8], _: Instant) {
        for octet in bytes {
            match octet {
                b'\r' | b'\n' => {
                    let command = std::mem::take(&mut self.buffer);
                    self.command(&command);
                }
                octet if self.buffer.len() < COMMAND_MAX => self.buffer.push(*octet),
                _ => {}
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.line.poll_transmit()
    }
}

const LINK_QUALITY: u8 = 0x05;
const COMMAND_MAX: usize = 64;
/// Link quality, signal strength, end of the line.
const REPORT_END: usize = 6;
