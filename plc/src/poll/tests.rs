#![allow(clippy::disallowed_methods, reason = "any instant to count from")]

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn node(number: u8) -> Eui64 {
    Eui64([2, 0, 0, 0, 0, 0, 0, number])
}

fn exchange(ticket: u64, number: u8, priority: Priority, now: Instant) -> Exchange {
    Exchange { ticket, node: node(number), priority, octets: 90, answer: 120, deadline: now + 3600 * SECOND }
}

fn sent(scheduler: &mut Scheduler) -> Vec<u64> {
    std::iter::from_fn(|| scheduler.poll_transmit()).map(|transmit| transmit.ticket).collect()
}

fn with(window: f64, branch: f64) -> (Scheduler, Instant) {
    (Scheduler::new(Limits { window, branch, ..Limits::default() }), Instant::now())
}

#[test]
fn the_urgent_comes_first_and_a_node_is_asked_one_thing_at_a_time() {
    let (mut scheduler, now) = with(1.0, 1.0);
    scheduler.request(exchange(1, 1, Priority::Profile, now), now);
    scheduler.request(exchange(2, 1, Priority::Profile, now), now);
    scheduler.request(exchange(3, 2, Priority::Firmware, now), now);
    scheduler.request(exchange(4, 1, Priority::OnDemand, now), now);
    assert_eq!(sent(&mut scheduler), [1]);
    for (answered, next) in [(1, 4), (4, 2), (2, 3)] {
        scheduler.confirmed(answered, true, now);
        scheduler.answered(answered, now);
        assert_eq!(sent(&mut scheduler), [next]);
    }
    assert_eq!((scheduler.in_flight(), scheduler.waiting()), (1, 0));
}

#[test]
fn a_branch_is_not_asked_more_than_its_window() {
    let (mut scheduler, now) = with(2.0, 1.0);
    for (number, first_hop) in [(1, 9), (2, 9), (3, 8)] {
        scheduler.path(node(number), Path { first_hop: node(first_hop), hops: 2 });
        scheduler.request(exchange(number.into(), number, Priority::Profile, now), now);
    }
    assert_eq!(sent(&mut scheduler), [1, 3]);
    scheduler.answered(1, now);
    assert_eq!(sent(&mut scheduler), [2]);
}

#[test]
fn where_long_answers_come_one_is_asked_at_a_time() {
    let (mut scheduler, now) = with(2.0, 1.0);
    let asked = |scheduler: &mut Scheduler, answer| {
        for number in [1, 2] {
            let wanted = exchange(number.into(), number, Priority::Profile, now);
            scheduler.request(Exchange { answer, ..wanted }, now);
        }
        let order = sent(scheduler);
        for ticket in [1, 2] {
            scheduler.answered(ticket, now);
            drop(sent(scheduler));
            scheduler.answered(ticket, now);
        }
        order.len()
    };
    assert!((0..50).all(|_| asked(&mut scheduler, 340) == 2));
    let after = (0..50).map(|_| asked(&mut scheduler, 960)).collect::<Vec<_>>();
    assert!(after.starts_with(&[2, 2]) && after.ends_with(&[1, 1]), "{after:?}");
    let after = (0..100).map(|_| asked(&mut scheduler, 340)).collect::<Vec<_>>();
    assert!(after.starts_with(&[1, 1]) && after.ends_with(&[2, 2]), "{after:?}");
}

