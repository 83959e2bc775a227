#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use std::time::Instant;

use wmbus::Verdict;

use super::*;
use crate::reading::{
    EventKind, Function, Group, Groups, Origin, Path, Quality, Register, Source, Standing, TimeQuality, Unit, Value,
};

fn now(boot_ms: u64) -> Now {
    Now {
        mono: Instant::now(),
        boot_id: [1; 16],
        boot_ms,
        utc_ms: 1_749_988_800_000 + i64::try_from(boot_ms).unwrap(),
        quality: TimeQuality::Synchronised,
    }
}

/// A telegram with volumes of these storage numbers.
fn telegram(meter: &str, receiver: &str, digest: u64, security: Security, storages: &[u32]) -> Converted {
    let source = Arc::new(Source {
        meter: meter.parse().unwrap(),
        origin: Origin::Spontaneous,
        path: Path::Direct,
        standing: Standing::Sole,
        meter_time: None,
        received: now(0).received(),
        status: vec![4],
        links: vec![Link { receiver: receiver.into(), rssi_dbm: Some(-70), lqi: None }],
        hops: None,
        security,
        access_number: Some(1),
        evidence: None,
    });
    let readings = storages.iter().map(|storage| Reading {
        source: Arc::clone(&source),
        register: Register {
            obis: None,
            quantity: "volume".into(),
            unit: Unit::CUBIC_METRE,
            function: Function::Instantaneous,
            storage: *storage,
            tariff: 0,
            subunit: 0,
            modifier: Arc::default(),
        },
        value: Value::Decimal { mantissa: 123_456, scaler: -3 },
        interval: None,
        quality: Quality::GOOD,
    });
    Converted { readings: readings.collect(), source, verdict: Verdict::Ok, reject: None, digest, mark: None }
}

const A: &str = "KAM-11111111-1b-16";
const B: &str = "KAM-22222222-1b-16";
const C: &str = "ELS-33333333-03-03";

#[test]
fn a_meter_is_known_by_what_was_heard_of_it() {
    let mut registry = Registry::new(10);
    assert_eq!(
        registry.heard(&telegram(A, "roof", 1, Security::Decrypted, &[3, 0]), Part::Whole, now(1000)),
        Novelty::New
    );
    assert_eq!(registry.heard(&telegram(A, "cellar", 2, Security::NoKey, &[]), Part::Whole, now(61_000)), Novelty::New);
    let meter = registry.meter(&A.parse().unwrap()).unwrap();
    assert_eq!((meter.telegrams, meter.security, meter.status), (2, Some(Security::NoKey), Some(4)));
    assert_eq!((meter.first.map(|first| first.boot_ms), meter.last.boot_ms), (Some(1000), 61_000));
    assert_eq!((meter.verdicts(Security::Decrypted), meter.verdicts(Security::NoKey)), (1, 1));
    assert_eq!(
        meter.hearings.iter().map(|h| (&*h.receiver, h.telegrams)).collect::<Vec<_>>(),
        [("roof", 1), ("cellar", 1)]
    );
    let storages: Vec<_> = meter.readings.iter().map(|reading| reading.register.storage).collect();
    assert_eq!(storages, [0, 3], "current values first, and what could be read stays");
}

#[test]
fn the_same_frame_from_another_receiver_is_link_data_only() {
    let mut registry = Registry::new(10);
    assert_eq!(registry.heard(&telegram(A, "roof", 1, Security::Plain, &[0]), Part::Whole, now(1000)), Novelty::New);
    assert_eq!(
        registry.heard(&telegram(A, "cellar", 1, Security::Plain, &[0]), Part::Whole, now(1010)),
        Novelty::Repeated
    );
    assert_eq!(
        registry.heard(&telegram(A, "roof", 1, Security::Plain, &[0]), Part::Whole, now(26_000)),
        Novelty::Repeated
    );
    assert_eq!(registry.heard(&telegram(A, "roof", 1, Security::Plain, &[0]), Part::Whole, now(61_000)), Novelty::New);
    let meter = registry.meter(&A.parse().unwrap()).unwrap();
    assert_eq!((meter.telegrams, registry.repeated()), (2, 2));
    assert_eq!(meter.hearings.len(), 2);
}

