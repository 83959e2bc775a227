//! Meters send what nobody asked for: the service believes who proves himself, once.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use dcu::reading::Origin;
use dcu::store::Lane;
use dlms::apdu::{Apdu, Attribute, CaptureObject, EventNotification};
use dlms::{Data, DateTime, Obis};
use serde_json::Value;

use crate::electricity::{Emulated, Unit, configure, unix_now};

const CLOCK: Attribute = Attribute::new(8, Obis::new(0, 0, 1, 0, 0, 255), 2);
const IMPORT: Attribute = Attribute::new(3, Obis::new(1, 0, 1, 8, 0, 255), 2);
const UNKNOWN: Attribute = Attribute::new(3, Obis::new(1, 0, 2, 8, 0, 255), 2);
const CODE: Attribute = Attribute::new(1, Obis::new(0, 0, 96, 11, 1, 255), 2);

/// A free port of both kinds, for a moment later.
fn free_port() -> u16 {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    tcp.local_addr().unwrap().port()
}

/// What the meter sends now, in its wrapper.
fn pushed(meter: &Emulated, objects: &[Attribute]) -> Vec<u8> {
    let objects: Vec<_> = objects.iter().map(|attribute| CaptureObject::new(*attribute)).collect();
    let mut server = meter.server.lock().unwrap();
    server.push(1, &objects, Instant::now());
    server.poll_transmit().unwrap()
}

fn event(meter: &Emulated, code: u8, time: DateTime) -> Vec<u8> {
    let value = Data::Unsigned(code);
    let apdu = Apdu::EventNotification(EventNotification { time: Some(time), attribute: CODE, value }).octets();
    let mut server = meter.server.lock().unwrap();
    server.notify(1, apdu, Instant::now());
    server.poll_transmit().unwrap()
}

