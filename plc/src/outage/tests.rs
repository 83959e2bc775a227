use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::sim::Random;

/// A street whose meters are asked one after the other, again and again.
struct Street {
    outages: Outages,
    places: BTreeMap<u16, Place>,
    dark: BTreeSet<u16>,
    /// What comes of questions and probes, and when.
    pending: BTreeMap<(Instant, u64), (u16, bool)>,
    number: u64,
    now: Instant,
    random: Random,
    probing: usize,
    most_probing: usize,
    probes: usize,
    resumed: Vec<(Instant, u16)>,
    /// Of a million questions to a node that is there so many are not answered; and of a million probes.
    loss_ppm: u32,
    probe_loss_ppm: u32,
}

impl Street {
    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    fn new(branches: u16, of_each: u16, seed: u64, loss_ppm: u32) -> Self {
        let mut random = Random::new(seed);
        let place = |number: u16, random: &mut Random| Place {
            phase: Some(2 * random.under(3) as u8),
            branch: Some(number % branches + 1),
        };
        let places = (1..=branches * of_each).map(|number| (number, place(number, &mut random))).collect();
        let mut street = Self {
            outages: Outages::new(Limits::default()),
            places,
            dark: BTreeSet::new(),
            pending: BTreeMap::new(),
            number: 0,
            now: Instant::now() + Duration::from_secs(10_000),
            random,
            probing: 0,
            most_probing: 0,
            probes: 0,
            resumed: Vec::new(),
            loss_ppm,
            probe_loss_ppm: 0,
        };
        street.outages.set_up(true, street.now);
        for (node, place) in &street.places {
            street.outages.place(*node, *place);
            street.outages.heard(*node, street.now);
        }
        street
    }

    fn ask(&mut self, node: u16, is_probe: bool) {
        let is_there = !self.dark.contains(&node)
            && !self.random.happens(if is_probe { self.probe_loss_ppm } else { self.loss_ppm });
        let takes = Duration::from_millis(if is_there { 1_500 } else { 9_000 });
        self.number += 1;
        self.pending.insert((self.now + takes, self.number << 1 | u64::from(is_probe)), (node, is_there));
    }

    fn covered(&self, scope: Scope) -> BTreeSet<u16> {
        self.places.iter().filter(|(_, place)| scope.covers(**place)).map(|(node, _)| *node).collect()
    }

    /// So many seconds, in each of which a node is asked.
    fn run(&mut self, seconds: u32) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..seconds {
            let node = 1 + self.random.under(self.places.len() as u64) as u16;
            self.ask(node, false);
            self.now += Duration::from_secs(1);
            while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let ((at, number), (node, is_there)) = entry.remove_entry();
                match (number & 1 == 1, is_there) {
                    (true, _) => {
                        self.probing -= 1;
                        self.outages.probed(node, is_there, at);
                    }
                    (false, true) => self.outages.heard(node, at),
                    (false, false) => self.outages.silent(node, at),
                }
            }
            self.outages.handle_timeout(self.now);
            self.act();
            events.extend(std::iter::from_fn(|| self.outages.poll_event()));
        }
        events
    }

    fn act(&mut self) {
        while let Some(action) = self.outages.poll_action() {
            match action {
                Action::Probe { node } => {
                    self.probing += 1;
                    self.probes += 1;
                    self.most_probing = self.most_probing.max(self.probing);
                    self.ask(node, true);
                }
                Action::Resume { node } => self.resumed.push((self.now, node)),
            }
        }
    }
}

fn began(events: &[Event]) -> Vec<&Outage> {
    events.iter().filter_map(|event| if let Event::Began(outage) = event { Some(outage) } else { None }).collect()
}

fn restored(events: &[Event]) -> Vec<&Outage> {
    events.iter().filter_map(|event| if let Event::Restored(outage) = event { Some(outage) } else { None }).collect()
}

