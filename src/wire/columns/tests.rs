//! Round trips of arbitrary records, and a fleet for measuring. The fleet is ours: no meter sent it.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::reading::*;
use crate::store::{Body, Lane, Record};

fn record(lane: Lane, sequence: u64, body: Body) -> Record {
    Record { lane, sequence, body }
}

fn named(bodies: Vec<Body>) -> Vec<Record> {
    (1..).zip(bodies).map(|(sequence, body)| record(Lane::MBus, sequence, body)).collect()
}

fn meter() -> impl Strategy<Value = MeterId> {
    prop_oneof![
        (0..3_u16, 0..4_u32, 0..2_u8, any::<u8>()).prop_map(|(m, identification, version, device_type)| {
            MeterId::MBus { manufacturer: Manufacturer(m), identification, version, device_type }
        }),
        any::<(u16, u32, u8, u8)>().prop_map(|(m, identification, version, device_type)| MeterId::MBus {
            manufacturer: Manufacturer(m),
            identification,
            version,
            device_type
        }),
        any::<[u8; 8]>().prop_map(MeterId::SystemTitle),
    ]
}

fn date() -> impl Strategy<Value = CivilDate> {
    prop_oneof![
        (1990..2100_u16, 1..13_u8, 1..32_u8).prop_map(|(year, month, day)| CivilDate { year, month, day }),
        any::<(u16, u8, u8)>().prop_map(|(year, month, day)| CivilDate { year, month, day }),
    ]
}

fn time() -> impl Strategy<Value = CivilTime> {
    prop_oneof![(date(), 0..24_u8, 0..60_u8, of(0..60_u8)), (date(), any::<u8>(), any::<u8>(), of(any::<u8>())),]
        .prop_map(|(date, hour, minute, second)| CivilTime { date, hour, minute, second })
}

fn received() -> impl Strategy<Value = Received> {
    let quality =
        prop_oneof![Just(TimeQuality::Unsynchronised), Just(TimeQuality::Holdover), Just(TimeQuality::Synchronised)];
    (prop_oneof![Just([7; 16]), any::<[u8; 16]>()], any::<u64>(), any::<i64>(), quality)
        .prop_map(|(boot_id, boot_ms, utc_ms, quality)| Received { boot_id, boot_ms, utc_ms, quality })
}

fn security() -> impl Strategy<Value = Security> {
    use Security::*;
    prop::sample::select(vec![
        Plain,
        Decrypted,
        Authenticated,
        NoKey,
        WrongKey,
        BadMac,
        Truncated,
        BadCrc,
        Unsupported,
        Replayed,
        Cloned,
        TooWeak,
    ])
}

fn links() -> impl Strategy<Value = Vec<Link>> {
    vec((prop::sample::select(vec!["roof", "", "keller/ä"]), any::<Option<i16>>(), any::<Option<u8>>()), 0..3).prop_map(
        |links| {
            links
                .into_iter()
                .map(|(receiver, rssi_dbm, lqi)| Link { receiver: receiver.into(), rssi_dbm, lqi })
                .collect()
        },
    )
}

fn meter_time() -> impl Strategy<Value = MeterTime> {
    (time(), (any::<bool>(), any::<Option<bool>>()), any::<Option<i64>>()).prop_map(
        |(civil, (invalid, summer_time), utc)| MeterTime { civil, status: ClockStatus { invalid, summer_time }, utc },
    )
}

fn source() -> impl Strategy<Value = Arc<Source>> {
    use Origin::*;
    (
        (meter(), prop::sample::select(vec![Profile, Spontaneous, OnDemand, Snapshot, Billing]), of(meter())),
        (of(meter_time()), received(), vec(any::<u8>(), 0..3), links(), any::<Option<u8>>()),
        (standing(), security(), any::<Option<u32>>(), of(vec(any::<u8>(), 0..40))),
    )
        .prop_map(
            |(
                (meter, origin, behind),
                (meter_time, received, status, links, hops),
                (standing, security, access_number, evidence),
            )| {
                Arc::new(Source {
                    meter,
                    origin,
                    path: behind.map_or(Path::Direct, Path::Behind),
                    standing,
                    meter_time,
                    received,
                    status,
                    links,
                    hops,
                    security,
                    access_number,
                    evidence,
                })
            },
        )
}

fn standing() -> impl Strategy<Value = Standing> {
    prop::sample::select(vec![Standing::Sole, Standing::Preferred, Standing::StandIn, Standing::Secondary])
}

