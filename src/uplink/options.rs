//! How an uplink is to behave.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub acknowledge: Acknowledge,
    /// Publishes in flight; the broker's receive maximum lowers it.
    pub in_flight: usize,
    /// Batches of one lane that may wait for an acknowledgement; more are not published until some are acknowledged.
    pub awaiting: usize,
    /// A batch with a PUBACK and no acknowledgement is published again after the first, doubling up to the second.
    pub republish: (Duration, Duration),
    /// Between two batches that are published again.
    pub republish_pace: Duration,
    /// How long a lane pauses that the broker refuses or nobody listens to, doubling from the first to the second.
    pub pause: (Duration, Duration),
    pub checkpoint: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            acknowledge: Acknowledge::HeadEnd,
            in_flight: 20,
            awaiting: 1024,
            republish: (Duration::from_secs(60), Duration::from_secs(3600)),
            republish_pace: Duration::from_secs(1),
            pause: (Duration::from_secs(5), Duration::from_secs(300)),
            checkpoint: Duration::from_secs(3600),
        }
    }
}

/// What it takes to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// A signed `Ack` of the head-end.
    HeadEnd,
    /// The broker's PUBACK with reason Success: for users whose broker is their archive.
    Broker,
}
