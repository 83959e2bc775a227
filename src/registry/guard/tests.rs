use std::time::Instant;

use super::*;
use crate::reading::TimeQuality;

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn at(seconds: u64) -> Now {
    let quality = TimeQuality::Synchronised;
    Now { mono: Instant::now(), boot_id: [0; 16], boot_ms: seconds * 1000, utc_ms: 0, quality }
}

fn meter(identification: u32) -> MeterId {
    MeterId::MBus { manufacturer: Manufacturer(0x2c2d), identification, version: 1, device_type: 7 }
}

fn authenticated(counter: u32, digest: u64) -> Seal {
    Seal { mark: Some(Mark { counter, access_number: None }), security: Security::Authenticated, digest }
}

fn session(counter: u32, access_number: u8) -> Seal {
    let mark = Some(Mark { counter, access_number: Some(access_number) });
    Seal { mark, security: Security::Decrypted, digest: u64::from(counter) << 8 | u64::from(access_number) }
}

/// Seconds, telegram, what is to be thought of it.
#[track_caller]
fn check(rows: &[(u64, Seal, Standing)]) {
    let mut guard = Guard::new(10);
    for (row, (seconds, seal, expected)) in rows.iter().enumerate() {
        let (standing, _) = guard.judge(meter(1), *seal, || 7, at(*seconds));
        assert_eq!(standing, *expected, "row {row}");
    }
}

#[test]
fn a_counter_must_rise() {
    use Standing::*;
    check(&[
        (0, authenticated(10, 1), Fresh),
        (16, authenticated(11, 2), Fresh),
        // A second receiver, and a repeater much later.
        (16, authenticated(11, 2), Duplicate),
        (400, authenticated(11, 2), Duplicate),
        (401, authenticated(11, 3), Clone),
        (402, authenticated(9, 4), Replay),
        // Counters may be left out.
        (500, authenticated(700, 5), Fresh),
        (501, authenticated(10, 1), Duplicate),
        (5_000, authenticated(600, 9), Replay),
        (5_001, authenticated(u32::MAX, 6), Fresh),
        (5_002, authenticated(0, 7), Replay),
    ]);
}

#[test]
fn a_minute_is_left_for_repeaters_that_change_the_order() {
    use Standing::*;
    check(&[
        (0, authenticated(10, 1), Fresh),
        (16, authenticated(12, 3), Fresh),
        (75, authenticated(11, 2), Fresh),
        (76, authenticated(11, 2), Duplicate),
        (76, authenticated(11, 9), Clone),
    ]);
    check(&[(0, authenticated(10, 1), Fresh), (16, authenticated(12, 3), Fresh), (77, authenticated(11, 2), Replay)]);
    // Older than what is remembered: it cannot be told from a replay.
    check(&[(0, authenticated(10, 1), Fresh), (1, authenticated(9, 2), Replay)]);
}

#[test]
fn within_a_session_number_the_access_number_counts() {
    use Standing::*;
    check(&[
        (0, session(5, 254), Fresh),
        (10, session(5, 255), Fresh),
        (20, session(5, 1), Fresh),
        (20, session(5, 255), Duplicate),
        (30, session(6, 0), Fresh),
        (300, session(5, 3), Replay),
        (301, session(6, 255), Replay),
    ]);
}

#[test]
fn only_another_key_lets_a_counter_begin_anew() {
    let mut guard = Guard::new(10);
    let mut judge = |seal, key: u32, seconds| guard.judge(meter(1), seal, || key, at(seconds)).0;
    assert_eq!(judge(authenticated(100, 1), 7, 0), Standing::Fresh);
    assert_eq!(judge(authenticated(1, 2), 7, 1000), Standing::Replay);
    assert_eq!(judge(authenticated(1, 2), 8, 2000), Standing::Fresh);
    assert_eq!(judge(authenticated(2, 3), 8, 3000), Standing::Fresh);
    assert_eq!(judge(authenticated(1, 4), 8, 9000), Standing::Clone);
}

