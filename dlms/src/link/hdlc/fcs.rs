//! The check sequence of frames: CRC-16/X-25, sent low octet first. IEC 62056-46, annex A.

/// The check sequence of `octets`.
pub(super) fn fcs(octets: &[u8]) -> u16 {
    !octets.iter().fold(0xffff, |crc, octet| {
        let [row, _] = (crc ^ u16::from(*octet)).to_le_bytes();
        crc >> 8 ^ TABLE.get(usize::from(row)).copied().unwrap_or_default()
    })
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut row: u16 = 0;
    while row < 256 {
        let (mut crc, mut bit) = (row, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "the row is below 256; slices have no other door in a constant")]
        {
            table[row as usize] = crc;
        }
        row += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_catalogue_is_met() {
        assert_eq!(super::fcs(b"123456789"), 0x906e);
    }
}
