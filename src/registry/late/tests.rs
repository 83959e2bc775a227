#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use std::time::Duration;

use wmbus::record::{DataField, Draft, Value};
use wmbus::sim::{Layout, Message, Protection};
use wmbus::{Key, Verdict};

use super::*;
use crate::reading::{Received, TimeQuality};

const METER: Address = Address { manufacturer: 0x15c7, identification: 0x1234_5678, version: 0x33, device_type: 0x07 };

fn kept(frame: &[u8]) -> Kept {
    let received = Received { boot_id: [1; 16], boot_ms: 5, utc_ms: 6, quality: TimeQuality::Synchronised };
    Kept { received, links: Vec::new(), frame: frame.to_vec() }
}

fn key() -> Key {
    Key::new([7; 16])
}

/// The meter is one that is known, all others are invented.
fn worth(sender: &Address) -> u8 {
    u8::from(*sender == METER)
}

fn open(path: &Path, now: Instant) -> Result<(Late, Option<PathBuf>), JournalError> {
    Late::open(path, &key(), worth, WINDOW, now)
}

const WINDOW: Duration = Duration::from_secs(5);

/// What is heard is made durable at once, as after its window.
fn hear(late: &mut Late, frame: &[u8], now: Instant) -> (Place, Verdict) {
    let mut scratch = Scratch::default();
    let formats = late.formats().clone();
    let telegram = Telegram::decode_with(Some(Form::Stripped), frame, &key(), &formats, &mut scratch).unwrap();
    let place = late.handle_telegram(&telegram, || kept(frame), worth, now);
    late.write();
    (place, telegram.verdict)
}

fn frame(identification: u32, layout: Layout) -> Vec<u8> {
    let records = [Draft::new(DataField::Bcd8, &[0x13], Value::Integer(123_456))];
    Message::new(Address { identification, ..METER }, 1, &records).layout(layout).emit(Form::Stripped).unwrap()
}

fn fragments() -> Vec<Vec<u8>> {
    fragments_of(METER)
}

fn fragments_of_counter(counter: u32) -> Vec<Vec<u8>> {
    fragments_with(METER, counter)
}

fn fragments_of(meter: Address) -> Vec<Vec<u8>> {
    fragments_with(meter, 1)
}

fn fragments_with(meter: Address, counter: u32) -> Vec<Vec<u8>> {
    let records = [Draft::new(DataField::Integer64, &[0x13], Value::Integer(5)); 12];
    let key = key();
    let protection = Protection::AesCbcNoIv { key: &key, counter };
    Message::new(meter, 1, &records).protection(protection).fragments(Form::Stripped, 80).unwrap()
}

#[test]
fn compact_frames_wait_for_their_format_and_formats_stay_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late");
    let now = Instant::now();
    let (mut late, aside) = open(&path, now).unwrap();
    assert_eq!(aside, None);
    assert_eq!(hear(&mut late, &frame(1, Layout::Compact), now), (Place::Waits, Verdict::Unsupported));
    assert_eq!(hear(&mut late, &frame(2, Layout::Compact), now), (Place::Waits, Verdict::Unsupported));
    drop(late);

    let (mut late, _) = open(&path, now).unwrap();
    assert_eq!(late.poll_due(), None);
    assert_eq!(hear(&mut late, &frame(3, Layout::Full), now), (Place::None, Verdict::Ok));
    assert_eq!(late.poll_due(), Some(kept(&frame(1, Layout::Compact))));
    assert_eq!(late.poll_due(), Some(kept(&frame(2, Layout::Compact))));
    assert_eq!(late.poll_due(), None);
    drop(late);

    let (mut late, _) = open(&path, now).unwrap();
    assert_eq!((late.poll_due(), late.formats().len()), (None, 1));
    assert_eq!(hear(&mut late, &frame(1, Layout::Compact), now), (Place::None, Verdict::Ok));
}

