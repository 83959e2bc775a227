#![allow(clippy::disallowed_methods, reason = "any instant to count from")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::g3::AdpStatus;
use crate::g3::modem::Refusal;
use crate::sim::Random;

const SECOND: Duration = Duration::from_secs(1);
/// A search has ended by then.
const LATE: Duration = Duration::from_secs(90);

fn begin() -> Now {
    Now { mono: Instant::now(), utc_ms: 1_700_000_000_000 }
}

fn after(now: Now, time: Duration) -> Now {
    Now { mono: now.mono + time, utc_ms: now.utc_ms + time.as_millis() as i64 }
}

fn way(next_hop: u16, hops: u8) -> Way {
    Way { next_hop, hops, cost: 10 * u16::from(hops), weak_links: 0, medium: None }
}

fn routes(nodes: usize, now: Now) -> Routes {
    let mut routes = Routes::new(Limits { trace_share: 0.0, check_share: 0.0, ..Limits::of(nodes, 8) }, now);
    routes.set_up(true);
    routes
}

fn actions(routes: &mut Routes, now: Now) -> Vec<Action> {
    routes.handle_timeout(now);
    std::iter::from_fn(|| routes.poll_action()).collect()
}

fn told(routes: &Routes, node: u16) -> Vec<(What, Why)> {
    routes.history(node).map(|entry| (entry.what, entry.why)).collect()
}

#[test]
fn each_change_has_its_cause_and_its_time() {
    let now = begin();
    let mut routes = routes(20, now);
    routes.joined(5);
    routes.table([(5, way(5, 1)), (6, way(5, 2))], now);
    routes.table([(5, way(5, 1)), (6, way(7, 2))], after(now, SECOND));
    routes.table([(5, way(5, 1))], after(now, 2 * SECOND));
    assert_eq!(told(&routes, 5), [(What::Way(way(5, 1)), Why::Joined)]);
    assert_eq!(
        told(&routes, 6),
        [(What::Way(way(5, 2)), Why::Modem), (What::Way(way(7, 2)), Why::Modem), (What::Gone, Why::Expired)]
    );
    assert_eq!(routes.history(6).map(|entry| entry.at_s - 1_700_000_000).collect::<Vec<_>>(), [0, 1, 2]);
    let next_hops: Vec<u16> = routes.alternates(6).iter().map(|it| it.way.next_hop).collect();
    assert_eq!(next_hops, [5, 7]);
}

#[test]
fn a_route_is_held_over_the_medium_of_its_neighbour() {
    let now = begin();
    let mut routes = routes(20, now);
    let over = |way, medium| Way { medium: Some(medium), ..way };
    let rows = [(5, over(way(5, 1), Medium::Rf)), (7, over(way(7, 1), Medium::Plc)), (6, over(way(5, 2), Medium::Rf))];
    routes.table(rows, now);
    let held = Way { cost: 0, ..over(way(7, 2), Medium::Plc) };
    assert_eq!(routes.hold(6, 7, true, now), Ok(held));
    // And when the modem has a way over somebody else again.
    routes.goes(6, rows[2].1, now);
    let wanted = Way { cost: 20, ..held };
    assert_eq!(routes.poll_action(), Some(Action::Pin { node: 6, way: wanted }));
}

#[test]
fn who_waits_for_echoes_over_long_ways_is_not_woken_for_nothing() {
    let mut now = begin();
    let mut routes = Routes::new(Limits { trace_share: 0.0, ..Limits::of(40, 8) }, now);
    routes.set_up(true);
    // The reply to a request may go a longer way than the request did.
    routes.table((1..40).map(|node| (node, way(1, 12))), now);
    let mut checks = 0;
    while let Some(at) = routes.poll_timeout().filter(|_| checks < 39) {
        let is_idle = at <= now.mono;
        now = after(now, at.saturating_duration_since(now.mono));
        let nodes = actions(&mut routes, now).into_iter();
        let nodes: Vec<u16> =
            nodes.filter_map(|it| if let Action::Check { node } = it { Some(node) } else { None }).collect();
        assert!(!is_idle || !nodes.is_empty(), "woken for nothing after {checks} echoes");
        nodes.iter().for_each(|node| routes.answered(*node, now));
        checks += nodes.len();
    }
    assert_eq!(checks, 39);
}

#[test]
fn a_broken_route_is_looked_for_and_what_is_found_says_why() {
    let now = begin();
    let mut routes = routes(20, now);
    routes.table([(6, way(5, 2))], now);
    for _ in 1..routes.limits().failures {
        routes.failed(6, Failure::NoAnswer, now);
        assert_eq!(actions(&mut routes, now), []);
    }
    routes.failed(6, Failure::NoAnswer, now);
    assert_eq!(actions(&mut routes, now), [Action::Discover { node: 6, most_hops: 8 }]);
    assert!(!routes.may_search(6, false, now) && !routes.may_search(7, true, now));
    routes.discovered(6, true, after(now, SECOND));
    routes.table([(6, way(7, 3))], after(now, SECOND));
    let expected = [
        (What::Way(way(5, 2)), Why::Modem),
        (What::Faulty, Why::NoAnswer),
        (What::Searched { most_hops: 8 }, Why::NoAnswer),
        (What::Way(way(7, 3)), Why::NoAnswer),
    ];
    assert_eq!(told(&routes, 6), expected);
    assert_eq!((routes.faulty(), routes.counts().found), (0, 1));
    // The way that lost twice counts as worse than the longer one.
    assert_eq!(routes.alternates(6).first().map(|it| it.way.next_hop), Some(7));
}

#[test]
fn what_the_modem_does_long_after_a_search_is_not_what_that_found() {
    let now = begin();
    let last = |routes: &Routes| told(routes, 6).last().copied();
    // What has found it, what has not, and none at all, as somebody else's is under way; each time the row goes first.
    for (is_searched, is_found) in [(true, true), (true, false), (false, false)] {
        for (later, is_its) in [(LATE - SECOND, true), (LATE, false)] {
            let mut routes = routes(20, now);
            routes.table([(6, way(5, 2)), (7, way(5, 2))], now);
            if !is_searched {
                routes.went_round(7, now);
                assert_eq!(actions(&mut routes, now), [Action::Discover { node: 7, most_hops: 8 }]);
            }
            routes.went_round(6, now);
            assert_eq!(actions(&mut routes, now).len(), usize::from(is_searched));
            if is_searched {
                routes.discovered(6, is_found, now);
            }
            routes.table([(7, way(5, 2))], now);
            routes.goes(6, way(7, 2), after(now, later));
            let why = if is_its && is_searched { Why::Circular } else { Why::Modem };
            assert_eq!(last(&routes), Some((What::Way(way(7, 2)), why)), "{is_searched} {is_found} {later:?}");
        }
    }
    // It takes its time, and counts from when it has ended.
    let mut routes = routes(20, now);
    routes.table([(6, way(5, 2))], now);
    routes.went_round(6, now);
    actions(&mut routes, now);
    routes.discovered(6, true, after(now, 80 * SECOND));
    routes.goes(6, way(7, 2), after(now, 90 * SECOND));
    assert_eq!(last(&routes), Some((What::Way(way(7, 2)), Why::Circular)));
}

