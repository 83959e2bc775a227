//! The service from its receiver to the head-end and back, with a real broker in between.

use std::sync::{Arc, Mutex};

use dcu::reading::{EventKind, TimeQuality, Value};
use dcu::simulate::head_end::archive::{Archive, Content};
use dcu::simulate::head_end::intake::Intake;
use dcu::simulate::head_end::watcher::{Options, Watcher};
use dcu::store::{Body, Lane, Record};
use dcu::wire::signed::PrivateKey;

use crate::support::mosquitto::{self, Mosquitto};
use crate::support::service::{LIMIT, Unit, secret};

/// The head-end, and everything it made durable.
struct HeadEnd {
    runtime: tokio::runtime::Runtime,
    watcher: Option<Watcher>,
    records: Arc<Mutex<Vec<Record>>>,
}

impl HeadEnd {
    fn open(broker: &Mosquitto, unit: &Unit) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let ingest = std::fs::read_to_string(broker.kit.ingest_key()).unwrap();
        let archive = Archive::open(&unit.path("readings.jsonl"), Content::Records).unwrap();
        let mut intake = Intake::default();
        intake.records = Some(archive);
        let options = Options {
            broker: broker.head_end(),
            group: None,
            utility: None,
            ingest: Some(PrivateKey::from_pem(&ingest).unwrap()),
            intake,
            seed: 1,
        };
        let all = Arc::clone(&records);
        let on_arrival = Box::new(move |arrival: &dcu::simulate::head_end::intake::Arrival| {
            all.lock().unwrap().extend(arrival.records.iter().cloned());
            Ok(())
        });
        let watcher = runtime.block_on(async {
            let mut watcher = Watcher::open(options, on_arrival);
            assert!(watcher.subscribed().await);
            watcher
        });
        Self { runtime, watcher: Some(watcher), records }
    }

    /// The volumes of lane `mbus`, in the order of their sequences, once there are `count` of them.
    #[track_caller]
    fn volumes(&self, count: usize, unit: &Unit) -> Vec<i64> {
        let begin = std::time::Instant::now();
        loop {
            let volumes = self.volumes_now();
            if volumes.len() >= count {
                return volumes;
            }
            assert!(begin.elapsed() < LIMIT, "{} of {count} readings arrived\n{}", volumes.len(), unit.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn volumes_now(&self) -> Vec<i64> {
        let mut records: Vec<Record> = self.records.lock().unwrap().clone();
        records.retain(|record| record.lane == Lane::MBus);
        records.sort_by_key(|record| record.sequence);
        records.iter().filter_map(volume).collect()
    }
}

impl Drop for HeadEnd {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            let _ = self.runtime.block_on(watcher.stop());
        }
    }
}

