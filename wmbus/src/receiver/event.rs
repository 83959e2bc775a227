//! What a receiver says: events, the reasons why it gives up, and the counted reasons why octets were dropped.

use std::collections::BTreeMap;
use std::fmt;

use super::Mode;
use crate::Form;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The receiver listens.
    Ready(Identity),
    /// One frame as it was heard: first its L field, CRCs as the receiver delivers them.
    Telegram {
        frame: Vec<u8>,
        /// What the receiver leaves of the CRCs; None where nobody says, and the frame itself has to tell.
        form: Option<Form>,
        /// None where the receiver does not say, or says it in units of its own.
        rssi_dbm: Option<i16>,
    },
    /// The module took a frame to be sent, or sent a prepared one; false where it refuses it.
    Sent(bool),
    /// The receiver is of no use in this state. The machine does nothing any more; open the port anew, with a new one.
    Failed(Failure),
}

/// Who the receiver says that it is. A source without a handshake says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity {
    /// The module's own number. USB numbers are not unique, this one is.
    pub uid: Option<u32>,
    pub firmware: Option<u8>,
    /// What it was told to listen to.
    pub mode: Option<Mode>,
    /// Where it had to be found out, what it is.
    pub kind: Option<&'static str>,
}

/// Why a receiver is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No answer to this request, repetitions included.
    Mute(&'static str),
    /// It listens to this mode with a newer firmware only.
    FirmwareTooOld { firmware: u8, needed: u8, mode: Mode },
    /// This module cannot listen to this mode.
    ModeUnsupported { module: u8, mode: Mode },
    /// Nobody answers, whatever is asked, at any speed.
    Nobody,
    /// It took the settings and reads back other ones.
    NotTaken,
    /// A receiver of this kind answers at this speed, and not the one that was expected.
    Other { kind: &'static str, baud: u32 },
    /// It lost its settings while in use, as after a loss of power.
    Reset,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mute(request) => write!(f, "no answer to {request}"),
            Self::FirmwareTooOld { firmware, needed, mode } => {
                write!(f, "firmware {firmware:#04x} does not listen to {mode}: {needed:#04x} or newer is needed")
            }
            Self::ModeUnsupported { module, mode } => write!(f, "module type {module:#04x} cannot listen to {mode}"),
            Self::Nobody => f.write_str("no receiver answers, whatever it is asked"),
            Self::Other { kind, baud } => write!(f, "a receiver of kind {kind:?} answers there, at {baud} baud"),
            Self::NotTaken => f.write_str("settings were not taken"),
            Self::Reset => f.write_str("settings were lost"),
        }
    }
}

impl std::error::Error for Failure {}

/// Why octets were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// The check sum is wrong.
    BadCrc,
    /// Characters that are no hexadecimal digits, or an odd number of them.
    BadHex,
    /// The receiver itself marks the frame as damaged.
    Flagged,
    /// The octets stopped in the middle of a frame.
    Incomplete,
    /// Octets between frames.
    Noise,
    /// Longer than any frame can be.
    TooLong,
    /// Shorter than any frame can be.
    TooShort,
    /// A frame that must carry a check sum and has none.
    Unprotected,
}

impl Reject {
    /// The name in counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadCrc => "bad_crc",
            Self::BadHex => "bad_hex",
            Self::Flagged => "flagged",
            Self::Incomplete => "incomplete",
            Self::Noise => "noise",
            Self::TooLong => "too_long",
            Self::TooShort => "too_short",
            Self::Unprotected => "unprotected",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was heard and what was dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Octets that the port delivered.
    pub octets: u64,
    pub telegrams: u64,
    /// How often, per reason; `Noise` counts octets.
    pub rejects: BTreeMap<Reject, u64>,
}

impl Counters {
    pub fn rejected(&self, reason: Reject) -> u64 {
        self.rejects.get(&reason).copied().unwrap_or(0)
    }

    pub(crate) fn reject(&mut self, reason: Reject) {
        *self.rejects.entry(reason).or_default() += 1;
    }

    /// Adds what another machine counted, as after the port was opened anew.
    pub fn add(&mut self, other: &Self) {
        self.octets += other.octets;
        self.telegrams += other.telegrams;
        for (reason, count) in &other.rejects {
            *self.rejects.entry(*reason).or_default() += count;
        }
    }
}

impl From<bytes::TryGetError> for Reject {
    fn from(_: bytes::TryGetError) -> Self {
        Self::Incomplete
    }
}
