//! The three check sums of USI. None is reflected, all begin with zero and have no final exclusive or.

/// How a protocol's frames are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crc {
    /// Exclusive or of all octets, though it is called CRC-8.
    Xor,
    Crc16,
    Crc32,
}

impl Crc {
    /// Octets on the line.
    pub const fn length(self) -> usize {
        match self {
            Self::Xor => 1,
            Self::Crc16 => 2,
            Self::Crc32 => 4,
        }
    }

    /// Of these octets; as many of the low octets count as `length` says.
    pub fn of(self, octets: &[u8]) -> u32 {
        match self {
            Self::Xor => u32::from(octets.iter().fold(0, |sum, octet| sum ^ octet)),
            Self::Crc16 => u32::from(crc16(octets)),
            Self::Crc32 => octets.iter().fold(0, |crc, octet| crc << 8 ^ row(&CRC32, (crc >> 24) as u8 ^ octet)),
        }
    }
}

/// The remainder of M(x), where others take M(x) x^16: the octet enters below, and is not exclusive-ored into the index.
fn crc16(octets: &[u8]) -> u16 {
    octets.iter().fold(0u16, |crc, octet| row(&CRC16, (crc >> 8) as u8) as u16 ^ crc << 8 ^ u16::from(*octet))
}

fn row(table: &[u32; 256], index: u8) -> u32 {
    table.get(usize::from(index)).copied().unwrap_or_default()
}

const fn table(polynomial: u32, width: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u32) << (width - 8);
        let mut bit = 0;
        while bit < 8 {
            let high = crc >> (width - 1) & 1;
            crc = (crc << 1) ^ (high * polynomial);
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "const evaluation; the index is under 256")]
        {
            table[index] = crc & (u32::MAX >> (32 - width));
        }
        index += 1;
    }
    table
}

static CRC16: [u32; 256] = table(0x1021, 16);
static CRC32: [u32; 256] = table(0x04c1_1db7, 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_are_those_of_the_format() {
        for (crc, expected) in [(Crc::Xor, 0x31), (Crc::Crc16, 0xbeef), (Crc::Crc32, 0x89a1_897f)] {
            assert_eq!(crc.of(b"123456789"), expected, "{crc:?}");
        }
    }
}