#[test]
fn one_is_looked_for_in_each_branch_and_as_many_as_the_airtime_allows() {
    let now = begin();
    let mut small = routes(20, now);
    small.locked(now);
    small.table([(11, way(1, 2)), (12, way(1, 2)), (21, way(2, 2)), (31, way(3, 2))], now);
    for node in [11, 12, 21, 31] {
        small.failed(node, Failure::NoRoute { searched: false }, now);
    }
    let of = |node| Action::Discover { node, most_hops: 8 };
    assert_eq!(actions(&mut small, now), [of(11), of(21)]);
    assert_eq!(actions(&mut small, now), []);
    small.discovered(21, true, now);
    assert_eq!(actions(&mut small, now), [of(31)]);
    small.discovered(11, true, now);
    assert_eq!(actions(&mut small, now), [of(12)]);

    // A phase is gone in a dense network: floods for 300 nodes that nobody can find, in an hour.
    let hour = |dense: &mut Routes| {
        for node in 1..=300 {
            dense.failed(node, Failure::NoRoute { searched: false }, now);
        }
        let (mut at, mut searches) = (now, 0);
        while at.mono < now.mono + Duration::from_secs(3_600) {
            for action in actions(dense, at) {
                let Action::Discover { node, .. } = action else { panic!("{action:?}") };
                searches += 1;
                dense.discovered(node, false, at);
            }
            at.mono = dense.poll_timeout().unwrap().max(at.mono + SECOND);
        }
        searches
    };
    let mut dense = routes(1_000, now);
    dense.locked(now);
    dense.table((1..=1_000).map(|node| (node, way(1, 8))), now);
    let searches = hour(&mut dense);
    // Eight at once, then 5 % of the time at 5 s each.
    assert!((8..=44).contains(&searches), "{searches}");
    assert!(dense.airtime() < 0.12 * 3_600.0, "{}", dense.airtime());

    // A unit that knows no way to anybody, nor has known one, spends a quarter of the time.
    let mut new = routes(1_000, now);
    new.table((1..=899).map(|node| (node, way(1, 8))), now);
    assert!(new.is_lost());
    new.table((1..=900).map(|node| (node, way(1, 8))), now);
    assert!(!new.is_lost(), "the modem has dropped them, or not: they were known");
    let mut new = routes(1_000, now);
    let searches = hour(&mut new);
    assert!((170..=190).contains(&searches), "{searches}");
    // Who was looked for again and again is out of reach, and no reason for more of it.
    let out_of_reach = |nodes: std::ops::RangeInclusive<u16>, new: &mut Routes| {
        for node in nodes {
            (0..3).for_each(|_| new.failed(node, Failure::NoRoute { searched: true }, now));
        }
        new.is_lost()
    };
    let mut new = routes(1_000, now);
    assert!(out_of_reach(1..=899, &mut new) && !out_of_reach(900..=900, &mut new));
}

#[test]
fn who_is_heard_by_the_modem_and_has_no_way_needs_no_search() {
    let now = begin();
    let mut routes = routes(1_000, now);
    routes.set_blacklisted(4, true, now);
    routes.failed(7, Failure::NoRoute { searched: true }, now);
    routes.failed(8, Failure::NoRoute { searched: false }, now);
    assert!(matches!(actions(&mut routes, now)[..], [Action::Discover { node: 8, .. }]));
    routes.goes(5, way(6, 2), now);
    routes.table([(6, way(6, 1))], now);
    // Not who is blacklisted, had a way, is looked for, or is hardly heard.
    let heard = [(3, 68), (4, 90), (5, 90), (6, 90), (7, 90), (8, 90), (9, 67)];
    routes.heard_near(heard);
    let near = |node| Way { next_hop: node, hops: 1, cost: 0, weak_links: 0, medium: Some(Medium::Plc) };
    let put = |node| Action::PutBack { node, way: near(node) };
    assert_eq!(actions(&mut routes, now), [put(3), put(7)]);
    // Once; where the modem has its row that is what it comes of.
    routes.heard_near(heard);
    assert_eq!((actions(&mut routes, now), routes.fault(7)), (vec![], None));
    routes.table([(3, near(3))], now);
    assert_eq!(told(&routes, 3), [(What::Way(near(3)), Why::Near)]);
    // Over these others are looked for, who are not known at all; and who waits for airtime is not lost meanwhile.
    routes.answered(3, now);
    routes.set_waited_for(9);
    assert!(!routes.may_search(99, true, now), "{:?}", routes.way(3));
    routes.failed(99, LOST, now);
    assert_eq!(actions(&mut routes, now), [Action::ByAnother { node: 99, way: Way { hops: 2, ..near(3) } }]);
    for node in 100..200 {
        routes.failed(node, LOST, now);
    }
    assert!(actions(&mut routes, now).len() < 10 && routes.faulty() == 1, "{}", routes.faulty());

    let mut locked = self::routes(20, now);
    locked.locked(now);
    locked.heard_near(heard);
    assert_eq!(actions(&mut locked, now), []);
}

#[test]
fn who_is_not_found_is_looked_for_less_and_less_often_and_told_once() {
    let now = begin();
    let mut routes = routes(20, now);
    routes.failed(6, Failure::NoRoute { searched: true }, now);
    let (mut at, mut when) = (now, Vec::new());
    while when.len() < 5 {
        at.mono = routes.poll_timeout().unwrap();
        when.extend(actions(&mut routes, at).iter().map(|_| (at.mono - now.mono).as_secs()));
        routes.discovered(6, false, at);
    }
    assert_eq!(when, [32, 96, 224, 480, 992]);
    assert_eq!(told(&routes, 6).iter().filter(|(what, _)| *what == What::NotFound).count(), 1);
    assert!(!routes.may_search(6, false, at));
    routes.joined(6);
    assert!(routes.may_search(6, false, at));
}

