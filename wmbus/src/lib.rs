//! Wireless M-Bus: EN 13757-3, -4 and -7 with the OMS profiles, and the serial framings of receivers.
//!
//! The room turns octets into telegrams and back. It opens nothing, reads no clock and draws no random number.
//! [`Telegram::decode`] is the door in, [`sim`] the mirror image that builds telegrams.
#![forbid(unsafe_code)]

pub mod address;
pub mod afl;
pub mod application;
pub mod ell;
pub mod format;
pub mod gateway;
pub mod key;
pub mod link;
pub mod receiver;
pub mod record;
pub mod reject;
mod security;
pub mod sim;
pub mod spec;
pub mod telegram;
pub mod tpl;
pub mod vendor;
pub mod wize;

pub use address::{Address, Maker};
pub use format::{Format, Formats};
pub use key::{Key, Keys, NoKeys};
pub use link::{Form, Link};
pub use reject::Reject;
pub use telegram::{Scratch, Security, SecurityMode, Telegram, Verdict};
