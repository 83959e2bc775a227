//! Records by the tables of EN 13757-3: each row an example of one rule.

use hex_literal::hex;
use proptest::prelude::*;

use super::*;

/// Reads one record, compares its line, and sees that nothing shorter is one.
#[track_caller]
fn check(octets: &[u8], expected: &str) {
    let mut buf = octets;
    let record = DataRecord::parse(&mut buf).unwrap();
    assert_eq!(record.to_string(), expected);
    assert!(buf.is_empty(), "{} octets left", buf.len());
    assert_eq!(record.octets, octets);
    let mut out = Vec::new();
    record.emit(&mut out);
    assert_eq!(out, octets);
    for end in 0..octets.len() {
        assert_eq!(DataRecord::parse(&mut &octets[..end]), Err(Reject::Truncated), "{end} octets");
    }
}

#[track_caller]
fn check_reject(octets: &[u8], expected: Reject) {
    assert_eq!(DataRecord::parse(&mut &octets[..]), Err(expected));
}

#[test]
fn primary_vifs_have_the_units_and_powers_of_the_table() {
    check(&hex!("04 00 01000000"), "energy 1e-3 Wh");
    check(&hex!("04 06 01000000"), "energy 1e3 Wh");
    check(&hex!("04 0f 01000000"), "energy 1e7 J");
    check(&hex!("04 10 01000000"), "volume 1e-6 m3");
    check(&hex!("0c 16 78563412"), "volume 12345678 m3");
    check(&hex!("04 1f 01000000"), "mass 1e4 kg");
    check(&hex!("04 20 01000000"), "on_time 1 s");
    check(&hex!("04 27 01000000"), "operating_time 1 d");
    check(&hex!("02 2b 0100"), "power 1 W");
    check(&hex!("02 37 0100"), "power 1e7 J/h");
    check(&hex!("02 3b 0100"), "volume_flow 1e-3 m3/h");
    check(&hex!("02 47 0100"), "volume_flow 1 m3/min");
    check(&hex!("02 48 0100"), "volume_flow 1e-9 m3/s");
    check(&hex!("02 50 0100"), "mass_flow 1e-3 kg/h");
    check(&hex!("02 5a 0100"), "flow_temperature 1e-1 Cel");
    check(&hex!("02 5f 0100"), "return_temperature 1 Cel");
    check(&hex!("02 61 0100"), "temperature_difference 1e-2 K");
    check(&hex!("02 65 0100"), "external_temperature 1e-2 Cel");
    check(&hex!("02 69 0100"), "pressure 1e-2 bar");
    check(&hex!("02 6c bf23"), "date 2021-03-31");
    check(&hex!("04 6d 32371f15"), "date_time 2008-05-31T23:50");
    check(&hex!("06 6d 1e5c11da2140"), "date_time 2022-01-26T17:28:30");
    check(&hex!("03 6d 3b300b"), "date_time 11:48:59");
    check(&hex!("03 6e 010000"), "hca_units 1");
    check(&hex!("02 72 0100"), "averaging_duration 1 h");
    check(&hex!("02 74 0100"), "actuality_duration 1 s");
    check(&hex!("0c 78 78563412"), "fabrication_number 12345678");
    check(&hex!("01 7a 05"), "bus_address 5");
    check(&hex!("02 6f 0100"), "reserved 00 6f 1");
    check(&hex!("08 7e"), "any none");
}

