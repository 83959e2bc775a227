//! Receivers: the serial framings by which a radio module hands its telegrams to the host.
//!
//! Every receiver is a state machine with the same five doors. What comes out is a frame that begins with the
//! L field, and what is known of its reception. `KINDS` is the one list of them: a new receiver is a file here
//! and a row there. The frame itself is not looked into; any C field passes.

pub mod amber;
pub mod auto;
pub mod cul;
pub mod hex;
pub mod im871a;
pub mod iu891a;
pub mod raw;
pub mod rc1180;
pub mod rtl433;

mod crc;
mod dialogue;
mod event;
mod mode;
#[cfg(test)]
mod tests;
mod undelimited;

use std::fmt;
use std::time::Instant;

pub use event::{Counters, Event, Failure, Identity, Reject};
pub use mode::{Downlink, Mode};

/// A receiver as the task drives it: after each `handle_*` drain `poll_transmit` and `poll_event`, then sleep
/// until `poll_timeout`. Time comes in as an argument and never goes back.
pub trait Receiver: fmt::Debug + Send {
    /// Takes octets that the port delivered, in any portions. `now` is when they were read.
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant);
    /// Takes the passing of time; a spurious call does nothing.
    fn handle_timeout(&mut self, now: Instant);
    /// When `handle_timeout` wants to be called.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Octets for the port.
    fn poll_transmit(&mut self) -> Option<Vec<u8>>;
    fn poll_event(&mut self) -> Option<Event>;
    /// What was heard and what was dropped since this machine was made.
    fn counters(&self) -> &Counters;
    /// The speed that the port must have now; None where the configured one will do.
    fn baud(&self) -> Option<u32> {
        None
    }
    /// Asks a listening receiver whether it is there and as it was set; where nobody can be asked, nothing happens.
    fn check(&mut self, _now: Instant) {}
    /// Resets the receiver, where it can be, and sets it up again.
    fn reset(&mut self, _now: Instant) {}
    /// Gives the module a frame to send: L first, without CRCs. False: it does not send so, or is not ready to.
    fn send(&mut self, _frame: &[u8], _when: When, _now: Instant) -> bool {
        false
    }
}

/// When a module sends what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// As soon as it has it.
    AtOnce,
    /// By itself, as soon as it hears whom the frame's link layer names: no host is as fast.
    Heard,
}

/// A kind of receiver.
pub struct Kind {
    /// The name in the configuration.
    pub name: &'static str,
    /// The speed of its serial port as it leaves the factory, in baud, where it is known beforehand; always 8 data bits, no parity, 1 stop bit.
    pub baud: u32,
    /// What it can be told to listen to; empty when that is decided elsewhere.
    pub modes: &'static [Mode],
    /// How it sends.
    pub sends: &'static [When],
    /// Why it does not send, for people; empty where it does.
    pub silence: &'static str,
    /// Makes the state machine for a port that has just been opened.
    pub open: fn(Mode, Instant) -> Box<dyn Receiver>,
}

/// Every kind of receiver that is understood.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "im871a",
        baud: 57_600,
        modes: im871a::MODES,
        sends: AT_ONCE,
        silence: "",
        open: |mode, now| Box::new(im871a::Im871a::new(mode, now)),
    },
    Kind {
        name: "im170a",
        baud: 57_600,
        modes: MODES_169,
        sends: AT_ONCE,
        silence: "",
        open: |mode, now| Box::new(im871a::Im871a::new(mode, now)),
    },
    Kind {
        name: "iu891a",
        baud: 115_200,
        modes: iu891a::MODES,
        sends: &[],
        silence: "how its SEND_MESSAGE wants a frame is not published",
        open: iu891a::open,
    },
    Kind { name: "amb8465", baud: 9_600, modes: amber::MODES_868, sends: BOTH, silence: "", open: amber::open },
    Kind { name: "amb3665", baud: 9_600, modes: MODES_169, sends: BOTH, silence: "", open: amber::open },
    // culfw, rf_mbus.c: `bss` and `bst`.
    Kind {
        name: "cul",
        baud: 38_400,
        modes: cul::MODES,
        sends: &[],
        silence: "its firmware sends in modes S and T alone, where meters listen sooner than a host can answer",
        open: cul::open,
    },
    // RC1180-MBUS data sheet, 1.0, page 3: the host gives it L, CI and the application's octets.
    Kind {
        name: "rc1180",
        baud: 19_200,
        modes: rc1180::MODES,
        sends: &[],
        silence: "it puts a C-field and an address of its own memory in front of what it sends",
        open: rc1180::open,
    },
    // What it turns out to be, only the port shows: nothing is promised.
    Kind {
        name: "auto",
        baud: 57_600,
        modes: &Mode::ALL,
        sends: &[],
        silence: "what it is shows only on its port: name its kind",
        open: |mode, now| Box::new(auto::Auto::listen(mode, now)),
    },
    Kind {
        name: "rtl_wmbus",
        baud: 115_200,
        modes: &[],
        sends: &[],
        silence: HEARS,
        open: |_, _| Box::new(hex::Hex::new()),
    },
    Kind { name: "rtl_433", baud: 115_200, modes: &[], sends: &[], silence: HEARS, open: |_, now| rtl433::open(now) },
    Kind { name: "hex", baud: 115_200, modes: &[], sends: &[], silence: HEARS, open: |_, _| Box::new(hex::Hex::new()) },
    Kind { name: "raw", baud: 115_200, modes: &[], sends: &[], silence: HEARS, open: |_, now| raw::open(now) },
];

impl Kind {
    /// What it listens to where nobody says: C1 and T1 where it can.
    pub fn default_mode(&self) -> Mode {
        let mode = Mode::default();
        if self.modes.contains(&mode) { mode } else { self.modes.first().copied().unwrap_or(mode) }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.name)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

const HEARS: &str = "it only hears";
const AT_ONCE: &[When] = &[When::AtOnce];
const BOTH: &[When] = &[When::AtOnce, When::Heard];

/// The shortest frame: L, C, M (2), A (6). EN 13757-4:2019, clause 12.
pub(crate) const FRAME_MIN: usize = 10;
/// The longest frame without its CRCs: L counts 255 octets after itself.
pub(crate) const FRAME_MAX: usize = 256;

/// Modes of 169 MHz.
pub const MODES_169: &[Mode] = &[
    Mode::N1a,
    Mode::N1b,
    Mode::N1c,
    Mode::N1d,
    Mode::N1e,
    Mode::N1f,
    Mode::N2a,
    Mode::N2b,
    Mode::N2c,
    Mode::N2d,
    Mode::N2e,
    Mode::N2f,
];
