//! Values of attributes as types; octets composed for these tests.

use hex_literal::hex;

use super::*;
use crate::apdu::{Attribute, CaptureObject};
use crate::data::encode;
use crate::time::{ClockStatus, Date, Time};
use crate::{Data, DateTime, Obis, Reject};

#[test]
fn classes_name_their_attributes_and_methods() {
    for id in [1, 3, 4, 5, 7, 8, 9, 11, 15, 18, 20, 22, 40, 64, 68, 70, 71, 72] {
        let class = Class::numbered(id).unwrap();
        assert_eq!((class.id, class.attribute(1)), (id, Some("logical_name")));
    }
    let relay = Class::numbered(70).unwrap();
    assert_eq!((relay.attribute(4), relay.method(2)), (Some("control_mode"), Some("remote_reconnect")));
    assert_eq!((relay.attribute(5), relay.attribute(0), relay.attribute(-1)), (None, None, None));
    assert_eq!((relay.to_string().as_str(), Class::numbered(2)), ("disconnect control (70)", None));
}

#[test]
fn typed_values_are_read_as_they_are_written() {
    let scaler_unit = ScalerUnit { scaler: -3, unit: 30 };
    let octets = encode(|out| scaler_unit.write(out));
    assert_eq!(octets, hex!("0202 0ffd 161e"));
    assert_eq!(Data::parse_all(&octets).and_then(ScalerUnit::try_from), Ok(scaler_unit));
    assert_eq!(scaler_unit.to_string(), "1e-3 Wh");
    let script = ExecutedScript { logical_name: Obis::new(0, 0, 10, 0, 106, 255), selector: 2 };
    let octets = encode(|out| script.write(out));
    assert_eq!(Data::parse_all(&octets).and_then(ExecutedScript::try_from), Ok(script));
    let time = ExecutionTime { time: Time::from_seconds(0), date: Date::UNSPECIFIED };
    let octets = encode(|out| time.write(out));
    assert_eq!(Data::parse_all(&octets).and_then(ExecutionTime::try_from), Ok(time));
    let image = ImageToActivate { size: 5, identification: b"fw".to_vec(), signature: vec![1] };
    let octets = encode(|out| image.write(out));
    assert_eq!(Data::parse_all(&octets).and_then(ImageToActivate::try_from), Ok(image));
    let push = PushDestination { service: 0, destination: b"10.0.0.1:4059".to_vec(), message: 0 };
    let octets = encode(|out| push.write(out));
    assert_eq!(Data::parse_all(&octets).and_then(PushDestination::try_from), Ok(push));
    let emergency = Emergency { profile_id: 1, activation_time: DateTime::UNSPECIFIED, duration: 60 };
    let octets = encode(|out| emergency.write(out));
    assert_eq!(Data::parse_all(&octets).and_then(Emergency::try_from), Ok(emergency));
    let element = ObjectListElement {
        class_id: 3,
        version: 0,
        logical_name: Obis::new(1, 0, 1, 8, 0, 255),
        attributes: vec![(1, 1), (2, 1)],
        methods: vec![(1, 0)],
    };
    let octets = encode(|out| {
        out.array(1);
        element.write(out);
    });
    assert_eq!(Data::parse_all(&octets).and_then(object_list), Ok(vec![element]));
    let day = encode(|out| {
        out.structure(3).put(Data::LongUnsigned(4)).put(Data::OctetString(&hex!("ffff0101ff"))).put(Data::Unsigned(2));
    });
    let day = Data::parse_all(&day).and_then(SpecialDay::try_from).unwrap();
    assert_eq!((day.index, day.date.to_string().as_str(), day.day_id), (4, "*-01-01", 2));
    let client =
        [Data::DoubleLongUnsigned(0x1234_5678), Data::LongUnsigned(0x1593), Data::Unsigned(0x33), Data::Unsigned(3)];
    assert_eq!(MbusClient::new(client).unwrap().to_string(), "ELS-12345678-33-03");
    let keys = key_transfer(&[(KeyKind::GlobalUnicastEncryption, &[7; 24])]);
    assert_eq!(keys[..6], hex!("0101 0202 1600"));
    assert_eq!(Data::parse_all(&[0x11, 9]).and_then(ScalerUnit::try_from), Err(Reject::Mismatch("a scaler and unit")));
    assert_eq!(SecurityPolicy::from_version_0(3), Ok(SecurityPolicy(0x6c)));
}

