//! What an option of `dcu dlms` may be.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Auth {
    /// The lowest security: none
    None,
    /// A password in the clear
    Lls,
    /// A challenge, the password and MD5
    Md5,
    /// A challenge, the password and SHA-1
    Sha1,
    /// A challenge, the password and SHA-256
    Sha256,
    /// A challenge and the encryption and authentication keys
    Gmac,
    /// A challenge and signatures
    Ecdsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Protect {
    None,
    Authenticated,
    Encrypted,
    /// Authenticated and encrypted
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Ciphers {
    /// Service-specific, global key
    Global,
    /// Service-specific, a key for this association alone
    Dedicated,
    /// general-glo-ciphering
    GeneralGlobal,
    /// general-ded-ciphering
    GeneralDedicated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CounterFrom {
    /// Asked of the meter where the keys file says none
    Auto,
    /// As the keys file says, else 1
    File,
    /// Asked of the meter each time, and never lowered
    Meter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sign {
    Dlms,
    Inverted,
}
