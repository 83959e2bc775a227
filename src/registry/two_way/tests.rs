//! Orders and an emulated meter, with a clock that the test moves and files that survive it.

use hex_literal::hex;
use wmbus::sim::TwoWayMeter;
use wmbus::{Form, Scratch};

use super::*;

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
    now: Now,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    fn new(is_mode_7: bool) -> Self {
        let quality = TimeQuality::Synchronised;
        let now = Now { mono: Instant::now(), boot_id: [0; 16], boot_ms: 0, utc_ms: 1_800_000_000_000, quality };
        let directory = tempfile::tempdir().unwrap();
        let meter = TwoWayMeter::new(WATER, Some(key()), is_mode_7, WINDOW);
        let mut bench = Self { directory, two_way: None, meter, now };
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
            let mut scratch = Scratch::default();
            let key = key();
            let telegram = Telegram::decode_as(Form::Stripped, &frame, &key, &mut scratch).unwrap();
            let now = self.now;
            let Some(frame) = self.it().hear(&telegram, None, true, &key, now) else { continue };
            if left > 0 {
                left -= 1;
                self.meter.hear(&frame.octets, self.now.mono);
            }
        }
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
