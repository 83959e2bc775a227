//! Networks in virtual time: how they form, how they are read by the scheduler and one by one, and what a storm of route
//! requests is. The figures are compared with `golden.txt`; `tests/netsim-long.sh` prints the large ones and those of
//! many seeds. They are outputs of a model: a change of them is looked at, a ratio of two of them means something.

mod days;
mod demand;
mod drive;
mod ground;
mod naive;
mod session;
mod table;
mod timed;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use demand::OnDemand;
use drive::{Anew, Drive, Poller, scheduler};
use ground::{Ground, PUBLISHED};
use naive::Naive;
use plc::poll::Priority;
use plc::sim::Random;
use plc::sim::net::{Figures, Flood, Kind, Manner, Micros, NodeNo, Options, Output, Phase, World};
use session::{as_the_service, compressed, daily, daily_in_large_blocks, without_association};
use table::{Row, compare, golden, head, summary};
use timed::Timed;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Case {
    ground: Ground,
    seed: u64,
    /// Added to every signal, in dB.
    offset: f64,
    /// The share of the meters that have a radio beside the power line.
    hybrid: f64,
    /// This share of the relays loses its power ten minutes after the begin of the read.
    killed: f64,
}

/// How a read of all meters went.
#[derive(Debug)]
struct Read {
    /// Minutes until so many were read.
    to_95: f64,
    to_99: f64,
    delivered: f64,
    lost_at_once: f64,
    lost: f64,
    repair: (f64, f64),
    /// Until 99 % were read, and in all.
    control: f64,
    control_of_all: f64,
    requests: f64,
    on_demand: OnDemand,
    /// Of them those that were asked before 99 % were read.
    meanwhile: OnDemand,
    bound: f64,
    ledger: String,
}

impl Case {
    fn options(self, flood: Flood) -> Options {
        let mut options = Options { seed: self.seed, flood, switch_on: 10 * MINUTE, ..Options::default() };
        (options.conditions.offset, options.hybrid) = (self.offset, self.hybrid);
        options
    }

    fn world(self, flood: Flood) -> World {
        World::new(self.ground.site(self.seed), self.options(flood))
    }

    /// Formed long ago, with what a host that looks after routes sets in the coordinator of a dense network.
    fn hosted(self) -> World {
        self.hosted_with(self.options(Flood::default()))
    }

    fn hosted_with(self, options: Options) -> World {
        let options = Options { route_ttl: (24 * HOUR, options.route_ttl.1), ..options };
        let mut world = World::new(self.ground.site(self.seed), options);
        world.commission();
        world
    }

    /// The same, formed long ago.
    fn commissioned(self, flood: Flood) -> World {
        let mut world = self.world(flood);
        world.commission();
        world
    }

    /// Minutes until half, 95 and 99 of a hundred have joined, and the share that has in the end.
    fn form(self, until: Micros) -> (f64, f64, f64, f64, World) {
        self.form_from(self.world(Flood::default()), until)
    }

    fn form_from(self, mut world: World, until: Micros) -> (f64, f64, f64, f64, World) {
        let meters = world.meters().len();
        let mut joined = Vec::new();
        while let Some(output) = world.run(until) {
            if let Output::Joined { at, .. } = output {
                joined.push(at);
            }
            if joined.len() == meters {
                break;
            }
        }
        let share = |share: f64| minutes(nth(&joined, meters as f64 * share));
        (share(0.5), share(0.95), share(0.99), joined.len() as f64 / meters as f64, world)
    }

    /// Reads all meters of a network that was formed long ago, and one on demand every five minutes meanwhile.
    fn read<P: Poller>(self, flood: Flood, poller: P, session: Vec<(u16, u16)>, until: Micros) -> Read {
        self.read_with(self.commissioned(flood), |world| Drive::new(world, poller), session, until)
    }

