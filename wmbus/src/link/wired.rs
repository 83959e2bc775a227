//! Wired long frames, EN 13757-2:2018 clause 5: 68 L L 68, L octets, their sum, 16.

use crate::Reject;

pub(super) fn is_wired(octets: &[u8]) -> bool {
    matches!(octets, [START, l, again, START, ..] if l == again && octets.len() >= usize::from(*l) + 6)
}

/// The octets from the C-field on.
pub(super) fn parse(octets: &[u8]) -> Result<&[u8], Reject> {
    let [START, l_field, again, START, rest @ ..] = octets else { return Err(Reject::BadChecksum) };
    let (body, rest) = rest.split_at_checked(usize::from(*l_field)).ok_or(Reject::Truncated)?;
    let [sum, STOP, ..] = rest else { return Err(Reject::BadChecksum) };
    if l_field == again && *sum == checksum(body) { Ok(body) } else { Err(Reject::BadChecksum) }
}

pub(super) fn emit(body: &[u8]) -> Option<Vec<u8>> {
    let l_field = u8::try_from(body.len()).ok()?;
    let mut out = vec![START, l_field, l_field, START];
    out.extend_from_slice(body);
    out.extend_from_slice(&[checksum(body), STOP]);
    Some(out)
}

fn checksum(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum, octet| sum.wrapping_add(*octet))
}

const START: u8 = 0x68;
const STOP: u8 = 0x16;
