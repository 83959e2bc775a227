//! What the fuzzer does behind each door of `plc` that is open to the outside, as in `bodies.rs`. Replayed by
//! `plc/tests/fuzz.rs`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plc::g3::adp::{Band, Message, Request};
use plc::g3::bootstrap::{self, Entropy, Limits, Ring, Server};
use plc::g3::coordinator::Coordinator;
use plc::g3::lbp;
use plc::g3::modem::{self, Config, Counters, Generation};
use plc::g3::pib::{ADP, Layer, MAC};
use plc::net::{self, Datagram, Echo};
use plc::sim::{self, Behind, Device, Nature, Pair, identity};
use plc::usi::{Deframer, Frame, Protocol};
use plc::{Key, Reject};

/// What is done behind one door.
pub(crate) type Body = fn(&[u8]);

/// The doors, by the names of their corpora.
pub(crate) static BODIES: &[(&str, Body)] = &[
    ("adp", adp),
    ("datagram", datagram),
    ("g3_commands", g3_commands),
    ("g3_line", g3_line),
    ("g3_messages", g3_messages),
    ("lbp", lbp),
    ("pib", pib),
    ("usi", usi),
];

/// A serial line: each frame that is found is what it was made of.
pub(crate) fn usi(octets: &[u8]) {
    let mut deframer = Deframer::default();
    let mut frames = 0;
    for frame in octets.iter().filter_map(|octet| deframer.take(*octet)) {
        let mut line = Vec::new();
        frame.emit(&mut line);
        let mut again = Deframer::default();
        let found: Vec<_> = line.iter().filter_map(|octet| again.take(*octet)).collect();
        assert_eq!(found, [frame]);
        frames += 1;
    }
    assert_eq!(deframer.taken(), (octets.len() as u64, frames));
}

/// A payload, as a command of the host and as a message of the modem.
pub(crate) fn adp(octets: &[u8]) {
    let mut out = Vec::new();
    if let Ok(request) = Request::parse(octets) {
        request.emit(&mut out);
        assert_eq!(Request::parse(&out), Ok(request));
    }
    out.clear();
    if let Ok(message) = Message::parse(octets) {
        message.emit(&mut out);
        assert_eq!(Message::parse(&out), Ok(message));
    }
}

/// The first octet says whose attribute, the second which; the rest is its value.
pub(crate) fn pib(octets: &[u8]) {
    let [layer, place, value @ ..] = octets else { return };
    let (layer, table) = if layer & 1 == 0 { (Layer::Adp, ADP) } else { (Layer::Mac, MAC) };
    let Some(attribute) = table.get(usize::from(*place) % table.len()) else { return };
    if let Ok(typed) = layer.parse(attribute.id, value) {
        assert_eq!(layer.parse(attribute.id, &typed.to_value().octets), Ok(typed));
    }
}

/// A bootstrapping message, to nobody, and to a server that waits for another one.
pub(crate) fn lbp(octets: &[u8]) {
    let parsed = lbp::Message::parse(octets);
    if let Ok(message) = &parsed {
        assert_eq!(lbp::Message::parse(&message.to_vec()).as_ref(), Ok(message));
    }
    let now = anchor();
    let mut server = server(now);
    server.up(Generation::HostLbs, now);
    server.handle_lbp(0xffff, &lbp::Message::new(lbp::Code::Joining, identity(0).0, lbp::Data::Nothing).to_vec(), now);
    server.handle_lbp(0xffff, octets, now);
    while let Some(event) = server.poll_event() {
        assert!(!matches!(event, bootstrap::Event::Joined { .. }), "nobody joins without a proof");
    }
}

/// A packet: what is read of it is written again.
pub(crate) fn datagram(octets: &[u8]) {
    let _ = net::ends(octets);
    if let Ok(datagram) = Datagram::parse(octets) {
        let mut out = Vec::new();
        assert_eq!(datagram.emit(&mut out), Ok(()));
        assert_eq!(Datagram::parse(&out), Ok(datagram));
    }
    if let Ok(echo) = Echo::parse(octets) {
        let mut out = Vec::new();
        assert_eq!(echo.emit(&mut out), Ok(()));
        assert_eq!(Echo::parse(&out), Ok(echo));
    }
    let long = Datagram { payload: octets, ..blank() };
    assert_eq!(long.emit(&mut Vec::new()).err(), (octets.len() > net::MAX_PAYLOAD).then_some(Reject::TooLong));
}

