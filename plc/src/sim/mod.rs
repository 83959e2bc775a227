//! The mirror image: a modem as its host sees it, with the nodes behind it and the air between them.

mod air;
mod command;
mod device;
mod lbs;
mod modem;
pub mod net;
mod network;
mod pair;
mod pib;
mod random;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use device::{Device, Flaw};
pub use modem::{Modem, Statistics};
pub use network::Network;
pub use pair::Pair;
pub use random::Random;

use crate::g3::modem::Generation;
use crate::g3::pib::Layer;
use crate::{Eui64, Key};

/// What an emulated modem and its air are like.
#[derive(Debug, Clone)]
pub struct Nature {
    pub generation: Generation,
    /// It refuses an INITIALIZE in the form of the other generation, as it refuses everything that it does not know.
    pub is_strict: bool,
    /// It has an RF side too.
    pub is_hybrid: bool,
    /// A group key for its bootstrap server does not make its index the active one.
    pub leaves_index: bool,
    /// Attributes that its firmware does not know, and whether it answers at all when it is asked for them.
    pub lacks: Vec<(Layer, u32)>,
    pub is_mute_about_them: bool,
    /// Its own bootstrap server does not take a time-out, and does not answer either where it is mute.
    pub lacks_message_timeout: bool,
    /// How long INITIALIZE takes.
    pub initialize_time: Duration,
    /// How long a frame is on its way, per hop; zero for no airtime at all.
    pub hop_time: Duration,
    /// Of each octet, per hop.
    pub octet_time: Duration,
    /// Messages that it takes before it stops its host.
    pub buffers: usize,
    /// How many nodes stand behind each node.
    pub fan_out: usize,
    /// Nodes that come up ask within this time, and who is not answered asks again after as long.
    pub join_window: Duration,
    pub faults: Faults,
    /// What faults and pauses are drawn from.
    pub seed: u64,
}

/// What goes wrong on the serial line and behind it, each so many times in a million.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Frames to the host that are lost.
    pub lost_ppm: u32,
    /// Frames to the host with an octet altered.
    pub corrupt_ppm: u32,
    /// Frames to the host that come twice.
    pub duplicate_ppm: u32,
    /// Commands of the host that the modem does not hear.
    pub deaf_ppm: u32,
    /// Messages that get lost in the air.
    pub air_loss_ppm: u32,
    /// Confirms of messages to nodes that are lost, beside the others.
    pub lost_confirm_ppm: u32,
    /// Confirms come so much later.
    pub slow_confirm: Duration,
}

/// What stands behind the nodes: takes a datagram to a port of a node, and may answer.
pub struct Behind(pub Answers);

/// The answer of a node to a datagram at one of its ports.
pub type Answers = Box<dyn FnMut(Eui64, u16, &[u8]) -> Option<Vec<u8>> + Send>;

impl Default for Nature {
    fn default() -> Self {
        Self {
            generation: Generation::HostLbs,
            is_strict: true,
            is_hybrid: false,
            leaves_index: false,
            lacks: Vec::new(),
            is_mute_about_them: false,
            lacks_message_timeout: false,
            initialize_time: Duration::ZERO,
            hop_time: Duration::ZERO,
            octet_time: Duration::ZERO,
            buffers: 8,
            fan_out: 8,
            join_window: Duration::from_secs(10),
            faults: Faults::default(),
            seed: 1,
        }
    }
}

impl Behind {
    /// Nobody answers.
    pub fn nothing() -> Self {
        Self(Box::new(|_, _, _| None))
    }
}

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Behind(..)")
    }
}

/// The name and the key of the node of this number, for fleets that are made here.
pub fn identity(number: u32) -> (Eui64, Key) {
    let [a, b, c, d] = number.to_be_bytes();
    let eui64 = Eui64([0x02, 0x00, 0x5e, 0xff, a, b, c, d]);
    let mut random = Random::new(0x5eed_0000_0000_0000 | u64::from(number));
    (eui64, Key(random.block()))
}
