//! Every fault at once, by key; the template is the default.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::reading::{Period, ReadingTypes, Rule, Way};
use crate::schedule::Discipline;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let (_, faults) = Config::parse(text, Path::new("/nowhere"));
    let said: Vec<_> = faults.iter().map(|fault| fault.of(Path::new("dcu.toml"))).collect();
    assert_eq!(said, expected);
}

#[test]
fn the_line_of_a_key_is_found() {
    let text = "# first\n[unit]\nid = \"a\"\n[meters]\n\nkeys = \"k\"\n";
    for (key, line) in [("unit.id", Some(3)), ("meters.keys", Some(6)), ("meters.limit", None), ("uplink", None)] {
        assert_eq!(Config::line_of(text, key), line, "{key}");
    }
}

#[test]
fn a_pipe_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("keys");
    make_pipe(&pipe);
    let (_, faults) = Config::parse("[meters]\nkeys = \"keys\"\n", directory.path());
    assert_eq!(faults.first().map(|fault| fault.text.as_str()), Some("\"keys\" is not a file"));
}

#[test]
fn a_bad_table_of_reading_types_is_a_fault_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let check = |text: Option<&str>, expected: &str| {
        text.into_iter().for_each(|text| fs::write(directory.path().join("own.toml"), text).unwrap());
        let (_, faults) = Config::parse("[uplink]\nreading_types = \"own.toml\"\n", directory.path());
        let said: Vec<_> = faults.iter().map(|fault| fault.of(Path::new("dcu.toml"))).collect();
        assert!(said.iter().any(|fault| fault.starts_with(expected)), "{said:#?}");
    };
    let key = "dcu.toml:2: uplink.reading_types: \"own.toml\"";
    check(None, &format!("{key} does not exist"));
    check(Some("[[reading]"), &format!("{key}: line 1: reading: not TOML"));
    let text = "\n[[reading]]\nobis = [\"1-*:1.8.0\"]\nunit = \"Wh\"\ntype = \"0.0.0.1\"\n";
    check(Some(text), &format!("{key}: line 2: reading[0].type: not a reading type: 18 numbers such as"));
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn the_template_is_the_default() {
    let (config, faults) = Config::parse(Config::TEMPLATE, Path::new("/etc/dcu"));
    assert_eq!(faults, []);
    assert_eq!(config, Config::default());
}

