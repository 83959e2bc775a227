//! The host's machine against the emulated module, with a clock that the test moves.

use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::sim::im871a::Im871a as Module;
use crate::sim::random::Random;
use crate::sim::{Emulator as _, Faults, Outcome, Split};

const FRAME: [u8; 12] = hex!("0b 44 2d 2c 78 56 34 12 1b 16 a0 a5");
const READY: Event =
    Event::Ready(Identity { uid: Some(0x1234_5678), firmware: Some(0x14), mode: Some(Mode::C1T1), kind: None });

/// Host and module with a line between them.
struct Pair {
    host: Im871a,
    module: Module,
    now: Instant,
    events: Vec<Event>,
}

impl Pair {
    fn new(faults: Faults) -> Self {
        Self::with(Mode::C1T1, 0x14, faults)
    }

    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    fn with(mode: Mode, firmware: u8, faults: Faults) -> Self {
        let now = Instant::now();
        let module = Module::new(0x1234_5678, firmware, faults, Random::new(9), now);
        Self { host: Im871a::new(mode, now), module, now, events: Vec::new() }
    }

    fn ready(faults: Faults) -> Self {
        let mut pair = Self::new(faults);
        pair.settle();
        assert_eq!(std::mem::take(&mut pair.events), [READY]);
        pair
    }

