//! Rows made by us: device type, data record, and the reading in one line.

use wmbus::record::DataRecord;

use super::*;
use crate::reading::{MeterTime, TimeQuality, Unit};

const GAS: u8 = 0x03;
const HEAT: u8 = 0x04;
const WARM: u8 = 0x06;
const WATER: u8 = 0x07;
const HCA: u8 = 0x08;
const COOLING: u8 = 0x0a;
const COMBINED: u8 = 0x0d;
const CONVERTER: u8 = 0x13;
const COLD: u8 = 0x16;
const ELECTRICITY: u8 = 0x02;

fn sent(record: &DataRecord<'_>) -> Value {
    value(record.value, record.vib.exponent)
}

#[track_caller]
fn check(device_type: u8, record: &str, expected: &str) {
    check_with(UnmarkedGas::default(), device_type, record, expected);
}

#[track_caller]
fn check_with(unmarked_gas: UnmarkedGas, device_type: u8, record: &str, expected: &str) {
    let octets = hex::decode(record.replace(' ', "")).unwrap();
    let mut buf = octets.as_slice();
    let record = DataRecord::parse(&mut buf).unwrap();
    assert!(buf.is_empty(), "octets left over");
    assert_eq!(print(&reading(&record, sent(&record), &source(), device_type, unmarked_gas)), expected);
}

/// What is not the ordinary is printed after the value: function, storage, tariff, subunit, modifiers, quality.
fn print(reading: &Reading) -> String {
    let Register { obis, quantity, unit, function, storage, tariff, subunit, modifier } = &reading.register;
    let mut text = obis.map_or("-".into(), |obis| obis.to_string().replace("*255", ""));
    text += &format!(" {quantity} {}", reading.value);
    if !unit.to_string().is_empty() {
        text += &format!(" {unit}");
    }
    if *function != Function::Instantaneous {
        text += &format!(" {function:?}");
    }
    for (letter, number) in [("s", *storage), ("t", *tariff), ("u", u32::from(*subunit))] {
        if number != 0 {
            text += &format!(" {letter}{number}");
        }
    }
    if !modifier.is_empty() {
        text += &format!(" {modifier}");
    }
    if reading.quality != Quality::GOOD {
        text += &format!(" [{}]", reading.quality);
    }
    text
}

fn source() -> Arc<Source> {
    Arc::new(Source {
        meter: "KAM-12345678-1b-16".parse().unwrap(),
        origin: Origin::Spontaneous,
        path: Path::Direct,
        standing: Standing::Sole,
        meter_time: None,
        received: received(),
        status: vec![0],
        links: Vec::new(),
        hops: None,
        security: Security::Plain,
        access_number: None,
        evidence: None,
    })
}

fn received() -> Received {
    Received { boot_id: [7; 16], boot_ms: 5, utc_ms: 1_749_988_800_000, quality: TimeQuality::Synchronised }
}

#[test]
fn what_is_in_the_clear_behind_what_is_encrypted_is_no_good_value() {
    use wmbus::record::{DataField, DateTime, Draft, Value as Sent};
    use wmbus::sim::{Message, Protection};
    use wmbus::{Address, Form, Key, Scratch};

    let address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 7 };
    let time = DateTime::parse_f([0x19, 0x12, 0xa6, 0x2b]).unwrap();
    let records = [
        Draft::new(DataField::Bcd8, &[0x13], Sent::Integer(123_456)),
        Draft::new(DataField::Integer32, &[0x6d], Sent::DateTime(time)),
    ];
    let key = Key::new([3; 16]);
    let group = Group { clock: Some(jiff::tz::TimeZone::UTC), ..Group::default() };
    let read = |protection, more: &[u8]| {
        let mut frame = Message::new(address, 42, &records).protection(protection).emit(Form::Stripped).unwrap();
        frame.extend_from_slice(more);
        frame[0] += more.len() as u8;
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, &frame, &key, &mut scratch).unwrap();
        convert(&telegram, received(), Vec::new(), &group)
    };
    let mode_5 = || Protection::AesCbcIv(&key);
    let good = ["8-0:1.0.0 volume 123.456 m3", "0-0:1.0.0 date_time 2021-11-06T18:25"];
    let own = read(mode_5(), &[]);
    for (more, last) in [
        (&[0x2f, 0x2f][..], None),
        (&[0x04, 0x13, 0x40, 0x42, 0x0f, 0x00], Some("8-0:1.0.0 volume 1000.000 m3 [downgraded]")),
        // The meter's clock is not told by whoever pleases either.
        (&[0x04, 0x6d, 0x00, 0x00, 0x21, 0x31], Some("0-0:1.0.0 date_time 2025-01-01T00:00 [downgraded]")),
    ] {
        let mut converted = read(mode_5(), more);
        let lines: Vec<_> = converted.readings.iter().map(print).collect();
        assert_eq!(lines, good.into_iter().chain(last).collect::<Vec<_>>());
        assert_eq!((converted.verdict, converted.source.meter_time), (Verdict::Ok, own.source.meter_time));
        // Where the meter's group demands more, it is none at all, and the telegram is kept.
        assert_eq!(converted.leave_out_clear(), last.is_some());
        assert_eq!(converted.readings.len(), good.len());
        let expected = last.map_or((Verdict::Ok, None), |_| (Verdict::Partial, Some(wmbus::Reject::InTheClear)));
        assert_eq!((converted.verdict, converted.reject), expected);
    }
    // A MAC covers all of it.
    let more = read(Protection::AesCbcNoIv { key: &key, counter: 1 }, &[0x04, 0x13, 0x40, 0x42, 0x0f, 0x00]);
    assert_eq!((more.readings.len(), more.source.security), (0, Security::BadMac));
}