#[test]
fn the_template_with_everything_switched_on_is_legal() {
    let base = tempfile::tempdir().unwrap();
    for name in [
        "meters.keys",
        "electricity.keys",
        "events.toml",
        "reading_types.toml",
        "ca.pem",
        "unit.pem",
        "unit.key",
        "trust.toml",
        "devices.toml",
        "device.key",
    ] {
        let path = base.path().join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text: String = Config::TEMPLATE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(off) if off.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => format!("{off}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let text = text.replace("id = \"dcu-0000\"", "id = \"dcu-0815\"").replace("/dev/ttyUSB0", "/dev/ttyUSB9");
    let (config, faults) = Config::parse(&text, base.path());
    // The example's receiver is not plugged in here.
    assert!(faults.iter().all(|fault| fault.gravity == Gravity::Absent), "{faults:#?}");
    let [gas, bench] = config.meters.groups.named.as_slice() else { panic!("{:?}", config.meters.groups) };
    assert_eq!(gas.rule, Rule::Snapshot(Period::QUARTER));
    assert_eq!(gas.members, ["ELS-*-*-03".parse().unwrap(), "APA-*-*-03".parse().unwrap()]);
    assert!(gas.clock.is_some() && !gas.evidence);
    assert_eq!(bench.rule, Rule::Every(10.try_into().unwrap()));
    assert!(bench.evidence);
    assert_eq!((gas.preferred_source, bench.preferred_source), (Way::Air, Way::Behind));
    let names: Vec<_> = config.wmbus.iter().map(|receiver| receiver.name.as_str()).collect();
    assert_eq!(names, ["roof", "sdr", "gateway", "neighbour"]);

    let electricity = &config.electricity;
    let [modems, line, feeder] = electricity.channels.as_slice() else { panic!("{electricity:?}") };
    assert_eq!((modems.link, modems.at_once, &modems.place), (electricity::Link::Wrapper, 16, &None));
    assert!(matches!(line.place, Some(electricity::Place::Serial { baud: 9600, .. })));
    assert_eq!((&feeder.place, feeder.at_once), (&Some(electricity::Place::Plc("feeder".to_owned())), 16));
    let [network] = config.plc.as_slice() else { panic!("{:?}", config.plc) };
    let source = ReceiverSource::Serial { path: "/dev/ttyAMA1".into(), baud: 115_200 };
    assert_eq!((network.name.as_str(), &network.source, network.pan_id), ("feeder", &source, 0x781d));
    assert_eq!(network.prefix, Some([0xfd, 0, 0, 1, 0, 2, 0, 3]));
    let [household, balance, node] = electricity.meters.as_slice() else { panic!("{electricity:?}") };
    assert_eq!((node.channel, node.node.unwrap().to_string().as_str()), (2, "001122ffff000002"));
    assert!(household.manner.is_ciphered() && household.manner.authentication == electricity::Authentication::Gmac);
    assert_eq!((balance.channel, balance.manner.client, balance.manner.security), (1, 2, 0));
    let ids: Vec<_> = electricity.tasks.iter().map(|task| (task.id.as_str(), task.what.name(), task.at_once)).collect();
    assert_eq!(
        ids,
        [
            ("load-profile", "profile", 96),
            ("billing", "profile", 1),
            ("registers", "registers", 24),
            ("log", "events", 24),
            ("clock", "clock", 1),
            ("idis.load-profile", "profile", 96),
            ("idis.billing", "profile", 1),
            ("idis.events", "events", 24),
            ("idis.clock", "clock", 1),
        ]
    );
    let seconds = |n| Some(Duration::from_secs(n));
    let (shift_above, set_above, alarm_above) = (seconds(3), seconds(60), seconds(3_600));
    let discipline = Discipline { shift_above, set_above, alarm_above };
    let clock = electricity.tasks.iter().find(|task| task.id == "clock").map(|task| &task.what);
    assert_eq!(clock, Some(&electricity::What::Clock(discipline)));

    let uplink = config.uplink.expect("the section is on");
    let broker = Broker { host: "broker.example".into(), port: 8883 };
    let expected =
        Uplink::new(broker, uplink.tls.clone(), Acknowledge::HeadEnd { trust: base.path().join("trust.toml") });
    assert_eq!(
        uplink,
        Uplink {
            signing_key: Some(base.path().join("device.key")),
            reading_types: Arc::new(ReadingTypes::none()),
            ..expected
        }
    );
    let tls = uplink.tls.expect("mqtts");
    assert_eq!((tls.server_name.as_str(), tls.accepts_1_2), ("broker.example", false));
}

#[test]
fn an_empty_file_is_the_default() {
    check("", &[]);
    assert_eq!(Config::parse("", Path::new("")).0, Config::default());
}

#[test]
fn five_faults_are_reported_at_once() {
    check(
        r#"
[unit]
id = "unit/7"

[[wmbus]]
kind = "im871a"
port = "/dev/ttyUSB9"

[[wmbus]]
kind = "im817a"
tcp = "192.0.2.7:4001"

[store]
commit_window = "5 minutes"
retenton = "60d"
"#,
        &[
            "dcu.toml:3: unit.id: \"unit/7\" may have letters, digits, `-`, `_` and `.` only",
            "dcu.toml:7: wmbus[0].port: \"/dev/ttyUSB9\" does not exist",
            "dcu.toml:10: wmbus[1].kind: \"im817a\" is not one of \"im871a\", \"im170a\", \"iu891a\", \"amb8465\", \"amb3665\", \"cul\", \"rc1180\", \"auto\", \"rtl_wmbus\", \"rtl_433\", \"hex\", \"raw\": did you mean \"im871a\"?",
            "dcu.toml:14: store.commit_window: \"5 minutes\" is not a duration such as \"15min\" (units: ms s min h d w)",
            "dcu.toml:15: store.retenton: unknown key, did you mean `retention`?",
        ],
    );
}

#[test]
fn wrong_kinds_do_not_hide_what_follows() {
    check(
        "unit = 7\nwmbus = \"roof\"\nlog = { level = 3 }\ntime = { source = 2026-01-01 }\nmeters = { limit = \"many\" }\ncolour = 1\n",
        &[
            "dcu.toml:1: unit: expected a table, found a number",
            "dcu.toml:2: wmbus: expected [[wmbus]] tables, found text",
            "dcu.toml:3: log.level: expected text in quotes, found a number",
            "dcu.toml:4: time.source: expected text in quotes, found a date",
            "dcu.toml:5: meters.limit: expected a number, found text",
            "dcu.toml:6: colour: unknown key",
        ],
    );
}

#[test]
fn dotted_keys_and_inline_tables_are_read_as_well() {
    let text = "unit.state_dir = \"state\"\nstore = { commit_window = \"1s\" }\ncontrol.clients = 4\nlog.colour = 1\n";
    check(text, &["dcu.toml:4: log.colour: unknown key"]);
    let (config, _) = Config::parse(text, Path::new("/base"));
    assert_eq!(config.unit.state_dir, Path::new("/base/state"));
    assert_eq!((config.store.commit_window, config.control.clients), (Duration::from_secs(1), 4));
}

#[test]
fn a_file_that_is_not_toml_names_the_line() {
    let (_, faults) = Config::parse("[unit]\nid = \n", Path::new(""));
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].line, Some(2), "{faults:?}");
}

