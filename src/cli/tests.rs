//! The command line as a whole, against a service of a few lines and golden files in `tests/data/cli/`.
//!
//! `DCU_BLESS=1 cargo test` writes the golden files anew; the difference is then reviewed.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::*;
use crate::control::tests::{card, telegram, well};
use crate::control::{
    Answer, Ask, BufferVerify, ChannelAsk, ChannelCard, Collection, CommitLine, MeshState, MeshStatus, MeterCard,
    MeterLine, OrderLine, Range, Refusal, RefusalKind, Reply, Request, Share, Status, Stream, TaskCard, TaskDay,
    TaskLine, TaskMeter, TaskObject, left,
};

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs one command line; what it printed and how it ended.
fn dcu(args: &[&str]) -> (Exit, String) {
    let printed = Printed::default();
    let mut out = Out::to(printed.clone());
    let exit = execute([&["dcu"], args].concat(), &mut out);
    let octets = printed.0.lock().unwrap().clone();
    (exit, String::from_utf8(octets).unwrap())
}

/// Compares with the golden file of this name.
#[track_caller]
pub(super) fn golden(name: &str, found: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cli")).join(name);
    if std::env::var_os("DCU_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name} differs; DCU_BLESS=1 writes it anew");
    // A fault is as long as the path in it; a graph is for a program.
    let is_narrow = name.starts_with("config-check")
        || name.ends_with(".dot")
        || found.lines().all(|line| line.chars().count() <= 80);
    assert!(is_narrow, "{name} is wider than 80 columns");
}

/// The clock of every unit here, which is long behind ours.
const NOW_MS: i64 = 1_760_000_000_000;

/// A socket that gives every client the answers of `script`, by its request.
struct Service {
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Service {
    fn new(script: impl Fn(&Request) -> Vec<Reply> + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                let ask: Ask = serde_json::from_str(&line).unwrap();
                for reply in script(&ask.request) {
                    let line = serde_json::to_string(&Answer::at(NOW_MS, reply)).unwrap();
                    writeln!(stream, "{line}").ok();
                }
            }
        });
        Self { socket, _directory: directory }
    }

    fn dcu(&self, args: &[&str]) -> (Exit, String) {
        dcu(&[args, &["--socket", self.socket.to_str().unwrap()]].concat())
    }
}

fn ill() -> Status {
    let mut status = well();
    let (all, reachable) = (Share { expected: 9_600, settled: 9_523 }, Share { expected: 9_504, settled: 9_504 });
    let counts = Collection { meters: 100, active: 98, unreachable: 1, refusing: 1, ..Collection::default() };
    let refusal = Some("4d4d4d0000bc614f: association: refused: authentication failure".to_owned());
    status.electricity = Some(Collection { new: 1, all, reachable, lost: 4, refusal, ..counts });
    status.networks = vec![MeshStatus {
        network: "feeder".into(),
        source: "/dev/ttyAMA1".into(),
        state: MeshState::Starting,
        since_ms: status.time.now_ms - 90_000,
        error: Some("no answer to INITIALIZE".into()),
        bootstrap_server: None,
        band: "cenelec-a".into(),
        pan_id: "781d".into(),
        eui64: "001122ffff000001".into(),
        key_generation: 2,
        rekey: "grace".into(),
        rekey_missing: 3,
        listed: 120,
        joined: 117,
        alive: 88,
        unlisted: 2,
        foreign_pans: vec!["1034".into()],
        conflict_ms: None,
        rejected: [("crc".to_owned(), 7)].into(),
        starts: 1,
        ..MeshStatus::default()
    }];
    status.uplink.is_connected = false;
    status.uplink.error = Some("connect 192.0.2.1:8883: connection refused".into());
    status.meters.without_key = 3;
    status.buffer.backlog = 912_000;
    status.time.quality = crate::reading::TimeQuality::Unsynchronised;
    status
}

