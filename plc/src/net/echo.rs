//! Echoes: each node that speaks IPv6 answers them (RFC 4443, clauses 4.1 and 4.2).

use std::net::Ipv6Addr;

use bytes::Buf;

use super::{IPV6_HEADER, MTU, checksum, enclose, open};
use crate::Reject;

/// A request for an echo in its IPv6 packet, or the echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub is_reply: bool,
    pub identifier: u16,
    pub sequence: u16,
    /// Comes back as it was sent.
    pub data: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Reads a whole packet.
    ///
    /// # Errors
    /// `Truncated`, `BadLength`, `TooLong`; `Reserved` for what is no echo over IPv6; `BadChecksum`.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Reject> {
        let (source, destination, upper) = open(packet, ICMPV6)?;
        let buf = &mut &*upper;
        let is_reply = match (buf.try_get_u8()?, buf.try_get_u8()?) {
            (REQUEST, 0) => false,
            (REPLY, 0) => true,
            _ => return Err(Reject::Reserved("icmp type")),
        };
        buf.try_get_u16()?;
        if checksum(source, destination, ICMPV6, upper) != 0 {
            return Err(Reject::BadChecksum);
        }
        let (identifier, sequence) = (buf.try_get_u16()?, buf.try_get_u16()?);
        Ok(Self { source, destination, is_reply, identifier, sequence, data: buf })
    }

    /// Appends exactly what `parse` reads.
    ///
    /// # Errors
    /// `TooLong` where the packet would be longer than the network's MTU: nothing is appended.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Reject> {
        if IPV6_HEADER + HEADER + self.data.len() > MTU {
            return Err(Reject::TooLong);
        }
        let mut upper = vec![if self.is_reply { REPLY } else { REQUEST }, 0, 0, 0];
        upper.extend(self.identifier.to_be_bytes());
        upper.extend(self.sequence.to_be_bytes());
        upper.extend(self.data);
        let sum = checksum(self.source, self.destination, ICMPV6, &upper);
        upper.iter_mut().skip(2).zip(sum.to_be_bytes()).for_each(|(octet, sum)| *octet = sum);
        enclose(self.source, self.destination, ICMPV6, &upper, out);
        Ok(())
    }

    /// What the other end says to it.
    pub fn reply(&self) -> Self {
        Self { source: self.destination, destination: self.source, is_reply: true, ..*self }
    }
}

/// IANA's number of ICMPv6.
const ICMPV6: u8 = 58;
const REQUEST: u8 = 128;
const REPLY: u8 = 129;
const HEADER: usize = 8;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::net::{MTU, link_local};

    /// Made by us, with a check sum of Python's.
    const PACKET: [u8; 50] = hex!(
        "60000000 000a 3a 40 fe80000000000000781d00fffe000000 fe80000000000000781d00fffe000012"
        "8000 e795 0007 0102 abcd"
    );

    #[test]
    fn an_echo_is_asked_for_and_comes_back_with_what_was_sent() {
        let (source, destination) = (link_local(0x781d, 0), link_local(0x781d, 0x12));
        let echo = Echo { source, destination, is_reply: false, identifier: 7, sequence: 0x0102, data: &[0xab, 0xcd] };
        let mut out = Vec::new();
        echo.emit(&mut out).unwrap();
        assert_eq!(hex::encode(&out), hex::encode(PACKET));
        assert_eq!(Echo::parse(&PACKET), Ok(echo));
        let (mut back, reply) = (Vec::new(), echo.reply());
        reply.emit(&mut back).unwrap();
        assert_eq!(Echo::parse(&back), Ok(Echo { source: destination, destination: source, is_reply: true, ..echo }));
        assert_eq!(Echo { data: &[0; MTU], ..echo }.emit(&mut out), Err(Reject::TooLong));
    }

    #[test]
    fn what_is_no_echo_is_none() {
        for place in 40..PACKET.len() {
            let mut bent = PACKET;
            bent[place] ^= 0x10;
            let reject = if place < 42 { Reject::Reserved("icmp type") } else { Reject::BadChecksum };
            assert_eq!(Echo::parse(&bent), Err(reject), "{place}");
        }
        assert_eq!(Echo::parse(&PACKET[..49]), Err(Reject::BadLength));
    }
}