#[test]
fn what_came_open_counts_as_plain_whatever_its_header_says() {
    use wmbus::record::{DataField, Draft, Value as Sent};
    use wmbus::sim::Message;
    use wmbus::{Address, Form, NoKeys, Scratch};

    let address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 7 };
    let records = [Draft::new(DataField::Bcd8, &[0x13], Sent::Integer(123_456))];
    // Short header, mode 5 with one block, and the check octets in clear.
    let mut frame = Message::new(address, 42, &records).emit(Form::Stripped).unwrap();
    let at = frame.windows(2).position(|pair| pair == [0x0c, 0x13]).unwrap();
    frame.splice(at..at, [0x2f, 0x2f]);
    frame.extend([0x2f; 8]);
    frame[at - 2..at].copy_from_slice(&[0x10, 0x05]);
    frame[0] = u8::try_from(frame.len() - 1).unwrap();
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&frame, &NoKeys, &mut scratch).unwrap();
    assert_eq!(telegram.verdict, Verdict::Ok, "{telegram}");
    let Converted { source, readings, .. } = convert(&telegram, received(), Vec::new(), &Group::default());
    assert_eq!((readings.len(), source.security), (1, Security::Plain));
}

#[test]
fn water_meters_have_the_codes_of_oms() {
    // Volumes, in every coding and power of ten.
    check(WATER, "0c13 56341200", "8-0:1.0.0 volume 123.456 m3");
    check(COLD, "0c13 56341200", "8-0:1.0.0 volume 123.456 m3");
    check(WARM, "0c13 56341200", "9-0:1.0.0 volume 123.456 m3");
    check(0x15, "0c13 56341200", "9-0:1.0.0 volume 123.456 m3");
    check(WATER, "0413 40e20100", "8-0:1.0.0 volume 123.456 m3");
    check(WATER, "0410 40e20100", "8-0:1.0.0 volume 0.123456 m3");
    check(WATER, "0411 40e20100", "8-0:1.0.0 volume 1.23456 m3");
    check(WATER, "0412 40e20100", "8-0:1.0.0 volume 12.3456 m3");
    check(WATER, "0414 40e20100", "8-0:1.0.0 volume 1234.56 m3");
    check(WATER, "0415 40e20100", "8-0:1.0.0 volume 12345.6 m3");
    check(WATER, "0416 40e20100", "8-0:1.0.0 volume 123456 m3");
    check(WATER, "0417 40e20100", "8-0:1.0.0 volume 1234560 m3");
    check(WATER, "0913 42", "8-0:1.0.0 volume 0.042 m3");
    check(WATER, "0a13 3412", "8-0:1.0.0 volume 1.234 m3");
    check(WATER, "0b13 563412", "8-0:1.0.0 volume 123.456 m3");
    check(WATER, "0e13 785634120000", "8-0:1.0.0 volume 12345.678 m3");
    check(WATER, "0113 2a", "8-0:1.0.0 volume 0.042 m3");
    check(WATER, "0213 feff", "8-0:1.0.0 volume -0.002 m3");
    check(WATER, "0313 40e201", "8-0:1.0.0 volume 123.456 m3");
    check(WATER, "0613 40e201000000", "8-0:1.0.0 volume 123.456 m3");
    check(WATER, "0713 40e2010000000000", "8-0:1.0.0 volume 123.456 m3");
    check(WATER, "0516 0000c03f", "8-0:1.0.0 volume 1.5 m3");
    check(WATER, "0513 0000c03f", "8-0:1.0.0 volume 0.0015 m3");
    check(WATER, "0c13 563412f0", "8-0:1.0.0 volume -123.456 m3");
    check(WATER, "049373 40e20100", "8-0:1.0.0 volume 0.123456 m3");
    // Tariffs go to group E, subunits to group B.
    check(WATER, "8c1013 56341200", "8-0:1.0.1 volume 123.456 m3 t1");
    check(WATER, "8c2013 56341200", "8-0:1.0.2 volume 123.456 m3 t2");
    check(WARM, "8c3013 56341200", "9-0:1.0.3 volume 123.456 m3 t3");
    check(WATER, "8c801013 56341200", "8-0:1.0.4 volume 123.456 m3 t4");
    check(WATER, "8c4013 56341200", "8-1:1.0.0 volume 123.456 m3 u1");
    check(WATER, "8c804013 56341200", "8-2:1.0.0 volume 123.456 m3 u2");
    // The set date is storage number 1; periodical values have no code.
    check(WATER, "4c13 56341200", "8-0:1.2.0 volume 123.456 m3 s1");
    check(WARM, "4c13 56341200", "9-0:1.2.0 volume 123.456 m3 s1");
    check(WATER, "cc1013 56341200", "8-0:1.2.1 volume 123.456 m3 s1 t1");
    check(WATER, "8c0113 56341200", "- volume 123.456 m3 s2");
    check(WATER, "cc0113 56341200", "- volume 123.456 m3 s3");
    check(WATER, "8c0413 56341200", "- volume 123.456 m3 s8");
    check(WATER, "426c bf23", "- date 2021-03-31 s1");
    // What a VIFE makes another quantity has no code of the volume.
    check(WATER, "0c933c 00000000", "- volume 0.000 m3 backward");
    check(WATER, "0c933b 00000000", "- volume 0.000 m3 forward");
    check(WATER, "0c937e 00000000", "- volume 0.000 m3 future");
    check(WATER, "02937f 0100", "- volume 0.001 m3 manufacturer");
    // Flow and temperature.
    check(WATER, "023b 2a00", "8-0:2.0.0 volume_flow 0.042 m3/h");
    check(WARM, "023b 2a00", "9-0:2.0.0 volume_flow 0.042 m3/h");
    check(WATER, "023b ffff", "8-0:2.0.0 volume_flow -0.001 m3/h");
    check(WATER, "0242 2a00", "8-0:2.0.0 volume_flow 0.00042 m3/min");
    check(WATER, "024b 2a00", "8-0:2.0.0 volume_flow 0.000042 m3/s");
    check(WATER, "123b 2a00", "8-0:2.5.0 volume_flow 0.042 m3/h Maximum");
    check(WATER, "223b 2a00", "8-0:2.4.0 volume_flow 0.042 m3/h Minimum");
    check(WATER, "523b 2a00", "- volume_flow 0.042 m3/h Maximum s1");
    check(WATER, "0259 ea07", "8-0:3.0.0 flow_temperature 20.26 Cel");
    check(WATER, "1259 ea07", "8-0:3.5.0 flow_temperature 20.26 Cel Maximum");
    check(WATER, "0167 15", "- external_temperature 21 Cel");
    // Dates, identities, flags.
    check(WATER, "046d 1912a62b", "0-0:1.0.0 date_time 2021-11-06T18:25");
    check(WATER, "066d 050a0c672b00", "0-0:1.0.0 date_time 2019-11-07T12:10:05");
    check(WATER, "026c bf23", "8-0:0.9.2 date 2021-03-31");
    check(WATER, "0c78 96221603", "0-0:96.1.0 fabrication_number 3162296");
    check(WATER, "0d78 03 434241", "0-0:96.1.0 fabrication_number ABC");
    check(WATER, "02fd17 0001", "0-0:97.97.0 error_flags 0001");
    check(WATER, "02fd971d 0001", "0-0:97.97.0 error_flags 0001 standard_conform");
    check(WATER, "02fd74 6810", "0-0:96.6.6 remaining_battery_life 4200 d");
    check(WATER, "0226 6810", "0-0:96.8.0 operating_time 4200 h");
    check(WATER, "02fd46 3c0f", "- voltage 3.900 V");
    // No valid value.
    check(WATER, "0c13 aaaaaaaa", "8-0:1.0.0 volume  m3 [invalid]");
    check(WATER, "0413 00000080", "8-0:1.0.0 volume  m3 [invalid]");
    check(WATER, "049315 00000000", "- volume 0.000 m3 record_error_15 [invalid]");
    check(WATER, "3c13 56341200", "- volume 123.456 m3 Error [error_state]");
    check(WATER, "426c ffff", "- date  s1 [invalid]");
    check(WATER, "046d b992a62b", "0-0:1.0.0 date_time 2021-11-06T18:57 [invalid]");
    // A water data logger is no water meter of the tables.
    check(0x11, "0c13 56341200", "- volume 123.456 m3");
    check(0x28, "0c13 56341200", "- volume 123.456 m3");
}