fn lines() -> Vec<MeterLine> {
    let other = |id: &str, medium: &str, security: &str, heard: Option<i64>| MeterLine {
        id: id.into(),
        medium: medium.into(),
        security: Some(security.to_owned()).filter(|security| !security.is_empty()),
        last_heard_ms: heard,
        rssi_dbm: heard.map(|_| -91),
        telegrams: (!security.is_empty()).then_some(u64::from(heard.is_some())),
        ..card().line
    };
    vec![
        card().line,
        other("ELS-70012345-03-03", "gas", "no-key", Some(1_759_900_000_000)),
        other("QDS-00000017-1d-04", "heat", "authenticated", None),
        other("QDS-00000018-1d-04", "heat", "", Some(1_759_900_000_000)),
    ]
}

#[test]
fn what_meters_were_told_is_a_table_with_reasons() {
    let order = |order, action: &str, state: &str, detail: &str| OrderLine {
        order,
        meter: "KAM-12345678-1b-16".into(),
        action: action.into(),
        state: state.into(),
        detail: detail.into(),
        given_ms: 0,
        expires_ms: 0,
        changed_ms: NOW_MS - 7_000,
    };
    let orders = vec![
        order(1, "close-valve", "succeeded", ""),
        order(2, "open-valve", "failed", "the meter says that its valve is closed"),
        order(10, "set-clock", "queued", "waits until the meter listens"),
    ];
    let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
    let service = Service::new({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.lock().unwrap().push(request.clone());
            match request {
                Request::Meters => vec![Reply::Meters { meters: lines() }],
                Request::Order { action, .. } if action == "open-valve" => {
                    vec![Refusal::new(RefusalKind::NotPermitted, "a gas valve is not opened from afar").into()]
                }
                Request::Bind { .. } | Request::ToBind => {
                    vec![Reply::ToBind { meters: vec!["KAM-12345678-1b-16".into()] }]
                }
                _ => vec![Reply::Orders { orders: orders.clone() }],
            }
        }
    });
    let (exit, text) = service.dcu(&["meter", "commands"]);
    assert_eq!(exit, Exit::Done);
    golden("meter-commands.txt", &text);
    assert_eq!(service.dcu(&["meter", "command", "70012345", "open-valve"]).0, Exit::NotPermitted);
    assert_eq!(service.dcu(&["meter", "command", "70012345", "close-valve", "--expires", "2h"]).0, Exit::Done);
    assert_eq!(service.dcu(&["meter", "cancel", "10", "--json"]).1.lines().count(), 3);
    let (exit, text) = service.dcu(&["meter", "install", "KAM-12345678-1b-16"]);
    assert_eq!((exit, text.as_str()), (Exit::Done, "KAM-12345678-1b-16\n"));
    let asked = asked.lock().unwrap();
    let meter = "ELS-70012345-03-03".to_owned();
    assert!(asked.contains(&Request::Order { meter, action: "close-valve".into(), expires_s: 7_200 }));
    assert!(asked.contains(&Request::CancelOrder { order: 10 }));
    assert!(asked.contains(&Request::Bind { meter: "KAM-12345678-1b-16".into(), wanted: true }));
    assert_eq!(dcu(&["meter", "command", "70012345", "explode"]).0, Exit::Usage);
}

