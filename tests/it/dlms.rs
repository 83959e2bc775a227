//! `dcu dlms`: the command line against emulated meters behind real sockets, and against an independent one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dlms::Obis;
use dlms::client::Authentication;
use dlms::link::hdlc::{Address, Parameters};
use dlms::security::hls::Hash;
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey, Secret, SigningKey, Suite, SystemTitle};
use dlms::sim::{Access, Faults, Model, Port, Quirks, Server};
use dlms::spec::Conformance;
use dlms::time::DeviationSign;
use serde_json::Value;

/// 2026-11-01T10:00:00Z.
const UNIX: i64 = 1_793_527_200;
const PASSWORD: &str = "geheim-9471";
const CLOCK: &str = "8:0-0:1.0.0*255:2";
const IMPORT: &str = "3:1-0:1.8.0*255:2";
const LOAD_PROFILE: &str = "1-0:99.1.0*255";

/// How a command line ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) told: String,
}

impl Ended {
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!((self.code, self.told.as_str()), (Some(0), ""), "{}", self.out);
        self
    }
}

pub(crate) fn dcu(args: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_dcu")).arg("dlms").args(args).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    let ended = Ended { code: output.status.code(), out: text(output.stdout), told: text(output.stderr) };
    for said in [&ended.out, &ended.told] {
        assert!(!said.contains(PASSWORD) && !said.contains("0f0e0d0c"), "a secret is told: {said}");
    }
    ended
}

/// A keys file with everything in it.
fn keys(directory: &Path, password: &str) -> String {
    let path = directory.join("meter.toml");
    let text = format!(
        "system_title = \"4443550000000001\"\npassword = \"{password}\"\n\
         authentication_key = \"0f0e0d0c0b0a09080706050403020100\"\n\
         encryption_key = \"000102030405060708090a0b0c0d0e0f\"\ninvocation_counter = 5\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn ciphering(own_title: SystemTitle) -> Ciphering {
    let key: Vec<u8> = (0..16).collect();
    let authentication: Vec<u8> = (0..16).rev().collect();
    Ciphering {
        suite: Suite::Zero,
        own_title,
        peer_title: None,
        global: EncryptionKey::new(&key).unwrap(),
        broadcast: None,
        dedicated: None,
        authentication: AuthenticationKey::new(&authentication).unwrap(),
    }
}

fn access(authentication: &str, model: &Model) -> Access {
    let secret = Secret::new(PASSWORD.as_bytes());
    let authentication = match authentication {
        "none" => Authentication::None,
        "lls" => Authentication::Lls(secret),
        "md5" => Authentication::Hash(Hash::Md5, secret),
        "sha1" => Authentication::Hash(Hash::Sha1, secret),
        "sha256" => Authentication::Hash(Hash::Sha256, secret),
        _ => Authentication::Gmac,
    };
    let is_protected = matches!(authentication, Authentication::Gmac);
    Access { ciphering: Some(ciphering(model.system_title())), is_protected, ..Access::management(1, authentication) }
}

fn model() -> Model {
    Model { begin: 1_767_225_600, entries: 100_000, ..Model::electricity(4711).unwrap() }
}

/// A meter whose time stands, for every connection that comes; where it is.
fn meter(port: Port, access: Access, model: &Model, change: impl FnOnce(&mut Server)) -> String {
    meter_of(port, vec![access], model, change)
}

pub(crate) fn meter_of(port: Port, access: Vec<Access>, model: &Model, change: impl FnOnce(&mut Server)) -> String {
    let mut server = Server::new(model.build(), port, access, UNIX, 1);
    server.speed = 0;
    change(&mut server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            server.reconnect();
            serve(&mut server, stream);
        }
    });
    address
}

/// Answers until the other side is gone.
fn serve(server: &mut Server, mut stream: impl Read + Write) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        server.handle_bytes(&buffer[..length], Instant::now());
        while let Some(octets) = server.poll_transmit() {
            let _ = stream.write_all(&octets);
        }
    }
}

fn plain_meter(change: impl FnOnce(&mut Server)) -> String {
    meter(Port::wrapper(1), access("none", &model()), &model(), change)
}

/// The flag, others, and the emulated meter's port.
type Link<'a> = (&'a str, &'a [&'a str], &'a dyn Fn() -> Port);

