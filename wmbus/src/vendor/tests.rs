//! Telegrams made by us, after the layouts on top of the makers' files; what the shared corpus has, where it is there.

use std::path::Path;
use std::sync::LazyLock;

use hex_literal::hex;
use proptest::prelude::*;

use super::{Meaning, fields};
use crate::record::{DataField, DataRecord, Date, Draft, Unit, Value};
use crate::sim::random::Random;
use crate::sim::{Message, Protection};
use crate::{Address, Form, Key, NoKeys, Reject, Scratch, Telegram, Verdict, link, security};

static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(hex!("000102030405060708090a0b0c0d0e0f")));
static OTHER_KEY: LazyLock<Key> = LazyLock::new(|| Key::new(hex!("5a0e0d0c0b0a09080706050403020100")));

/// Puts the octets from the C-field on into a frame without CRCs.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    link::frame(Form::Stripped, &parts.concat()).unwrap()
}

fn lines(octets: &[u8], key: Option<&Key>) -> (Option<Verdict>, Vec<String>) {
    let mut scratch = Scratch::default();
    match Telegram::decode_as(Form::Stripped, octets, &key.cloned(), &mut scratch) {
        Ok(telegram) => {
            let records = telegram
                .records()
                .map(|record| record.map_or_else(|reject| reject.to_string(), |record| record.to_string()));
            (Some(telegram.verdict), records.collect())
        }
        Err(_) => (None, Vec::new()),
    }
}

/// The records of a telegram; and no beginning of it has another value in one of them.
#[track_caller]
fn check(octets: &[u8], key: Option<&Key>, expected: &[&str]) {
    let (verdict, records) = lines(octets, key);
    assert_eq!(
        (verdict, records.iter().map(String::as_str).collect::<Vec<_>>()),
        (Some(Verdict::Ok), expected.to_vec())
    );
    for end in 0..octets.len() {
        let (verdict, beginning) = lines(&octets[..end], key);
        for record in beginning {
            let is_none =
                record.contains("invalid") || record.contains(" none") || record == Reject::Truncated.to_string();
            assert!(is_none || records.contains(&record), "{record} in the first {end} octets: {verdict:?}");
        }
    }
}

#[track_caller]
fn check_verdict(octets: &[u8], key: Option<&Key>, expected: Verdict) {
    assert_eq!(lines(octets, key), (Some(expected), Vec::new()));
}

/// The keystream of PRIOS and RealData, by its recurrence: `seed` are the 32 bits before it.
fn keystream(seed: u32) -> impl Iterator<Item = u8> {
    let mut bits: Vec<u8> = (0..32).rev().map(|bit| (seed >> bit & 1) as u8).collect();
    std::iter::repeat_with(move || {
        for _ in 0..8 {
            let n = bits.len();
            bits.push(bits[n - 2] ^ bits[n - 3] ^ bits[n - 12] ^ bits[n - 32]);
        }
        bits[bits.len() - 8..].iter().fold(0, |octet, bit| octet << 1 | bit)
    })
}

/// A frame whose octets after `clear`, which begin with the C-field, are under the cipher of the key.
fn ciphered(clear: &[u8], plain: &[u8], key: [u8; 8]) -> Vec<u8> {
    let word = |at: usize| u32::from_be_bytes(clear[at..at + 4].try_into().unwrap());
    let half = |at: usize| u32::from_be_bytes(key[at..at + 4].try_into().unwrap());
    let seed = half(0) ^ half(4) ^ word(1) ^ word(5) ^ word(9);
    let octets: Vec<u8> = plain.iter().zip(keystream(seed)).map(|(plain, key)| plain ^ key).collect();
    framed(&[clear, &octets])
}

const DEFAULT_1: [u8; 8] = hex!("39bc8a10e66d83f8");
const DEFAULT_2: [u8; 8] = hex!("51728910e66d83f8");

#[test]
fn techem_sums_up_what_it_sends() {
    let water = [
        "volume 130e-1 m3",
        "date 2024-03-05",
        "manufacturer_specific ff 01 30",
        "volume 100e-1 m3 s1",
        "date 2023-12-31 s1",
    ];
    check(&framed(&[&hex!("44 6850 78563412 74 62 a2 00 9f2f 6400 5006 1e00 00 00 0304")]), None, &water);
    check(
        &framed(&[&hex!("44 6850 78563412 27 04 a2 00 9f2f 6400 5006 1e00 00")]),
        None,
        &[
            "energy 130e6 J",
            "date 2024-03-05",
            "manufacturer_specific ff 02 30",
            "energy 100e6 J s1",
            "date 2023-12-31 s1",
        ],
    );
    check(
        &framed(&[&hex!("44 6850 78563412 45 c3 a2 00 9f2f a08601 1d 102700 8002")]),
        None,
        &[
            "energy 110000e3 Wh",
            "date 2024-03-05",
            "manufacturer_specific ff 03 10000",
            "energy 100000e3 Wh s1",
            "date 2023-12-31 s1",
        ],
    );
}

#[test]
fn techem_allocators_begin_anew_at_the_due_date() {
    let expected = [
        "hca_units 30",
        "date 2024-03-05",
        "hca_units 100 s1",
        "date 2023-12-31 s1",
        "external_temperature -150e-2 Cel",
        "flow_temperature 4500e-2 Cel",
    ];
    check(&framed(&[&hex!("44 6850 78563412 69 80 a0 00 9f2f 6400 5006 1e00 6aff 9411 1000")]), None, &expected);
    check(&framed(&[&hex!("44 6850 78563412 94 80 a2 00 9f2f 6400 5006 1e00 77 6aff 9411 1000")]), None, &expected);
    check(&framed(&[&hex!("44 6850 78563412 64 80 a0 00 9f2f 6400 5006 1e00 6aff")]), None, &expected[..4]);
    // One octet less than the least.
    check_verdict(
        &framed(&[&hex!("44 6850 78563412 69 80 a0 00 9f2f 6400 5006 1e00 6aff 9411")]),
        None,
        Verdict::Unsupported,
    );
    check_verdict(
        &framed(&[&hex!("44 6850 78563412 94 80 a2 00 9f2f 6400 5006 1e00 77 6aff 9411")]),
        None,
        Verdict::Unsupported,
    );
    check_verdict(&framed(&[&hex!("44 6850 78563412 69 80 a3 00 9f2f 6400 5006 1e00")]), None, Verdict::Unsupported);
    check_verdict(&framed(&[&hex!("44 6850 78563412 69 80 a0 00 9f2f")]), None, Verdict::Unsupported);
}

#[test]
fn techem_water_by_halves_of_months() {
    let halves: Vec<u8> = (0..12).flat_map(|month| [0, 2 * month, 2 * month + 1]).collect();
    let (_, first) = lines(&framed(&[&hex!("44 6850 78563412 50 72 a2 0000 6a30 102700"), &halves]), None);
    assert_eq!(
        first[..4],
        [
            "volume 10000e-1 m3",
            "date 2024-03-10",
            "manufacturer_specific ff 04 0 s2",
            "manufacturer_specific ff 04 1 s3"
        ]
    );
    assert_eq!((first.len(), first[25].as_str()), (26, "manufacturer_specific ff 04 23 s25"));
    let (_, second) = lines(&framed(&[&hex!("44 6850 78563412 50 72 a2 0000 7030 102700"), &halves]), None);
    assert_eq!(
        second[1..6],
        [
            "date 2024-03-16",
            "volume 1e-1 m3 s2 per_month",
            "date 2024-03-16 s2",
            "volume 5e-1 m3 s3 per_month",
            "date 2024-02-29 s3"
        ]
    );
}

