//! Invocation counters. Whoever owns a key reserves counters ahead, durably, and gives the reserved ones to be used.

use std::ops::Range;

use crate::Reject;

/// Counters that may be used, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCounter {
    next: u32,
    end: u32,
}

impl SentCounter {
    pub const fn new(reserved: Range<u32>) -> Self {
        Self { next: reserved.start, end: reserved.end }
    }

    /// More reserved ones, above those there were.
    pub fn extend(&mut self, reserved: Range<u32>) -> Result<(), Reject> {
        if reserved.start < self.end || reserved.end < reserved.start {
            return Err(Reject::Reserved("reservation of invocation counters"));
        }
        // A gap between the blocks is left unused.
        if self.next >= self.end || reserved.start != self.end {
            self.next = reserved.start;
        }
        self.end = reserved.end;
        Ok(())
    }

    /// The next one; None where a new reservation is needed.
    pub fn take(&mut self) -> Option<u32> {
        (self.next < self.end).then(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// How many are left.
    pub const fn left(&self) -> u32 {
        self.end.saturating_sub(self.next)
    }

    /// The next one that will be used.
    pub const fn next(&self) -> u32 {
        self.next
    }
}

/// The highest counter that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceivedCounter(pub Option<u32>);

impl ReceivedCounter {
    /// Takes a counter above all those before. The first of a meter may be 0.
    pub fn accept(&mut self, counter: u32) -> Result<(), Reject> {
        if self.0.is_some_and(|highest| counter <= highest) {
            return Err(Reject::Replayed);
        }
        self.0 = Some(counter);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_counter_is_given_twice() {
        let mut counter = SentCounter::new(5..7);
        assert_eq!((counter.take(), counter.take(), counter.take()), (Some(5), Some(6), None));
        assert_eq!(counter.extend(6..9), Err(Reject::Reserved("reservation of invocation counters")));
        assert_eq!((counter.extend(9..11), counter.left(), counter.take()), (Ok(()), 2, Some(9)));
        assert_eq!((counter.extend(11..12), counter.left()), (Ok(()), 2));
        assert_eq!((counter.extend(20..21), counter.take(), counter.take()), (Ok(()), Some(20), None));
        let mut last = SentCounter::new(u32::MAX - 1..u32::MAX);
        assert_eq!((last.take(), last.take()), (Some(u32::MAX - 1), None));
    }

    #[test]
    fn received_counters_rise_from_zero() {
        let mut counter = ReceivedCounter::default();
        assert_eq!((counter.accept(0), counter.accept(0), counter.accept(7)), (Ok(()), Err(Reject::Replayed), Ok(())));
        assert_eq!((counter.accept(3), counter.0), (Err(Reject::Replayed), Some(7)));
    }
}
