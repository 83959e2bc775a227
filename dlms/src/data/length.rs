//! Lengths of A-XDR (IEC 61334-6): one octet below 128, else 0x80 plus the number of octets that follow.

use bytes::Buf;

use crate::Reject;

/// Reads a length.
///
/// # Errors
/// A length of more than four octets, or above 2^32 - 1.
pub fn parse(buf: &mut &[u8]) -> Result<usize, Reject> {
    let first = buf.try_get_u8()?;
    if first < 0x80 {
        return Ok(usize::from(first));
    }
    let octets = usize::from(first & 0x7f);
    if !(1..=4).contains(&octets) {
        return Err(Reject::Length("length field"));
    }
    let value = buf.try_get_uint(octets)?;
    usize::try_from(value).map_err(|_| Reject::TooLong("length field"))
}

/// Appends the shortest form of what [`parse`] reads.
pub fn emit(length: usize, out: &mut Vec<u8>) {
    if length < 0x80 {
        out.push(length as u8);
        return;
    }
    let octets = (length as u64).to_be_bytes();
    let skip = octets.iter().take_while(|octet| **octet == 0).count();
    out.push(0x80 | (octets.len() - skip) as u8);
    out.extend(octets.iter().skip(skip));
}

/// How many octets [`emit`] appends.
pub const fn width(length: usize) -> usize {
    match length {
        0..0x80 => 1,
        length => 1 + (usize::BITS as usize - length.leading_zeros() as usize).div_ceil(8),
    }
}

/// Reads a length and so many octets.
pub fn octets<'a>(buf: &mut &'a [u8]) -> Result<&'a [u8], Reject> {
    let length = parse(buf)?;
    take(buf, length)
}

/// Appends what [`octets`] reads.
pub fn emit_octets(octets: &[u8], out: &mut Vec<u8>) {
    emit(octets.len(), out);
    out.extend_from_slice(octets);
}

/// Reads so many octets.
pub fn take<'a>(buf: &mut &'a [u8], length: usize) -> Result<&'a [u8], Reject> {
    let (taken, rest) = buf.split_at_checked(length).ok_or(Reject::Truncated)?;
    *buf = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn lengths_are_short_or_long() {
        for (octets, length) in [
            (&hex!("00")[..], 0),
            (&hex!("7f"), 127),
            (&hex!("81 80"), 128),
            (&hex!("82 0100"), 256),
            (&hex!("84 ffffffff"), 0xffff_ffff),
        ] {
            assert_eq!(parse(&mut &octets[..]), Ok(length));
            let mut out = Vec::new();
            emit(length, &mut out);
            assert_eq!((out.as_slice(), width(length)), (octets, octets.len()));
            assert_eq!(parse(&mut &octets[..octets.len() - 1]), Err(Reject::Truncated));
        }
        assert_eq!(parse(&mut &hex!("82 0005")[..]), Ok(5));
        for octets in [&hex!("80")[..], &hex!("85 0000000001"), &hex!("ff")] {
            assert_eq!(parse(&mut &octets[..]), Err(Reject::Length("length field")));
        }
    }
}
