//! What a meter keeps of one client.

use crate::apdu::{Attribute, Method};
use crate::block_transfer::{BlockReceiver, BlockSender};
use crate::security::{Ciphering, Form, ReceivedCounter, SecurityControl};
use crate::spec::Conformance;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) stage: Stage,
    pub(super) conformance: Conformance,
    /// The longest APDU that the client takes.
    pub(super) client_pdu: usize,
    pub(super) ciphering: Option<Ciphering>,
    /// Requests have to be protected.
    pub(super) is_protected: bool,
    /// How the request was protected: the answer is the same way.
    pub(super) mirror: Option<(Form, SecurityControl)>,
    pub(super) received_dedicated: ReceivedCounter,
    pub(super) long: Option<Long>,
    pub(super) blocks_in: Option<BlockReceiver>,
    pub(super) blocks_out: Option<BlockSender>,
    /// The last general block of the request.
    pub(super) last_block: u16,
    /// Requests that were answered.
    pub(super) answered: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    /// HLS: the client's proof is waited for.
    Pending {
        client_challenge: Vec<u8>,
        meter_challenge: Vec<u8>,
    },
    Associated,
}

/// A service that goes on over several APDUs.
#[derive(Debug)]
pub(super) enum Long {
    /// An answer in blocks: what is left of it starts at `sent`.
    Answer {
        octets: Vec<u8>,
        sent: usize,
        number: u32,
    },
    Set {
        list: Vec<Attribute>,
        is_list: bool,
        octets: Vec<u8>,
        number: u32,
    },
    Action {
        list: Vec<Method>,
        is_list: bool,
        octets: Vec<u8>,
        number: u32,
    },
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Idle,
            conformance: Conformance(0),
            client_pdu: usize::from(u16::MAX),
            ciphering: None,
            is_protected: false,
            mirror: None,
            received_dedicated: ReceivedCounter::default(),
            long: None,
            blocks_in: None,
            blocks_out: None,
            last_block: 0,
            answered: 0,
        }
    }
}