#[test]
fn a_weaker_protection_is_noticed() {
    let mut guard = Guard::new(10);
    let plain = Seal { mark: None, security: Security::Plain, digest: 1 };
    assert_eq!(guard.judge(meter(1), plain, || 7, at(0)), (Standing::Unprotected, false));
    assert_eq!(guard.judge(meter(1), authenticated(1, 2), || 7, at(1)), (Standing::Fresh, false));
    assert_eq!(guard.judge(meter(1), session(2, 2), || 7, at(2)), (Standing::Fresh, true));
    assert_eq!(guard.judge(meter(1), plain, || 7, at(2)), (Standing::Unprotected, true));
    assert_eq!(guard.judge(meter(2), plain, || 7, at(3)), (Standing::Unprotected, false));
}

#[test]
fn counters_survive_a_restart() {
    let mut guard = Guard::new(10);
    guard.judge(meter(1), authenticated(100, 1), || 7, at(0));
    guard.judge(meter(2), session(5, 9), || 8, at(0));
    guard.judge(meter(3), Seal { mark: None, security: Security::Plain, digest: 0 }, || 9, at(0));
    assert!(guard.is_changed());
    let octets = guard.emit();
    assert!(!guard.is_changed());
    let mut guard = Guard::parse(10, &octets).unwrap();
    assert_eq!(guard.emit(), octets);
    let mut judge = |id, seal, key: u32| guard.judge(meter(id), seal, || key, at(1));
    assert_eq!(judge(1, authenticated(100, 1), 7), (Standing::Duplicate, false));
    assert_eq!(judge(1, authenticated(100, 2), 7), (Standing::Clone, false));
    assert_eq!(judge(1, authenticated(99, 2), 7), (Standing::Replay, false));
    assert_eq!(judge(1, authenticated(101, 3), 7), (Standing::Fresh, false));
    assert_eq!(judge(2, session(5, 8), 8), (Standing::Replay, false));
    assert_eq!(judge(2, session(5, 10), 8), (Standing::Fresh, false));
    assert_eq!(judge(2, authenticated(6, 1), 8), (Standing::Fresh, false));
    for (at, flip) in (0..octets.len()).map(|at| (at, 1 << (at % 8))) {
        let mut damaged = octets.clone();
        damaged[at] ^= flip;
        assert_eq!(Guard::parse(10, &damaged).unwrap_err(), Damaged, "octet {at}");
        assert_eq!(Guard::parse(10, &octets[..at]).unwrap_err(), Damaged, "cut at {at}");
    }
}

#[test]
fn what_rose_since_the_last_save_survives_a_power_cut() {
    let mut guard = Guard::new(10);
    guard.judge(meter(1), authenticated(100, 1), || 7, at(0));
    let saved = guard.emit();
    let early = guard.changes();
    guard.judge(meter(1), authenticated(101, 2), || 7, at(1));
    guard.judge(meter(1), authenticated(102, 3), || 7, at(2));
    guard.judge(meter(2), session(5, 9), || 8, at(2));
    guard.judge(meter(3), Seal { mark: None, security: Security::Plain, digest: 0 }, || 9, at(2));
    let late = guard.changes();
    let mode_5 = Seal { mark: None, security: Security::Decrypted, digest: 0 };
    guard.judge(meter(4), mode_5, || 9, at(2));
    let protection = guard.changes();
    guard.judge(meter(4), mode_5, || 9, at(3));
    assert_eq!([&early, &late, &protection, &guard.changes()].map(Vec::len), [1, 2, 1, 0]);
    // Also where the file is newer than what was written then.
    let after = [&late[..], &protection].concat();
    for (octets, changes) in [(saved, early.iter().chain(&after)), (guard.emit(), early.iter().chain(&[]))] {
        let mut guard = Guard::parse(10, &octets).unwrap();
        assert!(changes.clone().all(|(name, value)| guard.restore(name, value)));
        assert_eq!(guard.judge(meter(1), authenticated(102, 3), || 7, at(3)).0, Standing::Duplicate);
        assert_eq!(guard.judge(meter(1), authenticated(102, 4), || 7, at(3)).0, Standing::Clone);
        assert_eq!(guard.judge(meter(1), authenticated(101, 2), || 7, at(3)).0, Standing::Replay);
        assert_eq!(guard.judge(meter(2), session(5, 8), || 8, at(3)).0, Standing::Replay);
        let plain = Seal { mark: None, security: Security::Plain, digest: 1 };
        assert_eq!(guard.judge(meter(4), plain, || 9, at(3)), (Standing::Unprotected, true));
    }
    let (name, value) = &late[0];
    for (name, value) in [(&name[1..], &value[..]), (&name[..9], value), (name, &value[1..]), (name, &[0xff; 18])] {
        assert!(!guard.restore(name, value));
    }
}

