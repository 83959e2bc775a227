//! The data link layer: frames with CRCs A or B, frames whose receiver has stripped them, and wired long frames.
//!
//! EN 13757-4:2019 clause 12; EN 13757-2:2018 for the wired form. What arrives without a word of its form is
//! recognised by its length and its CRCs; one stripped frame in 65,536 then looks like format B, and a frame of format B
//! of one block, damaged, like a stripped one: a receiver that knows its form should say it.

mod block;
mod crc;
mod recognise;
mod wired;

use std::fmt;

use bytes::Buf;

pub(crate) use block::FIRST_BLOCK_B;
pub(crate) use crc::continued as crc_continued;
pub use crc::crc;

use crate::spec::c_field_name;
use crate::{Address, Reject};

/// How the octets of a frame stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// L-field first, a CRC after 10 octets and after each 16.
    FormatA,
    /// L-field first, CRCs at octet 126 and at the end, counted in L.
    FormatB,
    /// L-field first, CRCs removed.
    Stripped,
    /// 68 L L 68 .. checksum 16.
    Wired,
}

/// The header of the data link layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Wireless {
        c_field: u8,
        address: Address,
    },
    /// A wired frame names its bus address only.
    Wired {
        c_field: u8,
        a_field: u8,
    },
}

/// A frame without lengths, CRCs, checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    pub(crate) form: Form,
    /// From the C-field on.
    pub(crate) octets: &'a [u8],
    /// The L-field promises more octets than there are.
    pub(crate) is_short: bool,
    /// So it does, and not because the CRCs of format B are in it.
    pub(crate) is_cut: bool,
}

/// The form and the octets of a frame, and others, since these are not certain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ways<'a> {
    pub(crate) first: (Form, &'a [u8]),
    pub(crate) other: (Form, &'a [u8]),
}

impl<'a> Ways<'a> {
    /// None where all octets are a frame of the form, and nothing else.
    #[inline(always)]
    pub(crate) fn of(form: Form, is_told: bool, octets: &'a [u8]) -> Option<Self> {
        let frame = octets.get(..1 + usize::from(*octets.first()?))?;
        match form {
            // Some receivers append octets; some rewrite the L-field, and then all octets are the frame's.
            Form::Stripped if frame.len() < octets.len() => Some(Self { first: (form, frame), other: (form, octets) }),
            // One CRC may be right by chance.
            Form::FormatB if !is_told && frame.len() <= FIRST_BLOCK_B => {
                Some(Self { first: (form, octets), other: (Form::Stripped, frame) })
            }
            _ => None,
        }
    }
}

impl<'a> Body<'a> {
    /// Checks and removes what the form adds; `scratch` is used only where octets have to move.
    pub(crate) fn parse(octets: &'a [u8], form: Form, scratch: &'a mut Vec<u8>) -> Result<Self, Reject> {
        match form {
            Form::Wired => Ok(Self { form, octets: wired::parse(octets)?, is_short: false, is_cut: false }),
            Form::FormatA => {
                let is_cut = block::strip_a(octets, scratch)?;
                Ok(Self { form, octets: scratch, is_short: is_cut, is_cut })
            }
            Form::FormatB => {
                let is_cut = block::strip_b(octets, scratch)?;
                Ok(Self { form, octets: scratch, is_short: is_cut, is_cut })
            }
            Form::Stripped => {
                let (l_field, body) = octets.split_first().ok_or(Reject::Truncated)?;
                // A receiver that strips the CRCs of format B may leave them in L.
                let promised = usize::from(*l_field);
                let is_short = promised > body.len();
                let is_cut = is_short && promised != body.len() + block::crcs_b(octets.len());
                Ok(Self { form, octets: body, is_short, is_cut })
            }
        }
    }
}

impl Link {
    /// Reads C-field, M-field and A-field.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self::Wireless { c_field: buf.try_get_u8()?, address: Address::parse(buf)? })
    }

    /// Reads C-field and A-field of a wired frame.
    pub fn parse_wired(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self::Wired { c_field: buf.try_get_u8()?, a_field: buf.try_get_u8()? })
    }

    /// Appends what [`Self::parse`] or [`Self::parse_wired`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Wireless { c_field, address } => {
                out.push(*c_field);
                address.emit(out);
            }
            Self::Wired { c_field, a_field } => out.extend_from_slice(&[*c_field, *a_field]),
        }
    }

    pub const fn c_field(&self) -> u8 {
        match self {
            Self::Wireless { c_field, .. } | Self::Wired { c_field, .. } => *c_field,
        }
    }

    /// The sender of a wireless frame.
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Wireless { address, .. } => Some(address),
            Self::Wired { .. } => None,
        }
    }
}

