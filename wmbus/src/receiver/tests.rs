//! Every kind of receiver against its emulated mirror image, with a clock that the test moves.

use std::time::Duration;

use proptest::prelude::*;

use super::dialogue::TRIES;
use super::*;
use crate::Form;
use crate::sim::random::Random;
use crate::sim::{Emulator, EmulatorKind, Faults, Nature, Outcome, RECEIVERS, Split};

/// Host and emulated receiver with a line between them.
struct Pair {
    host: Box<dyn Receiver>,
    emulator: Box<dyn Emulator>,
    sent: Mode,
    now: Instant,
    events: Vec<Event>,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    fn new(row: &EmulatorKind, faults: Faults) -> Self {
        let now = Instant::now();
        let kind = Kind::named(row.receiver).expect("it is in the list");
        let mode = kind.default_mode();
        let emulator = (row.open)(Nature { uid: UID, firmware: 0x14, faults, seed: 9 }, now);
        let sent = if mode == Mode::C1T1 { Mode::T1 } else { mode };
        Self { host: (kind.open)(mode, now), emulator, sent, now, events: Vec::new() }
    }

    /// A receiver that listens.
    fn ready(row: &EmulatorKind, faults: Faults) -> Self {
        let mut pair = Self::new(row, faults);
        pair.get_ready();
        assert!(matches!(pair.events.as_slice(), [Event::Ready(_)]), "{}: {:?}", row.name, pair.events);
        pair.events.clear();
        pair
    }

    fn get_ready(&mut self) {
        self.settle();
        for _ in 0..50 {
            if self.events.iter().any(|event| !matches!(event, Event::Telegram { .. })) {
                break;
            }
            self.wait();
        }
        self.settle();
    }

    /// Moves octets both ways until nobody says anything.
    fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some(octets) = self.host.poll_transmit() {
                is_quiet = false;
                self.emulator.handle_bytes(&octets, self.now);
            }
            while let Some(octets) = self.emulator.poll_transmit() {
                is_quiet = false;
                self.host.handle_bytes(&octets, self.now);
            }
            self.events.extend(std::iter::from_fn(|| self.host.poll_event()));
            if is_quiet {
                return;
            }
        }
    }

    /// Lets time pass up to the next deadline of the host.
    fn wait(&mut self) {
        let Some(due) = self.host.poll_timeout() else { return };
        self.now = due;
        self.host.handle_timeout(self.now);
        self.settle();
    }

    /// Lets a pause pass that ends whatever is unfinished.
    fn pause(&mut self) {
        let end = self.now + Duration::from_secs(2);
        while self.host.poll_timeout().is_some_and(|due| due <= end) {
            self.wait();
        }
        self.now = end;
    }

    fn hear(&mut self, frame: &[u8]) -> Outcome {
        let outcome = self.emulator.hear(frame, self.sent, DBM, self.now);
        self.settle();
        outcome
    }

    fn heard(&mut self) -> Vec<Vec<u8>> {
        self.events
            .drain(..)
            .filter_map(|event| match event {
                Event::Telegram { frame, .. } => Some(frame),
                _ => None,
            })
            .collect()
    }
}

/// A frame made by us, full of octets with which some receiver begins or ends its messages.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = DELIMITERS.iter().copied().cycle().skip(number as usize % 7).take(length).collect();
    frame.splice(..10, [(length - 1) as u8, 0x44, 0x2d, 0x2c, 0x78, 0x56, 0x34, 0x12, 0x1b, 0x16]);
    if let [.., ci_field, a, b, c, d] = frame.as_mut_slice()[..length.min(15)].as_mut() {
        *ci_field = 0x7a;
        [*a, *b, *c, *d] = number.to_be_bytes();
    }
    frame
}

fn kinds() -> impl Iterator<Item = &'static EmulatorKind> {
    RECEIVERS.iter()
}

