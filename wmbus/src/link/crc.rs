//! CRC-16/EN-13757: polynomial 3D65, most significant bit first, complemented. EN 13757-4:2019, 12.4.

/// The CRC of link layer blocks, of the ELL payload, of format signatures and of full frames.
pub const fn crc(octets: &[u8]) -> u16 {
    !continued(0, octets)
}

/// The CRC of octets in several pieces, its complement; it begins with 0.
#[expect(clippy::indexing_slicing, reason = "the table has a place for each octet")]
pub(crate) const fn continued(mut complement: u16, mut octets: &[u8]) -> u16 {
    while let [octet, rest @ ..] = octets {
        let index = (complement >> 8) as u8 ^ *octet;
        complement = complement << 8 ^ TABLE[index as usize];
        octets = rest;
    }
    complement
}

const TABLE: [u16; 256] = table();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ POLYNOMIAL } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

const POLYNOMIAL: u16 = 0x3d65;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_right() {
        assert_eq!(crc(b"123456789"), 0xc2b7);
    }
}
