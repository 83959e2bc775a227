//! The emulated meter as the client sees it: change-over days, quirks of profiles, clock, relay, firmware, push, keys.

use super::object::MbusChannel;
use super::*;
use crate::apdu::{Apdu, Attribute, CaptureObject, Method, RangeDescriptor, Selection};
use crate::client::tests::{CLOCK, ENERGY, LOAD_PROFILE, Medium, Pair, UNIX, open, protected};
use crate::client::{Answer, Cause, Event};
use crate::cosem::{Column, ControlMode, KeyKind, MbusClient, Rows, key_transfer};
use crate::data::{Items, encode};
use crate::security::{EncryptionKey, encipher_mbus_key, wrap_key};
use crate::spec::ActionResult;
use crate::time::{ClockStatus, DeviationSign};
use crate::{Data, DateTime, Obis};

const COLUMNS: [Column; 4] = [Column::Clock, Column::Value, Column::Value, Column::Value];
/// 2026-03-29T00:00 and 2026-10-25T00:00 in Central Europe.
const CHANGE_OVERS: [(i64, i64); 2] = [(1_774_738_800, 92), (1_792_879_200, 100)];

fn pair(model: &Model) -> Pair {
    let (settings, access) = open();
    let mut pair = Pair::with_model(Medium::Wrapper, settings, access, model);
    pair.server.meter.world.true_ms = 1_798_761_600_000;
    pair.associate().unwrap();
    pair
}

/// Rows of the load profile after `from` up to `to`, seconds since 1970 UTC, read by range and put back together.
fn rows(pair: &mut Pair, from: i64, to: i64) -> Vec<(DateTime, i64, Vec<String>, usize)> {
    let clock = pair.server.meter.world.clock.clone();
    let (first, last) = (clock.date_time(from + 1).octets(), clock.date_time(to).octets());
    let range = RangeDescriptor {
        restricting_object: CaptureObject::new(CLOCK),
        from_value: Data::OctetString(&first),
        to_value: Data::OctetString(&last),
        selected_values: Items::EMPTY,
    };
    let id = pair.client.get(LOAD_PROFILE, Some(Selection::Range(range)), pair.now);
    let Ok(Answer::Value(octets)) = pair.answer(id) else { panic!("no rows") };
    let mut rows = Rows::new(Data::parse_all(&octets).unwrap(), &COLUMNS, 900).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next() {
        let row = row.unwrap();
        let stamp = row.clock.unwrap();
        let values = row.values[1..].iter().map(ToString::to_string).collect();
        all.push((stamp, stamp.unix_seconds(clock.sign).unwrap(), values, row.sent));
    }
    all
}

#[test]
fn change_over_days_have_92_and_100_quarters_whatever_the_sign_of_the_deviation() {
    for sign in [DeviationSign::Dlms, DeviationSign::Inverted] {
        for quirks in [Quirks::default(), Quirks { null_clock: true, null_values: true, ..Quirks::default() }] {
            let model = Model { quirks, entries: 100_000, ..Model::electricity(3).unwrap() };
            let mut pair = pair(&model);
            pair.server.meter.world.clock.sign = sign;
            let curve = model.curve(ENERGY.logical_name);
            for (midnight, quarters) in CHANGE_OVERS {
                let day = rows(&mut pair, midnight, midnight + quarters * 900);
                assert_eq!(day.len() as i64, quarters);
                for ((stamp, unix, values, _), number) in day.iter().zip(1..) {
                    assert_eq!(*unix, midnight + number * 900, "{stamp}");
                    assert_eq!(values[1], curve.at(*unix).to_string());
                    let is_summer = values[0].parse::<u8>().unwrap() & 0x08 != 0;
                    assert_eq!(is_summer, stamp.status.is_daylight_saving(), "{stamp}");
                }
                let [first, last] = [&day[0].0, &day[day.len() - 1].0];
                assert_eq!((first.time.to_string().as_str(), last.time.to_string().as_str()), ("00:15:00", "00:00:00"));
            }
        }
    }
}