#[test]
fn every_kind_is_found_by_its_name_and_only_once() {
    for kind in KINDS {
        assert_eq!(Kind::named(kind.name), Some(kind));
        assert_eq!(KINDS.iter().filter(|other| other.name == kind.name).count(), 1, "{}", kind.name);
        let has_default = kind.modes.is_empty() || kind.modes.contains(&kind.default_mode());
        assert!(has_default, "{}", kind.name);
    }
    assert_eq!(Kind::named("im871b"), None);
}

#[test]
fn every_kind_with_a_handshake_has_an_emulator_and_its_speed() {
    for kind in KINDS.iter().filter(|kind| !kind.modes.is_empty() && kind.name != "auto") {
        let row = RECEIVERS.iter().find(|row| row.receiver == kind.name).expect(kind.name);
        assert_eq!(row.baud, kind.baud, "{}", kind.name);
    }
}

#[test]
fn the_readme_tells_which_receivers_send_and_how() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, table) = readme.split_once("| receiver | S2, T2").expect("the README has the table");
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    let rows: Vec<Vec<&str>> = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    for kind in KINDS {
        let is_of = |row: &&Vec<&str>| row[0].split(", ").any(|name| name == kind.name);
        let row = rows.iter().find(is_of).or(rows.last().filter(|row| row[0] == "others")).unwrap();
        assert_eq!(row[1].starts_with("prepared in the module"), kind.sends.contains(&When::Heard), "{}", kind.name);
        assert_eq!(row[2].starts_with("by the host"), kind.sends.contains(&When::AtOnce), "{}", kind.name);
    }
}

/// Every cell but the receiver's name; that a mode works, and has what is said of it, the other tests here show.
#[test]
fn the_readme_lists_the_receivers() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, table) = readme.split_once("\n| kind | receiver |").expect("the README has a table of receivers");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let (columns, table) = table.split_once('\n').unwrap();
    let columns = cells(columns);
    let rows: Vec<_> = table.lines().skip(1).take_while(|line| !line.is_empty()).map(cells).collect();
    let kinds = || KINDS.iter().filter(|kind| kind.name != "auto");
    assert_eq!(rows.len(), kinds().count());
    for (row, kind) in rows.iter().zip(kinds()) {
        let emulator = RECEIVERS.iter().find(|row| row.receiver == kind.name);
        assert_eq!(row[0], format!("`{}`", kind.name));
        assert_eq!(row.len(), 2 + columns.len(), "{}", kind.name);
        for (column, cell) in columns.iter().zip(&row[2..]) {
            let yes = |is_there| if is_there { "yes" } else { "–" }.to_owned();
            let expected = match column.as_str() {
                "baud" if kind.modes.is_empty() => "–".to_owned(),
                "baud" => kind.baud.to_string(),
                "N1a–f, N2a–f" => yes(MODES_169.iter().all(|mode| kind.modes.contains(mode))),
                "dBm" => yes(emulator.is_some_and(has_rssi)),
                "checked" => yes(emulator.is_some_and(|emulator| emulator.is_protected)),
                "`auto`" => yes(auto::ORDER.contains(&kind.name)),
                // The configuration's own tests look at this one.
                "from" => continue,
                mode => yes(kind.modes.contains(&Mode::named(&mode.to_lowercase()).expect(mode))),
            };
            assert_eq!(*cell, expected, "{} {column}", kind.name);
        }
    }
}

/// Whether this one tells how strong a telegram was.
fn has_rssi(row: &EmulatorKind) -> bool {
    !row.is_program && row.name != "raw"
}

#[test]
fn the_handshake_ends_with_a_listening_receiver_in_every_mode() {
    for row in kinds() {
        let kind = Kind::named(row.receiver).unwrap();
        for mode in kind.modes {
            let mut pair = Pair::new(row, Faults::default());
            pair.host = (kind.open)(*mode, pair.now);
            pair.get_ready();
            let [Event::Ready(identity)] = pair.events.as_slice() else {
                panic!("{} in {mode}: {:?}", row.name, pair.events)
            };
            assert_eq!(identity.mode, Some(*mode), "{}", row.name);
            assert!(identity.uid.is_none_or(|uid| uid == UID), "{}", row.name);
            let listens = pair.emulator.mode().unwrap_or_else(|| panic!("{} is deaf in {mode}", row.name));
            assert!(listens.hears(*mode), "{} listens to {listens}, not to {mode}", row.name);
            assert_eq!(pair.host.counters().rejects.len(), 0, "{}: {:?}", row.name, pair.host.counters());
        }
    }
}

