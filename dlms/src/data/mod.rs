//! Values of COSEM attributes in A-XDR: IEC 62056-5-3 `Data`, types of IEC 62056-6-2:2021, 4.1.5.
//!
//! A value borrows its octets. It is checked once, when it is read: what it holds is then walked without allocation
//! and without an error. [`Encoder`] writes values.

mod encoder;
mod items;
pub mod length;
mod typed;

use std::fmt;

use bytes::{Buf, BufMut};

pub use encoder::{Encoder, encode};
pub use items::{CompactArray, Items};

use crate::time::{Date, Time};
use crate::{DateTime, Obis, Reject};

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Data<'a> {
    NullData,
    Array(Items<'a>),
    Structure(Items<'a>),
    Boolean(bool),
    BitString(BitString<'a>),
    DoubleLong(i32),
    DoubleLongUnsigned(u32),
    OctetString(&'a [u8]),
    VisibleString(&'a [u8]),
    Utf8String(&'a [u8]),
    Bcd(u8),
    Integer(i8),
    Long(i16),
    Unsigned(u8),
    LongUnsigned(u16),
    CompactArray(CompactArray<'a>),
    Long64(i64),
    Long64Unsigned(u64),
    Enum(u8),
    Float32(f32),
    Float64(f64),
    DateTime(DateTime),
    Date(Date),
    Time(Time),
    DeltaInteger(i8),
    DeltaLong(i16),
    DeltaDoubleLong(i32),
    DeltaUnsigned(u8),
    DeltaLongUnsigned(u16),
    DeltaDoubleLongUnsigned(u32),
    DontCare,
}

/// Bits, the first one in the highest bit of the first octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitString<'a> {
    bits: usize,
    octets: &'a [u8],
}

/// How much of one value is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arrays and structures within each other.
    pub depth: u8,
    /// Values in all, those in arrays and structures counted.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 16, elements: 1 << 22 }
    }
}

impl<'a> Data<'a> {
    /// Reads one value and leaves `buf` at the first octet after it.
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        Self::parse_within(buf, Limits::default())
    }

    /// Reads one value of no more than `limits`.
    pub fn parse_within(buf: &mut &'a [u8], mut limits: Limits) -> Result<Self, Reject> {
        let tag = buf.try_get_u8()?;
        Self::tagged(tag, buf, &mut limits)
    }

    /// Reads a value that is all of `octets`.
    pub fn parse_all(octets: &'a [u8]) -> Result<Self, Reject> {
        let mut buf = octets;
        let data = Self::parse(&mut buf)?;
        if buf.is_empty() { Ok(data) } else { Err(Reject::Trailing) }
    }

    /// Appends what [`Self::parse`] reads, with lengths in their shortest form.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.tag());
        self.emit_untagged(out);
    }

    /// The octets that [`Self::emit`] appends.
    pub fn octets(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }

    fn tagged(tag: u8, buf: &mut &'a [u8], limits: &mut Limits) -> Result<Self, Reject> {
        match tag {
            tag::ARRAY => Items::parse(buf, limits).map(Self::Array),
            tag::STRUCTURE => Items::parse(buf, limits).map(Self::Structure),
            tag::COMPACT_ARRAY => CompactArray::parse(buf, limits).map(Self::CompactArray),
            tag => {
                limits.count()?;
                Self::scalar(tag, buf)
            }
        }
    }

    /// Reads what is neither array nor structure, behind its tag.
    #[inline]
    fn scalar(tag: u8, buf: &mut &'a [u8]) -> Result<Self, Reject> {
        Ok(match tag {
            tag::NULL_DATA => Self::NullData,
            3 => Self::Boolean(buf.try_get_u8()? != 0),
            4 => Self::BitString(BitString::parse(buf)?),
            5 => Self::DoubleLong(buf.try_get_i32()?),
            6 => Self::DoubleLongUnsigned(buf.try_get_u32()?),
            9 => Self::OctetString(length::octets(buf)?),
            10 => Self::VisibleString(length::octets(buf)?),
            12 => Self::Utf8String(length::octets(buf)?),
            13 => Self::Bcd(buf.try_get_u8()?),
            15 => Self::Integer(buf.try_get_i8()?),
            16 => Self::Long(buf.try_get_i16()?),
            17 => Self::Unsigned(buf.try_get_u8()?),
            18 => Self::LongUnsigned(buf.try_get_u16()?),
            20 => Self::Long64(buf.try_get_i64()?),
            21 => Self::Long64Unsigned(buf.try_get_u64()?),
            22 => Self::Enum(buf.try_get_u8()?),
            23 => Self::Float32(f32::from_bits(buf.try_get_u32()?)),
            24 => Self::Float64(f64::from_bits(buf.try_get_u64()?)),
            25 => Self::DateTime(DateTime::parse(buf)?),
            26 => Self::Date(Date::parse(buf)?),
            27 => Self::Time(Time::parse(buf)?),
            28 => Self::DeltaInteger(buf.try_get_i8()?),
            29 => Self::DeltaLong(buf.try_get_i16()?),
            30 => Self::DeltaDoubleLong(buf.try_get_i32()?),
            31 => Self::DeltaUnsigned(buf.try_get_u8()?),
            32 => Self::DeltaLongUnsigned(buf.try_get_u16()?),
            33 => Self::DeltaDoubleLongUnsigned(buf.try_get_u32()?),
            255 => Self::DontCare,
            tag => return Err(Reject::DataType(tag)),
        })
    }

    /// The number of its type.
    pub const fn tag(&self) -> u8 {
        match self {
            Self::NullData => tag::NULL_DATA,
            Self::Array(_) => tag::ARRAY,
            Self::Structure(_) => tag::STRUCTURE,
            Self::Boolean(_) => 3,
            Self::BitString(_) => 4,
            Self::DoubleLong(_) => 5,
            Self::DoubleLongUnsigned(_) => 6,
            Self::OctetString(_) => 9,
            Self::VisibleString(_) => 10,
            Self::Utf8String(_) => 12,
            Self::Bcd(_) => 13,
            Self::Integer(_) => 15,
            Self::Long(_) => 16,
            Self::Unsigned(_) => 17,
            Self::LongUnsigned(_) => 18,
            Self::CompactArray(_) => tag::COMPACT_ARRAY,
            Self::Long64(_) => 20,
            Self::Long64Unsigned(_) => 21,
            Self::Enum(_) => 22,
            Self::Float32(_) => 23,
            Self::Float64(_) => 24,
            Self::DateTime(_) => 25,
            Self::Date(_) => 26,
            Self::Time(_) => 27,
            Self::DeltaInteger(_) => 28,
            Self::DeltaLong(_) => 29,
            Self::DeltaDoubleLong(_) => 30,
            Self::DeltaUnsigned(_) => 31,
            Self::DeltaLongUnsigned(_) => 32,
            Self::DeltaDoubleLongUnsigned(_) => 33,
            Self::DontCare => 255,
        }
    }

    fn emit_untagged(&self, out: &mut Vec<u8>) {
        match *self {
            Self::NullData | Self::DontCare => {}
            Self::Array(items) | Self::Structure(items) => items.emit(out),
            Self::CompactArray(array) => array.emit(out),
            Self::Boolean(value) => out.push(u8::from(value)),
            Self::BitString(bits) => bits.emit(out),
            Self::OctetString(octets) | Self::VisibleString(octets) | Self::Utf8String(octets) => {
                length::emit_octets(octets, out);
            }
            Self::DoubleLong(value) | Self::DeltaDoubleLong(value) => out.put_i32(value),
            Self::DoubleLongUnsigned(value) | Self::DeltaDoubleLongUnsigned(value) => out.put_u32(value),
            Self::Bcd(value) | Self::Unsigned(value) | Self::Enum(value) | Self::DeltaUnsigned(value) => {
                out.push(value);
            }
            Self::Integer(value) | Self::DeltaInteger(value) => out.put_i8(value),
            Self::Long(value) | Self::DeltaLong(value) => out.put_i16(value),
            Self::LongUnsigned(value) | Self::DeltaLongUnsigned(value) => out.put_u16(value),
            Self::Long64(value) => out.put_i64(value),
            Self::Long64Unsigned(value) => out.put_u64(value),
            Self::Float32(value) => out.put_u32(value.to_bits()),
            Self::Float64(value) => out.put_u64(value.to_bits()),
            Self::DateTime(value) => value.emit(out),
            Self::Date(value) => value.emit(out),
            Self::Time(value) => value.emit(out),
        }
    }

    /// The value as a name of an object.
    pub fn obis(&self) -> Result<Obis, Reject> {
        self.octet_string()?.try_into()
    }
}

impl<'a> BitString<'a> {
    /// As many bits as `octets` have, or fewer.
    pub fn new(bits: usize, octets: &'a [u8]) -> Option<Self> {
        (octets.len() == bits.div_ceil(8)).then_some(Self { bits, octets })
    }

    fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let bits = length::parse(buf)?;
        Ok(Self { bits, octets: length::take(buf, bits.div_ceil(8))? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        length::emit(self.bits, out);
        out.extend_from_slice(self.octets);
    }

    pub const fn len(&self) -> usize {
        self.bits
    }

    pub const fn is_empty(&self) -> bool {
        self.bits == 0
    }

    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The bits in their order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + use<'a> {
        let octets = self.octets.iter().flat_map(|octet| (0..8).map(move |bit| octet & 0x80 >> bit != 0));
        octets.take(self.bits)
    }
}

impl Limits {
    /// One more value.
    #[inline]
    const fn count(&mut self) -> Result<(), Reject> {
        match self.elements.checked_sub(1) {
            Some(left) => {
                self.elements = left;
                Ok(())
            }
            None => Err(Reject::TooLong("value")),
        }
    }

    /// What is left for what is in an array or a structure.
    const fn within(&mut self) -> Result<(), Reject> {
        match self.depth.checked_sub(1) {
            Some(left) => {
                self.depth = left;
                self.count()
            }
            None => Err(Reject::TooDeep),
        }
    }
}

impl fmt::Display for Data<'_> {
    /// `{2026-06-25T12:30:00 sts 80, 08, 4711}`: arrays in brackets, structures in braces, octets in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NullData => f.write_str("null"),
            Self::Array(items) => list(f, "[", items, "]"),
            Self::Structure(items) => list(f, "{", items, "}"),
            Self::CompactArray(array) => list(f, "[", array.items(), "]"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::BitString(bits) => bits.iter().try_for_each(|bit| f.write_str(if bit { "1" } else { "0" })),
            Self::OctetString(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Self::VisibleString(octets) | Self::Utf8String(octets) => {
                write!(f, "{:?}", String::from_utf8_lossy(octets))
            }
            Self::Bcd(value) => write!(f, "{value:02x}"),
            Self::Float32(value) => write!(f, "{value}"),
            Self::Float64(value) => write!(f, "{value}"),
            Self::DateTime(value) => write!(f, "{value}"),
            Self::Date(value) => write!(f, "{value}"),
            Self::Time(value) => write!(f, "{value}"),
            Self::DontCare => f.write_str("dont-care"),
            ref number => match number.integer() {
                Ok(number) => write!(f, "{number}"),
                Err(reject) => write!(f, "{reject}"),
            },
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, open: &str, items: Items<'_>, close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (place, item) in items.enumerate() {
        write!(f, "{}{item}", if place > 0 { ", " } else { "" })?;
    }
    f.write_str(close)
}

/// Numbers of the types that hold others, IEC 62056-6-2:2021, table 2.
pub(crate) mod tag {
    pub(crate) const NULL_DATA: u8 = 0;
    pub(crate) const ARRAY: u8 = 1;
    pub(crate) const STRUCTURE: u8 = 2;
    pub(crate) const COMPACT_ARRAY: u8 = 19;
}

#[cfg(test)]
pub(crate) mod tests;
