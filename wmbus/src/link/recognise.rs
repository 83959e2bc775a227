//! The form of a frame of which nothing is known, by its length and its CRCs.
//!
//! One CRC is right by chance once in 65,536; that is often where a gateway hears millions of telegrams, and for some
//! meter it would be so for ever, since the octets that a CRC could be seen in are its type and its number. So what the
//! L-field says, the CRCs of other blocks and the CI-field weigh with it.

use super::{Form, block, wired};
use crate::Reject;
use crate::spec::is_ci_field;

impl Form {
    /// The form of a frame of which nothing is known. A frame whose CRCs are wrong in part is a `Reject`.
    pub fn recognise(octets: &[u8]) -> Result<Self, Reject> {
        if wired::is_wired(octets) {
            return Ok(Self::Wired);
        }
        let frame_len = 1 + usize::from(*octets.first().ok_or(Reject::Truncated)?);
        let len = octets.len();
        // As many octets may be behind a frame without CRCs as the CRCs would be.
        if len == block::len_a(frame_len) {
            if block::is_any_a(octets) {
                return Ok(Self::FormatA);
            }
            // Of those that somebody put behind format B there may be as many.
            if block::check_b(octets) == Ok(true) {
                return Ok(Self::FormatB);
            }
            if may_have_crc(octets) {
                return Ok(Self::FormatA);
            }
        }
        if len == frame_len {
            return if block::check_b(octets)? {
                Ok(Self::FormatB)
            } else if is_a(octets, frame_len)
                || (!has_ci_field(octets) || block::is_full_block_a(octets)) && block::is_damaged_a(octets)
            {
                Ok(Self::FormatA)
            } else {
                Ok(Self::Stripped)
            };
        }
        if is_a(octets, frame_len) {
            return Ok(Self::FormatA);
        }
        if len > frame_len && block::check_b(octets)? || len < frame_len && block::is_first_block_b(octets) {
            return Ok(Self::FormatB);
        }
        // The L-field is in the first CRC only: where it is damaged, the others tell.
        if block::is_second_block_b(octets) {
            return Err(Reject::BadCrc);
        }
        Ok(if block::is_damaged_a(octets) { Self::FormatA } else { Self::Stripped })
    }
}

/// The CRC of the first block is right, and not by chance in a frame without CRCs.
fn is_a(octets: &[u8], frame_len: usize) -> bool {
    if !block::is_first_block_a(octets) {
        return false;
    }
    let fits = octets.len() == frame_len || octets.len() + block::crcs_b(octets.len()) == frame_len;
    match block::is_second_block_a(octets, frame_len) {
        Some(true) => true,
        Some(false) if fits => false,
        _ => may_have_crc(octets),
    }
}

/// The CI-field may be behind a CRC: it is not where it is without one, or might be in either place.
fn may_have_crc(octets: &[u8]) -> bool {
    !has_ci_field(octets) || octets.get(block::FIRST_BLOCK_A + 2).is_none_or(|octet| is_ci_field(*octet))
}

/// Where it is without CRCs.
fn has_ci_field(octets: &[u8]) -> bool {
    octets.get(block::FIRST_BLOCK_A).is_some_and(|octet| is_ci_field(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::frame;

    /// A telegram of short header and numbers from the C-field on.
    fn body(len: usize) -> Vec<u8> {
        let head = [0x44, 0x93, 0x15, 0x79, 0x56, 0x34, 0x12, 0x01, 0x07, 0x7a];
        head.into_iter().chain((0..=255).cycle().take(len - head.len())).collect()
    }

    /// None where it is rejected.
    #[track_caller]
    fn check(octets: &[u8], expected: Option<Form>) {
        assert_eq!(Form::recognise(octets).ok(), expected, "{octets:02x?}");
    }

    #[test]
    fn a_cut_frame_with_crcs_is_none_without() {
        for len in [20, 25, 26, 47, 60, 200] {
            let octets = frame(Form::FormatA, &body(len)).unwrap();
            for end in 12..octets.len() {
                check(&octets[..end], Some(Form::FormatA));
            }
        }
        let octets = frame(Form::FormatB, &body(200)).unwrap();
        for end in 128..octets.len() {
            check(&octets[..end], Some(Form::FormatB));
        }
    }

    #[test]
    fn a_damaged_length_does_not_hide_crcs() {
        for (form, len) in [(Form::FormatA, 20), (Form::FormatA, 47), (Form::FormatA, 200), (Form::FormatB, 200)] {
            let octets = frame(form, &body(len)).unwrap();
            for length in (0..=255).filter(|length| *length != octets[0]) {
                let damaged = [&[length], &octets[1..]].concat();
                // What is told by length alone is not whole either.
                let told = Form::recognise(&damaged);
                let is_taken = matches!(told, Ok(Form::Stripped | Form::FormatB));
                assert!(!is_taken, "{form:?} of {len}, {length}: {told:?}");
            }
        }
    }

    #[test]
    fn octets_behind_format_b_do_not_make_it_another() {
        for len in [20, 40, 200] {
            let octets = frame(Form::FormatB, &body(len)).unwrap();
            for more in 1..40 {
                check(&[&octets[..], &vec![0xa1; more]].concat(), Some(Form::FormatB));
            }
        }
    }

    #[test]
    fn the_crc_of_nothing_is_none_and_that_of_zeros_is_one() {
        let mut bare = frame(Form::Stripped, &body(129)).unwrap();
        bare[128..].fill(0xff);
        check(&bare, Some(Form::Stripped));
        let mut body = body(140);
        body[125..].fill(0);
        let mut octets = frame(Form::FormatB, &body).unwrap();
        check(&octets, Some(Form::FormatB));
        octets[20] ^= 1;
        check(&octets, None);
    }

    #[test]
    fn a_right_crc_by_chance_does_not_make_crcs_of_data() {
        for len in [24, 40] {
            let mut body = body(len);
            // The CI-field and what is behind it, by chance the CRC of what is before them.
            let chance = (0..=u16::MAX).find_map(|number| {
                body[3..5].copy_from_slice(&number.to_le_bytes());
                let octets = frame(Form::Stripped, &body).unwrap();
                block::is_first_block_a(&octets).then_some(octets)
            });
            let octets = chance.unwrap();
            check(&octets, Some(Form::Stripped));
            // So it is where the L-field still counts the CRC that a receiver took out of format B, or octets follow.
            check(&[&[octets[0] + 2], &octets[1..]].concat(), Some(Form::Stripped));
            check(&[&octets[..], &[0x33]].concat(), Some(Form::Stripped));
        }
    }
}
