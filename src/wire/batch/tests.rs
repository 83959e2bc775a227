use proptest::prelude::*;

use super::super::columns::tests::{bodies, everything, fleet};
use super::*;
use crate::reading::{CivilDate, CivilTime, Interval, Reading, ReadingTypes, Unit, Value};

fn head(records: &[Record]) -> BatchHead {
    BatchHead {
        dcu: "dcu-0001".into(),
        epoch: Epoch(0x0123_4567_89ab_cdef),
        lane: Lane::MBus,
        first: records[0].sequence,
        count: records.len() as u32,
        previous_hash: [0x5a; 32],
    }
}

fn sealed(records: &[Record]) -> Vec<u8> {
    seal(&head(records), records, &ReadingTypes::none())
}

proptest! {
    #[test]
    fn open_gives_back_what_seal_was_given(bodies in bodies().prop_filter("not empty", |bodies| !bodies.is_empty())) {
        let records: Vec<_> =
            (77..).zip(bodies).map(|(sequence, body)| Record { lane: Lane::MBus, sequence, body }).collect();
        let octets = sealed(&records);
        prop_assert_eq!(&octets, &sealed(&records));
        prop_assert_eq!(open_head(&octets).unwrap(), head(&records));
        prop_assert_eq!(open_batch(&octets).unwrap(), (head(&records), records));
    }

    #[test]
    fn a_group_keeps_order_and_names(bodies in bodies(), lanes in prop::collection::vec(0..9_u8, 80), first in 1..9_u64) {
        let records: Vec<_> = bodies
            .into_iter()
            .zip(lanes)
            .enumerate()
            .map(|(index, (body, lane))| Record {
                lane: Lane::from_number(lane).unwrap(),
                sequence: first + index as u64 / 2,
                body,
            })
            .collect();
        prop_assert_eq!(decode_group(&encode_group(&records)).unwrap(), records);
    }

    #[test]
    fn any_octets_are_refused_without_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(open_batch(&octets).is_err());
        let _ = decode_group(&octets);
    }

    #[test]
    fn damaged_octets_never_panic(at in 0..4_000_usize, bit in 0..8_u32) {
        let records = fleet(40, 4);
        let mut group = encode_group(&records);
        let length = group.len();
        group[at % length] ^= 1_u8 << bit;
        let _ = decode_group(&group);
        let plain = zstd::bulk::decompress(&sealed(&records), MOST_DECOMPRESSED).unwrap();
        let mut batch = plain.clone();
        batch[at % plain.len()] ^= 1_u8 << bit;
        let _ = open_batch(&zstd::bulk::compress(&batch, 1).unwrap());
    }
}

#[test]
fn every_prefix_of_a_batch_is_refused() {
    let octets = sealed(&fleet(12, 4));
    for length in 0..octets.len() {
        assert!(open_batch(&octets[..length]).is_err(), "{length}");
    }
}

#[test]
fn heads_that_lie_are_refused() {
    let records = fleet(4, 4);
    let check = |change: &dyn Fn(&mut BatchHead), expected| {
        let mut head = head(&records);
        change(&mut head);
        assert_eq!(open_batch(&seal(&head, &records, &ReadingTypes::none())).map(|_| ()), Err(expected));
    };
    check(&|head| head.count = 5, Reject::Length("records"));
    check(&|head| head.count = 3, Reject::Length("records"));
    check(&|head| head.count = 0, Reject::Field("first"));
    check(&|head| head.first = 0, Reject::Field("first"));
    check(&|head| head.first = u64::MAX, Reject::Field("first"));
}

#[test]
fn a_small_payload_cannot_unfold_into_a_large_one() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    assert!(bomb.len() < MOST_COMPRESSED);
    assert_eq!(open_batch(&bomb), Err(Reject::Compression));
    assert_eq!(open_batch(&vec![0; MOST_COMPRESSED + 1]), Err(Reject::TooLarge(MOST_COMPRESSED)));
    assert_eq!(decode_group(&vec![0; MOST_DECOMPRESSED + 1]), Err(Reject::TooLarge(MOST_DECOMPRESSED)));
}