#[test]
fn gas_keeps_its_conditions_apart() {
    // As the meter marks them.
    check(GAS, "0c933a 56341200", "7-0:3.0.0 volume 123.456 m3 uncorrected");
    check(GAS, "0c13 56341200", "7-0:3.1.0 volume 123.456 m3");
    check(GAS, "0c933e 56341200", "7-0:3.2.0 volume 123.456 m3 base_conditions");
    check(GAS, "04933a 40e20100", "7-0:3.0.0 volume 123.456 m3 uncorrected");
    check(GAS, "0414 40e20100", "7-0:3.1.0 volume 1234.56 m3");
    check(GAS, "04943e 40e20100", "7-0:3.2.0 volume 1234.56 m3 base_conditions");
    check(GAS, "0516 0000c03f", "7-0:3.1.0 volume 1.5 m3");
    check(GAS, "0c931d 56341200", "7-0:3.1.0 volume 123.456 m3 standard_conform");
    check(GAS, "0c939d3a 56341200", "7-0:3.0.0 volume 123.456 m3 standard_conform,uncorrected");
    // Tariffs, subunits, storage.
    check(GAS, "8c10933a 56341200", "7-0:3.0.1 volume 123.456 m3 t1 uncorrected");
    check(GAS, "8c1013 56341200", "7-0:3.1.1 volume 123.456 m3 t1");
    check(GAS, "8c20933e 56341200", "7-0:3.2.2 volume 123.456 m3 t2 base_conditions");
    check(GAS, "8c4013 56341200", "7-1:3.1.0 volume 123.456 m3 u1");
    check(GAS, "4c933a 56341200", "7-0:3.0.0*101 volume 123.456 m3 s1 uncorrected");
    check(GAS, "4c13 56341200", "7-0:3.1.0*101 volume 123.456 m3 s1");
    check(GAS, "4c933e 56341200", "7-0:3.2.0*101 volume 123.456 m3 s1 base_conditions");
    check(GAS, "8c0113 56341200", "- volume 123.456 m3 s2");
    check(GAS, "cc02933a 56341200", "- volume 123.456 m3 s5 uncorrected");
    // What the group says of volumes without a mark.
    check_with(UnmarkedGas::Metering, GAS, "0c13 56341200", "7-0:3.0.0 volume 123.456 m3");
    check_with(UnmarkedGas::Base, GAS, "0c13 56341200", "7-0:3.2.0 volume 123.456 m3");
    check_with(UnmarkedGas::Unspecified, GAS, "0c13 56341200", "- volume 123.456 m3");
    check_with(UnmarkedGas::Metering, GAS, "0c933e 56341200", "7-0:3.2.0 volume 123.456 m3 base_conditions");
    check_with(UnmarkedGas::Unspecified, GAS, "0c933a 56341200", "7-0:3.0.0 volume 123.456 m3 uncorrected");
    check_with(UnmarkedGas::Metering, GAS, "4c13 56341200", "7-0:3.0.0*101 volume 123.456 m3 s1");
    check_with(UnmarkedGas::Metering, GAS, "023b 2a00", "7-0:43.15.0 volume_flow 0.042 m3/h");
    // Flow, averages, base values.
    check(GAS, "02bb3a 2a00", "7-0:43.15.0 volume_flow 0.042 m3/h uncorrected");
    check(GAS, "023b 2a00", "7-0:43.16.0 volume_flow 0.042 m3/h");
    check(GAS, "02bb3e 2a00", "7-0:43.17.0 volume_flow 0.042 m3/h base_conditions");
    check(GAS, "0171 05", "7-0:0.8.28 averaging_duration 5 min");
    check(GAS, "02e53e 9600", "7-0:0.41.2 external_temperature 1.50 Cel base_conditions");
    check(GAS, "02e93e f503", "7-0:0.42.2 pressure 10.13 bar base_conditions");
    check(GAS, "026c bf23", "7-0:0.9.2 date 2021-03-31");
    check(GAS, "046d 1912a62b", "0-0:1.0.0 date_time 2021-11-06T18:25");
    // Directions are not in the tables; feet are no cubic metres.
    check(GAS, "0c933c 56341200", "- volume 123.456 m3 backward");
    check(GAS, "04fb21 40e20100", "7-0:3.1.0 volume 12345.6 ft3");
    // A converter has codes of its own.
    check(CONVERTER, "0c933a 56341200", "7-0:13.0.0 volume 123.456 m3 uncorrected");
    check(CONVERTER, "0c933e 56341200", "7-0:13.2.0 volume 123.456 m3 base_conditions");
    check(CONVERTER, "0c13 56341200", "- volume 123.456 m3");
    // No valid value.
    check(GAS, "0c13 eeeeeeee", "7-0:3.1.0 volume  m3 [invalid]");
    check(GAS, "3c13 56341200", "- volume 123.456 m3 Error [error_state]");
}

