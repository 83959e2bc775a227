//! Gateway and meter over an air that loses what the test wants, with a clock that the test moves.

use hex_literal::hex;
use proptest::prelude::*;
use std::sync::LazyLock;

use super::*;
use crate::receiver::Mode;
use crate::record::DateTime;
use crate::sim::TwoWayMeter;
use crate::{Form, Key, Scratch, Telegram, Verdict};

const OWN: Address = Address { manufacturer: 0x1000, identification: 0x9999_0001, version: 1, device_type: 0x31 };
const WATER: Address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 0x07 };
const GAS: Address = Address { device_type: 0x03, ..WATER };
static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(hex!("000102030405060708090a0b0c0d0e0f")));
const DAY: Duration = Duration::from_secs(86_400);

struct Pair {
    gateway: Gateway,
    meter: TwoWayMeter,
    now: Instant,
    window: (Duration, Duration),
    /// Of frames, in the order in which they are sent by whomever: true is lost.
    lost: VecDeque<bool>,
    said: Vec<String>,
    events: Vec<Event>,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    fn new(address: Address, key: Option<&Key>, is_mode_7: bool) -> Self {
        let window = Mode::C2.response_window(true).unwrap();
        Self {
            gateway: Gateway::new(OWN),
            meter: TwoWayMeter::new(address, key.cloned(), is_mode_7, window),
            now: Instant::now(),
            window,
            lost: VecDeque::new(),
            said: Vec::new(),
            events: Vec::new(),
        }
    }

    fn job(&self, id: u64, command: Command, protection: Protection) -> Job {
        Job { id, command, protection, expires: self.now + DAY, is_resumed: false }
    }

    fn request(&mut self, meter: Address, id: u64, command: Command, protection: Protection) {
        let job = self.job(id, command, protection);
        self.gateway.request(meter, job).unwrap();
    }

    /// What the meter says, and all that follows at once.
    fn settle(&mut self) {
        while let Some(frame) = self.meter.poll_air() {
            if self.lost.pop_front() == Some(true) {
                continue;
            }
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode_as(Form::Stripped, &frame, &KEY, &mut scratch).unwrap();
            let hearing = Hearing::of(&telegram, Some(-70)).unwrap();
            let answer = self.gateway.handle_hearing(&hearing, self.now);
            self.events.extend(std::iter::from_fn(|| self.gateway.poll_event()));
            self.say("meter", &frame);
            if let Some(frame) = answer {
                self.now += (self.window.0 + self.window.1) / 2;
                self.say("gateway", &frame.octets);
                if self.lost.pop_front() != Some(true) {
                    self.meter.hear(&frame.octets, self.now);
                }
            }
        }
    }

    fn say(&mut self, who: &str, frame: &[u8]) {
        self.said.push(format!("{who} {:02x}", frame[1]));
    }

    fn announce(&mut self) {
        self.now += Duration::from_secs(16);
        self.meter.announce(self.now);
        self.settle();
    }

    /// The meter repeats its last frame.
    fn repeat(&mut self) {
        self.now = self.meter.poll_timeout().expect("a cycle is open");
        self.meter.handle_timeout(self.now);
        self.settle();
    }
}

fn mode_7(counter: u32) -> Protection {
    Protection::AesCbcNoIv { key: KEY.clone(), counter }
}

#[test]
fn a_valve_is_closed_read_back_and_the_cycle_is_ended() {
    // Orders are for an identity; frames bear the address that was heard.
    let marked = Address { manufacturer: WATER.manufacturer | 0x8000, ..WATER };
    for (address, is_mode_7, protection) in [
        (WATER, true, mode_7(1)),
        (WATER, false, Protection::AesCbcIv(KEY.clone())),
        (marked, true, mode_7(1)),
        (marked, false, Protection::AesCbcIv(KEY.clone())),
    ] {
        let mut pair = Pair::new(address, Some(&KEY), is_mode_7);
        pair.request(WATER, 1, Command::Valve(Valve::Closed), protection);
        pair.announce();
        // SND-NR, SND-UD, ACK, REQ-UD2 with the other frame count bit, RSP-UD, SND-NKE.
        let said = ["meter 44", "gateway 73", "meter 00", "gateway 5b", "meter 08", "gateway 40"];
        assert_eq!(pair.said, said);
        assert_eq!(pair.events, [Event::Sent(1), Event::Delivered(1), Event::Ended(1, End::Succeeded)]);
        let witness = pair.meter.witness();
        assert_eq!((witness.valve, witness.executed, witness.ended_cycles), (Some(Valve::Closed), 1, 1));
        assert_eq!((witness.missed, witness.refused, witness.deviation_us), (0, 0, Some(0)));
        assert_eq!(witness.level, 30);
        pair.announce();
        assert_eq!(pair.said.last().map(String::as_str), Some("meter 44"), "nothing is left to say");
    }
}

