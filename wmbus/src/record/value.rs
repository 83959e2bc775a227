//! The data of a record, by data field and by what the VIB says of its coding. EN 13757-3:2018, clause 6.3.3 and annex A.

use std::fmt;

use super::table::Coding;
use super::{DataField, Date, DateTime, Text, Time};
use crate::Reject;

/// The data of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// No data, or selection for readout.
    None,
    Integer(i64),
    /// A 32 bit real, its bits as sent.
    Float32(u32),
    Date(Date),
    Time(Time),
    DateTime(DateTime),
    Text(Text<'a>),
    /// Octets without a numeric meaning here (type D flags, containers, numbers wider than 64 bit), as sent.
    Binary(&'a [u8]),
    /// The meter says that it has no value, or sent digits that are none.
    Invalid,
}

impl<'a> Value<'a> {
    /// The data in front of `octets`, and what follows.
    #[inline(always)]
    pub(super) fn split(octets: &'a [u8], data_field: DataField, coding: Coding) -> Result<(Self, &'a [u8]), Reject> {
        let Some(len) = data_field.size() else {
            return Self::variable(octets, coding);
        };
        let (own, rest) = octets.split_at_checked(len).ok_or(Reject::Truncated)?;
        let unused = 64 - 8 * len as u32;
        let value = Self::of(own, number(octets, own), unused, Treatment::of(data_field, coding));
        Ok((value.unwrap_or(Self::Binary(own)), rest))
    }

    /// At most eight octets, also as a number, the least significant first, whose bits above them (`unused`) say
    /// nothing. None where the treatment is [`Treatment::Elsewhere`].
    #[inline(always)]
    pub(super) fn of(octets: &'a [u8], raw: u64, unused: u32, treatment: Treatment) -> Option<Self> {
        Some(match treatment {
            Treatment::Nothing => Self::None,
            Treatment::Real => real(raw as u32),
            Treatment::Bcd => bcd(raw, unused),
            Treatment::Signed => signed(raw, unused),
            Treatment::Unsigned => unsigned(octets, raw, unused),
            Treatment::TypeG => Date::parse(low(raw)).map_or(Self::Invalid, Self::Date),
            Treatment::TypeJ => Time::parse(low(raw)).map_or(Self::Invalid, Self::Time),
            Treatment::TypeF => DateTime::parse_f(low(raw)).map_or(Self::Invalid, Self::DateTime),
            Treatment::TypeI => DateTime::parse_i(low(raw)).map_or(Self::Invalid, Self::DateTime),
            Treatment::Octets => Self::Binary(octets),
            Treatment::Elsewhere => return None,
        })
    }

    /// What a field holds though it is [`Self::Invalid`]: the number its mark would be, a date that is none, octets.
    pub(super) fn held(octets: &'a [u8], data_field: DataField, coding: Coding) -> Self {
        let (treatment, octets) = match octets {
            [_lvar, number @ ..] if data_field == DataField::Variable => {
                (Treatment::of_len(number.len(), coding), number)
            }
            octets => (Treatment::of(data_field, coding), octets),
        };
        let unused = 64u32.saturating_sub(8 * octets.len() as u32);
        match (treatment, octets) {
            // A gap that was written into an expanded profile is no field of the meter.
            (Treatment::Signed, _) if (1..64).contains(&unused) => {
                Self::Integer((little_endian(octets).wrapping_shl(unused) as i64).wrapping_shr(unused))
            }
            (Treatment::Unsigned, _) if (1..64).contains(&unused) => Self::Integer(little_endian(octets) as i64),
            (Treatment::TypeG, &[a, b]) => Date::fields([a, b]).map_or(Self::Binary(octets), Self::Date),
            (Treatment::TypeF, &[a, b, c, d]) => {
                DateTime::fields_f([a, b, c, d]).map_or(Self::Binary(octets), Self::DateTime)
            }
            (Treatment::TypeI, &[a, b, c, d, e, f]) => {
                DateTime::fields_i([a, b, c, d, e, f]).map_or(Self::Binary(octets), Self::DateTime)
            }
            _ => Self::Binary(octets),
        }
    }

    /// EN 13757-3:2018, table 5.
    #[inline(never)]
    fn variable(octets: &'a [u8], coding: Coding) -> Result<(Self, &'a [u8]), Reject> {
        let (&lvar, rest) = octets.split_first().ok_or(Reject::Truncated)?;
        let (octets, rest) = rest.split_at_checked(variable_len(lvar)?).ok_or(Reject::Truncated)?;
        let value = match lvar {
            0x00..=0xbf if coding == Coding::Octets || coding.is_moment() => Self::Binary(octets),
            // Manufacturers send their own structures as text; those have control characters in them.
            0x00..=0xbf if !Text::new(octets).is_printable() => Self::Binary(octets),
            0x00..=0xbf => Self::Text(Text::new(octets)),
            0xc0 | 0xd0 => Self::Binary(octets),
            // As with digits of a fixed length: no moment is a number, and no flags are.
            0xc1..=0xdf if !coding.is_number() => Self::Binary(octets),
            0xc1..=0xcf => variable_bcd(octets),
            0xd1..=0xdf => match variable_bcd(octets) {
                // The sign is in LVAR already.
                Self::Integer(_) if octets.last().is_some_and(|digits| digits >> 4 == 0xf) => Self::Invalid,
                Self::Integer(value) => Self::Integer(-value),
                other => other,
            },
            _ => variable_integer(octets, coding),
        };
        Ok((value, rest))
    }

    /// Appends data that reads as this value: in `data_field`'s size and code, LVAR for [`DataField::Variable`].
    ///
    /// What does not fit its field is sent as the field's invalid pattern, as a meter does.
    pub(super) fn emit(&self, data_field: DataField, out: &mut Vec<u8>) {
        let Some(len) = data_field.size() else {
            return self.emit_variable(out);
        };
        if len == 0 {
            return;
        }
        let is_bcd = matches!(
            data_field,
            DataField::Bcd2 | DataField::Bcd4 | DataField::Bcd6 | DataField::Bcd8 | DataField::Bcd12
        );
        match *self {
            Self::Float32(bits) if data_field == DataField::Real32 => out.extend_from_slice(&bits.to_le_bytes()),
            _ if data_field == DataField::Real32 => out.extend_from_slice(&f32::NAN.to_bits().to_le_bytes()),
            Self::Integer(value) if is_bcd => emit_bcd(value, len, out),
            Self::Integer(value) => emit_integer(value, len, out),
            Self::Date(date) if len == 2 => out.extend_from_slice(&date.emit()),
            Self::Time(time) if len == 3 => out.extend_from_slice(&time.emit()),
            Self::DateTime(time) if len == 4 => out.extend_from_slice(&time.emit_f()),
            Self::DateTime(time) if len == 6 => out.extend_from_slice(&time.emit_i()),
            Self::Binary(octets) if octets.len() == len => out.extend_from_slice(octets),
            _ if is_bcd => out.extend(std::iter::repeat_n(0xff, len)),
            _ => emit_invalid(len, out),
        }
    }

    fn emit_variable(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Text(text) => emit_lvar(text.octets(), out),
            Self::Binary(octets) => emit_lvar(octets, out),
            Self::Integer(value) => {
                out.push(0xe8);
                out.extend_from_slice(&value.to_le_bytes());
            }
            _ => {
                out.push(0xe8);
                emit_invalid(8, out);
            }
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float32(bits) => write!(f, "{}", f32::from_bits(*bits)),
            Self::Date(date) => write!(f, "{date}"),
            Self::Time(time) => write!(f, "{time}"),
            Self::DateTime(time) => write!(f, "{time}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Binary(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Self::Invalid => f.write_str("invalid"),
        }
    }
}

/// Octets behind an LVAR. EN 13757-3:2018, table 5.
pub(crate) fn variable_len(lvar: u8) -> Result<usize, Reject> {
    Ok(usize::from(match lvar {
        0x00..=0xbf => lvar,
        0xc0..=0xef => lvar & 0x0f,
        0xf0..=0xf4 => 4 * (lvar - 0xec),
        0xf5 => 48,
        0xf6 => 64,
        0xf7.. => return Err(Reject::ReservedLvar(lvar)),
    }))
}

/// Type H.
#[inline(always)]
fn real<'a>(bits: u32) -> Value<'a> {
    if f32::from_bits(bits).is_finite() { Value::Float32(bits) } else { Value::Invalid }
}

/// How the octets of a data field are read: what [`DataField`] and [`Coding`] come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    Nothing,
    /// Type H.
    Real,
    /// Type A.
    Bcd,
    /// Type B.
    Signed,
    /// Type C.
    Unsigned,
    /// Type D.
    Octets,
    TypeF,
    TypeG,
    TypeI,
    TypeJ,
    /// The octets themselves tell their number, or the code leads to another table.
    Elsewhere,
}