#[test]
fn a_search_in_a_dense_network_goes_a_little_farther_than_the_route_was() {
    let now = begin();
    let mut routes = routes(1_000, now);
    routes.locked(now);
    routes.table([(6, way(5, 2))], now);
    routes.failed(6, Failure::NoRoute { searched: false }, now);
    assert_eq!(actions(&mut routes, now), [Action::Discover { node: 6, most_hops: 4 }]);
    routes.discovered(6, false, now);
    let later = after(now, 40 * SECOND);
    assert_eq!(actions(&mut routes, later), [Action::Discover { node: 6, most_hops: 8 }]);
}

#[test]
fn a_way_that_the_modem_dropped_is_put_back_some_times_before_another_one_is_looked_for() {
    let now = begin();
    let mut routes = routes(1_000, now);
    let lost = Failure::NoRoute { searched: false };
    let back = Action::PutBack { node: 6, way: way(5, 2) };
    routes.table([(6, way(5, 2))], now);
    let most = routes.limits().put_back;
    for number in 1..=most {
        // Who waits for an answer waits for one attempt without a search.
        assert_eq!((routes.may_search(6, false, now), routes.may_search(6, true, now)), (false, number > 1));
        routes.failed(6, lost, now);
        assert_eq!(actions(&mut routes, now), [back]);
        routes.table([], now);
    }
    assert_eq!((routes.fault(6), routes.counts().put_back), (None, u64::from(most)));
    routes.failed(6, lost, now);
    assert_eq!(actions(&mut routes, now), [Action::Discover { node: 6, most_hops: 4 }]);
    // In vain: the way that was there once more, then the next search, not too early.
    routes.discovered(6, false, now);
    let later = after(now, 40 * SECOND);
    routes.failed(6, lost, later);
    assert_eq!(actions(&mut routes, later), [back]);
    routes.failed(6, lost, later);
    assert_eq!(actions(&mut routes, later), [Action::Discover { node: 6, most_hops: 8 }]);
    routes.discovered(6, true, later);
    routes.table([(6, way(7, 2))], later);
    routes.failed(6, lost, later);
    assert_eq!(actions(&mut routes, later), [Action::PutBack { node: 6, way: way(7, 2) }]);

    // An answer begins it anew; nothing goes over who is blacklisted, or where the modem takes no rows.
    routes.answered(6, now);
    assert_eq!(actions(&mut routes, now), [Action::Look { node: 6 }], "by whichever way it answered");
    assert!(!routes.may_search(6, true, later));
    routes.set_blacklisted(7, true, later);
    assert!(routes.may_search(6, false, later));
    routes.set_blacklisted(7, false, later);
    routes.locked(later);
    assert!(routes.may_search(6, false, later));
    routes.failed(6, lost, later);
    assert!(matches!(actions(&mut routes, later)[..], [Action::Discover { node: 6, .. }]));
}

/// A dense network: the neighbours 1 to 4 with branches, of which 1 and 2 have to do with each other.
fn dense(now: Now) -> Routes {
    let mut routes = routes(1_000, now);
    let branches = [(1, 10..14), (2, 20..26), (3, 30..39), (4, 40..42)];
    let behind = |(hop, nodes): (u16, std::ops::Range<u16>)| nodes.map(move |node| (node, way(hop, 2)));
    routes.table((1..=4).map(|hop| (hop, way(hop, 1))).chain(branches.into_iter().flat_map(behind)), now);
    routes.goes(11, way(2, 2), now);
    routes.goes(11, way(1, 2), now);
    routes.set_waited_for(9);
    while routes.poll_change().is_some() {}
    routes
}

const LOST: Failure = Failure::NoRoute { searched: false };

/// Whom a node that has no way is put over, time after time.
fn asks(routes: &mut Routes, node: u16, failure: Failure, now: Now) -> Option<Action> {
    let (most, mut seen) = (u64::from(routes.limits().put_back), routes.counts().put_back);
    for _ in 0..=most {
        routes.failed(node, failure, now);
        let actions = actions(routes, now);
        if routes.counts().put_back == seen && !actions.is_empty() {
            return actions.first().copied();
        }
        seen = routes.counts().put_back;
    }
    None
}

fn by(node: u16, next_hop: u16) -> Option<Action> {
    Some(Action::ByAnother { node, way: Way { hops: 3, cost: 0, ..way(next_hop, 3) } })
}

#[test]
fn in_a_dense_network_neighbours_look_for_a_node_before_the_coordinator_does() {
    let now = begin();
    let mut routes = dense(now);
    // Who has to do with its branch, who has the largest one, the rest: each once, then the coordinator.
    assert!(!routes.may_search(13, true, now));
    let asked: Vec<Option<Action>> = (0..4).map(|_| asks(&mut routes, 13, LOST, now)).collect();
    assert_eq!(asked[..3], [by(13, 2), by(13, 3), by(13, 4)]);
    assert_eq!(asked[3], Some(Action::Discover { node: 13, most_hops: 4 }));
    assert_eq!((routes.counts().searches, routes.counts().put_back), (1, 6));
    assert_eq!((routes.counts().by_others, routes.counts().by_others_answered), (3, 0), "none of them helped");
    // What answers after the coordinator's own search is not the neighbours'.
    routes.discovered(13, true, now);
    routes.answered(13, now);
    assert_eq!((routes.counts().found, routes.counts().by_others_answered), (1, 0));

    // An answer that came by one of them makes it a way like others; before that it is none that is put back.
    let mut routes = dense(now);
    assert_eq!(asks(&mut routes, 13, LOST, now), by(13, 2));
    routes.goes(13, way(2, 3), now);
    assert_eq!(told(&routes, 13).last(), Some(&(What::Way(way(2, 3)), Why::ByAnother)));
    assert_eq!((routes.nodes[&13].alternates.len(), routes.alternates(13).len()), (1, 2), "it is shown");
    assert!(routes.goes_elsewhere(13, 4) == routes.goes_elsewhere(13, 2), "nowhere yet");
    routes.answered(13, now);
    // If it did so by that one, and not by another that the modem found, its row says so.
    assert_eq!(actions(&mut routes, now), [Action::Look { node: 13 }]);
    assert_eq!(routes.nodes[&13].alternates.len(), 1);
    routes.goes(13, way(2, 3), now);
    assert_eq!(routes.nodes[&13].alternates.len(), 2);
    routes.answered(13, now);
    assert_eq!(actions(&mut routes, now), [], "it was not lost");
    let counts = routes.counts();
    assert_eq!((counts.searches, counts.found, counts.by_others, counts.by_others_answered), (0, 0, 1, 1));
    assert!(routes.goes_elsewhere(13, 1));
    routes.failed(13, LOST, now);
    assert_eq!(actions(&mut routes, now), [Action::PutBack { node: 13, way: way(2, 3) }]);
}

