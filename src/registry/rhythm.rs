//! How often a meter sends, learned from what is heard: its interval, what was missed, when it comes next.
//!
//! The access number counts transmissions, so that the gap between two telegrams, divided by its steps, is the interval
//! whatever was lost between them. Without one the shorter gaps are believed.

use std::time::Duration;

/// The rhythm of one meter's telegrams.
#[derive(Debug, Clone, Default)]
pub struct Rhythm {
    /// The last samples of the interval in milliseconds, oldest overwritten first.
    samples: [u32; SAMPLES],
    taken: u8,
    last: Option<Last>,
    missed: u64,
    /// The interval of an earlier run, until there is one of this.
    remembered: u32,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    boot_ms: u64,
    access_number: Option<u8>,
}

impl Rhythm {
    /// Goes on with the interval of an earlier run, in milliseconds; 0 is none.
    pub(super) fn remembered(interval_ms: u32) -> Self {
        Self { remembered: interval_ms, ..Self::default() }
    }

    /// Notes a new telegram; `access_number` is the meter's, where it has one.
    pub(super) fn hear(&mut self, boot_ms: u64, access_number: Option<u8>) {
        let now = Last { boot_ms, access_number };
        let Some(last) = self.last else {
            self.last = Some(now);
            return;
        };
        let gap = boot_ms.saturating_sub(last.boot_ms);
        if access_number.is_some() && access_number == last.access_number && gap < REPEATED_MS {
            return;
        }
        self.last = Some(now);
        if !(SHORTEST_MS..=LONGEST_MS).contains(&gap) {
            return;
        }
        let known = self.interval_ms();
        // How many transmissions the gap holds, by the rhythm that is known.
        let expected = (known > 0).then(|| (gap + u64::from(known) / 2) / u64::from(known));
        let steps = match (last.access_number, access_number) {
            (Some(before), Some(after)) if expected.is_none_or(|expected| expected < ROUND) => {
                u64::from(after.wrapping_sub(before))
            }
            (Some(_), Some(_)) => expected.unwrap_or(0),
            _ => expected.unwrap_or(1).max(1),
        };
        if steps == 0 {
            return;
        }
        self.missed += steps - 1;
        let at = usize::from(self.taken) % SAMPLES;
        if let (Some(sample), Ok(interval)) = (self.samples.get_mut(at), u32::try_from(gap / steps)) {
            *sample = interval;
            self.taken = if usize::from(self.taken) + 1 == 2 * SAMPLES { SAMPLES as u8 } else { self.taken + 1 };
        }
    }

    /// The interval; None before it is known.
    pub fn interval(&self) -> Option<Duration> {
        Some(self.interval_ms()).filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms.into()))
    }

    /// Transmissions that were not heard, between those that were.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// When the next transmission is due, in milliseconds of the boot's clock; past ones are passed over.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let interval = u64::from(Some(self.interval_ms()).filter(|ms| *ms > 0)?);
        let last = self.last?.boot_ms;
        Some(last + interval * (now_ms.saturating_sub(last) / interval + 1))
    }

    pub(super) fn interval_ms(&self) -> u32 {
        let count = usize::from(self.taken).min(SAMPLES);
        if count < ENOUGH {
            return self.remembered;
        }
        let mut sorted = self.samples;
        let Some(taken) = sorted.get_mut(..count) else { return 0 };
        taken.sort_unstable();
        // Gaps that hide lost telegrams are too long, never too short: below the middle is nearer to the truth.
        let has_number = self.last.is_some_and(|last| last.access_number.is_some());
        taken.get(if has_number { count / 2 } else { count / 4 }).copied().unwrap_or(0)
    }
}

const SAMPLES: usize = 9;
/// So many samples make an interval.
const ENOUGH: usize = 3;
/// Beyond so many transmissions the access number may have gone round.
const ROUND: u64 = 200;
/// Shorter gaps are several telegrams of one transmission; longer ones say nothing of the rhythm.
const SHORTEST_MS: u64 = 500;
/// The same number again within so long is the same transmission, by a repeater.
const REPEATED_MS: u64 = 30_000;
const LONGEST_MS: u64 = 7 * 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds and access numbers of telegrams; the interval in seconds and what was missed afterwards.
    #[track_caller]
    fn check(telegrams: impl IntoIterator<Item = (u64, Option<u8>)>, expected: Option<u64>, missed: u64) {
        let mut rhythm = Rhythm::default();
        for (seconds, access_number) in telegrams {
            rhythm.hear(seconds * 1000, access_number);
        }
        assert_eq!(rhythm.interval(), expected.map(Duration::from_secs));
        assert_eq!(rhythm.missed(), missed);
    }

    #[test]
    fn an_interval_is_learned_from_a_few_telegrams() {
        check([], None, 0);
        check([(0, Some(1)), (16, Some(2)), (32, Some(3))], None, 0);
        check([(0, Some(254)), (16, Some(255)), (32, Some(0)), (48, Some(1))], Some(16), 0);
        check((0..200).map(|n| (n * 16, None)), Some(16), 0);
    }

    #[test]
    fn lost_telegrams_do_not_lengthen_it() {
        // Two of three are lost.
        check((0..100).map(|n| (n * 48, Some((n * 3 % 256) as u8))), Some(16), 198);
        // Without a number, one of three is lost; the first two before there is a rhythm.
        check((0..90).filter(|n| n % 3 != 1).map(|n| (n * 16, None)), Some(16), 28);
    }

    #[test]
    fn an_outage_longer_than_a_round_of_the_number_is_counted_by_the_clock() {
        let before = (0..20).map(|n| (n * 16, Some(n as u8)));
        let after = (1000..1020).map(|n| (n * 16, Some((n % 256) as u8)));
        check(before.chain(after), Some(16), 980);
    }

    #[test]
    fn a_repetition_is_no_transmission() {
        check((0..40).flat_map(|n| [(n * 16, Some(n as u8)), (n * 16 + 2, Some(n as u8))]), Some(16), 0);
    }

    #[test]
    fn the_next_transmission_is_predicted() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.next_ms(0), None);
        for n in 0..10 {
            rhythm.hear(n * 16_000, Some(n as u8));
        }
        assert_eq!(rhythm.next_ms(150_000), Some(160_000));
        assert_eq!(rhythm.next_ms(160_000), Some(176_000));
        assert_eq!(rhythm.next_ms(1_600_001), Some(1_616_000));
        let remembered = Rhythm::remembered(16_000);
        assert_eq!((remembered.interval(), remembered.next_ms(5)), (Some(Duration::from_secs(16)), None));
    }
}
