//! The vocabulary of the diagnostics socket: one JSON object a line, requests one way, answers and streams the other.
//!
//! A client sends one [`Ask`] and reads one [`Answer`], or, after a request for a stream, answers until it hangs up.
//! Nothing here opens a socket. Snapshots carry facts; what they mean is decided by [`Status::verdict`] alone.

mod buffer;
mod channel;
mod handover;
pub mod left;
mod mesh;
mod meters;
mod orders;
mod routes;
mod status;
mod tasks;
mod topology;
mod verdict;

use serde::{Deserialize, Serialize};

pub use buffer::{BufferStat, BufferVerify, CommitLine, LaneStat, Range};
pub use channel::{ChannelAsk, ChannelCard, MbusKey, Valve};
pub use handover::Handover;
pub use mesh::{
    ImportPart, MeshAsk, MeshSaid, MeshState, MeshStatus, NodeLine, NodePresence, NodeSecret, OutageLine, ParentLine,
};
pub use meters::{
    BehindCard, ElectricityCard, ElectricityTask, Found, Heard, HeardDay, MeterCard, MeterLine, ReadingLine,
    TelegramLine, find,
};
pub use orders::OrderLine;
pub use routes::{
    AlternateLine, BranchLine, ChangeLine, HopLine, PathLine, PollCounts, RouteCounts, RouteHistory, RouteLine,
    StaysLine,
};
pub use status::{
    Alarm, MeterCounts, Process, ReceiverState, ReceiverStatus, Severity, Status, TimeStatus, UplinkStatus,
};
pub use tasks::{Collection, Pushes, Share, TaskCard, TaskDay, TaskLine, TaskMeter, TaskObject};
pub use topology::{COST_MARGIN, LQI_MARGIN, LinkQuality, ParentFrom, Silence, Topology, TopologyNode};
pub use verdict::Verdict;

/// Raised when an old client would misread an answer. New keys alone do not raise it.
pub const VERSION: u16 = 1;

/// A request's line is not longer, in octets.
pub const REQUEST_LIMIT: usize = 4 << 10;

/// An answer's line is not longer, in octets.
pub const ANSWER_LIMIT: usize = 16 << 20;

/// What a client sends: `{"version":1,"request":"meter","id":"KAM-12345678-1b-16"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub version: u16,
    #[serde(flatten)]
    pub request: Request,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    Status,
    /// All known meters.
    Meters,
    /// One meter by its full identity, as [`MeterLine::id`] has it.
    Meter {
        id: String,
    },
    BufferStat,
    /// Reads everything that is stored; takes a while.
    BufferVerify,
    Uplink,
    /// Gives a meter, by its full identity, a command.
    Order {
        meter: String,
        /// `close-valve` and so on.
        action: String,
        expires_s: u64,
    },
    /// All commands that wait, and the last that are over.
    Orders,
    CancelOrder {
        order: u64,
    },
    /// Binds a meter when it asks for it, or does not any more.
    Bind {
        meter: String,
        wanted: bool,
    },
    /// Meters that will be bound.
    ToBind,
    /// Another electricity meter measures in the place of one; both by their full identity. The answer is the card of
    /// the old one, which is asked for its registers first.
    Replace {
        old: String,
        new: String,
    },
    /// An electricity meter is read no more.
    Remove {
        meter: String,
    },
    /// An electricity meter that was removed or replaced is read again.
    Restore {
        meter: String,
    },
    /// An electricity meter is read no more, and the answer says how far it was.
    HandOver {
        meter: String,
    },
    /// An electricity meter is read from where another unit ended.
    TakeOver {
        handover: Handover,
    },
    /// Something of an M-Bus channel of an electricity meter, by its full identity.
    Channel {
        meter: String,
        channel: u8,
        #[serde(flatten)]
        ask: ChannelAsk,
    },
    /// What is read of electricity meters.
    Tasks,
    /// One of these tasks.
    Task {
        id: String,
    },
    /// The names of all mesh networks.
    Networks,
    /// Something of one network.
    Mesh {
        network: String,
        #[serde(flatten)]
        ask: MeshAsk,
    },
    /// A stream, from now on.
    Follow {
        stream: Stream,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Every telegram as it is heard, decoded or not.
    Telegrams,
    /// What became durable: a reading in it survives any kill and any power cut.
    Commits,
}

/// What the service sends: `{"version":1,"now_ms":1760000000000,"answer":"status",…}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub version: u16,
    /// The unit's clock, by which it dates what it says. Items of a stream have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now_ms: Option<i64>,
    #[serde(flatten)]
    pub reply: Reply,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Reply {
    Status(Box<Status>),
    Meters {
        meters: Vec<MeterLine>,
    },
    Meter(Box<MeterCard>),
    BufferStat(BufferStat),
    BufferVerify(BufferVerify),
    Uplink(UplinkStatus),
    Orders {
        orders: Vec<OrderLine>,
    },
    ToBind {
        meters: Vec<String>,
    },
    Tasks {
        tasks: Vec<TaskLine>,
    },
    Task(Box<TaskCard>),
    Channel(ChannelCard),
    Handover(Handover),
    Networks {
        networks: Vec<String>,
    },
    Mesh(MeshSaid),
    /// The stream was begun: whatever happens from now on is sent.
    Following {
        stream: Stream,
    },
    Telegram(Box<TelegramLine>),
    Commit(CommitLine),
    /// The client read too slowly: so many items of its stream were dropped.
    Missed {
        count: u64,
    },
    Refused(Refusal),
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// Not JSON, too long, or not in the vocabulary.
    Malformed,
    NotFound,
    NotPermitted,
    /// Too many clients, or the service is starting or stopping.
    Busy,
    Failed,
    /// No answer in time: it may have been done, or not.
    TimedOut,
}

impl Ask {
    pub const fn new(request: Request) -> Self {
        Self { version: VERSION, request }
    }
}

impl Request {
    /// How what was asked stands when no answer comes in time, where it goes on by itself.
    pub fn late(&self) -> Option<String> {
        match self {
            Self::HandOver { meter } => {
                Some(format!("the hand-over is still under way, ask again with `dcu meter hand-over {meter}`"))
            }
            Self::Channel { meter, channel, ask: ChannelAsk::Show } => {
                Some(format!("the meter is still being asked, ask again with `dcu meter channel {meter} {channel}`"))
            }
            Self::Channel { meter, channel, .. } => Some(format!(
                "the order is still under way and may yet be done, ask what became of it with `dcu meter channel {meter} {channel}`"
            )),
            _ => None,
        }
    }
}

impl Answer {
    pub const fn new(reply: Reply) -> Self {
        Self { version: VERSION, now_ms: None, reply }
    }

    pub const fn at(now_ms: i64, reply: Reply) -> Self {
        Self { version: VERSION, now_ms: Some(now_ms), reply }
    }
}

impl Refusal {
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[cfg(test)]
pub(crate) mod tests;
