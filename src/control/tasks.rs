//! What is read of electricity meters, and how much of it came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Electricity meters and what was read of them within 24 hours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    pub meters: u64,
    /// Commissioned, and never read.
    pub new: u64,
    pub active: u64,
    /// Did not answer lately, and are tried again soon.
    pub silent: u64,
    /// Are tried more and more seldom.
    pub unreachable: u64,
    /// Replaced or removed.
    #[serde(default)]
    pub retired: u64,
    /// Answer, and refuse what they are asked: a wrong key, an object that they lack.
    pub refusing: u64,
    /// The first of them, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Slots of all tasks, of all meters.
    pub all: Share,
    /// Of those meters that answer.
    pub reachable: Share,
    /// Slots that were given up since their meters were commissioned.
    pub lost: u64,
    /// None where meters are not listened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Pushes>,
}

/// What meters sent unasked since the service started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushes {
    pub taken: u64,
    /// What was not taken, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// How much of what was expected is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub expected: u64,
    /// Read, or known not to exist.
    pub settled: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLine {
    pub id: String,
    /// `profile`, `events`, `registers` or `clock`.
    pub what: String,
    /// `15min`, `1d`, `month`
    pub period: String,
    /// `events`, `billing` or `profile`
    pub priority: String,
    pub meters: u64,
    /// Of the slots that ended within 24 hours.
    pub all: Share,
    pub reachable: Share,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCard {
    #[serde(flatten)]
    pub line: TaskLine,
    /// What is read.
    #[serde(default)]
    pub objects: Vec<TaskObject>,
    /// The newest first; the first is today, up to now.
    pub days: Vec<TaskDay>,
    pub each: Vec<TaskMeter>,
}

/// An object that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskObject {
    pub class: u16,
    pub obis: String,
    /// As the companion profile says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
}

/// One day, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDay {
    /// `2026-11-21`
    pub day: String,
    pub all: Share,
    pub reachable: Share,
}

/// One meter in one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskMeter {
    pub id: String,
    /// `new`, `active`, `silent`, `unreachable`, `replaced`, `removed`
    pub state: String,
    /// Nothing is missing before; milliseconds since 1970 UTC, as all `_ms`.
    pub complete_until_ms: i64,
    /// Slots that have ended and are not there yet.
    pub missing: u64,
    /// Slots that the meter has no row for.
    pub absent: u64,
    /// Slots that were given up.
    pub lost: u64,
    pub answered_ms: Option<i64>,
    /// So far its clock was ahead when it was last asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
    /// Why the last order did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Share {
    /// From 0 to 1; None where nothing was expected.
    pub fn ratio(&self) -> Option<f64> {
        (self.expected > 0).then(|| self.settled as f64 / self.expected as f64)
    }
}

impl std::ops::AddAssign for Share {
    fn add_assign(&mut self, other: Self) {
        self.expected += other.expected;
        self.settled += other.settled;
    }
}