#[test]
fn rows_are_the_same_however_they_are_sent() {
    let outage = UNIX - 50_000..UNIX - 43_333;
    let plain = Model {
        entries: 100_000,
        quirks: Quirks { outages: vec![outage.clone()], ..Quirks::default() },
        ..Model::electricity(3).unwrap()
    };
    let mut reference = pair(&plain);
    let expected = rows(&mut reference, UNIX - 86_400, UNIX);
    // Seven rows are away, and one more has the moment at which the supply came back.
    assert_eq!(expected.len(), 96 - 7 + 1);
    let extra = expected.iter().find(|row| row.1 == outage.end).unwrap();
    assert_eq!(extra.2[0].parse::<u8>().unwrap() & 0x80, 0x80);
    let compressed = Quirks { null_clock: true, null_values: true, outages: vec![outage.clone()], ..Quirks::default() };
    assert_eq!(rows(&mut pair(&Model { quirks: compressed.clone(), ..plain.clone() }), UNIX - 86_400, UNIX), expected);
    let odd = Quirks { short_each: 10, long_each: 7, ..compressed };
    let odd = rows(&mut pair(&Model { quirks: odd, ..plain.clone() }), UNIX - 86_400, UNIX);
    assert_eq!(odd.len(), expected.len());
    for (row, whole) in odd.iter().zip(&expected) {
        assert_eq!(row.1, whole.1);
        match row.3 {
            3 => assert_eq!(row.2[2], "null"),
            4 | 5 => assert_eq!(row.2, whole.2),
            sent => panic!("{sent} columns"),
        }
    }
    assert!(odd.iter().any(|row| row.3 == 3) && odd.iter().any(|row| row.3 == 5));
    let late = Quirks { late_seconds: 1, null_clock: true, ..Quirks::default() };
    let late = rows(&mut pair(&Model { quirks: late, ..plain }), UNIX - 3600, UNIX);
    assert_eq!(late.iter().map(|row| row.1 - UNIX).collect::<Vec<_>>(), [-2699, -1799, -899, 1]);
}

#[test]
fn daily_and_monthly_profiles_end_at_local_midnight() {
    let model = Model::electricity(3).unwrap();
    let clock = MeterClock::new(Zone::CENTRAL_EUROPE);
    let profiles = model.profiles();
    let daily = &profiles[1].1;
    let slots = daily.slots(&clock, CHANGE_OVERS[0].0 - 1, CHANGE_OVERS[0].0 + 3 * 86_400, UNIX);
    let ends: Vec<_> = slots.iter().map(|slot| slot.end - CHANGE_OVERS[0].0).collect();
    assert_eq!(ends, [0, 82_800, 169_200, 255_600]);
    let monthly = &profiles[2].1;
    let slots = monthly.slots(&clock, i64::MIN, i64::MAX, UNIX);
    let stamps: Vec<_> = slots.iter().map(|slot| clock.date_time(slot.end).to_string()).collect();
    assert_eq!(stamps[0], "2026-02-01T00:00:00 dev -60 sts 00");
    assert_eq!(stamps[4], "2026-06-01T00:00:00 dev -120 sts 80");
    assert_eq!(stamps.len(), 5);
    for (_, profile) in &profiles {
        assert_eq!(profile.slots(&clock, i64::MAX - 86_400, i64::MAX, UNIX), []);
        assert_eq!(profile.slots(&clock, i64::MIN, UNIX - 400 * 86_400, UNIX), []);
    }
}

#[test]
fn a_clock_drifts_and_is_set_and_shifted() {
    let (settings, access) = open();
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    pair.associate().unwrap();
    let clock = |pair: &mut Pair| {
        let Ok(Answer::Value(octets)) = pair.get(CLOCK) else { panic!() };
        let time = Data::parse_all(&octets).unwrap().date_time().unwrap();
        time.unix_seconds(DeviationSign::Dlms).unwrap()
    };
    let begin = pair.server.meter.world.true_ms;
    pair.server.meter.world.clock.drift_ppm = 100;
    pair.server.meter.world.clock.misset(-5_000, begin);
    assert_eq!(clock(&mut pair) - UNIX, -5);
    pair.now += std::time::Duration::from_secs(86_400 * 10);
    assert_eq!(clock(&mut pair) - UNIX - 864_000, -5 + 86);
    let method = |method| Method::new(8, CLOCK.logical_name, method);
    assert_eq!(pair.action(method(6), Some(Data::Long(-81))), Ok(Answer::Returned(None)));
    assert_eq!(clock(&mut pair) - UNIX - 864_000, 0);
    assert!(pair.action(method(6), Some(Data::Long(901))).is_err());
    let noon = DateTime::from_local(UNIX + 864_000 + 7200 + 600, Some(-120), ClockStatus(0x80));
    assert_eq!(pair.set(CLOCK, Data::OctetString(&noon.octets())), Ok(Answer::Done));
    assert_eq!(clock(&mut pair) - UNIX - 864_000, 600);
    assert!(pair.action(method(4), None).is_err(), "nothing was preset");
}

