//! What damage, missing octets and missing or wrong keys are told to be, and that nothing wrong comes out as good.
//!
//! What is guaranteed: modes 7 and 10 prove the whole message (`authenticated`); what a bit takes out of its protection
//! shows mode 0, which a meter's policy refuses (`registry`), and does not pass the link layer's CRCs. The ELL's CRC under its cipher finds
//! damage, not forgery. Mode 5 has no MAC: its check octets say that the key is right, the link layer's CRCs say that
//! nothing was damaged on the air, and nobody says that it is genuine; it is never called authenticated.

use super::*;

/// The keys of one meter.
fn keys(meter: Address, key: &Key) -> BTreeMap<Address, Key> {
    BTreeMap::from([(meter, key.clone())])
}

fn decode(form: Form, octets: &[u8], keys: &impl Keys) -> Verdict {
    Telegram::decode_as(form, octets, keys, &mut Scratch::default()).map_or_else(Verdict::from, |t| t.verdict)
}

/// Who, and what values.
fn said(telegram: &Telegram<'_>) -> (Address, Vec<String>) {
    let records = telegram.records().map(|record| record.map_or_else(|reject| reject.to_string(), |r| r.to_string()));
    (telegram.address, records.collect())
}

/// Flips every bit behind the L-field: what is still `Ok` under the same protection says the same of the same meter.
fn sweep(name: &str, octets: &[u8], keys: &impl Keys) -> usize {
    let mut scratch = Scratch::default();
    let good = Telegram::decode_as(Form::Stripped, octets, keys, &mut scratch).unwrap();
    assert_eq!(good.verdict, Verdict::Ok, "{name}: {good}");
    let Security { mode, authenticated: is_authenticated, .. } = good.security;
    let good = said(&good);
    let mut refused = 0;
    for bit in 8..8 * octets.len() {
        let mut damaged = octets.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok(telegram) = Telegram::decode_as(Form::Stripped, &damaged, keys, &mut scratch) else { continue };
        if telegram.verdict != Verdict::Ok {
            refused += 1;
            assert!(!telegram.security.authenticated, "{name}, bit {bit}: {telegram}");
            assert_eq!(telegram.records().count(), 0, "{name}, bit {bit}: {telegram}");
            continue;
        }
        if telegram.security.authenticated >= is_authenticated && telegram.security.mode == mode {
            assert_eq!(said(&telegram), good, "{name}, bit {bit}");
        } else {
            // A changed CI-field or mode makes another telegram of it, and one that says of itself that it is unprotected.
            let Security { mode, authenticated, .. } = telegram.security;
            assert_eq!((mode, authenticated), (SecurityMode::None, false), "{name}, bit {bit}: {telegram}");
        }
    }
    refused
}

#[test]
fn no_flipped_bit_of_an_authenticated_telegram_of_ours_makes_a_wrong_value() {
    let records = records();
    for protection in protections() {
        if matches!(protection, Protection::None | Protection::AesCbcIv(_)) {
            continue;
        }
        let name = format!("{protection:?}");
        let octets = Message::new(METER, 42, &records).protection(protection).emit(Form::Stripped).unwrap();
        let refused = sweep(&name, &octets, &keys(METER, &KEY));
        assert!(refused > 7 * octets.len() / 2, "{name}: {refused}");
    }
}

#[test]
fn no_flipped_bit_of_an_authenticated_telegram_of_the_corpus_makes_a_wrong_value() {
    let mut swept = BTreeMap::new();
    for row in ["telegrams.jsonl", "oms-annex-n.jsonl"].into_iter().flat_map(rows) {
        let (octets, key) = (octets(&row, "telegram_hex"), key(&row));
        let mut scratch = Scratch::default();
        let Some(key) = key else { continue };
        let Ok(telegram) = Telegram::decode_as(Form::Stripped, &octets, &key, &mut scratch) else { continue };
        let Security { mode, authenticated, .. } = telegram.security;
        if telegram.verdict == Verdict::Ok && (authenticated || mode == SecurityMode::EllAesCtr) {
            let meter = telegram.link.address().copied().into_iter().chain([telegram.address]);
            let keys: BTreeMap<Address, Key> = meter.map(|meter| (meter, key.clone())).collect();
            sweep(&row.to_string(), &octets, &keys);
            *swept.entry(mode.to_string()).or_insert(0) += 1;
        }
    }
    eprintln!("swept, by mode: {swept:?}");
}

#[test]
fn no_flipped_bit_passes_the_crcs_of_the_link_layer() {
    let records = records();
    for protection in protections() {
        let name = format!("{protection:?}");
        let octets = Message::new(METER, 42, &records).protection(protection).emit(Form::FormatA).unwrap();
        for bit in 0..8 * octets.len() {
            let mut damaged = octets.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let verdict = decode(Form::FormatA, &damaged, &KEY);
            assert!(matches!(verdict, Verdict::BadCrc | Verdict::Truncated), "{name}, bit {bit}: {verdict}");
        }
    }
}

