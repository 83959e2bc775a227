//! Frames that another implementation made (`tests/data/wize.txt`), and our own.

use std::sync::LazyLock;
use std::time::Duration;

use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::receiver::Mode;
use crate::{Form, Scratch, SecurityMode, Telegram, Verdict, link};

static KMAC: LazyLock<Key> = LazyLock::new(|| Key::new(hex!("101112131415161718191a1b1c1d1e1f")));
static KENC: LazyLock<Key> = LazyLock::new(|| Key::new(hex!("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf")));
static OTHER: LazyLock<Key> = LazyLock::new(|| Key::new([9; 16]));
const METER: Address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 1, device_type: 3 };
const UNIT: Address = Address { manufacturer: 0x1000, identification: 1, version: 1, device_type: 0x31 };

/// Kmac of network 9, and Kenc number 1.
struct Known(Option<&'static Key>, Option<&'static Key>);

impl crate::Keys for Known {
    fn key(&self, _: &Address) -> Option<&Key> {
        None
    }

    fn numbered_key(&self, address: &Address, key_id: u8) -> Option<&Key> {
        self.1.filter(|_| (*address, key_id) == (METER, 1))
    }

    fn network_key(&self, network: u8) -> Option<&Key> {
        self.0.filter(|_| network == 9)
    }
}

fn vector(name: &str) -> Vec<u8> {
    let text = include_str!("../../tests/data/wize.txt");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect(name);
    hex::decode(line).unwrap()
}

#[track_caller]
fn check(octets: &[u8], keys: &Known, verdict: Verdict, authenticated: bool, application: &[u8]) {
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(octets, keys, &mut scratch).unwrap();
    assert_eq!((telegram.verdict, telegram.security.authenticated), (verdict, authenticated), "{telegram}");
    assert_eq!(hex::encode(telegram.application), hex::encode(application));
    assert_eq!(telegram.address, METER);
    assert_eq!(telegram.records().count(), 0);
}

/// As a module hands it on that has taken the CRC away, with the L-field of either kind.
fn stripped(octets: &[u8]) -> [Vec<u8>; 2] {
    let body = octets[..octets.len() - 2].to_vec();
    let mut counted = body.clone();
    counted[0] -= 2;
    [body, counted]
}

#[test]
fn what_another_implementation_sends_is_authenticated_and_opened() {
    let octets = vector("data");
    let sealed = hex!("f9322e7b36d7954b5a7be230c6c4");
    for octets in [octets.clone()].into_iter().chain(stripped(&octets)) {
        check(&octets, &Known(Some(&KMAC), Some(&KENC)), Verdict::Ok, true, b"index 12345 m3");
        check(&octets, &Known(None, Some(&KENC)), Verdict::Ok, false, b"index 12345 m3");
        check(&octets, &Known(Some(&KMAC), None), Verdict::NoKey, true, &sealed);
        check(&octets, &Known(None, None), Verdict::NoKey, false, &sealed);
        check(&octets, &Known(Some(&KMAC), Some(&OTHER)), Verdict::WrongKey, true, &sealed);
    }
    // Format B without its CRC has an L-field that is two too great: nobody can say that octets are missing.
    for octets in [&octets, &stripped(&octets)[1]] {
        check(octets, &Known(Some(&OTHER), Some(&KENC)), Verdict::BadMac, false, &sealed);
    }
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&octets, &Known(None, None), &mut scratch).unwrap();
    let header = telegram.wize.unwrap();
    assert_eq!((header.network, header.counter, header.application, header.key), (9, 0x0102, 0xfe, 1));
    assert_eq!(header.trailer, Trailer::Exchange { hash_kenc: hex!("17e68c24"), timestamp: 0x1234 });
    assert_eq!(telegram.security.mode, SecurityMode::Wize);
    assert_eq!(telegram.to_string(), "SND-NR KAM-12345678-01-03 wize network 9 counter 258 app fe key 1 no_key");
}

#[test]
fn a_long_frame_has_one_crc() {
    let payload: Vec<u8> = (0..200).collect();
    let octets = vector("long");
    for octets in [octets.clone()].into_iter().chain(stripped(&octets)) {
        check(&octets, &Known(Some(&KMAC), Some(&KENC)), Verdict::Ok, true, &payload);
    }
}

#[test]
fn no_altered_bit_is_believed() {
    let octets = vector("data");
    for form in [octets.clone(), stripped(&octets)[1].clone()] {
        for bit in 8..8 * form.len() {
            let mut altered = form.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let mut scratch = Scratch::default();
            let Ok(telegram) = Telegram::decode(&altered, &Known(Some(&KMAC), Some(&KENC)), &mut scratch) else {
                continue;
            };
            // Without its CRC the C-field is protected by the cipher alone, as the protocol has it; those of other kinds of
            // frame are left.
            let is_c_field = bit / 8 == 1 && [DATA_PRIO, INSTPING].contains(&telegram.link.c_field());
            let is_right = telegram.application == b"index 12345 m3";
            let is_believed = telegram.verdict == Verdict::Ok && telegram.security.authenticated;
            assert!(!is_believed || is_c_field && !is_right, "bit {bit}: {telegram}");
        }
        for end in 10..octets.len() - 2 {
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode(&form[..end], &Known(Some(&KMAC), Some(&KENC)), &mut scratch);
            assert!(telegram.is_err() || telegram.is_ok_and(|telegram| telegram.verdict != Verdict::Ok), "{end}");
        }
    }
}

