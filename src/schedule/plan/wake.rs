//! Meters that were given up, and are tried again before their time: something speaks for them.

use super::Schedule;
use crate::clock::Now;
use crate::schedule::meter::{Meter, MeterNo, jitter};

impl Schedule {
    /// One is back: those of its channel that fell silent when it did may be, too, and are tried in the next minute.
    pub(super) fn wake(&mut self, channel: usize, since: i64, now_ms: i64) {
        let is_one = |meter: &Meter| {
            let with_it = meter.away_since().is_some_and(|it| it.abs_diff(since) <= TOGETHER_MS);
            with_it && meter.channel == channel && meter.probe_at > now_ms + WAKE_MS
        };
        let woken: Vec<_> = self.meters.iter().filter(|(_, meter)| is_one(meter)).map(|(no, _)| *no).collect();
        for no in woken {
            if let Some(meter) = self.meters.get_mut(&no) {
                meter.probe_at = now_ms + jitter(no, 0, WAKE_MS);
            }
            self.arrange_all(no, now_ms);
        }
    }

    /// A sign of life from elsewhere: a meter that was given up is tried again now.
    pub fn handle_alive(&mut self, no: MeterNo, now: Now) {
        let Some(meter) = self.meters.get_mut(&no) else { return };
        if meter.probe_at > now.utc_ms {
            meter.probe_at = now.utc_ms;
            self.arrange_all(no, now.utc_ms);
        }
    }
}

/// So far apart at most began what is taken for one outage: each meter is missed when it is asked for the next time.
const TOGETHER_MS: u64 = 3_600_000;
/// Over so long those are spread that are tried again.
const WAKE_MS: i64 = 60_000;