fn value() -> impl Strategy<Value = Value> {
    let scaler = || prop_oneof![Just(-3_i8), any::<i8>()];
    prop_oneof![
        (any::<i64>(), scaler()).prop_map(|(mantissa, scaler)| Value::Decimal { mantissa, scaler }),
        (0..100_000_i64, scaler()).prop_map(|(mantissa, scaler)| Value::Decimal { mantissa, scaler }),
        (any::<u32>(), scaler()).prop_map(|(bits, scaler)| Value::Float32 { bits, scaler }),
        (any::<u64>(), scaler()).prop_map(|(bits, scaler)| Value::Float64 { bits, scaler }),
        date().prop_map(Value::Date),
        time().prop_map(Value::DateTime),
        ".{0,8}".prop_map(|text: String| Value::Text(text.into())),
        vec(any::<u8>(), 0..8).prop_map(|octets| Value::Octets(octets.into())),
        Just(Value::None),
    ]
}

fn register() -> impl Strategy<Value = Register> {
    use Function::*;
    (
        (
            of(prop_oneof![Just([8, 0, 1, 0, 0, 255]), any::<[u8; 6]>()]),
            prop::sample::select(vec!["volume", "", "flow"]),
        ),
        (prop_oneof![Just(13_u8), any::<u8>()], prop::sample::select(vec![Instantaneous, Maximum, Minimum, Error])),
        (prop_oneof![0..2_u32, any::<u32>()], prop_oneof![Just(0), any::<u32>()], prop_oneof![Just(0), any::<u16>()]),
        prop::sample::select(vec!["", "backward"]),
    )
        .prop_map(|((obis, quantity), (unit, function), (storage, tariff, subunit), modifier)| Register {
            obis: obis.map(Obis),
            quantity: quantity.into(),
            unit: Unit(unit),
            function,
            storage,
            tariff,
            subunit,
            modifier: modifier.into(),
        })
}

fn readings() -> impl Strategy<Value = Vec<Body>> {
    let interval = any::<(i64, u32)>().prop_map(|(end_utc, length_s)| Interval { end_utc, length_s });
    let quality = prop_oneof![3 => Just(0), 1 => any::<u16>()];
    (source(), vec((register(), value(), of(interval), quality), 1..6)).prop_map(|(source, readings)| {
        let reading = |(register, value, interval, quality)| {
            let source = Arc::clone(&source);
            Body::Reading(Reading { source, register, value, interval, quality: Quality::from_bits(quality) })
        };
        readings.into_iter().map(reading).collect()
    })
}

fn event_kind() -> impl Strategy<Value = EventKind> {
    let head = any::<(u8, u64, [u8; 32])>().prop_map(|(lane, last, hash)| LaneHead { lane, last, hash });
    prop_oneof![
        (any::<Option<u64>>(), vec(head, 0..3), ".{0,8}")
            .prop_map(|(previous, heads, reason)| EventKind::EpochStarted { previous, heads, reason }),
        any::<(u64, u8, u64, u64, [u8; 32])>().prop_map(|(epoch, lane, first, last, hash)| EventKind::Gap {
            epoch,
            lane,
            first,
            last,
            reason: "full".into(),
            hash
        }),
        any::<([u8; 16], u64, i64)>().prop_map(|(boot_id, boot_ms, utc_ms)| EventKind::TimeAnchor {
            boot_id,
            boot_ms,
            utc_ms
        }),
        any::<(u8, u64, u64)>().prop_map(|(lane, first, last)| EventKind::AckRefused {
            lane,
            first,
            last,
            reason: "forged".into()
        }),
        any::<(u8, u8)>().prop_map(|(previous, current)| EventKind::StatusChanged { previous, current }),
        (any::<([u8; 6], u32, bool)>(), of(any::<[u16; 4]>()), ".{0,8}", of(meter_time())).prop_map(
            |((log, code, is_pushed), event_type, name, time)| {
                let event_type = event_type.map(EndDeviceEventType);
                EventKind::Meter(MeterEvent { log: Obis(log), code, event_type, name, is_pushed, time })
            }
        ),
        ".{0,8}".prop_map(|detail| EventKind::Unit { code: "uplink.refused".into(), detail }),
    ]
}

fn raw() -> impl Strategy<Value = Body> {
    (of(meter()), received(), links(), security(), vec(any::<u8>(), 0..60), of(wize())).prop_map(
        |(meter, received, links, reason, octets, wize)| {
            Body::Raw(RawTelegram { meter, received, links, reason, octets, wize })
        },
    )
}

