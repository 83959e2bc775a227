//! `[electricity]`: channels, meters with their associations, and what is read of them when.

mod read;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dlms::security::Form;
use dlms::time::DeviationSign;
use jiff::tz::TimeZone;
use plc::Eui64;

pub(super) use read::{DEVIATIONS, STATUSES, companion_tasks, electricity, obis};

use super::Companion;
use crate::reading::{EventTable, Obis};
use crate::schedule::{Discipline, Grid, Priority, Window};

/// `[electricity]`: meters that are read over DLMS.
#[derive(Debug, Clone, PartialEq)]
pub struct Electricity {
    /// The file of passwords and keys.
    pub keys: Option<PathBuf>,
    /// Public keys of units from which meters are taken over, in the form of `uplink.trust`.
    pub peers: Option<PathBuf>,
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
    /// What codes in the meters' logs mean, of meters without a companion profile.
    pub events: Arc<EventTable>,
    /// And of those with one, by its name.
    pub companion_events: Vec<(String, Arc<EventTable>)>,
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
    /// Another unit has read it: it is read here when that one has handed it over.
    pub is_handed_over: bool,
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
    /// That address has four octets, even where fewer would do.
    pub is_wide: bool,
    pub authentication: Authentication,
    /// Bits of the security control octet: authentication, encryption.
    pub security: u8,
    pub suite: u8,
    /// Which key protects, and in which form.
    pub ciphering: Form,
    /// Requests are signed, and answers have to be.
    pub is_signed: bool,
    /// General block transfer is offered.
    pub has_general_blocks: bool,
    /// The meter starts its invocation counter anew in every association.
    pub counter_restarts: bool,
    /// An association with a meter behind a mesh stays open for so long while nobody speaks; zero: it is ended at once.
    pub keep_open: Duration,
    /// Where the public client reads the invocation counter that the meter has had.
    pub counter: Option<Obis>,
    /// None: times without a deviation are not converted.
    pub clock: Option<TimeZone>,
    pub deviation: DeviationSign,
    pub profile_status: ProfileStatus,
    /// The companion profile that the meter follows.
    pub companion: Option<Arc<Companion>>,
    /// Which of its tasks; None is those that are not optional.
    pub reads: Option<Arc<[String]>>,
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
    /// The companion profile that it comes from: it is for meters that follow it.
    pub companion: Option<String>,
    /// Of such a task: only who asks for it by `reads` has it.
    pub is_optional: bool,
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
            peers: None,
            system_title: None,
            retries: 3,
            channels: Vec::new(),
            meters: Vec::new(),
            tasks: Vec::new(),
            push: None,
            events: Arc::default(),
            companion_events: Vec::new(),
        }
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            client: 1,
            server: 1,
            physical: None,
            is_wide: false,
            authentication: Authentication::None,
            security: 0,
            suite: 0,
            ciphering: Form::Global,
            is_signed: false,
            has_general_blocks: false,
            counter_restarts: false,
            keep_open: Duration::from_secs(120),
            counter: None,
            clock: None,
            deviation: DeviationSign::Dlms,
            profile_status: ProfileStatus::Idis,
            companion: None,
            reads: None,
            push_objects: Vec::new(),
        }
    }
}

impl Electricity {
    /// What the codes in this meter's logs mean.
    pub fn events_of(&self, meter: &Meter) -> &Arc<EventTable> {
        let companion = meter.manner.companion.as_ref();
        let own = companion.and_then(|it| self.companion_events.iter().find(|(name, _)| *name == it.name));
        own.map_or(&self.events, |(_, table)| table)
    }
}

impl Task {
    /// Whether a meter takes part.
    pub fn is_for(&self, meter: &Meter) -> bool {
        let is_member = self.groups.is_empty() || meter.group.as_ref().is_some_and(|group| self.groups.contains(group));
        let Some(name) = &self.companion else { return is_member };
        let follows = meter.manner.companion.as_ref().is_some_and(|companion| companion.name == *name);
        let own = self.id.strip_prefix(name.as_str()).and_then(|id| id.strip_prefix('.')).unwrap_or(&self.id);
        let is_wanted = meter.manner.reads.as_ref().map_or(!self.is_optional, |reads| reads.iter().any(|id| id == own));
        is_member && follows && is_wanted
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
    /// Classes and names of what is read.
    pub fn objects(&self) -> Vec<(u16, Obis)> {
        match self {
            Self::Profile(object) | Self::Events(object) => vec![(dlms::cosem::class::PROFILE_GENERIC, *object)],
            Self::Registers(objects) => objects.clone(),
            Self::Clock(_) => vec![(dlms::cosem::class::CLOCK, Obis([0, 0, 1, 0, 0, 255]))],
        }
    }

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