#[test]
fn a_relay_obeys_its_control_mode() {
    let relay = Obis::new(0, 0, 96, 3, 10, 255);
    for (mode, disconnected, reconnected) in [
        (0, "true 1", "true 1"),
        (1, "false 0", "false 2"),
        (2, "false 0", "true 1"),
        (3, "false 0", "false 2"),
        (4, "false 0", "true 1"),
        (5, "false 0", "false 2"),
        (6, "false 0", "false 2"),
    ] {
        let model = Model { control_mode: ControlMode::new(mode).unwrap(), ..Model::electricity(1).unwrap() };
        let mut pair = pair(&model);
        let state = |pair: &mut Pair| {
            let [output, state] = [2, 3].map(|attribute| pair.value(Attribute::new(70, relay, attribute)));
            format!("{output} {state}")
        };
        let result = pair.action(Method::new(70, relay, 1), Some(Data::Integer(0)));
        assert_eq!(result.is_ok(), mode != 0);
        assert_eq!(state(&mut pair), disconnected, "mode {mode}");
        let _ = pair.action(Method::new(70, relay, 2), Some(Data::Integer(0)));
        assert_eq!(state(&mut pair), reconnected, "mode {mode}");
        assert_eq!(pair.value(Attribute::new(70, relay, 4)), mode.to_string());
    }
}

#[test]
fn firmware_is_taken_block_by_block_and_goes_on_where_it_was() {
    let mut pair = pair(&Model::electricity(1).unwrap());
    let image = Obis::new(0, 0, 44, 0, 0, 255);
    let call = |pair: &mut Pair, method, parameter: Vec<u8>| {
        pair.action(Method::new(18, image, method), Some(Data::parse_all(&parameter).unwrap()))
    };
    let none = || Data::Integer(0).octets();
    let initiate = encode(|out| {
        out.structure(2).put(Data::OctetString(b"fw-2")).put(Data::DoubleLongUnsigned(300));
    });
    let block = |number: u32, octets: &[u8]| {
        encode(|out| {
            out.structure(2).put(Data::DoubleLongUnsigned(number)).put(Data::OctetString(octets));
        })
    };
    call(&mut pair, 1, initiate.clone()).unwrap();
    call(&mut pair, 2, block(0, &[1; 128])).unwrap();
    call(&mut pair, 2, block(2, &[1; 44])).unwrap();
    assert_eq!(call(&mut pair, 2, block(1, &[1; 5])).unwrap_err().cause, Cause::Action(ActionResult::OtherReason));
    assert_eq!(pair.value(Attribute::new(18, image, 3)), "101");
    assert_eq!(pair.value(Attribute::new(18, image, 4)), "1");
    assert!(call(&mut pair, 3, none()).is_err(), "a block is missing");
    call(&mut pair, 1, initiate).unwrap();
    assert_eq!(pair.value(Attribute::new(18, image, 3)), "101", "the blocks stay");
    call(&mut pair, 2, block(1, &[1; 128])).unwrap();
    call(&mut pair, 3, none()).unwrap();
    assert_eq!(pair.value(Attribute::new(18, image, 7)), format!("[{{300, {}, }}]", hex::encode("fw-2")));
    call(&mut pair, 4, none()).unwrap();
    assert_eq!(pair.value(Attribute::new(18, image, 6)), "6");
    let effects: Vec<_> = std::iter::from_fn(|| pair.server.poll_effect()).collect();
    assert_eq!(effects, [Effect::Activated(b"fw-2".to_vec())]);
}

#[test]
fn a_meter_pushes_values_and_the_client_hands_them_on() {
    for medium in [Medium::Wrapper, Medium::HdlcWide] {
        let (settings, access) = protected();
        let mut pair = Pair::new(medium, settings, access);
        pair.associate().unwrap();
        assert_eq!(
            pair.action(Method::new(40, Obis::new(0, 0, 25, 9, 0, 255), 1), Some(Data::Integer(0))),
            Ok(Answer::Returned(None))
        );
        pair.until(|events| events.iter().any(|event| matches!(event, Event::Notified(_))));
        let Some(Event::Notified(octets)) = pair.events.pop() else { panic!() };
        let Ok(Apdu::DataNotification(push)) = Apdu::parse(&octets) else { panic!() };
        let [_, clock, energy] = push.body.fields("a push").unwrap();
        assert_eq!(clock.date_time().unwrap().unix_seconds(DeviationSign::Dlms), Some(UNIX));
        let curve = Model::electricity(1).unwrap().curve(ENERGY.logical_name);
        assert_eq!(energy.number::<u64>(), Ok(curve.at(UNIX)));
    }
}

