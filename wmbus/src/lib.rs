//! Wireless M-Bus: EN 13757-3, -4 and -7 with the OMS profiles, and the serial framings of receivers.
//!
//! The room turns octets into telegrams and back. It opens nothing, reads no clock and draws no random number.
#![forbid(unsafe_code)]

pub mod receiver;
pub mod sim;