#[test]
fn the_best_link_comes_first_and_a_repeater_says_nothing_of_it() {
    let by = |receiver: &str, digest, rssi_dbm, hops| {
        let mut converted = telegram(A, receiver, digest, Security::Plain, &[0]);
        let links = vec![Link { receiver: receiver.into(), rssi_dbm, lqi: None }];
        converted.source = Arc::new(Source { links, hops, ..Source::clone(&converted.source) });
        converted
    };
    let mut registry = Registry::new(10);
    registry.heard(&by("roof", 1, Some(-90), None), Part::Whole, now(1000));
    registry.heard(&by("sdr", 1, None, None), Part::Whole, now(1001));
    registry.heard(&by("cellar", 1, Some(-60), None), Part::Whole, now(1002));
    // Through a repeater next to the roof.
    registry.heard(&by("roof", 2, Some(-20), Some(1)), Part::Whole, now(20_000));
    registry.heard(&by("roof", 3, Some(-20), Some(1)), Part::Whole, now(40_000));
    let card = registry.card(&A.parse().unwrap(), &MeterKeys::default(), &Groups::default(), None, now(40_000));
    let heard: Vec<_> = card.unwrap().heard;
    let links: Vec<_> =
        heard.iter().map(|link| (&*link.receiver, link.telegrams, link.repeated, link.rssi_dbm)).collect();
    assert_eq!(links, [("cellar", 1, 0, Some(-60)), ("roof", 3, 2, Some(-90)), ("sdr", 1, 0, None)]);
}

#[test]
fn a_late_copy_is_known_behind_newer_frames() {
    let mut registry = Registry::new(10);
    for digest in 1..=4 {
        let heard =
            registry.heard(&telegram(A, "roof", digest, Security::Plain, &[0]), Part::Whole, now(1000 + digest));
        assert_eq!(heard, Novelty::New);
    }
    for digest in 1..=4 {
        let heard = registry.heard(&telegram(A, "cellar", digest, Security::Plain, &[0]), Part::Whole, now(1500));
        assert_eq!(heard, Novelty::Repeated, "frame {digest}");
    }
    assert_eq!(registry.repeated(), 4);
}

#[test]
fn frames_without_an_access_number_repeat_only_at_once() {
    let bare = |receiver: &str| {
        let mut converted = telegram(A, receiver, 1, Security::Plain, &[0]);
        let source = Source { access_number: None, ..Source::clone(&converted.source) };
        converted.source = Arc::new(source);
        converted
    };
    let mut registry = Registry::new(10);
    assert_eq!(registry.heard(&bare("roof"), Part::Whole, now(1000)), Novelty::New);
    assert_eq!(registry.heard(&bare("cellar"), Part::Whole, now(1100)), Novelty::Repeated);
    assert_eq!(registry.heard(&bare("roof"), Part::Whole, now(17_000)), Novelty::New);
}

#[test]
fn beyond_the_limit_the_longest_silent_meter_is_forgotten() {
    let mut registry = Registry::new(2);
    registry.heard(&telegram(A, "roof", 1, Security::Plain, &[0]), Part::Whole, now(1000));
    registry.heard(&telegram(B, "roof", 2, Security::Plain, &[0]), Part::Whole, now(2000));
    registry.heard(&telegram(A, "roof", 3, Security::Plain, &[0]), Part::Whole, now(3000));
    registry.heard(&telegram(C, "roof", 4, Security::Plain, &[0]), Part::Whole, now(4000));
    let ids: Vec<_> = registry.list(&Groups::default()).into_iter().map(|line| line.id).collect();
    assert_eq!(ids, [C, A]);
    assert_eq!((registry.len(), registry.forgotten()), (2, 1));
    assert!(registry.meter(&B.parse().unwrap()).is_none());
    registry.heard(&telegram(B, "roof", 5, Security::Plain, &[0]), Part::Whole, now(5000));
    assert!(registry.meter(&A.parse().unwrap()).is_none());
}

