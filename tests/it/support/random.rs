//! Moments that nobody chose: numbers from a seed that is printed.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// From `DCU_SEED`, so that a run can be repeated, or from the time. The seed is printed.
    pub(crate) fn new() -> Self {
        let given = std::env::var("DCU_SEED").ok().map(|text| text.parse().expect("DCU_SEED is a number"));
        let time = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        let seed = given.unwrap_or_else(time);
        eprintln!("DCU_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn within(&mut self, range: Range<u32>) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        range.start + (z % u64::from(range.end - range.start)) as u32
    }
}
