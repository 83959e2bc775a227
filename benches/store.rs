//! What the store costs: octets written per reading, memory and start-up with a backlog of a million readings.
//!
//! `cargo bench --bench store`; one line a figure. Each part runs as a process of its own, so that its memory and its
//! written octets (`/proc/self/io`) are its alone.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement reads clocks and prints")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use dcu::clock::Now;
use dcu::reading::{
    Function, Link, Manufacturer, MeterId, Obis, Origin, Quality, Reading, Received, Register, Security, Source,
    TimeQuality, Unit, Value,
};
use dcu::store::{Body, Lane, Limit, Options, Report, Store, System};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["fill", path, group, readings] => fill(Path::new(path), group.parse().unwrap(), readings.parse().unwrap()),
        ["reopen", path] => reopen(Path::new(path)),
        _ => {
            let readings = words.first().copied().unwrap_or("1000000");
            for group in ["83", "300"] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("store");
                let path = path.to_str().unwrap();
                run(&["fill", path, group, readings]);
                run(&["reopen", path]);
            }
        }
    }
}

/// With the allocator's settings of the service's unit: one arena, and large blocks go back to the system.
fn run(arguments: &[&str]) {
    let mut part = Command::new(std::env::current_exe().unwrap());
    part.env("MALLOC_ARENA_MAX", "1").env("MALLOC_MMAP_THRESHOLD_", "131072");
    assert!(part.args(arguments).status().unwrap().success());
}

/// Commits readings in groups of a size, one group a commit, and seals as in service.
fn fill(path: &Path, group: u64, readings: u64) {
    let empty = (status("VmRSS"), written());
    let (store, _) = open(path, None);
    let began = Instant::now();
    let (mut number, mut worst) = (0, Duration::ZERO);
    while number < readings {
        let begin = Instant::now();
        commit(&store, (number..number + group).map(reading).collect());
        worst = worst.max(begin.elapsed());
        number += group;
    }
    let seconds = began.elapsed().as_secs_f64();
    let statistics = store.statistics();
    let lane = statistics.lanes.iter().find(|lane| lane.lane == Lane::MBus).unwrap();
    println!(
        "store group={group} readings={number} written_per_reading={:.1} file_per_reading={:.1} sealed_per_reading={:.2} \
         readings_per_s={:.0} worst_commit_ms={:.1} rss_kib={} (of it without a store {}) peak_rss_kib={} blobs={}",
        (written() - empty.1) as f64 / number as f64,
        statistics.file_octets as f64 / number as f64,
        lane.octets as f64 / lane.records as f64,
        number as f64 / seconds,
        worst.as_secs_f64() * 1000.0,
        status("VmRSS"),
        empty.0,
        status("VmHWM"),
        statistics.blobs,
    );
    store.close().unwrap();
}

/// Opens a store with a backlog and commits once; then reads the whole backlog as the uplink does.
fn reopen(path: &Path) {
    let empty = status("VmRSS");
    let began = Instant::now();
    let (store, opened) = open(path, Some(began));
    commit(&store, vec![reading(1)]);
    let first_commit = began.elapsed();
    let rss = status("VmRSS");
    let began = Instant::now();
    let (mut after, mut batches) = (None, 0);
    loop {
        let some = store.unacknowledged(Lane::MBus, after, Limit { batches: 20, octets: 64 * 1024 }).unwrap();
        let Some(last) = some.last() else { break };
        after = Some((last.epoch, last.last()));
        batches += some.len();
    }
    println!(
        "store reopen open_ms={:.1} first_commit_ms={:.1} rss_kib={rss} (of it without a store {empty}) \
         read_batches={batches} read_ms={:.0} peak_rss_kib={}",
        opened.as_secs_f64() * 1000.0,
        first_commit.as_secs_f64() * 1000.0,
        began.elapsed().as_secs_f64() * 1000.0,
        status("VmHWM"),
    );
    store.close().unwrap();
}

fn open(path: &Path, began: Option<Instant>) -> (Store, Duration) {
    let started = Instant::now();
    let clock = move || Now {
        mono: Instant::now(),
        boot_id: [1; 16],
        boot_ms: 1000 + started.elapsed().as_millis() as u64,
        utc_ms: 1_750_000_000_000 + started.elapsed().as_millis() as i64,
        quality: TimeQuality::Synchronised,
    };
    let report = |report: Report| assert!(!matches!(report, Report::Trouble { .. }), "{report:?}");
    let random = || u64::from(std::process::id()) << 20;
    let forget = |file: &fs::File| Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?);
    let system = System { forget_pages: forget, free_octets: |_| None };
    let options = Options { size_limit: 1 << 30, system, ..Options::new(path, "bench") };
    let (store, _) =
        Store::open(options, dcu::wire::CODEC, Arc::new(clock), Box::new(random), Box::new(report)).unwrap();
    (store, began.unwrap_or(started).elapsed())
}

fn commit(store: &Store, records: Vec<(Lane, Body)>) {
    let (done, durable) = channel();
    store.append(records, None).unwrap();
    store.commit(Some(Box::new(move |result| done.send(result).unwrap()))).unwrap();
    durable.recv().unwrap().unwrap();
}

/// The n-th reading: a thousand water meters whose volumes grow, heard every minute or so.
fn reading(n: u64) -> (Lane, Body) {
    let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let (meter, round) = (noise % 1000, n / 1000);
    let source = Source {
        meter: MeterId::MBus {
            manufacturer: Manufacturer(0x2c2d),
            identification: 0x1000_0000 + meter as u32,
            version: 0x1b,
            device_type: 0x16,
        },
        origin: Origin::Spontaneous,
        path: dcu::reading::Path::Direct,
        standing: dcu::reading::Standing::Sole,
        meter_time: None,
        received: Received {
            boot_id: [1; 16],
            boot_ms: 1000 + n * 60,
            utc_ms: 1_750_000_000_000 + (n * 60) as i64 + (noise % 50) as i64,
            quality: TimeQuality::Synchronised,
        },
        status: vec![0],
        links: vec![Link { receiver: "roof".into(), rssi_dbm: Some(-60 - (noise % 40) as i16), lqi: None }],
        hops: None,
        security: Security::Decrypted,
        access_number: Some((round % 256) as u32),
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
    let mantissa = (meter * 7919 + round * (1 + meter % 5)) as i64;
    let value = Value::Decimal { mantissa, scaler: -3 };
    let reading = Reading { source: Arc::new(source), register, value, interval: None, quality: Quality::GOOD };
    (Lane::MBus, Body::Reading(reading))
}

/// KiB from `/proc/self/status`.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Octets this process caused to be written.
fn written() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find(|line| line.starts_with("write_bytes")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
