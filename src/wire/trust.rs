//! Who may say what: public keys and their roles, from a TOML text.
//!
//! ```toml
//! [[key]]
//! name = "head end 1"            # for people
//! roles = ["ingest", "reader"]
//! public = """
//! -----BEGIN PUBLIC KEY-----
//! ...
//! -----END PUBLIC KEY-----
//! """
//!
//! [[key]]
//! name = "unit at Elm Street"
//! roles = ["device"]
//! dcu = "dcu-0001"               # the key speaks for this unit only
//! public = "..."
//! ```

use serde::Deserialize;

use super::signed::{KeyError, KeyId, PublicKey};

/// The keys that are trusted. Empty trusts nobody.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trust {
    keys: Vec<TrustedKey>,
}

/// A public key and what it may sign.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustedKey {
    pub id: KeyId,
    pub name: String,
    pub roles: Vec<Role>,
    /// The only unit it speaks for (role device) or to (other roles). A device key always names one.
    pub dcu: Option<String>,
    pub key: PublicKey,
}

/// DESIGN 3.5, and `Device` for the unit's own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Reader,
    Operator,
    Switcher,
    Tariff,
    CryptoOfficer,
    Installer,
    /// Acknowledges readings.
    Ingest,
    /// A unit: signs checkpoints and answers to commands.
    Device,
}

impl Role {
    /// The name in the trust file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Switcher => "switcher",
            Self::Tariff => "tariff",
            Self::CryptoOfficer => "crypto-officer",
            Self::Installer => "installer",
            Self::Ingest => "ingest",
            Self::Device => "device",
        }
    }
}

impl Trust {
    /// Reads the TOML text shown above.
    ///
    /// # Errors
    /// All faults are in the message of `TrustError`: none of them shows key material.
    pub fn from_toml(text: &str) -> Result<Self, TrustError> {
        let raw: RawTrust = toml::from_str(text).map_err(|error| TrustError::Toml(error.message().to_owned()))?;
        let mut trust = Self::default();
        for RawKey { name, roles, dcu, public } in raw.key {
            let key = PublicKey::from_pem(public.trim())
                .map_err(|error| TrustError::Key { name: name.clone(), source: error })?;
            trust.add(name, &roles, dcu, key)?;
        }
        Ok(trust)
    }

    /// Trusts one more key.
    ///
    /// # Errors
    /// A key that is already there, has no role, or is a unit's without naming the unit.
    pub fn add(&mut self, name: String, roles: &[Role], dcu: Option<String>, key: PublicKey) -> Result<(), TrustError> {
        let id = key.id();
        if self.find(&id.0).is_some() {
            return Err(TrustError::Twice { name });
        }
        if roles.is_empty() {
            return Err(TrustError::NoRole { name });
        }
        if roles.contains(&Role::Device) && dcu.is_none() {
            return Err(TrustError::NoUnit { name });
        }
        self.keys.push(TrustedKey { id, name, roles: roles.to_vec(), dcu, key });
        Ok(())
    }

    /// The trusted key with this key id.
    pub fn find(&self, id: &[u8]) -> Option<&TrustedKey> {
        self.keys.iter().find(|key| key.id.0 == id)
    }

    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }
}

/// What `dcu head-end keys` writes for a key: one `[[key]]` of the file.
pub fn to_toml(name: &str, roles: &[Role], dcu: Option<&str>, key: &PublicKey) -> String {
    let text = |text: &str| toml::Value::from(text).to_string();
    let roles = roles.iter().map(|role| text(role.name())).collect::<Vec<_>>().join(", ");
    let dcu = dcu.map(|dcu| format!("dcu = {}\n", text(dcu))).unwrap_or_default();
    format!(
        "[[key]]\nname = {}\nroles = [{roles}]\n{dcu}public = \"\"\"\n{}\"\"\"\n",
        text(name),
        key.to_pem().trim_start()
    )
}

/// Why a trust file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("trust: {0}")]
    Toml(String),
    #[error("trust: key {name:?}")]
    Key { name: String, source: KeyError },
    #[error("trust: key {name:?} is there twice")]
    Twice { name: String },
    #[error("trust: key {name:?} has no role")]
    NoRole { name: String },
    #[error("trust: key {name:?} is a unit's, and `dcu` does not say which")]
    NoUnit { name: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrust {
    #[serde(default)]
    key: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    name: String,
    roles: Vec<Role>,
    dcu: Option<String>,
    public: String,
}