#[test]
fn telegrams_have_their_signal_strength_in_dbm() {
    for row in kinds() {
        let mut pair = Pair::ready(row, Faults::default());
        assert_eq!(pair.hear(&frame(1, 40)), Outcome::Intact, "{}", row.name);
        let rssi_dbm = has_rssi(row).then_some(DBM);
        let heard = Event::Telegram { frame: frame(1, 40), form: Some(Form::Stripped), rssi_dbm };
        assert_eq!(pair.events, [heard], "{}", row.name);
    }
}

#[test]
fn what_a_module_is_given_is_sent_at_once_or_when_the_meter_is_heard() {
    for row in kinds() {
        let kind = Kind::named(row.receiver).unwrap();
        let mut pair = Pair::ready(row, Faults::default());
        let answer = frame(9, 30);
        for when in [When::AtOnce, When::Heard] {
            let is_taken = pair.host.send(&answer, when, pair.now);
            assert_eq!(is_taken, kind.sends.contains(&when), "{} {when:?}", row.name);
            assert_eq!(kind.silence.is_empty(), !kind.sends.is_empty(), "{}: why it does not send", row.name);
            pair.settle();
            let at_once = (is_taken && when == When::AtOnce).then(|| answer.clone());
            assert_eq!(pair.emulator.poll_air(), at_once, "{} {when:?}", row.name);
            let taken = if is_taken { vec![Event::Sent(true)] } else { vec![] };
            assert_eq!(std::mem::take(&mut pair.events), taken, "{} {when:?}", row.name);
        }
        if kind.sends.contains(&When::Heard) {
            assert!(pair.host.send(&answer, When::Heard, pair.now));
            pair.settle();
            assert_eq!(std::mem::take(&mut pair.events), [Event::Sent(false)], "{}: it has room for one", row.name);
            let mut other = frame(1, 40);
            other[5] ^= 1;
            pair.hear(&other);
            assert_eq!(pair.emulator.poll_air(), None, "{}: another meter", row.name);
            pair.hear(&frame(1, 40));
            assert_eq!(pair.emulator.poll_air(), Some(answer), "{}", row.name);
            assert_eq!(pair.events.last(), Some(&Event::Sent(true)), "{}", row.name);
        }
    }
}

#[test]
fn octets_that_look_like_delimiters_end_nothing() {
    for row in kinds() {
        let mut pair = Pair::ready(row, Faults::default());
        for length in 16..=255 {
            for number in 0..7 {
                let frame = frame(number, length);
                assert_eq!(pair.hear(&frame), Outcome::Intact, "{}", row.name);
                assert_eq!(pair.heard(), [frame], "{}, {length} octets", row.name);
            }
        }
        assert_eq!(pair.host.counters().rejects.len(), 0, "{}", row.name);
    }
}

#[test]
fn messages_split_at_every_offset_are_heard() {
    for row in kinds() {
        for offset in 0..120 {
            let mut pair = Pair::ready(row, Faults { split: Split::At(offset), ..Faults::default() });
            for number in 0..2 {
                pair.hear(&frame(number, 40));
                assert_eq!(pair.heard(), [frame(number, 40)], "{} split at {offset}", row.name);
            }
        }
    }
}

#[test]
fn frames_that_waited_before_the_first_answer_are_heard() {
    for row in kinds().filter(|row| !row.is_program && row.name != "raw") {
        let stale = vec![frame(1, 40), frame(2, 0x3f), frame(3, 255)];
        let mut pair = Pair::new(row, Faults { stale: stale.clone(), ..Faults::default() });
        pair.get_ready();
        assert!(matches!(pair.events.last(), Some(Event::Ready(_))), "{}: {:?}", row.name, pair.events.last());
        assert_eq!(pair.heard(), stale, "{}", row.name);
    }
}

