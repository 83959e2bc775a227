//! Frames that follow one another without a delimiter or a check sum: `L C M A .. [RSSI]`.
//!
//! After noise nobody knows where the next one begins, so what stands there has to look like a frame: a C field and a
//! CI field of the standard, and three letters for the manufacturer. Octets alone prove nothing more.

use std::ops::RangeInclusive;

use super::{FRAME_MIN, Reject};
use crate::Maker;
use crate::spec::{CI_MANUFACTURER, c_field_name, tpl};

/// Takes one frame, L first; `behind_l` says how many octets follow an L of this value.
pub(super) fn take<'a>(buf: &mut &'a [u8], behind_l: impl Fn(u8) -> usize) -> Result<&'a [u8], Reject> {
    let [l_field, rest @ ..] = *buf else { return Err(Reject::Incomplete) };
    let skip = |buf: &mut &'a [u8]| {
        *buf = rest;
        Err(Reject::Noise)
    };
    if usize::from(*l_field) + 1 < FRAME_MIN || !may_begin(rest, *l_field) {
        return skip(buf);
    }
    let length = 1 + behind_l(*l_field);
    let (frame, behind) = buf.split_at_checked(length).ok_or(Reject::Incomplete)?;
    *buf = behind;
    Ok(frame)
}

/// Whether the octets behind L, as far as they are there, may be a frame.
fn may_begin(rest: &[u8], l_field: u8) -> bool {
    let c_field = rest.first().is_none_or(|c_field| c_field_name(*c_field) != "?");
    let manufacturer = match rest {
        [_, low, high, ..] => is_manufacturer(u16::from_le_bytes([*low, *high])),
        _ => true,
    };
    let has_ci_field = usize::from(l_field) + 1 > FRAME_MIN;
    let ci_field = rest.get(FRAME_MIN - 1).filter(|_| has_ci_field);
    c_field && manufacturer && ci_field.is_none_or(|ci_field| is_ci_field(*ci_field))
}

/// Three letters in 15 bits, EN 13757-3; the highest bit says that the address is no world-wide one.
fn is_manufacturer(m_field: u16) -> bool {
    Maker(m_field).letters().is_some()
}

fn is_ci_field(ci_field: u8) -> bool {
    tpl(ci_field).is_some() || OTHER_LAYERS.contains(&ci_field) || CI_MANUFACTURER.contains(&ci_field)
}

/// Network, extended link and fragmentation layers. EN 13757-7:2018, table 2.
const OTHER_LAYERS: RangeInclusive<u8> = 0x80..=0x90;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Result<usize, Reject>) {
        let mut cursor = octets;
        assert_eq!(take(&mut cursor, usize::from).map(<[u8]>::len), expected);
        let used = match expected {
            Ok(length) => length,
            Err(Reject::Incomplete) => return,
            Err(_) => 1,
        };
        assert_eq!(cursor.len(), octets.len() - used);
    }

    #[test]
    fn what_looks_like_a_frame_is_taken_and_all_else_is_passed_over() {
        let frame = hex!("0b 44 2d 2c 78 56 34 12 1b 16 a0 3e");
        check(&frame, Ok(12));
        check(&[&frame[..], &[0xff]].concat(), Ok(12));
        for end in 0..frame.len() {
            check(&frame[..end], Err(Reject::Incomplete));
        }
        check(&hex!("09 47 2d 2c 57 27 79 71 34 0c"), Ok(10));
        check(&hex!("08 44 2d 2c"), Err(Reject::Noise));
        check(&hex!("0b ff"), Err(Reject::Noise));
        check(&hex!("0b 44 ff ff"), Err(Reject::Noise));
        check(&hex!("0b 44 00 00"), Err(Reject::Noise));
        check(&hex!("0b 44 2d 2c 78 56 34 12 1b 16 ff"), Err(Reject::Noise));
    }
}