    /// Moves octets both ways until nobody says anything.
    fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some(octets) = self.host.poll_transmit() {
                is_quiet = false;
                self.module.handle_bytes(&octets, self.now);
            }
            while let Some(octets) = self.module.poll_transmit() {
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
    fn wait(&mut self) -> Duration {
        let due = self.host.poll_timeout().expect("the host waits for something");
        let waited = due - self.now;
        self.now = due;
        self.host.handle_timeout(self.now);
        self.settle();
        waited
    }

    /// Octets from elsewhere on the line to the host.
    fn line(&mut self, octets: &[u8]) {
        self.host.handle_bytes(octets, self.now);
        self.settle();
    }

    fn hear(&mut self, frame: &[u8]) -> Outcome {
        let outcome = self.module.hear(frame, Mode::T1, -60, self.now);
        self.settle();
        outcome
    }
}

fn telegram(frame: &[u8]) -> Event {
    Event::Telegram { frame: frame.to_vec(), form: Some(crate::Form::Stripped), rssi_dbm: Some(-60) }
}

/// A telegram as the module puts it on the line.
fn message(frame: &[u8]) -> Vec<u8> {
    let indication = Message::request(Endpoint::RadioLink, hci::WMBUSMSG_IND, &frame[1..]);
    let mut octets = Vec::new();
    Message { rssi: Some(hci::rssi_raw(-60)), protected: true, ..indication }.emit(&mut octets);
    octets
}

#[test]
fn the_handshake_ends_with_a_listening_module() {
    let mut pair = Pair::ready(Faults::default());
    assert_eq!(pair.module.mode(), Some(Mode::C1T1));
    assert_eq!(pair.hear(&FRAME), Outcome::Intact);
    assert_eq!(pair.events, [telegram(&FRAME)]);
    assert_eq!(pair.host.counters().telegrams, 1);
    assert_eq!(pair.host.counters().rejects.len(), 0);
}

#[test]
fn requests_are_those_of_the_captures() {
    let mut host = Pair::new(Faults::default()).host;
    let now = host.poll_timeout().expect("an answer is awaited");
    assert_eq!(host.poll_transmit(), Some(hex!("a5 01 0f 00").to_vec()));
    let mut info = Vec::new();
    Message { protected: true, ..Message::request(Endpoint::DeviceManagement, 0x10, &hex!("33 00 14 01 78 56 34 12")) }
        .emit(&mut info);
    host.handle_bytes(&info, now);
    assert_eq!(host.poll_transmit(), Some(hex!("a5 01 05 00").to_vec()));
    // The settings of this module end with one octet more than is documented.
    host.handle_bytes(
        &hex!("a5 81 06 17 ff 00 03 00 b3 25 36 17 10 00 01 00 01 ff 07 02 32 00 01 01 00 01 79 38"),
        now,
    );
    assert_eq!(host.poll_transmit(), None, "the answer lacks its last octet");
    host.handle_bytes(&hex!("f1"), now);
    assert_eq!(host.poll_transmit(), Some(hex!("a5 01 03 06 00 02 0a 30 01 00").to_vec()));
    host.handle_bytes(&hex!("a5 81 04 00 9c f7"), now);
    assert_eq!(host.poll_transmit(), Some(hex!("a5 01 05 00").to_vec()));
    assert_eq!(host.counters().rejects.len(), 0);
}

#[test]
fn a_mute_module_fails_after_five_questions() {
    let mut pair = Pair::new(Faults { mute: true, ..Faults::default() });
    let mut waited = Duration::ZERO;
    while pair.events.is_empty() {
        pair.settle();
        waited += pair.wait();
    }
    assert_eq!(pair.events, [Event::Failed(Failure::Mute("GET_DEVICEINFO"))]);
    assert_eq!(waited, 5 * ANSWER_TIME);
    assert_eq!(pair.host.poll_timeout(), None);
}

#[test]
fn a_module_that_falls_silent_is_found_by_the_next_check() {
    let mut pair = Pair::ready(Faults::default());
    assert_eq!(pair.wait(), CHECK_INTERVAL);
    assert_eq!(pair.events, []);
    pair.module = Module::new(0, 0, Faults { mute: true, ..Faults::default() }, Random::new(0), pair.now);
    assert_eq!(pair.wait(), CHECK_INTERVAL);
    for _ in 0..TRIES {
        assert_eq!(pair.events, []);
        pair.wait();
    }
    assert_eq!(pair.events, [Event::Failed(Failure::Mute("GET_CONFIG"))]);
}

#[test]
fn a_module_that_lost_its_supply_is_found_by_the_next_check() {
    let mut pair = Pair::ready(Faults::default());
    pair.module = Module::new(0x1234_5678, 0x14, Faults::default(), Random::new(0), pair.now);
    pair.wait();
    assert_eq!(pair.events, [Event::Failed(Failure::Reset)]);
}

#[test]
fn c1_with_t1_needs_a_newer_firmware() {
    let mode = Mode::C1T1;
    let mut pair = Pair::with(mode, 0x13, Faults::default());
    pair.settle();
    assert_eq!(pair.events, [Event::Failed(Failure::FirmwareTooOld { firmware: 0x13, needed: 0x14, mode })]);
    let mut pair = Pair::with(Mode::T1, 0x13, Faults::default());
    pair.settle();
    assert_eq!(
        pair.events,
        [Event::Ready(Identity { uid: Some(0x1234_5678), firmware: Some(0x13), mode: Some(Mode::T1), kind: None })]
    );
}

#[test]
fn a_mode_of_another_band_fails() {
    let mut pair = Pair::with(Mode::N1a, 0x14, Faults::default());
    pair.settle();
    assert_eq!(pair.events, [Event::Failed(Failure::ModeUnsupported { module: 0x33, mode: Mode::N1a })]);
}

#[test]
fn a_module_that_does_not_take_its_settings_fails() {
    let mut pair = Pair::new(Faults::default());
    let mut settings = 0;
    while pair.events.is_empty() {
        while let Some(octets) = pair.host.poll_transmit() {
            // SET_CONFIG never reaches the module, and somebody confirms it.
            if octets[2] == hci::SET_CONFIG_REQ {
                settings += 1;
                pair.host.handle_bytes(&hex!("a5 81 04 00 9c f7"), pair.now);
            } else {
                pair.module.handle_bytes(&octets, pair.now);
            }
        }
        while let Some(octets) = pair.module.poll_transmit() {
            pair.host.handle_bytes(&octets, pair.now);
        }
        pair.events.extend(pair.host.poll_event());
    }
    assert_eq!(pair.events, [Event::Failed(Failure::NotTaken)]);
    assert_eq!(settings, 1 + REFUSALS);
}

#[test]
fn frames_buffered_before_an_answer_are_heard() {
    let stale = vec![FRAME.to_vec(), FRAME.to_vec()];
    let mut pair = Pair::new(Faults { stale, ..Faults::default() });
    pair.settle();
    let heard = Event::Telegram { frame: FRAME.to_vec(), form: Some(crate::Form::Stripped), rssi_dbm: None };
    assert_eq!(pair.events, [heard.clone(), heard, READY]);
}

#[test]
fn messages_split_at_every_offset_are_heard() {
    for offset in 0..message(&FRAME).len() {
        let mut pair = Pair::ready(Faults { split: Split::At(offset), ..Faults::default() });
        pair.hear(&FRAME);
        assert_eq!(pair.events, [telegram(&FRAME)], "split at {offset}");
    }
}

#[test]
fn a_pause_at_any_offset_loses_nothing_that_comes_later() {
    let octets = message(&FRAME);
    for offset in 1..octets.len() {
        let mut pair = Pair::ready(Faults::default());
        pair.line(&octets[..offset]);
        assert_eq!(pair.host.poll_timeout(), Some(pair.now + STALL_TIME));
        while pair.host.stall.is_some() {
            pair.wait();
        }
        pair.line(&octets);
        assert_eq!(pair.events, [telegram(&FRAME)], "stopped at {offset}");
        assert!(pair.host.counters().rejected(Reject::Incomplete) > 0);
    }
}

#[test]
fn a_bad_crc_costs_one_telegram_and_not_the_next() {
    let good = message(&FRAME);
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 0x01;
        let mut pair = Pair::ready(Faults::default());
        pair.line(&[bad, good.clone()].concat());
        while pair.host.stall.is_some() {
            pair.wait();
        }
        assert_eq!(pair.events, [telegram(&FRAME)], "octet {place} altered");
        let counters = pair.host.counters();
        assert_eq!(counters.telegrams, 1);
        assert!(counters.rejected(Reject::BadCrc) + counters.rejected(Reject::Noise) > 0, "{counters:?}");
    }
}

