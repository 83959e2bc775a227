//! Meters that are not heard any more, and those that are heard again.

use std::time::Duration;

use super::{Meter, Registry};
use crate::clock::Now;
use crate::reading::{EventKind, MeterId, TimeQuality};

impl Registry {
    /// Meters that became silent since the last look, each told once: not heard for `after`.
    pub fn look_for_silence(&mut self, after: Duration, now: Now) -> Vec<(MeterId, EventKind)> {
        let mut found = Vec::new();
        for meter in self.meters.iter_mut().filter(|meter| !meter.is_silent) {
            if let Some(silence) = meter.silence(now).filter(|silence| *silence >= after) {
                meter.is_silent = true;
                let detail = format!("not heard for {} h", silence.as_secs() / 3600);
                found.push((meter.id, EventKind::Unit { code: "meter.silent".into(), detail }));
            }
        }
        found
    }

    /// Meters that are silent now.
    pub fn silent(&self) -> usize {
        self.meters.iter().filter(|meter| meter.is_silent).count()
    }

    /// What is to be told of a meter that was just heard: that it was silent before.
    pub fn heard_after_silence(&mut self, id: &MeterId) -> Option<EventKind> {
        let meter = self.index.get(id).and_then(|at| self.meters.get_mut(*at))?;
        let was_silent = std::mem::take(&mut meter.is_silent);
        was_silent.then(|| EventKind::Unit { code: "meter.heard_again".into(), detail: String::new() })
    }
}

impl Meter {
    /// For how long it has not been heard; None where no clock spans the time.
    fn silence(&self, now: Now) -> Option<Duration> {
        if self.last.boot_id == now.boot_id {
            return Some(Duration::from_millis(now.boot_ms.saturating_sub(self.last.boot_ms)));
        }
        let is_dated = [self.last.quality, now.quality].iter().all(|quality| *quality != TimeQuality::Unsynchronised);
        let passed = u64::try_from(now.utc_ms.saturating_sub(self.last.utc_ms)).ok();
        passed.filter(|_| is_dated).map(Duration::from_millis)
    }
}
