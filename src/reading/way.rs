//! Two ways to one meter: heard over the air, and read behind an electricity meter. Both are kept; which one counts is said
//! beside each reading.

/// How a meter's readings come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By Wireless M-Bus.
    Air,
    /// Through an M-Bus channel of an electricity meter.
    Behind,
}

impl Way {
    /// With their names in configuration and output.
    pub const NAMES: [(&'static str, Self); 2] = [("behind", Self::Behind), ("air", Self::Air)];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Air => "air",
            Self::Behind => "behind",
        }
    }

    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Air => Self::Behind,
            Self::Behind => Self::Air,
        }
    }
}

/// What a reading counts beside one of the same meter that came the other way.
///
/// Of readings for the same time the first of `Preferred`, `Sole`, `StandIn`, `Secondary` is the one to be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// No other way is known.
    #[default]
    Sole,
    /// It came the preferred way.
    Preferred,
    /// It came the other way, and the preferred one was silent.
    StandIn,
    /// It came the other way, and the preferred one tells the same.
    Secondary,
}

impl Standing {
    /// The word in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sole => "sole",
            Self::Preferred => "preferred",
            Self::StandIn => "stand-in",
            Self::Secondary => "secondary",
        }
    }
}
