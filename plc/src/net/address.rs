//! The addresses of nodes: made of the PAN id and the short address. G.9903 clause 9.4.1.

use std::net::Ipv6Addr;

/// The lower half of every address of a node: `PAN id : 00ff : fe00 : short address`.
pub fn interface_id(pan_id: u16, short_addr: u16) -> u64 {
    u64::from(pan_id) << 48 | 0x00ff_fe00_0000 | u64::from(short_addr)
}

/// `fe80::` and the interface.
pub fn link_local(pan_id: u16, short_addr: u16) -> Ipv6Addr {
    at(LINK_LOCAL, pan_id, short_addr)
}

/// The prefix of 64 bits that the utility gave to the network, and the interface.
pub fn unique_local(prefix: [u8; 8], pan_id: u16, short_addr: u16) -> Ipv6Addr {
    at(u64::from_be_bytes(prefix), pan_id, short_addr)
}

/// The short address of a node of this network; None for any other address.
pub fn short_addr(address: Ipv6Addr, pan_id: u16, prefix: Option<[u8; 8]>) -> Option<u16> {
    let bits = address.to_bits();
    let (high, interface, short_addr) = ((bits >> 64) as u64, bits as u64, bits as u16);
    let is_ours = high == LINK_LOCAL || prefix.is_some_and(|prefix| high == u64::from_be_bytes(prefix));
    (is_ours && interface == interface_id(pan_id, short_addr)).then_some(short_addr)
}

fn at(prefix: u64, pan_id: u16, short_addr: u16) -> Ipv6Addr {
    Ipv6Addr::from_bits(u128::from(prefix) << 64 | u128::from(interface_id(pan_id, short_addr)))
}

const LINK_LOCAL: u64 = 0xfe80 << 48;
