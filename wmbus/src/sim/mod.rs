//! Mirror images: the other side of each protocol, built from the same codecs.
//!
//! `RECEIVERS` is the one list of emulated receivers: a new one is a file here and a row there.

pub mod amber;
pub mod cul;
pub mod im871a;
pub mod iu891a;
mod line;
mod meter;
pub mod program;
pub mod random;
pub mod rc1180;
mod two_way;

use std::fmt;
use std::time::Instant;

pub use line::{Faults, Outcome, Split};
pub use meter::{Layout, Message, Protection};
pub use two_way::{TwoWayMeter, Witness};

use crate::receiver::Mode;

/// An emulated receiver as its host sees it. After each `handle_*` drain `poll_transmit`.
pub trait Emulator: fmt::Debug + Send {
    /// What it listens to; None where its host has not set it up yet.
    fn mode(&self) -> Option<Mode>;
    /// A frame on the air: L first, without CRCs, sent in mode `sent`.
    fn hear(&mut self, frame: &[u8], sent: Mode, rssi_dbm: i16, now: Instant) -> Outcome;
    /// Octets from the host.
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant);
    fn handle_timeout(&mut self, _now: Instant) {}
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    /// Octets for the host, in the portions in which they leave.
    fn poll_transmit(&mut self) -> Option<Vec<u8>>;
    /// A frame that it puts on the air: L first, without CRCs.
    fn poll_air(&mut self) -> Option<Vec<u8>> {
        None
    }
}

/// One kind of emulated receiver.
pub struct EmulatorKind {
    /// The name of the emulator.
    pub name: &'static str,
    /// The kind of receiver that it is, as in the configuration.
    pub receiver: &'static str,
    /// The speed of its port; 0 where it has none to be wrong.
    pub baud: u32,
    /// It is a program that prints, and no port.
    pub is_program: bool,
    /// Every message has a check sum, so that damaged ones are dropped.
    pub is_protected: bool,
    /// Just plugged in.
    pub open: fn(Nature, Instant) -> Box<dyn Emulator>,
}

/// What one emulated receiver is like.
#[derive(Debug, Clone)]
pub struct Nature {
    /// The receiver's own number, where it has one.
    pub uid: u32,
    pub firmware: u8,
    pub faults: Faults,
    /// What the faults are drawn from.
    pub seed: u64,
}

impl EmulatorKind {
    const fn new(name: &'static str, baud: u32, open: fn(Nature, Instant) -> Box<dyn Emulator>) -> Self {
        Self { name, receiver: name, baud, is_program: false, is_protected: true, open }
    }

    /// The emulator of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        RECEIVERS.iter().find(|kind| kind.name == name)
    }
}

impl PartialEq for EmulatorKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for EmulatorKind {}

impl fmt::Debug for EmulatorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmulatorKind({})", self.name)
    }
}

/// Every emulated receiver.
pub static RECEIVERS: &[EmulatorKind] = &[
    EmulatorKind::new("im871a", 57_600, im871a::open),
    EmulatorKind::new("im170a", 57_600, im871a::open_169),
    EmulatorKind::new("iu891a", 115_200, iu891a::open),
    EmulatorKind::new("amb8465", 9_600, amber::open),
    EmulatorKind {
        receiver: "amb8465",
        is_protected: false,
        ..EmulatorKind::new("amb8465-transparent", 9_600, amber::open_transparent)
    },
    EmulatorKind::new("amb3665", 9_600, amber::open_169),
    EmulatorKind::new("cul", 38_400, cul::open),
    EmulatorKind { is_protected: false, ..EmulatorKind::new("rc1180", 19_200, rc1180::open) },
    EmulatorKind {
        is_program: true,
        is_protected: false,
        ..EmulatorKind::new("rtl_wmbus", 0, program::open_rtl_wmbus)
    },
    EmulatorKind { is_program: true, is_protected: false, ..EmulatorKind::new("rtl_433", 0, program::open_rtl_433) },
    EmulatorKind { is_protected: false, ..EmulatorKind::new("raw", 0, program::open_raw) },
];
