//! Radiocrafts RC1180-MBUS (868 MHz, MBUS3) at 19,200 baud.
//!
//! A telegram is the bare frame, with its signal strength behind it where that is set. A zero octet opens the
//! configuration, which answers with a prompt, and the prompt may stand in a frame as well: it counts only where
//! nothing follows it. What has to be set is written to the module's memory, once and only where it differs: there is
//! no asking a module that listens, so it has to keep its settings when it loses its supply.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::dialogue::{Dialogue, Protocol, Question, Said};
use super::{Failure, Identity, Mode, Receiver, Reject, raw, undelimited};

/// A module from the moment its port was opened.
pub fn open(mode: Mode, now: Instant) -> Box<dyn Receiver> {
    Box::new(Dialogue::new(Rc1180 { mode, stage: Stage::Prompt, changes: Vec::new(), uid: None, refusals: 0 }, now))
}

/// Modes in the numbers of the module, MBUS_MODE of MBUS3.
pub static NUMBERS: &[(Mode, u8)] = &[
    (Mode::S2, 0),
    (Mode::T1, 1),
    (Mode::T2, 2),
    (Mode::S1, 3),
    (Mode::R2, 4),
    (Mode::C2, 8),
    (Mode::C1, 9),
    (Mode::C1T1, 10),
];

pub const MODES: &[Mode] = &[Mode::C1, Mode::C1T1, Mode::C2, Mode::R2, Mode::S1, Mode::S2, Mode::T1, Mode::T2];

/// The signal strength in dBm: half steps below zero.
pub fn rssi_dbm(raw: u8) -> i16 {
    -i16::from(raw) / 2
}

/// The module's own scale of a signal strength.
pub fn rssi_raw(dbm: i16) -> u8 {
    u8::try_from(-2 * dbm.clamp(-127, 0)).expect("from 0 to 254 after the clamp")
}

#[derive(Debug)]
struct Rc1180 {
    mode: Mode,
    stage: Stage,
    /// Places and values that differ from what is wanted.
    changes: Vec<(u8, u8)>,
    uid: Option<u32>,
    refusals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The configuration is opened.
    Prompt,
    /// The memory is read.
    Inspect,
    Write,
    /// The configuration is left, which nothing confirms.
    Listen,
    CheckPrompt,
    CheckMemory,
}

impl Rc1180 {
    /// What has to stand where.
    fn wanted(&self) -> [(usize, u8); 4] {
        let number = NUMBERS.iter().find(|(mode, _)| *mode == self.mode).map_or(0, |(_, number)| *number);
        [(MBUS_MODE, number), (RSSI_MODE, 1), (NETWORK_ROLE, CONCENTRATOR), (INSTALL_MODE, RECEIVE_ALL)]
    }

    fn inspect(&mut self, memory: &[u8], said: &mut VecDeque<Said>) {
        let differs = |(place, value): &(usize, u8)| memory.get(*place) != Some(value);
        let changes = self.wanted().into_iter().filter(differs);
        self.changes = changes.filter_map(|(place, value)| Some((u8::try_from(place).ok()?, value))).collect();
        self.uid = memory.get(UNIQUE_ID..).and_then(|id| id.first_chunk()).map(|id| u32::from_le_bytes(*id));
        let is_check = self.stage == Stage::CheckMemory;
        if self.changes.is_empty() {
            self.stage = Stage::Listen;
            let identity = Identity { uid: self.uid, mode: Some(self.mode), ..Identity::default() };
            said.push_back(if is_check { Said::Answer } else { Said::Ready(identity) });
        } else if is_check {
            said.push_back(Said::Failed(Failure::Reset));
        } else if self.refusals == REFUSALS {
            said.push_back(Said::Failed(Failure::NotTaken));
        } else {
            self.refusals += 1;
            self.stage = Stage::Write;
            said.push_back(Said::Answer);
        }
    }

