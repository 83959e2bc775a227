//! Orders and an emulated meter, with a clock that the test moves and files that survive it.

use hex_literal::hex;
use wmbus::sim::TwoWayMeter;
use wmbus::{Form, Key, Scratch};

use super::*;
use crate::reading::{Group, Security, from_wmbus};
use crate::registry::{Admission, MeterKeys};

const OWN: Address = Address { manufacturer: 0x1000, identification: 1, version: 1, device_type: 0x31 };
const WATER: Address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 0x07 };
const DAY: Duration = Duration::from_secs(86_400);
const WINDOW: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(1));

fn key() -> Key {
    Key::new(hex!("000102030405060708090a0b0c0d0e0f"))
}

struct Bench {
    directory: tempfile::TempDir,
    two_way: Option<TwoWay>,
    meter: TwoWayMeter,
    admission: Admission,
    group: Group,
    keys: MeterKeys,
    now: Now,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    fn new(is_mode_7: bool) -> Self {
        let quality = TimeQuality::Synchronised;
        let now = Now { mono: Instant::now(), boot_id: [0; 16], boot_ms: 0, utc_ms: 1_800_000_000_000, quality };
        let directory = tempfile::tempdir().unwrap();
        let meter = TwoWayMeter::new(WATER, Some(key()), is_mode_7, WINDOW);
        let keys = MeterKeys::read("12345678 000102030405060708090a0b0c0d0e0f").unwrap();
        let mut bench = Self {
            directory,
            two_way: None,
            meter,
            admission: Admission::fresh(10),
            group: Group::default(),
            keys,
            now,
        };
        bench.restart();
        bench
    }

    fn restart(&mut self) {
        self.two_way = None;
        self.two_way = Some(TwoWay::open(self.directory.path(), OWN, self.now).unwrap());
    }

    fn it(&mut self) -> &mut TwoWay {
        self.two_way.as_mut().unwrap()
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.utc_ms += i64::try_from(time.as_millis()).unwrap();
    }

    fn order(&mut self, action: Action) -> Result<Order, OrderError> {
        let now = self.now;
        self.it().order(WATER, action, DAY, None, &key(), now)
    }

    /// The meter speaks, and so do both, but for answers of the unit beyond so many.
    fn speak(&mut self, heard: usize) {
        self.pass(Duration::from_secs(16));
        self.meter.announce(self.now.mono);
        let mut left = heard;
        while let Some(frame) = self.meter.poll_air() {
            let answer = self.hear(&frame);
            self.admit(&frame);
            let Some(answer) = answer else { continue };
            if left > 0 {
                left -= 1;
                self.meter.hear(&answer, self.now.mono);
            }
        }
    }

    /// What the unit answers to a frame on the air, before its admission has seen it.
    fn hear(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, frame, &self.keys, &mut scratch).unwrap();
        let Self { two_way, admission, group, keys, now, .. } = self;
        let two_way = two_way.as_mut().unwrap();
        let is_live = two_way.is_live(&telegram, &Known { admission, group, keys }, *now);
        is_live.then(|| two_way.hear(&telegram, None, true, keys, *now))?.map(|frame| frame.octets)
    }

    fn admit(&mut self, frame: &[u8]) {
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, frame, &self.keys, &mut scratch).unwrap();
        let mut converted = from_wmbus::convert(&telegram, self.now.received(), vec![], &self.group);
        self.admission.judge(&mut converted, &self.group, &self.keys, self.now);
    }

    /// What the meter says next; somebody may record it.
    fn said(&mut self) -> Vec<u8> {
        self.pass(Duration::from_secs(16));
        self.meter.announce(self.now.mono);
        self.meter.poll_air().unwrap()
    }

    fn states(&mut self) -> Vec<&'static str> {
        self.it().orders().map(|order| order.state.name()).collect()
    }
}

#[test]
fn an_order_survives_restarts_at_every_step_and_is_carried_out_once() {
    // How many frames of the unit the meter hears before the restart.
    for heard in 0..4 {
        let mut bench = Bench::new(true);
        bench.order(Action::CloseValve).unwrap();
        bench.restart();
        assert_eq!(bench.states(), ["queued"]);
        bench.speak(heard);
        bench.restart();
        for _ in 0..3 {
            bench.pass(Duration::from_secs(100));
            bench.meter.handle_timeout(bench.now.mono);
            while bench.meter.poll_air().is_some() {}
            bench.speak(9);
        }
        assert_eq!(bench.states(), ["succeeded"], "{heard} frames heard before the restart");
        assert_eq!(bench.meter.witness().executed, 1, "{heard} frames heard before the restart");
        assert_eq!(bench.meter.witness().refused, 0);
    }
}