fn wize() -> impl Strategy<Value = Wize> {
    any::<(u8, u16, u8, u8, bool, u16, Vec<u8>, bool)>().prop_map(
        |(network, counter, application, key, is_authenticated, timestamp, payload, is_open)| Wize {
            network,
            counter,
            application,
            key,
            is_authenticated,
            timestamp,
            payload,
            is_open,
        },
    )
}

/// Any records, as bodies; readings of one source stand together now and then.
pub(in crate::wire) fn bodies() -> impl Strategy<Value = Vec<Body>> {
    let event = (received(), of(meter()), event_kind())
        .prop_map(|(received, meter, kind)| Body::Event(Event { received, meter, kind }));
    let some =
        prop_oneof![4 => readings(), 1 => event.prop_map(|event| vec![event]), 1 => raw().prop_map(|raw| vec![raw])];
    vec(some, 0..12).prop_map(|parts| parts.into_iter().flatten().collect())
}

/// Telegrams of a fleet of water, heat and gas meters, heard over an hour. `per_meter` readings of each.
pub(in crate::wire) fn fleet(readings: usize, per_meter: usize) -> Vec<Record> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let register = |obis: [u8; 6], quantity: &'static str, unit: u8, storage: u32| Register {
        obis: Some(Obis(obis)),
        quantity: quantity.into(),
        unit: Unit(unit),
        function: Function::Instantaneous,
        storage,
        tariff: 0,
        subunit: 0,
        modifier: "".into(),
    };
    let models =
        [(0x2c2d, 0x1b, 0x16, 8_u8), (0x4cae, 0x3c, 0x04, 6), (0x30c7, 0x01, 0x03, 7), (0x1593, 0x70, 0x07, 8)];
    let mut boot_ms = 86_400_000;
    let mut bodies = Vec::new();
    while bodies.len() < readings {
        let (manufacturer, version, device_type, group) = models[random(4) as usize];
        let bcd = (0..8).fold(0, |number, _| number << 4 | random(10) as u32);
        boot_ms += random(2 * 3_600_000 * per_meter as u64 / readings as u64);
        let utc_ms = 1_785_000_000_000 + boot_ms as i64;
        let source = Arc::new(Source {
            meter: MeterId::MBus {
                manufacturer: Manufacturer(manufacturer),
                identification: bcd,
                version,
                device_type,
            },
            origin: Origin::Snapshot,
            path: Path::Direct,
            standing: Standing::Sole,
            meter_time: None,
            received: Received { boot_id: [9; 16], boot_ms, utc_ms, quality: TimeQuality::Synchronised },
            status: vec![if random(20) == 0 { 4 } else { 0 }],
            links: vec![Link {
                receiver: if random(3) == 0 { "roof" } else { "cellar" }.into(),
                rssi_dbm: Some(-50 - random(45) as i16),
                lqi: None,
            }],
            hops: None,
            security: if version == 1 { Security::Authenticated } else { Security::Decrypted },
            access_number: Some(random(256) as u32),
            evidence: None,
        });
        let volume = random(900_000) as i64;
        let target = volume - random(20_000) as i64;
        let decimal = |mantissa| Value::Decimal { mantissa, scaler: -3 };
        let target_date = Value::Date(CivilDate { year: 2026, month: 6, day: 30 });
        let all = [
            (register([group, 0, 1, 0, 0, 255], "volume", 13, 0), decimal(volume)),
            (register([group, 0, 2, 0, 0, 255], "flow", 14, 0), decimal(random(2_000) as i64)),
            (register([group, 0, 1, 0, 0, 1], "volume", 13, 1), decimal(target)),
            (register([group, 0, 0, 1, 2, 1], "date", 255, 1), target_date),
        ];
        bodies.extend(all.into_iter().take(per_meter).map(|(register, value)| {
            let source = Arc::clone(&source);
            Body::Reading(Reading { source, register, value, interval: None, quality: Quality::GOOD })
        }));
    }
    bodies.truncate(readings);
    named(bodies)
}

