//! CRC-16/X-25, which protects the HCI frames of IMST's modules: polynomial 0x1021 reflected, initial value and
//! final complement 0xFFFF. It is not the CRC of the radio frames.

/// The CRC of `octets`; it is sent with its low octet first.
pub(crate) fn x25(octets: &[u8]) -> u16 {
    !octets.iter().fold(0xffff, |crc, octet| {
        (0..8).fold(crc ^ u16::from(*octet), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_and_the_residue_are_those_of_the_standard() {
        assert_eq!(x25(b"123456789"), 0x906e);
        assert_eq!(x25(b"123456789\x6e\x90"), 0x0f47);
    }
}