#[test]
fn to_what_was_recorded_nothing_is_sent() {
    let mut bench = Bench::new(true);
    let recorded: Vec<_> = (0..6).map(|_| bench.said()).collect();
    recorded.iter().for_each(|frame| bench.admit(frame));
    bench.order(Action::CloseValve).unwrap();
    for is_restarted in [false, true] {
        for frame in &recorded {
            bench.pass(Duration::from_secs(16));
            assert_eq!(bench.hear(frame), None, "restarted: {is_restarted}");
            bench.admit(frame);
        }
        assert_eq!(bench.states(), ["queued"]);
        bench.restart();
    }
    bench.speak(9);
    assert_eq!((bench.states(), bench.meter.witness().executed), (vec!["succeeded"], 1));

    // The meter has a new key, and counts anew.
    bench.meter = TwoWayMeter::new(WATER, Some(Key::new([7; 16])), true, WINDOW);
    bench.keys = MeterKeys::read(&format!("12345678 {}", "07".repeat(16))).unwrap();
    bench.restart();
    let now = bench.now;
    bench.it().order(WATER, Action::OpenValve, DAY, None, &Key::new([7; 16]), now).unwrap();
    bench.speak(9);
    assert_eq!((bench.states(), bench.meter.witness().executed), (vec!["succeeded", "succeeded"], 1));
}

#[test]
fn one_frame_opens_one_window_whoever_hears_it() {
    for is_mode_7 in [true, false] {
        let mut bench = Bench::new(is_mode_7);
        bench.order(Action::CloseValve).unwrap();
        let frame = bench.said();
        assert!(bench.hear(&frame).is_some(), "the first receiver, in time");
        bench.pass(Duration::from_millis(400));
        assert_eq!(bench.hear(&frame), None, "the second receiver");
        bench.admit(&frame);
        bench.pass(Duration::from_secs(90));
        // Without a counter nobody can tell.
        assert_eq!(bench.hear(&frame).is_some(), !is_mode_7, "mode 7: {is_mode_7}");
    }
}

#[test]
fn a_meter_that_repeats_itself_in_its_cycle_is_answered_again() {
    let mut bench = Bench::new(true);
    let first = bench.order(Action::RequestData).unwrap().id;
    bench.order(Action::RequestData).unwrap();
    let frame = bench.said();
    let request = bench.hear(&frame).unwrap();
    bench.meter.hear(&request, bench.now.mono);
    let answer = bench.meter.poll_air().unwrap();
    bench.admit(&frame);
    assert!(bench.hear(&answer).is_some(), "the second request, which the meter does not hear");
    assert_eq!(bench.it().orders().next().map(|order| (order.id, order.state.name())), Some((first, "succeeded")));
    bench.admit(&answer);
    bench.pass(Duration::from_secs(2));
    bench.meter.handle_timeout(bench.now.mono);
    assert_eq!(bench.meter.poll_air().as_ref(), Some(&answer));
    let request = bench.hear(&answer).expect("it listens again");
    assert_eq!(bench.hear(&frame), None, "an earlier one is not the last");
    bench.meter.hear(&request, bench.now.mono);
    let answer = bench.meter.poll_air().unwrap();
    assert!(bench.hear(&answer).is_some(), "SND-NKE");
    assert_eq!(bench.states(), ["succeeded", "succeeded"]);
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.hear(&answer), None, "the cycle is over");
}

#[test]
fn what_was_played_back_uses_up_no_try() {
    for is_mode_7 in [true, false] {
        let mut bench = Bench::new(is_mode_7);
        bench.order(Action::CloseValve).unwrap();
        let frame = bench.said();
        assert!(bench.hear(&frame).is_some(), "the meter does not hear it, and is in no cycle");
        bench.admit(&frame);
        for _ in 0..20 {
            bench.pass(Duration::from_secs(2));
            assert_eq!(bench.hear(&frame), None, "mode 7: {is_mode_7}");
        }
        assert_eq!(bench.states(), ["sent"]);
        bench.speak(9);
        assert_eq!((bench.states(), bench.meter.witness().executed), (vec!["succeeded"], 1));
    }
}