/// One of everything that the contract knows.
pub(in crate::wire) fn everything() -> Vec<Record> {
    let date = CivilDate { year: 2026, month: 7, day: 27 };
    let time = |second| CivilTime { date, hour: 13, minute: 5, second };
    let received = |boot_ms, quality| Received { boot_id: [3; 16], boot_ms, utc_ms: 1_785_000_000_000, quality };
    let meter =
        MeterId::MBus { manufacturer: Manufacturer(0x2c2d), identification: 0x1234_5678, version: 27, device_type: 22 };
    let title = MeterId::SystemTitle(*b"DCU\x00\x00\x00\x01\x02");
    let link = |receiver: &str, rssi_dbm, lqi| Link { receiver: receiver.into(), rssi_dbm, lqi };
    let source = |meter, boot_ms, civil: Option<CivilTime>, access_number, path, evidence: Option<&[u8]>| {
        let clock = |civil| MeterTime {
            civil,
            status: ClockStatus { invalid: boot_ms == 3, summer_time: (boot_ms == 2).then_some(true) },
            utc: (boot_ms == 2).then_some(1_785_143_100),
        };
        Arc::new(Source {
            meter,
            origin: if boot_ms == 2 { Origin::Profile } else { Origin::Spontaneous },
            path,
            standing: Standing::Sole,
            meter_time: civil.map(clock),
            received: received(boot_ms, TimeQuality::Holdover),
            status: vec![4, 0],
            links: vec![link("roof", Some(-71), None), link("cellar", None, Some(200))],
            hops: (boot_ms == 2).then_some(2),
            security: Security::Authenticated,
            access_number,
            evidence: evidence.map(Into::into),
        })
    };
    let register = |quantity: &'static str, obis, unit, function| Register {
        obis,
        quantity: quantity.into(),
        unit: Unit(unit),
        function,
        storage: 1,
        tariff: 2,
        subunit: 3,
        modifier: if unit == 13 { "backward" } else { "" }.into(),
    };
    let reading = |source: &Arc<Source>, register, value, quality| {
        let interval = (quality == Quality::INVALID).then_some(Interval { end_utc: 1_785_142_800, length_s: 900 });
        Body::Reading(Reading { source: Arc::clone(source), register, value, interval, quality })
    };
    let bad = CivilDate { year: 2026, month: 13, day: 0 };
    let mut bodies = Vec::new();
    for (n, meter, civil, access, path, evidence) in [
        (1, meter, None, Some(254), Path::Direct, None),
        (2, title, Some(time(Some(30))), Some(70_000), Path::Direct, Some(&b"evidence"[..])),
        (3, meter, Some(time(None)), Some(1), Path::Behind(title), None),
        (4, meter, Some(CivilTime { date: bad, hour: 24, minute: 0, second: None }), None, Path::Direct, None),
    ] {
        let source = source(meter, n, civil, access, path, evidence);
        let volume = register("volume", Some(Obis([8, 0, 1, 0, 0, 255])), 13, Function::Instantaneous);
        let number = 123_456 + n as i64;
        bodies.extend([
            reading(&source, volume.clone(), Value::Decimal { mantissa: number, scaler: -3 }, Quality::GOOD),
            reading(&source, volume, Value::Decimal { mantissa: -number, scaler: -2 }, Quality::DECREASE),
            reading(
                &source,
                register("power", None, 27, Function::Maximum),
                Value::Float32 { bits: 0x7fc0_0001, scaler: 0 },
                Quality::INVALID,
            ),
            reading(
                &source,
                register("energy", None, 30, Function::Minimum),
                Value::Float64 { bits: 1 << 63, scaler: 3 },
                Quality::GOOD,
            ),
            reading(&source, register("date", None, 255, Function::Error), Value::Date(date), Quality::GOOD),
            reading(&source, register("date", None, 255, Function::Error), Value::Date(bad), Quality::INVALID),
            reading(
                &source,
                register("date_time", None, 255, Function::Error),
                Value::DateTime(time(Some(59))),
                Quality::GOOD,
            ),
            reading(
                &source,
                register("date_time", None, 255, Function::Error),
                Value::DateTime(time(None)),
                Quality::GOOD,
            ),
            reading(
                &source,
                register("date_time", None, 255, Function::Error),
                Value::DateTime(CivilTime { date: bad, hour: 255, minute: 0, second: Some(0) }),
                Quality::GOOD,
            ),
            reading(
                &source,
                register("model", None, 255, Function::Instantaneous),
                Value::Text("Zähler".into()),
                Quality::GOOD,
            ),
            reading(
                &source,
                register("error_flags", None, 255, Function::Instantaneous),
                Value::Octets([1, 2][..].into()),
                Quality::GOOD,
            ),
            reading(&source, register("flow", None, 14, Function::Instantaneous), Value::None, Quality::ERROR_STATE),
        ]);
        let kinds = [
            EventKind::EpochStarted {
                previous: Some(5),
                heads: vec![LaneHead { lane: 7, last: 9, hash: [1; 32] }],
                reason: "damage".into(),
            },
            EventKind::Gap { epoch: 5, lane: 8, first: 1, last: 2, reason: "full".into(), hash: [2; 32] },
            EventKind::TimeAnchor { boot_id: [3; 16], boot_ms: 4, utc_ms: 5 },
            EventKind::AckRefused { lane: 7, first: 1, last: 2, reason: "wrong hash".into() },
            EventKind::StatusChanged { previous: 0, current: 4 },
            EventKind::Unit { code: "uplink.resumed".into(), detail: "lane mbus".into() },
        ];
        let quality = TimeQuality::Unsynchronised;
        let event =
            |kind| Body::Event(Event { received: received(n, quality), meter: (n == 1).then_some(meter), kind });
        bodies.extend(kinds.into_iter().map(event));
        bodies.push(Body::Raw(RawTelegram {
            meter: (n != 2).then_some(meter),
            received: received(n, TimeQuality::Synchronised),
            links: vec![link("attic", Some(-100), Some(1))],
            reason: Security::NoKey,
            octets: vec![0x2e, 0x44, 0x2d, 0x2c],
            wize: None,
        }));
    }
    named(bodies)
}

