//! Meters with which an association is open: each of their other tasks that is due goes first, as it costs less now.

use super::{Schedule, is_free};
use crate::schedule::meter::MeterNo;

impl Schedule {
    /// An association with a meter stays open after its order. Its other tasks may go before those of others, each once,
    /// so that a meter with much to tell keeps nobody waiting for it.
    pub fn stay(&mut self, no: MeterNo) {
        let Some(meter) = self.meters.get(&no).filter(|meter| meter.is_commissioned()) else { return };
        if let Some(channel) = self.channels.get_mut(meter.channel) {
            channel.open.push_back(no);
        }
    }

    /// What is due of a meter with which an association is open, and was not done in it.
    pub(super) fn next_of_open(&mut self, channel: usize) -> Option<(MeterNo, usize)> {
        let channel = self.channels.get_mut(channel)?;
        while let Some(no) = channel.open.pop_front() {
            let mut ready = channel.ready.iter().filter(|(_, _, of, _)| *of == no).map(|(.., task)| *task);
            let is_new = |task: &usize| self.meters.get(&no).is_some_and(|meter| !meter.turn.contains(task));
            if let Some(task) = ready.find(is_new).filter(|_| is_free(&self.meters, no)) {
                return Some((no, task));
            }
        }
        None
    }
}