#[test]
fn whatever_is_lost_a_command_is_carried_out_once() {
    // Every pattern of losses among the first eight frames.
    for pattern in 0..256_u32 {
        let mut pair = Pair::new(GAS, Some(&KEY), true);
        pair.request(GAS, 7, Command::Valve(Valve::ManualOpening), mode_7(5));
        pair.lost = (0..8).map(|bit| pattern >> bit & 1 == 1).collect();
        pair.announce();
        for _ in 0..10 {
            if pair.events.iter().any(|event| matches!(event, Event::Ended(..))) {
                break;
            }
            match pair.meter.poll_timeout() {
                Some(_) => pair.repeat(),
                None => pair.announce(),
            }
        }
        assert_eq!(pair.events.last(), Some(&Event::Ended(7, End::Succeeded)), "{pattern:08b}: {:?}", pair.said);
        let witness = pair.meter.witness();
        assert_eq!((witness.executed, witness.valve), (1, Some(Valve::ManualOpening)), "{pattern:08b}");
        assert_eq!(witness.refused, 0, "{pattern:08b}: {:?}", pair.said);
    }
}

#[test]
fn a_meter_that_never_answers_is_given_up_after_five_tries() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    pair.request(WATER, 1, Command::Valve(Valve::Closed), mode_7(1));
    for _ in 0..5 {
        pair.lost = [false, true].into();
        pair.announce();
    }
    assert_eq!(pair.events, [Event::Sent(1)]);
    pair.announce();
    assert_eq!(pair.events, [Event::Sent(1), Event::Ended(1, End::NotAnswered)]);
    assert_eq!(pair.meter.witness().executed, 0);
}

#[test]
fn what_a_meter_repeats_is_answered_again_and_uses_up_no_try() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    pair.request(WATER, 1, Command::Valve(Valve::Closed), mode_7(1));
    // The meter has the command; its acknowledgement is heard, and the question after it is not.
    pair.lost = [false, false, false, true].into();
    pair.announce();
    assert_eq!(pair.said, ["meter 44", "gateway 73", "meter 00", "gateway 5b"]);
    let ack = Hearing {
        meter: WATER,
        c_field: ACK,
        access_number: 0,
        is_accessible: true,
        is_fast: true,
        is_open: true,
        proof: Proof::Nothing,
        valve: None,
        error: None,
        rssi_dbm: None,
        is_repetition: true,
    };
    for _ in 0..2 * TRIES {
        let again = pair.gateway.handle_hearing(&ack, pair.now).expect("it listens again");
        assert_eq!(again.octets[1], 0x5b);
        // An old one, of another request.
        let old = Hearing { access_number: 0x80, is_repetition: false, ..ack };
        assert_eq!(pair.gateway.handle_hearing(&old, pair.now), None);
    }
    pair.repeat();
    assert_eq!(pair.events.last(), Some(&Event::Ended(1, End::Succeeded)));
    // The cycle is over: nothing of it opens another.
    pair.request(WATER, 2, Command::RequestData, Protection::None);
    assert_eq!(pair.gateway.handle_hearing(&ack, pair.now), None);
}

#[test]
fn what_waits_is_protected_better_when_the_meter_is() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    pair.request(WATER, 1, Command::RequestData, Protection::None);
    pair.request(WATER, 2, Command::Valve(Valve::Closed), Protection::AesCbcIv(KEY.clone()));
    assert!(pair.gateway.raise(&WATER, Proof::Encrypted, || panic!("it is well enough")));
    assert!(!pair.gateway.raise(&WATER, Proof::Authenticated, || None));
    assert!(pair.gateway.raise(&WATER, Proof::Authenticated, || Some(mode_7(1))));
    pair.announce();
    let witness = pair.meter.witness();
    assert_eq!((witness.executed, witness.refused, pair.events.len()), (1, 0, 4), "{:?}", pair.events);
}