proptest! {
    #[test]
    fn decode_gives_back_what_encode_was_given(bodies in bodies()) {
        let records = named(bodies.clone());
        prop_assert_eq!(decode(encode(&records, &ReadingTypes::none())).unwrap(), bodies);
    }
}

#[test]
fn readings_of_one_telegram_share_their_source_again() {
    let bodies = decode(encode(&fleet(8, 4), &ReadingTypes::none())).unwrap();
    let sources: Vec<_> = bodies
        .iter()
        .map(|body| match body {
            Body::Reading(reading) => Arc::as_ptr(&reading.source),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sources[0], sources[3]);
    assert_ne!(sources[3], sources[4]);
}

#[test]
fn columns_that_contradict_each_other_are_refused() {
    let whole = || encode(&fleet(8, 4), &ReadingTypes::none());
    let check = |name, change: &dyn Fn(&mut crate::wire::v1::Records), expected| {
        let mut records = whole();
        change(&mut records);
        assert_eq!(decode(records).map(|_| ()), Err(expected), "{name}");
    };
    check("no rows", &|records| records.rows = None, Reject::Length("meter"));
    check("one row less", &|r| _ = r.rows.as_mut().unwrap().layout.pop(), Reject::Length("layout"));
    check("a row more", &|r| r.rows.as_mut().unwrap().meter.push(0), Reject::Length("meter"));
    check("a number more", &|r| r.registers[0].numbers.push(0), Reject::Length("numbers"));
    check("a number less", &|r| _ = r.registers[0].numbers.pop(), Reject::Length("numbers"));
    check("no such meter", &|r| r.rows.as_mut().unwrap().meter[1] = 100, Reject::Field("meter"));
    check("a meter below 0", &|r| r.rows.as_mut().unwrap().meter[1] = -1, Reject::Field("meter"));
    check("no such shape", &|r| r.shapes.clear(), Reject::Field("shape"));
    check("no such register", &|r| r.registers.clear(), Reject::Field("register"));
    check("no such receiver", &|r| r.receivers.clear(), Reject::Field("receiver"));
    check("no such boot", &|r| r.boot_ids.clear(), Reject::Field("boot"));
    check("short boot identity", &|r| r.boot_ids[0].truncate(15), Reject::Field("boot_id"));
    check("an empty layout", &|r| r.layouts[0].register.clear(), Reject::Length("layout"));
    check("half a quality column", &|r| r.layouts[0].quality.push(1), Reject::Length("quality"));
    check("unknown kind", &|r| r.registers[0].kind = 99, Reject::Field("kind"));
    check("unknown span", &|r| r.spans[0].kind = 99, Reject::Field("span"));
    check("a span that cuts a row", &|r| r.spans[0].count = 7, Reject::Length("spans"));
    check("more events than there are", &|r| r.spans[0].kind = 1, Reject::Length("events"));
    check("scaler", &|r| r.registers[0].scaler = 200, Reject::Field("scaler"));
    check("version", &|r| r.meters.as_mut().unwrap().models[0].version = 256, Reject::Field("version"));
    check("idents", &|r| _ = r.meters.as_mut().unwrap().model.pop(), Reject::Length("meters"));
    check("too many", &|r| r.spans[0].count = u32::MAX, Reject::TooMany);
}

#[test]
fn a_few_octets_cannot_ask_for_much_memory() {
    let mut records = encode(&fleet(4, 4), &ReadingTypes::none());
    records.registers[0].quantity = "x".repeat(100_000);
    let count = 8_000;
    records.layouts[0].register = vec![0; count];
    records.registers[0].numbers = vec![0; count];
    records.spans[0].count = count as u32;
    assert_eq!(decode(records), Err(Reject::TooRich));
}