#[test]
fn alternate_vifs_follow_fb() {
    check(&hex!("04 fb00 01000000"), "energy 1e5 Wh");
    check(&hex!("04 fb02 01000000"), "reactive_energy 1e3 varh");
    check(&hex!("04 fb05 01000000"), "apparent_energy 1e4 VAh");
    check(&hex!("02 fb06 2b00"), "coefficient_of_performance 43e-1");
    check(&hex!("04 fb09 01000000"), "energy 1e9 J");
    check(&hex!("04 fb0f 01000000"), "energy 1e8 cal");
    check(&hex!("04 fb11 01000000"), "volume 1e3 m3");
    check(&hex!("04 fb14 01000000"), "reactive_power 1 var");
    check(&hex!("04 fb19 01000000"), "mass 1e6 kg");
    check(&hex!("02 fb1a 9102"), "relative_humidity 657e-1 %");
    check(&hex!("04 fb21 01000000"), "volume 1e-1 ft3");
    check(&hex!("02 fb22 0100"), "reserved fb 22 1");
    check(&hex!("04 fb28 01000000"), "power 1e5 W");
    check(&hex!("02 fb2e 8813"), "frequency 5000e-1 Hz");
    check(&hex!("04 fb31 01000000"), "power 1e9 J/h");
    check(&hex!("04 fb37 01000000"), "apparent_power 1e3 VA");
    check(&hex!("02 fb5a 0100"), "flow_temperature 1e-1 degF");
    check(&hex!("02 fb68 0010"), "resulting_rating_factor 4096 1/4096");
    check(&hex!("02 fb74 0100"), "temperature_limit 1e-3 Cel");
    check(&hex!("02 fb79 0100"), "cumulative_maximum_power 1e-2 W");
}

#[test]
fn main_extension_vifs_follow_fd() {
    check(&hex!("04 fd03 01000000"), "credit 1 currency");
    check(&hex!("02 fd0c ffff"), "model_version invalid");
    check(&hex!("02 fd17 0004"), "error_flags 0004");
    check(&hex!("02 fd971d 0004"), "error_flags 0004 standard_conform");
    check(&hex!("01 fd28 01"), "storage_interval 1 mo");
    check(&hex!("01 fd31 0f"), "tariff_duration 15 min");
    check(&hex!("01 fd39 01"), "tariff_period 1 a");
    check(&hex!("02 fd3a 6712"), "dimensionless 4711");
    check(&hex!("02 fdba73 e803"), "dimensionless 1000e-3");
    check(&hex!("01 fd3d 10"), "nominal_transmission_period 16 min");
    check(&hex!("0a fd48 2723"), "voltage 2327e-1 V");
    check(&hex!("02 fd59 0100"), "current 1e-3 A");
    check(&hex!("04 fd6c 5e150000"), "battery_operating_time 5470 h");
    check(&hex!("04 fd70 32371f15"), "battery_change 2008-05-31T23:50");
    check(&hex!("01 fd71 c0"), "rf_level -64 dBm");
    check(&hex!("02 fd74 f00c"), "remaining_battery_life 3312 d");
    check(&hex!("01 fdfd02 05"), "remaining_battery_life 5 mo");
    check(&hex!("01 fdfd3e 05"), "moisture 5 %");
    check(&hex!("01 fdfd7f 05"), "reserved 7d 7f 5");
    check(&hex!("01 ef12 05"), "reserved ef 12 5");
}

#[test]
fn orthogonal_vifes_scale_or_say_what_else_it_is() {
    check(&hex!("04 9070 01000000"), "volume 1e-12 m3");
    check(&hex!("04 9377 01000000"), "volume 1e-2 m3");
    check(&hex!("04 937d 01000000"), "volume 1 m3");
    check(&hex!("04 93f57d 01000000"), "volume 1e-1 m3");
    check(&hex!("04 933a 01000000"), "volume 1e-3 m3 uncorrected");
    check(&hex!("04 933e 01000000"), "volume 1e-3 m3 base_conditions");
    check(&hex!("04 833c 01000000"), "energy 1 Wh backward");
    check(&hex!("04 a3fc01 01000000"), "on_time 1 d l1");
    check(&hex!("02 fdc8fc03 0100"), "voltage 1e-1 V l3");
    check(&hex!("04 abfc0c 01000000"), "power 1 W delta");
    check(&hex!("04 abfcff12 01000000"), "power 1 W reserved_fc_7f average");
    check(&hex!("04 9300 01000000"), "volume 1e-3 m3");
    check(&hex!("04 9315 01000000"), "volume 1e-3 m3 record_error_15");
    check(&hex!("04 9339 32371f15"), "volume 2008-05-31T23:50 start_time");
    check(&hex!("02 934a bf23"), "volume 2021-03-31 upper_limit_first_exceed_begin");
    check(&hex!("02 bb5d 0500"), "volume_flow 5 min upper_limit_last_exceed_duration");
    check(&hex!("02 bb41 0500"), "volume_flow 5 lower_limit_exceeds");
    check(&hex!("04 937f 01000000"), "volume 1e-3 m3 manufacturer");
    check(&hex!("04 93ff8102 01000000"), "volume 1e-3 m3 manufacturer_81_02");
    check(&hex!("02 6e 0080"), "hca_units invalid");
    check(&hex!("02 eefc11 0080"), "hca_units 32768 unsigned");
    check(&hex!("02 eefc12 0080"), "hca_units 0080 flags");
    check(&hex!("02 937e 0500"), "volume 5e-3 m3 future");
}

