//! How much is under way at once, and for how long is waited.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Exchanges under way at most, in all and in one branch.
    pub window: f64,
    pub branch: f64,
    /// How long the modem may take to confirm.
    pub confirm_time: Duration,
    /// A confirm that took longer had to wait for a route.
    pub slow_confirm: Duration,
    /// How long an answer is waited for from the confirm on: a relay looks for another way meanwhile.
    pub repair_time: Duration,
    /// The same for a node that is known to take longer.
    pub answer_time: Duration,
    /// How long a node that failed once is left alone; half as long again each time, up to the longest.
    pub pause: Duration,
    pub longest_pause: Duration,
    /// A node that answered goes on before others begin, within this time.
    pub keep: Duration,
    /// Octets of request and answer together, in the middle of what is asked, up to which one exchange goes beside
    /// another: what is long collides more often.
    pub beside: u16,
    /// For how long two branches are not asked at the same time after one lost something while the other was asked.
    pub apart: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // In simulated networks of 100 to 1,000 two at once are read 1.4 times as fast as one, where branches that
            // disturb each other are kept apart; with three more is lost than won.
            window: 2.0,
            branch: 1.0,
            confirm_time: Duration::from_secs(60),
            slow_confirm: Duration::from_secs(4),
            // adpNetTraversalTime, and what it takes to answer.
            repair_time: Duration::from_secs(25),
            answer_time: Duration::from_secs(60),
            // A modem looks for the same route once in 30 s.
            pause: Duration::from_secs(32),
            longest_pause: Duration::from_secs(2 * 3600),
            keep: Duration::from_secs(20),
            beside: 500,
            apart: Duration::from_secs(3600),
        }
    }
}