#[test]
fn help_pages_are_as_reviewed() {
    // The appliance build has fewer commands.
    if cfg!(feature = "simulate") {
        golden("help.txt", &dcu(&["--help"]).1);
        help_pages(&[
            ("help-head-end.txt", &["head-end"]),
            ("help-head-end-keys.txt", &["head-end", "keys"]),
            ("help-head-end-order.txt", &["head-end", "order"]),
            ("help-head-end-resend.txt", &["head-end", "resend"]),
            ("help-head-end-topology.txt", &["head-end", "topology"]),
            ("help-head-end-verify.txt", &["head-end", "verify"]),
            ("help-head-end-watch.txt", &["head-end", "watch"]),
            ("help-simulate.txt", &["simulate"]),
            ("help-simulate-receiver.txt", &["simulate", "receiver"]),
        ]);
    }
    help_pages(&[
        ("help-mesh.txt", &["mesh"]),
        ("help-mesh-rekey.txt", &["mesh", "rekey"]),
        ("help-node.txt", &["node"]),
        ("help-node-import.txt", &["node", "import"]),
        ("help-node-list.txt", &["node", "list"]),
        ("help-route.txt", &["route"]),
        ("help-route-trace.txt", &["route", "trace"]),
        ("help-buffer.txt", &["buffer"]),
        ("help-buffer-verify.txt", &["buffer", "verify"]),
        ("help-config.txt", &["config"]),
        ("help-config-check.txt", &["config", "check"]),
        ("help-dlms.txt", &["dlms"]),
        ("help-dlms-action.txt", &["dlms", "action"]),
        ("help-dlms-get.txt", &["dlms", "get"]),
        ("help-dlms-profile.txt", &["dlms", "profile"]),
        ("help-dlms-set.txt", &["dlms", "set"]),
        ("help-meter.txt", &["meter"]),
        ("help-meter-cancel.txt", &["meter", "cancel"]),
        ("help-meter-channel.txt", &["meter", "channel"]),
        ("help-meter-command.txt", &["meter", "command"]),
        ("help-meter-commands.txt", &["meter", "commands"]),
        ("help-meter-install.txt", &["meter", "install"]),
        ("help-meter-list.txt", &["meter", "list"]),
        ("help-meter-show.txt", &["meter", "show"]),
        ("help-run.txt", &["run"]),
        ("help-status.txt", &["status"]),
        ("help-task.txt", &["task"]),
        ("help-task-list.txt", &["task", "list"]),
        ("help-task-show.txt", &["task", "show"]),
        ("help-telegram.txt", &["telegram"]),
        ("help-telegram-decode.txt", &["telegram", "decode"]),
        ("help-telegram-tail.txt", &["telegram", "tail"]),
        ("help-uplink.txt", &["uplink"]),
        ("help-uplink-test.txt", &["uplink", "test"]),
    ]);
}

#[track_caller]
fn help_pages(pages: &[(&str, &[&str])]) {
    for (name, args) in pages {
        let (exit, text) = dcu(&[args, &["--help"][..]].concat());
        assert_eq!(exit, Exit::Done);
        golden(name, &text);
    }
}

#[test]
fn status_shows_the_verdict_and_its_reasons() {
    let service = Service::new(|_| vec![Reply::Status(Box::new(well()))]);
    let (exit, text) = service.dcu(&["status"]);
    assert_eq!(exit, Exit::Done);
    golden("status-ok.txt", &text);
    let (exit, text) = service.dcu(&["status", "--json"]);
    assert_eq!(exit, Exit::Done);
    golden("status-ok.json.pretty", &pretty(&text));

    let service = Service::new(|_| vec![Reply::Status(Box::new(ill()))]);
    let (exit, text) = service.dcu(&["status"]);
    assert_eq!(exit, Exit::Degraded);
    golden("status-degraded.txt", &text);
}

/// The same JSON with a key a line, so that the golden file can be reviewed.
fn pretty(json: &str) -> String {
    assert_eq!(json.lines().count(), 1);
    serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap() + "\n"
}

