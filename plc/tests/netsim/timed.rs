//! What a poller costs of the processor.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use plc::Eui64;
use plc::poll::{Event, Exchange, Path, Transmit};

use crate::drive::Poller;

/// A poller, and how long was spent in it.
pub(crate) struct Timed<P> {
    poller: P,
    spent: Rc<Cell<Duration>>,
}

impl<P> Timed<P> {
    pub(crate) fn new(poller: P) -> (Self, Rc<Cell<Duration>>) {
        let spent = Rc::new(Cell::new(Duration::ZERO));
        (Self { poller, spent: Rc::clone(&spent) }, spent)
    }

    fn time<T>(&mut self, call: impl FnOnce(&mut P) -> T) -> T {
        let begin = Instant::now();
        let result = call(&mut self.poller);
        self.spent.set(self.spent.get() + begin.elapsed());
        result
    }
}

impl<P: Poller> Poller for Timed<P> {
    fn request(&mut self, exchange: Exchange, now: Instant) {
        self.time(|poller| poller.request(exchange, now));
    }

    fn path(&mut self, node: Eui64, path: Path) {
        self.time(|poller| poller.path(node, path));
    }

    fn confirmed(&mut self, ticket: u64, is_sent: bool, now: Instant) {
        self.time(|poller| poller.confirmed(ticket, is_sent, now));
    }

    fn answered(&mut self, ticket: u64, now: Instant) {
        self.time(|poller| poller.answered(ticket, now));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.time(|poller| poller.handle_timeout(now));
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.time(P::poll_timeout)
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.time(P::poll_transmit)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.time(P::poll_event)
    }

    fn heard(&mut self, node: Eui64, now: Instant) {
        self.time(|poller| poller.heard(node, now));
    }

    fn set_quiet(&mut self, is_quiet: bool, now: Instant) {
        self.time(|poller| poller.set_quiet(is_quiet, now));
    }
}