#[test]
fn what_is_late_is_never_sent() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    let job =
        Job { expires: pair.now + Duration::from_secs(10), ..pair.job(1, Command::RequestData, Protection::None) };
    pair.gateway.request(WATER, job).unwrap();
    assert_eq!(pair.gateway.poll_timeout(), Some(pair.now + Duration::from_secs(10)));
    pair.announce();
    assert_eq!(pair.events, [Event::Ended(1, End::Expired)]);
    assert_eq!(pair.said, ["meter 44"]);
    assert!(!pair.gateway.concerns(&WATER));
}

#[test]
fn a_meter_is_bound_only_where_that_is_wanted() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    pair.meter.ask_to_be_bound(pair.now);
    pair.settle();
    assert_eq!(pair.said, ["meter 46"]);
    assert!(pair.gateway.bind(WATER));
    pair.meter.ask_to_be_bound(pair.now);
    pair.settle();
    assert_eq!(pair.said[1..], ["meter 46", "gateway 06"]);
    assert!(pair.meter.witness().is_bound);
    pair.meter.ask_to_be_bound(pair.now);
    pair.settle();
    assert_eq!(pair.said[3..], ["meter 46", "gateway 06"]);
    assert_eq!(pair.events, [Event::Bound(WATER)], "told once");
    pair.gateway.unbind(&WATER);
    assert_eq!(pair.gateway.to_bind().count(), 0);
}

#[test]
fn the_same_request_is_answered_once_and_a_flood_of_them_is_not() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    let hearing = Hearing {
        meter: WATER,
        c_field: SND_IR,
        access_number: 0,
        is_accessible: true,
        is_fast: true,
        is_open: true,
        proof: Proof::Encrypted,
        valve: None,
        error: None,
        rssi_dbm: None,
        is_repetition: false,
    };
    // Seconds, C-field, access number, and whether it is answered.
    let check = |pair: &mut Pair, rows: &[(u64, u8, u8, bool)]| {
        let start = pair.now;
        for (row, (seconds, c_field, access_number, is_answered)) in rows.iter().enumerate() {
            let hearing = Hearing { c_field: *c_field, access_number: *access_number, ..hearing };
            let answer = pair.gateway.handle_hearing(&hearing, start + Duration::from_secs(*seconds));
            assert_eq!(answer.is_some(), *is_answered, "row {row}");
        }
        pair.now += Duration::from_secs(2 * 3600);
    };
    pair.gateway.bind(WATER);
    let same = [(0, SND_IR, 5, true), (1, SND_IR, 5, false), (61, SND_IR, 5, false), (3599, SND_IR, 5, false)];
    check(&mut pair, &same);
    // The number has gone round.
    check(&mut pair, &[(0, SND_IR, 5, true)]);
    let pace: Vec<_> = (0..120).map(|n| (u64::from(n) * 30, SND_IR, n, true)).collect();
    check(&mut pair, &pace);
    let flood: Vec<_> = (0..60).map(|n| (u64::from(n), SND_IR, n, n < 4)).chain([(60, SND_IR, 99, true)]).collect();
    check(&mut pair, &flood);
    // An access demand is repeated as it was; both have one bound.
    let demands = [(0, ACC_DMD, 1, true), (3, ACC_DMD, 1, true), (6, SND_IR, 1, true), (9, ACC_DMD, 2, true)];
    let over = [(12, ACC_DMD, 3, false), (15, SND_IR, 4, false), (60, ACC_DMD, 3, true)];
    check(&mut pair, &[demands, [over[0], over[1], over[2], (61, SND_IR, 1, false)]].concat());
    // Of another meter nothing is taken; whoever wants it bound anew has it answered anew.
    let other = Address { identification: 1, ..WATER };
    pair.gateway.bind(other);
    check(&mut pair, &[(0, SND_IR, 7, true)]);
    pair.now -= Duration::from_secs(2 * 3600);
    let heard = pair.gateway.handle_hearing(&Hearing { meter: other, access_number: 7, ..hearing }, pair.now);
    assert!(heard.is_some());
    pair.gateway.bind(WATER);
    check(&mut pair, &[(0, SND_IR, 7, true)]);
}