#[test]
fn base_conditions_have_units_of_their_own() {
    let unit = |octets: &[u8]| {
        let record = DataRecord::parse(&mut &*octets).unwrap();
        reading(&record, sent(&record), &source(), GAS, UnmarkedGas::default()).register.unit
    };
    assert_eq!(unit(&[0x01, 0x93, 0x3e, 1]), Unit::CUBIC_METRE_CORRECTED);
    assert_eq!(unit(&[0x01, 0xbb, 0x3e, 1]), Unit::CUBIC_METRE_PER_HOUR_CORRECTED);
    assert_eq!(unit(&[0x01, 0x93, 0x3a, 1]), Unit::CUBIC_METRE);
}

#[test]
fn heat_and_cooling_mirror_each_other() {
    check(HEAT, "0406 40e20100", "6-0:1.0.0 energy 123456000 Wh");
    check(0x0c, "0406 40e20100", "6-0:1.0.0 energy 123456000 Wh");
    check(COOLING, "0406 40e20100", "5-0:1.0.0 energy 123456000 Wh");
    check(COMBINED, "0406 40e20100", "6-0:1.0.0 energy 123456000 Wh");
    check(COMBINED, "04863c 40e20100", "5-0:1.0.0 energy 123456000 Wh backward");
    check(COMBINED, "44863c 40e20100", "5-0:1.2.0 energy 123456000 Wh s1 backward");
    check(HEAT, "04863c 40e20100", "- energy 123456000 Wh backward");
    check(HEAT, "040e 40e20100", "6-0:1.0.0 energy 123456000000 J");
    check(HEAT, "04fb00 40e20100", "6-0:1.0.0 energy 12345600000 Wh");
    check(HEAT, "04fb08 40e20100", "6-0:1.0.0 energy 12345600000000 J");
    check(HEAT, "04fb0d 40e20100", "6-0:1.0.0 energy 123456000000 cal");
    check(HEAT, "841006 40e20100", "6-0:1.0.1 energy 123456000 Wh t1");
    check(HEAT, "4406 40e20100", "6-0:1.2.0 energy 123456000 Wh s1");
    check(HEAT, "426c bf23", "6-0:0.1.10 date 2021-03-31 s1");
    check(HEAT, "446d 3b179f2c", "6-0:0.1.10 date_time 2020-12-31T23:59 s1");
    check(HEAT, "0414 40e20100", "6-0:2.0.0 volume 1234.56 m3");
    check(HEAT, "4414 40e20100", "6-0:2.2.0 volume 1234.56 m3 s1");
    check(HEAT, "022d 2a00", "6-0:8.0.0 power 4200 W");
    check(HEAT, "122d 2a00", "6-0:8.5.0 power 4200 W Maximum");
    check(HEAT, "023b 2a00", "6-0:9.0.0 volume_flow 0.042 m3/h");
    check(HEAT, "0253 2a00", "- mass_flow 42 kg/h");
    check(HEAT, "0259 ea07", "6-0:10.0.0 flow_temperature 20.26 Cel");
    check(HEAT, "025d ea07", "6-0:11.0.0 return_temperature 20.26 Cel");
    check(HEAT, "0261 ea07", "6-0:12.0.0 temperature_difference 20.26 K");
    check(HCA, "036e 2a0000", "4-0:1.0.0 hca_units 42");
    check(HCA, "436e 2a0000", "4-0:1.2.0 hca_units 42 s1");
    check(HCA, "03ee fc11 2a0000", "4-0:1.0.0 hca_units 42 unsigned");
    check(HCA, "426c bf23", "4-0:0.1.10 date 2021-03-31 s1");
    check(HCA, "02fb68 0010", "- resulting_rating_factor 4096 1/4096");
}

