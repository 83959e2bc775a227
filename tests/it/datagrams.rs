//! Meters over UDP, some of whose datagrams get lost, come twice or late; counters that the meter tells; signatures.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use dcu::store::Lane;
use dlms::Obis;
use dlms::client::{Authentication, Signing};
use dlms::link::hdlc::{Address, Parameters};
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey, SigningKey, Suite, SystemTitle, VerifyingKey};
use dlms::sim::{Access, Model, Port, Server};

use crate::dlms::{dcu, meter_of};
use crate::electricity::{AUTHENTICATION, GLOBAL, UNIT, Unit, keys_of, unix_now};
use crate::support::service::secret;

const CLOCK: &str = "8:0-0:1.0.0*255:2";
const IMPORT: &str = "3:1-0:1.8.0*255:2";

fn model() -> Model {
    Model { suite: Suite::One, ..Model::electricity(4711).unwrap() }
}

/// Keys of the unit and of the meter, for signatures of this suite.
fn signing(suite: Suite) -> (SigningKey, SigningKey) {
    let length = if suite == Suite::Two { 48 } else { 32 };
    let key = |octet| SigningKey::new(suite, &vec![octet; length]).unwrap();
    (key(0x11), key(0x22))
}

/// What may speak with the meter: a management client with this authentication, and everybody as the public client.
fn access(suite: Suite, auth: &str, is_signed: bool, is_protected: bool) -> Vec<Access> {
    let (unit, meter) = signing(suite);
    let key = |octets: &[u8]| octets.repeat(if suite == Suite::Two { 2 } else { 1 });
    let ciphering = Ciphering {
        suite,
        own_title: model().system_title(),
        peer_title: Some(SystemTitle(UNIT)),
        global: EncryptionKey::new(&key(&GLOBAL)).unwrap(),
        broadcast: None,
        dedicated: None,
        authentication: AuthenticationKey::new(&key(&AUTHENTICATION)).unwrap(),
    };
    let peer = unit.verifying_key();
    let authentication = match auth {
        "ecdsa" => Authentication::Ecdsa { own: meter.clone(), meter: peer.clone() },
        "gmac" => Authentication::Gmac,
        _ => Authentication::None,
    };
    let signing = is_signed.then_some(Signing { own: meter, peer });
    let access = Access::management(1, authentication);
    vec![Access { ciphering: Some(ciphering), signing, is_protected, ..access }, Access::public()]
}

fn point(key: &VerifyingKey) -> String {
    match key {
        VerifyingKey::P256(key) => hex::encode(key.to_encoded_point(false).as_bytes()),
        VerifyingKey::P384(key) => hex::encode(key.to_encoded_point(false).as_bytes()),
    }
}

/// What both files of keys say of signatures.
fn signature_keys(suite: Suite) -> String {
    let (own, octets) = (signing(suite).1, if suite == Suite::Two { 48 } else { 32 });
    format!("signing_key = \"{}\"\nmeter_public_key = \"{}\"\n", "11".repeat(octets), point(&own.verifying_key()))
}

/// A meter behind a UDP socket. Each eleventh datagram of either direction is lost, each third answer comes twice, the second
/// time after the next request.
fn over_udp(accesses: Vec<Access>, speed: u32) -> (SocketAddr, Arc<Mutex<Server>>) {
    let mut server = Server::new(model().build(), Port::wrapper(1), accesses, unix_now(), 1);
    server.speed = speed;
    let server = Arc::new(Mutex::new(server));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, shared) = (socket.local_addr().unwrap(), Arc::clone(&server));
    std::thread::spawn(move || {
        let (mut buf, mut count, mut late) = ([0; 65_536], 0_u32, None);
        let mut is_lost = || {
            count += 1;
            count % 11 == 0
        };
        let mut answers = 0_u32;
        while let Ok((length, peer)) = socket.recv_from(&mut buf) {
            if is_lost() {
                continue;
            }
            let mut server = shared.lock().unwrap();
            server.handle_bytes(&buf[..length], Instant::now());
            if let Some((octets, peer)) = late.take() {
                let octets: Vec<u8> = octets;
                let _ = socket.send_to(&octets, peer);
            }
            while let Some(octets) = server.poll_transmit() {
                answers += 1;
                late = (answers % 3 == 0).then(|| (octets.clone(), peer));
                if !is_lost() {
                    let _ = socket.send_to(&octets, peer);
                }
            }
        }
    });
    (address, server)
}

