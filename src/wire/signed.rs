//! The envelope `Signed`: ES256 over octets, each kind of message under its own name, and who is trusted with what.
//!
//! What is signed is the message's full name, one zero octet and the body (`proto/dcu/v1/signed.proto`). `sign` makes
//! an envelope, `open` verifies one against a `Trust` and only then decodes the body. RFC 6979 makes signatures
//! deterministic: no random number is drawn here.

use std::fmt;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use prost::Message;
use sha2::{Digest, Sha256};

use super::trust::{Role, Trust, TrustedKey};
use super::v1;

/// A message that travels in an envelope.
pub trait Signable: Message + Default {
    /// The full protobuf name, the domain of its signatures.
    const NAME: &'static str;
    /// Any one of these roles may sign it; a command's operation may ask for more.
    const ROLES: &'static [Role];

    /// The unit it is for, or from.
    fn dcu(&self) -> &str;
}

impl Signable for v1::Ack {
    const NAME: &'static str = "dcu.v1.Ack";
    const ROLES: &'static [Role] = &[Role::Ingest];

    fn dcu(&self) -> &str {
        &self.dcu
    }
}

impl Signable for v1::Checkpoint {
    const NAME: &'static str = "dcu.v1.Checkpoint";
    const ROLES: &'static [Role] = &[Role::Device];

    fn dcu(&self) -> &str {
        &self.dcu
    }
}

impl Signable for v1::Command {
    const NAME: &'static str = "dcu.v1.Command";
    const ROLES: &'static [Role] = &[
        Role::Reader,
        Role::Operator,
        Role::Switcher,
        Role::Tariff,
        Role::CryptoOfficer,
        Role::Installer,
        Role::Ingest,
    ];

    fn dcu(&self) -> &str {
        &self.dcu
    }
}

impl Signable for v1::CommandState {
    const NAME: &'static str = "dcu.v1.CommandState";
    const ROLES: &'static [Role] = &[Role::Device];

    fn dcu(&self) -> &str {
        &self.dcu
    }
}

impl Signable for v1::MeterHandover {
    const NAME: &'static str = "dcu.v1.MeterHandover";
    const ROLES: &'static [Role] = &[Role::Device];

    fn dcu(&self) -> &str {
        &self.dcu
    }
}

/// A message whose signatures were verified, and who signed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<M> {
    pub message: M,
    /// The trusted keys whose signatures are on it, each once; at least one has a role that may sign this kind.
    pub signers: Vec<TrustedKey>,
}

impl<M> Verified<M> {
    /// How many of the signers have one of these roles, for this unit.
    pub fn signers_with(&self, roles: &[Role], dcu: &str) -> usize {
        let fits = |key: &&TrustedKey| {
            roles.iter().any(|role| key.roles.contains(role)) && key.dcu.as_deref().is_none_or(|own| own == dcu)
        };
        self.signers.iter().filter(fits).count()
    }
}

/// Why an envelope is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    #[error("larger than {MAX_ENVELOPE} octets")]
    TooLarge,
    #[error("not an envelope")]
    Malformed,
    #[error("no signature, or more than {MAX_SIGNATURES}")]
    SignatureCount,
    #[error("two signatures by key {0}")]
    SignedTwice(KeyId),
    #[error("no signature by a trusted key")]
    UnknownKey,
    #[error("bad signature by key {0}")]
    BadSignature(KeyId),
    #[error("no signer has a role for this kind of message")]
    Role,
    #[error("the signing key belongs to another unit")]
    AnotherUnit,
    #[error("signed, but the body is malformed")]
    Body,
}

/// Puts a message into an envelope, signed by each of the keys.
pub fn sign<M: Signable>(message: &M, keys: &[&PrivateKey]) -> Vec<u8> {
    let body = message.encode_to_vec();
    let signed = signed_octets(M::NAME, &body);
    let signatures = keys
        .iter()
        .map(|key| {
            let signature: Signature = key.key.sign(&signed);
            v1::Signature { key_id: key.id.0.to_vec(), es256: signature.to_bytes().to_vec() }
        })
        .collect();
    v1::Signed { body, signatures }.encode_to_vec()
}

