//! What a modem is told, and what of it must outlive the process.

use crate::g3::adp::{Band, Request, Value, lbp_attribute};
use crate::g3::pib::{Context, Layer, Prefix, Typed, adp, mac};
use crate::{Eui64, Key};

use super::job::{Need, Step};

/// How the network is set up. Port, band and PAN id suffice; the rest has the standard's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the bootstrap server runs; None where it is to be found out.
    pub generation: Option<Generation>,
    pub band: Band,
    pub pan_id: u16,
    /// The coordinator's own address.
    pub eui64: Eui64,
    /// The ULA prefix of 64 bits that joined nodes make addresses of.
    pub prefix: Option<[u8; 8]>,
    pub max_hops: u8,
    /// Minutes.
    pub routing_table_entry_ttl: u16,
    /// Seconds.
    pub max_join_wait: u16,
    /// Seconds that the modem's own bootstrap server waits for an answer.
    pub message_timeout: u16,
    /// How much faster than the modem's line the clock goes: 1 but in a simulation.
    pub pace: u32,
}

/// A generation of firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The modem hands LBP to the host.
    HostLbs,
    /// The bootstrap server is in the modem.
    ModemLbs,
}

/// The group master keys at their places in the MAC layer's key table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyring {
    /// The index of the key that is sent with.
    pub active: u8,
    pub keys: [Option<Key>; 2],
}

/// What must never be used twice. What is reserved is durable before it is used; a life begins where the reservation
/// of the last one ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of both media: the frame counter of the next frame is below it.
    pub frame_counter: u32,
    pub discover_sequence_number: u16,
    pub broadcast_sequence_number: u8,
}

impl Config {
    pub fn new(band: Band, pan_id: u16, eui64: Eui64) -> Self {
        Self {
            generation: None,
            band,
            pan_id,
            eui64,
            prefix: None,
            max_hops: 8,
            routing_table_entry_ttl: 360,
            max_join_wait: 90,
            message_timeout: 300,
            pace: 1,
        }
    }

    pub(super) fn initialize(&self, generation: Generation) -> Request {
        let is_coordinator = (generation == Generation::ModemLbs).then_some(true);
        Request::Initialize { band: self.band, is_coordinator }
    }

    /// Everything between INITIALIZE and a running network, in the order of the vendor's coordinator.
    pub(super) fn steps(&self, generation: Generation, keys: &Keyring, counters: Counters) -> Vec<Step> {
        let known = |layer, attribute, typed| Step::set(layer, attribute, 0, typed, Need::MustIfKnown);
        let may = |layer, attribute, typed| Step::set(layer, attribute, 0, typed, Need::May);
        let mut steps = vec![
            known(Layer::Mac, mac::MANUF_EXTENDED_ADDRESS, Typed::Octets(self.eui64.0.to_vec())),
            known(Layer::Mac, mac::SHORT_ADDRESS, Typed::U16(0)),
            known(Layer::Mac, mac::FRAME_COUNTER, Typed::U32(counters.frame_counter)),
            // A modem without RF has no such counter.
            may(Layer::Mac, mac::FRAME_COUNTER_RF, Typed::U32(counters.frame_counter)),
            may(Layer::Adp, adp::MANUF_DISCOVER_SEQUENCE_NUMBER, Typed::U16(counters.discover_sequence_number)),
            may(Layer::Adp, adp::MANUF_BROADCAST_SEQUENCE_NUMBER, Typed::U8(counters.broadcast_sequence_number)),
            may(Layer::Adp, adp::CONTEXT_INFORMATION_TABLE, context(&self.link_local_context())),
            may(Layer::Adp, adp::ROUTING_TABLE_ENTRY_TTL, Typed::U16(self.routing_table_entry_ttl)),
            may(Layer::Adp, adp::MAX_JOIN_WAIT_TIME, Typed::U16(self.max_join_wait)),
            may(Layer::Adp, adp::MAX_HOPS, Typed::U8(self.max_hops)),
        ];
        if let Some(prefix) = self.prefix {
            let ula = context(prefix.get(..6).unwrap_or_default());
            steps.push(Step::set(Layer::Adp, adp::CONTEXT_INFORMATION_TABLE, 1, ula, Need::May));
            steps.push(known(Layer::Adp, adp::PREFIX_TABLE, Typed::Prefix(on_link(&prefix))));
        }
        steps.extend(keys.steps(generation));
        match generation {
            Generation::HostLbs => {
                steps.push(known(Layer::Adp, adp::DEVICE_TYPE, Typed::U8(COORDINATOR)));
            }
            Generation::ModemLbs => {
                let value = Value::from(self.message_timeout.to_be_bytes().to_vec());
                let request = Request::LbpSet { attribute: lbp_attribute::MESSAGE_TIMEOUT, index: 0, value };
                steps.push(Step { request, need: Need::May });
            }
        }
        steps.push(Step { request: Request::NetworkStart { pan_id: self.pan_id }, need: Need::Must });
        steps
    }