/// Octets from the modem's line, the first says in what portions; whatever they were, the network is up again in the end.
pub(crate) fn g3_line(octets: &[u8]) {
    let Some((portion, octets)) = octets.split_first() else { return };
    let mut network = network(Generation::HostLbs);
    for portion in octets.chunks(usize::from(*portion).max(1)) {
        network.coordinator.handle_bytes(portion, network.now);
        network.exchange(|_| true);
    }
    settle(&mut network);
}

/// Messages of the modem, each behind its length, in frames that are whole; the first octet says of which generation.
pub(crate) fn g3_messages(octets: &[u8]) {
    let Some((generation, octets)) = octets.split_first() else { return };
    let mut network = network(generation_of(*generation));
    for line in lines(octets) {
        network.coordinator.handle_bytes(&line, network.now);
        network.exchange(|_| true);
    }
    settle(&mut network);
}

/// Commands of a host to the emulated modem, likewise.
pub(crate) fn g3_commands(octets: &[u8]) {
    let Some((generation, octets)) = octets.split_first() else { return };
    let mut network = network(generation_of(*generation));
    for line in lines(octets) {
        network.modem.handle_bytes(&line, network.now);
        while network.modem.poll_transmit().is_some() {}
    }
    for _ in 0..1_000 {
        let Some(due) = network.modem.poll_timeout() else { break };
        network.modem.handle_timeout(due);
        while network.modem.poll_transmit().is_some() {}
    }
}

/// A network of three nodes that runs.
fn network(generation: Generation) -> Pair {
    let now = anchor();
    let config = Config::new(Band::CenelecA, 0x781d, identity(99).0);
    let keyring = Ring::new(Key([0xa0; 16])).keyring;
    let driver = modem::Modem::new(config, keyring, Counters::default(), now);
    let nature = Nature { generation, join_window: Duration::from_millis(100), ..Nature::default() };
    let devices = (0..3).map(identity).map(|(eui64, psk)| Device::new(eui64, psk)).collect();
    let modem = sim::Modem::new(nature, devices, Behind::nothing(), now);
    let mut network = Pair { coordinator: Coordinator::new(driver, server(now), now), modem, now };
    settle(&mut network);
    network
}

/// Until the network runs: it always does in the end.
fn settle(network: &mut Pair) {
    let end = network.now + Duration::from_secs(3600);
    loop {
        network.exchange(|_| true);
        if network.coordinator.modem().is_running() {
            return;
        }
        assert!(network.advance(end), "the network does not come up again: {:?}", network.coordinator.modem());
    }
}

/// Payloads behind their lengths, each in a frame.
fn lines(octets: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = octets;
    let mut lines = Vec::new();
    while let Some((length, behind)) = rest.split_first() {
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        if let Ok(frame) = Frame::new(Protocol::ADP_G3, payload.to_vec()) {
            let mut line = Vec::new();
            frame.emit(&mut line);
            lines.push(line);
        }
    }
    lines
}

fn server(now: Instant) -> Server {
    let admission: BTreeMap<_, _> = (0..3).map(identity).collect();
    let entropy = Entropy(Box::new(|| [0x42; 16]));
    Server::new(Limits::default(), b"server", Ring::new(Key([0xa0; 16])), [], Box::new(admission), entropy, now)
}

fn generation_of(octet: u8) -> Generation {
    if octet & 1 == 0 { Generation::HostLbs } else { Generation::ModemLbs }
}

fn blank() -> Datagram<'static> {
    let (source, destination) = (net::link_local(0x781d, 1), net::link_local(0x781d, 0));
    Datagram { source, destination, source_port: net::DLMS_PORT, destination_port: net::DLMS_PORT, payload: &[] }
}

#[allow(clippy::disallowed_methods, reason = "where the body's own clock begins; no other is read")]
fn anchor() -> Instant {
    Instant::now()
}
