//! A frame in the queue of a sender: what of it is still to be sent, in segments, and with what.

use super::message::Frame;
use super::phy::Modulation;

#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) frame: Frame,
    /// Of the segment that is under way.
    pub(super) attempts: u8,
    /// Segments that are not acknowledged, their octets, and with what they are sent.
    pub(super) left: u16,
    pub(super) segment: u16,
    pub(super) modulation: Modulation,
    /// The segment has arrived, but its acknowledgement has not.
    pub(super) has_arrived: bool,
    /// The segments before were acknowledged: this one needs no contention.
    pub(super) goes_on: bool,
    /// The channel that has not brought it through, and whether its receiver has it all the same.
    pub(super) backup_of: Option<usize>,
    pub(super) was_heard: bool,
}

impl Job {
    pub(super) fn new(frame: Frame) -> Self {
        let modulation = Modulation::Robo;
        let (has_arrived, goes_on, backup_of, was_heard) = (false, false, None, false);
        Self { frame, attempts: 0, left: 0, segment: 0, modulation, has_arrived, goes_on, backup_of, was_heard }
    }

    /// The same for another medium.
    pub(super) fn again(self, channel: usize) -> Self {
        Self { backup_of: Some(channel), was_heard: self.was_heard, ..Self::new(self.frame) }
    }

    /// Cuts what is left anew where another modulation is used.
    pub(super) fn cut(&mut self, octets: u16, modulation: Modulation, most: u16) {
        if self.left == 0 || modulation != self.modulation {
            let octets = if self.left == 0 { octets } else { self.left * self.segment };
            self.left = octets.div_ceil(most);
            self.segment = octets.div_ceil(self.left);
            (self.modulation, self.has_arrived) = (modulation, false);
        }
    }
}
