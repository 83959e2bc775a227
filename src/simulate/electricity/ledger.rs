//! The truth of every slot of every meter, and what of it arrived.
//!
//! The truth is what the meter's registers go by, never what a parser made of an answer.

use std::collections::HashMap;

use dlms::Obis;
use dlms::sim::{Cadence, Capture, Curve, Model};

use crate::reading::{MeterId, Reading};
use crate::simulate::ledger::Amount;

/// What should arrive against what did.
#[derive(Debug)]
pub struct Ledger {
    meters: HashMap<MeterId, Truth>,
    /// How often each value of each slot arrived, and whether it came late.
    arrived: HashMap<Key, u32>,
    doubled: u64,
    strange: u64,
    samples: Vec<String>,
    /// A period, and how many values of its slots have not arrived.
    waited_for: Option<(i64, i64, u64)>,
}

/// One meter's profiles.
#[derive(Debug)]
struct Truth {
    model: Model,
    columns: Vec<(Shape, Obis, Curve)>,
}

/// Slots of one length: those of a change-over day are not all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    Period(u32),
    Day,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    meter: MeterId,
    shape: Shape,
    register: Obis,
    /// Seconds since 1970 UTC.
    end: i64,
}

/// How much of it is there. Counts are of values: one register in one slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub expected: u64,
    pub delivered: u64,
}

impl Ledger {
    pub fn new<'a>(models: impl IntoIterator<Item = &'a Model>) -> Self {
        let truth = |model: &Model| {
            let profiles = model.profiles();
            let columns = profiles.iter().flat_map(|(_, profile)| {
                let shape = match profile.cadence {
                    Cadence::Seconds(period) => Some(Shape::Period(period)),
                    Cadence::Daily => Some(Shape::Day),
                    Cadence::Monthly => None,
                };
                profile.columns.iter().filter_map(move |(object, capture)| match capture {
                    Capture::Value(curve) => Some((shape?, object.attribute.logical_name, *curve)),
                    _ => None,
                })
            });
            let columns = columns.collect();
            (MeterId::SystemTitle(model.system_title().0), Truth { model: model.clone(), columns })
        };
        Self {
            meters: models.into_iter().map(truth).collect(),
            arrived: HashMap::new(),
            doubled: 0,
            strange: 0,
            samples: Vec::new(),
            waited_for: None,
        }
    }

    /// From now on the values of these slots are waited for: those that end after `from` and not after `to`.
    pub fn wait_for(&mut self, from: i64, to: i64) {
        self.waited_for = Some((from, to, self.tally(from, to, |_| true).missing()));
    }

    /// Nothing that is waited for is missing.
    pub fn is_whole(&self) -> bool {
        self.waited_for.is_some_and(|(_, _, missing)| missing == 0)
    }

    /// Of what is waited for.
    pub fn awaited(&self) -> u64 {
        self.waited_for.map_or(0, |(_, _, missing)| missing)
    }

    /// A reading arrived, in a record that had not come before. What belongs to no slot of a profile does not count.
    pub fn arrive(&mut self, reading: &Reading) {
        let Some((key, curve)) = self.key(reading) else { return };
        let expected = i64::try_from(curve.at(key.end)).unwrap_or(i64::MAX);
        if Amount::of(&reading.value) != Some(Amount::decimal(expected, 0)) {
            self.strange += 1;
            if self.samples.len() < SAMPLES {
                let (register, value) = (key.register, &reading.value);
                self.samples.push(format!("{} {register} {}: {value}, not {expected}", key.meter, key.end));
            }
            return;
        }
        let count = self.arrived.entry(key).or_default();
        *count += 1;
        if *count > 1 {
            self.doubled += 1;
        } else if let Some((from, to, missing)) = &mut self.waited_for {
            *missing -= u64::from((*from + 1..=*to).contains(&key.end));
        }
    }

    /// The slots that ended after `from` and not after `to`, seconds since 1970 UTC, of those meters.
    pub fn tally(&self, from: i64, to: i64, is_counted: impl Fn(&MeterId) -> bool) -> Tally {
        let mut tally = Tally::default();
        for (meter, truth) in self.meters.iter().filter(|(meter, _)| is_counted(meter)) {
            for (shape, register, _) in &truth.columns {
                for end in truth.ends(*shape, from, to) {
                    let key = Key { meter: *meter, shape: *shape, register: *register, end };
                    tally.expected += 1;
                    tally.delivered += u64::from(self.arrived.contains_key(&key));
                }
            }
        }
        tally
    }

    /// Values that arrived, each counted once.
    pub fn arrived(&self) -> u64 {
        self.arrived.len() as u64
    }

    /// Values that arrived again in another record.
    pub const fn doubled(&self) -> u64 {
        self.doubled
    }

    /// Readings that arrived and that no register ever had.
    pub const fn strange(&self) -> u64 {
        self.strange
    }

    /// The first of them, for people.
    pub fn samples(&self) -> &[String] {
        &self.samples
    }

    /// The first slots that are missing, for people.
    pub fn missing(&self, from: i64, to: i64) -> Vec<String> {
        let mut missing = Vec::new();
        for (meter, truth) in &self.meters {
            for (shape, register, _) in &truth.columns {
                let is_missing = |end: &i64| {
                    !self.arrived.contains_key(&Key { meter: *meter, shape: *shape, register: *register, end: *end })
                };
                let ends = truth.ends(*shape, from, to).into_iter().filter(is_missing);
                missing.extend(
                    ends.map(|end| format!("{meter} {register} {shape:?} {end}")).take(SAMPLES - missing.len()),
                );
            }
        }
        missing
    }

    fn key(&self, reading: &Reading) -> Option<(Key, Curve)> {
        let meter = reading.source.meter;
        let interval = reading.interval.filter(|interval| interval.length_s > 0)?;
        let register = Obis(reading.register.obis?.0);
        let truth = self.meters.get(&meter)?;
        let is_meant = |shape: &Shape| match shape {
            Shape::Period(period) => *period == interval.length_s,
            // 23, 24 or 25 hours.
            Shape::Day => (82_800..=90_000).contains(&interval.length_s),
        };
        let (shape, _, curve) = truth.columns.iter().find(|(shape, name, _)| *name == register && is_meant(shape))?;
        Some((Key { meter, shape: *shape, register, end: interval.end_utc }, *curve))
    }
}

