//! `[electricity]`: channels, meters with their associations, and what is read of them when.

mod read;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dlms::security::Form;
use dlms::time::DeviationSign;
use jiff::tz::TimeZone;
use plc::Eui64;

pub(super) use read::electricity;

use crate::reading::{EventTable, Obis};
use crate::schedule::{Discipline, Grid, Priority, Window};

/// `[electricity]`: meters that are read over DLMS.
#[derive(Debug, Clone, PartialEq)]
pub struct Electricity {
    /// The file of passwords and keys.
    pub keys: Option<PathBuf>,
    /// The unit's own name in ciphering.
    pub system_title: Option<[u8; 8]>,
    /// A meter that does not answer so often in a row is called unreachable.
    pub retries: u32,
    /// `[[electricity.channel]]`; names are unique.
    pub channels: Vec<Channel>,
    /// `[[electricity.meter]]`; identities are unique.
    pub meters: Vec<Meter>,
    /// `[[electricity.task]]`; ids are unique.
    pub tasks: Vec<Task>,
    /// `[electricity.push]`; without it nobody is listened to.
    pub push: Option<Push>,
    /// What codes in the meters' logs mean.
    pub events: Arc<EventTable>,
}

/// `[electricity.push]`: where meters send what they send unasked; `ADDRESS:PORT`. At least one is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    pub tcp: Option<String>,
    pub udp: Option<String>,
}

/// `[[electricity.channel]]`: a medium that meters are reached over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    pub name: String,
    pub link: Link,
    /// None: each meter has an address of its own.
    pub place: Option<Place>,
    /// Exchanges at once.
    pub at_once: u32,
    /// From a request to its answer, or to the next block of it.
    pub timeout: Duration,
    /// Octets of information in one HDLC frame.
    pub frame_size: u16,
}

/// What carries APDUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// IEC 62056-47.
    Wrapper,
    /// IEC 62056-46.
    Hdlc,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The unit connects; `HOST:PORT`.
    Tcp(String),
    /// Datagrams to and from `HOST:PORT`.
    Udp(String),
    Serial {
        path: PathBuf,
        baud: u32,
    },
    /// Nodes of the `[[plc]]` network of this name.
    Plc(String),
}

/// `[[electricity.meter]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Meter {
    /// Its system title.
    pub id: [u8; 8],
    /// The place of its channel in [`Electricity::channels`].
    pub channel: usize,
    /// Its own address, TCP or UDP, where the channel has none or another one.
    pub place: Option<Place>,
    /// The node of a PLC network that it is behind.
    pub node: Option<Eui64>,
    pub group: Option<String>,
    pub manner: Manner,
}

/// How a meter is spoken with, and how its clock is read. Said of a meter, of its group, or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Manner {
    /// Client and server address, on the wrapper its ports.
    pub client: u16,
    pub server: u16,
    /// The physical device in its HDLC address.
    pub physical: Option<u16>,
    pub authentication: Authentication,
    /// Bits of the security control octet: authentication, encryption.
    pub security: u8,
    pub suite: u8,
    /// Which key protects, and in which form.
    pub ciphering: Form,
    /// Requests are signed, and answers have to be.
    pub is_signed: bool,
    /// The meter starts its invocation counter anew in every association.
    pub counter_restarts: bool,
    /// Where the public client reads the invocation counter that the meter has had.
    pub counter: Option<Obis>,
    /// None: times without a deviation are not converted.
    pub clock: Option<TimeZone>,
    pub deviation: DeviationSign,
    pub profile_status: ProfileStatus,
    /// What a push has in it, in this order; empty where a push says it itself.
    pub push_objects: Vec<dlms::apdu::Attribute>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    None,
    Lls,
    Md5,
    Sha1,
    Sha256,
    Gmac,
    /// Signatures of suite 1 or 2.
    Ecdsa,
}

/// What the bits of a profile's status octet mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileStatus {
    /// Nobody knows: it is kept as it is.
    Raw,
    Idis,
}

/// `[[electricity.task]]`: what is read again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub id: String,
    pub what: What,
    /// Groups whose meters it is for; empty means all.
    pub groups: Vec<String>,
    pub grid: Grid,
    pub priority: Priority,
    pub window: Option<Window>,
    pub delay: Duration,
    pub spread: Duration,
    /// Slots of one request.
    pub at_once: u32,
    /// Slots that are filled in later, at most.
    pub back: u32,
    /// Slots before its first reading that a new meter is asked for.
    pub history: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Rows of a profile, one a slot.
    Profile(Obis),
    /// Rows of a log, whenever they were written.
    Events(Obis),
    /// What registers say when they are asked: class and name.
    Registers(Vec<(u16, Obis)>),
    /// How far the clock is off, and what is done about it.
    Clock(Discipline),
}

impl Default for Electricity {
    fn default() -> Self {
        Self {
            keys: None,
            system_title: None,
            retries: 3,
            channels: Vec::new(),
            meters: Vec::new(),
            tasks: Vec::new(),
            push: None,
            events: Arc::default(),
        }
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            client: 1,
            server: 1,
            physical: None,
            authentication: Authentication::None,
            security: 0,
            suite: 0,
            ciphering: Form::Global,
            is_signed: false,
            counter_restarts: false,
            counter: None,
            clock: None,
            deviation: DeviationSign::Dlms,
            profile_status: ProfileStatus::Idis,
            push_objects: Vec::new(),
        }
    }
}

impl Meter {
    /// Where it is reached: at its own address, or through its channel.
    pub fn place<'a>(&'a self, channel: &'a Channel) -> Option<&'a Place> {
        self.place.as_ref().or(channel.place.as_ref())
    }
}

impl Manner {
    /// Whether symmetric keys are needed.
    pub fn is_ciphered(&self) -> bool {
        self.security != 0 || self.authentication == Authentication::Gmac
    }

    /// Whether keys of signatures are needed.
    pub fn has_signatures(&self) -> bool {
        self.is_signed || self.authentication == Authentication::Ecdsa
    }
}

impl What {
    /// The word of the configuration.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Profile(_) => "profile",
            Self::Events(_) => "events",
            Self::Registers(_) => "registers",
            Self::Clock(_) => "clock",
        }
    }
}