#[test]
fn additive_corrections_are_added_to_integers() {
    check(&hex!("02 937b 0500"), "volume 6e-3 m3 offset_1e0");
    check(&hex!("02 9379 0500"), "volume 501e-5 m3 offset_1e-2");
    check(&hex!("05 9379 0000c03f"), "volume 1.5e-3 m3 offset_1e-2");
}

#[test]
fn integers_digits_and_reals_keep_sign_and_validity() {
    check(&hex!("01 16 ff"), "volume -1 m3");
    check(&hex!("01 16 80"), "volume invalid m3");
    check(&hex!("03 16 ffff7f"), "volume 8388607 m3");
    check(&hex!("06 16 ffffffffffff"), "volume -1 m3");
    check(&hex!("07 16 0000000000000080"), "volume invalid m3");
    check(&hex!("09 16 99"), "volume 99 m3");
    check(&hex!("0a 16 23f1"), "volume -123 m3");
    check(&hex!("0b 16 0000f0"), "volume 0 m3");
    check(&hex!("0c 16 0000000a"), "volume invalid m3");
    check(&hex!("0c 16 ffffffff"), "volume invalid m3");
    check(&hex!("0e 16 563412907856"), "volume 567890123456 m3");
    check(&hex!("05 16 0000c03f"), "volume 1.5 m3");
    check(&hex!("05 16 0000c07f"), "volume invalid m3");
    check(&hex!("02 6c ffff"), "date invalid");
    check(&hex!("04 6d 0000e1f1"), "date_time invalid");
    check(&hex!("34 16 01000000"), "volume 1 m3 error");
    check(&hex!("00 16"), "volume none m3");
}

#[test]
fn dates_and_times_have_the_widths_of_their_types() {
    // A date is of type G, a date and time of type F, I or J.
    check(&hex!("02 6c bf23"), "date 2021-03-31");
    check(&hex!("04 6d 32371f15"), "date_time 2008-05-31T23:50");
    check(&hex!("03 6d 3b3b17"), "date_time 23:59:59");
    check(&hex!("06 6d 003217 1f1500"), "date_time 2008-05-31T23:50:00");
    // What a VIFE makes a moment is of any of them.
    check(&hex!("02 9339 bf23"), "volume 2021-03-31 start_time");
    check(&hex!("04 9339 32371f15"), "volume 2008-05-31T23:50 start_time");
    check(&hex!("02 fd70 bf23"), "battery_change 2021-03-31");
    for (octets, expected) in [
        (&hex!("01 6c 1f")[..], "date 1f"),
        (&hex!("03 6c 3b3b17"), "date 3b3b17"),
        (&hex!("04 6c 32371f15"), "date 32371f15"),
        (&hex!("06 6c 003217 1f1500"), "date 0032171f1500"),
        (&hex!("07 6c 003217 1f150000 00"), "date 0032171f15000000"),
        (&hex!("0a 6c 3112"), "date 3112"),
        (&hex!("05 6c 0000c03f"), "date 0000c03f"),
        (&hex!("0d 6c e4 32371f15"), "date 32371f15"),
        (&hex!("01 6d 1f"), "date_time 1f"),
        (&hex!("02 6d bf23"), "date_time bf23"),
        (&hex!("0c 6d 31122021"), "date_time 31122021"),
        (&hex!("0d 6d e2 bf23"), "date_time bf23"),
        (&hex!("0d 6d 02 3132"), "date_time 3132"),
    ] {
        check(octets, expected);
        let record = DataRecord::parse(&mut &*octets).unwrap();
        assert!(record.is_unread() && matches!(record.value, Value::Binary(_)), "{record}");
    }
}