#[test]
fn readings_take_few_octets_in_batches_of_five_hundred() {
    for (per_meter, most) in [(1, 13.0), (3, 7.0), (4, 6.0)] {
        let records = fleet(500, per_meter);
        let octets = sealed(&records).len() as f64 / 500.0;
        let group = encode_group(&records).len() as f64 / 500.0;
        eprintln!("{per_meter} readings a telegram: {octets:.1} octets a reading sealed, {group:.1} in a group of 500");
        assert!(octets <= most, "{octets}");
    }
}

#[test]
fn types_cost_octets_once_a_batch_and_change_no_reading() {
    let types = ReadingTypes::default();
    for per_meter in [1, 3, 4] {
        let records = fleet(500, per_meter);
        let (plain, typed) = (sealed(&records), seal(&head(&records), &records, &types));
        let more = typed.len() - plain.len();
        eprintln!("{per_meter} readings a telegram: {more} octets more in a batch of {}", plain.len());
        assert!(more <= 150, "{more}");
        let (_, opened, found) = open_typed(&typed).unwrap();
        assert_eq!(opened, records);
        assert!(!found.is_empty());
        for record in &records {
            let Body::Reading(reading) = &record.body else { panic!("{record:?}") };
            let expected = types.of(&reading.register, reading.interval, reading.source.origin);
            assert_eq!(found.get(&record.sequence), expected);
        }
        assert!(open_typed(&plain).unwrap().2.is_empty());
    }
}

#[test]
fn one_quantity_in_two_intervals_has_two_types() {
    let row = |interval: u32, kind: u32| {
        let fields = "0.".repeat(17);
        format!(
            "[[reading]]\nobis = [\"*-*:*.*.***\"]\nunit = \"m3\"\ninterval = {interval}\ntype = \"{fields}{kind}\"\n"
        )
    };
    let types = ReadingTypes::read(&(row(900, 1) + &row(3600, 2))).unwrap();
    let mut records = fleet(60, 4);
    for (length_s, record) in [900, 3600, 60].into_iter().cycle().zip(&mut records) {
        let Body::Reading(reading) = &mut record.body else { panic!("{record:?}") };
        reading.register.unit = Unit::CUBIC_METRE;
        reading.interval = Some(Interval { end_utc: 0, length_s });
    }
    let (_, opened, found) = open_typed(&seal(&head(&records), &records, &types)).unwrap();
    assert_eq!(opened, records);
    for (expected, record) in [Some(".1"), Some(".2"), None].into_iter().cycle().zip(&records) {
        assert_eq!(found.get(&record.sequence).map(|it| &it[it.len() - 2..]), expected);
    }
}

