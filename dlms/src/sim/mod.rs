//! The mirror image: an emulated meter with its objects, its clock and its faults, over wrapper or HDLC.
//!
//! [`Server`] is the protocol, [`Meter`] what it speaks of. Whatever is random comes from a seed.

mod associate;
mod clock;
mod effects;
mod faults;
mod meter;
pub mod object;
mod port;
mod profile;
mod random;
mod serve;
mod server;
mod session;

pub use associate::Access;
pub use clock::{MeterClock, Zone};
pub use faults::Faults;
pub use meter::{Effect, Meter, Model, World};
pub use port::Port;
pub use profile::{Cadence, Capture, Curve, ProfileModel, Quirks};
pub use random::SplitMix;
pub use server::Server;

#[cfg(test)]
mod tests;
