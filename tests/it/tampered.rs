//! A broker that alters, drops, invents or exchanges what a unit published: `dcu head-end verify` names it.

use std::path::{Path, PathBuf};

use dcu::reading::Value;
use dcu::store::{BatchHead, Body, Lane};
use dcu::task::mqtt::{Connected, PubAckReason, Settings};
use dcu::wire;
use dcu::wire::signed::{self, PrivateKey};
use dcu::wire::v1;

use crate::support::client::{Client, publication};
use crate::support::head_end::{Verified, Watch, lines, order_checkpoint};
use crate::support::mosquitto::Mosquitto;
use crate::support::service::Unit;

/// A topic and a payload.
type Message = (String, Vec<u8>);

/// A finding, and the words in its line that name the records.
type Fault = (&'static str, &'static str);

/// A name, what is passed on, options of `verify`, and what it must find.
type Row<'a> = (&'a str, &'a [Message], &'a [&'a str], &'a [Fault]);

const BATCHES: &str = "dcu/v1/acme/dcu-1/batch/";
const CHECKPOINTS: &str = "dcu/v1/acme/dcu-1/checkpoint";

/// What a live service published: ten batches of twenty readings, what else it had to say, and a checkpoint of it all.
async fn published(broker: &Mosquitto) -> Vec<Message> {
    let mut unit = Unit::new(broker, "");
    unit.configure("seal_age = \"1s\"", "seal_age = \"1s\"\nseal_records = 20");
    let subscriptions = vec![format!("{BATCHES}+"), CHECKPOINTS.into()];
    let mut spectator = Client::open(Settings { subscriptions, ..broker.head_end() });
    spectator.subscribed().await;
    unit.start();
    unit.hear_volumes(0..200);
    let (mut messages, mut is_ordered) = (Vec::new(), false);
    loop {
        let message = spectator.taken().await;
        messages.push((message.topic, message.payload.to_vec()));
        if !is_ordered && of_readings(&messages).len() == 10 {
            order_checkpoint(broker).await;
            is_ordered = true;
        } else if messages.last().is_some_and(|(topic, payload)| topic == CHECKPOINTS && is_whole(payload)) {
            return messages;
        }
    }
}

/// Does the checkpoint reach the last reading?
fn is_whole(payload: &[u8]) -> bool {
    let checkpoint = signed::claim::<v1::Checkpoint>(payload).unwrap();
    checkpoint.heads.iter().any(|head| head.lane == Lane::MBus as i32 && head.last == 200)
}

/// Where the batches of readings are.
fn of_readings(messages: &[Message]) -> Vec<usize> {
    let is_of_readings = |(topic, _): &Message| topic.ends_with("/batch/mbus");
    (0..messages.len()).filter(|at| is_of_readings(&messages[*at])).collect()
}

/// The same batch with one litre more in its fifth reading, sealed as the unit would.
fn one_litre_more(payload: &[u8]) -> Vec<u8> {
    let (head, mut records): (BatchHead, _) = wire::open_batch(payload).unwrap();
    let Body::Reading(reading) = &mut records[4].body else { panic!("no reading") };
    let Value::Decimal { mantissa, .. } = &mut reading.value else { panic!("no number") };
    *mantissa += 1;
    wire::seal(&head, &records, &dcu::reading::ReadingTypes::none())
}

/// The broker of the head-end, which is not the one that the unit published to.
struct Rogue<'a> {
    /// Whose devices are believed.
    honest: &'a Mosquitto,
    broker: Mosquitto,
    dir: tempfile::TempDir,
}