#[test]
fn invented_meters_push_out_each_other() {
    let mut registry = Registry::new(3);
    registry.heard(&telegram(A, "roof", 1, Security::Decrypted, &[0]), Part::Whole, now(1000));
    for number in 2..7 {
        registry.heard(&telegram(B, "roof", number, Security::Plain, &[0]), Part::Whole, now(1000 * number));
    }
    for number in 10..90_u64 {
        let invented = format!("KAM-000000{number}-01-07");
        registry.heard(&telegram(&invented, "roof", number, Security::Plain, &[0]), Part::Whole, now(100_000 + number));
    }
    let is_there = |id: &str| registry.meter(&id.parse().unwrap()).is_some();
    assert_eq!([A, B, "KAM-00000089-01-07", "KAM-00000088-01-07"].map(is_there), [true, true, true, false]);
}

#[test]
fn a_meter_that_the_key_file_names_is_not_forgotten_for_others() {
    let keys = MeterKeys::read(&format!("11111111 {0}\n* {0}\n", "07".repeat(16))).unwrap();
    let keys = Arc::new(keys);
    let is_there = |registry: &Registry, id: &str| registry.meter(&id.parse().unwrap()).is_some();
    let invent = |registry: &mut Registry, begin: u64| {
        for number in 10..90_u64 {
            let invented = format!("KAM-000000{number}-01-07");
            // Often enough to be there.
            for time in 0..5 {
                let digest = 10 * number + time;
                registry.heard(
                    &telegram(&invented, "roof", digest, Security::Decrypted, &[0]),
                    Part::Whole,
                    now(begin + digest),
                );
            }
        }
    };
    let mut registry = Registry::new(3).naming(Arc::clone(&keys));
    registry.heard(&telegram(A, "roof", 1, Security::WrongKey, &[]), Part::Whole, now(1000));
    invent(&mut registry, 100_000);
    assert!(is_there(&registry, A));
    assert_eq!((registry.len(), registry.forgotten()), (3, 78));

    // Nor after a restart.
    let mut restored = Registry::new(3).naming(Arc::clone(&keys));
    restored.restore(&registry.emit()).unwrap();
    invent(&mut restored, 100_000);
    let meter = restored.meter(&A.parse().unwrap()).unwrap();
    assert_eq!(meter.security, Some(Security::WrongKey));

    // Where it has the only place others are counted, and not remembered; one that is named as well takes it.
    let mut narrow = Registry::new(1).naming(keys);
    narrow.heard(&telegram(A, "roof", 1, Security::WrongKey, &[]), Part::Whole, now(1000));
    assert_eq!(narrow.heard(&telegram(B, "roof", 2, Security::Plain, &[0]), Part::Whole, now(2000)), Novelty::New);
    assert_eq!((is_there(&narrow, A), is_there(&narrow, B), narrow.forgotten()), (true, false, 0));
    let counts = narrow.counts(now(2000));
    assert_eq!((counts.telegrams, counts.readings), (2, 1));
    let other = "ELS-11111111-03-03";
    narrow.heard(&telegram(other, "roof", 3, Security::NoKey, &[]), Part::Whole, now(3000));
    assert_eq!((is_there(&narrow, A), is_there(&narrow, other), narrow.forgotten()), (false, true, 1));
}

