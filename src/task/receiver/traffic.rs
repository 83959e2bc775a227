//! What a receiver is expected to hear: telegrams an hour, learned for each hour of the day.
//!
//! The rate of an hour is an exponentially weighted mean over the days, and beside it there is one over the last hours;
//! the lower one counts, so that neither a quiet night nor meters that are gone are missed for long. Only time in which
//! the receiver listened teaches. Days are of 24 hours since the start: the unit's clock may step.

use std::time::{Duration, Instant};

use bytes::{Buf, BufMut};

use crate::clock::Now;

#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// How long an hour is.
    hour: Duration,
    /// Telegrams an hour at each hour of the day; None before the first day.
    hours: [Option<f64>; HOURS],
    /// Telegrams an hour of late.
    recent: Option<f64>,
    /// Number of the hour in hand.
    number: u64,
    begin: Instant,
    at: Instant,
    is_listening: bool,
    /// In the hour in hand.
    telegrams: u64,
    listened: Duration,
    /// Telegrams that were expected since the last one.
    missing: f64,
}

impl Traffic {
    pub(super) fn new(hour: Duration, now: Instant) -> Self {
        Self {
            hour,
            hours: [None; HOURS],
            recent: None,
            number: 0,
            begin: now,
            at: now,
            is_listening: false,
            telegrams: 0,
            listened: Duration::ZERO,
            missing: 0.0,
        }
    }

    /// Whether the receiver listens from now on.
    pub(super) fn listen(&mut self, is_listening: bool, now: Instant) {
        self.advance(now);
        self.is_listening = is_listening;
    }

    pub(super) fn hear(&mut self, now: Instant) {
        self.advance(now);
        self.telegrams += 1;
        self.missing = 0.0;
    }

    /// Telegrams an hour; None before anything is known.
    pub(super) fn expected(&self) -> Option<f64> {
        // A part of the first hour is better than nothing.
        let is_enough = self.listened >= self.hour / FIRST_PART;
        let first = is_enough.then(|| self.telegrams as f64 * ratio(self.hour, self.listened));
        let recent = self.recent.or(first)?;
        let usual = self.hours.get(self.hour_of_day()).copied().flatten();
        Some(usual.map_or(recent, |usual| usual.min(recent)))
    }

    /// Telegrams that should have been heard since the last one.
    pub(super) fn missing(&mut self, now: Instant) -> f64 {
        self.advance(now);
        self.missing
    }

    /// When so many will be missing; the end of the hour, which changes the rate, if that is sooner. None while nothing
    /// is expected.
    pub(super) fn when_missing(&self, count: f64) -> Option<Instant> {
        if !self.is_listening {
            return None;
        }
        let rate = self.expected().unwrap_or(0.0);
        let wait = ((count - self.missing).max(0.0) / rate).min(1.0);
        let wait = if wait.is_finite() { self.hour.mul_f64(wait) } else { self.hour };
        Some((self.at + wait).min(self.begin + self.hour))
    }

    /// Hours since the first one.
    pub(super) fn hour(&self) -> u64 {
        self.number
    }

    /// What was learned, for [`Self::restore`]: version, UTC of the hour in hand in milliseconds, its number, then
    /// telegrams an hour of late and at each hour of the day; little endian.
    pub(super) fn emit(&self, now: Now) -> Vec<u8> {
        let passed = now.mono.saturating_duration_since(self.begin).as_millis();
        let begin_ms = now.utc_ms.saturating_sub(i64::try_from(passed).unwrap_or(0));
        let mut out = Vec::with_capacity(OCTETS);
        out.put_u8(VERSION);
        out.put_i64_le(begin_ms);
        out.put_u64_le(self.number);
        for rate in [self.recent].iter().chain(&self.hours) {
            out.put_f64_le(rate.unwrap_or(UNKNOWN));
        }
        out
    }

