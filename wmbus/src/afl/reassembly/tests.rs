//! Fragmented messages of a simulated meter. All vectors made by us.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use proptest::prelude::*;
use std::sync::LazyLock;

use super::*;
use crate::record::{DataField, Draft, Value};
use crate::sim::{Message, Protection};
use crate::{Form, Key, Scratch, Verdict};

const METER: Address = Address { manufacturer: 0x15c7, identification: 0x1234_5678, version: 0x33, device_type: 0x07 };
static KEY: LazyLock<Key> = LazyLock::new(|| Key::new([7; 16]));
const SECOND: Duration = Duration::from_secs(1);

fn fragments(meter: Address, counter: u32, value: i64) -> Vec<Vec<u8>> {
    let records = [Draft::new(DataField::Integer64, &[0x13], Value::Integer(value)); 12];
    let protection = Protection::AesCbcNoIv { key: &KEY, counter };
    Message::new(meter, 42, &records).protection(protection).fragments(Form::Stripped, 40).unwrap()
}

fn hear(reassembly: &mut Reassembly, frame: &[u8], now: Instant) -> Taken {
    hear_of(reassembly, frame, 0, now)
}

fn hear_of(reassembly: &mut Reassembly, frame: &[u8], worth: u8, now: Instant) -> Taken {
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode_as(Form::Stripped, frame, &KEY, &mut scratch).unwrap();
    reassembly.handle_telegram(&telegram, worth, now)
}

/// The values of the first message that comes out and is authenticated; all others are taken out before it.
fn message(reassembly: &mut Reassembly) -> Option<Vec<i64>> {
    std::iter::from_fn(|| reassembly.poll_event().map(|event| told(reassembly, &event))).find_map(|values| values)
}

/// The values of an event, if it is a message that is authenticated; where it is doubtful, it is said whether it is.
fn told(reassembly: &mut Reassembly, event: &Event) -> Option<Vec<i64>> {
    match event {
        Event::Message(frame) => values(frame),
        Event::Doubtful(frame) | Event::Mended(frame) => {
            let values = values(frame);
            reassembly.settle(values.is_some(), Instant::now());
            values
        }
        Event::Expired(_) => None,
    }
}

fn values(frame: &[u8]) -> Option<Vec<i64>> {
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode_as(Form::Stripped, frame, &KEY, &mut scratch).unwrap();
    if telegram.verdict != Verdict::Ok || !telegram.security.authenticated {
        return None;
    }
    let values = telegram.records().flatten();
    Some(
        values.filter_map(|record| if let Value::Integer(value) = record.value { Some(value) } else { None }).collect(),
    )
}

#[test]
fn a_forged_fragment_in_a_meters_own_name_does_not_cost_its_message() {
    let frames = fragments(METER, 7, 5);
    // Each place, the forged one before the honest one and at once behind it, or at the end of all.
    for place in 0..frames.len() {
        let mut forged = frames[place].clone();
        *forged.last_mut().unwrap() ^= 1;
        for is_last in [false, true] {
            let mut order: Vec<&Vec<u8>> = frames.iter().collect();
            if is_last {
                order[place] = &forged;
                order.push(&frames[place]);
            } else {
                order.insert(place, &forged);
            }
            let mut reassembly = Reassembly::new(Limits::default());
            let now = Instant::now();
            let mut came = Vec::new();
            for frame in order {
                assert_eq!(hear(&mut reassembly, frame, now), Taken::New);
                came.extend(std::iter::from_fn(|| message(&mut reassembly)));
            }
            assert_eq!(came, [vec![5; 12]], "{place} {is_last}");
            assert!(reassembly.len() <= 2 && reassembly.doubtful.is_empty());
            // Nothing of the message itself is given up afterwards.
            reassembly.handle_timeout(now + reassembly.limits.timeout);
            let expired = std::iter::from_fn(|| reassembly.poll_event());
            assert!(expired.into_iter().all(|event| matches!(event, Event::Expired(it) if it.contains(&forged))));
        }
    }
    // A message that opened is not lost to what is forged behind it, nor told twice.
    let mut reassembly = Reassembly::new(Limits::default());
    let now = Instant::now();
    assert!(frames.iter().all(|frame| hear(&mut reassembly, frame, now) == Taken::New));
    assert_eq!(message(&mut reassembly), Some(vec![5; 12]));
    let mut forged = frames[3].clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(hear(&mut reassembly, &forged, now), Taken::New);
    assert!(matches!(reassembly.events.front(), Some(Event::Mended(_))));
    assert_eq!((message(&mut reassembly), hear(&mut reassembly, &frames[3], now)), (None, Taken::Repeated));
}

