//! Orthogonal VIFEs: what they add to a quantity. EN 13757-3:2018, tables 15 to 18.

use std::fmt;

use super::Unit;
use super::table::vife;

/// One orthogonal VIFE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Modifier<'a> {
    /// The meter says that the value beside it is not valid; the code is of table 18.
    Error(u8),
    Average,
    InverseCompactProfile,
    RelativeDeviation,
    StandardConform,
    CompactProfileRegister,
    CompactProfile,
    PerSecond,
    PerMinute,
    PerHour,
    PerDay,
    PerWeek,
    PerMonth,
    PerYear,
    PerRevolution,
    PerInputPulse {
        channel: u8,
    },
    PerOutputPulse {
        channel: u8,
    },
    PerLitre,
    PerCubicMetre,
    PerKilogram,
    PerKelvin,
    PerKilowattHour,
    PerGigajoule,
    PerKilowatt,
    PerKelvinLitre,
    PerVolt,
    PerAmpere,
    TimesSecond,
    TimesSecondPerVolt,
    TimesSecondPerAmpere,
    /// The value is the date and time at which the quantity began.
    StartTime,
    /// At metering conditions.
    Uncorrected,
    /// Only positive contributions: forward, import.
    Forward,
    /// The absolute of negative contributions: backward, export.
    Backward,
    NonMetric,
    BaseConditions,
    ObisDeclaration,
    Limit {
        upper: bool,
    },
    LimitExceeds {
        upper: bool,
    },
    LimitExceedTime {
        upper: bool,
        last: bool,
        end: bool,
    },
    LimitExceedDuration {
        upper: bool,
        last: bool,
    },
    Duration {
        last: bool,
    },
    DuringLimitExceed {
        upper: bool,
    },
    Leakage,
    Overflow,
    OccurrenceTime {
        last: bool,
        end: bool,
    },
    /// Ten to this power (times the unit of the VIF) is added. Integers have it already, reals do not.
    Offset(i8),
    Future,
    Phase(u8),
    Neutral,
    /// Between two phases, 1 to 3.
    Phases(u8, u8),
    Quadrant(u8),
    /// Import minus export.
    Delta,
    AlternateNonMetric,
    SecondarySensor,
    HigherResolution,
    AbsoluteSum,
    Unsigned,
    Flags,
    EndTime,
    FromPartner,
    ToPartner,
    /// The VIFEs after 7F, meaningful only to the manufacturer.
    Manufacturer(&'a [u8]),
    /// A reserved code: of the second table after FC, or of the first.
    Reserved {
        second: bool,
        code: u8,
    },
}

/// The VIFEs of a record that do not merely scale it, in the order they were sent.
///
/// Borrowed and decoded while iterating; equal when the VIFEs are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Modifiers<'a> {
    octets: &'a [u8],
}

/// What a VIFE does to the value beside naming it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// Adds to the exponent and is no modifier.
    Scale(i8),
    Offset(i8),
    Error,
    /// The value is a point in time.
    Point,
    /// The value is a duration.
    Duration(Unit),
    /// The value is a count.
    Count,
    Unsigned,
    /// The value is flags or a container.
    Octets,
}

impl<'a> Modifiers<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self { octets }
    }

    pub fn iter(&self) -> impl Iterator<Item = Modifier<'a>> + use<'a> {
        let mut rest = self.octets;
        std::iter::from_fn(move || {
            loop {
                let (effect, modifier) = step(&mut rest)?;
                if !matches!(effect, Effect::Scale(_)) {
                    return Some(modifier);
                }
            }
        })
    }

    pub fn contains(&self, modifier: Modifier<'_>) -> bool {
        self.iter().any(|other| other == modifier)
    }

    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// Takes one VIFE (two octets after FC, all octets after FF) off `rest`.
fn step<'a>(rest: &mut &'a [u8]) -> Option<(Effect, Modifier<'a>)> {
    Some(match code(rest)? {
        Code::First(vife) => vife::first(vife),
        Code::Second(vife) => vife::second(vife),
        Code::Manufacturer(octets) => (Effect::Nothing, Modifier::Manufacturer(octets)),
    })
}

/// [`step`] for those who ask for the effect only.
#[inline]
pub(super) fn effect(rest: &mut &[u8]) -> Option<Effect> {
    Some(match code(rest)? {
        Code::First(vife) => vife::first_effect(vife),
        Code::Second(vife) => vife::second_effect(vife),
        Code::Manufacturer(_) => Effect::Nothing,
    })
}

/// A VIFE by the table it is of.
enum Code<'a> {
    First(u8),
    Second(u8),
    Manufacturer(&'a [u8]),
}

#[inline(always)]
fn code<'a>(rest: &mut &'a [u8]) -> Option<Code<'a>> {
    let (vife, after) = rest.split_first()?;
    *rest = after;
    Some(match vife & 0x7f {
        0x7c if vife & 0x80 != 0 => {
            let (vife, after) = rest.split_first()?;
            *rest = after;
            Code::Second(*vife)
        }
        0x7f => Code::Manufacturer(std::mem::take(rest)),
        _ => Code::First(*vife),
    })
}