impl fmt::Display for Link {
    /// `SND-NR KAM-12345678-1b-16`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wireless { c_field, address } => write!(f, "{} {address}", c_field_name(*c_field)),
            Self::Wired { c_field, a_field } => write!(f, "{} wired {a_field}", c_field_name(*c_field)),
        }
    }
}

/// How many octets a frame of format A or B with this L-field has, its CRCs included; of any other form, without them.
pub(crate) fn frame_len(form: Form, l_field: u8) -> usize {
    let counted = 1 + usize::from(l_field);
    if form == Form::FormatA { block::len_a(counted) } else { counted }
}

/// Puts the octets from the C-field on into a frame of the form; None where they do not fit its L-field.
pub fn frame(form: Form, body: &[u8]) -> Option<Vec<u8>> {
    match form {
        Form::FormatA => block::emit_a(body),
        Form::FormatB => block::emit_b(body),
        Form::Stripped => {
            let mut out = vec![u8::try_from(body.len()).ok()?];
            out.extend_from_slice(body);
            Some(out)
        }
        Form::Wired => wired::emit(body),
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], form: Result<Form, Reject>, body: Result<(&[u8], bool), Reject>) {
        let recognised = Form::recognise(octets);
        assert_eq!(recognised, form);
        if let Ok(form) = recognised {
            let mut scratch = Vec::new();
            let parsed = Body::parse(octets, form, &mut scratch).map(|body| (body.octets, body.is_cut));
            assert_eq!(parsed, body);
        }
    }

    const STRIPPED: [u8; 21] = hex!("1444ae0c7856341201078c2027780b134365877ac5");

    #[test]
    fn a_frame_is_recognised_by_length_and_crc() {
        // OMS annex N: format B with its CRC.
        let body = &STRIPPED[1..19];
        check(&STRIPPED, Ok(Form::FormatB), Ok((body, false)));
        for form in [Form::FormatA, Form::FormatB, Form::Stripped] {
            let octets = frame(form, body).unwrap();
            check(&octets, Ok(form), Ok((body, false)));
        }
        // L of format B kept by a receiver that stripped the CRC.
        check(&STRIPPED[..19], Ok(Form::Stripped), Ok((body, false)));
        // L wrong otherwise: one octet too many is kept, one too few is seen.
        check(&STRIPPED[..18], Ok(Form::Stripped), Ok((&body[..17], true)));
        let mut damaged = frame(Form::FormatA, body).unwrap();
        damaged[3] ^= 1;
        check(&damaged, Ok(Form::FormatA), Err(Reject::BadCrc));
        check(&[], Err(Reject::Truncated), Err(Reject::Truncated));
    }

    #[test]
    fn a_cut_frame_keeps_its_whole_blocks() {
        let body: Vec<u8> = (0..60).collect();
        let octets = frame(Form::FormatA, &body).unwrap();
        check(&octets[..octets.len() - 1], Ok(Form::FormatA), Ok((&body[..9 + 48], true)));
        check(&octets[..13], Ok(Form::FormatA), Ok((&body[..9], true)));
    }

    proptest! {
        #[test]
        fn any_body_comes_back_in_each_form(body in proptest::collection::vec(any::<u8>(), 9..=250)) {
            for form in [Form::FormatA, Form::FormatB, Form::Wired] {
                let octets = frame(form, &body).unwrap();
                prop_assert_eq!(Form::recognise(&octets), Ok(form));
                let mut scratch = Vec::new();
                let parsed = Body::parse(&octets, form, &mut scratch).unwrap();
                prop_assert_eq!((parsed.octets, parsed.is_cut), (body.as_slice(), false));
            }
        }

        #[test]
        fn any_octets_are_taken_or_rejected(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            for form in [Form::FormatA, Form::FormatB, Form::Stripped, Form::Wired] {
                let _ = Body::parse(&octets, form, &mut Vec::new());
            }
            let _ = Form::recognise(&octets);
        }
    }
}
