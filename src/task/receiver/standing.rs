//! How a receiver stands, as its driver finds it: what is said of it in the log and in its status.

use std::path::Path;
use std::time::Duration;

use tracing::{debug, info, warn};
use wmbus::receiver::{Identity, Mode, Receiver};

use super::{Driver, Error, Source, Stage, State, usb};
use crate::clock::Now;
use crate::task::chain;

impl Driver {
    pub(super) fn hears(&mut self, now: Now) {
        if self.recovery.hear(now.mono) {
            warn!(port = %self.settings.name, "receiver hears again");
        }
    }

    /// A port that is gone does not tell any more whose it was.
    pub(super) fn remember_device(&mut self) {
        if let (true, Source::Serial { path, .. }) = (self.settings.supervision.may_reenumerate, &self.settings.source)
        {
            match usb::device_of(Path::new(SYSFS), path) {
                Ok(device) => self.device = Some(device),
                Err(error) => debug!(port = %self.settings.name, err = %chain(&error), "no USB device"),
            }
        }
    }

    pub(super) async fn reenumerate(&self) {
        let port = &self.settings.name;
        let Some(device) = &self.device else {
            return warn!(%port, "cannot switch the USB device off and on: the port is not of one");
        };
        warn!(%port, device = %device.display(), "switch the USB device off and on");
        match usb::reenumerate(device).await {
            Ok(()) => self.took(Stage::Reenumerate),
            Err(error) => warn!(%port, err = %chain(&error), "cannot switch the USB device off and on"),
        }
    }

    pub(super) fn ready(&mut self, identity: Identity, now: Now) {
        self.recovery.ready(now.mono);
        self.status.send_modify(|status| status.identity = identity);
        self.enter(State::Receiving, now);
        let Identity { uid, firmware, mode, kind } = identity;
        let uid = uid.map(|uid| format!("{uid:08x}"));
        let listens_to = mode.map(Mode::name);
        info!(port = %self.settings.name, uid, firmware, mode = listens_to, kind, "receiver listens");
        // A source without a handshake has not shown yet that anything works.
        if identity.mode.is_some() {
            (self.is_looked_at, self.other) = (true, None);
            self.proven();
        }
    }

    pub(super) fn proven(&mut self) {
        self.backoff.reset();
        if self.trouble.take().is_some() {
            warn!(port = %self.settings.name, "receiver is back");
        }
    }

    /// Says that the receiver is lost, and for how long to leave it alone.
    pub(super) fn lose(&mut self, error: &Error) -> Duration {
        let pause = self.backoff.next_delay();
        let chain = chain(error);
        let kind = std::mem::discriminant(error);
        if let Error::Deaf(_) = error {
            info!(port = %self.settings.name, "open the receiver anew");
        } else if self.trouble.replace(kind) == Some(kind) {
            debug!(port = %self.settings.name, err = %chain, backoff = ?pause, "receiver still lost");
        } else {
            warn!(port = %self.settings.name, err = %chain, backoff = ?pause, "receiver lost");
        }
        self.enter(State::Absent, (self.clock)());
        self.status.send_modify(|status| status.error = Some(chain));
        pause
    }

    pub(super) fn enter(&self, state: State, now: Now) {
        self.status.send_modify(|status| {
            if status.state != state {
                status.state = state;
                status.since = now;
            }
            if state == State::Receiving {
                status.error = None;
            }
        });
    }

    pub(super) fn count(&self, machine: &dyn Receiver) {
        self.status.send_modify(|status| {
            status.counters.clone_from(&self.counted);
            status.counters.add(machine.counters());
            status.is_deaf = self.recovery.is_deaf();
            status.expected = self.recovery.expected().map(|expected| expected.round() as u64);
        });
    }
}

const SYSFS: &str = "/sys";
