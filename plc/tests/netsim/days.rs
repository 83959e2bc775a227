//! Day after day: who is read the same day, and within three, where meters lose their power and come back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use plc::poll::Priority;
use plc::sim::Random;
use plc::sim::net::{NodeNo, Phase};

use crate::drive::{Drive, scheduler};
use crate::session::daily;
use crate::{Case, HOUR, MINUTE, Micros, ONE_VALUE};

/// One day's read of all meters, which begins at midnight.
#[derive(Debug, Clone, Default)]
struct Day {
    /// After how long each was read.
    read: BTreeMap<NodeNo, Micros>,
    /// Had power and a way in some hour of it, and of the three days from its begin on.
    same_day: Vec<bool>,
    three_days: Vec<bool>,
}

impl Day {
    /// Of all meters, and of those that could be reached meanwhile, the share that was read within so long, in percent.
    fn within(&self, time: Micros, reachable: &[bool], meters: usize) -> [f64; 2] {
        let read = self.read.values().filter(|took| **took <= time).count();
        let there = reachable.iter().skip(1).filter(|is_there| **is_there).count();
        [meters, there].map(|all| 100.0 * read as f64 / all.max(1) as f64)
    }
}

fn hourly(seen: &mut Vec<bool>, now: &[bool]) {
    seen.resize(now.len(), false);
    seen.iter_mut().zip(now).for_each(|(seen, now)| *seen |= now);
}

/// `SIZE` meters are read on each of three days, of `SEEDS` networks: one in a hundred a day loses its power for half an
/// hour to eight hours, `BROKEN` of a thousand a day for ever, and on the second day one feeder is without for two hours.
/// Who comes back joins again as on the first day. A meter that was not read on a day is asked for it on the next one, too.
#[test]
#[ignore = "minutes; tests/netsim-long.sh runs it"]
fn meters_are_read_day_after_day() {
    let number = |name: &str, default: f64| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let (size, broken) = (number("SIZE", 1_000.0) as usize, number("BROKEN", 0.0));
    let mut all: Vec<[[f64; 2]; 2]> = Vec::new();
    for seed in 1..=number("SEEDS", 2.0) as u64 {
        let case = Case { ground: crate::Ground::Town(size), seed, offset: 0.0, killed: 0.0, hybrid: 0.0 };
        let days = three_days(case, broken / 1_000.0);
        for (number, day) in days.iter().enumerate() {
            let shares = [day.within(DAY, &day.same_day, size), day.within(3 * DAY, &day.three_days, size)];
            eprintln!(
                "{size}, seed {seed}, day {}: read the same day {:.2} % of all, {:.2} of those within reach; in 72 h {:.2}, {:.2}",
                number + 1,
                shares[0][0],
                shares[0][1],
                shares[1][0],
                shares[1][1]
            );
            all.push(shares);
        }
    }
    for (name, at) in [("the same day", 0), ("in 72 h", 1)] {
        for (of, which) in [("all", 0), ("those within reach", 1)] {
            let mut shares: Vec<f64> = all.iter().map(|shares| shares[at][which]).collect();
            shares.sort_by(f64::total_cmp);
            let (least, middle) = (shares[0], shares[shares.len() / 2]);
            eprintln!(
                "read {name} of {of}: {middle:.2} % in the middle, {least:.2} at least, of {} days",
                shares.len()
            );
        }
    }
    assert!(all.iter().all(|shares| shares[1][1] >= 99.0), "{all:?}");
}

fn three_days(case: Case, broken: f64) -> Vec<Day> {
    let mut options = case.options(crate::Flood::default());
    options.begin_hour = 0.0;
    let mut drive = Drive::new(case.hosted_with(options), scheduler()).with_host();
    let meters: Vec<NodeNo> = drive.world.meters().collect();
    let mut random = Random::new(case.seed);
    let feeders = drive.world.site().cabinets.iter().map(|cabinet| cabinet.feeder).max().unwrap_or(1);
    let feeder = random.under(feeders.into()) as u16 + 1;
    let mut days: Vec<Day> = Vec::new();
    // Which days of a meter are asked for, the oldest first.
    let mut open: BTreeMap<NodeNo, Vec<usize>> = BTreeMap::new();
    let mut back: BTreeMap<NodeNo, Micros> = BTreeMap::new();
    while drive.world.now() < 5 * DAY {
        let now = drive.world.now();
        if now % DAY == 0 && days.len() < 3 {
            let mut order = meters.clone();
            (1..order.len()).rev().for_each(|at| order.swap(at, random.under(at as u64 + 1) as usize));
            for node in order {
                open.entry(node).or_default().push(days.len());
                drive.ask(node, Priority::Profile, daily());
            }
            days.push(Day::default());
        }
        if now % HOUR == 0 {
            let reachable = drive.world.reachable();
            for (number, day) in days.iter_mut().enumerate() {
                let age = now - number as Micros * DAY;
                if age < DAY {
                    hourly(&mut day.same_day, &reachable);
                }
                if age < 3 * DAY {
                    hourly(&mut day.three_days, &reachable);
                }
            }
        }
        let mut goes_out = |node: NodeNo, time: Option<Micros>, drive: &mut Drive<_>| {
            let Entry::Vacant(place) = back.entry(node) else { return };
            place.insert(time.map_or(Micros::MAX, |time| now + time));
            drive.world.switch_off(node);
            time.into_iter().for_each(|time| drive.world.switch_on(node, time));
        };
        if now == DAY + 12 * HOUR {
            let phases = [Phase::A, Phase::B, Phase::C, Phase::Three];
            let dark: Vec<NodeNo> = phases.iter().flat_map(|phase| drive.world.on_phase(feeder, *phase)).collect();
            dark.into_iter().for_each(|node| goes_out(node, Some(2 * HOUR), &mut drive));
        }
        for node in &meters {
            let steps = (DAY / STEP) as f64;
            if random.chance(0.01 / steps) {
                goes_out(*node, Some(HOUR / 2 + random.under(15 * HOUR / 2)), &mut drive);
            } else if random.chance(broken / steps) {
                goes_out(*node, None, &mut drive);
            }
        }
        back.retain(|_, until| *until > now);
        if let Some(node) = meters.get(random.under(meters.len() as u64) as usize) {
            drive.ask(*node, Priority::OnDemand, ONE_VALUE.into());
        }
        while let Some(done) = drive.run(now + STEP) {
            let asked = open.get_mut(&done.node).filter(|days| done.priority == Priority::Profile && !days.is_empty());
            let Some(number) = asked.map(|days| days.remove(0)) else { continue };
            let day = days.get_mut(number).expect("it was asked for");
            day.read.insert(done.node, done.at - number as Micros * DAY);
        }
    }
    days
}

const STEP: Micros = 5 * MINUTE;
const DAY: Micros = 24 * HOUR;