    fn read_with<P: Poller>(
        self,
        world: World,
        drive: impl FnOnce(World) -> Drive<P>,
        session: Vec<(u16, u16)>,
        until: Micros,
    ) -> Read {
        let meters: Vec<NodeNo> = world.meters().filter(|node| world.is_joined(*node)).collect();
        let relays: Vec<NodeNo> = meters
            .iter()
            .copied()
            .filter(|relay| meters.iter().any(|node| world.next_hop(*relay, *node).is_some()))
            .collect();
        let mut random = Random::new(self.seed);
        let killed: Vec<NodeNo> = relays.into_iter().filter(|_| random.chance(self.killed)).collect();
        let mut drive = drive(world);
        // Whoever asks has them in an order that says nothing of where they are.
        let mut order = meters.clone();
        (1..order.len()).rev().for_each(|at| order.swap(at, random.under(at as u64 + 1) as usize));
        order.into_iter().for_each(|node| drive.ask(node, Priority::Profile, session.clone()));
        let (mut read, mut on_demand) = (Vec::new(), OnDemand::default());
        let alive = meters.len() - killed.len();
        let taken = |figures: &Figures| (figures.control_airtime(), figures.airtime());
        let (mut step, mut spent) = (0, None);
        while step * 5 * MINUTE < until {
            if step == 2 {
                killed.iter().for_each(|node| drive.world.switch_off(*node));
            }
            step += 1;
            while let Some(done) = drive.run((step * 5 * MINUTE).min(until)) {
                match done.priority {
                    Priority::OnDemand => on_demand.answered(done),
                    _ if killed.contains(&done.node) => {}
                    _ => read.push(done.at),
                }
                // Of the tail nothing is counted: who is left alone then is waited for, and others are asked for echoes.
                if read.len() * 100 >= alive * 99 {
                    spent.get_or_insert_with(|| taken(drive.world.figures()));
                }
            }
            if read.len() >= alive {
                break;
            }
            let Some(node) = meters.get(random.under(meters.len() as u64) as usize).copied() else { break };
            if !killed.contains(&node) {
                drive.ask(node, Priority::OnDemand, ONE_VALUE.into());
            }
        }
        on_demand.ended(drive.waited_for(), drive.world.now());
        drive.repairs.sort_unstable();
        let figures = drive.world.figures();
        let quantiles = |times: &[Micros]| {
            let at = |share: f64| match times.len() {
                0 => f64::NAN,
                count => nth(times, count as f64 * share) / 1e6,
            };
            (at(0.5), at(0.95))
        };
        let ratio = |part: u64, all: u64| part as f64 / all.max(1) as f64;
        let (control, spent) = spent.unwrap_or(taken(figures));
        let [to_95, to_99] = [0.95, 0.99].map(|share| nth(&read, alive as f64 * share));
        Read {
            to_95: minutes(to_95),
            to_99: minutes(to_99),
            delivered: read.len() as f64 / alive as f64,
            lost_at_once: 1.0 - ratio(drive.at_once, drive.begun),
            lost: 1.0 - ratio(drive.answered, drive.begun),
            repair: quantiles(&drive.repairs),
            control: ratio(control, spent),
            control_of_all: ratio(figures.control_airtime(), figures.airtime()),
            requests: figures.share_of_packets(Kind::RouteRequest),
            meanwhile: on_demand.asked_by(to_99 as Micros),
            on_demand,
            bound: drive.bound as f64 / read.last().map_or(f64::NAN, |last| *last as f64),
            ledger: figures.to_string(),
        }
    }

    /// Nobody is read but one meter on demand every five minutes: a network formed long ago, with a host.
    fn idle(self, until: Micros) -> OnDemand {
        let mut drive = Drive::new(self.hosted(), scheduler()).with_host();
        let meters: Vec<NodeNo> = drive.world.meters().filter(|node| drive.world.is_joined(*node)).collect();
        let (mut random, mut on_demand) = (Random::new(self.seed), OnDemand::default());
        while drive.world.now() < until {
            let Some(node) = meters.get(random.under(meters.len() as u64) as usize).copied() else { break };
            drive.ask(node, Priority::OnDemand, ONE_VALUE.into());
            let next = drive.world.now() + 5 * MINUTE;
            std::iter::from_fn(|| drive.run(next)).for_each(|done| on_demand.answered(done));
        }
        on_demand.ended(drive.waited_for(), drive.world.now());
        on_demand
    }

