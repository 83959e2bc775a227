//! General block transfer, either side: one long APDU in numbered blocks. IEC 62056-5-3:2017, 9.4.6.13.

use crate::Reject;
use crate::apdu::{BlockControl, GeneralBlockTransfer};

/// Sends an APDU: a window of blocks, then what was acknowledged decides what goes on.
#[derive(Debug)]
pub(crate) struct BlockSender {
    octets: Vec<u8>,
    size: usize,
    /// Blocks that the other side has.
    acknowledged: usize,
    /// Blocks that it takes at once.
    window: usize,
}

/// Receives one.
#[derive(Debug)]
pub(crate) struct BlockReceiver {
    /// The number of the last block with none missing before it.
    last: u16,
    octets: Vec<u8>,
    limit: usize,
}

/// What a block brought about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More blocks come unasked.
    Wait,
    /// The window is over: the other side waits to be told what came.
    Acknowledge,
    Complete(Vec<u8>),
}

impl BlockSender {
    /// Blocks of which none, framing counted, is longer than `pdu_size`.
    pub(crate) fn new(octets: Vec<u8>, pdu_size: usize) -> Result<Self, Reject> {
        let size = pdu_size.saturating_sub(GeneralBlockTransfer::OVERHEAD).clamp(1, MAX_BLOCK);
        match octets.len().div_ceil(size) {
            0..=MAX_BLOCKS => Ok(Self { octets, size, acknowledged: 0, window: 1 }),
            _ => Err(Reject::TooLong("apdu")),
        }
    }

    /// What the other side has, and how many blocks it takes at once.
    pub(crate) fn acknowledge(&mut self, number: u16, window: u8) -> Result<(), Reject> {
        let number = usize::from(number);
        if number > self.octets.len().div_ceil(self.size) || number < self.acknowledged {
            return Err(Reject::OutOfSequence);
        }
        self.acknowledged = number;
        self.window = usize::from(window).max(1);
        Ok(())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.acknowledged * self.size >= self.octets.len()
    }

    /// The blocks of the next window. `window` and `acknowledged` speak of the other direction.
    pub(crate) fn blocks(&self, window: u8, acknowledged: u16) -> impl Iterator<Item = GeneralBlockTransfer<'_>> {
        let total = self.octets.len().div_ceil(self.size);
        let end = (self.acknowledged + self.window).min(total);
        let chunks = self.octets.chunks(self.size).enumerate();
        chunks.take(end).skip(self.acknowledged).map(move |(place, block_data)| GeneralBlockTransfer {
            control: BlockControl { is_last: place + 1 == total, is_streaming: place + 1 < end, window },
            // No more blocks than the number counts.
            block_number: place as u16 + 1,
            block_number_ack: acknowledged,
            block_data,
        })
    }
}

impl BlockReceiver {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { last: 0, octets: Vec::new(), limit }
    }

    /// The number to be acknowledged.
    pub(crate) const fn last(&self) -> u16 {
        self.last
    }

    pub(crate) fn take(&mut self, block: &GeneralBlockTransfer<'_>) -> Result<Progress, Reject> {
        if Some(block.block_number) == self.last.checked_add(1) {
            if block.block_data.is_empty() && !block.control.is_last {
                return Err(Reject::Length("block"));
            }
            self.last = block.block_number;
            self.octets.extend_from_slice(block.block_data);
            if self.octets.len() > self.limit {
                return Err(Reject::TooLong("block transfer"));
            }
            if block.control.is_last {
                return Ok(Progress::Complete(std::mem::take(&mut self.octets)));
            }
        }
        // A block out of order was sent again, or one before it was lost: what came last is said either way.
        Ok(if block.control.is_streaming { Progress::Wait } else { Progress::Acknowledge })
    }
}

const MAX_BLOCK: usize = u16::MAX as usize - GeneralBlockTransfer::OVERHEAD;
const MAX_BLOCKS: usize = u16::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `length` octets in windows of `window`, each so many blocks one lost; counts blocks.
    fn transfer(length: usize, window: u8, lose_each: usize) -> usize {
        let octets: Vec<_> = (0..length).map(|place| place as u8).collect();
        let mut sender = BlockSender::new(octets.clone(), 50).unwrap();
        let mut receiver = BlockReceiver::new(1 << 20);
        let mut sent = 0;
        loop {
            for block in sender.blocks(0, 0) {
                sent += 1;
                // Irregularly, or the same block would be lost for ever.
                if lose_each > 0 && ((sent * 40_503) >> 7) % lose_each == 0 {
                    continue;
                }
                if let Progress::Complete(received) = receiver.take(&block).unwrap() {
                    assert_eq!(received, octets);
                    return sent;
                }
            }
            sender.acknowledge(receiver.last(), window).unwrap();
            assert!(sent < 10_000);
        }
    }

    #[test]
    fn blocks_arrive_whole_in_any_window_and_are_sent_again_when_lost() {
        for window in [1, 2, 7, 63] {
            assert_eq!(transfer(1, window, 0), 1);
            assert_eq!(transfer(1000, window, 0), 25);
            for lose_each in 2..9 {
                assert!(transfer(1000, window, lose_each) > 25);
            }
        }
    }

    #[test]
    fn transfers_without_end_or_sense_are_rejected() {
        let mut receiver = BlockReceiver::new(10);
        let control = BlockControl { is_last: false, is_streaming: true, window: 1 };
        let mut block = GeneralBlockTransfer { control, block_number: 1, block_number_ack: 0, block_data: &[0; 8] };
        assert_eq!(receiver.take(&block), Ok(Progress::Wait));
        block.block_number = 3;
        assert_eq!(receiver.take(&block), Ok(Progress::Wait));
        assert_eq!(receiver.last(), 1);
        block.block_number = 2;
        assert_eq!(receiver.take(&block), Err(Reject::TooLong("block transfer")));
        let empty = GeneralBlockTransfer { block_number: 1, block_data: &[], ..block };
        assert_eq!(BlockReceiver::new(10).take(&empty), Err(Reject::Length("block")));
        let mut sender = BlockSender::new(vec![0; 100], 59).unwrap();
        assert_eq!(sender.acknowledge(3, 1), Err(Reject::OutOfSequence));
        assert_eq!((sender.acknowledge(2, 1), sender.is_done()), (Ok(()), true));
        assert!(BlockSender::new(vec![0; 70_000], 10).is_err());
    }
}
