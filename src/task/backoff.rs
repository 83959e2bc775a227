//! How long to wait before the next attempt: doubling, capped, with jitter, so that a fleet does not come back as one.

use std::time::Duration;

/// The n-th delay lies between half of `first * 2^n` and all of it, never above `longest`.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    state: u64,
}

impl Backoff {
    /// `seed` decides the jitter: the same seed gives the same delays.
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, failures: 0, state: seed }
    }

    pub fn next_delay(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(20)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let half = full / 2;
        let steps = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        half + Duration::from_millis(self.random() % steps)
    }

    /// What was tried has worked: the next delay is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64: spreads any seed, even 0 and consecutive ones.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(Duration::from_secs(1), Duration::from_secs(60), seed)
    }

    #[test]
    fn delays_double_within_their_jitter_up_to_the_longest() {
        let mut backoff = backoff(7);
        for full in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let delay = backoff.next_delay();
            let full = Duration::from_secs(full);
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
        }
    }

    #[test]
    fn a_success_starts_again_with_the_first_delay() {
        let mut backoff = backoff(7);
        for _ in 0..40 {
            backoff.next_delay();
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_secs(1));
    }

    #[test]
    fn two_seeds_do_not_come_back_together() {
        let delays = |seed| {
            let mut backoff = backoff(seed);
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_ne!(delays(1), delays(2));
        assert_eq!(delays(1), delays(1));
    }
}
