//! An independent client reads the emulated meter over TCP, and the client an independent meter; each peer is a process
//! of its own.
//!
//! It needs Python with the package gurux-dlms: `DCU_PYTHON` names the interpreter, else `python3` is tried.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: what is not there fails it")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test with a real connection")]

use std::io::{BufRead, BufReader};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dlms::apdu::{Attribute, CaptureObject, EntryDescriptor, Method, RangeDescriptor, Selection};
use dlms::client::{Answer, Authentication, Event, Failure, Protection, RequestId, Settings};
use dlms::cosem::{Column, Rows, ScalerUnit};
use dlms::data::Items;
use dlms::link::Link;
use dlms::link::hdlc::{Address, Parameters, Primary, Timing};
use dlms::link::wrapper::Wrapper;
use dlms::security::hls::Hash;
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey, Form, Secret, SecurityControl, Suite, SystemTitle};
use dlms::sim::SplitMix;
use dlms::sim::{Access, Model, Port, Server};
use dlms::{Client, Data, DateTime, Obis};

/// 2026-06-25T10:00:00Z.
const UNIX: i64 = 1_782_381_600;

/// None where there is no such Python, which is said; in CI it is an error.
fn python() -> Option<String> {
    let python = std::env::var("DCU_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import gurux_dlms"]).stderr(Stdio::null()).status();
    let is_found = found.is_ok_and(|status| status.success());
    let missing = "no Python with gurux-dlms (pip install gurux-dlms, DCU_PYTHON names the interpreter)";
    assert!(is_found || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing}");
    if !is_found {
        eprintln!("skipped: {missing}");
    }
    is_found.then_some(python)
}

fn authentication_of(name: &str) -> Authentication {
    let secret = Secret::new(b"12345678");
    match name {
        "none" => Authentication::None,
        "lls" => Authentication::Lls(secret),
        "md5" => Authentication::Hash(Hash::Md5, secret),
        "sha1" => Authentication::Hash(Hash::Sha1, secret),
        "sha256" => Authentication::Hash(Hash::Sha256, secret),
        _ => Authentication::Gmac,
    }
}

fn ciphering(own_title: SystemTitle) -> Ciphering {
    Ciphering {
        suite: Suite::Zero,
        own_title,
        peer_title: None,
        global: EncryptionKey::new(&[1; 16]).unwrap(),
        broadcast: None,
        dedicated: None,
        authentication: AuthenticationKey::new(&[4; 16]).unwrap(),
    }
}

fn access(authentication: &str, model: &Model) -> Access {
    Access {
        ciphering: Some(ciphering(model.system_title())),
        is_protected: authentication == "gmac",
        ..Access::management(1, authentication_of(authentication))
    }
}

/// Serves one connection until the client is gone.
fn serve(listener: &TcpListener, mut server: Server) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut buffer = [0; 65_536];
    loop {
        let Ok(length @ 1..) = stream.read(&mut buffer) else { return };
        server.handle_bytes(&buffer[..length], Instant::now());
        while let Some(octets) = server.poll_transmit() {
            if stream.write_all(&octets).is_err() {
                return;
            }
        }
    }
}

#[test]
fn an_independent_client_reads_the_emulated_meter() {
    let Some(python) = python() else { return };
    let model = Model::electricity(4711).unwrap();
    let energy = model.curve(Obis::new(1, 0, 1, 8, 0, 255));
    for link in ["wrapper", "hdlc"] {
        for authentication in ["none", "lls", "md5", "sha1", "sha256", "gmac", "gmac-plain"] {
            let port = match link {
                "hdlc" => Port::hdlc(Address::server(1, Some(17)).unwrap(), Parameters::default()),
                _ => Port::wrapper(1),
            };
            let mut server = Server::new(model.build(), port, vec![access(authentication, &model)], UNIX, 1);
            // Its time stands: what is read does not depend on how long that takes.
            server.speed = 0;
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().port().to_string();
            let child = Command::new(&python)
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/client.py"))
                .args([&address, link, authentication])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            serve(&listener, server);
            let output = child.wait_with_output().unwrap();
            let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let said: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("= ")).collect();
            let first = UNIX - 900 * 9_999;
            let expected = format!(
                "associated\nname DCU{:013}\nclock 06/25/26 10:00:00\nenergy {} 1.0 30\ntext True\nrelay False 0\n\
                 columns 4\nin use 10000\nentries 200 {} {}\nrange 25 {}\nobjects 27\nclosed",
                4711,
                energy.at(UNIX),
                energy.at(first),
                energy.at(first + 900 * 199),
                energy.at(UNIX),
            );
            assert_eq!(said.join("\n"), expected, "{link} {authentication}: {wrong}");
        }
    }
}