    /// Of the table: a network of this case forms, another one that was formed long ago is read, each for so many hours: by
    /// the scheduler with a host that looks after routes, and one by one without.
    fn row(self, hours: f64, formation: &mut Formation) -> Row {
        let until = (hours * HOUR as f64) as Micros;
        let (half, most, joined) = formation.of(self, &self.world(Flood::default()), until);
        let world = self.hosted();
        let nodes = world.meters().len();
        let hops: Vec<u8> = world.meters().filter_map(|node| Some(world.route(node)?.1)).collect();
        let mean = hops.iter().copied().map(f64::from).sum::<f64>() / hops.len().max(1) as f64;
        let most_hops = hops.iter().max().copied().unwrap_or(0);
        let ours = self.read_with(world, |world| Drive::new(world, scheduler()).with_host(), daily(), until);
        let theirs = self.read(Flood::default(), Naive::new(1), daily(), until);
        let Read { to_95, to_99, delivered, lost_at_once, lost, repair, control, on_demand, bound, .. } = ours;
        let [joined, delivered, lost_at_once, lost, control] =
            [joined, delivered, lost_at_once, lost, control].map(|share| 100.0 * share);
        let mut figures = vec![half, most, joined, mean, most_hops.into(), delivered, lost_at_once, lost];
        figures.extend([repair.0, repair.1, control, to_95, to_99, theirs.to_95, theirs.to_99]);
        let (half, most) = on_demand.of_all();
        figures.extend([half, most, bound, theirs.to_99 / to_99]);
        Row { case: self.name(nodes, hours), figures }
    }

    fn name(self, nodes: usize, hours: f64) -> String {
        let Case { ground, seed, offset, hybrid, killed } = self;
        let site = match hybrid > 0.0 {
            true => format!("{}_hybrid_{:.0}", ground.name(), 100.0 * hybrid),
            false => ground.name().to_owned(),
        };
        format!("{site:22} {nodes:5} {seed:4} {offset:3} {killed:4.2} {hours:4}")
    }
}

/// Rows that differ in who loses power have the same formation.
#[derive(Default)]
struct Formation(Option<(Case, Micros, (f64, f64, f64))>);

impl Formation {
    fn of(&mut self, case: Case, world: &World, until: Micros) -> (f64, f64, f64) {
        let case = Case { killed: 0.0, ..case };
        match self.0 {
            Some((known, hours, figures)) if known == case && hours == until => figures,
            _ => {
                let (half, most, _, joined, _) = case.form_from(world.clone(), until);
                self.0 = Some((case, until, (half, most, joined)));
                (half, most, joined)
            }
        }
    }
}

impl std::fmt::Display for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { to_95, to_99, delivered, control, on_demand, meanwhile, bound, ledger, .. } = self;
        let [delivered, control, of_all] = [*delivered, *control, self.control_of_all].map(|share| 100.0 * share);
        write!(
            f,
            "95 % {to_95:.0}, 99 % {to_99:.0} min, {delivered:.1} % read, control {control:.1} % of airtime until then ({of_all:.1} of all)"
        )?;
        write!(
            f,
            ", {bound:.2} of the bound\non demand, s, p50 p95 (count): {on_demand}\nthe same, asked before 99 %: "
        )?;
        write!(f, "{meanwhile}\n{ledger}")
    }
}

fn table(cases: &[(Case, f64)]) -> Vec<Row> {
    let mut formation = Formation::default();
    let row = |(case, hours): &(Case, f64)| {
        let row = case.row(*hours, &mut formation);
        eprintln!("{row}");
        row
    };
    eprint!("{}", head());
    cases.iter().map(row).collect()
}

/// Nodes, loss and churn.
fn cases(ground: Ground, hours: f64) -> Vec<(Case, f64)> {
    let all = [(0.0, 0.0), (0.0, 0.1), (-6.0, 0.0), (-6.0, 0.1)];
    all.map(|(offset, killed)| (Case { ground, seed: 1, offset, hybrid: 0.0, killed }, hours)).to_vec()
}

/// Towns of which all meters have a radio, and half of them.
fn hybrid_cases(meters: usize, hours: f64) -> [(Case, f64); 2] {
    [1.0, 0.5].map(|hybrid| (Case { ground: Ground::Town(meters), seed: 1, offset: 0.0, hybrid, killed: 0.0 }, hours))
}