#[test]
fn techem_smoke_is_an_error_flag() {
    check(
        &framed(&[&hex!("44 6850 78563412 76 f0 a0 01 9f2f 0000")]),
        None,
        &["manufacturer_specific ff 05 1", "error_flags 01", "date 2023-12-31 s1"],
    );
    check(
        &framed(&[&hex!("44 6850 78563412 76 f0 a0 00 9f2f 6530 0060 6530 0000")]),
        None,
        &["manufacturer_specific ff 05 0", "error_flags 00", "date 2023-12-31 s1", "manufacturer_specific ff 06 13061"],
    );
    let day = hex!("04ffff06 05330000");
    check_meaning(&hex!("6850 78563412 76 f0"), &day, &[("status_date", Meaning::Date(Date::new(2024, 3, 5)))]);
}

#[test]
fn prios_opens_with_the_makers_keys_and_with_the_meters() {
    let clear = hex!("44 2423 85 07 78563412 a2 41 0a 80 13");
    let plain = hex!("4b 39300000 10270000 bf2c 010203");
    let expected = [
        "volume 12345e-3 m3",
        "volume 10000e-3 m3 s1",
        "date 2021-12-31 s1",
        "error_flags 400080",
        "remaining_battery_life 50e-1 a",
        "nominal_transmission_period 8 s",
    ];
    for key in [DEFAULT_1, DEFAULT_2] {
        check(&ciphered(&clear, &plain, key), None, &expected);
        check(&ciphered(&clear, &plain[..5], key), None, &[expected[0], expected[3], expected[4], expected[5]]);
        check_verdict(&ciphered(&clear, &plain, key), Some(&KEY), Verdict::WrongKey);
    }
    let own = ciphered(&clear, &plain, hex!("0001020304050607"));
    check(&own, Some(&KEY), &expected);
    check_verdict(&own, Some(&OTHER_KEY), Verdict::WrongKey);
    check_verdict(&own, None, Verdict::NoKey);
    // More at the due date than now, and a day that is none: the check octet was right by chance.
    check_verdict(&ciphered(&clear, &hex!("4b 39300000 3a300000 bf2c"), DEFAULT_1), None, Verdict::NoKey);
    for date in [hex!("a02c"), hex!("9f9c"), hex!("9fbc"), hex!("0000"), hex!("ffff")] {
        let plain = [&hex!("4b 39300000 10270000")[..], &date].concat();
        check_verdict(&ciphered(&clear, &plain, DEFAULT_1), None, Verdict::NoKey);
    }
    check_verdict(&ciphered(&clear, &hex!("4b 00ca9a3b 10270000 bf2c"), DEFAULT_1), None, Verdict::NoKey);
    // No due date yet, and frames that end before it.
    let rest = &expected[3..];
    let none = ["volume 12345e-3 m3", "volume 0e-3 m3 s1", "date none s1"];
    check(&ciphered(&clear, &hex!("4b 39300000 00000000 ffff"), DEFAULT_1), None, &[&none, rest].concat());
    for len in [9, 10] {
        check(&ciphered(&clear, &plain[..len], DEFAULT_1), None, &[&expected[..2], rest].concat());
    }
    let telegram = ciphered(&clear, &plain, DEFAULT_2);
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&telegram, &NoKeys, &mut scratch).unwrap();
    assert_eq!(telegram.address.to_string(), "HYD-12345678-85-07");
}

#[test]
fn sappel_has_its_serial_number_in_the_address() {
    // Letters A, B, C and the year 2019 with the number 123456.
    let n = 19_123_456_u32;
    let identification = n | 3 << 29;
    let clear = [&hex!("44 304c")[..], &identification.to_le_bytes(), &hex!("88 00 a1 01 00 00 13")].concat();
    let octets = ciphered(&clear, &hex!("4b 39300000"), DEFAULT_1);
    let (verdict, records) = lines(&octets, None);
    assert_eq!(
        (verdict, records.last().map(String::as_str)),
        (Some(Verdict::Ok), Some("fabrication_number \"A19BC123456\""))
    );
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&octets, &NoKeys, &mut scratch).unwrap();
    assert_eq!((telegram.address.version, telegram.address.device_type), (0, 7));
}

#[test]
fn real_data_are_records_whose_sum_is_right() {
    let plain = hex!("0413 39300000 426c bf2c 4413 10270000");
    let sum = plain.iter().fold(0_u8, |sum, octet| sum.wrapping_add(*octet));
    let clear = [&hex!("44 2423 8b 07 78563412 7a 2a 00 00")[..], &[sum & 0xef | 0x10]].concat();
    let expected = ["volume 12345e-3 m3", "date 2021-12-31 s1", "volume 10000e-3 m3 s1"];
    check(&ciphered(&clear, &plain, DEFAULT_1), None, &expected);
    check(&framed(&[&clear, &plain]), None, &expected);
    check_verdict(&ciphered(&clear, &plain, DEFAULT_1), Some(&KEY), Verdict::WrongKey);
    check_verdict(&ciphered(&clear, &plain, hex!("0001020304050607")), None, Verdict::NoKey);
}

#[test]
fn a_right_sum_alone_does_not_make_records() {
    let read = |plain: &[u8], cipher, key| {
        let sum = plain.iter().fold(0_u8, |sum, octet| sum.wrapping_add(*octet));
        let clear = [&hex!("44 2423 8b 07 78563412 7a 2a 00 00")[..], &[sum & 0xef | 0x10]].concat();
        lines(&ciphered(&clear, plain, cipher), key).0.unwrap()
    };
    let own = hex!("0001020304050607");
    for (plain, with_default, with_own) in [
        (&hex!("0413 39300000")[..], Verdict::Ok, Verdict::Ok),
        (&hex!("0c06 39300000"), Verdict::Ok, Verdict::Ok),
        (&hex!("0413 39300000 0f 0102"), Verdict::Ok, Verdict::Ok),
        // No total, which under a key that is the maker's would be there.
        (&hex!("023b 3930"), Verdict::NoKey, Verdict::Ok),
        (&hex!("4413 39300000 426c bf2c"), Verdict::NoKey, Verdict::Ok),
        (&hex!("0413 c7cfffff"), Verdict::NoKey, Verdict::Ok),
        // What these meters do not send.
        (&hex!("0413 39300000 022b"), Verdict::NoKey, Verdict::WrongKey),
        (&hex!("0413 39300000 426c 9f7c"), Verdict::NoKey, Verdict::WrongKey),
        (&hex!("0413 00ca9a3b"), Verdict::NoKey, Verdict::WrongKey),
        (&hex!("0413 39300000 7413 39300000"), Verdict::NoKey, Verdict::WrongKey),
        (&hex!("0413 39300000 c41113 39300000"), Verdict::Ok, Verdict::Ok),
        (&hex!("0413 39300000 c4800213 39300000"), Verdict::NoKey, Verdict::WrongKey),
        (&hex!("0413 39300000 02ff20 3930"), Verdict::NoKey, Verdict::WrongKey),
        (&hex!("0f 0413 39300000"), Verdict::NoKey, Verdict::WrongKey),
    ] {
        assert_eq!(read(plain, DEFAULT_1, None), with_default, "{plain:02x?}");
        assert_eq!(read(plain, own, Some(&KEY)), with_own, "{plain:02x?}");
    }
    // Meters with keys of their own, of whom we have none.
    let plain = hex!("0413 39300000 426c bf2c 4413 10270000");
    let mut keys = Random::new(11);
    let mut counts = [0; 2];
    for _ in 0..10_000 {
        let key = keys.next_u64().to_be_bytes();
        for plain in [&plain[..], &plain[..6]] {
            counts[usize::from(read(plain, key, None) == Verdict::Ok)] += 1;
        }
    }
    assert_eq!(counts, [20_000, 0]);
}

/// The line `*` of a file of keys.
struct ForAll(Key);

