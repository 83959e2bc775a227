//! How fast the client and the emulated meter speak with each other, and how fast rows are read.
//!
//! First both sides run in one thread, without sockets: the figures are those of the protocol alone. Then the client and
//! that of gurux-dlms (where `DCU_PYTHON` has it) each read the emulated meter over TCP, in one run.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures and prints"
)]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use dlms::apdu::Attribute;
use dlms::client::{Answer, Authentication, Event, Protection, Settings};
use dlms::cosem::{Column, Rows};
use dlms::link::Link;
use dlms::link::hdlc::{Address, Parameters, Primary, Timing};
use dlms::link::wrapper::Wrapper;
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey, Form, SecurityControl, Suite, SystemTitle};
use dlms::sim::{Access, Model, Port, Server, SplitMix};
use dlms::{Client, Data, Obis};

/// 2026-06-25T10:00:00Z.
const UNIX: i64 = 1_782_381_600;
const ENERGY: Attribute = Attribute::new(3, Obis::new(1, 0, 1, 8, 0, 255), 2);
const LOAD_PROFILE: Attribute = Attribute::new(7, Obis::new(1, 0, 99, 1, 0, 255), 2);
const COLUMNS: [Column; 4] = [Column::Clock, Column::Value, Column::Value, Column::Value];

struct Pair {
    client: Client,
    server: Server,
    now: Instant,
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

fn client(is_hdlc: bool, is_ciphered: bool) -> Client {
    let settings = Settings {
        authentication: if is_ciphered { Authentication::Gmac } else { Authentication::None },
        ciphering: is_ciphered.then(|| ciphering(SystemTitle(*b"DCU\0\0\0\0\x01"))),
        protection: is_ciphered.then(|| Protection { control: SecurityControl::full(Suite::Zero), form: Form::Global }),
        ..Settings::default()
    };
    let link: Box<dyn Link> = if is_hdlc {
        let (own, meter) = (Address::one(1).unwrap(), Address::one(1).unwrap());
        Box::new(Primary::new(own, meter, Parameters::default(), Timing::default(), 1 << 24))
    } else {
        Box::new(Wrapper::new(1, 1))
    };
    Client::new(settings, link, Box::new(SplitMix::new(1)), 1..u32::MAX, None)
}

fn server(is_hdlc: bool, is_ciphered: bool) -> Server {
    let model = Model::electricity(1).unwrap();
    let port = match is_hdlc {
        true => Port::hdlc(Address::one(1).unwrap(), Parameters::default()),
        false => Port::wrapper(1),
    };
    let authentication = if is_ciphered { Authentication::Gmac } else { Authentication::None };
    let access = Access {
        ciphering: is_ciphered.then(|| ciphering(model.system_title())),
        is_protected: is_ciphered,
        ..Access::management(1, authentication)
    };
    Server::new(model.build(), port, vec![access], UNIX, 1)
}

impl Pair {
    fn new(is_hdlc: bool, is_ciphered: bool) -> Self {
        let server = server(is_hdlc, is_ciphered);
        let mut pair = Self { client: client(is_hdlc, is_ciphered), server, now: Instant::now() };
        pair.client.associate(pair.now);
        pair.until(|event| matches!(event, Event::Associated(_)).then_some(()));
        pair
    }