#[test]
fn all_patterns_of_four_digits_are_read_as_digit_by_digit() {
    for pattern in 0..=u16::MAX {
        let digit = |place: u32| i64::from(pattern >> (4 * place) & 0x0f);
        let is_negative = digit(3) == 0x0f;
        let places = if is_negative { 0..3 } else { 0..4 };
        let is_valid = places.clone().all(|place| digit(place) <= 9);
        let value: i64 = places.map(|place| digit(place) * 10i64.pow(place)).sum();
        let expected = if is_valid { Value::Integer(if is_negative { -value } else { value }) } else { Value::Invalid };
        let [low, high] = pattern.to_le_bytes();
        assert_eq!(DataRecord::parse(&mut &[0x0a, 0x13, low, high][..]).unwrap().value, expected, "{pattern:04x}");
    }
}

#[test]
fn variable_data_is_text_digits_or_a_number() {
    check(&hex!("0d 78 05 3534333231"), "fabrication_number \"12345\"");
    check(&hex!("0d fd10 00"), "customer_location \"\"");
    check(&hex!("0d 78 c3 563412"), "fabrication_number 123456");
    check(&hex!("0d 16 d2 3412"), "volume -1234 m3");
    check(&hex!("0d 16 c9 785634129078563412"), "volume 123456789012345678 m3");
    check(&hex!("0d 16 c9 7856341290785634f2"), "volume -23456789012345678 m3");
    check(&hex!("0d 16 e2 feff"), "volume -2 m3");
    check(&hex!("0d 16 e9 010203040506070809"), "volume 010203040506070809 m3");
    check(&hex!("0d fd3b 03 8c2027"), "wireless_m_bus_container 8c2027");
    check(&hex!("0d 931e 02 3132"), "volume 3132 m3 compact_profile_register");
    check(&[&hex!("0d 16 f0")[..], &[1; 16]].concat(), "volume 01010101010101010101010101010101 m3");
    check(&[&hex!("0d 16 f6")[..], &[1; 64]].concat(), &format!("volume {} m3", "01".repeat(64)));
    check_reject(&hex!("0d 16 f7"), Reject::ReservedLvar(0xf7));
}

#[test]
fn numbers_in_place_of_flags_and_moments_are_octets() {
    check(&hex!("05 fd17 0000803f"), "error_flags 0000803f");
    check(&hex!("05 eefc12 0000803f"), "hca_units 0000803f flags");
    check(&hex!("0d fd17 c2 3412"), "error_flags 3412");
    check(&hex!("0d 6c c2 3112"), "date 3112");
    check(&hex!("0d 6d d2 3112"), "date_time 3112");
    for octets in [&hex!("0d 6c c2 3112")[..], &hex!("0d 6d d2 3112"), &hex!("0d 6d c9 010203040506070809")] {
        assert!(DataRecord::parse(&mut &*octets).unwrap().is_unread(), "{octets:02x?}");
    }
}

#[test]
fn a_number_has_one_sign() {
    check(&hex!("0d 16 d2 23f1"), "volume invalid m3");
    check(&hex!("0d 16 d1 f1"), "volume invalid m3");
    check(&hex!("0d 16 d9 7856341290785634f2"), "volume invalid m3");
    check(&hex!("0d 16 c2 23f1"), "volume -123 m3");
}

#[test]
fn an_unsigned_number_of_more_bits_than_are_read_is_no_value() {
    let wide = hex!("07 fd2b feffffffffffffff");
    let record = DataRecord::parse(&mut &wide[..]).unwrap();
    assert!(record.is_unread() && matches!(record.value, Value::Binary(_)));
    let version = hex!("0d fd0e 03 010203");
    assert!(!DataRecord::parse(&mut &version[..]).unwrap().is_unread());
    let widest = hex!("07 fd2b ffffffffffffff7f");
    let record = DataRecord::parse(&mut &widest[..]).unwrap();
    assert!(!record.is_unread() && record.value == Value::Integer(i64::MAX));
}