#[test]
fn meters_are_listed_and_shown() {
    let service = Service::new(|request| match request {
        Request::Meters => vec![Reply::Meters { meters: lines() }],
        Request::Meter { id } if *id == card().line.id => vec![Reply::Meter(Box::new(card()))],
        other => panic!("{other:?}"),
    });
    let (exit, text) = service.dcu(&["meter", "list", "--json"]);
    assert_eq!(exit, Exit::Done);
    assert_eq!(text.lines().count(), 4);
    assert!(text.contains(r#""security":null,"telegrams":null"#), "{text}");
    assert_eq!(service.dcu(&["meter", "list", "--medium", "gas", "--json"]).1.lines().count(), 1);
    // Ages are counted from the unit's clock.
    golden("meter-list.txt", &service.dcu(&["meter", "list"]).1);
    golden("meter-list-silent.txt", &service.dcu(&["meter", "list", "--silent", "1d", "--sort", "heard"]).1);
    golden("meter-show.txt", &service.dcu(&["meter", "show", "12345678"]).1);
    assert_eq!(service.dcu(&["meter", "show", "12345678", "--json"]).1, serde_json::to_string(&card()).unwrap() + "\n");
    assert_eq!(service.dcu(&["meter", "show", "12345687"]), (Exit::NotFound, String::new()));
}

fn task_card() -> TaskCard {
    let share = |expected, settled| Share { expected, settled };
    let line = TaskLine {
        id: "load-profile".into(),
        what: "profile".into(),
        period: "15min".into(),
        priority: "profile".into(),
        meters: 2,
        all: share(192, 99),
        reachable: share(96, 96),
    };
    let day = |day: &str, settled| TaskDay { day: day.into(), all: share(192, settled), reachable: share(96, 96) };
    let meter = |id: &str, state: &str, missing, answered_ms, detail: Option<&str>| TaskMeter {
        id: id.into(),
        state: state.into(),
        complete_until_ms: 1_759_999_500_000,
        missing,
        absent: 0,
        lost: 0,
        answered_ms,
        clock_ahead_ms: None,
        detail: detail.map(str::to_owned),
    };
    let each = vec![
        meter("4d4d4d0000bc614e", "active", 0, Some(1_759_999_995_000), None),
        meter("4d4d4d0000bc614f", "unreachable", 93, None, Some("connect to 192.0.2.20:4059: connection refused")),
    ];
    let objects = vec![TaskObject {
        class: 7,
        obis: "1-0:99.1.0*255".to_owned(),
        meaning: Some("load profile with period 1".to_owned()),
    }];
    TaskCard { line, objects, days: vec![day("2025-10-09", 99), day("2025-10-08", 192)], each }
}

#[test]
fn tasks_are_listed_and_shown() {
    let service = Service::new(|request| match request {
        Request::Tasks => vec![Reply::Tasks { tasks: vec![task_card().line] }],
        Request::Task { id } if *id == "load-profile" => vec![Reply::Task(Box::new(task_card()))],
        _ => vec![Reply::Refused(Refusal::new(RefusalKind::NotFound, "no such task"))],
    });
    let (exit, text) = service.dcu(&["task", "list"]);
    assert_eq!(exit, Exit::Done);
    golden("task-list.txt", &text);
    let (exit, text) = service.dcu(&["task", "show", "load-profile"]);
    assert_eq!(exit, Exit::Done);
    golden("task-show.txt", &text);
    let (exit, text) = service.dcu(&["task", "show", "load-profile", "--json"]);
    assert_eq!((exit, text), (Exit::Done, serde_json::to_string(&task_card()).unwrap() + "\n"));
    assert_eq!(service.dcu(&["task", "show", "billing"]).0, Exit::NotFound);
}

#[test]
fn a_dead_unit_is_read_from_what_it_left() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_str().unwrap();
    for noun in [&["status"][..], &["meter", "list"], &["meter", "show", "1"]] {
        assert_eq!(dcu(&[noun, &["--offline", dir]].concat()).0, Exit::NotFound);
    }
    left::leave_status(state.path(), &ill()).unwrap();
    let cards: Vec<_> = lines().into_iter().map(|line| MeterCard { line, ..card() }).collect();
    left::leave_meters(state.path(), &cards).unwrap();
    for (name, args, expected) in [
        ("status-offline.txt", vec!["status"], Exit::Degraded),
        ("meter-list.txt", vec!["meter", "list"], Exit::Done),
        ("meter-list-silent.txt", vec!["meter", "list", "--silent", "1d", "--sort", "heard"], Exit::Done),
        ("meter-show.txt", vec!["meter", "show", "kam 1234 5678"], Exit::Done),
    ] {
        let (exit, text) = dcu(&[args.as_slice(), &["--offline", dir]].concat());
        assert_eq!(exit, expected, "{name}");
        golden(name, &text);
    }
}

#[test]
fn telegrams_are_shown_as_they_are_heard() {
    let service = Service::new(|request| {
        assert_eq!(*request, Request::Follow { stream: Stream::Telegrams });
        let mut foreign = telegram();
        foreign.id = None;
        foreign.medium = None;
        foreign.reject = Some("bad-crc\u{1b}[2J".into());
        foreign.kept = false;
        foreign.readings.clear();
        let telegram = |line| Reply::Telegram(Box::new(line));
        vec![Reply::Following { stream: Stream::Telegrams }, telegram(self::telegram()), telegram(foreign)]
    });
    let (exit, text) = service.dcu(&["telegram", "tail", "--count", "2"]);
    assert_eq!(exit, Exit::Done);
    golden("telegram-tail.txt", &text);
    // A service that goes away in the middle is no success.
    assert_eq!(service.dcu(&["telegram", "tail", "--json"]).0, Exit::Unreachable);
}

#[test]
fn commits_are_followed_and_a_verification_judges() {
    let range = |first, last| Range { lane: "mbus".into(), first, last };
    let service = Service::new(move |request| match request {
        Request::BufferVerify => vec![Reply::BufferVerify(BufferVerify {
            epoch: "0123456789abcdef".into(),
            batches: 31,
            records: 5_041,
            missing: vec![range(4_000, 4_046)],
            faults: vec!["batch mbus 3500: its hash is not the one in the next batch".into()],
        })],
        Request::BufferStat => vec![Reply::BufferStat(ill().buffer)],
        _ => vec![
            Reply::Following { stream: Stream::Commits },
            Reply::Commit(CommitLine {
                epoch: "0123456789abcdef".into(),
                at_ms: 1_760_000_000_000,
                ranges: vec![range(1, 83), Range { lane: "p1".into(), first: 1, last: 1 }],
            }),
        ],
    });
    let (exit, text) = service.dcu(&["buffer", "verify"]);
    assert_eq!(exit, Exit::CheckFailed);
    golden("buffer-verify.txt", &text);
    let (exit, text) = service.dcu(&["buffer", "stat"]);
    assert_eq!(exit, Exit::Done);
    golden("buffer-stat.txt", &text);
    let (exit, text) = service.dcu(&["buffer", "stat", "--json"]);
    assert_eq!((exit, text), (Exit::Done, serde_json::to_string(&ill().buffer).unwrap() + "\n"));
    let (exit, text) = service.dcu(&["buffer", "follow"]);
    assert_eq!((exit, text.as_str()), (Exit::Unreachable, "08:53:20  mbus 1 to 83, p1 1 to 1\n"));
}

/// A store that a service closed: `count` events in lane P1, none acknowledged.
fn left_store(state: &Path, count: usize) {
    use crate::clock::Now;
    use crate::reading::{Event, EventKind, Received, TimeQuality};
    use crate::store::{Body, Lane, Options, Store};
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let mono = std::time::Instant::now();
    let (boot_id, boot_ms, utc_ms, quality) = ([7; 16], 0, 1_760_000_000_000, TimeQuality::Synchronised);
    let clock = Arc::new(move || Now { mono, boot_id, boot_ms, utc_ms, quality });
    let options = Options::new(state.join("store"), "dcu-0815");
    let (store, _) = Store::open(options, crate::wire::CODEC, clock, Box::new(|| 0x0123), Box::new(|_| {})).unwrap();
    let event = |n: usize| {
        let kind = EventKind::Unit { code: "test".into(), detail: n.to_string() };
        let received = Received { boot_id, boot_ms, utc_ms, quality };
        (Lane::Security, Body::Event(Event { received, meter: None, kind }))
    };
    store.append((0..count).map(event).collect(), None).unwrap();
    store.close().unwrap();
}

#[test]
fn a_dead_units_buffer_is_read_without_opening_it() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_str().unwrap();
    for verb in ["stat", "verify"] {
        assert_eq!(dcu(&["buffer", verb, "--offline", dir]).0, Exit::NotFound);
    }
    left_store(state.path(), 5);
    let (exit, text) = dcu(&["buffer", "stat", "--offline", dir]);
    assert_eq!(exit, Exit::Done);
    let found: serde_json::Value =
        serde_json::from_str(&dcu(&["buffer", "stat", "--json", "--offline", dir]).1).unwrap();
    assert_eq!(found["epoch"], "0000000000000123");
    let lane = &found["lanes"][0];
    assert_eq!((&lane["lane"], &lane["backlog"]), (&"p1".into(), &found["backlog"]), "{text}");
    // The store may have put a word of its own into the lane.
    assert!(found["backlog"].as_u64() >= Some(5), "{text}");
    let (exit, text) = dcu(&["buffer", "verify", "--offline", dir]);
    assert_eq!(exit, Exit::Done, "{text}");
    assert!(text.ends_with("sound\n"), "{text}");

    for name in ["sequence", "sequence.2"] {
        std::fs::rename(state.path().join("store").join(name), state.path().join(name)).unwrap();
    }
    let (exit, text) = dcu(&["buffer", "verify", "--offline", dir]);
    assert_eq!(exit, Exit::CheckFailed, "{text}");
    assert!(text.contains("wrong: the sequence file is missing") && !text.contains("sound"), "{text}");
    for name in ["sequence", "sequence.2"] {
        std::fs::rename(state.path().join(name), state.path().join("store").join(name)).unwrap();
    }

    let database = state.path().join("store/sled/db");
    let mut octets = std::fs::read(&database).unwrap();
    octets.iter_mut().for_each(|octet| *octet ^= 0x55);
    std::fs::write(&database, octets).unwrap();
    let (exit, text) = dcu(&["buffer", "verify", "--offline", dir]);
    assert_eq!(exit, Exit::CheckFailed, "what was promised is not there: {text}");
}