    fn until<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> T {
        loop {
            while let Some(octets) = self.client.poll_transmit() {
                self.server.handle_bytes(&octets, self.now);
            }
            while let Some(octets) = self.server.poll_transmit() {
                self.client.handle_bytes(&octets, self.now);
            }
            while let Some(event) = self.client.poll_event() {
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        }
    }

    fn get(&mut self, attribute: Attribute) -> Vec<u8> {
        self.client.get(attribute, None, self.now);
        self.until(|event| match event {
            Event::Answered { result: Ok(Answer::Value(octets)), .. } => Some(octets),
            _ => None,
        })
    }
}

fn rows(buffer: &[u8]) -> usize {
    let mut rows = Rows::new(Data::parse_all(buffer).unwrap(), &COLUMNS, 900).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next() {
        black_box(row.unwrap());
        count += 1;
    }
    count
}

/// Resident octets of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4096
}

/// Serves connections until the process ends.
fn serve(is_ciphered: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut server = server(false, is_ciphered);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            server.reconnect();
            let mut buffer = [0; 65_536];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                server.handle_bytes(&buffer[..length], Instant::now());
                while let Some(octets) = server.poll_transmit() {
                    stream.write_all(&octets).unwrap();
                }
            }
        }
    });
    port
}

/// GETs a second over TCP, one at a time.
fn over_tcp(port: u16, is_ciphered: bool, count: usize) -> f64 {
    let mut client = client(false, is_ciphered);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 65_536];
    client.associate(Instant::now());
    let (mut answers, mut begin) = (0, Instant::now());
    while answers < count {
        while let Some(octets) = client.poll_transmit() {
            stream.write_all(&octets).unwrap();
        }
        let length = stream.read(&mut buffer).unwrap();
        client.handle_bytes(&buffer[..length], Instant::now());
        while let Some(event) = client.poll_event() {
            match event {
                Event::Associated(_) => begin = Instant::now(),
                Event::Answered { result: Ok(_), .. } => answers += 1,
                event => panic!("{event:?}"),
            }
            client.get(ENERGY, None, Instant::now());
        }
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

fn compare(is_ciphered: bool) {
    let port = serve(is_ciphered);
    let name = if is_ciphered { "ciphered" } else { "plain" };
    let ours = over_tcp(port, is_ciphered, 50_000);
    println!("GET/s over TCP, {name}: {ours:.0}");
    let python = std::env::var("DCU_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/gets.py"))
        .args([port.to_string().as_str(), if is_ciphered { "gmac" } else { "none" }, "1000"])
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    match text.lines().find_map(|line| line.strip_prefix("= ")?.parse::<f64>().ok()) {
        Some(theirs) => println!("the same by gurux-dlms: {theirs:.0}, a ratio of {:.0}", ours / theirs),
        None => println!("skipped: no Python with gurux-dlms"),
    }
}

fn main() {
    const GETS: usize = 200_000;
    for (name, is_hdlc, is_ciphered) in [
        ("GET/s over wrapper, plain", false, false),
        ("GET/s over wrapper, ciphered", false, true),
        ("GET/s over HDLC, plain", true, false),
        ("GET/s over HDLC, ciphered", true, true),
    ] {
        let mut pair = Pair::new(is_hdlc, is_ciphered);
        let begin = Instant::now();
        for _ in 0..GETS {
            black_box(pair.get(ENERGY));
        }
        println!("{name}: {:.0}", GETS as f64 / begin.elapsed().as_secs_f64());
    }
    let mut pair = Pair::new(false, false);
    let buffer = pair.get(LOAD_PROFILE);
    let begin = Instant::now();
    let count: usize = (0..100).map(|_| rows(&buffer)).sum();
    println!("profile rows/s, four columns: {:.0}", count as f64 / begin.elapsed().as_secs_f64());
    for (name, is_ciphered) in [("plain", false), ("ciphered", true)] {
        let mut pair = Pair::new(false, is_ciphered);
        let begin = Instant::now();
        let buffer = pair.get(LOAD_PROFILE);
        let seconds = begin.elapsed().as_secs_f64();
        println!("profile of {} rows read, {name}: {seconds:.4} s", rows(&buffer));
    }
    let before = resident();
    let clients: Vec<_> = (0..2_000).map(|_| client(false, true)).collect();
    println!("2,000 ciphered clients: {:.1} MiB", (resident() - before) as f64 / f64::from(1 << 20));
    black_box(clients);
    compare(false);
    compare(true);
}
