//! The value information block: VIF and VIFEs, EN 13757-3:2018 clause 6.4.

use std::fmt;

use super::modifier::{Effect, effect};
use super::table::{self, Coding, Meaning, Table};
use super::{Modifiers, Quantity, Text, Unit};
use crate::Reject;

/// What a value is: the VIF and its VIFEs taken together.
///
/// Laid out as the rows of the tables of VIFs are, so that their fields are copied as one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Vib<'a> {
    /// The block as sent, text of a plain-text VIF included.
    pub octets: &'a [u8],
    pub modifiers: Modifiers<'a>,
    pub quantity: Quantity,
    pub unit: Unit,
    /// Power of ten by which the value is multiplied, corrections by VIFE included.
    pub exponent: i8,
    pub(super) coding: Coding,
}

/// What only the meter or its manufacturer knows of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own<'a> {
    /// The text of VIF 7C.
    PlainText(Text<'a>),
    /// The VIFEs after VIF 7F.
    Manufacturer(&'a [u8]),
    /// A code without a meaning, of the table after this octet: 0 is the primary table, 7D the one after FD FD.
    Reserved { table: u8, code: u8 },
}

impl<'a> Vib<'a> {
    /// Reads VIF and VIFEs.
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        let (vib, _, rest) = Self::split(buf)?;
        *buf = rest;
        Ok(vib)
    }

    /// What the tables of the standard do not say of the quantity; None where they say it all.
    pub fn own(&self) -> Option<Own<'a>> {
        let (vif, rest) = self.octets.split_first()?;
        match self.quantity {
            Quantity::PlainText => plain_text(rest, vif & EXTENSION != 0).ok().map(|(text, ..)| Own::PlainText(text)),
            Quantity::Manufacturer => Some(Own::Manufacturer(rest)),
            Quantity::Reserved => Some(match *self.octets {
                [0xfd, 0xfd, code, ..] => Own::Reserved { table: SECOND_LEVEL, code: code & !EXTENSION },
                [table @ (0xef | 0xfb | 0xfd), code, ..] => Own::Reserved { table, code: code & !EXTENSION },
                _ => Own::Reserved { table: 0, code: vif & !EXTENSION },
            }),
            _ => None,
        }
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.octets);
    }

    /// The block in front of `octets`, what it says about the data, and what follows.
    #[inline(always)]
    pub(super) fn split(octets: &'a [u8]) -> Result<(Self, Reading, &'a [u8]), Reject> {
        let Extent { table, code, vifes, rest } = Extent::of(octets)?;
        let (mut meaning, mut offset) = (*table::meaning(table, code), None);
        if !vifes.is_empty() {
            (meaning, offset) = meaning.modified(vifes);
        }
        let Meaning { quantity, unit, exponent, coding } = meaning;
        let octets = octets.get(..octets.len() - rest.len()).unwrap_or(octets);
        let vib = Self { octets, modifiers: Modifiers::new(vifes), quantity, unit, exponent, coding };
        Ok((vib, Reading { coding, offset }, rest))
    }
}

/// What a block says about the data beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) coding: Coding,
    /// Power of ten (times the unit of the VIF) to be added.
    pub(super) offset: Option<i8>,
}

/// Where a block ends, and where its meaning is to be looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent<'a> {
    table: Table,
    code: u8,
    /// Those that are the standard's.
    vifes: &'a [u8],
    pub(super) rest: &'a [u8],
}

impl<'a> Extent<'a> {
    #[inline(always)]
    pub(super) fn of(octets: &'a [u8]) -> Result<Self, Reject> {
        let (&vif, rest) = octets.split_first().ok_or(Reject::Truncated)?;
        let (table, code, mut rest) = match (vif, rest) {
            (0xfd, [0xfd, code, rest @ ..]) => (Table::SecondLevel, *code, rest),
            (0xfd, [code, rest @ ..]) if *code != 0xfd => (Table::Main, *code, rest),
            (0xfb, [code, rest @ ..]) => (Table::Alternate, *code, rest),
            (0xef, [code, rest @ ..]) => (Table::Third, *code, rest),
            (0xfd | 0xfb | 0xef, _) => return Err(Reject::Truncated),
            (0x7c | 0xfc | 0x7f | 0xff, rest) => return Self::own(vif, rest),
            (code, rest) => (Table::Primary, code, rest),
        };
        let mut vifes: &[u8] = &[];
        if code & EXTENSION != 0 {
            (vifes, rest) = chain(rest)?;
        }
        Ok(Self { table, code, vifes, rest })
    }