#[test]
fn a_receiver_is_looked_for_only_where_it_can_be() {
    let receiver = |kind: &str, source: &str| {
        let text = format!("[[wmbus]]\nkind = \"{kind}\"\n{source}\n");
        let (config, faults) = Config::parse(&text, Path::new(""));
        let said: Vec<_> = faults.iter().map(|fault| fault.text.clone()).collect();
        (said.join("; "), config.wmbus.first().map(|receiver| receiver.source.to_string()))
    };
    let check = |kind: &str, source: &str, expected: &str| assert_eq!(receiver(kind, source).0, expected);
    check("hex", "udp = \"127.0.0.1:4002\"", "");
    assert_eq!(receiver("hex", "udp = \"127.0.0.1:4002\"").1.as_deref(), Some("udp 127.0.0.1:4002"));
    check("rtl_433", "udp = \"[::1]:4002\"", "");
    check("im871a", "tcp = \"gateway:4001\"", "");
    check("im871a", "tcp = \"gateway:4001\"\nreenumerate = true", "has no use without a `port`");
    check("raw", "udp = \"127.0.0.1:4002\"", "a receiver of kind \"raw\" does not come in lines");
    check("cul", "udp = \"127.0.0.1:4002\"", "a receiver of kind \"cul\" has a `port` or a `tcp` address");
    let no_port = "a receiver of kind \"auto\" has a `port`: only there the speed can be changed";
    for source in ["tcp = \"gateway:4001\"", "udp = \"127.0.0.1:4002\"", "command = [\"cat\"]"] {
        check("auto", source, no_port);
    }
}

#[test]
fn a_place_has_one_receiver_or_modem_and_a_name_one_group() {
    let check = |rest: &str, expected: &[&str]| {
        let (_, faults) = Config::parse(&format!("[[wmbus]]\nname = \"roof\"\n{rest}"), Path::new(""));
        let wrong = faults.iter().filter(|fault| fault.gravity == Gravity::Wrong);
        let said: Vec<_> = wrong.map(|fault| fault.of(Path::new("dcu.toml"))).collect();
        assert_eq!(said, expected, "{rest}");
    };
    let udp = "kind = \"hex\"\nudp = \"127.0.0.1:4002\"\n";
    check(
        &format!("{udp}[[wmbus]]\n{udp}"),
        &["dcu.toml:7: wmbus[1].udp: \"127.0.0.1:4002\" is taken by receiver \"roof\""],
    );
    // What the kernel would refuse: the addresses of all interfaces, those of IPv6 for both, names.
    for (one, other, is_refused) in [
        ("127.0.0.1:4002", "0.0.0.0:4002", true),
        ("0.0.0.0:4002", "127.0.0.1:4002", true),
        ("127.0.0.1:4002", "0.0.0.0:4003", false),
        ("127.0.0.1:4002", "127.0.0.2:4002", false),
        ("[::]:4002", "127.0.0.1:4002", true),
        ("[::]:4002", "0.0.0.0:4002", true),
        ("[::1]:4002", "0.0.0.0:4002", false),
        ("[::1]:4002", "[::]:4002", true),
        ("[::ffff:127.0.0.1]:4002", "127.0.0.1:4002", true),
        ("localhost:4002", "LOCALHOST:4002", true),
        ("localhost:4002", "[::]:4002", true),
        ("localhost:4002", "[::]:4003", false),
    ] {
        let fault = format!("dcu.toml:7: wmbus[1].udp: {other:?} is taken by receiver \"roof\", at {one:?}");
        let expected: &[&str] = if is_refused { &[&fault] } else { &[] };
        check(&format!("kind = \"hex\"\nudp = {one:?}\n[[wmbus]]\nkind = \"hex\"\nudp = {other:?}\n"), expected);
    }
    let push = format!("{udp}[electricity.push]\nudp = \"0.0.0.0:4002\"\n");
    let taken = "\"0.0.0.0:4002\" is taken by receiver \"roof\", at \"127.0.0.1:4002\"";
    check(&push, &[&format!("dcu.toml:6: electricity.push.udp: {taken}")]);
    let command = |channel| format!("kind = \"rtl_wmbus\"\ncommand = [\"rtl\", \"{channel}\"]\n");
    check(&format!("{}[[wmbus]]\n{}", command(0), command(1)), &[]);
    // One port by two names.
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("by-id");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    check(
        &format!("kind = \"cul\"\nport = \"/dev/null\"\n[[plc]]\npan_id = \"781d\"\nport = \"{}\"\n", link.display()),
        &[&format!("dcu.toml:7: plc[0].port: \"{}\" is taken by receiver \"roof\"", link.display())],
    );
    let group = "[[meters.group]]\nname = \"gas\"\nmedium = [\"gas\"]\n";
    check(&format!("{udp}{group}{group}"), &["dcu.toml:9: meters.group[1].name: \"gas\" is the name of another group"]);
}

