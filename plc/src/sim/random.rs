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

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        to_unit(self.number())
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Normal, of mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        to_normal(self.number(), self.number())
    }

    pub fn block(&mut self) -> [u8; 16] {
        (u128::from(self.number()) << 64 | u128::from(self.number())).to_be_bytes()
    }
}

/// A normal number that belongs to a pair, whichever comes first, and to a purpose.
pub(super) fn of_pair(seed: u64, purpose: u64, a: usize, b: usize) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    let base = seed ^ mix(purpose) ^ mix((low as u64) << 32 | high as u64);
    to_normal(mix(base.wrapping_add(STEP)), mix(base.wrapping_add(STEP.wrapping_mul(2))))
}

/// The finalizer of SplitMix64, after Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
fn mix(z: u64) -> u64 {
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn to_unit(z: u64) -> f64 {
    (z >> 11) as f64 / (1u64 << 53) as f64
}

/// Box and Muller.
fn to_normal(a: u64, b: u64) -> f64 {
    (-2.0 * (1.0 - to_unit(a)).ln()).sqrt() * (std::f64::consts::TAU * to_unit(b)).cos()
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

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

    #[test]
    fn normal_numbers_have_their_mean_and_deviation() {
        let mut random = Random::new(7);
        let drawn: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let square = drawn.iter().map(|x| x * x).sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 0.03 && (square - 1.0).abs() < 0.05, "{mean} {square}");
    }

    #[test]
    fn a_pair_has_one_number() {
        assert_eq!(of_pair(1, 2, 3, 4).to_bits(), of_pair(1, 2, 4, 3).to_bits());
        assert_ne!(of_pair(1, 2, 3, 4).to_bits(), of_pair(1, 2, 3, 5).to_bits());
        assert_ne!(of_pair(1, 2, 3, 4).to_bits(), of_pair(1, 3, 3, 4).to_bits());
    }
}