#[test]
fn reconnection_depends_on_the_control_mode() {
    let all: Vec<_> = (0..=6).map(|number| ControlMode::new(number).unwrap().reconnection()).collect();
    use Reconnection::{Armed, Connected, None};
    assert_eq!(all, [None, Armed, Connected, Armed, Connected, Armed, Armed]);
    assert_eq!(ControlMode::new(7), Err(Reject::Reserved("control mode")));
    assert_eq!(ControlState::try_from(Data::Enum(2)), Ok(ControlState::ReadyForReconnection));
}

const COLUMNS: [Column; 3] = [Column::Clock, Column::Value, Column::Value];

/// Rows of a profile as lines.
fn lines(octets: &[u8]) -> Vec<String> {
    let mut rows = Rows::new(Data::parse_all(octets).unwrap(), &COLUMNS, 900).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next() {
        let row = row.unwrap();
        let clock = row.clock.map_or("-".into(), |clock| clock.to_string());
        let values: Vec<_> = row.values[1..].iter().map(ToString::to_string).collect();
        all.push(format!("{clock}{} {} {}", if row.is_clock_derived { "~" } else { "" }, values.join(" "), row.sent));
    }
    all
}

#[test]
fn what_a_profile_leaves_out_is_put_back() {
    let octets = encode(|out| {
        let stamp = DateTime::from_local(45 * 60, Some(-60), ClockStatus(0));
        out.array(6).structure(3).date_time(stamp).put(Data::Unsigned(8)).put(Data::DoubleLongUnsigned(100));
        out.structure(3).put(Data::NullData).put(Data::NullData).put(Data::DoubleLongUnsigned(101));
        out.structure(3).put(Data::NullData).put(Data::NullData).put(Data::DeltaUnsigned(5));
        out.structure(2).put(Data::NullData).put(Data::Unsigned(9));
        let late = DateTime::from_local(2 * 3600 + 1, Some(-60), ClockStatus(0));
        out.structure(4).date_time(late).put(Data::NullData).put(Data::DoubleLongUnsigned(7)).put(Data::NullData);
        out.structure(3).put(Data::NullData).put(Data::NullData).put(Data::NullData);
    });
    assert_eq!(
        lines(&octets),
        [
            "1970-01-01T00:45:00 dev -60 sts 00 8 100 3",
            "1970-01-01T01:00:00 dev -60 sts 00~ 8 101 3",
            "1970-01-01T01:15:00 dev -60 sts 00~ 8 106 3",
            "1970-01-01T01:30:00 dev -60 sts 00~ 9 null 2",
            "1970-01-01T02:00:01 dev -60 sts 00 9 7 4",
            "1970-01-01T02:15:01 dev -60 sts 00~ 9 7 3",
        ]
    );
    assert_eq!(lines(&hex!("0101 0203 00 00 00")), ["-~ null null 3"]);
    assert!(Rows::new(Data::NullData, &COLUMNS, 900).is_err());
    let buffer = hex!("0101 1101");
    let mut bad = Rows::new(Data::parse_all(&buffer).unwrap(), &COLUMNS, 900).unwrap();
    assert_eq!(bad.next(), Some(Err(Reject::Mismatch("a structure"))));
}

#[test]
fn columns_are_told_by_their_class() {
    let octets = encode(|out| {
        out.array(2);
        CaptureObject::new(Attribute::new(8, Obis::new(0, 0, 1, 0, 0, 255), 2)).write(out);
        CaptureObject::new(Attribute::new(3, Obis::new(1, 0, 1, 8, 0, 255), 2)).write(out);
    });
    let objects = capture_objects(Data::parse_all(&octets).unwrap()).unwrap();
    assert_eq!(objects.iter().map(Column::from).collect::<Vec<_>>(), [Column::Clock, Column::Value]);
}