#[test]
fn keys_come_wrapped_and_hold_for_the_next_association() {
    let (settings, access) = protected();
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    pair.associate().unwrap();
    let setup = Obis::new(0, 0, 43, 0, 0, 255);
    let wrapped = wrap_key(&[0x4d; 16], &[0x77; 16]).unwrap();
    let transfer = key_transfer(&[(KeyKind::GlobalUnicastEncryption, &wrapped)]);
    let transfer = Data::parse_all(&transfer).unwrap();
    assert_eq!(pair.action(Method::new(64, setup, 2), Some(transfer)), Ok(Answer::Returned(None)));
    assert!(pair.get(ENERGY).is_ok(), "the old key holds until the association ends");
    pair.client.release(pair.now);
    pair.until(|events| events.contains(&Event::Closed));
    assert!(pair.associate().is_err(), "the old key is old");
    pair.until(|events| events.contains(&Event::Closed));
    let (settings, access) = protected();
    let mut other = Pair::new(Medium::Wrapper, settings, access);
    let key = EncryptionKey::new(&[0x77; 16]).unwrap();
    other.server.accesses[0].ciphering.as_mut().unwrap().global = key;
    assert!(other.associate().is_err());
    let bad = key_transfer(&[(KeyKind::Authentication, &[0; 24])]);
    let mut third = Pair::new(Medium::Wrapper, protected().0, protected().1);
    third.associate().unwrap();
    let refused = third.action(Method::new(64, setup, 2), Some(Data::parse_all(&bad).unwrap()));
    assert_eq!(refused.unwrap_err().cause, Cause::Action(ActionResult::OtherReason));
}

#[test]
fn a_gas_meter_is_behind_the_electricity_meter() {
    let gas = MbusClient { identification_number: 0x1234_5678, manufacturer_id: 0x1593, version: 1, device_type: 3 };
    let mut pair = pair(&Model { gas: Some(gas), ..Model::electricity(1).unwrap() });
    let channel = Obis::new(0, 1, 24, 1, 0, 255);
    let attributes = [6, 7, 8, 9].map(|attribute| {
        let Ok(Answer::Value(octets)) = pair.get(Attribute::new(72, channel, attribute)) else { panic!() };
        octets
    });
    let found = MbusClient::new([0, 1, 2, 3].map(|place| Data::parse_all(&attributes[place]).unwrap()));
    assert_eq!(found, Ok(gas));
    assert!(pair.action(Method::new(72, channel, 1), None).is_err(), "the channel is taken");
    pair.action(Method::new(72, channel, 2), None).unwrap();
    assert_eq!(pair.value(Attribute::new(72, channel, 9)), "0");
    let volume = Attribute::new(4, Obis::new(0, 1, 24, 2, 1, 255), 3);
    assert_eq!(pair.value(volume), "{-3, 13}");
    assert_eq!(pair.value(Attribute::new(7, Obis::new(0, 1, 24, 3, 0, 255), 4)), "3600");
}

