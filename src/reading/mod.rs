//! Readings: one quantity of one meter, as the meter said it. Nothing here edits or estimates a value.
//!
//! Integer and scaler stay as they were sent; a meter's own floats stay bit-exact. Meter time and reception time
//! are two things and never mixed.

mod event;
mod event_table;
pub mod from_cosem;
pub mod from_wmbus;
mod gather;
mod group;
mod m_bus;
mod mark;
mod meter;
mod obis;
mod pattern;
mod period;
pub mod policy;
mod quality;
pub mod raw;
mod reading_types;
mod rows;
mod time;
mod unit;
mod value;
mod way;

use std::sync::Arc;

pub use event::{EndDeviceEventType, Event, EventKind, LaneHead, MeterEvent, NotEventType};
pub use event_table::{EventTable, NotEventTable};
pub use gather::{Gather, Gathered};
pub use group::{Group, Groups, Period, Rule, UnmarkedGas};
pub use m_bus::meter_id;
pub use mark::Mark;
pub use meter::{Manufacturer, MeterId, NotMeterId};
pub use obis::{NotObis, Obis, ObisPattern};
pub use pattern::{MeterPattern, NotPattern, Shape};
pub use period::stored_at;
pub use policy::{Selected, Selector};
pub use quality::{Quality, Security};
pub use raw::{RawCounters, RawGate, RawLimits, RawVerdict};
pub use reading_types::{NotReadingTypes, ReadingTypes};
pub use time::{CivilDate, CivilTime, ClockStatus, MeterTime, Received, TimeQuality};
pub use unit::Unit;
pub use way::{Standing, Way};

/// One quantity of one meter at one time.
///
/// Everything that is the same for all readings of one telegram or one APDU is in `source`, shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub source: Arc<Source>,
    pub register: Register,
    pub value: Value,
    /// The end of the measuring interval and its length in seconds, where the value has one. A current value in a
    /// snapshot has the hour or quarter it stands for, with length 0; its age then is the time since its reception.
    pub interval: Option<Interval>,
    pub quality: Quality,
}

/// Where and how readings came in together.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub meter: MeterId,
    pub origin: Origin,
    pub path: Path,
    /// Beside what comes the other way, where there are two.
    pub standing: Standing,
    /// The meter's clock as the meter said it, where the telegram has one.
    pub meter_time: Option<MeterTime>,
    pub received: Received,
    /// Raw status octets: application status for M-Bus, profile status for COSEM.
    pub status: Vec<u8>,
    /// Every receiver that heard it, best first.
    pub links: Vec<Link>,
    /// Radio hops between meter and receiver, where the link layer tells.
    pub hops: Option<u8>,
    pub security: Security,
    /// The access number or counter the meter sent with it.
    pub access_number: Option<u32>,
    /// The protected original telegram or APDU, where the meter's group asks for it.
    pub evidence: Option<Vec<u8>>,
}

/// What is measured, apart from the value: the columns of a meter's register table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register {
    /// None where the standards give no code; `quantity` then tells.
    pub obis: Option<Obis>,
    /// The name of the quantity in words of the standard, snake case: `volume`, `flow_temperature`.
    pub quantity: Quantity,
    pub unit: Unit,
    pub function: Function,
    pub storage: u32,
    pub tariff: u32,
    pub subunit: u16,
    /// What orthogonal VIFEs add to the quantity, in words of the standard, `,` between them; mostly empty.
    pub modifier: Arc<str>,
}

/// The name of a quantity. One spelling for one thing; the table is the converter's.
pub type Quantity = std::borrow::Cow<'static, str>;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `mantissa` times ten to the power of `scaler`.
    Decimal {
        mantissa: i64,
        scaler: i8,
    },
    /// The meter's own 32 bit real, bit-exact, times ten to the power of `scaler`.
    Float32 {
        bits: u32,
        scaler: i8,
    },
    /// The meter's own 64 bit real, bit-exact, times ten to the power of `scaler`.
    Float64 {
        bits: u64,
        scaler: i8,
    },
    Date(CivilDate),
    DateTime(CivilTime),
    Text(Arc<str>),
    /// Flags and containers.
    Octets(Arc<[u8]>),
    /// The meter says that it has none; `quality` says why.
    None,
}

/// The function field of EN 13757-3, and the attribute's meaning in COSEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    Instantaneous,
    Maximum,
    Minimum,
    Error,
}

impl Function {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instantaneous => "instantaneous",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// End of the interval, seconds since 1970 UTC.
    pub end_utc: i64,
    pub length_s: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Profile,
    Spontaneous,
    OnDemand,
    Snapshot,
    Billing,
}

impl Origin {
    /// All of them, with their names in files.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("profile", Self::Profile),
        ("spontaneous", Self::Spontaneous),
        ("on-demand", Self::OnDemand),
        ("snapshot", Self::Snapshot),
        ("billing", Self::Billing),
    ];

    /// The word in output.
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    Direct,
    /// Read through the M-Bus channel of an electricity meter.
    Behind(MeterId),
}

/// How one receiver heard the telegram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The receiver's name in the configuration.
    pub receiver: Arc<str>,
    pub rssi_dbm: Option<i16>,
    pub lqi: Option<u8>,
}

/// A telegram that could not be decrypted or decoded, kept as it came; and all that a Wize device sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTelegram {
    /// The link address, where at least that could be read.
    pub meter: Option<MeterId>,
    pub received: Received,
    pub links: Vec<Link>,
    /// Why it is here: `no_key`, `wrong_key`, `unsupported` and so on; of a Wize frame, the verdict.
    pub reason: Security,
    /// The frame without link layer CRCs, L field first.
    pub octets: Vec<u8>,
    pub wize: Option<Wize>,
}

/// What a Wize frame says of itself. Its payload is the head-end's, sealed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wize {
    pub network: u8,
    pub counter: u16,
    pub application: u8,
    /// The number of Kenc; 0 where the device did not encrypt.
    pub key: u8,
    /// By the key of the network.
    pub is_authenticated: bool,
    pub timestamp: u16,
    /// L7, in the clear where `is_open`.
    pub payload: Vec<u8>,
    pub is_open: bool,
}
