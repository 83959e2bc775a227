//! Answers that are late. Somebody looks for a route then, and nobody else is asked, but whom somebody waits for: that
//! costs the search little, as it is one exchange, and waiting for its end would cost the one who waits up to half a
//! minute.

use std::time::Instant;

use super::{Node, Priority, Scheduler};
use crate::Eui64;

impl Scheduler {
    pub(super) fn note_late(&mut self, now: Instant) {
        self.flights.values_mut().for_each(|flight| flight.is_late = flight.due <= now);
    }

    /// When the next answer is late, where that lets somebody be asked.
    pub(super) fn late_at(&self) -> Option<Instant> {
        let is_waited_for = self.nodes.values().any(Node::is_waited_for);
        self.flights.values().filter(|flight| is_waited_for && !flight.is_late).map(|flight| flight.due).min()
    }

    /// Who is next while an answer is late: of those whom somebody waits for one at a time.
    pub(super) fn next_beside_late(&self, now: Instant) -> Option<Eui64> {
        if self.flights.values().any(|flight| !flight.is_late) {
            return None;
        }
        let ready = self.nodes.iter().filter(|(_, node)| node.ready(now) == Some(Priority::OnDemand));
        ready.min_by_key(|(id, node)| (node.setbacks(), node.place, **id)).map(|(id, _)| *id)
    }
}