#[test]
fn a_channel_is_installed_keyed_and_left_and_refuses_what_is_out_of_turn() {
    let gas = MbusClient { identification_number: 0x1234_5678, manufacturer_id: 0x1593, version: 1, device_type: 3 };
    let mut pair = pair(&Model::electricity(1).unwrap());
    let channel = Obis::new(0, 1, 24, 1, 0, 255);
    let mut object = MbusChannel::new(1, None);
    (object.waiting, object.alarm) = (Some(gas), 4);
    pair.server.meter.insert(channel, Box::new(object));
    let (default_key, key) = ([0x44; 16], [0x55; 16]);
    let enciphered = encipher_mbus_key(&default_key, &key);
    let invoke = |pair: &mut Pair, method, parameter| {
        pair.action(Method::new(72, channel, method), Some(parameter)).err().map(|failure| failure.cause)
    };
    let refused = |why| Some(Cause::Action(why));
    let status = |pair: &mut Pair| pair.value(Attribute::new(72, channel, 14));
    let (none, set, sent) = (Data::OctetString(&[]), Data::OctetString(&key), Data::OctetString(&enciphered));
    for method in 2..=8 {
        let parameter = if method < 7 { Data::Unsigned(0) } else { set };
        assert_eq!(invoke(&mut pair, method, parameter), refused(ActionResult::OtherReason), "nobody is installed");
    }
    assert_eq!(invoke(&mut pair, 1, Data::Integer(0)), refused(ActionResult::TypeUnmatched));
    assert_eq!(invoke(&mut pair, 1, Data::Unsigned(251)), refused(ActionResult::OtherReason));
    pair.set(Attribute::new(72, channel, 6), Data::DoubleLongUnsigned(7)).unwrap();
    assert_eq!(invoke(&mut pair, 1, Data::Unsigned(0)), refused(ActionResult::ObjectUnavailable), "another is wanted");
    let numbers =
        [Data::DoubleLongUnsigned(0x1234_5678), Data::LongUnsigned(0x1593), Data::Unsigned(1), Data::Unsigned(3)];
    for (attribute, number) in (6..).zip(numbers) {
        pair.set(Attribute::new(72, channel, attribute), number).unwrap();
    }
    assert_eq!(pair.value(Attribute::new(72, channel, 5)), "0");
    assert_eq!(invoke(&mut pair, 1, Data::Unsigned(17)), None);
    assert_eq!(pair.value(Attribute::new(72, channel, 5)), "17");
    assert!(pair.set(Attribute::new(72, channel, 9), Data::Unsigned(7)).is_err(), "it is installed");
    assert_eq!(invoke(&mut pair, 1, Data::Unsigned(0)), refused(ActionResult::OtherReason));
    assert_eq!((invoke(&mut pair, 3, Data::Unsigned(0)), status(&mut pair)), (None, "0".to_owned()));
    assert_eq!(invoke(&mut pair, 8, none), refused(ActionResult::TypeUnmatched));
    assert_eq!((invoke(&mut pair, 8, sent), status(&mut pair)), (None, "2".to_owned()));
    assert_eq!(
        invoke(&mut pair, 3, Data::Unsigned(0)),
        refused(ActionResult::TemporaryFailure),
        "it is enciphered now"
    );
    assert_eq!((invoke(&mut pair, 7, set), status(&mut pair)), (None, "3".to_owned()));
    assert_eq!((invoke(&mut pair, 3, Data::Unsigned(0)), status(&mut pair)), (None, "4".to_owned()));
    assert_eq!((invoke(&mut pair, 7, none), status(&mut pair)), (None, "2".to_owned()));
    assert_eq!(
        (invoke(&mut pair, 4, Data::Unsigned(0)), pair.value(Attribute::new(72, channel, 12))),
        (None, "0".into())
    );
    assert_eq!(invoke(&mut pair, 2, Data::Unsigned(0)), None);
    assert_eq!((pair.value(Attribute::new(72, channel, 6)), status(&mut pair)), ("0".to_owned(), "2".to_owned()));
    assert_eq!(invoke(&mut pair, 1, Data::Unsigned(0)), None, "it is still there");
}

#[test]
fn every_object_answers_for_every_attribute_of_its_class() {
    let gas = MbusClient { identification_number: 1, manufacturer_id: 2, version: 3, device_type: 3 };
    let mut pair = pair(&Model { gas: Some(gas), entries: 10, ..Model::electricity(1).unwrap() });
    let Ok(Answer::Value(octets)) = pair.get(Attribute::new(15, Obis::new(0, 0, 40, 0, 0, 255), 2)) else { panic!() };
    let objects = crate::cosem::object_list(Data::parse_all(&octets).unwrap()).unwrap();
    let mut classes: Vec<_> = objects.iter().map(|object| object.class_id).collect();
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes, [1, 3, 4, 5, 7, 8, 9, 11, 18, 20, 22, 40, 64, 68, 70, 71, 72]);
    for object in objects {
        for (attribute, _) in object.attributes {
            let wanted = Attribute::new(object.class_id, object.logical_name, attribute);
            let answer = pair.get(wanted);
            // Attributes that later versions of a class have.
            let is_later = matches!((object.class_id, attribute), (64, 6) | (71, 2 | 11) | (20, 10));
            assert_eq!(answer.is_ok(), !is_later, "{wanted}: {answer:?}");
        }
    }
}