/// Exact octets of what is stored and published. These files are never edited: a change of the format gets a new version.
#[test]
fn golden_files_are_read_and_written_as_ever() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/wire/v1");
    let read = |name: &str| std::fs::read(format!("{directory}/{name}")).unwrap();
    // Another zstd may compress otherwise; what is inside is the same.
    let plain = |octets: &[u8]| zstd::bulk::decompress(octets, MOST_DECOMPRESSED).unwrap();
    for (name, records) in [("batch", fleet(12, 4)), ("everything", everything())] {
        let batch = read(&format!("{name}.zst"));
        assert_eq!(open_batch(&batch), Ok((head(&records), records.clone())));
        assert_eq!(hex::encode(plain(&batch)), hex::encode(plain(&sealed(&records))));
    }
    let records = everything();
    check_golden(&format!("{directory}/group.bin"), &encode_group(&records));
    assert_eq!(decode_group(&read("group.bin")), Ok(records));
    let batch = read("batch.zst");
    let key = super::super::signed::PrivateKey::from_random(&[1; 32]).unwrap();
    let ack = v1::Ack {
        dcu: "dcu-0001".into(),
        epoch: 0x0123_4567_89ab_cdef,
        lane: Lane::MBus as i32,
        ranges: vec![v1::ack::Range { first: 1, last: 12, last_hash: hash(&batch).to_vec() }],
    };
    check_golden(&format!("{directory}/ack.bin"), &super::super::signed::sign(&ack, &[&key]));
    let checkpoint = v1::Checkpoint {
        dcu: "dcu-0001".into(),
        epoch: 0x0123_4567_89ab_cdef,
        number: 3,
        made: Some(v1::Received {
            boot_id: vec![9; 16],
            boot_ms: 90_000_000,
            utc_ms: 1_785_090_000_000,
            quality: v1::TimeQuality::Synchronised.into(),
        }),
        heads: vec![v1::LaneHead { lane: Lane::MBus as i32, last: 12, hash: hash(&batch).to_vec() }],
        audit_head: vec![],
    };
    check_golden(&format!("{directory}/checkpoint.bin"), &super::super::signed::sign(&checkpoint, &[&key]));
    let made = checkpoint.made;
    check_golden(&format!("{directory}/topology-delta.bin"), &topology_delta(made.clone()).encode_to_vec());
    let outage = with_outage(topology_delta(made));
    check_golden(&format!("{directory}/topology-delta-outage.bin"), &outage.encode_to_vec());
    let mut banned = outage;
    banned.nodes.iter_mut().for_each(|node| node.blacklisted = Some(true));
    check_golden(&format!("{directory}/topology-delta-blacklisted.bin"), &banned.encode_to_vec());
}

/// The same with what newer units say.
fn with_outage(mut delta: v1::TopologyDelta) -> v1::TopologyDelta {
    let scope = "phase at 120 degrees".to_owned();
    for node in &mut delta.nodes {
        (node.outage, node.meter_unreachable) = (Some(scope.clone()), Some(true));
    }
    for network in &mut delta.networks {
        network.outages.push(v1::MeshOutage { scope: scope.clone(), since_s: 1_785_000_000, out: 8, back: 1 });
    }
    delta
}

fn topology_delta(at: Option<v1::Received>) -> v1::TopologyDelta {
    let network = v1::MeshNetwork {
        name: "feeder".into(),
        state: v1::mesh_network::State::Up.into(),
        error: String::new(),
        band: "cenelec-a".into(),
        pan_id: 0x781d,
        eui64: 0x0211_2233_4455_6677,
        key_generation: 2,
        rekey: "grace".into(),
        rekey_missing: 1,
        foreign_pans: vec![0x1234],
        conflict_ms: Some(1_785_000_000_000),
        outages: Vec::new(),
    };
    let node = v1::MeshNode {
        name: Some(v1::MeshNodeName { network: 0, eui64: 0x0011_22ff_ff00_0001 }),
        presence: v1::mesh_node::Presence::Alive.into(),
        short_addr: Some(7),
        meter: "flat 3".into(),
        joined_s: Some(1_785_000_000),
        heard_s: Some(1_785_000_100),
        asked_s: Some(1_784_999_999),
        failure: "no answer".into(),
        joins: 2,
        losses: 1,
        key_generation: Some(2),
        hops: Some(2),
        weak_links: Some(0),
        next_hop: Some(3),
        parent: Some(3),
        medium: Some(v1::mesh_node::Medium::Rf.into()),
        lqi_forward: Some(80),
        lqi_reverse: Some(90),
        modulation_type: Some(1),
        modulation_scheme: Some(0),
        phase_differential: Some(4),
        parent_since_s: vec![1_785_000_000, 60],
        parent_short_addr: vec![4, 3],
        outage: None,
        meter_unreachable: None,
        blacklisted: None,
    };
    v1::TopologyDelta {
        dcu: "dcu-0001".into(),
        at,
        generation: 0x0123_4567_89ab_cdef,
        number: 5,
        networks: vec![network],
        nodes: vec![node],
        gone: vec![v1::MeshNodeName { network: 0, eui64: 9 }],
    }
}