/// Without the link layer's CRCs: a changed octet passes, and the telegram says that nothing proves it.
#[test]
fn mode_5_is_never_called_authenticated() {
    let records = records();
    let octets = Message::new(METER, 42, &records).protection(Protection::AesCbcIv(&KEY)).emit(Form::Stripped).unwrap();
    let mut passed = 0;
    for bit in 8..8 * octets.len() {
        let mut damaged = octets.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let mut scratch = Scratch::default();
        let Ok(telegram) = Telegram::decode_as(Form::Stripped, &damaged, &keys(METER, &KEY), &mut scratch) else {
            continue;
        };
        assert!(!telegram.security.authenticated);
        // What the first block begins with tells a wrong key, also one that is wrong for another access number.
        passed += usize::from(telegram.verdict == Verdict::Ok);
    }
    assert!(passed > 0, "this is what a MAC is for");
}

/// Who the key is: the meter's, another, none.
#[derive(Debug, Clone, Copy, PartialEq)]
enum With {
    Right,
    Wrong,
    None,
}

/// A row a protection: the verdicts on the whole telegram, on one whose last octet was changed, and on each that was cut.
#[test]
fn wrong_keys_missing_keys_bad_macs_and_missing_octets_are_told_apart() {
    use Verdict::{BadMac, NoKey, Ok, Truncated, WrongKey};
    use With::{None, Right, Wrong};
    let [_, mode_5, mode_7, mode_10, ell] = protections();
    let table = [
        // Protection, key, whole, last octet changed.
        (&mode_5, Right, Ok, Ok),
        (&mode_5, Wrong, WrongKey, WrongKey),
        (&mode_5, None, NoKey, NoKey),
        (&mode_7, Right, Ok, BadMac),
        (&mode_7, Wrong, WrongKey, WrongKey),
        (&mode_7, None, NoKey, NoKey),
        (&mode_10, Right, Ok, BadMac),
        (&mode_10, Wrong, WrongKey, WrongKey),
        (&mode_10, None, NoKey, NoKey),
        // The CRC is all there is: wrong, it is the key's fault.
        (&ell, Right, Ok, WrongKey),
        (&ell, Wrong, WrongKey, WrongKey),
        (&ell, None, NoKey, NoKey),
    ];
    let records = records();
    for (protection, with, whole, changed) in table {
        let key = match with {
            Right => Some(KEY.clone()),
            Wrong => Some(Key::new([9; 16])),
            None => Option::None,
        };
        let message = Message::new(METER, 42, &records).protection(protection.clone());
        for form in [Form::FormatA, Form::FormatB, Form::Stripped] {
            let octets = message.emit(form).unwrap();
            assert_eq!(decode(form, &octets, &key), whole, "{protection:?} {with:?} {form:?}");
            for end in 0..octets.len() {
                let verdict = decode(form, &octets[..end], &key);
                // A frame of format B has nothing but its CRCs to tell what is missing. Two octets less look like the CRC
                // of format B left in L: what is missing then shows only where something covers it.
                let expected = match form {
                    Form::FormatB => &[Verdict::BadCrc, Truncated][..],
                    Form::Stripped if end + 2 == octets.len() => &[Truncated, NoKey],
                    _ => &[Truncated],
                };
                assert!(expected.contains(&verdict), "{protection:?} {with:?} {form:?} {end}: {verdict}");
            }
        }
        let mut octets = message.emit(Form::Stripped).unwrap();
        *octets.last_mut().unwrap() ^= 0x10;
        assert_eq!(decode(Form::Stripped, &octets, &key), changed, "{protection:?} {with:?} changed");
    }
}

/// The modes nobody here opens keep what they hold, whatever the key.
#[test]
fn modes_that_are_not_opened_say_so_and_keep_their_octets() {
    for mode in [1u8, 3, 4, 6, 8, 9, 11, 12, 13, 14, 15] {
        let mut octets = hex!("1e44 2d2c 78563412 1b16 7a2a001000 62ec43b3e07b1e2d 97f7f93990f337c7");
        octets[14] = mode;
        for key in [None, Some(KEY.clone())] {
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode(&octets, &key, &mut scratch).unwrap();
            assert_eq!(telegram.verdict, Verdict::Unsupported, "{mode}");
            assert_eq!(telegram.reject, Some(Reject::UnsupportedSecurity(mode)));
            assert_eq!((telegram.application, telegram.records().count()), (&octets[15..], 0));
        }
    }
}