/// The client with a connection, one request at a time.
struct Reader {
    client: Client,
    stream: TcpStream,
}

impl Reader {
    /// Goes on until there is an event that is wanted.
    fn until<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let mut buffer = [0; 65_536];
        loop {
            while let Some(octets) = self.client.poll_transmit() {
                self.stream.write_all(&octets).unwrap();
            }
            while let Some(event) = self.client.poll_event() {
                if let Some(found) = wanted(&event) {
                    return found;
                }
                assert!(!matches!(event, Event::Failed(_)), "{event:?}");
            }
            let now = Instant::now();
            let patience =
                self.client.poll_timeout().map_or(Duration::from_secs(30), |due| due.saturating_duration_since(now));
            self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).unwrap();
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("the meter closed the connection"),
                Ok(length) => self.client.handle_bytes(&buffer[..length], Instant::now()),
                Err(_) => self.client.handle_timeout(Instant::now()),
            }
        }
    }

    fn answer(&mut self, id: RequestId) -> Result<Answer, Failure> {
        self.until(|event| match event {
            Event::Answered { id: found, result } if *found == id => Some(result.clone()),
            _ => None,
        })
    }

    fn value(&mut self, attribute: Attribute, selection: Option<Selection<'_>>) -> Vec<u8> {
        let id = self.client.get(attribute, selection, Instant::now());
        match self.answer(id) {
            Ok(Answer::Value(octets)) => octets,
            other => panic!("{attribute}: {other:?}"),
        }
    }
}

fn last_of(buffer: &[u8]) -> (usize, String, String) {
    let mut rows = Rows::new(Data::parse_all(buffer).unwrap(), &[Column::Clock, Column::Value], 900).unwrap();
    let (mut count, mut last) = (0, (String::new(), String::new()));
    while let Some(row) = rows.next() {
        let row = row.unwrap();
        last = (row.clock.unwrap().to_string(), row.values[1].to_string());
        count += 1;
    }
    (count, last.0, last.1)
}

#[test]
fn the_client_reads_an_independent_meter() {
    let Some(python) = python() else { return };
    for link in ["wrapper", "hdlc"] {
        for authentication in ["none", "lls", "md5", "sha1", "gmac", "gmac-plain"] {
            read_independent_meter(&python, link, authentication);
        }
    }
}