#[test]
fn branches_of_which_one_lost_something_while_the_other_was_asked_are_kept_apart_for_a_while() {
    let (mut scheduler, now) = with(3.0, 1.0);
    let ask = |scheduler: &mut Scheduler, ticket, number: u8, now| {
        scheduler.path(node(number), Path { first_hop: node(number + 100), hops: 2 });
        scheduler.request(exchange(ticket, number, Priority::Profile, now), now);
    };
    (1..=100).for_each(|_| scheduler.window.grow());
    (1..=2).for_each(|number| ask(&mut scheduler, number.into(), number, now));
    assert_eq!(sent(&mut scheduler), [1, 2]);
    scheduler.answered(2, now);
    scheduler.confirmed(1, false, now);
    scheduler.cancel(1, now);
    // They go one after the other, each of them beside somebody else.
    let go = |scheduler: &mut Scheduler, tickets: [u64; 3], now| {
        (0..100).for_each(|_| scheduler.window.grow());
        scheduler.heard(node(1), now);
        tickets.iter().zip(1..).for_each(|(ticket, number)| ask(scheduler, *ticket, number, now));
        let order = sent(scheduler);
        tickets.iter().for_each(|ticket| scheduler.answered(*ticket, now));
        scheduler.poll_transmit();
        order
    };
    assert_eq!(go(&mut scheduler, [11, 12, 13], now + SECOND), [11, 13]);
    let later = now + scheduler.limits.apart;
    assert_eq!(go(&mut scheduler, [21, 22, 23], later), [21, 22, 23]);
}

#[test]
fn a_session_goes_on_before_another_begins() {
    let (mut scheduler, now) = with(1.0, 1.0);
    scheduler.request(exchange(1, 1, Priority::Profile, now), now);
    scheduler.request(exchange(2, 2, Priority::Profile, now), now);
    assert_eq!(sent(&mut scheduler), [1]);
    // What is asked next is known before the answer to the last one is told.
    scheduler.request(exchange(3, 1, Priority::Profile, now), now);
    scheduler.answered(1, now + SECOND);
    assert_eq!(sent(&mut scheduler), [3]);
}

#[test]
fn nothing_is_sent_while_an_answer_is_later_than_its_hops_explain() {
    let sent_after = |hops, millis| {
        let (mut scheduler, now) = with(2.0, 1.0);
        scheduler.path(node(1), Path { first_hop: node(1), hops });
        scheduler.request(exchange(1, 1, Priority::Profile, now), now);
        scheduler.confirmed(1, true, now);
        assert_eq!(sent(&mut scheduler), [1]);
        let later = now + Duration::from_millis(millis);
        scheduler.request(exchange(2, 2, Priority::Event, later), later);
        let tickets = sent(&mut scheduler);
        scheduler.answered(1, later + SECOND);
        tickets.len() + 10 * sent(&mut scheduler).len()
    };
    // One goes at once, ten after the answer.
    assert_eq!([(1, 3_400), (1, 3_600), (4, 7_900), (4, 8_100)].map(|(hops, at)| sent_after(hops, at)), [1, 10, 1, 10]);
}

#[test]
fn a_late_answer_is_waited_for_as_long_as_a_repair_takes() {
    let (mut scheduler, now) = with(1.0, 1.0);
    scheduler.request(exchange(1, 1, Priority::Profile, now), now);
    assert_eq!(scheduler.poll_timeout(), Some(now + 60 * SECOND));
    scheduler.confirmed(1, true, now + SECOND);
    assert_eq!(scheduler.poll_timeout(), Some(now + 26 * SECOND));
}

#[test]
fn who_does_not_answer_is_asked_less_and_less_often_until_the_deadline() {
    let (mut scheduler, begin) = with(1.0, 1.0);
    scheduler.request(exchange(1, 1, Priority::Profile, begin), begin);
    let (mut asked, mut events, mut unanswered) = (Vec::new(), Vec::new(), 0);
    let mut now = begin;
    for _ in 0..100 {
        while let Some(transmit) = scheduler.poll_transmit() {
            asked.push((now - begin).as_secs());
            assert_eq!(transmit.attempt as usize, asked.len());
            scheduler.confirmed(1, true, now);
        }
        events.extend(std::iter::from_fn(|| scheduler.poll_event()));
        let before = events.len();
        events.retain(|event| !matches!(event, Event::Unanswered { ticket: 1, had_way: true, .. }));
        unanswered += before - events.len();
        let Some(next) = scheduler.poll_timeout() else { break };
        assert!(next > now, "it goes on for ever at {:?}", now - begin);
        now = next;
        scheduler.handle_timeout(now);
    }
    // 25 s each; the first loss is mended at once, then there are pauses of 48, 72, 108, ... s up to two hours. Nobody else
    // waits: of these 32 s, and a sixteenth where that is more.
    let alone = [0, 25, 82, 139, 196, 253, 310, 367, 426, 502, 604, 744, 942, 1227, 1641, 2116, 2591, 3066, 3541];
    assert_eq!(asked, alone);
    assert!(
        matches!(events[..], [Event::Silent { failures: 3, .. }, .., Event::Expired { ticket: 1, .. }]),
        "{events:?}"
    );
    assert_eq!(unanswered, asked.len());
    assert_eq!((scheduler.in_flight(), scheduler.waiting()), (0, 0));
}

