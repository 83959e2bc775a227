//! Meters of our own that send full, format and compact frames. All vectors made by us.

use hex_literal::hex;
use proptest::prelude::*;
use std::sync::LazyLock;

use super::*;
use crate::record::{DataField, Draft, Text, Value};
use crate::sim::{Layout, Message, Protection};
use crate::{Form, Key, NoKeys, Scratch};

const METER: Address = Address { manufacturer: 0x15c7, identification: 0x1234_5678, version: 0x33, device_type: 0x07 };
static KEY: LazyLock<Key> = LazyLock::new(|| Key::new([7; 16]));

fn records() -> [Draft<'static>; 4] {
    [
        Draft::new(DataField::Bcd8, &[0x13], Value::Integer(123_456)),
        Draft::new(DataField::Integer32, &[0x13], Value::Integer(-7)).storage(19),
        Draft::new(DataField::Variable, &[0xfd, 0x11], Value::Text(Text::new(b"321-ABC"))),
        Draft::new(DataField::Integer16, &[0xfd, 0x17], Value::Binary(&[4, 0])),
    ]
}

fn protections() -> [Protection<'static>; 4] {
    let own: &'static Key = &KEY;
    [
        Protection::None,
        Protection::AesCbcIv(own),
        Protection::AesCbcNoIv { key: own, counter: 9 },
        Protection::EllAesCtr { key: own, session_number: 5 },
    ]
}

/// The line of a frame, and what it taught.
fn hear(octets: &[u8], formats: &mut Formats) -> (String, Verdict, Option<Format>) {
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode_with(Some(Form::Stripped), octets, &KEY, formats, &mut scratch).unwrap();
    let line = telegram.to_string();
    let values = line.split_once(": ").map_or(String::new(), |(_, values)| values.to_owned());
    (values, telegram.verdict, formats.learn(&telegram))
}

#[test]
fn a_compact_frame_says_what_the_full_frame_says_once_its_format_is_known() {
    let records = records();
    for teacher in [Layout::Full, Layout::Format] {
        for protection in protections() {
            let mut formats = Formats::new(10);
            let message = Message::new(METER, 1, &records).protection(protection);
            let [full, format, compact] = [Layout::Full, Layout::Format, Layout::Compact]
                .map(|layout| message.clone().layout(layout).emit(Form::Stripped).unwrap());
            assert!(compact.len() <= full.len());
            assert_eq!(hear(&compact, &mut formats).1, Verdict::Unsupported);
            let (_, verdict, taught) = hear(if teacher == Layout::Full { &full } else { &format }, &mut formats);
            assert_eq!((verdict, taught.is_some()), (Verdict::Ok, true));
            assert!(hear(&full, &mut formats).2.is_none(), "a format is learned once");
            let (line, verdict, taught) = hear(&compact, &mut formats);
            assert_eq!((verdict, taught), (Verdict::Ok, None));
            assert_eq!(line, hear(&full, &mut formats).0);
        }
    }
}

#[test]
fn a_full_frame_that_differs_has_another_format() {
    let records = records();
    let mut formats = Formats::new(10);
    let full = Message::new(METER, 1, &records).emit(Form::Stripped).unwrap();
    hear(&full, &mut formats);
    let fewer = Message::new(METER, 1, &records[..2]).layout(Layout::Compact).emit(Form::Stripped).unwrap();
    assert_eq!(hear(&fewer, &mut formats).1, Verdict::Unsupported);
    let other = Address { version: 0x34, ..METER };
    let other = Message::new(other, 1, &records).layout(Layout::Compact).emit(Form::Stripped).unwrap();
    assert_eq!(hear(&other, &mut formats).1, Verdict::Unsupported, "another kind of meter");
}

#[test]
fn no_changed_bit_of_a_compact_frame_becomes_a_value() {
    let records = records();
    let mut formats = Formats::new(10);
    hear(&Message::new(METER, 1, &records).emit(Form::Stripped).unwrap(), &mut formats);
    let good = Message::new(METER, 1, &records).layout(Layout::Compact).emit(Form::Stripped).unwrap();
    // Behind the header: signature, CRC, data.
    for bit in 8 * 15..8 * good.len() {
        let mut octets = good.clone();
        octets[bit / 8] ^= 1 << (bit % 8);
        let (values, verdict, _) = hear(&octets, &mut formats);
        assert!(values.is_empty() && verdict != Verdict::Ok, "bit {bit}: {verdict} {values}");
    }
    for end in 15..good.len() {
        let (values, verdict, _) = hear(&good[..end], &mut formats);
        assert_eq!((values.as_str(), verdict), ("", Verdict::Truncated), "{end}");
    }
}

