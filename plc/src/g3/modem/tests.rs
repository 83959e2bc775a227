use std::time::{Duration, Instant};

use super::*;
use crate::g3::SerialStatus;
use crate::g3::adp::Band;
use crate::{Eui64, Key};

/// What the driver says now; a reservation is durable at once.
fn said(modem: &mut Modem, now: Instant) -> Vec<Request> {
    while let Some(event) = modem.poll_event() {
        if let Event::Reserve(counters) = event {
            modem.reserved(counters, now);
        }
    }
    let mut deframer = Deframer::default();
    let mut requests = Vec::new();
    while let Some(octets) = modem.poll_transmit() {
        let frames = octets.iter().filter_map(|octet| deframer.take(*octet));
        requests.extend(frames.map(|frame| Request::parse(frame.payload()).unwrap()));
    }
    requests
}

fn tell(modem: &mut Modem, message: &Message, now: Instant) -> Vec<Request> {
    let (mut payload, mut octets) = (Vec::new(), Vec::new());
    message.emit(&mut payload);
    Frame::new(Protocol::ADP_G3, payload).unwrap().emit(&mut octets);
    modem.handle_bytes(&octets, now);
    said(modem, now)
}

#[test]
#[allow(clippy::disallowed_methods, reason = "where a test's own clock begins; no other is read")]
fn a_modem_that_is_ready_after_its_time_is_ready() {
    let mut now = Instant::now();
    let config = Config::new(Band::CenelecA, 0x781d, Eui64([2; 8]));
    let mut modem = Modem::new(config, Keyring::new(Key([1; 16])), Counters::default(), now);
    assert!(matches!(said(&mut modem, now)[..], [Request::Initialize { is_coordinator: None, .. }]));
    now += Duration::from_secs(5);
    modem.handle_timeout(now);
    assert_eq!(said(&mut modem, now), [Request::Reset {}]);
    let ready = Message::Status { status: SerialStatus::SUCCESS, command: 10 };
    let question = tell(&mut modem, &ready, now + Duration::from_millis(500));
    assert!(matches!(question[..], [Request::LbpSet { .. }]), "{question:?}");
    let unknown = Message::Status { status: SerialStatus::UNKNOWN_COMMAND, command: 60 };
    let start = tell(&mut modem, &unknown, now + Duration::from_millis(600));
    assert!(matches!(start[..], [Request::MacSet { .. }]), "{start:?}");
    // Once: what it says again later is that it has forgotten everything.
    let again = tell(&mut modem, &ready, now + Duration::from_millis(700));
    assert!(matches!(again[..], [Request::MacSet { .. }]), "{again:?}");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "where a test's own clock begins; no other is read")]
fn a_line_takes_its_own_time_however_fast_the_clock_goes() {
    for pace in [1, 48] {
        let begin = Instant::now();
        let config = Config { pace, ..Config::new(Band::CenelecA, 0x781d, Eui64([2; 8])) };
        let mut modem = Modem::new(config, Keyring::new(Key([1; 16])), Counters::default(), begin);
        said(&mut modem, begin);
        modem.handle_timeout(begin + Duration::from_secs(5) * pace - Duration::from_millis(1));
        assert_eq!(said(&mut modem, begin), [], "{pace}: it may be on its way yet");
        modem.handle_timeout(begin + Duration::from_secs(5) * pace);
        assert_eq!(said(&mut modem, begin), [Request::Reset {}], "{pace}");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "where a test's own clock begins; no other is read")]
fn octets_that_are_no_frames_are_told_and_counted() {
    let begin = Instant::now();
    let config = Config::new(Band::CenelecA, 0x781d, Eui64([2; 8]));
    let mut modem = Modem::new(config, Keyring::new(Key([1; 16])), Counters::default(), begin);
    said(&mut modem, begin);
    for _ in 0..100 {
        modem.handle_bytes(b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M\r\n", begin);
    }
    modem.handle_timeout(begin + Duration::from_secs(5));
    assert_eq!(modem.poll_event(), Some(Event::Down(Cause::Strange("Initialize"))));
    assert_eq!(modem.rejects().1.of("too_long"), 1);
    // A modem's own frames are an answer of some kind, or none.
    let now = begin + Duration::from_secs(60);
    modem.handle_timeout(now);
    said(&mut modem, now);
    tell(&mut modem, &Message::Buffer { ready: 1 }, now);
    assert_eq!(modem.silence("Initialize"), Cause::Mute("Initialize"));
}