#[test]
fn a_node_that_is_left_alone_keeps_nobody_busy() {
    let (mut scheduler, mut now) = with(1.0, 1.0);
    assert!(!scheduler.is_busy(now));
    scheduler.request(exchange(1, 1, Priority::Profile, now), now);
    assert!(scheduler.is_busy(now));
    while scheduler.held_until(node(1), now).is_none() {
        sent(&mut scheduler);
        assert!(scheduler.is_busy(now), "it is under way, or may go");
        now = scheduler.poll_timeout().unwrap();
        scheduler.handle_timeout(now);
    }
    assert_eq!((scheduler.is_busy(now), scheduler.waiting()), (false, 1));
    let hours = |hours: u32| now + hours * 3600 * SECOND;
    assert_eq!([0, 5, 6].map(|after| scheduler.hoped_for(hours(after))), [1, 1, 0]);
    // Whoever else is wanted may go, and it may itself in the end.
    scheduler.request(exchange(2, 2, Priority::Profile, now), now);
    assert!(scheduler.is_busy(now));
    assert_eq!(sent(&mut scheduler), [2]);
    scheduler.answered(2, now);
    assert!(!scheduler.is_busy(now));
    now = scheduler.poll_timeout().unwrap();
    scheduler.handle_timeout(now);
    assert!(scheduler.is_busy(now));
}

#[test]
fn a_late_answer_counts_and_is_told_once() {
    let (mut scheduler, now) = with(1.0, 1.0);
    scheduler.request(exchange(1, 1, Priority::Profile, now), now);
    for _ in 0..4 {
        let until = scheduler.poll_timeout().unwrap();
        scheduler.handle_timeout(until);
    }
    scheduler.answered(1, now + 900 * SECOND);
    scheduler.answered(1, now + 901 * SECOND);
    let back =
        std::iter::from_fn(|| scheduler.poll_event()).filter(|event| matches!(event, Event::Back { .. })).count();
    assert_eq!((back, scheduler.waiting(), scheduler.in_flight()), (1, 0, 0));
}

#[test]
fn no_way_is_not_looked_for_again_at_once() {
    let (mut scheduler, now) = with(2.0, 1.0);
    scheduler.request(exchange(1, 1, Priority::Profile, now), now);
    assert_eq!(sent(&mut scheduler), [1]);
    scheduler.confirmed(1, false, now);
    assert_eq!(sent(&mut scheduler), []);
    assert_eq!(scheduler.poll_timeout(), Some(now + 32 * SECOND));
    scheduler.handle_timeout(now + 32 * SECOND);
    assert_eq!(sent(&mut scheduler), [1]);
}

#[test]
fn what_was_cancelled_is_neither_sent_nor_expires() {
    let (mut scheduler, now) = with(1.0, 1.0);
    scheduler.request(exchange(1, 1, Priority::Profile, now), now);
    scheduler.request(exchange(2, 2, Priority::Profile, now), now);
    scheduler.cancel(1, now);
    scheduler.cancel(2, now);
    assert_eq!(sent(&mut scheduler), []);
    assert_eq!((scheduler.in_flight(), scheduler.waiting(), scheduler.poll_timeout()), (0, 0, None));
}

#[test]
fn a_window_grows_slowly_and_halves_once_for_what_is_lost_together() {
    let now = Instant::now();
    let mut window = Window::new(1.0, 4.0);
    (0..1_000).for_each(|_| window.grow());
    assert!(window.has_room(3) && !window.has_room(4));
    window.shrink(now);
    window.shrink(now + SECOND);
    assert!(window.has_room(1) && !window.has_room(2));
    window.shrink(now + 10 * SECOND);
    window.shrink(now + 20 * SECOND);
    assert!(window.has_room(0) && !window.has_room(1));
}