#[test]
fn a_byte_order_mark_in_front_of_a_file_is_none_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dcu.toml");
    fs::write(&path, "\u{feff}[log]\r\nlevel = \"debug\"\r\n").unwrap();
    assert_eq!(Config::load(&path).unwrap().0.log.level, "debug");
}

#[test]
fn the_readme_says_where_receivers_are_to_be_had_from() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, table) = readme.split_once("\n| kind | receiver |").expect("the README has a table of receivers");
    let sources = [
        ("port", "port = \"/dev/null\""),
        ("tcp", "tcp = \"gateway:4001\""),
        ("udp", "udp = \"127.0.0.1:4002\""),
        ("command", "command = [\"cat\"]"),
    ];
    let mut rows = 0;
    for row in table.lines().skip(2).take_while(|line| !line.is_empty()) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (kind, from) = (cells[0].trim_matches('`'), cells[cells.len() - 1]);
        let takes = |source: &str| {
            let (_, faults) = Config::parse(&format!("[[wmbus]]\nkind = \"{kind}\"\n{source}\n"), Path::new(""));
            faults.iter().all(|fault| fault.gravity == Gravity::Absent)
        };
        let expected: Vec<_> = sources.iter().filter(|(_, source)| takes(source)).map(|(name, _)| *name).collect();
        assert_eq!(from, expected.join(" "), "{kind}");
        rows += 1;
    }
    assert_eq!(rows + 1, wmbus::receiver::KINDS.len(), "all but `auto`");
}

#[test]
fn keys_that_contradict_each_other_are_faults() {
    check(
        r#"
[[wmbus]]
name = "a"
kind = "hex"
[[wmbus]]
name = "a"
kind = "im871a"
command = ["cat"]
[meters]
policy = "change"
interval = "1h"
[[meters.group]]
policy = "every"
[[meters.group]]
policy = "all"
interval = "7min"
medium = ["gas", "beer"]
members = ["1234"]
[store]
seal_age = "1h"
retention = "1h"
[uplink]
broker = "mqtt://127.0.0.1"
plaintext = true
ca = "ca.pem"
acknowledge = "broker"
trust = "trust.pem"
backoff_first = "10min"
"#,
        &[
            "dcu.toml: unit.id: is missing: an uplink needs the unit's name",
            "dcu.toml:2: wmbus[0].port: exactly one of `port`, `tcp`, `udp` and `command` says where the octets come from",
            "dcu.toml:6: wmbus[1].name: \"a\" is the name of another receiver",
            "dcu.toml:8: wmbus[1].command: a receiver of kind \"im871a\" has a `port` or a `tcp` address",
            "dcu.toml:11: meters.interval: belongs to policy = \"snapshot\"",
            "dcu.toml:12: meters.group[0].members: is missing: a group says its `members`, its `medium`, or both",
            "dcu.toml:12: meters.group[0].every: is missing: policy = \"every\" needs a number of telegrams",
            "dcu.toml:16: meters.group[1].interval: \"7min\" does not divide a day into equal parts",
            "dcu.toml:16: meters.group[1].interval: belongs to policy = \"snapshot\"",
            "dcu.toml:17: meters.group[1].medium: \"beer\" is not one of \"electricity\", \"gas\", \"heat\", \"cooling\", \
             \"hca\", \"water\" or a device type such as \"0x16\"",
            "dcu.toml:18: meters.group[1].members: \"1234\" is not a meter such as \"12345678\" or \"KAM-*\"",
            "dcu.toml:20: store.seal_age: must be shorter than store.retention",
            "dcu.toml:25: uplink.ca: has no use with a broker address \"mqtt://\", which is without TLS",
            "dcu.toml:27: uplink.trust: has no use with acknowledge = \"broker\"",
            "dcu.toml:28: uplink.backoff_first: must not be longer than backoff_last",
        ],
    );
}