#[test]
fn the_first_format_of_a_signature_stays_and_the_oldest_is_forgotten() {
    let model = Model::of(&METER);
    let mut formats = Formats::new(2);
    let format = |chain: &[u8]| Format::new(model, chain).unwrap();
    assert!(formats.insert(format(&hex!("0413"))));
    assert!(!formats.insert(format(&hex!("0413"))));
    assert!(formats.insert(format(&hex!("0413 4413"))));
    assert!(formats.insert(format(&hex!("02fd17"))));
    let chains: Vec<_> = formats.iter().map(|format| format.chain().to_vec()).collect();
    assert_eq!(chains, [hex!("0413 4413").to_vec(), hex!("02fd17").to_vec()]);
    assert!(formats.insert(format(&hex!("0413"))));
}

#[test]
fn a_format_is_kept_as_it_is_and_nothing_else_is_taken() {
    let format = Format::new(Model::of(&METER), &hex!("0c13 8404 13 02fd17")).unwrap();
    let mut octets = Vec::new();
    format.emit(&mut octets);
    assert_eq!(octets, hex!("c715 33 07 08 0c13 840413 02fd17"));
    assert_eq!(Format::parse(&mut octets.as_slice()), Ok(format));
    for end in 0..octets.len() {
        assert_eq!(Format::parse(&mut &octets[..end]), Err(Reject::Truncated));
    }
    assert_eq!(Format::new(Model::of(&METER), &hex!("0c")), Err(Reject::Truncated));
    assert_eq!(Format::new(Model::of(&METER), &[]), Err(Reject::Reserved("length of a format")));
}

#[test]
fn a_format_frame_has_its_length_or_not() {
    let chain = hex!("0413 2f2f");
    let mut own = Vec::new();
    FormatFrame { chain: &chain[..2] }.emit(&mut own);
    assert_eq!(FormatFrame::parse(&mut own.as_slice()), Ok(FormatFrame { chain: &chain[..2] }));
    let mut counted = vec![own.len() as u8];
    counted.extend_from_slice(&own);
    counted.extend_from_slice(&[0x2f; 3]);
    assert_eq!(FormatFrame::parse(&mut counted.as_slice()), Ok(FormatFrame { chain: &chain[..2] }));
    own[0] ^= 1;
    assert_eq!(FormatFrame::parse(&mut own.as_slice()), Err(Reject::FormatSignature));
}

#[test]
fn formats_that_are_known_need_no_full_frame() {
    let meter = Address { manufacturer: 0x2c2d, ..METER };
    let records = [
        Draft::new(DataField::Integer16, &[0xff, 0x20], Value::Integer(0)),
        Draft::new(DataField::Integer32, &[0x13], Value::Integer(5_000)),
        Draft::new(DataField::Integer32, &[0x13], Value::Integer(4_000)).storage(1),
    ];
    let octets = Message::new(meter, 1, &records).layout(Layout::Compact).emit(Form::Stripped).unwrap();
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&octets, &NoKeys, &mut scratch).unwrap();
    assert_eq!((telegram.verdict, telegram.records().count()), (Verdict::Ok, 3), "{telegram}");
    let foreign = Message::new(METER, 1, &records).layout(Layout::Compact).emit(Form::Stripped).unwrap();
    assert_eq!(Telegram::decode(&foreign, &NoKeys, &mut scratch).unwrap().reject, Some(Reject::CompactFrame));
}

proptest! {
    #[test]
    fn any_octets_are_a_frame_or_none(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = FormatFrame::parse(&mut octets.as_slice());
        let _ = Format::parse(&mut octets.as_slice());
        if let Ok(frame) = CompactFrame::parse(&mut octets.as_slice()) {
            let mut out = Vec::new();
            frame.emit(&mut out);
            prop_assert_eq!(&out, &octets);
            let _ = frame.expand(&octets, &mut out);
        }
    }
}
