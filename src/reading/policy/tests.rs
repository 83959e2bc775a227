#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::reading::{
    Function, Link, Origin, Path, Period, Quality, Register, Security, Standing, TimeQuality, Unit, Value,
};

/// 2025-06-15 12:00:00 UTC.
const NOON_MS: i64 = 1_749_988_800_000;

/// Drives a selector through time; telegrams are (meter, status, registers), what comes out is printed.
struct Bench {
    selector: Selector,
    start: Instant,
    quality: TimeQuality,
    passed_s: u64,
}

impl Bench {
    fn new(rule: Rule, quality: TimeQuality) -> Self {
        let start = Instant::now();
        let groups = Groups { named: Vec::new(), default: Group { rule, ..Group::default() } };
        Self {
            selector: Selector::new(Arc::new(groups), 3, now(start, Duration::ZERO, quality)),
            start,
            quality,
            passed_s: 0,
        }
    }

    fn now(&self) -> Now {
        now(self.start, Duration::from_secs(self.passed_s), self.quality)
    }

    /// Lets time pass to `second`, with all timeouts on the way, and says what they released.
    fn pass(&mut self, second: u64) -> Vec<String> {
        let end = self.start + Duration::from_secs(second);
        while let Some(at) = self.selector.poll_timeout().filter(|at| *at <= end) {
            self.selector.handle_timeout(now(self.start, at - self.start, self.quality));
        }
        self.passed_s = second;
        self.drain()
    }