#[test]
fn an_uplink_says_everything_it_lacks() {
    check(
        "[unit]\nid = \"dcu-0000\"\n[uplink]\n",
        &[
            "dcu.toml:2: unit.id: \"dcu-0000\" is the template's: give this unit a name of its own",
            "dcu.toml:3: uplink.broker: is missing",
            "dcu.toml:3: uplink.ca: is missing",
            "dcu.toml:3: uplink.certificate: is missing",
            "dcu.toml:3: uplink.key: is missing",
            "dcu.toml:3: uplink.trust: is missing",
        ],
    );
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("meters.keys");
    fs::write(&path, "").unwrap();
    for (mode, is_legal) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o644, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let (config, faults) = Config::parse("[meters]\nkeys = \"meters.keys\"\n", base.path());
        assert_eq!(faults.is_empty(), is_legal, "{mode:o} {faults:?}");
        assert_eq!(config.meters.keys, is_legal.then(|| path.clone()));
    }
}

#[test]
fn a_medium_takes_the_device_types_that_makers_use_for_it() {
    let text = "[[meters.group]]\nname = \"w\"\nmedium = [\"water\"]\npolicy = \"all\"\n";
    let (config, faults) = Config::parse(text, Path::new(""));
    assert!(faults.is_empty(), "{faults:?}");
    for (id, is_taken) in [
        ("TCH-12345678-74-72", true),
        ("TCH-12345678-74-62", true),
        ("TCH-12345678-45-43", false),
        ("KAM-12345678-74-72", false),
    ] {
        assert_eq!(&*config.meters.groups.of(&id.parse().unwrap()).name == "w", is_taken, "{id}");
    }
}

#[test]
fn a_key_in_the_place_of_a_path_is_not_repeated() {
    for key in [
        "000102030405060708090a0b0c0d0e0f",
        "0001020304050607",
        "00010203040506070809a0b0c0d0e0f ",
        "0x000102030405060708090a0b0c0d0e0f",
        "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f",
        "00010203 04050607 08090a0b 0c0d0e0f",
        "KAM-12345678-1b-16 000102030405060708090a0b0c0d0e0f",
        "wize=9 000102030405060708090a0b0c0d0e0f",
        "key000102030405060708090a0b0c0d0e0f",
        "AAECAwQFBgcICQoLDA0ODw==",
        "12345678 01/CAwQFBgcI+QoLDA0ODw==",
    ] {
        for table in ["[meters]\nkeys", "[electricity]\nkeys", "[uplink]\nsigning_key"] {
            let (_, faults) = Config::parse(&format!("{table} = \"{key}\"\n"), Path::new(""));
            let said: Vec<_> = faults.iter().map(|fault| fault.of(Path::new("dcu.toml"))).collect();
            assert!(said.iter().any(|fault| fault.contains("is a key itself")), "{said:?}");
            assert!(!said.iter().any(|fault| ["0102", "BgcI"].iter().any(|part| fault.contains(part))), "{said:?}");
        }
        let refused = private(Path::new(key)).unwrap_err();
        assert!(!refused.contains("0102") && !refused.contains("BgcI"), "{refused}");
    }
    // As a part of a path, a name or a member it is told which one it is, and no more.
    let key = "0123456789abcdef0123456789abcdef";
    for text in [
        format!("[meters]\nkeys = \"/etc/dcu/{key}.key\"\n"),
        format!("[meters]\nkeys = \"./{key}/keys\"\n"),
        format!("[meters]\n{key} = 1\n"),
        format!("[[meters.group]]\nname = \"a\"\nmembers = [\"KAM-12345678-1b-16 {key}\"]\npolicy = \"all\"\n"),
        format!("[[electricity.meter]]\nid = \"{key}\"\n"),
    ] {
        let (_, faults) = Config::parse(&text, Path::new(""));
        let said: Vec<_> = faults.iter().map(|fault| fault.of(Path::new("dcu.toml"))).collect();
        assert!(said.iter().any(|fault| fault.contains("0123…")), "{said:?}");
        assert!(!said.iter().any(|fault| fault.contains("01234")), "{said:?}");
    }
    let refused = private(Path::new(&format!("/etc/dcu/{key}.keys"))).unwrap_err();
    assert!(refused.contains("/etc/dcu/0123….keys"), "{refused}");
    let missing = private(Path::new("meters-20261122.keys")).unwrap_err();
    assert!(missing.contains("meters-20261122.keys"), "{missing}");
    let directory = private(Path::new("/")).unwrap_err();
    assert!(directory.contains("is a directory"), "{directory}");
}

