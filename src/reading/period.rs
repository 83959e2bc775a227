//! The dates of stored values: what storage numbers mean in time. For display only; a reading itself never carries a
//! date that the meter did not send with it.
//!
//! EN 13757-3 dates a stored value by a date record with the same storage number, or by one base date and the storage
//! interval (FD 24 to FD 29), the following storage numbers going back in time. Some models send neither.

use jiff::civil::Date;
use jiff::{Span, ToSpan};

use super::{CivilDate, CivilTime, Function, MeterId, Quality, Reading, Unit, Value};

/// A date, with the time of day where the meter sent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    date: CivilDate,
    time: Option<CivilTime>,
}

/// The moment of each stored value in `readings`, all of one telegram, in the meter's own time, ISO 8601; None for
/// current values and where it is not known.
pub fn stored_at(readings: &[Reading]) -> Vec<Option<String>> {
    let series = Series::announced(readings).or_else(|| Series::of_model(readings));
    readings
        .iter()
        .map(|reading| {
            let storage = reading.register.storage;
            if storage == 0 || moment(reading).is_some() {
                return None;
            }
            let sent = sent_for(readings, reading).map(|moment| match moment.time {
                Some(time) => time.to_string(),
                None => moment.date.to_string(),
            });
            sent.or_else(|| series.as_ref().and_then(|series| series.date(storage)).map(|date| date.to_string()))
        })
        .collect()
}

/// Values at regular steps back from a base.
#[derive(Debug)]
struct Series {
    base: Date,
    /// The storage number whose value is of the base date.
    base_storage: u32,
    /// The first and the last storage number of the series.
    first: u32,
    last: u32,
    step: Span,
}

impl Series {
    /// By a storage interval and the date with the same storage number.
    fn announced(readings: &[Reading]) -> Option<Self> {
        let interval = readings.iter().find(|reading| reading.register.quantity == "storage_interval")?;
        let Value::Decimal { mantissa, scaler: 0 } = interval.value else { return None };
        let count = i32::try_from(mantissa).ok().filter(|count| (1..=MAX_COUNT).contains(count))?;
        let step = match interval.register.unit {
            Unit::DAY => count.days(),
            Unit::MONTH => count.months(),
            Unit::YEAR => count.years(),
            _ => return None,
        };
        let base = sent_for(readings, interval)?;
        let base_storage = interval.register.storage;
        Some(Self { base: civil(base.date)?, base_storage, first: base_storage, last: u32::MAX, step })
    }

    /// By what is known of the model.
    fn of_model(readings: &[Reading]) -> Option<Self> {
        let id = readings.first()?.source.meter;
        let model = MODELS.iter().find(|model| model.is(&id))?;
        let (base, first) = match model.base {
            // Storage number 1 is that of the due date, which the meter sends or has not yet.
            Base::Clock => (readings.first()?.source.meter_time?.civil.date, 2),
            Base::SetDate => {
                let is_set_date = |reading: &&Reading| reading.register.storage == 1 && moment(reading).is_some();
                (moment(readings.iter().find(is_set_date)?)?.date, 1)
            }
        };
        Some(Self { base: civil(base)?, base_storage: 1, first, last: model.last, step: 1.month() })
    }

    fn date(&self, storage: u32) -> Option<Date> {
        if !(self.first..=self.last).contains(&storage) {
            return None;
        }
        let steps = i64::from(storage.checked_sub(self.base_storage)?);
        let date = self.base.checked_sub(self.step.checked_mul(steps).ok()?).ok()?;
        // From the last day of a month one goes to the last day of another.
        let is_month_end = self.base == self.base.last_of_month() && self.step.get_days() == 0;
        Some(if is_month_end { date.last_of_month() } else { date })
    }
}

/// The valid date record that has the storage number, tariff and subunit of `reading`, or at least its storage number.
fn sent_for(readings: &[Reading], reading: &Reading) -> Option<Moment> {
    let wanted = &reading.register;
    let dates = || {
        let of_storage = readings.iter().filter(|other| other.register.storage == wanted.storage);
        of_storage.filter_map(|other| Some((&other.register, moment(other)?)))
    };
    let exact = dates().find(|(register, _)| (register.tariff, register.subunit) == (wanted.tariff, wanted.subunit));
    exact.or_else(|| dates().next()).map(|(_, moment)| moment)
}

/// The date that a date record says of the values with its storage number.
fn moment(reading: &Reading) -> Option<Moment> {
    let register = &reading.register;
    let is_invalid = reading.quality.contains(Quality::INVALID);
    if is_invalid || !register.modifier.is_empty() || register.function != Function::Instantaneous {
        return None;
    }
    match reading.value {
        Value::Date(date) => Some(Moment { date, time: None }),
        Value::DateTime(time) => Some(Moment { date: time.date, time: Some(time) }),
        _ => None,
    }
}

fn civil(date: CivilDate) -> Option<Date> {
    Date::new(i16::try_from(date.year).ok()?, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
}

/// A model that sends monthly values without dates: storage number n is n - 1 months before the base.
#[derive(Debug)]
struct Model {
    manufacturer: &'static str,
    versions: &'static [u8],
    device_types: &'static [u8],
    base: Base,
    last: u32,
}

#[derive(Debug)]
enum Base {
    /// The meter's clock at transmission.
    Clock,
    /// The date with storage number 1.
    SetDate,
}

impl Model {
    fn is(&self, id: &MeterId) -> bool {
        let MeterId::MBus { manufacturer, version, device_type, .. } = id else { return false };
        self.manufacturer.parse() == Ok(*manufacturer)
            && self.versions.contains(version)
            && self.device_types.contains(device_type)
    }
}

/// Known from public decoders of these meters, not from their makers.
const MODELS: &[Model] = &[
    Model { manufacturer: "DWZ", versions: &[0x00, 0x02], device_types: &[0x06, 0x07], base: Base::Clock, last: 16 },
    Model { manufacturer: "EFE", versions: &[0x03, 0x70], device_types: &[0x06, 0x07], base: Base::Clock, last: 16 },
    Model { manufacturer: "MAD", versions: &[0x00], device_types: &[0x04], base: Base::SetDate, last: 31 },
];

/// Days, months or years in one step; more is no storage interval.
const MAX_COUNT: i32 = 366;

#[cfg(test)]
mod tests;