#[test]
fn what_goes_wrong_on_the_way_has_its_exit_code() {
    assert_eq!(dcu(&["status", "--socket", "/nowhere/control.sock"]).0, Exit::Unreachable);
    let refusing = |kind| Service::new(move |_| vec![Reply::Refused(Refusal::new(kind, "no"))]);
    assert_eq!(refusing(RefusalKind::NotPermitted).dcu(&["status"]).0, Exit::NotPermitted);
    assert_eq!(refusing(RefusalKind::NotFound).dcu(&["status"]).0, Exit::NotFound);
    assert_eq!(refusing(RefusalKind::Busy).dcu(&["status"]).0, Exit::Unreachable);
    assert_eq!(Service::new(|_| vec![]).dcu(&["status"]).0, Exit::Unreachable);
    assert_eq!(Service::new(|_| vec![Reply::Missed { count: 1 }]).dcu(&["status"]).0, Exit::Failed);

    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("silent.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert_eq!(dcu(&["status", "--timeout", "50ms", "--socket", socket.to_str().unwrap()]).0, Exit::TimedOut);
}

#[test]
fn wrong_usage_ends_with_2() {
    assert_eq!(dcu(&["frobnicate"]), (Exit::Usage, String::new()));
    assert_eq!(dcu(&[]).0, Exit::Usage);
    assert_eq!(dcu(&["config", "check", "--frobnicate"]).0, Exit::Usage);
    assert_eq!(dcu(&["status", "--timeout", "7"]).0, Exit::Usage);
    // Before anybody is asked: nobody answers here.
    let profile = |from: &str, to: &str| {
        let place = ["dlms", "profile", "--wrapper", "127.0.0.1:1", "1-0:99.1.0*255"];
        dcu(&[&place[..], &["--from", from, "--to", to]].concat()).0
    };
    assert_eq!(profile("2026-06-02T00:00:00Z", "2026-06-01T00:00:00Z"), Exit::Usage);
    assert_eq!(profile("2026-06-02", "2026-06-01"), Exit::Usage);
    assert_eq!(profile("2026-06-05", "2026-06-01T00:00:00Z"), Exit::Usage);
    assert_ne!(profile("2026-06-01", "2026-06-01"), Exit::Usage);
    // Its own time may be behind.
    assert_ne!(profile("2026-06-01T12:00:00Z", "2026-06-01"), Exit::Usage);
    for wrong in [
        &["--wrapper", ""][..],
        &["--wrapper", "192.0.2.7"],
        &["--hdlc-tcp", ":4059"],
        &["--wrapper-udp", "::1:4059"],
        &["--serial", "/dev/null", "--baud", "0"],
        &["--wrapper", "127.0.0.1:1", "--pdu", "1"],
        &["--wrapper", "127.0.0.1:1", "--auth", "none", "--ciphering", "dedicated"],
    ] {
        assert_eq!(dcu(&[&["dlms", "get", "8:0-0:1.0.0*255:2"], wrong].concat()).0, Exit::Usage, "{wrong:?}");
    }
    assert_eq!(dcu(&["dlms", "profile", "--wrapper", "127.0.0.1:1", "--companion", "idis", "nonsense"]).0, Exit::Usage);
}

#[test]
fn a_file_that_is_not_there_or_no_text_has_its_exit_code_whoever_reads_it() {
    let service = Service::new(|request| match request {
        Request::Meters => vec![Reply::Meters { meters: lines() }],
        other => panic!("{other:?}"),
    });
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, octets).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (latin, large) = (file("latin", b"\"\xe4\""), file("large", &[b' '; (16 << 20) + 1]));
    let get = ["dlms", "get", "--wrapper", "127.0.0.1:1", "8:0-0:1.0.0*255:2", "--keys"];
    for command in [
        &["meter", "take-over"][..],
        &["meter", "channel", "12345678", "1", "set-key"],
        &["node", "import", "--network", "feeder"],
        &get,
    ] {
        let exit = |file: &str| match command[0] {
            "dlms" => dcu(&[command, &[file]].concat()).0,
            _ => service.dcu(&[command, &[file]].concat()).0,
        };
        assert_eq!(exit("/nowhere/file"), Exit::NotFound, "{command:?}");
        assert_eq!(exit(&latin), Exit::Configuration, "{command:?}");
        assert_eq!(exit(&large), Exit::Configuration, "{command:?}");
        assert_eq!(exit(directory.path().to_str().unwrap()), Exit::Configuration, "{command:?}");
    }
    let older = |file: &str| dcu(&["topology", "--from", file]).0;
    assert_eq!(older("/nowhere/file"), Exit::NotFound);
    for file in [&latin, &large, directory.path().to_str().unwrap(), &file("cut", b"{\"network\": ")] {
        assert_eq!(older(file), Exit::Configuration, "{file}");
    }
}