#[test]
fn where_few_are_waited_for_the_coordinator_looks_for_a_node_long_after_others_did() {
    let now = begin();
    let mut routes = dense(now);
    routes.set_waited_for(8);
    // Three others look for it, and it rests, each time twice as long; who has looked does not do so again.
    let mut at = now;
    assert_eq!([0; 3].map(|_| asks(&mut routes, 13, LOST, at)), [by(13, 2), by(13, 3), by(13, 4)]);
    assert_eq!(asks(&mut routes, 13, LOST, at), None);
    assert!(!routes.may_search(13, true, at) && !routes.may_search(13, false, at));
    at = after(now, 299 * SECOND);
    assert_eq!((asks(&mut routes, 13, LOST, at), routes.has_another(13, at)), (None, false), "it rests");
    // Others that came since look for it after that.
    routes.table((1..=5).map(|hop| (hop, way(hop, 1))).chain([(13, way(4, 3)), (50, way(5, 2))]), at);
    at = after(now, 300 * SECOND);
    assert!(routes.has_another(13, at));
    assert_eq!(asks(&mut routes, 13, LOST, at), by(13, 5));
    assert_eq!((asks(&mut routes, 13, LOST, at), routes.counts().searches), (None, 0));
    assert!(!routes.may_search(13, true, after(now, 3_600 * SECOND)));
    // After eight hours it is the coordinator's turn, asked or not.
    let turn = now.mono + Duration::from_secs(28_800);
    assert_eq!(routes.nodes[&13].own_at, Some(turn));
    assert!(routes.poll_timeout().is_some_and(|at| at <= turn));
    let turn = after(now, 28_800 * SECOND);
    let searches = |routes: &mut Routes, at| {
        let all = actions(routes, at);
        all.iter().filter(|action| matches!(action, Action::Discover { node: 13, .. })).count()
    };
    assert_eq!(searches(&mut routes, after(now, 28_799 * SECOND)), 0);
    assert_eq!(searches(&mut routes, turn), 1);
    // In vain: the next time it is asked for others have their turn again, and the coordinator twice as late.
    routes.discovered(13, false, turn);
    let at = after(turn, 3_600 * SECOND);
    assert_eq!((asks(&mut routes, 13, LOST, turn), searches(&mut routes, at)), (None, 0));
    let late = after(now, 13 * 3_600 * SECOND);
    routes.table((1..=4).map(|hop| (hop, way(hop, 1))).chain([(50, way(4, 2))]), late);
    assert!(matches!(asks(&mut routes, 13, LOST, late), Some(Action::ByAnother { .. })));
    assert_eq!(routes.nodes[&13].own_at, Some(late.mono + Duration::from_secs(16 * 3_600)));
    // Who answers is lost anew, if it is.
    routes.answered(13, late);
    assert_eq!((routes.nodes[&13].own_at, routes.nodes[&13].rests), (None, 0));
    // A read begins meanwhile: then it is the coordinator's turn at once.
    assert!(matches!(asks(&mut routes, 13, LOST, late), Some(Action::ByAnother { .. })));
    routes.set_waited_for(9);
    let rest: Vec<Option<Action>> = (0..4).map(|_| asks(&mut routes, 13, LOST, late)).collect();
    assert!(rest.iter().any(|action| matches!(action, Some(Action::Discover { node: 13, .. }))), "{rest:?}");
}

#[test]
fn nobody_looks_for_others_who_is_blacklisted_or_lost_and_nothing_is_put_elsewhere_that_is_held() {
    let now = begin();
    let mut routes = dense(now);
    routes.set_blacklisted(3, true, now);
    routes.failed(2, Failure::NoAnswer, now);
    actions(&mut routes, now);
    assert_eq!(asks(&mut routes, 13, LOST, now), by(13, 4));
    assert!(matches!(asks(&mut routes, 13, LOST, now), Some(Action::Discover { .. })));

    let mut held = dense(now);
    held.hold(13, 1, true, now).unwrap();
    assert!(matches!(asks(&mut held, 13, LOST, now), Some(Action::Discover { .. })));

    let mut locked = dense(now);
    locked.locked(now);
    assert!(matches!(asks(&mut locked, 13, LOST, now), Some(Action::Discover { .. })));
}

#[test]
fn who_does_not_answer_is_looked_for_by_two_others_and_a_few_unanswered_requests_are_enough_then() {
    let now = begin();
    let mut routes = dense(now);
    let mut asked = Vec::new();
    for _ in 0..routes.limits().failures + 4 {
        routes.failed(13, Failure::NoAnswer, now);
        asked.push(actions(&mut routes, now).first().copied());
    }
    let (two, search) = ([by(13, 2), by(13, 3)], Some(Action::Discover { node: 13, most_hops: 4 }));
    assert_eq!(asked[..5], [None; 5]);
    assert_eq!(asked[5..], [two[0], None, two[1], None, search]);
}

#[test]
fn a_search_by_another_is_paid_for_and_until_then_the_way_that_was_there_is_put_back() {
    let now = begin();
    let mut routes = dense(now);
    let saved = (0..40).map(|node| asks(&mut routes, 20 + node % 6, LOST, now));
    let saved = saved.filter(|it| matches!(it, Some(Action::ByAnother { .. }))).count();
    assert!((1..=8).contains(&saved), "{saved}");
    routes.failed(13, LOST, now);
    (0..20).for_each(|_| {
        assert_eq!(actions(&mut routes, now).last(), Some(&Action::PutBack { node: 13, way: way(1, 2) }));
        routes.failed(13, LOST, now);
    });
    actions(&mut routes, now);
    let later = after(now, 4_000 * SECOND);
    assert_eq!(asks(&mut routes, 13, LOST, later), by(13, 2));
}

