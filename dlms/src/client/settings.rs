//! What a client has to know of a meter before it speaks with it.

use std::fmt;
use std::time::Duration;

use crate::acse::Mechanism;
use crate::gateway::GatewayAddress;
use crate::security::hls::Hash;
use crate::security::{Ciphering, Form, Secret, SecurityControl, SigningKey, SystemTitle, VerifyingKey};
use crate::spec::Conformance;

#[derive(Debug, Clone)]
pub struct Settings {
    pub authentication: Authentication,
    /// Keys: needed for protection, and for HLS with GMAC.
    pub ciphering: Option<Ciphering>,
    /// How requests are protected, and at least the answers; None is in the clear.
    pub protection: Option<Protection>,
    /// Requests are signed, and answers have to be: general signing, suites 1 and 2.
    pub signing: Option<Signing>,
    /// The association is there without being asked for.
    pub is_pre_established: bool,
    pub conformance: Conformance,
    /// The longest APDU that is taken, 0 for any.
    pub max_receive_pdu_size: u16,
    /// Octets of one value, all its blocks together.
    pub value_limit: usize,
    /// From a request to its whole answer, or to the next block of it.
    pub timeout: Duration,
    /// Times that an unanswered AARQ or GET is sent again: for links that lose. What changes something is asked once.
    pub repeats: u32,
    /// Blocks that are taken at once in general block transfer, 1 to 63.
    pub window: u8,
    /// The meter starts its invocation counter anew in every association. It is reported each time.
    pub counter_restarts: bool,
    /// The meter takes RLRQ. Where not, the link is closed without.
    pub has_release: bool,
    /// How long the answer to RLRQ is waited for, where not as long as any other.
    pub release_timeout: Option<Duration>,
    /// The client's name, where there is no ciphering that has it.
    pub system_title: Option<SystemTitle>,
    /// The meter's name, where neither its AARE nor the ciphering says it.
    pub meter_title: Option<SystemTitle>,
    /// The client's user, where the meter tells users apart.
    pub user: Option<u8>,
    /// The meter is behind a gateway.
    pub gateway: Option<GatewayAddress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    pub control: SecurityControl,
    pub form: Form,
}

/// Keys of both sides.
#[derive(Debug, Clone)]
pub struct Signing {
    pub own: SigningKey,
    pub peer: VerifyingKey,
}

#[derive(Debug, Clone, Default)]
pub enum Authentication {
    #[default]
    None,
    Lls(Secret),
    Hash(Hash, Secret),
    /// With the keys of the ciphering.
    Gmac,
    Ecdsa {
        own: SigningKey,
        meter: VerifyingKey,
    },
}

/// Where challenges and dedicated keys come from.
pub trait Random: fmt::Debug + Send {
    fn fill(&mut self, octets: &mut [u8]);
}

impl Default for Settings {
    /// The public client: no authentication, no protection.
    fn default() -> Self {
        Self {
            authentication: Authentication::None,
            ciphering: None,
            protection: None,
            signing: None,
            is_pre_established: false,
            conformance: Conformance::USUAL,
            max_receive_pdu_size: u16::MAX,
            value_limit: 16 << 20,
            timeout: Duration::from_secs(10),
            repeats: 0,
            window: 8,
            counter_restarts: false,
            has_release: true,
            release_timeout: None,
            system_title: None,
            meter_title: None,
            user: None,
            gateway: None,
        }
    }
}

impl Authentication {
    pub const fn mechanism(&self) -> Mechanism {
        match self {
            Self::None => Mechanism::Lowest,
            Self::Lls(_) => Mechanism::Lls,
            Self::Hash(Hash::Md5, _) => Mechanism::HlsMd5,
            Self::Hash(Hash::Sha1, _) => Mechanism::HlsSha1,
            Self::Hash(Hash::Sha256, _) => Mechanism::HlsSha256,
            Self::Gmac => Mechanism::HlsGmac,
            Self::Ecdsa { .. } => Mechanism::HlsEcdsa,
        }
    }
}