#[test]
fn fragments_in_any_order_and_twice_are_one_message() {
    let frames = fragments(METER, 7, 5);
    assert_eq!(frames.len(), 4);
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
        let mut reassembly = Reassembly::new(Limits::default());
        let now = Instant::now();
        for (at, fragment) in order.into_iter().enumerate() {
            assert_eq!(message(&mut reassembly), None);
            assert_eq!(hear(&mut reassembly, &frames[fragment], now), Taken::New);
            if at < 3 {
                assert_eq!(hear(&mut reassembly, &frames[fragment], now), Taken::Repeated);
            }
        }
        assert_eq!(message(&mut reassembly), Some(vec![5; 12]));
        assert!(reassembly.is_empty() && reassembly.poll_timeout().is_none());
    }
}

#[test]
fn messages_of_two_meters_and_two_counters_do_not_mix() {
    let other = Address { identification: 1, ..METER };
    let (a, b, c) = (fragments(METER, 7, 5), fragments(other, 7, 6), fragments(METER, 8, 9));
    let mut reassembly = Reassembly::new(Limits::default());
    let now = Instant::now();
    for at in 0..3 {
        hear(&mut reassembly, &a[at], now);
        hear(&mut reassembly, &b[at], now);
    }
    assert_eq!(reassembly.len(), 2);
    // The meter gave its message up and began another.
    c.iter().for_each(|frame| {
        hear(&mut reassembly, frame, now);
    });
    assert_eq!(message(&mut reassembly), Some(vec![9; 12]));
    hear(&mut reassembly, &b[3], now);
    assert_eq!(message(&mut reassembly), Some(vec![6; 12]));
}

#[test]
fn the_first_fragment_of_two_messages_that_did_not_open_is_held_once() {
    let frames = fragments(METER, 7, 5);
    let mut damaged = frames[3].clone();
    *damaged.last_mut().unwrap() ^= 1;
    let mut forged = damaged.clone();
    *forged.last_mut().unwrap() ^= 2;
    let mut reassembly = Reassembly::new(Limits { per_meter: 3, ..Limits::default() });
    let now = Instant::now();
    for frame in [&damaged, &forged, &frames[1], &frames[2], &frames[0]] {
        hear(&mut reassembly, frame, now);
    }
    assert_eq!(message(&mut reassembly), None);
    // The two that were not right, and once the first one.
    assert_eq!(reassembly.len(), 3);
    assert_eq!(hear(&mut reassembly, &frames[3], now), Taken::New);
    reassembly.handle_timeout(now + Limits::default().timeout);
    let given_up = std::iter::from_fn(|| reassembly.poll_event());
    let first = given_up.filter(|event| matches!(event, Event::Expired(held) if held.contains(&frames[0]))).count();
    assert_eq!(first, 1);
}

#[test]
fn what_is_missing_too_long_is_given_up_with_its_frames() {
    let frames = fragments(METER, 7, 5);
    let mut reassembly = Reassembly::new(Limits { timeout: 10 * SECOND, ..Limits::default() });
    let start = Instant::now();
    hear(&mut reassembly, &frames[0], start);
    hear(&mut reassembly, &frames[2], start + 9 * SECOND);
    assert_eq!(reassembly.poll_timeout(), Some(start + 19 * SECOND));
    reassembly.handle_timeout(start + 18 * SECOND);
    assert_eq!(reassembly.poll_event(), None);
    reassembly.handle_timeout(start + 19 * SECOND);
    assert_eq!(reassembly.poll_event(), Some(Event::Expired(vec![frames[0].clone(), frames[2].clone()])));
    assert_eq!(reassembly.poll_timeout(), None);
}

#[test]
fn a_forged_fragment_does_not_keep_the_message_away_and_never_becomes_a_value() {
    let frames = fragments(METER, 7, 5);
    let mut forged = frames[1].clone();
    *forged.last_mut().unwrap() ^= 1;
    for position in 0..3 {
        let mut reassembly = Reassembly::new(Limits::default());
        let now = Instant::now();
        for (at, frame) in frames.iter().enumerate() {
            if at == position {
                hear(&mut reassembly, &forged, now);
            }
            hear(&mut reassembly, frame, now);
        }
        assert_eq!(message(&mut reassembly), Some(vec![5; 12]), "position {position}");
    }
}

#[test]
fn a_fragment_that_is_left_over_spoils_no_message() {
    for (left, between) in [(vec![3], 0), (vec![3], 300), (vec![1, 2, 3], 0), (vec![1, 2, 3], 300)] {
        let mut reassembly = Reassembly::new(Limits::default());
        let mut now = Instant::now();
        // The first one was lost.
        for at in &left {
            hear(&mut reassembly, &fragments(METER, 7, 5)[*at], now);
        }
        for counter in 8..16 {
            now += between * SECOND;
            let frames = fragments(METER, counter, counter.into());
            let mut came = Vec::new();
            for frame in &frames {
                assert_eq!(hear(&mut reassembly, frame, now), Taken::New);
                while let Some(event) = reassembly.poll_event() {
                    // Of two messages nothing comes out that would have to be told.
                    let is_message = matches!(event, Event::Message(_));
                    let values = told(&mut reassembly, &event);
                    assert!(!is_message || values.is_some());
                    came.extend(values);
                }
            }
            assert_eq!(came, [vec![i64::from(counter); 12]], "left {left:?}, {between} s");
            assert!(reassembly.len() <= 2);
            reassembly.handle_timeout(now);
        }
    }
}

