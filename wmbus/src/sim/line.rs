//! The line between an emulated receiver and its host, with its faults: parameters, drawn from a seed.

use std::collections::VecDeque;

use super::random::Random;

/// What goes wrong on the line between receiver and host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages with one octet altered, per million.
    pub corrupt_ppm: u32,
    /// Messages that stop early, per million.
    pub truncate_ppm: u32,
    /// Messages with up to 16 octets of noise before them, start octets among them, per million.
    pub noise_ppm: u32,
    pub split: Split,
    /// Frames that wait in the receiver and leave before its first answer.
    pub stale: Vec<Vec<u8>>,
    /// It never says anything.
    pub mute: bool,
}

/// In what portions a message leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Split {
    #[default]
    Whole,
    /// In two, the first one so long.
    At(usize),
    /// In portions of 1 to 16 octets.
    Random,
}

/// What became of a frame on the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the line to the host, whole.
    Intact,
    /// It is on the line, and a fault made it unreadable.
    Damaged,
    /// The receiver does not listen to that, or is mute.
    Deaf,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) faults: Faults,
    random: Random,
    /// With what a message of this receiver begins or ends: noise looks like that.
    delimiter: u8,
    /// Where messages are lines of text: so many characters at their end are covered by no check.
    uncovered: Option<usize>,
    transmits: VecDeque<Vec<u8>>,
}

impl Line {
    pub(super) fn new(faults: Faults, random: Random, delimiter: u8) -> Self {
        Self { faults, random, delimiter, uncovered: None, transmits: VecDeque::new() }
    }

    /// Lines of text, of which so many characters at the end are covered by no check.
    pub(super) fn of_text(mut self, uncovered: usize) -> Self {
        self.uncovered = Some(uncovered);
        self
    }

    /// Puts a message on the line, faults included.
    pub(super) fn send(&mut self, message: &[u8]) -> Outcome {
        if self.faults.mute {
            return Outcome::Deaf;
        }
        let mut octets = message.to_vec();
        let mut outcome = Outcome::Intact;
        if self.random.chance_ppm(self.faults.corrupt_ppm) {
            let place = self.random.index(octets.len().saturating_sub(self.uncovered.unwrap_or(0)));
            // Higher bits of a digit may be its case alone: that is no damage.
            let flip = 1 << self.random.below(if self.uncovered.is_some() { 4 } else { 8 });
            if let Some(octet) = octets.get_mut(place) {
                *octet ^= flip;
            }
            outcome = Outcome::Damaged;
        }
        if self.random.chance_ppm(self.faults.truncate_ppm) {
            octets.truncate(self.random.index(octets.len()));
            outcome = Outcome::Damaged;
        }
        if self.random.chance_ppm(self.faults.noise_ppm) {
            let noise = self.noise();
            octets.splice(..0, noise);
        }
        self.portion(&octets);
        outcome
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The frames that waited, once.
    pub(super) fn stale(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.faults.stale)
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = 1 + self.random.index(16);
        (0..length)
            .map(|_| if self.random.below(4) == 0 { self.delimiter } else { (self.random.next_u64() & 0xff) as u8 })
            .collect()
    }

    fn portion(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let length = match self.faults.split {
                Split::At(length) if rest.len() == octets.len() && length > 0 => length,
                Split::Random => 1 + self.random.index(16),
                Split::Whole | Split::At(_) => rest.len(),
            };
            let (portion, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            self.transmits.push_back(portion.to_vec());
            rest = behind;
        }
    }
}
