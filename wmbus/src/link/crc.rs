//! CRC-16/EN-13757: polynomial 3D65, most significant bit first, complemented. EN 13757-4:2019, 12.4.

/// The CRC of link layer blocks, of the ELL payload, of format signatures and of full frames.
pub const fn crc(octets: &[u8]) -> u16 {
    !continued(0, octets)
}

/// The CRC of octets in several pieces, its complement; it begins with 0.
#[expect(clippy::indexing_slicing, reason = "the tables have a place for each octet")]
pub(crate) const fn continued(mut complement: u16, mut octets: &[u8]) -> u16 {
    // Eight octets at once: their parts of the remainder do not depend on each other.
    while let [a, b, c, d, e, f, g, h, rest @ ..] = octets {
        let [high, low] = complement.to_be_bytes();
        complement = TABLES[7][(high ^ *a) as usize]
            ^ TABLES[6][(low ^ *b) as usize]
            ^ TABLES[5][*c as usize]
            ^ TABLES[4][*d as usize]
            ^ TABLES[3][*e as usize]
            ^ TABLES[2][*f as usize]
            ^ TABLES[1][*g as usize]
            ^ TABLES[0][*h as usize];
        octets = rest;
    }
    while let [octet, rest @ ..] = octets {
        let index = (complement >> 8) as u8 ^ *octet;
        complement = complement << 8 ^ TABLES[0][index as usize];
        octets = rest;
    }
    complement
}

/// What an octet adds to the remainder, with so many octets of zeros behind it.
static TABLES: [[u16; 256]; 8] = tables();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 * tables.len() {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ POLYNOMIAL } else { crc << 1 };
            bit += 1;
            if bit % 8 == 0 {
                tables[bit / 8 - 1][index] = crc;
            }
        }
        index += 1;
    }
    tables
}

const POLYNOMIAL: u16 = 0x3d65;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_right() {
        assert_eq!(crc(b"123456789"), 0xc2b7);
    }

    #[test]
    fn octets_at_once_are_as_one_by_one() {
        let octets: Vec<u8> = (0..=255).map(|octet: u8| octet.wrapping_mul(167) ^ octet >> 3).collect();
        for len in 0..octets.len() {
            let one_by_one = octets[..len].iter().fold(0, |complement, octet| continued(complement, &[*octet]));
            assert_eq!(continued(0, &octets[..len]), one_by_one, "{len}");
        }
    }
}
