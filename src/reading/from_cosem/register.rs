//! What an attribute measures: its OBIS code says which direction, phase and tariff, its unit which quantity.

use dlms::apdu::CaptureObject;
use dlms::cosem::ScalerUnit;

use super::super::{Function, Obis, Quantity, Register, Unit};

/// The register that an attribute is.
pub fn register(object: &CaptureObject, scaler_unit: Option<ScalerUnit>) -> Register {
    let obis = Obis(object.attribute.logical_name.0);
    let unit = scaler_unit.map_or(Unit::NONE, |it| Unit(it.unit));
    let [a, _, c, d, e, _] = obis.0;
    let is_energy = (1..=99).contains(&c) && matches!(a, 1 | 5..=8);
    Register {
        obis: Some(obis),
        quantity: Quantity::Borrowed(quantity(unit)),
        unit,
        function: match d {
            // IEC 62056-6-1, table 14: value group D of electricity.
            3 | 13 | 23 if a == 1 && is_energy => Function::Minimum,
            6 | 16 | 26 if a == 1 && is_energy => Function::Maximum,
            _ => Function::Instantaneous,
        },
        storage: 0,
        // Group E is a tariff where D is a time integral or an extreme; of others it is a harmonic or an angle.
        tariff: if a == 1 && is_energy && matches!(d, 2..=6 | 8..=10) { u32::from(e) } else { 0 },
        subunit: 0,
        modifier: "".into(),
    }
}

/// The names that meters on M-Bus have for the same things.
const fn quantity(unit: Unit) -> &'static str {
    match unit {
        Unit::WATT_HOUR | Unit::JOULE => "energy",
        Unit::VAR_HOUR => "reactive_energy",
        Unit::VOLT_AMPERE_HOUR => "apparent_energy",
        Unit::WATT | Unit::JOULE_PER_HOUR => "power",
        Unit::VAR => "reactive_power",
        Unit::VOLT_AMPERE => "apparent_power",
        Unit::VOLT => "voltage",
        Unit::AMPERE => "current",
        Unit::HERTZ => "frequency",
        Unit::CUBIC_METRE | Unit::CUBIC_METRE_CORRECTED => "volume",
        Unit::CUBIC_METRE_PER_HOUR | Unit::CUBIC_METRE_PER_HOUR_CORRECTED => "volume_flow",
        Unit::SECOND | Unit::MINUTE | Unit::HOUR | Unit::DAY => "duration",
        _ => "dimensionless",
    }
}
