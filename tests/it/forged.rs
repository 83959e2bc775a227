//! Acknowledgements that are not the head-end's, or not true: nothing is deleted, and lane P1 says so.

use std::time::Duration;

use dcu::store::Lane;
use dcu::task::mqtt::{Connected, PubAckReason, Settings};
use dcu::wire;
use dcu::wire::signed::{PrivateKey, sign};
use dcu::wire::v1::Ack;
use dcu::wire::v1::ack::Range;
use serde_json::Value;

use crate::support::client::{Client, publication};
use crate::support::head_end::{Watch, lines};
use crate::support::mosquitto::Mosquitto;
use crate::support::service::Unit;

const COUNT: u32 = 100;

/// The lane of readings in `buffer stat`, and the verdict of `buffer verify`.
fn buffer(unit: &Unit) -> (Value, Option<i32>) {
    let (code, stat) = unit.ask(&["buffer", "stat"]);
    assert_eq!(code, Some(0), "{stat:#}");
    let mut lanes = stat["lanes"].as_array().unwrap().iter();
    let lane = lanes.find(|lane| lane["lane"] == "mbus").cloned().unwrap();
    (lane, unit.ask(&["buffer", "verify"]).0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_acknowledgement_deletes_nothing_and_is_recorded() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut unit = Unit::new(&broker, "");
    unit.configure("seal_age = \"1s\"", "seal_age = \"1s\"\nseal_records = 20");
    let watch = Watch::start(&broker, unit.dir.path(), "looks", &["--no-ack"]);
    unit.start();
    unit.hear_volumes(0..COUNT);
    let is_heard = || watch.lines().iter().filter(|line| line["lane"] == "mbus").count() == COUNT as usize;
    watch.until("the readings arrive", is_heard);
    let before = buffer(&unit);
    assert_eq!((&before.0["backlog"], &before.0["acknowledged"]), (&COUNT.into(), &0.into()), "{before:?}");

    let stat = unit.ask(&["buffer", "stat"]).1;
    let epoch = u64::from_str_radix(stat["epoch"].as_str().unwrap(), 16).unwrap();
    let hash = last_hash(&watch);
    let truth = |change: &dyn Fn(&mut Ack)| {
        let range = Range { first: 1, last: COUNT.into(), last_hash: hash.clone() };
        let mut ack = Ack { dcu: "dcu-1".into(), epoch, lane: Lane::MBus as i32, ranges: vec![range] };
        change(&mut ack);
        ack
    };
    let ingest = PrivateKey::from_pem(&std::fs::read_to_string(broker.kit.ingest_key()).unwrap()).unwrap();
    let device = PrivateKey::from_pem(&std::fs::read_to_string(broker.kit.device_key("dcu-1")).unwrap()).unwrap();
    let signed = |change: &dyn Fn(&mut Ack)| sign(&truth(change), &[&ingest]);
    let mut altered = signed(&|_| {});
    *altered.last_mut().unwrap() ^= 1;
    let unknown = "no signature by a trusted key";
    let rows: [(Vec<u8>, &str, u64); 8] = [
        (sign(&truth(&|_| {}), &[&PrivateKey::from_random(&[9; 32]).unwrap()]), unknown, 100),
        (sign(&truth(&|_| {}), &[&device]), unknown, 100),
        (altered, "bad signature by key", 100),
        (signed(&|ack| ack.ranges[0].last_hash[0] ^= 1), "wrong hash", 100),
        (signed(&|ack| ack.ranges[0].last = 5_000), "no published batch ends with it", 5_000),
        // In the middle of a batch.
        (signed(&|ack| ack.ranges[0].last = 50), "no published batch ends with it", 50),
        (signed(&|ack| ack.epoch ^= 1), "of another epoch", 100),
        (signed(&|ack| ack.dcu = "dcu-2".into()), "for another unit", 100),
    ];
    let mut forger = Client::open(Settings { client_id: "forger".into(), ..broker.head_end() });
    let Connected { connection, .. } = forger.connected().await;
    for (n, (payload, reason, last)) in rows.into_iter().enumerate() {
        say(&mut forger, connection, payload).await;
        let refused = |line: &Value| line["event"] == "ack_refused";
        let events = || watch.lines().into_iter().filter(refused).collect::<Vec<_>>();
        watch.until(&format!("{reason} is told"), || events().len() > n);
        let event = events().swap_remove(n);
        assert_eq!((&event["lane"], &event["refused_lane"]), (&"p1".into(), &"mbus".into()), "{event:#}");
        assert_eq!((&event["first"], &event["last"]), (&1.into(), &last.into()), "{event:#}");
        assert!(event["reason"].as_str().unwrap().starts_with(reason), "{reason}: {event:#}");
        assert_eq!(buffer(&unit), before, "{reason}");
    }
    say(&mut forger, connection, b"no envelope at all".to_vec()).await;
    let is_unreadable = |line: &Value| line["code"] == "uplink.ack_unreadable";
    watch.until("octets are told", || watch.lines().iter().any(is_unreadable));
    assert_eq!(buffer(&unit), before);

    // The true one would have been believed.
    say(&mut forger, connection, signed(&|_| {})).await;
    let begin = std::time::Instant::now();
    while buffer(&unit).0["backlog"] != 0 {
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", unit.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn say(forger: &mut Client, connection: u64, payload: Vec<u8>) {
    let reason = forger.ask(connection, publication("dcu/v1/acme/dcu-1/ack", payload)).await;
    assert_eq!(reason, PubAckReason::Success);
}

/// The hash of the last batch of readings.
fn last_hash(watch: &Watch) -> Vec<u8> {
    let batches = lines(&watch.batches).into_iter().filter(|line| line["topic"] == "dcu/v1/acme/dcu-1/batch/mbus");
    let mut payloads = batches.map(|line| hex::decode(line["payload"].as_str().unwrap()).unwrap());
    wire::hash(&payloads.next_back().unwrap()).to_vec()
}
