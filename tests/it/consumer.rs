//! The README's consumer, run as it is printed there: `mosquitto_sub`, `protoc`, Python.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::head_end::Watch;
use crate::support::mosquitto::{Mosquitto, program};
use crate::support::service::{LIMIT, Unit};
use crate::support::skip;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const COUNT: u32 = 40;

#[test]
fn what_mosquitto_sub_receives_python_reads_with_the_contract_alone() {
    let Some(broker) = Mosquitto::start() else { return };
    let (Some(_), Some(python)) = (program("mosquitto_sub"), python()) else { return };
    let (shell, snippet) = printed();
    let mut unit = Unit::new(&broker, "");
    let _head_end = Watch::start(&broker, unit.dir.path(), "head-end", &[]);
    unit.start();
    // What the unit says of itself is over, so that the next batch is one of readings.
    unit.until("the unit is dated and all is acknowledged", |status| {
        !status["time"]["anchored_ms"].is_null()
            && status["buffer"]["lanes"].as_array().is_some_and(|lanes| !lanes.is_empty())
            && status["buffer"]["backlog"] == 0
    });

    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(format!("{ROOT}/proto"), dir.path().join("proto")).unwrap();
    std::os::unix::fs::symlink(broker.kit.dir(), dir.path().join("pki")).unwrap();
    let shell = shell.replace("-p 8883", &format!("-p {}", broker.port)).replace("python3", &python);
    let subscriptions = || broker.log().matches("Sending SUBACK").count();
    let before = subscriptions();
    let mut consumer = Command::new("sh");
    consumer.args(["-euc", &shell]).current_dir(dir.path()).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut consumer = consumer.spawn().unwrap();
    let begin = Instant::now();
    while subscriptions() == before {
        assert!(begin.elapsed() < LIMIT, "mosquitto_sub does not subscribe");
        if consumer.try_wait().unwrap().is_some() {
            let output = consumer.wait_with_output().unwrap();
            panic!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    unit.hear_volumes(0..COUNT);
    let output = consumer.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let run = |command: &mut Command| {
        let output = command.current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let line = run(Command::new(&python).args(["-c", &snippet]));
    let head: Vec<&str> = line.split_whitespace().collect();
    let count: u32 = head[3].parse().unwrap();
    assert!((1..=COUNT).contains(&count), "{line}");
    assert_eq!(head[..3], ["dcu-1", &(dcu::store::Lane::MBus as i32).to_string(), "1"], "{line}");

    let lines = run(Command::new(&python).arg(format!("{ROOT}/tests/consumer/consume.py")).arg("batch.zst"));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), count as usize);
    for (litres, line) in (0..).zip(&lines) {
        assert_eq!(line["sequence"], litres + 1);
        assert_eq!(line["meter"], format!("KAM-1000000{}-1b-07", litres % 7), "{line}");
        assert_eq!((&line["quantity"], &line["value"]), (&"volume".into(), &format!("{litres}e-3").into()), "{line}");
        assert_eq!(line["reading_type"], "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.42.0", "{line}");
        assert_eq!(line["access_number"], litres, "{line}");
        let age_ms = jiff::Timestamp::now().as_millisecond() - line["utc_ms"].as_i64().unwrap();
        assert!((0..120_000).contains(&age_ms), "{line}");
    }
}

#[test]
fn a_head_end_reads_the_type_that_its_own_table_gives() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut unit = Unit::new(&broker, "reading_types = \"own.toml\"\n");
    let own = "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.-3.42.0";
    let table =
        format!("[[reading]]\nobis = [\"8-0:1.0.0\"]\nunit = \"m3\"\norigin = \"spontaneous\"\ntype = \"{own}\"\n");
    std::fs::write(unit.path("own.toml"), table).unwrap();
    let head_end = Watch::start(&broker, unit.dir.path(), "head-end", &[]);
    unit.start();
    unit.hear_volumes(0..COUNT);
    let readings = || -> Vec<Value> {
        head_end.lines().into_iter().filter(|line| line["kind"] == "reading" && line["unit"] == "m3").collect()
    };
    head_end.until("all volumes", || readings().len() >= COUNT as usize);
    for line in readings() {
        assert_eq!((&line["obis"], &line["reading_type"]), (&"8-0:1.0.0*255".into(), &own.into()), "{line}");
    }
}

/// The README's commands and its Python, from below the line that announces them.
fn printed() -> (String, String) {
    let text = std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let (_, text) = text.split_once("A consumer in Python").expect("the README has a consumer");
    let block = |language: &str| {
        let (_, rest) = text.split_once(&format!("```{language}\n")).expect("a block of code");
        rest.split_once("```").expect("its end").0.to_owned()
    };
    (block("sh"), block("python"))
}

/// `DCU_PYTHON`, or the python3 of the path, where it has the modules that the README asks for.
fn python() -> Option<String> {
    let python = std::env::var("DCU_PYTHON").unwrap_or_else(|_| "python3".into());
    let modules = "import google.protobuf, grpc_tools, zstandard";
    let found = Command::new(&python).args(["-c", modules]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    skip(&format!("{python} has not all of protobuf, grpcio-tools, zstandard"));
    None
}