#[test]
fn electricity_has_the_codes_of_its_directions_and_phases() {
    check(ELECTRICITY, "0403 40e20100", "1-0:1.8.0 energy 123456 Wh");
    check(ELECTRICITY, "841003 40e20100", "1-0:1.8.1 energy 123456 Wh t1");
    check(ELECTRICITY, "04833c 40e20100", "1-0:2.8.0 energy 123456 Wh backward");
    check(ELECTRICITY, "0483fc0c 40e20100", "1-0:16.8.0 energy 123456 Wh delta");
    check(ELECTRICITY, "0483fc10 40e20100", "1-0:15.8.0 energy 123456 Wh absolute_sum");
    check(ELECTRICITY, "4403 40e20100", "1-0:1.8.0*101 energy 123456 Wh s1");
    check(ELECTRICITY, "04fb02 40e20100", "1-0:3.8.0 reactive_energy 123456000 varh");
    check(ELECTRICITY, "04fb82fc09 40e20100", "1-0:6.8.0 reactive_energy 123456000 varh quadrant_2");
    check(ELECTRICITY, "022b 2a00", "1-0:1.7.0 power 42 W");
    check(ELECTRICITY, "02ab3c 2a00", "1-0:2.7.0 power 42 W backward");
    check(ELECTRICITY, "02abfc0c 2a00", "1-0:16.7.0 power 42 W delta");
    check(ELECTRICITY, "02abbcfc01 2a00", "1-0:22.7.0 power 42 W backward,l1");
    check(ELECTRICITY, "02abfc81 3c 2a00", "1-0:22.7.0 power 42 W l1,backward");
    check(ELECTRICITY, "122b 2a00", "1-0:1.6.0 power 42 W Maximum");
    check(ELECTRICITY, "02fdc8fc01 f700", "1-0:32.7.0 voltage 24.7 V l1");
    check(ELECTRICITY, "02fdc8fc03 f700", "1-0:72.7.0 voltage 24.7 V l3");
    check(ELECTRICITY, "02fdd9fc02 f700", "1-0:51.7.0 current 0.247 A l2");
    check(ELECTRICITY, "02fb2d 8413", "1-0:14.7.0 frequency 49.96 Hz");
    check(ELECTRICITY, "046d 1912a62b", "1-0:0.9.1 date_time 2021-11-06T18:25");
}

