//! A poller without judgement, as the scheduler is compared with one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use plc::Eui64;
use plc::poll::{Exchange, Path, Priority, Transmit};

use crate::drive::Poller;

/// Asks the meters in their order, so many at once whatever happens, waits for each as long, tries each three times, and
/// comes back to those that failed when it is through.
pub(crate) struct Naive {
    window: usize,
    queue: VecDeque<(Exchange, u32)>,
    flights: BTreeMap<u64, (Exchange, u32, Instant)>,
    transmits: VecDeque<Transmit>,
}

impl Naive {
    pub(crate) fn new(window: usize) -> Self {
        Self { window, queue: VecDeque::new(), flights: BTreeMap::new(), transmits: VecDeque::new() }
    }

    fn fill(&mut self, now: Instant) {
        while self.flights.len() < self.window {
            let busy: BTreeSet<Eui64> = self.flights.values().map(|(exchange, ..)| exchange.node).collect();
            let Some(at) = self.queue.iter().position(|(exchange, _)| !busy.contains(&exchange.node)) else { return };
            let Some((exchange, attempts)) = self.queue.remove(at) else { return };
            self.flights.insert(exchange.ticket, (exchange, attempts + 1, now + PATIENCE));
            let Exchange { ticket, node, .. } = exchange;
            self.transmits.push_back(Transmit { ticket, node, attempt: attempts + 1 });
        }
    }
}

impl Poller for Naive {
    fn request(&mut self, exchange: Exchange, now: Instant) {
        // What goes on with a meter comes before the next one.
        let goes_on = exchange.priority == Priority::OnDemand || self.flights.len() < self.window;
        match goes_on {
            true => self.queue.push_front((exchange, 0)),
            false => self.queue.push_back((exchange, 0)),
        }
        self.fill(now);
    }

    fn path(&mut self, _: Eui64, _: Path) {}

    fn confirmed(&mut self, _: u64, _: bool, _: Instant) {}

    fn answered(&mut self, ticket: u64, _: Instant) {
        // The next one is sent with the next request, which comes at once, or with the next turn.
        self.flights.remove(&ticket);
        self.queue.retain(|(exchange, _)| exchange.ticket != ticket);
    }

    fn handle_timeout(&mut self, now: Instant) {
        let over: Vec<u64> = self.flights.iter().filter(|(_, (.., until))| *until <= now).map(|(t, _)| *t).collect();
        for (exchange, attempts, _) in over.into_iter().filter_map(|ticket| self.flights.remove(&ticket)) {
            match attempts % TRIES {
                0 => self.queue.push_back((exchange, attempts)),
                _ => self.queue.push_front((exchange, attempts)),
            }
        }
        self.fill(now);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.flights.values().map(|(.., until)| *until).min()
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
const TRIES: u32 = 3;