impl crate::Keys for ForAll {
    fn key(&self, _: &Address) -> Option<&Key> {
        Some(&self.0)
    }

    fn is_for_all(&self, _: &Address) -> bool {
        true
    }
}

#[test]
fn a_key_for_whatever_meter_does_not_stand_before_the_makers() {
    let read = |octets: &[u8], key: &Key| {
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, octets, &ForAll(key.clone()), &mut scratch).unwrap();
        (telegram.verdict, telegram.records().next().map(|record| record.unwrap().to_string()))
    };
    let volume = (Verdict::Ok, Some("volume 12345e-3 m3".to_owned()));
    let none = (Verdict::WrongKey, None);
    let prios = |key| {
        let clear = hex!("44 2423 85 07 78563412 a2 41 0a 80 13");
        ciphered(&clear, &hex!("4b 39300000 10270000 bf2c 010203"), key)
    };
    for key in [DEFAULT_1, DEFAULT_2, hex!("0001020304050607")] {
        assert_eq!(read(&prios(key), &KEY), volume);
    }
    assert_eq!(read(&prios(hex!("0001020304050607")), &OTHER_KEY), none);
    let address = Address { manufacturer: 0x11a5, identification: 0x1234_5678, version: 0x70, device_type: 0x07 };
    let default = Key::new(hex!("51728910e66d83f8 51728910e66d83f8"));
    let records = [Draft::new(DataField::Integer32, &[0x13], Value::Integer(12_345))];
    let mode_5 = |key| Message::new(address, 1, &records).protection(Protection::AesCbcIv(key)).emit(Form::Stripped);
    assert_eq!(read(&mode_5(&default).unwrap(), &KEY), volume);
    assert_eq!(read(&mode_5(&KEY).unwrap(), &KEY), volume);
    assert_eq!(read(&mode_5(&OTHER_KEY).unwrap(), &KEY), none);
}

#[test]
fn what_nobody_has_told_of_has_a_reason() {
    let reason = |octets: &[u8]| {
        let frame = framed(&[octets]);
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode(&frame, &NoKeys, &mut scratch).unwrap();
        (telegram.verdict, telegram.reject.map(|reject| reject.to_string()).unwrap_or_default())
    };
    let unknown = |what: &str| (Verdict::Unsupported, format!("{what} is not known"));
    assert_eq!(reason(&hex!("44 a511 70 07 78563412 71 01020304")), unknown("content of this alarm"));
    assert_eq!(
        reason(&hex!("44 496a 78563412 0b 16 7a 2a 00 0000 0f 00000000 00010000 0002")),
        unknown("layout of this length")
    );
    // What others send in an alarm is for their operators.
    assert_eq!(reason(&hex!("44 2d2c 78563412 40 0c 71 01")), (Verdict::Ok, String::new()));
    // Sappel's address is not swapped: nothing tells its RealData.
    let sappel = hex!("44 304c 78563412 20 04 7a 2a 00 0010 0413 39300000");
    assert_eq!(reason(&sappel), (Verdict::Unsupported, "security mode 16 is not decrypted".to_owned()));
}

#[test]
fn mode_5_of_diehl_is_tried_with_the_default_key() {
    let address = Address { manufacturer: 0x11a5, identification: 0x1234_5678, version: 0x70, device_type: 0x07 };
    let default = Key::new(hex!("51728910e66d83f8 51728910e66d83f8"));
    let records = [Draft::new(DataField::Integer32, &[0x13], Value::Integer(12_345))];
    let message = |address, key| Message::new(address, 1, &records).protection(Protection::AesCbcIv(key));
    let frame = |address, key| message(address, key).emit(Form::Stripped).unwrap();
    check(&frame(address, &default), None, &["volume 12345e-3 m3"]);
    check_verdict(&frame(address, &default), Some(&KEY), Verdict::WrongKey);
    check_verdict(&frame(address, &KEY), None, Verdict::NoKey);
    let authenticated = Message::new(address, 1, &records)
        .protection(Protection::AesCbcNoIv { key: &KEY, counter: 77 })
        .emit(Form::Stripped)
        .unwrap();
    check_verdict(&authenticated, None, Verdict::NoKey);
    let another = Address { manufacturer: 0x2c2d, ..address };
    check_verdict(&frame(another, &default), None, Verdict::NoKey);
}

#[test]
fn the_readme_lists_the_makers() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, table) = readme.split_once("| codes | maker |").expect("the README has a table of makers");
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    let rows: Vec<Vec<&str>> = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert_eq!(rows.len(), super::MAKERS.len());
    for (row, maker) in rows.iter().zip(super::MAKERS) {
        let cell = |is_there| if is_there { "yes" } else { "–" };
        assert_eq!(row[0], maker.manufacturers.join(" "));
        let has_formats = !maker.layouts.is_empty() || !maker.stored.is_empty();
        let doors = [maker.address.is_some(), has_formats, !maker.rows.is_empty(), maker.default_key.is_some()];
        assert_eq!(row[3..], doors.map(cell), "{}", row[0]);
    }
}

#[test]
fn qundis_puts_a_data_set_into_one_record() {
    let months: Vec<u8> =
        (1..=12_i16).flat_map(|month| if month == 1 { i16::MIN } else { month * 10 }.to_le_bytes()).collect();
    let set = |kind: &[u8]| {
        let head = hex!("44 9344 78563412 1a 07 78 0dff5f35 0082 01 0000 00 00 07");
        let values = hex!("bf2c 41230000 9f2c 78120000 df21 34220000");
        framed(&[&head, kind, &values, &months, &hex!("2f 046d 2a0a c527")])
    };
    let (verdict, records) = lines(&set(&hex!("c1 13")), None);
    assert_eq!(verdict, Some(Verdict::Ok));
    assert_eq!(
        records[..6],
        [
            "volume 2341e-3 m3",
            "volume 1278e-3 m3 s1",
            "date 2020-12-31 s1",
            "volume 2234e-3 m3 s17",
            "date 2022-01-31 s17",
            "date 2021-12-31 error"
        ]
    );
    assert_eq!(records[6..8], ["volume invalid m3 s2 per_month", "volume 20e-3 m3 s3 per_month"]);
    assert_eq!(records[18..20], ["date 2022-01-31 s13", "date 2021-12-31 s12"]);
    let (_, heat) = lines(&set(&hex!("c0 06")), None);
    assert_eq!(heat[0], "energy 2341e3 Wh");
    // What the telegram has in a record as well is not told twice.
    let twice = |plain: &[u8]| {
        let head = hex!("44 9344 78563412 1a 07 78");
        let set = hex!("0dff5f35 0082 01 0000 00 00 07 c1 13 ffff 41230000 9f2c 78120000 df21 34220000");
        lines(&framed(&[&head, plain, &set, &months, &hex!("2f")]), None).1
    };
    assert_eq!(twice(&hex!("0c13 42230000"))[..2], ["volume 2342e-3 m3", "volume 1278e-3 m3 s1"]);
    assert_eq!(
        twice(&hex!("4c13 79120000 426c 9f2c"))[..4],
        ["volume 1279e-3 m3 s1", "date 2020-12-31 s1", "volume 2341e-3 m3", "volume 2234e-3 m3 s17"]
    );
    assert_eq!(twice(&hex!("8c1013 42230000"))[1], "volume 2341e-3 m3");
    // A VIF that the kind does not have: the octets stay as they are.
    let (_, unknown) = lines(&set(&hex!("c1 06")), None);
    assert!(unknown[0].starts_with("manufacturer_specific 5f 0082"), "{unknown:?}");
}