#[test]
fn an_absent_receiver_does_not_keep_the_service_from_starting() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("dcu.toml");
    fs::write(&path, "[[wmbus]]\nkind = \"im871a\"\nport = \"/dev/ttyUSB9\"\n").unwrap();
    let (config, absent) = Config::load(&path).unwrap();
    assert_eq!(absent.len(), 1);
    assert_eq!(
        config.wmbus,
        [Receiver {
            name: "wmbus0".into(),
            kind: wmbus::receiver::Kind::named("im871a").unwrap(),
            source: ReceiverSource::Serial { path: "/dev/ttyUSB9".into(), baud: 57_600 },
            mode: wmbus::receiver::Mode::C1T1,
            reenumerate: false,
        }]
    );

    fs::write(&path, "[[wmbus]]\nkind = \"im871a\"\nport = \"/dev/ttyUSB9\"\nbaud = 1\n").unwrap();
    let error = Config::load(&path).unwrap_err();
    assert_eq!(error.faults.len(), 2, "what is absent is reported with the rest: {error}");
}

#[test]
fn any_text_is_answered_with_faults() {
    use proptest::prelude::*;
    proptest!(|(text in "(\\[{1,2}[a-z.]{0,8}\\]{1,2}\n|[a-z]{1,6} = [\"0-9a-z%.-]{0,9}\n|\\PC{0,12}\n){0,12}")| {
        Config::parse(&text, Path::new("/nowhere"));
    });
}

#[test]
fn what_is_wrong_with_electricity_meters_is_told_by_key() {
    check(
        r#"
[[electricity.channel]]
name = "a"
link = "wrapper"

[[electricity.channel]]
name = "a"
link = "hdlc"
tcp = "192.0.2.1:4059"

[[electricity.meter]]
id = "4d4d4d0000bc614e"
channel = "a"
auth = "gmac"

[[electricity.meter]]
id = "4d4d4d0000bc614e"
channel = "b"
security = "both"

[[electricity.task]]
id = "profile"
what = "profile"
period = "7min"

[[electricity.task]]
id = "profile"
what = "clock"
object = "1-0:1.8.0*255"
period = "1h"
at = "06:00"
groups = ["gas"]
window = "22-5"
"#,
        &[
            "dcu.toml:2: electricity.keys: is missing: there are meters with a password or keys",
            "dcu.toml:2: electricity.system_title: is missing: there are meters with keys, to which the unit has a name",
            "dcu.toml:7: electricity.channel[1].name: \"a\" is the name of another channel",
            "dcu.toml:11: electricity.meter[0].tcp: is missing, and so is `udp`: its channel has neither `tcp`, `udp` nor `port`",
            "dcu.toml:17: electricity.meter[1].id: 4d4d4d0000bc614e is another meter's",
            "dcu.toml:18: electricity.meter[1].channel: there is no channel \"b\"",
            "dcu.toml:19: electricity.meter[1].security: \"both\" is not one of \"none\", \"authenticated\", \"encrypted\", \"authenticated-encrypted\"",
            "dcu.toml:21: electricity.task[0].object: is missing",
            "dcu.toml:24: electricity.task[0].period: \"7min\" does not divide a day into equal parts",
            "dcu.toml:27: electricity.task[1].id: \"profile\" is the id of another task",
            "dcu.toml:29: electricity.task[1].object: has no use here",
            "dcu.toml:31: electricity.task[1].at: belongs to a period of a day or a month",
            "dcu.toml:32: electricity.task[1].groups: there is no group \"gas\"",
            "dcu.toml:33: electricity.task[1].window: \"22\" is not a time such as \"06:00\"",
        ],
    );
}

