//! What happened, as opposed to what was measured: a record like a reading, in a lane of its urgency.

use std::fmt;
use std::str::FromStr;

use super::{MeterId, MeterTime, Obis, Received};

/// Something a meter or the unit itself reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub received: Received,
    /// The meter it is about; None where it is about the unit.
    pub meter: Option<MeterId>,
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A store began: what was before it, and why.
    EpochStarted { previous: Option<u64>, heads: Vec<LaneHead>, reason: String },
    /// Records that were evicted before the head-end acknowledged them.
    Gap { epoch: u64, lane: u8, first: u64, last: u64, reason: String, hash: [u8; 32] },
    /// The first synchronisation of a boot: dates all records of that boot.
    TimeAnchor { boot_id: [u8; 16], boot_ms: u64, utc_ms: i64 },
    /// An acknowledgement that was refused, and why.
    AckRefused { lane: u8, first: u64, last: u64, reason: String },
    /// The meter's status octet changed.
    StatusChanged { previous: u8, current: u8 },
    /// What a meter wrote into one of its logs, or pushed.
    Meter(MeterEvent),
    /// Something the unit must tell that has no variant of its own; `code` is stable and documented.
    Unit { code: String, detail: String },
}

/// One entry of a meter's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterEvent {
    /// The log: `0-0:99.98.0*255`. A code of one log means something else in another one.
    pub log: Obis,
    /// The meter's own number.
    pub code: u32,
    /// None where the table of events has none.
    pub event_type: Option<EndDeviceEventType>,
    /// The table's name for it; may be empty.
    pub name: String,
    /// It came unasked, and is not a row of the log.
    pub is_pushed: bool,
    pub time: Option<MeterTime>,
}

/// IEC 61968-9: type, domain, subdomain, event or action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndDeviceEventType(pub [u16; 4]);

/// What is no end device event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an end device event type is written like 3.26.0.47")]
pub struct NotEventType;

impl fmt::Display for EndDeviceEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([kind, domain, subdomain, action]) = self;
        write!(f, "{kind}.{domain}.{subdomain}.{action}")
    }
}

impl FromStr for EndDeviceEventType {
    type Err = NotEventType;

    fn from_str(text: &str) -> Result<Self, NotEventType> {
        let mut parts = text.split('.').map(|part| {
            let is_number = part.bytes().all(|octet| octet.is_ascii_digit());
            part.parse().ok().filter(|_| is_number).ok_or(NotEventType)
        });
        let mut next = || parts.next().unwrap_or(Err(NotEventType));
        let all = [next()?, next()?, next()?, next()?];
        if parts.next().is_none() { Ok(Self(all)) } else { Err(NotEventType) }
    }
}

/// The last record of a lane and the hash of the batch that ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneHead {
    pub lane: u8,
    pub last: u64,
    pub hash: [u8; 32],
}
