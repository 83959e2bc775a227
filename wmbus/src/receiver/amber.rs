//! Wuerth Elektronik (Amber) AMB8465-M, AMB8626 (Metis-I, Metis-II) for 868 MHz and AMB3665-M for 169 MHz, at 9600 baud.
//!
//! A command, an answer, or a telegram with command output is `FF | command | length | payload | check`; the check is
//! the XOR of all octets before it. As it leaves the factory a module hands its telegrams on as they are instead
//! (transparent mode), with a length that counts the signal strength where that is reported. Both are understood, and
//! the module's flash is left alone. The mode is set until the next reset and cannot be read back, so the check that
//! follows now and then sets it again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Buf;

use super::dialogue::{Dialogue, Protocol, Question, Said};
use super::{FRAME_MIN, Failure, Identity, Mode, Receiver, Reject, When, raw, undelimited};

/// A module from the moment its port was opened.
pub fn open(mode: Mode, now: Instant) -> Box<dyn Receiver> {
    Box::new(Dialogue::new(Amber { mode, stage: Stage::Identify, serial: None, output: None, early: Vec::new() }, now))
}

/// One command or answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub command: u8,
    /// At most 255 octets.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads one message and leaves `buf` at the first octet after it.
    ///
    /// # Errors
    /// `Incomplete` when more octets may make it whole; else it never can be.
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let whole = *buf;
        if buf.try_get_u8()? != START {
            return Err(Reject::Noise);
        }
        let command = buf.try_get_u8()?;
        let length = buf.try_get_u8()?;
        let payload;
        (payload, *buf) = buf.split_at_checked(usize::from(length)).ok_or(Reject::Incomplete)?;
        let covered = whole.get(..whole.len() - buf.len()).unwrap_or_default();
        if buf.try_get_u8()? == check(covered) { Ok(Self { command, payload }) } else { Err(Reject::BadCrc) }
    }

    /// Appends exactly what `parse` reads. A payload over 255 octets is cut.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let length = u8::try_from(self.payload.len()).unwrap_or(u8::MAX);
        let mut message = vec![START, self.command, length];
        message.extend(self.payload.iter().take(usize::from(length)));
        message.push(check(&message));
        out.extend(message);
    }
}

fn check(octets: &[u8]) -> u8 {
    octets.iter().fold(0, |check, octet| check ^ octet)
}

/// The signal strength in dBm: half steps above -74, signed.
pub fn rssi_dbm(raw: u8) -> i16 {
    i16::from(i8::from_le_bytes([raw])) / 2 - 74
}

/// The module's own scale of a signal strength.
pub fn rssi_raw(dbm: i16) -> u8 {
    let steps = (dbm.clamp(-138, -11) + 74) * 2;
    let [raw, _] = steps.to_le_bytes();
    raw
}

/// A mode in the numbers of the modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preselection {
    pub mode: Mode,
    pub number: u8,
    /// How many octets of parameters a module of its band has.
    pub parameters: u8,
}

impl Preselection {
    const fn new(mode: Mode, number: u8, parameters: u8) -> Self {
        Self { mode, number, parameters }
    }

    /// How a module with so many parameters is told to listen to `mode`.
    pub fn of(mode: Mode, parameters: u8) -> Option<&'static Self> {
        PRESELECTIONS.iter().find(|row| row.mode == mode && row.parameters == parameters)
    }

    /// What a module with so many parameters listens to when it is told `number`.
    pub fn numbered(number: u8, parameters: u8) -> Option<&'static Self> {
        PRESELECTIONS.iter().find(|row| row.number == number && row.parameters == parameters)
    }
}

