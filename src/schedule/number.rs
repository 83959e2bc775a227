//! Whole numbers in as few octets as they need.

use bytes::{Buf, BufMut};

/// Appends a number in groups of seven bits, the least first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// None where there is none, or one that is too large.
pub(super) fn number(buf: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let octet = buf.try_get_u8().ok()?;
        let bits = u64::from(octet & 0x7f);
        number |= (bits << shift >> shift == bits).then_some(bits << shift)?;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Small numbers of either sign are short.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

pub(super) fn signed(buf: &mut &[u8]) -> Option<i64> {
    let number = number(buf)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_come_back() {
        let mut out = Vec::new();
        for (n, length) in [(0, 1), (-1, 1), (63, 1), (64, 2), (1_792_879_200, 5), (i64::MAX, 10), (i64::MIN, 10)] {
            out.clear();
            put_signed(&mut out, n);
            assert_eq!((out.len(), signed(&mut out.as_slice())), (length, Some(n)));
            assert_eq!(signed(&mut out.split_last().unwrap().1), None);
        }
        assert_eq!(number(&mut [0xff; 9].as_slice()), None);
        assert_eq!(number(&mut [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02].as_slice()), None);
    }
}
