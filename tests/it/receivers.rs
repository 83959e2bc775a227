//! All kinds of receivers at once around one service: what several of them hear is one reading, one that dies and comes
//! back loses none, and no garbage does.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::service::LIMIT;

/// The last line of a run that was a success.
fn simulate(readings: u32, faults: &str, seed: u64) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["simulate", "--receivers", RECEIVERS, "--meters", "30", "--rate", "120", "--json"])
        .args(["--readings", &readings.to_string(), "--faults", faults, "--seed", &seed.to_string()])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    let report: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let of = |name: &str| report[name].as_u64().unwrap();
    assert!(of("copies") > 300, "{report}");
    assert_eq!((of("lost"), of("strange"), of("disordered")), (0, 0, 0), "{report}");
    assert_eq!((of("delivered"), of("decoded")), (of("heard"), of("heard")), "{report}");
    report
}

#[test]
fn what_six_receivers_hear_arrives_once_though_one_of_them_dies_and_comes_back() {
    // The seeds let a stick and the program die.
    for seed in [3, 5] {
        simulate(4000, "receiver-outage=1s,loss=2%,corrupt=1%", seed);
    }
}

#[test]
fn garbage_between_the_telegrams_costs_none_and_arrives_as_nothing() {
    let report = simulate(2500, "garbage=300,corrupt=1%", 3);
    assert!(report["garbage"].as_u64().unwrap() > 300, "{report}");
}

const RECEIVERS: &str = "im871a,iu891a,amb8465,cul,rc1180,rtl_wmbus";

/// Frames that nobody here can read: L is put in front of each.
const UNREAD: [(&str, &str, &str, &str); 4] = [
    ("442d2c010000001b165f010203040506", "KAM-00000001-1b-16", "unsupported", "ci field 5f is not decoded"),
    ("442d2c020000001b167a2a0010090102030405060708", "KAM-00000002-1b-16", "unsupported", "security mode 9 is not"),
    ("444d4d030000000107a50102030405060708", "SJM-00000003-01-07", "unsupported", "ci field a5 belongs to the man"),
    ("442d2c040000001b167a2a00000004137b0000003f01", "KAM-00000004-1b-16", "plain", "reserved dif 3f"),
];

#[test]
fn what_cannot_be_read_is_kept_raw_and_shown_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let lines: String = UNREAD.map(|(body, ..)| format!("{:02x}{body}\n", body.len() / 2)).concat();
    fs::write(path("frames"), lines).unwrap();
    let script = format!("cat {:?}; exec sleep 1000", path("frames"));
    let text = format!(
        "[unit]\nid = \"dcu-1\"\nstate_dir = \"state\"\n[[wmbus]]\nname = \"roof/1\"\nkind = \"hex\"\n\
         command = [\"sh\", \"-c\", {script:?}]\n[store]\ncommit_window = \"200ms\"\n[time]\nsource = \"trusted\"\n\
         [control]\nsocket = \"control.sock\"\n"
    );
    fs::write(path("dcu.toml"), text).unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_dcu"));
    service.args(["run", "--config"]).arg(path("dcu.toml")).stdin(Stdio::null()).stdout(Stdio::null());
    let mut service = service.stderr(fs::File::create(path("log")).unwrap()).spawn().unwrap();
    let ask = |words: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_dcu")).args(words).arg("--socket").arg(path("control.sock")).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let begin = Instant::now();
    let are_kept = || {
        let status: serde_json::Value = serde_json::from_str(&ask(&["status", "--json"])).unwrap_or_default();
        let lanes = status["buffer"]["lanes"].as_array().cloned().unwrap_or_default();
        lanes.iter().any(|lane| lane["lane"] == "raw" && lane["last"] == 4)
    };
    while !are_kept() {
        assert!(begin.elapsed() < LIMIT, "{}", fs::read_to_string(path("log")).unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    for (_, meter, security, reason) in UNREAD {
        let shown = ask(&["meter", "show", meter]);
        let row = |name: &str, text: &str| shown.lines().any(|line| line.starts_with(name) && line.contains(text));
        assert!(row("security", security) && row("not read", reason) && row("not read", "kept as it came"), "{shown}");
        let card: serde_json::Value = serde_json::from_str(&ask(&["meter", "show", meter, "--json"])).unwrap();
        assert!(card["unread"].as_str().unwrap().contains(reason), "{card}");
    }
    // What the receiver usually hears is kept where it stops; a name need not be a file's.
    kill(Pid::from_raw(service.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(service.wait().unwrap().success());
    assert!(path("state/traffic-roof_1").exists());
}
