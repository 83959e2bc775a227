//! CRC-16/EN-13757: polynomial 3D65, most significant bit first, complemented. EN 13757-4:2019, 12.4.

/// The CRC of link layer blocks, of the ELL payload and of format signatures.
pub fn crc(octets: &[u8]) -> u16 {
    !octets.iter().fold(0, |crc, octet| {
        let index = usize::from((crc >> 8) as u8 ^ octet);
        crc << 8 ^ TABLE.get(index).copied().unwrap_or_default()
    })
}

static TABLE: [u16; 256] = table();

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
