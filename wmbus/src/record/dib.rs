//! The data information block: DIF and up to ten DIFE, EN 13757-3:2018 clause 6.3.

use super::Function;
use crate::Reject;

/// What a record is about, and how its data is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dib {
    pub data_field: DataField,
    pub function: Function,
    /// 41 bits: one in the DIF, four in each DIFE.
    pub storage_number: u64,
    /// 20 bits: two in each DIFE.
    pub tariff: u32,
    /// 10 bits: one in each DIFE.
    pub subunit: u16,
}

/// The coding of the data. EN 13757-3:2018, table 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataField {
    None = 0,
    Integer8 = 1,
    Integer16 = 2,
    Integer24 = 3,
    Integer32 = 4,
    Real32 = 5,
    Integer48 = 6,
    Integer64 = 7,
    /// Selection for readout: no data.
    Readout = 8,
    Bcd2 = 9,
    Bcd4 = 10,
    Bcd6 = 11,
    Bcd8 = 12,
    /// LVAR and what it announces.
    Variable = 13,
    Bcd12 = 14,
}

impl Dib {
    /// Reads DIF and DIFEs. The special functions (low nibble F) are no DIB.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (dib, rest) = Self::split(buf)?;
        *buf = rest;
        Ok(dib)
    }

    /// The block in front of `octets`, and what follows.
    #[inline(always)]
    pub(super) fn split(octets: &[u8]) -> Result<(Self, &[u8]), Reject> {
        let (&dif, mut rest) = octets.split_first().ok_or(Reject::Truncated)?;
        let data_field = DataField::from_code(dif).ok_or(Reject::ReservedDif(dif))?;
        let (mut storage_number, mut tariff, mut subunit) = (u64::from(dif >> 6 & 1), 0, 0);
        let (mut last, mut place) = (dif, 0);
        while last & EXTENSION != 0 {
            if place == MAX_DIFE {
                return Err(Reject::ChainTooLong);
            }
            let (&dife, after) = rest.split_first().ok_or(Reject::Truncated)?;
            storage_number |= u64::from(dife & 0x0f) << (1 + 4 * place);
            tariff |= u32::from(dife >> 4 & 3) << (2 * place);
            subunit |= u16::from(dife >> 6 & 1) << place;
            (last, rest, place) = (dife, after, place + 1);
        }
        Ok((Self { data_field, function: Function::from_dif(dif), storage_number, tariff, subunit }, rest))
    }

    /// Appends what [`Self::parse`] reads, with as few DIFEs as the numbers need; bits beyond ten DIFEs are lost.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let first = self.data_field as u8 | self.function.dif() | ((self.storage_number & 1) as u8) << 6;
        let mut storage_number = self.storage_number >> 1;
        let mut tariff = self.tariff;
        let mut subunit = self.subunit;
        let mut octet = first;
        for _ in 0..MAX_DIFE {
            if storage_number == 0 && tariff == 0 && subunit == 0 {
                break;
            }
            out.push(octet | EXTENSION);
            octet = (storage_number & 0x0f) as u8 | ((tariff & 3) as u8) << 4 | ((subunit & 1) as u8) << 6;
            storage_number >>= 4;
            tariff >>= 2;
            subunit >>= 1;
        }
        out.push(octet);
    }
}

impl DataField {
    /// The data field of a DIF; None for the special functions.
    pub const fn from_code(dif: u8) -> Option<Self> {
        Some(match dif & 0x0f {
            0 => Self::None,
            1 => Self::Integer8,
            2 => Self::Integer16,
            3 => Self::Integer24,
            4 => Self::Integer32,
            5 => Self::Real32,
            6 => Self::Integer48,
            7 => Self::Integer64,
            8 => Self::Readout,
            9 => Self::Bcd2,
            10 => Self::Bcd4,
            11 => Self::Bcd6,
            12 => Self::Bcd8,
            13 => Self::Variable,
            14 => Self::Bcd12,
            _ => return None,
        })
    }

    /// Octets of data; None where the data itself tells.
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Variable => None,
            _ => Some(self.fixed_size()),
        }
    }

    /// Octets of a binary integer.
    pub(crate) const fn binary_size(self) -> Option<usize> {
        match self {
            Self::Integer8
            | Self::Integer16
            | Self::Integer24
            | Self::Integer32
            | Self::Integer48
            | Self::Integer64 => Some(self.fixed_size()),
            _ => None,
        }
    }

    /// [`Self::size`], 0 where the data itself tells.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "the table has a place for each data field")]
    pub(super) const fn fixed_size(self) -> usize {
        SIZES[self as usize] as usize
    }
}

static SIZES: [u8; 15] = [0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, 0, 6];
const EXTENSION: u8 = 0x80;
const MAX_DIFE: u32 = 10;

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Result<(DataField, Function, u64, u32, u16), Reject>) {
        let mut buf = octets;
        let dib = Dib::parse(&mut buf);
        assert_eq!(dib.map(|d| (d.data_field, d.function, d.storage_number, d.tariff, d.subunit)), expected);
        if let Ok(dib) = dib {
            assert!(buf.is_empty());
            for end in 0..octets.len() {
                assert_eq!(Dib::parse(&mut &octets[..end]), Err(Reject::Truncated));
            }
            let mut out = Vec::new();
            dib.emit(&mut out);
            assert_eq!(Dib::parse(&mut out.as_slice()), Ok(dib));
        }
    }

    #[test]
    fn numbers_spread_over_the_difes() {
        check(&hex!("04"), Ok((DataField::Integer32, Function::Instantaneous, 0, 0, 0)));
        check(&hex!("4c"), Ok((DataField::Bcd8, Function::Instantaneous, 1, 0, 0)));
        check(&hex!("9410"), Ok((DataField::Integer32, Function::Maximum, 0, 1, 0)));
        check(&hex!("e28041"), Ok((DataField::Integer16, Function::Minimum, 1 | 1 << 5, 0, 2)));
        check(&hex!("8d 8f 83 00"), Ok((DataField::Variable, Function::Instantaneous, 0x3f << 1, 0, 0)));
        check(
            &hex!("fe ff ff ff ff ff ff ff ff ff 7f"),
            Ok((DataField::Bcd12, Function::Error, (1 << 41) - 1, (1 << 20) - 1, (1 << 10) - 1)),
        );
        check(&hex!("84 80 80 80 80 80 80 80 80 80 80 00"), Err(Reject::ChainTooLong));
        check(&hex!("2f"), Err(Reject::ReservedDif(0x2f)));
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(storage_number in 0u64..1 << 41, tariff in 0u32..1 << 20, subunit in 0u16..1 << 10, dif in 0u8..0x0f) {
            let dib = Dib { data_field: DataField::from_code(dif).unwrap(), function: Function::Minimum, storage_number, tariff, subunit };
            let mut out = Vec::new();
            dib.emit(&mut out);
            prop_assert_eq!(Dib::parse(&mut out.as_slice()), Ok(dib));
        }
    }
}