/// Modes of the collector's side ("other"); C and T together have a number of their own.
static PRESELECTIONS: &[Preselection] = &[
    Preselection::new(Mode::S1, 0x03, PARAMETERS_868),
    Preselection::new(Mode::S1m, 0x02, PARAMETERS_868),
    Preselection::new(Mode::S2, 0x03, PARAMETERS_868),
    Preselection::new(Mode::T1, 0x08, PARAMETERS_868),
    Preselection::new(Mode::T2, 0x08, PARAMETERS_868),
    Preselection::new(Mode::C1T1, 0x09, PARAMETERS_868),
    Preselection::new(Mode::R2, 0x0b, PARAMETERS_868),
    Preselection::new(Mode::C1, 0x0e, PARAMETERS_868),
    Preselection::new(Mode::C2, 0x0e, PARAMETERS_868),
    Preselection::new(Mode::N1a, 0x02, PARAMETERS_169),
    Preselection::new(Mode::N2a, 0x02, PARAMETERS_169),
    Preselection::new(Mode::N1b, 0x04, PARAMETERS_169),
    Preselection::new(Mode::N2b, 0x04, PARAMETERS_169),
    Preselection::new(Mode::N1c, 0x06, PARAMETERS_169),
    Preselection::new(Mode::N2c, 0x06, PARAMETERS_169),
    Preselection::new(Mode::N1d, 0x08, PARAMETERS_169),
    Preselection::new(Mode::N2d, 0x08, PARAMETERS_169),
    Preselection::new(Mode::N1e, 0x0a, PARAMETERS_169),
    Preselection::new(Mode::N2e, 0x0a, PARAMETERS_169),
    Preselection::new(Mode::N1f, 0x0c, PARAMETERS_169),
    Preselection::new(Mode::N2f, 0x0c, PARAMETERS_169),
];

/// Modes of the modules for 868 MHz.
pub const MODES_868: &[Mode] =
    &[Mode::C1, Mode::C1T1, Mode::C2, Mode::R2, Mode::S1, Mode::S1m, Mode::S2, Mode::T1, Mode::T2];

/// Whether and how telegrams are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Output {
    is_transparent: bool,
    has_rssi: bool,
}

#[derive(Debug)]
struct Amber {
    mode: Mode,
    stage: Stage,
    serial: Option<u32>,
    /// None before the module said it.
    output: Option<Output>,
    /// Payloads that came before that: whether they end with a signal strength is not known yet.
    early: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Identify,
    /// All parameters; from here on the module's number of them is known.
    Inspect,
    Set {
        number: u8,
        is_check: bool,
    },
    Listen {
        number: u8,
    },
}

impl Amber {
    fn payload(&mut self, payload: &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        let Some(output) = self.output else {
            if self.early.len() < EARLY_MAX {
                self.early.push(payload.to_vec());
            }
            return Ok(());
        };
        let (body, rssi) = match payload.split_last() {
            Some((rssi, body)) if output.has_rssi => (body, Some(*rssi)),
            _ => (payload, None),
        };
        let l_field = u8::try_from(body.len()).map_err(|_| Reject::TooLong)?;
        if body.len() + 1 < FRAME_MIN {
            return Err(Reject::TooShort);
        }
        let frame = [&[l_field], body].concat();
        said.push_back(Said::Telegram { frame, rssi_dbm: rssi.map(rssi_dbm) });
        Ok(())
    }

    fn answer(&mut self, payload: &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        let mut payload = payload;
        match self.stage {
            Stage::Identify => {
                self.serial = Some(payload.try_get_u32()?);
                self.stage = Stage::Inspect;
                said.push_back(Said::Answer);
            }
            Stage::Inspect => {
                let (_, count) = (payload.try_get_u8()?, payload.try_get_u8()?);
                let parameter = |index: usize| payload.get(index).ok_or(Reject::Incomplete);
                let is_transparent = *parameter(UART_COMMAND_OUT)? == 0;
                self.output = Some(Output { is_transparent, has_rssi: *parameter(RSSI_ENABLE)? != 0 });
                for early in std::mem::take(&mut self.early) {
                    // Too short to be a telegram, as it would have been later.
                    let _ = self.payload(&early, said);
                }
                let Some(row) = Preselection::of(self.mode, count) else {
                    let failure = Failure::ModeUnsupported { module: count, mode: self.mode };
                    said.push_back(Said::Failed(failure));
                    return Ok(());
                };
                self.stage = Stage::Set { number: row.number, is_check: false };
                said.push_back(Said::Answer);
            }
            Stage::Set { number, is_check } => {
                if payload.try_get_u8()? != 0 {
                    said.push_back(Said::Failed(Failure::NotTaken));
                    return Ok(());
                }
                self.stage = Stage::Listen { number };
                let identity = Identity { uid: self.serial, firmware: None, mode: Some(self.mode), kind: None };
                said.push_back(if is_check { Said::Answer } else { Said::Ready(identity) });
            }
            Stage::Listen { .. } => {}
        }
        Ok(())
    }

