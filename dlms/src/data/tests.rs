//! Values by the types of IEC 62056-6-2, and what is not taken.

use hex_literal::hex;
use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(octets: &[u8], expected: &str) {
    let mut buf = octets;
    let data = Data::parse(&mut buf).unwrap();
    assert!(buf.is_empty());
    assert_eq!((data.to_string().as_str(), data.octets().as_slice()), (expected, octets));
    for end in 0..octets.len() {
        assert_eq!(Data::parse(&mut &octets[..end]), Err(Reject::Truncated), "{end} octets");
    }
}

#[track_caller]
fn check_reject(octets: &[u8], expected: Reject) {
    assert_eq!(Data::parse(&mut &octets[..]), Err(expected));
}

#[test]
fn every_type_is_read_and_written() {
    check(&hex!("00"), "null");
    check(&hex!("0301"), "true");
    check(&hex!("040b ffe0"), "11111111111");
    check(&hex!("05 ffffffff"), "-1");
    check(&hex!("06 ffffffff"), "4294967295");
    check(&hex!("0902 abcd"), "abcd");
    check(&hex!("0a02 4142"), "\"AB\"");
    check(&hex!("0c02 c3a9"), "\"é\"");
    check(&hex!("0d 42"), "42");
    check(&hex!("0f 80"), "-128");
    check(&hex!("10 8000"), "-32768");
    check(&hex!("11 ff"), "255");
    check(&hex!("12 ffff"), "65535");
    check(&hex!("14 8000000000000000"), "-9223372036854775808");
    check(&hex!("15 ffffffffffffffff"), "18446744073709551615");
    check(&hex!("16 1e"), "30");
    check(&hex!("17 41200000"), "10");
    check(&hex!("18 4024000000000000"), "10");
    check(&hex!("19 07ea0619050c1e0000ff8880"), "2026-06-25T12:30:00 dev -120 sts 80");
    check(&hex!("1a 07ea0619ff"), "2026-06-25");
    check(&hex!("1b 0c1e0032"), "12:30:00.50");
    for (tag, octets) in [(28, 1), (29, 2), (30, 4), (31, 1), (32, 2), (33, 4)] {
        check(&[&[tag][..], &vec![0; octets - 1], &[5]].concat(), "5");
    }
    check(&hex!("ff"), "dont-care");
    check(&hex!("01 02 02 02 11 01 00 02 02 12 0002 0901 aa"), "[{1, null}, {2, aa}]");
    check(&hex!("0100"), "[]");
}

#[test]
fn compact_arrays_have_their_type_once() {
    check(&hex!("13 0202 06 12 0c 00000001 0002 00000003 0004"), "[{1, 2}, {3, 4}]");
    check(&hex!("13 12 06 0001 0002 00ff"), "[1, 2, 255]");
    check(&hex!("13 09 05 01aa 02bbcc"), "[aa, bbcc]");
    check(&hex!("13 01 0002 11 04 01020304"), "[[1, 2], [3, 4]]");
    check(&hex!("13 0203 09 01 0002 0201 11 00 04 01aa 01 02"), "[{aa, [{1}, {2}], null}]");
    check(&hex!("13 0200 00"), "[]");
}

#[test]
fn what_is_no_value_is_rejected_with_its_reason() {
    check_reject(&hex!("07"), Reject::DataType(7));
    check_reject(&hex!("0101 0b"), Reject::DataType(11));
    check_reject(&hex!("09 84ffffffff 00"), Reject::Truncated);
    check_reject(&hex!("09 85ffffffffff"), Reject::Length("length field"));
    check_reject(&hex!("01 84ffffffff 00"), Reject::Truncated);
    check_reject(&hex!("13 00 01 00"), Reject::Reserved("type description"));
    check_reject(&hex!("13 0200 01 00"), Reject::Reserved("type description"));
    check_reject(&hex!("13 13 12 00"), Reject::DataType(19));
    check_reject(&hex!("13 01ffff 01ffff 01ffff 00 01 00"), Reject::TooLong("value"));
    check_reject(&[&[2, 1].repeat(17)[..], &[0]].concat(), Reject::TooDeep);
    check(&[&[2, 1].repeat(16)[..], &[0]].concat(), &["{".repeat(16), "null".into(), "}".repeat(16)].concat());
    check_reject(&[&[0x13][..], &[1, 0, 1].repeat(20), &[0x11, 0]].concat(), Reject::TooDeep);
    assert_eq!(Data::parse_all(&hex!("1101 00")), Err(Reject::Trailing));
    let few = Limits { depth: 2, elements: 3 };
    assert_eq!(Data::parse_within(&mut &hex!("0102 1101 1102")[..], few).map(|data| data.tag()), Ok(tag::ARRAY));
    let many = Data::parse_within(&mut &hex!("0103 1101 1102 1103")[..], few);
    assert_eq!(many, Err(Reject::TooLong("value")));
}