#[test]
fn a_pause_within_a_message_costs_that_message_and_no_later_one() {
    for row in kinds() {
        for offset in 1..60 {
            let mut pair = Pair::ready(row, Faults::default());
            pair.emulator.hear(&frame(1, 40), pair.sent, DBM, pair.now);
            let whole: Vec<u8> = std::iter::from_fn(|| pair.emulator.poll_transmit()).flatten().collect();
            pair.host.handle_bytes(&whole[..offset.min(whole.len() - 1)], pair.now);
            pair.pause();
            // What goes on in lines does so in spite of a pause.
            if !row.is_program {
                pair.heard();
                pair.hear(&frame(2, 40));
                assert_eq!(pair.heard(), [frame(2, 40)], "{} stopped at {offset}", row.name);
                // A single delimiter of SLIP is filling.
                let is_filling = row.name == "iu891a" && offset == 1;
                assert!(is_filling || !pair.host.counters().rejects.is_empty(), "{} stopped at {offset}", row.name);
            }
        }
    }
}

#[test]
fn a_bad_check_sum_costs_one_telegram_and_not_the_next() {
    for row in kinds().filter(|row| row.is_protected) {
        let mut pair = Pair::ready(row, Faults::default());
        pair.emulator.hear(&frame(1, 40), pair.sent, DBM, pair.now);
        let good: Vec<u8> = std::iter::from_fn(|| pair.emulator.poll_transmit()).flatten().collect();
        for place in 0..good.len() {
            for flip in [0x01, 0x40] {
                let mut pair = Pair::ready(row, Faults::default());
                let mut bad = good.clone();
                bad[place] ^= flip;
                pair.host.handle_bytes(&[bad, good.clone()].concat(), pair.now);
                pair.settle();
                pair.pause();
                let heard = pair.heard();
                // Neither letter case nor link quality are protected in text.
                let is_same = row.name == "cul" && heard == [frame(1, 40), frame(1, 40)];
                // A start that is gone, in text, takes its line along.
                let is_last = heard == [frame(1, 40)];
                assert!(is_same || is_last, "{}, octet {place} altered: {heard:02x?}", row.name);
            }
        }
    }
}

#[test]
fn every_frame_that_leaves_intact_is_heard_whatever_else_is_on_the_line() {
    for row in kinds().filter(|row| row.is_protected) {
        let faults = Faults {
            corrupt_ppm: 50_000,
            truncate_ppm: if row.name == "cul" { 0 } else { 20_000 },
            noise_ppm: 100_000,
            split: Split::Random,
            ..Faults::default()
        };
        let mut pair = Pair::new(row, faults);
        pair.get_ready();
        pair.events.clear();
        let (mut intact, mut all) = (Vec::new(), Vec::new());
        for number in 0..2_000 {
            let frame = frame(number, 20 + number as usize % 200);
            if pair.hear(&frame) == Outcome::Intact {
                intact.push(frame.clone());
            }
            all.push(frame);
            if number % 10 == 9 {
                pair.pause();
            }
        }
        pair.pause();
        let heard = pair.heard();
        let missing = intact.iter().filter(|frame| !heard.contains(frame)).count();
        // What was altered and is the same nevertheless: the case of a digit, the signal strength.
        let strange = heard.iter().filter(|frame| !all.contains(frame)).count();
        assert!(intact.len() > 1_700 && intact.len() < 2_000, "{}: {} intact", row.name, intact.len());
        // Noise that ends like a message begins may take the next one along: text and SLIP have no length.
        let may_miss = if matches!(row.name, "cul" | "iu891a") { intact.len() / 20 } else { 0 };
        assert!(missing <= may_miss, "{}: {missing} missing of {}", row.name, intact.len());
        // Eight bits of check let one in 256 pass.
        let may_lie = if row.name.starts_with("amb") { 3 } else { 0 };
        assert!(strange <= may_lie, "{}: {strange} strange", row.name);
    }
}