#[test]
fn a_meter_is_read_over_wrapper_and_hdlc_whatever_it_asks_for() {
    let directory = tempfile::tempdir().unwrap();
    let (keys, model) = (keys(directory.path(), PASSWORD), model());
    let energy = model.curve(Obis::new(1, 0, 1, 8, 0, 255)).at(UNIX);
    let hdlc = |server: Option<Address>| Port::hdlc(server.unwrap(), Parameters::default());
    let links: [Link<'_>; 5] = [
        ("--wrapper", &[], &|| Port::wrapper(1)),
        ("--hdlc-tcp", &[], &|| hdlc(Address::one(1))),
        ("--hdlc-tcp", &["--server", "1/17"], &|| hdlc(Address::two(1, 17))),
        ("--hdlc-tcp", &["--server", "145", "--frame", "512"], &|| hdlc(Address::two(1, 17))),
        ("--hdlc-tcp", &["--server", "1/17", "--address-octets", "4"], &|| hdlc(Address::four(1, 17))),
    ];
    let mut ways = vec![];
    for (link, more, port) in links {
        ways.extend(["none", "lls", "md5", "sha1", "sha256", "gmac"].map(|auth| (link, more, port, auth, "global")));
    }
    for ciphering in ["dedicated", "general-global", "general-dedicated"] {
        ways.extend(links.iter().take(2).map(|(link, more, port)| (*link, *more, *port, "gmac", ciphering)));
    }
    for (link, more, port, auth, ciphering) in ways {
        let address = meter(port(), access(auth, &model), &model, |_| {});
        let way = [link, &address, "--client", "1", "--auth", auth, "--keys", &keys, "--ciphering", ciphering];
        let name = "1:0-0:42.0.0*255:2";
        let ended = dcu(&[&["get", "--json", CLOCK, IMPORT, name], &way[..], more].concat()).well();
        let lines = ended.lines();
        assert_eq!(lines.len(), 3, "{way:?}");
        assert_eq!(lines[0]["utc"], "2026-11-01T10:00:00Z", "{way:?}");
        assert_eq!((&lines[0]["time"], &lines[0]["deviation"]), (&"2026-11-01T11:00:00".into(), &(-60).into()));
        assert_eq!(
            (&lines[1]["value"], &lines[1]["unit"], &lines[1]["scaler"]),
            (&energy.into(), &"Wh".into(), &0.into())
        );
        assert_eq!(lines[2]["text"], "DCU0000000004711", "{way:?}");
        let rows =
            dcu(&[&["profile", LOAD_PROFILE, "--entries", "9991-10010", "--json"], &way[..], more].concat()).well();
        let numbers: Vec<_> = rows.lines().iter().map(|row| row["row"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (9_991..=10_010).collect::<Vec<_>>(), "{way:?}");
    }
}

#[test]
fn a_meter_on_a_serial_line_is_read() {
    let line = nix::pty::openpty(None, None).unwrap();
    let device = nix::unistd::ttyname(&line.slave).unwrap();
    let port = Port::hdlc(Address::one(1).unwrap(), Parameters::default());
    let mut server = Server::new(model().build(), port, vec![access("none", &model())], UNIX, 1);
    server.speed = 0;
    std::thread::spawn(move || serve(&mut server, std::fs::File::from(line.master)));
    for _ in 0..2 {
        let way = ["--serial", device.to_str().unwrap(), "--baud", "19200", "--client", "1"];
        let ended = dcu(&[&["profile", LOAD_PROFILE, "--entries", "1-3", "--json"], &way[..]].concat()).well();
        assert_eq!(ended.lines().len(), 3);
    }
}

#[test]
fn a_meter_with_signatures_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = ([0x11; 32], [0x22; 32]);
    let point = |scalar: &[u8]| {
        let key = p256::ecdsa::SigningKey::from_slice(scalar).unwrap();
        hex::encode(key.verifying_key().to_encoded_point(false).as_bytes())
    };
    let file = keys(directory.path(), PASSWORD);
    let more = format!("signing_key = \"{}\"\nmeter_public_key = \"{}\"\n", hex::encode(ours), point(&theirs));
    let text = std::fs::read_to_string(&file).unwrap() + &more;
    std::fs::write(&file, text).unwrap();
    let model = Model { suite: Suite::One, ..model() };
    let key = |octets: &[u8]| SigningKey::new(Suite::One, octets).unwrap();
    let authentication = Authentication::Ecdsa { own: key(&theirs), meter: key(&ours).verifying_key() };
    let ciphering = Ciphering { suite: Suite::One, ..ciphering(model.system_title()) };
    let access = Access { ciphering: Some(ciphering), is_protected: true, ..Access::management(1, authentication) };
    let address = meter(Port::wrapper(1), access, &model, |_| {});
    let way = ["--wrapper", &address, "--client", "1", "--auth", "ecdsa", "--keys", &file];
    let ended = dcu(&[&["get", CLOCK, "--json"], &way[..]].concat()).well();
    assert_eq!(ended.lines()[0]["utc"], "2026-11-01T10:00:00Z");
}