fn hybrid_cases_of_seconds() -> Vec<(Case, f64)> {
    [(100, 4.0), (400, 0.25)].into_iter().flat_map(|(meters, hours)| hybrid_cases(meters, hours)).collect()
}

fn hybrid_cases_of_minutes() -> Vec<(Case, f64)> {
    [(400, 12.0), (1_000, 12.0)].into_iter().flat_map(|(meters, hours)| hybrid_cases(meters, hours)).collect()
}

/// Small networks, and what there is of large ones after minutes.
fn cases_of_seconds() -> Vec<(Case, f64)> {
    let mut all = cases(Ground::Town(100), 4.0);
    let first = |(ground, hours)| cases(ground, hours).into_iter().take(1);
    let large = [(400, 0.25), (1_000, 0.15), (2_000, 0.1)].map(|(meters, hours)| (Ground::Town(meters), hours));
    let published = PUBLISHED.into_iter().filter(|ground| ground.site(0).nodes.len() < 60).map(|ground| (ground, 0.25));
    all.extend(large.into_iter().chain(published).flat_map(first));
    all
}

fn cases_of_minutes() -> Vec<(Case, f64)> {
    // Of 2,000 meters a third of that: they would take as long as all others together.
    let towns = [(400, 12.0), (1_000, 12.0), (2_000, 4.0)].map(|(meters, hours)| (Ground::Town(meters), hours));
    let published = PUBLISHED.map(|ground| (ground, 12.0));
    towns.into_iter().chain(published).flat_map(|(ground, hours)| cases(ground, hours)).collect()
}

#[test]
fn golden_rows_of_seconds_are_as_they_were() {
    compare(&table(&cases_of_seconds()));
}

#[test]
#[ignore = "minutes; tests/netsim-long.sh runs it"]
fn golden_rows_of_minutes_are_as_they_were() {
    compare(&table(&cases_of_minutes()));
}

#[test]
fn golden_rows_of_hybrid_towns_are_as_they_were() {
    compare(&table(&hybrid_cases_of_seconds()));
}

#[test]
#[ignore = "minutes; tests/netsim-long.sh runs it"]
fn golden_rows_of_large_hybrid_towns_are_as_they_were() {
    compare(&table(&hybrid_cases_of_minutes()));
}

#[test]
fn each_golden_row_is_of_a_case() {
    let name = |(case, hours): (Case, f64)| case.name(case.ground.site(case.seed).nodes.len() - 1, hours);
    let town = [cases_of_seconds(), cases_of_minutes()].concat();
    let hybrid = [hybrid_cases_of_seconds(), hybrid_cases_of_minutes()].concat();
    let cases: BTreeSet<String> = town.into_iter().chain(hybrid).map(name).collect();
    assert_eq!(golden().into_keys().collect::<BTreeSet<_>>(), cases);
}

/// What became of a network of which a tenth of the relays lost its power.
struct Decimated {
    /// Who still has a way, when each was read, the time that repairs took, and searches of the host.
    there: usize,
    read: Vec<Micros>,
    repairs: Vec<Micros>,
    searches: u64,
}

/// A tenth of the relays loses its power. A host that looks after routes has so long to read whoever still has a way.
fn decimate(meters: usize, seed: u64, until: Micros) -> Decimated {
    let world = Case { ground: Ground::Town(meters), seed, offset: 0.0, hybrid: 0.0, killed: 0.1 }.hosted();
    let joined: Vec<NodeNo> = world.meters().filter(|node| world.is_joined(*node)).collect();
    let is_relay = |relay: &NodeNo| joined.iter().any(|node| world.next_hop(*relay, *node).is_some());
    let relays: Vec<NodeNo> = joined.iter().copied().filter(is_relay).collect();
    let mut random = Random::new(seed);
    let killed: Vec<NodeNo> = relays.into_iter().filter(|_| random.chance(0.1)).collect();
    assert!(!killed.is_empty());
    let mut drive = Drive::new(world, scheduler()).with_host();
    killed.iter().for_each(|node| drive.world.switch_off(*node));
    let reachable = drive.world.reachable();
    let meant: Vec<NodeNo> = joined.into_iter().filter(|node| reachable.get(*node) == Some(&true)).collect();
    meant.iter().for_each(|node| drive.ask(*node, Priority::Profile, vec![(90, 250); 2]));
    let read = std::iter::from_fn(|| drive.run(until)).map(|done| done.at).collect();
    assert!(drive.world.meters().all(|node| drive.world.trace(0, node).0 <= meters), "a message would go round");
    drive.repairs.sort_unstable();
    let searches = drive.host.as_ref().map_or(0, |host| host.counts().searches + host.counts().by_others);
    Decimated { there: meant.len(), read, repairs: drive.repairs, searches }
}