#[test]
fn fragments_become_a_message_across_a_restart_and_expire_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late");
    let now = Instant::now();
    let frames = fragments();
    let (mut late, _) = open(&path, now).unwrap();
    assert_eq!(hear(&mut late, &frames[0], now).0, Place::Fragment);
    drop(late);

    let (mut late, _) = open(&path, now).unwrap();
    assert_eq!(hear(&mut late, &frames[0], now).0, Place::None, "it is there already");
    assert_eq!(late.poll_message(), None);
    assert_eq!(hear(&mut late, &frames[1], now).0, Place::Fragment);
    let message = late.poll_message().unwrap();
    assert!(!message.is_doubtful);
    assert_eq!(hear(&mut late, &message.frame, now).1, Verdict::Ok);
    let (mut again, _) = open(&path, now).unwrap();
    assert_eq!(again.poll_timeout(), None, "what became a message is not kept");

    assert_eq!(hear(&mut again, &frames[1], now).0, Place::Fragment);
    let due = again.poll_timeout().unwrap();
    again.handle_timeout(due);
    assert!(again.is_write_due(due + WINDOW) && !again.is_write_due(due));
    again.write();
    assert!(!again.is_write_due(due + WINDOW));
    assert_eq!((again.poll_expired(), again.poll_timeout()), (Some(kept(&frames[1])), None));
    let later = due + Duration::from_secs(1);
    assert_eq!(open(&path, later).unwrap().0.poll_timeout(), None);
}

#[test]
fn a_message_is_not_made_once_more_where_another_meter_s_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late");
    let now = Instant::now();
    let (mut late, _) = open(&path, now).unwrap();
    let other = fragments_of(Address { identification: 2, ..METER });
    for frame in [&other[0], &fragments()[0], &fragments()[1]] {
        assert_eq!(hear(&mut late, frame, now).0, Place::Fragment);
    }
    assert!(late.poll_message().is_some());
    drop(late);

    let (mut late, _) = open(&path, now).unwrap();
    assert_eq!(late.poll_message(), None);
    assert_eq!(hear(&mut late, &other[1], now).0, Place::Fragment);
    assert!(late.poll_message().is_some());
}

#[test]
fn a_fragment_that_is_left_over_is_kept_apart_and_expires_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late");
    let now = Instant::now();
    let (mut late, _) = open(&path, now).unwrap();
    let (left, frames) = (fragments_of_counter(1), fragments_of_counter(2));
    assert_eq!(hear(&mut late, &left[1], now).0, Place::Fragment);
    assert_eq!(hear(&mut late, &frames[0], now).0, Place::Fragment);
    let mixed = late.poll_message().unwrap();
    assert!(mixed.is_doubtful);
    assert_eq!(hear(&mut late, &mixed.frame, now).1, Verdict::BadMac);
    late.settle(false, now);
    late.write();
    drop(late);

    // It does not spoil the message after a restart either.
    let (mut late, _) = open(&path, now).unwrap();
    assert!(late.poll_message().is_some_and(|mixed| mixed.is_doubtful));
    late.settle(false, now);
    assert_eq!(hear(&mut late, &frames[1], now).0, Place::Fragment);
    let message = late.poll_message().unwrap();
    assert_eq!((message.is_doubtful, hear(&mut late, &message.frame, now).1), (false, Verdict::Ok));
    late.handle_timeout(late.poll_timeout().unwrap());
    assert_eq!((late.poll_expired(), late.poll_expired()), (Some(kept(&left[1])), None));
    late.write();
    assert_eq!(open(&path, now).unwrap().0.poll_timeout(), None);
}

#[test]
fn an_honest_fragment_mends_a_message_that_a_forged_one_has_spoilt_where_the_mac_proves_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late");
    let now = Instant::now();
    let (mut late, _) = open(&path, now).unwrap();
    let frames = fragments();
    let mut forged = frames[1].clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(hear(&mut late, &frames[0], now).0, Place::Fragment);
    assert_eq!(hear(&mut late, &forged, now).0, Place::Fragment);
    let spoilt = late.poll_message().unwrap();
    assert!(!spoilt.needs_proof && hear(&mut late, &spoilt.frame, now).1 == Verdict::BadMac);
    assert_eq!(hear(&mut late, &frames[1], now).0, Place::Fragment);
    let message = late.poll_message().unwrap();
    assert!(message.is_doubtful && message.needs_proof);
    assert_eq!(hear(&mut late, &message.frame, now).1, Verdict::Ok);
    late.settle(true, now);
    late.write();
    assert_eq!((late.held.len(), open(&path, now).unwrap().0.poll_timeout()), (0, None), "nothing of it is kept");
}