impl Treatment {
    pub(super) const fn of(data_field: DataField, coding: Coding) -> Self {
        match (data_field, coding) {
            (DataField::Variable, _) | (_, Coding::Elsewhere) => Self::Elsewhere,
            (DataField::None | DataField::Readout, _) => Self::Nothing,
            // No moment is a real, and no flags are.
            (DataField::Real32, _) if !coding.is_number() => Self::Octets,
            (DataField::Real32, _) => Self::Real,
            (_, Coding::Octets) => Self::Octets,
            (
                DataField::Bcd2 | DataField::Bcd4 | DataField::Bcd6 | DataField::Bcd8 | DataField::Bcd12,
                Coding::Signed | Coding::Unsigned,
            ) => Self::Bcd,
            (DataField::Bcd2 | DataField::Bcd4 | DataField::Bcd6 | DataField::Bcd8 | DataField::Bcd12, _) => {
                Self::Octets
            }
            (data_field, coding) => Self::of_len(data_field.fixed_size(), coding),
        }
    }

    /// Binary numbers of so many octets.
    const fn of_len(len: usize, coding: Coding) -> Self {
        match (coding, len) {
            (Coding::Signed, _) => Self::Signed,
            (Coding::Unsigned, _) => Self::Unsigned,
            (Coding::Date | Coding::Time, 2) => Self::TypeG,
            (Coding::DateTime | Coding::Time, 3) => Self::TypeJ,
            (Coding::DateTime | Coding::Time, 4) => Self::TypeF,
            (Coding::DateTime | Coding::Time, 6) => Self::TypeI,
            _ => Self::Octets,
        }
    }
}

