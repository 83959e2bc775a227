//! When silence is an outage, and how long what is done about one may take.

use std::time::Duration;

/// When silence is an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes that fall silent within this time may belong together.
    pub window: Duration,
    /// What fell silent within this time is judged by itself, too.
    pub soon: Duration,
    /// So many that have something in common are looked into, and so many are an outage.
    pub suspicious: usize,
    pub least: usize,
    /// Of those asked in it, so many of a hundred are silent in an outage.
    pub percent: usize,
    /// Nodes that are probed at the same time, and how long that may take.
    pub probes: usize,
    pub probe_time: Duration,
    /// How far apart nodes that come back are asked again.
    pub spread: Duration,
    /// An outage is looked into after so long, and at most so long.
    pub look: (Duration, Duration),
    /// For so long after a start of the network there may be no way yet to who was not heard since.
    pub settle: Duration,
    /// Who is still out so long after the last one came back is not waited for any more.
    pub give_up: Duration,
    /// The first hop of a branch of which nothing was heard for so long is probed; so far apart are these probes.
    pub unheard: Duration,
    pub watch: Duration,
    /// Where somebody was heard for so short a time ago, one that is silent says nothing of the others.
    pub lately: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            window: minutes(10),
            soon: minutes(2),
            suspicious: 2,
            least: 4,
            percent: 80,
            probes: 3,
            probe_time: minutes(2),
            spread: Duration::from_secs(5),
            look: (minutes(1), minutes(15)),
            settle: minutes(10),
            give_up: minutes(24 * 60),
            unheard: minutes(1),
            watch: Duration::from_secs(15),
            lately: Duration::from_secs(10),
        }
    }
}
