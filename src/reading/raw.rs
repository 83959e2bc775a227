//! The gate before the raw ring: which of the telegrams that nobody could decode yet are kept.
//!
//! Every meter gets one telegram an hour through (or as many as configured), the unit as a whole a bounded count and a
//! bounded number of octets, and no content twice. The hour is a sliding one by the clock that never steps. What the
//! gate refuses is counted. The ring itself is lane `raw` of the store.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::{MeterId, RawTelegram};

/// What passes within one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLimits {
    /// Telegrams of one meter; those without a readable address count together as one meter.
    pub per_meter: u32,
    /// Telegrams of all meters.
    pub telegrams: usize,
    /// Octets of all telegrams.
    pub octets: usize,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { per_meter: 1, telegrams: 10_000, octets: 2 << 20 }
    }
}

/// The answer of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawVerdict {
    Keep,
    /// The same octets passed within the hour.
    Repeated,
    /// The meter had its share of the hour.
    MeterLimit,
    /// The unit had its share of the hour.
    UnitLimit,
}

/// How often the gate gave each answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawCounters {
    pub kept: u64,
    pub repeated: u64,
    pub meter_limit: u64,
    pub unit_limit: u64,
}

#[derive(Debug)]
pub struct RawGate {
    limits: RawLimits,
    counters: RawCounters,
    /// What passed within the hour, oldest first.
    passed: VecDeque<Passed>,
    digests: HashSet<u64>,
    by_meter: HashMap<Option<MeterId>, u32>,
    octets: usize,
}

impl RawGate {
    pub fn new(limits: RawLimits) -> Self {
        Self {
            limits,
            counters: RawCounters::default(),
            passed: VecDeque::new(),
            digests: HashSet::new(),
            by_meter: HashMap::new(),
            octets: 0,
        }
    }

    /// Says whether `telegram` goes into the ring, and counts it.
    pub fn offer(&mut self, telegram: &RawTelegram, now: Instant) -> RawVerdict {
        self.forget(now);
        let verdict = self.judge(telegram, now);
        let counter = match verdict {
            RawVerdict::Keep => &mut self.counters.kept,
            RawVerdict::Repeated => &mut self.counters.repeated,
            RawVerdict::MeterLimit => &mut self.counters.meter_limit,
            RawVerdict::UnitLimit => &mut self.counters.unit_limit,
        };
        *counter += 1;
        verdict
    }

    pub fn counters(&self) -> RawCounters {
        self.counters
    }

    fn judge(&mut self, telegram: &RawTelegram, now: Instant) -> RawVerdict {
        let octets = telegram.octets.len();
        let digest = digest(&telegram.octets);
        if self.digests.contains(&digest) {
            return RawVerdict::Repeated;
        }
        if self.by_meter.get(&telegram.meter).is_some_and(|count| *count >= self.limits.per_meter) {
            return RawVerdict::MeterLimit;
        }
        if self.passed.len() >= self.limits.telegrams || self.octets + octets > self.limits.octets {
            return RawVerdict::UnitLimit;
        }
        self.digests.insert(digest);
        *self.by_meter.entry(telegram.meter).or_default() += 1;
        self.octets += octets;
        self.passed.push_back(Passed { at: now, meter: telegram.meter, digest, octets });
        RawVerdict::Keep
    }

    fn forget(&mut self, now: Instant) {
        while self.passed.front().is_some_and(|old| now.saturating_duration_since(old.at) >= HOUR) {
            let Some(old) = self.passed.pop_front() else { return };
            self.digests.remove(&old.digest);
            self.octets -= old.octets;
            if let Some(count) = self.by_meter.get_mut(&old.meter) {
                *count -= 1;
                if *count == 0 {
                    self.by_meter.remove(&old.meter);
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Passed {
    at: Instant,
    meter: Option<MeterId>,
    digest: u64,
    octets: usize,
}

fn digest(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
mod tests {
    use super::*;
    use crate::reading::{Manufacturer, Received, Security, TimeQuality};

    fn telegram(identification: u32, content: u8) -> RawTelegram {
        RawTelegram {
            meter: Some(MeterId::MBus {
                manufacturer: Manufacturer(0x2c2d),
                identification,
                version: 1,
                device_type: 7,
            }),
            received: Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Unsynchronised },
            links: Vec::new(),
            reason: Security::NoKey,
            octets: vec![content; 40],
            wize: None,
        }
    }

    #[test]
    fn every_meter_gets_one_telegram_an_hour_through() {
        let start = Instant::now();
        let minute = |n: u64| start + Duration::from_secs(60 * n);
        let mut gate = RawGate::new(RawLimits::default());
        assert_eq!(gate.offer(&telegram(1, 1), minute(0)), RawVerdict::Keep);
        assert_eq!(gate.offer(&telegram(1, 2), minute(1)), RawVerdict::MeterLimit);
        assert_eq!(gate.offer(&telegram(2, 3), minute(1)), RawVerdict::Keep);
        assert_eq!(gate.offer(&telegram(1, 2), minute(59)), RawVerdict::MeterLimit);
        assert_eq!(gate.offer(&telegram(1, 2), minute(60)), RawVerdict::Keep);
        assert_eq!(gate.counters(), RawCounters { kept: 3, repeated: 0, meter_limit: 2, unit_limit: 0 });
    }

    #[test]
    fn no_content_passes_twice_within_the_hour() {
        let start = Instant::now();
        let mut gate = RawGate::new(RawLimits { per_meter: 10, ..RawLimits::default() });
        assert_eq!(gate.offer(&telegram(1, 1), start), RawVerdict::Keep);
        assert_eq!(gate.offer(&telegram(1, 1), start), RawVerdict::Repeated);
        assert_eq!(gate.offer(&telegram(1, 2), start), RawVerdict::Keep);
        assert_eq!(gate.offer(&telegram(1, 1), start + HOUR), RawVerdict::Keep);
    }

    #[test]
    fn the_unit_as_a_whole_is_bounded_in_count_and_octets() {
        let start = Instant::now();
        let mut gate = RawGate::new(RawLimits { telegrams: 2, ..RawLimits::default() });
        let verdicts: Vec<_> = (0..3).map(|n| gate.offer(&telegram(n, n as u8), start)).collect();
        assert_eq!(verdicts, [RawVerdict::Keep, RawVerdict::Keep, RawVerdict::UnitLimit]);

        let mut gate = RawGate::new(RawLimits { octets: 100, ..RawLimits::default() });
        let verdicts: Vec<_> = (0..3).map(|n| gate.offer(&telegram(n, n as u8), start)).collect();
        assert_eq!(verdicts, [RawVerdict::Keep, RawVerdict::Keep, RawVerdict::UnitLimit]);
    }
}
