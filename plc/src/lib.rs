//! PLC and RF mesh networks: G3-PLC, their modems' serial framings and the bootstrap server.
//!
//! The room is kept free of I/O, clocks and random numbers, and carries opaque payloads only. [`usi`] is the framing of
//! the serial line, [`g3`] what is said over it, [`net`] the packets that nodes exchange, [`route`] what the
//! host does about routes, [`poll`] whom it asks when, [`outage`] what it makes of silence, [`sim`] the mirror image.
//! [`g3::coordinator::Coordinator`] is the door in.
#![forbid(unsafe_code)]

#[macro_use]
mod octets;

mod eui64;
pub mod g3;
mod key;
pub mod net;
pub mod outage;
pub mod poll;
mod reject;
pub mod route;
pub mod sim;
pub mod usi;

pub use eui64::Eui64;
pub use key::Key;
pub use octets::Octets;
pub use reject::{Reject, Rejects};