fn pushes(status: &Value) -> (u64, u64) {
    let push = &status["electricity"]["push"];
    let refused = push["refused"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    (push["taken"].as_u64().unwrap_or(0), refused)
}

fn configuration(meters: &[&Emulated], port: u16) -> (String, String) {
    // The clocks are asked for once a day, so that nothing but pushes is told.
    let task = "[[electricity.task]]\nid = \"clock\"\nwhat = \"clock\"\nperiod = \"1d\"\n";
    let (text, keys) = configure(meters, task);
    let objects = "push_objects = [\"8:0-0:1.0.0*255:2\", \"3:1-0:1.8.0*255:2\", \"3:1-0:1.8.0*255:3\", \
                   \"1:0-0:96.11.1*255:2\", \"3:1-0:2.8.0*255:2\"]\n";
    let push = format!("[electricity.push]\ntcp = \"127.0.0.1:{port}\"\nudp = \"127.0.0.1:{port}\"\n");
    (format!("{objects}{push}{text}"), keys)
}

#[test]
fn what_meters_push_is_believed_once_over_a_kill_too() {
    let meter = Emulated::ciphered(41);
    let code = dlms::sim::object::Stored::data(Data::Unsigned(40).octets());
    meter.server.lock().unwrap().meter.insert(CODE.logical_name, Box::new(code));
    let port = free_port();
    let (text, keys) = configuration(&[&meter], port);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until(&["status"], |status| pushes(status) == (0, 0) && status["electricity"]["push"].is_object());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let scaler = Attribute { attribute: 3, ..IMPORT };
    let objects = [CLOCK, IMPORT, scaler, CODE, UNKNOWN];
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let first = pushed(&meter, &objects);
    // It listens a moment after its socket answers.
    let begin = Instant::now();
    while pushes(&unit.ask(&["status"])).0 == 0 {
        udp.send_to(&first, address).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", unit.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut tcp = TcpStream::connect(address).unwrap();
    let stamp = dlms::sim::MeterClock::new(meter.model.zone).date_time(unix_now());
    tcp.write_all(&event(&meter, 1, stamp)).unwrap();
    unit.until(&["status"], |status| pushes(status).0 == 2);
    // What is told is durable with its counter: whatever comes again after a kill is not new.
    std::thread::sleep(Duration::from_secs(1));
    unit.kill();
    unit.start();
    unit.until(&["status"], |status| {
        let _ = udp.send_to(&first, address);
        status["electricity"]["push"]["refused"]["replayed"].as_u64() > Some(0)
    });
    udp.send_to(&pushed(&meter, &objects), address).unwrap();
    unit.until(&["status"], |status| pushes(status).0 == 1);
    unit.until(&["buffer", "stat"], |stat| {
        stat["lanes"].as_array().unwrap().iter().any(|it| it["lane"] == "on-demand")
    });
    unit.terminate();

    let readings: Vec<_> =
        unit.readings().into_iter().filter(|(_, it)| it.source.origin == Origin::Spontaneous).collect();
    let of = |attribute: Attribute| {
        readings
            .iter()
            .filter(move |(_, it)| it.register.obis.unwrap().0 == attribute.logical_name.0)
            .collect::<Vec<_>>()
    };
    let [(lane, import), _] = of(IMPORT)[..] else { panic!("{readings:?}") };
    let pushed_at = import.source.meter_time.unwrap().utc.unwrap();
    assert_eq!(import.value.to_string(), meter.model.curve(IMPORT.logical_name).at(pushed_at).to_string());
    assert_eq!((*lane, import.register.unit.to_string().as_str()), (Lane::Information, "Wh"));
    // Nobody said what this one's scale is, so that the meter was asked what it says, and by which scale.
    let asked = unit.demanded().into_iter().find(|it| it.register.obis.unwrap().0 == UNKNOWN.logical_name.0).unwrap();
    assert_eq!(asked.register.unit.to_string(), "Wh");
    assert!(of(UNKNOWN).iter().all(|(_, it)| matches!(it.value, dcu::reading::Value::Octets(_))));
    let told: Vec<_> = unit
        .events_of_meters()
        .into_iter()
        .map(|(lane, it)| (lane, it.code, it.log.to_string(), it.is_pushed))
        .collect();
    let log = "0-0:99.98.1*255".to_owned();
    assert_eq!(told[0], (Lane::Outage, 1, log.clone(), true));
    assert_eq!(told[1..], [(Lane::Security, 40, log.clone(), true), (Lane::Security, 40, log, true)]);
    let replays = unit.events().into_iter().filter(|(_, code, _)| code == "electricity.replayed").count();
    assert!((1..=2).contains(&replays), "once an hour, and once more after the kill: {replays}");
}

#[test]
fn what_nobody_can_prove_or_read_is_counted_and_kept_nowhere() {
    let [meter, plain] = [Emulated::ciphered(42), Emulated::plain(43)];
    let stranger = Emulated::ciphered(44);
    let port = free_port();
    let (text, keys) = configuration(&[&meter, &plain], port);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until(&["status"], |status| status["electricity"]["push"].is_object());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connect = || {
        let begin = Instant::now();
        loop {
            match TcpStream::connect(address) {
                Ok(stream) => return stream,
                Err(error) => assert!(begin.elapsed() < Duration::from_secs(30), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let wrapped = |apdu: &[u8]| {
        let mut out = Vec::new();
        dlms::link::wrapper::emit(1, 1, apdu, &mut out).unwrap();
        out
    };
    let mut wrong = pushed(&meter, &[IMPORT]);
    *wrong.last_mut().unwrap() ^= 1;
    let long = Data::OctetString(&[7; 20_000]).octets();
    let cases: [(&str, Vec<u8>); 5] = [
        ("bad_mac", wrong),
        ("unknown_meter", pushed(&stranger, &[IMPORT])),
        ("garbage", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("too_long", wrapped(&long)),
        // The number of values is not what was configured.
        ("unreadable", pushed(&meter, &[IMPORT])),
    ];
    for (reason, octets) in cases {
        connect().write_all(&octets).unwrap();
        unit.until(&["status"], |status| status["electricity"]["push"]["refused"][reason].as_u64() > Some(0));
    }
    // Ten thousand datagrams of nothing, and the service answers as before.
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for n in 0..10_000_u32 {
        let _ = udp.send_to(&wrapped(&[&[0xdb, 8][..], &[9; 8], &n.to_be_bytes()].concat()), address);
    }
    let idle: Vec<_> = (0..40).map(|_| connect()).collect();
    unit.until(&["status"], |status| status["electricity"]["push"]["refused"]["connections"].as_u64() > Some(0));
    // Those who say nothing keep nobody out. One without keys is believed by its address.
    let code = dlms::sim::object::Stored::data(Data::Unsigned(2).octets());
    plain.server.lock().unwrap().meter.insert(CODE.logical_name, Box::new(code));
    let objects = [CLOCK, IMPORT, Attribute { attribute: 3, ..IMPORT }, CODE, UNKNOWN];
    unit.until(&["status"], |status| {
        let _ = connect().write_all(&pushed(&plain, &objects));
        pushes(status).0 > 0
    });
    drop(idle);
    let text = std::process::Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["status", "--socket"])
        .arg(unit.path("control.sock"))
        .output();
    let text = String::from_utf8(text.unwrap().stdout).unwrap();
    assert!(text.contains("pushed: ") && text.contains("bad_mac 1"), "{text}");
    unit.terminate();
    let of_stranger = unit.events_of_meters().len();
    assert!(of_stranger >= 1 && unit.readings().iter().all(|(_, it)| it.source.meter.to_string() == plain.id()));
}
