use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::reading::{
    Function, Manufacturer, MeterId, Obis, Origin, Path as MeterPath, Quality, Reading, ReadingTypes, Received,
    Register, Security, Source, Standing, TimeQuality, Unit, Value,
};
use crate::simulate::head_end::archive::Content;
use crate::store::{Body, Epoch, Lane};

const TOPIC: &str = "dcu/v1/acme/dcu-1/batch/mbus";

fn record(sequence: u64, mantissa: i64) -> Record {
    let meter =
        MeterId::MBus { manufacturer: Manufacturer(0x2c2d), identification: 0x1234_5678, version: 1, device_type: 7 };
    let received =
        Received { boot_id: [3; 16], boot_ms: 10, utc_ms: 1_700_000_000_000, quality: TimeQuality::Synchronised };
    let source = Source {
        meter,
        origin: Origin::Spontaneous,
        path: MeterPath::Direct,
        standing: Standing::Sole,
        meter_time: None,
        received,
        status: vec![0],
        links: Vec::new(),
        hops: None,
        security: Security::Decrypted,
        access_number: None,
        evidence: None,
    };
    let register = Register {
        obis: Some(Obis([8, 0, 1, 0, 0, 255])),
        quantity: "volume".into(),
        unit: Unit(13),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        modifier: "".into(),
    };
    let value = Value::Decimal { mantissa, scaler: -3 };
    let reading = Reading { source: Arc::new(source), register, value, interval: None, quality: Quality::GOOD };
    Record { lane: Lane::MBus, sequence, body: Body::Reading(reading) }
}

fn sealed(first: u64, count: u32, offset: i64) -> Vec<u8> {
    let head =
        BatchHead { dcu: "dcu-1".into(), epoch: Epoch(7), lane: Lane::MBus, first, count, previous_hash: [0; 32] };
    let records: Vec<_> =
        (first..first + u64::from(count)).map(|sequence| record(sequence, sequence as i64 + offset)).collect();
    wire::seal(&head, &records, &ReadingTypes::default())
}

fn intake(dir: &Path) -> Intake {
    Intake {
        records: Some(Archive::open(&dir.join("records"), Content::Records).unwrap()),
        batches: Some(Archive::open(&dir.join("batches"), Content::Batches).unwrap()),
        ..Intake::default()
    }
}

fn ranges(acks: &[(Stream, v1::Ack)]) -> Vec<(u64, u64)> {
    acks.iter().flat_map(|(_, ack)| &ack.ranges).map(|range| (range.first, range.last)).collect()
}

fn sequences(dir: &Path) -> Vec<u64> {
    let text = fs::read_to_string(dir.join("records")).unwrap();
    text.lines().map(|line| serde_json::from_str::<line::Name>(line).unwrap().sequence).collect()
}

#[test]
fn what_came_is_written_once_and_acknowledged_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut intake = intake(dir.path());
    let (one, two) = (sealed(1, 5, 0), sealed(6, 5, 0));
    assert!(matches!(intake.take(TOPIC, &two), Taken::New(_)));
    assert!(matches!(intake.take(TOPIC, &one), Taken::New(_)));
    let acks = intake.commit().unwrap();
    assert_eq!(ranges(&acks), [(1, 10)]);
    assert_eq!(acks[0].1.ranges[0].last_hash, wire::hash(&two));
    assert!(matches!(intake.take(TOPIC, &one), Taken::Known(_)));
    assert_eq!(ranges(&intake.commit().unwrap()), [(1, 5)]);
    assert_eq!(sequences(dir.path()), [6, 7, 8, 9, 10, 1, 2, 3, 4, 5]);
    assert_eq!(fs::read_to_string(dir.path().join("batches")).unwrap().lines().count(), 2);
}

#[test]
fn a_line_says_who_measured_what() {
    let dir = tempfile::tempdir().unwrap();
    let mut intake = intake(dir.path());
    intake.take(TOPIC, &sealed(1, 1, 4));
    intake.commit().unwrap();
    let text = fs::read_to_string(dir.path().join("records")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, expected) in [
        ("dcu", "dcu-1"),
        ("lane", "mbus"),
        ("epoch", "0000000000000007"),
        ("kind", "reading"),
        ("meter", "KAM-12345678-01-07"),
        ("quantity", "volume"),
        ("obis", "8-0:1.0.0*255"),
        ("value", "0.005"),
        ("unit", "m3"),
        ("reading_type", "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.42.0"),
    ] {
        assert_eq!(line[key], expected, "{key} of {line}");
    }
}

#[test]
fn a_watcher_that_was_killed_at_any_octet_goes_on_without_losing_or_doubling() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (sealed(1, 4, 0), sealed(5, 4, 0));
    let mut whole = intake(dir.path());
    whole.take(TOPIC, &one);
    whole.take(TOPIC, &two);
    whole.commit().unwrap();
    drop(whole);
    let records = fs::read(dir.path().join("records")).unwrap();
    let batches = fs::read(dir.path().join("batches")).unwrap();
    for (cut, batch_cut) in (0..=records.len()).step_by(37).zip((0..=batches.len()).step_by(11).cycle()) {
        fs::write(dir.path().join("records"), &records[..cut]).unwrap();
        fs::write(dir.path().join("batches"), &batches[..batch_cut]).unwrap();
        let mut again = intake(dir.path());
        again.take(TOPIC, &one);
        again.take(TOPIC, &two);
        assert_eq!(ranges(&again.commit().unwrap()), [(1, 8)], "cut at {cut}");
        drop(again);
        assert_eq!(sequences(dir.path()), (1..=8).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!(fs::read(dir.path().join("batches")).unwrap(), batches, "cut at {batch_cut}");
    }
}

#[test]
fn a_batch_that_contradicts_what_is_here_is_kept_and_never_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut taking = intake(dir.path());
    taking.take(TOPIC, &sealed(1, 4, 0));
    taking.commit().unwrap();
    drop(taking);
    let mut taking = intake(dir.path());
    assert!(matches!(taking.take(TOPIC, &sealed(1, 4, 1)), Taken::Conflict(_)));
    assert_eq!(ranges(&taking.commit().unwrap()), []);
    assert_eq!(sequences(dir.path()), [1, 2, 3, 4]);
    assert_eq!(fs::read_to_string(dir.path().join("batches")).unwrap().lines().count(), 2);
}

#[test]
fn messages_that_are_not_of_the_contract_are_counted_and_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut intake = intake(dir.path());
    let batch = sealed(1, 4, 0);
    let rows: [(&str, &[u8]); 7] = [
        (TOPIC, b""),
        (TOPIC, b"garbage"),
        (TOPIC, &batch[..batch.len() - 1]),
        ("dcu/v1/acme/dcu-1/batch/p0", &batch),
        ("dcu/v1/acme/dcu-2/batch/mbus", &batch),
        ("dcu/v1/acme/dcu-1/health", &batch),
        ("other", &batch),
    ];
    for (topic, payload) in rows {
        assert!(matches!(intake.take(topic, payload), Taken::Rejected(_)), "{topic}");
    }
    assert_eq!(ranges(&intake.commit().unwrap()), []);
    assert_eq!(intake.counts.rejected, rows.len() as u64);
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "dear diary\nno json").unwrap();
    for content in [Content::Records, Content::Batches] {
        assert!(matches!(Archive::open(&path, content), Err(ArchiveError::Foreign { line: 1, .. })));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary\nno json");
}

#[test]
fn two_watchers_do_not_write_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records");
    let _first = Archive::open(&path, Content::Records).unwrap();
    assert!(matches!(Archive::open(&path, Content::Records), Err(ArchiveError::InUse { .. })));
}
