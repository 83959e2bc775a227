//! The serial interface to the adaptation layer (USI protocol 25), of both generations of firmware.
//!
//! The bootstrap server runs on the host ("host" generation: commands 19, 41, 42), or in the modem ("modem" generation:
//! commands 60 to 73, and INITIALIZE says who is the coordinator).

mod field;

#[cfg(test)]
mod tests;

pub use field::{Address, Hop, Lbp, Path, Value};

use super::{AdpStatus, MacStatus, SerialStatus};
use crate::{Eui64, Key, Octets, Reject};

messages! {
    /// Host to modem.
    pub enum Request {
        10 Initialize { band: Band, is_coordinator: Option<bool> },
        11 Data { handle: u8, discover_route: bool, quality_of_service: u8, nsdu: Octets },
        12 Discovery { duration_s: u8 },
        13 NetworkStart { pan_id: u16 },
        14 NetworkJoin { pan_id: u16, lba: u16, medium: Option<u8> },
        15 NetworkLeave {},
        16 Reset {},
        17 Set { attribute: u32, index: u16, value: Value },
        18 Get { attribute: u32, index: u16 },
        /// Of the host generation only.
        19 Lbp { handle: u8, max_hops: u8, discover_route: bool, quality_of_service: u8, is_secured: bool, pdu: Lbp },
        20 RouteDiscovery { destination: u16, max_hops: u8 },
        21 PathDiscovery { destination: u16, metric: u8 },
        22 MacSet { attribute: u32, index: u16, value: Value },
        23 MacGet { attribute: u32, index: u16 },
        24 NoIpData { destination: u16, handle: u8, discover_route: bool, quality_of_service: u8, nsdu: Octets },
        /// From here on of the modem generation only.
        60 LbpSet { attribute: u32, index: u16, value: Value },
        61 ForceRegister { eui64: Eui64, short_addr: u16, pan_id: u16, gmk: Key },
        62 Kick { short_addr: u16, eui64: Eui64 },
        /// Sends the new GMK, or activates it.
        63 Rekey { short_addr: u16, eui64: Eui64, distribute: bool },
        64 RekeyPhase { is_begun: bool },
        65 ActivateNewKey {},
        /// FFFF declines.
        66 AssignShortAddress { eui64: Eui64, short_addr: u16 },
    }
}

messages! {
    /// Modem to host: confirms and indications.
    pub enum Message {
        0 Status { status: SerialStatus, command: u8 },
        30 DataConfirm { status: AdpStatus, handle: u8 },
        31 DataIndication { lqi: u8, nsdu: Octets },
        32 NetworkStatus {
            pan_id: u16, source: Address, destination: Address, status: MacStatus, security_level: u8, key_index: u8,
            medium: Option<u8>,
        },
        33 DiscoveryConfirm { status: AdpStatus },
        34 NetworkStartConfirm { status: AdpStatus },
        35 NetworkJoinConfirm { status: AdpStatus, short_addr: u16, pan_id: u16 },
        36 NetworkLeaveConfirm { status: AdpStatus },
        37 NetworkLeave {},
        38 ResetConfirm { status: AdpStatus },
        39 SetConfirm { status: AdpStatus, attribute: u32, index: u16 },
        40 GetConfirm { status: AdpStatus, attribute: u32, index: u16, value: Value },
        41 LbpConfirm { status: AdpStatus, handle: u8 },
        /// The source is FFFF when the joining device was heard directly, else its agent.
        42 LbpIndication { source: u16, pdu: Octets, lqi: u8, is_secured: bool },
        43 RouteDiscoveryConfirm { status: AdpStatus },
        44 PathDiscoveryConfirm { status: AdpStatus, path: Option<Path> },
        45 MacSetConfirm { status: MacStatus, attribute: u32, index: u16 },
        46 MacGetConfirm { status: MacStatus, attribute: u32, index: u16, value: Value },
        /// Zero stops the host, whatever else the bits say.
        47 Buffer { ready: u8 },
        48 Discovery { pan_id: u16, lqi: u8, lba: u16, rc_coord: u16, medium: Option<u8> },
        49 PathRequest {},
        /// What must survive a loss of power has changed: frame counters, sequence numbers.
        50 NonVolatileData {},
        51 RouteNotFound {
            source: u16, destination: u16, next_hop: u16, previous_hop: u16, route_cost: u16, hop_count: u8,
            weak_link_count: u8, is_just_broken: bool, is_compressed: bool, nsdu: Octets,
        },
        70 LbpSetConfirm { status: AdpStatus, attribute: u32, index: u16 },
        71 JoinRequest { eui64: Eui64 },
        72 JoinComplete { eui64: Eui64, short_addr: u16 },
        73 Leave { short_addr: u16 },
    }
}

/// The band of the PLC side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Band {
    #[default]
    CenelecA,
    CenelecB,
    Fcc,
    Arib,
    /// No PLC at all.
    RfOnly,
}

impl Band {
    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CenelecA => "cenelec-a",
            Self::CenelecB => "cenelec-b",
            Self::Fcc => "fcc",
            Self::Arib => "arib",
            Self::RfOnly => "rf",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|band| band.name() == name)
    }

    pub const ALL: [Self; 5] = [Self::CenelecA, Self::CenelecB, Self::Fcc, Self::Arib, Self::RfOnly];
}

impl crate::octets::Field for Band {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(match u8::parse(buf)? {
            0 => Self::CenelecA,
            1 => Self::CenelecB,
            2 => Self::Fcc,
            3 => Self::Arib,
            255 => Self::RfOnly,
            _ => return Err(Reject::Reserved("band")),
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::CenelecA => 0,
            Self::CenelecB => 1,
            Self::Fcc => 2,
            Self::Arib => 3,
            Self::RfOnly => 255,
        });
    }
}

/// Attributes of [`Request::LbpSet`].
pub mod lbp_attribute {
    pub const PSK: u32 = 2;
    /// The index is that of the key.
    pub const GMK: u32 = 3;
    pub const REKEY_GMK: u32 = 4;
    /// Seconds, 16 bits.
    pub const MESSAGE_TIMEOUT: u32 = 6;
}
