//! Why octets were not taken. Rejecting is normal work; every variant can be counted by its name.

use std::fmt;

use bytes::TryGetError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// Fewer octets than a length, a header or a data field asks for.
    Truncated,
    /// A link layer CRC is wrong.
    BadCrc,
    /// The checksum or the framing of a wired long frame is wrong.
    BadChecksum,
    /// A frame without the address of a meter (wired, and no long transport header).
    NoAddress,
    /// A field holds a reserved value.
    Reserved(&'static str),
    /// A fragment of a longer message, EN 13757-7 clause 6.
    Fragment,
    /// A CI-field nobody here decodes: network layer, management, COSEM, image transfer.
    UnsupportedCi(u8),
    /// A CI-field of the manufacturer's own, A0 to B7.
    ManufacturerCi(u8),
    /// Octets of the manufacturer's own that are not as its layout has them.
    ManufacturerLayout(&'static str),
    /// A compact frame: the format of its records is not in it.
    CompactFrame,
    /// A format frame whose signature is not that of its format.
    FormatSignature,
    /// A compact frame that its format does not make the full frame it was.
    FullFrameCrc,
    /// A security mode that is not decrypted.
    UnsupportedSecurity(u8),
    /// A DIF from the reserved special functions.
    ReservedDif(u8),
    /// More than ten DIFE or VIFE.
    ChainTooLong,
    /// A reserved LVAR.
    ReservedLvar(u8),
    /// A storage number of more than 32 bits.
    StorageNumber(u64),
    /// Records behind the encrypted ones, where less than encrypted is not taken.
    InTheClear,
}

impl Reject {
    /// A stable name for counters and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::BadCrc => "bad_crc",
            Self::BadChecksum => "bad_checksum",
            Self::NoAddress => "no_address",
            Self::Reserved(_) => "reserved",
            Self::Fragment => "fragment",
            Self::UnsupportedCi(_) => "unsupported_ci",
            Self::ManufacturerCi(_) => "manufacturer_ci",
            Self::ManufacturerLayout(_) => "manufacturer_layout",
            Self::CompactFrame => "compact_frame",
            Self::FormatSignature => "format_signature",
            Self::FullFrameCrc => "full_frame_crc",
            Self::UnsupportedSecurity(_) => "unsupported_security",
            Self::ReservedDif(_) => "reserved_dif",
            Self::ChainTooLong => "chain_too_long",
            Self::ReservedLvar(_) => "reserved_lvar",
            Self::StorageNumber(_) => "storage_number",
            Self::InTheClear => "in_the_clear",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("octets missing"),
            Self::BadCrc => f.write_str("link layer crc is wrong"),
            Self::BadChecksum => f.write_str("checksum of the wired frame is wrong"),
            Self::NoAddress => f.write_str("no meter address"),
            Self::Reserved(field) => write!(f, "reserved value in {field}"),
            Self::Fragment => f.write_str("fragment of a longer message"),
            Self::UnsupportedCi(ci) => write!(f, "ci field {ci:02x} is not decoded"),
            Self::ManufacturerCi(ci) => write!(f, "ci field {ci:02x} belongs to the manufacturer"),
            Self::ManufacturerLayout(what) => write!(f, "{what} is not known"),
            Self::CompactFrame => f.write_str("compact frame without its format"),
            Self::FormatSignature => f.write_str("format signature is wrong"),
            Self::FullFrameCrc => f.write_str("full frame crc is wrong"),
            Self::UnsupportedSecurity(mode) => write!(f, "security mode {mode} is not decrypted"),
            Self::ReservedDif(dif) => write!(f, "reserved dif {dif:02x}"),
            Self::ChainTooLong => f.write_str("more than ten dife or vife"),
            Self::ReservedLvar(lvar) => write!(f, "reserved lvar {lvar:02x}"),
            Self::StorageNumber(number) => write!(f, "storage number {number} has more than 32 bits"),
            Self::InTheClear => f.write_str("records in the clear behind the encrypted ones"),
        }
    }
}

impl std::error::Error for Reject {}

impl From<TryGetError> for Reject {
    fn from(_: TryGetError) -> Self {
        Self::Truncated
    }
}