impl Rogue<'_> {
    /// Passes these on to a new watcher, and gives the files that it wrote.
    async fn pass(&self, name: &str, messages: &[Message]) -> [PathBuf; 2] {
        let mut watch = Watch::start(&self.broker, self.dir.path(), name, &["--no-ack"]);
        let mut publisher = Client::open(Settings { client_id: "rogue".into(), ..self.broker.head_end() });
        let Connected { connection, .. } = publisher.connected().await;
        for (topic, payload) in messages {
            let reason = publisher.ask(connection, publication(topic, payload.clone())).await;
            assert_eq!(reason, PubAckReason::Success);
        }
        watch.until("everything arrives", || lines(&watch.batches).len() == messages.len());
        watch.terminate();
        [watch.records.clone(), watch.batches.clone()]
    }

    fn verify(&self, files: &[&Path], more: &[&str]) -> Verified {
        Verified::new(self.honest, files, more)
    }

    /// Each of the faults must be named with its lane and its records; the end is 8.
    #[track_caller]
    fn check(&self, what: &str, files: &[&Path], more: &[&str], faults: &[Fault]) {
        let Verified { code, text, .. } = self.verify(files, more);
        let expected = if faults.is_empty() { 0 } else { 8 };
        assert_eq!(code, Some(expected), "{what}: {text}");
        for (fault, records) in faults {
            let is_named = |line: &str| {
                line.starts_with(&format!("FAULT {fault}: ")) && line.contains("mbus") && line.contains(records)
            };
            assert!(text.lines().any(is_named), "{what}: no {fault} of {records}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_broker_does_to_a_stream_is_named_with_lane_and_sequences() {
    let Some(honest) = Mosquitto::start() else { return };
    let Some(broker) = Mosquitto::start() else { return };
    let messages = published(&honest).await;
    let at = of_readings(&messages);
    let rogue = Rogue { honest: &honest, broker, dir: tempfile::tempdir().unwrap() };

    let [records, batches] = rogue.pass("honest", &messages).await;
    let verified = rogue.verify(&[&records, &batches], &["--order"]);
    assert_eq!(verified.code, Some(0), "{}", verified.text);
    assert_eq!(verified.lanes()["mbus"], (200, 200), "{}", verified.text);

    let with = |change: &dyn Fn(&mut Vec<Message>)| {
        let mut messages = messages.clone();
        change(&mut messages);
        messages
    };
    let altered = with(&|all| all[at[2]].1 = one_litre_more(&all[at[2]].1));
    let broken = with(&|all| all[at[2]].1[0] ^= 1);
    let dropped = with(&|all| drop(all.remove(at[3])));
    let cut_short = with(&|all| drop(all.remove(at[9])));
    let exchanged = with(&|all| all.swap(at[5], at[6]));
    let doubled = with(&|all| all.insert(at[4] + 1, (all[at[4]].0.clone(), one_litre_more(&all[at[4]].1))));
    let elsewhere = with(&|all| all[at[1]].0 = format!("{BATCHES}billing"));
    let forged = with(&|all| {
        let last = all.len() - 1;
        let checkpoint = signed::claim::<v1::Checkpoint>(&all[last].1).unwrap();
        all[last].1 = signed::sign(&checkpoint, &[&PrivateKey::from_random(&[9; 32]).unwrap()]);
    });
    let everything = with(&|all| {
        all.swap(at[7], at[8]);
        all[at[5]].1 = one_litre_more(&all[at[5]].1);
        drop(all.remove(at[2]));
    });
    let all = [("altered", " 101..=120 "), ("missing", " 41..=60 "), ("reordered", " 141 to 160 ")];
    // No signature reaches below what is missing: only that two batches do not fit together can be known there.
    let below = with(&|all| {
        drop(all.remove(at[5]));
        all[at[2]].1 = one_litre_more(&all[at[2]].1);
    });
    let below_faults = [("missing", " 101..=120 "), ("chain_break", " from 61 ")];
    let rows: [Row; 10] = [
        ("altered", &altered, &[], &[("altered", " 41..=60 ")]),
        ("broken", &broken, &[], &[("unreadable", " lane mbus"), ("missing", " 41..=60 ")]),
        ("dropped", &dropped, &[], &[("missing", " 61..=80 ")]),
        ("cut-short", &cut_short, &[], &[("missing", " 181..=200 ")]),
        ("exchanged", &exchanged, &["--order"], &[("reordered", " 101 to 120 ")]),
        // Whole as it is, it is no fault where order was not asked for.
        ("late", &exchanged, &[], &[]),
        ("doubled", &doubled, &[], &[("forged", " 81..=100 ")]),
        ("elsewhere", &elsewhere, &[], &[("misplaced", " lane mbus"), ("missing", " 21..=40 ")]),
        ("below-a-gap", &below, &[], &below_faults),
        ("all-at-once", &everything, &["--order"], &all),
    ];
    for (what, messages, more, faults) in rows {
        let [_, batches] = rogue.pass(what, messages).await;
        rogue.check(what, &[&batches], more, faults);
    }
    let [_, unsigned] = rogue.pass("unsigned", &forged).await;
    let verified = rogue.verify(&[&unsigned], &[]);
    assert_eq!(verified.code, Some(8), "{}", verified.text);
    assert!(verified.text.contains("checkpoint_refused: dcu-1"), "{}", verified.text);

    // The same, done to the files.
    let tampered = rogue.dir.path().join("tampered.jsonl");
    let write = |lines: &[&str]| std::fs::write(&tampered, lines.join("\n") + "\n").unwrap();
    let text = std::fs::read_to_string(&batches).unwrap();
    let mut whole: Vec<&str> = text.lines().collect();
    let dropped = whole.remove(at[3]);
    write(&whole);
    rogue.check("a batch is cut out", &[&tampered], &[], &[("missing", " 61..=80 ")]);
    whole.push(dropped);
    write(&whole);
    rogue.check("a batch is at the end", &[&tampered], &["--order"], &[("reordered", " 61 to 80 ")]);
    let text = std::fs::read_to_string(&records).unwrap();
    let is_61 = |line: &str| line.contains("\"lane\":\"mbus\"") && line.contains("\"sequence\":61,");
    write(&text.lines().filter(|line| !is_61(line)).collect::<Vec<_>>());
    rogue.check("a record is cut out", &[&batches, &tampered], &[], &[("missing", " 61 to 61 ")]);
}