#[test]
fn a_converter_of_qundis_sends_for_the_meter_that_it_names() {
    let sent = |device_type: u8, records: &[u8]| {
        let head = [&hex!("44 9344 00009999 35")[..], &[device_type], records].concat();
        let frame = framed(&[&head]);
        let mut scratch = Scratch::default();
        Telegram::decode_as(Form::Stripped, &frame, &NoKeys, &mut scratch).unwrap().address.to_string()
    };
    let named = hex!("78 0779 67665555 9344 17 06 0c13 12000000");
    assert_eq!(sent(0x37, &named), "QDS-55556667-17-06");
    assert_eq!(sent(0x07, &named), "QDS-99990000-35-07");
    assert_eq!(sent(0x37, &hex!("78 0c13 12000000")), "QDS-99990000-35-37");
    assert_eq!(sent(0x37, &hex!("78 0779 6766")), "QDS-99990000-35-37");
}

#[test]
fn hydrodigit_announces_its_fields() {
    let head = hex!("44 b409 78563412 13 07 7a 2a 00 0000 0413 39300000 046d 0a0a ca26");
    let expected = ["volume 12345e-3 m3", "date_time 2022-06-10T10:10", "manufacturer_specific ff 01 265"];
    check(&framed(&[&head, &hex!("0f 01 07")]), None, &expected);
    let (_, all) = lines(
        &framed(&[&head, &hex!("0f 97 0f 80 22 d5 10 22 05 09 07000000"), &hex!("010000 809698").repeat(6)]),
        None,
    );
    let own = [
        "manufacturer_specific ff 01 370",
        "manufacturer_specific ff 02 128",
        "manufacturer_specific ff 03 9674",
        "manufacturer_specific ff 04 9673",
    ];
    assert_eq!(all[2..6], own);
    assert_eq!(
        all[6..11],
        [
            "volume 7e-3 m3 backward",
            "volume 1e-2 m3 s2",
            "date 2022-01-31 s2",
            "volume none m3 s3",
            "date 2022-02-28 s3"
        ]
    );
    assert_eq!(all[19..21], ["volume 1e-2 m3 s8", "date 2021-07-31 s8"]);
    // What is announced and not there is not sent.
    let (verdict, short) = lines(&framed(&[&head, &hex!("0f 97 0f 80 22")]), None);
    assert_eq!((verdict, short.len()), (Some(Verdict::Ok), 3));
}

#[test]
fn bmeters_has_bits_of_its_own_in_the_status() {
    let rfm_amb = |ci_field: u8, status: u8, records: &[u8]| {
        framed(&[&hex!("44 b409 78563412 10 1b"), &[ci_field, 0x2a, status, 0, 0], records])
    };
    let temperature = hex!("02 65 3408");
    for (status, line) in [(0x28, "manufacturer_specific ff 09 40"), (0, "manufacturer_specific ff 09 0")] {
        check(&rfm_amb(0x7a, status, &temperature), None, &[line, "external_temperature 2100e-2 Cel"]);
    }
    // Not before what are no records, and of no other model.
    check(&rfm_amb(0x8a, 0x28, &[]), None, &[]);
    let water = framed(&[&hex!("44 b409 78563412 13 07 7a 2a 28 0000"), &temperature]);
    check(&water, None, &["external_temperature 2100e-2 Cel"]);
    check_fields(
        &hex!("b409 78563412 10 1b"),
        &hex!("04 ffff09 28000000"),
        &[
            ("busy", 0, 0, Unit::None),
            ("application_error", 0, 0, Unit::None),
            ("low_battery", 0, 0, Unit::None),
            ("module_removed", 1, 0, Unit::None),
            ("sensor_error", 0, 0, Unit::None),
            ("temperature_out_of_range", 1, 0, Unit::None),
            ("humidity_out_of_range", 0, 0, Unit::None),
        ],
    );
    check_fields(&hex!("b409 78563412 18 07"), &hex!("04 ffff09 40000000"), &[("tampered", 1, 0, Unit::None)]);
    check_fields(&hex!("b409 78563412 0b 0d"), &hex!("04 ffff09 40000000"), &[("sabotage", 0, 0, Unit::None)]);
}

/// Telegrams that came open: what the receiver has decrypted ends with the fill of the last block.
#[test]
fn the_fill_of_the_last_block_is_no_field_of_a_maker() {
    let hydrodigit = |tail: &[u8]| {
        let head = hex!("44 b409 78563412 13 07 7a 2a 00 3005 2f2f 0413 39300000 046d 0a0a ca26");
        lines(&framed(&[&head, tail, &vec![0x2f; 48 - 14 - tail.len()]]), None)
    };
    let records = |own: &[&str]| {
        let standard = ["volume 12345e-3 m3", "date_time 2022-06-10T10:10"];
        (Some(Verdict::Ok), standard.iter().chain(own).map(|line| (*line).to_owned()).collect::<Vec<_>>())
    };
    let (battery, fraud) = ("manufacturer_specific ff 01 265", "manufacturer_specific ff 02 128");
    assert_eq!(hydrodigit(&hex!("0f 97 07")), records(&[battery]));
    assert_eq!(
        hydrodigit(&hex!("0f 97 07 80220510 220509")),
        records(&[battery, fraud, "manufacturer_specific ff 03 9674", "manufacturer_specific ff 04 9673"])
    );
    let gwf = |tail: &[u8]| {
        let head = hex!("44 e61e 78563412 01 0e 7a 2a 00 1005 2f2f 0413 39300000");
        lines(&framed(&[&head, tail, &vec![0x2f; 16 - 8 - tail.len()]]), None).1
    };
    assert_eq!(gwf(&hex!("0f 01 48")), ["volume 12345e-3 m3"]);
    assert_eq!(gwf(&hex!("0f 01 48 51")), ["volume 12345e-3 m3", "error_flags 4801", "manufacturer_specific ff 01 10"]);
    let itron = |tail: &[u8]| {
        let head = hex!("44 9726 78563412 03 1a 7a 2a 00 3005 2f2f 077f 0102030411052a1f");
        let fill = vec![0x2f; 64 - 12 - 1 - 36 - tail.len()];
        lines(&framed(&[&head, &hex!("0f"), &[0; 36], tail, &fill]), None).1
    };
    assert_eq!(itron(&hex!("0700 0800 09")).last().unwrap(), "manufacturer_specific ff 03 9");
    assert_eq!(itron(&hex!("0700 0800 0900")).last().unwrap(), "manufacturer_specific ff 03 9");
}

#[test]
fn rfm_tx1_hides_a_record() {
    let hiding = hex!("b8 a3 32 a1 39 0e");
    let hidden: Vec<u8> =
        hex!("0c13 45230100").iter().zip(hiding).map(|(octet, hiding)| octet ^ hiding ^ 0xa5).collect();
    let frame = framed(&[&hex!("44 b409 78563412 05 07 7a a5 00 0610"), &hidden, &[0; 7], &hex!("591004310320")]);
    check(&frame, None, &["volume 12345e-3 m3", "date_time 2020-03-31T04:10:59"]);
    let frame = framed(&[&hex!("44 b409 78563412 05 07 7a a6 00 0610"), &hidden, &[0; 7], &hex!("591004310320")]);
    check_verdict(&frame, None, Verdict::Unsupported);
}

#[test]
fn hydroclima_sends_temperatures() {
    let head = hex!("44 b009 78563412 53 08 7a 2a 00 0000 036e 2a0000");
    check(
        &framed(&[&head, &hex!("0f 10 0043 106a 7d2c 4a07 8f12 bf2c b124 0080 d306 2100 210000")]),
        None,
        &[
            "hca_units 42",
            "error_flags 0043",
            "date 2019-12-29",
            "external_temperature 1866e-2 Cel average",
            "external_temperature 4751e-2 Cel maximum",
            "date 2021-12-31 maximum",
            "manufacturer_specific ff 08 9393",
            "external_temperature invalid Cel s1 average",
            "flow_temperature 1747e-2 Cel s1 average",
            "manufacturer_specific ff 06 33",
            "manufacturer_specific ff 07 33",
        ],
    );
}