#[test]
fn plain_text_stands_after_the_vifes_or_before_them() {
    check(&hex!("02 7c 03 485225 3412"), "\"%RH\" 4660");
    check(&hex!("02 fc74 03 485225 3412"), "\"%RH\" 4660e-2");
    let record = DataRecord::parse(&mut &hex!("02 fc 03 485225 74 440d")[..]).unwrap();
    assert_eq!(record.to_string(), "\"%RH\" 3396e-2");
}

#[test]
fn manufacturers_keep_their_own() {
    check(&hex!("02 ff20 0100"), "manufacturer_specific 20 1");
    check(&hex!("02 7f 0100"), "manufacturer_specific 1");
    let mut records = Records::new(&hex!("2f2f 0213 0100 2f 1f 0102"));
    assert_eq!(records.by_ref().map(|record| record.unwrap().to_string()).collect::<Vec<_>>(), ["volume 1e-3 m3"]);
    let tail = records.manufacturer_data().unwrap();
    assert_eq!((tail.octets, tail.more_records_follow), (&hex!("0102")[..], true));
}

#[test]
fn a_damaged_record_ends_the_records_and_loses_none_before() {
    let good = Ok("volume 1e-3 m3".to_owned());
    for (tail, reject) in [
        (&hex!("0c13 0102")[..], Reject::Truncated),
        (&hex!("3f 0213 0100")[..], Reject::ReservedDif(0x3f)),
        (&hex!("84 80808080808080808080 00")[..], Reject::ChainTooLong),
        (&hex!("04 93 80808080808080808080 00")[..], Reject::ChainTooLong),
        (&hex!("0d13 ff")[..], Reject::ReservedLvar(0xff)),
    ] {
        let octets = [&hex!("0213 0100 0213 0100")[..], tail].concat();
        let read: Vec<_> = Records::new(&octets).map(|record| record.map(|record| record.to_string())).collect();
        assert_eq!(read, [good.clone(), good.clone(), Err(reject)]);
    }
}

#[test]
fn a_storage_number_of_more_than_32_bits_is_refused_and_loses_none_behind_it() {
    let number = |storage_number: u64| {
        let mut out = Vec::new();
        Draft::new(DataField::Integer16, &[0x13], Value::Integer(1)).storage(storage_number).emit(&mut out);
        out
    };
    let greatest = u64::from(u32::MAX);
    check(&number(greatest), "volume 1e-3 m3 s4294967295");
    for refused in [greatest + 1, greatest + 2, (1 << 41) - 1] {
        check_reject(&number(refused), Reject::StorageNumber(refused));
        let octets = [&number(5)[..], &number(refused), &number(6), &hex!("0f 01")].concat();
        let mut records = Records::new(&octets);
        let read: Vec<_> = records.by_ref().map(|record| record.map(|record| record.storage_number)).collect();
        assert_eq!(read, [Ok(5), Err(Reject::StorageNumber(refused)), Ok(6)]);
        assert_eq!(records.manufacturer_data().unwrap().octets, [1]);
        assert_eq!(outlines(&octets).count(), 3);
    }
}

