//! What a modem says, and why it is lost.

use std::fmt;

use super::{Answer, Counters, Delivery, Generation, Refusal, Ticket};
use crate::g3::adp::{Address, Message};
use crate::{Eui64, Octets};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Make these durable, then call `Modem::reserved` with them; the next life begins with them.
    Reserve(Counters),
    /// The network runs.
    Up(Generation),
    /// The modem is lost and is being started again; said once until it is up, or twice where it was asked for first.
    Down(Cause),
    /// The modem does without something that it was told at its start.
    NotTaken {
        request: &'static str,
        refusal: Refusal,
    },
    /// A packet from the network.
    Data {
        nsdu: Octets,
        lqi: u8,
    },
    /// What became of a data message.
    Sent(Ticket, Delivery),
    /// What became of a request.
    Answered(Ticket, Result<Answer, Refusal>),
    /// An LBP message; the source is FFFF where the joining device was heard directly.
    Lbp {
        source: u16,
        pdu: Octets,
        lqi: u8,
    },
    /// What became of an LBP message.
    LbpSent(Ticket, Delivery),
    /// Somebody asks the bootstrap server in the modem for admission.
    JoinRequest(Eui64),
    /// The bootstrap server in the modem has finished with somebody: a join, or a step of a rekey.
    JoinComplete {
        eui64: Eui64,
        short_addr: u16,
    },
    Left {
        short_addr: u16,
    },
    /// A frame of another network was heard; the same number is a conflict.
    ForeignPan {
        pan_id: u16,
        source: Address,
    },
    /// A beacon that was heard in a discovery.
    Beacon {
        pan_id: u16,
        lba: u16,
        lqi: u8,
        rc_coord: u16,
    },
    /// A packet found no way: its destination, and the neighbour that should have taken it.
    RouteNotFound {
        source: u16,
        destination: u16,
        next_hop: u16,
    },
    /// A status of the network that is nothing of the above.
    NetworkStatus(Message),
}

/// Why the modem is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No answer to this request, repetitions included.
    Mute(&'static str),
    /// The same, while octets came that were no frames.
    Strange(&'static str),
    /// It lost its state, as after a loss of power.
    Reset,
    /// It does not take what it must take.
    Refused { request: &'static str, refusal: Refusal },
    /// No frame counter is left: new keys are needed.
    CountersExhausted,
    /// Its bootstrap server is elsewhere than it was taken to be.
    OtherGeneration,
    /// It was asked for, as for another PAN id.
    Asked,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mute(request) => write!(f, "no answer to {request}"),
            Self::Strange(request) => write!(
                f,
                "no answer to {request}: octets come that are no frames; is the rate another one, or the device?"
            ),
            Self::Reset => f.write_str("modem was reset"),
            Self::Refused { request, refusal } => write!(f, "{request} refused: {refusal}"),
            Self::CountersExhausted => f.write_str("no frame counter is left"),
            Self::OtherGeneration => f.write_str("bootstrap server of the modem is elsewhere than was thought"),
            Self::Asked => f.write_str("restart was asked for"),
        }
    }
}