#[test]
fn apator_counts_thirds() {
    check(&framed(&[&hex!("44 1486 78563412 0f 0f a0 64000000 0102")]), None, &["volume 33333e-6 m3"]);
    check(&framed(&[&hex!("44 1486 78563412 04 11 a0 65000000 0102")]), None, &["volume 33666667e-6 m3"]);
}

#[test]
fn apator_16_2_is_walked_by_the_ids() {
    let head = hex!("44 0106 78563412 05 07 7a 2a 00 0000");
    let clock = hex!("0f 0a734393 00000b");
    let expected = ["volume 12345e-3 m3", "on_time 300 d", "error_flags 00000b"];
    // 10 as an octet of another register is none of its own.
    let stream = hex!("41 1010 43 2c01 71 01 1010101010101010 10 39300000 a0 11223344 ff ff ff 1234");
    check(&framed(&[&head, &clock, &stream]), None, &expected);
    check_verdict(&framed(&[&head, &clock, &hex!("42 01020304 60 10 39300000")]), None, Verdict::Unsupported);
    let came_open = hex!("44 0106 78563412 05 07 7a 2a 00 1005 2f2f");
    check_verdict(&framed(&[&came_open, &clock, &hex!("10 3930 2f2f2f")]), None, Verdict::Unsupported);
}

#[test]
fn apator_na_1_needs_its_key_and_a_sound_clock() {
    let address = Address { manufacturer: 0x0601, identification: 0x1234_5678, version: 0x14, device_type: 0x07 };
    let frame = |plain: [u8; 16]| {
        let mut block = plain;
        security::cbc_encrypt(KEY.octets(), &security::mode_5_iv(&address, 0x2a), &mut block);
        framed(&[&hex!("44 0106 78563412 14 07 a0 2a 01"), &block])
    };
    // Ten litres a count, 2024-03-23T15:22, 545 hours before.
    let sound = hex!("2f 12 4e5400 2cb0912d 21 09 a52b00 00 80");
    check(
        &frame(sound),
        Some(&KEY),
        &[
            "volume 345314e-2 m3",
            "date_time 2024-03-23T15:22:20",
            "volume 300621e-2 m3 s1",
            "date_time 2024-02-29T22:22:20 s1",
            "manufacturer_specific ff 02 545 s1",
            "error_flags 00",
            "error_flags 80 s1",
            "manufacturer_specific ff 01 1",
        ],
    );
    check_verdict(&frame(sound), None, Verdict::NoKey);
    check_verdict(&frame(sound), Some(&OTHER_KEY), Verdict::WrongKey);
    // The decrease is greater than the register; the clock is of the year 2061.
    check_verdict(&frame(hex!("2f 12 4e0000 2cb0912d 21 09 a52b00 00 80")), Some(&KEY), Verdict::WrongKey);
    check_verdict(&frame(hex!("2f 12 4e5400 2cb09173 21 09 a52b00 00 80")), Some(&KEY), Verdict::WrongKey);
}

#[test]
fn apator_allocators_have_two_ci_fields() {
    let expected = [
        "hca_units 16",
        "date 2022-09-18",
        "hca_units 89 s1",
        "manufacturer_specific ff 03 9473",
        "external_temperature 1989062500e-8 Cel s1 average",
        "external_temperature 2170312500e-8 Cel average",
    ];
    let block = hex!("a0 a1 0000 5900 0000 1000 322d e413 b415");
    let with_ci = hex!("44 0186 78563412 04 08");
    check(&framed(&[&with_ci, &block]), None, &expected);
    check(&framed(&[&with_ci, &hex!("b6 03 ffffff"), &block]), None, &expected);
    check(&framed(&[&with_ci, &hex!("a0"), &block]), None, &expected);
    check_verdict(&framed(&[&with_ci, &block, &hex!("00 00 00")]), None, Verdict::Unsupported);
    check_verdict(&framed(&[&with_ci, &hex!("b6 ff ffffff"), &block]), None, Verdict::Unsupported);
}

#[test]
fn bfw_has_months_of_twelve_bits() {
    let months = [&hex!("010203").repeat(8)[..], &hex!("c1321d")].concat();
    let frame =
        framed(&[&hex!("44 d708 78563412 02 08 7a 2a 00 0000 2f2f 0000 03c1 0388 0000"), &months, &hex!("280221")]);
    let (verdict, records) = lines(&frame, None);
    assert_eq!(verdict, Some(Verdict::Ok));
    assert_eq!(
        records[..5],
        ["hca_units 904", "date 2021-02-28", "hca_units 961 s1", "hca_units 541 s2", "hca_units 961 s3"]
    );
    assert_eq!(
        (records.len(), &records[19..]),
        (21, &["hca_units 515 s18".to_owned(), "hca_units 1 s19".to_owned()][..])
    );
}

#[test]
fn corrections_are_of_their_makers_alone() {
    let gwf = hex!("44 e61e 78563412 01 0e 7a 2a 00 0000 0413 39300000 4413 ffffffff 0f 01 48 51");
    check(
        &framed(&[&gwf]),
        None,
        &["volume 12345e-3 m3", "volume none m3 s1", "error_flags 4801", "manufacturer_specific ff 01 10"],
    );
    let axioma = hex!("44 0907 78563412 10 07 7a 2a 00 0000 01fd74 5a");
    check(&framed(&[&axioma]), None, &["manufacturer_specific ff 01 90"]);
    let zenner = hex!("44 496a 78563412 0b 16 7a 2a 00 0000 0f 00000000 00010000 00020000 00");
    check(
        &framed(&[&zenner]),
        None,
        &["volume 200000000e-11 m3", "volume 100000000e-11 m3 s1", "error_flags 00000000"],
    );
    let easymeter = hex!("44 7916 78563412 11 02 7a 2a 00 0000 04a9ff01 10270000");
    check(&framed(&[&easymeter]), None, &["power 10000e-2 W l1"]);
    let inputs = hex!("44 2d2c 78563412 1c 04 7a 2a 00 0000 04eeff07 05000000 04eeff08 06000000 026e 0700");
    check(
        &framed(&[&inputs]),
        None,
        &["manufacturer_specific ff 01 5", "manufacturer_specific ff 02 6", "hca_units 7"],
    );
    let another = hex!("44 2d2c 78563412 11 02 7a 2a 00 0000 04a9ff01 10270000");
    check(&framed(&[&another]), None, &["power 10000e-2 W manufacturer_01"]);
}

#[test]
fn the_fill_behind_a_short_block_of_zenner_is_no_value() {
    let head = hex!("44 496a 78563412 0b 16 7a 2a 00 0000");
    let block = hex!("0f 00000000 00010000 00020000");
    let with_fill = |end: usize| [&head[..], &block[..end], &vec![0x2f; 14 - end]].concat();
    for end in 1..block.len() - 1 {
        check_verdict(&framed(&[&with_fill(end)]), None, Verdict::Unsupported);
    }
    let full = ["volume 200000000e-11 m3", "volume 100000000e-11 m3 s1", "error_flags 00000000"];
    assert_eq!(lines(&framed(&[&with_fill(block.len())]), None), (Some(Verdict::Ok), full.map(str::to_owned).to_vec()));
    // A register that happens to have the octet of the fill in it.
    let register = hex!("0f 00000000 0000002f 00002f2f 00");
    let (verdict, records) = lines(&framed(&[&head, &register]), None);
    assert_eq!((verdict, records.len()), (Some(Verdict::Ok), 3));
}

