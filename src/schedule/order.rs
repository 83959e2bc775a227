//! What the schedule wants done, and how that ended.

use std::ops::RangeInclusive;

use super::grid::Slot;
use super::meter::MeterNo;

/// One exchange that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub ticket: Ticket,
    pub meter: MeterNo,
    pub work: Work,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Rows of a task.
    Read {
        /// As in the configuration, from 0.
        task: usize,
        slots: RangeInclusive<Slot>,
    },
    /// What somebody asked for, by his own number.
    OnDemand(u64),
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// The meter told everything it has of what was asked.
    Complete,
    /// It broke off; what came is good.
    #[default]
    Broken,
    /// The meter answered that it will not or cannot.
    Refused,
    /// The meter answered, and nobody who could ask it for anything: a wrong password, a wrong key, another meter.
    Denied,
    /// The meter did not answer.
    Unreachable,
}

impl End {
    /// Something was asked, and the meter answered.
    pub const fn is_answer(self) -> bool {
        !matches!(self, Self::Denied | Self::Unreachable)
    }
}