#[test]
fn late_copies_of_a_message_are_not_waited_with() {
    let (mut reassembly, now) = (Reassembly::new(Limits::default()), Instant::now());
    let frames = fragments(METER, 7, 5);
    for seconds in [0, 2, 25] {
        for frame in &frames {
            let taken = hear(&mut reassembly, frame, now + seconds * SECOND);
            assert_eq!(taken, if seconds == 0 { Taken::New } else { Taken::Repeated });
        }
    }
    assert!(reassembly.is_empty());
    assert_eq!(hear(&mut reassembly, &frames[3], now + 31 * SECOND), Taken::New);
}

#[test]
fn memory_is_bounded_by_meter_and_altogether() {
    let limits = Limits { messages: 3, ..Limits::default() };
    let mut reassembly = Reassembly::new(limits);
    let now = Instant::now();
    for counter in 0..5 {
        hear(&mut reassembly, &fragments(METER, counter, 5)[0], now);
    }
    assert_eq!((reassembly.len(), reassembly.events.len()), (2, 3));
    for identification in 0..5 {
        hear(&mut reassembly, &fragments(Address { identification, ..METER }, 1, 5)[0], now);
    }
    assert_eq!((reassembly.len(), reassembly.events.len()), (3, 7));
    let mut narrow = Reassembly::new(Limits { octets: 70, ..limits });
    assert_eq!(hear(&mut narrow, &fragments(METER, 1, 5)[0], now), Taken::New);
    assert_eq!(hear(&mut narrow, &fragments(METER, 1, 5)[1], now), Taken::No);
}

#[test]
fn meters_that_are_worth_less_take_no_place_from_others() {
    for at in [0, 1] {
        let mut reassembly = Reassembly::new(Limits::default());
        let now = Instant::now();
        let frames = fragments(METER, 7, 5);
        for frame in &frames[..3] {
            assert_eq!(hear_of(&mut reassembly, frame, 1, now), Taken::New);
        }
        for identification in 0..200 {
            let invented = Address { identification, ..METER };
            assert_eq!(hear(&mut reassembly, &fragments(invented, 7, 5)[at], now), Taken::New);
        }
        assert_eq!(reassembly.len(), Limits::default().messages);
        assert_eq!(hear_of(&mut reassembly, &frames[3], 1, now), Taken::New);
        assert_eq!(message(&mut reassembly), Some(vec![5; 12]));

        // Nor are late copies of it taken for something new.
        for identification in 0..100 {
            let invented = Address { identification: 1000 + identification, ..METER };
            fragments(invented, 7, 5).iter().for_each(|frame| {
                hear(&mut reassembly, frame, now);
            });
        }
        assert_eq!(hear_of(&mut reassembly, &frames[3], 1, now + SECOND), Taken::Repeated);
        assert!(reassembly.done.len() <= Limits::default().messages);

        // Among those who are worth more the oldest makes room.
        for identification in 0..70 {
            let known = Address { identification: 2000 + identification, ..METER };
            assert_eq!(hear_of(&mut reassembly, &fragments(known, 7, 5)[0], 1, now), Taken::New);
        }
        assert_eq!(reassembly.len(), Limits::default().messages);
        let is_left = |of: u32| {
            let frame = &fragments(Address { identification: of, ..METER }, 7, 5)[0];
            reassembly.holds(frame)
        };
        assert_eq!((is_left(2005), is_left(2006)), (false, true));
    }
}

proptest! {
    #[test]
    fn any_losses_duplicates_and_flips_end_in_the_message_or_in_nothing(
        steps in proptest::collection::vec((0usize..4, 0usize..200, any::<bool>()), 0..24),
    ) {
        let frames = fragments(METER, 7, 5);
        let mut reassembly = Reassembly::new(Limits::default());
        let now = Instant::now();
        for (at, bit, is_flipped) in steps {
            let mut frame = frames[at].clone();
            if is_flipped {
                let octets = frame.len();
                frame[10 + bit / 8 % (octets - 10)] ^= 1 << (bit % 8);
            }
            let mut scratch = Scratch::default();
            if let Ok(telegram) = Telegram::decode_as(Form::Stripped, &frame, &KEY, &mut scratch) {
                reassembly.handle_telegram(&telegram, 0, now);
            }
            prop_assert!(reassembly.len() <= 2);
        }
        while let Some(values) = message(&mut reassembly) {
            prop_assert_eq!(values, vec![5; 12]);
        }
    }
}