#[test]
fn itron_remembers_smoke() {
    let head = hex!("44 9726 78563412 03 1a 7a 2a 00 0000 077f 0102030411052a1f");
    let moments = [&hex!("2a0ac527 01010000")[..], &[0; 28]].concat();
    let state = "manufacturer_specific 2245612934837502465";
    let mut expected = vec![state, "date_time 2022-07-05T10:42 manufacturer_01"];
    let none: Vec<String> = (2..=9).map(|event| format!("date_time none manufacturer_{event:02x}")).collect();
    expected.extend(none.iter().map(String::as_str));
    expected.extend([
        "manufacturer_specific ff 01 7",
        "manufacturer_specific ff 02 8",
        "manufacturer_specific ff 03 9",
    ]);
    check(&framed(&[&head, &hex!("0f"), &moments, &hex!("0700 0800 0900")]), None, &expected);
    check(&framed(&[&head, &hex!("0f"), &moments, &hex!("0700 0800 09")]), None, &expected);
}

/// What the tester of the walk-by set heard: 40000 tenths of a kilowatt-hour in a month, and no value in another.
#[test]
fn months_of_qundis_are_not_negative() {
    let set = |kind: &[u8], months: &[u8]| {
        let head = hex!("44 9344 22121140 46 04 78 0dff5f35 0082 44 0000 11 01 07");
        let values = hex!("ffff 00674500 1f3c 00004000 3e36 00004400");
        let rest = hex!("6400").repeat(12 - months.len() / 2);
        lines(&framed(&[&head, kind, &values, &rest, months, &hex!("2f")]), None).1
    };
    let months = hex!("0080 ffff 409c ff7f");
    let heat = set(&hex!("c0 05"), &months);
    let expected = [
        "energy 100e2 Wh s9 per_month",
        "energy invalid Wh s10 per_month",
        "energy none Wh s11 per_month",
        "energy 40000e2 Wh s12 per_month",
        "energy 32767e2 Wh s13 per_month",
    ];
    assert_eq!(heat[12..17], expected, "{heat:?}");
    // An allocator that began anew has a difference there that is no consumption.
    let allocator = set(&hex!("b0 6e"), &hex!("23ff ffff 2100"));
    assert_eq!(
        allocator[14..17],
        ["hca_units none s11 per_month", "hca_units none s12 per_month", "hca_units 33 s13 per_month"],
        "{allocator:?}"
    );
}

#[test]
fn the_padding_of_apator_16_2_is_no_register() {
    let head = hex!("44 0106 78563412 05 07 7a 2a 00 0000 0f 0a734393 000000");
    let read = |stream: &[u8]| lines(&framed(&[&head, stream, &hex!("ffffffffffff")]), None).1;
    for stream in [&hex!("10")[..], &hex!("10 39"), &hex!("10 3930"), &hex!("10 393000"), &hex!("10 ffffffff")] {
        assert_eq!(read(stream), ["volume none m3", "error_flags 000000"], "{stream:02x?}");
    }
    for stream in [&hex!("10 39300000 43")[..], &hex!("10 39300000 43 2c"), &hex!("10 39300000 43 ffff")] {
        assert_eq!(read(stream), ["volume 12345e-3 m3", "on_time none d", "error_flags 000000"], "{stream:02x?}");
    }
}

#[test]
fn all_bits_set_is_no_value_of_a_maker() {
    let read = |parts: &[&[u8]]| lines(&framed(parts), None).1;
    let hydrodigit = read(&[&hex!("44 b409 78563412 13 07 7a 2a 00 0000 0413 39300000 0f 04 ffffffff")]);
    assert_eq!(hydrodigit[1], "volume none m3 backward");
    let zenner = |block: &[u8]| read(&[&hex!("44 496a 78563412 0b 16 7a 2a 00 0000 0f 00000000"), block, &[0]]);
    assert_eq!(zenner(&hex!("ffffffff ffffffff"))[..2], ["volume none m3", "volume none m3 s1"]);
    assert_eq!(zenner(&hex!("ffffffff 00020000"))[..2], ["volume 200000000e-11 m3", "volume none m3 s1"]);
    assert_eq!(read(&[&hex!("44 1486 78563412 0f 0f a0 ffffffff 0102")]), ["volume none m3"]);
    assert_eq!(read(&[&hex!("44 1486 78563412 04 11 a0 ffffffff 0102")]), ["volume none m3"]);
    let own_key = hex!("0001020304050607");
    let clear = hex!("44 2423 85 07 78563412 a2 41 0a 80 13");
    let (_, prios) = lines(&ciphered(&clear, &hex!("4b ffffffff ffffffff ffff"), own_key), Some(&KEY));
    assert_eq!(prios[..3], ["volume none m3", "volume none m3 s1", "date none s1"]);
    let none = |record: &str| read(&[&hex::decode(record.replace(' ', "")).unwrap()]);
    let water = none("44 6850 78563412 74 62 a2 00 9f2f ffff 5006 1e00 00 00 0304");
    assert_eq!(
        (water[0].as_str(), water[2].as_str(), water[3].as_str()),
        ("volume none m3", "manufacturer_specific ff 01 30", "volume none m3 s1")
    );
    let water = none("44 6850 78563412 74 62 a2 00 9f2f 6400 5006 ffff 00 00 0304");
    assert_eq!(
        (water[0].as_str(), water[2].as_str(), water[3].as_str()),
        ("volume none m3", "manufacturer_specific ff 01 none", "volume 100e-1 m3 s1")
    );
    let heat = none("44 6850 78563412 45 c3 a2 00 9f2f ffffff 1d 102700 8002");
    assert_eq!((heat[0].as_str(), heat[3].as_str()), ("energy none Wh", "energy none Wh s1"));
    let allocator = none("44 6850 78563412 64 80 a0 00 9f2f ffff 5006 ffff 6aff");
    assert_eq!((allocator[0].as_str(), allocator[2].as_str()), ("hca_units none", "hca_units none s1"));
    let months = none(&("44 6850 78563412 50 72 a2 0000 6a30 ffffff".to_owned() + &"00".repeat(36)));
    assert_eq!(months[0], "volume none m3");
    let itn = none("44 0186 78563412 04 08 a0 a1 0000 ffff 0000 ffff 322d 0080 b415");
    assert_eq!(
        (itn[0].as_str(), itn[2].as_str(), itn[4].as_str()),
        ("hca_units none", "hca_units none s1", "external_temperature none Cel s1 average")
    );
    let bfw = [&hex!("ffffff")[..], &hex!("010203").repeat(7), &hex!("fff21d")].concat();
    let bfw = read(&[&hex!("44 d708 78563412 02 08 7a 2a 00 0000 2f2f 0000 ffff ffff 0000"), &bfw, &hex!("280221")]);
    assert_eq!((bfw[0].as_str(), bfw[2].as_str()), ("hca_units none", "hca_units none s1"));
    assert_eq!(
        (bfw[3].as_str(), bfw[4].as_str(), bfw[20].as_str()),
        ("hca_units 541 s2", "hca_units none s3", "hca_units none s19")
    );
    let hydroclima = hex!("44 b009 78563412 53 08 7a 2a 00 0000 036e 2a0000");
    let block = hex!("0f 10 0043 106a 7d2c 4a07 8f12 bf2c ffff 0080 d306 ffff ffffff");
    let hydroclima = read(&[&hydroclima, &block]);
    for (at, line) in [
        (6, "manufacturer_specific ff 08 none"),
        (9, "manufacturer_specific ff 06 none"),
        (10, "manufacturer_specific ff 07 none"),
    ] {
        assert_eq!(hydroclima[at], line);
    }
}