#[test]
fn the_longest_silent_meter_is_forgotten_first() {
    let mut guard = Guard::new(2);
    for (id, seconds) in [(1, 10), (2, 5), (3, 20)] {
        guard.judge(meter(id), authenticated(100, 1), || 7, at(seconds));
    }
    assert_eq!([1, 2, 3].map(|id| guard.counter(&meter(id))), [Some(100), None, Some(100)]);
}

#[test]
fn a_file_of_an_earlier_version_is_read() {
    let mut guard = Guard::new(10);
    guard.judge(meter(1), authenticated(100, 1), || 7, at(0));
    let octets = guard.emit();
    let mut old = octets[..octets.len() - 12].to_vec();
    let marks = MAGIC.len() + 12;
    old[marks] &= !DIGEST;
    old.put_u32_le(crc32c::crc32c(&old));
    let mut guard = Guard::parse(10, &old).unwrap();
    // What the telegram was is not known, only that it was.
    assert_eq!(guard.judge(meter(1), authenticated(100, 2), || 7, at(1)).0, Standing::Duplicate);
    assert_eq!(guard.judge(meter(1), authenticated(99, 3), || 7, at(1)).0, Standing::Replay);
}

#[test]
fn invented_meters_push_out_no_one_who_has_proven_himself() {
    let mut guard = Guard::new(4);
    guard.judge(meter(1), authenticated(100, 1), || 7, at(0));
    let opened = Seal { mark: None, security: Security::Decrypted, digest: 0 };
    guard.judge(meter(2), opened, || 7, at(1));
    guard.judge(meter(3), opened, || 0, at(2));
    for number in 10..30 {
        let now = at(u64::from(number));
        guard.judge(meter(number), Seal { security: Security::Plain, ..opened }, || 7, now);
        guard.judge(meter(100 + number), Seal { security: Security::Plain, ..authenticated(1, 2) }, || 7, now);
        guard.judge(meter(200 + number), opened, || 0, now);
        guard.close(meter(300 + number), true, now);
    }
    assert!(guard.meters.len() <= 4);
    assert_eq!(guard.judge(meter(1), authenticated(99, 2), || 7, at(500)).0, Standing::Replay);
    assert!(guard.judge(meter(2), Seal { security: Security::Plain, ..opened }, || 7, at(501)).1, "a downgrade");
    // Who has proven himself takes the place of one who has not, and at last of the longest silent one.
    for number in 40..44 {
        guard.judge(meter(number), authenticated(5, 5), || 7, at(600 + u64::from(number)));
    }
    assert_eq!([1, 2, 40, 43].map(|id| guard.counter(&meter(id))), [None, None, Some(5), Some(5)]);
}

#[test]
fn who_was_heard_before_it_had_a_key_is_not_believed_twice() {
    let mut guard = Guard::new(4);
    guard.close(meter(1), true, at(0));
    for (counter, expected) in [(100, Standing::Fresh), (101, Standing::Fresh), (50, Standing::Replay)] {
        assert_eq!(
            guard.judge(meter(1), authenticated(counter, counter.into()), || 7, at(u64::from(counter))).0,
            expected
        );
    }
}

#[test]
fn who_is_closed_stays_so_over_restarts_and_power_cuts() {
    let mut guard = Guard::new(4);
    guard.close(meter(1), true, at(0));
    let again = Guard::parse(4, &guard.emit()).unwrap();
    assert!(again.is_closed(&meter(1)) && !again.is_closed(&meter(2)));
    let restored = |changes: Vec<(Vec<u8>, Vec<u8>)>, mut guard: Guard| {
        changes.iter().for_each(|(name, value)| assert!(guard.restore(name, value)));
        guard.is_closed(&meter(1))
    };
    assert!(restored(guard.changes(), Guard::new(4)));
    guard.close(meter(1), false, at(1));
    assert!(!restored(guard.changes(), again));
}
