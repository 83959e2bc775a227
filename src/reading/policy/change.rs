//! The rule `change`: readings pass that differ from the ones before.

use crate::reading::{Reading, Register, Value};

/// The last value of each register of one meter.
#[derive(Debug, Default)]
pub(super) struct Baseline(Vec<Known>);

#[derive(Debug)]
struct Known {
    register: Register,
    /// A telegram may have the same register more than once; the nth is compared with the nth.
    occurrence: usize,
    value: Value,
}

impl Baseline {
    /// The readings that changed; what moves by itself passes only together with another.
    pub(super) fn changed(&mut self, readings: Vec<Reading>) -> Vec<Reading> {
        let mut seen: Vec<(usize, bool)> = Vec::with_capacity(readings.len());
        for (at, reading) in readings.iter().enumerate() {
            let before = readings.iter().take(at).filter(|other| other.register == reading.register).count();
            seen.push((before, self.differs(reading, before)));
        }
        let triggered =
            seen.iter().zip(&readings).any(|((_, differs), reading)| *differs && !moves_by_itself(&reading.register));
        if !triggered {
            return Vec::new();
        }
        let mut passing = Vec::new();
        for ((occurrence, differs), reading) in seen.into_iter().zip(readings) {
            if differs {
                self.learn(&reading, occurrence);
                passing.push(reading);
            }
        }
        passing
    }

    fn differs(&self, reading: &Reading, occurrence: usize) -> bool {
        self.known(reading, occurrence).is_none_or(|known| known.value != reading.value)
    }

    fn learn(&mut self, reading: &Reading, occurrence: usize) {
        if let Some(known) = self.0.iter_mut().find(|known| known.is(reading, occurrence)) {
            known.value.clone_from(&reading.value);
        } else if self.0.len() < MAX_REGISTERS {
            self.0.push(Known { register: reading.register.clone(), occurrence, value: reading.value.clone() });
        }
    }

    fn known(&self, reading: &Reading, occurrence: usize) -> Option<&Known> {
        self.0.iter().find(|known| known.is(reading, occurrence))
    }
}

impl Known {
    fn is(&self, reading: &Reading, occurrence: usize) -> bool {
        self.occurrence == occurrence && self.register == reading.register
    }
}

/// The meter's clock and its counters of time and telegrams.
fn moves_by_itself(register: &Register) -> bool {
    register.storage == 0 && register.modifier.is_empty() && MOVING.contains(&register.quantity.as_ref())
}

const MOVING: [&str; 6] = ["access_number", "date", "date_time", "on_time", "operating_time", "time"];

/// Registers of one meter that are compared; what comes after them passes each time.
const MAX_REGISTERS: usize = 256;
