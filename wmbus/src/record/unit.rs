//! Units of the VIF tables, and what they are in the enumeration of IEC 62056-6-2.

use std::fmt;

/// The unit of a value, before its power of ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A count, text, a date: no unit.
    None,
    Ampere,
    Bar,
    /// Bits a second.
    Baud,
    BitTime,
    /// International table calorie, 4.1868 J.
    Calorie,
    Celsius,
    CubicFoot,
    CubicMetre,
    /// Volume times temperature: a manufacturer's energy register.
    CubicMetreCelsius,
    CubicMetrePerHour,
    CubicMetrePerMinute,
    CubicMetrePerSecond,
    Currency,
    Day,
    Dbm,
    Degree,
    Fahrenheit,
    Hertz,
    Hour,
    Joule,
    JoulePerHour,
    Kelvin,
    /// A difference of degrees Fahrenheit.
    FahrenheitDifference,
    Kilogram,
    KilogramPerHour,
    Minute,
    Month,
    /// Parts of 4096: the rating factors of heat cost allocators.
    Per4096,
    Percent,
    Second,
    Var,
    VarHour,
    Volt,
    VoltAmpere,
    VoltAmpereHour,
    Watt,
    WattHour,
    Year,
}

/// What a value is multiplied with to be in the unit of the code: numerator and denominator.
pub type Factor = (u32, u32);

impl Unit {
    /// A unit of time.
    pub(super) const fn is_duration(self) -> bool {
        matches!(self, Self::BitTime | Self::Second | Self::Minute | Self::Hour | Self::Day | Self::Month | Self::Year)
    }

    /// The code of IEC 62056-6-2 table 4, and the factor to it; (1, 1) where the units are the same.
    pub const fn dlms(self) -> (u8, Factor) {
        match self {
            Self::None => (255, ONE),
            Self::Ampere => (33, ONE),
            Self::Bar => (24, ONE),
            Self::Baud | Self::BitTime | Self::CubicMetreCelsius => (254, ONE),
            Self::Calorie => (25, (41_868, 10_000)),
            Self::Celsius => (9, ONE),
            Self::CubicFoot => (137, ONE),
            Self::CubicMetre => (13, ONE),
            Self::CubicMetrePerHour => (15, ONE),
            Self::CubicMetrePerMinute => (15, (60, 1)),
            Self::CubicMetrePerSecond => (15, (3600, 1)),
            Self::Currency => (10, ONE),
            Self::Day => (4, ONE),
            Self::Dbm => (70, ONE),
            Self::Degree => (8, ONE),
            Self::Fahrenheit => (131, ONE),
            Self::FahrenheitDifference => (52, (5, 9)),
            Self::Hertz => (44, ONE),
            Self::Hour => (5, ONE),
            Self::Joule => (25, ONE),
            Self::JoulePerHour => (26, ONE),
            Self::Kelvin => (52, ONE),
            Self::Kilogram => (20, ONE),
            Self::KilogramPerHour => (50, (1, 3600)),
            Self::Minute => (6, ONE),
            Self::Month => (2, ONE),
            Self::Per4096 => (255, (1, 4096)),
            Self::Percent => (56, ONE),
            Self::Second => (7, ONE),
            Self::Var => (29, ONE),
            Self::VarHour => (32, ONE),
            Self::Volt => (35, ONE),
            Self::VoltAmpere => (28, ONE),
            Self::VoltAmpereHour => (31, ONE),
            Self::Watt => (27, ONE),
            Self::WattHour => (30, ONE),
            Self::Year => (1, ONE),
        }
    }

    /// The symbol, in the spelling of UCUM where it has one.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Ampere => "A",
            Self::Bar => "bar",
            Self::Baud => "Bd",
            Self::BitTime => "bit times",
            Self::Calorie => "cal",
            Self::Celsius => "Cel",
            Self::CubicFoot => "ft3",
            Self::CubicMetre => "m3",
            Self::CubicMetreCelsius => "m3.Cel",
            Self::CubicMetrePerHour => "m3/h",
            Self::CubicMetrePerMinute => "m3/min",
            Self::CubicMetrePerSecond => "m3/s",
            Self::Currency => "currency",
            Self::Day => "d",
            Self::Dbm => "dBm",
            Self::Degree => "deg",
            Self::Fahrenheit | Self::FahrenheitDifference => "degF",
            Self::Hertz => "Hz",
            Self::Hour => "h",
            Self::Joule => "J",
            Self::JoulePerHour => "J/h",
            Self::Kelvin => "K",
            Self::Kilogram => "kg",
            Self::KilogramPerHour => "kg/h",
            Self::Minute => "min",
            Self::Month => "mo",
            Self::Per4096 => "1/4096",
            Self::Percent => "%",
            Self::Second => "s",
            Self::Var => "var",
            Self::VarHour => "varh",
            Self::Volt => "V",
            Self::VoltAmpere => "VA",
            Self::VoltAmpereHour => "VAh",
            Self::Watt => "W",
            Self::WattHour => "Wh",
            Self::Year => "a",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

const ONE: Factor = (1, 1);
