//! Why octets were not taken. Rejecting is normal work; every variant can be counted by its name.

use std::fmt;

use bytes::TryGetError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// Fewer octets than a length or a field asks for.
    Truncated,
    /// Octets behind the end of what should fill them.
    Trailing,
    /// Structures nested deeper than is taken.
    TooDeep,
    /// More octets or elements than are taken.
    TooLong(&'static str),
    /// A field holds a reserved value.
    Reserved(&'static str),
    /// A field is not as long as its type.
    Length(&'static str),
    /// A data type that is not in IEC 62056-6-2, 4.1.5.
    DataType(u8),
    /// A value of another type than its attribute has.
    Mismatch(&'static str),
    /// An APDU that is not decoded.
    UnsupportedApdu(u8),
    /// HDLC: header check sequence.
    BadHcs,
    /// HDLC: frame check sequence.
    BadFcs,
    /// Octets before a frame or a header.
    Noise,
    /// A frame for or from somebody else.
    ForeignAddress,
    /// A frame or a block out of its order.
    OutOfSequence,
    /// A link layer header other than that of COSEM.
    BadLlc,
    /// An APDU that has to be ciphered, and is not, or less than agreed.
    NotProtected,
    /// The authentication tag, or the key, is wrong.
    BadTag,
    /// A signature is wrong.
    BadSignature,
    /// An invocation counter that is not above the highest one received.
    Replayed,
    /// A key that there is none of.
    NoKey,
}

impl Reject {
    /// A stable name for counters and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Trailing => "trailing",
            Self::TooDeep => "too_deep",
            Self::TooLong(_) => "too_long",
            Self::Reserved(_) => "reserved",
            Self::Length(_) => "length",
            Self::DataType(_) => "data_type",
            Self::Mismatch(_) => "mismatch",
            Self::UnsupportedApdu(_) => "unsupported_apdu",
            Self::BadHcs => "bad_hcs",
            Self::BadFcs => "bad_fcs",
            Self::Noise => "noise",
            Self::ForeignAddress => "foreign_address",
            Self::OutOfSequence => "out_of_sequence",
            Self::BadLlc => "bad_llc",
            Self::NotProtected => "not_protected",
            Self::BadTag => "bad_tag",
            Self::BadSignature => "bad_signature",
            Self::Replayed => "replayed",
            Self::NoKey => "no_key",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("octets missing"),
            Self::Trailing => f.write_str("octets behind the end"),
            Self::TooDeep => f.write_str("nested too deep"),
            Self::TooLong(what) => write!(f, "{what} is too long"),
            Self::Reserved(field) => write!(f, "reserved value in {field}"),
            Self::Length(field) => write!(f, "{field} has a wrong length"),
            Self::DataType(tag) => write!(f, "data type {tag} is not known"),
            Self::Mismatch(what) => write!(f, "not the type of {what}"),
            Self::UnsupportedApdu(tag) => write!(f, "apdu {tag:02x} is not decoded"),
            Self::BadHcs => f.write_str("header check sequence is wrong"),
            Self::BadFcs => f.write_str("frame check sequence is wrong"),
            Self::Noise => f.write_str("noise before a frame"),
            Self::ForeignAddress => f.write_str("address of another station"),
            Self::OutOfSequence => f.write_str("out of sequence"),
            Self::BadLlc => f.write_str("link header is not that of cosem"),
            Self::NotProtected => f.write_str("less protected than agreed"),
            Self::BadTag => f.write_str("authentication tag is wrong"),
            Self::BadSignature => f.write_str("signature is wrong"),
            Self::Replayed => f.write_str("invocation counter was used before"),
            Self::NoKey => f.write_str("no key"),
        }
    }
}

impl std::error::Error for Reject {}

impl From<TryGetError> for Reject {
    fn from(_: TryGetError) -> Self {
        Self::Truncated
    }
}