#[test]
fn quantities_without_a_name_keep_their_octets() {
    check(WATER, "02ff20 0100", "- manufacturer_specific 1 manufacturer_20");
    check(WATER, "027c 03 485225 2a00", "- plain_text 42 %RH");
    check(WATER, "02fd7e 2a00", "- reserved 42 vif_fd_7e");
    check(WATER, "0d7c 03 434241 02 5958", "- plain_text XY ABC");
}

#[test]
fn octets_in_place_of_a_number_or_a_day_are_no_good_value() {
    // Compact profiles: no base, a reserved spacing, a reserved coding, no whole slots, no profile at all.
    check(WATER, "8d04931f 04 52101000", "- volume 52101000 s8 compact_profile [invalid]");
    check(WATER, "8d049313 04 72fb0a00", "- volume 72fb0a00 s8 inverse_compact_profile [invalid]");
    check(WATER, "8d04931e 04 7ffe0a00", "- volume 7ffe0a00 s8 compact_profile_register [invalid]");
    check(HCA, "8d04ee13 03 72fe0a", "- hca_units 72fe0a s8 inverse_compact_profile [invalid]");
    check(WATER, "04931f 01020304", "- volume 01020304 compact_profile [invalid]");
    // More digits than are read.
    check(WATER, "0d13 ca 01020304050607080910", "- volume 01020304050607080910 [invalid]");
    check(HCA, "0d6e ca 01020304050607080910", "- hca_units 01020304050607080910 [invalid]");
    // Days of another width than two octets, days and times of one that is no type of theirs.
    check(WATER, "016c 05", "- date 05 [invalid]");
    check(WATER, "036c 3b300b", "- date 3b300b [invalid]");
    check(WATER, "046c 1912a62b", "- date 1912a62b [invalid]");
    check(WATER, "026d a62b", "- date_time a62b [invalid]");
    check(WATER, "056c 0000c03f", "- date 0000c03f [invalid]");
    check(WATER, "0a6c 1312", "- date 1312 [invalid]");
    check(WATER, "0d6d 03 010203", "- date_time 010203 [invalid]");
    check(WATER, "05fd70 0000c03f", "- battery_change 0000c03f [invalid]");
    // Containers stay what they are, and times of day.
    check(WATER, "0dfd17 03 010203", "0-0:97.97.0 error_flags 010203");
    check(WATER, "0dff01 03 010203", "- manufacturer_specific 010203 manufacturer_01");
    check(WATER, "036d 3b300b", "0-0:1.0.0 date_time 11:48:59");
}