#[test]
fn a_register_with_all_bits_set_is_none_whenever_it_was() {
    for (octets, expected) in [
        (&hex!("04 13 ffffffff")[..], true),
        (&hex!("44 13 ffffffff"), true),
        (&hex!("84 01 06 ffffffff"), true),
        (&hex!("02 6e ffff"), true),
        (&hex!("03 1b ffffff"), true),
        (&hex!("04 22 ffffffff"), true),
        (&hex!("07 fb03 ffffffffffffffff"), true),
        (&hex!("0d 13 e4 ffffffff"), true),
        (&hex!("04 83 3c ffffffff"), true),
        (&hex!("04 93 77 ffffffff"), true),
        (&hex!("02 fd74 ffff"), true),
        (&hex!("04 bb 60 ffffffff"), true),
        // What is added is added to a number. Other VIFEs give a register no sign: future, average, conform, not metric,
        // declared, a limit, reserved ones, the manufacturer's.
        (&hex!("02 93 7b ffff"), true),
        (&hex!("04 93 78 ffffffff"), true),
        (&hex!("0d 93 7b e4 ffffffff"), true),
        (&hex!("02 93 7b feff"), false),
        (&hex!("0c 93 7b 990900f0"), false),
        (&hex!("04 93 7e ffffffff"), true),
        (&hex!("04 93 12 ffffffff"), true),
        (&hex!("04 93 1d ffffffff"), true),
        (&hex!("04 93 3d ffffffff"), true),
        (&hex!("04 93 3f ffffffff"), true),
        (&hex!("04 93 48 ffffffff"), true),
        (&hex!("04 93 10 ffffffff"), true),
        (&hex!("04 93 fc 20 ffffffff"), true),
        (&hex!("04 93 7f ffffffff"), true),
        (&hex!("04 93 ff 01 ffffffff"), true),
        // A balance, a rate, a difference, a temperature; digits that say -1.
        (&hex!("04 93 36 ffffffff"), false),
        (&hex!("04 83 fc0c ffffffff"), false),
        (&hex!("44 93 25 ffffffff"), false),
        (&hex!("02 93 14 ffff"), false),
        (&hex!("02 3b ffff"), false),
        (&hex!("02 65 ffff"), false),
        (&hex!("0c 13 010000f0"), false),
        (&hex!("0d 13 d1 01"), false),
        (&hex!("04 13 feffffff"), false),
    ] {
        assert_eq!(DataRecord::parse(&mut &*octets).unwrap().is_all_ones(), expected, "{octets:02x?}");
    }
}

#[test]
fn units_without_a_code_of_their_own_have_a_factor() {
    assert_eq!(Unit::CubicMetre.dlms(), (13, (1, 1)));
    assert_eq!(Unit::CubicMetrePerSecond.dlms(), (15, (3600, 1)));
    assert_eq!(Unit::Calorie.dlms(), (25, (41_868, 10_000)));
    assert_eq!(Unit::KilogramPerHour.dlms(), (50, (1, 3600)));
}

fn any_value() -> impl Strategy<Value = (DataField, &'static [u8], Value<'static>)> {
    const VOLUME: &[u8] = &[0x13];
    const DATE: &[u8] = &[0x6c];
    const TIME: &[u8] = &[0x6d];
    const NUMBER: &[u8] = &[0x78];
    let bits = |n: u32| (-(1i64 << (n - 1)) + 1)..(1i64 << (n - 1));
    let digits = |n: u32| (1 - 10i64.pow(n - 1))..10i64.pow(n);
    prop_oneof![
        bits(8).prop_map(|v| (DataField::Integer8, VOLUME, Value::Integer(v))),
        bits(16).prop_map(|v| (DataField::Integer16, VOLUME, Value::Integer(v))),
        bits(24).prop_map(|v| (DataField::Integer24, VOLUME, Value::Integer(v))),
        bits(32).prop_map(|v| (DataField::Integer32, VOLUME, Value::Integer(v))),
        bits(48).prop_map(|v| (DataField::Integer48, VOLUME, Value::Integer(v))),
        (i64::MIN + 1..=i64::MAX).prop_map(|v| (DataField::Integer64, VOLUME, Value::Integer(v))),
        digits(2).prop_map(|v| (DataField::Bcd2, VOLUME, Value::Integer(v))),
        digits(4).prop_map(|v| (DataField::Bcd4, VOLUME, Value::Integer(v))),
        digits(6).prop_map(|v| (DataField::Bcd6, VOLUME, Value::Integer(v))),
        digits(8).prop_map(|v| (DataField::Bcd8, VOLUME, Value::Integer(v))),
        digits(12).prop_map(|v| (DataField::Bcd12, VOLUME, Value::Integer(v))),
        any::<f32>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| (
            DataField::Real32,
            VOLUME,
            Value::Float32(v.to_bits())
        )),
        (i64::MIN + 1..=i64::MAX).prop_map(|v| (DataField::Variable, VOLUME, Value::Integer(v))),
        Just((DataField::Integer32, VOLUME, Value::Invalid)),
        Just((DataField::Bcd8, VOLUME, Value::Invalid)),
        Just((DataField::Real32, VOLUME, Value::Invalid)),
        Just((DataField::None, VOLUME, Value::None)),
        Just((DataField::Variable, NUMBER, Value::Text(Text::new(b"54321")))),
        (1981u16..=2080, 1u8..=12, 1u8..=28).prop_map(|(y, m, d)| (
            DataField::Integer16,
            DATE,
            Value::Date(Date::new(y, m, d).unwrap())
        )),
        (0u8..24, 0u8..60, 0u8..60).prop_map(|(h, m, s)| (
            DataField::Integer24,
            TIME,
            Value::Time(Time::new(h, m, s).unwrap())
        )),
    ]
}