#[test]
fn a_mute_receiver_fails_after_five_questions() {
    for row in kinds().filter(|row| Kind::named(row.receiver).is_some_and(|kind| !kind.modes.is_empty())) {
        let mut pair = Pair::new(row, Faults { mute: true, ..Faults::default() });
        let mut questions = 0;
        while pair.events.is_empty() {
            while let Some(octets) = pair.host.poll_transmit() {
                questions += 1;
                pair.emulator.handle_bytes(&octets, pair.now);
            }
            pair.wait();
        }
        assert!(matches!(pair.events.as_slice(), [Event::Failed(Failure::Mute(_))]), "{}", row.name);
        assert!(questions <= TRIES, "{}: {questions} questions", row.name);
        assert_eq!(pair.host.poll_timeout(), None, "{}", row.name);
    }
}

#[test]
fn a_receiver_that_falls_silent_is_found_by_a_check() {
    for row in kinds().filter(|row| Kind::named(row.receiver).is_some_and(|kind| !kind.modes.is_empty())) {
        let mut pair = Pair::ready(row, Faults::default());
        pair.host.check(pair.now);
        pair.get_ready();
        assert_eq!(pair.events, [], "{}: it is there", row.name);
        assert_eq!(pair.hear(&frame(1, 40)), Outcome::Intact, "{}", row.name);
        assert_eq!(pair.heard(), [frame(1, 40)], "{}", row.name);
        pair.emulator = (row.open)(
            Nature { uid: UID, firmware: 0x14, faults: Faults { mute: true, ..Faults::default() }, seed: 1 },
            pair.now,
        );
        pair.host.check(pair.now);
        pair.get_ready();
        assert!(matches!(pair.events.as_slice(), [Event::Failed(Failure::Mute(_))]), "{}", row.name);
    }
}

#[test]
fn a_reset_sets_the_receiver_up_again() {
    for row in kinds().filter(|row| Kind::named(row.receiver).is_some_and(|kind| !kind.modes.is_empty())) {
        let mut pair = Pair::ready(row, Faults::default());
        pair.host.reset(pair.now);
        pair.get_ready();
        assert!(matches!(pair.events.as_slice(), [Event::Ready(_)]), "{}: {:?}", row.name, pair.events);
        assert_eq!(pair.hear(&frame(1, 40)), Outcome::Intact, "{}", row.name);
    }
}

#[test]
fn an_endless_stream_of_anything_stays_within_bounds_and_ends() {
    for row in kinds() {
        let mut pair = Pair::ready(row, Faults::default());
        let mut random = Random::new(3);
        for _ in 0..2_000 {
            let pick = |random: &mut Random| match random.below(3) {
                0 => DELIMITERS[random.index(DELIMITERS.len())],
                _ => random.below(256) as u8,
            };
            let noise: Vec<u8> = (0..100).map(|_| pick(&mut random)).collect();
            pair.host.handle_bytes(&noise, pair.now);
            pair.settle();
            pair.events.clear();
        }
        pair.pause();
        pair.events.clear();
        pair.host.handle_bytes(b"\n", pair.now);
        pair.settle();
        pair.hear(&frame(1, 40));
        assert_eq!(pair.heard(), [frame(1, 40)], "{}", row.name);
    }
}

proptest! {
    #[test]
    fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..1500), at in 0..RECEIVERS.len()) {
        let row = &RECEIVERS[at];
        let mut pair = Pair::new(row, Faults::default());
        pair.host.handle_bytes(&octets, pair.now);
        pair.emulator.handle_bytes(&octets, pair.now);
        pair.get_ready();
        pair.host.handle_bytes(&octets, pair.now);
        pair.settle();
        for _ in 0..10 {
            pair.wait();
        }
        for event in &pair.events {
            if let Event::Telegram { frame, .. } = event {
                prop_assert!((FRAME_MIN..=FRAME_MAX + 34).contains(&frame.len()));
            }
        }
    }
}

const UID: u32 = 0x1234_5678;
const DBM: i16 = -60;
const DELIMITERS: [u8; 11] = [0xa5, 0xff, 0xc0, 0xdb, 0x3e, 0x0a, 0x0d, 0x03, 0xdc, b'b', 0x00];