#[test]
fn registers_with_all_bits_set_are_none() {
    check(WATER, "4413 ffffffff", "8-0:1.2.0 volume -0.001 m3 s1 [invalid]");
    check(HEAT, "840106 ffffffff", "- energy -1000 Wh s2 [invalid]");
    check(WATER, "0413 ffffffff", "8-0:1.0.0 volume -0.001 m3 [invalid]");
    check(WATER, "4213 ffff", "8-0:1.2.0 volume -0.001 m3 s1 [invalid]");
    check(HCA, "026e ffff", "4-0:1.0.0 hca_units -1 [invalid]");
    check(WATER, "0c13 010000f0", "8-0:1.0.0 volume -0.001 m3");
    check(WATER, "449325 ffffffff", "- volume -0.001 m3 s1 per_month");
    let frame = frame(&[0x44, 0x13, 0xff, 0xff, 0xff, 0xff]);
    let mut scratch = wmbus::Scratch::default();
    let telegram = Telegram::decode(&frame, &wmbus::NoKeys, &mut scratch).unwrap();
    let Converted { readings, .. } = convert(&telegram, received(), Vec::new(), &Group::default());
    assert_eq!(readings.iter().map(|reading| reading.value.clone()).collect::<Vec<_>>(), [Value::None]);
}

#[test]
fn an_identification_of_eight_octets_is_an_address() {
    let names = |records: &[u8]| {
        let frame = frame(records);
        let mut scratch = wmbus::Scratch::default();
        let telegram = Telegram::decode(&frame, &wmbus::NoKeys, &mut scratch).unwrap();
        inspect(&telegram, received(), &Group::default()).readings.iter().map(print).collect::<Vec<_>>()
    };
    let address = [0x07, 0x79, 0x67, 0x66, 0x55, 0x55, 0x93, 0x44, 0x17, 0x06];
    assert_eq!(names(&address), ["0-0:96.1.255 identification QDS-55556667-17-06"]);
    assert_eq!(names(&[0x0c, 0x79, 0x67, 0x66, 0x55, 0x55]), ["0-0:96.1.255 identification 55556667"]);
}

/// A plain telegram of a water meter whose maker is nobody.
fn frame(records: &[u8]) -> Vec<u8> {
    let head = [0x44, 0x21, 0x04, 0x78, 0x56, 0x34, 0x12, 0x01, 0x07, 0x7a, 0x01, 0x00, 0x00, 0x00];
    let len = u8::try_from(head.len() + records.len()).unwrap();
    [&[len][..], &head, records].concat()
}

#[test]
fn reals_keep_their_bits() {
    let record = DataRecord::parse(&mut [0x05u8, 0x13, 0xcd, 0xcc, 0xcc, 0x3d].as_slice())
        .map(|record| (sent(&record), quality(&record)));
    assert_eq!(record, Ok((Value::Float32 { bits: 0x3dcc_cccd, scaler: -3 }, Quality::GOOD)));
}

#[test]
fn a_telegram_says_who_when_and_how() {
    use wmbus::record::{DataField, DateTime, Draft, Value as Sent};
    use wmbus::sim::{Message, Protection};
    use wmbus::{Form, Key, NoKeys, Scratch};

    let address = wmbus::Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 7 };
    let time = DateTime::parse_f([0x19, 0x12, 0xa6, 0x2b]).unwrap();
    let records = [
        Draft::new(DataField::Bcd8, &[0x13], Sent::Integer(123_456)),
        Draft::new(DataField::Integer32, &[0x6d], Sent::DateTime(time)),
    ];
    let key = Key::new([3; 16]);
    let message = Message::new(address, 42, &records).status(0x84).protection(Protection::AesCbcIv(&key));
    let frame = message.emit(Form::FormatA).unwrap();
    let links = vec![Link { receiver: "roof".into(), rssi_dbm: Some(-71), lqi: None }];
    let group = Group { clock: Some(jiff::tz::TimeZone::UTC), evidence: true, ..Group::default() };

    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&frame, &key, &mut scratch).unwrap();
    let Converted { source, readings, verdict, .. } = convert(&telegram, received(), links.clone(), &group);
    assert_eq!(verdict, Verdict::Ok);
    let lines: Vec<_> = readings.iter().map(print).collect();
    assert_eq!(lines, ["8-0:1.0.0 volume 123.456 m3", "0-0:1.0.0 date_time 2021-11-06T18:25"]);
    assert!(readings.iter().all(|reading| Arc::ptr_eq(&reading.source, &source)));
    assert_eq!(source.meter.to_string(), "KAM-12345678-1b-07");
    let civil = CivilTime { date: CivilDate { year: 2021, month: 11, day: 6 }, hour: 18, minute: 25, second: None };
    let meter_time = MeterTime { civil, status: Default::default(), utc: Some(1_636_223_100) };
    assert_eq!(source.meter_time, Some(meter_time));
    assert_eq!((source.status.as_slice(), source.access_number), ([0x84].as_slice(), Some(42)));
    assert_eq!((source.security, &source.links), (Security::Decrypted, &links));
    assert_eq!(source.evidence, Some(message.emit(Form::Stripped).unwrap()));

    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&frame, &NoKeys, &mut scratch).unwrap();
    let converted = convert(&telegram, received(), links.clone(), &group);
    assert_eq!((converted.verdict, converted.readings.len()), (Verdict::NoKey, 0));
    let raw = raw(&telegram, &converted);
    assert_eq!((raw.reason, raw.meter), (Security::NoKey, Some(source.meter)));
    assert_eq!(raw.octets, message.emit(Form::Stripped).unwrap());
}