/// What [`common::record`] says of a record is what [`DataRecord::split`] says; true where it says anything.
fn is_common(octets: &[u8]) -> bool {
    let common = common::record(octets);
    if let Some(common) = common {
        assert_eq!(DataRecord::split(octets).map(|(record, _)| record), Ok(common), "{octets:02x?}");
    }
    common.is_some()
}

#[test]
fn the_short_way_through_a_record_says_what_the_long_way_says() {
    let data = hex!("19 12 a6 2b 05 00 00 80 13 7c");
    let mut common = 0;
    for dif in 0..=0xff {
        for dife in [&[][..], &[0x00], &[0x5a], &[0x8a], &[0xda, 0x35], &[0x80, 0x80, 0x41]] {
            for vif in 0..=0xffu8 {
                for code in [0x00, 0x17, 0x48, 0x7c, 0x93, 0xef, 0xfb, 0xfc, 0xfd, 0xff] {
                    let mut octets = vec![dif];
                    octets.extend(dife);
                    octets.extend([vif, code]);
                    octets.extend(data);
                    common += usize::from(is_common(&octets));
                    for end in [octets.len() - 5, octets.len() - 8, 4, 3] {
                        is_common(&octets[..end]);
                    }
                }
            }
        }
    }
    assert!(common > 100_000, "{common}");
}

#[test]
fn looking_for_a_record_stops_where_reading_does() {
    let octets =
        hex!("0c 13 78563412 2f 04 6d 19 12 a6 2b 8d 40 fd 11 03 414243 04 fc 03 68572f 74 00 00 00 00 0f 01 02");
    let vibs: Vec<_> =
        Records::new(&octets).map(|record| Outline::Record { vib: record.unwrap().vib.octets }).collect();
    let outlines: Vec<_> = outlines(&octets).collect();
    assert_eq!(outlines[..vibs.len()], vibs);
    assert_eq!(outlines[vibs.len()..], [Outline::Tail]);
}

#[test]
fn what_a_mark_is_in_its_field_can_be_looked_at() {
    for (octets, expected) in [
        (&hex!("02 13 0080")[..], Value::Integer(-32_768)),
        (&hex!("04 13 00000080"), Value::Integer(-2_147_483_648)),
        (&hex!("07 13 0000000000000080"), Value::Binary(&hex!("0000000000000080"))),
        (&hex!("02 fd17 ffff"), Value::Binary(&hex!("ffff"))),
        (&hex!("0a 13 eeee"), Value::Binary(&hex!("eeee"))),
        (&hex!("05 13 0000c07f"), Value::Binary(&hex!("0000c07f"))),
        (&hex!("0d 13 e2 0080"), Value::Integer(-32_768)),
        (&hex!("02 6c 0000"), Value::Date(Date { year: 2000, month: 0, day: 0 })),
        (&hex!("02 6c 1f2f"), Value::Date(Date { year: 2016, month: 15, day: 31 })),
        // A day of each year is one of none.
        (&hex!("02 6c ffff"), Value::Binary(&hex!("ffff"))),
        (&hex!("02 6c fffc"), Value::Binary(&hex!("fffc"))),
        (&hex!("04 6d 3b17 fffc"), Value::Binary(&hex!("3b17fffc"))),
        (&hex!("06 6d 003b17 fffc 00"), Value::Binary(&hex!("003b17fffc00"))),
        (&hex!("02 13 0700"), Value::Integer(7)),
    ] {
        let record = DataRecord::parse(&mut &*octets).unwrap();
        assert_eq!(record.held(), expected, "{octets:02x?}");
        assert_eq!(record.value == record.held(), record.value != Value::Invalid);
    }
    let time = DataRecord::parse(&mut &hex!("04 6d 80000000")[..]).unwrap();
    assert_eq!((time.value, time.held().to_string()), (Value::Invalid, "2000-00-00T00:00".to_owned()));
}