#[test]
fn an_address_that_the_unit_does_not_have_is_told_and_waited_for() {
    let absent = |text: &str, key: &str| {
        let (config, faults) = Config::parse(text, Path::new("/nowhere"));
        assert!(config.electricity.push.is_some(), "the service listens once it has the address");
        faults.iter().map(|fault| (fault.gravity, fault.line, fault.key == key)).collect::<Vec<_>>()
    };
    let text = "[electricity.push]\ntcp = \"192.0.2.1:4059\"\n";
    assert_eq!(absent(text, "electricity.push.tcp"), [(Gravity::Absent, Some(2), true)]);
    let text = "[electricity.push]\ntcp = \"127.0.0.1:0\"\nudp = \"192.0.2.1:4059\"\n";
    assert_eq!(absent(text, "electricity.push.udp"), [(Gravity::Absent, Some(3), true)]);
}

#[test]
fn what_signatures_forms_and_datagrams_go_with_is_told() {
    check(
        r#"
[electricity]

system_title = "4443550000000001"

[[electricity.channel]]
name = "a"
link = "hdlc"
udp = "192.0.2.1:4059"

[[electricity.channel]]
name = "b"
link = "wrapper"
tcp = "192.0.2.1:4059"
udp = "192.0.2.1:4059"

[[electricity.meter]]
id = "4d4d4d0000bc614e"
channel = "b"
auth = "ecdsa"

[[electricity.meter]]
id = "4d4d4d0000bc614f"
channel = "b"
sign = true
ciphering = "dedicated"
tcp = "192.0.2.2:4059"
udp = "192.0.2.2:4059"
"#,
        &[
            "dcu.toml:2: electricity.keys: is missing: there are meters with a password or keys",
            "dcu.toml:9: electricity.channel[0].udp: goes with link = \"wrapper\"",
            "dcu.toml:15: electricity.channel[1].udp: has no use beside `tcp`",
            "dcu.toml:20: electricity.meter[0].auth: signatures are of suite = 1 (P-256) or suite = 2 (P-384)",
            "dcu.toml:25: electricity.meter[1].sign: signatures are of suite = 1 (P-256) or suite = 2 (P-384)",
            "dcu.toml:26: electricity.meter[1].ciphering: has no use without `security`",
            "dcu.toml:28: electricity.meter[1].udp: has no use beside `tcp`",
        ],
    );
}

#[test]
fn a_band_that_nobody_can_join_in_is_refused() {
    check(
        r#"
[[plc]]
tcp = "192.0.2.1:4001"
pan_id = "781d"
band = "arib"
"#,
        &[concat!(
            "dcu.toml:5: plc[0].band: \"arib\" is not supported, as nodes of that band join in a way that the unit does not ",
            "know; \"cenelec-a\", \"cenelec-b\", \"fcc\", \"rf\" are"
        )],
    );
}

#[test]
fn what_is_wrong_with_networks_is_told_by_key() {
    check(
        r#"
[[plc]]
name = "a"
tcp = "192.0.2.1:4001"
pan_id = "781d"

[[plc]]
name = "a"
pan_id = "791d"
band = "cenelec"
key_index = 2

[[plc]]
name = "b"
tcp = "192.0.2.1:4001"
pan_id = "781d"
eui64 = "12"
prefix = "2001:db8::/64"
unlisted = "ask"

[[electricity.channel]]
name = "street"
link = "hdlc"
plc = "c"

[[electricity.channel]]
name = "feeder"
link = "wrapper"
plc = "b"

[[electricity.meter]]
id = "4d4d4d0000bc614e"
channel = "feeder"
"#,
        &[
            "dcu.toml:7: plc[1].port: exactly one of `port` and `tcp` says where the modem is",
            "dcu.toml:8: plc[1].name: \"a\" is the name of another network",
            "dcu.toml:9: plc[1].pan_id: \"791d\" has bits of 0300 set, which no PAN id may; 781d has not",
            "dcu.toml:10: plc[1].band: \"cenelec\" is not one of \"cenelec-a\", \"cenelec-b\", \"fcc\", \"rf\": did you mean \"cenelec-a\"?",
            "dcu.toml:11: plc[1].key_index: 2 is not between 0 and 1",
            "dcu.toml:15: plc[2].tcp: \"192.0.2.1:4001\" is taken by network \"a\"",
            "dcu.toml:16: plc[2].pan_id: 781d is another network's",
            "dcu.toml:17: plc[2].eui64: \"12\" is not an EUI-64 such as \"001122ffff000001\"",
            "dcu.toml:18: plc[2].prefix: \"2001:db8::/64\" is not a prefix such as \"fd00:1:2:3::/64\"",
            "dcu.toml:19: plc[2].unlisted: \"ask\" is not one of \"hold\", \"decline\"",
            "dcu.toml:24: electricity.channel[0].plc: there is no [[plc]] of the name \"c\"",
            "dcu.toml:24: electricity.channel[0].plc: goes with link = \"wrapper\", and without `port`, `tcp` and `udp`",
            "dcu.toml:31: electricity.meter[0].node: is missing: its channel is a PLC network",
        ],
    );
}