/// `DCU_PYTHON` names a Python with protobuf, grpcio-tools and zstandard; without them there is nothing to run.
#[test]
fn a_consumer_written_from_the_contract_alone_reads_every_value() {
    let python = std::env::var("DCU_PYTHON").unwrap_or_else(|_| "python3".into());
    let has_modules = std::process::Command::new(&python).args(["-c", "import zstandard, google.protobuf"]).output();
    if !has_modules.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "must not be skipped in CI: {python} lacks modules");
        eprintln!("skipped: {python} has no protobuf or no zstandard");
        return;
    }
    let root = env!("CARGO_MANIFEST_DIR");
    for (name, records) in [("batch", fleet(12, 4)), ("everything", everything())] {
        let output = std::process::Command::new(&python)
            .arg(format!("{root}/tests/consumer/consume.py"))
            .arg(format!("{root}/tests/data/wire/v1/{name}.zst"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), records.len());
        for (line, record) in lines.iter().zip(&records) {
            assert_eq!(line["sequence"], record.sequence);
            match &record.body {
                Body::Reading(reading) => check_reading(line, reading),
                Body::Event(_) => assert!(line["event"].is_string()),
                Body::Raw(raw) => assert_eq!(line["raw"], hex::encode(&raw.octets)),
            }
        }
    }
}

#[track_caller]
fn check_reading(line: &serde_json::Value, reading: &Reading) {
    let source = &reading.source;
    let date = |date: &CivilDate| format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
    let time = |time: &CivilTime| {
        let second = time.second.map(|second| format!(":{second:02}")).unwrap_or_default();
        format!("{}T{:02}:{:02}{second}", date(&time.date), time.hour, time.minute)
    };
    let value = match &reading.value {
        Value::Decimal { mantissa, scaler } => format!("{mantissa}e{scaler}"),
        Value::Float32 { bits, scaler } => format!("0x{bits:08x}e{scaler}"),
        Value::Float64 { bits, scaler } => format!("0x{bits:016x}e{scaler}"),
        Value::Date(value) => date(value),
        Value::DateTime(value) => time(value),
        Value::Text(text) => text.to_string(),
        Value::Octets(octets) => hex::encode(octets),
        Value::None => String::new(),
    };
    assert_eq!(line["value"].as_str().unwrap_or_default(), value);
    assert_eq!(line["meter"], source.meter.to_string());
    assert_eq!(line["quantity"], reading.register.quantity.as_ref());
    assert_eq!(line["obis"].as_str().map(Into::into), reading.register.obis.map(|obis| obis.to_string()));
    assert_eq!(line["unit"], reading.register.unit.0);
    assert_eq!(line["quality"], reading.quality.bits());
    assert_eq!(line["boot_ms"], source.received.boot_ms);
    assert_eq!(line["utc_ms"], source.received.utc_ms);
    assert_eq!(line["access_number"].as_u64(), source.access_number.map(Into::into));
    assert_eq!(line["links"][0][1].as_i64(), source.links[0].rssi_dbm.map(Into::into));
    assert_eq!(line["meter_time"].as_str().map(Into::into), source.meter_time.map(|clock| time(&clock.civil)));
    assert_eq!(line["meter_utc"].as_i64(), source.meter_time.and_then(|clock| clock.utc));
    assert_eq!(line["interval"][0].as_i64(), reading.interval.map(|interval| interval.end_utc));
    assert_eq!(line["evidence"].as_str().map(Into::into), source.evidence.as_ref().map(hex::encode));
}

#[track_caller]
fn check_golden(path: &str, octets: &[u8]) {
    assert_eq!(hex::encode(std::fs::read(path).unwrap()), hex::encode(octets), "{path}");
}
