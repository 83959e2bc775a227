//! What the fuzzer does behind each door of `wmbus` that is open to the outside: one plain function a door, so that
//! stable Rust replays the corpus too (`wmbus/tests/fuzz.rs`). A body panics on what must not happen.

use std::time::{Duration, Instant};

use wmbus::receiver::hex::Hex;
use wmbus::receiver::im871a::Im871a;
use wmbus::receiver::{Event, Kind, Mode, Receiver};
use wmbus::record::{DataRecord, Records};
use wmbus::sim::im871a::Im871a as Module;
use wmbus::sim::random::Random;
use wmbus::sim::{Emulator, Faults, Nature, RECEIVERS};
use wmbus::{Form, Key, NoKeys, Scratch, Telegram, Verdict};

/// What is done behind one door.
pub(crate) type Body = fn(&[u8]);

/// The doors, by the names of their corpora.
pub(crate) static BODIES: &[(&str, Body)] = &[
    ("hex", hex),
    ("im871a", im871a),
    ("im871a_module", im871a_module),
    ("receiver", receiver),
    ("records", records),
    ("telegram", telegram),
    ("vendor", vendor),
];

/// Octets from the stick, the first octet says in what portions; some time passes between them.
pub(crate) fn im871a(octets: &[u8]) {
    let Some((portion, octets)) = octets.split_first() else { return };
    let mut now = anchor();
    let mut module = Module::new(1, 0x14, Faults::default(), Random::new(0), now);
    let mut machine = Im871a::new(Mode::C1T1, now);
    while let Some(request) = machine.poll_transmit() {
        module.handle_bytes(&request, now);
        while let Some(answer) = module.poll_transmit() {
            machine.handle_bytes(&answer, now);
        }
    }
    assert!(matches!(machine.poll_event(), Some(Event::Ready(_))));
    for portion in octets.chunks(usize::from(*portion).max(1)) {
        machine.handle_bytes(portion, now);
        now += Duration::from_millis(100);
        machine.handle_timeout(now);
    }
    let mut heard = telegrams(&mut machine);
    // Silence: whatever was unfinished ends, and the checks that nobody answers end the machine.
    for _ in 0..2_000 {
        let Some(due) = machine.poll_timeout() else { break };
        assert!(due >= now, "time does not go back");
        now = due;
        machine.handle_timeout(now);
        while machine.poll_transmit().is_some() {}
        heard += telegrams(&mut machine);
    }
    assert_eq!(machine.poll_timeout(), None, "a silent module is given up");
    assert_eq!(machine.counters().telegrams, heard);
}

/// Octets from and to any kind of receiver; the first octet says which kind, the second in what portions. Whatever was
/// on the line, a receiver that is there is set up in the end, or given up for a reason.
pub(crate) fn receiver(octets: &[u8]) {
    let [which, portion, octets @ ..] = octets else { return };
    let Some(row) = RECEIVERS.get(usize::from(*which) % RECEIVERS.len()) else { return };
    let kind = Kind::named(row.receiver).expect("every emulated receiver is of a known kind");
    let mut now = anchor();
    let nature = Nature { uid: 1, firmware: 0x14, faults: Faults::default(), seed: 0 };
    let mut emulator = (row.open)(nature, now);
    let mut machine = (kind.open)(kind.default_mode(), now);
    let mut heard = 0;
    for portion in octets.chunks(usize::from(*portion).max(1)) {
        machine.handle_bytes(portion, now);
        emulator.handle_bytes(portion, now);
        now += Duration::from_millis(100);
        machine.handle_timeout(now);
        heard += telegrams(machine.as_mut());
    }
    for _ in 0..200 {
        while let Some(octets) = machine.poll_transmit() {
            emulator.handle_bytes(&octets, now);
        }
        while let Some(octets) = emulator.poll_transmit() {
            machine.handle_bytes(&octets, now);
        }
        heard += telegrams(machine.as_mut());
        let Some(due) = machine.poll_timeout() else { break };
        assert!(due >= now, "time does not go back");
        now = due;
        machine.handle_timeout(now);
    }
    heard += telegrams(machine.as_mut());
    assert_eq!(machine.counters().telegrams, heard);
}