#[test]
fn what_is_sent_is_what_another_implementation_sends() {
    let payload: Vec<u8> = (0..200).collect();
    let kenc: Option<(u8, &Key)> = Some((1, &KENC));
    let draft = Draft {
        c_field: DATA,
        address: METER,
        network: 9,
        counter: 0x0102,
        application: 0xfe,
        payload: b"index 12345 m3",
        kenc,
        epoch: 0x0077_1234,
    };
    let emit = |draft: &Draft<'_>| draft.emit(&KMAC).unwrap();
    assert_eq!(link::frame(Form::FormatB, &emit(&draft)).unwrap(), vector("data"));
    let long = Draft { c_field: DATA_PRIO, counter: 0xffff, payload: &payload, ..draft };
    let octets = vector("long");
    assert_eq!(emit(&long), octets[1..octets.len() - 2]);
    let ping = Draft { c_field: INSTPING, counter: 7, application: 2, payload: &[110, 1, 5, 3], kenc: None, ..draft };
    assert_eq!(link::frame(Form::FormatB, &emit(&ping)).unwrap(), vector("ping"));
    let too_long = [0; PAYLOAD_MAX + 1];
    assert_eq!(Draft { payload: &too_long, ..draft }.emit(&KMAC), None);
}

#[test]
fn a_ping_is_answered_where_the_device_listens() {
    let octets = vector("ping");
    let keys = Known(Some(&KMAC), None);
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&octets, &keys, &mut scratch).unwrap();
    let mailbox = Mailbox::new(&UNIT, 2, Mode::N2b);
    let ping = mailbox.ping(&telegram).unwrap();
    assert_eq!(ping, Ping { channel: 110, modulation: 1, rx_delay: 5, rx_length: 3 });
    assert_eq!(ping.window(), (Duration::from_secs(5), Duration::from_secs(8)));
    let pong = mailbox.pong(&telegram, Some(-72), 0x1800_0000, &KMAC).unwrap();
    let pong = link::frame(Form::FormatB, &pong).unwrap();
    assert_eq!(hex::encode(&pong), hex::encode(vector("pong")));
    let answered = Telegram::decode(&pong, &keys, &mut scratch).unwrap();
    assert!(answered.is_to_meter() && answered.security.authenticated);
    assert_eq!(answered.wize.unwrap().trailer, Trailer::Pong { epoch: 0x1800_0000, frequency_offset: 0 });
    let heard = Pong { concentrator: hex!("010000000131"), modem: 2, rssi_upstream: 151 };
    assert_eq!(Pong::parse(&mut &*answered.application), Ok(heard));
}

#[test]
fn a_ping_on_another_channel_or_without_proof_is_not_answered() {
    let octets = vector("ping");
    let mut scratch = Scratch::default();
    for (keys, mode, is_answered) in [
        (Known(Some(&KMAC), None), Mode::N1b, true),
        (Known(Some(&KMAC), None), Mode::N2a, false),
        (Known(None, None), Mode::N2b, false),
        (Known(Some(&OTHER), None), Mode::N2b, false),
    ] {
        let telegram = Telegram::decode(&octets, &keys, &mut scratch).unwrap();
        assert_eq!(Mailbox::new(&UNIT, 0, mode).ping(&telegram).is_some(), is_answered);
    }
    let data = vector("data");
    let telegram = Telegram::decode(&data, &Known(Some(&KMAC), Some(&KENC)), &mut scratch).unwrap();
    assert_eq!(Mailbox::new(&UNIT, 0, Mode::N2b).ping(&telegram), None);
}

#[test]
fn signal_strengths_are_in_half_db() {
    for (dbm, raw) in [(-200, 0), (-147, 1), (-72, 151), (-20, 255), (20, 255)] {
        assert_eq!(install::rssi_raw(dbm), raw, "{dbm} dBm");
    }
}

proptest! {
    #[test]
    fn any_octets_are_taken_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..245), c_field: u8) {
        let mut body = vec![c_field];
        METER.emit(&mut body);
        body.push(CI_WIZE);
        body.extend_from_slice(&tail);
        let octets = link::frame(Form::Stripped, &body).unwrap();
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, &octets, &Known(Some(&KMAC), Some(&KENC)), &mut scratch).unwrap();
        prop_assert!(!telegram.to_string().is_empty());
        let _ = Mailbox::new(&UNIT, 0, Mode::N2b).ping(&telegram);
    }
}
