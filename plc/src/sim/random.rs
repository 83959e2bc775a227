//! A generator of pseudo-random numbers, so that a run can be repeated from its seed. It keeps no secrets.

/// xorshift64*, after Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        // Zero would stay zero; the multiplication keeps seeds that follow each other apart.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number under `bound`; 0 when `bound` is 0.
    pub fn under(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// True so many times in a million.
    pub fn happens(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.under(1_000_000) < u64::from(ppm)
    }

    pub fn block(&mut self) -> [u8; 16] {
        (u128::from(self.number()) << 64 | u128::from(self.number())).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_under_their_bound_and_happenings_near_their_share() {
        let mut random = Random::new(7);
        assert!((0..1000).all(|_| random.under(6) < 6));
        let hits = (0..100_000).filter(|_| random.happens(50_000)).count();
        assert!((4_500..5_500).contains(&hits), "{hits} of 100,000 at 5 %");
        assert_ne!(random.block(), random.block());
        assert!(!random.happens(0));
    }
}