#[test]
fn noise_between_messages_loses_none_of_them() {
    for noise in [&hex!("a5")[..], &hex!("a5 c2 03 ff"), &hex!("a5 a5 a5 81"), &hex!("00 ff c0 db"), &[0xa5; 300]] {
        let mut pair = Pair::ready(Faults::default());
        let line = [noise, &message(&FRAME), noise, &message(&FRAME)].concat();
        pair.line(&line);
        while pair.host.stall.is_some() {
            pair.wait();
        }
        assert_eq!(pair.events, [telegram(&FRAME), telegram(&FRAME)], "{noise:02x?}");
    }
}

#[test]
fn a_message_without_a_crc_is_rejected() {
    let mut pair = Pair::ready(Faults::default());
    let mut octets = Vec::new();
    Message::request(Endpoint::RadioLink, hci::WMBUSMSG_IND, &FRAME[1..]).emit(&mut octets);
    pair.line(&octets);
    assert_eq!(pair.events, []);
    assert_eq!(pair.host.counters().rejected(Reject::Unprotected), 1);
}

#[test]
fn a_frame_too_short_for_an_address_is_rejected() {
    let mut pair = Pair::ready(Faults::default());
    pair.line(&message(&FRAME[..9]));
    pair.line(&message(&FRAME[..10]));
    assert_eq!(pair.events, [telegram(&hex!("09 44 2d 2c 78 56 34 12 1b 16"))]);
    assert_eq!(pair.host.counters().rejected(Reject::TooShort), 1);
}

#[test]
fn every_c_field_passes() {
    let mut pair = Pair::ready(Faults::default());
    for c_field in 0..=255 {
        let mut frame = FRAME;
        frame[1] = c_field;
        pair.hear(&frame);
        assert_eq!(pair.events.pop(), Some(telegram(&frame)));
    }
}

#[test]
fn a_damaged_answer_is_asked_for_again() {
    let mut pair = Pair::new(Faults { corrupt_ppm: 500_000, noise_ppm: 200_000, ..Faults::default() });
    let mut waits = 0;
    while pair.events.is_empty() && waits < 20 {
        pair.settle();
        pair.wait();
        waits += 1;
    }
    assert_eq!(pair.events, [READY]);
    assert!(waits > 1);
}

#[test]
fn a_spurious_timeout_does_nothing() {
    let mut pair = Pair::ready(Faults::default());
    let due = pair.host.poll_timeout();
    pair.host.handle_timeout(pair.now);
    assert_eq!((pair.host.poll_timeout(), pair.host.poll_transmit(), pair.host.poll_event()), (due, None, None));
}

#[test]
fn an_endless_stream_of_noise_stays_within_bounds() {
    let mut pair = Pair::ready(Faults::default());
    let mut random = Random::new(3);
    for _ in 0..2_000 {
        let noise: Vec<u8> =
            (0..100).map(|_| if random.below(3) == 0 { 0xa5 } else { random.below(256) as u8 }).collect();
        pair.line(&noise);
        assert!(pair.host.buffer.len() < 4 + 255 + 4 + 1 + 2);
    }
}

#[test]
fn every_frame_that_leaves_intact_is_heard_whatever_else_is_on_the_line() {
    let faults = Faults {
        corrupt_ppm: 50_000,
        truncate_ppm: 20_000,
        noise_ppm: 100_000,
        split: Split::Random,
        ..Faults::default()
    };
    let mut pair = Pair::ready(Faults::default());
    pair.module = {
        let mut module = Module::new(0x1234_5678, 0x14, faults, Random::new(77), pair.now);
        module.handle_bytes(&hex!("a5 01 03 06 00 02 0a 30 01 00"), pair.now);
        while module.poll_transmit().is_some() {}
        module
    };
    let mut random = Random::new(5);
    let mut intact = Vec::new();
    for number in 0..2_000u64 {
        let mut frame = FRAME.to_vec();
        frame.extend(number.to_le_bytes());
        frame.extend((0..random.below(200)).map(|_| if random.below(3) == 0 { 0xa5 } else { random.below(256) as u8 }));
        frame[0] = (frame.len() - 1) as u8;
        if pair.hear(&frame) == Outcome::Intact {
            intact.push(telegram(&frame));
        }
    }
    while pair.host.stall.is_some() {
        pair.wait();
    }
    assert!(intact.len() > 1_700 && intact.len() < 2_000, "{} intact", intact.len());
    assert_eq!(pair.events.len(), intact.len());
    assert_eq!(pair.events, intact);
}

proptest! {
    #[test]
    fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut pair = Pair::ready(Faults::default());
        pair.line(&octets);
        for _ in 0..10 {
            if pair.host.poll_timeout().is_some() {
                pair.wait();
            }
        }
    }
}