#[test]
fn while_somebody_looks_for_a_route_only_what_is_wanted_on_demand_is_sent() {
    let (mut scheduler, now) = with(4.0, 1.0);
    scheduler.set_quiet(true, now);
    scheduler.request(exchange(1, 1, Priority::Event, now), now);
    scheduler.request(exchange(2, 2, Priority::OnDemand, now), now);
    assert_eq!(sent(&mut scheduler), [2]);
    scheduler.set_quiet(false, now);
    assert_eq!(sent(&mut scheduler), [1]);
}

#[test]
fn who_is_waited_for_is_asked_once_whatever_became_of_others_and_who_was_heard_at_once() {
    let (mut scheduler, now) = with(4.0, 1.0);
    scheduler.request(exchange(1, 1, Priority::Profile, now), now);
    assert_eq!(sent(&mut scheduler), [1]);
    scheduler.confirmed(1, false, now);
    assert_eq!(scheduler.held_until(node(1), now), Some(now + 32 * SECOND));
    scheduler.request(exchange(2, 1, Priority::OnDemand, now), now);
    assert_eq!(sent(&mut scheduler), [2]);
    scheduler.confirmed(2, false, now);
    assert_eq!(sent(&mut scheduler), []);
    scheduler.heard(node(1), now);
    assert_eq!((sent(&mut scheduler), scheduler.held_until(node(1), now)), (vec![2], None));
    let counts = scheduler.counts();
    assert_eq!((counts.sent, counts.answered, counts.lost), (3, 0, 2));
    scheduler.forget(node(1), now);
    assert_eq!((scheduler.in_flight(), scheduler.waiting(), scheduler.poll_timeout()), (0, 0, None));
}

#[test]
fn whom_somebody_waits_for_goes_beside_what_is_late_one_at_a_time() {
    let (mut scheduler, now) = with(1.0, 1.0);
    (1..=2).for_each(|number| scheduler.request(exchange(number.into(), number, Priority::Profile, now), now));
    assert_eq!(sent(&mut scheduler), [1]);
    scheduler.confirmed(1, true, now);
    (3..=4).for_each(|number| scheduler.request(exchange(number.into(), number, Priority::OnDemand, now), now));
    assert_eq!(sent(&mut scheduler), []);
    let late = scheduler.poll_timeout().unwrap();
    assert_eq!(late - now, Duration::from_millis(3_500));
    scheduler.handle_timeout(late);
    assert_eq!(sent(&mut scheduler), [3]);
    scheduler.confirmed(3, true, late);
    assert!(scheduler.poll_timeout() > Some(late));
    scheduler.answered(3, late);
    assert_eq!(sent(&mut scheduler), [4]);
    scheduler.answered(4, late);
    assert_eq!(sent(&mut scheduler), []);
    scheduler.answered(1, late);
    assert_eq!(sent(&mut scheduler), [2]);
}

#[test]
fn whom_somebody_waits_for_is_asked_again_nearly_at_once_some_times() {
    let (mut scheduler, mut now) = with(1.0, 1.0);
    let begin = now;
    scheduler.request(exchange(1, 1, Priority::OnDemand, now), now);
    let mut when = Vec::new();
    while when.len() < 6 {
        scheduler.handle_timeout(now);
        if sent(&mut scheduler) == [1] {
            when.push((now - begin).as_secs());
            scheduler.confirmed(1, false, now);
        }
        now = scheduler.poll_timeout().unwrap();
    }
    assert_eq!(when, [0, 1, 2, 3, 35, 67]);
}