/// The public decoders read the month of a fraud as BCD, and by its low nibble alone.
#[test]
fn the_month_of_a_fraud_is_one_by_whatever_reading() {
    let day = |month: u8| {
        let head = hex!("44 b409 78563412 13 07 7a 2a 00 0000 0413 39300000 0f 02 80 25");
        let record = lines(&framed(&[&head, &[month, 0x14]]), None).1.pop().unwrap();
        let number: i64 = record.rsplit(' ').next().unwrap().parse().unwrap();
        Date::parse((number as u16).to_le_bytes()).map(|date| date.month)
    };
    for month in 1..=12 {
        assert_eq!(day(month), Some(month));
    }
    for (octet, month) in [(0x10, 10), (0x15, 5), (0x1b, 11), (0xd5, 5), (0x21, 1), (0x22, 2)] {
        assert_eq!(day(octet), Some(month), "{octet:02x}");
    }
    // November or January, December or February.
    for octet in [0x11, 0x12, 0xd1, 0x00, 0x0d, 0x20, 0x1f] {
        assert_eq!(day(octet), None, "{octet:02x}");
    }
}

#[test]
fn a_sensor_of_techem_that_fails_has_no_temperature() {
    for (head, octets) in
        [(hex!("69 80 a0"), &hex!("0080 0080 1000")[..]), (hex!("94 80 a2"), &hex!("77 0080 0080 1000"))]
    {
        let frame = framed(&[&hex!("44 6850 78563412"), &head, &hex!("00 9f2f 6400 5006 1e00"), octets]);
        let (_, records) = lines(&frame, None);
        assert_eq!(records[4..], ["external_temperature invalid Cel", "flow_temperature invalid Cel"]);
    }
}

#[test]
fn prios_under_the_makers_keys_has_counted_what_such_meters_can() {
    let clear = hex!("44 2423 85 07 78563412 a2 41 0a 80 13");
    // 99,999.999 m3, and a litre more.
    for (register, verdict) in [(99_999_999_u32, Verdict::Ok), (100_000_000, Verdict::NoKey)] {
        let plain = [&hex!("4b")[..], &register.to_le_bytes()].concat();
        assert_eq!(lines(&ciphered(&clear, &plain, DEFAULT_1), None).0, Some(verdict), "{register}");
        assert_eq!(lines(&ciphered(&clear, &plain, hex!("0001020304050607")), Some(&KEY)).0, Some(Verdict::Ok));
    }
    // Meters with keys of their own, of whom we have none.
    let mut keys = Random::new(11);
    let believed = (0..20_000).filter(|_| {
        let key = keys.next_u64().to_be_bytes();
        lines(&ciphered(&clear, &hex!("4b 39300000"), key), None).0 == Some(Verdict::Ok)
    });
    let believed = believed.count();
    assert!(believed <= 8, "{believed}");
}

#[test]
fn apator_na_1_under_another_key_is_not_believed_for_its_check_octet() {
    let address = Address { manufacturer: 0x0601, identification: 0x1234_5678, version: 0x14, device_type: 0x07 };
    let frame = |mut block: [u8; 16], key: &Key| {
        security::cbc_encrypt(key.octets(), &security::mode_5_iv(&address, 0x2a), &mut block);
        lines(&framed(&[&hex!("44 0106 78563412 14 07 a0 2a 01"), &block]), Some(&KEY)).0.unwrap()
    };
    // Ten to the power of three litres a count: 99,999 m3, and one more.
    assert_eq!(frame(hex!("2f 3f 691800 2cb0912d 21 08 000000 00 00"), &KEY), Verdict::Ok);
    assert_eq!(frame(hex!("2f 30 6a1800 2cb0912d 21 08 000000 00 00"), &KEY), Verdict::WrongKey);
    // More in an hour than such a pipe lets through.
    assert_eq!(frame(hex!("2f 12 4e5400 2cb0912d 01 00 881300 00 00"), &KEY), Verdict::WrongKey);
    let sound = hex!("2f 12 4e5400 2cb0912d 21 09 a52b00 00 80");
    let mut keys = Random::new(8);
    let believed = (0..20_000).filter(|_| {
        let octets = [keys.next_u64().to_be_bytes(), keys.next_u64().to_be_bytes()].concat();
        frame(sound, &Key::new(octets.try_into().unwrap())) == Verdict::Ok
    });
    let believed = believed.count();
    assert!(believed <= 4, "{believed}");
}

#[test]
fn a_status_of_the_makers_own_has_none_of_the_standards_meaning() {
    let address = |octets: &[u8]| Address::parse(&mut &*octets).unwrap();
    for (octets, is_own) in [
        (hex!("b409 78563412 10 1b"), true),
        // Only bits that are left to makers.
        (hex!("b409 78563412 18 07"), false),
        (hex!("b409 78563412 0b 0d"), false),
        (hex!("b409 78563412 13 07"), false),
        (hex!("2d2c 78563412 10 1b"), false),
    ] {
        assert_eq!(super::has_own_status(&address(&octets)), is_own, "{octets:02x?}");
    }
}

#[test]
fn a_record_that_is_repeated_tells_of_something_else() {
    let hydrocalm = |records: &[u8]| {
        let head = hex!("44 b409 78563412 0b 0d 7a 2a 00 0000");
        lines(&framed(&[&head, records]), None).1.split_off(1)
    };
    assert_eq!(
        hydrocalm(&hex!(
            "0406 39300000 0406 11000000 0413 07000000 4406 05000000 0413 08000000 0413 09000000 0413 0a000000 4406 06000000"
        )),
        [
            "energy 12345e3 Wh",
            "energy 17e3 Wh t1",
            "volume 7e-3 m3",
            "energy 5e3 Wh s1",
            "volume 8e-3 m3 t1",
            "volume 9e-3 m3 u1",
            "volume 10e-3 m3 u2",
            "energy 6e3 Wh s1 t1"
        ]
    );
    // What says itself what it is of stays so, and a fifth has no place.
    assert_eq!(
        hydrocalm(&hex!("0413 07000000 841013 08000000 0413 09000000")),
        ["volume 7e-3 m3", "volume 8e-3 m3 t1", "volume 9e-3 m3 t1"]
    );
    let water = hex!("44 8e2c 78563412 01 07 7a 2a 00 0000 0413 39300000 0413 11000000 4413 07000000 4413 08000000");
    let expected = ["volume 12345e-3 m3", "volume 17e-3 m3 u1", "volume 7e-3 m3 s1", "volume 8e-3 m3 s1 u1"];
    check(&framed(&[&water]), None, &expected);
    // Others keep what they repeat.
    let another = hex!("44 b409 78563412 1a 0d 7a 2a 00 0000 0406 39300000 0406 11000000");
    check(&framed(&[&another]), None, &["energy 12345e3 Wh", "energy 17e3 Wh"]);
}

