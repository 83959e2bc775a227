//! The value information block: VIF and VIFEs, EN 13757-3:2018 clause 6.4.

use std::fmt;

use bytes::Buf;

use super::modifier::{Effect, step};
use super::table::{self, Coding, Meaning, RESERVED};
use super::{Modifiers, Quantity, Text, Unit};
use crate::Reject;

/// What a value is: the VIF and its VIFEs taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vib<'a> {
    pub quantity: Quantity,
    pub unit: Unit,
    /// Power of ten by which the value is multiplied, corrections by VIFE included.
    pub exponent: i8,
    pub modifiers: Modifiers<'a>,
    /// The block as sent, text of a plain-text VIF included.
    pub octets: &'a [u8],
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

/// What the block says about the data beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    unit: Unit,
    exponent: i8,
    pub(super) coding: Coding,
    /// Power of ten (times the unit of the VIF) to be added.
    pub(super) offset: Option<i8>,
}

impl<'a> Vib<'a> {
    /// Reads VIF and VIFEs.
    pub fn parse(buf: &mut &'a [u8]) -> Result<Self, Reject> {
        Self::read(buf).map(|(vib, _)| vib)
    }

    /// What the tables of the standard do not say of the quantity; None where they say it all.
    pub fn own(&self) -> Option<Own<'a>> {
        let (vif, mut rest) = self.octets.split_first()?;
        match self.quantity {
            Quantity::PlainText => {
                plain_text(&mut rest, vif & EXTENSION != 0).ok().map(|(text, _)| Own::PlainText(text))
            }
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

    #[inline]
    pub(super) fn read(buf: &mut &'a [u8]) -> Result<(Self, Reading), Reject> {
        let start = *buf;
        let vif = buf.try_get_u8()?;
        let mut vifes: &[u8] = &[];
        let mut meaning = RESERVED;
        if matches!(vif, 0x7c | 0xfc | 0x7f | 0xff) {
            (meaning.quantity, vifes) = own_vifes(vif, buf)?;
        } else {
            let (extension, code) = match vif {
                0xfb => (0xfb, buf.try_get_u8()?),
                0xfd => match buf.try_get_u8()? {
                    0xfd => (SECOND_LEVEL, buf.try_get_u8()?),
                    code => (0xfd, code),
                },
                0xef => (0xef, buf.try_get_u8()?),
                _ => (0, vif),
            };
            meaning = table::meaning(extension, code);
            if code & EXTENSION != 0 {
                vifes = chain(buf)?;
            }
        }
        let mut reading = Reading::new(meaning);
        if !vifes.is_empty() {
            reading = reading.modified(vifes);
        }
        let octets = start.get(..start.len() - buf.len()).unwrap_or(start);
        let (quantity, modifiers) = (meaning.quantity, Modifiers::new(vifes));
        Ok((Self { quantity, unit: reading.unit, exponent: reading.exponent, modifiers, octets }, reading))
    }
}

impl Reading {
    const fn new(meaning: Meaning) -> Self {
        let Meaning { unit, exponent, coding, .. } = meaning;
        Self { unit, exponent, coding, offset: None }
    }

    /// What the VIFEs make of it.
    #[inline(never)]
    fn modified(mut self, mut vifes: &[u8]) -> Self {
        while let Some((effect, _)) = step(&mut vifes) {
            match effect {
                // An error says that the value is not valid, not that there is another.
                Effect::Nothing | Effect::Error => {}
                Effect::Scale(exponent) => self.exponent = self.exponent.saturating_add(exponent),
                Effect::Offset(exponent) => self.offset = Some(self.exponent.saturating_add(exponent)),
                Effect::Point => (self.coding, self.unit, self.exponent) = (Coding::Time, Unit::None, 0),
                Effect::Duration(unit) => (self.coding, self.unit, self.exponent) = (Coding::Signed, unit, 0),
                Effect::Count => (self.coding, self.unit, self.exponent) = (Coding::Unsigned, Unit::None, 0),
                Effect::Unsigned => self.coding = Coding::Unsigned,
                Effect::Octets => self.coding = Coding::Octets,
            }
        }
        self
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

/// The VIFEs that follow an extension bit.
fn chain<'a>(buf: &mut &'a [u8]) -> Result<&'a [u8], Reject> {
    let last = buf.iter().take(MAX_VIFE).position(|vife| vife & EXTENSION == 0);
    let Some(last) = last else {
        return Err(if buf.len() < MAX_VIFE { Reject::Truncated } else { Reject::ChainTooLong });
    };
    let (vifes, rest) = buf.split_at_checked(last + 1).ok_or(Reject::Truncated)?;
    *buf = rest;
    Ok(vifes)
}

/// VIFs whose meaning only the meter tells, or only its manufacturer knows; the VIFEs that are the standard's.
#[inline(never)]
fn own_vifes<'a>(vif: u8, buf: &mut &'a [u8]) -> Result<(Quantity, &'a [u8]), Reject> {
    let is_extended = vif & EXTENSION != 0;
    if vif & !EXTENSION == PLAIN_TEXT {
        return Ok((Quantity::PlainText, plain_text(buf, is_extended)?.1));
    }
    if is_extended {
        chain(buf)?;
    }
    Ok((Quantity::Manufacturer, &[]))
}

/// Text and VIFEs of VIF 7C. The standard puts the text after the VIFEs; many meters put it before them.
fn plain_text<'a>(buf: &mut &'a [u8], extended: bool) -> Result<(Text<'a>, &'a [u8]), Reject> {
    if !extended {
        return Ok((text(buf)?, &[]));
    }
    let start = *buf;
    if let Ok(vifes) = chain(buf) {
        match text(buf) {
            Ok(text) if text.is_printable() => return Ok((text, vifes)),
            _ => {}
        }
    }
    *buf = start;
    let text = text(buf)?;
    Ok((text, chain(buf)?))
}

fn text<'a>(buf: &mut &'a [u8]) -> Result<Text<'a>, Reject> {
    let len = buf.try_get_u8()?;
    let (text, rest) = buf.split_at_checked(usize::from(len)).ok_or(Reject::Truncated)?;
    *buf = rest;
    Ok(Text::new(text))
}

const EXTENSION: u8 = 0x80;
const MAX_VIFE: usize = 10;
const PLAIN_TEXT: u8 = 0x7c;
/// Our mark for the table after FD FD.
const SECOND_LEVEL: u8 = 0x7d;