/// Verifies an envelope and decodes what is in it.
///
/// Signatures by keys that are not in `trust` prove nothing and are passed over; one by a trusted key that does not
/// verify spoils the envelope.
///
/// # Errors
/// See `SignedError`; nothing of an envelope that is not taken is to be believed.
pub fn open<M: Signable>(octets: &[u8], trust: &Trust) -> Result<Verified<M>, SignedError> {
    let envelope = decode(octets)?;
    let signed = signed_octets(M::NAME, &envelope.body);
    let mut signers: Vec<TrustedKey> = Vec::new();
    for v1::Signature { key_id, es256 } in &envelope.signatures {
        let Some(trusted) = trust.find(key_id) else { continue };
        if signers.iter().any(|signer| signer.id == trusted.id) {
            return Err(SignedError::SignedTwice(trusted.id));
        }
        let verified =
            Signature::from_slice(es256).and_then(|signature| trusted.key.0.verify(&signed, &signature)).is_ok();
        if !verified {
            return Err(SignedError::BadSignature(trusted.id));
        }
        signers.push(trusted.clone());
    }
    if signers.is_empty() {
        return Err(SignedError::UnknownKey);
    }
    let message = M::decode(envelope.body.as_slice()).map_err(|_| SignedError::Body)?;
    signers_fit(&message, &signers)?;
    Ok(Verified { message, signers })
}

/// What an envelope claims, verified by nobody: only to tell an operator what was refused.
pub fn claim<M: Signable>(octets: &[u8]) -> Option<M> {
    M::decode(decode(octets).ok()?.body.as_slice()).ok()
}

fn decode(octets: &[u8]) -> Result<v1::Signed, SignedError> {
    if octets.len() > MAX_ENVELOPE {
        return Err(SignedError::TooLarge);
    }
    let envelope = v1::Signed::decode(octets).map_err(|_| SignedError::Malformed)?;
    if envelope.signatures.is_empty() || envelope.signatures.len() > MAX_SIGNATURES {
        return Err(SignedError::SignatureCount);
    }
    Ok(envelope)
}

fn signers_fit<M: Signable>(message: &M, signers: &[TrustedKey]) -> Result<(), SignedError> {
    let mut fitting = signers.iter().filter(|key| M::ROLES.iter().any(|role| key.roles.contains(role))).peekable();
    if fitting.peek().is_none() {
        return Err(SignedError::Role);
    }
    // A key that names a unit speaks only for it, or only to it.
    if !fitting.any(|key| key.dcu.as_deref().is_none_or(|dcu| dcu == message.dcu())) {
        return Err(SignedError::AnotherUnit);
    }
    Ok(())
}

fn signed_octets(name: &str, body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(name.len() + 1 + body.len());
    octets.extend_from_slice(name.as_bytes());
    octets.push(0);
    octets.extend_from_slice(body);
    octets
}

/// The first 8 octets of SHA-256 over the public key as SubjectPublicKeyInfo in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A private key of P-256. Neither `Debug` nor any error shows it.
#[derive(Clone)]
pub struct PrivateKey {
    key: SigningKey,
    id: KeyId,
}

impl PrivateKey {
    /// Reads PKCS #8 in PEM (`-----BEGIN PRIVATE KEY-----`).
    ///
    /// # Errors
    /// Not PEM, not PKCS #8, or not a key of P-256.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(pem).map(Self::new).map_err(|_| KeyError::Private)
    }

    /// Makes a key of 32 random octets; None for the few values that are no key (draw again).
    pub fn from_random(octets: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(octets).ok().map(Self::new)
    }

    fn new(key: SigningKey) -> Self {
        let id = PublicKey(*key.verifying_key()).id();
        Self { key, id }
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(*self.key.verifying_key())
    }

    /// PKCS #8 in PEM: a secret, for a file of mode 0600.
    pub fn to_pem(&self) -> String {
        self.key.to_pkcs8_pem(LineEnding::LF).expect("a key of P-256 always fits PKCS #8").to_string()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.id)
    }
}

/// A public key of P-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads SubjectPublicKeyInfo in PEM (`-----BEGIN PUBLIC KEY-----`).
    ///
    /// # Errors
    /// Not PEM, not a SubjectPublicKeyInfo, or not a key of P-256.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        VerifyingKey::from_public_key_pem(pem).map(Self).map_err(|_| KeyError::Public)
    }

    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a point of P-256 always has a SubjectPublicKeyInfo")
    }

    pub fn id(&self) -> KeyId {
        let spki = self.0.to_public_key_der().expect("a point of P-256 always has a SubjectPublicKeyInfo");
        let mut id = [0; 8];
        for (to, from) in id.iter_mut().zip(Sha256::digest(spki.as_bytes())) {
            *to = from;
        }
        KeyId(id)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// A key that cannot be read. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("not a private key of P-256 in PKCS #8 PEM")]
    Private,
    #[error("not a public key of P-256 in SubjectPublicKeyInfo PEM")]
    Public,
}

/// Inbound MQTT packets are announced with this limit.
pub const MAX_ENVELOPE: usize = 256 * 1024;

const MAX_SIGNATURES: usize = 8;

#[cfg(test)]
mod tests;