#[test]
fn repetitions_in_a_cycle_are_answered_so_often_and_use_up_no_try() {
    let mut bench = Bench::new(true);
    bench.order(Action::RequestData).unwrap();
    bench.order(Action::CloseValve).unwrap();
    let frame = bench.said();
    let request = bench.hear(&frame).unwrap();
    bench.meter.hear(&request, bench.now.mono);
    let answer = bench.meter.poll_air().unwrap();
    let command = bench.hear(&answer).expect("the command, which the meter does not hear");
    for (row, (after_ms, is_answered)) in
        [(500, false), (1_500, true), (500, false), (1_500, true), (2_000, true), (2_000, true), (2_000, false)]
            .into_iter()
            .enumerate()
    {
        bench.pass(Duration::from_millis(after_ms));
        assert_eq!(bench.hear(&answer), is_answered.then(|| command.clone()), "row {row}");
    }
    // Four more tries, each with a frame that is none of the copies.
    for _ in 0..4 {
        let frame = bench.said();
        assert_eq!(bench.hear(&frame), Some(command.clone()));
    }
    assert_eq!(bench.states(), ["succeeded", "sent"]);
    bench.said();
    let frame = bench.said();
    assert!(bench.hear(&frame).is_some(), "SND-NKE");
    assert_eq!(bench.states(), ["succeeded", "indeterminate"]);
}

#[test]
fn what_is_weaker_than_the_meter_has_shown_or_must_be_opens_nothing() {
    let weak = |bench: &Bench| TwoWayMeter::new(WATER, Some(bench.keys.key(&WATER).unwrap().clone()), false, WINDOW);
    // The meter has shown mode 7: its frame was judged, or has only just come; or its group demands it.
    let rows = [
        (false, true, Security::Plain),
        (true, false, Security::Plain),
        (true, true, Security::Plain),
        (false, false, Security::Authenticated),
    ];
    let actions = [None, Some(Action::RequestData), Some(Action::CloseValve)];
    for (action, (row, (is_heard, is_judged, minimum_security))) in
        actions.into_iter().flat_map(|action| rows.into_iter().enumerate().map(move |row| (action, row)))
    {
        let mut bench = Bench::new(true);
        bench.group.minimum_security = minimum_security;
        bench.it().bind(WATER, true).unwrap();
        let shown = bench.said();
        if is_heard {
            bench.hear(&shown);
        }
        if is_judged {
            bench.admit(&shown);
        }
        action.map(|action| bench.order(action).unwrap());
        let queued = bench.states();
        let mut recorded = weak(&bench);
        for is_restarted in [false, true] {
            recorded.announce(bench.now.mono);
            recorded.ask_to_be_bound(bench.now.mono);
            while let Some(frame) = recorded.poll_air() {
                bench.pass(Duration::from_secs(3));
                assert_eq!(bench.hear(&frame), None, "row {row}, restarted: {is_restarted}");
                bench.admit(&frame);
            }
            assert_eq!(bench.states(), queued, "row {row}, restarted: {is_restarted}");
            if !is_judged && minimum_security == Security::Plain {
                break;
            }
            bench.restart();
        }
        bench.speak(9);
        assert_eq!(bench.states(), vec!["succeeded"; queued.len()], "row {row}");
        let witness = bench.meter.witness();
        assert_eq!(
            (witness.executed, witness.refused),
            (u32::from(action == Some(Action::CloseValve)), 0),
            "row {row}"
        );
    }
}

#[test]
fn what_was_sent_before_the_meter_showed_more_is_protected_as_it_shows_now() {
    let mut bench = Bench::new(false);
    bench.order(Action::CloseValve).unwrap();
    let frame = bench.said();
    assert!(bench.hear(&frame).is_some());
    bench.admit(&frame);
    // Another meter would not take a command in mode 5: it counts what it refuses.
    bench.meter = TwoWayMeter::new(WATER, Some(key()), true, WINDOW);
    bench.speak(9);
    assert_eq!((bench.states(), bench.meter.witness().executed), (vec!["succeeded"], 1));
    assert_eq!(bench.meter.witness().refused, 0);
}

#[test]
fn a_meter_is_bound_by_what_it_says_itself() {
    for is_mode_7 in [true, false] {
        let mut bench = Bench::new(is_mode_7);
        bench.it().bind(WATER, true).unwrap();
        let ask = |bench: &mut Bench| {
            bench.pass(Duration::from_secs(30));
            bench.meter.ask_to_be_bound(bench.now.mono);
            bench.meter.poll_air().unwrap()
        };
        let old = ask(&mut bench);
        bench.admit(&old);
        let new = ask(&mut bench);
        bench.keys = MeterKeys::read(&format!("12345678 {}", "07".repeat(16))).unwrap();
        assert_eq!(bench.hear(&new), None, "it does not open");
        bench.keys = MeterKeys::read("12345678 000102030405060708090a0b0c0d0e0f").unwrap();
        let answer = bench.hear(&new).unwrap();
        assert_eq!(answer[1], 0x06, "CNF-IR");
        bench.admit(&new);
        for _ in 0..40 {
            bench.pass(Duration::from_millis(120));
            assert_eq!(bench.hear(&new), None, "answered once");
        }
        assert_eq!(bench.hear(&old).is_some(), !is_mode_7, "mode 7: {is_mode_7}");
        bench.meter.hear(&answer, bench.now.mono - Duration::from_millis(4800));
        assert!(bench.meter.witness().is_bound);
    }
}