    /// VIFs whose meaning only the meter tells, or only its manufacturer knows.
    #[inline(never)]
    fn own(vif: u8, octets: &'a [u8]) -> Result<Self, Reject> {
        let is_extended = vif & EXTENSION != 0;
        let (vifes, rest): (&[u8], _) = match vif & !EXTENSION {
            PLAIN_TEXT => plain_text(octets, is_extended).map(|(_, vifes, rest)| (vifes, rest))?,
            _ if is_extended => (&[], chain(octets)?.1),
            _ => (&[], octets),
        };
        Ok(Self { table: Table::Own, code: vif, vifes, rest })
    }
}

impl Meaning {
    /// What the VIFEs make of it, and the power of ten (times the unit of the VIF) that they want added.
    #[inline(never)]
    pub(super) fn modified(mut self, mut vifes: &[u8]) -> (Self, Option<i8>) {
        let mut offset = None;
        while let Some(effect) = effect(&mut vifes) {
            match effect {
                // An error says that the value is not valid, not that there is another.
                Effect::Nothing | Effect::Error => {}
                Effect::Scale(exponent) => self.exponent = self.exponent.saturating_add(exponent),
                Effect::Offset(exponent) => offset = Some(self.exponent.saturating_add(exponent)),
                Effect::Point => (self.coding, self.unit, self.exponent) = (Coding::Time, Unit::None, 0),
                Effect::Duration(unit) => (self.coding, self.unit, self.exponent) = (Coding::Signed, unit, 0),
                Effect::Count => (self.coding, self.unit, self.exponent) = (Coding::Unsigned, Unit::None, 0),
                Effect::Unsigned => self.coding = Coding::Unsigned,
                Effect::Octets => self.coding = Coding::Octets,
            }
        }
        (self, offset)
    }
}

impl fmt::Display for Vib<'_> {
    /// The quantity, without unit and modifiers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.own() {
            Some(Own::PlainText(text)) => write!(f, "{text:?}"),
            Some(Own::Manufacturer(vifes)) => {
                write!(f, "{}", self.quantity)?;
                vifes.iter().try_for_each(|vife| write!(f, " {vife:02x}"))
            }
            Some(Own::Reserved { table, code }) => write!(f, "{} {table:02x} {code:02x}", self.quantity),
            None => write!(f, "{}", self.quantity),
        }
    }
}

/// The VIFEs that follow an extension bit, and what follows them.
#[inline(always)]
fn chain(octets: &[u8]) -> Result<(&[u8], &[u8]), Reject> {
    let last = octets.iter().take(MAX_VIFE).position(|vife| vife & EXTENSION == 0);
    let Some(last) = last else {
        return Err(if octets.len() < MAX_VIFE { Reject::Truncated } else { Reject::ChainTooLong });
    };
    octets.split_at_checked(last + 1).ok_or(Reject::Truncated)
}

/// Text and VIFEs of VIF 7C. The standard puts the text after the VIFEs; many meters put it before them.
fn plain_text(octets: &[u8], is_extended: bool) -> Result<(Text<'_>, &[u8], &[u8]), Reject> {
    if !is_extended {
        return text(octets).map(|(text, rest)| (text, &[][..], rest));
    }
    let standard = chain(octets).and_then(|(vifes, rest)| text(rest).map(|(text, rest)| (text, vifes, rest)));
    match standard {
        Ok(standard) if standard.0.is_printable() => Ok(standard),
        _ => {
            let (text, rest) = text(octets)?;
            let (vifes, rest) = chain(rest)?;
            Ok((text, vifes, rest))
        }
    }
}

fn text(octets: &[u8]) -> Result<(Text<'_>, &[u8]), Reject> {
    let (len, rest) = octets.split_first().ok_or(Reject::Truncated)?;
    let (text, rest) = rest.split_at_checked(usize::from(*len)).ok_or(Reject::Truncated)?;
    Ok((Text::new(text), rest))
}

const EXTENSION: u8 = 0x80;
const MAX_VIFE: usize = 10;
const PLAIN_TEXT: u8 = 0x7c;
/// How [`Own::Reserved`] names the table after FD FD.
const SECOND_LEVEL: u8 = 0x7d;