#[test]
fn a_path_that_comes_through_a_node_twice_is_told_and_mended() {
    let now = begin();
    let mut routes = routes(20, now);
    let link = |node| Link { node, cost: 9, phase: 0, medium: Medium::Plc };
    routes.table([(6, way(5, 4))], now);
    routes.traced(6, Some(&[5, 7, 5, 6].map(link)), now);
    assert_eq!(routes.fault(6), Some(Why::Circular));
    assert_eq!(actions(&mut routes, now), [Action::Discover { node: 6, most_hops: 8 }]);
    // An answer that came all the same does not mend it.
    routes.answered(6, now);
    assert_eq!(routes.fault(6), Some(Why::Circular));
    routes.discovered(6, true, now);
    assert_eq!(routes.fault(6), None);
    routes.traced(6, Some(&[5, 6].map(link)), now);
    assert_eq!((routes.fault(6), routes.trace(6).unwrap().1.len()), (None, 2));
    routes.went_round(6, now);
    assert_eq!(routes.fault(6), Some(Why::Circular));
}

#[test]
fn a_flapping_route_is_told_and_left_alone_for_an_hour() {
    let now = begin();
    let mut routes = routes(20, now);
    for number in 0..5 {
        routes.table([(6, way(5 + number % 2, 2))], after(now, u32::from(number) * 60 * SECOND));
    }
    assert_eq!(routes.fault(6), Some(Why::Flapping));
    let later = after(now, 600 * SECOND);
    (0..routes.limits().failures).for_each(|_| routes.failed(6, Failure::NoAnswer, later));
    assert_eq!((actions(&mut routes, later), routes.may_search(6, true, later)), (vec![], false));
    assert_eq!(actions(&mut routes, after(now, 5_000 * SECOND)), []);
    assert_eq!(routes.fault(6), None);
}

#[test]
fn a_held_route_is_put_back_and_none_is_held_in_a_circle() {
    let now = begin();
    let mut routes = routes(20, now);
    routes.table([(5, way(5, 1)), (6, way(5, 2)), (7, way(6, 2))], now);
    assert_eq!(routes.hold(6, 9, false, now), Err(PinError::NoNeighbour));
    // What 7 gets comes through 6.
    assert_eq!(routes.hold(6, 7, true, now), Err(PinError::Loop));
    assert!(routes.set_blacklisted(8, true, now) && !routes.set_blacklisted(8, true, now));
    assert_eq!(routes.hold(6, 8, true, now), Err(PinError::Blacklisted));
    assert_eq!(routes.hold(6, 6, true, now), Ok(Way { cost: 0, ..way(6, 1) }));
    let wanted = Action::Pin { node: 6, way: Way { cost: 0, ..way(6, 1) } };
    routes.table([(6, Way { cost: 0, ..way(6, 1) })], now);
    assert_eq!(told(&routes, 6).last(), Some(&(What::Way(Way { cost: 0, ..way(6, 1) }), Why::Asked)));
    routes.table([(6, way(5, 2))], now);
    assert_eq!(actions(&mut routes, now), [wanted]);
    assert!(routes.release(6, now) && !routes.release(6, now));
    routes.table([(6, way(5, 2))], now);
    assert_eq!(actions(&mut routes, now), []);
}

#[test]
fn a_route_that_is_held_at_who_is_blacklisted_stays_there_until_it_is_released() {
    let now = begin();
    let mut routes = routes(20, now);
    routes.table([(5, way(5, 1)), (6, way(7, 2)), (7, way(7, 1))], now);
    routes.hold(6, 5, true, now).unwrap();
    routes.goes(6, way(5, 2), now);
    routes.set_blacklisted(5, true, now);
    // Each time that the table is read, and after another start.
    for _ in 0..10 {
        routes.goes(6, way(5, 2), now);
        assert_eq!(actions(&mut routes, now), []);
    }
    assert_eq!(routes.way_round(6), Some(Err(Why::Held)));
    let stays = (What::Stays { next_hop: 5 }, Why::Held);
    assert_eq!((told(&routes, 6).last(), routes.fault(6)), (Some(&stays), None));
    let history: Vec<_> = routes.entries().map(|(node, entry)| (node, *entry)).collect();
    let mut next = self::routes(20, now);
    next.restore(history);
    next.goes(6, way(5, 2), now);
    assert_eq!((actions(&mut next, now), next.way_round(6)), (vec![], Some(Err(Why::Held))));
    // Then it goes round like all others.
    assert!(routes.release(6, now));
    assert_eq!(actions(&mut routes, now), [Action::Detour { node: 6, way: way(7, 2) }]);
}

#[test]
fn who_is_blacklisted_is_gone_round_where_another_way_is_known_and_is_no_worse() {
    let now = begin();
    let mut routes = routes(20, now);
    routes.table([(5, way(5, 1)), (6, way(7, 2)), (8, way(5, 2))], now);
    routes.table([(5, way(5, 1)), (6, way(5, 2)), (8, way(5, 2))], now);
    routes.set_blacklisted(5, true, now);
    // 5 and 8 were never reached by anybody else.
    assert_eq!(actions(&mut routes, now), [Action::Detour { node: 6, way: way(7, 2) }]);
    routes.goes(6, way(7, 2), now);
    assert_eq!(told(&routes, 6).last(), Some(&(What::Way(way(7, 2)), Why::Blacklisted)));
    // A search finds it over who is blacklisted again.
    routes.goes(6, way(5, 2), now);
    assert_eq!(routes.way_round(6), Some(Ok(way(7, 2))));
    assert_eq!(actions(&mut routes, now), [Action::Detour { node: 6, way: way(7, 2) }]);
    // Seen once more in the table: it was tried.
    routes.goes(6, way(5, 2), now);
    assert_eq!(actions(&mut routes, now), []);
    routes.goes(6, way(7, 2), now);
    // Over a way that loses more than it carries nobody is sent.
    routes.failed(6, Failure::NoAnswer, now);
    routes.goes(6, way(5, 2), now);
    assert_eq!((routes.way_round(6), actions(&mut routes, now)), (Some(Err(Why::OthersLose)), vec![]));
    routes.set_blacklisted(5, false, now);
    routes.answered(6, now);
    assert_eq!((routes.way_round(6), actions(&mut routes, now)), (None, vec![Action::Look { node: 6 }]));
    // Who is allowed again is the way around another one.
    routes.set_blacklisted(7, true, now);
    routes.goes(6, way(7, 2), now);
    assert_eq!(actions(&mut routes, now), [Action::Detour { node: 6, way: way(5, 2) }]);
    routes.set_blacklisted(5, true, now);
    assert_eq!(actions(&mut routes, now), []);
    routes.set_blacklisted(5, false, now);
    assert_eq!(actions(&mut routes, now), [Action::Detour { node: 6, way: way(5, 2) }]);
    // What nobody went is not taken for the best.
    let untried = Alternate::new(Way { cost: 0, ..way(9, 2) }, 0);
    assert!(untried.score() > Alternate::new(way(5, 2), 0).score());
}

