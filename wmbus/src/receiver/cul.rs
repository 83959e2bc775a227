//! CUL and nanoCUL with culfw or a-culfw, a CC1101 at 38,400 baud: lines of text.
//!
//! A telegram is `b` and hexadecimal digits: a frame of format A with its CRCs, or after `bY` one of format B, and
//! behind it two octets for link quality and signal strength where they are asked for. The radio checks nothing, so
//! the CRCs are checked here. Its buffer ends telegrams early that are long for it; those are counted as incomplete.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::dialogue::{Dialogue, Protocol, Question, Said};
use super::{FRAME_MIN, Identity, Mode, Receiver, Reject, hex};
use crate::Form;
use crate::link::{self, Body};

/// A stick from the moment its port was opened.
pub fn open(mode: Mode, now: Instant) -> Box<dyn Receiver> {
    Box::new(Dialogue::new(Cul { mode, stage: Stage::Identify, is_set: false }, now))
}

/// How the firmware is told to listen, and how it confirms that. Its C mode hears T mode as well.
pub static COMMANDS: &[(Mode, &str, &str)] =
    &[(Mode::C1, "brc", "CMODE"), (Mode::C1T1, "brc", "CMODE"), (Mode::S1, "brs", "SMODE"), (Mode::T1, "brt", "TMODE")];

pub const MODES: &[Mode] = &[Mode::C1, Mode::C1T1, Mode::S1, Mode::T1];

/// The signal strength in dBm: half steps above -74, signed.
pub fn rssi_dbm(raw: u8) -> i16 {
    super::amber::rssi_dbm(raw)
}

/// A telegram of one line behind its `b`: the frame without CRCs, L first, and its signal strength.
///
/// # Errors
/// What is wrong with it.
pub fn telegram(digits: &[u8]) -> Result<(Vec<u8>, Option<i16>), Reject> {
    let (form, digits) = match digits.strip_prefix(b"Y") {
        Some(digits) => (Form::FormatB, digits),
        None => (Form::FormatA, digits),
    };
    let octets = hex::octets(digits, LINE_MAX / 2)?;
    let l_field = *octets.first().ok_or(Reject::TooShort)?;
    let length = link::frame_len(form, l_field);
    if length < FRAME_MIN {
        return Err(Reject::TooShort);
    }
    let (frame, behind) = octets.split_at_checked(length).ok_or(Reject::Incomplete)?;
    let rssi = match behind {
        [] => None,
        [_, rssi] => Some(*rssi),
        _ => return Err(Reject::TooLong),
    };
    let mut scratch = Vec::new();
    let body = Body::parse(frame, form, &mut scratch).map_err(|_| Reject::BadCrc)?;
    let l_field = u8::try_from(body.octets.len()).map_err(|_| Reject::TooLong)?;
    if body.octets.len() + 1 < FRAME_MIN {
        return Err(Reject::TooShort);
    }
    Ok(([&[l_field], body.octets].concat(), rssi.map(rssi_dbm)))
}

#[derive(Debug)]
struct Cul {
    mode: Mode,
    stage: Stage,
    /// It listens, and was asked to go on.
    is_set: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Identify,
    Set,
    Listen,
}

impl Cul {
    fn command(&self) -> (&'static str, &'static str) {
        let row = COMMANDS.iter().find(|(mode, ..)| *mode == self.mode);
        row.map_or(("brc", "CMODE"), |(_, command, answer)| (*command, *answer))
    }

    fn line(&mut self, line: &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        // Noise may stand in front of the `b`, and a `b` may be a digit.
        let starts = line.iter().enumerate().filter(|(_, octet)| **octet == b'b').take(STARTS);
        let mut fault = None;
        for (start, _) in starts {
            match telegram(line.get(start + 1..).unwrap_or_default()) {
                Ok((frame, rssi_dbm)) => {
                    said.push_back(Said::Telegram { frame, rssi_dbm });
                    return Ok(());
                }
                Err(reason) => fault = fault.or(Some(reason)),
            }
        }
        if let Some(reason) = fault.filter(|_| line.len() > SHORT_LINE) {
            return Err(reason);
        }
        let holds = |text: &[u8]| line.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text));
        match self.stage {
            Stage::Identify if holds(b"V ") && (holds(b"CUL") || holds(b"culfw")) => {
                self.stage = Stage::Set;
                said.push_back(Said::Answer);
            }
            Stage::Set if line.ends_with(self.command().1.as_bytes()) => {
                self.stage = Stage::Listen;
                let identity = Identity { mode: Some(self.mode), ..Identity::default() };
                let is_check = std::mem::replace(&mut self.is_set, true);
                said.push_back(if is_check { Said::Answer } else { Said::Ready(identity) });
            }
            Stage::Listen if !line.is_empty() => return Err(Reject::Noise),
            _ => {}
        }
        Ok(())
    }
}