#[test]
fn values_are_shown_for_people() {
    let address = plain_meter(|_| {});
    let way = ["--wrapper", &address, "--client", "1"];
    let ended = dcu(&[&["get", CLOCK, IMPORT, "1:0-0:42.0.0*255:2"], &way[..]].concat()).well();
    let energy = model().curve(Obis::new(1, 0, 1, 8, 0, 255)).at(UNIX);
    assert_eq!(
        ended.out,
        format!(
            "8:0-0:1.0.0*255:2  clock time  2026-11-01 11:00:00 UTC+01:00, deviation -60, status 00\n\
             3:1-0:1.8.0*255:2  register value  {energy} Wh\n\
             1:0-0:42.0.0*255:2  data value  \"DCU0000000004711\" ({})\n",
            hex::encode("DCU0000000004711")
        )
    );
    let ended = dcu(&[&["get", "15:0-0:40.0.0*255:2"], &way[..]].concat()).well();
    assert!(ended.out.contains("  {1, 0, 0-0:42.0.0*255 (00002a0000ff), "), "{}", ended.out);
    let rows = dcu(&[&["profile", LOAD_PROFILE, "--entries", "1-2"], &way[..]].concat()).well();
    let head = "time                           0-0:96.10.1*255  1-0:1.8.0*255 Wh  1-0:2.8.0*255 Wh\n\
                2026-01-01 01:00:00 UTC+01:00                0  ";
    assert!(rows.out.starts_with(head), "{}", rows.out);
    assert_eq!(rows.out.lines().count(), 3);
}

/// Ends of the intervals of a local day, seconds UTC.
fn quarters(from: &str, to: &str) -> Vec<i64> {
    let [from, to] = [from, to].map(|text| text.parse::<jiff::Timestamp>().unwrap().as_second());
    (from..=to).step_by(900).collect()
}

