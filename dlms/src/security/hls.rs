//! High level security: what each side makes of the other's challenge. IEC 62056-5-3:2017, table 16.

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::{Ciphering, Secret, SigningKey, SystemTitle, VerifyingKey};
use crate::Reject;

/// Who proves, to whom, with which challenges: the proof is over the one that was received.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    pub prover: Option<SystemTitle>,
    pub verifier: Option<SystemTitle>,
    /// What the verifier sent.
    pub received: &'a [u8],
    /// What the prover sent.
    pub sent: &'a [u8],
}

/// Proof by a shared secret and a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    Md5,
    Sha1,
    Sha256,
}

impl Exchange<'_> {
    /// MD5 and SHA-1 over challenge and secret; SHA-256 over secret, both titles and both challenges.
    pub fn digest(&self, hash: Hash, secret: &Secret) -> Vec<u8> {
        match hash {
            Hash::Md5 => Md5::new().chain_update(self.received).chain_update(secret.octets()).finalize().to_vec(),
            Hash::Sha1 => Sha1::new().chain_update(self.received).chain_update(secret.octets()).finalize().to_vec(),
            Hash::Sha256 => Sha256::new().chain_update(secret.octets()).chain_update(self.both()).finalize().to_vec(),
        }
    }

    /// SHA-256 or SHA-384 and a signature over both titles and both challenges.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        key.sign(&self.both())
    }

    pub fn verify(&self, key: &VerifyingKey, proof: &[u8]) -> Result<(), Reject> {
        key.verify(&self.both(), proof)
    }

    /// GMAC over the challenge, with the prover's title and counter.
    pub fn gmac(&self, ciphering: &Ciphering, counter: u32) -> Result<Vec<u8>, Reject> {
        let prover = self.prover.ok_or(Reject::NoKey)?;
        Ok(ciphering.gmac(prover, counter, self.received))
    }

    /// The counter that the proof has, where it is right.
    pub fn verify_gmac(&self, ciphering: &Ciphering, proof: &[u8]) -> Result<u32, Reject> {
        let [_, a, b, c, d, ..] = *proof else { return Err(Reject::Truncated) };
        let counter = u32::from_be_bytes([a, b, c, d]);
        if equal(&self.gmac(ciphering, counter)?, proof) { Ok(counter) } else { Err(Reject::BadTag) }
    }

    fn both(&self) -> Vec<u8> {
        let title = |title: &Option<SystemTitle>| title.map_or(Vec::new(), |title| title.0.to_vec());
        [&title(&self.prover), &title(&self.verifier), self.received, self.sent].concat()
    }
}

/// Compares without telling by its time where the difference is.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
