//! DLMS/COSEM client and meter emulator: A-XDR data and APDUs (IEC 62056-5-3), COSEM objects (IEC 62056-6-2).
//!
//! The room turns octets into APDUs and back and keeps protocol state. It opens nothing, reads no clock and draws no
//! random number.
#![forbid(unsafe_code)]

pub mod acse;
pub mod apdu;
mod block_transfer;
pub mod client;
pub mod cosem;
pub mod data;
pub mod gateway;
pub mod link;
pub mod obis;
pub mod push;
pub mod reject;
pub mod security;
pub mod sim;
pub mod spec;
pub mod time;

pub use apdu::Apdu;
pub use client::Client;
pub use data::Data;
pub use obis::Obis;
pub use reject::Reject;
pub use time::DateTime;

/// Where a test's own clock begins.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
pub(crate) fn start() -> std::time::Instant {
    std::time::Instant::now()
}
