//! What a value may be trusted for, and what its protection proved.

use std::fmt;

/// Flags beside a value. Several may hold; none set means good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Quality(u16);

impl Quality {
    pub const GOOD: Self = Self(0);
    /// The meter measured it during an error state.
    pub const ERROR_STATE: Self = Self(1);
    /// The meter sent no valid number or date.
    pub const INVALID: Self = Self(1 << 1);
    /// A register went down without a known reason.
    pub const DECREASE: Self = Self(1 << 2);
    /// A register went over its last digit.
    pub const ROLLOVER: Self = Self(1 << 3);
    /// A register went up by more than its meter can measure.
    pub const IMPLAUSIBLE_JUMP: Self = Self(1 << 4);
    /// The meter's clock was set within the interval.
    pub const CLOCK_ADJUSTED: Self = Self(1 << 5);
    /// The meter had no supply for a part of the interval.
    pub const POWER_DOWN: Self = Self(1 << 6);
    /// Its telegram had less protection than others of the meter before, or it stood in the clear beside what is encrypted:
    /// anybody could have sent it.
    pub const DOWNGRADED: Self = Self(1 << 7);

    pub const fn bits(self) -> u16 {
        self.0
    }

    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for Quality {
    /// `good`, or the names of the flags with `,` between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::GOOD {
            return f.write_str("good");
        }
        let mut separator = "";
        for (flag, name) in QUALITY_NAMES {
            if self.contains(*flag) {
                write!(f, "{separator}{name}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

const QUALITY_NAMES: &[(Quality, &str)] = &[
    (Quality::ERROR_STATE, "error_state"),
    (Quality::INVALID, "invalid"),
    (Quality::DECREASE, "decrease"),
    (Quality::ROLLOVER, "rollover"),
    (Quality::IMPLAUSIBLE_JUMP, "implausible_jump"),
    (Quality::CLOCK_ADJUSTED, "clock_adjusted"),
    (Quality::POWER_DOWN, "power_down"),
    (Quality::DOWNGRADED, "downgraded"),
];

/// The verdict on a telegram's protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// Not encrypted at all.
    Plain,
    /// Decrypted, its check octets right, but nothing authenticates it (mode 5, ELL AES-CTR).
    Decrypted,
    /// Decrypted and its MAC verified.
    Authenticated,
    NoKey,
    WrongKey,
    BadMac,
    Truncated,
    /// The frame's own check sum is wrong.
    BadCrc,
    /// A mode, layer or maker's format that is not decoded.
    Unsupported,
    /// Its counter had been heard before: recorded and sent again.
    Replayed,
    /// Its counter was another telegram's.
    Cloned,
    /// Weaker than what the meter's group demands.
    TooWeak,
}

impl Security {
    /// A telegram that opened, the better the higher; None for one that did not, or is not believed.
    pub const fn strength(self) -> Option<u8> {
        match self {
            Self::Plain => Some(0),
            Self::Decrypted => Some(1),
            Self::Authenticated => Some(2),
            _ => None,
        }
    }

    /// In the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Plain,
        Self::Decrypted,
        Self::Authenticated,
        Self::NoKey,
        Self::WrongKey,
        Self::BadMac,
        Self::Truncated,
        Self::BadCrc,
        Self::Unsupported,
        Self::Replayed,
        Self::Cloned,
        Self::TooWeak,
    ];

    /// The name in output and in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Decrypted => "decrypted",
            Self::Authenticated => "authenticated",
            Self::NoKey => "no_key",
            Self::WrongKey => "wrong_key",
            Self::BadMac => "bad_mac",
            Self::Truncated => "truncated",
            Self::BadCrc => "bad_crc",
            Self::Unsupported => "unsupported",
            Self::Replayed => "replayed",
            Self::Cloned => "cloned",
            Self::TooWeak => "too_weak",
        }
    }
}
