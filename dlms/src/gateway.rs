//! The header of APDUs that a gateway hands on, IEC 62056-5-3 (Green Book, 10.4): network and physical device.

use bytes::Buf;

use crate::Reject;
use crate::data::length;

/// To which meter behind the gateway, or from which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayAddress {
    pub network_id: u8,
    pub physical_address: Vec<u8>,
}

/// Which way the APDU goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    Request,
    Response,
}

impl GatewayAddress {
    /// Appends the header; the APDU follows it.
    pub fn emit(&self, direction: Direction, out: &mut Vec<u8>) {
        out.extend_from_slice(&[direction.tag(), self.network_id]);
        length::emit_octets(&self.physical_address, out);
    }

    /// Reads the header where there is one, and leaves `buf` at the APDU.
    pub fn parse(direction: Direction, buf: &mut &[u8]) -> Result<Option<Self>, Reject> {
        if buf.first() != Some(&direction.tag()) {
            return Ok(None);
        }
        buf.advance(1);
        let network_id = buf.try_get_u8()?;
        Ok(Some(Self { network_id, physical_address: length::octets(buf)?.to_vec() }))
    }
}

impl Direction {
    const fn tag(self) -> u8 {
        match self {
            Self::Request => 0xe6,
            Self::Response => 0xe7,
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn the_header_stands_before_the_apdu() {
        let address = GatewayAddress { network_id: 1, physical_address: vec![0x12, 0x34] };
        for (direction, octets) in
            [(Direction::Request, hex!("e6 01 02 1234 c0")), (Direction::Response, hex!("e7 01 02 1234 c0"))]
        {
            let mut buf = &octets[..];
            assert_eq!(GatewayAddress::parse(direction, &mut buf), Ok(Some(address.clone())));
            let mut out = Vec::new();
            address.emit(direction, &mut out);
            assert_eq!((&octets[..5], buf), (out.as_slice(), &[0xc0][..]));
            assert_eq!(GatewayAddress::parse(direction, &mut &octets[..4]), Err(Reject::Truncated));
        }
        let mut buf = &hex!("c0")[..];
        assert_eq!((GatewayAddress::parse(Direction::Request, &mut buf), buf.len()), (Ok(None), 1));
    }
}