/// A network, its channel and two meters, each of whose lines may be wrong.
fn street(name: &str, at: &str, pan_id: &str, plc: &str, more: &str) -> String {
    let meter = |n: u8| {
        format!(
            "[[electricity.meter]]\nid = \"4d4d4d0000bc61{n:02x}\"\nchannel = \"c\"\nnode = \"02000000000000{n:02x}\"\n"
        )
    };
    format!(
        "[[plc]]\nname = \"{name}\"\n{at}\npan_id = \"{pan_id}\"\n{more}\n[[electricity.channel]]\nname = \"c\"\n\
         link = \"wrapper\"\n{plc}\n{}{}",
        meter(1),
        meter(2)
    )
}

#[test]
fn one_word_that_is_wrong_is_one_fault_however_many_meters_are_behind_it() {
    let (tcp, plc) = ("tcp = \"192.0.2.1:4001\"", "plc = \"street\"");
    check(&street("street", tcp, "781d", plc, ""), &[]);
    let four = "dcu.toml:4: plc[0].pan_id: \"78\" is not a PAN id of four hexadecimal digits such as \"781d\"";
    check(&street("street", tcp, "78", plc, ""), &[four]);
    check(&street("street", tcp, "0x781d", plc, ""), &[&four.replace("\"78\"", "\"0x781d\"")]);
    check(&street("street", tcp, "+81d", plc, ""), &[&four.replace("\"78\"", "\"+81d\"")]);
    let nowhere = "dcu.toml: plc[0].port: exactly one of `port` and `tcp` says where the modem is";
    check(&street("street", "", "781d", plc, ""), &[nowhere]);
    let letters = "dcu.toml:2: plc[0].name: \"a b\" may have letters, digits, `-`, `_` and `.` only";
    check(&street("a b", tcp, "781d", "plc = \"a b\"", ""), &[letters]);
    let nobody = "dcu.toml:9: electricity.channel[0].plc: there is no [[plc]] of the name \"sreet\"";
    check(&street("street", tcp, "781d", "plc = \"sreet\"", ""), &[nobody]);
    // Where nothing is said of a place, each meter may have its own.
    let text = "tcp: is missing, and so is `udp`: its channel has neither `tcp`, `udp` nor `port`";
    check(
        &street("street", tcp, "781d", "", ""),
        &[10, 14]
            .map(|line| format!("dcu.toml:{line}: electricity.meter[{}].{text}", line / 14))
            .each_ref()
            .map(String::as_str),
    );
}

#[test]
fn a_modems_rate_and_address_are_some_that_there_are() {
    let (tcp, plc) = ("port = \"/dev/null\"", "plc = \"street\"");
    let with = |more: &str| street("street", tcp, "781d", plc, more);
    check(&with("baud = 230400"), &[]);
    let rates = "is no rate of a modem: 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600";
    check(&with("baud = 12345"), &[&format!("dcu.toml:5: plc[0].baud: 12345 {rates}")]);
    for nobody in ["0000000000000000", "ffffffffffffffff"] {
        let fault = format!("dcu.toml:5: plc[0].eui64: {nobody:?} is nobody's address");
        check(&with(&format!("eui64 = {nobody:?}")), &[&fault]);
    }
    let own = "dcu.toml:17: electricity.meter[1].node: is the own address of the modem of \"street\"";
    check(&with("eui64 = \"0200000000000002\""), &[own]);
}