#[test]
fn of_those_who_still_have_a_way_nearly_all_are_reached_when_a_tenth_of_the_relays_is_gone() {
    let all: Vec<Decimated> = (1..=4).map(|seed| decimate(150, seed, 2 * HOUR)).collect();
    let sum = |of: fn(&Decimated) -> usize| all.iter().map(of).sum::<usize>();
    let (reached, there, searches) = (sum(|of| of.read.len()), sum(|of| of.there), sum(|of| of.searches as usize));
    eprintln!("{reached} of {there} reached, {searches} searches of the host");
    assert!(reached * 100 >= there * 99, "{reached} of {there}");
}

/// The same of `SIZE` meters and `SEEDS` networks. A period of route maintenance is the day in which the host traces each
/// path and reads each meter once; it has two of them. How long repairs took is told from the first attempt that failed.
#[test]
#[ignore = "minutes; tests/netsim-long.sh runs it"]
fn those_who_still_have_a_way_are_reached_within_two_periods_of_maintenance() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let (size, period) = (number("SIZE", 500), plc::route::Limits::of(500, 8).trace_every.as_micros() as Micros);
    let (mut reached, mut there) = (0, 0);
    for seed in 1..=number("SEEDS", 2) as u64 {
        let Decimated { there: meant, read, repairs, searches } = decimate(size, seed, 2 * period);
        let within = [HOUR, 2 * HOUR, 12 * HOUR, period, 2 * period];
        let within = within.map(|time| 100.0 * read.iter().filter(|at| **at <= time).count() as f64 / meant as f64);
        let [half, most] = [0.5, 0.9].map(|share| nth(&repairs, repairs.len() as f64 * share) / 1e6);
        eprintln!("{size}, seed {seed}: of {meant} reached after 1, 2, 12, 24, 48 h: {within:.1?} %; repaired");
        eprintln!(
            "{} exchanges within {half:.0} s, nine in ten within {most:.0} s; {searches} searches",
            repairs.len()
        );
        (reached, there) = (reached + read.len(), there + meant);
    }
    assert!(reached * 100 >= there * 99, "{reached} of {there}");
}

/// Energies 2021, 14(7), 1937: more than half of the packets that a sniffer captures in the substation of 800 nodes are
/// route requests, 50 to 75 %, where the network is near its capacity. Here the firmware passes on every request, and a
/// poller without any care asks for three hours, more at once from run to run until fewer are read for it: there the
/// network is at its capacity. A packet is a frame that the sniffer decodes, each attempt of it; an acknowledgement is
/// none, as it is a control header alone. Of `SEEDS` networks the one in the middle is compared.
#[test]
#[ignore = "half an hour; tests/netsim-long.sh runs it"]
fn a_naive_poller_near_capacity_makes_a_storm_of_route_requests() {
    let seeds = std::env::var("SEEDS").map_or(3, |number| number.parse().unwrap());
    let of_seed = |seed| {
        let case = Case { ground: Ground::Town(800), seed, offset: 0.0, hybrid: 0.0, killed: 0.0 };
        let mut before = 0.0;
        let all = (1..=8).map(|window| {
            let read = case.read(Flood::plain(), Naive::new(window), daily(), 3 * HOUR);
            let [requests, control, share] = [read.requests, read.control, read.delivered].map(|share| 100.0 * share);
            eprint!("{seed}, {window} at once: route requests {requests:.0} % of packets, control {control:.0} %");
            eprintln!(" of airtime, {share:.0} % read\n{}", read.ledger);
            (requests, share)
        });
        let mut beyond = all.skip_while(|(_, share)| std::mem::replace(&mut before, *share) <= *share);
        beyond.next().expect("nothing breaks down however much is asked at once").0
    };
    let mut requests: Vec<f64> = (1..=seeds).map(of_seed).collect();
    requests.sort_by(f64::total_cmp);
    let middle = requests[requests.len() / 2];
    eprintln!("route requests at capacity, % of packets: {middle:.0} in the middle of {requests:.0?}");
    assert!((50.0..75.0).contains(&middle), "{middle}");
}