impl Modifier<'_> {
    /// What it stands beside may fall below zero though it does not without it: differences and what is reckoned per
    /// something else or over time. What the manufacturer or a later standard says is not taken for that.
    pub(super) const fn gives_sign(self) -> bool {
        matches!(
            self,
            Self::RelativeDeviation
                | Self::PerSecond
                | Self::PerMinute
                | Self::PerHour
                | Self::PerDay
                | Self::PerWeek
                | Self::PerMonth
                | Self::PerYear
                | Self::PerRevolution
                | Self::PerInputPulse { .. }
                | Self::PerOutputPulse { .. }
                | Self::PerLitre
                | Self::PerCubicMetre
                | Self::PerKilogram
                | Self::PerKelvin
                | Self::PerKilowattHour
                | Self::PerGigajoule
                | Self::PerKilowatt
                | Self::PerKelvinLitre
                | Self::PerVolt
                | Self::PerAmpere
                | Self::TimesSecond
                | Self::TimesSecondPerVolt
                | Self::TimesSecondPerAmpere
                | Self::Delta
        )
    }

    /// The data are many values.
    pub(super) const fn is_compact_profile(self) -> bool {
        matches!(self, Self::CompactProfile | Self::CompactProfileRegister | Self::InverseCompactProfile)
    }
}

impl fmt::Debug for Modifiers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for Modifiers<'_> {
    /// Names with `,` between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for modifier in self.iter() {
            write!(f, "{separator}{modifier}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Display for Modifier<'_> {
    /// A stable name, snake case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |upper| if upper { "upper" } else { "lower" };
        let order = |last| if last { "last" } else { "first" };
        let edge = |end| if end { "end" } else { "begin" };
        let name = match *self {
            Self::Error(code) => return write!(f, "record_error_{code:02x}"),
            Self::Average => "average",
            Self::InverseCompactProfile => "inverse_compact_profile",
            Self::RelativeDeviation => "relative_deviation",
            Self::StandardConform => "standard_conform",
            Self::CompactProfileRegister => "compact_profile_register",
            Self::CompactProfile => "compact_profile",
            Self::PerSecond => "per_second",
            Self::PerMinute => "per_minute",
            Self::PerHour => "per_hour",
            Self::PerDay => "per_day",
            Self::PerWeek => "per_week",
            Self::PerMonth => "per_month",
            Self::PerYear => "per_year",
            Self::PerRevolution => "per_revolution",
            Self::PerInputPulse { channel } => return write!(f, "per_input_pulse_{channel}"),
            Self::PerOutputPulse { channel } => return write!(f, "per_output_pulse_{channel}"),
            Self::PerLitre => "per_litre",
            Self::PerCubicMetre => "per_cubic_metre",
            Self::PerKilogram => "per_kilogram",
            Self::PerKelvin => "per_kelvin",
            Self::PerKilowattHour => "per_kilowatt_hour",
            Self::PerGigajoule => "per_gigajoule",
            Self::PerKilowatt => "per_kilowatt",
            Self::PerKelvinLitre => "per_kelvin_litre",
            Self::PerVolt => "per_volt",
            Self::PerAmpere => "per_ampere",
            Self::TimesSecond => "times_second",
            Self::TimesSecondPerVolt => "times_second_per_volt",
            Self::TimesSecondPerAmpere => "times_second_per_ampere",
            Self::StartTime => "start_time",
            Self::Uncorrected => "uncorrected",
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::NonMetric => "non_metric",
            Self::BaseConditions => "base_conditions",
            Self::ObisDeclaration => "obis_declaration",
            Self::Limit { upper } => return write!(f, "{}_limit", bound(upper)),
            Self::LimitExceeds { upper } => return write!(f, "{}_limit_exceeds", bound(upper)),
            Self::LimitExceedTime { upper, last, end } => {
                return write!(f, "{}_limit_{}_exceed_{}", bound(upper), order(last), edge(end));
            }
            Self::LimitExceedDuration { upper, last } => {
                return write!(f, "{}_limit_{}_exceed_duration", bound(upper), order(last));
            }
            Self::Duration { last } => return write!(f, "{}_duration", order(last)),
            Self::DuringLimitExceed { upper } => return write!(f, "during_{}_limit_exceed", bound(upper)),
            Self::Leakage => "leakage",
            Self::Overflow => "overflow",
            Self::OccurrenceTime { last, end } => return write!(f, "{}_{}", order(last), edge(end)),
            Self::Offset(exponent) => return write!(f, "offset_1e{exponent}"),
            Self::Future => "future",
            Self::Phase(phase) => return write!(f, "l{phase}"),
            Self::Neutral => "neutral",
            Self::Phases(from, to) => return write!(f, "l{from}_l{to}"),
            Self::Quadrant(quadrant) => return write!(f, "quadrant_{quadrant}"),
            Self::Delta => "delta",
            Self::AlternateNonMetric => "alternate_non_metric",
            Self::SecondarySensor => "secondary_sensor",
            Self::HigherResolution => "higher_resolution",
            Self::AbsoluteSum => "absolute_sum",
            Self::Unsigned => "unsigned",
            Self::Flags => "flags",
            Self::EndTime => "end_time",
            Self::FromPartner => "from_partner",
            Self::ToPartner => "to_partner",
            Self::Manufacturer(octets) => {
                f.write_str("manufacturer")?;
                return octets.iter().try_for_each(|octet| write!(f, "_{octet:02x}"));
            }
            Self::Reserved { second: true, code } => return write!(f, "reserved_fc_{code:02x}"),
            Self::Reserved { second: false, code } => return write!(f, "reserved_{code:02x}"),
        };
        f.write_str(name)
    }
}
