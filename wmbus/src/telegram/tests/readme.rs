//! The README's tables of security profiles, each cell compared with what the code does.

use aes::Aes128Enc;
use aes::cipher::KeyInit;

use super::*;
use crate::ell::Ell;
use crate::security::{self, Purpose};

/// The rows of the table that begins so.
fn table(head: &str) -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, table) = readme.split_once(head).expect("the README has the table");
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn cell(is_there: bool) -> String {
    if is_there { "yes" } else { "–" }.to_owned()
}

/// A telegram of each mode, as [`KEY`] or, for DES, a short key seals it.
fn sealed(mode: &str) -> (Vec<u8>, Key) {
    let records = records();
    let [none, mode_5, mode_7, mode_10, ell] = protections();
    let protection = match mode {
        "0" => none,
        "5" => mode_5,
        "7" => mode_7,
        "10" => mode_10,
        "ell-ctr" => ell,
        "2" => {
            let octets = hex!("1e44 2d2c 78563412 1b16 7a2a001002 62ec43b3e07b1e2d 97f7f93990f337c7");
            return (octets.to_vec(), Key::short(hex!("8182838485868788")));
        }
        other => {
            let mut octets = hex!("1e44 2d2c 78563412 1b16 7a2a001000 62ec43b3e07b1e2d 97f7f93990f337c7");
            octets[14] = other.parse().unwrap();
            return (octets.to_vec(), KEY.clone());
        }
    };
    (Message::new(METER, 42, &records).protection(protection).emit(Form::Stripped).unwrap(), KEY.clone())
}

#[test]
fn the_readme_tells_what_protects_telegrams_and_what_is_said_of_them() {
    for row in table("| mode | cipher |") {
        let (octets, key) = sealed(&row[0]);
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, &octets, &key, &mut scratch).unwrap();
        let Security { mode, authenticated, counter, .. } = telegram.security;
        let is_opened = telegram.verdict == Verdict::Ok && telegram.records().count() > 0;
        assert_eq!(row[0], mode.to_string());
        assert_eq!(row[3..6], [is_opened, authenticated, counter.is_some()].map(cell), "{mode}");
        let mut changed = octets.clone();
        *changed.last_mut().unwrap() ^= 0x10;
        let other = Key::new([9; 16]);
        let cases: [(&[u8], Option<&Key>); 4] = [
            (&octets, None),
            (&octets, Some(&other)),
            (&changed, Some(&key)),
            (&octets[..octets.len() - 1], Some(&key)),
        ];
        let said = cases.map(|(octets, key)| {
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode_as(Form::Stripped, octets, &key.cloned(), &mut scratch);
            telegram.map_or_else(Verdict::from, |telegram| telegram.verdict).to_string()
        });
        assert_eq!(row[6..], said, "{mode}");
    }
}

#[test]
fn the_readme_tells_which_macs_are_checked() {
    let rows = table("| AFL authentication type |");
    assert_eq!(rows.len(), 7);
    for row in rows {
        let (kind, len): (u8, usize) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        // Mode 7 with nothing encrypted: the MAC alone protects it.
        let tpdu = hex!("7a 01 00 0007 10 0c13 78563412");
        let counter = 77u32.to_le_bytes();
        let derived = security::derive(&KEY, Purpose::AuthenticateFromMeter, 77, METER.identification);
        let mac = security::cmac(&Aes128Enc::new((&derived).into()), &[&[0x20 | kind], &counter, &tpdu]);
        let verdict = |mac: &[u8]| {
            let mut body = vec![0x44];
            METER.emit(&mut body);
            body.extend_from_slice(&[0x90, 7 + mac.len() as u8, 0x00, 0x2c, 0x20 | kind]);
            [&counter[..], mac, &tpdu].iter().for_each(|octets| body.extend_from_slice(octets));
            let frame = crate::link::frame(Form::Stripped, &body).unwrap();
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode_as(Form::Stripped, &frame, &KEY, &mut scratch).unwrap();
            (telegram.verdict, telegram.security.authenticated)
        };
        let mut wrong = mac;
        wrong[0] ^= 1;
        let is_checked = verdict(&mac[..len]) == (Verdict::Ok, true) && verdict(&wrong[..len]).0 == Verdict::BadMac;
        assert_eq!(row[2], cell(is_checked), "{kind}");
        if !is_checked {
            assert_eq!(verdict(&mac[..len]), (Verdict::Unsupported, false), "{kind}");
        }
    }
}

#[test]
fn the_readme_tells_which_extended_link_layers_are_read() {
    let rows = table("| extended link layer |");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let ci_field = u8::from_str_radix(&row[1], 16).unwrap();
        let octets = [[ci_field].as_slice(), &[0; 15]].concat();
        let ell = Ell::parse(&mut octets.as_slice()).unwrap();
        assert_eq!(ell.ci_field(), ci_field);
        assert_eq!(row[2..], [ell.receiver.is_some(), ell.session_number.is_some()].map(cell), "{}", row[0]);
    }
}
