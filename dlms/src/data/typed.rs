//! Values as the types that attributes have.

use super::{BitString, Data, Items};
use crate::{DateTime, Reject};

impl<'a> Data<'a> {
    /// Any whole number, a boolean or a null excluded.
    pub const fn integer(&self) -> Result<i128, Reject> {
        Ok(match *self {
            Self::DoubleLong(value) | Self::DeltaDoubleLong(value) => value as i128,
            Self::DoubleLongUnsigned(value) | Self::DeltaDoubleLongUnsigned(value) => value as i128,
            Self::Integer(value) | Self::DeltaInteger(value) => value as i128,
            Self::Long(value) | Self::DeltaLong(value) => value as i128,
            Self::Unsigned(value) | Self::Enum(value) | Self::DeltaUnsigned(value) => value as i128,
            Self::LongUnsigned(value) | Self::DeltaLongUnsigned(value) => value as i128,
            Self::Long64(value) => value as i128,
            Self::Long64Unsigned(value) => value as i128,
            _ => return Err(Reject::Mismatch("a number")),
        })
    }

    /// A whole number that `T` holds.
    pub fn number<T: TryFrom<i128>>(&self) -> Result<T, Reject> {
        self.integer()?.try_into().map_err(|_| Reject::Mismatch("a number of its size"))
    }

    pub const fn boolean(&self) -> Result<bool, Reject> {
        match *self {
            Self::Boolean(value) => Ok(value),
            _ => Err(Reject::Mismatch("a boolean")),
        }
    }

    pub const fn octet_string(&self) -> Result<&'a [u8], Reject> {
        match *self {
            Self::OctetString(octets) => Ok(octets),
            _ => Err(Reject::Mismatch("an octet string")),
        }
    }

    /// Octets of any kind of string.
    pub const fn string(&self) -> Result<&'a [u8], Reject> {
        match *self {
            Self::OctetString(octets) | Self::VisibleString(octets) | Self::Utf8String(octets) => Ok(octets),
            _ => Err(Reject::Mismatch("a string")),
        }
    }

    pub const fn bit_string(&self) -> Result<BitString<'a>, Reject> {
        match *self {
            Self::BitString(bits) => Ok(bits),
            _ => Err(Reject::Mismatch("a bit string")),
        }
    }

    /// A moment, in an octet string of twelve octets or with a type of its own.
    pub fn date_time(&self) -> Result<DateTime, Reject> {
        match *self {
            Self::DateTime(value) => Ok(value),
            Self::OctetString(mut octets) if octets.len() == DateTime::LENGTH => DateTime::parse(&mut octets),
            _ => Err(Reject::Mismatch("a date and time")),
        }
    }

    /// The elements of an array, compact or not.
    pub const fn array(&self) -> Result<Items<'a>, Reject> {
        match *self {
            Self::Array(items) => Ok(items),
            Self::CompactArray(array) => Ok(array.items()),
            _ => Err(Reject::Mismatch("an array")),
        }
    }

    /// The elements of a structure.
    pub const fn structure(&self) -> Result<Items<'a>, Reject> {
        match *self {
            Self::Structure(items) => Ok(items),
            _ => Err(Reject::Mismatch("a structure")),
        }
    }

    /// The elements of a structure that has so many.
    pub fn fields<const N: usize>(&self, what: &'static str) -> Result<[Data<'a>; N], Reject> {
        self.structure().map_err(|_| Reject::Mismatch(what))?.exactly(what)
    }
}