fn scope() -> impl Strategy<Value = Scope> {
    let (phase, branch) = ((0u8..3).prop_map(|phase| 2 * phase), 1u16..5);
    prop_oneof![
        phase.clone().prop_map(Scope::Phase),
        branch.clone().prop_map(Scope::Branch),
        (phase, branch).prop_map(|(phase, branch)| Scope::PhaseOfBranch { phase, branch }),
        Just(Scope::Transformer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_fails_is_named_once_with_its_nodes_and_so_is_its_return(scope in scope(), seed in any::<u64>()) {
        let mut street = Street::new(4, 30, seed, 0);
        prop_assert!(street.run(300).is_empty());
        let meant = street.covered(scope);
        prop_assume!(meant.len() >= 6);
        street.dark = meant.clone();
        let mut events = street.run(120);
        let quick = matches!(scope, Scope::PhaseOfBranch { .. });
        // One node a second is asked: of a tenth of them the second one may be asked late.
        if quick {
            events.extend(street.run(180));
        }
        let named = began(&events);
        prop_assert_eq!(named.len(), 1, "{:?}", events);
        prop_assert_eq!((named[0].scope, &named[0].out), (scope, &meant));
        prop_assert!(street.most_probing <= 3, "{} probes at once", street.most_probing);
        prop_assert!(street.run(1_200).is_empty());
        street.dark.clear();
        let events = street.run(600);
        let over = restored(&events);
        prop_assert_eq!((events.len(), over.len()), (1, 1), "{:?}", events);
        prop_assert_eq!((&over[0].back, over[0].out.len()), (&meant, 0));
        prop_assert!(street.outages.open().next().is_none());
        prop_assert!(street.most_probing <= 3);
    }

    #[test]
    fn nodes_that_fail_by_themselves_are_no_outage(seed in any::<u64>()) {
        let mut street = Street::new(4, 30, seed, 30_000);
        let lonely: Vec<u16> = (0..6).map(|_| 1 + street.random.under(120) as u16).collect();
        for node in lonely {
            street.dark.insert(node);
            let events = street.run(600);
            prop_assert!(events.is_empty(), "{events:?}");
        }
        prop_assert!(street.probes < 200, "{} probes in an hour", street.probes);
    }

    #[test]
    fn whatever_is_said_nodes_are_in_one_outage_at_most(
        said in proptest::collection::vec((0u8..6, 1u16..40, 0u64..30), 1..400),
    ) {
        let mut street = Street::new(4, 10, 1, 0);
        for (what, node, seconds) in said {
            street.now += Duration::from_secs(seconds);
            let (outages, now) = (&mut street.outages, street.now);
            match what {
                0 => outages.heard(node, now),
                1 | 2 => outages.silent(node, now),
                3 => outages.joined(node, now),
                4 => outages.left(node),
                _ => outages.handle_timeout(now),
            }
            let out: usize = outages.open().map(|outage| outage.out.len()).sum();
            let all: BTreeSet<u16> = outages.open().flat_map(|outage| outage.out.iter().copied()).collect();
            prop_assert_eq!(out, all.len());
            prop_assert!(outages.probing.len() <= 3);
            street.act();
        }
    }
}

#[test]
fn a_wave_of_joins_is_asked_one_after_the_other_and_one_alone_at_once() {
    let mut street = Street::new(4, 30, 1, 0);
    for node in 1..=50 {
        street.outages.joined(node, street.now);
    }
    street.act();
    assert_eq!(street.resumed.len(), 1);
    street.run(300);
    assert_eq!(street.resumed.len(), 50);
    let apart = street.resumed.windows(2).all(|pair| pair[1].0 - pair[0].0 >= Limits::default().spread);
    assert!(apart, "{:?}", street.resumed);
    street.run(60);
    street.outages.joined(60, street.now);
    street.act();
    assert_eq!(street.resumed.last(), Some(&(street.now, 60)));
}

/// A phase of a street is out, and half of it is back; what is told within an hour.
fn half_is_back() -> (Street, BTreeSet<u16>, Vec<Event>) {
    let mut street = Street::new(4, 30, 3, 0);
    let meant = street.covered(Scope::Phase(2));
    street.dark = meant.clone();
    let events = street.run(120);
    assert_eq!(began(&events).len(), 1);
    let half: BTreeSet<u16> = meant.iter().copied().take(meant.len() / 2).collect();
    street.dark.retain(|node| !half.contains(node));
    let events = street.run(3_600);
    (street, half, events)
}

#[test]
fn an_outage_is_over_when_the_last_is_back_and_that_some_are_is_told_once() {
    let (mut street, half, events) = half_is_back();
    let [Event::PartlyBack(partly)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&partly.back, &partly.out), (&half, &street.dark));
    let open: Vec<_> = street.outages.open().map(|outage| (outage.number, outage.out.clone())).collect();
    assert_eq!(open, [(partly.number, street.dark.clone())]);
    let one = *street.dark.first().unwrap();
    assert_eq!(street.outages.open_of(one).map(|outage| outage.number), Some(partly.number));
    assert_eq!(street.outages.open_of(*half.first().unwrap()), None);
    let (all, last) = (half.len() + street.dark.len(), *street.dark.last().unwrap());
    street.dark = BTreeSet::from([last]);
    assert_eq!(street.run(3_600), [], "one is still out");
    street.dark.clear();
    let events = street.run(3_600);
    let [Event::Restored(over)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((over.number, over.back.len(), over.out.len()), (partly.number, all, 0));
    assert_eq!(street.outages.open().count(), 0);
}

/// The process ends, and another one begins with what the first has left.
fn restart(street: &mut Street) {
    let now = crate::route::Now { mono: street.now, utc_ms: 1_760_000_000_000 };
    let mut left = Outages::new(Limits::default());
    for outage in street.outages.open() {
        let mut octets = Vec::new();
        outage.keep(now).emit(&mut octets);
        assert!(left.restore(&Kept::parse(&mut octets.as_slice()).unwrap(), now));
    }
    left.set_up(true, street.now);
    (street.outages, street.probing) = (left, 0);
    street.pending.clear();
}

#[test]
fn an_outage_that_is_open_at_a_restart_ends_as_it_would_have() {
    for (seed, is_known) in [(3, true), (4, false)] {
        let mut street = Street::new(4, 30, seed, 0);
        let meant = street.covered(Scope::Phase(2));
        street.dark = meant.clone();
        assert_eq!(began(&street.run(120)).len(), 1);
        restart(&mut street);
        assert!(meant.iter().all(|node| street.outages.open_of(*node).is_some()));
        // Paths are traced again one after the other.
        let places = street.places.iter().filter(|_| is_known);
        places.for_each(|(node, place)| street.outages.place(*node, *place));
        assert_eq!(street.run(3_600), [], "it goes on, and has been told");
        street.dark.clear();
        let events = street.run(600);
        let over = restored(&events);
        assert_eq!((events.len(), over.len()), (1, 1), "{events:?}");
        assert_eq!((&over[0].back, over[0].out.len()), (&meant, 0));
        assert_eq!(street.outages.open().count(), 0);
    }
}

#[test]
fn what_is_missing_at_a_restart_is_still_missing_and_is_not_told_again() {
    let (mut street, half, _) = half_is_back();
    restart(&mut street);
    let open: Vec<_> = street.outages.open().map(|outage| (outage.out.clone(), outage.back.clone())).collect();
    assert_eq!(open, [(street.dark.clone(), half.clone())]);
    assert_eq!(street.run(7_200), []);
    let all = half.len() + street.dark.len();
    street.dark.clear();
    let events = street.run(3_600);
    assert!(matches!(events.as_slice(), [Event::Restored(over)] if over.back.len() == all), "{events:?}");
}

#[test]
fn the_next_one_is_asked_when_one_comes_back_late() {
    let (mut outages, now) = four_branches();
    outages.set_up(true, now);
    let out: Vec<u16> = (1..=40).filter(|node| node % 4 == 3).collect();
    let fell = now + Duration::from_secs(60);
    (1..=40).filter(|node| node % 4 != 3).for_each(|node| outages.heard(node, fell));
    out.iter().for_each(|node| outages.silent(*node, fell));
    drop(probes(&mut outages));
    assert!(matches!(outages.poll_event(), Some(Event::Began(outage)) if outage.out.len() == 10));
    // One is back, and all others are asked in vain until that is told.
    let mut now = fell + Duration::from_secs(600);
    outages.heard(3, now);
    let partly = loop {
        now += Duration::from_secs(5);
        (1..=40).filter(|node| node % 4 != 3).for_each(|node| outages.heard(node, now));
        outages.handle_timeout(now);
        probes(&mut outages).into_iter().for_each(|node| outages.probed(node, false, now));
        if let Some(event) = outages.poll_event() {
            break event;
        }
    };
    assert!(matches!(&partly, Event::PartlyBack(outage) if outage.out.len() == 9), "{partly:?}");
    // Hours later another one: then the next is asked at once, and where that is back the next one, too.
    now += Duration::from_secs(7_200);
    outages.heard(7, now);
    for _ in 0..8 {
        outages.handle_timeout(now);
        let asked = probes(&mut outages);
        assert_eq!(asked.len(), 1);
        outages.probed(asked[0], true, now);
    }
    assert!(matches!(outages.poll_event(), Some(Event::Restored(outage)) if outage.back.len() == 10));
}

#[test]
fn who_is_out_a_day_after_the_others_came_back_is_silent_by_itself() {
    let (mut street, half, _) = half_is_back();
    let still_out = street.dark.clone();
    let events = street.run(26 * 3_600);
    let [Event::GivenUp(outage)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&outage.back, &outage.out), (&half, &still_out));
    assert_eq!(street.outages.open().count(), 0);
}

#[test]
fn an_outage_ends_when_those_that_are_out_have_left() {
    let (mut street, half, _) = half_is_back();
    for node in std::mem::take(&mut street.dark) {
        street.outages.left(node);
    }
    let events: Vec<_> = std::iter::from_fn(|| street.outages.poll_event()).collect();
    assert!(matches!(events.as_slice(), [Event::Restored(outage)] if outage.back == half), "{events:?}");
    // All of them.
    let mut street = Street::new(4, 30, 3, 0);
    street.dark = street.covered(Scope::Phase(2));
    street.run(120);
    street.dark.iter().for_each(|node| street.outages.left(*node));
    let events: Vec<_> = std::iter::from_fn(|| street.outages.poll_event()).collect();
    assert!(matches!(events.as_slice(), [Event::GivenUp(_)]), "{events:?}");
    assert_eq!(street.outages.open().count(), 0);
}

#[test]
fn a_network_that_is_down_says_nothing_of_its_nodes() {
    let mut street = Street::new(4, 30, 3, 0);
    let now = street.now;
    (1..=3).for_each(|node| street.outages.silent(node, now));
    street.outages.set_up(false, now);
    street.outages.silent(4, now);
    assert_eq!((street.outages.poll_event(), street.outages.poll_action()), (None, None));
}

/// Forty nodes of four branches, the first hops 1 to 4.
fn four_branches() -> (Outages, Instant) {
    let (mut outages, now) = (Outages::new(Limits::default()), Street::new(1, 1, 1, 0).now);
    for node in 1..=40 {
        outages.place(node, Place { phase: None, branch: Some((node - 1) % 4 + 1) });
        outages.heard(node, now);
    }
    (outages, now)
}

#[test]
fn of_a_branch_that_nobody_asks_the_first_hop_is_probed_and_then_who_is_behind_it() {
    let (mut outages, mut now) = four_branches();
    outages.set_up(true, now);
    let limits = Limits::default();
    for _ in 0..4 {
        now += limits.watch;
        (5..=40).filter(|node| (node - 1) % 4 != 2).for_each(|node| outages.heard(node, now));
        outages.handle_timeout(now);
    }
    let probes = |outages: &mut Outages| std::iter::from_fn(|| outages.poll_action()).collect::<Vec<_>>();
    assert_eq!(probes(&mut outages), [Action::Probe { node: 3 }]);
    outages.probed(3, false, now);
    let behind = probes(&mut outages);
    assert_eq!(behind.len(), limits.probes);
    assert!(behind.iter().all(|probe| matches!(probe, Action::Probe { node } if node % 4 == 3)), "{behind:?}");
    outages.set_up(false, now);
    outages.handle_timeout(now + limits.unheard * 2);
    assert_eq!((probes(&mut outages), outages.poll_timeout()), (vec![], None));
}

#[test]
fn the_more_speaks_against_it_the_more_is_asked_before_all_is_said_to_be_out() {
    let (mut outages, mut now) = four_branches();
    now += Duration::from_secs(60);
    // Of the fourth branch two answer, and three of each of the others do not.
    [8, 12].into_iter().for_each(|node| outages.heard(node, now));
    (5..=16).filter(|node| node % 4 != 0).for_each(|node| outages.silent(node, now));
    let mut named = None;
    while named.is_none() {
        named = outages.poll_event();
        match outages.poll_action() {
            Some(Action::Probe { node }) => outages.probed(node, node % 4 == 0, now),
            _ => break,
        }
    }
    assert!(matches!(&named, Some(Event::Began(outage)) if matches!(outage.scope, Scope::Branch(_))), "{named:?}");
}

fn probes(outages: &mut Outages) -> Vec<u16> {
    let node = |action| if let Action::Probe { node } = action { Some(node) } else { None };
    std::iter::from_fn(|| outages.poll_action()).filter_map(node).collect()
}

/// [`four_branches`] on two phases, of which nothing was heard for a minute.
fn two_phases() -> (Outages, Instant) {
    let (mut outages, now) = four_branches();
    for node in 1..=40 {
        outages.place(node, Place { phase: Some(if node % 8 < 4 { 0 } else { 2 }), branch: None });
    }
    (outages, now + Duration::from_secs(60))
}

#[test]
fn where_one_is_silent_its_first_hop_is_probed_and_then_one_of_its_phase() {
    let (mut outages, now) = two_phases();
    outages.silent(13, now);
    assert_eq!(probes(&mut outages), [1]);
    // Its first hop is there, on the other phase.
    outages.probed(1, true, now);
    assert_eq!(probes(&mut outages), [37]);
    outages.probed(37, false, now);
    let others = probes(&mut outages);
    assert_eq!(others.len(), Limits::default().probes, "two of them are looked into");
    assert!(others.iter().all(|node| node % 4 == 1 || node % 8 >= 4), "of the branch or the phase: {others:?}");
}

#[test]
fn where_the_others_are_heard_one_that_is_silent_is_alone() {
    let (mut outages, now) = two_phases();
    // Of both phases of the branch.
    [9, 21].into_iter().for_each(|node| outages.heard(node, now));
    outages.silent(13, now + Duration::from_secs(5));
    assert_eq!(probes(&mut outages), [0; 0]);
    // Of the other phase alone.
    let (mut outages, now) = two_phases();
    outages.heard(9, now);
    outages.silent(13, now);
    assert_eq!(probes(&mut outages), [37]);
}

#[test]
fn a_first_hop_that_takes_nothing_is_probed_once_a_minute_and_says_nothing_of_who_is_behind_it() {
    let (mut outages, now) = two_phases();
    outages.not_taken(13, now);
    outages.not_taken(17, now);
    assert_eq!(probes(&mut outages), [1]);
    outages.probed(1, true, now);
    assert_eq!(probes(&mut outages), [0; 0], "13 and 17 are not silent");
    let later = now + Limits::default().unheard;
    outages.not_taken(13, later);
    assert_eq!(probes(&mut outages), [1]);
}

/// A street of 200 whose modem was started anew, where so many of a million questions and probes are lost.
fn started(seed: u64, loss_ppm: u32) -> Street {
    let mut street = Street::new(20, 10, seed, loss_ppm);
    street.probe_loss_ppm = loss_ppm;
    start(&mut street);
    street
}

/// Nobody was heard since, and where everybody is is known from before.
fn start(street: &mut Street) {
    (street.outages, street.probing) = (Outages::new(Limits::default()), 0);
    street.pending.clear();
    street.outages.set_up(true, street.now);
    street.places.iter().for_each(|(node, place)| street.outages.place(*node, *place));
}

#[test]
fn who_was_never_heard_since_a_start_is_not_said_to_be_out_where_others_are() {
    for seed in 1..=6 {
        let mut street = started(seed, 700_000);
        for seconds in [20, 45, 60, 30, 900] {
            start(&mut street);
            assert_eq!(street.run(seconds), [], "{seed}");
        }
        // Nor where the modem forgets its ways.
        street.outages.set_up(false, street.now);
        street.outages.set_up(true, street.now);
        assert_eq!(street.run(900), [], "{seed}");
    }
}

#[test]
fn what_fails_where_much_is_lost_is_named_all_the_same() {
    for seed in 1..=4 {
        let mut street = started(seed, 400_000);
        assert_eq!(street.run(1_800), [], "{seed}");
        street.dark = street.covered(Scope::Transformer);
        let events = street.run(600);
        assert!(began(&events).iter().any(|outage| outage.scope == Scope::Transformer), "{seed}: {events:?}");
    }
}

#[test]
fn what_is_out_since_before_a_start_is_named_when_there_was_time_to_find_a_way() {
    let settle = Limits::default().settle.as_secs() as u32;
    let (feeder, all) = (Scope::Branch(3), Scope::Transformer);
    for (scope, seed) in [(all, 1), (all, 2), (feeder, 3), (feeder, 4)] {
        let mut street = started(seed, 10_000);
        street.dark = street.covered(scope);
        assert_eq!(street.run(settle - 1), [], "{scope}");
        let events = street.run(300);
        let [Event::Began(outage)] = events.as_slice() else { panic!("{scope}: {events:?}") };
        assert_eq!((outage.scope, &outage.out), (scope, &street.dark));
        // Of a whole street not only as many as a branch has are asked.
        assert!(outage.asked >= if scope == all { 50 } else { 8 }, "{scope}: {} asked", outage.asked);
        street.dark.clear();
        let events = street.run(1_200);
        assert_eq!((events.len(), restored(&events).len()), (1, 1), "{scope}: {events:?}");
    }
}

#[test]
fn one_that_fell_silent_earlier_does_not_hide_an_outage() {
    let (mut outages, now) = four_branches();
    let earlier = now + Duration::from_secs(60);
    outages.silent(40, earlier);
    let answers = earlier + Duration::from_secs(60);
    (1..40).for_each(|node| outages.heard(node, answers));
    while let Some(node) = probes(&mut outages).first() {
        outages.probed(*node, true, answers);
    }
    let now = answers + Duration::from_secs(200);
    (1..=3).for_each(|node| outages.silent(node, now));
    let mut named = None;
    while named.is_none() {
        let probed = probes(&mut outages);
        assert!(!probed.is_empty(), "nothing is named");
        probed.into_iter().for_each(|node| outages.probed(node, false, now));
        named = outages.poll_event();
    }
    assert!(matches!(&named, Some(Event::Began(outage)) if outage.scope == Scope::Transformer), "{named:?}");
}