    fn hear(&mut self, meter: u32, status: u8, registers: &[(&'static str, i64)]) -> Vec<String> {
        let source = Arc::new(Source {
            meter: id(meter),
            origin: Origin::Spontaneous,
            path: Path::Direct,
            standing: Standing::Sole,
            meter_time: None,
            received: self.now().received(),
            status: vec![status],
            links: vec![Link { receiver: "roof".into(), rssi_dbm: Some(-70), lqi: None }],
            hops: None,
            security: Security::Decrypted,
            access_number: Some(1),
            evidence: None,
        });
        let readings = registers.iter().map(|(quantity, mantissa)| reading(&source, quantity, *mantissa)).collect();
        let now = self.now();
        self.selector.offer(&source, readings, now);
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.selector.poll_event()).map(|selected| print(&selected)).collect()
    }
}

fn now(start: Instant, passed: Duration, quality: TimeQuality) -> Now {
    let passed_ms = u64::try_from(passed.as_millis()).unwrap();
    Now {
        mono: start + passed,
        boot_id: [1; 16],
        boot_ms: passed_ms,
        utc_ms: NOON_MS + i64::try_from(passed_ms).unwrap(),
        quality,
    }
}

fn id(meter: u32) -> MeterId {
    MeterId::MBus {
        manufacturer: crate::reading::Manufacturer(0x2c2d),
        identification: meter,
        version: 1,
        device_type: if meter == 0xa1a2 { 0x1a } else { 7 },
    }
}

fn reading(source: &Arc<Source>, quantity: &'static str, mantissa: i64) -> Reading {
    Reading {
        source: Arc::clone(source),
        register: Register {
            obis: None,
            quantity: quantity.into(),
            unit: Unit::NONE,
            function: Function::Instantaneous,
            storage: 0,
            tariff: 0,
            subunit: 0,
            modifier: "".into(),
        },
        value: Value::Decimal { mantissa, scaler: 0 },
        interval: None,
        quality: Quality::GOOD,
    }
}

fn print(selected: &Selected) -> String {
    match selected {
        Selected::Event(lane, event) => format!("{lane} {:?}", event.kind),
        Selected::Readings(readings) => {
            let values: Vec<_> = readings
                .iter()
                .map(|reading| match reading.value {
                    Value::Decimal { mantissa, .. } => format!("{}={mantissa}", reading.register.quantity),
                    _ => unreachable!(),
                })
                .collect();
            let first = readings.first().unwrap();
            let at = first.interval.map(|interval| (interval.end_utc - NOON_MS / 1000, interval.length_s));
            format!("{:?} at {at:?}: {}", first.source.origin, values.join(" "))
        }
    }
}

#[test]
fn a_snapshot_is_the_last_telegram_before_the_boundary() {
    let mut bench = Bench::new(Rule::Snapshot(Period::QUARTER), TimeQuality::Synchronised);
    assert!(bench.hear(1, 0, &[("volume", 5)]).is_empty());
    assert_eq!(bench.pass(100), ["Snapshot at Some((0, 0)): volume=5"], "what is heard at the boundary belongs to it");
    assert!(bench.hear(1, 0, &[("volume", 6)]).is_empty());
    assert!(bench.pass(700).is_empty());
    assert!(bench.hear(1, 0, &[("volume", 7)]).is_empty());
    assert_eq!(bench.pass(901), ["Snapshot at Some((900, 0)): volume=7"]);
    assert!(bench.pass(1801).is_empty(), "nothing heard, nothing repeated");
    assert_eq!(bench.selector.poll_timeout(), None);
}

#[test]
fn a_late_driver_still_releases_the_snapshot_before_the_next_telegram() {
    let mut bench = Bench::new(Rule::Snapshot(Period::QUARTER), TimeQuality::Synchronised);
    bench.passed_s = 800;
    assert!(bench.hear(1, 0, &[("volume", 6)]).is_empty());
    bench.passed_s = 950;
    assert_eq!(bench.hear(1, 0, &[("volume", 7)]), ["Snapshot at Some((900, 0)): volume=6"]);
}

#[test]
fn telegrams_that_take_turns_are_all_in_the_snapshot() {
    let mut bench = Bench::new(Rule::Snapshot(Period::HOUR), TimeQuality::Synchronised);
    bench.passed_s = 10;
    assert!(bench.hear(1, 0, &[("volume", 5)]).is_empty());
    assert!(bench.hear(1, 0, &[("fabrication_number", 77)]).is_empty());
    assert!(bench.hear(1, 0, &[("volume", 6)]).is_empty());
    assert_eq!(
        bench.pass(3601),
        ["Snapshot at Some((3600, 0)): fabrication_number=77", "Snapshot at Some((3600, 0)): volume=6"]
    );
}

#[test]
fn without_a_clock_the_boundaries_count_from_the_start() {
    let mut bench = Bench::new(Rule::Snapshot(Period::QUARTER), TimeQuality::Unsynchronised);
    bench.pass(100);
    assert!(bench.hear(1, 0, &[("volume", 5)]).is_empty());
    assert_eq!(bench.pass(901), ["Snapshot at None: volume=5"]);
}

#[test]
fn a_clock_that_is_set_between_reception_and_boundary_does_no_harm() {
    let mut bench = Bench::new(Rule::Snapshot(Period::QUARTER), TimeQuality::Unsynchronised);
    bench.pass(100);
    assert!(bench.hear(1, 0, &[("volume", 5)]).is_empty());
    bench.quality = TimeQuality::Synchronised;
    bench.pass(200);
    assert!(bench.hear(1, 0, &[("volume", 6)]).is_empty());
    assert_eq!(bench.pass(901), ["Snapshot at Some((900, 0)): volume=6"]);
}

#[test]
fn a_stop_releases_what_is_held() {
    let mut bench = Bench::new(Rule::Snapshot(Period::HOUR), TimeQuality::Synchronised);
    bench.pass(5);
    bench.hear(1, 0, &[("volume", 5)]);
    let now = bench.now();
    bench.selector.finish(now);
    assert_eq!(bench.drain(), ["Snapshot at Some((3600, 0)): volume=5"]);
}

#[test]
fn only_changes_pass_and_the_clock_goes_with_them() {
    let mut bench = Bench::new(Rule::Change, TimeQuality::Synchronised);
    assert_eq!(
        bench.hear(1, 0, &[("volume", 5), ("date_time", 1), ("flow", 0)]),
        ["Spontaneous at None: volume=5 date_time=1 flow=0"]
    );
    assert!(bench.hear(1, 0, &[("volume", 5), ("date_time", 2), ("flow", 0)]).is_empty());
    assert_eq!(
        bench.hear(1, 0, &[("volume", 6), ("date_time", 3), ("flow", 0)]),
        ["Spontaneous at None: volume=6 date_time=3"]
    );
    assert!(bench.hear(1, 0, &[("volume", 6)]).is_empty(), "another kind of telegram repeats nothing");
}

#[test]
fn registers_that_a_telegram_has_twice_are_compared_in_turn() {
    let mut bench = Bench::new(Rule::Change, TimeQuality::Synchronised);
    bench.hear(1, 0, &[("volume", 5), ("volume", 6)]);
    assert!(bench.hear(1, 0, &[("volume", 5), ("volume", 6)]).is_empty());
}

#[test]
fn the_first_and_every_nth_telegram_passes() {
    let mut bench = Bench::new(Rule::Every(NonZeroU32::new(3).unwrap()), TimeQuality::Synchronised);
    let passed: Vec<_> = (0..7).map(|n| bench.hear(1, 0, &[("volume", n)]).len()).collect();
    assert_eq!(passed, [1, 0, 0, 1, 0, 0, 1]);
}

#[test]
fn all_telegrams_pass_under_all() {
    let mut bench = Bench::new(Rule::All, TimeQuality::Synchronised);
    assert_eq!(bench.hear(1, 0, &[("volume", 5)]), ["Spontaneous at None: volume=5"]);
    assert_eq!(bench.hear(1, 0, &[("volume", 5)]), ["Spontaneous at None: volume=5"]);
}

#[test]
fn changes_of_status_pass_at_once_in_the_lane_of_their_urgency() {
    let mut bench = Bench::new(Rule::Snapshot(Period::HOUR), TimeQuality::Synchronised);
    assert!(bench.hear(1, 0, &[]).is_empty());
    assert_eq!(bench.hear(1, 4, &[]), ["p3 StatusChanged { previous: 0, current: 4 }"], "battery");
    assert!(bench.hear(1, 4, &[]).is_empty());
    assert_eq!(bench.hear(1, 7, &[]), ["p1 StatusChanged { previous: 4, current: 7 }"], "alarm");
    assert_eq!(bench.hear(1, 4, &[]), ["p1 StatusChanged { previous: 7, current: 4 }"], "alarm over");
    assert_eq!(bench.hear(0xa1a2, 3, &[]), ["p0 StatusChanged { previous: 0, current: 3 }"], "a smoke alarm");
    assert_eq!(bench.hear(1, 5, &[]), ["p3 StatusChanged { previous: 4, current: 5 }"], "busy is no alarm");
}

#[test]
fn changes_of_error_flags_pass_at_once() {
    let mut bench = Bench::new(Rule::Snapshot(Period::HOUR), TimeQuality::Synchronised);
    bench.pass(5);
    assert!(bench.hear(1, 0, &[("volume", 5), ("error_flags", 0)]).is_empty());
    assert_eq!(bench.hear(1, 0, &[("volume", 5), ("error_flags", 8)]), ["Spontaneous at None: error_flags=8"]);
    assert!(bench.hear(1, 0, &[("volume", 5), ("error_flags", 8)]).is_empty());
    assert_eq!(bench.hear(1, 0, &[("volume", 6), ("error_flags", 0)]), ["Spontaneous at None: error_flags=0"]);
    assert_eq!(bench.pass(3601), ["Snapshot at Some((3600, 0)): volume=6 error_flags=0"]);
}

#[test]
fn beyond_the_limit_the_most_silent_meter_is_released_and_forgotten() {
    let mut bench = Bench::new(Rule::Snapshot(Period::HOUR), TimeQuality::Synchronised);
    for meter in 1..=3 {
        bench.pass(u64::from(meter));
        assert!(bench.hear(meter, 0, &[("volume", i64::from(meter))]).is_empty());
    }
    bench.pass(4);
    assert_eq!(bench.hear(4, 0, &[("volume", 4)]), ["Snapshot at Some((3600, 0)): volume=1"]);
    assert_eq!(bench.selector.meters.len(), 3);
}