#[test]
fn an_access_demand_is_confirmed_and_asked_about() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    pair.meter.demand_access(pair.now);
    pair.settle();
    assert_eq!(pair.said, ["meter 48"], "a stranger's demand is nobody's business");
    pair.gateway.bind(WATER);
    pair.meter.demand_access(pair.now);
    pair.settle();
    assert_eq!(pair.said[1..], ["meter 48", "gateway 00"]);
    pair.meter.announce(pair.now);
    pair.settle();
    assert_eq!(pair.said[3..], ["meter 44", "gateway 7a", "meter 08", "gateway 40"]);
}

#[test]
fn a_clock_is_set_and_data_are_requested_one_after_the_other() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    let octets = hex!("1e 2d 2c 95 27 00");
    let time = DateTime::parse_i(octets).unwrap();
    pair.request(WATER, 1, Command::SetClock(time), mode_7(1));
    pair.request(WATER, 2, Command::RequestData, Protection::None);
    pair.announce();
    assert_eq!(pair.events, [Event::Sent(1), Event::Ended(1, End::Confirmed), Event::Ended(2, End::Succeeded)]);
    let clock = pair.meter.witness().clock.map(|octets| DateTime::parse_i(octets).unwrap());
    assert_eq!(clock, Some(time));
}

#[test]
fn after_a_restart_the_valve_is_asked_before_anything_is_sent_again() {
    for (is, executed) in [(Valve::Open, 1), (Valve::Closed, 0)] {
        let mut pair = Pair::new(WATER, Some(&KEY), true);
        if is == Valve::Closed {
            pair.request(WATER, 1, Command::Valve(is), mode_7(1));
            pair.announce();
            pair.events.clear();
            pair.said.clear();
        }
        let before = pair.meter.witness().executed;
        let job = Job { is_resumed: true, ..pair.job(2, Command::Valve(Valve::Closed), mode_7(2)) };
        pair.gateway.request(WATER, job).unwrap();
        pair.announce();
        // The meter may be in a cycle whose frame count bit nobody knows any more: it is ended first.
        assert_eq!(pair.said, ["meter 44", "gateway 40"]);
        pair.announce();
        assert_eq!(pair.said[2..4], ["meter 44", "gateway 7b"]);
        assert_eq!(pair.events.last(), Some(&Event::Ended(2, End::Succeeded)));
        assert_eq!(pair.meter.witness().executed - before, executed);
    }
}

#[test]
fn a_command_that_was_carried_out_unseen_before_a_restart_is_not_carried_out_again() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    pair.request(WATER, 1, Command::Valve(Valve::Closed), mode_7(1));
    // SND-NR and SND-UD arrive, the ACK does not.
    pair.lost = [false, false, true].into();
    pair.announce();
    assert_eq!((pair.events.as_slice(), pair.meter.witness().executed), (&[Event::Sent(1)][..], 1));
    pair.gateway = Gateway::new(OWN);
    let job = Job { is_resumed: true, ..pair.job(1, Command::Valve(Valve::Closed), mode_7(2)) };
    pair.gateway.request(WATER, job).unwrap();
    pair.repeat();
    pair.announce();
    assert_eq!(pair.events.last(), Some(&Event::Ended(1, End::Succeeded)), "{:?}", pair.said);
    assert_eq!((pair.meter.witness().executed, pair.meter.witness().repeated), (1, 0));
}

#[test]
fn what_is_prepared_is_what_is_sent() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    pair.request(WATER, 1, Command::Valve(Valve::Closed), mode_7(1));
    assert_eq!(pair.gateway.waiting().collect::<Vec<_>>(), [&WATER]);
    let prepared = pair.gateway.prepare(&WATER).unwrap();
    assert_eq!(pair.gateway.poll_event(), Some(Event::Sent(1)), "it may leave at any moment now");
    assert_eq!(prepared.octets[2..10], hex!("2d2c 78563412 1b 07"), "the module waits for the meter");
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode_as(Form::Stripped, &prepared.octets, &KEY, &mut scratch).unwrap();
    assert_eq!((telegram.verdict, telegram.security.authenticated, telegram.address), (Verdict::Ok, true, WATER));
    let access_number = telegram.access_number();
    pair.announce();
    assert_eq!(pair.events, [Event::Delivered(1), Event::Ended(1, End::Succeeded)]);
    assert_eq!(access_number, Some(0));
}

