//! EN 13757-3:2018, table 14: alternate VIF codes, after FB.
//!
//! Degrees Fahrenheit were used until 2004 and are reserved now; old meters still send them.

use super::{Coding, Row, coded, row};
use crate::record::{Quantity, Unit};

pub(super) const ROWS: &[Row] = &[
    row(0x00, 0x01, Quantity::Energy, Unit::WattHour, 5),
    row(0x02, 0x03, Quantity::ReactiveEnergy, Unit::VarHour, 3),
    row(0x04, 0x05, Quantity::ApparentEnergy, Unit::VoltAmpereHour, 3),
    Row { exponent: -1, ..coded(0x06, Quantity::CoefficientOfPerformance, Coding::Signed) },
    row(0x08, 0x09, Quantity::Energy, Unit::Joule, 8),
    row(0x0c, 0x0f, Quantity::Energy, Unit::Calorie, 5),
    row(0x10, 0x11, Quantity::Volume, Unit::CubicMetre, 2),
    row(0x14, 0x17, Quantity::ReactivePower, Unit::Var, 0),
    row(0x18, 0x19, Quantity::Mass, Unit::Kilogram, 5),
    row(0x1a, 0x1b, Quantity::RelativeHumidity, Unit::Percent, -1),
    row(0x20, 0x20, Quantity::Volume, Unit::CubicFoot, 0),
    row(0x21, 0x21, Quantity::Volume, Unit::CubicFoot, -1),
    row(0x23, 0x23, Quantity::PhaseCurrentVoltage, Unit::Degree, -1),
    row(0x28, 0x29, Quantity::Power, Unit::Watt, 5),
    row(0x2a, 0x2a, Quantity::PhaseVoltageVoltage, Unit::Degree, -1),
    row(0x2b, 0x2b, Quantity::PhaseVoltageCurrent, Unit::Degree, -1),
    row(0x2c, 0x2f, Quantity::Frequency, Unit::Hertz, -3),
    row(0x30, 0x31, Quantity::Power, Unit::JoulePerHour, 8),
    row(0x34, 0x37, Quantity::ApparentPower, Unit::VoltAmpere, 0),
    row(0x58, 0x5b, Quantity::FlowTemperature, Unit::Fahrenheit, -3),
    row(0x5c, 0x5f, Quantity::ReturnTemperature, Unit::Fahrenheit, -3),
    row(0x60, 0x63, Quantity::TemperatureDifference, Unit::FahrenheitDifference, -3),
    row(0x64, 0x67, Quantity::ExternalTemperature, Unit::Fahrenheit, -3),
    row(0x68, 0x68, Quantity::ResultingRatingFactor, Unit::Per4096, 0),
    row(0x69, 0x69, Quantity::ThermalOutputRatingFactor, Unit::Per4096, 0),
    coded(0x6a, Quantity::ThermalCouplingRatingFactor, Coding::Signed),
    coded(0x6b, Quantity::ThermalCouplingRatingFactorRoomSide, Coding::Signed),
    coded(0x6c, Quantity::ThermalCouplingRatingFactorHeatingSide, Coding::Signed),
    coded(0x6d, Quantity::LowTemperatureRatingFactor, Coding::Signed),
    coded(0x6e, Quantity::DisplayOutputScalingFactor, Coding::Signed),
    row(0x70, 0x73, Quantity::TemperatureLimit, Unit::Fahrenheit, -3),
    row(0x74, 0x77, Quantity::TemperatureLimit, Unit::Celsius, -3),
    row(0x78, 0x7f, Quantity::CumulativeMaximumPower, Unit::Watt, -3),
];