#[track_caller]
fn check_meaning(address: &[u8], record: &[u8], expected: &[(&str, Meaning<'_>)]) {
    let address = Address::parse(&mut &*address).unwrap();
    let record = DataRecord::parse(&mut &*record).unwrap();
    let found: Vec<_> =
        fields(&address, &record).iter().map(|field| (field.name, field.of(&record).unwrap())).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_fields(address: &[u8], record: &[u8], expected: &[(&str, i64, i8, Unit)]) {
    let address = Address::parse(&mut &*address).unwrap();
    let record = DataRecord::parse(&mut &*record).unwrap();
    let found = fields(&address, &record).iter();
    let found: Vec<_> =
        found.map(|field| (field.name, field.of(&record).unwrap(), field.exponent, field.unit)).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, number, exponent, unit)| (*name, Meaning::Number(*number), *exponent, *unit))
        .collect();
    assert_eq!(found, expected);
}

// Rows made by us.
#[test]
fn records_of_known_makers_have_a_meaning() {
    let kamstrup = hex!("2d2c 78563412 40 0c");
    let m3_celsius = Unit::CubicMetreCelsius;
    check_fields(&kamstrup, &hex!("04ff07 c6570200"), &[("volume_times_flow_temperature", 153_542, 0, m3_celsius)]);
    check_meaning(&kamstrup, &hex!("04ff08 ffffffff"), &[("volume_times_return_temperature", Meaning::None)]);
    check_fields(&kamstrup, &hex!("04ff09 01000000"), &[]);
    check_fields(&hex!("2d30 78563412 40 0c"), &hex!("04ff07 01000000"), &[]);
    let heat_602 = hex!("2d2c 78563412 1c 04");
    check_fields(&heat_602, &hex!("04ffff01 05000000"), &[("input_a_counter", 5, 0, Unit::None)]);
    check_fields(&heat_602, &hex!("04ffff02 06000000"), &[("input_b_counter", 6, 0, Unit::None)]);
    let easymeter = hex!("7916 78563412 30 37");
    check_fields(&easymeter, &hex!("04ff00 10270000"), &[("phase_power", 10_000, -2, Unit::Watt)]);
    check_fields(&easymeter, &hex!("01ff28 02"), &[("phase_number", 2, 0, Unit::None)]);
    let bits = |name, number| (name, number, 0, Unit::None);
    check_fields(
        &hex!("9726 78563412 03 1a"),
        &hex!("077f 0102030411052a1f"),
        &[
            bits("billing_day", 31),
            bits("removed_once", 0),
            bits("installed", 1),
            bits("operating_mode", 2),
            bits("perimeter_intrusion", 0),
            bits("inlet_blocked", 1),
            bits("temperature_out_of_range", 0),
            bits("product", 5),
            bits("battery_life", 8),
            bits("detector_errors", 0x0403),
            bits("modem_errors", 2),
            bits("configuration", 1),
        ],
    );
    check_fields(&hex!("9726 78563412 03 07"), &hex!("077f 0102030411052a1f"), &[]);
    let b23 = hex!("4204 78563412 10 02");
    check_fields(&b23, &hex!("02ffe0ff8100 18fc"), &[("power_factor_l1", -1_000, -3, Unit::None)]);
    check_fields(&b23, &hex!("02ffd200 0807"), &[("phase_angle", 1_800, -1, Unit::Degree)]);
    let smoke_alarm = hex!("2515 78563412 0c 1a");
    let expected = [("dust_level", 27, 0, Unit::None), ("battery_voltage", 300, -2, Unit::Volt)];
    check_fields(&smoke_alarm, &hex!("8440ff2c 1b0f1100"), &expected);
    check_fields(&hex!("2515 78563412 0d 1a"), &hex!("8440ff2c 1b0f1100"), &[]);
    check_fields(&smoke_alarm, &hex!("8440 13 1b0f1100"), &[]);
}

/// Every telegram of the shared corpus that its maker's file is needed for.
#[test]
fn the_corpus_is_read_and_its_beginnings_are_not_mistaken() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/wmbus/telegrams.jsonl");
    let Ok(text) = std::fs::read_to_string(path) else { return eprintln!("skipped: no shared data") };
    for row in text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        let word = |field: &str| row[field].as_str().unwrap();
        let (case, class) = (word("case"), word("decode_class"));
        if !matches!(class, "proprietary" | "mixed") {
            continue;
        }
        let octets = hex::decode(word("telegram_hex")).unwrap();
        let key = hex::decode(word("key")).ok().and_then(|key| key.try_into().ok()).map(Key::new);
        let (verdict, records) = lines(&octets, key.as_ref());
        // Three octets where five are the least.
        if case == "tsd2.xmq#3:Smokey" {
            assert_eq!((verdict, records.len()), (Some(Verdict::Unsupported), 0), "{case}");
            continue;
        }
        assert!(verdict == Some(Verdict::Ok) && !records.is_empty(), "{case}: {verdict:?}");
        for end in 0..octets.len() {
            for record in lines(&octets[..end], key.as_ref()).1 {
                let is_none =
                    record.contains("invalid") || record.contains(" none") || record == Reject::Truncated.to_string();
                let is_raw = record.starts_with("manufacturer_specific 5f");
                assert!(is_none || is_raw || records.contains(&record), "{case}, {end} octets: {record}");
            }
        }
        if key.is_some() {
            assert_eq!(lines(&octets, Some(&OTHER_KEY)), (Some(Verdict::WrongKey), Vec::new()), "{case}");
        }
    }
}

proptest! {
    /// Whatever follows the address of any model of any maker.
    #[test]
    fn any_octets_never_panic(
        maker in 0usize..super::MAKERS.len(),
        letters in any::<prop::sample::Index>(),
        model in any::<prop::sample::Index>(),
        ci_field in prop::sample::select(&[0x72_u8, 0x78, 0x7a, 0xa0, 0xa1, 0xa2, 0xb6][..]),
        octets in prop::collection::vec(any::<u8>(), 0..80),
        has_key in any::<bool>(),
    ) {
        let maker = super::MAKERS[maker];
        let code = Address::manufacturer_code(maker.manufacturers[letters.index(maker.manufacturers.len())]).unwrap();
        let models: Vec<_> = maker.layouts.iter().flat_map(|layouts| layouts.iter()).flat_map(|layout| layout.models).collect();
        let (version, device_type) = if models.is_empty() { (1, 7) } else { *models[model.index(models.len())] };
        let address = Address { manufacturer: code, identification: 0x1234_5678, version, device_type };
        let mut link = vec![0x44];
        address.emit(&mut link);
        let frame = framed(&[&link, &[ci_field], &octets]);
        let (_, records) = lines(&frame, has_key.then_some(&KEY));
        prop_assert!(records.len() <= 200);
    }
}

#[test]
fn words_of_bits_have_no_sign_and_counts_no_negative_number() {
    let kamstrup = hex!("2d2c 78563412 1b 16");
    let abb = hex!("4204 78563412 20 02");
    for (address, record, name, expected) in [
        (kamstrup, &hex!("02ff20 0080")[..], "info_codes", Meaning::Number(0x8000)),
        (kamstrup, &hex!("04ff22 ffffffff"), "info_codes", Meaning::Number(0xffff_ffff)),
        (kamstrup, &hex!("01ff21 80"), "info_codes", Meaning::Number(0x80)),
        (kamstrup, &hex!("04ff11 00000080"), "configuration_number", Meaning::Number(0x8000_0000)),
        (kamstrup, &hex!("04ff07 ffffffff"), "volume_times_flow_temperature", Meaning::None),
        (kamstrup, &hex!("04ff07 feffffff"), "volume_times_flow_temperature", Meaning::Number(0xffff_fffe)),
        (kamstrup, &hex!("0cff07 12000000"), "volume_times_flow_temperature", Meaning::Number(12)),
        (abb, &hex!("07ffa600 0000000000000080"), "error_word", Meaning::Octets(&[0, 0, 0, 0, 0, 0, 0, 0x80])),
        (abb, &hex!("07ffa600 0000000000000040"), "error_word", Meaning::Number(1 << 62)),
        // What has a sign keeps its mark.
        (abb, &hex!("02ffd200 f6ff"), "phase_angle", Meaning::Number(-10)),
        (abb, &hex!("02ffd200 0080"), "phase_angle", Meaning::None),
    ] {
        check_meaning(&address, record, &[(name, expected)]);
    }
}

#[test]
fn hca_e2_stores_differences() {
    let allocator = hex!("c514 78563412 31 08");
    check_meaning(&allocator, &hex!("c2026ef6ff"), &[("hca_units_difference", Meaning::Number(-10))]);
    check_meaning(&allocator, &hex!("c2016e2200"), &[("hca_units_difference", Meaning::Number(34))]);
    for other in [&hex!("036e391000")[..], &hex!("426e2200"), &hex!("82106e2200")] {
        check_meaning(&allocator, other, &[]);
    }
    check_meaning(&hex!("c514 78563412 30 08"), &hex!("c2026ef6ff"), &[]);
}