    /// The prompt, and nothing behind it.
    fn prompted(&mut self, said: &mut VecDeque<Said>) {
        self.stage = match self.stage {
            Stage::Prompt | Stage::Write => Stage::Inspect,
            Stage::CheckPrompt => Stage::CheckMemory,
            stage => stage,
        };
        said.push_back(Said::Answer);
    }
}

impl Protocol for Rc1180 {
    const STALL_TIME: Duration = raw::STALL_TIME;
    /// The module is deaf while its configuration is open.
    const CHECK_INTERVAL: Option<Duration> = None;

    fn take(&mut self, buf: &mut &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        match self.stage {
            Stage::Prompt | Stage::CheckPrompt | Stage::Write if *buf == [PROMPT] => Err(Reject::Incomplete),
            Stage::Inspect | Stage::CheckMemory => {
                // A second prompt comes where the first one was late and was asked for twice.
                let memory = buf.iter().position(|octet| *octet != PROMPT).unwrap_or(0);
                let whole = buf.get(memory..).unwrap_or_default();
                let (content, behind) = whole.split_first_chunk::<MEMORY>().ok_or(Reject::Incomplete)?;
                let (prompt, behind) = behind.split_first().ok_or(Reject::Incomplete)?;
                if *prompt != PROMPT {
                    *buf = &[];
                    return Err(Reject::Noise);
                }
                *buf = behind;
                self.inspect(content, said);
                Ok(())
            }
            _ => {
                let frame = undelimited::take(buf, |l_field| usize::from(l_field) + 1)?;
                let (rssi, frame) = frame.split_last().ok_or(Reject::TooShort)?;
                said.push_back(Said::Telegram { frame: frame.to_vec(), rssi_dbm: Some(rssi_dbm(*rssi)) });
                Ok(())
            }
        }
    }

    /// After a pause a frame begins; and a prompt is one only where nothing follows it.
    fn stalled(&mut self, buf: &mut &[u8], said: &mut VecDeque<Said>) -> Result<(), Reject> {
        let is_prompt = std::mem::take(buf) == [PROMPT];
        if is_prompt && matches!(self.stage, Stage::Prompt | Stage::CheckPrompt | Stage::Write) {
            self.prompted(said);
            return Ok(());
        }
        Err(Reject::Incomplete)
    }

    fn question(&self) -> Option<Question> {
        let (name, octets) = match self.stage {
            Stage::Prompt | Stage::CheckPrompt => ("the prompt", vec![OPEN]),
            Stage::Inspect | Stage::CheckMemory => ("the memory", vec![READ_MEMORY]),
            Stage::Write => {
                let pairs = self.changes.iter().flat_map(|(place, value)| [*place, *value]);
                ("a change", [WRITE_MEMORY].into_iter().chain(pairs).chain([END]).collect())
            }
            Stage::Listen => return None,
        };
        Some(Question { name, octets, patience: ANSWER_TIME })
    }

    fn leave(&self) -> Option<Vec<u8>> {
        Some(vec![EXIT])
    }

    fn check(&mut self) {
        self.stage = Stage::CheckPrompt;
    }

    fn reset(&mut self) -> Vec<u8> {
        self.stage = Stage::Prompt;
        self.refusals = 0;
        vec![EXIT]
    }
}

pub const OPEN: u8 = 0x00;
pub const PROMPT: u8 = b'>';
pub const READ_MEMORY: u8 = b'0';
pub const WRITE_MEMORY: u8 = b'M';
pub const EXIT: u8 = b'X';
/// Of a change.
pub const END: u8 = 0xff;

pub const MEMORY: usize = 256;
// Places in the memory.
pub const MBUS_MODE: usize = 0x03;
pub const RSSI_MODE: usize = 0x05;
pub const NETWORK_ROLE: usize = 0x12;
pub const UNIQUE_ID: usize = 0x1b;
pub const INSTALL_MODE: usize = 0x3d;

pub const CONCENTRATOR: u8 = 1;
pub const RECEIVE_ALL: u8 = 2;

/// A prompt is known by the pause behind it; writing the memory takes some time more.
const ANSWER_TIME: Duration = Duration::from_millis(1_500);
const REFUSALS: u32 = 2;
