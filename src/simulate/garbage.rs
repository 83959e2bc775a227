//! Telegrams that are none: what a receiver hears in a crowded band, beside the fleet, at a rate of its own.
//!
//! Half of them are random octets, half are well formed, of strangers whose keys nobody has. Neither can be a reading, and
//! so neither has a place in the account: whatever arrives of them is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wmbus::sim::random::Random;

use super::receivers::Receivers;

/// Puts so many on the air each second until `stop`, each to one of the receivers, and counts those that it told.
pub(super) async fn pour(receivers: &Receivers, rate: f64, seed: u64, told: Arc<AtomicU64>, stop: CancellationToken) {
    let mut random = Random::new(seed ^ LABEL);
    let mut pace = interval(Duration::from_secs_f64(1.0 / rate.clamp(0.001, 100_000.0)));
    // A receiver that was held up gets all the others as well: it is a rate, not a rhythm.
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        pace.tick().await;
        let frame = if random.below(2) == 0 { noise(&mut random) } else { stranger(&mut random) };
        let hear = receivers.hear_garbage(&frame, &mut random);
        match stop.run_until_cancelled(hear).await {
            Some(true) => told.fetch_add(1, Ordering::Relaxed),
            Some(false) => continue,
            None => return,
        };
    }
}

/// Any octets, of any length that a frame can have.
fn noise(random: &mut Random) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..10 + random.below(246)).map(|_| random.below(256) as u8).collect();
    let l_field = (frame.len() - 1) as u8;
    set(&mut frame, 0, &[l_field]);
    // The manufacturer begins with no letter, and no CI-field of these announces records: by chance they would be read.
    set(&mut frame, 3, &[random.below(4) as u8]);
    set(&mut frame, 10, &[0xc0 | random.below(64) as u8]);
    frame
}

/// An encrypted telegram of a meter that speaks once: mode 5, 1 to 14 blocks.
fn stranger(random: &mut Random) -> Vec<u8> {
    let blocks = 1 + random.below(14) as u8;
    let mut frame = vec![14 + 16 * blocks, 0x44];
    frame.extend(MANUFACTURER.to_le_bytes());
    // Identification numbers have decimal digits.
    frame.extend((0..4).map(|_| (random.below(10) << 4 | random.below(10)) as u8));
    frame.extend([0x01, 0x07, 0x7a, random.below(256) as u8, 0, blocks << 4, 5]);
    let begin = frame.len();
    frame.extend((0..16 * usize::from(blocks)).map(|_| random.below(256) as u8));
    // Beginning with 2F 2F it would pass for one that its receiver has decrypted.
    set(&mut frame, begin, &[random.below(0x2f) as u8]);
    frame
}

fn set(frame: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + octets.len()) {
        place.copy_from_slice(octets);
    }
}

/// Thrice the letter X: nobody.
const MANUFACTURER: u16 = 24 << 10 | 24 << 5 | 24;
/// Keeps these draws apart from the others.
const LABEL: u64 = 0x0067_6172_6261_6765;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use wmbus::{Address, Form, Key, Scratch, Telegram, Verdict};

    use super::*;

    #[test]
    fn garbage_holds_no_readings_and_strangers_are_seen_as_meters_without_a_key() {
        let mut random = Random::new(1);
        let keys = HashMap::<Address, Key>::new();
        for _ in 0..20_000 {
            let frame = noise(&mut random);
            if let Ok(telegram) = Telegram::decode_as(Form::Stripped, &frame, &keys, &mut Scratch::default()) {
                let is_read = matches!(telegram.verdict, Verdict::Ok | Verdict::Partial);
                assert!(!is_read || telegram.records().next().is_none(), "{}", hex::encode(&frame));
            }
            let frame = stranger(&mut random);
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode_as(Form::Stripped, &frame, &keys, &mut scratch).unwrap();
            assert_eq!(telegram.verdict, Verdict::NoKey);
        }
    }
}
