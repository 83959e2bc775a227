//! The meter's address as it is said on a command line.

use std::str::FromStr;

use dlms::link::hdlc::Address;

/// `1`, `1/17`, or the number that an HDLC address of two or four octets makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) number: u32,
    pub(super) physical: Option<u16>,
}

impl Server {
    pub(super) fn address(self, octets: Option<u8>) -> Result<Address, &'static str> {
        const RANGE: &str = "--server: such an address does not fit its octets";
        let narrow = |number: u32| u16::try_from(number).ok();
        let Some(physical) = self.physical else {
            let (high, low) = (|bits| narrow(self.number >> bits), |bits: u8| narrow(self.number & ((1 << bits) - 1)));
            let one = || narrow(self.number).and_then(Address::one);
            let two = || Address::two(high(7)?, low(7)?);
            let four = || Address::four(high(14)?, low(14)?);
            return match octets {
                None => one().or_else(two).or_else(four),
                Some(1) => one(),
                Some(2) => two(),
                Some(4) => four(),
                Some(_) => return Err("--address-octets: 1, 2 or 4"),
            }
            .ok_or(RANGE);
        };
        let logical = narrow(self.number).ok_or(RANGE)?;
        match octets {
            None => Address::server(logical, Some(physical)),
            Some(2) => Address::two(logical, physical),
            Some(4) => Address::four(logical, physical),
            Some(_) => return Err("--address-octets: a physical device needs 2 or 4"),
        }
        .ok_or(RANGE)
    }
}

impl FromStr for Server {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "a number, or LOGICAL/PHYSICAL";
        let (number, physical) = match text.split_once('/') {
            None => (text, None),
            Some((logical, physical)) => (logical, Some(physical.parse().map_err(|_| FORM)?)),
        };
        Ok(Self { number: number.parse().map_err(|_| FORM)?, physical })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, octets: Option<u8>, expected: Result<Address, &'static str>) {
        assert_eq!(text.parse::<Server>().and_then(|server| server.address(octets)), expected, "{text}");
    }

    #[test]
    fn a_server_has_one_two_or_four_octets() {
        check("1", None, Ok(Address::one(1).unwrap()));
        check("145", None, Ok(Address::two(1, 17).unwrap()));
        check("16401", None, Ok(Address::four(1, 17).unwrap()));
        check("1/17", None, Ok(Address::two(1, 17).unwrap()));
        check("1/17", Some(4), Ok(Address::four(1, 17).unwrap()));
        check("1/8193", None, Ok(Address::four(1, 8193).unwrap()));
        check("1", Some(4), Ok(Address::four(0, 1).unwrap()));
        check("1/17", Some(1), Err("--address-octets: a physical device needs 2 or 4"));
        check("200", Some(1), Err("--server: such an address does not fit its octets"));
        check("1/16384", None, Err("--server: such an address does not fit its octets"));
        check("4294967295", None, Err("--server: such an address does not fit its octets"));
        check("a", None, Err("a number, or LOGICAL/PHYSICAL"));
    }
}
