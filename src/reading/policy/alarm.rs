//! What passes under every rule: changes of the status octet and of the error flags.

use crate::reading::{EventKind, MeterId, Reading, Register, Source, Value};
use crate::store::Lane;

/// The last status and flags of one meter.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    /// 0 before the first telegram: a meter that is first heard with an alarm is news.
    status: u8,
    flags: Vec<(Register, Value)>,
}

impl Alarms {
    pub(super) fn status(&mut self, source: &Source) -> Option<(Lane, EventKind)> {
        let current = *source.status.first()?;
        let previous = std::mem::replace(&mut self.status, current);
        (previous != current)
            .then(|| (urgency(&source.meter, previous, current), EventKind::StatusChanged { previous, current }))
    }

    /// The readings of error flags that changed.
    pub(super) fn flags(&mut self, readings: &[Reading]) -> Vec<Reading> {
        readings
            .iter()
            .filter(|reading| reading.register.quantity == ERROR_FLAGS && self.is_news(reading))
            .cloned()
            .collect()
    }

    fn is_news(&mut self, reading: &Reading) -> bool {
        if let Some((_, known)) = self.flags.iter_mut().find(|(register, _)| *register == reading.register) {
            let changed = *known != reading.value;
            known.clone_from(&reading.value);
            return changed;
        }
        if self.flags.len() < MAX_FLAGS {
            self.flags.push((reading.register.clone(), reading.value.clone()));
        }
        !is_clear(&reading.value)
    }
}

/// The lane of a change of status. EN 13757-3: bits 0-1 are a number, 3 being an abnormal condition, that is an alarm.
fn urgency(meter: &MeterId, previous: u8, current: u8) -> Lane {
    let alarm = |status: u8| status & 3 == 3;
    if alarm(previous) == alarm(current) {
        return Lane::Information;
    }
    match meter.device_type() {
        Some(device_type) if SAFETY.contains(&device_type) => Lane::Outage,
        _ => Lane::Security,
    }
}

fn is_clear(value: &Value) -> bool {
    match value {
        Value::Decimal { mantissa, .. } => *mantissa == 0,
        Value::Octets(octets) => octets.iter().all(|octet| *octet == 0),
        Value::None => true,
        _ => false,
    }
}

/// FD 17.
const ERROR_FLAGS: &str = "error_flags";

/// More registers of flags than this are not compared: they are news each time.
const MAX_FLAGS: usize = 8;

/// Device types of EN 13757-7 whose alarm is about life: smoke, gas, carbon monoxide and heat detectors.
const SAFETY: [u8; 4] = [0x1a, 0x1c, 0x1d, 0x1e];