#[test]
fn what_changes_is_written_once_in_a_window() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late");
    let start = Instant::now();
    let (mut late, _) = open(&path, start).unwrap();
    let on_disk = || std::fs::read(&path).unwrap();
    let (mut now, mut before, mut writes) = (start, on_disk(), 0);
    let mut scratch = Scratch::default();
    // A flood: each takes the place of another one.
    for identification in 0..1000 {
        let frame = &fragments_of(Address { identification, ..METER })[0];
        let telegram =
            Telegram::decode_with(Some(Form::Stripped), frame, &key(), &Formats::new(1), &mut scratch).unwrap();
        assert_eq!(late.handle_telegram(&telegram, || kept(frame), worth, now), Place::Fragment);
        if late.is_write_due(now) {
            late.write();
            writes += 1;
        }
        let after = on_disk();
        assert_eq!(after != before, writes > 0 && late.write_at.is_none(), "telegram {identification}");
        before = after;
        assert!(late.poll_timeout().is_none_or(|due| due > now && due <= now + Duration::from_secs(600)));
        assert!(late.unwritten.len() <= 64 && late.held.len() <= 64);
        now += Duration::from_millis(10);
    }
    assert_eq!(writes, 1);
    let due = late.poll_timeout().unwrap();
    assert_eq!((due <= now + WINDOW, late.is_write_due(due)), (true, true));
    late.write();
    let (late, _) = open(&path, now).unwrap();
    assert_eq!(late.held.len(), 64);
}

#[test]
fn a_message_of_a_meter_that_is_known_becomes_whole_among_invented_ones_also_across_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late");
    let now = Instant::now();
    let (mut late, _) = open(&path, now).unwrap();
    let frames = fragments();
    assert_eq!(hear(&mut late, &frames[0], now).0, Place::Fragment);
    let flood = |late: &mut Late, begin: u32| {
        for identification in begin..begin + 200 {
            hear(late, &fragments_of(Address { identification, ..METER })[0], now);
        }
    };
    flood(&mut late, 0);
    drop(late);
    let (mut late, _) = open(&path, now).unwrap();
    flood(&mut late, 1000);
    assert_eq!(hear(&mut late, &frames[1], now).0, Place::Fragment);
    let message = late.poll_message().unwrap();
    assert_eq!(hear(&mut late, &message.frame, now).1, Verdict::Ok);
}

#[test]
fn what_waits_is_bounded() {
    let mut late = Late::fresh();
    let now = Instant::now();
    for identification in 0..600 {
        hear(&mut late, &frame(identification, Layout::Compact), now);
        hear(&mut late, &frame(0x0009_9999, Layout::Compact), now);
    }
    assert_eq!(late.waiting.len(), WAITING);
    hear(&mut late, &frame(3, Layout::Format), now);
    assert_eq!((late.waiting.len(), late.due.len()), (0, WAITING));
}

#[test]
fn a_damaged_file_is_set_aside_and_what_is_whole_in_it_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late");
    let now = Instant::now();
    let (mut late, _) = open(&path, now).unwrap();
    hear(&mut late, &frame(1, Layout::Compact), now);
    hear(&mut late, &frame(2, Layout::Compact), now);
    drop(late);
    let mut octets = std::fs::read(&path).unwrap();
    octets[30] ^= 1;
    std::fs::write(&path, &octets).unwrap();
    let (mut late, aside) = open(&path, now).unwrap();
    assert_eq!(aside, Some(path.with_extension("damaged")));
    hear(&mut late, &frame(3, Layout::Full), now);
    assert_eq!(late.due.len(), 1);
}