#[test]
fn options_of_a_channel_stand_before_and_behind_everything() {
    let card = ChannelCard { meter: "KAM-12345678-1b-16".into(), channel: 1, ..ChannelCard::default() };
    let service = Service::new(move |request| match request {
        Request::Meters => vec![Reply::Meters { meters: lines() }],
        Request::Channel { channel: 1, ask: ChannelAsk::Capture, .. } => vec![Reply::Channel(card.clone())],
        other => panic!("{other:?}"),
    });
    for args in [
        ["--json", "KAM-12345678-1b-16", "1", "capture"],
        ["KAM-12345678-1b-16", "--json", "1", "capture"],
        ["KAM-12345678-1b-16", "1", "--json", "capture"],
        ["KAM-12345678-1b-16", "1", "capture", "--json"],
    ] {
        let (exit, text) = service.dcu(&[&["meter", "channel", "--timeout", "5s"], &args[..]].concat());
        assert_eq!((exit, text.starts_with('{')), (Exit::Done, true), "{args:?}: {text}");
        let (exit, _) = service.dcu(&[&["meter", "channel"], &args[..], &["--timeout", "5s"]].concat());
        assert_eq!(exit, Exit::Done, "{args:?}");
    }
}

#[test]
fn a_faulty_configuration_ends_with_78() {
    assert_eq!(dcu(&["config", "check", "/nowhere/dcu.toml"]).0, Exit::Configuration);
    assert_eq!(dcu(&["run", "--config", "/nowhere/dcu.toml"]).0, Exit::Configuration);
    // Without an end: it is not read to it.
    assert_eq!(dcu(&["config", "check", "/dev/zero"]).0, Exit::Configuration);
}

