//! Link modes of EN 13757-4:2019, as a receiver is told to listen to them.

use std::fmt;
use std::time::Duration;

/// What to listen to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    C1,
    /// C1 and T1 at once: what most gas, water and heat meters in Europe send.
    #[default]
    C1T1,
    C2,
    N1a,
    N1b,
    N1c,
    N1d,
    N1e,
    N1f,
    N2a,
    N2b,
    N2c,
    N2d,
    N2e,
    N2f,
    R2,
    S1,
    S1m,
    S2,
    T1,
    T2,
}

impl Mode {
    pub const ALL: [Self; 21] = [
        Self::C1,
        Self::C1T1,
        Self::C2,
        Self::N1a,
        Self::N1b,
        Self::N1c,
        Self::N1d,
        Self::N1e,
        Self::N1f,
        Self::N2a,
        Self::N2b,
        Self::N2c,
        Self::N2d,
        Self::N2e,
        Self::N2f,
        Self::R2,
        Self::S1,
        Self::S1m,
        Self::S2,
        Self::T1,
        Self::T2,
    ];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::C1 => "c1",
            Self::C1T1 => "c1+t1",
            Self::C2 => "c2",
            Self::N1a => "n1a",
            Self::N1b => "n1b",
            Self::N1c => "n1c",
            Self::N1d => "n1d",
            Self::N1e => "n1e",
            Self::N1f => "n1f",
            Self::N2a => "n2a",
            Self::N2b => "n2b",
            Self::N2c => "n2c",
            Self::N2d => "n2d",
            Self::N2e => "n2e",
            Self::N2f => "n2f",
            Self::R2 => "r2",
            Self::S1 => "s1",
            Self::S1m => "s1-m",
            Self::S2 => "s2",
            Self::T1 => "t1",
            Self::T2 => "t2",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// When a meter that was heard in this mode listens, counted from the end of its frame: EN 13757-4:2019, 12.4 and
    /// clause 13. A meter of modes C and N says in its extended link layer (`is_fast`) which of two times it means.
    /// None where nobody can tell: a mode without a way back, or several modes at once.
    pub const fn response_window(self, is_fast: bool) -> Option<(Duration, Duration)> {
        let (from_us, to_us) = match self {
            Self::T2 => (2_000, 3_000),
            Self::S2 | Self::R2 => (3_000, 50_000),
            Self::C2 | Self::N2a | Self::N2b | Self::N2c | Self::N2d | Self::N2e | Self::N2f => {
                if is_fast {
                    (99_500, 100_500)
                } else {
                    (999_500, 1_000_500)
                }
            }
            _ => return None,
        };
        Some((Duration::from_micros(from_us), Duration::from_micros(to_us)))
    }

    /// How a gateway sends in this mode; None where meters do not listen.
    pub fn downlink(self) -> Option<Downlink> {
        self.response_window(true)?;
        Some(match self {
            Self::S2 | Self::T2 => Downlink { band: "868.0 to 868.6 MHz", bits_per_second: 16_384, per_mille: 10 },
            Self::R2 => Downlink { band: "868.0 to 868.6 MHz", bits_per_second: 2_400, per_mille: 10 },
            Self::C2 => Downlink { band: "869.4 to 869.65 MHz", bits_per_second: 50_000, per_mille: 100 },
            // The slowest of its channels.
            _ => Downlink { band: "169.4 to 169.475 MHz", bits_per_second: 2_400, per_mille: 100 },
        })
    }

    /// Whether a receiver in this mode hears what a meter sends in mode `sent`.
    pub fn hears(self, sent: Self) -> bool {
        match sent {
            Self::C1 | Self::C2 => matches!(self, Self::C1 | Self::C2 | Self::C1T1),
            Self::T1 | Self::T2 => matches!(self, Self::T1 | Self::T2 | Self::C1T1),
            Self::S1 | Self::S1m | Self::S2 => matches!(self, Self::S1 | Self::S1m | Self::S2),
            Self::C1T1 => self == Self::C1T1,
            Self::N1a | Self::N2a => matches!(self, Self::N1a | Self::N2a),
            Self::N1b | Self::N2b => matches!(self, Self::N1b | Self::N2b),
            Self::N1c | Self::N2c => matches!(self, Self::N1c | Self::N2c),
            Self::N1d | Self::N2d => matches!(self, Self::N1d | Self::N2d),
            Self::N1e | Self::N2e => matches!(self, Self::N1e | Self::N2e),
            Self::N1f | Self::N2f => matches!(self, Self::N1f | Self::N2f),
            Self::R2 => self == Self::R2,
        }
    }
}

/// A band in which a gateway sends, and how much. Rates: EN 13757-4:2019. Shares of an hour: ERC Recommendation 70-03,
/// annex 1 (bands g1 and g3) and annex 2 (169 MHz, from memory).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downlink {
    /// For people.
    pub band: &'static str,
    pub bits_per_second: u32,
    pub per_mille: u32,
}

impl Downlink {
    /// How long a frame of so many octets, L to the last one without CRCs, is on the air; rather more than less.
    pub fn airtime(&self, octets: usize) -> Duration {
        let crcs = 2 * (octets / 16 + 2);
        let bits = 8 * (octets + crcs + PREAMBLE) as u64;
        Duration::from_micros(bits * 1_000_000 / u64::from(self.bits_per_second))
    }

    /// What may be sent of so long a time.
    pub fn share_of(&self, time: Duration) -> Duration {
        time * self.per_mille / 1000
    }
}

/// Octets of the longest preamble and synchronisation word: 576 chips, two a bit.
const PREAMBLE: usize = 40;

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_found_by_its_name() {
        for mode in Mode::ALL {
            assert_eq!(Mode::named(mode.name()), Some(mode));
            assert!(mode.hears(mode), "{mode}");
        }
        assert_eq!(Mode::named("t3"), None);
    }

    #[test]
    fn c1_and_t1_are_heard_together_and_s1_is_not() {
        for (listening, sent, heard) in [
            (Mode::C1T1, Mode::C1, true),
            (Mode::C1T1, Mode::T1, true),
            (Mode::C1T1, Mode::S1, false),
            (Mode::C1, Mode::T1, false),
            (Mode::T2, Mode::T1, true),
            (Mode::S2, Mode::S1m, true),
        ] {
            assert_eq!(listening.hears(sent), heard, "{listening} hears {sent}");
        }
    }
}
