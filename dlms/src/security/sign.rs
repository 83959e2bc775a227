//! Signatures of suites 1 and 2, and the APDU that carries a signed one. IEC 62056-5-3:2017, 5.3.2.6 and 7.3.15.

use std::fmt;

use bytes::Buf;
use p256::ecdsa::signature::{Signer, Verifier};

use super::Suite;
use crate::Reject;
use crate::data::length;

/// A private key: P-256 with SHA-256, or P-384 with SHA-384.
#[derive(Clone)]
pub enum SigningKey {
    P256(p256::ecdsa::SigningKey),
    P384(Box<p384::ecdsa::SigningKey>),
}

/// The public key of the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyingKey {
    P256(p256::ecdsa::VerifyingKey),
    P384(Box<p384::ecdsa::VerifyingKey>),
}

/// An APDU with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneralSigning<'a> {
    pub transaction_id: &'a [u8],
    pub originator_system_title: &'a [u8],
    pub recipient_system_title: &'a [u8],
    pub date_time: &'a [u8],
    pub other_information: &'a [u8],
    /// The APDU, ciphered or not.
    pub content: &'a [u8],
    pub signature: &'a [u8],
}

impl SigningKey {
    /// From the private scalar: 32 octets for suite 1, 48 for suite 2.
    pub fn new(suite: Suite, scalar: &[u8]) -> Result<Self, Reject> {
        match suite {
            Suite::Zero => Err(Reject::NoKey),
            Suite::One => p256::ecdsa::SigningKey::from_slice(scalar).map(Self::P256).map_err(|_| BAD_KEY),
            Suite::Two => {
                let key = p384::ecdsa::SigningKey::from_slice(scalar).map_err(|_| BAD_KEY)?;
                Ok(Self::P384(Box::new(key)))
            }
        }
    }

    /// The suite that has its curve.
    pub const fn suite(&self) -> Suite {
        match self {
            Self::P256(_) => Suite::One,
            Self::P384(_) => Suite::Two,
        }
    }

    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::P256(key) => VerifyingKey::P256(*key.verifying_key()),
            Self::P384(key) => VerifyingKey::P384(Box::new(*key.verifying_key())),
        }
    }

    /// Both numbers of the signature, without any framing.
    pub fn sign(&self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(octets);
                signature.to_bytes().to_vec()
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign(octets);
                signature.to_bytes().to_vec()
            }
        }
    }
}

impl VerifyingKey {
    /// The suite that has its curve.
    pub const fn suite(&self) -> Suite {
        match self {
            Self::P256(_) => Suite::One,
            Self::P384(_) => Suite::Two,
        }
    }

    /// From a point: both coordinates, with or without the octet 04 before them.
    pub fn new(suite: Suite, point: &[u8]) -> Result<Self, Reject> {
        let sec1 = if point.len() % 2 == 0 { [&[4], point].concat() } else { point.to_vec() };
        match suite {
            Suite::Zero => Err(Reject::NoKey),
            Suite::One => p256::ecdsa::VerifyingKey::from_sec1_bytes(&sec1).map(Self::P256).map_err(|_| BAD_KEY),
            Suite::Two => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&sec1).map_err(|_| BAD_KEY)?;
                Ok(Self::P384(Box::new(key)))
            }
        }
    }

    pub fn verify(&self, octets: &[u8], signature: &[u8]) -> Result<(), Reject> {
        let is_good = match self {
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(octets, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(octets, &signature).is_ok()),
        };
        if is_good { Ok(()) } else { Err(Reject::BadSignature) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl<'a> GeneralSigning<'a> {
    /// An APDU between two sides, without time and other information, not signed yet.
    pub const fn new(transaction_id: &'a [u8], originator: &'a [u8], recipient: &'a [u8], content: &'a [u8]) -> Self {
        Self {
            transaction_id,
            originator_system_title: originator,
            recipient_system_title: recipient,
            date_time: &[],
            other_information: &[],
            content,
            signature: &[],
        }
    }

    /// Reads an APDU that is all of `octets`.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Reject> {
        let mut buf = octets;
        match buf.try_get_u8()? {
            Self::TAG => {}
            tag => return Err(Reject::UnsupportedApdu(tag)),
        }
        let apdu = Self {
            transaction_id: length::octets(&mut buf)?,
            originator_system_title: length::octets(&mut buf)?,
            recipient_system_title: length::octets(&mut buf)?,
            date_time: length::octets(&mut buf)?,
            other_information: length::octets(&mut buf)?,
            content: length::octets(&mut buf)?,
            signature: length::octets(&mut buf)?,
        };
        if buf.is_empty() { Ok(apdu) } else { Err(Reject::Trailing) }
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(Self::TAG);
        out.extend(self.signed());
        length::emit_octets(self.signature, out);
    }

    /// Appends the APDU signed with `key`; the signature it has is not looked at.
    pub fn emit_signed(&self, key: &SigningKey, out: &mut Vec<u8>) {
        let signature = key.sign(&self.signed());
        GeneralSigning { signature: &signature, ..*self }.emit(out);
    }

    pub fn verify(&self, key: &VerifyingKey) -> Result<(), Reject> {
        key.verify(&self.signed(), self.signature)
    }

    /// Header fields and content, each with its length.
    fn signed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let header = [self.transaction_id, self.originator_system_title, self.recipient_system_title];
        for field in header.into_iter().chain([self.date_time, self.other_information, self.content]) {
            length::emit_octets(field, &mut out);
        }
        out
    }

    pub const TAG: u8 = 0xdf;
}

const BAD_KEY: Reject = Reject::Reserved("key of the curve");