/// `WHO` of scheduler, hosted, started, new, watched, naive, alike and idle reads `SIZE` meters of some networks: by the
/// scheduler alone, with a host that looks after routes, with a modem that was started anew and knows none, with a host that
/// knows none either, with one that looks for outages, too, one by one in whole sessions of small blocks, and one by one in the sessions of the others: in blocks of 1 kB where `LARGE` is 1, with rows of a profile compressed by nulls
/// where `COMPRESSED` is, within open associations where `OPEN` is, with the questions that the service asks besides, and no
/// release, where `SERVICE` is; `HYBRID` is the share of the meters that have a radio. Who is `idle` reads nobody but one meter on demand every five minutes, for twelve hours, of
/// which routes that nobody uses last six. `FROM` is the first seed, `SEEDS` the last one, `WINDOW` how much the scheduler
/// has under way at once.
#[test]
#[ignore = "minutes; tests/netsim-long.sh runs it"]
fn the_scheduler_and_one_by_one() {
    let number = |name: &str| std::env::var(name).map_or(0.0, |number| number.parse().unwrap());
    let who = std::env::var("WHO").unwrap_or("scheduler hosted naive".into());
    let size = (number("SIZE") as usize).max(100);
    let session = || {
        let session = if number("LARGE") > 0.0 { daily_in_large_blocks() } else { daily() };
        let session = if number("COMPRESSED") > 0.0 { compressed(session) } else { session };
        let session = if number("OPEN") > 0.0 { without_association(session) } else { session };
        if number("SERVICE") > 0.0 { as_the_service(session) } else { session }
    };
    let mut on_demand: BTreeMap<String, OnDemand> = BTreeMap::new();
    for seed in (number("FROM") as u64).max(1)..=number("SEEDS") as u64 {
        let (hybrid, killed) = (number("HYBRID"), number("KILLED"));
        let case = Case { ground: Ground::Town(size), seed, offset: 0.0, hybrid, killed };
        for who in who.split_whitespace() {
            if who == "idle" {
                let idle = case.idle(12 * HOUR);
                let fresh = idle.asked_by(case.options(Flood::default()).route_ttl.1);
                eprintln!("{size}, seed {seed}, {who}: on demand, s, p50 p95 (count): {idle}");
                on_demand.entry(who.to_owned()).or_default().join(idle);
                on_demand.entry(format!("{who}, before unused routes are forgotten")).or_default().join(fresh);
                continue;
            }
            let drive = |world| Drive::new(world, scheduler()).with_host();
            let read = match who {
                "scheduler" => case.read(Flood::default(), scheduler(), session(), 12 * HOUR),
                "hosted" => case.read_with(case.hosted(), drive, session(), 12 * HOUR),
                "started" => {
                    case.read_with(case.hosted(), |world| drive(world).anew(Anew::Modem), session(), 12 * HOUR)
                }
                "new" => case.read_with(case.hosted(), |world| drive(world).anew(Anew::Unit), session(), 12 * HOUR),
                "watched" => case.read_with(case.hosted(), |world| drive(world).watched(), session(), 12 * HOUR),
                "naive" => case.read(Flood::default(), Naive::new(1), daily(), 12 * HOUR),
                "alike" => case.read(Flood::default(), Naive::new(1), session(), 12 * HOUR),
                _ => panic!("nobody is {who}"),
            };
            eprintln!("{size}, seed {seed}, {who}: {read}");
            on_demand.entry(who.to_owned()).or_default().join(read.on_demand);
            on_demand.entry(format!("{who}, asked before 99 %")).or_default().join(read.meanwhile);
        }
    }
    on_demand.iter().for_each(|(who, all)| eprintln!("{size}, all seeds, {who}: on demand, s, p50 p95 (count): {all}"));
}