    /// Goes on with what an earlier run learned. False: these octets are not that, and nothing has changed.
    pub(super) fn restore(&mut self, mut octets: &[u8], now: Now) -> bool {
        if octets.len() != OCTETS || octets.try_get_u8() != Ok(VERSION) {
            return false;
        }
        let (begin_ms, number) = (octets.get_i64_le(), octets.get_u64_le());
        let mut rates =
            std::iter::from_fn(|| octets.try_get_f64_le().ok()).map(|rate| Some(rate).filter(|rate| *rate >= 0.0));
        let (recent, hours) = (rates.next().flatten(), std::array::from_fn(|_| rates.next().flatten()));
        if [recent].iter().chain(&hours).flatten().any(|rate| !rate.is_finite()) {
            return false;
        }
        // A clock that was set back tells of no hour.
        let passed = Duration::from_millis(u64::try_from(now.utc_ms.saturating_sub(begin_ms)).unwrap_or(0));
        let passed_hours = passed.as_nanos() / self.hour.as_nanos().max(1);
        let into = passed.saturating_sub(self.hour.saturating_mul(u32::try_from(passed_hours).unwrap_or(u32::MAX)));
        (self.recent, self.hours) = (recent, hours);
        self.number = number.wrapping_add(u64::try_from(passed_hours).unwrap_or(0));
        self.begin = now.mono.checked_sub(into.min(self.hour)).unwrap_or(now.mono);
        self.at = now.mono;
        true
    }

    fn hour_of_day(&self) -> usize {
        (self.number % HOURS as u64) as usize
    }

    fn advance(&mut self, now: Instant) {
        while self.begin + self.hour <= now {
            self.pass(self.begin + self.hour);
            self.close();
        }
        self.pass(now);
    }

    fn pass(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.at);
        if self.is_listening {
            self.missing += self.expected().unwrap_or(0.0) * ratio(time, self.hour);
            self.listened += time;
        }
        self.at += time;
    }

    /// The hour is over, and taught what it can.
    fn close(&mut self) {
        if self.listened >= self.hour / 2 {
            let rate = self.telegrams as f64 * ratio(self.hour, self.listened);
            let learned = |known: Option<f64>| Some(known.map_or(rate, |known| known + (rate - known) * WEIGHT));
            let hour_of_day = self.hour_of_day();
            if let Some(hour) = self.hours.get_mut(hour_of_day) {
                *hour = learned(*hour);
            }
            self.recent = learned(self.recent);
        }
        self.begin += self.hour;
        self.number += 1;
        self.telegrams = 0;
        self.listened = Duration::ZERO;
    }
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() / whole.as_secs_f64()
}

