use hex_literal::hex;
use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(line: &[u8], protocol: Protocol, payload: &[u8]) {
    let frame = Frame::new(protocol, payload.to_vec()).unwrap();
    let mut emitted = Vec::new();
    frame.emit(&mut emitted);
    assert_eq!(hex::encode(&emitted), hex::encode(line));
    for split in 0..=line.len() {
        let mut deframer = Deframer::default();
        let (first, second) = line.split_at(split);
        let mut frames = feed(&mut deframer, first);
        frames.extend(feed(&mut deframer, second));
        assert_eq!(frames, std::slice::from_ref(&frame), "split at {split}");
    }
}

fn feed(deframer: &mut Deframer, octets: &[u8]) -> Vec<Frame> {
    octets.iter().filter_map(|octet| deframer.take(*octet)).collect()
}

fn line(protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame::new(protocol, payload.to_vec()).unwrap().emit(&mut out);
    out
}

#[test]
fn frames_are_read_and_written() {
    // Made by us: the check sums by polynomial division bit by bit.
    let adp = Protocol::ADP_G3;
    check(&hex!("7e00a50a01ef4e7e"), adp, &hex!("0a01"));
    check(&hex!("7e00e50a02014c0c7e"), adp, &hex!("0a0201"));
    check(&hex!("7e00e5000112ee557e"), adp, &hex!("000112"));
    check(&hex!("7e00e50d2b7d5e15947e"), adp, &hex!("0d2b7e"));
    check(&hex!("7e01e51200000020000014e37e"), adp, &hex!("12000000200000"));
    check(
        &hex!("7e0565110000000100000d10010100000e1000000e107d5e7d5d75af7e"),
        adp,
        &hex!("110000000100000d10010100000e1000000e107e7d"),
    );
}

#[test]
fn the_makers_frames_are_read_and_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/g3/vectors.txt");
    let Ok(shared) = std::fs::read_to_string(path) else {
        return eprintln!("skipped: no shared data");
    };
    let mut frames = 0;
    for octets in shared.lines().filter_map(|line| hex::decode(line.split_once(" | ")?.1).ok()) {
        let Some([frame]) = feed(&mut Deframer::default(), &octets).first_chunk().cloned() else { panic!() };
        check(&octets, Protocol::ADP_G3, frame.payload());
        frames += 1;
    }
    assert_eq!(frames, 9);
}

#[test]
fn the_other_check_sums_protect_their_protocols() {
    // Made here: check sums computed with the table of the facts, see crc.rs for their check values.
    for protocol in
        [Protocol::MNGP_GET, Protocol::new(0x07), Protocol::SNIF_PRIME, Protocol::PRIME_API, Protocol::new(0x27)]
    {
        check(&line(protocol, b"123456789"), protocol, b"123456789");
    }
    assert_eq!(line(Protocol::PRIME_API, &[0x2d]), hex!("7e 00 70 2d 5d 7e"));
    assert_eq!(line(Protocol::PRIME_API, &[0x2d, 0x7e]), hex!("7e 00 b0 2d 7d5e e3 7e"));
}

#[test]
fn xlen_carries_the_eleventh_bit_of_the_length() {
    let payload: Vec<u8> = [0x0b, 0x07, 1, 0, 5, 0].into_iter().chain((0..1280u32).map(|n| n as u8)).collect();
    let octets = line(Protocol::ADP_G3, &payload);
    // 1,286 octets: 101 0000 0110, of which the highest bit stands in the command and the lowest two beside the protocol.
    assert_eq!(octets[..5], hex!("7e 41 a5 8b 07"));
    check(&octets, Protocol::ADP_G3, &payload);
    for length in [1, 1023, 1024, 2047] {
        check(&line(Protocol::ADP_G3, &vec![0x0b; length]), Protocol::ADP_G3, &vec![0x0b; length]);
    }
    assert_eq!(Frame::new(Protocol::ADP_G3, vec![0; 2048]), Err(Reject::TooLong));
    assert_eq!(Frame::new(Protocol::MAC_G3, vec![0; 1024]), Err(Reject::TooLong));
    assert_eq!(Frame::new(Protocol::ADP_G3, vec![0x80]), Err(Reject::Reserved("command")));
    check(&line(Protocol::MAC_G3, &[0xff; 1023]), Protocol::MAC_G3, &[0xff; 1023]);
}

#[test]
fn garbage_costs_no_more_than_the_frame_it_stands_in() {
    let good = hex!("7e00a52200c74f7e");
    let mut deframer = Deframer::default();
    let mut stream = b"noise".to_vec();
    stream.extend(good);
    stream.extend(hex!("7e7e7e"));
    stream.extend(&good[1..]);
    stream.extend(hex!("01027d"));
    stream.extend(good);
    stream.extend([0x55; 5000]);
    stream.extend(good);
    stream.extend(hex!("00a52201c74f7e"));
    stream.extend(good);
    assert_eq!(feed(&mut deframer, &stream).len(), 5);
    assert_eq!(deframer.taken(), (stream.len() as u64, 5));
    let rejects: Vec<_> = deframer.rejects().iter().collect();
    assert_eq!(rejects, [("bad_crc", 1), ("bad_length", 1), ("reserved", 1), ("too_long", 1)]);
}

#[test]
fn a_frame_with_any_octet_altered_or_missing_is_not_taken() {
    let good = hex!("00a52200c74f");
    assert!(Frame::parse(&good).is_ok());
    for place in 0..good.len() {
        assert!(Frame::parse(&good[..place]).is_err());
        for bit in 0..8 {
            let mut bad = good;
            bad[place] ^= 1 << bit;
            assert!(Frame::parse(&bad).is_err(), "{place} {bit}");
        }
    }
}

proptest! {
    #[test]
    fn any_octets_never_panic_and_frames_among_them_are_found(
        garbage in proptest::collection::vec(any::<u8>(), 0..200),
        payload in proptest::collection::vec(any::<u8>(), 1..1300),
        protocol in 0u8..64,
    ) {
        let protocol = Protocol::new(protocol);
        let mut payload = payload;
        payload[0] &= 0x7f;
        payload.truncate(protocol.max_payload());
        let frame = Frame::new(protocol, payload).unwrap();
        let mut stream = garbage;
        frame.emit(&mut stream);
        let mut deframer = Deframer::default();
        let frames = feed(&mut deframer, &stream);
        prop_assert_eq!(frames.last(), Some(&frame));
    }
}