#[test]
fn who_goes_over_a_blacklisted_neighbour_and_stays_has_that_in_its_history_once() {
    let now = begin();
    let mut routes = routes(20, now);
    let rows = |six: u16| [(5, way(5, 1)), (6, way(six, 2)), (7, way(7, 1)), (8, way(5, 2)), (9, way(7, 2))];
    routes.table(rows(7), now);
    routes.table(rows(5), now);
    routes.set_blacklisted(5, true, now);
    // Of the neighbour's own way nobody asks.
    let over = |routes: &Routes, next_hop| routes.over(next_hop).collect::<Vec<_>>();
    assert_eq!(over(&routes, 5), [(6, Ok(way(7, 2))), (8, Err(Why::NoOther))]);
    assert_eq!(told(&routes, 8).last(), Some(&(What::Stays { next_hop: 5 }, Why::NoOther)));
    assert!([5, 6].iter().all(|node| told(&routes, *node).iter().all(|(what, _)| what.name() != "stays")));
    // Others are blacklisted too: of those over the first one nothing is told again.
    routes.set_blacklisted(7, true, now);
    let stays = |routes: &Routes, node| told(routes, node).iter().filter(|(what, _)| what.name() == "stays").count();
    assert_eq!((over(&routes, 5)[0], stays(&routes, 8)), ((6, Err(Why::OthersBlacklisted)), 1));
    assert_eq!(told(&routes, 6).last(), Some(&(What::Stays { next_hop: 5 }, Why::OthersBlacklisted)));
    assert_eq!(over(&routes, 7), [(9, Err(Why::NoOther))]);

    // Nor after a restart; but when it is blacklisted once more.
    let mut again = Routes::new(*routes.limits(), now);
    again.restore(routes.entries().map(|(node, entry)| (node, *entry)));
    again.set_up(true);
    again.table(rows(5), now);
    assert_eq!(stays(&again, 8), 1);
    // Who stayed hears that it may, once; who was moved has its way in its history.
    again.set_blacklisted(5, false, now);
    again.table(rows(5), now);
    let may_stay =
        |routes: &Routes, node| told(routes, node).iter().filter(|(what, _)| what.name() == "may-stay").count();
    assert_eq!(told(&again, 8).last(), Some(&(What::MayStay { next_hop: 5 }, Why::Asked)));
    assert_eq!([5, 6, 8, 9].map(|node| may_stay(&again, node)), [0, 1, 1, 0]);
    again.set_blacklisted(5, true, now);
    assert_eq!(stays(&again, 8), 2);
    // Nor after a restart, nor where it goes elsewhere by then.
    let mut later = Routes::new(*again.limits(), now);
    again.goes(8, way(9, 2), now);
    again.set_blacklisted(5, false, now);
    later.restore(again.entries().map(|(node, entry)| (node, *entry)));
    later.set_up(true);
    later.table(rows(5), now);
    assert_eq!((may_stay(&again, 8), may_stay(&later, 8)), (1, 1));
    again.goes(8, way(5, 2), now);
    again.set_blacklisted(5, true, now);

    // A modem that takes no rows moves nobody.
    again.set_blacklisted(7, false, now);
    assert_eq!(over(&again, 5)[0], (6, Ok(way(7, 2))));
    again.locked(now);
    assert_eq!(over(&again, 5)[0], (6, Err(Why::Locked)));
    assert_eq!(told(&again, 6).last(), Some(&(What::Stays { next_hop: 5 }, Why::Locked)));
}

#[test]
fn what_was_blacklisted_before_the_table_was_read_is_gone_round_when_it_is() {
    let now = begin();
    let mut before = routes(20, now);
    before.table([(6, way(7, 2))], now);
    before.table([(6, way(5, 2))], now);
    let mut again = Routes::new(*before.limits(), now);
    again.restore(before.entries().map(|(node, entry)| (node, *entry)));
    again.set_up(true);
    again.set_blacklisted(5, true, now);
    assert_eq!(again.poll_action(), None);
    again.table([(6, way(5, 2))], now);
    assert_eq!(again.poll_action(), Some(Action::Detour { node: 6, way: way(7, 2) }));
    assert_eq!(again.poll_action(), None);
}

#[test]
fn what_the_unit_wrote_is_told_as_that_whatever_was_read_meanwhile() {
    let now = begin();
    let mut routes = routes(20, now);
    routes.table([(6, way(7, 2)), (7, way(7, 1))], now);
    routes.table([(6, way(5, 2)), (7, way(7, 1))], now);
    let last = |routes: &Routes| told(routes, 6).last().copied();
    // The row is not there yet when the table is read.
    routes.set_blacklisted(5, true, now);
    routes.table([(6, way(5, 2)), (7, way(7, 1))], now);
    routes.table([(6, way(7, 2)), (7, way(7, 1))], now);
    assert_eq!(last(&routes), Some((What::Way(way(7, 2)), Why::Blacklisted)));
    // And of what the modem finds by itself afterwards that is not the cause.
    routes.set_blacklisted(5, false, now);
    routes.goes(6, way(5, 2), now);
    assert_eq!(last(&routes), Some((What::Way(way(5, 2)), Why::Modem)));

    // The same where a route is held, and is held again.
    assert!(routes.hold(6, 7, true, now).is_ok());
    routes.goes(6, way(5, 2), now);
    routes.goes(6, way(7, 2), now);
    assert_eq!(last(&routes), Some((What::Way(way(7, 2)), Why::Asked)));
    routes.goes(6, way(5, 2), now);
    assert_eq!(last(&routes), Some((What::Way(way(5, 2)), Why::Modem)));
    routes.goes(6, way(7, 2), now);
    assert_eq!(last(&routes), Some((What::Way(way(7, 2)), Why::Asked)));

    // A row that the modem dropped, and the unit put back; one that was not put back is the modem's.
    routes.table([(9, way(7, 2))], now);
    for (is_put, why) in [(true, Why::PutBack), (false, Why::Modem)] {
        routes.table([], now);
        routes.failed(9, Failure::NoRoute { searched: false }, now);
        if !is_put {
            routes.not_put(9);
        }
        routes.table([(9, way(7, 2))], now);
        assert_eq!(told(&routes, 9).last(), Some(&(What::Way(way(7, 2)), why)));
    }
}

/// What is told of a node since a search was asked for.
fn since_asked(routes: &Routes, node: u16) -> Vec<(What, Why)> {
    let mut told = told(routes, node);
    let asked = told.iter().rposition(|told| *told == (What::Searched { most_hops: 8 }, Why::Asked)).unwrap();
    told.split_off(asked + 1)
}