/// Type B, of one to eight octets.
#[inline(always)]
fn signed<'a>(raw: u64, unused: u32) -> Value<'a> {
    let value = raw.wrapping_shl(unused) as i64;
    if value == i64::MIN { Value::Invalid } else { Value::Integer(value.wrapping_shr(unused)) }
}

/// Type C, of one to eight octets.
#[inline(always)]
fn unsigned(octets: &[u8], raw: u64, unused: u32) -> Value<'_> {
    let value = raw.wrapping_shl(unused);
    if value == u64::MAX.wrapping_shl(unused) {
        return Value::Invalid;
    }
    i64::try_from(value.wrapping_shr(unused)).map_or(Value::Binary(octets), Value::Integer)
}

/// Integers and times of a length that LVAR gives.
fn variable_integer(octets: &[u8], coding: Coding) -> Value<'_> {
    match octets.len() {
        0 => Value::None,
        len @ 1..=8 => {
            let unused = 64 - 8 * len as u32;
            let value = Value::of(octets, little_endian(octets), unused, Treatment::of_len(len, coding));
            value.unwrap_or(Value::Binary(octets))
        }
        _ => Value::Binary(octets),
    }
}

/// The first octets of such a number.
#[inline(always)]
fn low<const N: usize>(raw: u64) -> [u8; N] {
    std::array::from_fn(|place| (raw >> (8 * place)) as u8)
}