#[test]
fn what_must_not_be_sent_is_refused() {
    let heat = Address { device_type: 0x04, ..WATER };
    for (meter, command, protection, refused) in [
        (GAS, Command::Valve(Valve::Open), mode_7(1), Some(Refused::DirectGasOpening)),
        (GAS, Command::Valve(Valve::ManualOpening), mode_7(1), None),
        (GAS, Command::Valve(Valve::Closed), mode_7(1), None),
        (GAS, Command::Valve(Valve::Closed), Protection::None, Some(Refused::Unprotected)),
        (WATER, Command::Valve(Valve::Open), mode_7(1), None),
        (heat, Command::Valve(Valve::Closed), mode_7(1), Some(Refused::NoValve)),
        (heat, Command::RequestData, Protection::None, None),
    ] {
        let mut pair = Pair::new(meter, Some(&KEY), true);
        let job = pair.job(1, command, protection);
        assert_eq!(pair.gateway.request(meter, job).err(), refused, "{meter} {command:?}");
    }
}

#[test]
fn queues_are_bounded_and_a_job_can_be_taken_back() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    for id in 0..QUEUE as u64 {
        pair.request(WATER, id, Command::RequestData, Protection::None);
    }
    let job = pair.job(99, Command::RequestData, Protection::None);
    assert_eq!(pair.gateway.request(WATER, job), Err(Refused::TooMany));
    assert!(pair.gateway.cancel(3) && !pair.gateway.cancel(3));
    assert_eq!(pair.gateway.poll_event(), Some(Event::Ended(3, End::Cancelled)));
    for identification in 0..2 * METERS as u32 {
        let meter = Address { identification, ..WATER };
        let job = pair.job(u64::from(identification) + 100, Command::RequestData, Protection::None);
        let _ = pair.gateway.request(meter, job);
    }
    assert_eq!(pair.gateway.sessions.len(), METERS);
}

#[test]
fn a_forged_or_unreadable_answer_ends_nothing() {
    let mut pair = Pair::new(WATER, Some(&KEY), true);
    pair.request(WATER, 1, Command::Valve(Valve::Closed), mode_7(1));
    pair.lost = [false, true].into();
    pair.announce();
    let hearing = Hearing {
        meter: WATER,
        c_field: ACK,
        access_number: 0,
        is_accessible: false,
        is_fast: true,
        is_open: false,
        proof: Proof::Nothing,
        valve: None,
        error: None,
        rssi_dbm: None,
        is_repetition: false,
    };
    pair.gateway.handle_hearing(&hearing, pair.now);
    pair.gateway.handle_hearing(&Hearing { is_open: true, access_number: 9, ..hearing }, pair.now);
    assert_eq!(pair.gateway.poll_event(), None);
    let forged = Hearing { is_open: true, c_field: RSP_UD, valve: Some(Valve::Closed), ..hearing };
    pair.gateway.handle_hearing(&forged, pair.now);
    assert_eq!(pair.gateway.poll_event(), None, "a frame without a MAC answers no command that has one");
    let error = Hearing { proof: Proof::Authenticated, error: Some(4), ..forged };
    pair.gateway.handle_hearing(&error, pair.now);
    assert_eq!(pair.gateway.poll_event(), Some(Event::Ended(1, End::Failed(4))));
}

#[test]
fn reception_levels_are_in_steps_of_two_db() {
    for (dbm, level) in [(None, 0), (Some(-200), 1), (Some(-130), 1), (Some(-70), 30), (Some(0), 63)] {
        assert_eq!(reception_level(dbm), level, "{dbm:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_heard_nothing_panics_and_nothing_grows(
        hearings in proptest::collection::vec((any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>(), 0u64..100), 0..100),
    ) {
        let mut pair = Pair::new(WATER, Some(&KEY), true);
        pair.gateway.bind(WATER);
        pair.request(WATER, 1, Command::Valve(Valve::Closed), mode_7(1));
        for (c_field, access_number, is_accessible, is_open, seconds) in hearings {
            pair.now += Duration::from_secs(seconds);
            let hearing = Hearing {
                meter: WATER, c_field, access_number, is_accessible, is_fast: true, is_open,
                proof: if is_open { Proof::Authenticated } else { Proof::Nothing },
                valve: None, error: None, rssi_dbm: None, is_repetition: false,
            };
            if let Some(frame) = pair.gateway.handle_hearing(&hearing, pair.now) {
                prop_assert_eq!(usize::from(frame.octets[0]) + 1, frame.octets.len());
            }
            while pair.gateway.poll_event().is_some() {}
            prop_assert!(pair.gateway.sessions.len() <= 1);
        }
    }
}