#[test]
fn both_change_over_days_are_read_right_by_range_and_whatever_the_sign() {
    // The day in UTC and in the meter's own time, both with the end of its first and of its last quarter.
    let days = [
        (["2026-03-28T23:15:00Z", "2026-03-29T22:00:00Z"], ["2026-03-29T00:15", "2026-03-30"], 92),
        (["2026-10-24T22:15:00Z", "2026-10-25T23:00:00Z"], ["2026-10-25T00:15", "2026-10-26"], 100),
        (
            ["2026-10-25T00:15:00Z", "2026-10-25T01:00:00Z"],
            ["2026-10-25T02:15:00+02:00", "2026-10-25T02:00:00+01:00"],
            4,
        ),
    ];
    let quirks = Quirks { null_clock: true, null_values: true, ..Quirks::default() };
    for (sign, name) in [(DeviationSign::Dlms, "dlms"), (DeviationSign::Inverted, "inverted")] {
        for quirks in [Quirks::default(), quirks.clone()] {
            let model = Model { quirks, ..model() };
            let energy = model.curve(Obis::new(1, 0, 1, 8, 0, 255));
            let address =
                meter(Port::wrapper(1), access("none", &model), &model, |server| server.meter.world.clock.sign = sign);
            for (utc, local, count) in days {
                let expected = quarters(utc[0], utc[1]);
                assert_eq!(expected.len(), count);
                for [from, to] in [utc, local] {
                    let ended = dcu(&[
                        "profile",
                        LOAD_PROFILE,
                        "--from",
                        from,
                        "--to",
                        to,
                        "--json",
                        "--wrapper",
                        &address,
                        "--client",
                        "1",
                        "--deviation",
                        name,
                    ])
                    .well();
                    let rows = ended.lines();
                    let found: Vec<_> = rows
                        .iter()
                        .map(|row| row["utc"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second())
                        .collect();
                    assert_eq!(found, expected, "{name} {from}");
                    for (row, end) in rows.iter().zip(&expected) {
                        assert_eq!(row["values"][2]["value"], energy.at(*end), "{name} {row}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_meter_that_does_not_select_is_read_whole_and_says_so() {
    let mut access = access("none", &model());
    access.conformance = Conformance(access.conformance.0 & !Conformance::SELECTIVE_ACCESS.0);
    let address = meter(Port::wrapper(1), access, &model(), |_| {});
    let range = ["--from", "2026-10-24T22:15:00Z", "--to", "2026-10-25T23:00:00Z"];
    for (wanted, count) in [(&range[..], 100), (&["--entries", "5-7"][..], 3)] {
        let way = ["profile", LOAD_PROFILE, "--json", "--wrapper", &address, "--client", "1"];
        let ended = dcu(&[&way[..], wanted].concat());
        assert_eq!((ended.code, ended.lines().len()), (Some(0), count));
        assert_eq!(ended.told, "dcu: the meter has no selective access for this client: the whole profile is read\n");
    }
}

#[test]
fn a_meter_that_wants_typed_ranges_or_fewer_rows_is_given_them() {
    let address = |faults: fn(&mut Faults)| {
        meter(Port::wrapper(1), access("none", &model()), &model(), |server| faults(&mut server.faults))
    };
    let read = |address: &str, to| {
        let range = ["--from", "2026-10-24T22:15:00Z", "--to", to];
        dcu(&[&["profile", LOAD_PROFILE, "--json", "--wrapper", address, "--client", "1"][..], &range].concat())
    };
    let typed = address(|faults| faults.typed_ranges = true);
    let ended = read(&typed, "2026-10-25T23:00:00Z").well();
    assert_eq!((ended.lines().len(), ended.told.as_str()), (100, ""));
    let small = address(|faults| faults.no_blocks = Some(400));
    let refused = read(&small, "2026-10-25T23:00:00Z");
    assert_eq!(refused.code, Some(1));
    assert!(refused.told.ends_with("the meter sends no long answers (no block transfer): ask for fewer rows\n"));
    assert_eq!(read(&small, "2026-10-24T23:00:00Z").well().lines().len(), 4);
}

#[test]
fn a_meter_with_general_blocks_alone_tells_what_is_long_when_these_are_offered() {
    let mut access = access("none", &model());
    access.conformance = Conformance(access.conformance.0 & !Conformance::BLOCK_TRANSFER_WITH_GET.0);
    let address = meter(Port::wrapper(1), access, &model(), |_| {});
    let objects = ["get", "--wrapper", &address, "--client", "1", "--pdu", "200", "--json", "15:0-0:40.0.0*255:2"];
    let refused = dcu(&objects);
    assert_eq!(refused.code, Some(1), "{}", refused.told);
    let ended = dcu(&[&objects[..], &["--general-blocks"]].concat()).well();
    assert!(ended.lines()[0]["value"].as_array().is_some_and(|objects| objects.len() > 20));
}

#[test]
fn attributes_are_written_and_methods_invoked() {
    let mut access = access("none", &model());
    // Short requests only: what is longer goes in blocks.
    access.max_receive_pdu_size = 64;
    let address = meter(Port::wrapper(1), access, &model(), |_| {});
    let way = ["--wrapper", &address, "--client", "1"];
    let text = "1:0-0:96.13.0*255:2";
    let long = "A".repeat(300);
    let ended = dcu(&[&["set", text, &format!("text={long}")], &way[..]].concat()).well();
    assert_eq!(ended.out, "1:0-0:96.13.0*255:2  data value  written\n");
    assert_eq!(dcu(&[&["get", text, "--json"], &way[..]].concat()).well().lines()[0]["text"], long);
    let relay = "70:0-0:96.3.10*255";
    let ended = dcu(&[&["action", &format!("{relay}:1")], &way[..]].concat()).well();
    assert_eq!(ended.out, "70:0-0:96.3.10*255:1  done\n");
    let state = dcu(&[&["get", &format!("{relay}:2"), &format!("{relay}:3"), "--json"], &way[..]].concat()).well();
    assert_eq!((&state.lines()[0]["value"], &state.lines()[1]["value"]), (&false.into(), &0.into()));
    let ended = dcu(&[&["set", CLOCK, "date-time=2026-11-01T12:00:00+01:00"], &way[..]].concat()).well();
    assert!(ended.out.ends_with("written\n"));
    assert_eq!(dcu(&[&["get", CLOCK, "--json"], &way[..]].concat()).well().lines()[0]["utc"], "2026-11-01T11:00:00Z");
}

#[test]
fn no_invocation_counter_is_used_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (file, model) = (keys(directory.path(), PASSWORD), model());
    let counter = || {
        let text = std::fs::read_to_string(&file).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("invocation_counter = ")).unwrap().to_owned();
        line.parse::<u32>().unwrap()
    };
    let address = meter(Port::wrapper(1), access("gmac", &model), &model, |_| {});
    let way = ["--wrapper", &address, "--client", "1", "--auth", "gmac", "--keys", &file];
    // The meter refuses a counter that it has seen.
    for run in 1..=3 {
        dcu(&[&["get", CLOCK], &way[..]].concat()).well();
        // AARQ, proof, its request, GET, RLRQ.
        assert_eq!(counter(), 5 + 5 * run);
    }
    // Thousands of blocks need more counters than one reservation has.
    let blocks = dcu(&[&["get", "7:1-0:99.1.0*255:2", "--pdu", "128", "--json"], &way[..]].concat()).well();
    assert!(blocks.out.len() > 1_000_000 && counter() > 1_000, "{}", counter());
    let before = counter();
    let mut hangs = Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["dlms", "get", "7:1-0:99.1.0*255:2", "--pdu", "128"])
        .args(way)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while counter() == before && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    hangs.kill().unwrap();
    hangs.wait().unwrap();
    assert!(counter() >= before + 256, "what may have been used is not used again");
    dcu(&[&["get", CLOCK], &way[..]].concat()).well();
    // A client that is refused gives back what it did not use.
    let before = counter();
    let other = ["--wrapper", &address, "--client", "2", "--auth", "gmac", "--keys", &file];
    assert_eq!(dcu(&[&["get", CLOCK], &other[..]].concat()).code, Some(6));
    assert_eq!(counter(), before + 1);
    // Somebody set it back.
    let text = std::fs::read_to_string(&file).unwrap().replace(&format!("= {}", counter()), "= 3");
    std::fs::write(&file, text).unwrap();
    let ended = dcu(&[&["get", CLOCK], &way[..]].concat());
    assert_eq!(ended.code, Some(6), "{}", ended.told);
    assert!(ended.told.contains("invocation_counter"), "{}", ended.told);
}

#[test]
fn what_goes_wrong_is_told_with_what_to_do_and_has_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let (wrong, model) = (keys(directory.path(), "falsch"), model());
    let address = meter(Port::wrapper(1), access("lls", &model), &model, |_| {});
    let way = ["--wrapper", &address, "--client", "1", "--auth", "lls", "--keys", &wrong];
    let check = |args: &[&str], code: i32, told: &str| {
        let ended = dcu(args);
        assert_eq!(ended.code, Some(code), "{}", ended.told);
        assert!(ended.told.contains(told) && !ended.told.contains("falsch"), "{}", ended.told);
    };
    check(
        &[&["get", CLOCK], &way[..]].concat(),
        6,
        "associate: rejected, permanently: authentication failure: check password",
    );
    let gmac = ["--wrapper", &address, "--client", "1", "--auth", "gmac", "--keys", &wrong];
    check(&[&["get", CLOCK], &gmac[..]].concat(), 6, "associate: ");
    check(&["get", CLOCK, "--wrapper", &address, "--auth", "lls"], 78, "--keys FILE: this needs password");
    check(&["get", CLOCK, "--wrapper", &address, "--keys", "/nowhere/keys"], 4, "read keys /nowhere/keys");
    check(&["get", CLOCK], 2, "--wrapper");
    check(&["get", "3:1-0:1.8", "--wrapper", &address], 2, "is not CLASS:OBIS:NUMBER");

    let address = plain_meter(|_| {});
    let way = ["--wrapper", &address, "--client", "1"];
    check(&[&["get", "3:9-9:9.9.9*9:2"], &way[..]].concat(), 4, "object undefined: `dcu dlms get 15:0-0:40.0.0*255:2`");
    check(&[&["set", IMPORT, "integer=1"], &way[..]].concat(), 6, "read-write denied: this client may not");
    check(&[&["set", IMPORT, "int=1"], &way[..]].concat(), 2, "is no type");
    check(&["profile", LOAD_PROFILE, "--wrapper", &address], 6, "associate: ");
    check(&[&["profile", LOAD_PROFILE, "--to", "2001-01-01"], &way[..]].concat(), 0, "there is no such row");
    let several = dcu(&[&["get", "3:9-9:9.9.9*9:2", CLOCK, "--json"], &way[..]].concat());
    assert_eq!(several.code, Some(4));
    assert!(several.lines()[0]["error"].is_string() && several.lines()[1]["utc"].is_string());
    let action = ["action", "70:0-0:96.3.99*255:1", "--json"];
    for (verb, exit) in [(&["set", IMPORT, "integer=1", "--json"][..], 6), (&action, 4)] {
        let refused = dcu(&[verb, &way[..]].concat());
        assert_eq!(refused.code, Some(exit), "{verb:?}");
        assert!(refused.lines()[0]["error"].is_string() && refused.lines()[0]["done"].is_null(), "{verb:?}");
    }

    let address = plain_meter(|server| server.faults.hang_after = Some(1));
    check(&["get", CLOCK, "--wrapper", &address, "--client", "1", "--timeout", "300ms"], 5, "no answer in time");
    let strange = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = strange.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in strange.incoming().flatten() {
            // The echo of the request: from our own port, to the meter's.
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap();
            stream.write_all(&buffer[..length]).unwrap();
            let _ = stream.read(&mut buffer);
        }
    });
    let told = "what came was not taken: address of another station";
    check(&["get", CLOCK, "--wrapper", &address, "--client", "16", "--timeout", "300ms"], 5, told);
    let address =
        meter(Port::hdlc(Address::one(1).unwrap(), Parameters::default()), access("none", &model), &model, |_| {});
    check(&["get", CLOCK, "--hdlc-tcp", &address, "--server", "2", "--timeout", "300ms"], 5, "are --server, --client");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    check(&["get", CLOCK, "--wrapper", &nobody], 1, &format!("connect to {nobody}"));
    check(&["get", CLOCK, "--serial", "/nowhere/ttyUSB0"], 1, "open /nowhere/ttyUSB0");
}

/// Python with the package, which the tests of `dlms` need, too.
fn python() -> Option<String> {
    let python = std::env::var("DCU_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import gurux_dlms"]).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success()).then_some(python)
}

