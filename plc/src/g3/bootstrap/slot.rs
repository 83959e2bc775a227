//! One conversation of the bootstrap server with one node.

use std::time::Instant;

use super::campaign::Task;
use crate::Key;
use crate::g3::adp::Address;
use crate::g3::lbp::{Media, psk};
use crate::g3::modem::Ticket;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) purpose: Purpose,
    pub(super) stage: Stage,
    pub(super) short_addr: u16,
    /// The generation of the key that it hands over.
    pub(super) generation: u32,
    pub(super) psk: Key,
    /// On the host only.
    pub(super) conversation: Option<psk::Server>,
    /// Where its messages go.
    pub(super) destination: Address,
    pub(super) media: Media,
    /// The message that waits for its answer, to be sent again.
    pub(super) message: Vec<u8>,
    /// It is on its way.
    pub(super) ticket: Option<Ticket>,
    pub(super) tries: u32,
    pub(super) since: Instant,
    pub(super) due: Instant,
}

impl Slot {
    /// The server in the modem admits it.
    pub(super) fn is_delegated_join(&self) -> bool {
        self.stage == Stage::Delegated && self.purpose == Purpose::Join
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Join,
    Rekey(Task),
}

/// What the server waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Message 2.
    Second,
    /// That the node's address is durable.
    Durable,
    /// Message 4.
    Fourth,
    /// That the last word has left.
    Accepted,
    /// The server in the modem.
    Delegated,
}

/// Somebody for whom there was no slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) source: u16,
    pub(super) media: Media,
    pub(super) until: Instant,
}
