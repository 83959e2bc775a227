//! Why octets were not taken. Rejecting is normal work; every variant can be counted by its name.

use std::collections::BTreeMap;
use std::fmt;

use bytes::TryGetError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// Fewer octets than a length, a header or a field asks for.
    Truncated,
    /// More octets than a length says, or than there may be.
    TooLong,
    /// The check sum of a frame is wrong.
    BadCrc,
    /// The length in a frame is not its length.
    BadLength,
    /// A frame of a protocol that nobody here speaks.
    UnknownProtocol(u8),
    /// A command that is not known.
    UnknownCommand(u8),
    /// A field holds a value that it must not hold.
    Reserved(&'static str),
    /// A check sum of IPv6's upper layers is wrong.
    BadChecksum,
    /// A message authentication code is not that of the key.
    BadMac,
    /// An echoed random number, an identity or a nonce is not the expected one.
    Mismatch(&'static str),
    /// What came does not belong to what was asked.
    Unexpected(&'static str),
}

impl Reject {
    /// A stable name for counters and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::TooLong => "too_long",
            Self::BadCrc => "bad_crc",
            Self::BadLength => "bad_length",
            Self::UnknownProtocol(_) => "unknown_protocol",
            Self::UnknownCommand(_) => "unknown_command",
            Self::Reserved(_) => "reserved",
            Self::BadChecksum => "bad_checksum",
            Self::BadMac => "bad_mac",
            Self::Mismatch(_) => "mismatch",
            Self::Unexpected(_) => "unexpected",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("octets missing"),
            Self::TooLong => f.write_str("too many octets"),
            Self::BadCrc => f.write_str("crc of the frame is wrong"),
            Self::BadLength => f.write_str("length of the frame is wrong"),
            Self::UnknownProtocol(id) => write!(f, "protocol {id:02x} is not known"),
            Self::UnknownCommand(command) => write!(f, "command {command} is not known"),
            Self::Reserved(field) => write!(f, "reserved value in {field}"),
            Self::BadChecksum => f.write_str("checksum is wrong"),
            Self::BadMac => f.write_str("message authentication code is wrong"),
            Self::Mismatch(field) => write!(f, "{field} is not the expected one"),
            Self::Unexpected(what) => write!(f, "{what} was not expected"),
        }
    }
}

impl std::error::Error for Reject {}

impl From<TryGetError> for Reject {
    fn from(_: TryGetError) -> Self {
        Self::Truncated
    }
}

/// How often, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejects(BTreeMap<&'static str, u64>);

impl Rejects {
    pub fn add(&mut self, reject: Reject) {
        *self.0.entry(reject.name()).or_default() += 1;
    }

    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(name, count)| (*name, *count))
    }
}
