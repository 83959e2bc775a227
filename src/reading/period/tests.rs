use wmbus::record::{DataField, Date as Day, DateTime, Draft, Value as Sent};
use wmbus::sim::Message;
use wmbus::{Form, NoKeys, Scratch, Telegram};

use super::*;
use crate::reading::from_wmbus::convert;
use crate::reading::{Group, Received, TimeQuality};

const VOLUME: &[u8] = &[0x13];
const DATE: &[u8] = &[0x6c];
const DATE_TIME: &[u8] = &[0x6d];
const MONTHS: &[u8] = &[0xfd, 0x28];

fn volume(storage: u64) -> Draft<'static> {
    Draft::new(DataField::Integer32, VOLUME, Sent::Integer(1)).storage(storage)
}

fn date(storage: u64, (year, month, day): (u16, u8, u8)) -> Draft<'static> {
    Draft::new(DataField::Integer16, DATE, Sent::Date(Day::new(year, month, day).unwrap())).storage(storage)
}

/// The moments of the records of a meter, each with its storage number.
#[track_caller]
fn check(meter: &str, records: &[Draft<'_>], expected: &[(u32, &str)]) {
    let MeterId::MBus { manufacturer, identification, version, device_type } = meter.parse().unwrap() else {
        unreachable!()
    };
    let address = wmbus::Address { manufacturer: manufacturer.0, identification, version, device_type };
    let frame = Message::new(address, 1, records).emit(Form::Stripped).unwrap();
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode(&frame, &NoKeys, &mut scratch).unwrap();
    let received = Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Unsynchronised };
    let readings = convert(&telegram, received, Vec::new(), &Group::default()).readings;
    let moments = stored_at(&readings);
    assert_eq!(moments.len(), readings.len());
    let dated = readings.iter().zip(&moments);
    let dated: Vec<_> = dated.filter_map(|(r, moment)| Some((r.register.storage, moment.as_deref()?))).collect();
    assert_eq!(dated, expected);
}

#[test]
fn a_date_with_the_same_storage_number_dates_the_value() {
    let at = Sent::DateTime(DateTime::parse_f([0x3b, 0x17, 0x9f, 0x2c]).unwrap());
    check(
        "KAM-12345678-1b-16",
        &[
            volume(0),
            date(0, (2025, 3, 4)),
            volume(1),
            date(1, (2024, 12, 31)),
            volume(2),
            volume(3),
            Draft::new(DataField::Integer32, DATE_TIME, at).storage(3),
            volume(3).tariff(1),
        ],
        &[(1, "2024-12-31"), (3, "2020-12-31T23:59"), (3, "2020-12-31T23:59")],
    );
}

#[test]
fn an_interval_and_a_base_date_the_values_that_follow() {
    let interval = |months| Draft::new(DataField::Integer8, MONTHS, Sent::Integer(months)).storage(8);
    let series = |months, base| [interval(months), date(8, base), volume(8), volume(9), volume(10), volume(18)];
    check(
        "KAM-12345678-1b-16",
        &series(1, (2020, 12, 31)),
        &[(8, "2020-12-31"), (8, "2020-12-31"), (9, "2020-11-30"), (10, "2020-10-31"), (18, "2020-02-29")],
    );
    check(
        "KAM-12345678-1b-16",
        &series(3, (2020, 12, 15)),
        &[(8, "2020-12-15"), (8, "2020-12-15"), (9, "2020-09-15"), (10, "2020-06-15"), (18, "2018-06-15")],
    );
    check("KAM-12345678-1b-16", &series(0, (2020, 12, 15)), &[(8, "2020-12-15"), (8, "2020-12-15")]);
}

#[test]
fn models_that_send_no_dates_have_them_by_their_rule() {
    let clock = DateTime::parse_f([0x3b, 0x17, 0x9f, 0x2c]).unwrap();
    let clock = Draft::new(DataField::Integer32, DATE_TIME, Sent::DateTime(clock));
    check(
        "DWZ-20050666-00-06",
        &[clock, volume(1), volume(2), volume(3), volume(16), volume(17)],
        &[(2, "2020-11-30"), (3, "2020-10-31"), (16, "2019-09-30")],
    );
    check("MAD-93573086-00-04", &[date(1, (2020, 12, 31)), volume(3)], &[(3, "2020-10-31")]);
    check("KAM-20050666-00-06", &[clock, volume(2)], &[]);
}