#[test]
fn in_a_noisy_hour_one_is_under_way_and_firmware_waits_for_another_hour() {
    let (mut scheduler, now) = with(4.0, 4.0);
    for (hour, is_good) in [(3, true), (19, false)] {
        scheduler.set_hour(hour, now);
        for ticket in 0..60 {
            scheduler.request(exchange(ticket, 1, Priority::OnDemand, now), now);
            assert_eq!(sent(&mut scheduler), [ticket]);
            match is_good {
                true => scheduler.answered(ticket, now),
                false => scheduler.confirmed(ticket, false, now),
            }
            scheduler.cancel(ticket, now);
        }
    }
    assert!(scheduler.is_noisy());
    scheduler.request(exchange(100, 2, Priority::Firmware, now), now);
    scheduler.request(exchange(101, 3, Priority::Profile, now), now);
    scheduler.request(exchange(102, 4, Priority::Profile, now), now);
    assert_eq!(sent(&mut scheduler), [101]);
    scheduler.answered(101, now);
    assert_eq!(sent(&mut scheduler), [102]);
    scheduler.answered(102, now);
    assert_eq!(sent(&mut scheduler), []);
    scheduler.set_hour(3, now);
    assert_eq!(sent(&mut scheduler), [100]);
}

#[test]
fn a_branch_is_served_to_its_end_before_the_next_one() {
    let (mut scheduler, now) = with(1.0, 1.0);
    for (number, first_hop) in [(1, 8), (2, 9), (3, 8), (4, 9), (5, 8)] {
        scheduler.path(node(number), Path { first_hop: node(first_hop), hops: 2 });
        scheduler.request(exchange(number.into(), number, Priority::Profile, now), now);
    }
    let mut order = Vec::new();
    while let [ticket] = sent(&mut scheduler)[..] {
        order.push(ticket);
        scheduler.answered(ticket, now);
    }
    assert_eq!(order, [1, 3, 5, 2, 4]);
}

#[test]
fn who_failed_lets_others_go_first() {
    let (mut scheduler, now) = with(1.0, 1.0);
    (1..=4).for_each(|number| scheduler.request(exchange(number.into(), number, Priority::Profile, now), now));
    scheduler.confirmed(1, false, now);
    let late = now + 40 * SECOND;
    assert!(scheduler.held_until(node(1), late).is_none());
    let mut order = sent(&mut scheduler);
    for answered in [2, 3, 4] {
        scheduler.answered(answered, late);
        order.extend(sent(&mut scheduler));
    }
    assert_eq!(order, [1, 2, 3, 4, 1]);
    // Unless somebody waits for it.
    scheduler.confirmed(1, false, late);
    (5..=6).for_each(|number| scheduler.request(exchange(number.into(), number, Priority::Profile, now), late));
    scheduler.request(exchange(7, 1, Priority::OnDemand, now), late);
    assert_eq!(sent(&mut scheduler), [5]);
    scheduler.answered(5, late);
    assert_eq!(sent(&mut scheduler), [7]);
}

#[test]
fn where_nobody_else_waits_those_who_are_left_alone_are_asked_in_turn_and_seldom() {
    let (mut scheduler, begin) = with(1.0, 1.0);
    let day = begin + 86_400 * SECOND;
    (1..=200).for_each(|number| scheduler.path(node(number), Path { first_hop: node(number), hops: 1 }));
    for number in [1, 2, 3] {
        let wanted = exchange(number.into(), number, Priority::Profile, begin);
        scheduler.request(Exchange { deadline: day, ..wanted }, begin);
    }
    let (mut now, mut asked) = (begin, Vec::new());
    while asked.len() < 90 {
        for ticket in sent(&mut scheduler) {
            asked.push((ticket, now));
            scheduler.confirmed(ticket, false, now);
        }
        now = scheduler.poll_timeout().unwrap().max(now);
        scheduler.handle_timeout(now);
    }
    // They failed twenty times each by now, and are left alone for two hours; a flood in 200 nodes takes 5 s.
    let tail: Vec<_> =
        asked[60..].windows(3).map(|three| (three[0].0 != three[1].0, three[1].1 - three[0].1)).collect();
    assert!(
        tail.iter().all(|(is_another, gap)| *is_another && *gap >= 100 * SECOND && *gap < 600 * SECOND),
        "{tail:?}"
    );
}
