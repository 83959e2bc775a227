//! What should arrive against what did: one entry for each reading that reached the service's serial port intact.
//!
//! Entries come from the values the fleet generated. An arrived reading takes out one entry of its meter, register and
//! value; what stays is lost, what finds no entry was never sent. Memory grows with what is on its way, not with the run.

use std::collections::{BTreeMap, VecDeque};

use crate::reading::{CivilDate, CivilTime, Function, MeterId, Obis, Reading, Register, Unit, Value};

/// The register of a reading, as the truth knows it. Its function is always instantaneous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    /// The quantity's name in words of the standard.
    pub name: &'static str,
    /// Where the tables have a code, the reading must carry it.
    pub obis: Option<Obis>,
    /// None for dates, which have no unit.
    pub unit: Option<Unit>,
    pub storage: u32,
    pub tariff: u32,
}

/// A value in its one canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// `mantissa` times ten to the power of `scaler`, without zeros at the mantissa's end; build it by [`Amount::decimal`].
    Decimal {
        mantissa: i64,
        scaler: i8,
    },
    Date(CivilDate),
    DateTime(CivilTime),
}

/// A reading that must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    pub meter: MeterId,
    pub quantity: Quantity,
    pub amount: Amount,
}

/// The account of one run.
#[derive(Debug, Default)]
pub struct Ledger {
    open: BTreeMap<(MeterId, Amount), Vec<Entry>>,
    expected: u64,
    matched: u64,
    strange: u64,
    samples: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    quantity: Quantity,
    /// The numbers of the telegrams that carried it, oldest first.
    telegrams: VecDeque<u64>,
}

impl Quantity {
    fn is(&self, register: &Register) -> bool {
        self.name == register.quantity
            && self.unit.is_none_or(|unit| unit == register.unit)
            && self.obis.is_none_or(|obis| register.obis == Some(obis))
            && (self.storage, self.tariff) == (register.storage, register.tariff)
            && register.function == Function::Instantaneous
    }
}

impl Amount {
    /// `mantissa` times ten to the power of `scaler`.
    pub fn decimal(mut mantissa: i64, mut scaler: i8) -> Self {
        if mantissa == 0 {
            scaler = 0;
        }
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scaler = scaler.saturating_add(1);
        }
        Self::Decimal { mantissa, scaler }
    }

    /// Whether it is a smaller number than `other`; false for dates.
    pub fn is_less(&self, other: &Self) -> bool {
        let (Self::Decimal { mantissa: a, scaler: p }, Self::Decimal { mantissa: b, scaler: q }) = (self, other) else {
            return false;
        };
        let scaled = |mantissa: i64, scaler: i8| {
            let places = u32::from(scaler.abs_diff(*p.min(q)));
            10_i128.checked_pow(places).and_then(|factor| i128::from(mantissa).checked_mul(factor))
        };
        matches!((scaled(*a, *p), scaled(*b, *q)), (Some(a), Some(b)) if a < b)
    }

    /// None for what the fleet never sends: reals, text, octets and absent values.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Decimal { mantissa, scaler } => Some(Self::decimal(*mantissa, *scaler)),
            Value::Date(date) => Some(Self::Date(*date)),
            Value::DateTime(time) => Some(Self::DateTime(*time)),
            _ => None,
        }
    }
}

impl Ledger {
    /// Telegram `telegram` carries `readings` and is about to reach the service intact.
    pub fn expect(&mut self, telegram: u64, readings: &[Expected]) {
        for reading in readings {
            let entries = self.open.entry((reading.meter, reading.amount)).or_default();
            match entries.iter_mut().find(|entry| entry.quantity == reading.quantity) {
                Some(entry) => entry.telegrams.push_back(telegram),
                None => {
                    entries.push(Entry { quantity: reading.quantity, telegrams: VecDeque::from([telegram]) });
                }
            }
        }
        self.expected += readings.len() as u64;
    }

    /// Telegram `telegram` did not reach the service after all.
    pub fn retract(&mut self, telegram: u64, readings: &[Expected]) {
        for reading in readings {
            let key = (reading.meter, reading.amount);
            let Some(entries) = self.open.get_mut(&key) else { continue };
            if let Some(entry) = entries.iter_mut().find(|entry| entry.quantity == reading.quantity) {
                let before = entry.telegrams.len();
                entry.telegrams.retain(|number| *number != telegram);
                self.expected -= (before - entry.telegrams.len()) as u64;
            }
            entries.retain(|entry| !entry.telegrams.is_empty());
            if entries.is_empty() {
                self.open.remove(&key);
            }
        }
    }

    /// A reading arrived for the first time. True where it was expected.
    pub fn arrive(&mut self, reading: &Reading) -> bool {
        if self.strike_out(reading).is_some() {
            self.matched += 1;
            return true;
        }
        self.strange += 1;
        if self.samples.len() < SAMPLES {
            self.samples.push(describe(reading));
        }
        false
    }

    /// Readings that reached the service intact.
    pub const fn expected(&self) -> u64 {
        self.expected
    }

    /// Readings that arrived as they were sent.
    pub const fn matched(&self) -> u64 {
        self.matched
    }

    /// Readings that did not arrive, so far.
    pub const fn missing(&self) -> u64 {
        self.expected - self.matched
    }

    /// Readings that arrived and were never sent: a wrong value, register or meter.
    pub const fn strange(&self) -> u64 {
        self.strange
    }

