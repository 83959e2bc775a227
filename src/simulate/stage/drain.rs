//! After the end: what is on its way arrives, and gaps are filled.

use std::time::{Duration, Instant};

use super::{COMPLETE, Stage, now};
use crate::simulate::awaited::{Awaited, Impatience};
use crate::simulate::electricity;
use crate::simulate::report::Phase;
use crate::simulate::run::{Audience, Error};
use crate::store::Lane;

impl Stage<'_> {
    /// Waits until nothing is awaited any more. What it did not wait for is the complaint that is returned.
    pub(super) async fn drain(&mut self, audience: &mut Audience<'_>) -> Result<Option<String>, Error> {
        self.phase = Phase::Draining;
        let ended = now();
        let patience = if self.electricity.is_some() { FILL } else { DRAIN };
        let patience = patience + self.options.commit_window + self.options.seal_age;
        let patience = patience + self.options.faults.longest_outage();
        // Who wants it to end now asks once more.
        self.is_told_to_end = false;
        loop {
            let now = now();
            self.weather(ended, now);
            let awaited = self.awaited(ended);
            self.awaited = Some(awaited);
            let why = match () {
                () if now > ended + patience => Impatience::Late(patience),
                () if self.is_told_to_end => Impatience::Told,
                () if awaited.is_nothing() && self.are_whole() => return Ok(None),
                () => {
                    self.step(audience).await?;
                    continue;
                }
            };
            return Ok((!awaited.is_nothing()).then(|| awaited.complaint(why)));
        }
    }

    fn awaited(&self, ended: Instant) -> Awaited {
        let is_complete = self.options.policy == COMPLETE;
        // What lies in the port is read within this time.
        let read = ended + QUIET;
        let committed = read + self.options.commit_window;
        let figures = self.figures.borrow();
        let is_heard = match (&self.radio, &self.electricity) {
            (None, _) => true,
            (Some(_), None) => figures.is_empty(read),
            // The service goes on reading; but what was heard is committed by then.
            (Some(_), Some(_)) => figures.is_lane_empty(Lane::MBus, committed),
        };
        Awaited {
            is_kill_due: self.kills.due().is_some(),
            is_healing: self.is_healing,
            is_hearing: !is_heard,
            values: self.electricity.as_ref().map_or(0, electricity::Part::awaited),
            // After kills something is missing for ever; then silence has to do.
            ..self.account.awaited(is_complete && self.kills.count() == 0)
        }
    }
}

const QUIET: Duration = Duration::from_millis(300);
/// Beside windows and ages: for the way, and for one publication that has to be repeated.
const DRAIN: Duration = Duration::from_secs(20);
/// The same, and for gaps to be filled.
const FILL: Duration = Duration::from_secs(60);