    /// The command whose answer is awaited.
    const fn awaited(&self) -> Option<u8> {
        match self.stage {
            Stage::Identify => Some(SERIALNO),
            Stage::Inspect => Some(GET),
            Stage::Set { .. } => Some(SET_MODE),
            Stage::Listen { .. } => None,
        }
    }

    /// Whether a message stands here, and not the beginning of a bare frame.
    fn is_message(&self, octets: &[u8]) -> bool {
        let is_wrapped = self.output.is_none_or(|output| !output.is_transparent);
        match octets {
            [START, command, ..] if *command & ANSWER != 0 => ANSWERED.contains(&(*command & !ANSWER)),
            [START, command, ..] => is_wrapped && *command == DATA_IND,
            [START] => true,
            _ => false,
        }
    }
}

impl Protocol for Amber {
    const STALL_TIME: Duration = raw::STALL_TIME;
    const CHECK_INTERVAL: Option<Duration> = Some(Duration::from_secs(60));

    fn take(&mut self, buf: &mut &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        let whole = *buf;
        if self.is_message(whole) {
            let message = Message::parse(buf).inspect_err(|reason| {
                let used = usize::from(*reason != Reject::Incomplete);
                *buf = whole.get(used..).unwrap_or_default();
            })?;
            return match message.command {
                DATA_IND => self.payload(message.payload, said),
                SENT | PRELOADED => {
                    said.push_back(Said::Sent(message.payload.first().is_some_and(|status| *status <= TRANSMITTED)));
                    Ok(())
                }
                command if self.awaited().is_some_and(|awaited| awaited | ANSWER == command) => {
                    self.answer(message.payload, said)
                }
                _ => Ok(()),
            };
        }
        if self.output.is_some_and(|output| !output.is_transparent) {
            *buf = whole.get(1..).unwrap_or_default();
            return Err(Reject::Noise);
        }
        let frame = undelimited::take(buf, usize::from)?;
        self.payload(frame.get(1..).unwrap_or_default(), said)
    }

    fn stalled(&mut self, buf: &mut &[u8], _: &mut VecDeque<Said>) -> Result<(), Reject> {
        let is_bare = self.output.is_some_and(|output| output.is_transparent);
        *buf = if is_bare { &[] } else { buf.get(1..).unwrap_or_default() };
        Err(Reject::Incomplete)
    }

    fn question(&self) -> Option<Question> {
        let (name, command, payload) = match self.stage {
            Stage::Identify => ("SERIALNO", SERIALNO, vec![]),
            Stage::Inspect => ("GET", GET, vec![0, ALL_PARAMETERS]),
            Stage::Set { number, .. } => ("SET_MODE", SET_MODE, vec![number]),
            Stage::Listen { .. } => return None,
        };
        let mut octets = Vec::new();
        Message { command, payload: &payload }.emit(&mut octets);
        Some(Question { name, octets, patience: ANSWER_TIME })
    }

    fn sending(&self, frame: &[u8], when: When) -> Option<Vec<u8>> {
        let command = if when == When::Heard { DATA_PRELOAD } else { DATA_REQ };
        let payload = frame.get(1..).filter(|payload| payload.len() <= usize::from(u8::MAX))?;
        let mut octets = Vec::new();
        Message { command, payload }.emit(&mut octets);
        Some(octets)
    }

    fn check(&mut self) {
        if let Stage::Listen { number } = self.stage {
            self.stage = Stage::Set { number, is_check: true };
        }
    }

    fn reset(&mut self) -> Vec<u8> {
        self.stage = Stage::Identify;
        let mut octets = Vec::new();
        Message { command: RESET, payload: &[] }.emit(&mut octets);
        octets
    }
}

