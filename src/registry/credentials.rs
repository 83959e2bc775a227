//! The file of passwords and keys of DLMS meters: TOML, a table a meter, named by its system title.
//!
//! ```toml
//! [4d4d4d0000bc614e]
//! password = "12345678"                                     # LLS, and the secret of HLS with a hash
//! encryption_key = "000102030405060708090a0b0c0d0e0f"       # global unicast key
//! authentication_key = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
//! signing_key = "…"                                         # the unit's private key: 64 digits, in suite 2 96
//! meter_public_key = "…"                                    # both coordinates: 128 digits, in suite 2 192
//! ```
//!
//! A password that is no text is `password = "0x0102…"`. The file must not be readable for others than its owner. All
//! faults are told at once; what is secret is never repeated in them.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dlms::Reject;
use dlms::security::{AuthenticationKey, EncryptionKey, Secret, SigningKey, Suite, VerifyingKey};

use super::keys::LIMIT;
use crate::config::{private, text_of};
use crate::reading::MeterId;

/// What meters and unit prove themselves with, by system title. `Debug` tells how many, not which.
#[derive(Clone, Default)]
pub struct Credentials {
    meters: HashMap<[u8; 8], Arc<Credential>>,
}

/// Of one meter.
#[derive(Debug, Clone, Default)]
pub struct Credential {
    pub password: Option<Secret>,
    pub encryption_key: Option<EncryptionKey>,
    pub authentication_key: Option<AuthenticationKey>,
    /// The unit's, for this meter. Its length says of which suite it is.
    pub signing_key: Option<Box<SigningKey>>,
    pub meter_public_key: Option<Box<VerifyingKey>>,
}

/// A file that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("read keys {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("read keys: {0}")]
    Open(String),
    #[error("read keys {}: {}", path.display(), faults.join("; "))]
    Faults { path: PathBuf, faults: Vec<String> },
}

impl Credentials {
    /// Reads a file that only its owner may read.
    ///
    /// # Errors
    /// Says what keeps the file from being read, or everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, CredentialError> {
        private(path).map_err(CredentialError::Open)?;
        let text = text_of(path, LIMIT).map_err(|source| CredentialError::Read { path: path.to_owned(), source })?;
        Self::read(&text).map_err(|faults| CredentialError::Faults { path: path.to_owned(), faults })
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// Everything that is wrong, by meter and key.
    pub fn read(text: &str) -> Result<Self, Vec<String>> {
        let tables: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            // The parser's own message shows the line, which may be a secret.
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(at).filter(|octet| *octet == b'\n').count();
            vec![format!("line {line}: not TOML")]
        })?;
        let mut faults = Vec::new();
        let mut meters = HashMap::new();
        for (name, table) in tables {
            let Ok(MeterId::SystemTitle(title)) = name.parse() else {
                faults.push(format!("[{name}]: not a system title, which has 16 hex digits"));
                continue;
            };
            match table.as_table() {
                Some(table) => drop(meters.insert(title, Arc::new(credential(&name, table, &mut faults)))),
                None => faults.push(format!("{name}: not a table")),
            }
        }
        if faults.is_empty() { Ok(Self { meters }) } else { Err(faults) }
    }

    pub fn of(&self, meter: [u8; 8]) -> Option<&Arc<Credential>> {
        self.meters.get(&meter)
    }
}

fn credential(name: &str, table: &toml::Table, faults: &mut Vec<String>) -> Credential {
    let mut found = Credential::default();
    for (key, value) in table {
        let refused = match (key.as_str(), value.as_str()) {
            (_, None) => Some("not text in quotes"),
            ("password", Some(text)) => {
                found.password = password(text);
                found.password.is_none().then_some("has an odd number of digits, or others than hex digits behind 0x")
            }
            ("encryption_key", Some(text)) => {
                found.encryption_key = key_octets(text).and_then(|octets| EncryptionKey::new(&octets).ok());
                found.encryption_key.is_none().then_some(KEY)
            }
            ("authentication_key", Some(text)) => {
                found.authentication_key = key_octets(text).and_then(|octets| AuthenticationKey::new(&octets).ok());
                found.authentication_key.is_none().then_some(KEY)
            }
            ("signing_key", Some(text)) => {
                found.signing_key = of_curve(text, 32, SigningKey::new);
                found.signing_key.is_none().then_some("a private key has 64 hex digits, in suite 2 it has 96")
            }
            ("meter_public_key", Some(text)) => {
                found.meter_public_key = of_curve(text, 64, VerifyingKey::new);
                found.meter_public_key.is_none().then_some("a public key has 128 hex digits, in suite 2 it has 192")
            }
            _ => Some(KNOWN),
        };
        faults.extend(refused.map(|text| format!("{name}.{key}: {text}")));
    }
    found
}

/// A key of suite 1, which has so many octets, or one of suite 2, which has half as many more; a point may have 04 before it.
fn of_curve<K>(text: &str, octets: usize, key: fn(Suite, &[u8]) -> Result<K, Reject>) -> Option<Box<K>> {
    let found = hex::decode(text).ok()?;
    let suite = if found.len() / 2 * 2 == octets { Suite::One } else { Suite::Two };
    key(suite, &found).ok().map(Box::new)
}

fn password(text: &str) -> Option<Secret> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).ok().map(|octets| Secret::new(&octets)),
        None => Some(Secret::new(text.as_bytes())),
    }
}

fn key_octets(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|octets| matches!(octets.len(), 16 | 32))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("len", &self.meters.len()).finish_non_exhaustive()
    }
}

const KNOWN: &str =
    "unknown key: password, encryption_key, authentication_key, signing_key and meter_public_key are known";
const KEY: &str = "a key has 32 hex digits, in suite 2 it has 64";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_has_what_its_table_says() {
        let text = "[4d4d4d0000bc614e]\npassword = \"12345678\"\n[4d4d4d0000bc614f]\npassword = \"0x0102\"\n\
                    encryption_key = \"000102030405060708090a0b0c0d0e0f\"\n\
                    authentication_key = \"d0d1d2d3d4d5d6d7d8d9dadbdcdddedf\"\n";
        let keys = Credentials::read(text).unwrap();
        let first = keys.of(*b"MMM\0\0\xbc\x61\x4e").unwrap();
        assert!(first.password == Some(Secret::new(b"12345678")) && first.encryption_key.is_none());
        let second = keys.of(*b"MMM\0\0\xbc\x61\x4f").unwrap();
        assert!(second.password == Some(Secret::new(&[1, 2])));
        assert!(second.encryption_key.is_some() && second.authentication_key.is_some());
        assert!(keys.of([0; 8]).is_none());
        assert_eq!(format!("{keys:?}"), "Credentials { len: 2, .. }");
    }

    #[test]
    fn every_fault_is_told_and_no_secret_with_it() {
        let text = "[meter]\n[4d4d4d0000bc614e]\npassword = 7\nencryption_key = \"5ec2e7\"\ncolour = \"5ec2e7\"\n";
        let faults = Credentials::read(text).unwrap_err();
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(!faults.concat().contains("5ec2e7"), "{faults:?}");
        let broken = Credentials::read("[4d4d4d0000bc614e]\npassword = \"5ec2e7\n").unwrap_err();
        assert_eq!(broken, ["line 2: not TOML"]);
    }
}
