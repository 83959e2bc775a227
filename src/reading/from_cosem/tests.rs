use dlms::Obis;
use dlms::apdu::Attribute;
use dlms::cosem::Rows;
use dlms::data::encode;
use dlms::time::DeviationSign;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::{Function, TimeQuality};
use super::*;

fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn utc(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

fn context(clock: ClockRule) -> Context {
    let received = Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Synchronised };
    Context {
        meter: MeterId::SystemTitle(*b"DCU\x01\0\0\0\x07"),
        path: Path::Direct,
        origin: Origin::Profile,
        received,
        links: Vec::new(),
        security: Security::Plain,
        clock,
        has_idis_status: true,
    }
}

fn column(class_id: u16, obis: [u8; 6], scaler_unit: Option<(i8, u8)>) -> Column {
    let object = CaptureObject { attribute: Attribute::new(class_id, Obis(obis), 2), data_index: 0 };
    Column { object, scaler_unit: scaler_unit.map(|(scaler, unit)| ScalerUnit { scaler, unit }) }
}

#[test]
fn a_moment_is_the_same_for_every_way_to_write_it() {
    for (sign, zone) in [
        (DeviationSign::Dlms, Some(berlin())),
        (DeviationSign::Inverted, Some(berlin())),
        (DeviationSign::Dlms, None),
        (DeviationSign::Inverted, Some(TimeZone::fixed(jiff::tz::offset(3)))),
    ] {
        let rule = ClockRule { sign, zone };
        // Both hours of the autumn change-over, and around that of spring.
        for hour in 0..6 * 4 {
            for begin in ["2026-10-24T23:00:00Z", "2026-03-28T23:00:00Z"] {
                let moment = utc(begin) + hour * 900;
                let written = rule.written(moment);
                assert_eq!(rule.utc(&written), Some(moment), "{rule:?} {written}");
                let naive = dlms::DateTime { deviation: None, ..written };
                assert_eq!(rule.utc(&naive), rule.zone.as_ref().map(|_| moment), "{rule:?} {naive}");
            }
        }
    }
    let summer = ClockRule { sign: DeviationSign::Inverted, zone: Some(berlin()) }.written(utc("2026-07-01T10:00:00Z"));
    assert_eq!(summer.to_string(), "2026-07-01T12:00:00 dev 120 sts 80");
}

#[test]
fn a_row_is_readings_with_its_stamp_and_status() {
    let columns = [
        column(8, [0, 0, 1, 0, 0, 255], None),
        column(1, [0, 0, 96, 10, 1, 255], None),
        column(3, [1, 0, 1, 8, 2, 255], Some((-1, 30))),
        column(4, [1, 0, 1, 6, 0, 255], Some((0, 27))),
    ];
    let rule = ClockRule { sign: DeviationSign::Dlms, zone: None };
    let stamp = rule.written(utc("2026-01-01T00:15:00Z")).octets();
    let buffer = encode(|out| {
        out.array(2);
        out.structure(4).put(Data::OctetString(&stamp)).put(Data::Unsigned(0xa4));
        out.put(Data::DoubleLongUnsigned(12_345)).put(Data::Float32(1.5));
        // A short row: the clock and the energy are as compressed.
        out.structure(3).put(Data::NullData).put(Data::Unsigned(0)).put(Data::NullData);
    });
    let kinds: Vec<_> = columns.iter().map(|column| (&column.object).into()).collect();
    let mut rows = Rows::new(Data::parse_all(&buffer).unwrap(), &kinds, 900).unwrap();
    let context = context(rule);
    let interval = Some(Interval { end_utc: utc("2026-01-01T00:15:00Z"), length_s: 900 });
    let first = context.row(&rows.next().unwrap().unwrap(), &columns, interval);
    let [energy, demand] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((energy.value.to_string(), energy.register.unit.to_string()), ("1234.5".into(), "Wh".into()));
    assert_eq!((energy.register.tariff, &*energy.register.quantity), (2, "energy"));
    assert_eq!(energy.register.obis.unwrap().to_string(), "1-0:1.8.2*255");
    assert_eq!(energy.source.status, [0xa4]);
    let flags = Quality::INVALID.with(Quality::CLOCK_ADJUSTED).with(Quality::POWER_DOWN);
    assert_eq!((energy.quality, energy.interval), (flags, interval));
    assert_eq!(energy.source.meter_time.unwrap().utc, Some(utc("2026-01-01T00:15:00Z")));
    assert_eq!(demand.value, Value::Float32 { bits: 1.5_f32.to_bits(), scaler: 0 });
    assert_eq!((demand.register.function, &*demand.register.quantity), (Function::Maximum, "power"));
    let second = context.row(&rows.next().unwrap().unwrap(), &columns, None);
    let [energy] = second.as_slice() else { panic!("{second:?}") };
    assert_eq!((energy.value.to_string().as_str(), energy.quality), ("1234.5", Quality::GOOD));
    assert_eq!(energy.source.meter_time.unwrap().utc, Some(utc("2026-01-01T00:30:00Z")));
}

#[test]
fn a_value_that_no_mantissa_holds_is_kept_as_it_came() {
    assert_eq!(
        value(&Data::Long64Unsigned(u64::MAX), 0).0,
        Value::Octets(Data::Long64Unsigned(u64::MAX).octets().into())
    );
    assert_eq!(value(&Data::Long64(i64::MIN), 3).0, Value::Decimal { mantissa: i64::MIN, scaler: 3 });
    assert_eq!(value(&Data::NullData, 0), (Value::None, Quality::INVALID));
    assert_eq!(value(&Data::VisibleString(b"ab"), 0).0, Value::Text("ab".into()));
}

#[test]
fn another_layout_has_another_fingerprint() {
    let one = [column(8, [0, 0, 1, 0, 0, 255], None).object, column(3, [1, 0, 1, 8, 0, 255], None).object];
    assert_eq!(fingerprint(&one, 900), fingerprint(&one, 900));
    assert_ne!(fingerprint(&one, 900), fingerprint(&one, 1800));
    assert_ne!(fingerprint(&one, 900), fingerprint(&one[..1], 900));
}