/// Octets from the host to the emulated stick.
pub(crate) fn im871a_module(octets: &[u8]) {
    let now = anchor();
    let mut module = Module::new(1, 0x14, Faults::default(), Random::new(0), now);
    module.handle_bytes(octets, now);
    while module.poll_transmit().is_some() || module.poll_event().is_some() {}
    while let Some(due) = module.poll_timeout() {
        module.handle_timeout(due);
    }
}

/// Lines, in one portion and octet by octet, which must come to the same.
pub(crate) fn hex(octets: &[u8]) {
    let now = anchor();
    let (mut whole, mut single) = (Hex::new(), Hex::new());
    whole.handle_bytes(octets, now);
    octets.chunks(1).for_each(|octet| single.handle_bytes(octet, now));
    assert_eq!(whole.counters(), single.counters());
    let heard = telegrams(&mut whole);
    assert_eq!((heard, telegrams(&mut single)), (whole.counters().telegrams, heard));
}

/// A frame in any form, with and without a key; what is left of it without its CRCs names the same meter.
pub(crate) fn telegram(octets: &[u8]) {
    let mut scratch = Scratch::default();
    let without = Telegram::decode(octets, &NoKeys, &mut scratch).ok().map(|telegram| {
        look_at(&telegram);
        telegram.address
    });
    let mut scratch = Scratch::default();
    let with = Telegram::decode(octets, &KEY, &mut scratch).ok().map(|telegram| {
        look_at(&telegram);
        telegram.address
    });
    // The extended link layer and the fragments may hide an address behind encryption, never change the sender.
    assert_eq!(without.is_some(), with.is_some());
}

/// A stripped frame, such as makers' own layouts are in: what is not opened says nothing.
pub(crate) fn vendor(octets: &[u8]) {
    for key in [None, Some(KEY.clone())] {
        let mut scratch = Scratch::default();
        let Ok(telegram) = Telegram::decode_as(Form::Stripped, octets, &key, &mut scratch) else { continue };
        look_at(&telegram);
        for record in telegram.records().flatten() {
            let _ = wmbus::vendor::fields(&telegram.address, &record);
        }
        if !matches!(telegram.verdict, Verdict::Ok | Verdict::Truncated) {
            assert_eq!(telegram.records().count(), 0, "{telegram}");
        }
    }
}

/// Application octets: records, each of which is what it was read from.
pub(crate) fn records(octets: &[u8]) {
    let mut records = Records::new(octets);
    let mut length = 0;
    for record in records.by_ref().flatten() {
        let _ = format!("{record:?}");
        length += record.octets.len();
        let mut again = Vec::new();
        record.emit(&mut again);
        assert_eq!(DataRecord::parse(&mut again.as_slice()), Ok(record));
    }
    let behind = records.manufacturer_data().map_or(0, |data| data.octets.len());
    assert!(length + behind <= octets.len(), "no octet is read twice");
}

fn look_at(telegram: &Telegram<'_>) {
    let _ = (telegram.to_string(), telegram.verdict_with_records(), telegram.access_number(), telegram.status());
    let records = telegram.records().flatten().map(|record| record.octets.len()).sum::<usize>();
    assert!(records <= telegram.application.len() || telegram.is_translated());
    assert!(telegram.stripped().len() <= 1 + telegram.octets().len());
}

fn telegrams(machine: &mut dyn Receiver) -> u64 {
    let mut heard = 0;
    while let Some(event) = machine.poll_event() {
        if let Event::Telegram { frame, .. } = event {
            assert!((10..=256 + 34).contains(&frame.len()), "{} octets are no frame", frame.len());
            heard += 1;
        }
    }
    heard
}

#[allow(clippy::disallowed_methods, reason = "where the body's own clock begins; no other is read")]
fn anchor() -> Instant {
    Instant::now()
}

/// The key of the encrypted telegrams in the corpus.
static KEY: Key = Key::new([0x5a; 16]);