const START: u8 = 0xff;
/// In the command of an answer.
pub const ANSWER: u8 = 0x80;
pub const DATA_REQ: u8 = 0x00;
pub const DATA_IND: u8 = 0x03;
pub const SET_MODE: u8 = 0x04;
pub const RESET: u8 = 0x05;
pub const GET: u8 = 0x0a;
pub const SERIALNO: u8 = 0x0b;
/// Answered twice: when the module has the frame, and when it has sent it.
pub const DATA_PRELOAD: u8 = 0x30;
const SENT: u8 = DATA_REQ | ANSWER;
const PRELOADED: u8 = DATA_PRELOAD | ANSWER;
// Status of DATA_PRELOAD; greater ones say why the module does not take it.
pub const TAKEN: u8 = 0;
pub const TRANSMITTED: u8 = 1;
pub const NO_MEMORY: u8 = 2;
/// Commands that modules answer.
static ANSWERED: &[u8] = &[
    DATA_REQ,
    0x02,
    SET_MODE,
    RESET,
    0x06,
    0x09,
    GET,
    SERIALNO,
    0x0c,
    0x0d,
    0x10,
    0x11,
    DATA_PRELOAD,
    0x31,
    0x50,
    0x51,
    0x52,
];

/// As the count in GET: from the first one on, as many as there are.
const ALL_PARAMETERS: u8 = 0x80;
pub const PARAMETERS_868: u8 = 0x78;
pub const PARAMETERS_169: u8 = 0x80;
// Places of parameters.
pub const UART_COMMAND_OUT: usize = 5;
pub const RSSI_ENABLE: usize = 69;

/// All parameters take 140 ms at 9600 baud, behind a telegram of as many octets.
const ANSWER_TIME: Duration = Duration::from_millis(1_000);
/// Telegrams that wait for the parameters: more than a terminal keeps.
const EARLY_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_message(octets: &[u8], expected: Result<Message<'_>, Reject>) {
        let mut cursor = octets;
        assert_eq!(Message::parse(&mut cursor), expected);
        if let Ok(message) = expected {
            assert!(cursor.is_empty());
            let mut emitted = Vec::new();
            message.emit(&mut emitted);
            assert_eq!(emitted, octets);
            for end in 0..octets.len() {
                assert_eq!(Message::parse(&mut &octets[..end]), Err(Reject::Incomplete));
            }
        }
    }

    #[test]
    fn messages_are_read_and_written() {
        check_message(&hex!("ff 0b 00 f4"), Ok(Message { command: SERIALNO, payload: &[] }));
        check_message(&hex!("ff 0a 02 00 80 77"), Ok(Message { command: GET, payload: &[0, 0x80] }));
        check_message(&hex!("ff 84 01 00 7a"), Ok(Message { command: SET_MODE | ANSWER, payload: &[0] }));
        check_message(&hex!("ff 84 01 00 7b"), Err(Reject::BadCrc));
        check_message(&hex!("fe 0b 00 f4"), Err(Reject::Noise));
    }

    #[test]
    fn the_signal_strength_has_the_scale_of_the_module() {
        for (raw, dbm) in [(0, -74), (1, -74), (2, -73), (127, -11), (128, -138), (254, -75)] {
            assert_eq!(rssi_dbm(raw), dbm, "raw {raw}");
        }
        for dbm in -138..=-11 {
            assert_eq!(rssi_dbm(rssi_raw(dbm)), dbm, "{dbm} dBm");
        }
    }

    #[test]
    fn every_mode_of_the_modules_has_a_number() {
        for mode in Mode::ALL {
            assert_eq!(Preselection::of(mode, PARAMETERS_868).is_some(), MODES_868.contains(&mode), "{mode}");
            assert_eq!(
                Preselection::of(mode, PARAMETERS_169).is_some(),
                super::super::MODES_169.contains(&mode),
                "{mode}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(command: u8, payload in proptest::collection::vec(any::<u8>(), 0..256)) {
            let message = Message { command, payload: &payload };
            let mut octets = Vec::new();
            message.emit(&mut octets);
            prop_assert_eq!(Message::parse(&mut &octets[..]), Ok(message));
        }
    }
}