/// How a network forms, and where its airtime goes: of meters that go about it as `MANNER` says, with so many `SLOTS` for
/// bootstraps at the same time; `HYBRID` is the share of them that have a radio.
#[test]
#[ignore = "minutes; tests/netsim-long.sh runs it"]
fn formation_and_its_airtime() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let manner = match std::env::var("MANNER").as_deref() {
        Ok("eager") => Manner::Eager,
        _ => Manner::Patient,
    };
    let seed = number("SEED", 1) as u64;
    let hybrid = share("HYBRID");
    let case = Case { ground: Ground::Town(number("SIZE", 1_000)), seed, offset: 0.0, hybrid, killed: 0.0 };
    let mut options = Options { manner, ..case.options(Flood::default()) };
    options.server.joins = number("SLOTS", options.server.joins);
    let world = World::new(case.ground.site(seed), options);
    let (half, most, nearly_all, joined, world) = case.form_from(world, number("HOURS", 3) as u64 * HOUR);
    eprintln!(
        "{case:?}, {manner:?}: 50 % {half:.0}, 95 % {most:.0}, 99 % {nearly_all:.0} min, {:.1} % joined",
        100.0 * joined
    );
    eprintln!("{}", world.figures());
}

/// Many seeds of each case, and of them the median and the worst tenth. `SITES` (numbers of meters or published feeders),
/// `SEEDS`, `OFFSETS`, `KILLED` and `HOURS` choose the cases; no seed is begun after `MINUTES` of a case.
#[test]
#[ignore = "hours; tests/netsim-long.sh runs it"]
#[allow(clippy::disallowed_methods, reason = "the run is bounded in time, no figure is")]
fn many_seeds() {
    let text = |name: &str, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    let list = |name: &str, default: &str| -> Vec<f64> {
        text(name, default).split_whitespace().map(|number| number.parse().unwrap()).collect()
    };
    let (sites, hours) = (text("SITES", "100 400 1000 2000"), list("HOURS", "12")[0]);
    let (seeds, minutes) = (list("SEEDS", "20")[0] as u64, Duration::from_secs_f64(60.0 * list("MINUTES", "60")[0]));
    let (offsets, kills) = (list("OFFSETS", "0"), list("KILLED", "0"));
    eprint!("{}", head());
    let mut summaries = String::new();
    for site in sites.split_whitespace() {
        let ground = Ground::of(site).unwrap_or_else(|| panic!("no site {site}"));
        for (offset, killed) in offsets.iter().flat_map(|offset| kills.iter().map(move |killed| (*offset, *killed))) {
            let begin = Instant::now();
            let of_seed = |seed| {
                Case { ground, seed, offset, hybrid: share("HYBRID"), killed }.row(hours, &mut Formation::default())
            };
            let rows = (1..=seeds).take_while(|_| begin.elapsed() < minutes).map(of_seed);
            let rows: Vec<Row> = rows.inspect(|row| eprintln!("{row}")).collect();
            for row in summary(&format!("{site} {offset} dB {killed} x{}", rows.len()), &rows) {
                eprintln!("{row}");
                summaries += &format!("{row}\n");
            }
        }
    }
    eprint!("\nMedian and worst tenth; x: so many seeds\n{}{summaries}", head());
}

