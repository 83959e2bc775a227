//! The association control service, IEC 62056-5-3:2017, clause 9.4.2: AARQ, AARE, RLRQ, RLRE in BER.

mod aare;
mod aarq;
mod release;

use std::fmt;

use bytes::Buf;

pub use aare::{Aare, AssociationResult, Diagnostic, UserDiagnostic};
pub use aarq::Aarq;
pub use release::{Release, ReleaseKind};

use crate::Reject;
use crate::data::length;

/// Which names and which protection an association has. 2.16.756.5.8.1.x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApplicationContext {
    LogicalName,
    LogicalNameCiphered,
    /// Short names, and what is not known.
    Other(u8),
}

/// How the sides show who they are. 2.16.756.5.8.2.x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    Lowest,
    Lls,
    HlsManufacturer,
    HlsMd5,
    HlsSha1,
    HlsGmac,
    HlsSha256,
    HlsEcdsa,
    Other(u8),
}

impl Mechanism {
    /// Four passes: each side answers the other's challenge.
    pub const fn is_hls(self) -> bool {
        !matches!(self, Self::Lowest | Self::Lls)
    }
}

impl From<u8> for ApplicationContext {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::LogicalName,
            3 => Self::LogicalNameCiphered,
            number => Self::Other(number),
        }
    }
}

impl From<ApplicationContext> for u8 {
    fn from(context: ApplicationContext) -> u8 {
        match context {
            ApplicationContext::LogicalName => 1,
            ApplicationContext::LogicalNameCiphered => 3,
            ApplicationContext::Other(number) => number,
        }
    }
}

impl From<u8> for Mechanism {
    fn from(number: u8) -> Self {
        MECHANISMS.iter().find(|row| row.1 == number).map_or(Self::Other(number), |row| row.0)
    }
}

impl From<Mechanism> for u8 {
    fn from(mechanism: Mechanism) -> u8 {
        match mechanism {
            Mechanism::Other(number) => number,
            known => MECHANISMS.iter().find(|row| row.0 == known).map_or(0, |row| row.1),
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MECHANISMS.iter().find(|row| row.0 == *self) {
            Some((_, _, name)) => f.write_str(name),
            None => write!(f, "mechanism {}", u8::from(*self)),
        }
    }
}

/// IEC 62056-5-3:2017, 9.4.2.2.3.
const MECHANISMS: &[(Mechanism, u8, &str)] = &[
    (Mechanism::Lowest, 0, "none"),
    (Mechanism::Lls, 1, "lls"),
    (Mechanism::HlsManufacturer, 2, "hls manufacturer"),
    (Mechanism::HlsMd5, 3, "hls md5"),
    (Mechanism::HlsSha1, 4, "hls sha-1"),
    (Mechanism::HlsGmac, 5, "hls gmac"),
    (Mechanism::HlsSha256, 6, "hls sha-256"),
    (Mechanism::HlsEcdsa, 7, "hls ecdsa"),
];

/// The first arcs of the names: 2.16.756.5.8, then 1 for contexts and 2 for mechanisms.
const CONTEXT_NAME: [u8; 6] = [0x60, 0x85, 0x74, 5, 8, 1];
const MECHANISM_NAME: [u8; 6] = [0x60, 0x85, 0x74, 5, 8, 2];
/// A bit string whose first bit says that there is authentication.
const ACSE_REQUIREMENTS: [u8; 2] = [7, 0x80];

/// Reads a tag, and what it holds.
fn element<'a>(buf: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Reject> {
    Ok((buf.try_get_u8()?, length::octets(buf)?))
}

/// What the element of this tag holds, all of `octets`.
fn only<'a>(tag: u8, octets: &'a [u8], field: &'static str) -> Result<&'a [u8], Reject> {
    let mut buf = octets;
    match element(&mut buf)? {
        (found, content) if found == tag && buf.is_empty() => Ok(content),
        _ => Err(Reject::Reserved(field)),
    }
}

/// The last arc of a name.
fn name(octets: &[u8], prefix: [u8; 6], field: &'static str) -> Result<u8, Reject> {
    match octets.strip_prefix(&prefix) {
        Some([number]) => Ok(*number),
        _ => Err(Reject::Reserved(field)),
    }
}

fn emit_element(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    length::emit_octets(content, out);
}

/// An element within another.
fn emit_nested(outer: u8, inner: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(outer);
    length::emit(1 + length::width(content.len()) + content.len(), out);
    emit_element(inner, content, out);
}

/// Reads an APDU of this tag: each element goes to `take`.
fn elements<'a>(
    octets: &'a [u8],
    tag: u8,
    mut take: impl FnMut(u8, &'a [u8]) -> Result<(), Reject>,
) -> Result<(), Reject> {
    let mut buf = octets;
    let (found, mut content) = element(&mut buf)?;
    if found != tag {
        return Err(Reject::UnsupportedApdu(found));
    }
    if !buf.is_empty() {
        return Err(Reject::Trailing);
    }
    while !content.is_empty() {
        let start = content;
        let (tag, mut octets) = element(&mut content)?;
        // Some meters count title and authentication value without their own tag and length.
        if let (0xa4 | 0xa6, [4, inner, ..]) | (0xaa | 0xac, [0x80, inner, ..]) = (tag, octets) {
            if usize::from(*inner) == octets.len() && *inner < 0x80 {
                let mut buf = start.get(2..).unwrap_or_default();
                octets = length::take(&mut buf, usize::from(*inner) + 2)?;
                content = buf;
            }
        }
        take(tag, octets)?;
    }
    Ok(())
}

/// First octets of the APDUs.
pub mod tag {
    pub const AARQ: u8 = 0x60;
    pub const AARE: u8 = 0x61;
    pub const RLRQ: u8 = 0x62;
    pub const RLRE: u8 = 0x63;
}

#[cfg(test)]
mod tests;