    fn link_local_context(&self) -> Vec<u8> {
        let mut octets = vec![0xfe, 0x80, 0, 0, 0, 0, 0, 0];
        octets.extend(self.pan_id.to_be_bytes());
        octets
    }
}

impl Keyring {
    /// One key, in use.
    pub const fn new(gmk: Key) -> Self {
        Self { active: 0, keys: [Some(gmk), None] }
    }

    /// The key that is sent with.
    pub fn active_key(&self) -> Option<Key> {
        self.key(self.active)
    }

    pub fn key(&self, index: u8) -> Option<Key> {
        self.keys.get(usize::from(index)).copied().flatten()
    }

    /// The place that is free for the next key.
    pub const fn other(&self) -> u8 {
        1 - (self.active & 1)
    }

    /// The requests that make them the modem's.
    pub(super) fn steps(&self, generation: Generation) -> Vec<Step> {
        let keys = self.keys.iter().zip(0u8..).filter_map(|(key, index)| key.map(|key| (key, index)));
        match generation {
            Generation::HostLbs => keys
                .map(|(key, index)| Step::set(Layer::Mac, mac::KEY_TABLE, index.into(), Typed::Key(key), Need::Must))
                .chain([Step::set(Layer::Adp, adp::ACTIVE_KEY_INDEX, 0, Typed::U8(self.active), Need::Must)])
                .collect(),
            // The modem puts it into the key table and takes the index as the active one: the active key comes last.
            Generation::ModemLbs => {
                let mut keys: Vec<_> = keys.collect();
                keys.sort_by_key(|(_, index)| *index == self.active);
                let set = |(key, index): (Key, u8)| {
                    let value = Typed::Key(key).to_value();
                    let request = Request::LbpSet { attribute: lbp_attribute::GMK, index: index.into(), value };
                    Step { request, need: Need::Must }
                };
                keys.into_iter().map(set).collect()
            }
        }
    }
}

impl Counters {
    /// A reservation over what was used until now.
    pub(super) fn ahead(self) -> Self {
        Self {
            frame_counter: self.frame_counter.saturating_add(BLOCK),
            discover_sequence_number: self.discover_sequence_number.wrapping_add(SEQUENCE_BLOCK),
            broadcast_sequence_number: self.broadcast_sequence_number.wrapping_add(SEQUENCE_BLOCK as u8),
        }
    }

    /// Nothing is left to count with under this key.
    pub(super) const fn are_exhausted(self) -> bool {
        self.frame_counter >= u32::MAX - BLOCK
    }
}

fn context(octets: &[u8]) -> Typed {
    Typed::Context(Context {
        valid_lifetime_min: u16::MAX,
        is_for_compression: true,
        length_bits: (octets.len() * 8) as u8,
        context: octets.to_vec(),
    })
}

fn on_link(prefix: &[u8; 8]) -> Prefix {
    Prefix {
        length_bits: 64,
        is_on_link: true,
        is_autonomous: true,
        valid_lifetime_s: LIFETIME_S,
        preferred_lifetime_s: LIFETIME_S,
        prefix: prefix.to_vec(),
    }
}

/// Frames that are reserved at once: a busy modem of CENELEC-A needs some minutes for them.
pub(super) const BLOCK: u32 = 20_000;
/// Sequence numbers compare modulo their width, so that the step over those that may have been used is small.
const SEQUENCE_BLOCK: u16 = 32;
/// adpDeviceType.
const COORDINATOR: u8 = 1;
/// What the vendor's coordinator announces, about 25 days.
const LIFETIME_S: u32 = 0x0020_c000;
