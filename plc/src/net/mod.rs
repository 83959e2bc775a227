//! IPv6, UDP and echoes in user space, as far as a network under one coordinator needs them: unicast between the
//! coordinator and its nodes, packets that are never fragmented, no options. RFC 8200, RFC 768, RFC 4443.
//!
//! The adaptation layer takes whole packets and compresses their headers itself.

mod address;
mod echo;

#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;

use bytes::Buf;

pub use address::{interface_id, link_local, short_addr, unique_local};
pub use echo::Echo;

use crate::Reject;
use crate::octets::take;

/// One UDP datagram in its IPv6 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub source_port: u16,
    pub destination_port: u16,
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a whole packet.
    ///
    /// # Errors
    /// `Truncated`, `BadLength`, `TooLong`; `Reserved` for what is not UDP over IPv6; `BadChecksum`.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Reject> {
        let (source, destination, upper) = open(packet, UDP)?;
        let buf = &mut &*upper;
        let (source_port, destination_port) = (buf.try_get_u16()?, buf.try_get_u16()?);
        let (udp_length, sent_checksum) = (buf.try_get_u16()?, buf.try_get_u16()?);
        if usize::from(udp_length) != upper.len() {
            return Err(Reject::BadLength);
        }
        // Over IPv6 there must be one: RFC 8200 clause 8.1.
        if sent_checksum == 0 || checksum(source, destination, UDP, upper) != 0 {
            return Err(Reject::BadChecksum);
        }
        let payload = take(buf, upper.len().saturating_sub(UDP_HEADER))?;
        Ok(Self { source, destination, source_port, destination_port, payload })
    }

    /// Appends exactly what `parse` reads.
    ///
    /// # Errors
    /// `TooLong` where the packet would be longer than the network's MTU: nothing is appended.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Reject> {
        let length = UDP_HEADER + self.payload.len();
        let length = u16::try_from(length).ok().filter(|_| IPV6_HEADER + length <= MTU).ok_or(Reject::TooLong)?;
        let mut upper = Vec::with_capacity(usize::from(length));
        for number in [self.source_port, self.destination_port, length, 0] {
            upper.extend(number.to_be_bytes());
        }
        upper.extend(self.payload);
        // Zero would say that there is none.
        let sum = match checksum(self.source, self.destination, UDP, &upper) {
            0 => 0xffff,
            sum => sum,
        };
        upper.iter_mut().skip(6).zip(sum.to_be_bytes()).for_each(|(octet, sum)| *octet = sum);
        enclose(self.source, self.destination, UDP, &upper, out);
        Ok(())
    }
}

/// The destination of any IPv6 packet, and its source; None where it is none.
pub fn ends(packet: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let buf = &mut &*packet;
    let is_ipv6 = buf.try_get_u32().ok()? >> 28 == 6;
    buf.try_get_u32().ok()?;
    let source = Ipv6Addr::from(buf.try_get_u128().ok()?);
    let destination = Ipv6Addr::from(buf.try_get_u128().ok()?);
    is_ipv6.then_some((source, destination))
}

/// The ends of a whole packet, and what is in it.
fn open(packet: &[u8], wanted: u8) -> Result<(Ipv6Addr, Ipv6Addr, &[u8]), Reject> {
    if packet.len() > MTU {
        return Err(Reject::TooLong);
    }
    let buf = &mut &*packet;
    if buf.try_get_u32()? >> 28 != 6 {
        return Err(Reject::Reserved("ip version"));
    }
    let (length, next_header, _hop_limit) = (buf.try_get_u16()?, buf.try_get_u8()?, buf.try_get_u8()?);
    if next_header != wanted {
        return Err(Reject::Reserved("next header"));
    }
    let source = Ipv6Addr::from(buf.try_get_u128()?);
    let destination = Ipv6Addr::from(buf.try_get_u128()?);
    if buf.len() != usize::from(length) {
        return Err(Reject::BadLength);
    }
    Ok((source, destination, *buf))
}

/// Appends the packet around what is in it, which fits.
fn enclose(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, upper: &[u8], out: &mut Vec<u8>) {
    out.extend(0x6000_0000u32.to_be_bytes());
    out.extend((upper.len() as u16).to_be_bytes());
    out.extend([next_header, HOP_LIMIT]);
    out.extend(source.octets());
    out.extend(destination.octets());
    out.extend(upper);
}

/// Of the pseudo header and the upper layer; zero where the checksum in it is right.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, upper: &[u8]) -> u16 {
    let words = |octets: &[u8]| {
        octets
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
                [high] => u64::from(*high) << 8,
                _ => 0,
            })
            .sum::<u64>()
    };
    let sum = words(&source.octets())
        + words(&destination.octets())
        + words(upper)
        + upper.len() as u64
        + u64::from(next_header);
    let mut folded = sum;
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    !(folded as u16)
}

/// The longest packet of a G3-PLC network.
pub const MTU: usize = 1280;
/// What of a packet is left for the payload of a datagram.
pub const MAX_PAYLOAD: usize = MTU - IPV6_HEADER - UDP_HEADER;
/// DLMS over UDP, IEC 62056-4-7.
pub const DLMS_PORT: u16 = 4059;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
/// IANA's number of UDP.
const UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;