#[test]
fn values_are_taken_as_their_types_only() {
    let number = Data::LongUnsigned(300);
    assert_eq!(
        (number.number::<u16>(), number.number::<u8>()),
        (Ok(300), Err(Reject::Mismatch("a number of its size")))
    );
    assert_eq!(Data::NullData.integer(), Err(Reject::Mismatch("a number")));
    let octets = encode(|out| {
        out.structure(2).obis(Obis::new(1, 0, 1, 8, 0, 255)).date_time(DateTime::UNSPECIFIED);
    });
    let [name, moment] = Data::parse_all(&octets).unwrap().fields("a pair").unwrap();
    assert_eq!(name.obis().unwrap().to_string(), "1-0:1.8.0*255");
    assert_eq!(moment.date_time(), Ok(DateTime::UNSPECIFIED));
    assert_eq!(moment.obis(), Err(Reject::Length("logical name")));
    assert_eq!(Data::parse_all(&octets).unwrap().fields::<3>("three"), Err(Reject::Mismatch("three")));
}

#[test]
fn reals_keep_their_bits() {
    for bits in [0x7fc0_0001_u32, 0x8000_0000, 0x0000_0001, 0xff80_0000] {
        let octets = [&[23][..], &bits.to_be_bytes()].concat();
        assert_eq!(Data::parse_all(&octets).unwrap().octets(), octets);
    }
}

/// Encoded values of any type, nested.
pub(crate) fn any_data() -> impl Strategy<Value = Vec<u8>> {
    let sized = prop_oneof![
        Just((0, 0)),
        Just((3, 0)),
        Just((5, 4)),
        Just((6, 4)),
        Just((13, 1)),
        Just((15, 1)),
        Just((16, 2)),
        Just((17, 1)),
        Just((18, 2)),
        Just((20, 8)),
        Just((21, 8)),
        Just((22, 1)),
        Just((23, 4)),
        Just((24, 8)),
        Just((25, 12)),
        Just((26, 5)),
        Just((27, 4)),
        Just((28, 1)),
        Just((33, 4)),
        Just((255, 0)),
    ];
    let scalar = (sized, any::<[u8; 12]>()).prop_map(|((tag, size), octets)| match tag {
        3 => vec![3, octets[0] & 1],
        tag => [&[tag][..], &octets[..size]].concat(),
    });
    let strings = (prop_oneof![Just(9), Just(10), Just(12)], proptest::collection::vec(any::<u8>(), 0..200)).prop_map(
        |(tag, octets)| {
            let mut out = vec![tag];
            length::emit_octets(&octets, &mut out);
            out
        },
    );
    prop_oneof![scalar, strings].prop_recursive(4, 64, 8, |inner| {
        (1..3_u8, proptest::collection::vec(inner, 0..8)).prop_map(|(tag, items)| {
            let mut out = vec![tag];
            length::emit(items.len(), &mut out);
            out.extend(items.concat());
            out
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(octets in any_data()) {
        let data = Data::parse_all(&octets).unwrap();
        prop_assert_eq!(data.octets(), octets);
    }

    #[test]
    fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let limits = Limits { elements: 10_000, ..Limits::default() };
        for octets in [octets.clone(), [vec![0x13], octets].concat()] {
            if let Ok(data) = Data::parse_within(&mut &octets[..], limits) {
                let again = data.octets();
                prop_assert_eq!(Data::parse_all(&again).unwrap().to_string(), data.to_string());
            }
        }
    }
}