fn keys_file(directory: &std::path::Path, text: &str) -> String {
    let path = directory.join("meter.toml");
    secret(&path, text);
    path.to_str().unwrap().to_owned()
}

fn keys(suite: Suite, counter: Option<u32>) -> String {
    let key = |octets: &[u8]| hex::encode(octets.repeat(if suite == Suite::Two { 2 } else { 1 }));
    let counter = counter.map_or_else(String::new, |counter| format!("invocation_counter = {counter}\n"));
    format!(
        "system_title = \"{}\"\nsecurity_suite = {}\nencryption_key = \"{}\"\nauthentication_key = \"{}\"\n{counter}{}",
        hex::encode(UNIT),
        suite as u8,
        key(&GLOBAL),
        key(&AUTHENTICATION),
        if suite == Suite::Zero { String::new() } else { signature_keys(suite) }
    )
}

#[test]
fn a_meter_is_read_over_datagrams_that_get_lost_come_twice_or_late() {
    let directory = tempfile::tempdir().unwrap();
    for (auth, ciphering, sign) in [
        ("none", "global", false),
        ("gmac", "global", false),
        ("gmac", "dedicated", false),
        ("gmac", "general-global", false),
        ("ecdsa", "general-dedicated", false),
        ("ecdsa", "global", true),
    ] {
        let (address, _server) = over_udp(access(Suite::One, auth, sign, auth != "none"), 0);
        let keys = keys_file(directory.path(), &keys(Suite::One, Some(5)));
        let address = address.to_string();
        let way =
            ["--wrapper-udp", &address, "--client", "1", "--auth", auth, "--ciphering", ciphering, "--keys", &keys];
        let way = [&way[..], &["--json", "--timeout", "1500ms"], if sign { &["--sign"] } else { &[] }].concat();
        let lines = dcu(&[&["get", CLOCK, IMPORT, "1:0-0:42.0.0*255:2"], &way[..]].concat()).well().lines();
        assert_eq!(lines[2]["text"], "DCU0000000004711", "{way:?}");
        let rows = dcu(&[&["profile", "1-0:99.1.0*255", "--entries", "101-300"], &way[..]].concat()).well().lines();
        let numbers: Vec<_> = rows.iter().map(|row| row["row"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (101..=300).collect::<Vec<_>>(), "{way:?}");
    }
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let ended = dcu(&["get", CLOCK, "--wrapper-udp", &nobody, "--timeout", "300ms"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("nobody takes datagrams there"), "{}", ended.told);
}

#[test]
fn a_meter_tells_its_counter_where_the_keys_file_says_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = |counter| keys_file(directory.path(), &keys(Suite::One, counter));
    let counter = || {
        let text = std::fs::read_to_string(directory.path().join("meter.toml")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("invocation_counter = ").map(ToOwned::to_owned));
        line.map(|line| line.parse::<u32>().unwrap())
    };
    let hdlc = || Port::hdlc(Address::one(1).unwrap(), Parameters::default());
    let ports: [(&str, &dyn Fn() -> Port); 2] = [("--wrapper", &|| Port::wrapper(1)), ("--hdlc-tcp", &hdlc)];
    for (link, port) in ports {
        let address = meter_of(port(), access(Suite::One, "gmac", false, true), &model(), |_| {});
        let way = ["get", CLOCK, link, &address, "--client", "1", "--auth", "gmac", "--keys"];
        let far = file(Some(70_000));
        dcu(&[&way[..], &[&far]].concat()).well();
        assert!(counter().is_some_and(|counter| (70_001..70_010).contains(&counter)));
        // Nothing is known of what was used before: the meter is asked.
        let none = file(None);
        dcu(&[&way[..], &[&none]].concat()).well();
        assert!(counter().is_some_and(|counter| (70_005..70_020).contains(&counter)), "{:?}", counter());
        // What the file says is used, and the meter refuses it; asked, it says what it takes.
        let old = file(Some(3));
        assert_eq!(dcu(&[&way[..], &[&old]].concat()).code, Some(6));
        dcu(&[&way[..], &[&old, "--counter", "meter"]].concat()).well();
        assert!(counter().is_some_and(|counter| (70_010..70_030).contains(&counter)), "{:?}", counter());
        // It never goes back.
        let above = file(Some(90_000));
        dcu(&[&way[..], &[&above, "--counter", "meter"]].concat()).well();
        assert!(counter().is_some_and(|counter| counter > 90_000));
        let none = file(None);
        assert_eq!(dcu(&[&way[..], &[&none, "--counter", "file"]].concat()).code, Some(6));
        // An object that the meter does not have.
        let none = file(None);
        let ended = dcu(&[&way[..], &[&none, "--counter-object", "9-9:9.9.9*9", "--counter", "meter"]].concat());
        assert!(ended.code != Some(0) && ended.told.contains("9-9:9.9.9*9"), "{}", ended.told);
    }
}

#[test]
fn a_meter_with_signatures_is_read_in_both_suites_in_every_form() {
    let directory = tempfile::tempdir().unwrap();
    for suite in [Suite::One, Suite::Two] {
        for (protection, ciphering, sign) in [
            ("none", "global", false),
            ("none", "global", true),
            ("authenticated", "global", false),
            ("full", "dedicated", true),
            ("full", "general-global", true),
            ("authenticated", "general-dedicated", true),
        ] {
            let accesses = access(suite, "ecdsa", sign, protection != "none");
            let address = meter_of(Port::wrapper(1), accesses, &Model { suite, ..model() }, |_| {});
            let keys = keys_file(directory.path(), &keys(suite, Some(1)));
            let way = ["--wrapper", &address, "--client", "1", "--auth", "ecdsa", "--keys", &keys];
            let how = ["--protection", protection, "--ciphering", ciphering, "--json"];
            let sign = if sign { &["--sign"][..] } else { &[] };
            let ended = dcu(&[&["get", "1:0-0:42.0.0*255:2"], &way[..], &how[..], sign].concat()).well();
            assert_eq!(ended.lines()[0]["text"], "DCU0000000004711", "{suite:?} {how:?}");
        }
    }
    // The meter's key is another one.
    let address = meter_of(Port::wrapper(1), access(Suite::One, "ecdsa", false, true), &model(), |_| {});
    let other = point(&signing(Suite::One).0.verifying_key());
    let text = keys(Suite::One, Some(1)).replace(&point(&signing(Suite::One).1.verifying_key()), &other);
    let keys = keys_file(directory.path(), &text);
    let ended = dcu(&["get", CLOCK, "--wrapper", &address, "--client", "1", "--auth", "ecdsa", "--keys", &keys]);
    assert_eq!(ended.code, Some(6), "{}", ended.told);
    assert!(ended.told.contains("the meter's proof is wrong"), "{}", ended.told);
}

#[test]
fn the_service_reads_meters_over_datagrams_with_signatures_and_dedicated_keys() {
    let (address, server) = over_udp(access(Suite::One, "ecdsa", true, true), 1);
    let id = hex::encode(model().system_title().0);
    let text = format!(
        "auth = \"ecdsa\"\nsecurity = \"authenticated-encrypted\"\nsuite = 1\nciphering = \"dedicated\"\nsign = true\n\
         [[electricity.channel]]\nname = \"lan\"\nlink = \"wrapper\"\ntimeout = \"3s\"\n\
         [[electricity.meter]]\nid = \"{id}\"\nchannel = \"lan\"\nudp = \"{address}\"\n\
         [[electricity.task]]\nid = \"profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\nperiod = \"15min\"\n\
         history = \"1d\"\nat_once = 8\n"
    );
    let keys = keys_of(&id) + &signature_keys(Suite::One);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until_complete("profile", 1);
    unit.terminate();
    let curve = model().curve(Obis::new(1, 0, 1, 8, 0, 255));
    let readings = unit.readings();
    let imports: Vec<_> = readings
        .iter()
        .filter(|(lane, it)| *lane == Lane::LoadProfile && it.register.obis.unwrap().to_string() == "1-0:1.8.0*255")
        .collect();
    assert!(imports.len() >= 96, "{}", imports.len());
    for (_, reading) in imports {
        assert_eq!(reading.value.to_string(), curve.at(reading.interval.unwrap().end_utc).to_string());
    }
    drop(server);
}