    /// The first strange readings, for people.
    pub fn samples(&self) -> &[String] {
        &self.samples
    }

    /// What is on its way or lost, with the telegrams it was in.
    pub fn open(&self) -> impl Iterator<Item = (Expected, &VecDeque<u64>)> {
        self.open.iter().flat_map(|((meter, amount), entries)| {
            entries
                .iter()
                .map(|entry| (Expected { meter: *meter, quantity: entry.quantity, amount: *amount }, &entry.telegrams))
        })
    }

    fn strike_out(&mut self, reading: &Reading) -> Option<u64> {
        let key = (reading.source.meter, Amount::of(&reading.value)?);
        let entries = self.open.get_mut(&key)?;
        let position = entries.iter().position(|entry| entry.quantity.is(&reading.register))?;
        let entry = entries.get_mut(position)?;
        let telegram = entry.telegrams.pop_front()?;
        if entry.telegrams.is_empty() {
            entries.swap_remove(position);
        }
        if entries.is_empty() {
            self.open.remove(&key);
        }
        Some(telegram)
    }
}

fn describe(reading: &Reading) -> String {
    let register = &reading.register;
    format!(
        "{} {} {} storage {} tariff {} {:?} {:?} {}",
        reading.source.meter,
        register.quantity,
        register.obis.map_or_else(|| "without OBIS".to_owned(), |obis| obis.to_string()),
        register.storage,
        register.tariff,
        register.function,
        reading.value,
        register.unit,
    )
}

const SAMPLES: usize = 10;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::reading::{Manufacturer, Origin, Path, Quality, Received, Security, Source, Standing, TimeQuality};

    const METER: MeterId =
        MeterId::MBus { manufacturer: Manufacturer(0x2c2d), identification: 0x1234_5678, version: 1, device_type: 7 };

    fn expected(mantissa: i64) -> Expected {
        let quantity = Quantity {
            name: "volume",
            obis: Some(Obis([8, 0, 1, 0, 0, 255])),
            unit: Some(Unit(13)),
            storage: 0,
            tariff: 0,
        };
        Expected { meter: METER, quantity, amount: Amount::decimal(mantissa, -3) }
    }

    fn reading(mantissa: i64, scaler: i8) -> Reading {
        Reading {
            source: Arc::new(Source {
                meter: METER,
                origin: Origin::Spontaneous,
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
                obis: Some(Obis([8, 0, 1, 0, 0, 255])),
                quantity: "volume".into(),
                unit: Unit(13),
                function: Function::Instantaneous,
                storage: 0,
                tariff: 0,
                subunit: 0,
                modifier: "".into(),
            },
            value: Value::Decimal { mantissa, scaler },
            interval: None,
            quality: Quality::GOOD,
        }
    }

    #[test]
    fn what_arrives_takes_out_what_was_sent_whatever_its_scaler() {
        let mut ledger = Ledger::default();
        ledger.expect(1, &[expected(1_500), expected(1_501)]);
        assert!(ledger.arrive(&reading(15, -1)));
        assert!(ledger.arrive(&reading(1_501_000, -6)));
        assert_eq!((ledger.expected(), ledger.matched(), ledger.missing(), ledger.strange()), (2, 2, 0, 0));
    }

    #[test]
    fn what_did_not_reach_the_service_is_not_expected() {
        let mut ledger = Ledger::default();
        ledger.expect(1, &[expected(1), expected(2)]);
        ledger.expect(2, &[expected(2)]);
        ledger.retract(1, &[expected(1), expected(2)]);
        assert_eq!((ledger.expected(), ledger.missing(), ledger.open().count()), (1, 1, 1));
        assert!(ledger.arrive(&reading(2, -3)));
    }

    #[test]
    fn a_reading_that_was_never_sent_or_comes_again_is_strange() {
        let mut ledger = Ledger::default();
        ledger.expect(1, &[expected(1_500)]);
        assert!(!ledger.arrive(&reading(1_499, -3)));
        assert!(ledger.arrive(&reading(1_500, -3)));
        assert!(!ledger.arrive(&reading(1_500, -3)));
        let mut other = reading(1_500, -3);
        other.register.obis = None;
        ledger.expect(2, &[expected(1_500)]);
        assert!(!ledger.arrive(&other));
        assert_eq!((ledger.missing(), ledger.strange(), ledger.samples().len()), (1, 3, 3));
    }

    #[test]
    fn amounts_are_compared_as_numbers() {
        let less = |a: (i64, i8), b: (i64, i8)| Amount::decimal(a.0, a.1).is_less(&Amount::decimal(b.0, b.1));
        assert!(less((1_499, -3), (15, -1)));
        assert!(less((1_500, -3), (1_501, -3)));
        assert!(!less((1_500, -3), (15, -1)));
        assert!(less((-2, 0), (0, 5)));
        assert!(!less((3, 0), (29, -1)));
    }

    #[test]
    fn equal_readings_are_told_apart_by_their_telegrams() {
        let mut ledger = Ledger::default();
        ledger.expect(1, &[expected(7)]);
        ledger.expect(2, &[expected(7)]);
        assert!(ledger.arrive(&reading(7, -3)));
        let open: Vec<_> = ledger.open().map(|(reading, telegrams)| (reading, telegrams.clone())).collect();
        assert_eq!(open, [(expected(7), VecDeque::from([2]))]);
    }
}