#[test]
fn text_in_the_place_of_a_number_is_no_value_of_its_quantity() {
    use wmbus::{Form, NoKeys, Scratch};

    // Energy and volume as text, volume of no digits; a customer location is text.
    for (record, expected) in [
        ("0d060431323334", "invalid"),
        ("0d1303636261", "invalid"),
        ("0d1300", "invalid"),
        ("0d13c0", "invalid"),
        ("0d13d0", "invalid"),
        ("0dfd1003636261", "good"),
    ] {
        let frame = hex::decode(format!("{:02x}44931599003412010778{record}", 10 + record.len() / 2)).unwrap();
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, &frame, &NoKeys, &mut scratch).unwrap();
        let converted = convert(&telegram, received(), Vec::new(), &Group::default());
        let [reading] = &converted.readings[..] else { panic!("{converted:?}") };
        assert_eq!(reading.quality.to_string(), expected, "{record}");
        assert!(reading.register.obis.is_none(), "{record}");
    }
}

#[test]
fn a_repeaters_copy_is_the_same_telegram_with_a_hop() {
    use wmbus::sim::{Message, Protection};
    use wmbus::{Address, Form, Key, Link, Scratch};

    let address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 1, device_type: 7 };
    let other = Address { identification: 0x8765_4321, ..address };
    let key = Key::new([7; 16]);
    let records = [];
    let keys = std::collections::HashMap::<Address, Key>::new();
    let plain = || Message::new(address, 5, &records);
    let adapter = Message { meter_address: Some(other), ..plain() };
    // With L before them: where the mark of the hop is.
    for (message, at, hop) in [
        (plain(), 13, 0x01),
        (adapter, 21, 0x01),
        (plain().protection(Protection::AesCbcIv(&key)), 13, 0x01),
        (plain().protection(Protection::AesCbcNoIv { key: &key, counter: 9 }), 11, 0x10),
    ] {
        let frame = message.emit(Form::Stripped).unwrap();
        let convert = |frame: &[u8]| {
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode_as(Form::Stripped, frame, &keys, &mut scratch).unwrap();
            assert!(matches!(telegram.link, Link::Wireless { .. }));
            super::convert(&telegram, received(), Vec::new(), &Group::default())
        };
        let direct = convert(&frame);
        let mut copy = frame.clone();
        copy[at] |= hop;
        let copy = convert(&copy);
        assert_eq!((direct.source.hops, copy.source.hops), (None, Some(1)), "{message:?}");
        assert_eq!(direct.digest, copy.digest, "{message:?}");
        // However far its address is said to be unique.
        let mut local = frame.clone();
        local[3] |= 0x80;
        let local = convert(&local);
        assert_eq!((local.digest, local.source.meter), (direct.digest, direct.source.meter), "{message:?}");
        let mut next = frame;
        next[at - 1] ^= 1;
        assert_ne!(convert(&next).digest, direct.digest);
    }
}

#[test]
fn what_is_no_value_of_type_b_may_be_one_of_a_maker() {
    let kamstrup = wmbus::Address { manufacturer: 0x2c2d, identification: 1, version: 0x1b, device_type: WATER };
    for (octets, expected) in [
        (&[0x02, 0xff, 0x20, 0x00, 0x80][..], "info_codes 32768 good"),
        (&[0x04, 0xff, 0x07, 0xff, 0xff, 0xff, 0xff], "volume_times_flow_temperature none invalid"),
        (&[0x02, 0xff, 0x7e, 0x00, 0x80], "manufacturer_specific none invalid"),
    ] {
        let record = DataRecord::parse(&mut &*octets).unwrap();
        let own = reading(&record, sent(&record), &source(), WATER, UnmarkedGas::default());
        let readings: Vec<_> = with_fields(own, &record, &kamstrup).collect();
        let [reading] = readings.as_slice() else { panic!("{readings:?}") };
        let value = match reading.value {
            Value::Decimal { mantissa, scaler: 0 } => mantissa.to_string(),
            Value::None => "none".to_owned(),
            _ => panic!("{reading:?}"),
        };
        assert_eq!(format!("{} {value} {}", reading.register.quantity, reading.quality), expected);
    }
}