proptest! {
    #[test]
    fn any_octets_are_outlined_as_they_are_read(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
        is_common(&octets);
        let mut records = Records::new(&octets);
        let read: Vec<_> = records.by_ref().flatten().map(|record| record.vib.octets).collect();
        let outlined: Vec<_> = outlines(&octets)
            .filter_map(|outline| match outline { Outline::Record { vib } => Some(vib), Outline::Tail => None })
            .collect();
        prop_assert_eq!(read, outlined);
    }

    #[test]
    fn what_is_sent_is_what_is_read((data_field, vib, value) in any_value(), storage_number in 0u32..100, tariff in 0u32..9) {
        let draft = Draft::new(data_field, vib, value).storage(storage_number.into()).tariff(tariff).function(Function::Maximum);
        let mut out = Vec::new();
        draft.emit(&mut out);
        let mut buf = out.as_slice();
        let record = DataRecord::parse(&mut buf).unwrap();
        prop_assert!(buf.is_empty());
        prop_assert_eq!(record.value, value);
        prop_assert_eq!((record.storage_number, record.tariff, record.subunit), (storage_number, tariff, 0));
        prop_assert_eq!((record.function, record.data_field, record.vib.octets), (Function::Maximum, data_field, vib));
    }

    #[test]
    fn a_value_too_wide_for_its_field_is_sent_as_invalid(value in 32_768i64..) {
        for data_field in [DataField::Integer16, DataField::Bcd4] {
            let mut out = Vec::new();
            Draft::new(data_field, &[0x13], Value::Integer(value)).emit(&mut out);
            prop_assert_eq!(DataRecord::parse(&mut out.as_slice()).unwrap().value, Value::Invalid);
        }
    }

    #[test]
    fn any_octets_are_records_or_rejected(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        for record in Records::new(&octets) {
            let _ = record.map(|record| (record.to_string(), record.held()));
        }
    }
}

/// Every code of every table with the value 1, as it is printed: what is reserved is in no line.
#[test]
fn every_code_of_every_table_means_what_was_reviewed() {
    let mut text = String::new();
    for prefix in [&[][..], &[0xfb], &[0xfd], &[0xfd, 0xfd], &[0xef], &[0x93], &[0x93, 0xfc]] {
        // FB and FD lead to tables of their own, FC and FF to what the maker says.
        let is_own =
            |code: &u8| matches!((prefix.last(), code), (None, 0x7b..=0x7d | 0x7f) | (Some(0x93), 0x7c | 0x7f));
        for code in (0..0x80).filter(|code| !is_own(code)) {
            let vib = [prefix, &[code]].concat();
            let octets = [&[0x04], vib.as_slice(), &[1, 0, 0, 0]].concat();
            let mut buf = octets.as_slice();
            let record = DataRecord::parse(&mut buf).unwrap();
            assert!(buf.is_empty() && record.vib.octets == vib);
            let is_reserved = record.vib.quantity == Quantity::Reserved
                || record.vib.modifiers.iter().any(|modifier| matches!(modifier, Modifier::Reserved { .. }));
            if !is_reserved {
                text += &format!("{} {record}\n", hex::encode(&vib));
            }
        }
    }
    if std::env::var_os("DCU_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vif-tables.txt"), &text).unwrap();
    }
    assert_eq!(text, include_str!("../../tests/data/vif-tables.txt"), "DCU_BLESS=1 writes it anew");
}
