//! What is said of a Wize frame: its header, and L7 as far as it is open to us.

use std::fmt;

use serde::Serialize;
use wmbus::wize::{Header, Trailer};
use wmbus::{Telegram, Verdict};

#[derive(Debug, Serialize)]
pub(super) struct Wize {
    kind: &'static str,
    network: u8,
    counter: u16,
    application: u8,
    /// The number of Kenc; 0 where L7 was not encrypted.
    key: u8,
    /// The lowest 16 bits of the seconds when it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u16>,
    /// Of an answer to a ping: seconds since 2013.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u32>,
    /// L7 in the clear, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// L7 as it was sent, where it is not for us to open.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

impl Wize {
    pub(super) fn of(telegram: &Telegram<'_>, verdict: Verdict) -> Option<Self> {
        let Header { network, counter, application, key, trailer, .. } = telegram.wize?;
        let (timestamp, epoch) = match trailer {
            Trailer::Exchange { timestamp, .. } => (Some(timestamp), None),
            Trailer::Pong { epoch, .. } => (None, Some(epoch)),
        };
        let l7 = Some(hex::encode(telegram.application));
        let (payload, sealed) = if verdict == Verdict::Ok { (l7, None) } else { (None, l7) };
        let kind = Header::kind(telegram.link.c_field());
        Some(Self { kind, network, counter, application, key, timestamp, epoch, payload, sealed })
    }
}

impl fmt::Display for Wize {
    /// `wize DATA network 9 counter 258 application fe key 1: payload 696e..`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, network, counter, application, key, .. } = self;
        write!(f, "wize {kind} network {network} counter {counter} application {application:02x} key {key}")?;
        if let Some(payload) = &self.payload {
            write!(f, ": payload {payload}")?;
        }
        if let Some(sealed) = &self.sealed {
            write!(f, ": sealed {sealed}")?;
        }
        Ok(())
    }
}