#[test]
fn each_search_that_somebody_asked_for_ends_in_one_entry() {
    let now = begin();
    let mut routes = routes(20, now);
    let refused = End::Refused(Some(Refusal::Adp(AdpStatus::BUSY)));
    let row = |next_hop| [(6, way(next_hop, 2))];
    routes.table(row(5), now);
    // The way that was there, and another one, whatever was wrong with it before.
    for (next_hop, is_bad) in [(5, false), (7, false), (5, true)] {
        if is_bad {
            routes.went_round(6, now);
        }
        routes.asked(6, now);
        routes.table(row(routes.way(6).unwrap().next_hop), now);
        routes.asked_ended(6, End::Found, now);
        routes.table(row(next_hop), now);
        routes.asked_seen(6, now);
        assert_eq!(since_asked(&routes, 6), [(What::Way(way(next_hop, 2)), Why::Asked)]);
    }
    // A modem that says so, and has none; who is not found is told each time, however late that is known.
    for round in 0..3 {
        routes.asked(6, now);
        routes.handle_timeout(after(now, 300 * SECOND));
        if round == 0 {
            routes.asked_ended(6, End::Found, now);
            routes.table([], now);
            routes.asked_seen(6, now);
            assert_eq!(since_asked(&routes, 6).last(), Some(&(What::NotFound, Why::Asked)));
            continue;
        }
        routes.asked_ended(6, End::NotFound, now);
        assert_eq!(since_asked(&routes, 6), [(What::NotFound, Why::Asked)]);
    }
    routes.asked(6, now);
    routes.asked_ended(6, refused, now);
    let expected = What::Refused(Some(Refusal::Adp(AdpStatus::BUSY)));
    assert_eq!(since_asked(&routes, 6), [(expected, Why::Asked)]);
    // What the modem finds by itself afterwards was asked by nobody.
    routes.table(row(7), now);
    assert_eq!(told(&routes, 6).last(), Some(&(What::Way(way(7, 2)), Why::Modem)));

    // Two at once; then one that is open when the process ends.
    routes.asked(6, now);
    routes.asked(6, now);
    routes.asked_ended(6, End::Found, now);
    routes.asked_ended(6, End::Found, now);
    routes.table(row(5), now);
    routes.asked_seen(6, now);
    routes.asked_seen(6, now);
    assert_eq!(since_asked(&routes, 6), [(What::Way(way(5, 2)), Why::Asked); 2]);
    routes.asked(6, now);
    let mut again = Routes::new(*routes.limits(), now);
    again.restore(routes.entries().map(|(node, entry)| (node, *entry)));
    again.give_up_asked(now);
    again.give_up_asked(now);
    assert_eq!(since_asked(&again, 6), [(What::Refused(Some(Refusal::Unknown)), Why::Asked)]);
}

#[test]
fn the_hops_of_a_row_stay_those_of_the_table() {
    let now = begin();
    let mut routes = routes(20, now);
    let link = |node| Link { node, cost: 9, phase: 0, medium: Medium::Plc };
    routes.table([(6, way(5, 2)), (8, Way { hops: 0, ..way(5, 2) })], now);
    for node in [6, 8] {
        routes.traced(node, Some(&[5, 7, node].map(link)), now);
    }
    assert_eq!((routes.way(6).unwrap().hops, routes.alternates(6)[0].way.hops), (2, 2));
    // A modem that counts none is helped out.
    assert_eq!(routes.way(8).unwrap().hops, 3);
}

#[test]
fn what_a_modem_forgot_when_it_was_started_says_so_and_a_medium_that_is_not_told_is_no_change() {
    let now = begin();
    let mut before = routes(20, now);
    before.table([(6, Way { medium: Some(Medium::Plc), ..way(5, 2) })], now);
    let noted: Vec<_> = before.entries().map(|(node, entry)| (node, *entry)).collect();
    let mut again = Routes::new(*before.limits(), now);
    again.restore(noted);
    again.set_up(true);
    again.table([], now);
    again.goes(6, way(5, 2), now);
    again.goes(6, Way { medium: Some(Medium::Plc), ..way(5, 2) }, now);
    again.table([], now);
    let told: Vec<_> = told(&again, 6).into_iter().map(|(what, why)| (what.name(), why)).collect();
    assert_eq!(told, [("way", Why::Modem), ("gone", Why::Started), ("way", Why::Modem), ("gone", Why::Expired)]);
}

#[test]
fn what_was_noted_survives_and_a_restart_is_no_change() {
    let now = begin();
    let mut before = routes(20, now);
    before.table([(6, way(5, 2))], now);
    before.hold(6, 6, true, now).unwrap();
    before.set_blacklisted(9, true, now);
    let mut octets = Vec::new();
    before.entries().for_each(|(node, entry)| entry.emit(node, &mut octets));
    let (mut buf, mut again) = (octets.as_slice(), routes(20, now));
    again.restore(std::iter::from_fn(|| Entry::parse(&mut buf)));
    assert_eq!(told(&again, 6), told(&before, 6));
    assert_eq!((again.pin(6), again.blacklist().collect::<Vec<_>>()), (Some(6), vec![9]));
    again.table([(6, way(5, 2))], now);
    assert_eq!(told(&again, 6).len(), 2);
}

#[test]
fn paths_are_traced_one_after_the_other_within_their_share_and_not_while_others_wait() {
    let now = begin();
    let mut routes = Routes::new(Limits { check_share: 0.0, ..Limits::of(1_000, 8) }, now);
    routes.set_up(true);
    routes.table((1..=1_000).map(|node| (node, way(node % 10 + 1, 3))), now);
    routes.set_busy(true);
    assert_eq!((actions(&mut routes, now), routes.poll_timeout()), (vec![], None));
    routes.set_busy(false);
    let (mut at, mut traced) = (now, BTreeSet::new());
    let day = now.mono + Duration::from_secs(86_400);
    while at.mono < day {
        for action in actions(&mut routes, at) {
            let Action::Trace { node } = action else { panic!("{action:?}") };
            assert!(traced.insert(node), "{node} twice in a day");
            routes.traced(node, None, at);
        }
        at.mono = routes.poll_timeout().unwrap().max(at.mono);
    }
    assert_eq!(traced.len(), 1_000);
    assert!(routes.airtime() < 0.011 * 86_400.0, "{}", routes.airtime());
}

