//! Against the transcript that the vendor's device code and hostapd agree with.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::eap::Body;
use super::psk::{self, Peer, Server};
use super::*;
use crate::Key;

/// The transcript of ours.
fn vectors() -> BTreeMap<String, Vec<u8>> {
    read(include_str!("../../../tests/data/eap-psk.txt"))
}

/// Lines `name [(remark)] hex`; others are passed over.
fn read(text: &str) -> BTreeMap<String, Vec<u8>> {
    text.lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, octets)| Some((name.split(" (").next()?.to_owned(), hex::decode(octets).ok()?)))
        .collect()
}

fn key(octets: &[u8]) -> Key {
    Key(octets.try_into().unwrap())
}

#[track_caller]
fn check(octets: &[u8], expected: &Message) {
    assert_eq!(Message::parse(octets).as_ref(), Ok(expected));
    assert_eq!(hex::encode(expected.to_vec()), hex::encode(octets));
}

fn eap(octets: &[u8]) -> eap::Message {
    match Message::parse(octets).unwrap().data {
        Data::Eap(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_transcript_is_reproduced_octet_by_octet_both_ways() {
    reproduce(&vectors());
}

#[test]
fn the_transcript_of_makers_devices_is_reproduced_too() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/g3/vectors.txt");
    let Ok(shared) = std::fs::read_to_string(path) else {
        return eprintln!("skipped: no shared data");
    };
    let mut vectors = read(&shared);
    // It names the key in the text of message 3 only.
    let plaintext = &vectors["PCHANNEL plaintext"];
    vectors.insert("GMK".into(), plaintext[9..25].to_vec());
    reproduce(&vectors);
}

fn reproduce(v: &BTreeMap<String, Vec<u8>>) {
    let eui64 = Eui64(v["ID_P"].as_slice().try_into().unwrap());
    let (rand_s, rand_p) = (v["RAND_S"].as_slice().try_into().unwrap(), v["RAND_P"].as_slice().try_into().unwrap());
    let psk = key(&v["PSK"]);
    let of = |code, message| Message::new(code, eui64, Data::Eap(message));

    check(&v["LBP JOINING #1"], &Message::new(Code::Joining, eui64, Data::Nothing));
    let mut server = Server::new(&psk, &v["ID_S"], rand_s);
    let first = server.first(0);
    check(&v["LBP CHALLENGE msg1"], &of(Code::Challenge, first.clone()));
    let mut peer = Peer::new(&psk, &eui64.0, rand_p);
    let second = peer.second(&first).unwrap();
    check(&v["LBP JOINING msg2"], &of(Code::Joining, second.clone()));
    server.take_second(&second, &eui64.0).unwrap();
    let gmk = key(&v["GMK"]);
    let parameters = [Parameter::ShortAddr(1), Parameter::Gmk { index: 0, key: gmk }, Parameter::GmkActivation(0)];
    let third = server.third(1, &parameters).unwrap();
    assert_eq!(third.body.authenticated(1), v["EAX header"]);
    check(&v["LBP CHALLENGE msg3"], &of(Code::Challenge, third.clone()));
    assert_eq!(peer.take_third(&third).unwrap(), parameters);
    let said = server.take_fourth(&eap(&v["LBP JOINING msg4"])).unwrap();
    let fourth = peer.fourth(1, &said).unwrap();
    check(&v["LBP JOINING msg4"], &of(Code::Joining, fourth.clone()));
    assert_eq!(said, [Parameter::Result { result: 0, parameter: said_of(&said) }]);

    let accepted = eap::Message { identifier: 2, body: Body::Success };
    check(&v["LBP ACCEPTED"], &of(Code::Accepted, accepted));
    check(&v["LBP DECLINE"], &of(Code::Decline, eap::Message { identifier: 2, body: Body::Failure }));
    check(&v["LBP KICK to LBD"], &Message::new(Code::KickToLbd, eui64, Data::Nothing));
    check(&v["LBP KICK from LBD"], &Message::new(Code::KickFromLbd, eui64, Data::Nothing));
    let activation = Data::Parameters(vec![Parameter::GmkActivation(1)]);
    check(&v["LBP ACCEPTED GMK-activation idx1"], &Message::new(Code::Accepted, eui64, activation));
}

fn said_of(said: &[Parameter]) -> Vec<u8> {
    match said {
        [Parameter::Result { parameter, .. }] => parameter.clone(),
        other => panic!("{other:?}"),
    }
}

/// A conversation of hostapd and eapol_test, the committed one or that of `tests/eap-psk.sh`: its channel carries nothing
/// but a result, as in RFC 4764.
#[test]
fn another_implementation_comes_to_the_same_numbers() {
    let committed = include_str!("../../../tests/data/eap-psk-hostapd.txt");
    let v = match std::env::var("EAP_PSK_TRANSCRIPT") {
        Ok(path) => read(&std::fs::read_to_string(path).unwrap()),
        Err(_) => read(committed),
    };
    let block = |name: &str| -> [u8; 16] { v[name].as_slice().try_into().unwrap() };
    let [ak, kdk] = psk::expand(&psk::aes(block("PSK")), [0; 16]);
    let [tek] = psk::expand(&psk::aes(kdk), block("RAND_P"));
    assert_eq!((ak, kdk, tek), (block("AK"), block("KDK"), block("TEK")));

    let psk = key(&v["PSK"]);
    let mut server = Server::new(&psk, &v["ID_S"], block("RAND_S"));
    let mut peer = Peer::new(&psk, &v["ID_P"], block("RAND_P"));
    let second = peer.second(&server.first(0)).unwrap();
    let Body::Second { mac_p, .. } = second.body else { panic!() };
    assert_eq!(mac_p, block("MAC_P"));
    server.take_second(&second, &v["ID_P"]).unwrap();
    let identifier = v["identifier"][0];
    let Body::Third { mac_s, .. } = server.third(identifier, &[]).unwrap().body else { panic!() };
    assert_eq!(mac_s, block("MAC_S"));
    let channel = |name: &str| eap::Channel {
        nonce: u32::from_be_bytes(v[name][..4].try_into().unwrap()),
        tag: v[name][4..20].try_into().unwrap(),
        ciphertext: v[name][20..].to_vec(),
    };
    let rand_s = block("RAND_S");
    let third = eap::Message { identifier, body: Body::Third { rand_s, mac_s, channel: channel("channel 3") } };
    assert_eq!(peer.take_third(&third), Ok(vec![]));
    let fourth = eap::Message { identifier, body: Body::Fourth { rand_s, channel: channel("channel 4") } };
    assert_eq!(server.take_fourth(&fourth), Ok(vec![]));
}

#[test]
fn another_key_name_echo_or_nonce_is_refused() {
    let psk = Key([1; 16]);
    let mut server = Server::new(&psk, b"server", [2; 16]);
    let first = server.first(9);
    let second = |key: Key, name: &[u8], first: &eap::Message| Peer::new(&key, name, [3; 16]).second(first).unwrap();
    assert_eq!(server.take_second(&second(Key([7; 16]), b"device", &first), b"device"), Err(Reject::BadMac));
    assert_eq!(server.take_second(&second(psk, b"stolen", &first), b"device"), Err(Reject::Mismatch("identity")));
    let older = Server::new(&psk, b"server", [8; 16]).first(9);
    assert_eq!(server.take_second(&second(psk, b"device", &older), b"device"), Err(Reject::Mismatch("random number")));
    let mut late = second(psk, b"device", &first);
    late.identifier = 8;
    assert_eq!(server.take_second(&late, b"device"), Err(Reject::Mismatch("identifier")));
    assert_eq!(server.third(10, &[]), None, "nothing is handed to who has proved nothing");

    let mut peer = Peer::new(&psk, b"device", [3; 16]);
    let second = peer.second(&first).unwrap();
    server.take_second(&second, b"device").unwrap();
    let third = server.third(10, &[Parameter::ShortAddr(5)]).unwrap();
    assert_eq!(peer.take_third(&third), Ok(vec![Parameter::ShortAddr(5)]));
    let fourth = peer.fourth(10, &[]).unwrap();
    let Body::Fourth { rand_s, channel } = &fourth.body else { panic!() };
    let of = |channel| eap::Message { identifier: 10, body: Body::Fourth { rand_s: *rand_s, channel } };
    let replayed = of(eap::Channel { nonce: 0, ..channel.clone() });
    assert_eq!(server.take_fourth(&replayed), Err(Reject::Mismatch("nonce")));
    let mut altered = channel.clone();
    altered.ciphertext[1] ^= 1;
    assert_eq!(server.take_fourth(&of(altered)), Err(Reject::BadMac));
    assert_eq!(server.take_fourth(&fourth), Ok(vec![]));
    assert_eq!(server.take_fourth(&second), Err(Reject::Unexpected("eap message")));
}

#[test]
fn messages_that_lie_about_their_length_are_refused() {
    let v = vectors();
    for (name, octets) in v.iter().filter(|(name, _)| name.contains("msg") || name.contains("DECLINE")) {
        for length in 0..octets.len() {
            assert!(length == 10 || Message::parse(&octets[..length]).is_err(), "{name} {length}");
        }
        let mut long = octets.clone();
        long.push(0);
        assert_eq!(Message::parse(&long), Err(Reject::BadLength), "{name}");
    }
    assert_eq!(Message::parse(&v["LBP JOINING #1"][..9]), Err(Reject::Truncated));
    let mut other = v["LBP JOINING #1"].clone();
    other[0] = 0x20;
    assert_eq!(Message::parse(&other), Err(Reject::Reserved("lbp code")));
    let media = Message::parse(&hex::decode("1c00001122ffff000001").unwrap()).unwrap();
    assert_eq!(media.media, Media { is_rf: true, has_no_backup: true });
    assert_eq!(media.to_vec()[0], 0x1c);
}

proptest! {
    #[test]
    fn what_is_read_is_written_again(octets in proptest::collection::vec(any::<u8>(), 0..80), first in any::<u8>()) {
        let mut octets = [&[first & 0xfc, 0][..], &octets].concat();
        if octets.len() > 13 {
            let length = octets.len() as u16 - 10;
            octets[12..14].copy_from_slice(&length.to_be_bytes());
        }
        if let Ok(message) = Message::parse(&octets) {
            prop_assert_eq!(message.to_vec(), octets);
        }
    }
}
