//! Electricity meters over DLMS: what drives the client of `dlms` over sockets and serial ports.

mod binding;
mod card;
mod client;
mod collector;
mod datagram;
mod demand;
mod direct;
mod exchange;
mod known;
mod life;
mod lines;
mod places;
mod push;
mod pushed;
mod question;
mod roam;
mod session;
mod ways;

pub(in crate::task) use client::client;
pub(in crate::task) use collector::Collector;
pub use direct::{Direct, DirectError, Place};
pub(in crate::task) use question::Question;
pub use session::{Note, Reserve, Session, SessionError};

use dlms::client::Random;

/// Challenges and dedicated keys from the kernel's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelRandom;

impl Random for KernelRandom {
    fn fill(&mut self, octets: &mut [u8]) {
        getrandom::fill(octets).expect("the kernel's generator is ready once the system has booted");
    }
}

#[cfg(test)]
mod tests;
