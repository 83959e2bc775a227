#![expect(clippy::disallowed_methods, reason = "any instant will do; time does not pass in these tests")]

use std::collections::{BTreeMap, BTreeSet};

use hex_literal::hex;
use wmbus::{Form, Scratch, Telegram};

use super::*;
use crate::reading::{CivilDate, Group, Received, TimeQuality, from_wmbus};
use crate::simulate::ledger::Ledger;

const CLOCK: CivilTime =
    CivilTime { date: CivilDate { year: 2026, month: 3, day: 29 }, hour: 13, minute: 37, second: None };

#[test]
fn the_same_seed_gives_the_same_telegrams() {
    let now = Instant::now();
    let telegrams = |seed| {
        let mut fleet = Fleet::new(20, None, seed, now);
        (0..100).map(|_| (fleet.due(), fleet.speak(CLOCK).unwrap().1)).collect::<Vec<_>>()
    };
    assert_eq!(telegrams(1), telegrams(1));
    assert_ne!(telegrams(1), telegrams(2));
}

#[test]
fn every_meter_has_its_own_identity_and_all_kinds_and_protections_are_there() {
    let fleet = Fleet::new(3_000, None, 1, Instant::now());
    let ids: BTreeSet<_> = fleet.meters().iter().map(Meter::id).collect();
    assert_eq!(ids.len(), 3_000);
    for kind in [Kind::ColdWater, Kind::WarmWater, Kind::Gas, Kind::Heat, Kind::HeatCostAllocator] {
        for protection in [Protection::None, Protection::Mode5, Protection::Mode7] {
            let of_both = |meter: &&Meter| meter.kind == kind && meter.protection == protection;
            assert!(fleet.meters().iter().filter(of_both).count() > 30, "{kind:?} {protection:?}");
        }
    }
    assert!(fleet.meters().iter().all(|meter| format!("{:08x}", meter.address.identification).parse::<u32>().is_ok()));
}

#[test]
fn the_rate_is_the_fleets_and_not_the_meters() {
    let now = Instant::now();
    let mut fleet = Fleet::new(50, Some(2_000.0), 1, now);
    for _ in 0..20_000 {
        fleet.speak(CLOCK);
    }
    let seconds = (fleet.due().unwrap() - now).as_secs_f64();
    assert!((9.5..10.5).contains(&seconds), "20,000 telegrams in {seconds} s");
}

#[test]
fn no_two_telegrams_of_a_meter_are_alike() {
    let mut fleet = Fleet::new(10, Some(10.0), 1, Instant::now());
    let mut seen = BTreeSet::new();
    for _ in 0..2_000 {
        let (meter, utterance) = fleet.speak(CLOCK).unwrap();
        assert!(seen.insert((meter.id(), utterance.readings[0].amount)));
    }
}

#[test]
fn records_are_coded_as_the_standard_has_it() {
    // Meter 4 is a cold water meter without protection.
    let mut meter = Meter::new(4, Random::new(1));
    assert_eq!((meter.kind, meter.protection), (Kind::ColdWater, Protection::None));
    let frame = meter.speak(CLOCK, &mut Random::new(2)).frame;
    // CI 7A, access number, status, configuration; volume; type F of 2026-03-29 13:37 with the century bit; volume at
    // the target date; type G of 2025-12-31; flow. EN 13757-3:2018, annex A.
    assert_eq!((frame[10], &frame[12..15]), (0x7a, [0, 0, 0].as_slice()));
    assert_eq!(frame[15..17], hex!("0413"));
    assert_eq!(frame[21..27], hex!("046d 25 2d 5d 33"));
    assert_eq!(frame[27..29], hex!("4413"));
    assert_eq!(frame[33..37], hex!("426c 3f 3c"));
    assert_eq!(frame[37..39], hex!("023b"));
    assert_eq!((frame.len(), usize::from(frame[0])), (41, 40));
}

/// Two independent tables, the fleet's and the converter's, must say the same of every register, protected or not.
#[test]
fn the_service_reads_what_the_fleet_means() {
    let mut fleet = Fleet::new(50, Some(50.0), 1, Instant::now());
    let keys: BTreeMap<_, _> = fleet.meters().iter().map(|meter| (meter.address, meter.key().clone())).collect();
    let mut ledger = Ledger::default();
    for number in 0..500 {
        let utterance = fleet.speak(CLOCK).unwrap().1;
        ledger.expect(number, &utterance.readings);
        let mut scratch = Scratch::default();
        let telegram = Telegram::decode_as(Form::Stripped, &utterance.frame, &keys, &mut scratch).unwrap();
        let received = Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Synchronised };
        let converted = from_wmbus::convert(&telegram, received, Vec::new(), &Group::default());
        for reading in &converted.readings {
            ledger.arrive(reading);
        }
    }
    assert_eq!((ledger.missing(), ledger.strange()), (0, 0), "{:#?}", ledger.samples());
}