/// Who is asked for an echo in so many hours, and when first and last.
fn echoes(routes: &mut Routes, from: Now, hours: u32, answers: bool) -> BTreeMap<u16, Vec<Instant>> {
    let (mut at, mut asked) = (from, BTreeMap::<u16, Vec<Instant>>::new());
    while at.mono < from.mono + hours * 3_600 * SECOND {
        for action in actions(routes, at) {
            let Action::Check { node } = action else { panic!("{action:?}") };
            asked.entry(node).or_default().push(at.mono);
            at = after(at, SECOND);
            match answers {
                true => routes.answered(node, at),
                false => routes.unheard(node, at),
            }
        }
        at.mono = routes.poll_timeout().unwrap().max(at.mono);
    }
    asked
}

#[test]
fn a_way_that_nobody_uses_is_used_before_meters_forget_it() {
    let now = begin();
    let mut routes = Routes::new(Limits { trace_share: 0.0, ..Limits::of(1_000, 8) }, now);
    routes.set_up(true);
    routes.table((1..=1_000).map(|node| (node, way(node % 10 + 1, 2))), now);
    // One that is read every hour needs none.
    let often = |routes: &mut Routes, at| routes.answered(1_000, at);
    let mut asked = BTreeMap::<u16, Vec<Instant>>::new();
    for hour in 0..24 {
        let at = after(now, hour * 3_600 * SECOND);
        often(&mut routes, at);
        echoes(&mut routes, at, 1, true).into_iter().for_each(|(node, at)| asked.entry(node).or_default().extend(at));
    }
    assert_eq!(asked.keys().copied().collect::<Vec<_>>(), (1..1_000).collect::<Vec<_>>());
    let forgotten = 6 * 3_600 * SECOND;
    for (node, times) in &asked {
        let end = now.mono + 24 * 3_600 * SECOND;
        let times: Vec<Instant> = [now.mono].into_iter().chain(times.iter().copied()).chain([end]).collect();
        assert!(times.windows(2).all(|two| two[1] - two[0] < forgotten), "{node}");
        assert!(times[1] - times[0] >= 2 * 3_600 * SECOND, "{node} was heard just now");
    }
    assert!(routes.airtime() < 0.031 * 86_400.0, "{}", routes.airtime());
}

#[test]
fn who_sends_no_echo_is_asked_less_and_less_often_and_nobody_is_while_others_wait() {
    let now = begin();
    let mut routes = Routes::new(Limits { trace_share: 0.0, ..Limits::of(1, 8) }, now);
    routes.set_up(true);
    routes.table([(6, way(5, 2))], now);
    let asked = echoes(&mut routes, now, 24, false).remove(&6).unwrap();
    let pauses: Vec<u64> = asked.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
    assert!(pauses.is_sorted() && pauses[0] == 33 && pauses.ends_with(&[14_401]), "{pauses:?}");
    let later = after(now, 48 * 3_600 * SECOND);
    routes.set_busy(true);
    assert_eq!((actions(&mut routes, later), routes.poll_timeout()), (vec![], None));
    routes.set_busy(false);
    assert_eq!(actions(&mut routes, later), [Action::Check { node: 6 }]);
    // It is waited for, and then counts as one that did not come.
    assert_eq!(routes.poll_timeout(), Some(later.mono + 25 * SECOND));
    assert_eq!(actions(&mut routes, after(later, 25 * SECOND)), []);
    // Who has left is asked for nothing.
    routes.left(6, later);
    assert_eq!((actions(&mut routes, after(later, 25 * 3_600 * SECOND)), routes.poll_timeout()), (vec![], None));
}

#[test]
fn memory_and_file_are_bounded() {
    let now = begin();
    let mut routes = routes(5_000, now);
    for round in 0..40_u16 {
        routes.table(
            (1..=5_000).map(|node| (node, way(node % 7 + round + 1, 2))),
            after(now, u32::from(round) * 4_000 * SECOND),
        );
        while routes.poll_change().is_some() {}
    }
    assert!(routes.entries().count() <= ENTRIES);
}

proptest! {
    /// Whatever is told in whatever order: the time never stands still, what is under way stays within its limits, and no
    /// route is held over a neighbour whose own path comes through the node.
    #[test]
    fn it_goes_on_and_holds_no_route_in_a_circle(seed in any::<u64>(), dense in any::<bool>()) {
        let (mut random, mut now) = (Random::new(seed), begin());
        let mut routes = Routes::new(Limits::of(if dense { 500 } else { 30 }, 8), now);
        routes.set_up(true);
        let mut searching = BTreeSet::new();
        for _ in 0..400 {
            let node = 1 + random.under(12) as u16;
            let other = 1 + random.under(12) as u16;
            match random.under(10) {
                0 => routes.joined(node),
                1 => routes.left(node, now),
                2 => routes.goes(node, way(other, 1 + u8::from(node != other)), now),
                3 => routes.failed(node, Failure::NoRoute { searched: random.chance(0.5) }, now),
                4 => routes.failed(node, Failure::NoAnswer, now),
                5 => routes.answered(node, now),
                6 => {
                    let nodes = (0..=random.under(3)).map(|_| 1 + random.under(12) as u16).chain([node]);
                    let links: Vec<Link> =
                        nodes.map(|node| Link { node, cost: 5, phase: 0, medium: Medium::Plc }).collect();
                    routes.traced(node, Some(&links), now);
                }
                7 => {
                    if routes.hold(node, other, true, now).is_ok() && node != other {
                        let before = routes.trace(other).map(|(_, links)| links.to_vec()).unwrap_or_default();
                        let before = before.split_last().map(|(_, before)| before.to_vec()).unwrap_or_default();
                        prop_assert!(before.iter().all(|link| link.node != node));
                    }
                }
                8 => drop(routes.release(node, now)),
                _ => {
                    if let Some(node) = searching.pop_first() {
                        routes.discovered(node, random.chance(0.5), now);
                    }
                }
            }
            routes.handle_timeout(now);
            prop_assert!(routes.poll_timeout().is_none_or(|at| at > now.mono), "it goes round");
            while let Some(action) = routes.poll_action() {
                if let Action::Discover { node, .. } = action {
                    searching.insert(node);
                }
            }
            let under_way = routes.nodes.values().filter(|known| known.search.is_some()).count();
            prop_assert!(under_way <= routes.limits().at_once);
            if random.chance(0.5) {
                let next = routes.poll_timeout().map_or(now.mono + SECOND, |at| at.min(now.mono + 60 * SECOND));
                now = after(now, next - now.mono);
            }
        }
    }
}
