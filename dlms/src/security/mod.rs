//! Protection of APDUs, IEC 62056-5-3:2017, clause 5.3: suites 0, 1 and 2.
//!
//! Keys come from outside, and leave nowhere: what holds them prints nothing of them, and clears them when dropped.

mod ciphered;
mod counter;
pub mod hls;
mod key;
mod sign;
mod wrap;

use std::fmt;

pub(crate) use ciphered::HEADROOM;
pub use ciphered::{Ciphered, Ciphering, Form, Opened, is_ciphered};
pub use counter::{ReceivedCounter, SentCounter};
pub use key::{AuthenticationKey, EncryptionKey, Secret};
pub use sign::{GeneralSigning, SigningKey, VerifyingKey};
pub use wrap::{encipher_mbus_key, unwrap_key, wrap_key};

use crate::Reject;

/// Which algorithms. IEC 62056-5-3:2017, table 17.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Suite {
    /// AES-128-GCM.
    #[default]
    Zero = 0,
    /// AES-128-GCM, ECDSA P-256, SHA-256.
    One = 1,
    /// AES-256-GCM, ECDSA P-384, SHA-384.
    Two = 2,
}

impl Suite {
    /// Octets of a key.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Zero | Self::One => 16,
            Self::Two => 32,
        }
    }
}

impl TryFrom<u8> for Suite {
    type Error = Reject;

    fn try_from(number: u8) -> Result<Self, Reject> {
        match number {
            0 => Ok(Self::Zero),
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err(Reject::Reserved("security suite")),
        }
    }
}

/// The name of a device in ciphering: three letters of the manufacturer and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemTitle(pub [u8; 8]);

impl TryFrom<&[u8]> for SystemTitle {
    type Error = Reject;

    fn try_from(octets: &[u8]) -> Result<Self, Reject> {
        octets.try_into().map(Self).map_err(|_| Reject::Length("system title"))
    }
}

impl fmt::Display for SystemTitle {
    /// `4d4d4d0000bc614e`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// The octet before a protected APDU that says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecurityControl(pub u8);

impl SecurityControl {
    pub const AUTHENTICATION: u8 = 0x10;
    pub const ENCRYPTION: u8 = 0x20;
    pub const BROADCAST_KEY: u8 = 0x40;
    pub const COMPRESSION: u8 = 0x80;

    /// Authenticated and encrypted.
    pub const fn full(suite: Suite) -> Self {
        Self(suite as u8 | Self::AUTHENTICATION | Self::ENCRYPTION)
    }

    /// Authenticated only: what HLS with GMAC has.
    pub const fn authenticated(suite: Suite) -> Self {
        Self(suite as u8 | Self::AUTHENTICATION)
    }

    pub const fn is_authenticated(self) -> bool {
        self.0 & Self::AUTHENTICATION != 0
    }

    pub const fn is_encrypted(self) -> bool {
        self.0 & Self::ENCRYPTION != 0
    }

    pub const fn is_broadcast(self) -> bool {
        self.0 & Self::BROADCAST_KEY != 0
    }

    /// The suite's number.
    pub const fn suite(self) -> u8 {
        self.0 & 0x0f
    }

    /// It protects at least as `other` does.
    pub const fn covers(self, other: Self) -> bool {
        let both = Self::AUTHENTICATION | Self::ENCRYPTION;
        other.0 & both & !self.0 == 0
    }
}

#[cfg(test)]
mod tests;
