//! Keys and passwords. None is ever printed.

use std::fmt;

use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit, Nonce, Tag};
use zeroize::Zeroizing;

use super::SystemTitle;
use crate::Reject;

/// A global or dedicated key with its rounds computed.
#[derive(Clone)]
pub struct EncryptionKey(Cipher);

#[derive(Clone)]
enum Cipher {
    Aes128(Box<AesGcm<Aes128, U12, U12>>),
    Aes256(Box<AesGcm<Aes256, U12, U12>>),
}

/// The key that is mixed in with what is authenticated.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthenticationKey(Secret);

/// A password, or the secret of HLS with a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Octets of an authentication tag.
pub(super) const TAG: usize = 12;

impl EncryptionKey {
    /// 16 octets for suites 0 and 1, 32 for suite 2.
    pub fn new(octets: &[u8]) -> Result<Self, Reject> {
        let cipher = match octets.len() {
            16 => AesGcm::new_from_slice(octets).map(|cipher| Cipher::Aes128(Box::new(cipher))),
            _ => AesGcm::new_from_slice(octets).map(|cipher| Cipher::Aes256(Box::new(cipher))),
        };
        cipher.map(Self).map_err(|_| Reject::Length("encryption key"))
    }

    /// Encrypts in place and gives the tag. What was encrypted so is decrypted so, too.
    pub(super) fn seal(&self, title: SystemTitle, counter: u32, associated: &[u8], octets: &mut [u8]) -> [u8; TAG] {
        let nonce = nonce(title, counter);
        let tag = match &self.0 {
            Cipher::Aes128(cipher) => cipher.encrypt_in_place_detached(&nonce, associated, octets),
            Cipher::Aes256(cipher) => cipher.encrypt_in_place_detached(&nonce, associated, octets),
        };
        tag.expect("an apdu is far below the 64 GiB that the mode is good for").into()
    }

    /// Decrypts in place what has this tag.
    pub(super) fn open(
        &self,
        title: SystemTitle,
        counter: u32,
        associated: &[u8],
        octets: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Reject> {
        let (nonce, tag) = (nonce(title, counter), Tag::<U12>::from_slice(tag));
        match &self.0 {
            Cipher::Aes128(cipher) => cipher.decrypt_in_place_detached(&nonce, associated, octets, tag),
            Cipher::Aes256(cipher) => cipher.decrypt_in_place_detached(&nonce, associated, octets, tag),
        }
        .map_err(|_| Reject::BadTag)
    }
}

fn nonce(title: SystemTitle, counter: u32) -> Nonce<U12> {
    let mut nonce = Nonce::<U12>::default();
    let octets = title.0.into_iter().chain(counter.to_be_bytes());
    nonce.iter_mut().zip(octets).for_each(|(place, octet)| *place = octet);
    nonce
}

impl AuthenticationKey {
    pub fn new(octets: &[u8]) -> Result<Self, Reject> {
        match octets.len() {
            16 | 32 => Ok(Self(Secret::new(octets))),
            _ => Err(Reject::Length("authentication key")),
        }
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.0.octets()
    }
}

impl Secret {
    pub fn new(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(..)")
    }
}

impl fmt::Debug for AuthenticationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticationKey(..)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
