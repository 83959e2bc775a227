//! Units of the VIF tables in the enumeration of IEC 62056-6-2.

use wmbus::record::Unit as Sent;

use crate::reading::{Obis, Unit};

/// The unit of a value; gas volumes at base conditions have units of their own.
pub(super) fn unit(sent: Sent, obis: Option<Obis>) -> Unit {
    let is_corrected = obis.is_some_and(|Obis([a, _, c, d, _, _])| BASE_CONDITIONS.contains(&(a, c, d)));
    match sent {
        Sent::CubicMetre if is_corrected => Unit::CUBIC_METRE_CORRECTED,
        Sent::CubicMetrePerHour if is_corrected => Unit::CUBIC_METRE_PER_HOUR_CORRECTED,
        _ => UNITS.iter().find(|(other, _)| *other == sent).map_or(Unit::OTHER, |(_, unit)| *unit),
    }
}

/// Value groups A, C and D.
const BASE_CONDITIONS: [(u8, u8, u8); 3] = [(7, 3, 2), (7, 13, 2), (7, 43, 17)];

const UNITS: &[(Sent, Unit)] = &[
    (Sent::None, Unit::NONE),
    (Sent::CubicMetre, Unit::CUBIC_METRE),
    (Sent::WattHour, Unit::WATT_HOUR),
    (Sent::Joule, Unit::JOULE),
    (Sent::Watt, Unit::WATT),
    (Sent::Celsius, Unit::CELSIUS),
    (Sent::Kelvin, Unit::KELVIN),
    (Sent::CubicMetrePerHour, Unit::CUBIC_METRE_PER_HOUR),
    (Sent::Second, Unit::SECOND),
    (Sent::Minute, Unit::MINUTE),
    (Sent::Hour, Unit::HOUR),
    (Sent::Day, Unit::DAY),
    (Sent::Month, Unit::MONTH),
    (Sent::Year, Unit::YEAR),
    (Sent::Volt, Unit::VOLT),
    (Sent::Ampere, Unit::AMPERE),
    (Sent::Hertz, Unit::HERTZ),
    (Sent::Bar, Unit::BAR),
    (Sent::Percent, Unit::PERCENT),
    (Sent::Var, Unit::VAR),
    (Sent::VarHour, Unit::VAR_HOUR),
    (Sent::VoltAmpere, Unit::VOLT_AMPERE),
    (Sent::VoltAmpereHour, Unit::VOLT_AMPERE_HOUR),
    (Sent::JoulePerHour, Unit::JOULE_PER_HOUR),
    (Sent::Kilogram, Unit::KILOGRAM),
    (Sent::KilogramPerHour, Unit::KILOGRAM_PER_HOUR),
    (Sent::CubicMetrePerMinute, Unit::CUBIC_METRE_PER_MINUTE),
    (Sent::CubicMetrePerSecond, Unit::CUBIC_METRE_PER_SECOND),
    (Sent::Calorie, Unit::CALORIE),
    (Sent::CubicMetreCelsius, Unit::CUBIC_METRE_CELSIUS),
    (Sent::CubicFoot, Unit::CUBIC_FOOT),
    (Sent::Currency, Unit::CURRENCY),
    (Sent::Dbm, Unit::DECIBEL_MILLIWATT),
    (Sent::Degree, Unit::DEGREE),
    (Sent::Fahrenheit, Unit::FAHRENHEIT),
    (Sent::FahrenheitDifference, Unit::FAHRENHEIT),
    (Sent::Per4096, Unit::PER_4096),
    (Sent::Baud, Unit::BAUD),
    (Sent::BitTime, Unit::BIT_TIME),
];