const HOURS: usize = 24;
const VERSION: u8 = 1;
const OCTETS: usize = 1 + 8 + 8 + 8 * (1 + HOURS);
/// In the place of a rate that was not learned.
const UNKNOWN: f64 = -1.0;
/// How much the newest hour weighs.
const WEIGHT: f64 = 0.25;
/// Of the first hour this part must have passed.
const FIRST_PART: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A listening receiver and a clock that the test moves.
    struct Bench {
        traffic: Traffic,
        now: Instant,
    }

    impl Bench {
        #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
        fn new() -> Self {
            let now = Instant::now();
            let mut traffic = Traffic::new(HOUR, now);
            traffic.listen(true, now);
            Self { traffic, now }
        }

        /// An hour with so many telegrams, evenly.
        fn hour(&mut self, telegrams: u32) {
            let begin = self.now;
            for number in 0..telegrams {
                self.traffic.hear(begin + HOUR.mul_f64((f64::from(number) + 0.5) / f64::from(telegrams)));
            }
            self.now = begin + HOUR;
            self.traffic.listen(true, self.now);
        }

        #[track_caller]
        fn check(&self, expected: f64) {
            let rate = self.traffic.expected().unwrap_or(-1.0);
            assert!((rate - expected).abs() < 0.01 * expected.max(1.0), "{rate} and not {expected}");
        }
    }

    #[test]
    fn a_rate_is_known_after_a_part_of_the_first_hour() {
        let mut bench = Bench::new();
        for _ in 0..20 {
            assert_eq!(bench.traffic.expected(), None);
            bench.now += HOUR / 120;
            bench.traffic.hear(bench.now);
        }
        bench.check(120.0);
    }

    fn now(mono: Instant, utc_ms: i64) -> Now {
        let quality = crate::reading::TimeQuality::Synchronised;
        Now { mono, boot_id: [0; 16], boot_ms: 0, utc_ms, quality }
    }

    #[test]
    fn what_was_learned_is_known_after_a_restart_at_its_hour_of_the_day() {
        let mut bench = Bench::new();
        for hour in 0..48 {
            bench.hour(if hour % 24 < 12 { 120 } else { 10 });
        }
        let utc_ms = 1_800_000_000_000;
        let octets = bench.traffic.emit(now(bench.now, utc_ms));
        // Half an hour, and twelve and a half.
        for (away_ms, hour) in [(1_800_000, 48), (45_000_000, 60)] {
            let mut restarted = Traffic::new(HOUR, bench.now);
            assert!(restarted.restore(&octets, now(bench.now, utc_ms + away_ms)));
            assert_eq!((restarted.hour(), restarted.hours), (hour, bench.traffic.hours));
            assert_eq!(restarted.recent, bench.traffic.recent);
            let expected = restarted.expected().unwrap();
            assert!(expected <= restarted.hours[hour as usize % 24].unwrap(), "{expected}");
            restarted.listen(true, bench.now);
            assert_eq!(
                restarted.when_missing(1e9),
                Some(bench.now + HOUR / 2),
                "the hour in hand ends when it would have"
            );
        }
        // The clock was set back, or the file is another one: nothing bad comes of it.
        let mut restarted = Traffic::new(HOUR, bench.now);
        assert!(restarted.restore(&octets, now(bench.now, 0)) && restarted.hour() == 48);
        for end in 0..octets.len() {
            assert!(!Traffic::new(HOUR, bench.now).restore(&octets[..end], now(bench.now, utc_ms)));
        }
        for place in 0..octets.len() {
            for value in [0, 0x7f, 0xff] {
                let mut octets = octets.clone();
                octets[place] = value;
                let mut other = Traffic::new(HOUR, bench.now);
                other.restore(&octets, now(bench.now, utc_ms));
                other.listen(true, bench.now);
                other.hear(bench.now + HOUR * 2);
                assert!(other.expected().is_none_or(|rate| rate >= 0.0));
            }
        }
    }

    #[test]
    fn what_is_missing_grows_with_the_rate_and_a_telegram_ends_it() {
        let mut bench = Bench::new();
        bench.hour(60);
        bench.check(60.0);
        bench.traffic.hear(bench.now);
        assert_eq!(bench.traffic.when_missing(12.0), Some(bench.now + HOUR / 5));
        let later = bench.now + HOUR / 4;
        assert!((bench.traffic.missing(later) - 15.0).abs() < 0.01);
        bench.traffic.hear(later);
        assert!(bench.traffic.missing(later) < 0.01);
        assert_eq!(bench.traffic.when_missing(100.0), Some(bench.now + HOUR), "the hour ends before");
    }

    #[test]
    fn a_quiet_night_is_learned_in_a_day() {
        let mut bench = Bench::new();
        for _ in 0..3 {
            (0..HOURS).for_each(|hour| bench.hour(if hour < 8 { 4 } else { 400 }));
        }
        bench.check(4.0);
        (0..8).for_each(|_| bench.hour(4));
        // By day as many as of late, and no more than is usual.
        let day = bench.traffic.expected().unwrap();
        assert!((4.0..=400.0).contains(&day), "{day}");
    }

    #[test]
    fn time_in_which_it_did_not_listen_teaches_nothing_and_misses_nothing() {
        let mut bench = Bench::new();
        bench.hour(60);
        bench.traffic.listen(false, bench.now);
        let missing = bench.traffic.missing(bench.now);
        bench.now += HOUR * 50;
        assert_eq!(bench.traffic.missing(bench.now), missing);
        assert_eq!(bench.traffic.when_missing(1.0), None);
        bench.traffic.listen(true, bench.now);
        bench.check(60.0);
    }

    #[test]
    fn meters_that_are_gone_are_expected_no_more_after_a_day() {
        let mut bench = Bench::new();
        bench.hour(600);
        (0..HOURS).for_each(|_| bench.hour(0));
        assert!(bench.traffic.expected().unwrap() < 1.0, "{:?}", bench.traffic);
        assert!(bench.traffic.missing(bench.now) < 3_000.0);
    }

    #[test]
    fn without_any_traffic_nothing_is_expected() {
        let mut bench = Bench::new();
        bench.hour(0);
        bench.check(0.0);
        assert_eq!(bench.traffic.when_missing(12.0), Some(bench.now + HOUR));
    }
}