fn volume(record: &Record) -> Option<i64> {
    match &record.body {
        Body::Reading(reading) => match reading.value {
            Value::Decimal { mantissa, .. } => Some(mantissa),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn what_is_heard_reaches_the_head_end_through_outage_kill_and_restart() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let mut unit = Unit::new(&broker, "");
    let head_end = HeadEnd::open(&broker, &unit);
    unit.start();

    unit.hear_volumes(0..700);
    assert_eq!(head_end.volumes(700, &unit), (0..700).collect::<Vec<i64>>());
    unit.until("everything is acknowledged", |status| status["buffer"]["backlog"] == 0);

    broker.terminate();
    unit.until("the outage is noticed", |status| status["uplink"]["is_connected"] == false);
    unit.hear_volumes(700..1000);
    let stored = |status: &serde_json::Value| {
        let lanes = status["buffer"]["lanes"].as_array();
        lanes.is_some_and(|lanes| lanes.iter().any(|lane| lane["lane"] == "mbus" && lane["last"] == 1000))
    };
    unit.until("the outage is buffered", stored);
    unit.kill();
    unit.start();
    unit.hear_volumes(1000..1100);
    broker.restart();
    assert_eq!(head_end.volumes(1100, &unit), (0..1100).collect::<Vec<i64>>());
    unit.until("everything is acknowledged", |status| status["buffer"]["backlog"] == 0);
    let (code, verified) = unit.ask(&["buffer", "verify"]);
    assert_eq!(code, Some(0), "{verified:#}");
    unit.terminate();
    // A dead unit can still be asked.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["meter", "list", "--json", "--offline"])
        .arg(unit.path("state"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_unit_that_wakes_up_in_1970_reads_on_and_is_dated_later() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(faketime) = library() else { return };
    let mut unit = Unit::new(&broker, "");
    let head_end = HeadEnd::open(&broker, &unit);
    // Once with the right time, so that the unit remembers it: the floor that TLS needs later.
    unit.start();
    unit.until("the first start is connected", |status| status["uplink"]["is_connected"] == true);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    unit.terminate();

    let clock = unit.path("clock");
    std::fs::write(&clock, "@1970-01-02 00:00:00").unwrap();
    unit.environment("LD_PRELOAD", &faketime);
    unit.environment("DONT_FAKE_MONOTONIC", "1");
    unit.environment("FAKETIME_NO_CACHE", "1");
    unit.environment("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap());
    unit.start();
    unit.hear_volumes(0..50);
    assert_eq!(head_end.volumes(50, &unit).len(), 50);
    let status = unit.until("the clock is called wrong", |status| status["time"]["quality"] == "unsynchronised");
    assert_eq!(status["uplink"]["is_connected"], true, "TLS works below the floor");
    let undated = head_end.records.lock().unwrap().iter().filter(|record| is_unsynchronised(record)).count();
    assert_eq!(undated, 50);

    std::fs::write(&clock, "+0").unwrap();
    unit.until("the clock is right again", |status| status["time"]["quality"] == "synchronised");
    let begin = std::time::Instant::now();
    // The first start wrote one anchor, this one another.
    while head_end.records.lock().unwrap().iter().filter(|record| is_anchor(record)).count() < 2 {
        assert!(begin.elapsed() < LIMIT, "no time anchor arrived\n{}", unit.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    unit.terminate();
}

/// A small file system in the place of a directory; needs root.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", options, "dcu-test"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        crate::support::skip("a small file system cannot be mounted here");
        None
    }

    /// Somebody else takes all that is left.
    fn take_the_rest(&self) {
        let mut ballast = std::fs::File::options().create(true).append(true).open(self.0.join("ballast")).unwrap();
        while std::io::Write::write_all(&mut ballast, &[1; 4096]).is_ok() {}
    }

    fn give_back(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_unit_starts_on_a_full_disk_forwards_what_it_has_and_counts_what_it_cannot_store() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let mut unit = Unit::new(&broker, "");
    let Some(disk) = SmallDisk::mount(unit.path("state"), "size=24m") else { return };
    let head_end = HeadEnd::open(&broker, &unit);
    unit.start();
    broker.terminate();
    unit.hear_volumes(0..300);
    let stored = |status: &serde_json::Value| {
        let lanes = status["buffer"]["lanes"].as_array();
        lanes.is_some_and(|lanes| lanes.iter().any(|lane| lane["lane"] == "mbus" && lane["last"] == 300))
    };
    let epoch = unit.until("the outage is buffered", stored)["buffer"]["epoch"].clone();
    unit.kill();
    disk.take_the_rest();
    broker.restart();
    unit.start();
    assert_eq!(head_end.volumes(300, &unit), (0..300).collect::<Vec<i64>>());
    let is_told = |status: &serde_json::Value| {
        status["alarms"].as_array().is_some_and(|alarms| alarms.iter().any(|alarm| alarm["code"] == "disk-full"))
    };
    let status = unit.until("the full disk is told", is_told);
    assert_eq!((&status["verdict"], &status["buffer"]["epoch"]), (&"fault".into(), &epoch));

    // Telegrams until readings are lost, while somebody takes the room that the unit had kept for itself. With a
    // head-end that acknowledges, batches leave and their room is used again.
    broker.terminate();
    let begin = std::time::Instant::now();
    let mut heard = 300;
    while unit.ask(&["status"]).1["meters"]["not_stored"].as_u64().is_none_or(|lost| lost == 0) {
        disk.take_the_rest();
        unit.hear_volumes(heard..heard + 1000);
        heard += 1000;
        assert!(begin.elapsed() < LIMIT, "nothing is lost of {heard} readings\n{}", unit.log());
    }
    disk.give_back();
    broker.restart();
    unit.until("all is heard", |status| status["meters"]["telegrams"] == heard - 300);
    let status = unit.until("all is forwarded", |status| !is_told(status) && status["buffer"]["backlog"] == 0);
    let lanes = status["buffer"]["lanes"].as_array().unwrap();
    let stored = lanes.iter().find(|lane| lane["lane"] == "mbus").unwrap()["last"].as_u64().unwrap();
    let lost = status["meters"]["not_stored"].as_u64().unwrap();
    assert!(stored + lost >= 300 + status["meters"]["readings"].as_u64().unwrap(), "{status:#}");
    assert_eq!(head_end.volumes(stored as usize, &unit).len() as u64, stored);
    let told = |record: &Record| {
        matches!(&record.body, Body::Event(event) if matches!(&event.kind,
            EventKind::Unit { code, .. } if code == "store.records_lost"))
    };
    assert!(head_end.records.lock().unwrap().iter().any(told));
    unit.terminate();
}

#[test]
fn a_key_file_that_others_can_read_or_with_a_short_key_keeps_the_service_from_starting() {
    let Some(broker) = Mosquitto::start() else { return };
    let unit = Unit::new(&broker, "");
    unit.configure("[meters]\n", "[meters]\nkeys = \"meters.keys\"\n");
    let path = unit.path("dcu.toml");
    let start = || {
        let service =
            std::process::Command::new(env!("CARGO_BIN_EXE_dcu")).args(["run", "--config"]).arg(&path).output();
        let output = service.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let keys = unit.path("meters.keys");
    secret(&keys, "12345678 000102030405060708090A0B0C0D0E0F\n12345679 C0FFEE\n");
    let (code, said) = start();
    assert_ne!(code, Some(0));
    assert!(said.contains("meters.keys") && said.contains('2') && !said.contains("C0FFEE"), "{said}");
    std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (code, said) = start();
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("chmod"), "{said}");
}

fn is_unsynchronised(record: &Record) -> bool {
    match &record.body {
        Body::Reading(reading) => reading.source.received.quality == TimeQuality::Unsynchronised,
        _ => false,
    }
}

fn is_anchor(record: &Record) -> bool {
    matches!(&record.body, Body::Event(event) if matches!(event.kind, EventKind::TimeAnchor { .. }))
}

/// Where libfaketime is; None, and a word about it, where it is not installed.
fn library() -> Option<String> {
    mosquitto::program("faketime")?;
    let name = "faketime/libfaketime.so.1";
    let found = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib/arm-linux-gnueabihf", "/usr/lib"]
        .map(|dir| format!("{dir}/{name}"))
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    if found.is_none() {
        crate::support::skip("libfaketime is not where Debian puts it");
    }
    found
}