#[test]
fn the_registry_answers_what_is_asked_of_it() {
    let mut registry = Registry::new(10);
    registry.heard(&telegram(A, "roof", 1, Security::Authenticated, &[0]), Part::Whole, now(1000));
    registry.heard(&telegram(C, "roof", 2, Security::NoKey, &[]), Part::Whole, now(2 * 3_600_000));
    registry.rejected(wmbus::Reject::BadCrc);

    let counts = registry.counts(now(2 * 3_600_000 + 5));
    assert_eq!((counts.known, counts.heard_1h, counts.heard_24h, counts.without_key), (2, 1, 2, 1));
    assert_eq!((counts.telegrams, counts.readings), (3, 1));
    let verdicts: Vec<_> = counts.verdicts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(verdicts, [("authenticated", 1), ("bad_crc", 1), ("no_key", 1)]);

    let gas = Group { name: "gas".into(), members: vec!["*-*-*-03".parse().unwrap()], ..Group::default() };
    let groups = Groups { named: vec![gas], default: Group::default() };
    let lines = registry.list(&groups);
    assert_eq!(
        lines.iter().map(|line| (line.medium.as_str(), line.group.as_deref())).collect::<Vec<_>>(),
        [("gas", Some("gas")), ("cold water", None)]
    );
    let keys = MeterKeys::read("11111111 00112233445566778899aabbccddeeff").unwrap();
    let card = registry.card(&A.parse().unwrap(), &keys, &groups, Some(7), now(2000)).unwrap();
    assert_eq!((card.has_key, card.policy.as_str(), card.status), (true, "snapshot 1h", Some(4)));
    assert_eq!((card.line.rssi_dbm, card.line.last_heard_ms), (Some(-70), Some(1_749_988_801_000)));
    assert_eq!(card.readings.first().and_then(|reading| reading.value.as_deref()), Some("123.456"));
    assert_eq!(registry.card(&B.parse().unwrap(), &keys, &groups, None, now(0)), None);
}

#[test]
fn what_is_known_of_a_meter_survives_a_restart_and_nothing_is_made_up() {
    let mut registry = Registry::new(10);
    let (a, b): (MeterId, MeterId) = (A.parse().unwrap(), B.parse().unwrap());
    registry.heard(&telegram(A, "roof", 1, Security::NoKey, &[]), Part::Whole, now(1000));
    registry.heard(&telegram(A, "roof", 2, Security::Authenticated, &[0]), Part::Whole, now(61_000));
    // A message of which only a part was heard: nobody has judged it.
    registry.heard(&telegram(B, "roof", 3, Security::Unsupported, &[]), Part::Fragment, now(62_000));
    let octets = registry.emit();
    assert_eq!(octets.len(), MAGIC_AND_SUM + 2 * 39);
    let mut restored = Registry::new(10);
    restored.restore(&octets).unwrap();
    let line = |registry: &Registry, id: &MeterId| {
        let card = registry.card(id, &MeterKeys::default(), &Groups::default(), None, now(70_000)).unwrap();
        (card.line.security, card.line.telegrams, card.first_heard_ms, card.status)
    };
    let first = 1_749_988_801_000;
    let authenticated = || Some("authenticated".to_owned());
    assert_eq!(line(&restored, &a), (authenticated(), Some(2), Some(first), Some(4)));
    assert_eq!(line(&restored, &b), (None, Some(1), Some(first + 61_000), None));
    assert_eq!([A, B].map(|id| line(&restored, &id.parse().unwrap())), [a, b].map(|id| line(&registry, &id)));
    restored.heard(&telegram(A, "roof", 4, Security::Decrypted, &[0]), Part::Whole, now(80_000));
    assert_eq!(line(&restored, &a), (Some("decrypted".to_owned()), Some(3), Some(first), Some(4)));
    let counts = restored.counts(now(80_000));
    assert_eq!((counts.telegrams, counts.without_key), (1, 0));

    // A file of an earlier version: who was known, and no more.
    let mut old = b"DCUmtr\x01\n".to_vec();
    old.extend_from_slice(&octets[8..29]);
    old.extend(crc32c::crc32c(&old).to_le_bytes());
    let mut registry = Registry::new(10);
    registry.restore(&old).unwrap();
    assert_eq!(line(&registry, &a), (None, None, None, None));
    assert_eq!(registry.counts(now(80_000)).known, 1);
    registry.heard(&telegram(A, "roof", 5, Security::Authenticated, &[0]), Part::Whole, now(90_000));
    assert_eq!(line(&registry, &a), (authenticated(), Some(1), None, Some(4)));
    old[9] ^= 1;
    assert_eq!(Registry::new(10).restore(&old), Err(Damaged));

    // A number of a verdict that is none.
    let mut strange = octets[..octets.len() - 4].to_vec();
    strange[8 + 37] = 13;
    strange.extend(crc32c::crc32c(&strange).to_le_bytes());
    assert_eq!(Registry::new(10).restore(&strange), Err(Damaged));
}

/// Octets of the file that are no meter's.
const MAGIC_AND_SUM: usize = 12;

