//! The receiving side of push: what comes in blocks is put together. Who sent it, and whether that is proven, is decided by
//! who has the keys.

use crate::Reject;
use crate::apdu::{GeneralBlockTransfer, tag};
use crate::block_transfer::{BlockReceiver, Progress};

/// Notifications of one sender, which nobody asked for and nobody answers.
#[derive(Debug)]
pub struct Notifications {
    limit: usize,
    blocks: Option<BlockReceiver>,
}

impl Notifications {
    /// An APDU that comes in blocks is not longer than `limit`.
    pub const fn new(limit: usize) -> Self {
        Self { limit, blocks: None }
    }

    /// Takes an APDU as the link has it; None where more blocks of it are to come.
    ///
    /// # Errors
    /// It is too long, or a block is missing: what is there of it is forgotten.
    pub fn take(&mut self, apdu: &[u8]) -> Result<Option<Vec<u8>>, Reject> {
        let Some((&tag::GENERAL_BLOCK_TRANSFER, mut rest)) = apdu.split_first() else {
            return match apdu.len() {
                0 => Err(Reject::Truncated),
                length if length > self.limit => Err(Reject::TooLong("apdu")),
                _ => Ok(Some(apdu.to_vec())),
            };
        };
        let block = GeneralBlockTransfer::parse(&mut rest)?;
        if !rest.is_empty() {
            return Err(Reject::Trailing);
        }
        // The first block of another one: what was before it is not completed any more.
        if block.block_number == 1 {
            self.blocks = Some(BlockReceiver::new(self.limit));
        }
        let blocks = self.blocks.as_mut().ok_or(Reject::OutOfSequence)?;
        let is_next = Some(block.block_number) == blocks.last().checked_add(1);
        let taken = if is_next { blocks.take(&block) } else { Err(Reject::OutOfSequence) };
        match taken {
            Ok(Progress::Complete(octets)) => {
                self.blocks = None;
                Ok(Some(octets))
            }
            Ok(Progress::Wait | Progress::Acknowledge) => Ok(None),
            Err(reject) => {
                self.blocks = None;
                Err(reject)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block_transfer::BlockSender;

    fn blocks(octets: &[u8]) -> Vec<Vec<u8>> {
        let mut sender = BlockSender::new(octets.to_vec(), 64).unwrap();
        sender.acknowledge(0, 63).unwrap();
        let block = |block: GeneralBlockTransfer<'_>| {
            let mut out = vec![tag::GENERAL_BLOCK_TRANSFER];
            block.emit(&mut out);
            out
        };
        sender.blocks(1, 0).map(block).collect()
    }

    #[test]
    fn blocks_are_put_together_and_a_missing_one_is_missed() {
        let whole: Vec<u8> = (0..=250).collect();
        let mut notifications = Notifications::new(300);
        assert_eq!(notifications.take(&[15, 0]), Ok(Some(vec![15, 0])));
        let blocks = blocks(&whole);
        for _ in 0..2 {
            let taken: Vec<_> = blocks.iter().map(|block| notifications.take(block).unwrap()).collect();
            assert_eq!(taken.last(), Some(&Some(whole.clone())));
            assert!(taken[..taken.len() - 1].iter().all(Option::is_none));
        }
        assert_eq!(notifications.take(&blocks[0]), Ok(None));
        assert_eq!(notifications.take(&blocks[2]), Err(Reject::OutOfSequence));
        assert_eq!(notifications.take(&blocks[1]), Err(Reject::OutOfSequence), "what was before is forgotten");
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut notifications = Notifications::new(100);
        assert_eq!(notifications.take(&[0; 101]), Err(Reject::TooLong("apdu")));
        let refused = blocks(&[7; 200]).iter().find_map(|block| notifications.take(block).err());
        assert_eq!(refused, Some(Reject::TooLong("block transfer")));
        assert_eq!(notifications.take(&[]), Err(Reject::Truncated));
    }

    proptest! {
        #[test]
        fn any_octets_keep_no_more_than_the_limit(pieces in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let mut notifications = Notifications::new(50);
            for piece in pieces {
                if let Ok(Some(octets)) = notifications.take(&[&[0xe0][..], &piece].concat()) {
                    prop_assert!(octets.len() <= 50);
                }
            }
        }
    }
}
