#![expect(clippy::disallowed_methods, reason = "any instant will do; time does not pass in these tests")]

use std::sync::Arc;

use super::*;
use crate::control::Range;
use crate::reading::{
    Manufacturer, Obis, Origin, Path, Quality, Received, Register, Security, Source, Standing, TimeQuality, Unit,
};
use crate::simulate::ledger::Quantity;

const METER: MeterId =
    MeterId::MBus { manufacturer: Manufacturer(0x2c2d), identification: 0x1234_5678, version: 1, device_type: 7 };
const EPOCH: Epoch = Epoch(7);
const WINDOW: Duration = Duration::from_secs(1);

fn expected(mantissa: i64) -> Expected {
    let obis = Some(Obis([8, 0, 1, 0, 0, 255]));
    let quantity = Quantity { name: "volume", obis, unit: Some(Unit(13)), storage: 0, tariff: 0 };
    Expected { meter: METER, quantity, amount: Amount::decimal(mantissa, -3) }
}

fn reading(mantissa: i64) -> Reading {
    Reading {
        source: Arc::new(Source {
            meter: METER,
            origin: Origin::Spontaneous,
            path: Path::Direct,
            standing: Standing::Sole,
            meter_time: None,
            received: Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Synchronised },
            status: Vec::new(),
            links: Vec::new(),
            hops: None,
            security: Security::Plain,
            access_number: None,
            evidence: None,
        }),
        register: Register {
            obis: Some(Obis([8, 0, 1, 0, 0, 255])),
            quantity: "volume".into(),
            unit: Unit(13),
            function: Function::Instantaneous,
            storage: 0,
            tariff: 0,
            subunit: 0,
            modifier: "".into(),
        },
        value: Value::Decimal { mantissa, scaler: -3 },
        interval: None,
        quality: Quality::GOOD,
    }
}

fn speak(account: &mut Account, number: u64, fate: Fate, now: Instant) {
    let readings = vec![expected(number as i64)];
    account.sent(Sent::Telegram { number, meter: METER, kind: "cold water", readings }, now);
    account.sent(Sent::Fate { number, fate, copies: 0 }, now);
}

fn commit(account: &mut Account, first: u64, last: u64) {
    let range = Range { lane: Lane::MBus.name().into(), first, last };
    account.committed(&CommitLine { epoch: EPOCH.to_string(), at_ms: 0, ranges: vec![range] }, false);
}

fn arrive(account: &mut Account, sequence: u64, mantissa: i64) {
    account.arrived(EPOCH, Lane::MBus, sequence, Some(&reading(mantissa)));
}

#[test]
fn what_the_air_swallowed_is_not_missed() {
    let mut account = Account::new(false);
    let now = Instant::now();
    for (number, fate) in [(1, Fate::Heard), (2, Fate::Lost), (3, Fate::Damaged), (4, Fate::Unheard)] {
        speak(&mut account, number, fate, now);
    }
    assert!(!account.awaited(true).is_nothing());
    commit(&mut account, 1, 1);
    arrive(&mut account, 1, 1);
    assert!(account.awaited(true).is_nothing());
    assert_eq!(account.verdict(WINDOW, true), Verdict::default());
    let tally = account.tally();
    assert_eq!((tally.sent, tally.faulty, tally.unheard, tally.stored), (4, 2, 1, 1));
    assert_eq!((account.ledger().expected(), account.meters(), account.last().count()), (1, 1, 1));
}

#[test]
fn a_record_that_comes_again_is_a_duplicate_and_no_second_reading() {
    let mut account = Account::new(false);
    speak(&mut account, 1, Fate::Heard, Instant::now());
    arrive(&mut account, 1, 1);
    arrive(&mut account, 1, 1);
    assert_eq!((account.tally().duplicates, account.ledger().matched(), account.ledger().strange()), (1, 1, 0));
}

#[test]
fn a_reported_commit_that_does_not_arrive_is_lost_even_around_a_kill() {
    let mut account = Account::new(true);
    let now = Instant::now();
    speak(&mut account, 1, Fate::Heard, now);
    speak(&mut account, 2, Fate::Heard, now);
    commit(&mut account, 1, 2);
    account.killed(now);
    account.healed(now);
    arrive(&mut account, 1, 1);
    assert!(!account.awaited(false).is_nothing());
    assert_eq!(account.verdict(WINDOW, true), Verdict { lost: 1, broken_promises: 1, ..Verdict::default() });
}

#[test]
fn a_kill_excuses_its_open_window_and_nothing_else() {
    let mut account = Account::new(true);
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    speak(&mut account, 1, Fate::Heard, at(0));
    speak(&mut account, 2, Fate::Heard, at(9));
    account.killed(at(10));
    speak(&mut account, 3, Fate::Heard, at(11));
    account.healed(at(12));
    speak(&mut account, 4, Fate::Heard, at(13));
    assert_eq!(account.verdict(WINDOW, true), Verdict { lost: 2, in_window: 2, ..Verdict::default() });
    // A selection keeps what it likes.
    assert_eq!(account.verdict(WINDOW, false), Verdict::default());
}

#[test]
fn what_others_were_promised_counts_until_it_is_closed() {
    let mut account = Account::new(false);
    let mut promise = |sequence, is_closed| {
        let range = Range { lane: Lane::LoadProfile.name().into(), first: sequence, last: sequence };
        account.committed(&CommitLine { epoch: EPOCH.to_string(), at_ms: 0, ranges: vec![range] }, is_closed);
    };
    promise(1, false);
    promise(2, false);
    promise(3, true);
    assert!(account.arrived(EPOCH, Lane::LoadProfile, 1, None));
    assert!(!account.arrived(EPOCH, Lane::LoadProfile, 1, None));
    assert!(!account.awaited(true).is_nothing());
    assert_eq!(account.verdict(WINDOW, true), Verdict { others_lost: 1, ..Verdict::default() });
    assert_eq!((account.tally().others_stored, account.tally().stored), (3, 0));
}

#[test]
fn a_register_that_goes_backwards_in_its_lane_is_out_of_order() {
    let mut account = Account::new(true);
    // The order of arrival is not the order of the lane.
    for (sequence, mantissa) in [(2, 20), (1, 10), (4, 40), (3, 30)] {
        arrive(&mut account, sequence, mantissa);
    }
    assert_eq!(account.verdict(WINDOW, true).disordered, 0);
    arrive(&mut account, 5, 35);
    assert_eq!(account.verdict(WINDOW, true).disordered, 1);
}

#[test]
fn decimals_are_written_as_people_read_them() {
    for (mantissa, scaler, text) in [(1_234, -3, "1.234"), (-5, -2, "-0.05"), (12, 2, "1200"), (0, 3, "0"), (7, 0, "7")]
    {
        assert_eq!(decimal(mantissa, scaler), text);
    }
}