fn read_independent_meter(python: &str, link: &str, authentication: &str) {
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/server.py"))
        .args([link, authentication.trim_end_matches("-plain")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| line.unwrap().strip_prefix("= ").map(ToOwned::to_owned)).unwrap();
    // What it says further is of no interest, but it must be able to say it.
    let chatter = std::thread::spawn(move || lines.for_each(drop));
    let name = format!("{link} {authentication}");
    let is_hdlc = link == "hdlc";
    let link: Box<dyn Link> = match link {
        "hdlc" => {
            let (client, server) = (Address::one(1).unwrap(), Address::one(1).unwrap());
            // It does not answer DISC.
            let timing = Timing { answer: Duration::from_secs(2), repeats: 1, ..Timing::default() };
            Box::new(Primary::new(client, server, Parameters::default(), timing, 1 << 20))
        }
        _ => Box::new(Wrapper::new(1, 1)),
    };
    let own_title = SystemTitle(*b"DCU\0\0\0\0\x01");
    let protection = Protection { control: SecurityControl(0x30), form: Form::Global };
    let settings = Settings {
        authentication: authentication_of(authentication),
        ciphering: authentication.starts_with("gmac").then(|| ciphering(own_title)),
        protection: (authentication == "gmac").then_some(protection),
        system_title: Some(own_title),
        max_receive_pdu_size: 500,
        // Over HDLC it does not answer RLRQ.
        has_release: !is_hdlc,
        ..Settings::default()
    };
    let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    let client = Client::new(settings, link, Box::new(SplitMix::new(3)), 1..1000, None);
    let mut reader = Reader { client, stream };
    reader.client.associate(Instant::now());
    reader.until(|event| matches!(event, Event::Associated(_)).then_some(()));

    let clock = Attribute::new(8, Obis::new(0, 0, 1, 0, 0, 255), 2);
    let octets = reader.value(clock, None);
    let time = Data::parse_all(&octets).unwrap().date_time().unwrap();
    assert_eq!((time.date.to_string().as_str(), time.time.hour), ("2026-06-01", 0), "{name}");
    let energy = Attribute::new(3, Obis::new(1, 0, 1, 8, 0, 255), 2);
    let octets = reader.value(energy, None);
    assert_eq!(Data::parse_all(&octets).unwrap().integer(), Ok(123_456), "{name}");
    let octets = reader.value(Attribute { attribute: 3, ..energy }, None);
    let scaler_unit = ScalerUnit::try_from(Data::parse_all(&octets).unwrap()).unwrap();
    assert_eq!(scaler_unit, ScalerUnit { scaler: 0, unit: 30 }, "{name}");

    let profile = Attribute::new(7, Obis::new(1, 0, 99, 1, 0, 255), 2);
    let whole = reader.value(profile, None);
    assert_eq!((last_of(&whole).0, last_of(&whole).2.as_str()), (500, "1499"), "{name}");
    let some = reader.value(profile, Some(Selection::Entries(EntryDescriptor::rows(11, 60))));
    assert_eq!((last_of(&some).0, last_of(&some).2.as_str()), (50, "1059"), "{name}");
    // 2026-06-02, all day: 97 rows with both ends.
    let (from, to) = (DateTime::from_local(1_780_358_400, Some(0), time.status), 1_780_358_400 + 86_400);
    let (from, to) = (from.octets(), DateTime::from_local(to, Some(0), time.status).octets());
    let range = RangeDescriptor {
        restricting_object: CaptureObject::new(clock),
        from_value: Data::OctetString(&from),
        to_value: Data::OctetString(&to),
        selected_values: Items::EMPTY,
    };
    let day = reader.value(profile, Some(Selection::Range(range)));
    assert_eq!((last_of(&day).0, last_of(&day).2.as_str()), (97, "1192"), "{name}");

    let text = Attribute::new(1, Obis::new(0, 0, 96, 13, 0, 255), 2);
    let long: Vec<u8> = (0..3_000_u32).map(|place| (place % 251) as u8).collect();
    // Whole, and in blocks.
    for value in [&long[..300], &long] {
        let id = reader.client.set(text, Data::OctetString(value), Instant::now());
        assert_eq!(reader.answer(id), Ok(Answer::Done), "{name}");
        let octets = reader.value(text, None);
        assert_eq!(Data::parse_all(&octets).unwrap().string(), Ok(value), "{name}");
    }
    let relay = Method::new(70, Obis::new(0, 0, 96, 3, 10, 255), 1);
    let id = reader.client.action(relay, Some(Data::Integer(0)), Instant::now());
    assert!(matches!(reader.answer(id), Ok(Answer::Returned(_))), "{name}");
    let octets = reader.value(Attribute::new(70, relay.logical_name, 2), None);
    assert_eq!(Data::parse_all(&octets).unwrap(), Data::Boolean(false), "{name}");
    reader.client.release(Instant::now());
    reader.until(|event| matches!(event, Event::Closed).then_some(()));
    drop(reader);
    child.wait().unwrap();
    chatter.join().unwrap();
}