#[test]
fn the_unit_file_agrees_with_the_program() {
    let unit = include_str!("../../systemd/dcu.service");
    let says = |line: &str| assert!(unit.lines().any(|other| other == line), "the unit file has no {line:?}");
    says("Type=notify");
    says(&format!("ExecStart=/usr/bin/dcu run --config {}", run::CONFIG));
    says(&format!("RestartPreventExitStatus={}", Exit::Configuration.code()));
    let default = crate::config::Config::default();
    says(&format!(
        "RuntimeDirectory={}",
        default.control.socket.parent().unwrap().strip_prefix("/run").unwrap().display()
    ));
    says(&format!("StateDirectory={}", default.unit.state_dir.strip_prefix("/var/lib").unwrap().display()));
    says(&format!("Group={}", default.control.group.unwrap()));
}

#[test]
fn a_checked_configuration_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dcu.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "[store]\nretention = \"60\"\n[[wmbus]]\nkind = \"hex\"\nport = \"/dev/ttyUSB9\"\n").unwrap();
    let (exit, text) = dcu(&["config", "check", file]);
    assert_eq!(exit, Exit::Configuration);
    golden("config-check.txt", &text.replace(directory.path().to_str().unwrap(), "."));
    let (exit, text) = dcu(&["config", "check", "--json", file]);
    assert_eq!(exit, Exit::Configuration);
    golden("config-check.json.pretty", &pretty(&text.replace(directory.path().to_str().unwrap(), ".")));

    let (exit, text) = dcu(&["config", "template"]);
    assert_eq!((exit, text.as_str()), (Exit::Done, crate::config::Config::TEMPLATE));
    std::fs::write(&path, text).unwrap();
    assert_eq!(dcu(&["config", "check", file]).0, Exit::Done);
}

#[test]
fn the_files_of_a_faulty_configuration_are_checked_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    file("meters.keys", "12345678 0001\n");
    file("electricity.keys", "[4d4d4d0000bc614e]\npassword = 7\n");
    let faulty = file(
        "dcu.toml",
        "[store]\nretention = \"60\"\n[meters]\nkeys = \"meters.keys\"\n[electricity]\nkeys = \"electricity.keys\"\n",
    );
    let (exit, text) = dcu(&["config", "check", &faulty]);
    assert_eq!(exit, Exit::Configuration);
    for key in [":2: store.retention: ", ":4: meters.keys: ", ":6: electricity.keys: "] {
        assert!(text.contains(key), "{key}: {text}");
    }
    // What is not there is told once.
    let missing = file("missing.toml", "[meters]\nkeys = \"nowhere.keys\"\n[store]\nretention = \"60\"\n");
    let (_, text) = dcu(&["config", "check", &missing]);
    assert_eq!(text.matches("meters.keys").count(), 1, "{text}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert_eq!(execute(["dcu", "config", "template"], &mut Out::to(Closed)), Exit::Done);
}
