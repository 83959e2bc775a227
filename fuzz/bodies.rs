//! What the fuzzer does behind each door of `wmbus` that is open to the outside: one plain function a door, so that
//! stable Rust replays the corpus too (`wmbus/tests/fuzz.rs`). A body panics on what must not happen.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use wmbus::afl::reassembly::{self, Limits, Reassembly, Taken};
use wmbus::format::{FormatFrame, Model};
use wmbus::receiver::hex::Hex;
use wmbus::receiver::im871a::Im871a;
use wmbus::receiver::{Event, Kind, Mode, Receiver};
use wmbus::record::{DataRecord, Records};
use wmbus::sim::im871a::Im871a as Module;
use wmbus::sim::random::Random;
use wmbus::sim::{Emulator, Faults, Nature, RECEIVERS};
use wmbus::{Address, Form, Format, Formats, Key, NoKeys, Scratch, Telegram, Verdict};

/// What is done behind one door.
pub(crate) type Body = fn(&[u8]);

/// The doors, by the names of their corpora.
pub(crate) static BODIES: &[(&str, Body)] = &[
    ("afl", afl),
    ("compact", compact),
    ("frame", frame),
    ("hex", hex),
    ("im871a", im871a),
    ("im871a_module", im871a_module),
    ("layers", layers),
    ("profiles", profiles),
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

/// Octets from and to any kind of receiver; the first octet says which kind, and whether that is known to the host; the
/// second in what portions. Whatever was
/// on the line, a receiver that is there is set up in the end, or given up for a reason.
pub(crate) fn receiver(octets: &[u8]) {
    let [which, portion, octets @ ..] = octets else { return };
    let Some(row) = RECEIVERS.get(usize::from(*which) % RECEIVERS.len()) else { return };
    let name = if which & 0x80 == 0 { row.receiver } else { "auto" };
    let kind = Kind::named(name).expect("every emulated receiver is of a known kind");
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

/// A frame in each form: what its octets come to is the same when they are put into that form again.
pub(crate) fn frame(octets: &[u8]) {
    let _ = Form::recognise(octets);
    let mut scratch = Scratch::default();
    for form in [Form::FormatA, Form::FormatB, Form::Stripped, Form::Wired] {
        let Ok(telegram) = Telegram::decode_as(form, octets, &NoKeys, &mut scratch) else { continue };
        look_at(&telegram);
        let (line, body) = (telegram.to_string(), telegram.octets().to_vec());
        if telegram.verdict == Verdict::Truncated {
            continue;
        }
        let Some(again) = wmbus::link::frame(form, &body) else { continue };
        let telegram = Telegram::decode_as(form, &again, &NoKeys, &mut scratch).expect("its body was decoded");
        assert_eq!((telegram.to_string(), telegram.octets()), (line, body.as_slice()));
    }
}

/// What stands behind the link layer of a meter, of a manufacturer that the second octet chooses, opened in one of the
/// ways there are without a key: the first octet says which.
pub(crate) fn layers(octets: &[u8]) {
    let [way, maker, octets @ ..] = octets else { return };
    let letters = MAKERS.get(usize::from(*maker) % MAKERS.len()).expect("the remainder is in the list");
    let manufacturer = Address::manufacturer_code(letters).expect("three letters");
    let meter = Address { manufacturer, identification: 0x1234_5678, version: *way >> 3, device_type: *maker >> 4 };
    let mut body = vec![0x44];
    meter.emit(&mut body);
    match way & 7 {
        0 => body.extend_from_slice(octets),
        1 => body.push(0x78),
        // Mode 5, opened by the receiver.
        2 => body.extend_from_slice(&[0x7a, 1, 0, 0x10, 0x05, 0x2f, 0x2f]),
        // ELL II that encrypts nothing.
        3 => {
            body.extend_from_slice(&[0x8d, 0x20, 1, 0, 0, 0, 0]);
            body.extend_from_slice(&wmbus::link::crc(octets).to_le_bytes());
        }
        4 => body.extend_from_slice(&[0x90, 0x02, 0, 0]),
        5 => body.extend_from_slice(&[0x79]),
        6 => body.extend_from_slice(&[0x7a, 1, 0, 0, 0]),
        _ => body.extend_from_slice(&[0x72, 0x78, 0x56, 0x34, 0x12, 0x2d, 0x2c, 1, 7, 1, 0, 0, 0]),
    }
    if way & 7 != 0 {
        body.extend_from_slice(octets);
    }
    if let Some(frame) = wmbus::link::frame(Form::Stripped, &body) {
        vendor(&frame);
    }
}

/// Fragments of one meter, each behind an octet that says how long it is and how much later it came: bounded memory, and
/// each message comes out once.
pub(crate) fn afl(mut octets: &[u8]) {
    let limits = Limits { messages: 4, octets: 512, ..Limits::default() };
    let (mut reassembly, mut now) = (Reassembly::new(limits), anchor());
    let (mut taken, mut came) = (0, 0);
    while let [len, rest @ ..] = octets {
        let (fragment, rest) = rest.split_at(usize::from(len & 0x3f).min(rest.len()));
        now += Duration::from_secs(u64::from(len >> 6) * 250);
        octets = rest;
        let mut body = vec![0x44, 0x2d, 0x2c, 0x78, 0x56, 0x34, 0x12, 0x1b, 0x16];
        body.extend_from_slice(fragment);
        let frame = wmbus::link::frame(Form::Stripped, &body).expect("a fragment is short");
        let mut scratch = Scratch::default();
        let Ok(telegram) = Telegram::decode_as(Form::Stripped, &frame, &KEY, &mut scratch) else { continue };
        look_at(&telegram);
        taken += u64::from(reassembly.handle_telegram(&telegram, 0, now) == Taken::New);
        came += messages(&mut reassembly, len & 0x40 != 0, now);
        // What did not open may be too late by now.
        reassembly.handle_timeout(now);
        assert!(reassembly.len() <= 4);
    }
    while let Some(due) = reassembly.poll_timeout() {
        assert!(due >= now, "time does not go back");
        now = due;
        reassembly.handle_timeout(now);
    }
    came += messages(&mut reassembly, true, now);
    assert!(reassembly.is_empty() && came <= taken, "{came} of {taken}");
}

/// Those that came to their end; `opens` says it of doubtful ones.
fn messages(reassembly: &mut Reassembly, opens: bool, now: Instant) -> u64 {
    let mut came = 0;
    while let Some(event) = reassembly.poll_event() {
        let is_doubtful = matches!(event, reassembly::Event::Doubtful(_) | reassembly::Event::Mended(_));
        came += u64::from(opens || !is_doubtful);
        if is_doubtful {
            reassembly.settle(opens, now);
        }
        use reassembly::Event::{Doubtful, Mended, Message};
        if let Message(frame) | Doubtful(frame) | Mended(frame) = event {
            telegram(&frame);
        }
    }
    came
}

/// The chain of a format behind its length, then the application layer of a compact frame.
pub(crate) fn compact(octets: &[u8]) {
    let Some((len, rest)) = octets.split_first() else { return };
    let (chain, application) = rest.split_at(usize::from(*len).min(rest.len()));
    let meter = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 0x16 };
    let mut formats = Formats::new(3);
    if let Ok(format) = Format::new(Model::of(&meter), chain) {
        let mut kept = Vec::new();
        format.emit(&mut kept);
        assert_eq!(Format::parse(&mut kept.as_slice()).as_ref(), Ok(&format));
        formats.insert(format);
    }
    if let Ok(frame) = FormatFrame::parse(&mut &*chain) {
        let mut again = Vec::new();
        frame.emit(&mut again);
        assert_eq!(FormatFrame::parse(&mut again.as_slice()), Ok(frame));
    }
    for ci_field in [0x79, 0x69, 0x78] {
        let mut body = vec![0x44];
        meter.emit(&mut body);
        body.push(ci_field);
        body.extend_from_slice(application);
        let Some(frame) = wmbus::link::frame(Form::Stripped, &body) else { return };
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_with(Some(Form::Stripped), &frame, &NoKeys, &formats, &mut scratch);
        let telegram = telegram.expect("it has a sender");
        let _ = (telegram.to_string(), telegram.verdict_with_records());
        formats.learn(&telegram);
        assert!(formats.len() <= 3);
    }
}

/// Application octets with compact profiles in them: as many slots as there are octets for them.
pub(crate) fn profiles(octets: &[u8]) {
    let mut records: Vec<_> = Records::new(octets).flatten().collect();
    let before = records.len();
    let mut slots = Vec::new();
    wmbus::record::expand_profiles(&mut records, &mut slots);
    // A slot of an octet gives a value and a date.
    assert!(records.len() <= before + 2 * octets.len(), "{} records", records.len());
    records.iter().for_each(|record| drop(record.to_string()));
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
static KEY: LazyLock<Key> = LazyLock::new(|| Key::new([0x5a; 16]));

/// One of each file of `wmbus::vendor`, and one that has none.
const MAKERS: &[&str] = &[
    "ELS", "ABB", "APA", "AXI", "BFW", "BMT", "DME", "EBZ", "EIE", "GWF", "VIP", "KAM", "AMX", "QDS", "SAP", "TCH",
    "ZRI",
];