#[test]
fn a_message_of_several_frames_is_as_many_telegrams_as_were_on_the_air() {
    let mut registry = Registry::new(10);
    let id: MeterId = A.parse().unwrap();
    registry.heard(&telegram(A, "roof", 1, Security::Authenticated, &[0]), Part::Whole, now(1000));
    registry.heard(&telegram(A, "roof", 2, Security::Unsupported, &[]), Part::Fragment, now(61_000));
    assert_eq!(registry.meter(&id).unwrap().security, Some(Security::Authenticated), "it is not judged yet");
    registry.heard(&telegram(A, "roof", 3, Security::Unsupported, &[]), Part::Fragment, now(62_000));
    registry.heard(&telegram(A, "roof", 4, Security::Decrypted, &[0]), Part::Message, now(62_000));
    let meter = registry.meter(&id).unwrap();
    assert_eq!((meter.telegrams, meter.security, meter.hearings[0].telegrams), (3, Some(Security::Decrypted), 3));
    assert_eq!((meter.verdicts(Security::Unsupported), meter.verdicts(Security::Decrypted)), (0, 1));
    let counts = registry.counts(now(62_000));
    assert_eq!((counts.telegrams, counts.readings, counts.repeated), (3, 2, 0));
    // Of another message the second part was never heard.
    registry.heard(&telegram(A, "roof", 5, Security::Unsupported, &[]), Part::Fragment, now(90_000));
    registry.given_up(&id);
    let meter = registry.meter(&id).unwrap();
    assert_eq!((meter.telegrams, meter.verdicts(Security::Unsupported)), (4, 1));
    assert_eq!(meter.security, Some(Security::Decrypted));
}

#[test]
fn a_meter_that_falls_silent_is_told_once_also_across_a_restart() {
    const DAY: u64 = 24 * 3_600_000;
    let after = Duration::from_secs(72 * 3600);
    let code = |kind: &EventKind| match kind {
        EventKind::Unit { code, .. } => code.clone(),
        other => panic!("{other:?}"),
    };
    let a: MeterId = A.parse().unwrap();
    let mut registry = Registry::new(10);
    registry.heard(&telegram(A, "roof", 1, Security::Plain, &[0]), Part::Whole, now(0));
    registry.heard(&telegram(B, "roof", 1, Security::Plain, &[0]), Part::Whole, now(2 * DAY));
    assert_eq!(registry.look_for_silence(after, now(3 * DAY - 1)), []);
    let found = registry.look_for_silence(after, now(3 * DAY));
    assert_eq!(found.iter().map(|(id, kind)| (*id, code(kind))).collect::<Vec<_>>(), [(a, "meter.silent".to_owned())]);
    assert_eq!((registry.look_for_silence(after, now(3 * DAY)), registry.silent()), (vec![], 1));

    let octets = registry.emit();
    let mut registry = Registry::new(10);
    registry.restore(&octets).unwrap();
    assert_eq!((registry.len(), registry.silent()), (2, 1));
    let boot = |utc: u64| Now { boot_id: [2; 16], boot_ms: 5, ..now(utc) };
    let undated = Now { quality: TimeQuality::Unsynchronised, ..boot(9 * DAY) };
    assert_eq!(registry.look_for_silence(after, undated), [], "a clock that is not right says nothing");
    let found = registry.look_for_silence(after, boot(5 * DAY));
    assert_eq!(found.into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), [B]);
    registry.heard(&telegram(A, "roof", 2, Security::Plain, &[0]), Part::Whole, boot(5 * DAY));
    assert_eq!(registry.heard_after_silence(&a).as_ref().map(code).as_deref(), Some("meter.heard_again"));
    assert_eq!((registry.heard_after_silence(&a), registry.silent()), (None, 1));

    for at in 0..octets.len() {
        let mut damaged = octets.clone();
        damaged[at] ^= 0x10;
        assert_eq!(Registry::new(10).restore(&damaged), Err(Damaged), "octet {at}");
        assert_eq!(Registry::new(10).restore(&octets[..at]), Err(Damaged), "cut at {at}");
    }
}