#[test]
fn the_order_of_a_command_is_taken_once_also_after_a_restart() {
    let mut bench = Bench::new(true);
    let command = |id: u8| Some([id; 16]);
    let order = |bench: &mut Bench, id| {
        let now = bench.now;
        bench.it().order(WATER, Action::CloseValve, DAY, command(id), &key(), now).unwrap()
    };
    let first = order(&mut bench, 1);
    bench.restart();
    assert_eq!(order(&mut bench, 1), first);
    assert_ne!(order(&mut bench, 2).id, first.id);
    bench.speak(9);
    assert_eq!(order(&mut bench, 1).state.name(), "succeeded");
    assert_eq!((bench.states().len(), bench.order(Action::CloseValve).unwrap().id), (2, first.id + 2));
}

#[test]
fn every_state_is_told() {
    let mut bench = Bench::new(false);
    bench.order(Action::OpenValve).unwrap();
    bench.speak(9);
    let told: Vec<_> = std::iter::from_fn(|| bench.it().poll_news())
        .map(|news| match news {
            News::Order(order) => order.state.name(),
            News::Bound(_) => "bound",
        })
        .collect();
    assert_eq!(told, ["sent", "delivered", "succeeded"]);
}

#[test]
fn orders_are_cancelled_expire_and_are_refused() {
    let mut bench = Bench::new(true);
    let first = bench.order(Action::CloseValve).unwrap().id;
    let second = bench.order(Action::RequestData).unwrap().id;
    assert_ne!(first, second);
    let now = bench.now;
    bench.it().cancel(second, now).unwrap();
    assert!(matches!(bench.it().cancel(second, now), Err(OrderError::NotWaiting(id)) if id == second));
    let due = bench.two_way.as_ref().unwrap().poll_timeout(now).unwrap();
    assert_eq!(due, now.mono + DAY);
    bench.pass(DAY);
    let now = bench.now;
    bench.it().handle_timeout(now);
    assert_eq!(bench.states(), ["expired", "cancelled"]);
    assert_eq!(bench.two_way.as_ref().unwrap().poll_timeout(now), None);

    bench.now.quality = TimeQuality::Unsynchronised;
    assert!(matches!(bench.order(Action::SetClock), Err(OrderError::Clock)));
    let unprotected = bench.it().order(WATER, Action::CloseValve, DAY, None, &wmbus::NoKeys, now);
    assert!(matches!(unprotected, Err(OrderError::Refused(Refused::Unprotected))));
    let gas = Address { device_type: 3, ..WATER };
    let opened = bench.it().order(gas, Action::OpenValve, DAY, None, &key(), now);
    assert!(matches!(opened, Err(OrderError::Refused(Refused::DirectGasOpening))));
    for _ in 0..PER_METER {
        bench.order(Action::RequestData).unwrap();
    }
    assert!(matches!(bench.order(Action::RequestData), Err(OrderError::Refused(Refused::TooMany))));
}

#[test]
fn a_meter_with_a_key_that_speaks_plainly_is_told_nothing() {
    let mut bench = Bench::new(true);
    bench.order(Action::CloseValve).unwrap();
    bench.meter = TwoWayMeter::new(WATER, None, false, WINDOW);
    bench.speak(9);
    assert_eq!((bench.states(), bench.meter.witness().executed), (vec!["queued"], 0));
}

#[test]
fn a_damaged_journal_is_not_begun_anew_by_itself() {
    let mut bench = Bench::new(true);
    bench.order(Action::CloseValve).unwrap();
    bench.order(Action::RequestData).unwrap();
    bench.two_way = None;
    let path = bench.directory.path().join("orders");
    let mut octets = std::fs::read(&path).unwrap();
    octets[20] ^= 1;
    std::fs::write(&path, &octets).unwrap();
    let opened = TwoWay::open(bench.directory.path(), OWN, bench.now);
    assert!(matches!(opened, Err(JournalError::Damaged { .. })));
}

#[test]
fn what_is_over_is_forgotten_in_the_end_and_no_number_is_given_twice() {
    let mut bench = Bench::new(true);
    let mut last = 0;
    for _ in 0..2 * ENDED {
        let id = bench.order(Action::RequestData).unwrap().id;
        assert!(id > last);
        last = id;
        let now = bench.now;
        bench.it().cancel(id, now).unwrap();
    }
    bench.restart();
    assert_eq!(bench.it().orders().count(), ENDED);
    assert!(bench.order(Action::RequestData).unwrap().id > last);
}