impl Truth {
    fn ends(&self, shape: Shape, from: i64, to: i64) -> Vec<i64> {
        match shape {
            Shape::Period(period) => {
                let period = i64::from(period.max(1));
                (from.div_euclid(period) + 1..=to.div_euclid(period)).map(|slot| slot * period).collect()
            }
            Shape::Day => {
                let days = from.div_euclid(DAY) - 1..=to.div_euclid(DAY) + 1;
                days.map(|day| self.model.zone.unix(day * DAY)).filter(|end| (from + 1..=to).contains(end)).collect()
            }
        }
    }
}

impl Tally {
    /// From 0 to 1; 1 where nothing was expected.
    /// None of nothing.
    pub fn completeness(&self) -> Option<f64> {
        (self.expected > 0).then(|| self.delivered as f64 / self.expected as f64)
    }

    pub const fn missing(&self) -> u64 {
        self.expected - self.delivered
    }
}

const SAMPLES: usize = 10;
const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::reading::{
        Function, Interval, Origin, Path, Quality, Received, Register, Security, Source, Standing, TimeQuality, Unit,
        Value,
    };

    fn reading(model: &Model, register: Obis, end_utc: i64, length_s: u32, mantissa: i64) -> Reading {
        Reading {
            source: Arc::new(Source {
                meter: MeterId::SystemTitle(model.system_title().0),
                origin: Origin::Profile,
                path: Path::Direct,
                standing: Standing::Sole,
                meter_time: None,
                received: Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Synchronised },
                status: Vec::new(),
                links: Vec::new(),
                hops: None,
                security: Security::Plain,
                access_number: None,
                evidence: None,
            }),
            register: Register {
                obis: Some(crate::reading::Obis(register.0)),
                quantity: "energy".into(),
                unit: Unit::WATT_HOUR,
                function: Function::Instantaneous,
                storage: 0,
                tariff: 0,
                subunit: 0,
                modifier: "".into(),
            },
            value: Value::Decimal { mantissa, scaler: 0 },
            interval: Some(Interval { end_utc, length_s }),
            quality: Quality::GOOD,
        }
    }

    #[test]
    fn every_slot_is_expected_once_and_on_change_over_days_as_many_as_there_are() {
        let model = Model::electricity(7).unwrap();
        let mut ledger = Ledger::new([&model]);
        let import = Obis::new(1, 0, 1, 8, 0, 255);
        // The night of 2026-10-25 in Berlin: 100 quarters of two registers, one day of six.
        let (from, to) = (1_792_879_200, 1_792_969_200);
        assert_eq!(ledger.tally(from, to, |_| true), Tally { expected: 206, delivered: 0 });
        ledger.wait_for(from, from + 900);
        let value = |end| model.curve(import).at(end) as i64;
        ledger.arrive(&reading(&model, import, from + 900, 900, value(from + 900)));
        assert!(!ledger.is_whole(), "there is another register");
        let export = Obis::new(1, 0, 2, 8, 0, 255);
        let other = model.curve(export).at(from + 900) as i64;
        ledger.arrive(&reading(&model, export, from + 900, 900, other));
        assert!(ledger.is_whole());
        ledger.arrive(&reading(&model, import, to, 900, value(to)));
        ledger.arrive(&reading(&model, import, to, 90_000, value(to)));
        assert_eq!((ledger.tally(from, to, |_| true).delivered, ledger.doubled(), ledger.strange()), (4, 0, 0));
        ledger.arrive(&reading(&model, import, to, 900, value(to)));
        ledger.arrive(&reading(&model, import, to, 900, value(to) + 1));
        // An instantaneous value is of no slot.
        ledger.arrive(&reading(&model, import, to, 0, 1));
        assert_eq!((ledger.arrived(), ledger.doubled(), ledger.strange()), (4, 1, 1));
        assert_eq!(ledger.missing(from, to).len(), 10);
        assert_eq!(Tally { expected: 4, delivered: 3 }.completeness(), Some(0.75));
        assert_eq!(Tally { expected: 0, delivered: 0 }.completeness(), None, "nothing is no whole");
    }
}