/// The number that begins with `own`, of which no more matters: eight octets where `octets`, which begin with them, have
/// as many.
#[inline(always)]
pub(super) fn number(octets: &[u8], own: &[u8]) -> u64 {
    match octets.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => little_endian(own),
    }
}

/// Up to eight octets, the least significant first.
#[inline]
fn little_endian(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |value, octet| value << 8 | u64::from(*octet))
}

/// Type A of one to eight octets. A digit F in front is a minus sign; any other digit above nine is an error code of the meter.
///
/// All digits at once: above nine are those with the bit of eight and that of four or two; then neighbours are
/// joined to two digits, four, eight.
#[inline(always)]
fn bcd<'a>(octets: u64, unused: u32) -> Value<'a> {
    let high = octets.wrapping_shl(unused);
    let negative = high >> 60 == 0xf;
    let digits = (if negative { high & u64::MAX >> 4 } else { high }).wrapping_shr(unused);
    let above_nine = digits
        & 0x8888_8888_8888_8888
        & ((digits & 0x4444_4444_4444_4444) << 1 | (digits & 0x2222_2222_2222_2222) << 2);
    if above_nine != 0 {
        return Value::Invalid;
    }
    let pairs = (digits & 0x0f0f_0f0f_0f0f_0f0f) + 10 * (digits >> 4 & 0x0f0f_0f0f_0f0f_0f0f);
    let fours = (pairs & 0x00ff_00ff_00ff_00ff) + 100 * (pairs >> 8 & 0x00ff_00ff_00ff_00ff);
    let eights = (fours & 0x0000_ffff_0000_ffff) + 10_000 * (fours >> 16 & 0x0000_ffff_0000_ffff);
    let value = ((eights & 0xffff_ffff) + 100_000_000 * (eights >> 32)) as i64;
    Value::Integer(if negative { -value } else { value })
}

/// Type A of up to nine octets; more are octets.
fn variable_bcd(octets: &[u8]) -> Value<'_> {
    let Some((low, high)) = octets.split_at_checked(8) else {
        return bcd(little_endian(octets), 64 - 8 * octets.len() as u32);
    };
    match *high {
        [] => bcd(little_endian(low), 0),
        [last] => match (bcd(u64::from(last), 56), bcd(little_endian(low), 0)) {
            (Value::Integer(_), _) if little_endian(low) >> 60 == 0xf => Value::Invalid,
            (Value::Integer(high), Value::Integer(low)) => {
                let sign = if last >> 4 == 0xf { -1 } else { 1 };
                Value::Integer(sign * (high.abs() * 10_000_000_000_000_000 + low))
            }
            _ => Value::Invalid,
        },
        _ => Value::Binary(octets),
    }
}

fn emit_bcd(value: i64, len: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = value.unsigned_abs();
    for _ in 0..len {
        let pair = (rest % 100) as u8;
        out.push(((pair / 10) << 4) | (pair % 10));
        rest /= 100;
    }
    let is_free = out.last().is_some_and(|octet| octet >> 4 == 0);
    if rest != 0 || (value < 0 && !is_free) {
        out.truncate(start);
        out.extend(std::iter::repeat_n(0xff, len));
    } else if value < 0 {
        if let Some(octet) = out.last_mut() {
            *octet |= 0xf0;
        }
    }
}

fn emit_integer(value: i64, len: usize, out: &mut Vec<u8>) {
    let unused = 64 - 8 * len as u32;
    if value << unused >> unused == value {
        out.extend(value.to_le_bytes().into_iter().take(len));
    } else {
        emit_invalid(len, out);
    }
}

/// Type B: only the sign bit.
fn emit_invalid(len: usize, out: &mut Vec<u8>) {
    out.extend(std::iter::repeat_n(0, len.saturating_sub(1)));
    out.push(0x80);
}

/// Text or a container; what is longer than an LVAR can say is cut.
fn emit_lvar(octets: &[u8], out: &mut Vec<u8>) {
    let octets = octets.get(..0xbf).unwrap_or(octets);
    out.push(octets.len() as u8);
    out.extend_from_slice(octets);
}
