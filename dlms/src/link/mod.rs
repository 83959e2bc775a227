//! What carries APDUs: TCP/UDP wrapper, HDLC, the logical link of IEC 61334-4-32.
//!
//! A link is one side of one conversation, a state machine. It knows nothing of what the APDUs say.

pub mod hdlc;
pub mod llc432;
pub mod wrapper;

use std::fmt;
use std::time::Instant;

use crate::Reject;

/// One side of a link. After each mutation drain `poll_transmit` and `poll_event`, then wait until `poll_timeout`.
pub trait Link: fmt::Debug + Send {
    /// Begins to open, and forgets whatever was to be sent; `Opened` or `Failed` follows.
    fn open(&mut self, now: Instant);
    /// Begins to close; `Closed` follows.
    fn close(&mut self, now: Instant);
    /// Takes an APDU to be sent, while the link is open.
    fn send(&mut self, apdu: &[u8], now: Instant);
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant);
    fn handle_timeout(&mut self, _now: Instant) {}
    /// None for a link that waits for nothing.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn poll_transmit(&mut self) -> Option<Vec<u8>>;
    fn poll_event(&mut self) -> Option<LinkEvent>;
    /// The other side is expected to say something: links that poll then do.
    fn expect_answer(&mut self, _is_expected: bool, _now: Instant) {}
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    Opened,
    /// By either side.
    Closed,
    Apdu(Vec<u8>),
    /// A part of an APDU has come, or has gone: the other side is there, and more will follow.
    Progress,
    /// Octets that were not taken. The link goes on.
    Rejected(Reject),
    /// The link is closed now.
    Failed(LinkFailure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkFailure {
    /// The other side was asked as often as is allowed.
    NoAnswer,
    /// What carries the octets is gone: a connection, a port.
    TransportLost,
    /// HDLC DM: the other side is not, or no longer, connected.
    Disconnected,
    /// HDLC FRMR: the other side cannot take a frame.
    FrameRejected,
}

impl fmt::Display for LinkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswer => "no answer",
            Self::TransportLost => "connection lost",
            Self::Disconnected => "disconnected",
            Self::FrameRejected => "frame rejected",
        })
    }
}
