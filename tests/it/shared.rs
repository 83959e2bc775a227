//! Consumers that share the batches of one unit.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::head_end::{Verified, Watch, lines, order_checkpoint};
use crate::support::mosquitto::Mosquitto;
use crate::support::random::Random;
use crate::support::service::Unit;

#[tokio::test(flavor = "multi_thread")]
async fn of_three_consumers_one_dies_with_batches_in_its_hands_and_nothing_is_lost() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut random = Random::new();
    let mut unit = Unit::new(&broker, "republish_first = \"2s\"\n");
    unit.configure("seal_age = \"1s\"", "seal_age = \"1s\"\nseal_records = 20");
    let mut consumers =
        ["a", "b", "c"].map(|name| Watch::start(&broker, unit.dir.path(), name, &["--share", "ingest"]));
    unit.start();

    let (before, held, after) = (random.within(100..600), random.within(140..200), random.within(50..300));
    let victim = random.within(0..3) as usize;
    unit.hear_volumes(0..before);
    unit.until("the first batches are published", |status| published(status) > u64::from(before / 20));
    let holder = &consumers[victim];
    holder.until("it has a batch", || !lines(&holder.records).is_empty());
    consumers[victim].freeze();
    unit.hear_volumes(before..before + held);
    let all = u64::from((before + held) / 20);
    unit.until("the broker has them all, and not all are acknowledged", |status| {
        published(status) > all && status["uplink"]["in_flight"] == 0 && status["buffer"]["backlog"] != 0
    });
    consumers[victim].kill();
    let count = before + held + after;
    unit.hear_volumes(before + held..count);
    let heard = |status: &Value| lane(status, "mbus").is_some_and(|lane| lane["last"] == count);
    unit.until("everything is stored", heard);
    let status = unit.until("everything is acknowledged", |status| status["buffer"]["backlog"] == 0);
    assert_ne!(status["uplink"]["republished"], 0, "the dead consumer held nothing: {status:#}");
    assert_eq!(status["uplink"]["refused_acknowledgements"], 0, "{status:#}");

    let records: Vec<&Path> = consumers.iter().map(|consumer| consumer.records.as_path()).collect();
    assert!(records.iter().all(|file| !lines(file).is_empty()), "each of the three had its share");
    all_there_once(&records, &status, count);

    order_checkpoint(&broker).await;
    let batches = consumers.iter().map(|consumer| consumer.batches.as_path());
    let files: Vec<&Path> = records.iter().copied().chain(batches).collect();
    let proven = || {
        let verified = Verified::new(&broker, &files, &[]);
        verified.lanes().values().all(|(last, proven)| last == proven).then_some(verified)
    };
    consumers[(victim + 1) % 3].until("the checkpoint arrives", || proven().is_some());
    let verified = proven().unwrap();
    assert_eq!(verified.code, Some(0), "{}", verified.text);
    for lane in status["buffer"]["lanes"].as_array().unwrap() {
        let (last, proven) = verified.lanes()[lane["lane"].as_str().unwrap()];
        assert_eq!((Some(last), last), (lane["last"].as_u64(), proven), "{}", verified.text);
    }
}

/// Every record of the store is in one of the files, and wherever it is it says the same.
#[track_caller]
fn all_there_once(files: &[&Path], status: &Value, count: u32) {
    let mut merged: BTreeMap<(String, u64), (Value, Value)> = BTreeMap::new();
    for line in files.iter().flat_map(|file| lines(file)) {
        let name = (line["lane"].as_str().unwrap().to_owned(), line["sequence"].as_u64().unwrap());
        let said = (line["batch"].clone(), line["value"].clone());
        let first = merged.entry(name).or_insert_with(|| said.clone());
        assert_eq!(*first, said, "{line}");
    }
    for lane in status["buffer"]["lanes"].as_array().unwrap() {
        let name = lane["lane"].as_str().unwrap();
        let there: Vec<u64> = merged.keys().filter(|(lane, _)| lane == name).map(|(_, sequence)| *sequence).collect();
        assert_eq!(there, (1..=lane["last"].as_u64().unwrap()).collect::<Vec<_>>(), "lane {name}");
    }
    let litres: Vec<String> =
        merged.iter().filter(|((lane, _), _)| lane == "mbus").map(|(_, (_, value))| value.to_string()).collect();
    let sent: Vec<String> = (0..count).map(|litres| format!("\"{}.{:03}\"", litres / 1000, litres % 1000)).collect();
    assert_eq!(litres, sent);
}

fn published(status: &Value) -> u64 {
    status["uplink"]["published"].as_u64().unwrap_or(0)
}

fn lane<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["buffer"]["lanes"].as_array()?.iter().find(|lane| lane["lane"] == name)
}
