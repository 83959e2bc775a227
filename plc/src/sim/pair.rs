//! A coordinator and the emulated modem that it drives, with a clock that goes as fast as the two do.

use std::time::{Duration, Instant};

use super::Modem;
use crate::g3::bootstrap;
use crate::g3::coordinator::{Coordinator, Event};
use crate::g3::modem;

#[derive(Debug)]
pub struct Pair {
    pub coordinator: Coordinator,
    pub modem: Modem,
    pub now: Instant,
}

impl Pair {
    /// Carries octets both ways until the line is quiet. `keep` hears every event, and makes durable what must be: where
    /// it says that it has, the coordinator is told so.
    pub fn exchange(&mut self, mut keep: impl FnMut(&Event) -> bool) {
        loop {
            let mut is_quiet = true;
            while let Some(octets) = self.coordinator.poll_transmit() {
                self.modem.handle_bytes(&octets, self.now);
                is_quiet = false;
            }
            while let Some(octets) = self.modem.poll_transmit() {
                self.coordinator.handle_bytes(&octets, self.now);
                is_quiet = false;
            }
            while let Some(event) = self.coordinator.poll_event() {
                if keep(&event) {
                    self.kept(&event);
                }
                is_quiet = false;
            }
            if is_quiet {
                return;
            }
        }
    }

    /// Goes to the next moment at which something is due, if that is not behind `end`; false where it is, and then `end`
    /// is the time.
    pub fn advance(&mut self, end: Instant) -> bool {
        let next = [self.coordinator.poll_timeout(), self.modem.poll_timeout()].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        // Whatever wants to be called at once is called a little later: time goes on.
        self.now = next.max(self.now + Duration::from_micros(1));
        self.modem.handle_timeout(self.now);
        self.coordinator.handle_timeout(self.now);
        true
    }

    fn kept(&mut self, event: &Event) {
        let now = self.now;
        match event {
            Event::Modem(modem::Event::Reserve(counters)) => {
                self.coordinator.with_modem(now, |modem| modem.reserved(*counters, now));
            }
            Event::Bootstrap(bootstrap::Event::Remember(member)) => {
                self.coordinator.with_server(now, |server| server.remembered(member.eui64, now));
            }
            Event::Bootstrap(bootstrap::Event::KeepRing(_)) => {
                self.coordinator.with_server(now, |server| server.ring_kept(now));
            }
            _ => {}
        }
    }
}
