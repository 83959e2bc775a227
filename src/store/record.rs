//! What the store keeps.

use std::fmt;

use crate::reading::{Event, RawTelegram, Reading};

/// A record has its name for ever: (dcu, epoch, lane, sequence).
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub lane: Lane,
    /// From 1, without gaps, per lane and epoch.
    pub sequence: u64,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Reading(Reading),
    Event(Event),
    Raw(RawTelegram),
}

/// Lanes in the order of their urgency. The numbers are on disk and on the wire: never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// P0: outage and safety.
    Outage = 0,
    /// P1: security and tamper, and what the unit says of itself.
    Security = 1,
    /// P2: power quality.
    PowerQuality = 2,
    Information = 3,
    Billing = 4,
    OnDemand = 5,
    LoadProfile = 6,
    /// Gas, water, heat and all else heard over Wireless M-Bus.
    MBus = 7,
    /// Telegrams nobody could decode yet.
    Raw = 8,
}

impl Lane {
    pub const ALL: [Self; 9] = [
        Self::Outage,
        Self::Security,
        Self::PowerQuality,
        Self::Information,
        Self::Billing,
        Self::OnDemand,
        Self::LoadProfile,
        Self::MBus,
        Self::Raw,
    ];

    /// The name in topics, configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outage => "p0",
            Self::Security => "p1",
            Self::PowerQuality => "p2",
            Self::Information => "p3",
            Self::Billing => "billing",
            Self::OnDemand => "on-demand",
            Self::LoadProfile => "load-profile",
            Self::MBus => "mbus",
            Self::Raw => "raw",
        }
    }

    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Outage),
            1 => Some(Self::Security),
            2 => Some(Self::PowerQuality),
            3 => Some(Self::Information),
            4 => Some(Self::Billing),
            5 => Some(Self::OnDemand),
            6 => Some(Self::LoadProfile),
            7 => Some(Self::MBus),
            8 => Some(Self::Raw),
            _ => None,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One life of a store: 64 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
