//! Numbered frames both ways: segments out, their acknowledgement, segments in. The same for both stations.

use std::collections::VecDeque;

use super::{Address, Control, Frame, Parameters};
use crate::Reject;

#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) parameters: Parameters,
    /// Number of the first segment in `queue`.
    first: u8,
    /// Segments that are not acknowledged; the first `sent` of them have been sent at least once.
    queue: VecDeque<Segment>,
    sent: u8,
    /// N(R): the number expected next.
    expected: u8,
    received: Vec<u8>,
    /// Octets of one APDU that are taken.
    limit: usize,
}

#[derive(Debug)]
struct Segment {
    is_segmented: bool,
    octets: Vec<u8>,
}

impl Sequence {
    pub(super) const fn new(parameters: Parameters, limit: usize) -> Self {
        Self { parameters, first: 0, queue: VecDeque::new(), sent: 0, expected: 0, received: Vec::new(), limit }
    }

    pub(super) fn reset(&mut self, parameters: Parameters) {
        *self = Self::new(parameters, self.limit);
    }

    /// Cuts an APDU into segments.
    pub(super) fn load(&mut self, llc: [u8; 3], apdu: &[u8]) {
        let size = usize::from(self.parameters.information_transmit).max(1);
        let octets = [&llc[..], apdu].concat();
        let mut chunks = octets.chunks(size).peekable();
        while let Some(chunk) = chunks.next() {
            self.queue.push_back(Segment { is_segmented: chunks.peek().is_some(), octets: chunk.to_vec() });
        }
    }

    /// There is something to send or to send again.
    pub(super) fn is_loaded(&self) -> bool {
        !self.queue.is_empty()
    }

    /// A part of an APDU has come, and more of it will.
    pub(super) fn is_receiving(&self) -> bool {
        !self.received.is_empty()
    }

    pub(super) const fn expected(&self) -> u8 {
        self.expected
    }

    /// Forgets the segments before `receive`.
    pub(super) fn acknowledge(&mut self, receive: u8) -> Result<(), Reject> {
        let count = receive.wrapping_sub(self.first) & 7;
        if count > self.sent {
            return Err(Reject::OutOfSequence);
        }
        self.queue.drain(..usize::from(count));
        self.sent -= count;
        self.first = receive;
        Ok(())
    }

    /// Frames of a window, P or F in the last of them. What was lost is sent again one by one: a window whose frames
    /// are lost again and again would never end.
    pub(super) fn transmit(&mut self, destination: Address, source: Address, out: &mut VecDeque<Vec<u8>>) {
        let window = if self.sent > 0 { 1 } else { self.parameters.window_transmit };
        let window = usize::from(window.clamp(1, 7)).min(self.queue.len());
        for (place, segment) in self.queue.iter().enumerate().take(window) {
            let control = Control::Information {
                send: self.first.wrapping_add(place as u8) & 7,
                receive: self.expected,
                poll: place + 1 == window,
            };
            let is_segmented = segment.is_segmented;
            let mut octets = Vec::new();
            let frame = Frame { is_segmented, destination, source, control, information: &segment.octets };
            // A segment is no longer than was agreed, and that fits a frame.
            if frame.emit(&mut octets).is_ok() {
                out.push_back(octets);
            }
        }
        self.sent = self.sent.max(window as u8);
    }

    /// Takes information in; an APDU when it is whole.
    pub(super) fn take(&mut self, send: u8, frame: &Frame<'_>) -> Result<Option<Vec<u8>>, Reject> {
        if send != self.expected {
            return Err(Reject::OutOfSequence);
        }
        self.expected = send.wrapping_add(1) & 7;
        self.received.extend_from_slice(frame.information);
        if self.received.len() > self.limit {
            self.received = Vec::new();
            return Err(Reject::TooLong("segmented information"));
        }
        Ok((!frame.is_segmented).then(|| std::mem::take(&mut self.received)))
    }
}