impl Protocol for Cul {
    const STALL_TIME: Duration = Duration::from_millis(500);
    const CHECK_INTERVAL: Option<Duration> = Some(Duration::from_secs(60));

    fn take(&mut self, buf: &mut &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        let Some(end) = buf.iter().position(|octet| matches!(octet, b'\r' | b'\n')) else {
            if buf.len() > LINE_MAX {
                *buf = &[];
                return Err(Reject::TooLong);
            }
            return Err(Reject::Incomplete);
        };
        let (line, behind) = buf.split_at_checked(end).unwrap_or((buf, &[]));
        *buf = behind.get(1..).unwrap_or_default();
        self.line(line, said)
    }

    fn stalled(&mut self, buf: &mut &[u8], _: &mut VecDeque<Said>) -> Result<(), Reject> {
        *buf = &[];
        Err(Reject::Incomplete)
    }

    fn question(&self) -> Option<Question> {
        let (name, text) = match self.stage {
            Stage::Identify => ("V", "V\r\n".to_owned()),
            Stage::Set => ("the mode", format!("{REPORT}\r\n{}\r\n", self.command().0)),
            Stage::Listen => return None,
        };
        Some(Question { name, octets: text.into_bytes(), patience: ANSWER_TIME })
    }

    /// The version tells that it is there; only the mode tells that it still listens.
    fn check(&mut self) {
        self.stage = Stage::Set;
    }

    fn reset(&mut self) -> Vec<u8> {
        self.stage = Stage::Identify;
        self.is_set = false;
        b"B00\r\n".to_vec()
    }
}

/// Telegrams with link quality and signal strength.
pub const REPORT: &str = "X21";
const ANSWER_TIME: Duration = Duration::from_millis(700);
/// No telegram, but something else that the firmware has to say.
const SHORT_LINE: usize = 20;
/// So many letters are tried as the first one of a telegram.
const STARTS: usize = 16;
/// `bY`, 255 octets behind L with the CRCs of 17 blocks, link quality and signal strength.
const LINE_MAX: usize = 2 + 2 * (256 + 2 * 17 + 2);

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by us.
    fn line(form: Form, length: usize) -> String {
        let mut body = vec![0x3a; length];
        body.splice(..9, [0x44, 0x2d, 0x2c, 0x78, 0x56, 0x34, 0x12, 0x1b, 0x16]);
        ::hex::encode(link::frame(form, &body).unwrap())
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(usize, Option<i16>), Reject>) {
        let found = telegram(text.as_bytes());
        assert_eq!(found.as_ref().map(|(frame, rssi)| (frame.len(), *rssi)).map_err(|reject| *reject), expected);
        if let Ok((frame, _)) = found {
            assert_eq!(usize::from(frame[0]), frame.len() - 1);
        }
    }

    #[test]
    fn both_formats_are_taken_with_and_without_a_signal_strength() {
        for length in [9, 10, 25, 26, 125, 126, 200] {
            check(&line(Form::FormatA, length), Ok((length + 1, None)));
            check(&format!("{}05E6", line(Form::FormatA, length)), Ok((length + 1, Some(-87))));
            check(&format!("Y{}05E6", line(Form::FormatB, length)), Ok((length + 1, Some(-87))));
            check(&format!("Y{}", line(Form::FormatB, length)), Ok((length + 1, None)));
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_rejected() {
        let good = line(Form::FormatA, 40);
        check(&good[..good.len() - 1], Err(Reject::BadHex));
        for end in (2..good.len()).step_by(2) {
            check(&good[..end], Err(Reject::Incomplete));
        }
        for place in 2..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[place] = if bad[place] == b'0' { b'1' } else { b'0' };
            check(std::str::from_utf8(&bad).unwrap(), Err(Reject::BadCrc));
        }
        check(&format!("{good}0102030405"), Err(Reject::TooLong));
        check("Y", Err(Reject::TooShort));
        check("03440000", Err(Reject::TooShort));
        check("xyzzy!", Err(Reject::BadHex));
    }
}