/// A phase, a phase of a feeder, a feeder or all lose their power while `SIZE` meters are read, of `SEEDS` networks: after
/// how many seconds the first outage is told, and which part of those without power are known to be out then, after two and
/// after ten minutes; and how many others.
#[test]
#[ignore = "minutes; tests/netsim-long.sh runs it"]
fn outages_are_named() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let size = number("SIZE", 400) as usize;
    for what in ["phase", "phase of a feeder", "feeder", "all"] {
        let mut firsts = Vec::new();
        for seed in 1..=number("SEEDS", 4) {
            let case = Case { ground: Ground::Town(size), seed, offset: 0.0, hybrid: 0.0, killed: 0.0 };
            let mut drive = Drive::new(case.hosted(), scheduler()).with_host().watched();
            let mut random = Random::new(seed);
            let mut order: Vec<NodeNo> = drive.world.meters().filter(|node| drive.world.is_joined(*node)).collect();
            (1..order.len()).rev().for_each(|at| order.swap(at, random.under(at as u64 + 1) as usize));
            order.iter().for_each(|node| drive.ask(*node, Priority::Profile, daily()));
            let goes_on = |drive: &mut Drive<_>, until| std::iter::from_fn(|| drive.run(until)).for_each(drop);
            goes_on(&mut drive, 10 * MINUTE);
            let feeders = drive.world.site().cabinets.iter().map(|cabinet| cabinet.feeder).max().unwrap_or(1);
            let of_feeder = |feeder| {
                let phases = [Phase::A, Phase::B, Phase::C, Phase::Three];
                phases.map(|phase| drive.world.on_phase(feeder, phase))
            };
            let one = random.under(feeders.into()) as u16 + 1;
            let dark: Vec<NodeNo> = match what {
                "phase" => (1..=feeders).flat_map(|feeder| of_feeder(feeder)[1].clone()).collect(),
                "phase of a feeder" => of_feeder(one)[1].clone(),
                "feeder" => of_feeder(one).concat(),
                _ => drive.world.meters().collect(),
            };
            dark.iter().for_each(|node| drive.world.switch_off(*node));
            let at = drive.now();
            goes_on(&mut drive, 20 * MINUTE);
            let known = |until: Duration| {
                let told = drive.watch.began.iter().filter(|(told, ..)| *told <= at + until);
                let out: BTreeSet<u16> = told.flat_map(|(.., out)| out.iter().copied()).collect();
                let meant = dark.iter().filter(|node| out.contains(&(**node as u16))).count();
                (100 * meant / dark.len().max(1), out.len() - meant)
            };
            let first = drive.watch.began.first().map(|(told, ..)| *told - at);
            let after = [first.unwrap_or_default(), Duration::from_secs(120), Duration::from_secs(600)].map(known);
            let scopes: Vec<&str> = drive.watch.began.iter().map(|(_, scope, _)| scope.as_str()).collect();
            eprintln!("{size}, {seed}: {what} ({}): {first:.0?}; known %, others: {after:?}; {scopes:?}", dark.len());
            firsts.push(first.unwrap_or(Duration::MAX));
        }
        firsts.sort_unstable();
        eprintln!("{what}: first told after {:.0?}", firsts);
    }
}

/// An hour of `SIZE` meters, for its processor time: `WHAT` they do is to join, or to be read.
#[test]
#[ignore = "seconds; tests/netsim-long.sh runs it"]
fn an_hour() {
    let size = std::env::var("SIZE").map_or(2_000, |number| number.parse().unwrap());
    let case = Case { ground: Ground::Town(size), seed: 1, offset: 0.0, hybrid: 0.0, killed: 0.0 };
    match std::env::var("WHAT").as_deref() {
        Ok("read") => {
            let (scheduler, spent) = Timed::new(scheduler());
            eprintln!("{}", case.read(Flood::default(), scheduler, daily(), HOUR));
            let share = 100.0 * spent.get().as_secs_f64() / Duration::from_micros(HOUR).as_secs_f64();
            eprintln!("the scheduler: {:.2?} of the processor, {share:.3} % of a core", spent.get());
        }
        Ok("storm") => eprintln!("{}", case.read(Flood::plain(), Naive::new(1), daily(), HOUR)),
        _ => eprintln!("{}", case.form(HOUR).4.figures()),
    }
}

/// A share that is chosen; none where it is not.
fn share(name: &str) -> f64 {
    std::env::var(name).map_or(0.0, |number| number.parse().expect("a share is a number"))
}

/// The value of this rank, from 1.
fn nth(sorted: &[Micros], rank: f64) -> f64 {
    (rank.ceil() as usize).checked_sub(1).and_then(|at| sorted.get(at)).map_or(f64::INFINITY, |value| *value as f64)
}

fn minutes(micros: f64) -> f64 {
    micros / MINUTE as f64
}

/// Request and answer of a read on demand.
const ONE_VALUE: [(u16, u16); 1] = [(90, 120)];
const MINUTE: Micros = 60_000_000;
const HOUR: Micros = 60 * MINUTE;