#[test]
fn an_independent_meter_is_read() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with gurux-dlms (pip install gurux-dlms, DCU_PYTHON names the interpreter)");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let keys = keys(directory.path(), "12345678");
    let server = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dlms/tests/peer/server.py");
    for (link, flag) in [("wrapper", "--wrapper"), ("hdlc", "--hdlc-tcp")] {
        for auth in ["none", "lls", "md5", "sha1"] {
            // It serves one connection.
            let run = |args: &[&str]| {
                let mut child =
                    Command::new(&python).arg(&server).args([link, auth]).stdout(Stdio::piped()).spawn().unwrap();
                let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
                let port = lines.find_map(|line| line.unwrap().strip_prefix("= ").map(ToOwned::to_owned)).unwrap();
                let chatter = std::thread::spawn(move || lines.for_each(drop));
                let address = format!("127.0.0.1:{port}");
                let way = [flag, &address, "--client", "1", "--auth", auth, "--keys", &keys, "--pdu", "500", "--json"];
                let lines = dcu(&[args, &way[..]].concat()).well().lines();
                child.wait().unwrap();
                chatter.join().unwrap();
                lines
            };
            let lines = run(&["get", CLOCK, IMPORT]);
            assert_eq!((&lines[0]["utc"], &lines[1]["value"]), (&"2026-06-01T00:00:00Z".into(), &123_456.into()));
            let by_entry = run(&["profile", LOAD_PROFILE, "--entries", "11-60"]);
            assert_eq!((by_entry.len(), &by_entry[49]["values"][1]["value"]), (50, &1059.into()), "{link} {auth}");
            let range = ["--from", "2026-06-02T00:00:00Z", "--to", "2026-06-03T00:00:00Z"];
            let by_range = run(&[&["profile", LOAD_PROFILE], &range[..]].concat());
            assert_eq!((by_range.len(), &by_range[96]["values"][1]["value"]), (97, &1192.into()), "{link} {auth}");
            assert_eq!(run(&["action", "70:0-0:96.3.10*255:1"])[0]["done"], true, "{link} {auth}");
        }
    }
}
