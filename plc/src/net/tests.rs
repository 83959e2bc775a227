use hex_literal::hex;
use proptest::prelude::*;

use super::*;

#[test]
fn addresses_are_made_of_pan_id_and_short_address() {
    assert_eq!(link_local(0x781d, 0x0012).to_string(), "fe80::781d:ff:fe00:12");
    let prefix = hex!("fd00000000000001");
    assert_eq!(unique_local(prefix, 0x781d, 0).to_string(), "fd00::1:781d:ff:fe00:0");
    for address in [link_local(0x781d, 0x12), unique_local(prefix, 0x781d, 0x12)] {
        assert_eq!(short_addr(address, 0x781d, Some(prefix)), Some(0x12));
        assert_eq!(short_addr(address, 0x781e, Some(prefix)), None);
    }
    assert_eq!(short_addr(unique_local(prefix, 0x781d, 0x12), 0x781d, None), None);
    assert_eq!(short_addr("fe80::1".parse().unwrap(), 0, None), None);
}

/// Made by us, with a check sum of Python's.
const PACKET: [u8; 51] = hex!(
    "60000000 000b 11 40 fe80000000000000781d00fffe000000 fe80000000000000781d00fffe000012"
    "0fdb 0fdb 000b f0d1 010203"
);

fn datagram(payload: &[u8]) -> Datagram<'_> {
    Datagram {
        source: link_local(0x781d, 0),
        destination: link_local(0x781d, 0x12),
        source_port: DLMS_PORT,
        destination_port: DLMS_PORT,
        payload,
    }
}

#[test]
fn a_datagram_is_read_and_written() {
    let mut out = Vec::new();
    datagram(&[1, 2, 3]).emit(&mut out).unwrap();
    assert_eq!(hex::encode(&out), hex::encode(PACKET));
    assert_eq!(Datagram::parse(&PACKET), Ok(datagram(&[1, 2, 3])));
    assert_eq!(ends(&PACKET), Some((link_local(0x781d, 0), link_local(0x781d, 0x12))));
}

#[test]
fn what_is_longer_than_the_network_carries_is_refused() {
    let mut out = Vec::new();
    assert_eq!(datagram(&[0; MAX_PAYLOAD + 1]).emit(&mut out), Err(Reject::TooLong));
    assert!(out.is_empty());
    datagram(&[0; MAX_PAYLOAD]).emit(&mut out).unwrap();
    assert_eq!(out.len(), MTU);
    assert_eq!(Datagram::parse(&out).unwrap().payload.len(), MAX_PAYLOAD);
    out.push(0);
    assert_eq!(Datagram::parse(&out), Err(Reject::TooLong));
}

#[test]
fn a_packet_with_any_octet_missing_or_wrong_is_refused() {
    for length in 0..PACKET.len() {
        assert!(Datagram::parse(&PACKET[..length]).is_err(), "{length}");
    }
    // The traffic class, the flow label and the hop limit are under no check sum.
    for place in (4..PACKET.len()).filter(|place| *place != 7) {
        let mut wrong = PACKET;
        wrong[place] ^= 0x10;
        assert!(Datagram::parse(&wrong).is_err(), "{place}");
    }
    let mut unsummed = PACKET;
    unsummed[46..48].fill(0);
    assert_eq!(Datagram::parse(&unsummed), Err(Reject::BadChecksum));
}

proptest! {
    #[test]
    fn any_payload_arrives(payload in proptest::collection::vec(any::<u8>(), 0..MAX_PAYLOAD)) {
        let mut out = Vec::new();
        datagram(&payload).emit(&mut out).unwrap();
        prop_assert_eq!(Datagram::parse(&out), Ok(datagram(&payload)));
    }

    #[test]
    fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = (Datagram::parse(&octets), ends(&octets));
    }
}
