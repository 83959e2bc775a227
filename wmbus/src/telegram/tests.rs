//! Telegrams of the OMS annex N and of the open corpus, and what damage does to telegrams of our own.

mod damage;
mod readme;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use hex_literal::hex;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::record::{DataField, Draft};
use crate::sim::{Message, Protection};
use crate::{Key, NoKeys};

const METER: Address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 0x16 };
static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(hex!("000102030405060708090a0b0c0d0e0f")));

fn rows(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/wmbus").join(file);
    match std::fs::read_to_string(path) {
        Ok(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        Err(_) => {
            eprintln!("skipped: no shared data");
            Vec::new()
        }
    }
}

fn octets(row: &Json, field: &str) -> Vec<u8> {
    hex::decode(row[field].as_str().unwrap()).unwrap()
}

fn key(row: &Json) -> Option<Key> {
    let octets = octets(row, "key");
    let short = || octets.as_slice().try_into().ok().map(Key::short);
    octets.as_slice().try_into().ok().map(Key::new).or_else(short)
}

/// The line of a telegram, its form left out.
fn line(octets: &[u8], keys: &impl Keys) -> String {
    match Telegram::decode(octets, keys, &mut Scratch::default()) {
        Ok(telegram) => telegram.to_string(),
        Err(reject) => reject.to_string(),
    }
}

#[test]
fn annex_n_decrypts_to_the_values_of_its_notes() {
    const WATER: &str = "ok: volume 2850427e-2 m3, date_time 2008-05-31T23:50, error_flags 0000";
    const ALLOCATOR: &str = "ok: hca_units 1234, date 2007-04-30 s1, hca_units 23456 s1, customer_location 12345678";
    let expected = [
        ("mode 5", false, WATER.to_owned()),
        ("mode 0", false, WATER.to_owned()),
        ("mac 21924d4f2fb66e01", true, WATER.to_owned()),
        ("mac af5d74df73a600d9", true, WATER.to_owned()),
        ("mode 5", false, ALLOCATOR.to_owned()),
        ("ACC-NR", false, "ok".to_owned()),
        ("mode 5", false, ALLOCATOR.to_owned()),
        ("wired 253", false, format!("{ALLOCATOR}, fabrication_number 11223344")),
        ("tpl 78", false, "ok: volume 876543e-3 m3".to_owned()),
        (
            "mode 10",
            true,
            "ok: date_time 2025-12-15T10:28, volume 0e-1 m3, manufacturer_specific 25 1025, manufacturer_specific 1b -1, \
             date_time 2025-12-01T00:00 s1, volume 0e-1 m3 s1"
                .to_owned(),
        ),
    ];
    let rows = rows("oms-annex-n.jsonl");
    for (row, (layers, authenticated, records)) in rows.iter().zip(expected) {
        let (octets, key) = (octets(row, "telegram_hex"), key(row));
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode(&octets, &key, &mut scratch).unwrap();
        let line = telegram.to_string();
        assert!(line.contains(layers) && line.ends_with(&records), "{}: {line}", row["name"]);
        assert_eq!(telegram.security.authenticated, authenticated, "{}", row["name"]);
    }
}

#[test]
fn every_row_of_the_corpus_with_a_key_decrypts_in_each_form() {
    let mut verdicts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows("telegrams.jsonl") {
        let (case, key, telegram_hex) = (row["case"].as_str().unwrap(), key(&row), octets(&row, "telegram_hex"));
        let stripped = line(&telegram_hex, &key);
        for field in ["frame_a_hex", "frame_b_hex"] {
            assert_eq!(line(&octets(&row, field), &key), stripped, "{case} {field}");
        }
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode(&telegram_hex, &key, &mut scratch).unwrap();
        let mode = telegram.security.mode.to_string();
        let wire = row["wire"].as_str().unwrap();
        if wire != "as-is" {
            assert_eq!(wire.trim_start_matches("mode"), mode, "{case}");
            let verdict = telegram.verdict_with_records();
            let is_open = matches!(verdict, Verdict::Ok | Verdict::Partial);
            assert!(is_open && !telegram.application.is_empty(), "{case}: {stripped}");
            assert_eq!(
                Telegram::decode(&telegram_hex, &NoKeys, &mut scratch).unwrap().verdict,
                Verdict::NoKey,
                "{case}"
            );
            assert_eq!(
                Telegram::decode(&telegram_hex, &KEY, &mut scratch).unwrap().verdict,
                Verdict::WrongKey,
                "{case}"
            );
        }
        let verdict = Telegram::decode(&telegram_hex, &key, &mut scratch).unwrap().verdict_with_records();
        verdicts.entry(format!("{wire} mode {mode}: {verdict}")).or_default().push(stripped);
    }
    for (group, lines) in &verdicts {
        eprintln!("{group}: {}", lines.len());
    }
    for verdict in ["wrong_key", "no_key", "bad_mac", "truncated", "bad_crc"] {
        assert!(!verdicts.keys().any(|group| group.ends_with(verdict)), "{:?}", verdicts.keys());
    }
}

fn records() -> [Draft<'static>; 3] {
    [
        Draft::new(DataField::Bcd8, &[0x13], crate::record::Value::Integer(123_456)),
        Draft::new(DataField::Integer32, &[0x13], crate::record::Value::Integer(120_000)).storage(1),
        Draft::new(DataField::Integer16, &[0xfd, 0x17], crate::record::Value::Binary(&[0, 4])),
    ]
}

fn protections() -> [Protection<'static>; 5] {
    let own: &'static Key = &KEY;
    [
        Protection::None,
        Protection::AesCbcIv(own),
        Protection::AesCbcNoIv { key: own, counter: 77 },
        Protection::AesCcm { key: own, counter: 77 },
        Protection::EllAesCtr { key: own, session_number: 0x0316_e1a4 },
    ]
}

#[test]
fn what_lacks_octets_is_truncated_and_nothing_else() {
    let records = records();
    for protection in protections() {
        let message = Message::new(METER, 42, &records).protection(protection);
        for form in [Form::FormatA, Form::Stripped] {
            let octets = message.emit(form).unwrap();
            for end in 0..octets.len() {
                let mut scratch = Scratch::default();
                // Two octets less look like the CRC of format B left in L; what a MAC or a CRC covers is still seen.
                let is_like_b = form == Form::Stripped && end + 2 == octets.len();
                if is_like_b && matches!(message.protection, Protection::None) {
                    continue;
                }
                let verdict = Telegram::decode_as(form, &octets[..end], &KEY, &mut scratch).map(|t| t.verdict);
                assert!(
                    matches!(verdict, Ok(Verdict::Truncated) | Err(Reject::Truncated)),
                    "{form:?} {end}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn records_before_the_cut_are_kept() {
    let records = records();
    let octets = Message::new(METER, 42, &records).emit(Form::Stripped).unwrap();
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode_as(Form::Stripped, &octets[..octets.len() - 1], &KEY, &mut scratch).unwrap();
    assert_eq!(telegram.verdict, Verdict::Truncated);
    let read: Vec<_> = telegram.records().map(|record| record.map(|record| record.value)).collect();
    assert_eq!(read, [Ok(records[0].value), Ok(records[1].value), Err(Reject::Truncated)]);
}

#[test]
fn a_changed_octet_of_an_authenticated_message_is_a_bad_mac_or_a_wrong_key() {
    let records = records();
    let message = Message::new(METER, 42, &records).protection(Protection::AesCbcNoIv { key: &KEY, counter: 77 });
    let good = message.emit(Form::Stripped).unwrap();
    let tpl = 1 + 9 + 3 + 17;
    for at in tpl..good.len() {
        let mut octets = good.clone();
        octets[at] ^= 0x04;
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, &octets, &KEY, &mut scratch).unwrap();
        assert_ne!(telegram.verdict, Verdict::Ok, "octet {at}");
        assert!(!telegram.security.authenticated && telegram.records().count() == 0);
        // Behind the first block the check octets still decrypt: the key is right, the content is not.
        if at >= tpl + 6 + 16 {
            assert_eq!(telegram.verdict, Verdict::BadMac, "octet {at}");
        }
    }
}

#[test]
fn a_fragment_shows_its_layers_and_is_not_decoded() {
    let octets = hex!("1d44 2d2c 78563412 1b16 8c2027 90 0f 014025 05000000 0102030405060708 7a");
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&octets, &KEY, &mut scratch).unwrap();
    assert_eq!((telegram.verdict, telegram.reject), (Verdict::Unsupported, Some(Reject::Reserved("afl length"))));
    let octets = hex!("1d44 2d2c 78563412 1b16 8c2027 90 0f 016c25 05000000 0102030405060708 7a");
    let telegram = Telegram::decode(&octets, &KEY, &mut scratch).unwrap();
    assert_eq!((telegram.verdict, telegram.reject), (Verdict::Unsupported, Some(Reject::Fragment)));
    assert_eq!(telegram.afl.map(|afl| afl.counter), Some(Some(5)));
}

#[test]
fn a_receiver_that_decrypts_by_itself_is_understood() {
    // Mode 5 and one block announced, the block in clear.
    let octets = hex!("1e44 2d2c 78563412 1b16 7a2a001005 2f2f 0c1356341200 2f2f2f2f2f2f2f2f");
    let mut scratch = Scratch::default();
    for keys in [None, Some(KEY.clone())] {
        let telegram = Telegram::decode(&octets, &keys, &mut scratch).unwrap();
        assert_eq!(telegram.verdict, Verdict::Ok);
        assert_eq!(telegram.records().count(), 1);
    }
}

/// Vector made by us with OpenSSL: DES-CBC of 2f2f 0413 15160300 2f.., key 8182838485868788, IV 0.
#[test]
fn mode_2_is_opened_by_a_short_key() {
    let octets = hex!("1e44 2d2c 78563412 1b16 7a2a001002 62ec43b3e07b1e2d 97f7f93990f337c7");
    let mut scratch = Scratch::default();
    let key = Key::short(hex!("8182838485868788"));
    let telegram = Telegram::decode(&octets, &key, &mut scratch).unwrap();
    assert_eq!((telegram.verdict, telegram.security.mode), (Verdict::Ok, SecurityMode::DesCbc));
    assert!(telegram.to_string().ends_with("ok: volume 202261e-3 m3"), "{telegram}");
    let verdict = |key: &Key| Telegram::decode(&octets, key, &mut Scratch::default()).unwrap().verdict;
    assert_eq!([verdict(&Key::short([1; 8])), verdict(&KEY)], [Verdict::WrongKey; 2]);
    assert_eq!(Telegram::decode(&octets, &NoKeys, &mut scratch).unwrap().verdict, Verdict::NoKey);
}

/// A key for each number.
struct Numbered([Key; 2]);

impl Keys for Numbered {
    fn key(&self, _: &Address) -> Option<&Key> {
        None
    }

    fn numbered_key(&self, _: &Address, key_id: u8) -> Option<&Key> {
        self.0.get(usize::from(key_id))
    }
}

#[test]
fn a_telegram_names_the_key_that_opens_it() {
    let records = records();
    let octets = Message::new(METER, 42, &records)
        .protection(Protection::AesCbcNoIv { key: &KEY, counter: 77 })
        .emit(Form::Stripped)
        .unwrap();
    let mut scratch = Scratch::default();
    let keys = Numbered([KEY.clone(), Key::new([9; 16])]);
    assert_eq!(Telegram::decode(&octets, &keys, &mut scratch).unwrap().verdict, Verdict::Ok);
    let keys = Numbered([Key::new([9; 16]), KEY.clone()]);
    assert_eq!(Telegram::decode(&octets, &keys, &mut scratch).unwrap().verdict, Verdict::WrongKey);
}

#[test]
fn octets_that_are_no_frame_are_rejected() {
    let mut scratch = Scratch::default();
    for octets in [&[][..], &[0x68], &[0xff; 9], &hex!("6820206808fd72")] {
        let verdict = Telegram::decode(octets, &KEY, &mut scratch).map(|telegram| telegram.verdict);
        assert_eq!(verdict, Err(Reject::Truncated), "{octets:02x?}");
    }
    let wired = hex!("6803036808fd78 7d16");
    assert_eq!(Telegram::decode(&wired, &KEY, &mut scratch), Err(Reject::NoAddress));
    let damaged = hex!("6803036808fd78 7e16");
    assert_eq!(Telegram::decode(&damaged, &KEY, &mut scratch), Err(Reject::BadChecksum));
}

/// Frames whose layers are plausible, so that what lies behind them is reached.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let ci_field =
        prop_oneof![Just(0x72u8), Just(0x7a), Just(0x78), Just(0x8c), Just(0x8d), Just(0x8e), Just(0x90), any::<u8>()];
    (ci_field, proptest::collection::vec(any::<u8>(), 0..120)).prop_map(|(ci_field, tail)| {
        let mut body = hex!("44 2d2c 78563412 1b16").to_vec();
        body.push(ci_field);
        body.extend_from_slice(&tail);
        body
    })
}

proptest! {
    #[test]
    fn any_octets_are_decoded_or_rejected(octets in proptest::collection::vec(any::<u8>(), 0..260)) {
        if let Ok(telegram) = Telegram::decode(&octets, &KEY, &mut Scratch::default()) {
            let _ = telegram.to_string();
        }
    }

    #[test]
    fn any_layers_are_decoded_or_refused(body in plausible()) {
        for form in [Form::FormatA, Form::FormatB, Form::Stripped] {
            let octets = crate::link::frame(form, &body).unwrap();
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode_as(form, &octets, &KEY, &mut scratch).unwrap();
            prop_assert_eq!(telegram.stripped(), crate::link::frame(Form::Stripped, &body).unwrap());
            let _ = telegram.to_string();
        }
    }
}
