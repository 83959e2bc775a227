//! Frames on their way to meters: each at its moment, or by the module itself; and how well the moment was met.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tracing::{info, warn};
use wmbus::receiver::{Receiver, When};

use super::Driver;

/// A frame for a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// L first, without CRCs.
    pub frame: Vec<u8>,
    pub at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Sent by the host when the first is reached, and not at all after the second.
    Between(Instant, Instant),
    /// By the module, when it hears the meter.
    Heard,
}

/// What became of frames, since the start of the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sending {
    /// Given to the module, at their moment or before it.
    pub sent: u64,
    /// Too late, or the module did not take them.
    pub missed: u64,
    /// The longest time between the moment and the last octet that the port took.
    pub worst_late: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Outgoing>,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Due {
    Send(Outgoing, When),
    /// Its time is over.
    Late(Outgoing),
}

impl Outbox {
    pub(super) fn put(&mut self, outgoing: Outgoing) {
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
        }
        let place = self.waiting.partition_point(|waiting| waiting.begin() <= outgoing.begin());
        self.waiting.insert(place, outgoing);
    }

    pub(super) fn poll(&mut self, now: Instant) -> Option<Due> {
        let first = self.waiting.front()?;
        if first.begin().is_some_and(|begin| begin > now) {
            return None;
        }
        let first = self.waiting.pop_front()?;
        Some(match first.at {
            At::Heard => Due::Send(first, When::Heard),
            At::Between(_, end) if now > end => Due::Late(first),
            At::Between(..) => Due::Send(first, When::AtOnce),
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().and_then(Outgoing::begin)
    }
}

impl Outgoing {
    fn begin(&self) -> Option<Instant> {
        match self.at {
            At::Between(begin, _) => Some(begin),
            At::Heard => None,
        }
    }
}

impl Driver {
    /// Gives the machine what is to be sent now; when each frame was to leave comes back.
    pub(super) fn take_outgoing(&mut self, machine: &mut dyn Receiver) -> Vec<At> {
        let now = (self.clock)().mono;
        let mut sends = Vec::new();
        while let Some(due) = self.outbox.poll(now) {
            let (outgoing, is_taken) = match due {
                Due::Send(outgoing, when) => {
                    let is_taken = machine.send(&outgoing.frame, when, now);
                    (outgoing, is_taken)
                }
                Due::Late(outgoing) => (outgoing, false),
            };
            if is_taken {
                sends.push(outgoing.at);
            } else {
                warn!(port = %self.settings.name, len = outgoing.frame.len(), "frame to a meter missed its moment");
                self.missed();
            }
        }
        sends
    }

    /// Measures how late the port had the last octet.
    pub(super) fn sent(&self, sends: &[At]) {
        let now = (self.clock)().mono;
        for at in sends {
            let late = match at {
                At::Between(begin, _) => Some(now.saturating_duration_since(*begin)),
                At::Heard => None,
            };
            let late_us = late.map(|late| u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
            info!(port = %self.settings.name, late_us, preloaded = *at == At::Heard, "frame to a meter handed to the module");
            self.status.send_modify(|status| {
                status.sending.sent += 1;
                status.sending.worst_late = status.sending.worst_late.max(late);
            });
        }
    }

    pub(super) fn missed(&self) {
        self.status.send_modify(|status| status.sending.missed += 1);
    }
}

/// Frames that wait; a receiver serves one meter at a time, and pings are rare.
const WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    #[test]
    fn the_nearest_moment_is_first_and_a_missed_one_is_told() {
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        let outgoing = |name, at| Outgoing { frame: vec![name], at };
        let mut outbox = Outbox::default();
        outbox.put(outgoing(1, At::Between(after(20), after(30))));
        outbox.put(outgoing(2, At::Between(after(10), after(11))));
        assert_eq!(outbox.poll_timeout(), Some(after(10)));
        assert!(outbox.poll(after(9)).is_none());
        assert!(matches!(outbox.poll(after(12)), Some(Due::Late(late)) if late.frame == [2]));
        assert!(outbox.poll(after(19)).is_none());
        outbox.put(outgoing(3, At::Heard));
        assert!(matches!(outbox.poll(after(19)), Some(Due::Send(now, When::Heard)) if now.frame == [3]));
        assert!(matches!(outbox.poll(after(20)), Some(Due::Send(now, When::AtOnce)) if now.frame == [1]));
        for number in 0..200 {
            outbox.put(outgoing(number, At::Heard));
        }
        assert_eq!(std::iter::from_fn(|| outbox.poll(begin)).count(), WAITING);
    }
}
