//! Meter groups: what the operator says about many meters at once.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{MeterId, MeterPattern, Security, Way};

/// Some meters, and how their telegrams are treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub name: Arc<str>,
    pub members: Vec<MeterPattern>,
    pub rule: Rule,
    pub unmarked_gas: UnmarkedGas,
    /// The zone or fixed offset of the meters' clocks; None: meter time is not converted to UTC.
    pub clock: Option<TimeZone>,
    /// The protected original travels beside the values.
    pub evidence: bool,
    /// `Plain`, `Decrypted` or `Authenticated`: what is weaker is no reading.
    pub minimum_security: Security,
    /// Which of two ways counts, of a meter that is behind an electricity meter and heard over the air too.
    pub preferred_source: Way,
}

impl Default for Group {
    /// Hourly snapshots; gas after the OMS table; meter time is not converted; no evidence; what is behind an
    /// electricity meter is preferred there, where gaps are filled in.
    fn default() -> Self {
        Self {
            name: "default".into(),
            members: Vec::new(),
            rule: Rule::Snapshot(Period::HOUR),
            unmarked_gas: UnmarkedGas::default(),
            clock: None,
            evidence: false,
            minimum_security: Security::Plain,
            preferred_source: Way::Behind,
        }
    }
}

/// Which telegrams of a meter are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The last telegram at or before each boundary of the period.
    Snapshot(Period),
    /// The readings that differ from the ones before.
    Change,
    /// The first telegram and then every Nth.
    Every(NonZeroU32),
    All,
}

impl fmt::Display for Rule {
    /// `snapshot 1h`, `change`, `every 10`, `all`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(Period(seconds)) if seconds % 3600 == 0 => write!(f, "snapshot {}h", seconds / 3600),
            Self::Snapshot(Period(seconds)) if seconds % 60 == 0 => write!(f, "snapshot {}min", seconds / 60),
            Self::Snapshot(Period(seconds)) => write!(f, "snapshot {seconds}s"),
            Self::Change => f.write_str("change"),
            Self::Every(n) => write!(f, "every {n}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// The period of snapshots: some seconds that divide the day. Boundaries count from midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u32);

impl Period {
    pub const QUARTER: Self = Self(900);
    pub const HOUR: Self = Self(3600);

    /// None where `seconds` does not divide the day.
    pub const fn new(seconds: u32) -> Option<Self> {
        if seconds != 0 && 86_400 % seconds == 0 { Some(Self(seconds)) } else { None }
    }

    pub const fn seconds(self) -> u32 {
        self.0
    }
}

/// What a gas volume is that the meter did not mark with its conditions.
///
/// OMS says temperature-converted; meters in the field often send the volume at metering conditions. The mark of the
/// meter itself, if any, is in the reading's modifier, so nothing is lost by this choice of a code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnmarkedGas {
    #[default]
    TemperatureConverted,
    Metering,
    Base,
    /// No OBIS code at all.
    Unspecified,
}

/// All groups, and the one for the meters that no group names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Groups {
    /// The first group that names a meter is its group.
    pub named: Vec<Group>,
    pub default: Group,
}

impl Groups {
    pub fn of(&self, id: &MeterId) -> &Group {
        self.named.iter().find(|group| group.members.iter().any(|member| member.matches(id))).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_that_names_a_meter_is_its_group() {
        let group = |name: &str, members: &[&str]| Group {
            name: name.into(),
            members: members.iter().map(|member| member.parse().unwrap()).collect(),
            ..Group::default()
        };
        let groups = Groups {
            named: vec![group("test bench", &["12345678"]), group("kamstrup", &["KAM", "KAW"])],
            default: Group::default(),
        };
        let name = |id: &str| groups.of(&id.parse().unwrap()).name.to_string();
        assert_eq!(name("KAM-12345678-1b-16"), "test bench");
        assert_eq!(name("KAW-12345679-1b-16"), "kamstrup");
        assert_eq!(name("DME-00000001-1b-16"), "default");
    }

    #[test]
    fn a_period_divides_the_day() {
        assert_eq!(Period::new(900), Some(Period::QUARTER));
        assert_eq!(Period::new(0), None);
        assert_eq!(Period::new(7), None);
        assert_eq!(Period::new(172_800), None);
    }
}
